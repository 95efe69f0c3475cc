//! The emulated Dixa.

mod requests;
mod habits;

use hookfan::emulate::dixa::Options;
use hookfan::emulate::{Endpoint, Faults, Hook, Limit};
use serde_json::{Value, json};

use super::{Emulated, has_the_shape_of, sample};
use crate::support::http::Answer;
use crate::support::receiver::{Receiver, Reply};

const KEY: &str = "dixa-key";
const AGENT: &str = "bac5a02c-15b3-44da-ae1e-ab7b9db4aa89";
const QUEUE: &str = "92f8d193-b26f-4a62-86a3-bb03ee0915e9";

struct Dixa(Emulated);

impl Dixa {
    /// Without a limit, which has tests of its own.
    fn start(options: Options) -> Self {
        let options = Options {
            limit: None,
            ..options
        };
        Self(Emulated::start(
            Endpoint::Dixa(options),
            KEY,
            Faults::default(),
        ))
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> Answer {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let path = format!("/beta{path}");
        let headers = [("authorization", KEY), ("webhook-id", "e1")];
        self.0.ask(method, &path, &headers, body.as_bytes())
    }

    fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &Value::Null)
    }

    fn user(&self) -> String {
        self.0.dixa().add_end_user(Some("qiscus:90211"), "Rina")
    }

    /// A chat of this user with one message.
    fn chat(&self, user: &str, external_id: &str) -> i64 {
        let mut body = sample("api/dixa/post_conversations_chat.request.json");
        body["requesterId"] = json!(user);
        body["message"]["externalId"] = json!(external_id);
        let answer = self.ask("POST", "/conversations", &body);
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json()["data"]["id"].as_i64().unwrap()
    }

    fn message(&self, conversation: i64, external_id: &str) -> Answer {
        let mut body = sample("api/dixa/post_message_inbound.request.json");
        body["externalId"] = json!(external_id);
        let path = format!("/conversations/{conversation}/messages");
        self.ask("POST", &path, &body)
    }
}

fn for_user(body: &Value, user: &str) -> Value {
    let mut body = body.clone();
    if body.get("requesterId").is_some() {
        body["requesterId"] = json!(user);
    }
    body
}

#[test]
fn the_limiter_answers_429_beyond_its_rate_and_knows_the_peak() {
    let limited = Emulated::start(Endpoint::Dixa(Options::default()), KEY, Faults::default());
    let answers: Vec<Answer> = (0..30)
        .map(|_| limited.ask("GET", "/beta/endusers", &[("authorization", KEY)], b""))
        .collect();
    let refused: Vec<&Answer> = answers
        .iter()
        .filter(|answer| answer.status == 429)
        .collect();
    assert!(!refused.is_empty());
    assert_eq!(refused[0].json(), sample("api/dixa/error_429.json"));
    assert!(
        answers[..4].iter().all(|answer| answer.status == 200),
        "the burst"
    );
    assert_eq!(limited.counts().limited, refused.len() as u64);
    assert_eq!(limited.counts().refused, 0);
    assert!(limited.dixa().peak_rate() > 4);
    let slow = Emulated::start(
        Endpoint::Dixa(Options {
            limit: Some(Limit {
                per_second: 1,
                burst: 1,
            }),
            ..Options::default()
        }),
        KEY,
        Faults::default(),
    );
    let ask = || {
        slow.ask("GET", "/beta/endusers", &[("authorization", KEY)], b"")
            .status
    };
    assert_eq!((ask(), ask()), (200, 429));
}

/// Dixa documents HMAC-SHA256 over `t`, a dot and the body, with the key in hex.
#[test]
fn what_happens_is_posted_as_signed_webhooks_in_order() {
    const SECRET: &str = "00112233445566778899aabbccddeeff";
    let mut first = true;
    let receiver = Receiver::answering(move |_| {
        Reply::Status(if std::mem::take(&mut first) { 503 } else { 200 })
    });
    let dixa = Dixa::start(Options {
        webhook: Some(Hook {
            url: format!("{}/hooks/dixa", receiver.url()).parse().unwrap(),
            secret: SECRET.to_owned(),
        }),
        ..Options::default()
    });
    let chat = dixa.chat(&dixa.user(), "gw:1");
    dixa.0
        .dixa()
        .agent_says(chat, AGENT, "It left today.")
        .unwrap();
    assert_eq!(
        dixa.ask("PUT", &format!("/conversations/{chat}/close"), &Value::Null)
            .status,
        204
    );
    let arrived = receiver.gets(4);
    let bodies: Vec<Value> = arrived[1..]
        .iter()
        .map(|arrived| arrived.request.json())
        .collect();
    assert_eq!(
        arrived[0].request.body, arrived[1].request.body,
        "posted again after 503"
    );
    let named: Vec<&str> = bodies
        .iter()
        .map(|body| body["event_fqn"].as_str().unwrap())
        .collect();
    assert_eq!(
        named,
        [
            "CONVERSATION_MESSAGE_ADDED",
            "CONVERSATION_MESSAGE_ADDED",
            "CONVERSATION_CLOSED"
        ]
    );
    let mut echo = sample("dixa/conversation_message_added_echo_of_our_own.json");
    // Nobody is assigned, no queue is chosen and the name is all that is known.
    echo["data"]["conversation"]["assignee"] = json!(null);
    echo["data"]["conversation"]["queue"] = json!(null);
    echo["data"]["conversation"]["requester"]["email"] = json!(null);
    echo["data"]["author"]["email"] = json!(null);
    has_the_shape_of(&bodies[0], &echo, "echo");
    assert_eq!(bodies[0]["data"]["external_id"], "gw:1");
    assert_eq!(
        (
            &bodies[0]["data"]["direction"],
            &bodies[1]["data"]["direction"]
        ),
        (&json!("inbound"), &json!("outbound"))
    );
    assert_eq!(bodies[1]["data"]["author"]["user_type"], "Member");
    assert_eq!(bodies[2]["data"]["conversation"]["status"], "CLOSED");
    for arrived in &arrived {
        let header = arrived.request.header("x-dixa-signature").unwrap();
        let (time, code) = header
            .strip_prefix("t=")
            .unwrap()
            .split_once(",v1=")
            .unwrap();
        assert_eq!(code, hmac(SECRET, time, &arrived.request.body));
    }
    let sent = dixa.0.webhooks();
    assert_eq!((sent.len(), sent[0].attempts, sent[0].status), (3, 2, 200));
}

fn hmac(secret: &str, time: &str, body: &[u8]) -> String {
    use hmac::{Hmac, KeyInit, Mac};
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&hex::decode(secret).unwrap()).unwrap();
    mac.update(format!("{time}.").as_bytes());
    mac.update(body);
    hex::encode(mac.finalize().into_bytes())
}
