//! What an operator can change while the gateway runs: retry and drop dead
//! letters, replay events, pause and resume, reload.
//!
//! Bulk work is done in bounded steps: each call does at most so many and says
//! whether there is more, so that a caller shows progress and can be cut off
//! anywhere. Repeating a call repeats nothing that was done.

use std::collections::HashMap;

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::{Command, House, Refusal, ok, show};
use crate::event::{Action, DestinationName, Offset, Owed};
use crate::expression::Scope;
use crate::log::Stored;
use crate::payload::{DEPTH_MAX, Payload};
use crate::vendor;

/// Letters or events handled by one call.
const STEP: usize = 500;

/// What to do with dead letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dead {
    Retry,
    Drop,
}

/// `dead:retry` and `dead:drop`: `{"ids": ["…"]}` or a filter
/// (`{"destination": "crm"}`); `{"all": true}` for everything. Filters work in
/// steps: answer `{"done": n, "next": "…"}`; call again with `after` = `next`
/// until it is null.
pub async fn dead(house: &House, asked: &Value, what: Dead) -> Result<Value, Refusal> {
    if let Some(ids) = ids(asked)? {
        let mut done = 0;
        for id in ids {
            done += usize::from(one(house, show::letter_id(&id)?, what).await?);
        }
        return Ok(json!({"done": done, "next": null}));
    }
    let query = selection(asked)?;
    let after = asked
        .get("after")
        .and_then(Value::as_str)
        .map(show::letter_id)
        .transpose()?;
    // Letters that die again while this runs get a later id; `until` keeps the
    // walk from meeting them.
    let mut filter = show::filter(&query, house)?;
    let until = filter.until.unwrap_or_else(|| house.clock.now());
    filter.until = Some(until);
    let letters = house.log.dead(filter, after, STEP).await?;
    let mut done = 0;
    for letter in &letters {
        done += usize::from(one(house, letter.id, what).await?);
    }
    let next = (letters.len() == STEP)
        .then(|| letters.last().map(|last| last.id.to_string()))
        .flatten();
    Ok(json!({"done": done, "next": next, "until": until}))
}

async fn one(house: &House, id: Offset, what: Dead) -> Result<bool, Refusal> {
    Ok(match what {
        Dead::Retry => house.log.dead_retry(id).await?,
        Dead::Drop => house.log.dead_drop(id).await?,
    })
}

/// `replay`: `{"ids": […]}` or a filter; `"to": ["crm"]` names destinations,
/// else each event's own; `"route": true` asks today's routes instead.
/// Works in steps, newest first; answer `{"done": n, "next": …}`.
pub async fn replay(house: &House, asked: &Value) -> Result<Value, Refusal> {
    let plan = Plan::read(house, asked)?;
    if let Some(ids) = ids(asked)? {
        let mut done = 0;
        for id in ids {
            let stored = show::latest(house, &id).await?;
            done += plan.replay(house, &stored).await?;
        }
        return Ok(json!({"done": done, "next": null}));
    }
    let filter = show::filter(&selection(asked)?, house)?;
    let before = asked.get("before").and_then(Value::as_u64).map(Offset);
    let events = house.log.events(filter.clone(), before, STEP).await?;
    let mut done = 0;
    for stored in &events {
        // A replay is itself in the log; replaying it again would double it at
        // every call.
        if stored.origin == crate::log::Origin::Accepted {
            done += plan.replay(house, stored).await?;
        }
    }
    let next = (events.len() == STEP)
        .then(|| events.last().map(|last| last.offset))
        .flatten();
    Ok(json!({"done": done, "next": next}))
}

/// Where a replay goes.
enum Plan {
    Own,
    To(Vec<DestinationName>),
    Route,
}

impl Plan {
    fn read(house: &House, asked: &Value) -> Result<Self, Refusal> {
        if asked.get("route").and_then(Value::as_bool) == Some(true) {
            return Ok(Self::Route);
        }
        let Some(to) = asked.get("to") else {
            return Ok(Self::Own);
        };
        let names =
            texts(to).ok_or_else(|| Refusal::bad_request("to is a list of destination names"))?;
        let names: Vec<DestinationName> = names.into_iter().map(DestinationName::from).collect();
        match names.iter().find(|name| !house.workers.contains_key(*name)) {
            Some(unknown) => Err(unknown_destination(house, unknown.as_str())),
            None => Ok(Self::To(names)),
        }
    }

