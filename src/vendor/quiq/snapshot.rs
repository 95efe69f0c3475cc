//! A conversation as Quiq shows it, whole each time: 2016, 2017 and 2024
//! shapes of the webhook, and the simpler form that the seed's GET documents.

use bytes::Bytes;
use serde_json::{Map, Value as Json, json};

use super::MESSAGE;
use crate::clock::Timestamp;
use crate::event::{Direction, Event, EventType, Inbound};
use crate::link::Standing;
use crate::message::{Attachment, Conversation, Message, Person};
use crate::payload::{Payload, id_text};
use crate::vendor::{Reading, Unreadable, reading};

/// What of a conversation stands beside each of its messages in a
/// [`MESSAGE`] event's body: `{"conversation": {…}, "message": {…}}`.
const CONVERSATION_FIELDS: &[&str] = &[
    "id",
    "status",
    "owner",
    "queue",
    "customerPlatform",
    "customerHandle",
    "contactPointId",
    "endpointId",
    "customer",
    "participants",
];

/// `test` in the samples, `Test` in the text: a line test, answered 200.
pub(super) fn is_probe(payload: &Payload) -> bool {
    let name = payload.at("eventType").and_then(Json::as_str);
    name.is_some_and(|name| name.eq_ignore_ascii_case("test"))
}

/// The snapshot's event, then its messages in the order they are shown: Quiq
/// adds at the end, and clocks of two sides need not agree.
pub(super) fn read(payload: Payload, inbound: &Inbound<'_>) -> Result<Vec<Reading>, Unreadable> {
    let unreadable = |what: &str| Unreadable(what.to_owned());
    if payload.at("conversationUpdates").is_some() {
        return Err(unreadable(
            "this is Quiq's agent hook, which wants answers; register a webhook instead",
        ));
    }
    let event_type = reading::text(payload.value(), "eventType")
        .ok_or_else(|| unreadable("`eventType` is no text, or empty"))?
        .to_owned();
    let data = payload
        .at("data")
        .filter(|data| data.is_object())
        .ok_or_else(|| unreadable("`data` is no object"))?;
    let key = data
        .get("id")
        .and_then(id_text)
        .ok_or_else(|| unreadable("`data.id` is no id"))?;
    let messages = messages(data)?;
    let standing = standing(&event_type);
    let snapshot = Reading {
        vendor_id: payload.at("id").and_then(id_text).map(Into::into),
        key: Some(key),
        user: customer(data).id,
        standing,
        ..reading::plain(EventType::from(event_type), payload, inbound)
    };
    Ok(std::iter::once(snapshot).chain(messages).collect())
}

/// The messages of a conversation, each an event of its own. `Err`: it is no
/// conversation; one without messages has none.
pub(super) fn messages(conversation: &Json) -> Result<Vec<Reading>, Unreadable> {
    let unreadable = |what: &str| Unreadable(what.to_owned());
    let id = conversation
        .get("id")
        .and_then(id_text)
        .ok_or_else(|| unreadable("the conversation has no `id`"))?;
    let shown = match conversation.get("messages") {
        None | Some(Json::Null) => return Ok(Vec::new()),
        Some(Json::Array(shown)) => shown,
        Some(_) => return Err(unreadable("`messages` is no list")),
    };
    let mut about = Map::new();
    for name in CONVERSATION_FIELDS {
        if let Some(value) = conversation.get(*name) {
            about.insert((*name).to_owned(), value.clone());
        }
    }
    let about = Json::Object(about);
    let one = |(index, shown): (usize, &Json)| {
        let message = message(&about, shown)
            .ok_or_else(|| unreadable(&format!("`messages[{index}]` is no object")))?;
        // One without an id is known by its place: Quiq adds at the end.
        let name = message.id.clone().unwrap_or_else(|| format!("#{index}"));
        let body = json!({"conversation": about, "message": shown});
        Ok(Reading {
            event_type: MESSAGE.into(),
            vendor_id: Some(format!("{id}/{name}").into()),
            key: Some(id.clone()),
            direction: Some(message.direction),
            user: message.user.as_ref().and_then(|user| user.id.clone()),
            message: Some(message),
            standing: None,
            ours: false,
            once: true,
            body: Bytes::from(body.to_string()),
            payload: Payload::from(body),
        })
    };
    shown.iter().enumerate().map(one).collect()
}

/// The message of a stored event.
pub(super) fn read_again(event: &Event, payload: &Payload) -> Option<Message> {
    if event.event_type.as_str() != MESSAGE {
        return None;
    }
    message(payload.at("conversation")?, payload.at("message")?)
}

