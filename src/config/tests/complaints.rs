//! What is wrong is said, all at once, at its place, without secrets.

use proptest::prelude::*;

use super::*;

const TWENTY: &str = include_str!("../../../tests/suite/fixtures/config/twenty.toml");

#[test]
fn twenty_faults_are_twenty_complaints_with_their_places() {
    let complaints = offline(TWENTY).unwrap_err();
    let errors = complaints
        .complaints
        .iter()
        .filter(|one| one.severity == Severity::Error)
        .count();
    assert_eq!(errors, 20, "{}", complaints.draw(false));
    insta::assert_snapshot!("twenty_drawn", complaints.draw(false));
    insta::assert_json_snapshot!("twenty_json", complaints.to_json());
}

#[test]
fn no_drawing_and_no_json_shows_a_typed_secret() {
    let complaints = offline(TWENTY).unwrap_err();
    for told in [
        complaints.draw(false),
        complaints.draw(true),
        complaints.to_json().to_string(),
    ] {
        assert!(!told.contains("hunter2"), "{told}");
        assert!(!told.contains("sk_live"), "{told}");
    }
    for text in [
        "[destination.desk]\nkind = 'desk'\nparameters = 1\napi_key = 'hunter2'\n",
        "[destination.desk]\nkind = 'dessk'\napi_key = 'hunter2'\n",
        "[destination.desk]\nkind = 'desk'\napi_key = { env = 'hunter2-' }\n",
        "[destination.desk]\nkind = 'desk'\napi_kye = 'hunter2'\n",
        "[destination.desk]\nkind = 'desk'\nheaders = { Authorization = 'hunter2' }\n",
        "[destination.desk]\nkind = 'desk'\napi_key = 'hunter2\n",
        "[destination.desk]\nkind = 'desk'\napi_key = hunter2\n",
        "server = { admin_token = 'hunter2', x = 1 }\n",
        "[source.chat]\nkind = 'chatter'\nauth = 'hunter2'\n",
        "[source.chat]\nkind = 'chatter'\nauth = { scheme = 'github', secret = 'hunter2' }\n",
        "[source.chat]\nkind = 'chatter'\nauth = { scheme = 'github', secrets = ['hunter2'] }\n",
        "[[route]]\nto = 'desk'\nwith = { token = 'hunter2', x = nan }\n",
    ] {
        let complaints = offline(text).unwrap_err();
        let drawn = format!("{}{}", complaints.draw(false), complaints.to_json());
        assert!(!drawn.contains("hunter2"), "{text}\n{drawn}");
    }
}

#[test]
fn a_drawing_begins_with_the_place_and_is_coloured_only_when_asked() {
    let complaints = offline("[limits]\nidle = '5'\n").unwrap_err();
    let plain = complaints.draw(false);
    assert!(
        plain.contains("routes.toml:2:8: error: `limits.idle` is no duration: it has no unit"),
        "{plain}"
    );
    assert!(!plain.contains('\x1b'));
    assert!(complaints.draw(true).contains('\x1b'));
}

#[test]
fn columns_count_characters() {
    assert_eq!(
        complaints_of("[server]\nlisten = { 'é' = 1, x.y = nan }\n")[1],
        "2:10 `server.listen` must be a text, not a table"
    );
    let complaints = offline("limits = { 'ééé' = 1, idle = 3 }\n").unwrap_err();
    assert_eq!(
        lines(&complaints)[2],
        "1:30 `limits.idle` must be a duration such as \"30s\", not a whole number"
    );
}

#[test]
fn a_sound_file_has_no_errors_and_says_who_may_come_in() {
    assert_eq!(complaints_of(SOUND), [format!("4:8 {}", &ANYBODY[4..])]);
}

/// What is said beyond [`SOUND`]'s own warning, with `text` put behind it.
fn check(text: &str, expected: &[&str]) {
    let own = SOUND.matches('\n').count();
    let all = complaints_of(&format!("{SOUND}{text}"));
    let told: Vec<String> = all
        .into_iter()
        .filter(|line| !line.contains(&ANYBODY[4..]))
        .map(|line| {
            let (number, rest) = line.split_once(':').unwrap();
            let number = number.parse::<usize>().unwrap();
            // Lines of the addition count from 1; those of SOUND are negative.
            format!(
                "{}:{rest}",
                i64::try_from(number).unwrap() - i64::try_from(own).unwrap()
            )
        })
        .collect();
    assert_eq!(told, expected, "{text}");
}

