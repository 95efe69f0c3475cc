//! Liveness, readiness, and the scrape.
//!
//! Ready means: the disk takes events, a configuration is in force, the log
//! moves. A destination's trouble never makes the gateway unready, but a
//! gateway that has work, could do it, and does nothing for minutes is broken,
//! however alive its process is.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use http::{Response, StatusCode};
use tokio::time::Instant;

use super::House;
use super::answer::{Body, text};
use crate::deliver::State;
use crate::event::DestinationName;
use crate::log::Totals;

/// A healthy destination with work waiting that makes no attempt for this long
/// means that our own machinery stands still.
const STANDSTILL_MAX: Duration = Duration::from_secs(300);

/// When each destination last moved.
#[derive(Debug, Default)]
pub struct Progress(Mutex<HashMap<DestinationName, Movement>>);

#[derive(Clone, Copy, Debug)]
struct Movement {
    attempts: u64,
    settled: u64,
    since: Instant,
}

impl Progress {
    /// Notes the counts seen now; says for how long neither has changed
    /// although there was work that nothing (pause, breaker, rate, attempts
    /// within their timeout, a retry's time) holds back.
    fn standstill(
        &self,
        name: &DestinationName,
        totals: &Totals,
        state: &State,
        attempts: u64,
        now: Instant,
    ) -> Duration {
        let settled = totals.owed - totals.pending();
        let in_time = |until: Option<Instant>| until.is_some_and(|until| now <= until);
        let in_air = if in_time(state.busy_until) {
            state.in_flight
        } else {
            0
        };
        let held_back = totals.pending() <= (state.waiting + in_air) as u64
            || in_time(state.held_until)
            || state.paused
            || state.breaker_open;
        let Ok(mut seen) = self.0.lock() else {
            return Duration::ZERO;
        };
        let movement = seen.entry(name.clone()).or_insert(Movement {
            attempts,
            settled,
            since: now,
        });
        if held_back || movement.attempts != attempts || movement.settled != settled {
            *movement = Movement {
                attempts,
                settled,
                since: now,
            };
        }
        now.duration_since(movement.since)
    }
}

/// `/readyz`: 200 or 503 with the reasons, one a line.
pub fn ready(house: &House) -> Response<Body> {
    let reasons = unready(house);
    if reasons.is_empty() {
        return text(StatusCode::OK, "ok\n".to_owned());
    }
    text(StatusCode::SERVICE_UNAVAILABLE, reasons.join("\n") + "\n")
}

/// Why `/readyz` says no, if it does.
fn unready(house: &House) -> Vec<String> {
    let mut reasons: Vec<String> = house.log.health().err().into_iter().collect();
    reasons.extend(standing_still(house));
    reasons
}

/// What a restart may mend, if anything: a log that is poisoned or hangs, and
/// machinery of ours that stands still. A full disk is none of it: a new
/// process would find it as full, and deliveries, which make room, would lose
/// what they have in the air.
pub fn broken(house: &House) -> Vec<String> {
    let mut reasons: Vec<String> = house.log.moves().err().into_iter().collect();
    reasons.extend(standing_still(house));
    reasons
}

#[allow(
    clippy::disallowed_methods,
    reason = "measures our own standstill on the monotonic clock"
)]
fn standing_still(house: &House) -> Vec<String> {
    let totals = house.log.totals();
    let now = Instant::now();
    let mut reasons = Vec::new();
    for worker in house.workers.iter() {
        let (name, state) = (worker.key(), worker.state());
        let Some(totals) = totals.get(name) else {
            continue;
        };
        let attempts = state.attempts;
        let still = house
            .progress
            .standstill(name, totals, &state, attempts, now);
        if still >= STANDSTILL_MAX {
            reasons.push(format!(
                "destination {name} has work and has not moved for {} s",
                still.as_secs()
            ));
        }
    }
    reasons
}

