//! From readings to durable events, the way that webhooks and fetched events
//! share: leave out what was taken before, name the customer, say what is owed,
//! append, remember what was taught.

use std::cell::LazyCell;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use super::answer::Refused;
use super::{Front, Ingress, Source};
use crate::clock::Timestamp;
use crate::event::{Direction, Event, EventId, Key, Owed, SourceName};
use crate::expression::Scope;
use crate::link::Standing;
use crate::links::{Links, SeenId};
use crate::log::{Accepted, AppendError, Log, Receipt};
use crate::metrics::Metrics;
use crate::vendor::Reading;

/// How the readings came.
#[derive(Debug, Default)]
pub(super) struct Passage {
    pub(super) hops: u8,
    pub(super) headers: Vec<(Arc<str>, Arc<str>)>,
}

/// Events that are to become durable, and what they teach once they are.
#[derive(Debug)]
pub(super) struct Batch {
    events: Vec<Accepted>,
    customers: Vec<(Key, Arc<str>)>,
    standings: Vec<(Key, Standing)>,
    shown: Shown,
}

/// The messages that snapshots showed, by conversation: those left out and
/// those taken.
#[derive(Debug)]
struct Shown {
    ids: HashMap<Key, Vec<SeenId>>,
    at: Timestamp,
    remember: Duration,
}

/// Why fetched events were not taken. For the operator.
#[derive(Debug, thiserror::Error)]
pub enum NotTaken {
    #[error("there is no source {0} any more")]
    NoSource(SourceName),
    #[error("{0}")]
    Log(#[from] AppendError),
    #[error("what was taken before cannot be looked up: {0}")]
    Links(String),
    #[error("what was fetched could not be read: this is a bug in hookfan")]
    Panicked,
}

/// Why a webhook is refused while what was seen cannot be looked up.
const LINKS_UNREADABLE: &str = "links_unreadable";

impl Ingress {
    /// Takes events that nobody posted: a vendor was asked for them. Durable
    /// when it returns.
    pub async fn accept(
        &self,
        source: &SourceName,
        readings: Vec<Reading>,
    ) -> Result<Vec<Receipt>, NotTaken> {
        let front = self.front.load_full();
        let Some(source) = front.sources.get(source) else {
            return Err(NotTaken::NoSource(source.clone()));
        };
        let batch = self
            .batch(&front, source, Passage::default(), readings)
            .await
            .map_err(|refused| match refused.why {
                LINKS_UNREADABLE => NotTaken::Links(refused.detail.unwrap_or_default()),
                _ => NotTaken::Panicked,
            })?;
        Ok(batch.append(&self.log, &self.links).await?)
    }

    /// Nothing is written yet.
    pub(super) async fn batch(
        &self,
        front: &Front,
        source: &Source,
        passage: Passage,
        mut readings: Vec<Reading>,
    ) -> Result<Batch, Refused> {
        let ids = self.leave_out_seen(source, &mut readings).await?;
        self.name_customers(source, &mut readings).await;
        let standings = readings
            .iter()
            .filter_map(|reading| {
                let standing = reading.standing?;
                Some((key(source, reading)?, standing))
            })
            .collect();
        let now = self.clock.now();
        let events = caught(|| Ok(events(front, &self.metrics, source, passage, readings, now)))?;
        Ok(Batch {
            customers: customers(&events),
            standings,
            events,
            shown: Shown {
                ids,
                at: now,
                remember: source.reader.remember(),
            },
        })
    }

    /// A snapshot shows again what was taken from the ones before. Two that
    /// come at once may both pass here: then the log tells them apart, as it
    /// does after a crash, for as long as `log.dedupe`.
    async fn leave_out_seen(
        &self,
        source: &Source,
        readings: &mut Vec<Reading>,
    ) -> Result<HashMap<Key, Vec<SeenId>>, Refused> {
        let mut shown: HashMap<Key, Vec<SeenId>> = HashMap::new();
        if !readings.iter().any(|reading| reading.once) {
            return Ok(shown);
        }
        for reading in readings.iter() {
            if let Some((key, id)) = once(source, reading) {
                shown.entry(key).or_default().push(id);
            }
        }
        let mut seen: HashMap<Key, Vec<bool>> = HashMap::new();
        for (key, ids) in &shown {
            // Not knowing is our fault, and no reason to say it all again.
            let found = self.links.seen(key, ids).await.map_err(|error| {
                Refused::new(StatusCode::SERVICE_UNAVAILABLE, LINKS_UNREADABLE)
                    .detail(error)
                    .retry_after(Duration::from_secs(5))
            })?;
            seen.insert(key.clone(), found);
        }
        let mut seen: HashMap<Key, _> = seen
            .into_iter()
            .map(|(key, found)| (key, found.into_iter()))
            .collect();
        readings.retain(|reading| {
            let found = once(source, reading)
                .and_then(|(key, _)| seen.get_mut(&key).and_then(Iterator::next));
            found != Some(true)
        });
        Ok(shown)
    }

