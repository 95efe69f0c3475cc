//! Conversations and their messages.

use serde_json::{Value as Json, json};

use super::kept::{Conversation, Message, State};
use super::{Closed, Duplicates, Turn, not_found, shapes, webhook};
use crate::emulate::asked::{No, Yes};
use crate::emulate::shape::{Kind, check_text};

impl Turn<'_> {
    /// The first message travels with it, and nothing is created if that
    /// message is not taken.
    pub(super) fn create_conversation(&mut self) -> Result<Yes, No> {
        let body = self.asked.json(shapes::CONVERSATION)?;
        let text = |name| body.get(name).and_then(Json::as_str).unwrap_or_default();
        let (kind, requester) = (text("_type"), text("requesterId"));
        if matches!(kind, "Email" | "ContactForm") {
            integration(text("emailIntegrationId"))?;
        }
        if kind == "Callback" && !self.is_queue(text("queueId")) {
            return Err(not_found());
        }
        let said = body.get("message");
        if let Some(said) = said {
            self.check_message(kind, said, None)?;
        }
        if self.kept.user(requester).is_none() {
            return Err(not_found());
        }
        if let Some(said) = said {
            self.check_author(said, not_found)?;
            self.check_duplicate(None, external_id(said))?;
            self.check_attachments(said)?;
        }
        let direction = match said {
            Some(said) => direction_of(said),
            None => text("direction"),
        };
        let id = self
            .kept
            .add_conversation(kind, requester, direction, self.asked.now);
        let queue = body.get("queueId").and_then(Json::as_str);
        if let Some(found) = self.kept.conversation_mut(id) {
            found.queue = queue.map(str::to_owned);
        }
        if let Some(said) = said {
            self.add(id, said);
        }
        Ok(Yes::taken(201, json!({"data": {"id": id}})))
    }

    /// What can be left out is left out and named; what cannot fails it all.
    pub(super) fn import_conversation(&mut self) -> Result<Yes, No> {
        let body = self.asked.json(shapes::IMPORT)?;
        let text = |name| body.get(name).and_then(Json::as_str);
        let channel = text("genericChannelName").unwrap_or_default();
        let channels = &self.options.import_channels;
        if !channels.is_empty() && !channels.iter().any(|known| known == channel) {
            return Err(No::state(400, "Unsupported ConversationChannel"));
        }
        let requester = text("requesterId").unwrap_or_default();
        if self.kept.user(requester).is_none() {
            return Err(No::state(400, "Requester does not exist"));
        }
        let messages = body.get("messages").and_then(Json::as_array);
        let messages: Vec<&Json> = messages.into_iter().flatten().collect();
        let no_agent = || No::state(400, "Agent does not exist");
        for (at, said) in messages.iter().enumerate() {
            self.check_author(said, no_agent)?;
            let id = external_id(said);
            let twice = |other: &&Json| id.is_some() && external_id(other) == id;
            if messages.iter().take(at).any(twice) {
                return Err(No::state(400, "Duplicate externalId"));
            }
            self.check_duplicate(None, id)?;
            self.check_attachments(said)?;
        }
        let mut partial = Vec::new();
        let assigned = body
            .get("assignment")
            .and_then(|given| given.get("agentId"));
        let agent = assigned.and_then(Json::as_str).filter(|agent| {
            let known = self.is_agent(agent);
            if !known {
                partial.push(json!({"message": "The conversation could not be assigned"}));
            }
            known
        });
        let direction = text("direction").unwrap_or_default();
        let now = self.asked.now;
        let id = self
            .kept
            .add_conversation(channel, requester, direction, now);
        if let Some(found) = self.kept.conversation_mut(id) {
            found.imported = true;
            found.external_id = text("externalId").map(str::to_owned);
            found.agent = agent.map(str::to_owned);
        }
        for said in messages {
            self.add(id, said);
        }
        if body.get("closing").is_some() {
            if let Some(found) = self.kept.conversation_mut(id) {
                found.enter(State::Closed, now);
            }
            webhook::closed(self.outbox, self.kept, id, now);
        }
        let mut data = json!({"id": id});
        if let Some(data) = data.as_object_mut()
            && !partial.is_empty()
        {
            data.insert("partialErrors".to_owned(), Json::Array(partial));
        }
        Ok(Yes::taken(201, json!({"data": data})))
    }

    pub(super) fn get_conversation(&self, id: &str) -> Result<Yes, No> {
        self.asked.query(&[])?;
        let found = self.found(id)?;
        Ok(Yes::told(200, json!({"data": found.shown()})))
    }

    pub(super) fn list_messages(&self, id: &str) -> Result<Yes, No> {
        self.asked.query(&[])?;
        let found = self.found(id)?;
        let listed = |message: &Message| message.listed(&found.channel);
        let data: Vec<Json> = found.messages.iter().map(listed).collect();
        Ok(Yes::told(200, json!({"data": data})))
    }

    pub(super) fn add_message(&mut self, id: &str) -> Result<Yes, No> {
        let said = self.asked.json(shapes::MESSAGE)?;
        let found = self.found(id)?;
        self.check_message(&found.channel, &said, Some(found))?;
        self.check_author(&said, not_found)?;
        self.check_duplicate(Some(found), external_id(&said))?;
        self.check_attachments(&said)?;
        let (id, state) = (found.id, found.state);
        match self.options.closed {
            Closed::Refuse if state == State::Closed => {
                return Err(No::state(400, "Conversation is closed"));
            }
            Closed::Reopen if state == State::Closed => {
                if let Some(found) = self.kept.conversation_mut(id) {
                    found.enter(State::Open, self.asked.now);
                }
            }
            _ => {}
        }
        let added = self.add(id, &said);
        Ok(Yes::taken(200, json!({"data": added})))
    }

    pub(super) fn found(&self, id: &str) -> Result<&Conversation, No> {
        let id: i64 = id
            .parse()
            .map_err(|_not_a_number| No::value("path: conversationId must be a whole number"))?;
        self.kept.conversation(id).ok_or_else(not_found)
    }

    /// What the channel takes, whoever says it.
    fn check_message(
        &self,
        channel: &str,
        said: &Json,
        found: Option<&Conversation>,
    ) -> Result<(), No> {
        let invalid = |reason: &str| No::request(400, "Invalid input for Message", reason);
        let direction = direction_of(said);
        if said.get("content").is_none() {
            return Err(invalid("content is required on this channel"));
        }
        if let Some(email) = said.get("integrationEmail").and_then(Json::as_str) {
            integration(email)?;
        }
        match channel {
            "Callback" => Err(No::state(400, "Unsupported ConversationChannel")),
            "Sms" if direction == "Inbound" => Err(invalid("Sms takes outbound messages only")),
            _ if found.is_some_and(|found| found.imported)
                && direction == "Inbound"
                && !self.options.generic_inbound =>
            {
                Err(No::state(400, "Unsupported ConversationChannel"))
            }
            _ => Ok(()),
        }
    }

    fn check_author(&self, said: &Json, unknown: impl Fn() -> No) -> Result<(), No> {
        match said.get("agentId").and_then(Json::as_str) {
            Some(agent) if !self.is_agent(agent) => Err(unknown()),
            _ => Ok(()),
        }
    }

    fn check_duplicate(&self, found: Option<&Conversation>, id: Option<&str>) -> Result<(), No> {
        let Some(id) = id else { return Ok(()) };
        let holds = |conversation: &Conversation| {
            let mut messages = conversation.messages.iter();
            messages.any(|message| message.external_id.as_deref() == Some(id))
        };
        let twice = match self.options.duplicates {
            Duplicates::Conversation => found.is_some_and(holds),
            Duplicates::Everywhere => self.kept.conversations.iter().any(holds),
        };
        if twice {
            Err(No::state(400, "Duplicate externalId"))
        } else {
            Ok(())
        }
    }

    /// Dixa downloads them, and takes nothing if it cannot.
    fn check_attachments(&self, said: &Json) -> Result<(), No> {
        let attachments = said.get("attachments").and_then(Json::as_array);
        let dead = |url: &str| {
            self.options
                .dead_attachments
                .iter()
                .any(|dead| url.contains(dead.as_str()))
        };
        let mut urls = attachments
            .into_iter()
            .flatten()
            .filter_map(|attachment| attachment.get("url").and_then(Json::as_str));
        if urls.any(dead) {
            Err(No::state(400, "Failure to download attachment"))
        } else {
            Ok(())
        }
    }

    /// Adds a checked message and posts its webhook; it as Dixa shows it.
    fn add(&mut self, id: i64, said: &Json) -> Json {
        let direction = if direction_of(said).starts_with("Inbound") {
            "Inbound"
        } else {
            "Outbound"
        };
        let agent = said.get("agentId").and_then(Json::as_str);
        let Some(found) = self.kept.conversation_mut(id) else {
            return Json::Null;
        };
        let author = agent.map_or_else(|| found.requester.clone(), str::to_owned);
        let message = Message::new(direction, author, said, self.asked.now);
        let shown = message.added();
        found.messages.push(message);
        webhook::message_added(self.outbox, self.kept, id, self.asked.now);
        shown
    }
}

/// `Inbound`, `Outbound`, `InboundImport` or `OutboundImport`.
fn direction_of(said: &Json) -> &str {
    said.get("_type").and_then(Json::as_str).unwrap_or_default()
}

fn external_id(said: &Json) -> Option<&str> {
    said.get("externalId").and_then(Json::as_str)
}

/// Dixa documents `<email-address>@email.dixa.io`.
fn integration(email: &str) -> Result<(), No> {
    let local = email.strip_suffix("@email.dixa.io");
    if local.is_some_and(|local| check_text(Kind::Filled, local).is_ok()) {
        Ok(())
    } else {
        Err(No::decoding(
            "an e-mail integration must be …@email.dixa.io",
        ))
    }
}
