//! What is said: the messages and conversations of Dixa's API.

use serde_json::{Map, Value as Json, json};

use super::{Channel, Desk, EXTERNAL_ID_PREFIX, Mail, TEXT_ONLY_CHANNEL, unsendable};
use crate::event::{Direction, Event};
use crate::expression::Scope;
use crate::message::{Attachment, Message};
use crate::transform::Unsendable;
use crate::vendor::Call;
use crate::vendor::dialogue::Known;

/// A message as it will be said.
#[derive(Debug)]
pub(super) struct Said<'c> {
    message: &'c Message,
    /// Who says it there; `None`: the customer.
    pub(super) agent: Option<&'c str>,
    external_id: String,
    /// The files are sent as addresses in the text.
    plain: bool,
}

/// This copy's message cannot be sent with its files; see [`Said::of`].
pub(super) const PLAIN: &str = "plain";

impl<'c> Said<'c> {
    /// Decides all that can be decided without asking.
    pub(super) fn of(
        desk: &'c Desk,
        call: &Call<'c>,
        message: &'c Message,
        known: &Known,
    ) -> Result<Self, Unsendable> {
        let prefix = conversation_prefix(call.event).ok_or_else(|| {
            unsendable("this event belongs to no conversation: it has no key to tell which")
        })?;
        let id = call
            .event
            .vendor_id
            .as_ref()
            .map_or_else(|| call.event.id.to_string(), ToString::to_string);
        Ok(Self {
            message,
            agent: speaker(desk, message)?,
            external_id: format!("{prefix}{id}"),
            plain: known.note(PLAIN).is_some() || !desk.channel.takes_files(),
        })
    }

    /// The same over every attempt, retry and replay.
    pub(super) fn external_id(&self) -> &str {
        &self.external_id
    }

    /// Whether files go along that Dixa would download.
    pub(super) fn has_files(&self) -> bool {
        !self.plain && !self.message.attachments.is_empty()
    }

    /// A message for a conversation that is there.
    pub(super) fn added(&self) -> Json {
        let mut body = self.common();
        if self.agent.is_some() {
            body.insert("cc".into(), json!([]));
            body.insert("bcc".into(), json!([]));
        }
        body.insert("_type".into(), self.word().into());
        Json::Object(body)
    }

    fn imported(&self, at: &str) -> Json {
        let mut body = self.common();
        body.insert("createdAt".into(), at.into());
        body.insert("_type".into(), format!("{}Import", self.word()).into());
        Json::Object(body)
    }

    fn common(&self) -> Map<String, Json> {
        let mut body = Map::new();
        let content = json!({ "value": self.text(), "_type": "Text" });
        body.insert("content".into(), content);
        if let Some(agent) = self.agent {
            body.insert("agentId".into(), agent.into());
        }
        let files = if self.has_files() {
            self.message.attachments.iter().map(file).collect()
        } else {
            Vec::new()
        };
        body.insert("attachments".into(), Json::Array(files));
        body.insert("externalId".into(), self.external_id.clone().into());
        body
    }

    fn text(&self) -> String {
        let mut text = self.message.quoted.clone();
        if self.plain {
            for file in &self.message.attachments {
                if !text.contains(&file.url) {
                    text.push('\n');
                    text.push_str(&file.url);
                }
            }
        }
        text
    }

    fn word(&self) -> &'static str {
        if self.agent.is_some() {
            "Outbound"
        } else {
            "Inbound"
        }
    }
}

impl Channel {
    fn takes_files(&self) -> bool {
        !matches!(self, Self::Import { channel_name } if channel_name == TEXT_ONLY_CHANNEL)
    }
}

/// How the `externalId` of every message of this conversation begins. A colon
/// inside of the key is written otherwise, or `1` could be taken for `1:2`.
pub(super) fn conversation_prefix(event: &Event) -> Option<String> {
    let key = event.key.as_ref()?.as_str();
    let key = key.replace('%', "%25").replace(':', "%3A");
    Some(format!("{EXTERNAL_ID_PREFIX}{key}:"))
}

