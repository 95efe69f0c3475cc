//! Qiscus messages as text.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::chat::{body, message_of, read, read_sample};
use super::*;

#[test]
fn every_sample_reads_as_its_expected_text() {
    let expected: BTreeMap<String, String> =
        serde_json::from_slice(&sample("expected_text.json")).unwrap();
    assert!(expected.len() >= 46);
    for (name, text) in &expected {
        assert_eq!(message_of(name).quoted, *text, "{name}");
    }
    for name in listed("qiscus").iter().chain(&listed("qiscus_omnichannel")) {
        let reading = read_sample(name);
        let known = expected.contains_key(name)
            || reading.message.is_none()
            || name.ends_with("new_session.json");
        assert!(known, "{name} has no expected text");
        assert_eq!(
            reading.body,
            if name.contains("allocation") {
                reading.body.clone()
            } else {
                sample(name)
            },
            "{name}"
        );
    }
}

#[test]
fn the_quoted_line_is_in_the_quoted_text_only() {
    let message = message_of("qiscus/post_comment_mobile_reply.json");
    assert_eq!(message.text, "Yes, that one");
    assert_eq!(
        message.quoted,
        "> Budi (Support): Do you mean order A-1042?\nYes, that one"
    );
    let plain = message_of("qiscus/post_comment_rest_card.json");
    assert_eq!(plain.text, plain.quoted);
}

fn check(message: Json, expected: &str) {
    let body = body(
        "post_comment_mobile",
        "rina@customer.example.com",
        message.clone(),
    );
    let read = read(&body).unwrap().message.unwrap();
    assert_eq!(read.quoted, expected, "{message}");
}

fn check_kind(kind: &str, said: &str, payload: Json, expected: &str) {
    check(
        json!({"type": kind, "text": said, "payload": payload}),
        expected,
    );
}

#[test]
fn corner_cases_of_plain_texts_are_settled() {
    check(
        json!({"type": "text", "text": "\u{200b}\u{feff} "}),
        "[text]",
    );
    check(json!({"text": "no type"}), "no type");
    check_kind("location", "", json!({"name": "N"}), "N");
    let mapped = json!({"address": "A", "map_url": "https://m"});
    check_kind("location", "", mapped, "A\nhttps://m");
    check_kind(
        "location",
        "",
        json!({"latitude": "1.5", "longitude": 2}),
        "1.5,2",
    );
    check_kind("location", "", json!({"latitude": 1}), "[location]");
    check_kind("contact_person", "", json!({"value": "+62"}), "+62");
    check_kind("file_attachment", "", json!({}), "[file_attachment]");
    let file = json!({"url": "https://f"});
    check_kind(
        "file_attachment",
        "[file] https://f [/file]",
        file,
        "https://f",
    );
    check_kind("system_event", "", json!({}), "[system event]");
    check_kind("sticker", "said", json!({}), "said");
    let linking = json!({"url": "https://secret"});
    check_kind(
        "account_linking",
        "Log in",
        linking,
        "Log in\n[account linking]",
    );
}

#[test]
fn corner_cases_of_buttons_and_cards_are_settled() {
    let two = json!({"cards": [{"title": "A"}, {}]});
    check_kind("carousel", "Look", two, "Look\n1. A");
    let repeated = json!({"cards": [{"title": "A", "description": "d"}]});
    check_kind("carousel", "A", repeated, "1. A\nd");
    check_kind("carousel", "", json!({}), "[carousel]");
    let nameless = json!({"label": "", "type": "postback", "payload": {"url": "https://u"}});
    let link = json!({"label": "L", "type": "link", "payload": {"url": "https://l"}});
    let buttons = json!({"buttons": [nameless, {"type": "link"}, 7, link]});
    check_kind(
        "buttons",
        "Pick",
        buttons,
        "Pick\n- https://u\n- L: https://l",
    );
    check_kind("buttons", "Pick", json!("not json"), "Pick");
    let card = json!({"title": "T", "description": "d", "url": "T"});
    check_kind("card", "T", card, "T\nd");
}

#[test]
fn what_is_cut_is_cut_between_characters() {
    let long = "é".repeat(1500);
    let folded = json!({"text": "yes", "replied_comment_message": " a \n b "});
    check_kind("reply", "t", folded, "> a b\nyes");
    let reply = json!({"replied_comment_message": long, "replied_comment_sender_username": "N"});
    check_kind(
        "reply",
        "yes",
        reply,
        &format!("> N: {}\nyes", "é".repeat(200)),
    );
    let content = json!({"type": "x", "content": long});
    check_kind(
        "custom",
        "",
        content,
        &format!("[custom: x] \"{}", "é".repeat(999)),
    );
    check_kind("custom", "", json!({"type": "x"}), "[custom: x]");
}
