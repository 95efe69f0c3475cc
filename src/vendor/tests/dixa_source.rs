//! Dixa as a source.

use serde_json::{Value as Json, json};

use super::*;
use crate::link::Standing;
use crate::vendor::dixa::{Dixa, EXTERNAL_ID_PREFIX};

const RINA: &str = "ec4a2b65-0403-42b3-b054-8998325fd8ac";
const AGENT: &str = "cccb8520-e24f-43bf-8344-49d07665d854";

fn read(body: &Bytes) -> Result<Reading, Unreadable> {
    read_with(&Dixa, &[], body).map(one)
}

fn reading(name: &str) -> Reading {
    read(&sample(&format!("dixa/{name}.json"))).unwrap()
}

/// The inbound sample, changed.
fn changed(change: impl FnOnce(&mut Json)) -> Result<Reading, Unreadable> {
    let body = sample("dixa/conversation_message_added_inbound.json");
    let mut body: Json = serde_json::from_slice(&body).unwrap();
    change(&mut body);
    read(&Bytes::from(body.to_string()))
}

#[test]
fn every_sample_of_dixa_is_read() {
    let mut names = Vec::new();
    for name in listed("dixa") {
        let body = sample(&name);
        let reading = read(&body).unwrap();
        let event_type = reading.event_type.as_str();
        assert!(
            Dixa.types().unwrap().contains(&event_type),
            "{name}: {event_type}"
        );
        assert_eq!(reading.key.as_deref(), Some("1234"), "{name}");
        assert_eq!(reading.user.as_deref(), Some(RINA), "{name}");
        assert_eq!(reading.body, body, "{name}");
        assert!(reading.vendor_id.is_some(), "{name}");
        let is_message = event_type == "CONVERSATION_MESSAGE_ADDED";
        assert_eq!(reading.message.is_some(), is_message, "{name}");
        assert_eq!(reading.direction.is_some(), is_message, "{name}");
        assert!(!reading.once, "{name}");
        names.push(name);
    }
    assert_eq!(names.len(), 9);
}

#[test]
fn what_a_customer_says_at_dixa_is_a_message() {
    let reading = reading("conversation_message_added_inbound");
    assert_eq!(reading.direction, Some(Direction::Incoming));
    let message = reading.message.unwrap();
    assert_eq!(
        json!(message),
        json!({
            "id": "11b95893-0514-4606-a5d8-1880172b3a55",
            "kind": "Text",
            "text": "Where is my parcel?",
            "quoted": "Where is my parcel?",
            "direction": "incoming",
            "conversation": {"id": "1234", "name": null, "kind": "WIDGET_CHAT"},
            "author": {"id": RINA, "name": "Rina Wijaya", "email": "rina@customer.example.com", "phone": null, "role": "customer"},
            "user": {"id": RINA, "name": "Rina Wijaya", "email": "rina@customer.example.com", "phone": null, "role": "customer"},
            "attachments": [],
            "sent_at": "2025-01-14T22:01:05.187Z",
        })
    );
}

#[test]
fn an_agents_message_belongs_to_the_same_customer() {
    let reading = reading("conversation_message_added_outbound");
    assert_eq!(reading.direction, Some(Direction::Outgoing));
    let message = reading.message.unwrap();
    assert_eq!(message.author.id.as_deref(), Some(AGENT));
    assert_eq!(message.author.role.as_deref(), Some("agent"));
    assert_eq!(message.user.unwrap().id.as_deref(), Some(RINA));
}

