//! Asking Quiq for a conversation, with answers from a script.

use serde_json::json;

use super::configured::source;
use super::quiq::{CONVERSATION, assert_kept, read, said};
use super::*;
use crate::secret::Secret;
use crate::vendor::dialogue::{Ask, Heard, Known, Learned, Step, Then};
use crate::vendor::quiq::{Api, Proof};

fn api(proof: Proof) -> Api {
    let base_url = "https://acme.goquiq.com/".parse().unwrap();
    Api { base_url, proof }
}

fn bearer() -> Api {
    api(Proof::Bearer(Secret::new("k3y")))
}

/// A webhook about this conversation that left the messages out.
fn bare(id: &str) -> Reading {
    let body = json!({"id": "e1", "eventType": "ConversationClosed", "data": {"id": id}});
    read(&Bytes::from(body.to_string())).unwrap().remove(0)
}

fn call<T>(reading: &Reading, customer: Option<&str>, work: impl FnOnce(&Call<'_>) -> T) -> T {
    let event = event_of("quiq", reading);
    let action = Action::message();
    work(&Call {
        event: &event,
        contents: &Contents::stored(&event, message_of),
        action: &action,
        customer,
        now: ACCEPTED,
    })
}

fn ask(call: &Call<'_>) -> Ask {
    match bearer().next(call, &Known::default()).unwrap() {
        Step::Ask(ask) => *ask,
        Step::Done => panic!("nothing was asked"),
    }
}

fn heard(id: &str, customer: Option<&str>, status: u16, body: &[u8]) -> Learned {
    let outcome = Outcome::Answered {
        status,
        retry_after: None,
    };
    let heard = Heard {
        status,
        body,
        outcome: &outcome,
    };
    call(&bare(id), customer, |call| {
        bearer().hear(call, &Known::default(), &ask(call), &heard)
    })
}

fn ended(learned: &Learned) -> &Outcome {
    match &learned.then {
        Then::End(outcome) => outcome,
        Then::GoOn => panic!("it goes on"),
    }
}

#[test]
fn it_asks_for_the_conversation_with_either_proof() {
    let asked = |api: &Api, id: &str| {
        call(&bare(id), None, |call| api.write(call)).map(|outgoing| {
            assert!(outgoing.headers["authorization"].is_sensitive());
            assert!(!outgoing.describe().to_string().contains("k3y"));
            let proof = outgoing.headers["authorization"]
                .to_str()
                .unwrap()
                .to_owned();
            (outgoing.method.to_string(), outgoing.url.to_string(), proof)
        })
    };
    let at = "https://acme.goquiq.com/api/v1/messaging/conversations";
    let expected =
        |id: &str, proof: &str| ("GET".to_owned(), format!("{at}/{id}"), proof.to_owned());
    assert_eq!(
        asked(&bearer(), CONVERSATION).unwrap(),
        expected(CONVERSATION, "Bearer k3y")
    );
    let basic = api(Proof::Basic {
        app_id: "app".to_owned(),
        app_secret: Secret::new("k3y"),
    });
    assert_eq!(
        asked(&basic, "1").unwrap(),
        expected("1", "Basic YXBwOmszeQ==")
    );
    assert_eq!(
        asked(&bearer(), "../a?b").unwrap(),
        expected("..%2Fa%3Fb", "Bearer k3y")
    );
    for id in [".", ".."] {
        assert!(
            matches!(asked(&bearer(), id), Err(Unsendable::Dead { .. })),
            "{id}"
        );
    }
    assert_eq!(bearer().shown_target(), "https://acme.goquiq.com");
    assert!(!format!("{:?}", bearer()).contains("k3y"));
}

#[test]
fn the_answer_may_be_the_seeds_form() {
    let body = sample("quiq/get_conversation_seed_response.json");
    let learned = heard("12345", None, 200, &body);
    assert_eq!(
        said(&learned.events),
        ["> Hello, how can I help you today?"]
    );
    assert_eq!(
        *ended(&learned),
        Outcome::Answered {
            status: 200,
            retry_after: None
        }
    );
    let reading = &learned.events[0];
    assert_kept(reading);
    assert!(reading.once);
    assert_eq!(reading.vendor_id.as_ref().unwrap().as_str(), "12345/msg_1");
    assert_eq!(
        (reading.key.as_deref(), reading.user.as_deref()),
        (Some("12345"), Some("user_1"))
    );
    let message = reading.message.as_ref().unwrap();
    assert_eq!(message.author.id.as_deref(), Some("agent_1"));
    assert_eq!(
        message.sent_at.unwrap().to_string(),
        "2020-01-01T12:00:00.000Z"
    );
    assert_eq!(reading.payload.at("message.author").unwrap(), "agent_1");

    let answer = json!({"id": "12345", "participants": [{"id": "u", "role": "customer"}, {"id": "b", "role": "system"}],
        "messages": [{"id": "1", "senderId": "u", "text": "hi"}, {"id": "2", "senderId": "b", "text": "soon"},
            {"id": "3", "senderId": "who left", "text": "yes?"}, {"id": "4", "text": "closed"}]});
    let learned = heard(
        "12345",
        Some("+1555000111"),
        200,
        answer.to_string().as_bytes(),
    );
    assert_eq!(
        said(&learned.events),
        ["< hi", "- soon", "> yes?", "- closed"]
    );
    for reading in &learned.events {
        assert_eq!(
            reading.user.as_deref(),
            Some("+1555000111"),
            "as the webhook called him"
        );
        assert_kept(reading);
    }
}

#[test]
fn the_answer_may_be_the_snapshot() {
    let webhook: serde_json::Value =
        serde_json::from_slice(&sample("quiq/conversation_closed.json")).unwrap();
    let learned = heard(
        CONVERSATION,
        None,
        200,
        webhook["data"].to_string().as_bytes(),
    );
    let mut sent = read(&sample("quiq/conversation_closed.json")).unwrap();
    assert!(sent.pop().unwrap().message.is_none());
    assert_eq!(learned.events, sent, "the same events under the same ids");
}

#[test]
fn what_is_no_answer_is_asked_again_and_a_refusal_is_not() {
    for body in [
        "<html>",
        "{",
        "null",
        r#"{"id":"12345"}"#,
        r#"{"id":"12345","messages":null}"#,
        r#"{"id":"other","messages":[]}"#,
        r#"{"id":"12345","messages":[{}]}"#,
    ] {
        let learned = heard("12345", None, 200, body.as_bytes());
        assert_eq!(*ended(&learned), Outcome::Broken, "{body}");
        assert!(learned.events.is_empty(), "{body}");
    }
    for status in [401, 404, 429, 500] {
        let learned = heard(
            "12345",
            None,
            status,
            br#"{"id":"12345","messages":[{"id":"1"}]}"#,
        );
        assert_eq!(
            *ended(&learned),
            Outcome::Answered {
                status,
                retry_after: None
            }
        );
        assert!(learned.events.is_empty(), "{status}");
    }
}

/// Where it asks and when, if the table holds; and these complaints.
fn configured(text: &str, expected: &[&str]) -> Option<(String, &'static str)> {
    let (reader, told) = source("quiq", text);
    assert_eq!(told.len(), expected.len(), "{text}: {told:?}");
    for (told, expected) in told.iter().zip(expected) {
        assert!(told.contains(expected), "{text}: {told}");
    }
    let fetch = reader.fetch();
    fetch.map(|fetch| (fetch.writer.shown_target(), fetch.when))
}

#[test]
fn fetching_is_configured_by_two_keys() {
    let text = "fetch = 'missing'\nfetch_from = { api_key = { env = 'K' } }";
    let (target, when) = configured(text, &[]).unwrap();
    assert_eq!(target, "https://api.goquiq.com");
    assert!(when.contains("is not sequence"));
    let text = "fetch = 'always'\nremember = '30d'\nfetch_from = { base_url = 'https://acme.goquiq.com/', app_id = 'a', app_secret = { env = 'S' }, allow_private = true, ca = 'x.pem' }";
    let (target, when) = configured(text, &[]).unwrap();
    assert_eq!(target, "https://acme.goquiq.com");
    assert!(!when.contains("sequence"));
    let (reader, _) = source("quiq", text);
    assert_eq!(reader.remember(), Duration::from_secs(30 * 24 * 3600));
    let fetch = reader.fetch().unwrap();
    assert!(fetch.allow_private && !fetch.allow_link_local && fetch.ca.is_some());
    assert!(configured("fetch = 'never'", &[]).is_none());
    assert!(configured("", &[]).is_none());
    let text = "fetch = 'always'\nfetch_from = { api_key = { env = 'K' }, apikey = 1 }";
    assert!(configured(text, &["unknown key"]).is_some());
}

#[test]
fn fetching_that_is_not_whole_is_complained_about() {
    for (text, expected) in [
        ("fetch = 'missing'", "`x.y.fetch_from` is missing"),
        (
            "fetch = 'mising'\nfetch_from = { api_key = { env = 'K' } }",
            "cannot be \"mising\"",
        ),
        ("fetch_from = { api_key = { env = 'K' } }", "is not used"),
        (
            "fetch = 'never'\nfetch_from = { api_key = { env = 'K' } }",
            "is not used",
        ),
        (
            "fetch = 'always'\nfetch_from = {}",
            "does not say how we prove who asks",
        ),
        (
            "fetch = 'always'\nfetch_from = { api_key = 'typed' }",
            "a secret is typed",
        ),
        (
            "fetch = 'always'\nfetch_from = { api_key = { env = 'K' }, app_id = 'a' }",
            "in two ways",
        ),
        (
            "fetch = 'always'\nfetch_from = { base_url = 'https://a.example', app_id = 'a' }",
            "app_secret` is missing",
        ),
        (
            "fetch = 'always'\nfetch_from = { app_secret = { env = 'K' } }",
            "app_id` is missing",
        ),
        (
            "fetch = 'always'\nfetch_from = { app_id = 'a', app_secret = { env = 'K' } }",
            "base_url` is missing",
        ),
        (
            "fetch = 'always'\nfetch_from = { base_url = 'https://a.example', app_id = 'a:b', app_secret = { env = 'K' } }",
            "without a colon",
        ),
        (
            "fetch = 'always'\nfetch_from = { base_url = 'https://a.example/?x', api_key = { env = 'K' } }",
            "nothing else",
        ),
        ("remember = 400", "must be"),
    ] {
        assert!(configured(text, &[expected]).is_none(), "{text}");
    }
}
