//! SendyIQ: the eleven endpoints of a store's conversations. Its documents
//! name paths, parameters and one request body; the answers are our guess.

use std::sync::Mutex;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value as Json, json};

use crate::clock::{Clock, Timestamp};

use super::asked::{Asked, No, Said, Yes, same};
use super::shape::{Kind, must};
use super::{fresh_id, lock, shape};

const BASE: [&str; 4] = ["api", "v1", "store", "integrations"];
const PAGE: usize = 20;

/// What SendyIQ does not say.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether the key may ask.
    pub may_read: bool,
    /// Whether the key may post.
    pub may_write: bool,
    /// Whether a message for a resolved conversation is refused with 409.
    pub resolved_refuses: bool,
    /// In characters; `None`: any length.
    pub text_max: Option<usize>,
    /// There from the start.
    pub conversations: Vec<Conversation>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            may_read: true,
            may_write: true,
            resolved_refuses: true,
            text_max: None,
            conversations: Vec::new(),
        }
    }
}

/// Where a conversation takes place, which is part of its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The widget on the shop's site.
    Chat,
    /// A social channel.
    Social,
}

/// A conversation; no endpoint creates one.
#[derive(Clone, Debug, Serialize)]
pub struct Conversation {
    /// A UUID.
    pub id: String,
    pub side: Side,
    /// A UUID.
    pub channel: String,
    pub customer_email: Option<String>,
    pub customer_name: Option<String>,
    pub resolved: bool,
    pub messages: Vec<Message>,
}

impl Conversation {
    /// An open chat.
    pub fn chat(id: &str, customer_email: &str) -> Self {
        Self {
            id: id.to_owned(),
            side: Side::Chat,
            channel: "7d444840-9dc0-11d1-b245-5ffdce74fad2".to_owned(),
            customer_email: Some(customer_email.to_owned()),
            customer_name: None,
            resolved: false,
            messages: Vec::new(),
        }
    }

    /// An open one on a social channel.
    pub fn social(id: &str, customer_email: &str) -> Self {
        Self {
            side: Side::Social,
            ..Self::chat(id, customer_email)
        }
    }

    const fn status(&self) -> &'static str {
        if self.resolved { "resolved" } else { "open" }
    }

    fn shown(&self, now: Timestamp) -> Json {
        let last = self.messages.last().map_or(now, |message| message.at);
        json!({
            "id": self.id,
            "channelId": self.channel,
            "status": self.status(),
            "customer": {"name": self.customer_name, "email": self.customer_email},
            "lastMessageAt": last,
        })
    }
}

/// What the store said to the customer.
#[derive(Clone, Debug, Serialize)]
pub struct Message {
    pub id: String,
    pub text: String,
    pub at: Timestamp,
    /// The `webhook-id` it came with.
    pub event: Option<String>,
}

/// The emulated SendyIQ.
#[derive(Debug)]
pub struct SendyIq {
    options: Options,
    clock: Clock,
    kept: Mutex<Vec<Conversation>>,
}

impl SendyIq {
    pub(super) fn new(options: Options, clock: Clock) -> Self {
        Self {
            kept: Mutex::new(options.conversations.clone()),
            options,
            clock,
        }
    }

    /// A customer has written.
    pub fn add_conversation(&self, conversation: Conversation) {
        lock(&self.kept).push(conversation);
    }

    pub fn conversations(&self) -> Vec<Conversation> {
        lock(&self.kept).clone()
    }

    pub fn conversation(&self, id: &str) -> Option<Conversation> {
        let kept = lock(&self.kept);
        kept.iter().find(|found| found.id == id).cloned()
    }

    /// Somebody resolves or reopens it in SendyIQ's own window; whether there
    /// is such a conversation.
    pub fn resolve(&self, id: &str, resolved: bool) -> bool {
        let mut kept = lock(&self.kept);
        let found = kept.iter_mut().find(|found| found.id == id);
        found.is_some_and(|found| {
            found.resolved = resolved;
            true
        })
    }

