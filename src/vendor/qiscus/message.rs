//! The chat message inside a Qiscus body.

use serde_json::Value as Json;

use super::{MARK, read, text};
use crate::clock::Timestamp;
use crate::event::{Direction, Event};
use crate::message::{Attachment, Conversation, Message, Person};
use crate::payload::{self, DEPTH_MAX, Payload};
use crate::vendor::reading;

/// Reads a stored event's message again; direction and user are what they were
/// when the event was accepted.
pub(super) fn read_again(event: &Event, payload: &Payload) -> Option<Message> {
    let direction = event.direction?;
    let room = payload.at("payload.room")?;
    let id = read::room_id(room, &event.body)?;
    build(payload, id, direction, event.user.as_deref())
}

/// `None` where the body holds no chat message.
pub(super) fn build(
    payload: &Payload,
    room_id: String,
    direction: Direction,
    user: Option<&str>,
) -> Option<Message> {
    let message = payload.at("payload.message")?;
    let room = payload.at("payload.room")?;
    let from = payload.at("payload.from")?;
    let kind = kind_of(message)?;
    let details = details_of(message);
    let said = reading::text(message, "text").unwrap_or_default();
    let plain = text::plain(kind, said, &details);
    let quoted = text::quoted(kind, &plain, &details);
    let role = match direction {
        Direction::Incoming => "customer",
        Direction::Outgoing => "agent",
        Direction::System => "system",
    };
    let author = person(from, "name", Some(role));
    let user = match direction {
        Direction::Incoming => Some(author.clone()),
        Direction::Outgoing | Direction::System => user.map(|user| participant(room, user)),
    };
    Some(Message {
        id: own_id(message),
        kind: kind.to_owned(),
        text: plain,
        quoted,
        direction,
        conversation: Conversation {
            id: room_id,
            name: reading::text(room, "name").map(str::to_owned),
            kind: reading::text(room, "type").map(str::to_owned),
        },
        author,
        user,
        attachments: attachments(kind, &details),
        sent_at: sent_at(message),
    })
}

/// The message type; absent means text. `None`: it is no text.
pub(super) fn kind_of(message: &Json) -> Option<&str> {
    match message.get("type") {
        None | Some(Json::Null) => Some("text"),
        Some(kind) => kind.as_str().filter(|kind| !kind.is_empty()),
    }
}

/// The message's `payload` as an object. Senders also pass it as JSON text;
/// anything that is no object counts as an empty one.
pub(super) fn details_of(message: &Json) -> Json {
    let details = match message.get("payload") {
        Some(Json::String(text)) => Payload::parse(text.as_bytes(), DEPTH_MAX)
            .ok()
            .map(|parsed| parsed.value().clone()),
        other => other.cloned(),
    };
    details
        .filter(Json::is_object)
        .unwrap_or_else(|| Json::Object(serde_json::Map::new()))
}

/// The message's own id, where it has one: `0` means none.
pub(super) fn own_id(message: &Json) -> Option<String> {
    ["unique_temp_id", "id_str", "id"]
        .into_iter()
        .filter_map(|name| message.get(name).and_then(payload::id_text))
        .find(|id| id != "0")
}

/// Whether the message bears our mark: v2 keeps our `unique_temp_id`, v2.1 our
/// `extras` (which come as an object or as JSON text).
pub(super) fn is_marked(message: &Json) -> bool {
    let extras = match message.get("extras") {
        Some(Json::String(text)) => serde_json::from_str(text).unwrap_or(Json::Null),
        other => other.cloned().unwrap_or(Json::Null),
    };
    let temporary = reading::text(message, "unique_temp_id");
    temporary.is_some_and(|id| id.starts_with(MARK)) || extras.get("hookfan").is_some()
}

/// What Qiscus knows a user by: the `email`, which may be a phone number; the
/// numeric id is 0 in Omnichannel.
pub(super) fn person_key(person: &Json) -> Option<String> {
    let email = person.get("email").and_then(payload::id_text);
    email.or_else(|| {
        person
            .get("id")
            .and_then(payload::id_text)
            .filter(|id| id != "0")
    })
}

fn person(person: &Json, name: &str, role: Option<&str>) -> Person {
    let email = person.get("email").and_then(payload::id_text);
    Person {
        id: person_key(person),
        name: reading::text(person, name).map(str::to_owned),
        phone: email.clone().filter(|email| is_phone(email)),
        email,
        role: role.map(str::to_owned),
    }
}

/// The customer among the room's participants.
fn participant(room: &Json, user: &str) -> Person {
    let participants = room.get("participants").and_then(Json::as_array);
    let found = participants
        .into_iter()
        .flatten()
        .find(|one| person_key(one).as_deref() == Some(user));
    match found {
        Some(found) => person(found, "username", Some("customer")),
        // Remembered from an event of his own: his key is what was his `email`.
        None => Person {
            id: Some(user.to_owned()),
            email: Some(user.to_owned()).filter(|user| user.contains('@')),
            phone: Some(user.to_owned()).filter(|user| is_phone(user)),
            role: Some("customer".to_owned()),
            ..Person::default()
        },
    }
}

fn is_phone(text: &str) -> bool {
    let digits = text.strip_prefix('+').unwrap_or(text);
    (6..=20).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn attachments(kind: &str, details: &Json) -> Vec<Attachment> {
    if kind != "file_attachment" {
        return Vec::new();
    }
    let Some(url) = reading::text(details, "url") else {
        return Vec::new();
    };
    let name = reading::text(details, "file_name").map(str::to_owned);
    let image = reading::is_image(name.as_deref().unwrap_or(url)) || reading::is_image(url);
    vec![Attachment {
        url: url.to_owned(),
        name,
        image,
    }]
}

/// `unix_nano_timestamp` is the finest; Omnichannel writes milliseconds under
/// that name, and one consumer types it as a text. It counts where it agrees
/// with the other times there are.
pub(super) fn sent_at(message: &Json) -> Option<Timestamp> {
    let text = |name: &str| reading::text(message, name).and_then(Timestamp::parse_rfc3339);
    let number = |name: &str| {
        message
            .get(name)
            .and_then(payload::id_text)
            .and_then(|digits| digits.parse::<u64>().ok())
    };
    let coarse = text("timestamp")
        .or_else(|| text("created_at"))
        .or_else(|| number("unix_timestamp").and_then(instant));
    let fine = number("unix_nano_timestamp").and_then(instant);
    match (coarse, fine) {
        (Some(coarse), Some(fine)) if coarse.as_millis().abs_diff(fine.as_millis()) >= 2000 => {
            Some(coarse)
        }
        (coarse, fine) => fine.or(coarse),
    }
}

/// A count since the epoch in seconds, milli-, micro- or nanoseconds: for any
/// time between 1973 and 5138 the size tells which.
fn instant(count: u64) -> Option<Timestamp> {
    let millis = match count {
        0 => return None,
        1..100_000_000_000 => count * 1000,
        100_000_000_000..100_000_000_000_000 => count,
        100_000_000_000_000..100_000_000_000_000_000 => count / 1000,
        _ => count / 1_000_000,
    };
    Some(Timestamp::from_millis(millis))
}