/// The agent an outgoing message is said by; `None` for the customer's own.
fn speaker<'d>(desk: &'d Desk, message: &Message) -> Result<Option<&'d str>, Unsendable> {
    if message.direction != Direction::Outgoing {
        if matches!(desk.channel, Channel::Sms { .. }) {
            return Err(unsendable(
                "Dixa's sms takes outgoing messages only: let the route's `when` leave out what customers say \
                 (message.direction == 'outgoing'), or set another `channel`",
            ));
        }
        return Ok(None);
    }
    let author = &message.author;
    let named = [&author.email, &author.id]
        .into_iter()
        .flatten()
        .find_map(|name| desk.agents.get(&name.to_lowercase()));
    let agent = named.or(desk.agent_id.as_ref()).ok_or_else(|| {
        unsendable(
            "an outgoing message is said by an agent of Dixa's: set the destination's agent_id = \"<uuid>\", or name \
             the author in agents = { \"<e-mail>\" = \"<uuid>\" }",
        )
    })?;
    Ok(Some(agent))
}

fn file(file: &Attachment) -> Json {
    match &file.name {
        Some(name) => json!({ "url": file.url, "prettyName": name }),
        None => json!({ "url": file.url }),
    }
}

/// Where a conversation with this message inside is posted to, and its body.
pub(super) fn conversation(
    desk: &Desk,
    call: &Call<'_>,
    said: &Said<'_>,
    requester: &str,
) -> Result<(&'static [&'static str], Json), Unsendable> {
    const CREATE: &[&str] = &["conversations"];
    const IMPORT: &[&str] = &["conversations", "import"];
    let mut body = Map::new();
    body.insert("requesterId".into(), requester.into());
    let (path, word) = match &desk.channel {
        Channel::Import { channel_name } => {
            let at = said.message.sent_at.unwrap_or(call.event.accepted_at);
            let at = at.min(call.now).to_string();
            let direction = said.word();
            body.insert("genericChannelName".into(), channel_name.clone().into());
            body.insert("requesterConnectionStatus".into(), "Connected".into());
            body.insert("direction".into(), direction.into());
            body.insert("messages".into(), json!([said.imported(&at)]));
            body.insert("createdAt".into(), at.into());
            (IMPORT, "GenericConversationImport")
        }
        Channel::Chat { widget_id } => {
            body.insert("widgetId".into(), widget_id.clone().into());
            (CREATE, "Chat")
        }
        Channel::Email(mail) => {
            address(&mut body, call, mail)?;
            (CREATE, "Email")
        }
        Channel::ContactForm(mail) => {
            address(&mut body, call, mail)?;
            (CREATE, "ContactForm")
        }
        Channel::Sms { contact_endpoint } => {
            let number = contact_endpoint.clone();
            body.insert("contactEndpointId".into(), number.into());
            (CREATE, "Sms")
        }
    };
    if !matches!(desk.channel, Channel::Import { .. }) {
        body.insert("message".into(), said.added());
    }
    if let Some(language) = &desk.language {
        body.insert("language".into(), language.clone().into());
    }
    body.insert("_type".into(), word.into());
    Ok((path, Json::Object(body)))
}

fn address(body: &mut Map<String, Json>, call: &Call<'_>, mail: &Mail) -> Result<(), Unsendable> {
    let scope = Scope::new(call.event, call.message(), call.payload());
    let subject = mail.subject.render_text(&scope)?;
    if subject.trim().is_empty() {
        return Err(unsendable(
            "the subject came out blank: give the template in the destination's channel.subject a `default`",
        ));
    }
    let integration = mail.integration.clone();
    body.insert("emailIntegrationId".into(), integration.into());
    body.insert("subject".into(), subject.into());
    Ok(())
}
