//! What an operator can change while the gateway runs: retry and drop dead
//! letters, replay events, pause and resume, check, reload.
//!
//! Bulk work is done in bounded steps: each call does at most so many and says
//! whether there is more, so that a caller shows progress and can be cut off
//! anywhere. Repeating a call repeats nothing that was done. The jobs take the
//! same steps by themselves.

use http::StatusCode;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::select::{self, Which, flag, texts};
use super::{Command, House, Refusal, show, unknown_destination};
use crate::event::{Action, DestinationName, EventId, Offset, Owed};
use crate::expression::Scope;
use crate::log::Stored;
use crate::payload::{DEPTH_MAX, Payload};
use crate::vendor;

/// Letters or events handled by one call.
pub(super) const STEP: usize = 500;

/// What to do with dead letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dead {
    Retry,
    Drop,
}

impl Dead {
    /// `false`: it was not there any more.
    pub(super) async fn one(self, house: &House, id: Offset) -> Result<bool, Refusal> {
        Ok(match self {
            Self::Retry => house.log.dead_retry(id).await?,
            Self::Drop => house.log.dead_drop(id).await?,
        })
    }
}

/// `dead:retry` and `dead:drop`: `{"ids": ["…"]}` or a filter
/// (`{"destination": "crm"}`); `{"all": true}` for everything. Filters work in
/// steps: answer `{"done": n, "next": "…"}`; call again with `after` = `next`
/// until it is null.
pub async fn dead(house: &House, asked: &Value, what: Dead) -> Result<Value, Refusal> {
    let which = Which::read(asked, &["after"])?;
    let after = select::text(select::object(asked)?, "after")?;
    let after = after.map(show::letter_id).transpose()?;
    let query = match which {
        Which::Filter(query) => query,
        Which::Ids(ids) => {
            let mut done = 0;
            for id in letter_ids(&ids)? {
                done += usize::from(what.one(house, id).await?);
            }
            return Ok(json!({"done": done, "next": null}));
        }
    };
    // Letters that die again while this runs get a later id; `until` keeps the
    // walk from meeting them.
    let mut filter = select::filter(&query, house, &[])?;
    let until = filter.until.unwrap_or_else(|| house.clock.now());
    filter.until = Some(until);
    let letters = house.log.dead(filter, after, STEP).await?;
    let mut done = 0;
    for letter in &letters {
        done += usize::from(what.one(house, letter.id).await?);
    }
    let next = (letters.len() == STEP)
        .then(|| letters.last().map(|last| last.id.to_string()))
        .flatten();
    Ok(json!({"done": done, "next": next, "until": until}))
}

/// All of them are ids, or none is touched.
pub(super) fn letter_ids(ids: &[String]) -> Result<Vec<Offset>, Refusal> {
    ids.iter().map(|id| show::letter_id(id)).collect()
}

/// The same for events.
pub(super) fn event_ids(ids: &[String]) -> Result<Vec<EventId>, Refusal> {
    ids.iter().map(|id| super::event_id(id)).collect()
}

/// `replay`: `{"ids": […]}` or a filter; `"to": ["crm"]` names destinations,
/// else each event's own; `"route": true` asks today's routes instead.
/// Works in steps, newest first; answer `{"done": n, "next": …}`.
pub async fn replay(house: &House, asked: &Value) -> Result<Value, Refusal> {
    let which = Which::read(asked, &["to", "route", "before"])?;
    let plan = Plan::read(house, asked)?;
    let before = match asked.get("before") {
        None => None,
        Some(before) => Some(
            before
                .as_u64()
                .map(Offset)
                .ok_or_else(|| Refusal::bad_request("before is the number that `next` said"))?,
        ),
    };
    let query = match which {
        Which::Filter(query) => query,
        Which::Ids(ids) => {
            let mut done = 0;
            for id in event_ids(&ids)? {
                let stored = show::latest(house, id).await?;
                done += plan.replay(house, &stored).await?;
            }
            return Ok(json!({"done": done, "next": null}));
        }
    };
    let filter = select::filter(&query, house, &[])?;
    let events = house.log.events(filter, before, STEP).await?;
    let mut done = 0;
    for stored in &events {
        if may_replay(stored) {
            done += plan.replay(house, stored).await?;
        }
    }
    let next = (events.len() == STEP)
        .then(|| events.last().map(|last| last.offset))
        .flatten();
    Ok(json!({"done": done, "next": next}))
}

/// A replay is itself in the log; replaying it again would double it at every
/// call.
pub(super) fn may_replay(stored: &Stored) -> bool {
    stored.origin == crate::log::Origin::Accepted
}

/// Where a replay goes.
#[derive(Clone, Debug)]
pub(super) enum Plan {
    Own,
    To(Vec<DestinationName>),
    Route,
}

impl Plan {
    /// `to` and `route` of a request.
    pub(super) fn read(house: &House, asked: &Value) -> Result<Self, Refusal> {
        let asked = select::object(asked)?;
        let route = flag(asked, "route")?;
        let Some(to) = asked.get("to") else {
            return Ok(if route { Self::Route } else { Self::Own });
        };
        if route {
            let said = "say `to` or `route`, not both: each says where it goes";
            return Err(Refusal::bad_request(said));
        }
        let names =
            texts(to).ok_or_else(|| Refusal::bad_request("to is a list of destination names"))?;
        let names: Vec<DestinationName> = names.into_iter().map(DestinationName::from).collect();
        match names.iter().find(|name| !house.workers.contains_key(*name)) {
            Some(unknown) => Err(unknown_destination(house, unknown.as_str())),
            None => Ok(Self::To(names)),
        }
    }

    /// Returns how many copies are owed anew.
    pub(super) async fn replay(&self, house: &House, stored: &Stored) -> Result<usize, Refusal> {
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

/// `check`: what is wrong with the files as they are now; nothing is applied.
pub async fn check(house: &House) -> Result<Value, Refusal> {
    // Reading many files many times at once would help nobody.
    static ONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let _one_at_a_time = ONE.lock().await;
    let (answer, answered) = oneshot::channel();
    let asked = house.commands.send(Command::Check(answer)).await;
    asked.map_err(|_| Refusal::stopping())?;
    answered.await.map_err(|_| Refusal::stopping())
}

/// `reload`: 200 `{hash}` or 422 with the complaints.
pub async fn reload(house: &House) -> Result<Value, Refusal> {
    let (answer, answered) = oneshot::channel();
    let asked = house.commands.send(Command::Reload(answer)).await;
    asked.map_err(|_| Refusal::stopping())?;
    match answered.await.map_err(|_| Refusal::stopping())? {
        Ok(hash) => Ok(json!({"hash": hash})),
        Err(complaints) => {
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            Err(Refusal::with_body(status, complaints))
        }
    }
}
