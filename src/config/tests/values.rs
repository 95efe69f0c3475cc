//! What is right is read: defaults, includes, prints.

use super::*;

#[test]
fn what_is_not_written_has_its_default() {
    let config = offline(SOUND).unwrap();
    assert_eq!(config.limits, Limits::default());
    assert_eq!(config.server.listen.to_string(), "0.0.0.0:8080");
    assert_eq!(config.server.admin.to_string(), "127.0.0.1:9090");
    assert_eq!(config.log.data_dir, Path::new("data"));
    assert_eq!(config.log.retain, Duration::from_secs(24 * 3600));
    assert_eq!(
        (
            config.log.max_disk,
            config.log.min_free,
            config.log.segment_bytes
        ),
        (10 << 30, 1 << 30, 64 << 20)
    );

    let (desk, hook) = (&config.destinations["desk"], &config.destinations["hook"]);
    assert_eq!((desk.order, hook.order), (Order::Conversation, Order::None));
    assert_eq!((desk.rate, desk.burst), (Some(10.0), 4));
    assert_eq!(hook.rate, None);
    for one in [desk, hook] {
        assert_eq!((one.timeout, one.concurrency), (Duration::from_secs(30), 8));
        assert_eq!(one.retry, RetryPolicy::default());
        assert_eq!(
            (
                one.backlog.events_max,
                one.backlog.bytes_max,
                one.backlog.when_full
            ),
            (1_000_000, 4 << 30, WhenFull::DeadLetter)
        );
        assert_eq!(
            (one.breaker.failures, one.breaker.probe_every),
            (20, Duration::from_secs(30))
        );
        assert_eq!(
            (
                one.on_stuck,
                one.paused,
                one.allow_private,
                one.allow_link_local
            ),
            (OnStuck::Wait, false, false, false)
        );
    }
    let source = &config.sources["chat"];
    assert_eq!(
        (source.body_max, source.keep_unreadable, source.rate),
        (1 << 20, false, None)
    );
    assert_eq!(&*config.routes[0].name, "route 1");
    assert_eq!(&*config.routes[0].action.name, "message");
}

/// Every house key and common key, none at its default.
const WRITTEN: &str = r#"
[server]
listen = "localhost:1"
admin = "[::1]:2"
data_dir = "/var/lib/hookfan"
proxies = ["10.0.0.0/8", "192.0.2.7"]
[log]
max_disk = "64MiB"
[source.chat]
kind = "chatter"
auth = "none"
agents = ["*@acme.example"]
rate = "120/m"
unreadable = "keep"
max_body = "2MiB"
[destination.desk]
kind = "desk"
timeout = "5s"
concurrency = 2
rate = "5/s"
order = "none"
on_stuck = { skip_after = "10m" }
retry = { delays = ["1s", "1m30s"], for = "1h" }
backlog = { max_events = 10, max_bytes = "1MiB", when_full = "drop_oldest" }
breaker = { failures = 3, probe_every = "5s" }
allow_private = true
ca = "ca.pem"
paused = true
[destination.hook]
kind = "post"
url = "https://hook.example"
rate = "2.5/s"
[[route]]
name = "close"
from = ["chat"]
on = ["mark_as_*", "x"]
to = ["desk", "hook"]
action = "close"
with = { queue_id = "{{ payload.queue }}", list = [1, 2.5, true], at = 2026-01-02 }
"#;

