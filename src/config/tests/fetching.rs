//! A source that asks its platform: what that adds, and what it owes.

use bytes::Bytes;
use serde_json::json;

use super::*;
use crate::admin::explain::Rules;
use crate::clock::Timestamp;
use crate::ingress::Front;
use crate::route::RouteTable;

const FROM: &str = "{ base_url = 'https://acme.goquiq.com', api_key = { env = 'QUIQ' } }";

fn text(fetch: &str, from: &str) -> String {
    format!(
        "[source.quiq]\nkind = 'quiq'\nauth = {{ scheme = 'quiq', secret = {{ env = 'TOKEN' }} }}\nfetch = '{fetch}'\nfetch_from = {from}\n\
         [destination.d]\nkind = 'http'\nurl = 'https://d.example/'\n[[route]]\nto = 'd'\n"
    )
}

fn load(text: &str) -> Result<Config, Complaints> {
    load_text(text, Path::new("routes.toml"), Secrets::Offline)
}

#[test]
fn a_source_that_fetches_has_a_destination_of_its_own_like_any_other() {
    let config = load(&text("missing", FROM)).unwrap();
    assert_eq!(config.warnings, []);
    assert_eq!(config.destinations.len(), 2);
    let (fetch, d) = (
        &config.destinations["quiq.fetch"],
        &config.destinations["d"],
    );
    assert_eq!(fetch.kind.as_str(), "quiq");
    assert_eq!(fetch.writer.shown_target(), "https://acme.goquiq.com");
    assert_eq!(fetch.order, Order::Conversation);
    assert!(!fetch.talks && !fetch.allow_private && !fetch.allow_link_local);
    let patience = |one: &Destination| {
        (
            one.timeout,
            one.concurrency,
            one.retry.clone(),
            one.backlog,
            one.breaker,
            one.on_stuck,
        )
    };
    assert_eq!(patience(fetch), patience(d));
    let names: Vec<&str> = config.routes.iter().map(|route| &*route.name).collect();
    assert_eq!(names, ["route 1", "quiq.fetch"]);
    for fetch in ["never", "missing"] {
        let alone = text(fetch, FROM).replace(&format!("fetch_from = {FROM}"), "");
        let there = load(&alone).map(|config| config.destinations.len());
        assert_eq!(there.ok(), (fetch == "never").then_some(1));
    }
}

#[test]
fn no_file_can_name_what_is_a_sources_own() {
    let sound = text("missing", FROM);
    for (more, said) in [
        (
            "[[route]]\nto = 'quiq.fetch'\n",
            "there is no destination \"quiq.fetch\"",
        ),
        (
            "[destination.'quiq.fetch']\nkind = 'http'\nurl = 'https://d.example/'\n",
            "cannot name a destination",
        ),
    ] {
        let wrong = load(&format!("{sound}{more}")).unwrap_err().draw(false);
        assert!(wrong.contains(said), "{wrong}");
    }
}

#[test]
fn where_it_asks_is_guarded_as_every_address() {
    let at = |address: &str, more: &str| {
        load(&text(
            "always",
            &format!("{{ base_url = 'http://{address}', api_key = {{ env = 'QUIQ' }}{more} }}"),
        ))
    };
    for address in ["127.0.0.1:8080", "10.0.0.1", "169.254.169.254"] {
        let wrong = at(address, "").unwrap_err().draw(false);
        assert!(
            wrong.contains("`source.quiq.fetch_from.base_url` is never connected to"),
            "{wrong}"
        );
    }
    let config = at("127.0.0.1:8080", ", allow_private = true, ca = 'ca.pem'").unwrap();
    assert!(config.destinations["quiq.fetch"].allow_private);
    assert!(
        config.files.contains(&PathBuf::from("ca.pem")),
        "{:?}",
        config.files
    );
}

#[test]
fn whatever_changes_about_it_is_adopted_and_never_ends_it() {
    let print = |text: &str| {
        let config = load(text).unwrap();
        config
            .destinations
            .get("quiq.fetch")
            .map(|one| one.fingerprint)
    };
    let first = print(&text("missing", FROM));
    assert!(first.is_some());
    assert_eq!(
        first,
        print(&format!("# a comment\n{}", text("missing", FROM)))
    );
    let other = FROM.replace("acme", "acme2");
    for changed in [
        text("always", FROM),
        text("missing", &other),
        text("missing", &FROM.replace("QUIQ", "QUIQ2")),
    ] {
        assert!(print(&changed).is_some_and(|print| Some(print) != first));
    }
    assert_eq!(print(&text("never", FROM)), None);
}

/// Who is owed what, as the ingress decides and `explain` shows.
#[test]
fn only_a_conversation_that_came_without_its_messages_is_asked_for() {
    let event = |event_type: &str, data: serde_json::Value| {
        Bytes::from(json!({"id": "e", "eventType": event_type, "data": data}).to_string())
    };
    let whole = json!({"id": "c", "messages": [{"id": "m", "fromCustomer": true, "text": "hi"}]});
    let cases = [
        (
            event("ConversationClosed", json!({"id": "c"})),
            [true, true],
        ),
        (
            event("ConversationClosed", json!({"id": "c", "messages": null})),
            [true, true],
        ),
        (
            event("ConversationClosed", json!({"id": "c", "messages": []})),
            [false, true],
        ),
        (event("ConversationClosed", whole), [false, true]),
        (
            event("AgentStatusChanged", json!({"id": "a"})),
            [false, false],
        ),
    ];
    for (index, fetch) in ["missing", "always"].into_iter().enumerate() {
        let config = load(&text(fetch, FROM)).unwrap();
        let front = Front {
            sources: config.sources,
            routes: RouteTable::new(config.routes),
            ..Front::default()
        };
        let rules = Rules {
            front: &front,
            destinations: &|name| config.destinations.get(name).cloned(),
            customer: &|_| None,
            counterpart: &|_, _, _| None,
            now: Timestamp::from_millis(1_790_000_000_000),
        };
        for (body, expected) in &cases {
            let explained = rules
                .webhook("quiq", &http::HeaderMap::new(), body)
                .unwrap();
            let all = match explained.get("events").and_then(|all| all.as_array()) {
                Some(all) => all.clone(),
                None => vec![explained],
            };
            for one in &all {
                let message = one["event"]["type"] == "ConversationMessage";
                assert_eq!(is_asked(one), expected[index] && !message, "{one:#}");
            }
        }
    }
}

/// Whether an explained event owes the question; then it is the right one.
fn is_asked(explained: &serde_json::Value) -> bool {
    let mut routes = explained["routes"].as_array().unwrap().iter();
    assert!(routes.any(|route| route["name"] == "quiq.fetch"));
    let mut requests = explained["requests"].as_array().unwrap().iter();
    let Some(asked) = requests.find(|request| request["destination"] == "quiq.fetch") else {
        return false;
    };
    let at = "https://acme.goquiq.com/api/v1/messaging/conversations/c";
    assert_eq!(asked["url"], at);
    assert_eq!(
        (&asked["method"], &asked["action"]),
        (&json!("GET"), &json!("fetch"))
    );
    assert_eq!(asked["headers"]["authorization"], "***");
    true
}
