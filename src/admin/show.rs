//! The JSON of everything that can be looked at. Field names are PRODUCT's
//! section 5; bodies are shown as text where they are text.

use std::sync::Arc;

use base64::Engine;
use serde_json::{Map, Value, json};

use super::select::{Query, filter, limit, offset};
use super::{House, Refusal};
use crate::event::{DestinationName, Event, EventId, Offset};
use crate::log::{DeadLetter, DeliveryHistory, Stored};
use crate::message::Message;
use crate::payload::DEPTH_MAX;
use crate::settle::Settlement;
use crate::vendor;

/// `/api/v1/config`: the files as in force. Secrets are references there.
pub fn config(house: &House) -> Value {
    let in_force = house.in_force.load();
    let files: Vec<Value> = in_force
        .texts
        .iter()
        .map(|(file, text)| json!({"file": file, "text": text}))
        .collect();
    json!({"hash": in_force.hash, "applied_at": in_force.applied_at, "files": files, "warnings": in_force.warnings})
}

/// `/api/v1/events`: newest first; `before` of the next page is `next`.
pub async fn events(house: &House, query: &Query) -> Result<Value, Refusal> {
    let limit = limit(query)?;
    let stored = house
        .log
        .events(
            filter(query, house, &["limit", "before"])?,
            offset(query, "before")?,
            limit,
        )
        .await?;
    let next = (stored.len() == limit)
        .then(|| stored.last().map(|last| last.offset))
        .flatten();
    let events: Vec<Value> = stored.iter().map(|stored| summary(stored)).collect();
    Ok(json!({"events": events, "next": next}))
}

fn summary(stored: &Stored) -> Value {
    let event = &stored.event;
    let owed: Vec<&DestinationName> = stored.owed.iter().map(|owed| &owed.destination).collect();
    json!({
        "id": event.id, "offset": stored.offset, "source": event.source, "type": event.event_type, "key": event.key,
        "accepted_at": event.accepted_at, "origin": stored.origin, "destinations": owed, "bytes": event.body.len(),
    })
}

/// `/api/v1/events/<id>`: one event, whole, with what became of each copy.
pub async fn event(house: &House, id: EventId) -> Result<Value, Refusal> {
    let found = house.log.event(id).await?;
    let Some((first, _)) = found.first() else {
        return Err(Refusal::not_found(format!(
            "no event {id} in the log; delivered events are kept for log.retain"
        )));
    };
    let mut shown = whole(&first.event);
    let mut deliveries = Vec::new();
    for (stored, copies) in &found {
        deliveries.extend(copies.iter().map(|copy| history(stored, copy)));
    }
    shown.insert("deliveries".to_owned(), Value::Array(deliveries));
    Ok(Value::Object(shown))
}

fn history(stored: &Stored, copy: &DeliveryHistory) -> Value {
    let (state, reason) = match copy.settlement {
        None => ("pending", None),
        Some(Settlement::Dead(reason)) => ("dead", Some(reason)),
        Some(settlement) => (settlement.label(), None),
    };
    json!({
        "destination": copy.destination, "action": copy.action.name, "state": state, "reason": reason,
        "detail": copy.detail, "origin": stored.origin, "attempts": copy.attempts,
    })
}

/// The event and its message and body, without its copies.
fn whole(event: &Event) -> Map<String, Value> {
    let headers: Map<String, Value> = event
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), Value::from(value.to_string())))
        .collect();
    let mut shown = Map::new();
    shown.insert("id".to_owned(), json!(event.id));
    shown.insert("source".to_owned(), json!(event.source));
    shown.insert("type".to_owned(), json!(event.event_type));
    shown.insert("key".to_owned(), json!(event.key));
    shown.insert("accepted_at".to_owned(), json!(event.accepted_at));
    shown.insert("vendor_id".to_owned(), json!(event.vendor_id));
    shown.insert("headers".to_owned(), Value::Object(headers));
    shown.insert("message".to_owned(), json!(message(event)));
    shown.insert("body".to_owned(), body(&event.body));
    shown
}

/// A stored event's message, read again.
pub fn message(event: &Event) -> Option<Message> {
    let payload = vendor::payload_of(event, DEPTH_MAX)?;
    let source = vendor::find(event.kind.as_str())?.source.as_ref()?;
    (source.message)(event, &payload)
}

/// Text where it is UTF-8, else base64 in an object that says so.
fn body(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => Value::from(text),
        Err(_) => json!({"base64": base64::engine::general_purpose::STANDARD.encode(bytes)}),
    }
}

/// `/api/v1/dead`: oldest first; `after` of the next page is `next`. With
/// `order=newest` it is `before`. `total` is how many are kept in all.
pub async fn dead(house: &House, query: &Query) -> Result<Value, Refusal> {
    let limit = limit(query)?;
    let filter = filter(query, house, &["limit", "after", "before", "order"])?;
    let newest_first = match query.get("order").map(String::as_str) {
        None | Some("oldest") => false,
        Some("newest") => true,
        Some(_) => return Err(Refusal::bad_request("order is oldest or newest")),
    };
    let between = (offset(query, "after")?, offset(query, "before")?);
    let letters = house
        .log
        .dead_between(filter, between, newest_first, limit)
        .await?;
    let next = (letters.len() == limit)
        .then(|| letters.last().map(|last| last.id))
        .flatten();
    let letters: Vec<Value> = letters
        .iter()
        .map(|letter| Value::Object(letter_row(letter)))
        .collect();
    Ok(json!({"dead": letters, "next": next, "total": house.log.dead_total()}))
}

fn letter_row(letter: &DeadLetter) -> Map<String, Value> {
    let row = json!({
        "id": letter.id.to_string(), "event": letter.event, "source": letter.source, "destination": letter.destination,
        "action": letter.action.name, "type": letter.event_type, "key": letter.key, "reason": letter.reason,
        "detail": letter.detail, "attempts": letter.attempts, "at": letter.at,
    });
    match row {
        Value::Object(row) => row,
        _ => Map::new(),
    }
}

/// `/api/v1/dead/<id>`: one letter with its event and every attempt.
pub async fn dead_letter(house: &House, id: &str) -> Result<Value, Refusal> {
    let id = letter_id(id)?;
    let Some((letter, stored, attempts)) = house.log.dead_letter(id).await? else {
        return Err(Refusal::not_found(format!(
            "no dead letter {id}; it was retried, dropped, or has passed log.retain_dead"
        )));
    };
    let mut row = letter_row(&letter);
    row.insert("history".to_owned(), json!(attempts));
    row.insert("original".to_owned(), Value::Object(whole(&stored.event)));
    Ok(Value::Object(row))
}

/// A dead letter's id as the API writes it.
pub fn letter_id(text: &str) -> Result<Offset, Refusal> {
    text.parse().map(Offset).map_err(|_| {
        Refusal::bad_request(format!("{text:?} is no dead letter's id; ids are numbers"))
    })
}

/// The latest stored form of an event, for a replay or an explanation.
pub async fn latest(house: &House, id: EventId) -> Result<Arc<Stored>, Refusal> {
    let mut found = house.log.event(id).await?;
    match found.pop() {
        Some((stored, _)) => Ok(stored),
        None => Err(Refusal::not_found(format!(
            "no event {id} in the log; delivered events are kept for log.retain"
        ))),
    }
}
