//! From a request to a durable event: admit, read, route, append, answer.

use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use http::{Request, StatusCode};
use hyper::body::Incoming;
use tokio::time::timeout;

use super::admit::{Admitted, Gate, place};
use super::answer::{Answer, Refused, Taken, probe};
use super::head::Refusal;
use super::kept::kept;
use super::peer::is_proxy;
use super::quiet::Quiet;
use super::server::{Arrival, Respond};
use super::wire::Watch;
use super::{Front, Ingress, Limits, Source};
use crate::clock::Timestamp;
use crate::event::{Direction, Event, EventId, EventType, Key};
use crate::expression::Scope;
use crate::log::{Accepted, AppendError, Receipt};
use crate::metrics::Metrics;
use crate::payload::Payload;
use crate::vendor::{Reading, Webhook};

/// What `webhooks_total` calls a source that is none of ours.
const UNKNOWN: &str = "unknown";

/// The ingress at work.
#[derive(Debug)]
pub(super) struct Door {
    ingress: Ingress,
    gate: Gate,
    quiet: Quiet,
}

impl Door {
    pub(super) fn new(ingress: Ingress) -> Self {
        Self {
            ingress,
            gate: Gate::default(),
            quiet: Quiet::default(),
        }
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
        let now = self.ingress.clock.now();
        // A reader that panics on one body is our fault, and only this request's loss.
        let read = catch_unwind(AssertUnwindSafe(|| {
            self.read(front, source, &admitted, now)
        }));
        match read.unwrap_or_else(|_panic| {
            Err(Refused::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "reader_panic",
            ))
        })? {
            Read::Probe(answer) => Ok(answer),
            Read::Events(events) => self.append(front, source, events).await,
        }
    }

    /// Bytes to events with what they owe; nothing is written yet.
    fn read(
        &self,
        front: &Front,
        source: &Source,
        admitted: &Admitted,
        now: Timestamp,
    ) -> Result<Read, Refused> {
        let readings = match source
            .reader
            .read(&admitted.inbound(), front.limits.json_depth)
        {
            Ok(Webhook::Events(readings)) => readings,
            Ok(Webhook::Probe { content_type, body }) => {
                return Ok(Read::Probe(probe(content_type, body)));
            }
            Err(_unreadable) if source.keep_unreadable => vec![unreadable(admitted)],
            Err(unreadable) => {
                return Err(Refused::new(StatusCode::BAD_REQUEST, "unreadable").detail(unreadable));
            }
        };
        let headers = kept(
            &admitted.parts.headers,
            &source.reader.headers(),
            &source.auth.proof_headers(),
        );
        // Ids of one webhook's events count up, so that they sort as they came.
        let chance = fastrand::u128(..);
        let events = readings.into_iter().zip(0_u128..).map(|(reading, index)| {
            let id = EventId::new(now, chance.wrapping_add(index));
            self.accepted(front, source, admitted, &headers, reading, id)
        });
        Ok(Read::Events(events.collect()))
    }

    fn accepted(
        &self,
        front: &Front,
        source: &Source,
        admitted: &Admitted,
        headers: &Kept,
        reading: Reading,
        id: EventId,
    ) -> Accepted {
        let Reading {
            event_type,
            vendor_id,
            key,
            direction,
            user,
            message,
            payload,
            body,
        } = reading;
        let key = key.map(|key| Key::from(format!("{}/{key}", source.name)));
        let user = match (user, direction, &key) {
            (Some(user), _, _) => Some(Arc::from(user)),
            // An outgoing message does not name its customer; the conversation does.
            (None, Some(Direction::Outgoing), Some(key)) => self.ingress.links.customer(key),
            (None, _, _) => None,
        };
        let event = Event {
            id,
            source: source.name.clone(),
            kind: source.kind.clone(),
            event_type,
            key,
            vendor_id,
            direction,
            user,
            accepted_at: id.accepted_at(),
            hops: admitted.hops,
            headers: headers.clone(),
            body,
        };
        let scope = Scope::new(&event, message.as_ref(), &payload);
        let owed = front.routes.owed(&source.name, &event.event_type, &scope);
        Accepted { event, owed }
    }

    /// Durable, then answered; or 503, because the fault is never the sender's.
    async fn append(
        &self,
        front: &Front,
        source: &Source,
        events: Vec<Accepted>,
    ) -> Result<Answer, Refused> {
        if events.is_empty() {
            return Ok(taken(&[]).answer());
        }
        let customers = customers(&events);
        let receipts = match timeout(front.limits.answer, self.ingress.log.append(events)).await {
            Ok(Ok(receipts)) => receipts,
            Ok(Err(error)) => return Err(unavailable(&error)),
            // The append goes on; if it succeeds, the sender's retry is a duplicate or a second copy.
            Err(_late) => {
                return Err(
                    Refused::new(StatusCode::SERVICE_UNAVAILABLE, "answer_deadline")
                        .retry_after(Duration::from_secs(1)),
                );
            }
        };
        for (key, user) in &customers {
            self.ingress.links.remember_customer(key, user);
        }
        let taken = taken(&receipts);
        tracing::debug!(source = %source.name, id = ?taken.id, events = receipts.len(), deliveries = taken.deliveries, duplicate = taken.duplicate, "event.accepted");
        Ok(taken.answer())
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

type Kept = Vec<(Arc<str>, Arc<str>)>;

enum Read {
    Probe(Answer),
    Events(Vec<Accepted>),
}

/// A body kept as bytes, for whoever routes the type `unreadable`.
fn unreadable(admitted: &Admitted) -> Reading {
    Reading {
        event_type: EventType::from("unreadable"),
        vendor_id: None,
        key: None,
        direction: None,
        user: None,
        message: None,
        payload: Payload::from(serde_json::Value::Null),
        body: admitted.body.clone(),
    }
}

/// What these events teach about who the customer of a conversation is.
fn customers(events: &[Accepted]) -> Vec<(Key, Arc<str>)> {
    let incoming = events
        .iter()
        .filter(|accepted| accepted.event.direction == Some(Direction::Incoming));
    incoming
        .filter_map(|accepted| accepted.event.key.clone().zip(accepted.event.user.clone()))
        .collect()
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
