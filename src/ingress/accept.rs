//! From a request to a durable event: admit, read, route, append, answer.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, StatusCode};
use hyper::body::Incoming;

use super::admit::{Admitted, Gate, place};
use super::answer::{Answer, Refused, Taken, probe};
use super::body::Share;
use super::head::Refusal;
use super::intake::{Batch, Passage, caught};
use super::kept::kept;
use super::late::Late;
use super::note::Note;
use super::peer::is_proxy;
use super::quiet::Quiet;
use super::server::{Arrival, Respond};
use super::wire::Watch;
use super::{Front, Ingress, Limits, Source};
use crate::event::EventType;
use crate::log::{AppendError, Receipt};
use crate::metrics::Metrics;
use crate::payload::Payload;
use crate::trace::{TRACEPARENT, Trace};
use crate::vendor::{Reading, Webhook};

/// What `webhooks_total` calls a source that is none of ours.
const UNKNOWN: &str = "unknown";

/// The ingress at work.
#[derive(Debug)]
pub(super) struct Door {
    ingress: Ingress,
    gate: Gate,
    quiet: Quiet,
    late: Late,
}

impl Door {
    pub(super) fn new(ingress: Ingress) -> Self {
        Self {
            ingress,
            gate: Gate::default(),
            quiet: Quiet::default(),
            late: Late::default(),
        }
    }

    /// Waits for appends that are late, at most so long.
    pub(super) async fn close(&self, patience: Duration) {
        self.late.ended(patience).await;
    }

    async fn take(
        &self,
        front: &Front,
        source: &Source,
        arrival: &Arrival,
        request: Request<Incoming>,
    ) -> Result<Answer, Refused> {
        let (parts, body) = request.into_parts();
        let admitted = self
            .gate
            .admit(front, source, arrival, parts, body, &self.ingress.clock)
            .await?;
        let readings = match caught(|| read(front, source, &admitted))? {
            Webhook::Probe { content_type, body } => return Ok(probe(content_type, body)),
            Webhook::Events(readings) => readings,
        };
        let headers = &admitted.parts.headers;
        let passage = Passage {
            hops: admitted.hops,
            headers: source.kept(headers),
        };
        let ingress = &self.ingress;
        let batch = ingress.batch(front, source, passage, readings).await?;
        let receipts = self.append(front, &arrival.note, batch, admitted.share);
        let receipts = receipts.await?;
        let taken = taken(&receipts);
        tracing::debug!(source = %source.name, id = taken.id.map(tracing::field::display), events = receipts.len(), deliveries = taken.deliveries, duplicate = taken.duplicate, took_ms = arrival.first_byte_at.elapsed().as_millis(), trace = came_with(headers).map(tracing::field::display), "event.accepted");
        Ok(taken.answer())
    }

    /// Durable, then answered; or 503, because the fault is never the sender's.
    async fn append(
        &self,
        front: &Front,
        note: &Note,
        batch: Batch,
        share: Share,
    ) -> Result<Vec<Receipt>, Refused> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let late = || {
            Refused::new(StatusCode::SERVICE_UNAVAILABLE, "answer_deadline")
                .retry_after(Duration::from_secs(1))
        };
        // A log that stands still must not collect more than there can be requests.
        if self.late.count() >= front.limits.connections {
            return Err(late());
        }
        let (log, links) = (self.ingress.log.clone(), self.ingress.links.clone());
        let append = async move {
            // The bytes are under way as long as the log may hold them.
            let _held = share;
            batch.append(&log, &links).await
        };
        let mut timer = note.timer();
        let appended = self.late.within(&mut timer, front.limits.answer, append);
        let appended = appended.await;
        note.keep_timer(timer);
        match appended {
            Some(appended) => appended.map_err(|error: AppendError| unavailable(&error)),
            // It goes on; if it succeeds, the sender's retry is a duplicate or a second copy.
            None => Err(late()),
        }
    }

    fn say(&self, source: &str, code: u16, why: &'static str, detail: &str, peer: IpAddr) {
        if let Some(suppressed) = self.quiet.may_say(why) {
            tracing::warn!(source, code, why, detail, %peer, suppressed, "event.refused");
        }
    }

    fn count(&self, source: &str, code: StatusCode) {
        self.ingress
            .metrics
            .webhooks_total
            .with_label_values(&[source, code.as_str()])
            .inc();
    }
}

/// Bytes to readings, or a probe's answer.
fn read(front: &Front, source: &Source, admitted: &Admitted) -> Result<Webhook, Refused> {
    let depth_max = front.limits.json_depth;
    match source.reader.read(&admitted.inbound(), depth_max) {
        Ok(webhook) => Ok(webhook),
        Err(_unreadable) if source.keep_unreadable => {
            Ok(Webhook::Events(vec![source.unreadable(&admitted.body)]))
        }
        Err(unreadable) => {
            Err(Refused::new(StatusCode::BAD_REQUEST, "unreadable").detail(unreadable))
        }
    }
}

