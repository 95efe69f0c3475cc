//! Quiq: every webhook is a snapshot of a whole conversation. It is read as
//! the event it tells of, and as one `ConversationMessage` for each message;
//! each snapshot shows them all again, and `once` tells who has been heard.
//!
//! Where a webhook holds no messages, the platform can be asked for them.

mod fetch;
mod message;
mod read;

use std::sync::Arc;
use std::time::Duration;

use super::{Fetch, Reader, SourceEntry, Unreadable, Vendor, Webhook};
use crate::decode::Fields;
use crate::decode::keys::{Key, Shape};
use crate::event::Inbound;

pub use fetch::{Api, Proof};

pub static VENDOR: Vendor = Vendor {
    kind: "quiq",
    source: Some(SourceEntry {
        configure,
        keys: KEYS,
        message: message::read_again,
    }),
    destination: None,
};

/// The type of the events that are read out of a snapshot.
pub const MESSAGE: &str = "ConversationMessage";

/// The types Quiq documents (2016 to 2024), what is read out of them, and what
/// `unreadable = "keep"` makes. Agent events exist, but no document names them:
/// a route on another type is worth a warning only.
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

/// Longer than a year: who writes once a year is still the same conversation.
const REMEMBER: Duration = Duration::from_secs(400 * 24 * 3600);

/// A configured Quiq source.
#[derive(Debug)]
pub struct Quiq {
    /// How long messages are known after they were last shown.
    pub remember: Duration,
    /// Whom to ask for messages, if anybody.
    pub fetch: Option<Fetch>,
}

impl Default for Quiq {
    fn default() -> Self {
        Self {
            remember: REMEMBER,
            fetch: None,
        }
    }
}

const KEYS: &[Key] = &[
    Key::new(
        "remember",
        Shape::Duration,
        "How long messages are known after they were last shown.",
    )
    .or("\"400d\""),
    fetch::FETCH,
    fetch::FETCH_FROM,
];

fn configure(fields: &mut Fields<'_, '_>) -> Arc<dyn Reader> {
    Arc::new(Quiq {
        remember: fields.duration("remember").map_or(REMEMBER, |at| at.value),
        fetch: fetch::configure(fields),
    })
}

impl Reader for Quiq {
    fn read(&self, inbound: &Inbound<'_>, depth_max: usize) -> Result<Webhook, Unreadable> {
        read::webhook(inbound, depth_max)
    }

    fn types(&self) -> Option<&'static [&'static str]> {
        Some(TYPES)
    }

    fn remember(&self) -> Duration {
        self.remember
    }

    fn fetch(&self) -> Option<&Fetch> {
        self.fetch.as_ref()
    }
}
