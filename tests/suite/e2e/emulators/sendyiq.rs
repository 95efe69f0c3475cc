//! The emulated SendyIQ.

use hookfan::emulate::sendyiq::{Conversation, Options};
use hookfan::emulate::{Endpoint, Faults};
use serde_json::{Value, json};

use super::{Emulated, broken, has_the_shape_of, sample};
use crate::support::http::Answer;

const KEY: &str = "key-1.s3cret";
const CHAT: &str = "3f2504e0-4f89-11d3-9a0c-0305e82c3301";
const SOCIAL: &str = "4f2504e0-4f89-11d3-9a0c-0305e82c3302";

fn start(options: Options) -> Emulated {
    let options = Options {
        conversations: vec![
            Conversation::chat(CHAT, "rina@customer.example.com"),
            Conversation::social(SOCIAL, "budi@customer.example.com"),
        ],
        ..options
    };
    Emulated::start(Endpoint::SendyIq(options), KEY, Faults::default())
}

fn ask(sendyiq: &Emulated, method: &str, path: &str, body: &Value) -> Answer {
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let path = format!("/api/v1/store/integrations{path}");
    let headers = [("x-api-key", KEY), ("webhook-id", "e1")];
    sendyiq.ask(method, &path, &headers, body.as_bytes())
}

#[test]
fn all_eleven_endpoints_answer_in_their_envelope() {
    let sendyiq = start(Options::default());
    let message = sample("api/sendyiq/post_message.request.json");
    for (line, shape) in [
        ("GET /chat/conversations", "get_conversations"),
        (
            "GET /chat/conversations?Page=1&PageSize=5&Status=open",
            "get_conversations",
        ),
        ("GET /chat/conversations/CHAT", ""),
        ("POST /chat/conversations/CHAT/messages", "post_message"),
        ("POST /chat/conversations/CHAT/resolve", ""),
        ("POST /chat/conversations/CHAT/reopen", ""),
        ("POST /chat/hub-token", "post_hub_token"),
        (
            "GET /social/conversations?Page=1&PerPage=5",
            "get_conversations",
        ),
        ("GET /social/conversations/SOCIAL", ""),
        ("POST /social/conversations/SOCIAL/messages", "post_message"),
        ("POST /social/conversations/SOCIAL/resolve", ""),
        ("POST /social/conversations/SOCIAL/reopen", ""),
    ] {
        let (method, path) = line.split_once(' ').unwrap();
        let path = path.replace("CHAT", CHAT).replace("SOCIAL", SOCIAL);
        let body = if path.ends_with("/messages") {
            &message
        } else {
            &Value::Null
        };
        let answer = ask(&sendyiq, method, &path, body);
        assert_eq!(answer.status, 200, "{line}: {}", answer.text());
        assert_eq!(answer.json()["success"], true);
        if !shape.is_empty() {
            let shape = sample(&format!("api/sendyiq/{shape}.response_200.json"));
            has_the_shape_of(&answer.json(), &shape, line);
        }
    }
    let counts = sendyiq.counts();
    assert_eq!((counts.refused, counts.declined, counts.taken), (0, 0, 6));
    let chat = sendyiq.sendyiq().conversation(CHAT).unwrap();
    assert_eq!(chat.messages.len(), 1);
    assert_eq!(json!(chat.messages[0].text), message["text"]);
    assert_eq!(chat.messages[0].event.as_deref(), Some("e1"));
}

#[test]
fn what_nobody_should_send_is_refused() {
    let sendyiq = start(Options {
        text_max: Some(60),
        ..Options::default()
    });
    let good = sample("api/sendyiq/post_message.request.json");
    let with = |text: Value| broken(&good, "/text", Some(text));
    let nothing = Value::Null;
    for (line, body, status) in [
        ("POST /chat/conversations/#/messages", json!({}), 400),
        ("POST /chat/conversations/#/messages", with(json!(" ")), 400),
        ("POST /chat/conversations/#/messages", with(json!(1)), 400),
        (
            "POST /chat/conversations/#/messages",
            with(json!("x".repeat(61))),
            400,
        ),
        (
            "POST /chat/conversations/#/messages",
            broken(&good, "/author", Some(json!("Rina"))),
            400,
        ),
        ("POST /chat/conversations/7/messages", good.clone(), 400),
        ("POST /chat/conversations/#/resolve", json!({}), 400),
        ("GET /chat/conversations?PerPage=5", nothing.clone(), 400),
        ("GET /social/conversations?PageSize=5", nothing.clone(), 400),
        ("GET /chat/conversations?Page=0", nothing.clone(), 400),
        ("GET /chat/conversations?ChannelId=7", nothing.clone(), 400),
        ("POST /social/hub-token", nothing.clone(), 404),
        ("POST /chat/conversations", good.clone(), 404),
        ("PUT /chat/conversations/#/messages", good.clone(), 404),
    ] {
        let (method, path) = line.split_once(' ').unwrap();
        let before = sendyiq.counts().refused;
        let answer = ask(&sendyiq, method, &path.replace('#', CHAT), &body);
        assert_eq!(answer.status, status, "{line} {body}");
        has_the_shape_of(&answer.json(), &sample("api/sendyiq/error_400.json"), line);
        assert_eq!(sendyiq.counts().refused, before + 1, "{line} {body}");
    }
    let held = sendyiq.sendyiq().conversation(CHAT).unwrap();
    assert!(held.messages.is_empty());
}

#[test]
fn the_key_has_two_parts_and_both_are_right() {
    let sendyiq = start(Options::default());
    let path = "/api/v1/store/integrations/chat/conversations";
    for key in ["", "key-1", "key-1.", "key-1.wrong", "KEY-1.s3cret"] {
        let answer = sendyiq.ask("GET", path, &[("x-api-key", key)], b"");
        assert_eq!(answer.status, 401, "{key:?}");
    }
    assert_eq!(sendyiq.counts().refused, 5);
}

#[test]
fn scopes_unknown_and_resolved_conversations_are_told_apart() {
    let message = sample("api/sendyiq/post_message.request.json");
    let path = format!("/chat/conversations/{CHAT}/messages");
    let sendyiq = start(Options {
        may_write: false,
        ..Options::default()
    });
    assert_eq!(ask(&sendyiq, "POST", &path, &message).status, 403);
    assert_eq!(
        ask(&sendyiq, "GET", "/chat/conversations", &Value::Null).status,
        200
    );
    for (resolved_refuses, status) in [(true, 409), (false, 200)] {
        let sendyiq = start(Options {
            resolved_refuses,
            ..Options::default()
        });
        let unknown = path.replace("3301", "3309");
        assert_eq!(ask(&sendyiq, "POST", &unknown, &message).status, 404);
        let on_the_other_side = path.replace("/chat/", "/social/");
        assert_eq!(
            ask(&sendyiq, "POST", &on_the_other_side, &message).status,
            404
        );
        assert!(sendyiq.sendyiq().resolve(CHAT, true));
        assert_eq!(ask(&sendyiq, "POST", &path, &message).status, status);
        let reopen = path.replace("/messages", "/reopen");
        assert_eq!(ask(&sendyiq, "POST", &reopen, &Value::Null).status, 200);
        assert_eq!(ask(&sendyiq, "POST", &path, &message).status, 200);
        assert_eq!(sendyiq.counts().refused, 0);
    }
}