impl Source {
    /// What a proven body that cannot be read is taken for, where the source
    /// says `unreadable = "keep"`: bytes, for whoever routes the type.
    pub fn unreadable(&self, body: &bytes::Bytes) -> Reading {
        Reading {
            event_type: EventType::from("unreadable"),
            vendor_id: None,
            key: None,
            direction: None,
            user: None,
            message: None,
            standing: None,
            ours: false,
            once: false,
            payload: Payload::from(serde_json::Value::Null),
            body: self.reader.unreadable(body),
        }
    }

    /// The headers that an event of this source keeps.
    pub fn kept(&self, headers: &http::HeaderMap) -> Vec<(Arc<str>, Arc<str>)> {
        kept(headers, &self.reader.headers(), &self.auth.proof_headers())
    }
}

/// The trace that a webhook with these headers came with.
fn came_with(headers: &http::HeaderMap) -> Option<Trace> {
    Trace::read(headers.get(TRACEPARENT)?.to_str().ok()?)
}

fn taken(receipts: &[Receipt]) -> Taken {
    Taken {
        id: receipts.first().map(|receipt| receipt.id),
        deliveries: receipts.iter().map(|receipt| receipt.deliveries).sum(),
        duplicate: !receipts.is_empty() && receipts.iter().all(|receipt| receipt.duplicate),
        events: (receipts.len() != 1).then_some(receipts.len()),
    }
}

/// How long to stay away depends on what must happen first.
fn unavailable(error: &AppendError) -> Refused {
    let (why, secs) = match error {
        AppendError::DiskFull => ("disk_full", 30),
        AppendError::BacklogFull(_) => ("backlog_full", 10),
        AppendError::Poisoned => ("log_poisoned", 5),
        AppendError::Closed => ("shutdown", 1),
    };
    Refused::new(StatusCode::SERVICE_UNAVAILABLE, why)
        .detail(error)
        .retry_after(Duration::from_secs(secs))
}

impl Watch for Door {
    fn limits(&self) -> Limits {
        self.ingress.front.load().limits.clone()
    }

    fn refused(&self, peer: IpAddr, refusal: Refusal) {
        let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::BAD_REQUEST);
        self.count(UNKNOWN, status);
        self.say(UNKNOWN, status.as_u16(), "head", &refusal.to_string(), peer);
    }
}

impl Respond for Door {
    fn metrics(&self) -> &Metrics {
        &self.ingress.metrics
    }

    fn turned_away(&self, peer: Option<IpAddr>, why: &'static str) {
        let refused = &self.ingress.metrics.connections_refused_total;
        refused.with_label_values(&[why]).inc();
        if let Some(suppressed) = self.quiet.may_say(why) {
            tracing::warn!(why, ?peer, suppressed, "connection.refused");
        }
    }

    fn is_proxy(&self, peer: IpAddr) -> bool {
        is_proxy(peer, &self.ingress.front.load().proxies)
    }

    async fn respond(self: Arc<Self>, arrival: Arrival, request: Request<Incoming>) -> Answer {
        let front = self.ingress.front.load_full();
        let source = place(request.uri().path()).and_then(|(name, _tail)| front.sources.get(name));
        let label = source.map_or(UNKNOWN, |source| source.name.as_str());
        let taken = match source {
            Some(source) => self.take(&front, source, &arrival, request).await,
            None => Err(Refused::new(StatusCode::NOT_FOUND, "unknown_source").closing()),
        };
        let answer = taken.unwrap_or_else(|refused| {
            self.say(
                label,
                refused.status.as_u16(),
                refused.why,
                refused.detail.as_deref().unwrap_or_default(),
                arrival.peer,
            );
            refused.answer()
        });
        self.count(label, answer.status());
        self.ingress
            .metrics
            .accept_seconds
            .observe(arrival.first_byte_at.elapsed().as_secs_f64());
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::event::EventId;

    fn receipt(id: u128, duplicate: bool, deliveries: usize) -> Receipt {
        Receipt {
            id: EventId::new(Timestamp::from_millis(1), id),
            duplicate,
            deliveries,
        }
    }

    #[test]
    fn a_webhook_is_a_duplicate_only_if_all_its_events_are() {
        let both = taken(&[receipt(1, true, 0), receipt(2, false, 3)]);
        assert_eq!(
            both,
            Taken {
                id: Some(receipt(1, true, 0).id),
                deliveries: 3,
                duplicate: false,
                events: Some(2)
            }
        );
        assert_eq!(taken(&[receipt(1, true, 0)]).events, None);
        assert!(taken(&[receipt(1, true, 0)]).duplicate);
        assert!(!taken(&[]).duplicate);
    }

    /// X6: our own fault is a 5xx, whatever it is.
    #[test]
    fn a_log_that_cannot_take_it_is_never_the_senders_fault() {
        for error in [
            AppendError::DiskFull,
            AppendError::BacklogFull("crm".into()),
            AppendError::Poisoned,
            AppendError::Closed,
        ] {
            let refused = unavailable(&error);
            assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
            assert!(refused.retry_after.is_some());
        }
    }
}
