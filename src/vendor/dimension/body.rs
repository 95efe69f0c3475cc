//! The two bodies: a message, and `type=event` for what is none.

use serde_json::{Map, Value as Json, json};

use super::{Moment, Track, WhenLate};
use crate::event::Direction;
use crate::expression::Scope;
use crate::message::Message;
use crate::settle::Reason;
use crate::transform::{BodyShape, Unsendable};
use crate::vendor::Call;

pub(super) fn message(
    track: &Track,
    call: &Call<'_>,
    message: &Message,
    user: &str,
    moment: Moment,
) -> Json {
    let conversation = conversation_id(call);
    let mut body = Map::new();
    body.insert("text".into(), message.text.clone().into());
    body.insert("userId".into(), user.into());
    body.insert(
        "incoming".into(),
        (message.direction != Direction::Outgoing).into(),
    );
    if let Some(conversation) = conversation {
        body.insert("sessionId".into(), session_id(&conversation, moment).into());
        body.insert("conversationId".into(), conversation.into());
    }
    add_timestamp(&mut body, track, moment);
    body.insert("platformJson".into(), platform(call, message));
    if let Some(person) = platform_user(message, user) {
        body.insert("platformUserJson".into(), person);
    }
    let images: Vec<Json> = message
        .attachments
        .iter()
        .filter(|one| one.image)
        .map(|one| json!({ "url": one.url }))
        .collect();
    if !images.is_empty() {
        body.insert("images".into(), images.into());
    }
    Json::Object(body)
}

/// `with = { name = "…" }` on the route names the event; the event's type does
/// otherwise.
pub(super) fn event(
    track: &Track,
    call: &Call<'_>,
    user: &str,
    moment: Moment,
) -> Result<Json, Unsendable> {
    let mut body = Map::new();
    body.insert("name".into(), event_name(call)?.into());
    body.insert("type".into(), "customEvent".into());
    body.insert("userId".into(), user.into());
    if let Some(conversation) = conversation_id(call) {
        body.insert("conversationId".into(), conversation.into());
    }
    add_timestamp(&mut body, track, moment);
    let mut extra = Map::new();
    extra.insert("eventId".into(), call.event.id.to_string().into());
    extra.insert("type".into(), call.event.event_type.as_str().into());
    extra.insert("source".into(), call.event.source.as_str().into());
    if let Some(message) = call.message() {
        extra.insert("messageType".into(), message.kind.clone().into());
        extra.insert("text".into(), message.text.clone().into());
    }
    body.insert("extraInfo".into(), extra.into());
    Ok(Json::Object(body))
}

fn event_name(call: &Call<'_>) -> Result<String, Unsendable> {
    if call.action.with.is_empty() {
        return Ok(call.event.event_type.to_string());
    }
    let unsendable = |detail: String| Unsendable::Dead {
        reason: Reason::Unsendable,
        detail,
    };
    let with: Json = serde_json::from_str(&call.action.with)
        .map_err(|error| unsendable(format!("the route's `with` cannot be read: {error}")))?;
    let shape = BodyShape::from_json(&with)
        .map_err(|error| unsendable(format!("the route's `with`: {error}")))?;
    let scope = Scope::new(call.event, call.message(), call.payload());
    match shape.render(&scope)?.get("name") {
        None => Ok(call.event.event_type.to_string()),
        Some(Json::String(name)) if !name.trim().is_empty() => Ok(name.clone()),
        Some(_) => Err(unsendable(
            "the route's with.name must be a text and not blank".to_owned(),
        )),
    }
}

/// `<source>-<room>`; the API takes no colon.
fn conversation_id(call: &Call<'_>) -> Option<String> {
    let source = call.event.source.as_str();
    let in_message = call
        .message()
        .map(|message| message.conversation.id.as_str());
    let in_key = || {
        let key = call.event.key.as_ref()?.as_str();
        Some(
            key.strip_prefix(source)
                .and_then(|rest| rest.strip_prefix('/'))
                .unwrap_or(key),
        )
    };
    let room = in_message.or_else(in_key)?;
    Some(format!("{source}-{room}").replace(':', "-"))
}

/// A conversation's day, in UTC: rooms live for years, sessions do not.
fn session_id(conversation: &str, moment: Moment) -> String {
    let day: String = moment
        .at
        .to_string()
        .chars()
        .take(10)
        .filter(|c| *c != '-')
        .collect();
    format!("{conversation}-{day}")
}

fn add_timestamp(body: &mut Map<String, Json>, track: &Track, moment: Moment) {
    if !(moment.late && track.when_late == WhenLate::Now) {
        body.insert(
            track.host.timestamp_field().into(),
            moment.at.as_millis().into(),
        );
    }
}

/// Free by documentation: what leads back to the event, and what a reply
/// replies to.
fn platform(call: &Call<'_>, message: &Message) -> Json {
    let mut platform = Map::new();
    platform.insert("eventId".into(), call.event.id.to_string().into());
    platform.insert("source".into(), call.event.source.as_str().into());
    platform.insert("type".into(), call.event.event_type.as_str().into());
    platform.insert("messageType".into(), message.kind.clone().into());
    if let Some(id) = &message.id {
        platform.insert("messageId".into(), id.clone().into());
    }
    let quote = message
        .quoted
        .strip_suffix(&message.text)
        .map(|line| line.trim_start_matches("> ").trim());
    if let Some(quote) = quote.filter(|quote| !quote.is_empty()) {
        platform.insert("inReplyTo".into(), quote.into());
    }
    Json::Object(platform)
}

fn platform_user(message: &Message, user: &str) -> Option<Json> {
    let person = message
        .user
        .as_ref()
        .filter(|person| person.id.as_deref() == Some(user))?;
    let name = person.name.as_deref()?.trim();
    let (first, last) = name.split_once(char::is_whitespace).unwrap_or((name, ""));
    let mut known = Map::new();
    known.insert("firstName".into(), first.into());
    if !last.trim().is_empty() {
        known.insert("lastName".into(), last.trim().into());
    }
    (!first.is_empty()).then_some(Json::Object(known))
}
