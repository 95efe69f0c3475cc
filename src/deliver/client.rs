//! The bottom row of a destination's stack: hyper's client over our connector,
//! and the translation of its errors into outcomes.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tower::BoxError;
use tower::util::BoxCloneService;

use super::Destination;
use super::attempt::{Client, Sent, Silence};
use super::connector::{Connector, Resolve, System, Unreached};
use super::guard::Allow;
use crate::settle::Outcome;

/// A destination's client, with its own pool of connections.
pub(super) fn client(destination: &Destination) -> Client {
    client_with(destination, Arc::new(System::new()))
}

/// The same with another resolver.
pub(super) fn client_with(destination: &Destination, resolver: Arc<dyn Resolve>) -> Client {
    let allow = Allow {
        private: destination.allow_private,
        link_local: destination.allow_link_local,
    };
    let connector = Connector::new(allow, destination.ca.clone(), resolver);
    let client: legacy::Client<Connector, Full<Bytes>> =
        legacy::Client::builder(TokioExecutor::new())
            // Without a timer idle connections never expire.
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_MAX)
            .pool_max_idle_per_host(IDLE_PER_HOST_MAX)
            // Sending again is the schedule's business, where it is counted.
            .retry_canceled_requests(false)
            // The request has its host already.
            .set_host(false)
            .http1_max_buf_size(HEAD_BYTES_MAX)
            .http1_max_headers(HEADERS_MAX)
            .build(connector);
    BoxCloneService::new(tower::service_fn(move |request: Sent| {
        let head = client.request(request);
        async move {
            let head = head.await.map_err(|error| silence(&error))?;
            // Dropping a body that was not read to its end closes the connection.
            Ok(head.map(|body| body.map_err(BoxError::from).boxed_unsync()))
        }
    }))
}

/// What hyper's error means. Its texts never hold the URL.
fn silence(error: &legacy::Error) -> Silence {
    let chain = || std::iter::successors(error.source(), |error| (*error).source());
    let unreached = chain().find_map(|error| error.downcast_ref::<Unreached>());
    let outcome = unreached.map_or(Outcome::Broken, Unreached::outcome);
    let mut texts: Vec<String> = Vec::new();
    for text in chain().map(ToString::to_string) {
        // Some errors repeat their source in their own text.
        if texts.last().is_none_or(|last| !last.contains(&text)) {
            texts.push(text);
        }
    }
    if texts.is_empty() {
        texts.push(error.to_string());
    }
    Silence {
        outcome,
        detail: texts.join(": "),
    }
}

/// Shorter than the 30 s and more that most servers keep theirs.
const IDLE_MAX: Duration = Duration::from_secs(20);
const IDLE_PER_HOST_MAX: usize = 8;
/// Of an answer.
const HEAD_BYTES_MAX: usize = 32 << 10;
const HEADERS_MAX: usize = 100;
