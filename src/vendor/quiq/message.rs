//! The chat message of a `ConversationMessage`. Its body is ours:
//!
//! ```text
//! {"conversation": {"id", "status", "owner", "queue", "customerPlatform", "customerHandle",
//!                   "contactPointId", "endpointId",
//!                   "customer": {"firstName", "lastName", "email", "phoneNumber"}},
//!  "message": {… as Quiq sent it …}}
//! ```
//!
//! Of the conversation there is what the snapshot had; `author` and
//! `fromCustomer` of a message are there even where the platform said them in
//! other words.

use serde_json::Value as Json;

use super::MESSAGE;
use crate::clock::Timestamp;
use crate::event::{Direction, Event};
use crate::message::{Attachment, Conversation, Message, Person};
use crate::payload::{Payload, id_text};
use crate::vendor::reading;

/// Reads a stored event's message again; direction and user are what they were
/// when the event was accepted.
pub(super) fn read_again(event: &Event, payload: &Payload) -> Option<Message> {
    if event.event_type.as_str() != MESSAGE {
        return None;
    }
    build(payload, event.direction?, event.user.as_deref())
}

/// `None`: it is no body of ours.
pub(super) fn build(
    payload: &Payload,
    direction: Direction,
    user: Option<&str>,
) -> Option<Message> {
    let message = payload.at("message")?;
    let conversation = payload.at("conversation")?;
    let text = plain(message);
    let user = customer(conversation, user);
    let author = match direction {
        Direction::Incoming => Person {
            id: author_of(message).or_else(|| user.id.clone()),
            ..user.clone()
        },
        Direction::Outgoing | Direction::System => Person {
            id: author_of(message),
            role: Some(role(direction).to_owned()),
            ..Person::default()
        },
    };
    Some(Message {
        id: message.get("id").and_then(id_text),
        kind: kind(message).to_owned(),
        quoted: text.clone(),
        text,
        direction,
        conversation: Conversation {
            id: conversation.get("id").and_then(id_text)?,
            name: None,
            kind: reading::text(conversation, "customerPlatform").map(str::to_owned),
        },
        author,
        user: user.id.is_some().then_some(user),
        attachments: attachments(message),
        sent_at: sent_at(message),
    })
}

/// Who said it; the seed's form calls it the sender.
pub(super) fn author_of(message: &Json) -> Option<String> {
    let author = message.get("author").and_then(id_text);
    author.or_else(|| message.get("senderId").and_then(id_text))
}

const fn role(direction: Direction) -> &'static str {
    match direction {
        Direction::Incoming => "customer",
        Direction::Outgoing => "agent",
        Direction::System => "system",
    }
}

fn customer(conversation: &Json, user: Option<&str>) -> Person {
    let said = conversation.get("customer").unwrap_or(&Json::Null);
    let names = ["firstName", "lastName"].map(|name| said_in(said, name).unwrap_or_default());
    let name = names.join(" ").trim().to_owned();
    let phone = said_in(said, "phoneNumber").or(user.filter(|user| is_phone(user)));
    Person {
        id: user.map(str::to_owned),
        name: Some(name).filter(|name| !name.is_empty()),
        email: said_in(said, "email").map(str::to_owned),
        phone: phone.map(str::to_owned),
        role: Some(role(Direction::Incoming).to_owned()),
    }
}

/// A handle may be a phone number, a Facebook id, or anything else; Quiq writes
/// phone numbers with their plus.
fn is_phone(handle: &str) -> bool {
    let digits = handle.strip_prefix('+').unwrap_or_default();
    (6..=20).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Quiq has no types of messages: what it holds is what it is.
fn kind(message: &Json) -> &'static str {
    if said_in(message, "text").is_some() {
        "text"
    } else if listed(message, "assets").next().is_some() {
        "asset"
    } else if listed(message, "links").next().is_some() {
        "link"
    } else {
        "empty"
    }
}

/// The text, then each asset and each link that it does not hold already.
fn plain(message: &Json) -> String {
    let said = said_in(message, "text").unwrap_or_default();
    let mut lines: Vec<String> = vec![said.to_owned()];
    lines.extend(listed(message, "assets").map(|asset| {
        let media = said_in(asset, "contentType").unwrap_or("unknown");
        address_of(asset).map_or_else(|| format!("[asset: {media}]"), str::to_owned)
    }));
    lines.extend(listed(message, "links").filter_map(|link| {
        let url = said_in(link, "url").filter(|url| !said.contains(url))?;
        Some(match said_in(link, "title") {
            Some(title) => format!("{title}: {url}"),
            None => url.to_owned(),
        })
    }));
    lines.retain(|line| !line.is_empty());
    if lines.is_empty() {
        "[empty]".to_owned()
    } else {
        lines.join("\n")
    }
}

/// The addresses of assets work once: they are passed on, and never fetched.
fn attachments(message: &Json) -> Vec<Attachment> {
    let assets = listed(message, "assets").filter_map(|asset| {
        Some(Attachment {
            url: address_of(asset)?.to_owned(),
            name: None,
            image: said_in(asset, "contentType").is_some_and(|media| media.starts_with("image/")),
        })
    });
    assets.collect()
}

fn address_of(asset: &Json) -> Option<&str> {
    said_in(asset, "oneTimeUrl").or_else(|| said_in(asset, "url"))
}

/// Milliseconds in a snapshot, RFC 3339 in the seed's form.
fn sent_at(message: &Json) -> Option<Timestamp> {
    let timestamp = message.get("timestamp")?;
    let millis = || timestamp.as_u64().filter(|millis| *millis > 0);
    match timestamp.as_str() {
        Some(text) => Timestamp::parse_rfc3339(text),
        None => millis().map(Timestamp::from_millis),
    }
}

fn listed<'j>(message: &'j Json, key: &str) -> impl Iterator<Item = &'j Json> {
    let list = message.get(key).and_then(Json::as_array);
    list.into_iter().flatten().filter(|one| one.is_object())
}

/// A text that is not blank.
fn said_in<'j>(value: &'j Json, key: &str) -> Option<&'j str> {
    reading::text(value, key).filter(|text| !reading::is_blank(text))
}
