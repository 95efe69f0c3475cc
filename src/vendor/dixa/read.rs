//! One Dixa webhook to one event, and the chat message inside it.

use serde_json::Value as Json;

use super::EXTERNAL_ID_PREFIX;
use crate::clock::Timestamp;
use crate::event::{Direction, Event, Inbound, VendorId};
use crate::link::Standing;
use crate::message::{Attachment, Conversation, Message, Person};
use crate::payload::{self, Payload};
use crate::vendor::{Reading, Unreadable, reading};

/// Every event Dixa documents. Its documents list the names of subscriptions
/// (`ConversationCreated`); that all of them are sent in this spelling, as the
/// examples are, is a guess. The last one is what `unreadable = "keep"` makes.
pub(super) const TYPES: &[&str] = &[
    "CONVERSATION_CREATED",
    "CONVERSATION_OPEN",
    "CONVERSATION_PENDING",
    "CONVERSATION_PENDING_EXPIRED",
    "CONVERSATION_CLOSED",
    "CONVERSATION_ABANDONED",
    "CONVERSATION_ENQUEUED",
    "CONVERSATION_ASSIGNED",
    "CONVERSATION_UNASSIGNED",
    "CONVERSATION_TRANSFERRED",
    "CONVERSATION_END_USER_REPLACED",
    "CONVERSATION_NOTE_ADDED",
    MESSAGE_ADDED,
    "CONVERSATION_MESSAGE_DELIVERY_SENT",
    "CONVERSATION_MESSAGE_DELIVERY_DELIVERED",
    "CONVERSATION_MESSAGE_DELIVERY_SEEN",
    "CONVERSATION_MESSAGE_DELIVERY_FAILED",
    "CONVERSATION_MESSAGE_DELIVERY_INFO",
    "CONVERSATION_MESSAGE_DELIVERY_SPAM_COMPLAINT",
    "CONVERSATION_TAG_ADDED",
    "CONVERSATION_TAG_REMOVED",
    "CONVERSATION_RATED",
    "CONVERSATION_CUSTOM_ATTRIBUTE_UPDATED",
    "AGENT_BANNED_ENDUSER",
    "AGENT_UNBANNED_ENDUSER",
    "AGENT_BANNED_IP",
    "AGENT_UNBANNED_IP",
    "SLA_EVALUATION_PENDING",
    "SLA_EVALUATION_ACHIEVED",
    "SLA_EVALUATION_BREACHED",
    "SLA_EVALUATION_VOIDED",
    "TYPING_STARTED",
    "unreadable",
];

const MESSAGE_ADDED: &str = "CONVERSATION_MESSAGE_ADDED";

pub(super) fn read(inbound: &Inbound<'_>, depth_max: usize) -> Result<Reading, Unreadable> {
    let unreadable = |what: &str| Unreadable(what.to_owned());
    let payload = reading::parse(inbound.body, depth_max)?;
    if !payload.value().is_object() {
        return Err(unreadable("the body is no JSON object"));
    }
    let event_type = reading::text(payload.value(), "event_fqn")
        .ok_or_else(|| unreadable("`event_fqn` is missing, empty or no text"))?
        .to_owned();
    let key = csid(&payload);
    let user = payload
        .at("data.conversation.requester.id")
        .and_then(payload::id_text);
    let mut read = Reading {
        vendor_id: vendor_id(&event_type, &payload),
        standing: standing(&event_type, &payload),
        user: user.clone(),
        key: key.clone(),
        ..reading::plain(event_type.clone(), payload.clone(), inbound)
    };
    if event_type != MESSAGE_ADDED {
        return Ok(read);
    }
    let key = key.ok_or_else(|| unreadable("`data.conversation.csid` is no id"))?;
    let direction = direction(&payload)
        .ok_or_else(|| unreadable("neither `data.direction` nor `data.author` says who speaks"))?;
    read.direction = Some(direction);
    read.ours = payload
        .at("data.external_id")
        .and_then(Json::as_str)
        .is_some_and(|id| id.starts_with(EXTERNAL_ID_PREFIX));
    read.message = build(&payload, key, direction, user.as_deref());
    Ok(read)
}

/// Reads a stored event's message again; direction and user are what they were
/// when the event was accepted.
pub(super) fn read_again(event: &Event, payload: &Payload) -> Option<Message> {
    if event.event_type.as_str() != MESSAGE_ADDED {
        return None;
    }
    build(
        payload,
        csid(payload)?,
        event.direction?,
        event.user.as_deref(),
    )
}

/// A message is known by its own id: should Dixa tell of it a second time under
/// another `event_id`, it is still the same message. The prefix keeps the two
/// sorts of ids apart.
fn vendor_id(event_type: &str, payload: &Payload) -> Option<VendorId> {
    let message = || payload.at("data.message_id").and_then(payload::id_text);
    if event_type == MESSAGE_ADDED
        && let Some(id) = message()
    {
        return Some(format!("message/{id}").into());
    }
    payload
        .at("event_id")
        .and_then(payload::id_text)
        .map(Into::into)
}

fn csid(payload: &Payload) -> Option<String> {
    payload
        .at("data.conversation.csid")
        .and_then(payload::id_text)
}