#[test]
fn who_speaks_is_told_by_the_direction_else_by_the_author() {
    use Direction::{Incoming, Outgoing, System};
    let check = |direction: Json, author: Json, expected: Option<Direction>| {
        let read = changed(|body| {
            body["data"]["direction"] = direction.clone();
            body["data"]["author"] = author.clone();
        });
        assert_eq!(
            read.ok().and_then(|reading| reading.direction),
            expected,
            "{direction} {author}"
        );
    };
    let agent = json!({"id": AGENT, "user_type": "Member"});
    check(json!("INBOUND"), agent.clone(), Some(Incoming));
    check(json!("outbound"), json!(null), Some(Outgoing));
    check(json!("internal"), agent.clone(), Some(System));
    check(json!(null), agent, Some(Outgoing));
    check(json!(null), json!({"user_type": "Contact"}), Some(Incoming));
    // Older shapes have no user_type.
    check(json!(null), json!({"roles": ["Enduser"]}), Some(Incoming));
    check(
        json!(null),
        json!({"roles": ["Admin", "Agent"]}),
        Some(Outgoing),
    );
    check(
        json!(null),
        json!({"id": RINA, "roles": []}),
        Some(Incoming),
    );
    check(json!(null), json!({"id": AGENT, "roles": []}), None);
    check(json!("sideways"), json!(null), None);
}

#[test]
fn what_agents_say_among_themselves_is_no_chat_message() {
    let internal = changed(|body| body["data"]["direction"] = json!("internal")).unwrap();
    assert!(internal.message.is_none());
    let note = reading("conversation_note_added");
    assert!(note.message.is_none() && note.direction.is_none());
    let event = event_of("dixa", &note);
    assert!(message_of(&event, &note.payload).is_none());
}

#[test]
fn a_message_told_twice_under_two_event_ids_is_the_same() {
    let first = reading("conversation_message_added_inbound");
    let again = changed(|body| body["event_id"] = json!("another")).unwrap();
    assert_eq!(first.vendor_id, again.vendor_id);
    let id = "message/11b95893-0514-4606-a5d8-1880172b3a55";
    assert_eq!(first.vendor_id.unwrap().as_str(), id);
    // Anything else is known by its event's id, even where it names a message.
    let seen = changed(|body| {
        body["event_fqn"] = json!("CONVERSATION_MESSAGE_DELIVERY_SEEN");
    });
    let id = "8967e0c6-fe64-4105-bf71-14ae0c256aa4";
    assert_eq!(seen.unwrap().vendor_id.unwrap().as_str(), id);
    let without = changed(|body| body["data"]["message_id"] = json!(null)).unwrap();
    assert_eq!(without.vendor_id.unwrap().as_str(), id);
}

#[test]
fn only_what_begins_with_our_prefix_is_an_echo() {
    let check = |id: Json, ours: bool| {
        let reading = changed(|body| body["data"]["external_id"] = id.clone()).unwrap();
        assert_eq!(reading.ours, ours, "{id}");
    };
    check(json!(format!("{EXTERNAL_ID_PREFIX}qiscus/1:2")), true);
    check(json!("gw:qiscus:1375619:1"), false);
    check(json!("about hookfan:"), false);
    check(json!(null), false);
    check(json!(7), false);
    // Another gateway's echo is no echo of ours.
    assert!(!reading("conversation_message_added_echo_of_our_own").ours);
}

#[test]
fn how_a_conversation_stands_is_told_by_events_about_that_alone() {
    let check = |event_type: &str, status: &str, expected: Option<Standing>| {
        let reading = changed(|body| {
            body["event_fqn"] = json!(event_type);
            body["data"]["conversation"]["status"] = json!(status);
        });
        assert_eq!(reading.unwrap().standing, expected, "{event_type} {status}");
    };
    check("CONVERSATION_CREATED", "OPEN", Some(Standing::Open));
    check("CONVERSATION_OPEN", "OPEN", Some(Standing::Open));
    check("CONVERSATION_PENDING", "PENDING", Some(Standing::Open));
    check("CONVERSATION_PENDING_EXPIRED", "OPEN", Some(Standing::Open));
    check("CONVERSATION_CLOSED", "CLOSED", Some(Standing::Closed));
    check("CONVERSATION_ABANDONED", "CLOSED", Some(Standing::Closed));
    check("CONVERSATION_ABANDONED", "OPEN", None);
    // These may come late.
    check("CONVERSATION_RATED", "CLOSED", None);
    check("CONVERSATION_MESSAGE_ADDED", "OPEN", None);
}

