//! The emulated Quiq.

use hookfan::emulate::quiq::{Conversation, Form, Options};
use hookfan::emulate::{Endpoint, Faults, Hook};

use super::{Emulated, has_the_shape_of, sample};
use crate::support::receiver::Receiver;

const KEY: &str = "quiq-secret";
const PATH: &str = "/api/v1/messaging/conversations/12345";
const BEARER: (&str, &str) = ("authorization", "Bearer quiq-secret");

fn start(options: Options) -> Emulated {
    let quiq = Emulated::start(Endpoint::Quiq(options), KEY, Faults::default());
    quiq.quiq()
        .add_conversation(Conversation::new("12345", "user_1"));
    quiq.quiq().say("12345", Some("user_1"), "hey").unwrap();
    quiq.quiq()
        .say("12345", Some("agent_1"), "How can I help?")
        .unwrap();
    quiq.quiq()
        .say("12345", None, "Our office is closed now.")
        .unwrap();
    quiq
}

#[test]
fn a_conversation_is_answered_in_both_forms() {
    let quiq = start(Options::default());
    let simple = quiq.ask("GET", PATH, &[BEARER], b"").json();
    has_the_shape_of(
        &simple,
        &sample("quiq/get_conversation_seed_response.json"),
        "simple",
    );
    let roles: Vec<&str> = simple["participants"]
        .as_array()
        .unwrap()
        .iter()
        .map(|who| who["role"].as_str().unwrap())
        .collect();
    assert_eq!(roles, ["agent", "customer"]);
    assert_eq!(simple["messages"][1]["senderId"], "agent_1");
    assert!(simple["messages"][2]["senderId"].is_null());
    let quiq = start(Options {
        form: Form::Snapshot,
        ..Options::default()
    });
    let snapshot = quiq.ask("GET", PATH, &[BEARER], b"").json();
    assert_eq!(snapshot["messages"][0]["fromCustomer"], true);
    assert_eq!(snapshot["messages"][1]["fromCustomer"], false);
    assert!(snapshot["messages"][0]["timestamp"].is_u64());
    assert_eq!(quiq.counts().refused, 0);
}

#[test]
fn it_wants_its_key_and_a_conversation_it_has() {
    let quiq = start(Options {
        app_id: Some("app".to_owned()),
        ..Options::default()
    });
    // app:quiq-secret, app:wrong
    for (given, status) in [
        ("Bearer quiq-secret", 200),
        ("Basic YXBwOnF1aXEtc2VjcmV0", 200),
        ("Basic YXBwOndyb25n", 401),
        ("Bearer wrong", 401),
        ("quiq-secret", 401),
        ("", 401),
    ] {
        let answer = quiq.ask("GET", PATH, &[("authorization", given)], b"");
        assert_eq!(answer.status, status, "{given}");
    }
    assert_eq!(
        quiq.ask("GET", "/api/v1/messaging/conversations/7", &[BEARER], b"")
            .status,
        404
    );
    assert_eq!(quiq.counts().declined, 1);
    assert_eq!(quiq.ask("POST", PATH, &[BEARER], b"{}").status, 404);
    assert_eq!(
        quiq.ask("GET", &format!("{PATH}?page=1"), &[BEARER], b"")
            .status,
        400
    );
    assert_eq!(quiq.counts().refused, 6);
    let plain = start(Options::default());
    let basic = [("authorization", "Basic YXBwOnF1aXEtc2VjcmV0")];
    assert_eq!(
        plain.ask("GET", PATH, &basic, b"").status,
        401,
        "no application"
    );
}

#[test]
fn a_snapshot_is_posted_with_the_token() {
    let receiver = Receiver::start();
    let quiq = start(Options {
        webhook: Some(Hook {
            url: format!("{}/hooks/quiq", receiver.url()).parse().unwrap(),
            secret: "3d2f7436-e7f3-4705-8390-3b97edca2c00".to_owned(),
        }),
        ..Options::default()
    });
    assert!(quiq.quiq().post("12345", "ConversationActivated"));
    assert!(quiq.quiq().post("12345", "ConversationClosed"));
    let arrived = receiver.gets(2);
    let activated = arrived[0].request.json();
    let mut expected = sample("quiq/conversation_activated.json");
    // The customer's name is not known.
    expected["data"]["customer"]["firstName"] = serde_json::Value::Null;
    expected["data"]["customer"]["lastName"] = serde_json::Value::Null;
    expected["data"]["metrics"] = serde_json::json!({});
    has_the_shape_of(&activated, &expected, "activated");
    assert_eq!(activated["data"]["messages"].as_array().unwrap().len(), 3);
    assert_eq!(arrived[1].request.json()["data"]["status"], "closed");
    assert_eq!(
        arrived[0].request.header("x-centricient-hook-token"),
        Some("3d2f7436-e7f3-4705-8390-3b97edca2c00")
    );
}