#[test]
fn routes_are_held_against_what_is_defined() {
    let twice =
        "1:1 the route \"route 2\" adds nothing: all it sends is sent already by \"route 1\"";
    for (text, expected) in [
        (
            "[[route]]\nto = 'dsk'",
            vec!["2:6 there is no destination \"dsk\""],
        ),
        (
            "[[route]]\nfrom = 'chatt'\nto = 'desk'",
            vec!["2:8 there is no source \"chatt\""],
        ),
        (
            "[[route]]\nfrom = []\nto = 'desk'",
            vec!["2:8 `from` is an empty list: the route can never match"],
        ),
        (
            "[[route]]\non = []\nto = 'desk'",
            vec!["2:6 `on` is an empty list: the route can never match"],
        ),
        (
            "[[route]]\non = ''\nto = 'desk'",
            vec!["2:6 no event has an empty type: this can never match"],
        ),
        (
            "[[route]]\nto = []",
            vec!["2:6 `to` is an empty list: the route can never match"],
        ),
        (
            "[[route]]\nfrom = 'chat'",
            vec!["1:1 `route 2.to` is missing"],
        ),
        (
            "[[route]]\nto = 'desk'\naction = 'clsoe'",
            vec!["3:10 \"clsoe\" is no action of desk (\"desk\")"],
        ),
        (
            "[[route]]\nto = 'hook'\naction = 'close'",
            vec!["3:10 nothing in `to` knows the action \"close\""],
        ),
        (
            "[[route]]\nto = ['desk', 'hook', 'desk']\nname = 'x'\n",
            vec!["2:23 \"desk\" is named twice here"],
        ),
        (
            "[[route]]\nname = 'route 1'\non = 'x'\nto = 'desk'\nwhen = 'true'",
            vec![
                "2:8 there are two routes called \"route 1\"",
                "2:8 the route \"route 1\" adds nothing: all it sends is sent already by \"route 1\"",
            ],
        ),
        ("[[route]]\nto = 'desk'", vec![twice]),
        (
            "[[route]]\non = 'close*'\nfrom = 'chat'\nto = ['hook', 'desk']\naction = 'close'",
            vec![twice],
        ),
        (
            "[[route]]\nto = 'desk'\nwith = { secret = { env = 'X' } }",
            vec!["3:19 no secret can stand in `with`"],
        ),
        (
            "[[route]]\nto = 'desk'\nwith = 'x'",
            vec!["3:8 `with` must be a table, not a text"],
        ),
        (
            "[[route]]\nto = 'desk'\ntoo = 1",
            vec![twice, "3:1 unknown key `too` in [route 2]"],
        ),
    ] {
        check(text, &expected);
    }
}

#[test]
fn what_a_destination_cannot_require_is_an_error() {
    for (text, expected) in [
        (
            "[[route]]\nto = 'desk'\naction = 'close'\nrequire = 'queue_opn'\nwith = { require = 'x' }",
            vec![
                "4:11 \"queue_opn\" is nothing that desk can require (\"desk\")",
                "5:10 `require` stands beside `with`, not inside of it",
            ],
        ),
        (
            "[[route]]\nto = ['desk', 'hook']\nrequire = 'queue_open'",
            vec!["3:11 \"queue_open\" is nothing that post can require (\"hook\")"],
        ),
    ] {
        check(text, &expected);
    }
}

#[test]
fn a_malformed_expression_is_shown_inside_its_text() {
    let complaints = offline(&format!("{SOUND}when = 'true and and'")).unwrap_err();
    let json = complaints.to_json();
    let one = &json["complaints"][1];
    assert!(
        one["message"]
            .as_str()
            .unwrap()
            .starts_with("`when` is no expression: "),
        "{one}"
    );
    assert_eq!(one["line"], 16);
    assert!(one["column"].as_u64().unwrap() > 8, "{one}");
    let complaints = offline(&format!("{SOUND}with = {{ a = '{{{{ message. }}}}' }}")).unwrap_err();
    assert!(
        lines(&complaints)[1].contains("this is no template: "),
        "{:?}",
        lines(&complaints)
    );
}

