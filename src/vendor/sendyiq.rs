//! SendyIQ: a store's website chat and social inbox.
//!
//! Everything posted there is a message of the store to the customer, there is
//! no author, and no endpoint creates a conversation (SendyIQ documents the
//! eleven endpoints and neither of these). So only the company's side goes
//! there unless told, and a conversation here must be linked to one there: by
//! `hookfan links set`, or by `match`.

mod answers;
mod requests;
mod talk;

use std::sync::Arc;

use ::http::HeaderValue;
use url::Url;

use super::asking::{self, Missing};
use super::dialogue::{Account, Dialogue, Known};
use super::lookup::Look;
use super::{Call, DestinationEntry, Vendor, Writer};
use crate::decode::Fields;
use crate::decode::keys::{Key, Shape};
use crate::expression::Template;
use crate::secret::Secret;
use crate::settle::Reason;
use crate::transform::{Outgoing, Unsendable};

pub use answers::{Conversation, Page, page};

pub static VENDOR: Vendor = Vendor {
    kind: "sendyiq",
    source: None,
    destination: Some(DestinationEntry {
        configure,
        keys: KEYS,
        chat: true,
        talks: true,
        actions: &["message", "reopen", "resolve"],
        rate: None,
        guards: &[],
    }),
};

/// Which of the two inboxes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inbox {
    Chat,
    Social,
}

/// Whose messages go there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Agent,
    Both,
}

/// What to do when a message meets a resolved conversation (409).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenResolved {
    /// Reopen it, and say it again.
    Reopen,
    /// The message is refused.
    Refuse,
}

/// How an unlinked conversation is looked for.
#[derive(Debug)]
pub struct Match {
    /// A dotted path in an item of the list.
    pub field: String,
    /// What must stand there.
    pub to: Template,
    /// The list's `Status`; absent: all.
    pub status: Option<String>,
    pub pages_max: u32,
}

/// A configured destination.
#[derive(Debug)]
pub struct SendyIq {
    /// The destination's own name.
    pub name: String,
    pub base_url: Url,
    pub inbox: Inbox,
    pub side: Side,
    /// Stands in front of every message.
    pub prefix: Option<Template>,
    pub when_unlinked: Missing,
    pub when_resolved: WhenResolved,
    pub find: Option<Match>,
    pub system_events: bool,
    key: Secret,
    key_header: HeaderValue,
}

const BASE_URL: &str = "https://api.sendyiq.com";

/// Who speaks, where both sides go to a customer who sees no names.
const PREFIX: &str = "[{{ message.author.name }}] ";

/// More pages than this would be asked for at every message.
const PAGES_MAX: u64 = 100;

/// A destination whose table was wrong; its complaints stop the configuration.
#[derive(Debug)]
struct Unconfigured;

impl Writer for Unconfigured {
    fn write(&self, _call: &Call<'_>) -> Result<Outgoing, Unsendable> {
        Err(asking::dead(
            Reason::Unsendable,
            "the destination is not configured",
        ))
    }

    fn shown_target(&self) -> String {
        String::new()
    }
}

const KEYS: &[Key] = &[
    Key::new(
        "api_key",
        Shape::Secret,
        "`<key id>.<secret>`, with the scope messaging:write.",
    )
    .required(),
    asking::base_url_key("\"https://api.sendyiq.com\""),
    Key::new(
        "api",
        Shape::Word(&["chat", "social"]),
        "Which of the two inboxes.",
    )
    .or("\"chat\""),
    Key::new(
        "side",
        Shape::Word(&["agent", "both"]),
        "Whose messages go there: all that is posted reaches the customer.",
    )
    .or("\"agent\""),
    Key::new(
        "prefix",
        Shape::Text,
        "What stands before a text, a template; absent: nothing, with side = \"both\" who speaks.",
    ),
    asking::WHEN_UNLINKED,
    Key::new(
        "when_resolved",
        Shape::Word(&["reopen", "refuse"]),
        "What a message does to a conversation that is resolved.",
    )
    .or("\"reopen\""),
    Key::new(
        "match",
        Shape::Table(MATCH),
        "How a conversation over there is found by itself.",
    ),
    asking::SYSTEM_EVENTS,
];

