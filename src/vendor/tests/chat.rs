//! Qiscus.

use serde_json::{Value as Json, json};

use super::*;
use crate::vendor::qiscus::{Qiscus, Rest};

pub(super) fn read(body: &Bytes) -> Result<Reading, Unreadable> {
    read_with(
        &Qiscus::default(),
        &[("content-type", "application/json")],
        body,
    )
    .map(one)
}

/// Reads a sample and makes sure that reading it again from the log gives the
/// same message.
pub(super) fn read_sample(name: &str) -> Reading {
    let body = sample(name);
    let reading = read(&body).unwrap_or_else(|error| panic!("{name}: {error}"));
    let event = event_of("qiscus", &reading);
    let again = (qiscus::VENDOR.source.as_ref().unwrap().message)(&event, &reading.payload);
    assert_eq!(again, reading.message, "{name}: read again");
    let whole = qiscus::event_type_of(reading.payload.value()).unwrap();
    if whole.len() <= 256 {
        assert_eq!(whole, reading.event_type.as_str(), "{name}");
    }
    reading
}

pub(super) fn message_of(name: &str) -> Message {
    read_sample(name)
        .message
        .unwrap_or_else(|| panic!("{name}: no message"))
}

/// A body in the seed shape.
pub(super) fn body(event_type: &str, from: &str, message: Json) -> Bytes {
    let room = json!({"id": 12, "type": "group", "name": "r", "participants": [
        {"email": "rina@customer.example.com", "username": "Rina Wijaya"}, {"email": "bot@qismo.com", "username": "Bot"}]});
    let body = json!({"type": event_type, "payload": {"from": {"id": 5, "email": from, "name": "N"}, "room": room, "message": message}});
    Bytes::from(body.to_string())
}

#[test]
fn the_customer_is_who_writes_or_the_only_one_who_is_no_agent() {
    let check = |name: &str, expected: Option<&str>| {
        let reading = read_sample(name);
        assert_eq!(reading.user.as_deref(), expected, "{name}");
        let in_message = reading
            .message
            .and_then(|message| message.user)
            .and_then(|user| user.id);
        assert!(
            in_message.is_none() || in_message.as_deref() == expected,
            "{name}"
        );
    };
    check(
        "qiscus/post_comment_mobile_text.json",
        Some("rina@customer.example.com"),
    );
    check(
        "qiscus/post_comment_rest_text.json",
        Some("rina@customer.example.com"),
    );
    check(
        "qiscus/post_comment_rest_system_event_add_member.json",
        None,
    );
    check(
        "qiscus_omnichannel/bot_post_comment_mobile_text.json",
        Some("6281200000132"),
    );
    check(
        "qiscus_omnichannel/post_comment_rest_agent_text.json",
        Some("6281200000132"),
    );
    check(
        "qiscus_omnichannel/sdk_v21_channel_room_without_participants.json",
        Some("guest@example.com"),
    );
    check("qiscus_omnichannel/new_session.json", Some("6281200000132"));
    check(
        "qiscus_omnichannel/custom_agent_allocation.json",
        Some("6281200000132"),
    );
    check(
        "qiscus_omnichannel/mark_as_resolved.json",
        Some("6281200000132"),
    );
    check("edge/email_is_phone_id_zero.json", Some("6281200000132"));
    check(
        "edge/hostile_identifiers.json",
        Some("a\"b\\c:d@example.com"),
    );
    let user = message_of("qiscus/post_comment_rest_text.json")
        .user
        .unwrap();
    assert_eq!(
        (user.name.as_deref(), user.role.as_deref()),
        (Some("Rina Wijaya"), Some("customer"))
    );
    let user = message_of("qiscus_omnichannel/bot_post_comment_mobile_text.json")
        .user
        .unwrap();
    assert_eq!(user.phone.as_deref(), Some("6281200000132"));
}

#[test]
fn agents_credentials_are_gone_before_storing() {
    let original = sample("qiscus_omnichannel/custom_agent_allocation.json");
    let mut value: Json = serde_json::from_slice(&original).unwrap();
    value["candidate_agent"]["authentication_token"] = json!("tok-1");
    value["candidate_agent"]["sdk_key"] = json!("tok-2");
    value["latest_service"] =
        json!("{\"agent\": {\"authentication_token\": \"tok-3\", \"n\": 9007199254740993}}");
    let reading = read(&Bytes::from(value.to_string())).unwrap();
    let stored = String::from_utf8(reading.body.to_vec()).unwrap();
    for secret in ["tok-1", "tok-2", "tok-3", "sdk_key", "authentication_token"] {
        assert!(!stored.contains(secret), "{secret}");
        assert!(!format!("{reading:?}").contains(secret), "{secret}");
    }
    assert!(stored.contains("dewi@shop.example.com") && stored.contains("9007199254740993"));
    assert_eq!(Payload::parse(&reading.body, 128).unwrap(), reading.payload);
    let resolved = sample("qiscus_omnichannel/mark_as_resolved.json");
    assert_eq!(read(&resolved).unwrap().body, resolved);
    value["candidate_agent"] = json!(null);
    assert!(
        !String::from_utf8_lossy(&read(&Bytes::from(value.to_string())).unwrap().body)
            .contains("tok-3")
    );
}