    pub(super) fn judge(&self, api_key: &str, asked: &Asked<'_>) -> Said {
        let segments = asked.segments();
        let segments: Vec<&str> = segments.iter().map(|segment| &**segment).collect();
        let (step, answer) = match self.admit(api_key, asked) {
            Err(no) => ("-", Err(no)),
            Ok(()) => match segments.strip_prefix(&BASE) {
                Some(path) => self.dispatch(asked, path),
                None => ("-", Err(No::endpoint(asked))),
            },
        };
        Said::new(
            step,
            answer,
            |no| json!({"success": false, "message": no.message, "errors": [no.reason]}),
        )
    }

    /// The key is `<keyId>.<secret>`; reading and writing are scopes.
    fn admit(&self, api_key: &str, asked: &Asked<'_>) -> Result<(), No> {
        let given = asked.header("x-api-key");
        let formed = given
            .split_once('.')
            .is_some_and(|(id, secret)| !id.is_empty() && !secret.is_empty());
        if !formed || !same(api_key, given) {
            return Err(No::request(
                401,
                "Unauthorized",
                "X-API-Key is not <keyId>.<secret>",
            ));
        }
        let (may, scope) = if asked.method == http::Method::GET {
            (self.options.may_read, "messaging:read")
        } else {
            (self.options.may_write, "messaging:write")
        };
        if may {
            Ok(())
        } else {
            let reason = format!("the key lacks the scope {scope}");
            Err(No::request(403, "Forbidden", reason))
        }
    }

    fn dispatch(&self, asked: &Asked<'_>, path: &[&str]) -> (&'static str, Result<Yes, No>) {
        let side = match path.first() {
            Some(&"chat") => Side::Chat,
            Some(&"social") => Side::Social,
            _ => return ("-", Err(No::endpoint(asked))),
        };
        let acts = |id, act| self.act(asked, side, id, act);
        match (asked.method.as_str(), path.get(1..).unwrap_or_default()) {
            ("GET", ["conversations"]) => ("list_conversations", self.list(asked, side)),
            ("GET", ["conversations", id]) => ("get_conversation", self.get(asked, side, id)),
            ("POST", ["conversations", id, "messages"]) => {
                ("add_message", self.add_message(asked, side, id))
            }
            ("POST", ["conversations", id, "reopen"]) => ("reopen", acts(id, false)),
            ("POST", ["conversations", id, "resolve"]) => ("resolve", acts(id, true)),
            ("POST", ["hub-token"]) if side == Side::Chat => ("hub_token", hub_token(asked)),
            _ => ("-", Err(No::endpoint(asked))),
        }
    }

    fn list(&self, asked: &Asked<'_>, side: Side) -> Result<Yes, No> {
        // The two lists name their page size differently, as documented.
        let size = match side {
            Side::Chat => "PageSize",
            Side::Social => "PerPage",
        };
        let query = asked
            .query(&[
                ("Page", Kind::Page),
                (size, Kind::Page),
                ("Status", Kind::Filled),
                ("ChannelId", Kind::Uuid),
            ])
            .map_err(invalid)?;
        let (page, size) = (
            query.number("Page").unwrap_or(1),
            query.number(size).unwrap_or(PAGE),
        );
        let kept = lock(&self.kept);
        let fits = |found: &&Conversation| {
            found.side == side
                && query
                    .get("Status")
                    .is_none_or(|status| status == found.status())
                && query
                    .get("ChannelId")
                    .is_none_or(|channel| channel == found.channel)
        };
        let found: Vec<&Conversation> = kept.iter().filter(fits).collect();
        let items: Vec<Json> = found
            .iter()
            .skip((page - 1).saturating_mul(size))
            .take(size)
            .map(|found| found.shown(asked.now))
            .collect();
        Ok(Yes::told(
            200,
            enveloped(
                json!({"items": items, "page": page, "pageSize": size, "totalCount": found.len()}),
            ),
        ))
    }