fn message(conversation: &Json, shown: &Json) -> Option<Message> {
    shown.as_object()?;
    let customer = customer(conversation);
    let author = ["author", "senderId"]
        .iter()
        .find_map(|name| shown.get(*name).and_then(id_text));
    let direction = direction(conversation, shown, author.as_deref());
    let attachments = attachments(shown);
    let text = text(shown, &attachments);
    let (author, role) = match direction {
        Direction::Incoming => (
            Person {
                id: author.or(customer.id.clone()),
                ..customer.clone()
            },
            "customer",
        ),
        Direction::Outgoing => (named(author), "agent"),
        Direction::System => (named(author), "system"),
    };
    Some(Message {
        id: shown.get("id").and_then(id_text),
        kind: if attachments.is_empty() {
            "text".to_owned()
        } else {
            "asset".to_owned()
        },
        quoted: text.clone(),
        text,
        direction,
        conversation: Conversation {
            id: conversation.get("id").and_then(id_text)?,
            name: None,
            kind: reading::text(conversation, "customerPlatform").map(str::to_owned),
        },
        author: Person {
            role: Some(role.to_owned()),
            ..author
        },
        user: customer.id.is_some().then_some(customer),
        attachments,
        sent_at: sent_at(shown),
    })
}

fn named(id: Option<String>) -> Person {
    Person {
        id,
        ..Person::default()
    }
}

/// `fromCustomer` in webhooks; in the GET's simpler form the sender's role. No
/// author: an automatic answer.
fn direction(conversation: &Json, shown: &Json, author: Option<&str>) -> Direction {
    let from_customer = match shown.get("fromCustomer") {
        Some(Json::Bool(said)) => *said,
        _ => participant(conversation, "customer")
            .is_some_and(|customer| Some(customer.as_str()) == author),
    };
    match (from_customer, author) {
        (true, _) => Direction::Incoming,
        (false, Some(_)) => Direction::Outgoing,
        (false, None) => Direction::System,
    }
}

fn participant(conversation: &Json, role: &str) -> Option<String> {
    let participants = conversation.get("participants")?.as_array()?;
    let one = participants
        .iter()
        .find(|one| one.get("role").and_then(Json::as_str) == Some(role))?;
    one.get("id").and_then(id_text)
}

/// The handle (a phone number, a page's user) is the customer's id.
fn customer(conversation: &Json) -> Person {
    let about = conversation.get("customer");
    let said = |name: &str| about.and_then(|about| reading::text(about, name));
    let names: Vec<&str> = ["firstName", "lastName"]
        .into_iter()
        .filter_map(said)
        .collect();
    let handle = conversation.get("customerHandle").and_then(id_text);
    Person {
        id: handle
            .filter(|handle| !handle.is_empty())
            .or_else(|| participant(conversation, "customer")),
        name: (!names.is_empty()).then(|| names.join(" ")),
        email: said("email").map(str::to_owned),
        phone: said("phoneNumber").map(str::to_owned),
        role: Some("customer".to_owned()),
    }
}

/// `oneTimeUrl` works once: it is passed on, and never fetched to look.
fn attachments(shown: &Json) -> Vec<Attachment> {
    let assets = shown.get("assets").and_then(Json::as_array);
    let one = |asset: &Json| {
        let image =
            reading::text(asset, "contentType").is_some_and(|kind| kind.starts_with("image/"));
        Some(Attachment {
            url: reading::text(asset, "oneTimeUrl")?.to_owned(),
            name: asset.get("assetId").and_then(id_text),
            image,
        })
    };
    assets.into_iter().flatten().filter_map(one).collect()
}

/// The text, then each asset's address on a line of its own; never blank.
fn text(shown: &Json, attachments: &[Attachment]) -> String {
    let said = reading::text(shown, "text").filter(|text| !text.trim().is_empty());
    let mut lines: Vec<&str> = said.into_iter().collect();
    lines.extend(attachments.iter().map(|attachment| attachment.url.as_str()));
    let assets = shown.get("assets").and_then(Json::as_array);
    match (
        lines.is_empty(),
        assets.is_some_and(|assets| !assets.is_empty()),
    ) {
        (false, _) => lines.join("\n"),
        (true, true) => "[asset]".to_owned(),
        (true, false) => "[text]".to_owned(),
    }
}

/// Milliseconds in webhooks, RFC 3339 in the GET's simpler form.
fn sent_at(shown: &Json) -> Option<Timestamp> {
    match shown.get("timestamp")? {
        Json::String(text) => Timestamp::parse_rfc3339(text),
        number => number.as_u64().map(Timestamp::from_millis),
    }
}

/// What the event says about the conversation. A closed one may come back.
fn standing(event_type: &str) -> Option<Standing> {
    match event_type {
        "ConversationRequested" | "ConversationActivated" => Some(Standing::Open),
        "ConversationClosed" | "ConversationDeniedAsSpam" | "ConversationMergedAsDangling" => {
            Some(Standing::Closed)
        }
        _ => None,
    }
}