#[test]
fn every_edge_sample_is_an_event() {
    for name in listed("edge") {
        let reading = read_sample(&name);
        let message = reading.message.unwrap_or_else(|| panic!("{name}"));
        assert!(!message.text.trim().is_empty(), "{name}");
        assert_eq!(reading.body, sample(&name), "{name}: stored as received");
    }
    assert_eq!(message_of("edge/duplicate_keys.json").text, "second");
    assert_eq!(
        message_of("edge/lone_surrogate.json").text,
        "cut \u{fffd} emoji"
    );
    assert_eq!(
        message_of("edge/text_10kb.json").text.chars().count(),
        10_240
    );
    assert_eq!(
        message_of("edge/text_control_and_crlf.json").text,
        "line1\r\nX-Injected: yes\r\n\r\nline2\0\u{1}\u{1f} end"
    );
    assert_ne!(
        message_of("edge/combining_and_normalisation.json")
            .text
            .find("Cafe\u{301}"),
        None
    );
    assert_eq!(
        message_of("edge/room_options_object.json").text,
        message_of("edge/room_options_broken_string.json").text
    );
    assert_eq!(message_of("edge/utf8_bom.json").text, "ok");
}

#[test]
fn every_invalid_sample_is_unreadable() {
    let names = listed("invalid");
    assert!(names.len() >= 34);
    for name in names {
        assert!(read(&sample(&name)).is_err(), "{name}");
    }
    for body in [
        "{}",
        "{\"webhook_type\": 3}",
        "{\"candidate_agent\": {}}",
        "{\"service\": {}, \"resolved_by\": {}}",
    ] {
        assert!(read(&Bytes::from(body)).is_err(), "{body}");
    }
    assert!(
        read(&body(
            "post_comment_mobile",
            "a@b.example",
            json!({"type": 7})
        ))
        .is_err()
    );
}

#[test]
fn the_time_of_a_message_is_the_platforms_where_it_gives_one() {
    let check = |message: Json, expected: Option<u64>| {
        let reading = read(&body("post_comment_mobile", "a@b.example", message.clone())).unwrap();
        assert_eq!(
            reading.message.unwrap().sent_at.map(Timestamp::as_millis),
            expected,
            "{message}"
        );
    };
    check(json!({}), None);
    check(
        json!({"unix_timestamp": 1_752_212_797}),
        Some(1_752_212_797_000),
    );
    check(
        json!({"unix_timestamp": "1752212797"}),
        Some(1_752_212_797_000),
    );
    check(
        json!({"timestamp": "2025-07-11T05:46:37Z"}),
        Some(1_752_212_797_000),
    );
    check(
        json!({"created_at": "2025-07-11T12:46:37+07:00"}),
        Some(1_752_212_797_000),
    );
    check(
        json!({"timestamp": "2025-07-11T05:46:37Z", "unix_nano_timestamp": 1_752_212_797_123_456_789_u64}),
        Some(1_752_212_797_123),
    );
    check(
        json!({"timestamp": "2025-07-11T05:46:37Z", "unix_nano_timestamp": 1_752_212_797_000_u64}),
        Some(1_752_212_797_000),
    );
    check(
        json!({"timestamp": "2025-07-11T05:46:37Z", "unix_nano_timestamp": 5}),
        Some(1_752_212_797_000),
    );
    check(
        json!({"unix_nano_timestamp": "1752212797123456789"}),
        Some(1_752_212_797_123),
    );
    check(json!({"timestamp": "yesterday", "unix_timestamp": 0}), None);
    assert_eq!(
        message_of("qiscus/post_comment_mobile_text.json").sent_at,
        None
    );
}

#[test]
fn attachments_say_whether_they_are_pictures() {
    let check = |name: &str, url: &str, image: bool| {
        let attachments = message_of(name).attachments;
        assert_eq!(attachments.len(), 1, "{name}");
        assert_eq!(
            (attachments[0].url.as_str(), attachments[0].image),
            (url, image),
            "{name}"
        );
    };
    check(
        "qiscus/post_comment_mobile_file_attachment_image.json",
        "https://cdn.example.com/u/photo.png",
        true,
    );
    check(
        "qiscus/post_comment_mobile_file_attachment_voice.json",
        "https://cdn.example.com/u/ptt-001.opus",
        false,
    );
    check(
        "qiscus_omnichannel/bot_post_comment_mobile_file_attachment.json",
        "https://cdn.example.com/u/1669774321_85.jpg",
        true,
    );
    assert!(
        message_of("qiscus/post_comment_rest_card.json")
            .attachments
            .is_empty()
    );
}

