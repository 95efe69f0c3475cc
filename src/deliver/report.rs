//! What the world sees of a worker: its metrics, its state for `status`, and
//! its log lines, each with the same fields in the same order.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus::{Histogram, IntCounter, IntGauge};
use tokio::time::Instant;

use super::{LastError, State};
use crate::clock::Timestamp;
use crate::event::{DestinationName, Event, EventId};
use crate::metrics::Metrics;
use crate::settle::{Outcome, Settlement, Verdict};

/// One worker's voice. The series are looked up once, not per attempt.
#[derive(Debug)]
pub(super) struct Report {
    name: DestinationName,
    state: Arc<Mutex<State>>,
    metrics: Arc<Metrics>,
    /// Attempts that went well, which most do.
    answered_well: IntCounter,
    attempt_seconds: Histogram,
    delivery_seconds: Histogram,
    in_flight: IntGauge,
    breaker_open: IntGauge,
    paused: IntGauge,
    loops_stopped: IntCounter,
    late_deliveries: IntCounter,
    stuck_passed: IntCounter,
}

/// One attempt that has been judged.
#[derive(Debug)]
pub(super) struct Judged<'a> {
    pub event: &'a Event,
    pub attempt: u32,
    pub outcome: &'a Outcome,
    pub took: Duration,
    pub verdict: Verdict,
    pub detail: &'a str,
    pub now: Timestamp,
}

impl Report {
    pub(super) fn new(
        name: &DestinationName,
        metrics: Arc<Metrics>,
        state: Arc<Mutex<State>>,
    ) -> Self {
        let label = &[name.as_str()];
        Self {
            name: name.clone(),
            state,
            answered_well: (metrics.attempts_total).with_label_values(&[name.as_str(), WELL]),
            attempt_seconds: metrics.attempt_seconds.with_label_values(label),
            delivery_seconds: metrics.delivery_seconds.with_label_values(label),
            in_flight: metrics.in_flight.with_label_values(label),
            breaker_open: metrics.breaker_open.with_label_values(label),
            paused: metrics.paused.with_label_values(label),
            loops_stopped: metrics.loops_stopped_total.with_label_values(label),
            late_deliveries: metrics.late_deliveries_total.with_label_values(label),
            stuck_passed: metrics.stuck_passed_total.with_label_values(label),
            metrics,
        }
    }

    pub(super) fn now_in_air(&self, attempts: usize) {
        self.in_flight
            .set(i64::try_from(attempts).unwrap_or(i64::MAX));
        self.state().in_flight = attempts;
    }

    /// All in the air must have ended by `busy_until`.
    pub(super) fn began(&self, busy_until: Option<Instant>) {
        let mut state = self.state();
        state.attempts += 1;
        state.busy_until = busy_until;
    }

    /// How many wait for their time although there is room to start them, and
    /// until when it is right that no more start.
    pub(super) fn waiting(&self, deliveries: usize, retrying: usize, held_until: Option<Instant>) {
        let mut state = self.state();
        state.waiting = deliveries;
        state.retrying = retrying;
        state.held_until = held_until;
    }

    pub(super) fn breaker(&self, open: bool) {
        let mut state = self.state();
        if state.breaker_open == open {
            return;
        }
        state.breaker_open = open;
        drop(state);
        self.breaker_open.set(i64::from(open));
        if open {
            tracing::warn!(destination = %self.name, "breaker.opened");
        } else {
            tracing::info!(destination = %self.name, "breaker.left");
        }
    }

    pub(super) fn paused(&self, paused: bool) {
        let mut state = self.state();
        let changed = state.paused != paused;
        state.paused = paused;
        state.gone &= paused;
        drop(state);
        self.paused.set(i64::from(paused));
        if changed {
            tracing::info!(destination = %self.name, paused, "destination.paused");
        }
    }

    /// A 410: loud, because nothing will go there until somebody acts.
    pub(super) fn gone(&self, event: EventId) {
        self.state().gone = true;
        tracing::error!(
            destination = %self.name,
            event = %event,
            "destination.gone: it answered 410 and is paused; `hookfan resume {}` when it is back",
            self.name,
        );
    }

    pub(super) fn judged(&self, judged: &Judged<'_>) {
        let Judged {
            event,
            attempt,
            outcome,
            took,
            verdict,
            detail,
            now,
        } = judged;
        self.attempt_seconds.observe(took.as_secs_f64());
        match outcome.label() {
            WELL => self.answered_well.inc(),
            other => self
                .metrics
                .attempts_total
                .with_label_values(&[self.name.as_str(), other])
                .inc(),
        }
        let failed = !matches!(verdict, Verdict::Settle(Settlement::Delivered));
        if failed {
            let mut state = self.state();
            state.failed += 1;
            state.last_error = Some(LastError {
                at: *now,
                outcome: outcome.label().to_owned(),
                status: outcome.status(),
                detail: (*detail).to_owned(),
            });
        }
        let verdict = match verdict {
            Verdict::Settle(settlement) => settlement.label(),
            Verdict::Retry { .. } => "retry",
        };
        let took_ms = millis(*took);
        let (outcome, status) = (outcome.label(), outcome.status());
        if failed {
            tracing::info!(destination = %self.name, event = %event.id, attempt, outcome, status, took_ms, verdict, trace = event.trace().map(tracing::field::display), "attempt.judged");
        } else {
            tracing::debug!(destination = %self.name, event = %event.id, attempt, outcome, status, took_ms, verdict, trace = event.trace().map(tracing::field::display), "attempt.judged");
        }
    }

    /// `attempts`: those made; `waited`: since the event was accepted.
    pub(super) fn settled(
        &self,
        event: EventId,
        settlement: Settlement,
        attempts: u32,
        waited: Duration,
        now: Timestamp,
    ) {
        let reason = match settlement {
            Settlement::Dead(reason) => Some(reason.as_str()),
            Settlement::Delivered | Settlement::Dropped => None,
        };
        let (settlement, took_ms) = (settlement.label(), millis(waited));
        if settlement == Settlement::Delivered.label() {
            self.delivery_seconds.observe(waited.as_secs_f64());
            self.state().last_delivered_at = Some(now);
            tracing::debug!(destination = %self.name, %event, attempts, settlement, reason, took_ms, "delivery.settled");
        } else {
            tracing::info!(destination = %self.name, %event, attempts, settlement, reason, took_ms, "delivery.settled");
        }
    }

    pub(super) fn loop_stopped(&self) {
        self.loops_stopped.inc();
    }

    pub(super) fn late(&self) {
        self.late_deliveries.inc();
    }

    pub(super) fn stuck_passed(&self) {
        self.stuck_passed.inc();
    }

    /// The worker has ended; `abandoned` attempts were still in the air.
    pub(super) fn ended(&self, abandoned: usize) {
        self.now_in_air(0);
        if abandoned > 0 {
            tracing::warn!(destination = %self.name, abandoned, "worker.ended: what was abandoned will be sent again");
        } else {
            tracing::debug!(destination = %self.name, abandoned, "worker.ended");
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The label of the outcome that most attempts have.
const WELL: &str = "2xx";

pub(super) fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}