    /// An outgoing message does not name its customer; the conversation does.
    async fn name_customers(&self, source: &Source, readings: &mut [Reading]) {
        for reading in readings {
            if reading.user.is_none()
                && reading.direction == Some(Direction::Outgoing)
                && let Some(key) = key(source, reading)
            {
                let known = self.links.find_customer(&key).await;
                reading.user = known.map(|user| user.to_string());
            }
        }
    }
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty() && self.shown.ids.is_empty()
    }

    pub(super) async fn append(
        self,
        log: &Log,
        links: &Links,
    ) -> Result<Vec<Receipt>, AppendError> {
        let receipts = match self.events.is_empty() {
            false => log.append(self.events).await?,
            // All of it was taken before.
            true => Vec::new(),
        };
        let Shown { ids, at, remember } = self.shown;
        for (key, ids) in &ids {
            links.remember_seen(key, ids, at, remember);
        }
        for (key, user) in &self.customers {
            links.remember_customer(key, user);
        }
        for (key, standing) in &self.standings {
            links.stand(key, *standing).await;
        }
        Ok(receipts)
    }
}

/// A panic on one body is our fault, and only this request's loss.
pub(super) fn caught<T>(work: impl FnOnce() -> Result<T, Refused>) -> Result<T, Refused> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_panic| {
        Err(Refused::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "reader_panic",
        ))
    })
}

/// What was read, with what it owes; nothing is written yet.
fn events(
    front: &Front,
    metrics: &Metrics,
    source: &Source,
    mut passage: Passage,
    readings: Vec<Reading>,
    now: Timestamp,
) -> Vec<Accepted> {
    // Ids of one webhook's events count up, so that they sort as they came.
    let mut chance = fastrand::u128(..);
    let mut left = readings.len();
    let events = readings.into_iter().map(|reading| {
        let id = EventId::new(now, chance);
        chance = chance.wrapping_add(1);
        left -= 1;
        // The last one, most often the only one, has the headers themselves.
        let passage = Passage {
            hops: passage.hops,
            headers: match left {
                0 => std::mem::take(&mut passage.headers),
                _ => passage.headers.clone(),
            },
        };
        accepted(front, metrics, source, passage, reading, id)
    });
    events.collect()
}

fn accepted(
    front: &Front,
    metrics: &Metrics,
    source: &Source,
    passage: Passage,
    reading: Reading,
    id: EventId,
) -> Accepted {
    let event = Event {
        id,
        source: source.name.clone(),
        kind: source.kind.clone(),
        key: key(source, &reading),
        event_type: reading.event_type,
        vendor_id: reading.vendor_id,
        direction: reading.direction,
        user: reading.user.map(Arc::from),
        accepted_at: id.accepted_at(),
        hops: passage.hops,
        headers: passage.headers,
        body: reading.body,
    };
    let matched = &metrics.route_matched_total;
    let mut owed = {
        // Most routes have no `when` that would look at it.
        let (message, payload) = (reading.message.as_ref(), &reading.payload);
        let scope = LazyCell::new(|| Scope::new(&event, message, payload));
        (front.routes).owed_by(&source.name, &event.event_type, &scope, |route| {
            let labels = [source.name.as_str(), &route.name];
            matched.with_label_values(&labels).inc();
        })
    };
    if reading.ours {
        stop_loops(front, metrics, &mut owed);
    }
    Accepted { event, owed }
}

/// What we said ourselves is news to nobody who talks: a bridge both ways would
/// say it again for ever.
fn stop_loops(front: &Front, metrics: &Metrics, owed: &mut Vec<Owed>) {
    owed.retain(|owed| {
        let stopped = front.talkers.contains(&owed.destination);
        if stopped {
            let stops = &metrics.loops_stopped_total;
            stops.with_label_values(&[owed.destination.as_str()]).inc();
        }
        !stopped
    });
}

/// What an event that is told once is remembered by. Without a key or an id it
/// cannot be.
fn once(source: &Source, reading: &Reading) -> Option<(Key, SeenId)> {
    let id = reading.vendor_id.as_ref().filter(|_| reading.once)?;
    Some((key(source, reading)?, SeenId::of(id)))
}

/// Ids of conversations are the source's own.
fn key(source: &Source, reading: &Reading) -> Option<Key> {
    let key = reading.key.as_ref()?;
    Some(Key::from([source.name.as_str(), "/", key].concat()))
}

/// What these events teach about who the customer of a conversation is.
fn customers(events: &[Accepted]) -> Vec<(Key, Arc<str>)> {
    let incoming = events
        .iter()
        .filter(|accepted| accepted.event.direction == Some(Direction::Incoming));
    incoming
        .filter_map(|accepted| accepted.event.key.clone().zip(accepted.event.user.clone()))
        .collect()
}

#[cfg(test)]
mod tests;
