//! Dixa, as its OpenAPI document and its pages describe it: end users,
//! conversations, messages, ratings, queues; the rate limit of a token; and
//! the webhooks of what happened.

use std::sync::{Arc, Mutex};

use serde_json::{Value as Json, json};

use crate::clock::Clock;

use super::asked::{Asked, No, Said, Yes, same};
use super::limiter::{Limit, Limiter};
use super::lock;
use super::outbox::{Hook, Outbox};

mod acts;
mod conversations;
mod kept;
mod shapes;
mod users;
mod webhook;

pub use kept::{Conversation, EndUser, Message, Note, Rating, State};
pub use webhook::sign;

use kept::Kept;

/// What Dixa does not say, or says in several ways.
#[derive(Clone, Debug)]
pub struct Options {
    /// `None`: any rate.
    pub limit: Option<Limit>,
    /// Where an `externalId` must not be repeated.
    pub duplicates: Duplicates,
    /// What becomes of a message for a closed conversation.
    pub closed: Closed,
    /// The ids of agents; empty: whoever is no end user is an agent.
    pub agents: Vec<String>,
    /// Empty: any UUID is a queue.
    pub queues: Vec<String>,
    /// What every queue says of itself.
    pub availability: Availability,
    /// `genericChannelName`s that an import may name; empty: any.
    pub import_channels: Vec<String>,
    /// Whether customers' messages can be added to an imported conversation.
    pub generic_inbound: bool,
    /// Attachments whose URL contains one of these cannot be downloaded.
    pub dead_attachments: Vec<String>,
    /// Whether two end users may not share an e-mail address or a phone number.
    pub unique_contacts: bool,
    /// The order of an end user's conversations.
    pub newest_first: bool,
    /// Results on a page where no `pageLimit` is asked for.
    pub page: usize,
    pub webhook: Option<Hook>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            limit: Some(Limit {
                per_second: 10,
                burst: 4,
            }),
            duplicates: Duplicates::Conversation,
            closed: Closed::Reopen,
            agents: Vec::new(),
            queues: Vec::new(),
            availability: Availability::Available,
            import_channels: Vec::new(),
            generic_inbound: true,
            dead_attachments: Vec::new(),
            unique_contacts: false,
            newest_first: true,
            page: 20,
            webhook: None,
        }
    }
}

/// The scope of "Duplicate externalId", which Dixa does not state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duplicates {
    Conversation,
    Everywhere,
}

/// Whether a queue takes conversations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Availability {
    Available,
    NotAvailable,
    /// 409: no channel of the organization is asked about.
    NoChannel,
}

/// What adding to a closed conversation does, which Dixa does not state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// 400.
    Refuse,
    Reopen,
    /// Added, and closed as before.
    Keep,
}

/// The emulated Dixa.
#[derive(Debug)]
pub struct Dixa {
    options: Options,
    clock: Clock,
    outbox: Arc<Outbox>,
    kept: Mutex<Kept>,
    limiter: Mutex<Limiter>,
}

impl Dixa {
    pub(super) fn new(options: Options, clock: Clock, outbox: Arc<Outbox>) -> Self {
        Self {
            limiter: Mutex::new(Limiter::new(options.limit)),
            options,
            clock,
            outbox,
            kept: Mutex::default(),
        }
    }

    pub(super) fn judge(&self, api_key: &str, asked: &Asked<'_>) -> Said {
        // Dixa answers the same to a missing, a wrong and a weak key.
        if !same(api_key, asked.header("authorization")) {
            let no = No::request(401, "Unauthorized", "Authorization is not the key alone");
            return said("-", Err(no));
        }
        if !lock(&self.limiter).take(asked.instant) {
            return said("-", Err(No::rate()));
        }
        let segments = asked.segments();
        let segments: Vec<&str> = segments.iter().map(|segment| &**segment).collect();
        let ["beta" | "v1", rest @ ..] = segments.as_slice() else {
            return said("-", Err(No::endpoint(asked)));
        };
        let mut kept = lock(&self.kept);
        let mut turn = Turn {
            options: &self.options,
            kept: &mut kept,
            outbox: &self.outbox,
            asked,
        };
        let (step, answer) = turn.dispatch(rest);
        said(step, answer)
    }

    /// The most requests that arrived within one second.
    pub fn peak_rate(&self) -> usize {
        lock(&self.limiter).peak()
    }

    /// In the order of their creation.
    pub fn end_users(&self) -> Vec<EndUser> {
        lock(&self.kept).users.clone()
    }

    /// In the order of their creation.
    pub fn conversations(&self) -> Vec<Conversation> {
        lock(&self.kept).conversations.clone()
    }

    pub fn conversation(&self, id: i64) -> Option<Conversation> {
        lock(&self.kept).conversation(id).cloned()
    }

    /// An end user who is there already; the id.
    pub fn add_end_user(&self, external_id: Option<&str>, name: &str) -> String {
        let mut kept = lock(&self.kept);
        let mut details = json!({"displayName": name});
        if let (Some(id), Some(details)) = (external_id, details.as_object_mut()) {
            details.insert("externalId".to_owned(), json!(id));
        }
        kept.add_user(details, self.clock.now()).id.clone()
    }

    /// Somebody deletes a conversation; whether it was there.
    pub fn remove_conversation(&self, id: i64) -> bool {
        let mut kept = lock(&self.kept);
        let before = kept.conversations.len();
        kept.conversations
            .retain(|conversation| conversation.id != id);
        kept.conversations.len() < before
    }

