//! Dixa: conversations, messages and what becomes of them, in by its webhooks
//! and out by its API (`https://dev.dixa.io/beta`).
//!
//! What we say there comes back as a webhook. Each message of ours carries an
//! `externalId` that begins with [`EXTERNAL_ID_PREFIX`]: it makes a repeat a
//! duplicate over there, and an echo known here.

mod read;
mod configure;
mod request;
mod answer;
mod with;
mod body;
mod contact;
mod look;
mod guard;
mod deed;
mod talk;

use std::collections::BTreeMap;
use std::sync::Arc;

use url::Url;

use super::asking::Missing;
use super::dialogue::{Account, Dialogue, Known, Step};
use super::{Call, DestinationEntry, Reader, SourceEntry, Unreadable, Vendor, Webhook, Writer};
use crate::event::Inbound;
use crate::expression::Template;
use crate::secret::Secret;
use crate::settle::Reason;
use crate::transform::{Outgoing, Unsendable};

pub static VENDOR: Vendor = Vendor {
    kind: "dixa",
    source: Some(SourceEntry {
        configure: |_| Arc::new(Dixa),
        keys: &[],
        message: read::read_again,
    }),
    destination: Some(DestinationEntry {
        configure: configure::configure,
        keys: configure::KEYS,
        chat: true,
        talks: true,
        actions: &[
            "message",
            "close",
            "reopen",
            "followup",
            "transfer",
            "claim",
            "note",
            "rating_offer",
            "rating_submit",
        ],
        // Dixa documents 10 requests a second, 4 at once, per API key.
        rate: Some((10.0, 4)),
        guards: guard::GUARDS,
    }),
};

/// How the `externalId` of every message of ours begins.
pub const EXTERNAL_ID_PREFIX: &str = "hookfan:";

/// Where Dixa's API is, the beta prefix included.
pub const BASE_URL: &str = "https://dev.dixa.io/beta";

/// Reads Dixa's webhooks.
#[derive(Debug)]
pub struct Dixa;

impl Reader for Dixa {
    fn read(&self, inbound: &Inbound<'_>, depth_max: usize) -> Result<Webhook, Unreadable> {
        read::read(inbound, depth_max).map(super::reading::event)
    }

    fn types(&self) -> Option<&'static [&'static str]> {
        Some(read::TYPES)
    }
}

/// Where a new conversation is begun.
#[derive(Debug)]
pub enum Channel {
    Chat {
        widget_id: String,
    },
    Email(Mail),
    ContactForm(Mail),
    /// Takes outgoing messages only (Dixa documents it).
    Sms {
        contact_endpoint: String,
    },
    /// A foreign chat, by `/conversations/import`: what Dixa recommends for one.
    Import {
        channel_name: String,
    },
}

/// An e-mail integration of Dixa's, and what a conversation is about.
#[derive(Debug)]
pub struct Mail {
    pub integration: String,
    pub subject: Template,
}

/// The channel of foreign chats; it takes texts only (Dixa documents it).
pub const TEXT_ONLY_CHANNEL: &str = "genericapimessaging";

/// What to do with a message for a conversation that was closed over there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenClosed {
    /// Add it as if nothing was; what Dixa makes of that is not documented.
    Reuse,
    Reopen,
    /// Begin another conversation.
    New,
}

/// A configured destination.
#[derive(Debug)]
pub struct Desk {
    pub base_url: Url,
    /// The whole value of `Authorization`, without a scheme.
    pub api_key: Secret,
    pub channel: Channel,
    /// Who says outgoing messages there.
    pub agent_id: Option<String>,
    /// The same by author: his e-mail address or id, in lower case.
    pub agents: BTreeMap<String, String>,
    pub when_closed: WhenClosed,
    pub unknown_user: Missing,
    pub language: Option<String>,
    /// System events become internal notes.
    pub system_events: bool,
}

impl Desk {
    /// With the defaults.
    pub fn new(api_key: Secret) -> Option<Self> {
        Some(Self {
            base_url: Url::parse(BASE_URL).ok()?,
            api_key,
            channel: Channel::Import {
                channel_name: TEXT_ONLY_CHANNEL.to_owned(),
            },
            agent_id: None,
            agents: BTreeMap::new(),
            when_closed: WhenClosed::Reuse,
            unknown_user: Missing::DeadLetter,
            language: None,
            system_events: false,
        })
    }
}

impl Writer for Desk {
    /// The first request of the dialogue, with nothing known.
    fn write(&self, call: &Call<'_>) -> Result<Outgoing, Unsendable> {
        match self.next(call, &Known::default())? {
            Step::Ask(ask) => Ok(ask.request),
            Step::Done => Err(unsendable("there is nothing to send")),
        }
    }

    fn dialogue(&self) -> Option<&dyn Dialogue> {
        Some(self)
    }

    fn account(&self) -> Option<Account> {
        Some(Account::of(&self.shown_target(), &self.api_key))
    }

    fn shown_target(&self) -> String {
        self.base_url.as_str().trim_end_matches('/').to_owned()
    }
}

/// Dead, until somebody does what `detail` says.
fn unsendable(detail: impl Into<String>) -> Unsendable {
    Unsendable::Dead {
        reason: Reason::Unsendable,
        detail: detail.into(),
    }
}