#[test]
fn what_is_written_is_read() {
    let config = offline(WRITTEN).unwrap();
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:1");
    assert_eq!(config.server.proxies.len(), 2);
    assert_eq!(config.log.data_dir, Path::new("/var/lib/hookfan"));
    assert_eq!(config.log.segment_bytes, 8 << 20);
    let source = &config.sources["chat"];
    assert_eq!(
        (
            source.rate.unwrap().per_second,
            source.keep_unreadable,
            source.body_max
        ),
        (2.0, true, 2 << 20)
    );
    let desk = &config.destinations["desk"];
    assert_eq!(
        (desk.rate, desk.burst, desk.order),
        (Some(5.0), 4, Order::None)
    );
    assert_eq!(desk.on_stuck, OnStuck::SkipAfter(Duration::from_secs(600)));
    assert_eq!(
        desk.retry,
        RetryPolicy {
            delays: vec![Duration::from_secs(1), Duration::from_secs(90)],
            span: Duration::from_secs(3600)
        }
    );
    assert_eq!(
        (desk.backlog.events_max, desk.backlog.when_full),
        (10, WhenFull::DropOldest)
    );
    assert_eq!(
        (desk.ca.as_deref(), desk.paused, desk.allow_private),
        (Some(Path::new("ca.pem")), true, true)
    );
    assert_eq!(config.destinations["hook"].burst, 4);
    let route = &config.routes[0];
    assert_eq!(
        (
            &*route.name,
            &*route.action.name,
            route.on.len(),
            route.to.len()
        ),
        ("close", "close", 2, 2)
    );
    let with: serde_json::Value = serde_json::from_str(&route.action.with).unwrap();
    assert_eq!(
        with,
        serde_json::json!({ "queue_id": "{{ payload.queue }}", "list": [1, 2.5, true], "at": "2026-01-02" })
    );
}

