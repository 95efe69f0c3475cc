//! Quiq: every sample, snapshots that grow, and the fetch.

use serde_json::{Value as Json, json};

use super::*;
use crate::decode::Secrets;
use crate::link::Standing;
use crate::vendor::dialogue::{Heard, Known, Step, Then};
use crate::vendor::quiq::{MESSAGE, Quiq};

fn readings(body: &Bytes) -> Vec<Reading> {
    match read_with(&Quiq, &[], body).unwrap() {
        Webhook::Events(readings) => readings,
        probe => panic!("{probe:?}"),
    }
}

fn message(n: usize) -> Json {
    let customer = n.is_multiple_of(2);
    json!({
        "id": format!("m{n}"), "fromCustomer": customer,
        "author": if customer { "+14065550123" } else { "some-agent1" },
        "text": format!("text {n}"), "assets": [], "timestamp": 1_468_865_667_018_u64 + n as u64,
    })
}

fn snapshot(messages: usize) -> Bytes {
    let messages: Vec<Json> = (0..messages).map(message).collect();
    let webhook = json!({
        "id": format!("e{}", messages.len()), "eventType": "ConversationActivated", "timestamp": 1,
        "data": {"id": "c1", "customerPlatform": "SMS", "customerHandle": "+14065550123", "messages": messages},
    });
    Bytes::from(webhook.to_string())
}

#[test]
fn every_sample_is_its_snapshot_and_its_messages() {
    for name in listed("quiq") {
        let body = sample(&name);
        let json: Json = serde_json::from_slice(&body).unwrap();
        match read_with(&Quiq, &[], &body) {
            Ok(Webhook::Probe { .. }) => assert_eq!(name, "quiq/test.json"),
            Err(unreadable) => assert!(
                name.contains("agent_hook") || name.contains("get_conversation"),
                "{name}: {unreadable}"
            ),
            Ok(Webhook::Events(readings)) => {
                let shown = json["data"]["messages"].as_array().map_or(0, Vec::len);
                assert_eq!(readings.len(), 1 + shown, "{name}");
                let first = &readings[0];
                assert_eq!(
                    first.event_type.as_str(),
                    json["eventType"].as_str().unwrap()
                );
                assert_eq!(
                    first.vendor_id.as_ref().unwrap().as_str(),
                    json["id"].as_str().unwrap()
                );
                assert_eq!(first.body, body, "{name}: the snapshot is kept as it came");
                assert!(!first.once && first.message.is_none());
                for (reading, shown) in readings[1..]
                    .iter()
                    .zip(json["data"]["messages"].as_array().unwrap())
                {
                    check_message(&name, reading, shown);
                }
            }
        }
    }
}

fn check_message(name: &str, reading: &Reading, shown: &Json) {
    let message = reading.message.as_ref().unwrap();
    let direction = match (
        shown["fromCustomer"].as_bool().unwrap(),
        shown["author"].is_null(),
    ) {
        (true, _) => Direction::Incoming,
        (false, false) => Direction::Outgoing,
        (false, true) => Direction::System,
    };
    assert_eq!(
        (reading.event_type.as_str(), reading.once),
        (MESSAGE, true),
        "{name}"
    );
    assert_eq!(
        (reading.direction, message.direction),
        (Some(direction), direction),
        "{name}"
    );
    assert_eq!(reading.user.as_deref(), Some("+14065550123"), "{name}");
    assert_eq!(
        message.sent_at.unwrap().as_millis(),
        shown["timestamp"].as_u64().unwrap()
    );
    assert!(!message.text.trim().is_empty(), "{name}");
    // It is read again from what is stored, and says the same.
    let event = event_of("quiq", reading);
    let payload = payload_of(&event, 128).unwrap();
    assert_eq!(
        message_of(&event, &payload).as_ref(),
        Some(message),
        "{name}"
    );
}

