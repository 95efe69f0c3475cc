//! Qiscus: SDK v2 (seed shape), SDK v2.1 and Omnichannel webhooks, which share
//! one family of bodies.
//!
//! Qiscus documents no message id and no timestamp for the v2 shape: such an
//! event has no vendor id, and nothing is ever taken for a duplicate by its
//! bytes, because two real "ok"s are equal.
//!
//! As a destination it is a speaker in rooms; what it says is known again when
//! it comes back.

mod api;
pub mod backfill;
mod credentials;
mod message;
mod read;
mod speaker;
mod text;

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value as Json;

use super::{Reader, SourceEntry, Unreadable, Vendor, Webhook, reading};
use crate::decode::Fields;
use crate::decode::keys::{Key, Shape};
use crate::event::{Direction, Inbound};
use crate::payload::{DEPTH_MAX, Payload};
use crate::route::glob_matches;

pub use api::{Api, Version};
pub use read::event_type_of;
pub use speaker::{LongText, NewRoom, Side, Speaker};

pub static VENDOR: Vendor = Vendor {
    kind: "qiscus",
    source: Some(SourceEntry {
        configure,
        keys: KEYS,
        message: message::read_again,
    }),
    destination: Some(speaker::DESTINATION),
};

/// Whose addresses are the company's side where the file does not say:
/// Omnichannel gives its agents and bots addresses there (documented with the
/// Omnichannel bot API).
pub const AGENTS: &[&str] = &["*@qismo.com"];

/// How a `unique_temp_id` of ours begins; our event's id follows.
pub const MARK: &str = "hookfan-";

/// The types Qiscus documents, and what `unreadable = "keep"` makes. More may
/// come, which is why a route on another type is worth a warning only.
const TYPES: &[&str] = &[
    "post_comment_mobile",
    "post_comment_rest",
    "NEW_SESSION_WEBHOOK",
    "mark_as_resolved",
    "custom_agent_allocation",
    "unreadable",
];

/// Who speaks through the REST API when no pattern says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    Agent,
    Customer,
}

/// A configured Qiscus source.
#[derive(Clone, Debug)]
pub struct Qiscus {
    /// Globs; compared without regard to case, as mail domains are.
    pub agents: Vec<String>,
    /// Globs likewise: through whom we ourselves speak. They are agents too.
    pub ours: Vec<String>,
    pub rest: Rest,
}

impl Default for Qiscus {
    fn default() -> Self {
        Self {
            agents: AGENTS.iter().map(|glob| (*glob).to_owned()).collect(),
            ours: Vec::new(),
            rest: Rest::Agent,
        }
    }
}

const KEYS: &[Key] = &[
    Key::new(
        "agents",
        Shape::Texts,
        "Whose messages are the company's side, bots included; `*` and `?` allowed.",
    )
    .or(r#"["*@qismo.com"]"#),
    Key::new(
        "ours",
        Shape::Texts,
        "Through whom the gateway itself speaks: their messages go to no destination that talks.",
    ),
    Key::new(
        "rest",
        Shape::Word(&["agent", "customer"]),
        "Who speaks through post_comment_rest when no pattern says.",
    )
    .or("\"agent\""),
];

fn configure(fields: &mut Fields<'_, '_>) -> Arc<dyn Reader> {
    let mut source = Qiscus::default();
    if fields.has("agents") {
        source.agents = fields
            .texts("agents")
            .into_iter()
            .map(|glob| glob.value)
            .collect();
    }
    source.ours = fields
        .texts("ours")
        .into_iter()
        .map(|glob| glob.value)
        .collect();
    if let Some(rest) = fields.choice(
        "rest",
        &[("agent", Rest::Agent), ("customer", Rest::Customer)],
    ) {
        source.rest = rest.value;
    }
    Arc::new(source)
}

impl Reader for Qiscus {
    fn read(&self, inbound: &Inbound<'_>, depth_max: usize) -> Result<Webhook, Unreadable> {
        read::read(self, inbound.body, depth_max).map(reading::event)
    }

    fn unreadable(&self, body: &Bytes) -> Bytes {
        let payload = Payload::parse(body, DEPTH_MAX).ok();
        let removed = payload.as_ref().and_then(credentials::removed);
        removed.map_or_else(|| body.clone(), |(_, body)| body)
    }

    fn types(&self) -> Option<&'static [&'static str]> {
        Some(TYPES)
    }
}

impl Qiscus {
    /// Whether this address is the company's side.
    pub fn is_agent(&self, email: &str) -> bool {
        any_matches(&self.agents, email) || any_matches(&self.ours, email)
    }

    /// Whether we said this ourselves. A mark counts in what came through the
    /// REST API only: a customer's own client cannot claim it.
    pub fn is_ours(&self, event_type: &str, message: &Json, author: Option<&str>) -> bool {
        author.is_some_and(|email| any_matches(&self.ours, email))
            || (event_type == "post_comment_rest" && message::is_marked(message))
    }

    /// `post_comment_mobile` and `post_comment_rest` say which client posted,
    /// not who; hence this rule.
    pub fn direction(
        &self,
        event_type: &str,
        message_kind: &str,
        author: Option<&str>,
    ) -> Direction {
        if message_kind == "system_event" {
            return Direction::System;
        }
        if author.is_some_and(|email| self.is_agent(email)) {
            return Direction::Outgoing;
        }
        match (event_type, self.rest) {
            ("post_comment_rest", Rest::Agent) => Direction::Outgoing,
            _ => Direction::Incoming,
        }
    }
}

fn any_matches(globs: &[String], email: &str) -> bool {
    let email = email.to_lowercase();
    globs
        .iter()
        .any(|glob| glob_matches(&glob.to_lowercase(), &email))
}
