//! One Qiscus body to one event.

use std::collections::HashMap;

use bytes::Bytes;
use serde_json::Value as Json;
use serde_json::value::RawValue;

use super::{Qiscus, credentials, message};
use crate::event::{Direction, VendorId};
use crate::payload::{self, Payload};
use crate::vendor::{Reading, Unreadable, reading};

/// What a body is, by its discriminator.
enum Shape {
    /// `type` (SDK, bot) or `webhook_type` (new session): a chat message.
    Chat,
    /// Custom agent allocation: has `candidate_agent`, no type.
    Allocation,
    /// Mark as resolved: has `service` and `resolved_by`, no type.
    Resolved,
}

/// The event type of a body: Qiscus' own word where it has one.
pub fn event_type_of(body: &Json) -> Option<&str> {
    shape_of(body).ok().map(|(event_type, _)| event_type)
}

fn shape_of(body: &Json) -> Result<(&str, Shape), Unreadable> {
    let unreadable = |what: &str| Err(Unreadable(what.to_owned()));
    if !body.is_object() {
        return unreadable("the body is no JSON object");
    }
    for name in ["type", "webhook_type"] {
        match body.get(name) {
            None => {}
            Some(Json::String(text)) if !text.is_empty() => return Ok((text, Shape::Chat)),
            Some(_) => return unreadable(&format!("`{name}` is no text, or empty")),
        }
    }
    if body.get("candidate_agent").is_some() {
        return Ok(("custom_agent_allocation", Shape::Allocation));
    }
    if body.get("service").is_some() && body.get("resolved_by").is_some() {
        return Ok(("mark_as_resolved", Shape::Resolved));
    }
    unreadable("no `type`, no `webhook_type`, and no shape we know")
}

pub(super) fn read(source: &Qiscus, body: &Bytes, depth_max: usize) -> Result<Reading, Unreadable> {
    let payload = reading::parse(body, depth_max)?;
    let (event_type, shape) = shape_of(payload.value())?;
    let event_type = event_type.to_owned();
    match shape {
        Shape::Chat => chat(source, event_type, payload, body),
        Shape::Allocation => {
            let key = room(payload.value().get("room_id"), "room_id")?;
            let user = payload.value().get("email").and_then(payload::id_text);
            Ok(report(event_type, key, user, payload, body))
        }
        Shape::Resolved => {
            let key = room(payload.at("service.room_id"), "service.room_id")?;
            let user = payload.at("customer.user_id").and_then(payload::id_text);
            Ok(report(event_type, key, user, payload, body))
        }
    }
}

fn room(id: Option<&Json>, path: &str) -> Result<String, Unreadable> {
    id.and_then(payload::id_text)
        .ok_or_else(|| Unreadable(format!("`{path}` is no id")))
}

/// An event that is no chat message, without the credentials it may carry.
fn report(
    event_type: String,
    key: String,
    user: Option<String>,
    payload: Payload,
    body: &Bytes,
) -> Reading {
    let (payload, body) = credentials::removed(&payload).unwrap_or_else(|| (payload, body.clone()));
    Reading {
        event_type: event_type.into(),
        vendor_id: None,
        key: Some(key),
        direction: None,
        user,
        message: None,
        standing: None,
        ours: false,
        once: false,
        payload,
        body,
    }
}

fn chat(
    source: &Qiscus,
    event_type: String,
    payload: Payload,
    body: &Bytes,
) -> Result<Reading, Unreadable> {
    let object = |path: &str| match payload.at(path) {
        Some(value) if value.is_object() => Ok(value),
        _ => Err(Unreadable(format!("`{path}` is no object"))),
    };
    object("payload")?;
    let from = object("payload.from")?;
    let room = object("payload.room")?;
    let message = object("payload.message")?;
    let kind = message::kind_of(message)
        .ok_or_else(|| Unreadable("`payload.message.type` is no text".to_owned()))?;
    let key =
        room_id(room, body).ok_or_else(|| Unreadable("`payload.room.id` is no id".to_owned()))?;

    let author = message::person_key(from);
    let direction = source.direction(&event_type, kind, author.as_deref());
    let ours = source.is_ours(&event_type, message, author.as_deref());
    let user = match direction {
        Direction::Incoming => author,
        Direction::Outgoing | Direction::System => only_customer(source, room, author.as_deref()),
    };
    let vendor_id = vendor_id(&event_type, message);
    let message = message::build(&payload, key.clone(), direction, user.as_deref());
    let (payload, body) = without_credentials(payload, body);
    Ok(Reading {
        event_type: event_type.into(),
        vendor_id,
        key: Some(key),
        direction: Some(direction),
        user,
        message,
        standing: None,
        ours,
        once: false,
        payload,
        body,
    })
}

/// A body that calls itself a message may tell of a candidate agent all the
/// same; without one it is stored as it came.
fn without_credentials(payload: Payload, body: &Bytes) -> (Payload, Bytes) {
    let candidate = ["candidate_agent", "payload.candidate_agent"]
        .iter()
        .any(|path| payload.at(path).is_some());
    let removed = candidate.then(|| credentials::removed(&payload)).flatten();
    removed.unwrap_or_else(|| (payload, body.clone()))
}

/// The room's id as text; `123` and `"123"` are one room.
pub(super) fn room_id(room: &Json, body: &[u8]) -> Option<String> {
    let id = room.get("id");
    id.and_then(payload::id_text)
        .or_else(|| room.get("id_str").and_then(payload::id_text))
        .or_else(|| {
            id.filter(|id| id.is_number())
                .and_then(|_| room_id_digits(body))
        })
}

/// The digits of a room id beyond 64 bits, which the parsed body has rounded.
fn room_id_digits(body: &[u8]) -> Option<String> {
    fn member<'b>(json: &'b str, key: &str) -> Option<&'b str> {
        let map: HashMap<String, &'b RawValue> = serde_json::from_str(json).ok()?;
        map.get(key).map(|raw| raw.get())
    }
    let text = std::str::from_utf8(body).ok()?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let digits = member(member(member(text, "payload")?, "room")?, "id")?;
    let unsigned = digits.strip_prefix('-').unwrap_or(digits);
    unsigned
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| digits.to_owned())
}

/// `unique_temp_id`, else the message's id; Omnichannel writes `0` for none.
/// Other webhooks about the same message must not be taken for its resend.
fn vendor_id(event_type: &str, message: &Json) -> Option<VendorId> {
    let id = message::own_id(message)?;
    match event_type {
        "post_comment_mobile" | "post_comment_rest" => Some(id.into()),
        other => Some(format!("{other}/{id}").into()),
    }
}

/// The only participant who is neither an agent nor the author.
fn only_customer(source: &Qiscus, room: &Json, author: Option<&str>) -> Option<String> {
    let participants = room.get("participants")?.as_array()?;
    let mut customers = participants
        .iter()
        .filter_map(message::person_key)
        .filter(|email| Some(email.as_str()) != author && !source.is_agent(email));
    let first = customers.next()?;
    customers.all(|other| other == first).then_some(first)
}
