//! What the tests of this module share: a destination, an event, a writer.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use url::Url;

use super::answer::Reading;
use super::{Breaker, Destination, OnStuck, Order};
use crate::clock::{Clock, Timestamp};
use crate::event::{Action, Event, EventId, Kind};
use crate::log::{Budget, WhenFull};
use crate::message::Message;
use crate::payload::Payload;
use crate::settle::{Outcome, Reason, RetryPolicy};
use crate::transform::{Outgoing, Unsendable};
use crate::vendor::{Call, Writer};

/// Forwards the body to `url`. Some event types make it say something else.
#[derive(Debug)]
pub(super) struct Plain {
    pub url: Url,
    pub headers: HeaderMap,
}

impl Plain {
    pub(super) fn to(url: &str) -> Arc<Self> {
        Arc::new(Self {
            url: url.parse().unwrap(),
            headers: HeaderMap::new(),
        })
    }
}

impl Writer for Plain {
    fn write(&self, call: &Call<'_>) -> Result<Outgoing, Unsendable> {
        match call.event.event_type.as_str() {
            "payload" | "a bug in a reader, met" => {
                call.message();
                return Err(Unsendable::Dead {
                    reason: Reason::Unsendable,
                    detail: call.payload().value().to_string(),
                });
            }
            "panic" => panic!("a bug in a writer"),
            "dead" => {
                return Err(Unsendable::Dead {
                    reason: Reason::Unsendable,
                    detail: "no text".to_owned(),
                });
            }
            "late" => {
                return Err(Unsendable::Dead {
                    reason: Reason::Late,
                    detail: "an hour old".to_owned(),
                });
            }
            "skip" => {
                return Err(Unsendable::Skip {
                    rule: "system_events",
                });
            }
            "wait" if call.customer.is_none() => {
                let for_at_most = Duration::from_secs(600);
                return Err(Unsendable::Wait {
                    for_at_most,
                    reason: Reason::UnknownUser,
                    detail: "no customer yet".to_owned(),
                });
            }
            _ => {}
        }
        Ok(Outgoing {
            method: Method::POST,
            url: self.url.clone(),
            headers: self.headers.clone(),
            body: call.event.body.clone(),
            sign: None,
            redact: Vec::new(),
            late: call.event.event_type.as_str() == "history",
        })
    }

    fn read_answer(&self, status: u16, body: &[u8]) -> Option<Outcome> {
        match (status, body) {
            (400, b"Duplicate externalId") => Some(Outcome::AlreadyThere { status }),
            (200, b"{\"ok\":false}") => Some(Outcome::Answered {
                status: 400,
                retry_after: None,
            }),
            _ => None,
        }
    }

    fn shown_target(&self) -> String {
        self.url.origin().ascii_serialization()
    }
}

/// Reads messages like a vendor with a bug.
pub(super) fn read(event: &Event, _: &Payload) -> Option<Message> {
    assert!(
        !event.event_type.as_str().starts_with("a bug"),
        "a bug in a reader"
    );
    None
}

pub(super) fn destination() -> Destination {
    Destination {
        name: "sink".into(),
        kind: Kind::from("http"),
        talks: false,
        place: crate::link::Place::of_destination("sink"),
        writer: Plain::to("http://sink.example/in"),
        timeout: Duration::from_secs(30),
        concurrency: 8,
        rate: None,
        burst: 1,
        order: Order::Conversation,
        on_stuck: OnStuck::Wait,
        retry: RetryPolicy::default(),
        backlog: Budget {
            events_max: 1_000_000,
            bytes_max: 4 << 30,
            when_full: WhenFull::DeadLetter,
        },
        breaker: Breaker {
            failures: u32::MAX,
            probe_every: Duration::from_secs(30),
        },
        allow_private: false,
        allow_link_local: false,
        ca: None,
        paused: false,
        fingerprint: 1,
    }
}

pub(super) fn start() -> Timestamp {
    Timestamp::parse_rfc3339("2026-11-20T10:00:00Z").unwrap()
}

pub(super) fn reading() -> Reading {
    Reading {
        writer: Plain::to("http://sink.example/in"),
        clock: Clock::system(),
        secrets: Vec::new(),
        sensitive: Vec::<HeaderValue>::new(),
    }
}

/// The event number `n`; of conversation `key`, if one is given.
pub(super) fn event(n: u64, key: Option<&str>, event_type: &str) -> Event {
    Event {
        id: EventId::new(start(), u128::from(n)),
        source: "shop".into(),
        kind: "generic".into(),
        event_type: event_type.into(),
        key: key.map(Into::into),
        vendor_id: None,
        direction: None,
        user: None,
        accepted_at: start(),
        hops: 0,
        headers: Vec::new(),
        body: Bytes::from(format!("{{\"n\":{n}}}")),
    }
}

pub(super) fn action() -> Action {
    Action::message()
}

/// A stack's memory with a desk of its own.
pub(super) fn memory(destination: &Destination) -> super::stack::Memory {
    super::stack::Memory::new(destination, &super::Accounts::default())
}

/// Nothing is fetched here.
#[derive(Debug)]
pub(super) struct NoIntake;

impl super::Intake for NoIntake {
    fn accept<'a>(
        &'a self,
        _: &'a crate::event::SourceName,
        _: Vec<crate::vendor::Reading>,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>> {
        unreachable!("nothing is fetched here")
    }
}
