//! One Quiq body to its events; and a transcript, from a webhook or from an
//! answer of the API, to the messages in it.

use std::collections::HashMap;

use bytes::Bytes;
use serde_json::{Map, Value as Json, json};

use super::{MESSAGE, message};
use crate::event::{Direction, Inbound};
use crate::link::Standing;
use crate::payload::{Payload, id_text};
use crate::vendor::{Reading, Unreadable, Webhook, reading};

/// Messages in one snapshot: each becomes an event, with the conversation's
/// fields beside it.
pub(super) const MESSAGES_MAX: usize = 5_000;

/// The conversation's fields that stand beside each message.
const FIELDS: &[&str] = &[
    "status",
    "owner",
    "queue",
    "customerPlatform",
    "customerHandle",
    "contactPointId",
    "endpointId",
];

/// The customer's fields that do. Older snapshots have the names alone.
const CUSTOMER_FIELDS: &[&str] = &["firstName", "lastName", "email", "phoneNumber"];

/// A longer one is left out: it would be stored with every message.
const FIELD_BYTES_MAX: usize = 256;

/// Reads a webhook.
pub(super) fn webhook(inbound: &Inbound<'_>, depth_max: usize) -> Result<Webhook, Unreadable> {
    let payload = reading::parse(inbound.body, depth_max)?;
    let envelope = payload.value();
    refuse_hooks_of_bots(envelope)?;
    let event_type = reading::text(envelope, "eventType")
        .ok_or_else(|| Unreadable("no `eventType`".to_owned()))?;
    // Quiq's text says "Test", its sample "test".
    if event_type.eq_ignore_ascii_case("test") {
        return Ok(Webhook::Probe {
            content_type: "application/json",
            body: Bytes::from_static(b"{}"),
        });
    }
    let none = Json::Null;
    let data = envelope.get("data").unwrap_or(&none);
    let has_messages = data.get("messages").is_some_and(Json::is_array);
    let mut messages = Vec::new();
    let (key, user) = if event_type.starts_with("Conversation") || has_messages {
        let transcript = Transcript::of(data, None)
            .ok_or_else(|| Unreadable("`data.id` is no id".to_owned()))?;
        if has_messages {
            messages = transcript
                .readings()
                .map_err(|Unreadable(why)| Unreadable(format!("`data`: {why}")))?;
        }
        (Some(transcript.id), transcript.user)
    } else {
        // Events about agents, which no document describes.
        (data.get("id").and_then(id_text), None)
    };
    let event_type = event_type.to_owned();
    let standing = standing(&event_type, reading::text(data, "status"));
    let vendor_id = envelope.get("id").and_then(id_text).map(Into::into);
    let event = reading::fit(Reading {
        vendor_id,
        key,
        user,
        standing,
        ..reading::plain(event_type, payload, inbound)
    });
    // What opens a conversation comes before what is said in it; the end, and
    // whatever else is told, must not overtake what was said before.
    let place = if standing == Some(Standing::Open) {
        0
    } else {
        messages.len()
    };
    messages.insert(place, event);
    Ok(Webhook::Events(messages))
}

/// Two other kinds of hook that Quiq can be told to call.
fn refuse_hooks_of_bots(envelope: &Json) -> Result<(), Unreadable> {
    let has = |key| envelope.get(key).is_some();
    if has("conversationUpdates") || has("ping") {
        return Err(Unreadable(
            "this is Quiq's agent hook, for bots that answer: register this address as a webhook for events instead"
                .to_owned(),
        ));
    }
    if has("derivedData") {
        return Err(Unreadable(
            "this is Quiq's bot webhook, which wants actions in return: register this address as a webhook for events instead"
                .to_owned(),
        ));
    }
    Ok(())
}

/// `ConversationStatusChanged` (2016) says it in `status` alone.
fn standing(event_type: &str, status: Option<&str>) -> Option<Standing> {
    match (event_type, status) {
        ("ConversationRequested" | "ConversationActivated", _)
        | ("ConversationStatusChanged", Some("requested" | "active")) => Some(Standing::Open),
        ("ConversationClosed" | "ConversationDeniedAsSpam" | "ConversationMergedAsDangling", _)
        | ("ConversationStatusChanged", Some("closed" | "deniedAsSpam" | "mergedAsDangling")) => {
            Some(Standing::Closed)
        }
        _ => None,
    }
}

/// A conversation with its messages: a webhook's `data` (every year's), or the
/// body of `GET …/conversations/{id}`, which the seed shows with `participants`
/// and `senderId` and which may as well be the same snapshot.
#[derive(Debug)]
pub(super) struct Transcript<'j> {
    pub(super) id: String,
    /// What Quiq knows the customer by.
    pub(super) user: Option<String>,
    messages: &'j [Json],
    /// Where senders are told by `senderId` alone.
    roles: HashMap<&'j str, &'j str>,
    /// What stands beside each message.
    conversation: Json,
}