#[test]
fn a_time_that_names_its_zone_twice_is_read() {
    let check = |at: Json, expected: Option<&str>| {
        let reading = changed(|body| body["data"]["created_at"] = at.clone()).unwrap();
        let at = reading.message.unwrap().sent_at.map(|at| at.to_string());
        assert_eq!(at.as_deref(), expected);
    };
    let expected = Some("2021-12-01T12:46:36.581Z");
    check(json!("2021-12-01T12:46:36.581Z[GMT]"), expected);
    check(json!("2021-12-01T12:46:36.581Z"), expected);
    // Then the event's own time counts.
    check(json!("yesterday"), Some("2025-01-14T22:01:05.429Z"));
}

#[test]
fn a_message_without_words_is_not_blank() {
    let check = |content: Json, attachments: Json, expected: &str| {
        let reading = changed(|body| {
            body["data"]["text"] = json!(" \u{200b}");
            body["data"]["content"] = content.clone();
            body["data"]["attachments"] = attachments.clone();
        });
        assert_eq!(reading.unwrap().message.unwrap().text, expected);
    };
    check(json!(null), json!(null), "[Text]");
    check(json!({"content_type": "Html"}), json!([]), "[Html]");
    check(json!({"text": "inside"}), json!([]), "inside");
    let files = json!([{"url": "https://f.example/a.png", "prettyName": "a.png"}, {"name": "no url"}, {"url": "https://f.example/b"}]);
    check(
        json!(null),
        files,
        "https://f.example/a.png\nhttps://f.example/b",
    );
}

#[test]
fn files_are_attachments_under_whatever_name_they_have() {
    let reading = changed(|body| {
        body["data"]["attachments"] = json!([
            {"url": "https://f.example/a.png?x=1", "pretty_name": "a.png"},
            {"url": "https://f.example/b", "name": "b.pdf"},
            {"url": "https://f.example/c", "mime_type": "image/png"},
        ]);
    });
    let attachments = reading.unwrap().message.unwrap().attachments;
    let seen: Vec<_> = attachments
        .iter()
        .map(|one| (one.name.as_deref(), one.image))
        .collect();
    assert_eq!(
        seen,
        [(Some("a.png"), true), (Some("b.pdf"), false), (None, true)]
    );
}

#[test]
fn a_stored_message_reads_as_it_did() {
    for name in ["inbound", "outbound"] {
        let reading = reading(&format!("conversation_message_added_{name}"));
        let event = event_of("dixa", &reading);
        assert_eq!(message_of(&event, &reading.payload), reading.message);
    }
}

#[test]
fn what_dixa_does_not_send_is_refused_and_what_it_may_add_is_not() {
    let refused = |body: &str, says: &str| {
        let error = read(&Bytes::from(body.to_owned())).unwrap_err();
        assert!(error.0.contains(says), "{body}: {error}");
    };
    refused("", "JSON");
    refused("[]", "no JSON object");
    refused("{}", "event_fqn");
    refused(r#"{"event_fqn": 7}"#, "event_fqn");
    refused(r#"{"event_fqn": ""}"#, "event_fqn");
    refused(
        r#"{"event_fqn": "CONVERSATION_MESSAGE_ADDED", "data": {}}"#,
        "csid",
    );
    refused(
        r#"{"event_fqn": "CONVERSATION_MESSAGE_ADDED", "data": {"conversation": {"csid": 1}}}"#,
        "who speaks",
    );
    let body = r#"{"event_fqn": "SOMETHING_NEW", "data": "x"}"#;
    let reading = read(&Bytes::from(body)).unwrap();
    assert_eq!(reading.event_type.as_str(), "SOMETHING_NEW");
    assert!(reading.key.is_none() && reading.vendor_id.is_none());
}

#[test]
fn an_id_beyond_what_floats_hold_keeps_its_digits() {
    let reading = changed(|body| {
        body["data"]["conversation"]["csid"] = json!(9_223_372_036_854_775_807_i64);
    });
    assert_eq!(reading.unwrap().key.as_deref(), Some("9223372036854775807"));
}