const MATCH: &[Key] = &[
    Key::new(
        "field",
        Shape::Filled,
        "A field of an item of the list: \"customer.email\".",
    )
    .required(),
    Key::new("to", Shape::Filled, "What must stand there, a template.")
        .required()
        .such_as("\"{{ message.user.email }}\""),
    Key::new(
        "status",
        Shape::Text,
        "Of conversations with this status; \"\": of any.",
    )
    .or("\"open\""),
    Key::new(
        "pages",
        Shape::Count(1, PAGES_MAX),
        "Pages that are looked at, at most.",
    )
    .or("5"),
];

fn configure(fields: &mut Fields<'_, '_>) -> Arc<dyn Writer> {
    let name = asking::name_of(fields);
    let why = "api_key = { env = \"…\" }: `<key id>.<secret>`, with the scope messaging:write";
    let (key, key_header) = asking::header_secret(fields, "api_key", why);
    let base_url = asking::base_url(fields, BASE_URL).or_else(|| Url::parse(BASE_URL).ok());
    let inbox = fields.choice("api", &[("chat", Inbox::Chat), ("social", Inbox::Social)]);
    let side = fields.choice("side", &[("agent", Side::Agent), ("both", Side::Both)]);
    let side = side.map_or(Side::Agent, |side| side.value);
    let prefix = if fields.has("prefix") {
        asking::template(fields, "prefix")
    } else {
        (side == Side::Both)
            .then(|| Template::parse(PREFIX).ok())
            .flatten()
    };
    let resolved = [
        ("reopen", WhenResolved::Reopen),
        ("refuse", WhenResolved::Refuse),
    ];
    let when_unlinked = asking::when_unlinked(fields);
    let when_resolved = fields
        .choice("when_resolved", &resolved)
        .map_or(WhenResolved::Reopen, |choice| choice.value);
    let find = fields.table("match", find).flatten();
    let system_events = fields.flag("system_events", false);
    let Some(base_url) = base_url else {
        return Arc::new(Unconfigured);
    };
    Arc::new(SendyIq {
        name,
        base_url,
        inbox: inbox.map_or(Inbox::Chat, |inbox| inbox.value),
        side,
        prefix,
        when_unlinked,
        when_resolved,
        find,
        system_events,
        key,
        key_header,
    })
}

/// `match = { field = "customer.email", to = "{{ message.user.email }}" }`.
fn find(fields: &mut Fields<'_, '_>) -> Option<Match> {
    let field = fields.required_text(
        "field",
        "a field of an item of the list: \"customer.email\"",
    );
    let why = "what must stand there: \"{{ message.user.email }}\"";
    let to = fields.required_text("to", why);
    let to = to.and_then(|_| asking::template(fields, "to"));
    let status = if fields.has("status") {
        fields.text("status").map(|status| status.value)
    } else {
        Some("open".to_owned())
    };
    let pages = fields.count("pages", 1);
    if let Some(pages) = pages.as_ref().filter(|pages| pages.value > PAGES_MAX) {
        let message = format!("`{}` is at most {PAGES_MAX}", fields.name("pages"));
        fields.error(
            pages.span.clone(),
            message,
            Some(format!("write {PAGES_MAX} or less")),
        );
    }
    Some(Match {
        field: field?.value,
        to: to?,
        status: status.filter(|status| !status.trim().is_empty()),
        pages_max: pages.map_or(5, |pages| u32::try_from(pages.value).unwrap_or(u32::MAX)),
    })
}

impl Writer for SendyIq {
    fn write(&self, call: &Call<'_>) -> Result<Outgoing, Unsendable> {
        asking::first(self.next(call, &Known::default())?)
    }

    fn dialogue(&self) -> Option<&dyn Dialogue> {
        Some(self)
    }

    fn account(&self) -> Option<Account> {
        Some(Account::of(&self.shown_target(), &self.key))
    }

    fn look(&self, look: &Look) -> Option<Outgoing> {
        Some(match look {
            Look::Conversations { page } => self.list_request(*page, None, None),
            Look::Conversation(id) => self.conversation_request(id.parse().ok()?),
            Look::HubToken => self.hub_token_request(),
        })
    }

    fn shown_target(&self) -> String {
        asking::shown(&self.base_url)
    }
}