/// `/metrics`: the accounts of the log and the workers' states are set, then
/// everything is written out.
pub fn metrics(house: &House) -> String {
    let metrics = &house.metrics;
    let now = house.clock.now();
    // Two scrapes at once would see a counter between its reset and its value.
    static SCRAPE: Mutex<()> = Mutex::new(());
    let _one_at_a_time = SCRAPE.lock();
    for (name, totals) in house.log.totals() {
        let name = name.as_str();
        if totals.owed == 0 && !house.workers.contains_key(name) {
            continue;
        }
        set(&metrics.deliveries_owed_total, &[name], totals.owed);
        set(
            &metrics.deliveries_settled_total,
            &[name, "delivered"],
            totals.delivered,
        );
        set(
            &metrics.deliveries_settled_total,
            &[name, "dead"],
            totals.dead,
        );
        set(
            &metrics.deliveries_settled_total,
            &[name, "dropped"],
            totals.dropped,
        );
        metrics
            .deliveries_pending
            .with_label_values(&[name])
            .set(gauge(totals.pending()));
        metrics
            .backlog_bytes
            .with_label_values(&[name])
            .set(gauge(totals.pending_bytes));
        metrics
            .dead_letters
            .with_label_values(&[name])
            .set(gauge(totals.dead_letters));
        let age = totals
            .oldest
            .map_or(0.0, |oldest| now.since(oldest).as_secs_f64());
        metrics
            .oldest_undelivered_seconds
            .with_label_values(&[name])
            .set(age);
    }
    for (name, totals) in house.log.source_totals() {
        let name = name.as_str();
        set(&metrics.events_accepted_total, &[name], totals.accepted);
        set(&metrics.events_unrouted_total, &[name], totals.unrouted);
        set(&metrics.events_duplicate_total, &[name], totals.duplicate);
    }
    metrics.ready.set(i64::from(unready(house).is_empty()));
    metrics.log_bytes.set(gauge(house.log.disk_bytes()));
    if let Some(at) = house.tls.as_ref().and_then(|tls| tls.standing().expires_at) {
        let expiry = &metrics.tls_certificate_expiry_seconds;
        expiry
            .with_label_values::<&str>(&[])
            .set(gauge(at.as_secs()));
    }
    metrics.render()
}

fn set(family: &prometheus::IntCounterVec, labels: &[&str], value: u64) {
    let counter = family.with_label_values(labels);
    counter.reset();
    counter.inc_by(value);
}

fn gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// X25: alive is not enough.
    #[tokio::test(start_paused = true)]
    async fn work_that_nothing_holds_back_and_that_does_not_move_is_a_standstill() {
        let progress = Progress::default();
        let name = DestinationName::from("crm");
        let totals = Totals {
            owed: 3,
            delivered: 1,
            ..Totals::default()
        };
        let free = State::default();
        let look = |totals: &Totals, state: &State, attempts| {
            progress
                .standstill(&name, totals, state, attempts, Instant::now())
                .as_secs()
        };
        assert_eq!(look(&totals, &free, 1), 0);
        tokio::time::advance(Duration::from_secs(400)).await;
        assert_eq!(look(&totals, &free, 1), 400);
        assert_eq!(look(&totals, &free, 2), 0, "an attempt is a movement");
        tokio::time::advance(Duration::from_secs(400)).await;
        let open = State {
            breaker_open: true,
            ..State::default()
        };
        assert_eq!(
            look(&totals, &open, 2),
            0,
            "an open breaker is the destination's trouble, not ours"
        );
        tokio::time::advance(Duration::from_secs(400)).await;
        let retrying = State {
            waiting: 2,
            ..State::default()
        };
        assert_eq!(
            look(&totals, &retrying, 2),
            0,
            "retries wait for their time"
        );
        tokio::time::advance(Duration::from_secs(400)).await;
        let now = Instant::now();
        let held = State {
            held_until: Some(now + Duration::from_secs(600)),
            ..State::default()
        };
        assert_eq!(look(&totals, &held, 2), 0, "six an hour is a rate");
        let busy = State {
            in_flight: 2,
            busy_until: held.held_until,
            ..State::default()
        };
        tokio::time::advance(Duration::from_secs(400)).await;
        assert_eq!(look(&totals, &busy, 2), 0, "the attempts have time");
        tokio::time::advance(Duration::from_secs(400)).await;
        assert_eq!(look(&totals, &held, 2), 400, "its time is over");
        assert_eq!(look(&totals, &busy, 2), 400, "their time is over");
        let done = Totals {
            owed: 3,
            delivered: 3,
            ..Totals::default()
        };
        assert_eq!(look(&done, &free, 2), 0, "no work, no standstill");
    }
}