/// Only events about the standing itself count: Dixa announces disorder, and a
/// late tag must not open a conversation again.
fn standing(event_type: &str, payload: &Payload) -> Option<Standing> {
    match event_type {
        "CONVERSATION_CLOSED" => Some(Standing::Closed),
        "CONVERSATION_CREATED"
        | "CONVERSATION_OPEN"
        | "CONVERSATION_PENDING"
        | "CONVERSATION_PENDING_EXPIRED" => Some(Standing::Open),
        "CONVERSATION_ABANDONED" => payload
            .at("data.conversation.status")
            .and_then(Json::as_str)
            .filter(|status| status.eq_ignore_ascii_case("closed"))
            .map(|_| Standing::Closed),
        _ => None,
    }
}

/// `data.direction`, else who the author is. What agents say among themselves
/// is [`Direction::System`].
fn direction(payload: &Payload) -> Option<Direction> {
    let said = payload.at("data.direction").and_then(Json::as_str);
    match said.map(str::to_ascii_lowercase).as_deref() {
        Some("inbound") => return Some(Direction::Incoming),
        Some("outbound") => return Some(Direction::Outgoing),
        Some("internal") => return Some(Direction::System),
        _ => {}
    }
    let author = payload.at("data.author")?;
    match is_contact(author) {
        Some(true) => Some(Direction::Incoming),
        Some(false) => Some(Direction::Outgoing),
        None => {
            let id = |person: &Json| person.get("id").and_then(payload::id_text);
            let requester = payload.at("data.conversation.requester").and_then(id)?;
            (id(author)? == requester).then_some(Direction::Incoming)
        }
    }
}

/// Whether a person is a customer: by `user_type`, in older shapes by `roles`.
fn is_contact(person: &Json) -> Option<bool> {
    match reading::text(person, "user_type") {
        Some("Contact") => return Some(true),
        Some("Member") => return Some(false),
        _ => {}
    }
    let roles = person.get("roles")?.as_array()?;
    let enduser = |role: &Json| {
        role.as_str()
            .is_some_and(|role| role.eq_ignore_ascii_case("enduser"))
    };
    (!roles.is_empty()).then(|| roles.iter().any(enduser))
}

/// `None` where it is not said to the customer.
fn build(
    payload: &Payload,
    csid: String,
    direction: Direction,
    user: Option<&str>,
) -> Option<Message> {
    if direction == Direction::System {
        return None;
    }
    let data = payload.at("data")?;
    let conversation = data.get("conversation")?;
    let content = data.get("content").unwrap_or(&Json::Null);
    let kind = reading::text(content, "content_type").unwrap_or("Text");
    let attachments = attachments(data);
    let text = [reading::text(data, "text"), reading::text(content, "text")]
        .into_iter()
        .flatten()
        .find(|text| !reading::is_blank(text))
        .map_or_else(|| wordless(kind, &attachments), str::to_owned);
    let author = data.get("author").unwrap_or(&Json::Null);
    let role = match direction {
        Direction::Incoming => "customer",
        Direction::Outgoing | Direction::System => "agent",
    };
    let requester = conversation
        .get("requester")
        .map(|requester| person(requester, "customer"))
        .filter(|person| person.id.as_deref() == user);
    Some(Message {
        id: data.get("message_id").and_then(payload::id_text),
        kind: kind.to_owned(),
        quoted: text.clone(),
        text,
        direction,
        conversation: Conversation {
            id: csid,
            name: reading::text(conversation, "subject").map(str::to_owned),
            kind: reading::text(conversation, "channel").map(str::to_owned),
        },
        author: person(author, role),
        user: requester.or_else(|| {
            user.map(|user| Person {
                id: Some(user.to_owned()),
                role: Some("customer".to_owned()),
                ..Person::default()
            })
        }),
        attachments,
        sent_at: time(data, "created_at").or_else(|| time(payload.value(), "event_timestamp")),
    })
}

fn person(person: &Json, role: &str) -> Person {
    let text = |name: &str| reading::text(person, name).map(str::to_owned);
    Person {
        id: person.get("id").and_then(payload::id_text),
        name: text("name"),
        email: text("email"),
        phone: text("phone"),
        role: Some(role.to_owned()),
    }
}

/// The documents show no attachments in this event; should they come, they look
/// like those of the API, in this or that spelling.
fn attachments(data: &Json) -> Vec<Attachment> {
    let listed = data
        .get("attachments")
        .or_else(|| data.get("content")?.get("attachments"))
        .and_then(Json::as_array);
    let attachment = |one: &Json| {
        let url = reading::text(one, "url")?.to_owned();
        let name = ["pretty_name", "prettyName", "name"]
            .into_iter()
            .find_map(|key| reading::text(one, key));
        let image = ["mime_type", "content_type"]
            .into_iter()
            .filter_map(|key| reading::text(one, key))
            .any(|kind| kind.starts_with("image/"));
        Some(Attachment {
            image: image || reading::is_image(name.unwrap_or(&url)),
            name: name.map(str::to_owned),
            url,
        })
    };
    listed
        .into_iter()
        .flatten()
        .filter_map(attachment)
        .collect()
}

/// A message of files only, or one too large for the webhook.
fn wordless(kind: &str, attachments: &[Attachment]) -> String {
    let urls: Vec<&str> = attachments.iter().map(|one| one.url.as_str()).collect();
    if urls.is_empty() {
        format!("[{kind}]")
    } else {
        urls.join("\n")
    }
}

/// Some of Dixa's times name their zone a second time, after `Z`: `[GMT]`.
fn time(value: &Json, key: &str) -> Option<Timestamp> {
    let text = reading::text(value, key)?;
    let text = text.split('[').next().unwrap_or(text);
    Timestamp::parse_rfc3339(text)
}