    /// Somebody deletes an end user; whether it was there.
    pub fn remove_end_user(&self, id: &str) -> bool {
        let mut kept = lock(&self.kept);
        let before = kept.users.len();
        kept.users.retain(|user| user.id != id);
        kept.users.len() < before
    }

    /// An agent writes in Dixa's own window; the message's id, if there is
    /// such a conversation.
    pub fn agent_says(&self, conversation: i64, agent: &str, text: &str) -> Option<String> {
        self.somebody_says(conversation, "Outbound", Some(agent), text)
    }

    /// The customer writes in Dixa's own widget.
    pub fn customer_says(&self, conversation: i64, text: &str) -> Option<String> {
        self.somebody_says(conversation, "Inbound", None, text)
    }

    /// An agent closes it in Dixa's own window; whether there is such a
    /// conversation.
    pub fn agent_closes(&self, conversation: i64) -> bool {
        let mut kept = lock(&self.kept);
        let now = self.clock.now();
        let Some(found) = kept.conversation_mut(conversation) else {
            return false;
        };
        found.enter(State::Closed, now);
        webhook::closed(&self.outbox, &kept, conversation, now);
        true
    }

    fn somebody_says(
        &self,
        conversation: i64,
        direction: &'static str,
        agent: Option<&str>,
        text: &str,
    ) -> Option<String> {
        let mut kept = lock(&self.kept);
        let now = self.clock.now();
        let author = match agent {
            Some(agent) => agent.to_owned(),
            None => kept.conversation(conversation)?.requester.clone(),
        };
        let body = json!({"content": {"value": text, "_type": "Text"}});
        let message = Message::new(direction, author, &body, now);
        let id = message.id.clone();
        kept.conversation_mut(conversation)?.messages.push(message);
        webhook::message_added(&self.outbox, &kept, conversation, now);
        Some(id)
    }

    pub(super) fn shown(&self) -> Json {
        let kept = lock(&self.kept);
        json!({
            "end_users": kept.users,
            "conversations": kept.conversations,
            "peak_rate": lock(&self.limiter).peak(),
        })
    }
}

fn said(step: &'static str, answer: Result<Yes, No>) -> Said {
    Said::new(step, answer, |no| json!({"message": no.message}))
}

/// One request's turn with what is kept.
struct Turn<'a> {
    options: &'a Options,
    kept: &'a mut Kept,
    outbox: &'a Outbox,
    asked: &'a Asked<'a>,
}

type Stepped = (&'static str, Result<Yes, No>);

impl Turn<'_> {
    fn dispatch(&mut self, path: &[&str]) -> Stepped {
        match (self.asked.method.as_str(), path) {
            ("POST", ["endusers"]) => ("create_user", self.create_user()),
            ("GET", ["endusers"]) => ("find_users", self.find_users()),
            ("GET", ["endusers", id]) => ("get_user", self.get_user(id)),
            ("GET", ["endusers", id, "conversations"]) => {
                ("user_conversations", self.user_conversations(id))
            }
            ("GET", ["queues", "conversation-position", id]) => {
                ("queue_position", self.queue_position(id))
            }
            ("GET", ["queues", id, "availability"]) => {
                ("queue_availability", self.queue_availability(id))
            }
            ("POST", ["conversations"]) => ("create_conversation", self.create_conversation()),
            ("POST", ["conversations", "import"]) => {
                ("import_conversation", self.import_conversation())
            }
            (method, ["conversations", id, rest @ ..]) => self.conversation(method, id, rest),
            _ => ("-", Err(No::endpoint(self.asked))),
        }
    }

    fn conversation(&mut self, method: &str, id: &str, path: &[&str]) -> Stepped {
        match (method, path) {
            ("GET", []) => ("get_conversation", self.get_conversation(id)),
            ("GET", ["messages"]) => ("list_messages", self.list_messages(id)),
            ("POST", ["messages"]) => ("add_message", self.add_message(id)),
            ("POST", ["notes"]) => ("add_note", self.add_note(id)),
            ("PUT", ["close"]) => ("close", self.close(id)),
            ("PUT", ["reopen"]) => ("reopen", self.reopen(id)),
            ("PUT", ["followup"]) => ("followup", self.followup(id)),
            ("PUT", ["transfer", "queue"]) => ("transfer", self.transfer(id)),
            ("PUT", ["claim"]) => ("claim", self.claim(id)),
            ("POST", ["ratings", "offer"]) => ("offer_rating", self.offer_rating(id)),
            ("POST", ["ratings", rating, "submit"]) => {
                ("submit_rating", self.submit_rating(id, rating))
            }
            _ => ("-", Err(No::endpoint(self.asked))),
        }
    }

    /// Where only ids of ours may stand.
    fn is_agent(&self, id: &str) -> bool {
        if self.options.agents.is_empty() {
            !self.kept.users.iter().any(|user| user.id == id)
        } else {
            self.options.agents.iter().any(|agent| agent == id)
        }
    }

    /// The acting user some bodies may name.
    fn acting(&self, body: &Json) -> Result<(), No> {
        match body.get("userId").and_then(Json::as_str) {
            Some(id) if self.kept.users.iter().any(|user| user.id == id) => {
                Err(No::state(400, "User is not agent/admin"))
            }
            Some(id) if !self.is_agent(id) => Err(No::state(400, "User not found")),
            _ => Ok(()),
        }
    }

    fn is_queue(&self, id: &str) -> bool {
        self.options.queues.is_empty() || self.options.queues.iter().any(|queue| queue == id)
    }
}

/// 404, as Dixa words it.
fn not_found() -> No {
    No::state(404, "The requested resource could not be found")
}
