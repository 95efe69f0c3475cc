//! A deadline that moves with every request. Most are kept, so the timer of one
//! that is moved to later stays as it is set; it is set anew when it goes off
//! too early.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::time::{Instant, Sleep, sleep_until};

/// One place in the runtime's wheel of timers, taken at the first use.
#[derive(Debug, Default)]
pub(super) struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    /// Ready once `deadline` has passed; else this task is woken then, and
    /// perhaps once before.
    pub(super) fn poll_at(&mut self, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let sleep = self
            .0
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.deadline() > deadline {
            sleep.as_mut().reset(deadline);
        }
        loop {
            ready!(sleep.as_mut().poll(cx));
            if sleep.deadline() >= deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
    }

    /// When it goes off next.
    #[cfg(test)]
    fn set_for(&self) -> Option<Instant> {
        self.0.as_ref().map(|sleep| sleep.deadline())
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use tokio::time::{advance, timeout};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_deadline_is_met_wherever_it_was_moved() {
        let (mut timer, begun) = (Timer::default(), Instant::now());
        // A little at first, then later, then sooner; each as if it were alone.
        for seconds in [3, 9, 5, 1, 1, 30] {
            let (now, wait) = (Instant::now(), seconds * SECOND);
            poll_fn(|cx| timer.poll_at(now + wait, cx)).await;
            assert_eq!(now.elapsed(), wait);
        }
        assert_eq!(begun.elapsed(), 49 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_that_moves_on_leaves_the_timer_as_it_is_set() {
        let mut timer = Timer::default();
        let first = Instant::now() + 3 * SECOND;
        for seconds in 0..2 {
            let deadline = first + seconds * SECOND;
            let wait = poll_fn(|cx| timer.poll_at(deadline, cx));
            assert!(timeout(SECOND / 2, wait).await.is_err());
            assert_eq!(timer.set_for(), Some(first));
        }
        let sooner = first - SECOND;
        let wait = poll_fn(|cx| timer.poll_at(sooner, cx));
        assert!(timeout(SECOND / 2, wait).await.is_err());
        assert_eq!(timer.set_for(), Some(sooner));
        // It goes off while nobody looks, and is as good as before.
        advance(60 * SECOND).await;
        let later = Instant::now() + SECOND;
        poll_fn(|cx| timer.poll_at(later, cx)).await;
        assert_eq!(Instant::now(), later);
    }
}
