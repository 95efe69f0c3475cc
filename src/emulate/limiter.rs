//! A vendor's rate limit, and the highest rate that was seen.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// So many a second, and so many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    pub per_second: u32,
    pub burst: u32,
}

/// A token bucket, kept as the instant at which it would be full again, so
/// that nothing is ever rounded.
#[derive(Debug)]
pub(super) struct Limiter {
    limit: Option<Limit>,
    full_at: Option<Instant>,
    /// Of the last second.
    recent: VecDeque<Instant>,
    peak: usize,
}

impl Limiter {
    pub(super) fn new(limit: Option<Limit>) -> Self {
        Self {
            limit,
            full_at: None,
            recent: VecDeque::new(),
            peak: 0,
        }
    }

    /// Whether a call that arrives `now` is within the limit.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        self.note(now);
        let Some(limit) = self.limit else {
            return true;
        };
        let token = Duration::from_secs(1) / limit.per_second.max(1);
        let full_at = self.full_at.map_or(now, |full_at| full_at.max(now)) + token;
        let fits = full_at <= now + token * limit.burst;
        if fits {
            self.full_at = Some(full_at);
        }
        fits
    }

    /// The most calls that arrived within one second, whichever.
    pub(super) fn peak(&self) -> usize {
        self.peak
    }

    fn note(&mut self, now: Instant) {
        while self
            .recent
            .front()
            .is_some_and(|first| now.duration_since(*first) >= Duration::from_secs(1))
        {
            self.recent.pop_front();
        }
        self.recent.push_back(now);
        self.peak = self.peak.max(self.recent.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIXA: Limit = Limit {
        per_second: 10,
        burst: 4,
    };

    #[tokio::test(start_paused = true)]
    async fn the_burst_passes_and_then_one_each_tenth_of_a_second() {
        let mut limiter = Limiter::new(Some(DIXA));
        let mut takes = || limiter.take(Instant::now());
        assert_eq!([takes(), takes(), takes(), takes()], [true; 4]);
        assert!(!takes(), "the fifth at once");
        tokio::time::advance(Duration::from_millis(99)).await;
        assert!(!takes(), "a millisecond too early");
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(takes());
        assert!(!takes());
        for _ in 0..50 {
            tokio::time::advance(Duration::from_millis(100)).await;
            assert!(takes());
        }
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(
            [takes(), takes(), takes(), takes(), takes()],
            [true, true, true, true, false]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_peak_is_the_most_within_any_second() {
        let mut limiter = Limiter::new(None);
        for _ in 0..30 {
            assert!(limiter.take(Instant::now()));
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        assert_eq!(limiter.peak(), 10);
        for _ in 0..4 {
            limiter.take(Instant::now());
        }
        assert_eq!(limiter.peak(), 13);
    }
}
