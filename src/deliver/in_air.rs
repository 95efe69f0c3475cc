//! Attempts in the air: polled by the worker that started them, so that an
//! attempt is no task, and a panic in one is that one's misfortune.

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
pub(super) struct InAir<F>(FuturesUnordered<Attempt<F>>);

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
        Self(FuturesUnordered::new())
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn start(&self, flight: F, answer: Answering, started: Instant) {
        self.0.push(Attempt {
            flight: Some(flight),
            answer,
            started,
        });
    }

    /// The next that has ended. Never ready while there is none in the air.
    pub(super) fn poll_landed(&mut self, cx: &mut Context<'_>) -> Poll<Landed<F>> {
        match Pin::new(&mut self.0).poll_next(cx) {
            Poll::Ready(Some(Some(landed))) => Poll::Ready(landed),
            // One that landed before: there is nothing of it any more.
            Poll::Ready(Some(None) | None) | Poll::Pending => Poll::Pending,
        }
    }

    /// Ends them where they are.
    pub(super) fn abandon(&mut self) {
        self.0.clear();
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
        f.debug_tuple("InAir").field(&self.0.len()).finish()
    }
}
