//! What an answer waited for and did not get in time: it goes on, and holds
//! what it holds (a share of the bytes under way) until it ends.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::timer::Timer;

/// Owns whatever is late.
#[derive(Debug, Default)]
pub(super) struct Late(Mutex<JoinSet<()>>);

impl Late {
    /// The result of `work`, if it comes within `deadline`. `None`: it goes on
    /// here, and its result is for nobody. So it does when this is dropped,
    /// because the sender has gone. What is in time needs no task of its own.
    pub(super) async fn within<T: Send + 'static>(
        &self,
        timer: &mut Timer,
        deadline: Duration,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let deadline = Instant::now() + deadline;
        let mut waited = Waited {
            late: self,
            work: Some(Box::pin(work)),
        };
        let work = waited.work.as_mut()?;
        let done = poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending => timer.poll_at(deadline, cx).map(|()| None),
        });
        let done = done.await?;
        waited.work = None;
        Some(done)
    }

    /// How many are late now.
    pub(super) fn count(&self) -> usize {
        let mut owned = self.owned();
        while owned.try_join_next().is_some() {}
        owned.len()
    }

    /// Waits until none is late, for at most `patience`; gives up the rest.
    pub(super) async fn ended(&self, patience: Duration) {
        let mut owned = std::mem::take(&mut *self.owned());
        let all_ended = async { while owned.join_next().await.is_some() {} };
        if timeout(patience, all_ended).await.is_err() {
            tracing::warn!(appends = owned.len(), "drain.cut_off");
        }
    }

    fn owned(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Work somebody waits for; it outlives the waiting.
struct Waited<'a, W: Future<Output: Send> + Send + 'static> {
    late: &'a Late,
    work: Option<Pin<Box<W>>>,
}

impl<W: Future<Output: Send> + Send + 'static> Drop for Waited<'_, W> {
    fn drop(&mut self) {
        // Without a runtime the process is at its end.
        if let Some(work) = self.work.take()
            && let Ok(runtime) = Handle::try_current()
        {
            let unheard = async move { drop(work.await) };
            self.late.owned().spawn_on(unheard, &runtime);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::Full;
    use tokio::sync::oneshot;

    use super::*;
    use crate::ingress::body::{Budget, read};

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn bytes_count_as_under_way_until_what_carries_them_has_ended() {
        let (late, budget) = (Late::default(), Budget::default());
        let body = Full::new(Bytes::from_static(b"{\"a\":1}"));
        let (_body, share) = read(body, None, 100, &budget, 100).await.unwrap();
        let (log, answer) = oneshot::channel::<()>();
        let work = async move {
            let _held = share;
            answer.await
        };
        let mut timer = Timer::default();
        assert!(late.within(&mut timer, SECOND, work).await.is_none());
        assert_eq!((late.count(), budget.used()), (1, 7));
        let (other, more) = oneshot::channel::<()>();
        let gone = timeout(SECOND, late.within(&mut timer, 9 * SECOND, more)).await;
        assert!(gone.is_err() && late.count() == 2, "nor by who goes away");
        drop(other);
        log.send(()).unwrap();
        late.ended(SECOND).await;
        assert_eq!((late.count(), budget.used()), (0, 0));
        let five = late.within(&mut timer, SECOND, async { 5 });
        assert_eq!(five.await, Some(5));
    }

    #[tokio::test(start_paused = true)]
    async fn what_never_ends_is_given_up_after_the_patience() {
        let late = Late::default();
        let begun = Instant::now();
        let never = std::future::pending::<()>();
        let mut timer = Timer::default();
        assert!(late.within(&mut timer, SECOND, never).await.is_none());
        late.ended(9 * SECOND).await;
        assert_eq!((late.count(), begun.elapsed()), (0, 10 * SECOND));
    }
}
