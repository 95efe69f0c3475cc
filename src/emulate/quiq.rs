//! Quiq: the one endpoint a conversation is read from, and the webhooks it
//! posts of snapshots.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Value as Json, json};

use crate::clock::{Clock, Timestamp};

use super::asked::{Asked, No, Said, Yes, same};
use super::outbox::{Hook, Outbox};
use super::{fresh_id, lock};

/// Which of Quiq's forms is spoken.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub form: Form,
    /// Also `Basic` with this application's id and the key as its secret.
    pub app_id: Option<String>,
    pub webhook: Option<Hook>,
}

/// How a conversation is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// Participants and messages, as the commissioning example has it.
    #[default]
    Simple,
    /// As in webhooks.
    Snapshot,
}

/// A conversation.
#[derive(Clone, Debug, Serialize)]
pub struct Conversation {
    pub id: String,
    /// The customer's handle.
    pub customer: String,
    /// `active`, `inactive`, `closed`, …
    pub status: String,
    pub messages: Vec<Message>,
}

impl Conversation {
    pub fn new(id: &str, customer: &str) -> Self {
        Self {
            id: id.to_owned(),
            customer: customer.to_owned(),
            status: "active".to_owned(),
            messages: Vec::new(),
        }
    }

    /// As the commissioning example has it.
    fn simple(&self) -> Json {
        let mut participants = BTreeMap::from([(self.customer.as_str(), "customer")]);
        for message in &self.messages {
            if let Some(author) = &message.author
                && !message.from_customer
            {
                participants.insert(author, "agent");
            }
        }
        let participants: Vec<Json> = participants
            .into_iter()
            .map(|(id, role)| json!({"id": id, "role": role}))
            .collect();
        let messages: Vec<Json> = self
            .messages
            .iter()
            .map(|message| {
                json!({
                    "id": message.id,
                    "text": message.text,
                    "timestamp": message.at,
                    "senderId": message.author,
                })
            })
            .collect();
        json!({"id": self.id, "participants": participants, "messages": messages})
    }

    /// As webhooks have it: everything that was ever said.
    pub fn snapshot(&self) -> Json {
        let messages: Vec<Json> = self
            .messages
            .iter()
            .map(|message| {
                json!({
                    "id": message.id,
                    "sourcePlatform": "SMS",
                    "fromCustomer": message.from_customer,
                    "author": message.author,
                    "text": message.text,
                    "assets": [],
                    "timestamp": message.at.as_millis(),
                })
            })
            .collect();
        let owner = self
            .messages
            .iter()
            .rev()
            .find(|message| !message.from_customer);
        let started = self
            .messages
            .first()
            .map_or(0, |message| message.at.as_millis());
        json!({
            "id": self.id,
            "status": self.status,
            "owner": owner.and_then(|message| message.author.as_deref()).unwrap_or_default(),
            "queue": "default",
            "customerPlatform": "SMS",
            "customerHandle": self.customer,
            "contactPointId": "default",
            "endpointId": "+14065550199",
            "customer": {"firstName": null, "lastName": null},
            "collaboration": null,
            "events": [],
            "messages": messages,
            "metrics": {},
            "integrationsData": {},
            "startTime": started,
        })
    }
}

/// A message of a conversation.
#[derive(Clone, Debug, Serialize)]
pub struct Message {
    pub id: String,
    pub from_customer: bool,
    /// `None`: Quiq itself.
    pub author: Option<String>,
    pub text: String,
    pub at: Timestamp,
}

/// The emulated Quiq.
#[derive(Debug)]
pub struct Quiq {
    options: Options,
    clock: Clock,
    outbox: Arc<Outbox>,
    kept: Mutex<Vec<Conversation>>,
}

impl Quiq {
    pub(super) fn new(options: Options, clock: Clock, outbox: Arc<Outbox>) -> Self {
        Self {
            options,
            clock,
            outbox,
            kept: Mutex::default(),
        }
    }

    /// Puts a conversation there, instead of the one with its id.
    pub fn add_conversation(&self, conversation: Conversation) {
        let mut kept = lock(&self.kept);
        kept.retain(|other| other.id != conversation.id);
        kept.push(conversation);
    }

    pub fn conversations(&self) -> Vec<Conversation> {
        lock(&self.kept).clone()
    }

    /// Somebody writes, and nothing is posted of it; the message's id, if
    /// there is such a conversation.
    pub fn say(&self, conversation: &str, author: Option<&str>, text: &str) -> Option<String> {
        let mut kept = lock(&self.kept);
        let found = kept.iter_mut().find(|found| found.id == conversation)?;
        let id = fresh_id();
        found.messages.push(Message {
            id: id.clone(),
            from_customer: author == Some(found.customer.as_str()),
            author: author.map(str::to_owned),
            text: text.to_owned(),
            at: self.clock.now(),
        });
        Some(id)
    }

    /// Posts a snapshot as an event such as `ConversationActivated`; whether
    /// there is such a conversation.
    pub fn post(&self, conversation: &str, event: &str) -> bool {
        let mut kept = lock(&self.kept);
        let Some(found) = kept.iter_mut().find(|found| found.id == conversation) else {
            return false;
        };
        if event == "ConversationClosed" {
            "closed".clone_into(&mut found.status);
        }
        let body = json!({
            "id": fresh_id(),
            "eventType": event,
            "timestamp": self.clock.now().as_millis(),
            "data": found.snapshot(),
        });
        self.outbox.put(event, body.to_string(), |secret, _body| {
            vec![("X-Centricient-Hook-Token".to_owned(), secret.to_owned())]
        });
        true
    }

    pub(super) fn judge(&self, api_key: &str, asked: &Asked<'_>) -> Said {
        let segments = asked.segments();
        let segments: Vec<&str> = segments.iter().map(|segment| &**segment).collect();
        let (step, answer) = match (asked.method.as_str(), segments.as_slice()) {
            _ if !self.admits(api_key, asked.header("authorization")) => {
                let reason = "Authorization is neither Bearer nor Basic with the key";
                ("-", Err(No::request(401, "Unauthorized", reason)))
            }
            ("GET", ["api", "v1", "messaging", "conversations", id]) => {
                ("get_conversation", self.get(asked, id))
            }
            _ => ("-", Err(No::endpoint(asked))),
        };
        Said::new(step, answer, |no| json!({"message": no.message}))
    }

    fn admits(&self, api_key: &str, given: &str) -> bool {
        match given.split_once(' ') {
            Some(("Bearer", key)) => same(api_key, key),
            Some(("Basic", pair)) => self.options.app_id.as_ref().is_some_and(|app| {
                let decoded = STANDARD.decode(pair).unwrap_or_default();
                decoded == format!("{app}:{api_key}").into_bytes()
            }),
            _ => false,
        }
    }

    fn get(&self, asked: &Asked<'_>, id: &str) -> Result<Yes, No> {
        asked.query(&[])?;
        let kept = lock(&self.kept);
        let found = kept.iter().find(|found| found.id == id);
        let found = found.ok_or_else(|| No::state(404, "There is no such conversation"))?;
        let shown = match self.options.form {
            Form::Simple => found.simple(),
            Form::Snapshot => found.snapshot(),
        };
        Ok(Yes::told(200, shown))
    }

    pub(super) fn shown(&self) -> Json {
        json!({"conversations": *lock(&self.kept)})
    }
}