    /// Returns how many copies are owed anew.
    async fn replay(&self, house: &House, stored: &Stored) -> Result<usize, Refusal> {
        let mut owed = match self {
            Self::Own => stored.owed.clone(),
            Self::Route => routed(house, stored),
            Self::To(names) => {
                let own = |name: &DestinationName| {
                    stored
                        .owed
                        .iter()
                        .find(|owed| owed.destination == *name)
                        .cloned()
                };
                let fresh = |name: &DestinationName| Owed {
                    destination: name.clone(),
                    action: Action::message(),
                };
                names
                    .iter()
                    .map(|name| own(name).unwrap_or_else(|| fresh(name)))
                    .collect()
            }
        };
        owed.retain(|owed| house.workers.contains_key(&owed.destination));
        let copies = owed.len();
        if copies > 0 {
            house.log.replay(stored, owed).await?;
        }
        Ok(copies)
    }
}

fn routed(house: &House, stored: &Stored) -> Vec<Owed> {
    let event = &stored.event;
    let payload =
        vendor::payload_of(event, DEPTH_MAX).unwrap_or_else(|| Payload::from(Value::Null));
    let message = show::message(event);
    let scope = Scope::new(event, message.as_ref(), &payload);
    house
        .front
        .load()
        .routes
        .owed(&event.source, &event.event_type, &scope)
}

/// `destinations/<name>:pause` and `:resume`; remembered across restarts.
pub fn pause(house: &House, name: &str, pause: bool) -> Result<Value, Refusal> {
    let Some(worker) = house.workers.get(name) else {
        return Err(unknown_destination(house, name));
    };
    if !pause && worker.destination().paused {
        return Err(Refusal::new(
            StatusCode::CONFLICT,
            format!("the file says paused = true for {name}: change it there"),
        ));
    }
    if pause {
        worker.pause();
    } else {
        worker.resume();
    }
    house.log.set_paused(worker.key(), pause);
    tracing::info!(destination = %name, paused = pause, "destination.paused");
    Ok(json!({"name": name, "paused": pause}))
}

/// `reload`: 200 `{hash}` or 422 with the complaints.
pub async fn reload(house: &House) -> Result<Response<Full<Bytes>>, Refusal> {
    let (answer, answered) = oneshot::channel();
    let stopping = || Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the gateway is stopping");
    house
        .commands
        .send(Command::Reload(answer))
        .await
        .map_err(|_| stopping())?;
    match answered.await.map_err(|_| stopping())? {
        Ok(hash) => Ok(ok(&json!({"hash": hash}))),
        Err(complaints) => Err(Refusal {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            body: complaints,
        }),
    }
}

fn unknown_destination(house: &House, name: &str) -> Refusal {
    let names: Vec<String> = house
        .workers
        .iter()
        .map(|worker| worker.key().to_string())
        .collect();
    let help = crate::decode::nearest(name, names.iter().map(String::as_str))
        .map_or(String::new(), |near| format!("; did you mean {near}?"));
    Refusal::not_found(format!("there is no destination {name}{help}"))
}

/// What a request says besides its filter.
const OURS: [&str; 7] = ["all", "after", "before", "to", "route", "ids", "limit"];

/// The ids a request names, if it names any. Ids and a filter together would
/// mean two things.
fn ids(asked: &Value) -> Result<Option<Vec<String>>, Refusal> {
    let Some(ids) = asked.get("ids") else {
        return Ok(None);
    };
    let more = asked.as_object().into_iter().flatten();
    let more = more.map(|(name, _)| name.as_str());
    if let Some(filter) = more.into_iter().find(|name| !OURS.contains(name)) {
        let said = format!("say ids or a filter, not both: ids and {filter}");
        return Err(Refusal::bad_request(said));
    }
    match texts(ids) {
        Some(ids) => Ok(Some(ids)),
        None => Err(Refusal::bad_request("ids is a list of texts")),
    }
}

/// The filter part of a request, as a query would have it. Selecting
/// everything must be said.
fn selection(asked: &Value) -> Result<HashMap<String, String>, Refusal> {
    let Value::Object(asked) = asked else {
        return Err(Refusal::bad_request("the body is a JSON object"));
    };
    let mut query = HashMap::new();
    for (name, value) in asked {
        match value {
            Value::String(text) if !OURS.contains(&name.as_str()) => {
                drop(query.insert(name.clone(), text.clone()))
            }
            _ if OURS.contains(&name.as_str()) => {}
            _ => return Err(Refusal::bad_request(format!("{name} is a text"))),
        }
    }
    if query.is_empty() && asked.get("all").and_then(Value::as_bool) != Some(true) {
        return Err(Refusal::bad_request(
            "say which: ids, a filter such as destination, or \"all\": true",
        ));
    }
    Ok(query)
}

fn texts(value: &Value) -> Option<Vec<String>> {
    value
        .as_array()?
        .iter()
        .map(|item| item.as_str().map(str::to_owned))
        .collect()
}
