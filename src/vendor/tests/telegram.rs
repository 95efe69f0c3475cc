//! Telegram: every sample, who speaks, and what is no message.

use serde_json::{Value as Json, json};

use super::*;
use crate::vendor::telegram::Telegram;

const SECRET: &str = "auth = { scheme = \"token\", header = \"X-Telegram-Bot-Api-Secret-Token\", secret = { env = \"S\" } }";

fn read(update: &Json) -> Reading {
    let body = Bytes::from(update.to_string());
    one(read_with(&Telegram::default(), &[], &body).unwrap())
}

/// A sample, its type, its key, who speaks, for which customer, and the text.
type Expected = (
    &'static str,
    &'static str,
    &'static str,
    Option<Direction>,
    Option<&'static str>,
    &'static str,
);

const RINA: Option<&str> = Some("90211");
const GROUP: &str = "-1001375619000";
const IN: Option<Direction> = Some(Direction::Incoming);
const OUT: Option<Direction> = Some(Direction::Outgoing);
const SYSTEM: Option<Direction> = Some(Direction::System);

const EXPECTED: &[Expected] = &[
    (
        "business_message_from_customer",
        "business_message",
        "BC-77/90211",
        IN,
        RINA,
        "Are you there?",
    ),
    (
        "business_message_from_owner",
        "business_message",
        "BC-77/90211",
        OUT,
        RINA,
        "We are.",
    ),
    (
        "callback_query",
        "callback_query",
        "90211",
        IN,
        RINA,
        "Yes, please",
    ),
    (
        "channel_post_text",
        "channel_post",
        "-1001375619777",
        OUT,
        None,
        "We open at nine.",
    ),
    (
        "edited_message_text",
        "edited_message",
        "90211",
        IN,
        RINA,
        "Hello, where is my order A-1042?",
    ),
    (
        "message_anonymous_admin",
        "message",
        GROUP,
        OUT,
        None,
        "We look into it.",
    ),
    (
        "message_contact",
        "message",
        "90211",
        IN,
        RINA,
        "Budi Santoso - +6281234567890",
    ),
    (
        "message_document",
        "message",
        "90211",
        IN,
        RINA,
        "[document: invoice.pdf]",
    ),
    (
        "message_from_bot_in_group",
        "message",
        GROUP,
        OUT,
        None,
        "Your order is on its way.",
    ),
    (
        "message_location",
        "message",
        "90211",
        IN,
        RINA,
        "-6.2088,106.8456",
    ),
    (
        "message_new_chat_members",
        "message",
        GROUP,
        SYSTEM,
        None,
        "[new_chat_members]",
    ),
    (
        "message_new_chat_title",
        "message",
        GROUP,
        SYSTEM,
        None,
        "[new_chat_title: Order A-1042, late]",
    ),
    (
        "message_photo",
        "message",
        "90211",
        IN,
        RINA,
        "It came like this\n[photo]",
    ),
    (
        "message_reply_in_group",
        "message",
        GROUP,
        IN,
        RINA,
        "Thank you!",
    ),
    (
        "message_sticker",
        "message",
        "90211",
        IN,
        RINA,
        "[sticker: 👍]",
    ),
    (
        "message_text",
        "message",
        "90211",
        IN,
        RINA,
        "Hello, where is my order?",
    ),
    (
        "message_venue",
        "message",
        "90211",
        IN,
        RINA,
        "Kopi Tuku - Jl. Cipete Raya 7\n-6.2,106.8",
    ),
    ("message_voice", "message", "90211", IN, RINA, "[voice]"),
    ("my_chat_member", "my_chat_member", "90211", None, None, ""),
    ("poll", "poll", "", None, None, ""),
];

#[test]
fn every_sample_of_telegram_is_read() {
    let names: Vec<String> = EXPECTED
        .iter()
        .map(|(name, ..)| format!("telegram/{name}.json"))
        .collect();
    assert_eq!(listed("telegram"), names);
    for (name, event_type, key, direction, user, text) in EXPECTED {
        let body = sample(&format!("telegram/{name}.json"));
        let json: Json = serde_json::from_slice(&body).unwrap();
        let reading = one(read_with(&Telegram::default(), &[], &body).unwrap());
        assert_eq!(reading.event_type.as_str(), *event_type, "{name}");
        assert_eq!(reading.key.as_deref().unwrap_or_default(), *key, "{name}");
        assert_eq!(reading.direction, *direction, "{name}");
        assert_eq!(reading.user.as_deref(), *user, "{name}");
        let id = json["update_id"].to_string();
        assert_eq!(reading.vendor_id.as_ref().unwrap().as_str(), id, "{name}");
        assert_eq!(reading.body, body, "{name}: kept as it came");
        let message = reading.message.as_ref();
        assert_eq!(message.map_or("", |message| &message.text), *text, "{name}");
        // It is read again from what is stored, and says the same.
        let event = event_of("telegram", &reading);
        let payload = payload_of(&event, 128).unwrap();
        assert_eq!(message_of(&event, &payload).as_ref(), message, "{name}");
    }
}