#[test]
fn a_message_has_one_id_in_every_snapshot_and_keeps_its_place() {
    let ids = |messages| -> Vec<String> {
        let messages = &readings(&snapshot(messages))[1..];
        messages
            .iter()
            .map(|one| one.vendor_id.as_ref().unwrap().as_str().to_owned())
            .collect()
    };
    let all = ids(5);
    assert_eq!(all, ["c1/m0", "c1/m1", "c1/m2", "c1/m3", "c1/m4"]);
    assert_eq!(ids(3), all[..3]);
}

#[test]
fn how_a_conversation_stands_is_read_from_its_events() {
    for (event_type, expected) in [
        ("ConversationRequested", Some(Standing::Open)),
        ("ConversationActivated", Some(Standing::Open)),
        ("ConversationInactivated", None),
        ("ConversationClosed", Some(Standing::Closed)),
        ("ConversationDeniedAsSpam", Some(Standing::Closed)),
        ("ConversationMergedAsDangling", Some(Standing::Closed)),
    ] {
        let body = json!({"eventType": event_type, "data": {"id": "c1"}}).to_string();
        assert_eq!(readings(&body.into())[0].standing, expected, "{event_type}");
    }
}

#[test]
fn assets_are_passed_on_and_an_empty_text_is_not_blank() {
    let with = |message: Json| {
        let body = json!({"eventType": "X", "data": {"id": 1, "customerHandle": "h", "messages": [message]}});
        readings(&body.to_string().into())
            .remove(1)
            .message
            .unwrap()
    };
    let picture =
        json!({"assetId": "a", "contentType": "image/png", "oneTimeUrl": "https://q.example/once"});
    let message = with(
        json!({"id": "1", "fromCustomer": true, "author": "h", "text": "look", "assets": [picture]}),
    );
    assert_eq!(message.text, "look\nhttps://q.example/once");
    assert!(message.attachments[0].image);
    let no_url = with(
        json!({"id": "1", "fromCustomer": true, "author": "h", "text": "", "assets": [{"assetId": "a"}]}),
    );
    assert_eq!(no_url.text, "[asset]");
    assert_eq!(
        with(json!({"id": "1", "fromCustomer": true, "text": null})).text,
        "[text]"
    );
}

#[test]
fn what_is_no_conversation_is_refused_and_says_why() {
    for (body, why) in [
        (json!({"data": {"id": "1"}}), "`eventType`"),
        (json!({"eventType": "X"}), "`data` is no object"),
        (json!({"eventType": "X", "data": {}}), "`data.id`"),
        (
            json!({"eventType": "X", "data": {"id": "1", "messages": {}}}),
            "no list",
        ),
        (
            json!({"eventType": "X", "data": {"id": "1", "messages": [1]}}),
            "messages[0]",
        ),
        (
            json!({"ping": true, "conversationUpdates": []}),
            "agent hook",
        ),
    ] {
        let said = read_with(&Quiq, &[], &body.to_string().into())
            .unwrap_err()
            .to_string();
        assert!(said.contains(why), "{body}: {said}");
    }
    for name in ["test", "Test", "TEST"] {
        let body = json!({"eventType": name, "data": {}}).to_string();
        assert!(matches!(
            read_with(&Quiq, &[], &body.into()),
            Ok(Webhook::Probe { .. })
        ));
    }
}

/// The destination that `fetch` makes of these keys.
fn fetching(keys: &str) -> crate::config::Config {
    let text = format!(
        "[source.quiq]\nkind = \"quiq\"\nauth = {{ scheme = \"quiq\", secret = {{ env = \"Q\" }} }}\n{keys}\n\
         [destination.x]\nkind = \"http\"\nurl = \"https://x.example\"\n[[route]]\nto = \"x\"\n"
    );
    crate::config::load_text(&text, Path::new("routes.toml"), Secrets::Offline)
        .unwrap_or_else(|complaints| panic!("{}", complaints.draw(false)))
}

