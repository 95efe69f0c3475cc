//! When a certificate is ordered: a pure decision about what is held, what was
//! tried, the time and a throw of dice.

use std::time::Duration;

use crate::clock::Timestamp;

/// The certificate in force.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
    /// It is good for every name that is configured.
    pub(super) fits: bool,
}

/// What was tried so far. The orders and the server's word outlive the process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tried {
    /// In a row; 0 after a success, and after a restart: whoever restarts has
    /// perhaps repaired something.
    pub(super) failures: u32,
    pub(super) failed_at: Option<Timestamp>,
    /// The last failure was a server that did not answer, not one that refused.
    pub(super) unreached: bool,
    /// Not before then, says the server.
    pub(super) not_before: Option<Timestamp>,
    /// When orders were placed, oldest first, as far as they matter.
    pub(super) orders: Vec<Timestamp>,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// The certificate is good; look again then.
    Keep { until: Timestamp },
    /// Get one.
    Order,
    /// One is due, but not yet allowed.
    Wait { until: Timestamp },
}

/// Decides. `chance` is 0 to 1; it is thrown once for each certificate and once
/// for each failure, so that asking twice gives one answer.
pub(super) fn act(held: Option<Held>, tried: &Tried, now: Timestamp, chance: f64) -> Act {
    let due = held.map_or(now, |held| due(held, chance));
    if due > now {
        return Act::Keep { until: due };
    }
    let until = [
        backed_off(tried, now, chance),
        told(tried, now),
        budget(tried, now),
    ];
    match until.into_iter().flatten().max() {
        Some(until) if until > now => Act::Wait { until },
        _ => Act::Order,
    }
}

impl Tried {
    /// An order is about to be placed.
    pub(super) fn ordering(&mut self, now: Timestamp) {
        self.orders.push(now);
        let superfluous = self.orders.len().saturating_sub(ORDERS_PER_HOUR_MAX);
        self.orders.drain(..superfluous);
    }

    /// It came to nothing. `retry_at` is what the server said.
    pub(super) fn failed(&mut self, now: Timestamp, unreached: bool, retry_at: Option<Timestamp>) {
        self.failures = self.failures.saturating_add(1);
        self.failed_at = Some(now);
        self.unreached = unreached;
        self.not_before = retry_at;
    }

    /// There is a new certificate.
    pub(super) fn succeeded(&mut self) {
        *self = Self {
            orders: std::mem::take(&mut self.orders),
            ..Self::default()
        };
    }
}

/// A third of the lifetime before the end, or up to a thirtieth earlier: a
/// fleet that was set up in one minute does not renew in one minute.
fn due(held: Held, chance: f64) -> Timestamp {
    if !held.fits {
        return Timestamp::from_millis(0);
    }
    let lifetime = held.not_after.since(held.not_before);
    let left = lifetime / 3 + (lifetime / 30).mul_f64(chance.clamp(0.0, 1.0));
    held.not_after.minus(left)
}

/// After failures, longer each time, a quarter more or less.
fn backed_off(tried: &Tried, now: Timestamp, chance: f64) -> Option<Timestamp> {
    let failed_at = tried.failed_at?;
    let step = usize::try_from(tried.failures)
        .unwrap_or(usize::MAX)
        .checked_sub(1)?;
    let longest = BACK_OFF.len() - 1;
    let mut pause = BACK_OFF.get(step.min(longest)).copied()?;
    if tried.unreached {
        // To knock costs the server nothing, and counts for none of its limits.
        pause = pause.min(UNREACHED_MAX);
    }
    let pause = pause.mul_f64(0.75 + chance.clamp(0.0, 1.0) / 2.0);
    // A wall clock that was set back must not add its leap.
    Some(failed_at.min(now).plus(pause))
}

/// What the server said, within reason.
fn told(tried: &Tried, now: Timestamp) -> Option<Timestamp> {
    tried
        .not_before
        .map(|until| until.min(now.plus(RETRY_AFTER_MAX)))
}

/// So many orders an hour and not one more.
fn budget(tried: &Tried, now: Timestamp) -> Option<Timestamp> {
    let hour_ago = now.minus(HOUR);
    let counted = |at: &&Timestamp| **at > hour_ago && **at <= now;
    let counted: Vec<&Timestamp> = tried.orders.iter().filter(counted).collect();
    if counted.len() < ORDERS_PER_HOUR_MAX {
        return None;
    }
    counted.first().map(|first| first.plus(HOUR))
}

const HOUR: Duration = Duration::from_secs(3600);

/// Let's Encrypt allows five failed proofs of a name in an hour.
pub(super) const ORDERS_PER_HOUR_MAX: usize = 4;

/// The first failure is often a race at start: the second try comes soon.
const BACK_OFF: [Duration; 8] = [
    Duration::from_secs(3),
    Duration::from_secs(30),
    Duration::from_secs(5 * 60),
    Duration::from_secs(15 * 60),
    HOUR,
    Duration::from_secs(2 * 3600),
    Duration::from_secs(4 * 3600),
    Duration::from_secs(6 * 3600),
];

/// Between two attempts to reach a server that does not answer.
const UNREACHED_MAX: Duration = Duration::from_secs(15 * 60);

/// Longer than any limit of Let's Encrypt lasts.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

#[cfg(test)]
mod tests;