#[test]
fn direction_is_a_rule_and_not_the_type() {
    use Direction::{Incoming, Outgoing, System};
    use Rest::{Agent, Customer};
    const RINA: &str = "rina@customer.example.com";
    for (rest, client, kind, from, expected) in [
        (Agent, "mobile", "text", RINA, Incoming),
        (Agent, "mobile", "text", "x_admin@qismo.com", Outgoing),
        (Agent, "mobile", "text", "x_admin@QISMO.com", Outgoing),
        (
            Agent,
            "mobile",
            "text",
            "a@qismo.com.evil.example",
            Incoming,
        ),
        (Agent, "mobile", "text", "budi@shop.example", Outgoing),
        (Agent, "rest", "text", RINA, Outgoing),
        (Customer, "rest", "text", RINA, Incoming),
        (Customer, "rest", "text", "budi@shop.example", Outgoing),
        (Customer, "deleted", "text", RINA, Incoming),
        (
            Customer,
            "rest",
            "system_event",
            "budi@shop.example",
            System,
        ),
        (Agent, "mobile", "system_event", RINA, System),
    ] {
        let agents = vec!["*@qismo.com".into(), "budi@*".into()];
        let source = Qiscus {
            agents,
            rest,
            ..Qiscus::default()
        };
        let event_type = format!("post_comment_{client}");
        let body = body(&event_type, from, json!({"type": kind, "text": "t"}));
        let reading = one(read_with(&source, &[], &body).unwrap());
        assert_eq!(
            reading.direction,
            Some(expected),
            "{rest:?} {client} {kind} {from}"
        );
        assert_eq!(reading.message.unwrap().direction, expected);
    }
}

#[test]
fn types_keys_and_ids_are_the_vendors_own() {
    const MOBILE: &str = "post_comment_mobile";
    const REST: &str = "post_comment_rest";
    for (name, event_type, key, id) in [
        ("qiscus/post_comment_mobile_text", MOBILE, "1375619", None),
        ("qiscus/post_comment_rest_text", REST, "1375619", None),
        (
            "edge/ids_beyond_2_53",
            MOBILE,
            "9223372036854775807",
            Some("18446744073709551615"),
        ),
        (
            "edge/id_beyond_u64",
            MOBILE,
            "123456789012345678901234567890",
            None,
        ),
        ("edge/id_as_exponent_float", MOBILE, "1375619", None),
        ("edge/ids_as_strings", MOBILE, "1375619", None),
        ("edge/same_text_again_a", MOBILE, "1375619", None),
        ("edge/same_text_again_b", MOBILE, "1375619", None),
        ("edge/hostile_identifiers", MOBILE, "../../etc/passwd", None),
        ("edge/duplicate_keys", MOBILE, "1", None),
        (
            "edge/type_case_and_space",
            " Post_Comment_Mobile ",
            "1375619",
            None,
        ),
        (
            "edge/unknown_event_type",
            "post_comment_deleted",
            "1375619",
            None,
        ),
        (
            "edge/unicode_event_type",
            "post_comment_мобиле",
            "1375619",
            None,
        ),
    ] {
        check_identity(name, event_type, key, id);
    }
    for (name, event_type, id) in [
        (
            "bot_post_comment_mobile_text",
            MOBILE,
            Some("wa_wamid.HBgNNjI4MTExAA=="),
        ),
        (
            "post_comment_rest_agent_text",
            REST,
            Some("web1752212797123"),
        ),
        ("new_session", "NEW_SESSION_WEBHOOK", None),
        ("custom_agent_allocation", "custom_agent_allocation", None),
        ("mark_as_resolved", "mark_as_resolved", None),
    ] {
        check_identity(
            &format!("qiscus_omnichannel/{name}"),
            event_type,
            "1905692",
            id,
        );
    }
    // 5,000 characters long; the body keeps them all.
    let long = read_sample("edge/long_event_type.json");
    assert!(long.event_type.as_str().len() <= 256);
}

fn check_identity(name: &str, event_type: &str, key: &str, id: Option<&str>) {
    let reading = read_sample(&format!("{name}.json"));
    assert_eq!(reading.event_type.as_str(), event_type, "{name}");
    assert_eq!(reading.key.as_deref(), Some(key), "{name}");
    let found = reading.vendor_id.as_ref().map(|id| id.as_str());
    assert_eq!(found, id, "{name}");
}

#[test]
fn only_the_same_webhook_about_the_same_message_is_a_resend() {
    let check = |event_type: &str, message: Json, expected: Option<&str>| {
        let reading = read(&body(event_type, "a@b.example", message)).unwrap();
        assert_eq!(reading.vendor_id, expected.map(Into::into));
    };
    let zero = json!({"unique_temp_id": "0", "id_str": "", "id": 7});
    check("post_comment_mobile", zero, Some("7"));
    let none = json!({"unique_temp_id": "", "id_str": "0", "id": 0});
    check("post_comment_mobile", none, None);
    let deleted = json!({"id": 7});
    check(
        "post_comment_deleted",
        deleted,
        Some("post_comment_deleted/7"),
    );
}
