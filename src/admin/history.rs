//! The last hour of each destination, and how fast things move now: pure
//! folding of readings; time is an argument.
//!
//! A reading is what has been counted since the start. Two of them, ten seconds
//! apart, make a sample; a ring of 360 samples is an hour. A sample takes 56
//! bytes, so a destination takes at most 20 KiB, and a thousand of them 20 MiB.

use std::collections::VecDeque;
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use crate::clock::Timestamp;

/// From one sample to the next.
pub const SAMPLE_EVERY: Duration = Duration::from_secs(10);
/// An hour of them.
const SAMPLES_MAX: usize = 360;
/// A rate is the mean over this long.
const WINDOW: Duration = Duration::from_secs(10);

/// What a destination's counters say at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    pub owed: u64,
    pub delivered: u64,
    pub dead: u64,
    pub attempts: u64,
    pub failed: u64,
    pub pending: u64,
    pub pending_bytes: u64,
    pub oldest_seconds: Option<u64>,
    /// Cumulative, one for each bound and one for all; empty: none yet.
    pub attempt_buckets: Vec<u64>,
    pub delivery_buckets: Vec<u64>,
}

/// What happened between two readings, and how it stood at the second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    at: Timestamp,
    accepted: u32,
    delivered: u32,
    dead: u32,
    attempts: u32,
    failed: u32,
    pending: u32,
    pending_kib: u32,
    /// [`NEVER`]: nothing is pending.
    oldest_seconds: u32,
    attempt: Spread,
    delivery: Spread,
}

const NEVER: u32 = u32::MAX;

/// Milliseconds below which half, and 99 of a hundred, stay; negative where
/// nothing was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Spread {
    p50: f32,
    p99: f32,
}

/// A sample as it is shown.
#[derive(Debug, Serialize)]
pub struct Shown {
    at: Timestamp,
    accepted: u32,
    delivered: u32,
    dead: u32,
    attempts: u32,
    failed: u32,
    pending: u32,
    pending_bytes: u64,
    oldest_seconds: Option<u32>,
    attempt_ms: Option<Quantiles>,
    delivery_ms: Option<Quantiles>,
}

#[derive(Debug, PartialEq, Serialize)]
struct Quantiles {
    p50: f64,
    p99: f64,
}

/// The bounds of the two histograms, in seconds.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub attempt: &'static [f64],
    pub delivery: &'static [f64],
}

/// What happened from one reading to the next. A counter that went back (its
/// worker was started again) began at zero.
pub fn fold(before: &Reading, after: &Reading, at: Timestamp, bounds: Bounds) -> Sample {
    let attempts = since(&before.attempt_buckets, &after.attempt_buckets);
    let deliveries = since(&before.delivery_buckets, &after.delivery_buckets);
    Sample {
        at,
        accepted: small(grown(before.owed, after.owed)),
        delivered: small(grown(before.delivered, after.delivered)),
        dead: small(grown(before.dead, after.dead)),
        attempts: small(grown(before.attempts, after.attempts)),
        failed: small(grown(before.failed, after.failed)),
        pending: small(after.pending),
        pending_kib: small(after.pending_bytes.div_ceil(1024)),
        oldest_seconds: after
            .oldest_seconds
            .map_or(NEVER, |age| small(age).min(NEVER - 1)),
        attempt: Spread::of(bounds.attempt, &attempts),
        delivery: Spread::of(bounds.delivery, &deliveries),
    }
}

/// How much a counter grew.
fn grown(before: u64, after: u64) -> u64 {
    after.checked_sub(before).unwrap_or(after)
}

fn small(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Cumulative buckets of what came after `before`.
fn since(before: &[u64], after: &[u64]) -> Vec<u64> {
    let before = before.iter().copied().chain(std::iter::repeat(0));
    let pairs = after.iter().zip(before);
    pairs.map(|(after, before)| grown(before, *after)).collect()
}

/// Seconds below which a part of all that was measured stays, as Prometheus'
/// `histogram_quantile` says it: straight lines between the bounds, and the
/// last bound for all beyond it. `None`: nothing was measured.
fn quantile(bounds: &[f64], cumulative: &[u64], part: f64) -> Option<f64> {
    let all = cumulative.last().copied().filter(|all| *all > 0)?;
    let rank = part * float(all);
    let (mut low, mut below) = (0.0, 0.0);
    for (bound, count) in bounds.iter().zip(cumulative) {
        let count = float(*count);
        if count >= rank && count > below {
            return Some(low + (bound - low) * (rank - below) / (count - below));
        }
        (low, below) = (*bound, count);
    }
    bounds.last().copied()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of seconds and of deliveries are far below 2^53"
)]
fn float(count: u64) -> f64 {
    count as f64
}