const BEARER: &str = "fetch_from = { base_url = \"https://acme.goquiq.com\", api_key = { env = \"K\" }, timeout = \"5s\" }";

#[test]
fn a_fetch_asks_for_the_conversation_and_its_answer_is_events() {
    let config = fetching(&format!("fetch = \"always\"\n{BEARER}"));
    let destination = &config.destinations["quiq.fetch"];
    assert_eq!(destination.timeout.as_secs(), 5);
    let reading = readings(&snapshot(0)).remove(0);
    let event = event_of("quiq", &reading);
    let contents = Contents::stored(&event, message_of);
    let action = Action::message();
    let call = Call {
        event: &event,
        contents: &contents,
        action: &action,
        customer: None,
        now: ACCEPTED,
    };
    let dialogue = destination.writer.dialogue().unwrap();
    let Step::Ask(ask) = dialogue.next(&call, &Known::default()).unwrap() else {
        panic!("nothing is asked");
    };
    assert_eq!(
        ask.request.url.as_str(),
        "https://acme.goquiq.com/api/v1/messaging/conversations/c1"
    );
    let authorization = &ask.request.headers["authorization"];
    assert!(authorization.is_sensitive() && authorization.to_str().unwrap().starts_with("Bearer "));

    let hear = |status: u16, body: &[u8]| {
        let outcome = Outcome::Answered {
            status,
            retry_after: None,
        };
        let heard = Heard {
            status,
            body,
            outcome: &outcome,
        };
        dialogue.hear(&call, &Known::default(), &ask, &heard)
    };
    let seed = sample("quiq/get_conversation_seed_response.json");
    let learned = hear(200, &seed);
    let message = learned.events[0].message.as_ref().unwrap();
    assert_eq!(message.direction, Direction::Outgoing);
    assert_eq!(message.user.as_ref().unwrap().id.as_deref(), Some("user_1"));
    assert_eq!(message.text, "Hello, how can I help you today?");
    let whole: Json = serde_json::from_slice(&snapshot(4)).unwrap();
    assert_eq!(
        hear(200, whole["data"].to_string().as_bytes()).events.len(),
        4
    );
    assert!(matches!(
        hear(404, b"{}").then,
        Then::End(Outcome::Answered { status: 404, .. })
    ));
    assert!(matches!(
        hear(200, b"<html>").then,
        Then::End(Outcome::Broken)
    ));
}

#[test]
fn only_what_leaves_its_messages_out_is_fetched_unless_told() {
    let owed = |fetch: &str, body: &Json| -> Vec<String> {
        let mut config = fetching(&format!("fetch = \"{fetch}\"\n{BEARER}"));
        let table = crate::route::RouteTable::new(std::mem::take(&mut config.routes));
        let reading = readings(&body.to_string().into()).remove(0);
        let event = event_of("quiq", &reading);
        let scope = crate::expression::Scope::new(&event, None, &reading.payload);
        let owed = table.owed(&"quiq".into(), &event.event_type, &scope);
        owed.iter()
            .map(|owed| owed.destination.to_string())
            .collect()
    };
    let without = json!({"eventType": "ConversationClosed", "data": {"id": "c1"}});
    let with = json!({"eventType": "ConversationClosed", "data": {"id": "c1", "messages": []}});
    assert_eq!(owed("missing", &without), ["x", "quiq.fetch"]);
    assert_eq!(owed("missing", &with), ["x"]);
    assert_eq!(owed("always", &with), ["x", "quiq.fetch"]);
    let never = fetching("fetch = \"never\"");
    assert!(!never.destinations.contains_key("quiq.fetch"));
    let basic = "fetch = \"always\"\nfetch_from = { base_url = \"https://a.example\", app_id = \"i\", app_secret = { env = \"S\" } }";
    assert!(fetching(basic).destinations.contains_key("quiq.fetch"));
}