impl<'j> Transcript<'j> {
    /// `None`: it has no id. `customer` counts where the snapshot itself has no
    /// handle, and before the participants, whose ids are another name space.
    pub(super) fn of(data: &'j Json, customer: Option<&str>) -> Option<Self> {
        let id = reading::short(&data.get("id").and_then(id_text)?);
        let participants = data.get("participants").and_then(Json::as_array);
        let participants = participants.map(Vec::as_slice).unwrap_or_default();
        let roles: HashMap<&str, &str> = participants
            .iter()
            .filter_map(|one| Some((reading::text(one, "id")?, reading::text(one, "role")?)))
            .collect();
        let handle = data.get("customerHandle").and_then(id_text);
        let named = || {
            participants
                .iter()
                .filter_map(|one| reading::text(one, "id"))
                .find(|id| roles.get(id) == Some(&"customer"))
                .map(str::to_owned)
        };
        let user = handle
            .or_else(|| customer.map(str::to_owned))
            .or_else(named);
        let messages = data.get("messages").and_then(Json::as_array);
        Some(Self {
            conversation: conversation(&id, data),
            id,
            user: user.as_deref().map(reading::short),
            messages: messages.map(Vec::as_slice).unwrap_or_default(),
            roles,
        })
    }

    /// One reading per message, in the array's order: that is the order Quiq
    /// appended them in, so a later snapshot only adds behind. Times are those
    /// of several platforms, and a message may be "said" after the snapshot.
    pub(super) fn readings(&self) -> Result<Vec<Reading>, Unreadable> {
        if self.messages.len() > MESSAGES_MAX {
            let found = self.messages.len();
            return Err(Unreadable(format!(
                "{found} messages in one snapshot, more than {MESSAGES_MAX}"
            )));
        }
        let numbered = self.messages.iter().enumerate();
        numbered
            .map(|(index, message)| self.reading(index, message))
            .collect()
    }

    fn reading(&self, index: usize, message: &Json) -> Result<Reading, Unreadable> {
        let id = message.get("id").and_then(id_text);
        let (Some(id), Json::Object(said)) = (id, message) else {
            // Without it the message would be news in every snapshot.
            return Err(Unreadable(format!("`messages.{index}.id` is no id")));
        };
        let direction = self.direction(message);
        let payload = Payload::from(json!({
            "conversation": self.conversation,
            "message": told(said, direction),
        }));
        Ok(reading::fit(Reading {
            event_type: MESSAGE.into(),
            vendor_id: Some(format!("{}/{id}", self.id).into()),
            key: Some(self.id.clone()),
            direction: Some(direction),
            user: self.user.clone(),
            message: message::build(&payload, direction, self.user.as_deref()),
            standing: None,
            ours: false,
            once: true,
            body: Bytes::from(payload.value().to_string()),
            payload,
        }))
    }

    /// `fromCustomer` says it. The seed's form says who is a customer; whoever
    /// is not, and is somebody, is the company's side. Quiq documents an author
    /// of null for what it says by itself.
    fn direction(&self, message: &Json) -> Direction {
        let from_customer = message.get("fromCustomer").and_then(Json::as_bool);
        let author = message::author_of(message);
        let role = author.as_deref().and_then(|author| self.roles.get(author));
        let triggered = message
            .get("triggeredBy")
            .and_then(|by| reading::text(by, "type"));
        if triggered == Some("system") || role == Some(&"system") {
            return Direction::System;
        }
        match (from_customer, author) {
            (Some(true), _) => Direction::Incoming,
            (_, None) => Direction::System,
            (Some(false), Some(_)) => Direction::Outgoing,
            (None, Some(author)) => {
                if role == Some(&"customer") || self.user.as_ref() == Some(&author) {
                    Direction::Incoming
                } else {
                    Direction::Outgoing
                }
            }
        }
    }
}

/// The message as sent; where it has the seed's form, `author` and
/// `fromCustomer` are added, so that templates find them in both.
fn told(said: &Map<String, Json>, direction: Direction) -> Json {
    let mut told = said.clone();
    if !told.contains_key("author")
        && let Some(sender) = told.get("senderId").cloned()
    {
        told.insert("author".to_owned(), sender);
    }
    if !told.contains_key("fromCustomer") {
        let incoming = direction == Direction::Incoming;
        told.insert("fromCustomer".to_owned(), incoming.into());
    }
    Json::Object(told)
}

/// What is needed to read a message by itself, and what routes may look at.
fn conversation(id: &str, data: &Json) -> Json {
    let kept = |from: &Json, fields: &[&str]| -> Map<String, Json> {
        let fields = fields.iter().filter_map(|field| {
            let value = from.get(field).filter(|value| fits(value))?;
            Some(((*field).to_owned(), value.clone()))
        });
        fields.collect()
    };
    let mut conversation = kept(data, FIELDS);
    conversation.insert("id".to_owned(), id.into());
    if let Some(customer) = data.get("customer") {
        let customer = kept(customer, CUSTOMER_FIELDS);
        conversation.insert("customer".to_owned(), customer.into());
    }
    Json::Object(conversation)
}

fn fits(value: &Json) -> bool {
    match value {
        Json::String(text) => text.len() <= FIELD_BYTES_MAX,
        Json::Null | Json::Bool(_) | Json::Number(_) => true,
        Json::Array(_) | Json::Object(_) => false,
    }
}