#[test]
fn a_message_knows_who_where_and_when() {
    let reading =
        read(&serde_json::from_slice(&sample("telegram/message_reply_in_group.json")).unwrap());
    let message = reading.message.unwrap();
    assert_eq!(
        message.quoted,
        "> Shop bot: Your order is on its way.\nThank you!"
    );
    assert_eq!(message.conversation.name.as_deref(), Some("Order A-1042"));
    assert_eq!(message.conversation.kind.as_deref(), Some("supergroup"));
    assert_eq!(message.author.name.as_deref(), Some("Rina Putri"));
    assert_eq!(message.author.role.as_deref(), Some("customer"));
    assert_eq!(message.user.unwrap().id.as_deref(), RINA);
    assert_eq!(
        message.sent_at,
        Some(Timestamp::from_millis(1_752_212_709_000))
    );
    let edited =
        read(&serde_json::from_slice(&sample("telegram/edited_message_text.json")).unwrap());
    let edited = edited.message.unwrap();
    assert_eq!(
        edited.sent_at,
        Some(Timestamp::from_millis(1_752_212_760_000))
    );
    assert_eq!(
        edited.id.as_deref(),
        Some("1"),
        "the message's own, not the update's"
    );
}

#[test]
fn who_speaks_for_the_company_can_be_told() {
    let source = |agents: &[&str]| Telegram {
        agents: agents.iter().map(|glob| (*glob).to_owned()).collect(),
    };
    let body = sample("telegram/message_reply_in_group.json");
    for (agents, direction) in [
        (&[][..], Direction::Incoming),
        (&["rina_*"], Direction::Outgoing),
        (&["90211"], Direction::Outgoing),
        (&["9021"], Direction::Incoming),
    ] {
        let reading = one(read_with(&source(agents), &[], &body).unwrap());
        assert_eq!(reading.direction, Some(direction), "{agents:?}");
    }
}

#[test]
fn what_a_button_said_is_its_label_else_its_data() {
    let query: Json = serde_json::from_slice(&sample("telegram/callback_query.json")).unwrap();
    let text = |query: &Json| read(query).message.map(|message| message.text);
    let mut gone = query.clone();
    gone["callback_query"]["data"] = json!("forged");
    assert_eq!(text(&gone).as_deref(), Some("forged"));
    let mut inline = query;
    inline["callback_query"]
        .as_object_mut()
        .unwrap()
        .remove("message");
    let reading = read(&inline);
    assert_eq!(
        (reading.message, reading.key, reading.direction),
        (None, None, None)
    );
}

#[test]
fn what_telegram_may_add_is_an_event_and_never_blank() {
    let added = read(&json!({"update_id": 7, "guest_message": {"chat": {"id": 5}}}));
    assert_eq!(added.event_type.as_str(), "guest_message");
    assert_eq!(added.key.as_deref(), Some("5"));
    assert_eq!(
        read(&json!({"update_id": 7})).event_type.as_str(),
        "unknown"
    );
    let say = |extra: &str, value: Json| {
        let mut message = json!({"message_id": 1, "date": 1, "chat": {"id": 5, "type": "private"}, "from": {"id": 5}});
        message[extra] = value;
        let message = read(&json!({"update_id": 7, "message": message})).message;
        let message = message.unwrap();
        (message.kind, message.text)
    };
    let expected = |kind: &str, text: &str| (kind.to_owned(), text.to_owned());
    assert_eq!(
        say("hologram", json!({})),
        expected("unsupported", "[unsupported message]")
    );
    assert_eq!(say("text", json!(" \n")), expected("text", "[text]"));
    assert_eq!(say("contact", json!({})), expected("contact", "[contact]"));
    assert_eq!(
        say("poll", json!({"question": "When?"})),
        expected("poll", "When?")
    );
    assert_eq!(
        say("dice", json!({"emoji": "🎲", "value": 4})),
        expected("dice", "🎲 4")
    );
}

#[test]
fn what_is_no_update_is_refused() {
    for body in [
        "[]",
        "{}",
        r#"{"update_id": null, "message": {}}"#,
        r#"{"update_id": 1, "message": {"chat": {"id": 5}}}"#,
        r#"{"update_id": 1, "message": {"from": {"id": 5}, "text": "x"}}"#,
    ] {
        let read = read_with(&Telegram::default(), &[], &Bytes::from(body));
        assert!(read.is_err(), "{body}");
    }
}

#[test]
fn a_telegram_source_is_configured_with_its_token() {
    let check = |more: &str| {
        let text = format!(
            "[source.telegram]\nkind = \"telegram\"\n{SECRET}\n{more}\n[destination.x]\nkind = \"http\"\n\
             url = \"https://x.example\"\n[[route]]\nfrom = \"telegram\"\non = \"message\"\nto = \"x\"\n"
        );
        crate::config::load_text(
            &text,
            Path::new("routes.toml"),
            crate::decode::Secrets::Offline,
        )
    };
    assert!(
        check("agents = [\"budi_*\", \"90300\"]")
            .unwrap()
            .warnings
            .is_empty()
    );
    assert!(check("bots = []").is_err());
}
