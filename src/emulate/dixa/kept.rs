//! What the emulated Dixa holds.

use serde::Serialize;
use serde_json::{Value as Json, json};

use crate::clock::Timestamp;
use crate::emulate::fresh_id;

/// An end user.
#[derive(Clone, Debug, Serialize)]
pub struct EndUser {
    pub id: String,
    pub external_id: Option<String>,
    pub email: Option<String>,
    pub phone: Option<String>,
    pub name: Option<String>,
    pub created_at: Timestamp,
    /// As it was given.
    pub details: Json,
}

impl EndUser {
    /// As Dixa shows it: what is not known is absent, lists are empty.
    pub(super) fn shown(&self) -> Json {
        let mut shown = json!({
            "id": self.id,
            "createdAt": self.created_at,
            "additionalEmails": [],
            "additionalPhoneNumbers": [],
            "middleNames": [],
            "customAttributes": [],
        });
        if let (Some(shown), Some(given)) = (shown.as_object_mut(), self.details.as_object()) {
            shown.extend(given.clone());
        }
        shown
    }
}

/// How a conversation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum State {
    Open,
    Pending,
    Closed,
}

/// A conversation.
#[derive(Clone, Debug, Serialize)]
pub struct Conversation {
    pub id: i64,
    /// The end user.
    pub requester: String,
    /// `Chat`, `Email`, …, or the `genericChannelName` of an import.
    pub channel: String,
    pub imported: bool,
    pub direction: String,
    pub state: State,
    pub state_at: Timestamp,
    pub external_id: Option<String>,
    pub created_at: Timestamp,
    pub messages: Vec<Message>,
    pub agent: Option<String>,
    pub queue: Option<String>,
    pub follow_up_at: Option<String>,
    pub notes: Vec<Note>,
    pub ratings: Vec<Rating>,
}

impl Conversation {
    pub(super) fn enter(&mut self, state: State, at: Timestamp) {
        (self.state, self.state_at) = (state, at);
        if state != State::Pending {
            self.follow_up_at = None;
        }
    }

    /// As Dixa shows it.
    pub(super) fn shown(&self) -> Json {
        let (kind, channel) = match self.channel.as_str() {
            "Chat" => ("ChatConversation", "WidgetChat"),
            "Email" => ("EmailConversation", "Email"),
            "ContactForm" => ("ContactFormConversation", "ContactForm"),
            "Sms" => ("SmsConversation", "Sms"),
            "Callback" => ("PstnPhoneConversation", "Callback"),
            other => ("GenericConversation", other),
        };
        let mut shown = json!({
            "id": self.id,
            "requesterId": self.requester,
            "channel": channel,
            "createdAt": self.created_at,
            "direction": self.direction,
            "state": self.state,
            "stateUpdatedAt": self.state_at,
            "customAttributes": [],
            "_type": kind,
        });
        if let Some(shown) = shown.as_object_mut() {
            if let Some(agent) = &self.agent {
                shown.insert(
                    "assignment".to_owned(),
                    json!({"agentId": agent, "assignedAt": self.state_at}),
                );
            }
            if let Some(queue) = &self.queue {
                let queued = json!({"id": queue, "queuedAt": self.state_at});
                shown.insert("queue".to_owned(), queued);
            }
        }
        shown
    }
}

/// A message of a conversation.
#[derive(Clone, Debug, Serialize)]
pub struct Message {
    pub id: String,
    /// `Inbound` or `Outbound`.
    pub direction: &'static str,
    pub author: String,
    pub external_id: Option<String>,
    pub text: String,
    /// `Text`, `Html` or `Markdown`.
    pub content_type: String,
    /// URLs.
    pub attachments: Vec<String>,
    pub created_at: Timestamp,
    /// When it came here, which for an imported one is later.
    pub added_at: Timestamp,
    /// As it was given.
    pub body: Json,
}

impl Message {
    pub(super) fn new(
        direction: &'static str,
        author: String,
        body: &Json,
        now: Timestamp,
    ) -> Self {
        let text = |value: Option<&Json>| value.and_then(Json::as_str).map(str::to_owned);
        let content = body.get("content");
        let of_content = |name| text(content.and_then(|content| content.get(name)));
        let attachments = body.get("attachments").and_then(Json::as_array);
        let created = body.get("createdAt").and_then(Json::as_str);
        Self {
            id: fresh_id(),
            direction,
            author,
            external_id: text(body.get("externalId")),
            text: of_content("value").unwrap_or_default(),
            content_type: of_content("_type").unwrap_or_else(|| "Text".to_owned()),
            attachments: attachments
                .into_iter()
                .flatten()
                .filter_map(|attachment| text(attachment.get("url")))
                .collect(),
            created_at: created.and_then(Timestamp::parse_rfc3339).unwrap_or(now),
            added_at: now,
            body: body.clone(),
        }
    }