impl Spread {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "milliseconds of a histogram's bounds: seven digits are plenty"
    )]
    fn of(bounds: &[f64], cumulative: &[u64]) -> Self {
        let ms = |part| {
            quantile(bounds, cumulative, part).map_or(-1.0, |seconds| (seconds * 1000.0) as f32)
        };
        Self {
            p50: ms(0.5),
            p99: ms(0.99),
        }
    }

    fn shown(self) -> Option<Quantiles> {
        let tenths = |ms: f32| (f64::from(ms) * 10.0).round() / 10.0;
        (self.p50 >= 0.0).then(|| Quantiles {
            p50: tenths(self.p50),
            p99: tenths(self.p99),
        })
    }
}

impl Sample {
    fn shown(&self) -> Shown {
        Shown {
            at: self.at,
            accepted: self.accepted,
            delivered: self.delivered,
            dead: self.dead,
            attempts: self.attempts,
            failed: self.failed,
            pending: self.pending,
            pending_bytes: u64::from(self.pending_kib) * 1024,
            oldest_seconds: (self.oldest_seconds != NEVER).then_some(self.oldest_seconds),
            attempt_ms: self.attempt.shown(),
            delivery_ms: self.delivery.shown(),
        }
    }
}

/// An hour of samples, and the reading that the next one starts from.
#[derive(Debug, Default)]
pub struct Ring {
    samples: VecDeque<Sample>,
    last: Option<Reading>,
}

impl Ring {
    /// Takes a reading; every one but the first makes a sample.
    pub fn note(&mut self, reading: Reading, at: Timestamp, bounds: Bounds) {
        if let Some(last) = &self.last {
            if self.samples.len() >= SAMPLES_MAX {
                self.samples.pop_front();
            } else if self.samples.len() == self.samples.capacity() {
                // Grown by minutes, not by doubling: 360 are 360.
                self.samples.reserve_exact(SAMPLES_MAX / 6);
            }
            self.samples.push_back(fold(last, &reading, at, bounds));
        }
        self.last = Some(reading);
    }

    /// Oldest first.
    pub fn shown(&self) -> Vec<Shown> {
        self.samples.iter().map(Sample::shown).collect()
    }
}

/// The readings of the last ten seconds of some counters that are read
/// together.
#[derive(Debug)]
pub struct Window<const N: usize> {
    readings: VecDeque<(Instant, [u64; N])>,
}

impl<const N: usize> Default for Window<N> {
    fn default() -> Self {
        Self {
            readings: VecDeque::new(),
        }
    }
}

impl<const N: usize> Window<N> {
    /// Takes a reading; forgets those that are too old to be the start of the
    /// window.
    pub fn note(&mut self, now: Instant, counts: [u64; N]) {
        self.readings.push_back((now, counts));
        while let Some((second, _)) = self.readings.get(1)
            && now.duration_since(*second) >= WINDOW
        {
            self.readings.pop_front();
        }
    }

    /// How much was counted a second, on the mean of the window; to hundredths.
    pub fn rates(&self, now: Instant, counts: [u64; N]) -> [f64; N] {
        let Some((start, first)) = self.readings.front() else {
            return [0.0; N];
        };
        // What was counted just now is not yet a rate.
        let seconds = now.duration_since(*start).as_secs_f64().max(1.0);
        let mut counts = counts.into_iter().zip(first);
        std::array::from_fn(|_| {
            let (now, first) = counts.next().unwrap_or((0, &0));
            (float(grown(*first, now)) / seconds * 100.0).round() / 100.0
        })
    }
}

#[cfg(test)]
mod tests;
