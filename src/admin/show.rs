//! The JSON of everything that can be looked at. Field names are PRODUCT's
//! section 5; bodies are shown as text where they are text.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine;
use serde_json::{Map, Value, json};

use super::{House, Refusal, event_id};
use crate::clock::Timestamp;
use crate::event::{DestinationName, Event, EventId, Key, Offset, SourceName};
use crate::log::{DeadLetter, DeliveryHistory, Filter, Stored};
use crate::message::Message;
use crate::payload::DEPTH_MAX;
use crate::settle::{Reason, Settlement};
use crate::vendor;

/// Rows of one page of a list, at most.
const PAGE_MAX: usize = 1000;
const PAGE: usize = 100;

/// `/api/v1/status`.
pub fn status(house: &House) -> Value {
    let now = house.clock.now();
    let totals = house.log.totals();
    let in_force = house.in_force.load();
    let mut destinations: Vec<Value> = Vec::new();
    let mut names: Vec<DestinationName> = house
        .workers
        .iter()
        .map(|worker| worker.key().clone())
        .collect();
    names.sort();
    for name in names {
        let Some((destination, state)) = house
            .workers
            .get(&name)
            .map(|worker| (worker.destination(), worker.state()))
        else {
            continue;
        };
        let account = totals.get(&name).copied().unwrap_or_default();
        let standing = match (&state, account.pending()) {
            (state, _) if state.paused => "paused",
            (state, _) if state.breaker_open => "failing",
            (_, 0) => "idle",
            (state, _) if state.in_flight > 0 => "delivering",
            _ => "waiting",
        };
        destinations.push(json!({
            "name": name,
            "kind": destination.kind,
            "target": destination.writer.shown_target(),
            "state": standing,
            "owed": account.owed,
            "delivered": account.delivered,
            "dead": account.dead,
            "dropped": account.dropped,
            "pending": account.pending(),
            "pending_bytes": account.pending_bytes,
            "dead_letters": account.dead_letters,
            "oldest_seconds": account.oldest.map(|oldest| now.since(oldest).as_secs()),
            "in_flight": state.in_flight,
            "last_delivered_at": state.last_delivered_at,
            "last_error": state.last_error,
        }));
    }
    let mut sources: Vec<(SourceName, Value)> =
        house.log.source_totals().into_iter().map(|(name, totals)| (name.clone(), json!({"name": name, "accepted": totals.accepted, "unrouted": totals.unrouted, "duplicate": totals.duplicate}))).collect();
    sources.sort_by(|(a, _), (b, _)| a.cmp(b));
    let sources: Vec<Value> = sources.into_iter().map(|(_, value)| value).collect();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "now": now,
        "config_hash": in_force.hash,
        "config_applied_at": in_force.applied_at,
        "disk_bytes": house.log.disk_bytes(),
        "ready": house.log.health().is_ok(),
        "trouble": house.log.health().err(),
        "sources": sources,
        "destinations": destinations,
    })
}

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
pub async fn events(house: &House, query: &HashMap<String, String>) -> Result<Value, Refusal> {
    let limit = limit(query)?;
    let stored = house
        .log
        .events(filter(query, house)?, offset(query, "before")?, limit)
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

/// `/api/v1/dead`: oldest first; `after` of the next page is `next`.
pub async fn dead(house: &House, query: &HashMap<String, String>) -> Result<Value, Refusal> {
    let limit = limit(query)?;
    let letters = house
        .log
        .dead(filter(query, house)?, offset(query, "after")?, limit)
        .await?;
    let next = (letters.len() == limit)
        .then(|| letters.last().map(|last| last.id))
        .flatten();
    let letters: Vec<Value> = letters
        .iter()
        .map(|letter| Value::Object(letter_row(letter)))
        .collect();
    Ok(json!({"dead": letters, "next": next}))
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

fn limit(query: &HashMap<String, String>) -> Result<usize, Refusal> {
    match query.get("limit").map(|text| text.parse::<usize>()) {
        None => Ok(PAGE),
        Some(Ok(limit)) if (1..=PAGE_MAX).contains(&limit) => Ok(limit),
        Some(_) => Err(Refusal::bad_request(format!(
            "limit is a number from 1 to {PAGE_MAX}"
        ))),
    }
}

fn offset(query: &HashMap<String, String>, name: &str) -> Result<Option<Offset>, Refusal> {
    let Some(text) = query.get(name) else {
        return Ok(None);
    };
    text.parse()
        .map(|offset| Some(Offset(offset)))
        .map_err(|_| Refusal::bad_request(format!("{name} is a number from `next`")))
}

/// The filters that every list takes. An unknown one is an error: a typo must
/// not select everything.
pub fn filter(query: &HashMap<String, String>, house: &House) -> Result<Filter, Refusal> {
    const KNOWN: [&str; 10] = [
        "destination",
        "source",
        "type",
        "since",
        "until",
        "key",
        "reason",
        "limit",
        "before",
        "after",
    ];
    if let Some(unknown) = query.keys().find(|name| !KNOWN.contains(&name.as_str())) {
        let help = crate::decode::nearest(unknown, KNOWN)
            .map_or(String::new(), |near| format!("; did you mean {near}?"));
        return Err(Refusal::bad_request(format!(
            "there is no filter {unknown}{help}"
        )));
    }
    let now = house.clock.now();
    let reason = match query.get("reason") {
        None => None,
        Some(word) => Some(
            Reason::ALL
                .into_iter()
                .find(|reason| reason.as_str() == word)
                .ok_or_else(|| {
                    let words: Vec<&str> =
                        Reason::ALL.iter().map(|reason| reason.as_str()).collect();
                    Refusal::bad_request(format!(
                        "there is no reason {word}; reasons are {}",
                        words.join(", ")
                    ))
                })?,
        ),
    };
    Ok(Filter {
        destination: query
            .get("destination")
            .map(|name| DestinationName::from(name.as_str())),
        source: query
            .get("source")
            .map(|name| SourceName::from(name.as_str())),
        event_type: query.get("type").cloned(),
        since: query
            .get("since")
            .map(|text| instant(text, now))
            .transpose()?,
        until: query
            .get("until")
            .map(|text| instant(text, now))
            .transpose()?,
        key: query.get("key").map(|key| Key::from(key.as_str())),
        reason,
    })
}

/// RFC 3339, or how long ago: `2h`, `30m`, `7d`.
fn instant(text: &str, now: Timestamp) -> Result<Timestamp, Refusal> {
    if let Some(at) = Timestamp::parse_rfc3339(text) {
        return Ok(at);
    }
    match crate::decode::quantity::duration(text) {
        Ok(ago) => Ok(now.minus(ago)),
        Err(_) => Err(Refusal::bad_request(format!(
            "{text:?} is neither a time like 2026-11-20T10:00:00Z nor an age like 2h"
        ))),
    }
}

/// The latest stored form of an event, for a replay or an explanation.
pub async fn latest(house: &House, id: &str) -> Result<Arc<Stored>, Refusal> {
    let id = event_id(id)?;
    let mut found = house.log.event(id).await?;
    match found.pop() {
        Some((stored, _)) => Ok(stored),
        None => Err(Refusal::not_found(format!(
            "no event {id} in the log; delivered events are kept for log.retain"
        ))),
    }
}