#[test]
fn what_nothing_leads_to_is_a_warning() {
    check(
        "[destination.lonely]\nkind = 'post'\nurl = 'https://x.example'",
        &["1:14 no route leads to the destination \"lonely\""],
    );
    let told = complaints_of("[source.chat]\nkind = 'chatter'\nauth = 'none'\n");
    assert!(
        told.contains(
            &"1:9 no route takes what the source \"chat\" sends: it is stored and goes nowhere"
                .to_owned()
        ),
        "{told:?}"
    );
    assert_eq!(
        complaints_of(""),
        ["1:1 there is no source: nothing can come in"]
    );
}

#[test]
fn limits_that_contradict_each_other_are_errors() {
    for (text, expected) in [
        (
            "[limits]\nconnections_per_ip = 5000",
            "2:22 one address may have more connections than there are",
        ),
        (
            "[limits]\nhead_bytes = '9KiB'\nuri_bytes = '10KiB'",
            "2:14 the head is smaller than the path in it may be",
        ),
        (
            "[limits]\nhead_bytes = '4KiB'\nuri_bytes = '2KiB'",
            "2:14 `head_bytes` is less than 8KiB",
        ),
        (
            "[limits]\nanswer = '20s'\ndrain = '1m'",
            "2:10 an answer may take longer than its body may take to come in",
        ),
        (
            "[limits]\ndrain = '1s'",
            "2:9 a stop would cut off answers that are still in time",
        ),
        (
            "[limits]\nbody_in_flight = '512KiB'",
            "2:18 `limits.body_in_flight` is less than one webhook of \"chat\" may have",
        ),
        (
            "[limits]\nconnections = 0",
            "2:15 `limits.connections` must be a whole number of at least 1",
        ),
        (
            "[limits]\njson_depth = 1001",
            "2:14 `limits.json_depth` must be at most 128",
        ),
        (
            "[log]\nmax_disk = '1MiB'",
            "2:12 `log.max_disk` is too small",
        ),
        (
            "[log]\nmin_free = '0'",
            "2:12 `log.min_free` is no size: it must be more than zero",
        ),
        (
            "[server]\nadmin = '0.0.0.0:9090'",
            "2:9 the admin address can be reached from outside without a token",
        ),
        (
            "[server]\nadmin = '127.0.0.1:8080'",
            "2:9 `listen` and `admin` are the same address",
        ),
        (
            "[server]\ntls = { cert = 'c.pem' }",
            "2:7 `server.tls.key` is missing",
        ),
        (
            "[server]\nproxies = ['10.0.0.0/33']",
            "2:12 \"10.0.0.0/33\" is no network",
        ),
        (
            "[server]\nproxies = '0.0.0.0/0'",
            "2:11 everybody's X-Forwarded-For is believed",
        ),
    ] {
        check(text, &[expected]);
    }
}

#[test]
fn a_destination_says_what_it_cannot_mean() {
    for (text, expected) in [
        (
            "timeout = '0s'",
            "4:11 `destination.x.timeout` is no duration: it must be more than zero",
        ),
        (
            "concurrency = 1025",
            "4:15 `destination.x.concurrency` must be at most 1024",
        ),
        (
            "burst = 5",
            "4:9 `destination.x.burst` says nothing without a `rate`",
        ),
        (
            "order = 'room'",
            "4:9 `destination.x.order` cannot be \"room\"",
        ),
        (
            "on_stuck = {}",
            "4:12 `destination.x.on_stuck.skip_after` is missing",
        ),
        (
            "retry = { delays = [] }",
            "4:20 `destination.x.retry.delays` must hold 1 to 100 delays",
        ),
        (
            "retry = { for = '1s' }",
            "4:17 `destination.x.retry.for` ends before the first retry",
        ),
        (
            "backlog = { max_bytes = '11GiB' }",
            "4:25 the backlog of \"x\" may be larger than the whole log (`log.max_disk`)",
        ),
        (
            "backlog = { when_full = 'reject' }",
            "4:25 a full backlog of \"x\" refuses webhooks that other destinations wait for",
        ),
        (
            "breaker = { failures = 0 }",
            "4:24 `destination.x.breaker.failures` must be a whole number of at least 1",
        ),
        (
            "paused = 'yes'",
            "4:10 `destination.x.paused` must be true or false, not a text",
        ),
    ] {
        check(
            &format!(
                "[destination.x]\nkind = 'post'\nurl = 'https://x.example'\n{text}\n[[route]]\nto = 'x'"
            ),
            &[expected],
        );
    }
    check(
        "[destination.x]\n[[route]]\nto = 'x'",
        &["1:1 `destination.x.kind` is missing"],
    );
    check(
        "[destination.x]\nkind = 'chatter'\n[[route]]\nto = 'x'",
        &["2:8 \"chatter\" is no kind of destination"],
    );
}