#[test]
fn what_a_route_requires_travels_with_what_it_gives() {
    let check = |with: &str, expected: &str| {
        let route =
            format!("[[route]]\nto = 'desk'\naction = 'close'\nrequire = 'queue_open'\n{with}");
        let text = SOUND.replace("[[route]]\nto = [\"desk\", \"hook\"]", &route);
        let config = offline(&text).unwrap();
        assert_eq!(&*config.routes[0].action.with, expected);
    };
    check("", r#"{"require":"queue_open"}"#);
    check(
        "with = { queue_id = 'q' }",
        r#"{"queue_id":"q","require":"queue_open"}"#,
    );
}

#[test]
fn fewer_connections_are_fewer_for_each_address() {
    let config = offline(&format!("[limits]\nconnections = 10\n{SOUND}")).unwrap();
    assert_eq!(
        (config.limits.connections, config.limits.connections_per_ip),
        (10, 10)
    );
}

#[test]
fn includes_are_read_in_order_and_hold_only_what_may_move() {
    // A folder's own name is never taken for a pattern.
    let dir = tempfile::Builder::new().prefix("[a*]").tempdir().unwrap();
    fs::create_dir(dir.path().join("routes.d")).unwrap();
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    write(
        "routes.toml",
        &format!("include = ['routes.d/*.toml', '*.toml']\n{SOUND}"),
    );
    write("routes.d/b.toml", "[[route]]\nname = 'b'\nto = 'late'\n");
    write(
        "routes.d/a.toml",
        "[destination.late]\nkind = 'post'\nurl = 'x'\n[[route]]\nname = 'a'\non = 'x'\nto = 'late'\n",
    );
    let config = in_folder(dir.path(), Secrets::Offline).unwrap();
    let names: Vec<&str> = config.routes.iter().map(|route| &*route.name).collect();
    assert_eq!(names, ["route 1", "a", "b"]);
    assert!(
        config
            .files
            .iter()
            .any(|file| file.ends_with("routes.d/*.toml"))
    );
    assert!(config.files.contains(&dir.path().join("routes.d/b.toml")));
    assert_eq!(config.texts.len(), 3);

    write(
        "routes.d/b.toml",
        "[limits]\nidle = '1s'\n[destination.desk]\nkind = 'post'\nurl = 'x'\n",
    );
    let complaints = in_folder(dir.path(), Secrets::Offline).unwrap_err();
    let json = complaints.to_json().to_string();
    for (file, message) in [
        ("b.toml", "`limits` belongs into the main file"),
        ("b.toml", "the destination \\\"desk\\\" is defined twice"),
        (
            "routes.toml",
            "the destination \\\"desk\\\" is defined twice",
        ),
    ] {
        let found = complaints.complaints.iter().any(|one| {
            complaints.texts[one.file].0.ends_with(Path::new(file))
                && message.replace('\\', "") == one.message
        });
        assert!(found, "{file} {message}: {json}");
    }

    write("routes.toml", "include = ['gone.toml', '[', 3]\n");
    let told = lines(&in_folder(dir.path(), Secrets::Offline).unwrap_err()).join("\n");
    for part in [
        "there is no file",
        "`include` is no pattern",
        "`include` must be a text, not a whole number",
    ] {
        assert!(told.contains(part), "{told}");
    }
}

#[test]
fn secrets_certificates_and_the_token_are_looked_at_only_when_resolved() {
    let dir = tempfile::tempdir().unwrap();
    let text = format!(
        "[server]\nadmin_token = {{ file = 'token' }}\ntls = {{ cert = 'c.pem', key = 'k.pem' }}\n{}",
        SOUND.replace("{ env = \"DESK\" }", "{ file = \"desk\" }")
    );
    fs::write(dir.path().join("routes.toml"), text).unwrap();
    assert!(in_folder(dir.path(), Secrets::Offline).is_ok());
    let told = lines(&in_folder(dir.path(), Secrets::Resolve).unwrap_err()).join("\n");
    for part in [
        "the secret file",
        "c.pem cannot be read",
        "k.pem cannot be read",
        "desk cannot be read",
    ] {
        assert!(told.contains(part), "{told}");
    }
    for (name, content) in [
        ("token", "short"),
        ("c.pem", "no"),
        ("k.pem", "-----BEGIN PRIVATE KEY-----"),
        ("desk", "x"),
    ] {
        fs::write(dir.path().join(name), content).unwrap();
    }
    let told = lines(&in_folder(dir.path(), Secrets::Resolve).unwrap_err()).join("\n");
    assert!(
        told.contains("`admin_token` is shorter than 32 bytes")
            && told.contains("c.pem holds no PEM"),
        "{told}"
    );
    fs::write(
        dir.path().join("token"),
        "0123456789abcdef0123456789abcdef\n",
    )
    .unwrap();
    fs::write(dir.path().join("c.pem"), "-----BEGIN CERTIFICATE-----").unwrap();
    let config = in_folder(dir.path(), Secrets::Resolve).unwrap();
    for name in ["routes.toml", "token", "c.pem", "k.pem", "desk"] {
        assert!(
            config.files.contains(&dir.path().join(name)),
            "{name}: {:?}",
            config.files
        );
    }
    assert_eq!(config.server.admin_token.unwrap().expose().len(), 32);
}

#[test]
fn a_fingerprint_follows_all_that_a_destination_is_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let load = |text: &str, secret: &str| {
        fs::write(dir.path().join("routes.toml"), text).unwrap();
        fs::write(dir.path().join("desk"), secret).unwrap();
        let config = in_folder(dir.path(), Secrets::Resolve).unwrap();
        (
            config.destinations["desk"].fingerprint,
            config.destinations["hook"].fingerprint,
            config.hash,
            config.print,
        )
    };
    let text = SOUND.replace("{ env = \"DESK\" }", "{ file = \"desk\" }");
    let first = load(&text, "one");
    assert_eq!(first.2.len(), 16);
    assert_eq!(load(&text, "one"), first);

    let spaced = load(
        &text.replace("kind = \"desk\"", "# a word\nkind   = \"desk\""),
        "one",
    );
    assert_eq!((spaced.0, spaced.1), (first.0, first.1));
    assert_ne!(spaced.2, first.2);
    assert_ne!(spaced.3, first.3);

    let turned = load(&text, "two");
    assert_ne!(turned.0, first.0);
    assert_eq!(turned.1, first.1);
    assert_ne!(turned.3, first.3);
    // Shown to everybody: a weak secret must not be found by trying.
    assert_eq!(turned.2, first.2);

    let mut prints = vec![first.0];
    for addition in [
        "timeout = '5s'",
        "base_url = 'x'",
        "retry = { for = '1h' }",
        "paused = true",
        "backlog = { max_events = 5 }",
        "rate = '1/s'",
    ] {
        let changed = load(
            &text.replace("kind = \"desk\"", &format!("kind = \"desk\"\n{addition}")),
            "one",
        );
        assert!(!prints.contains(&changed.0), "{addition}");
        assert_eq!(changed.1, first.1, "{addition}");
        prints.push(changed.0);
    }
}

