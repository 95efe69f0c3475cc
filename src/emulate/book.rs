//! What arrived at an emulator: every call, and the counts.

use std::collections::{HashSet, VecDeque};

use serde::Serialize;
use serde_json::Value as Json;

use crate::clock::Timestamp;

use super::asked::{Asked, Said, Wrong, pairs};

/// Calls kept for whoever asks.
const CALLS_KEPT: usize = 10_000;
/// A larger body is counted, not kept.
const BODY_KEPT: usize = 32 << 10;

/// One request, as it arrived.
#[derive(Clone, Debug, Serialize)]
pub struct Call {
    pub at: Timestamp,
    pub method: String,
    /// Without the query: keys sit there.
    pub path: String,
    /// Name and value, keys masked.
    pub query: Vec<(String, String)>,
    /// Which endpoint of the vendor; `-` where no vendor looked at it.
    pub step: &'static str,
    /// Its `webhook-id`.
    pub event: Option<String>,
    /// Its `hookfan-attempt`.
    pub attempt: Option<String>,
    /// What the vendor said to it, even if the answer was lost; 0 if it was
    /// not asked.
    pub status: u16,
    /// What was wrong with the request.
    pub refused: Option<String>,
    /// Why a good request was not taken.
    pub declined: Option<String>,
    /// The name of the fault that hit it.
    pub fault: Option<&'static str>,
    /// As JSON; a form as an object of texts or arrays; absent if it is
    /// neither, empty, or beyond 32 KiB.
    pub body: Option<Json>,
    pub body_bytes: usize,
}

impl Call {
    /// Whether the vendor took it.
    pub fn ok(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// What arrived so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub calls: u64,
    /// Different events that were taken.
    pub events: u64,
    /// Calls that brought an event; more than `events` where one came twice.
    pub taken: u64,
    /// Requests the vendor would refuse whatever it holds: malformed, not
    /// authorised, to no endpoint.
    pub refused: u64,
    /// Good requests that what it holds did not let through: an unknown id,
    /// a repeated `externalId`, a closed conversation.
    pub declined: u64,
    /// Requests beyond the rate.
    pub limited: u64,
    /// Answers that were faults on demand.
    pub faults: u64,
}

#[derive(Debug, Default)]
pub(super) struct Book {
    pub(super) counts: Counts,
    events: HashSet<String>,
    calls: VecDeque<Call>,
}

impl Book {
    /// Writes a call down. `said`: what the vendor made of it, if it was asked.
    pub(super) fn note(
        &mut self,
        asked: &Asked<'_>,
        said: Option<&Said>,
        fault: Option<&'static str>,
    ) {
        let given =
            |name: &str| Some(asked.header(name).to_owned()).filter(|text| !text.is_empty());
        let event = given("webhook-id");
        self.counts.calls += 1;
        self.counts.faults += u64::from(fault.is_some());
        let (mut refused, mut declined) = (None, None);
        match said.and_then(|said| said.no.as_ref()) {
            Some((Wrong::Request, reason)) => {
                self.counts.refused += 1;
                refused = Some(reason.clone());
            }
            Some((Wrong::State, reason)) => {
                self.counts.declined += 1;
                declined = Some(reason.clone());
            }
            Some((Wrong::Rate, reason)) => {
                self.counts.limited += 1;
                declined = Some(reason.clone());
            }
            None => {}
        }
        if said.is_some_and(|said| said.taken) {
            self.counts.taken += 1;
            self.events.extend(event.clone());
            self.counts.events = self.events.len() as u64;
        }
        if self.calls.len() >= CALLS_KEPT {
            self.calls.pop_front();
        }
        self.calls.push_back(Call {
            at: asked.now,
            method: asked.method.to_string(),
            path: asked.path().to_owned(),
            query: shown_query(asked),
            step: said.map_or("-", |said| said.step),
            event,
            attempt: given("hookfan-attempt"),
            status: said.map_or(0, |said| said.status),
            refused,
            declined,
            fault,
            body: shown_body(asked),
            body_bytes: asked.body.len(),
        });
    }

    /// The last calls, oldest first.
    pub(super) fn calls(&self) -> Vec<Call> {
        self.calls.iter().cloned().collect()
    }
}

fn shown_query(asked: &Asked<'_>) -> Vec<(String, String)> {
    let pairs = asked.pairs().into_iter();
    pairs
        .map(|(name, value)| {
            let secret = name.to_ascii_lowercase().contains("key") && name != "pageKey";
            let value = if secret {
                "***".to_owned()
            } else {
                value.into_owned()
            };
            (name.into_owned(), value)
        })
        .collect()
}

fn shown_body(asked: &Asked<'_>) -> Option<Json> {
    if asked.body.is_empty() || asked.body.len() > BODY_KEPT {
        return None;
    }
    if asked.media_type() == "application/x-www-form-urlencoded" {
        return Some(form_as_json(asked.body));
    }
    serde_json::from_slice(asked.body).ok()
}

/// `a=1&b[]=2&b[]=3` as `{"a": "1", "b": ["2", "3"]}`.
pub(super) fn form_as_json(body: &[u8]) -> Json {
    let mut object = serde_json::Map::new();
    for (name, value) in pairs(body) {
        let value = Json::String(value.into_owned());
        match name.strip_suffix("[]") {
            Some(name) => {
                let list = object
                    .entry(name)
                    .or_insert_with(|| Json::Array(Vec::new()));
                if let Json::Array(items) = list {
                    items.push(value);
                }
            }
            None => {
                object.insert(name.into_owned(), value);
            }
        }
    }
    Json::Object(object)
}
