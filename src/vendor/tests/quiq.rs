//! Quiq's webhooks: every sample of every year.

use serde_json::{Value as Json, json};

use super::*;
use crate::link::Standing;
use crate::vendor::quiq::{MESSAGE, Quiq};

pub(super) const CONVERSATION: &str = "a918f237-88f4-44cc-9072-84e2880e3b7d";
const HANDLE: &str = "+14065550123";

pub(super) fn read(body: &Bytes) -> Result<Vec<Reading>, Unreadable> {
    match read_with(&Quiq::default(), &[], body)? {
        Webhook::Events(readings) => Ok(readings),
        probe @ Webhook::Probe { .. } => panic!("{probe:?}"),
    }
}

fn read_sample(name: &str) -> Vec<Reading> {
    read(&sample(&format!("quiq/{name}.json"))).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Every event of a webhook: its type, or who says which text.
pub(super) fn said(readings: &[Reading]) -> Vec<String> {
    let line = |reading: &Reading| match &reading.message {
        None => reading.event_type.to_string(),
        Some(message) => {
            assert_eq!(reading.direction, Some(message.direction));
            let sign = match message.direction {
                Direction::Incoming => '<',
                Direction::Outgoing => '>',
                Direction::System => '-',
            };
            format!("{sign} {}", message.text)
        }
    };
    readings.iter().map(line).collect()
}

/// Reading an event again from what is stored gives the same message.
pub(super) fn assert_kept(reading: &Reading) {
    let event = event_of("quiq", reading);
    let payload = payload_of(&event, 128).unwrap();
    assert_eq!(payload, reading.payload, "the payload is the body");
    assert_eq!(message_of(&event, &payload), reading.message);
}

fn snapshot(event_type: &str, data: Json) -> Bytes {
    let envelope = json!({"id": "e1", "eventType": event_type, "timestamp": 1, "data": data});
    Bytes::from(envelope.to_string())
}

const HEY: &str = "< hey";
const PICTURE: &str =
    "> https://example.goquiq.com/web/assets/onetime/08af0f24-a59a-4eef-bfe2-29812168ed47";
const ABOVE: &str = "> see the picture above";

/// How each sample leaves the conversation, and what is read out of it.
const SAMPLES: &[(&str, Option<Standing>, &[&str])] = {
    const OPEN: Option<Standing> = Some(Standing::Open);
    const CLOSED: Option<Standing> = Some(Standing::Closed);
    &[
        ("requested", OPEN, &["ConversationRequested", HEY]),
        ("activated", OPEN, &["ConversationActivated", HEY]),
        (
            "inactivated",
            None,
            &[HEY, PICTURE, "ConversationInactivated"],
        ),
        (
            "closed",
            CLOSED,
            &[HEY, PICTURE, ABOVE, "ConversationClosed"],
        ),
        ("denied_as_spam", CLOSED, &[HEY, "ConversationDeniedAsSpam"]),
        (
            "merged_as_dangling",
            CLOSED,
            &[HEY, "ConversationMergedAsDangling"],
        ),
        (
            "status_changed",
            OPEN,
            &["ConversationStatusChanged", HEY, ABOVE],
        ),
        (
            "closed_2024_fields",
            CLOSED,
            &[
                HEY,
                "> see the picture above\nShop: https://shop.example.com",
                "ConversationClosed",
            ],
        ),
        (
            "closed_system_message_null_names",
            CLOSED,
            &[
                HEY,
                "- Our office is closed now.",
                "> [empty]",
                "ConversationClosed",
            ],
        ),
    ]
};

#[test]
fn every_sample_is_read() {
    let mut read: Vec<String> = [
        "agent_hook_conversation_update",
        "agent_hook_ping",
        "get_conversation_seed_response",
        "test",
    ]
    .map(|name| format!("quiq/{name}.json"))
    .into();
    for (name, standing, expected) in SAMPLES {
        let readings = read_sample(&format!("conversation_{name}"));
        assert_eq!(said(&readings), *expected, "{name}");
        let file = format!("quiq/conversation_{name}.json");
        for reading in &readings {
            assert_kept(reading);
            assert_eq!(reading.key.as_deref(), Some(CONVERSATION), "{name}");
            assert_eq!(reading.user.as_deref(), Some(HANDLE), "{name}");
            match &reading.message {
                Some(message) => assert_message(reading, message),
                None => assert_snapshot(reading, &sample(&file), *standing),
            }
        }
        read.push(file);
    }
    read.sort();
    assert_eq!(read, listed("quiq"));
}

fn assert_message(reading: &Reading, message: &Message) {
    assert_eq!(reading.event_type.as_str(), MESSAGE);
    assert!(reading.once && reading.standing.is_none());
    let id = format!("{CONVERSATION}/{}", message.id.as_deref().unwrap());
    assert_eq!(reading.vendor_id.as_ref().unwrap().as_str(), id);
    assert_eq!(message.conversation.id, CONVERSATION);
    assert!(message.sent_at.unwrap().as_millis() > 1_468_865_667_000);
}

fn assert_snapshot(reading: &Reading, body: &Bytes, standing: Option<Standing>) {
    let envelope: Json = serde_json::from_slice(body).unwrap();
    assert_eq!(reading.vendor_id.as_ref().unwrap().as_str(), envelope["id"]);
    assert_eq!(reading.event_type.as_str(), envelope["eventType"]);
    assert_eq!((reading.standing, reading.once), (standing, false));
    assert_eq!(reading.body, body, "as received");
}

#[test]
fn a_test_of_the_line_is_answered_and_goes_nowhere() {
    for body in [sample("quiq/test.json"), snapshot("Test", json!({}))] {
        let read = read_with(&Quiq::default(), &[], &body).unwrap();
        assert!(matches!(read, Webhook::Probe { .. }), "{read:?}");
    }
}

#[test]
fn what_is_no_webhook_for_events_says_what_it_is() {
    let check = |body: Bytes, expected: &str| {
        let Unreadable(why) = read(&body).unwrap_err();
        assert!(why.contains(expected), "{why}");
    };
    check(sample("quiq/agent_hook_ping.json"), "agent hook");
    check(
        sample("quiq/agent_hook_conversation_update.json"),
        "agent hook",
    );
    check(
        Bytes::from(r#"{"conversation":{},"derivedData":{}}"#),
        "bot webhook",
    );
    check(Bytes::from("{}"), "no `eventType`");
    check(Bytes::from("[]"), "no `eventType`");
    check(Bytes::from("{"), "not JSON");
    check(
        snapshot("ConversationClosed", json!({})),
        "`data.id` is no id",
    );
    let messages = |messages: Json| {
        snapshot(
            "ConversationClosed",
            json!({"id": "c", "messages": messages}),
        )
    };
    check(
        messages(json!([{"id": "m"}, {"text": "hey"}])),
        "`data`: `messages.1.id` is no id",
    );
    check(messages(json!(["hey"])), "`messages.0.id` is no id");
}

#[test]
fn who_speaks_is_who_the_platform_says() {
    use Direction::{Incoming, Outgoing, System};
    let check = |message: Json, expected: Direction| {
        let mut message = message;
        message["id"] = json!("m");
        let data = json!({"id": "c", "customerHandle": "ann", "messages": [message]});
        let readings = read(&snapshot("ConversationClosed", data)).unwrap();
        assert_eq!(readings[0].direction, Some(expected), "{message}");
        let from_customer = match message.get("fromCustomer") {
            Some(said) => said.clone(),
            None => json!(expected == Incoming),
        };
        assert_eq!(
            readings[0].payload.at("message.fromCustomer"),
            Some(&from_customer)
        );
        assert_kept(&readings[0]);
    };
    check(json!({"fromCustomer": true, "author": "ann"}), Incoming);
    check(json!({"fromCustomer": true, "author": null}), Incoming);
    check(json!({"fromCustomer": false, "author": "agent"}), Outgoing);
    check(json!({"fromCustomer": false, "author": null}), System);
    check(json!({"fromCustomer": false}), System);
    check(
        json!({"fromCustomer": false, "author": "bot", "triggeredBy": {"type": "system"}}),
        System,
    );
    check(json!({"author": "ann"}), Incoming);
    check(json!({"author": "agent"}), Outgoing);
    check(json!({"text": "nobody"}), System);
}

#[test]
fn the_customer_is_told_with_all_that_is_known() {
    let readings = read_sample("conversation_closed_2024_fields");
    let message = |index: usize| readings[index].message.as_ref().unwrap();
    let user = message(1).user.as_ref().unwrap();
    let told = [&user.id, &user.name, &user.email, &user.phone, &user.role];
    let expected = [
        HANDLE,
        "Some Customer",
        "some@customer.example.com",
        HANDLE,
        "customer",
    ];
    assert_eq!(told.map(|one| one.as_deref().unwrap()), expected);
    assert_eq!(message(0).author, *user);
    assert_eq!(message(1).author.id.as_deref(), Some("some-agent1"));
    assert_eq!(message(1).author.role.as_deref(), Some("agent"));
    assert_eq!(message(0).conversation.kind.as_deref(), Some("SMS"));

    let readings = read_sample("conversation_closed_system_message_null_names");
    let message = readings[1].message.as_ref().unwrap();
    assert_eq!(
        (message.author.id.as_deref(), message.author.role.as_deref()),
        (None, Some("system"))
    );
    assert_eq!(message.user.as_ref().unwrap().name, None);

    let readings = read_sample("conversation_inactivated");
    let message = readings[1].message.as_ref().unwrap();
    let [asset] = message.attachments.as_slice() else {
        panic!("{message:?}")
    };
    assert!(asset.image && format!("> {}", asset.url) == PICTURE);
    assert_eq!(message.kind, "asset");
}

#[test]
fn an_asset_without_an_address_and_a_link_in_the_text_are_told_once() {
    let data = json!({"id": "c", "messages": [
        {"id": "1", "author": "a", "assets": [{"assetId": "x", "contentType": "video/mp4"}]},
        {"id": "2", "author": "a", "text": "see https://a.example", "links": [{"title": "A", "url": "https://a.example"}]},
        {"id": "3", "author": "a", "text": " ", "links": [{"url": "https://b.example"}]},
    ]});
    let readings = read(&snapshot("ConversationClosed", data)).unwrap();
    let expected = [
        "> [asset: video/mp4]",
        "> see https://a.example",
        "> https://b.example",
    ];
    assert_eq!(said(&readings)[..3], expected);
    let kinds = readings
        .iter()
        .filter_map(|reading| Some(reading.message.as_ref()?.kind.as_str()));
    assert!(kinds.eq(["asset", "text", "link"]));
    assert!(readings[0].message.as_ref().unwrap().attachments.is_empty());
}

#[test]
fn an_event_about_something_else_is_taken_as_it_is() {
    let readings = read(&snapshot("AgentStatusChanged", json!({"status": "away"}))).unwrap();
    let [reading] = readings.as_slice() else {
        panic!("{readings:?}")
    };
    assert_eq!(
        (reading.event_type.as_str(), &reading.key),
        ("AgentStatusChanged", &None)
    );
    let readings = read(&snapshot("ConversationClosed", json!({"id": 12}))).unwrap();
    assert_eq!(
        said(&readings),
        ["ConversationClosed"],
        "no messages, and no complaint"
    );
    assert_eq!(readings[0].key.as_deref(), Some("12"));
}

/// What stands beside each message must not be multiplied by thousands.
#[test]
fn a_snapshot_has_at_most_so_many_messages_with_short_names() {
    let data = |count: usize| {
        let messages: Vec<Json> = (0..count)
            .map(|n| json!({"id": n, "author": "a"}))
            .collect();
        let long = "x".repeat(5_000);
        json!({"id": long, "customerHandle": long, "queue": long, "owner": {"deep": long}, "messages": messages})
    };
    let readings = read(&snapshot("ConversationClosed", data(5_000))).unwrap();
    assert_eq!(readings.len(), 5_001);
    let reading = &readings[4_999];
    assert_eq!(
        reading.vendor_id.as_ref().unwrap().as_str(),
        format!("{}/4999", reading.key.as_ref().unwrap())
    );
    assert!(reading.body.len() < 600 && reading.user.as_ref().unwrap().len() < 300);
    assert_kept(reading);
    let Unreadable(why) = read(&snapshot("ConversationClosed", data(5_001))).unwrap_err();
    assert!(
        why.contains("5001 messages in one snapshot, more than 5000"),
        "{why}"
    );
}
