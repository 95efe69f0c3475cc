//! The listener of HTTP-01: it answers the tokens that are asked for now, and
//! nothing else. Deadlines and sizes are those of the front edge.

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;

use super::challenge::Challenges;
use crate::ingress::answer::{Answer, Refused};
use crate::ingress::head::Refusal;
use crate::ingress::server::{Arrival, Respond};
use crate::ingress::wire::Watch;
use crate::ingress::{Front, Limits};
use crate::metrics::Metrics;

/// A CA looks from a handful of places, each with a connection or two.
const CONNECTIONS_MAX: usize = 128;
const CONNECTIONS_PER_IP_MAX: usize = 16;

const PREFIX: &str = "/.well-known/acme-challenge/";

/// Answers CAs.
pub(super) struct Proofs {
    pub(super) challenges: Arc<Challenges>,
    pub(super) front: Arc<ArcSwap<Front>>,
    pub(super) metrics: Arc<Metrics>,
}

impl Watch for Proofs {
    fn limits(&self) -> Limits {
        let limits = self.front.load().limits.clone();
        Limits {
            connections: limits.connections.min(CONNECTIONS_MAX),
            connections_per_ip: limits.connections_per_ip.min(CONNECTIONS_PER_IP_MAX),
            ..limits
        }
    }

    fn refused(&self, peer: IpAddr, refusal: Refusal) {
        tracing::debug!(%peer, %refusal, "acme.refused");
    }
}

impl Respond for Proofs {
    fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    fn turned_away(&self, _peer: Option<IpAddr>, why: &'static str) {
        let refused = &self.metrics.connections_refused_total;
        refused.with_label_values(&[why]).inc();
    }

    fn is_proxy(&self, _peer: IpAddr) -> bool {
        false
    }

    async fn respond(self: Arc<Self>, _arrival: Arrival, request: Request<Incoming>) -> Answer {
        let token = request.uri().path().strip_prefix(PREFIX);
        let text = token
            .filter(|_| request.method() == Method::GET)
            .and_then(|token| self.challenges.text(token));
        let Some(text) = text else {
            let refused = Refused::new(StatusCode::NOT_FOUND, "no_challenge");
            return refused.closing().answer();
        };
        let mut answer = Answer::new(Full::new(Bytes::from(text)));
        let kind = HeaderValue::from_static("application/octet-stream");
        answer.headers_mut().insert(CONTENT_TYPE, kind);
        answer
    }
}
