//! The words of one attempt: what is sent, what comes back, what it came to.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use http_body_util::combinators::UnsyncBoxBody;
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
