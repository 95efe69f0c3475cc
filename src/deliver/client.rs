//! The bottom row of a destination's stack: hyper's client over our connections,
//! and the translation of its errors into outcomes.

use std::error::Error;
use std::sync::Arc;

use futures_util::TryFutureExt;
use hyper::client::conn::http1;
use tower::util::BoxCloneService;

use super::Destination;
use super::attempt::{Client, Sent, Silence};
use super::connector::{Connector, Resolve, System};
use super::guard::Allow;
use super::pool::{Failed, Pool};
use crate::settle::Outcome;

/// A destination's client, with its own pool of connections.
pub(super) fn client(destination: &Destination) -> Client {
    #[cfg(test)]
    if let Some(client) = super::simulated::client(destination) {
        return client;
    }
    client_with(destination, Arc::new(System::new()))
}

/// The same with another resolver.
pub(super) fn client_with(destination: &Destination, resolver: Arc<dyn Resolve>) -> Client {
    let allow = Allow {
        private: destination.allow_private,
        link_local: destination.allow_link_local,
    };
    let connector = Connector::new(allow, destination.ca.clone(), resolver);
    let mut builder = http1::Builder::new();
    // At most 100 headers, as hyper has it: saying so would cost an allocation.
    builder.max_buf_size(HEAD_BYTES_MAX);
    let pool = Pool::new(
        connector,
        builder,
        destination.concurrency.max(IDLE_LINES_MIN),
    );
    BoxCloneService::new(tower::service_fn(move |request: Sent| {
        let answer = pool.ask(request);
        answer.map_err(|failed| silence(&failed))
    }))
}

/// What a failure means. Its texts never hold the URL.
fn silence(failed: &Failed) -> Silence {
    let outcome = match failed {
        Failed::Unreached(unreached) => unreached.outcome(),
        Failed::Broken(_) => Outcome::Broken,
    };
    let first: &dyn Error = match failed {
        Failed::Unreached(unreached) => unreached,
        Failed::Broken(broken) => broken,
    };
    let chain = || std::iter::successors(Some(first), |error| (*error).source());
    let mut texts: Vec<String> = Vec::new();
    for text in chain().map(ToString::to_string) {
        // Some errors repeat their source in their own text.
        if texts.last().is_none_or(|last| !last.contains(&text)) {
            texts.push(text);
        }
    }
    Silence {
        outcome,
        detail: texts.join(": "),
    }
}

/// Connections that may idle, however few attempts go at once.
const IDLE_LINES_MIN: usize = 8;
/// Of an answer.
const HEAD_BYTES_MAX: usize = 32 << 10;