    /// As the answer to adding it.
    pub(super) fn added(&self) -> Json {
        let mut shown = json!({
            "content": {"value": self.text, "_type": self.content_type},
            "direction": self.direction,
            "authorId": self.author,
            "messageId": self.id,
            "createdAt": self.created_at,
        });
        if let (Some(id), Some(shown)) = (&self.external_id, shown.as_object_mut()) {
            shown.insert("externalId".to_owned(), json!(id));
        }
        shown
    }

    /// As the list of messages shows it, in which times are not RFC 3339.
    pub(super) fn listed(&self, channel: &str) -> Json {
        let kind = match channel {
            "Chat" => "ChatAttributes",
            "Email" => "EmailAttributes",
            "ContactForm" => "ContactFormAttributes",
            "Sms" => "SmsAttributes",
            _ => "GenericAttributes",
        };
        let content = json!({"value": self.text, "_type": self.content_type});
        let attachments: Vec<Json> = self
            .attachments
            .iter()
            .map(|url| json!({"url": url}))
            .collect();
        let mut attributes = json!({
            "direction": self.direction,
            "attachments": attachments,
            "_type": kind,
        });
        if let Some(attributes) = attributes.as_object_mut() {
            if matches!(channel, "Email" | "ContactForm") {
                let regular = json!({"content": content, "_type": "Regular"});
                attributes.insert("emailContent".to_owned(), regular);
            } else {
                attributes.insert("content".to_owned(), content);
            }
        }
        let mut shown = json!({
            "id": self.id,
            "authorId": self.author,
            "createdAt": format!("{}[GMT]", self.created_at),
            "attributes": attributes,
        });
        if let (Some(id), Some(shown)) = (&self.external_id, shown.as_object_mut()) {
            shown.insert("externalId".to_owned(), json!(id));
        }
        shown
    }
}

/// An internal note.
#[derive(Clone, Debug, Serialize)]
pub struct Note {
    pub id: String,
    pub message: String,
    pub agent: Option<String>,
    pub created_at: Timestamp,
}

/// A rating that was offered and perhaps given.
#[derive(Clone, Debug, Serialize)]
pub struct Rating {
    pub id: String,
    /// `Csat`, `Nps` or `ThumbsUpOrDown`.
    pub kind: String,
    pub score: Option<u64>,
    pub comment: Option<String>,
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) users: Vec<EndUser>,
    pub(super) conversations: Vec<Conversation>,
    created: i64,
}

impl Kept {
    pub(super) fn add_user(&mut self, details: Json, now: Timestamp) -> EndUser {
        let text = |name| details.get(name).and_then(Json::as_str).map(str::to_owned);
        let user = EndUser {
            id: fresh_id(),
            external_id: text("externalId"),
            email: text("email"),
            phone: text("phoneNumber"),
            name: text("displayName"),
            created_at: now,
            details,
        };
        self.users.push(user.clone());
        user
    }

    /// Its id; the first is 100.
    pub(super) fn add_conversation(
        &mut self,
        channel: &str,
        requester: &str,
        direction: &str,
        at: Timestamp,
    ) -> i64 {
        let id = 100 + self.created;
        self.created += 1;
        self.conversations.push(Conversation {
            id,
            requester: requester.to_owned(),
            channel: channel.to_owned(),
            imported: false,
            direction: direction.to_owned(),
            state: State::Open,
            state_at: at,
            external_id: None,
            created_at: at,
            messages: Vec::new(),
            agent: None,
            queue: None,
            follow_up_at: None,
            notes: Vec::new(),
            ratings: Vec::new(),
        });
        id
    }

    pub(super) fn conversation(&self, id: i64) -> Option<&Conversation> {
        self.conversations.iter().find(|found| found.id == id)
    }

    pub(super) fn conversation_mut(&mut self, id: i64) -> Option<&mut Conversation> {
        self.conversations.iter_mut().find(|found| found.id == id)
    }

    pub(super) fn user(&self, id: &str) -> Option<&EndUser> {
        self.users.iter().find(|user| user.id == id)
    }
}
