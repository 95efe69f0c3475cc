//! Attempts in the air: polled by the worker that started them, so that an
//! attempt is no task, and a panic in one is that one's misfortune.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, Stream};
use tokio::time::Instant;

use super::attempt::Answer;
use super::stack::Answering;

/// What was started with an `F` that says what it was.
pub(super) struct InAir<F> {
    attempts: FuturesUnordered<Attempt<F>>,
    /// Ended, and not judged yet. Many land before the first is judged: reading
    /// answers and judging them are more code together than a processor keeps
    /// at hand, and by turns each would push the other out.
    landed: VecDeque<Landed<F>>,
}

/// An attempt that ended.
pub(super) struct Landed<F> {
    pub(super) flight: F,
    pub(super) answer: Result<Answer, Panicked>,
    pub(super) took: Duration,
}

/// A bug in hookfan.
#[derive(Debug)]
pub(super) struct Panicked;

struct Attempt<F> {
    flight: Option<F>,
    answer: Answering,
    started: Instant,
}

impl<F: Unpin> InAir<F> {
    pub(super) fn new() -> Self {
        Self {
            attempts: FuturesUnordered::new(),
            landed: VecDeque::new(),
        }
    }

    /// What was started and has not been judged.
    pub(super) fn len(&self) -> usize {
        self.attempts.len() + self.landed.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn start(&self, flight: F, answer: Answering, started: Instant) {
        self.attempts.push(Attempt {
            flight: Some(flight),
            answer,
            started,
        });
    }

    /// Ready when one has landed that nobody took yet.
    pub(super) fn poll_landed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.landed.len() < AT_ONCE_MAX
            // One that landed before comes as `None`: there is nothing of it.
            && let Poll::Ready(Some(Some(landed))) = Pin::new(&mut self.attempts).poll_next(cx)
        {
            self.landed.push_back(landed);
        }
        if self.landed.is_empty() {
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    /// The first of those.
    pub(super) fn pop_landed(&mut self) -> Option<Landed<F>> {
        self.landed.pop_front()
    }

    /// Ends them where they are.
    pub(super) fn abandon(&mut self) {
        self.attempts.clear();
    }
}

impl<F: Unpin> Future for Attempt<F> {
    type Output = Option<Landed<F>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = catch_unwind(AssertUnwindSafe(|| Pin::new(&mut self.answer).poll(cx)));
        let answer = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(Ok(answer))) => Ok(answer),
            Err(_panic) => Err(Panicked),
        };
        let took = self.started.elapsed();
        Poll::Ready(self.flight.take().map(|flight| Landed {
            flight,
            answer,
            took,
        }))
    }
}

impl<F> fmt::Debug for InAir<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("InAir").field(&self.attempts.len()).finish()
    }
}

/// How much a worker takes in, or starts, before it looks up, at most.
pub(super) const AT_ONCE_MAX: usize = 64;
