//! Rates out of totals, for gateways whose status has none; and how much was
//! delivered in each of the last seconds.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

/// What a rate is taken over.
const WINDOW: Duration = Duration::from_secs(10);
/// Seconds that are remembered for the sparkline.
const SECONDS_MAX: usize = 600;

/// Totals as they were lately.
#[derive(Debug, Default)]
pub(super) struct Rates {
    totals: HashMap<String, VecDeque<(Duration, u64)>>,
}

impl Rates {
    /// Takes a total and says how much it grew per second lately.
    pub(super) fn of(&mut self, name: String, total: u64, at: Duration) -> f64 {
        let seen = self.totals.entry(name).or_default();
        seen.push_back((at, total));
        while seen.len() > 2 && seen.get(1).is_some_and(|(then, _)| at - *then >= WINDOW) {
            seen.pop_front();
        }
        let Some((then, before)) = seen.front() else {
            return 0.0;
        };
        let span = at.saturating_sub(*then).as_secs_f64();
        if span < 0.05 {
            return 0.0;
        }
        precise(total.saturating_sub(*before)) / span
    }
}

/// How much a total grew in each second; the last one is still going on.
#[derive(Debug, Default)]
pub(super) struct Seconds {
    last: Option<(u64, u64)>,
    grown: VecDeque<u64>,
}

impl Seconds {
    pub(super) fn take(&mut self, total: u64, at: Duration) {
        let second = at.as_secs();
        let (before, then) = self.last.unwrap_or((total, second));
        // A long silence is not worth drawing second by second.
        for _ in 0..second.saturating_sub(then).min(SECONDS_MAX as u64) {
            self.grown.push_back(0);
        }
        if self.grown.is_empty() {
            self.grown.push_back(0);
        }
        if let Some(now) = self.grown.back_mut() {
            *now += total.saturating_sub(before);
        }
        while self.grown.len() > SECONDS_MAX {
            self.grown.pop_front();
        }
        self.last = Some((total, second));
    }

    /// The last `count` seconds that are over, oldest first.
    pub(super) fn last(&self, count: usize) -> Vec<u64> {
        let over = self.grown.len().saturating_sub(1);
        let skipped = over.saturating_sub(count);
        self.grown
            .iter()
            .take(over)
            .skip(skipped)
            .copied()
            .collect()
    }
}

#[expect(clippy::cast_precision_loss, reason = "what is shown has three digits")]
pub(super) fn precise(count: u64) -> f64 {
    count as f64
}