#[test]
fn what_a_reload_cannot_change_is_named() {
    let old = offline(SOUND).unwrap();
    for (text, keys) in [
        (String::new(), vec![]),
        ("[limits]\nidle = '1m'".into(), vec![]),
        ("[server]\nlisten = '127.0.0.1:1'\nadmin = '127.0.0.1:2'\ndata_dir = 'x'\ntls = { cert = 'c', key = 'k' }".into(), vec!["server.listen", "server.admin", "server.tls", "server.data_dir"]),
        ("[log]\nretain = '1h'\nmax_disk = '20GiB'".into(), vec!["log.retain", "log.max_disk"]),
    ] {
        let new = offline(&format!("{text}\n{SOUND}")).unwrap();
        assert_eq!(needs_restart(&old, &new), keys, "{text}");
    }
}

/// The annotated example at the top of the project, read with the real
/// vendors.
const EXAMPLE: &str = include_str!("../../../routes.toml");

#[test]
fn the_annotated_example_is_sound() {
    let config = load_text(EXAMPLE, Path::new("routes.toml"), Secrets::Offline)
        .unwrap_or_else(|complaints| panic!("{}", complaints.draw(false)));
    assert_eq!(
        config.warnings,
        [],
        "{}",
        Complaints::from(&config).draw(false)
    );
}

#[test]
fn the_annotated_example_shows_the_defaults() {
    let config = load_text(EXAMPLE, Path::new("routes.toml"), Secrets::Offline)
        .unwrap_or_else(|complaints| panic!("{}", complaints.draw(false)));
    let bare = offline("").unwrap();
    assert_eq!(
        (&config.server, &config.limits, &config.log),
        (&bare.server, &bare.limits, &bare.log)
    );
}

/// A line of the form `#key = value` is an optional key; `# words` is prose.
#[test]
fn every_commented_key_of_the_annotated_example_can_be_uncommented() {
    let is_key = |line: &str| {
        line.strip_prefix('#')
            .is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_lowercase()))
    };
    let whole: Vec<&str> = EXAMPLE
        .lines()
        .map(|line| if is_key(line) { &line[1..] } else { line })
        .collect();
    let uncommented = load_text(
        &whole.join("\n"),
        Path::new("routes.toml"),
        Secrets::Offline,
    )
    .unwrap_or_else(|complaints| panic!("{}", complaints.draw(false)));
    let short = load_text(EXAMPLE, Path::new("routes.toml"), Secrets::Offline)
        .unwrap_or_else(|complaints| panic!("{}", complaints.draw(false)));
    let (full, default) = (
        &uncommented.destinations["bots"],
        &short.destinations["bots"],
    );
    assert_eq!(
        (full.timeout, full.concurrency, full.rate, full.burst),
        (
            default.timeout,
            default.concurrency,
            default.rate,
            default.burst
        )
    );
    assert_eq!(
        (full.order, full.on_stuck, &full.retry),
        (default.order, default.on_stuck, &default.retry)
    );
    assert_eq!(
        (full.backlog, full.breaker, full.paused),
        (default.backlog, default.breaker, default.paused)
    );
}
