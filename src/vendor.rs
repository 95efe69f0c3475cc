//! The vendors: how each one's webhooks are read and its requests written.
//! Adding a vendor is one file here and one line in [`VENDORS`].
//!
//! Everything here is pure: no I/O, no clock.

mod asking;
mod reading;
pub mod dialogue;
pub mod lookup;
pub mod qiscus;
pub mod dixa;
pub mod standard;
pub mod github;
pub mod stripe;
pub mod slack;
pub mod quiq;
pub mod telegram;
pub mod generic;
pub mod dimension;
pub mod sendyiq;
pub mod http;
#[cfg(test)]
mod tests;

use std::cell::OnceCell;
use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use self::dialogue::{Account, Dialogue};
use self::lookup::{Backfill, Look};
use crate::clock::Timestamp;
use crate::decode::keys::Key;
use crate::decode::{At, Fields};
use crate::event::{Action, Direction, Event, EventType, Inbound, VendorId};
use crate::link::Standing;
use crate::message::Message;
use crate::payload::{DEPTH_MAX, Payload};
use crate::settle::Outcome;
use crate::transform::{Outgoing, Unsendable};

/// Every vendor there is.
pub static VENDORS: &[&Vendor] = &[
    &qiscus::VENDOR,
    &dixa::VENDOR,
    &standard::VENDOR,
    &github::VENDOR,
    &stripe::VENDOR,
    &slack::VENDOR,
    &quiq::VENDOR,
    &telegram::VENDOR,
    &generic::VENDOR,
    &dimension::DIMENSION,
    &dimension::DASHBOT,
    &sendyiq::VENDOR,
    &http::VENDOR,
];

/// What a vendor can do. Both halves are optional.
#[derive(Debug)]
pub struct Vendor {
    /// As `kind = "…"` spells it.
    pub kind: &'static str,
    pub source: Option<SourceEntry>,
    pub destination: Option<DestinationEntry>,
}

#[derive(Debug)]
pub struct SourceEntry {
    /// Reads the vendor's own keys of a `[source.…]` table.
    pub configure: fn(&mut Fields<'_, '_>) -> Arc<dyn Reader>,
    /// Those keys, as editors are told them.
    pub keys: &'static [Key],
    /// Reads a stored event's body again. `None` where it is no chat message.
    pub message: fn(&Event, &Payload) -> Option<Message>,
}

#[derive(Debug)]
pub struct DestinationEntry {
    /// Reads the vendor's own keys of a `[destination.…]` table.
    pub configure: fn(&mut Fields<'_, '_>) -> Arc<dyn Writer>,
    /// Those keys, as editors are told them.
    pub keys: &'static [Key],
    /// A chat kind: `order` defaults to the conversation, and `action` means something.
    pub chat: bool,
    /// What is sent there is heard by somebody and may be answered: it must not
    /// be sent what we said ourselves. A tracker only listens.
    pub talks: bool,
    /// What a route's `action` may be; the first is the default.
    pub actions: &'static [&'static str],
    /// The default `rate` per second and `burst`, where the vendor has a limit.
    pub rate: Option<(f64, u32)>,
    /// What a route's `require` may be: a fact over there without which its
    /// copies are dropped.
    pub guards: &'static [&'static str],
}

/// One event read out of a webhook.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    pub event_type: EventType,
    pub vendor_id: Option<VendorId>,
    /// The conversation's id, or whatever orders; without the source's name.
    pub key: Option<String>,
    pub direction: Option<Direction>,
    /// The customer, where this event tells it.
    pub user: Option<String>,
    pub message: Option<Message>,
    /// The vendor's word on how the conversation stands now, where this event
    /// tells it.
    pub standing: Option<Standing>,
    /// We sent this ourselves and the platform tells us of it: it goes to no
    /// destination that talks.
    pub ours: bool,
    /// The vendor id is remembered for years, not for the log's window: every
    /// snapshot of a conversation shows its messages again.
    pub once: bool,
    /// The parsed body (as stored).
    pub payload: Payload,
    /// The bytes to store: those received, or those with credentials removed.
    pub body: Bytes,
}

/// What a webhook turned out to be.
#[derive(Clone, Debug, PartialEq)]
pub enum Webhook {
    /// One or more events, in order.
    Events(Vec<Reading>),
    /// A test of the line: answered 200 with this body and type, goes nowhere.
    Probe {
        content_type: &'static str,
        body: Bytes,
    },
}

/// A body that is not what this source sends. The text is for the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(pub String);

/// A configured source's reader.
pub trait Reader: Debug + Send + Sync {
    /// Reads a verified webhook. `depth_max`: `limits.json_depth`.
    fn read(&self, inbound: &Inbound<'_>, depth_max: usize) -> Result<Webhook, Unreadable>;

    /// What may be stored of a body that could not be read (`unreadable =
    /// "keep"`): as it came, unless the vendor is known to send credentials.
    fn unreadable(&self, body: &Bytes) -> Bytes {
        body.clone()
    }

    /// Every event type this source can make, where the vendor documents a
    /// closed set; `None`: anything. `check` warns of routes beyond it.
    fn types(&self) -> Option<&'static [&'static str]> {
        None
    }

    /// Lower-case names of headers the vendor's keys look at (always stored).
    fn headers(&self) -> Vec<String> {
        Vec::new()
    }

    /// How long the vendor id of a [`Reading::once`] is known after the last
    /// webhook that showed it.
    fn remember(&self) -> Duration {
        Duration::from_secs(400 * 24 * 3600)
    }

