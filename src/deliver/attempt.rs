//! The words of one attempt: what is sent, what comes back, what it came to.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use http_body_util::combinators::UnsyncBoxBody;
use tokio::task::coop::{Unconstrained, unconstrained};
use tokio::time::{Instant, Sleep, sleep_until};
use tower::BoxError;
use tower::util::BoxCloneService;

use crate::settle::Outcome;
use crate::transform::Unsendable;

/// What is sent: the bytes of one attempt.
pub(super) type Sent = Request<Full<Bytes>>;
/// What comes back once the head of an answer is there.
pub(super) type Head = Response<UnsyncBoxBody<Bytes, BoxError>>;

/// The bottom row: sends a request and waits for an answer's head.
pub(super) type Client = BoxCloneService<Sent, Head, Silence>;

/// When an attempt must have ended: one timer for all that it waits for.
/// It is looked at even if the work has used up the task's budget: a stranger
/// whose bytes never end could otherwise go on for ever.
pub(super) struct Deadline<'a>(Pin<&'a mut Unconstrained<Sleep>>);

/// The timer of a [`Deadline`], to be pinned.
pub(super) fn timer(at: Instant) -> Unconstrained<Sleep> {
    unconstrained(sleep_until(at))
}

impl<'a> Deadline<'a> {
    pub(super) fn new(timer: Pin<&'a mut Unconstrained<Sleep>>) -> Self {
        Self(timer)
    }

    /// What comes of `work`, unless the deadline comes before it.
    pub(super) async fn within<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending => self.0.as_mut().poll(cx).map(|()| None),
        })
        .await
    }
}

/// No answer: which kind of none, and what to tell the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub(super) struct Silence {
    pub outcome: Outcome,
    pub detail: String,
}

/// What an attempt came to. Every silence is an outcome, so a stack has no
/// errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub outcome: Outcome,
    /// For the operator, without secrets; empty for a plain success.
    pub detail: String,
    /// A dialogue found out that there is nothing to send: this decides.
    pub instead: Option<Unsendable>,
}

impl Answer {
    pub(super) fn new(outcome: Outcome, detail: String) -> Self {
        Self {
            outcome,
            detail,
            instead: None,
        }
    }

    /// The destination is well: it is the copy that cannot go.
    pub(super) fn instead(unsendable: Unsendable) -> Self {
        Self {
            instead: Some(unsendable),
            ..Self::new(Outcome::AlreadyThere { status: 200 }, String::new())
        }
    }
}
