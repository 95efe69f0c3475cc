//! What can never happen, what is typed and should not be, and what the address
//! guard would refuse.

use super::*;

/// What is said about a file with the real vendors, warnings about `auth`
/// apart.
fn told(text: &str) -> Vec<(Severity, String, Option<String>)> {
    let read = load_text(text, Path::new("routes.toml"), Secrets::Offline);
    let complaints = read.map_or_else(|wrong| wrong, |config| Complaints::from(&config));
    complaints
        .complaints
        .into_iter()
        .map(|one| (one.severity, one.message, one.help))
        .filter(|(_, message, _)| !message.starts_with("anybody may post"))
        .collect()
}

fn with_route(route: &str) -> String {
    format!(
        "[source.qiscus]\nkind = 'qiscus'\nauth = 'none'\n[source.shop]\nkind = 'generic'\nauth = 'none'\n\
         [destination.d]\nkind = 'http'\nurl = 'https://d.example/'\n[[route]]\nto = 'd'\n[[route]]\nname = 'odd'\nto = 'd'\n{route}\n"
    )
}

#[test]
fn a_condition_that_never_holds_is_an_error() {
    for when in ["false", "1 == 2", "'' or none", "not true", "1 / 0 > 1"] {
        let all = told(&with_route(&format!("when = \"{when}\"")));
        assert!(
            all.iter()
                .any(|(severity, message, _)| *severity == Severity::Error
                    && message.contains("a route that can never match")),
            "{when}: {all:?}"
        );
    }
    for when in ["true", "1 == 1", "payload.x", "message is defined"] {
        let all = told(&with_route(&format!("when = \"{when}\"")));
        assert!(
            !all.iter().any(|(_, message, _)| message.contains("never")),
            "{when}: {all:?}"
        );
    }
}

#[test]
fn words_of_other_languages_are_translated() {
    for (when, hint) in [
        ("event.type = 'a'", "`==`"),
        ("event.type == 'a' && payload.x", "`and`"),
        ("payload.x || payload.y", "`or`"),
        ("!payload.x", "`not`"),
        ("event.type === 'a'", "`==`"),
    ] {
        let all = told(&with_route(&format!("when = \"{when}\"")));
        let help = all
            .iter()
            .find(|(_, message, _)| message.contains("`when` is no expression"));
        let help = help
            .and_then(|(_, _, help)| help.clone())
            .unwrap_or_default();
        assert!(help.contains(hint), "{when}: {all:?}");
    }
    let all = told(&with_route("when = \"event.type == 'a && b = c' +\""));
    let translated = |help: &String| ["`==`", "`and`"].iter().any(|word| help.contains(word));
    assert!(
        all.iter()
            .all(|(_, _, help)| !help.as_ref().is_some_and(translated)),
        "{all:?}"
    );
}

#[test]
fn a_type_that_a_source_does_not_send_is_a_warning() {
    let check = |route: &str, warned: bool| {
        let all = told(&with_route(route));
        let found = all.iter().any(|(severity, message, _)| {
            *severity == Severity::Warning && message.contains("sends events of such a type")
        });
        assert_eq!(found, warned, "{route}: {all:?}");
        assert!(
            all.iter()
                .all(|(severity, ..)| *severity == Severity::Warning),
            "{all:?}"
        );
    };
    check("from = 'qiscus'\non = 'post_coment_*'", true);
    check(
        "from = 'qiscus'\non = ['mark_as_resolved', 'new_session']",
        true,
    );
    check(
        "from = 'qiscus'\non = ['post_*', 'NEW_SESSION_WEBHOOK', 'unreadable']",
        false,
    );
    check("from = ['qiscus', 'shop']\non = 'order.paid'", false);
    check("on = 'order.paid'", false);
}

#[test]
fn an_address_that_is_never_connected_to_is_an_error() {
    let check = |kind: &str, more: &str, refused: Option<&str>| {
        let text = format!(
            "[source.shop]\nkind = 'generic'\nauth = 'none'\n[destination.d]\nkind = '{kind}'\n{more}\n[[route]]\nto = 'd'\n"
        );
        let all = told(&text);
        let found = all
            .iter()
            .find(|(severity, ..)| *severity == Severity::Error);
        match (refused, found) {
            (None, None) => {}
            (Some(help), Some((_, message, Some(said)))) => {
                assert!(
                    message.contains("never connected to") && said.contains(help),
                    "{text}: {all:?}"
                );
            }
            _ => panic!("{text}: {all:?}"),
        }
    };
    let (private, local) = ("allow_private = true", "allow_link_local = true");
    check("http", "url = 'http://127.0.0.1:9/x'", Some(private));
    check(
        "http",
        "url = 'http://10.1.2.3/{{ event.id }}'",
        Some(private),
    );
    check("http", "url = 'http://[::1]/'", Some(private));
    check("http", "url = 'http://0x7f.1/'", Some(private));
    check("http", "url = 'http://169.254.169.254/latest'", Some(local));
    check("http", "url = 'http://0.0.0.0/'", Some("another address"));
    check(
        "http",
        "url = 'http://127.0.0.1/'\nallow_private = true",
        None,
    );
    check("http", "url = 'http://1.1.1.1/'", None);
    check("http", "url = 'http://d.example/'", None);
    let key = "api_key = { env = 'K' }\n";
    check(
        "dimension",
        &format!("{key}base_url = 'http://192.168.0.1/'"),
        Some(private),
    );
    check(
        "dimension",
        &format!("{key}base_url = 'http://192.168.0.1/'\nallow_private = true"),
        None,
    );
}

#[test]
fn a_burst_is_four_where_nobody_says_otherwise() {
    for rate in ["1/s", "500/s", "100/m"] {
        let config = offline(&SOUND.replace("'https://hook.example'", "").replace(
            "url = \"https://hook.example\"",
            &format!("url = \"https://hook.example\"\nrate = \"{rate}\""),
        ))
        .unwrap();
        assert_eq!(config.destinations["hook"].burst, 4, "{rate}");
    }
}

#[test]
fn what_may_be_a_secret_is_not_shown() {
    for line in [
        "headers = { X-Auth-Key = 'hunter2' }",
        "headers = { X-Functions-Key = 'hunter2', Cookie = 'hunter2' }",
        "headers = { key = 'hunter2' }",
        "headers = { X-Sig = 'hunter2', X-AuthToken = 'hunter2' }",
        "url = 'https://a.example/?token=hunter2'",
        "url = 'https://a.example/?subscription-key=hunter2&a=1'",
        "url = 'https://hunter2:hunter2@a.example/'",
        "body = { password = 'hunter2', deep = [{ apiKey = 'hunter2', pwd = 'hunter2' }] }",
        "routing_key = 'hunter2'",
    ] {
        let text = format!("[destination.d]\nkind = 'http'\n{line}\n");
        let shown = masked(&text);
        assert!(!shown.contains("hunter2"), "{shown}");
        let wrong = load_text(&text, Path::new("routes.toml"), Secrets::Offline).unwrap_err();
        assert!(
            !wrong.draw(false).contains("hunter2"),
            "{}",
            wrong.draw(false)
        );
        assert!(!wrong.to_json().to_string().contains("hunter2"));
    }
    for shown in [
        "monkey = 'a'",
        "author = 'a'",
        "key = 'k.pem'",
        "design = 'a'",
        "with = { note = 'a' }",
    ] {
        assert_eq!(masked(shown), shown);
    }
}
