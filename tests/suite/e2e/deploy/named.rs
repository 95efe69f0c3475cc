//! What `deploy/` names (metrics, labels, verbs, flags, ports, paths, keys of
//! the file) is what the binary has.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::support::gateway::{Gateway, hookfan};
use crate::support::http::ask;
use crate::support::receiver::Receiver;
use crate::support::sender::{message, qiscus};

/// A file of `deploy/`.
fn deployed(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("deploy")
        .join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Families with the names of their labels, `le` of histograms included.
fn families(exposition: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut families: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in exposition
        .lines()
        .filter(|line| line.starts_with("hookfan_"))
    {
        let (name, labels) = series(line);
        families.entry(name).or_default().extend(labels);
    }
    families
}

/// `name{a="…",b="…"}` and whatever follows: the name, and the labels' names.
fn series(text: &str) -> (String, BTreeSet<String>) {
    let is_word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let name: String = text.chars().take_while(|letter| is_word(*letter)).collect();
    let labels = text[name.len()..]
        .strip_prefix('{')
        .and_then(|rest| rest.split_once('}'))
        .map_or("", |(labels, _)| labels);
    let labels = labels
        .split(',')
        .filter_map(|pair| {
            let name: String = pair.chars().take_while(|letter| is_word(*letter)).collect();
            (!name.is_empty()).then_some(name)
        })
        .collect();
    (name, labels)
}

/// Every series that a text of queries names. In JSON quotes are escaped.
fn queried(text: &str) -> Vec<(String, BTreeSet<String>)> {
    let text = text.replace('\\', "");
    let starts = text.match_indices("hookfan_");
    let starts =
        starts.filter(|(at, _)| !text[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_'));
    starts.map(|(at, _)| series(&text[at..])).collect()
}

/// A gateway that webhooks come to by TLS.
fn by_tls() -> Gateway {
    let mut gateway = Gateway::prepare("");
    let made = rcgen::generate_simple_self_signed(["hooks.acme.example".to_owned()]).unwrap();
    gateway.secret("cert.pem", &made.cert.pem());
    gateway.secret("key.pem", &made.signing_key.serialize_pem());
    let tls = "tls = { cert = \"cert.pem\", key = \"key.pem\" }\ndata_dir";
    let text = gateway.text("").replacen("data_dir", tls, 1);
    std::fs::write(gateway.file(), text).unwrap();
    gateway.run();
    gateway
}

#[test]
fn every_metric_of_the_rules_and_the_dashboard_is_exposed_with_its_labels() {
    let receiver = Receiver::start();
    let gateway = Gateway::start(&format!(
        "[destination.crm]\nkind = \"http\"\nurl = \"{}/\"\nallow_private = true\n[[route]]\nto = \"crm\"\n",
        receiver.url()
    ));
    assert_eq!(qiscus(gateway.ingress, &message(1, "a", "a")).status, 200);
    receiver.gets(1);
    gateway.drained(std::time::Duration::from_secs(20));
    let mut exposed = families(&gateway.get("/metrics").text());
    exposed.extend(families(&by_tls().get("/metrics").text()));
    // What a scrape adds.
    let added: BTreeSet<String> = ["instance", "job"].map(str::to_owned).into();
    let mut named = BTreeSet::new();
    for file in [
        "prometheus/hookfan.rules.yml",
        "prometheus/hookfan.rules.test.yml",
        "grafana/hookfan.json",
    ] {
        for (metric, labels) in queried(&deployed(file)) {
            let Some(known) = exposed.get(&metric) else {
                panic!("{file}: there is no {metric}");
            };
            let unknown: Vec<_> = labels
                .difference(known)
                .filter(|name| !added.contains(*name))
                .collect();
            assert!(
                unknown.is_empty(),
                "{file}: {metric} has no label {unknown:?}"
            );
            named.insert(metric);
        }
    }
    // And nothing that is counted goes unseen.
    let unseen: Vec<&String> = exposed
        .keys()
        .filter(|name| {
            !name.ends_with("_sum") && !name.ends_with("_count") && !named.contains(*name)
        })
        .collect();
    assert!(
        unseen.is_empty(),
        "neither a rule nor the dashboard shows {unseen:?}"
    );
}

#[test]
fn the_check_of_names_sees_a_metric_and_a_label() {
    let found = queried(r#"rate(hookfan_a_total{why=\"x\",code!=\"5\"}[5m]) > not_hookfan_b"#);
    let labels: BTreeSet<String> = ["why", "code"].map(str::to_owned).into();
    assert_eq!(found, [("hookfan_a_total".to_owned(), labels)]);
}

#[test]
fn every_alert_says_what_to_do_and_is_played_both_ways() {
    let (rules, plays) = (
        deployed("prometheus/hookfan.rules.yml"),
        deployed("prometheus/hookfan.rules.test.yml"),
    );
    let operating = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operating.md");
    let pages = std::fs::read_to_string(operating).unwrap_or_default();
    let headings: BTreeSet<String> = pages
        .lines()
        .filter_map(|line| line.strip_prefix('#'))
        .map(|line| line.trim_start_matches('#').trim().to_lowercase())
        .collect();
    let alerts: Vec<&str> = rules.split("- alert: ").skip(1).collect();
    assert!(alerts.len() >= 17);
    for alert in alerts {
        let name = alert.lines().next().unwrap();
        for annotation in ["summary: \"", "description: \"", "severity: "] {
            assert!(alert.contains(annotation), "{name}: {annotation}");
        }
        let anchor = name.to_lowercase();
        assert!(
            alert.contains(&format!("docs/operating.md#{anchor}\n")),
            "{name}: its page"
        );
        // The page is there as soon as there are pages.
        assert!(
            headings.is_empty() || headings.contains(&anchor),
            "docs/operating.md has no {name}"
        );
        let plays: Vec<&str> = plays
            .split("  - name: ")
            .filter(|play| play.contains(&format!("alertname: {name}\n")))
            .collect();
        assert!(
            plays.iter().any(|play| play.contains("exp_labels")),
            "{name} never fires"
        );
        assert!(
            plays.iter().any(|play| play.contains("exp_alerts: []")),
            "{name} always fires"
        );
    }
}

/// The lines below `key: |` of a YAML text, without their indentation.
fn block(yaml: &str, key: &str) -> String {
    let mut lines = yaml
        .lines()
        .skip_while(|line| line.trim() != format!("{key}: |"))
        .skip(1)
        .peekable();
    let indent = lines.peek().unwrap().find(|c: char| c != ' ').unwrap();
    lines
        .take_while(|line| line.trim().is_empty() || line.starts_with(&" ".repeat(indent)))
        .map(|line| format!("{}\n", line.get(indent..).unwrap_or("")))
        .collect()
}

#[test]
fn every_routing_file_that_is_shipped_passes_the_check() {
    let debian = deployed("debian/routes.toml");
    // Its example, taken out of its comment signs: lines that begin with `#` and no space.
    let begun: String = debian
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if !rest.starts_with(' ') => format!("{rest}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    assert!(begun.contains("\n[source.qiscus]\n"));
    for (name, text) in [
        ("debian", debian),
        ("debian, begun", begun),
        ("docker", deployed("docker/routes.toml")),
        ("compose", deployed("docker/hookfan/routes.toml")),
        (
            "kubernetes",
            block(&deployed("kubernetes/hookfan.yaml"), "routes.toml"),
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("routes.toml"), text).unwrap();
        let checked = hookfan(folder.path(), &["check"]);
        let said = String::from_utf8_lossy(&checked.stderr);
        assert_eq!(checked.status.code(), Some(0), "{name}: {said}");
        let bare = said.contains("there is no source");
        assert!(
            said.is_empty() || (bare && said.contains("1 warning")),
            "{name}: {said}"
        );
    }
}

#[test]
fn verbs_flags_and_variables_are_those_of_the_binary() {
    let folder = tempfile::tempdir().unwrap();
    let help = |verb: &str| {
        let asked = hookfan(folder.path(), &[verb, "--help"]);
        assert!(asked.status.success(), "there is no verb {verb}");
        String::from_utf8(asked.stdout).unwrap()
    };
    let unit = deployed("systemd/hookfan.service");
    for line in unit
        .lines()
        .filter(|line| line.contains("=/usr/bin/hookfan "))
    {
        let mut words = line.split_whitespace().skip(1);
        let help = help(words.next().unwrap());
        for flag in words.filter(|word| word.starts_with('-')) {
            assert!(help.contains(flag), "{line}: {flag}");
        }
    }
    let (docker, kubernetes) = (
        deployed("docker/Dockerfile"),
        deployed("kubernetes/hookfan.yaml"),
    );
    assert!(
        kubernetes
            .contains(r#"args: ["run", "-c", "/etc/hookfan/routes.toml", "--log-format", "json"]"#)
    );
    assert!(
        docker.contains(r#"CMD ["/usr/bin/hookfan", "health"]"#)
            && docker.contains("CMD [\"run\"]")
    );
    let (run, health) = (help("run"), help("health"));
    for variable in ["HOOKFAN_CONFIG", "HOOKFAN_LOG_FORMAT"] {
        assert!(
            docker.contains(&format!("{variable}=")) && run.contains(variable),
            "{variable}"
        );
    }
    assert!(docker.contains("HOOKFAN_ADMIN=") && health.contains("HOOKFAN_ADMIN"));
}

#[test]
fn ports_and_paths_are_those_of_the_routing_files_and_of_the_binary() {
    let (docker, kubernetes) = (
        deployed("docker/Dockerfile"),
        deployed("kubernetes/hookfan.yaml"),
    );
    let routes = block(&kubernetes, "routes.toml");
    for (port, key) in [("8080", "listen"), ("9090", "admin")] {
        assert!(
            routes.contains(&format!("{key} = \"0.0.0.0:{port}\"")),
            "{key}"
        );
        assert!(
            kubernetes.contains(&format!("containerPort: {port} }}")),
            "{key}"
        );
        assert!(docker.contains("EXPOSE 8080 9090"));
        let own = deployed("debian/routes.toml");
        assert!(
            own.contains(&format!("{key} = \"127.0.0.1:{port}\"")),
            "{key}"
        );
        for proxy in ["nginx/hookfan.conf", "caddy/Caddyfile"] {
            assert!(
                deployed(proxy).contains(&format!("127.0.0.1:{port}")),
                "{proxy}: {key}"
            );
        }
    }
    let gateway = Gateway::start("");
    for path in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(gateway.get(path).status, 200, "{path}");
    }
    let probed: Vec<&str> = kubernetes
        .lines()
        .filter_map(|line| {
            line.trim()
                .strip_prefix("httpGet: { path: ")?
                .split(',')
                .next()
        })
        .collect();
    assert_eq!(probed, ["/livez", "/livez", "/readyz"]);
}

/// What `make deploy` has systemd itself say, as far as it can be read.
#[test]
fn the_unit_tells_validates_restarts_and_is_shut_in() {
    let unit = deployed("systemd/hookfan.service");
    for line in [
        "Type=notify",
        "RestartPreventExitStatus=64 78",
        "User=hookfan",
        "StateDirectory=hookfan",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "CapabilityBoundingSet=",
        "MemoryDenyWriteExecute=yes",
        "SystemCallFilter=@system-service",
    ] {
        assert!(unit.lines().any(|said| said == line), "{line}");
    }
    assert!(unit.lines().any(|line| line.starts_with("WatchdogSec=")));
    let reload: Vec<&str> = unit
        .lines()
        .filter(|line| line.starts_with("ExecReload="))
        .collect();
    assert!(
        reload[0].contains("hookfan check"),
        "what is wrong is said before anything is done"
    );
    assert!(reload[1].contains("-HUP"));
}

#[test]
fn health_is_an_exit_code_and_does_not_read_a_file_that_has_become_wrong() {
    let mut gateway = Gateway::start("");
    let admin = format!("http://{}", gateway.admin);
    assert_eq!(gateway.hookfan(&["health"]).status.code(), Some(0));
    gateway.write("nonsense");
    assert_eq!(
        gateway
            .hookfan(&["health", "--admin", &admin])
            .status
            .code(),
        Some(0)
    );
    gateway.stop();
    let nobody = gateway.hookfan(&["health", "--admin", &admin]);
    assert_eq!(nobody.status.code(), Some(1));
    // Of 16 EiB free space there is not enough anywhere: alive, and not ready.
    gateway.write("[log]\nmin_free = \"8388607TiB\"\n");
    gateway.spawn();
    let not_ready =
        crate::support::eventually("an answer", std::time::Duration::from_secs(20), || {
            ask(gateway.admin, "GET", "/readyz", &[], b"").ok()?;
            qiscus(gateway.ingress, &message(1, "a", "a"));
            let asked = gateway.hookfan(&["health"]);
            String::from_utf8_lossy(&asked.stderr)
                .contains("not ready")
                .then_some(asked)
        });
    assert_eq!(not_ready.status.code(), Some(1));
}

/// A proxy may write all of a body before it reads: it must hear 413, not a
/// reset, or it tells the sender 502, and senders repeat that.
#[test]
fn a_proxy_that_sends_all_of_a_body_that_is_too_large_hears_413() {
    use std::io::{Read, Write};
    let mut gateway = Gateway::prepare("");
    let believed = "[server]\nproxies = [\"127.0.0.1/32\"]\n";
    let file = gateway.text("").replace("[server]\n", believed);
    std::fs::write(gateway.file(), file).unwrap();
    gateway.run();
    let mut stream = std::net::TcpStream::connect(gateway.ingress).unwrap();
    let body = vec![b'x'; 12 << 20];
    let head = format!(
        "POST /hooks/qiscus HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&body).expect("it is read to its end");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}
