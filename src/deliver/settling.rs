//! The worker's second half: what becomes of a delivery whose attempt ended, or
//! for which there is no request. Each ends here in exactly one word to the
//! ledger: settled, or to be tried again.

use std::time::Duration;

use super::Destination;
use super::answer::{ATTEMPT_DETAIL_BYTES_MAX, cut};
use super::attempt::{Answer, Client};
use super::in_air::{Landed, Panicked};
use super::lanes::{Tried, Turn};
use super::ledger::Ledger;
use super::report::{Judged, millis};
use super::worker::{Flight, Run};
use crate::event::Event;
use crate::log::{Attempt, Delivery};
use crate::settle::{self, Outcome, Reason, Settlement, Verdict, judge};
use crate::transform::Unsendable;

impl<L: Ledger, C: Fn(&Destination) -> Client + Send + 'static> Run<L, C> {
    /// There is no request: dead, or later, or not wanted.
    pub(super) fn unsendable(&mut self, turn: Turn, delivery: &Delivery, unsendable: Unsendable) {
        let (now, wall) = (self.steady.now(), self.means.clock.now());
        let accepted_at = delivery.stored.event.accepted_at;
        let (settlement, detail) = match unsendable {
            Unsendable::Dead { reason, detail } => (Settlement::Dead(reason), detail),
            Unsendable::Skip { rule } => (Settlement::Dropped, rule.to_owned()),
            Unsendable::Wait {
                for_at_most,
                reason,
                detail,
            } => {
                // The wall clock is asked once, and believed for no more than
                // the wait: a later jump of it neither kills nor keeps.
                let tried = turn.tried.unwrap_or_else(|| Tried {
                    since: now.minus(wall.since(accepted_at).min(for_at_most)),
                    attempts: delivery.attempts,
                });
                let left = for_at_most.saturating_sub(now.since(tried.since));
                if !left.is_zero() {
                    return self
                        .lanes
                        .put_back(turn, now.plus(left.min(LOOK_AGAIN)), tried, now);
                }
                (Settlement::Dead(reason), detail)
            }
        };
        let attempts = delivery
            .attempts
            .max(turn.tried.map_or(0, |tried| tried.attempts));
        self.end_unsent(turn, delivery, settlement, &detail, (attempts, None));
    }

    /// Settles what was not answered: `tried` says how often it was tried, and
    /// the attempt that found out, if one did.
    fn end_unsent(
        &mut self,
        turn: Turn,
        delivery: &Delivery,
        settlement: Settlement,
        detail: &str,
        (attempts, last): (u32, Option<Attempt>),
    ) {
        let (now, wall) = (self.steady.now(), self.means.clock.now());
        if !self.ledger.settle(turn.offset, settlement, last, detail) {
            // Dropped meanwhile by its budget: it has its end, and only one.
            return self.lanes.end(turn, now);
        }
        if settlement == Settlement::Dead(Reason::Late) {
            self.report.late();
        }
        let event = &delivery.stored.event;
        let age = wall.since(event.accepted_at);
        self.report
            .settled(event.id, settlement, attempts, age, wall);
        self.lanes.end(turn, now);
    }

    pub(super) fn landed(&mut self, landed: Landed<Flight>) {
        let Landed {
            flight,
            answer,
            took,
        } = landed;
        match answer {
            Ok(answer) => match answer.instead {
                Some(unsendable) => self.given_up(flight, unsendable, took),
                None => self.judge(flight, &answer, took),
            },
            Err(Panicked) => {
                tracing::error!(destination = %self.destination.name, event = %flight.delivery.stored.event.id, "attempt.panicked");
                let dead = Unsendable::Dead {
                    reason: Reason::Unsendable,
                    detail: "panicked: this is a bug in hookfan".to_owned(),
                };
                self.unsendable(flight.turn, &flight.delivery, dead);
            }
        }
        self.report.now_in_air(self.in_air.len());
        self.report.breaker(self.memory.breaker.is_open());
    }

    /// A dialogue found out on its way that there is nothing to send, or not yet.
    fn given_up(&mut self, flight: Flight, unsendable: Unsendable, took: Duration) {
        let Flight {
            turn,
            delivery,
            number,
            at,
            since,
            ..
        } = flight;
        let (now, wall) = (self.steady.now(), self.means.clock.now());
        let attempt = |outcome: &'static str, detail: &str| Attempt {
            number,
            at,
            outcome: outcome.into(),
            status: None,
            took_ms: millis(took),
            detail: cut(detail, ATTEMPT_DETAIL_BYTES_MAX).to_owned(),
        };
        let (settlement, detail) = match unsendable {
            Unsendable::Dead { reason, detail } => (Settlement::Dead(reason), detail),
            Unsendable::Skip { rule } => (Settlement::Dropped, rule.to_owned()),
            Unsendable::Wait {
                for_at_most,
                reason,
                detail,
            } => {
                let left = for_at_most.saturating_sub(now.since(since));
                if !left.is_zero() {
                    let again = left.min(LOOK_AGAIN);
                    let attempt = attempt(WAITS, &detail);
                    self.ledger.retry(turn.offset, attempt, wall.plus(again));
                    let tried = Tried {
                        since,
                        attempts: number,
                    };
                    return self.lanes.put_back(turn, now.plus(again), tried, now);
                }
                (Settlement::Dead(reason), detail)
            }
        };
        let last = Some(attempt(GIVEN_UP, &detail));
        self.end_unsent(turn, &delivery, settlement, &detail, (number, last));
    }

    fn judge(&mut self, flight: Flight, answer: &Answer, took: Duration) {
        let Flight {
            turn,
            delivery,
            number,
            at,
            since,
            late,
        } = flight;
        let Answer {
            outcome, detail, ..
        } = answer;
        let (now, wall) = (self.steady.now(), self.means.clock.now());
        // How long it has been failing is measured on the steady clock.
        let first_at = wall.minus(now.since(since));
        let tried = settle::Tried {
            attempt: number,
            first_at,
            now: wall,
            jitter: self.means.clock.jitter(),
        };
        let verdict = judge(&self.destination.retry, outcome, tried);
        let event = &delivery.stored.event;
        self.report.judged(&Judged {
            event,
            attempt: number,
            outcome,
            took,
            verdict,
            detail,
            now: wall,
        });
        let attempt = Attempt {
            number,
            at,
            outcome: outcome.label().into(),
            status: outcome.status(),
            took_ms: millis(took),
            detail: cut(detail, ATTEMPT_DETAIL_BYTES_MAX).to_owned(),
        };
        match verdict {
            Verdict::Retry { at } => {
                self.ledger.retry(turn.offset, attempt, at);
                self.lanes.put_back(
                    turn,
                    now.plus(at.since(wall)),
                    Tried {
                        since,
                        attempts: number,
                    },
                    now,
                );
            }
            Verdict::Settle(settlement) => {
                self.ledger
                    .settle(turn.offset, settlement, Some(attempt), detail);
                self.report.settled(
                    event.id,
                    settlement,
                    number,
                    wall.since(event.accepted_at),
                    wall,
                );
                self.after(settlement, outcome, event, turn.passed, late);
                self.lanes.end(turn, now);
            }
        }
    }

    /// What else a settlement means.
    fn after(
        &mut self,
        settlement: Settlement,
        outcome: &Outcome,
        event: &Event,
        passed: bool,
        late: bool,
    ) {
        if late {
            self.report.late();
        }
        match settlement {
            Settlement::Delivered if passed => self.report.stuck_passed(),
            Settlement::Dead(Reason::Loop) => self.report.loop_stopped(),
            Settlement::Dead(Reason::Gone) if outcome.status() == Some(410) => {
                self.report.gone(event.id);
                // At once, not when the order comes round: nothing more goes there.
                self.paused = true;
                self.ledger.set_paused(true);
                self.report.paused(true);
                self.orders.send_modify(|orders| orders.paused = true);
            }
            Settlement::Delivered | Settlement::Dead(_) | Settlement::Dropped => {}
        }
    }
}

/// How often a delivery that waits for something is looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// What an attempt came to that has to wait for something; no outcome of a
/// request.
const WAITS: &str = "waits";

/// What an attempt came to that found out there is nothing to send.
const GIVEN_UP: &str = "given_up";