    fn get(&self, asked: &Asked<'_>, side: Side, id: &str) -> Result<Yes, No> {
        asked.query(&[]).map_err(invalid)?;
        self.with(side, id, |found| {
            let mut shown = found.shown(asked.now);
            if let Some(shown) = shown.as_object_mut() {
                let messages: Vec<Json> = found
                    .messages
                    .iter()
                    .map(|said| said_as(found, said))
                    .collect();
                shown.insert("messages".to_owned(), Json::Array(messages));
            }
            Ok(Yes::told(200, enveloped(shown)))
        })
    }

    fn add_message(&self, asked: &Asked<'_>, side: Side, id: &str) -> Result<Yes, No> {
        const MESSAGE: Kind = Kind::Object(&[must("text", Kind::Filled)]);
        asked.query(&[]).map_err(invalid)?;
        let body = asked.json(MESSAGE).map_err(invalid)?;
        let text = body.get("text").and_then(Json::as_str).unwrap_or_default();
        if self
            .options
            .text_max
            .is_some_and(|most| text.chars().count() > most)
        {
            return Err(invalid(No::decoding("text is too long")));
        }
        let event = Some(asked.header("webhook-id").to_owned()).filter(|event| !event.is_empty());
        self.with(side, id, |found| {
            if found.resolved && self.options.resolved_refuses {
                return Err(No::state(409, "The conversation is resolved"));
            }
            let message = Message {
                id: fresh_id(),
                text: text.to_owned(),
                at: asked.now,
                event,
            };
            let shown = said_as(found, &message);
            found.messages.push(message);
            Ok(Yes::taken(200, enveloped(shown)))
        })
    }

    fn act(&self, asked: &Asked<'_>, side: Side, id: &str, resolve: bool) -> Result<Yes, No> {
        nothing(asked)?;
        self.with(side, id, |found| {
            found.resolved = resolve;
            let data = json!({"id": found.id, "status": found.status()});
            Ok(Yes::taken(200, enveloped(data)))
        })
    }

    fn with(
        &self,
        side: Side,
        id: &str,
        then: impl FnOnce(&mut Conversation) -> Result<Yes, No>,
    ) -> Result<Yes, No> {
        if !shape::is_uuid(id) {
            return Err(invalid(No::value("conversationId must be a UUID")));
        }
        let mut kept = lock(&self.kept);
        let found = kept
            .iter_mut()
            .find(|found| found.side == side && found.id.eq_ignore_ascii_case(id));
        found.map_or_else(|| Err(No::state(404, "Conversation not found")), then)
    }

    pub(super) fn shown(&self) -> Json {
        json!({"conversations": *lock(&self.kept), "now": self.clock.now()})
    }
}

/// Endpoints that are documented without a body get none.
fn nothing(asked: &Asked<'_>) -> Result<(), No> {
    asked.query(&[]).map_err(invalid)?;
    if asked.body.is_empty() {
        Ok(())
    } else {
        Err(invalid(No::decoding("this endpoint has no request body")))
    }
}

fn hub_token(asked: &Asked<'_>) -> Result<Yes, No> {
    nothing(asked)?;
    let until = asked.now.plus(Duration::from_secs(900));
    let data = json!({"token": "eyJhbGciOiJub25lIn0.e30.", "expiresAt": until});
    Ok(Yes::told(200, enveloped(data)))
}

fn said_as(found: &Conversation, message: &Message) -> Json {
    json!({
        "id": message.id,
        "conversationId": found.id,
        "text": message.text,
        "createdAt": message.at,
    })
}

fn enveloped(data: Json) -> Json {
    json!({"success": true, "message": null, "data": data})
}

/// What is malformed fails its validation.
fn invalid(no: No) -> No {
    No::request(400, "Validation failed", no.reason)
}
