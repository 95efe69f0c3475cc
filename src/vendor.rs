//! The vendors: how each one's webhooks are read and its requests written.
//! Adding a vendor is one file here and one line in [`VENDORS`].
//!
//! Everything here is pure: no I/O, no clock.

mod reading;
pub mod qiscus;
pub mod standard;
pub mod github;
pub mod stripe;
pub mod slack;
pub mod generic;
pub mod dimension;
pub mod http;
#[cfg(test)]
mod tests;

use std::fmt::Debug;
use std::sync::Arc;

use bytes::Bytes;

use crate::clock::Timestamp;
use crate::decode::Fields;
use crate::event::{Action, Direction, Event, EventType, Inbound, VendorId};
use crate::message::Message;
use crate::payload::Payload;
use crate::settle::Outcome;
use crate::transform::{Outgoing, Unsendable};

/// Every vendor there is.
pub static VENDORS: &[&Vendor] = &[
    &qiscus::VENDOR,
    &standard::VENDOR,
    &github::VENDOR,
    &stripe::VENDOR,
    &slack::VENDOR,
    &generic::VENDOR,
    &dimension::DIMENSION,
    &dimension::DASHBOT,
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
    /// Reads a stored event's body again. `None` where it is no chat message.
    pub message: fn(&Event, &Payload) -> Option<Message>,
}

#[derive(Debug)]
pub struct DestinationEntry {
    /// Reads the vendor's own keys of a `[destination.…]` table.
    pub configure: fn(&mut Fields<'_, '_>) -> Arc<dyn Writer>,
    /// A chat kind: `order` defaults to the conversation, and `action` means something.
    pub chat: bool,
    /// What a route's `action` may be; the first is the default.
    pub actions: &'static [&'static str],
    /// The default `rate` per second and `burst`, where the vendor has a limit.
    pub rate: Option<(f64, u32)>,
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

    /// Lower-case names of headers the vendor's keys look at (always stored).
    fn headers(&self) -> Vec<String> {
        Vec::new()
    }
}

/// What a writer may look at.
#[derive(Debug)]
pub struct Call<'a> {
    pub event: &'a Event,
    pub message: Option<&'a Message>,
    pub payload: &'a Payload,
    pub action: &'a Action,
    /// The customer of the event's conversation: from the event, else remembered.
    pub customer: Option<&'a str>,
    pub now: Timestamp,
}

/// A configured destination's writer.
pub trait Writer: Debug + Send + Sync {
    /// The request for this copy.
    fn write(&self, call: &Call<'_>) -> Result<Outgoing, Unsendable>;

    /// A vendor whose answers need reading (an error that means success, a 200
    /// that means failure) says so here; `None`: the status decides.
    fn read_answer(&self, _status: u16, _body: &[u8]) -> Option<Outcome> {
        None
    }

    /// Where requests go, for the operator: `https://tracker.dimensionlabs.io`.
    fn shown_target(&self) -> String;
}

/// Finds a vendor by the name `kind = "…"` uses.
pub fn find(kind: &str) -> Option<&'static Vendor> {
    VENDORS.iter().copied().find(|vendor| vendor.kind == kind)
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