/// X11: an empty block, a literal reference or a typo is never "anybody".
#[test]
fn nothing_but_the_word_none_lets_anybody_in() {
    for auth in [
        "",
        "auth = {}",
        "auth = ''",
        "auth = 'env:X'",
        "auth = []",
        "auth = false",
        "auth = { secret = { env = 'X' } }",
        "auth = { scheme = 'github' }",
        "auth = { scheme = 'github', secrets = [] }",
    ] {
        let text = format!(
            "[source.chat]\nkind = 'chatter'\n{auth}\n[destination.d]\nkind = 'post'\nurl = 'x'\n[[route]]\nto = 'd'\n"
        );
        let complaints = offline(&text).expect_err(auth);
        assert!(complaints.has_errors(), "{auth}");
    }
}

#[test]
fn what_is_no_toml_is_said_with_every_place_and_nothing_else() {
    let told = complaints_of("[server\nlisten = 3\n[limits]\nidle = = 5\n");
    assert_eq!(
        told,
        [
            "1:1 the bracket of this table is not closed",
            "4:8 there is an equals sign too many",
        ]
    );
    assert_eq!(
        complaints_of(&format!(
            "{SOUND}\n[limits]\nidle = '30s'\nidle = '31s'\nx = 1"
        ))[1..],
        [
            "19:1 this key is written twice",
            "20:1 unknown key `x` in [limits]"
        ]
    );
}

#[test]
fn an_unreadable_file_is_a_complaint() {
    let complaints = load(Path::new("/nowhere/routes.toml"), Secrets::Offline).unwrap_err();
    assert!(
        complaints
            .draw(false)
            .starts_with("/nowhere/routes.toml:1:1: error: cannot be read: "),
        "{}",
        complaints.draw(false)
    );
}

/// What somebody may write behind `auth =`, sound and unsound.
fn any_auth() -> impl Strategy<Value = String> {
    let scheme = prop_oneof![
        Just("qiscus"),
        Just("github"),
        Just("hmac"),
        Just("token"),
        Just("basic"),
        Just("none"),
        Just("None"),
        Just("nnone"),
        Just("")
    ];
    let secret = prop_oneof![
        Just("{ env = 'A' }"),
        Just("{}"),
        Just("''"),
        Just("'env:A'"),
        Just("[]"),
        Just("none")
    ];
    let word = prop_oneof![
        Just("'none'"),
        Just("'NONE'"),
        Just("' none'"),
        Just("'env:X'"),
        Just("{}"),
        Just("[]"),
        Just("['none']"),
        Just("false"),
        Just("0")
    ];
    prop_oneof![
        word.prop_map(str::to_owned),
        (scheme.clone(), secret.clone())
            .prop_map(|(scheme, secret)| format!("{{ scheme = '{scheme}', secret = {secret} }}")),
        (scheme.clone(), secret).prop_map(|(scheme, secret)| format!(
            "{{ scheme = '{scheme}', secrets = [{secret}] }}"
        )),
        scheme.prop_map(|scheme| format!("{{ scheme = '{scheme}', allow = [] }}")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_source_that_accepts_anybody_was_told_so_and_is_warned_about(auth in any_auth()) {
        let text = format!("[source.chat]\nkind = 'chatter'\nauth = {auth}\n");
        if let Ok(config) = offline(&text) {
            let anybody = config.sources["chat"].auth.accepts_anybody();
            let warned = config.warnings.iter().any(|one| one.message.starts_with("anybody may post"));
            prop_assert!(!anybody || (warned && text.contains("'none'")), "{}", text);
        }
    }
}