    /// How the platform is asked for what webhooks leave out; `None`: it is not.
    fn fetch(&self) -> Option<&Fetch> {
        None
    }
}

/// How a source asks its platform for what a webhook left out: an event that
/// `on` and `when` hold for owes a copy to a destination of the source's own,
/// whose dialogue learns further events.
#[derive(Clone, Debug)]
pub struct Fetch {
    pub writer: Arc<dyn Writer>,
    /// A glob over event types.
    pub on: &'static str,
    /// An expression, as a route's.
    pub when: &'static str,
    pub allow_private: bool,
    pub allow_link_local: bool,
    /// Further roots to trust: the path as written.
    pub ca: Option<At<String>>,
    /// Where all this is written.
    pub span: Range<usize>,
}

/// What a writer may look at.
#[derive(Debug)]
pub struct Call<'a> {
    pub event: &'a Event,
    pub contents: &'a Contents<'a>,
    pub action: &'a Action,
    /// The customer of the event's conversation: from the event, else remembered.
    pub customer: Option<&'a str>,
    pub now: Timestamp,
}

impl<'a> Call<'a> {
    /// The event's chat message, if it is one.
    pub fn message(&self) -> Option<&'a Message> {
        self.contents.message()
    }

    /// The event's body, parsed.
    pub fn payload(&self) -> &'a Payload {
        self.contents.payload()
    }
}

/// Reads a stored event's message again, whatever its kind.
pub type ReadMessage = fn(&Event, &Payload) -> Option<Message>;

/// What an event's body says. Nothing is read until somebody asks, and then
/// once: most copies go out as the bytes that came.
#[derive(Debug)]
pub struct Contents<'a> {
    event: &'a Event,
    read: ReadMessage,
    payload: OnceCell<Payload>,
    message: OnceCell<Option<Message>>,
}

impl<'a> Contents<'a> {
    /// Of a stored event; `read` is [`message_of`].
    pub fn stored(event: &'a Event, read: ReadMessage) -> Self {
        Self {
            event,
            read,
            payload: OnceCell::new(),
            message: OnceCell::new(),
        }
    }

    /// Of an event that was read just now.
    pub fn known(event: &'a Event, message: Option<&Message>, payload: &Payload) -> Self {
        Self {
            event,
            read: message_of,
            payload: OnceCell::from(payload.clone()),
            message: OnceCell::from(message.cloned()),
        }
    }

    /// Null where the body is none that can be read (`unreadable = "keep"`).
    pub fn payload(&self) -> &Payload {
        self.payload.get_or_init(|| {
            // Not `limits.json_depth`: lowering it must not blank what was accepted before.
            payload_of(self.event, DEPTH_MAX)
                .unwrap_or_else(|| Payload::from(serde_json::Value::Null))
        })
    }

    /// The chat message, if it is one.
    pub fn message(&self) -> Option<&Message> {
        self.message
            .get_or_init(|| (self.read)(self.event, self.payload()))
            .as_ref()
    }
}

/// A configured destination's writer.
pub trait Writer: Debug + Send + Sync {
    /// The request for this copy. With a [`Writer::dialogue`] that decides
    /// instead, and this is not called.
    fn write(&self, call: &Call<'_>) -> Result<Outgoing, Unsendable>;

    /// Whether [`Call::customer`] is looked at: who it is may have to be looked
    /// up.
    fn asks_customer(&self) -> bool {
        true
    }

    /// A vendor whose answers need reading (an error that means success, a 200
    /// that means failure) says so here; `None`: the status decides.
    fn read_answer(&self, _status: u16, _body: &[u8]) -> Option<Outcome> {
        None
    }

    /// A vendor whose copies take several requests; `None`: one, by `write`.
    fn dialogue(&self) -> Option<&dyn Dialogue> {
        None
    }

    /// How much of an answer is read, in bytes.
    fn answer_bytes_max(&self) -> usize {
        64 << 10
    }

    /// Whose rate is drawn from; `None`: the destination's own.
    fn account(&self) -> Option<Account> {
        None
    }

    /// The request by which an operator sees it over there; `None`: this vendor
    /// does not show such a thing.
    fn look(&self, _look: &Look) -> Option<Outgoing> {
        None
    }

    /// How what was missed is fetched, where the vendor gives it out.
    fn backfill(&self) -> Option<&dyn Backfill> {
        None
    }

    /// Where requests go, for the operator: `https://tracker.dimensionlabs.io`.
    fn shown_target(&self) -> String;
}

/// Finds a vendor by the name `kind = "…"` uses.
pub fn find(kind: &str) -> Option<&'static Vendor> {
    VENDORS.iter().copied().find(|vendor| vendor.kind == kind)
}

/// A stored event's chat message, read again from its payload; `None` where it
/// is none.
pub fn message_of(event: &Event, payload: &Payload) -> Option<Message> {
    let source = find(event.kind.as_str())?.source.as_ref()?;
    (source.message)(event, payload)
}

/// A stored event's body parsed again, the way its source's reader did;
/// `None`: it is not JSON (what `unreadable = "keep"` kept).
pub fn payload_of(event: &Event, depth_max: usize) -> Option<Payload> {
    // A form is JSON's envelope for GitHub alone: others sent it as it is.
    let content_type = event
        .header("content-type")
        .filter(|_| event.kind.as_str() == github::VENDOR.kind);
    reading::json_in(content_type, &event.body, depth_max).ok()
}
