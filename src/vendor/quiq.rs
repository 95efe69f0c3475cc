//! Quiq (once Centricient): webhooks that show a whole conversation each time.
//!
//! One webhook becomes the snapshot's own event and one [`MESSAGE`] event for
//! each message in it. Every later snapshot shows the same messages again, for
//! as long as the conversation lives: their ids are remembered for that long.

mod fetch;
mod snapshot;

use std::sync::Arc;

use bytes::Bytes;

use super::{Fetch, Reader, SourceEntry, Unreadable, Vendor, Webhook, reading};
use crate::event::Inbound;

pub static VENDOR: Vendor = Vendor {
    kind: "quiq",
    source: Some(SourceEntry {
        configure: |_| Arc::new(Quiq),
        message: snapshot::read_again,
        fetch: Some(Fetch {
            destination: fetch::ENTRY,
            on: SNAPSHOTS,
            missing: "payload.data.messages is undefined or payload.data.messages is none",
        }),
    }),
    destination: None,
};

/// The type of an event that is one message of a snapshot.
pub const MESSAGE: &str = "ConversationMessage";

/// What Quiq documents, `ConversationStatusChanged` from its older samples.
const SNAPSHOTS: &[&str] = &[
    "ConversationRequested",
    "ConversationActivated",
    "ConversationInactivated",
    "ConversationClosed",
    "ConversationDeniedAsSpam",
    "ConversationMergedAsDangling",
    "ConversationStatusChanged",
];

const TYPES: &[&str] = &[
    "ConversationRequested",
    "ConversationActivated",
    "ConversationInactivated",
    "ConversationClosed",
    "ConversationDeniedAsSpam",
    "ConversationMergedAsDangling",
    "ConversationStatusChanged",
    MESSAGE,
    "unreadable",
];

/// A Quiq source has no keys of its own but those of `fetch`.
#[derive(Debug)]
pub struct Quiq;

impl Reader for Quiq {
    fn read(&self, inbound: &Inbound<'_>, depth_max: usize) -> Result<Webhook, Unreadable> {
        let payload = reading::parse(inbound.body, depth_max)?;
        if snapshot::is_probe(&payload) {
            return Ok(Webhook::Probe {
                content_type: "application/json",
                body: Bytes::from_static(b"{}"),
            });
        }
        snapshot::read(payload, inbound).map(reading::events)
    }

    fn types(&self) -> Option<&'static [&'static str]> {
        Some(TYPES)
    }
}
