//! The time a worker lives by.

use tokio::time::Instant;

use crate::clock::Timestamp;

/// Wall time that does not jump: where the clock stood when the worker began,
/// moved on by tokio's monotonic clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Steady {
    start: Timestamp,
    base: Instant,
}

impl Steady {
    pub(super) fn new(start: Timestamp, base: Instant) -> Self {
        Self { start, base }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.at(Instant::now())
    }

    pub(super) fn at(&self, instant: Instant) -> Timestamp {
        self.start.plus(instant - self.base)
    }

    pub(super) fn instant(&self, at: Timestamp) -> Instant {
        self.base + at.since(self.start)
    }
}

/// For ever, if there is nothing to wait for.
pub(super) async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
