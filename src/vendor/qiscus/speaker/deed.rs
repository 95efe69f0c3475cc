//! The actions that are no message: what the route's `with` says, as requests.

use serde_json::{Map, Value as Json};

use super::Speaker;
use crate::event::Direction;
use crate::payload::id_text;
use crate::transform::{Outgoing, Unsendable};
use crate::vendor::qiscus::{api::Version, message};
use crate::vendor::{Call, asking, reading};

/// What each action takes.
pub(super) const NEW_ROOM: &[&str] = &["name", "participants", "creator", "avatar_url"];
const SYSTEM_EVENT: &[&str] = &[
    "type",
    "subject_email",
    "object_email",
    "room_name",
    "message",
    "payload",
];
const ROOM: &[&str] = &["user_email", "name", "avatar_url", "options"];
const PEOPLE: &[&str] = &["emails"];

/// A text of `with`; blank counts as absent.
pub(super) fn text_in(with: &Map<String, Json>, key: &str) -> Result<Option<String>, Unsendable> {
    match with.get(key) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(text)) => {
            Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty()))
        }
        Some(value) => match id_text(value) {
            Some(text) => Ok(Some(text)),
            None => Err(asking::unsendable(format!("with.{key} must be a text"))),
        },
    }
}

/// A text, or a list of texts, of `with`.
pub(super) fn texts_in(with: &Map<String, Json>, key: &str) -> Result<Vec<String>, Unsendable> {
    let Some(Json::Array(items)) = with.get(key) else {
        return Ok(text_in(with, key)?.into_iter().collect());
    };
    let wrong = || asking::unsendable(format!("with.{key} must be a list of texts"));
    let texts = items.iter().map(|item| id_text(item).ok_or_else(wrong));
    let texts: Vec<String> = texts.collect::<Result<_, _>>()?;
    let texts = texts.iter().map(|text| text.trim().to_owned());
    Ok(texts.filter(|text| !text.is_empty()).collect())
}

impl Speaker {
    /// The one request of an action in a room. It is not safe to repeat what
    /// posts a system event; the others are.
    pub(super) fn deed(&self, call: &Call<'_>, room: &str) -> Result<Outgoing, Unsendable> {
        let mut body = Map::new();
        body.insert("room_id".to_owned(), room.into());
        let name = match &*call.action.name {
            "system_event" => {
                self.system_event(call, &mut body)?;
                "post_system_event_message"
            }
            "update_room" => {
                self.update_room(call, &mut body)?;
                "update_room"
            }
            other => {
                let with = asking::with(call, PEOPLE)?;
                let emails = texts_in(&with, "emails")?;
                if emails.is_empty() {
                    return Err(asking::unsendable(format!(
                        "the route needs with = {{ emails = [\"…\"] }} for `{other}`"
                    )));
                }
                let key = match self.api.version {
                    Version::V2 => "emails",
                    Version::V21 | Version::Omnichannel => "user_ids",
                };
                body.insert(key.to_owned(), emails.into());
                if other == "add_participants" {
                    "add_room_participants"
                } else {
                    "remove_room_participants"
                }
            }
        };
        Ok(self.api.post(name, &body))
    }

    /// What `with` does not say, the event's own system event does.
    fn system_event(
        &self,
        call: &Call<'_>,
        body: &mut Map<String, Json>,
    ) -> Result<(), Unsendable> {
        let with = asking::with(call, SYSTEM_EVENT)?;
        let own = Self::told(call);
        let told = |name: &str| reading::text(&own, name).map(str::to_owned);
        let said = |key: &str| match text_in(&with, key) {
            Ok(None) => Ok(told(key)),
            said => said,
        };
        let needed = |what: &str| {
            asking::unsendable(format!(
                "a system event needs {what}: with = {{ type = \"join_room\", subject_email = \"…\" }}"
            ))
        };
        let kind = said("type")?.ok_or_else(|| needed("a `type`"))?;
        let mut objects = texts_in(&with, "object_email")?;
        if objects.is_empty() {
            objects.extend(told("object_email"));
        }
        let room_name = said("room_name")?;
        let subject = said("subject_email")?;
        let (subject_key, object_key) = match self.api.version {
            Version::V2 => ("subject_email", "object_email"),
            Version::V21 | Version::Omnichannel => ("subject_user_id", "object_user_id"),
        };
        match kind.as_str() {
            "add_member" | "remove_member" if objects.is_empty() => {
                return Err(needed("an `object_email` with this `type`"));
            }
            "create_room" | "change_room_name" if room_name.is_none() => {
                return Err(needed("a `room_name` with this `type`"));
            }
            "custom" => {}
            _ if subject.is_none() => return Err(needed("a `subject_email`")),
            _ => {}
        }
        let mut put = |name: &str, value: Json| drop(body.insert(name.to_owned(), value));
        put("system_event_type", kind.into());
        if let Some(subject) = subject {
            put(subject_key, subject.into());
        }
        if !objects.is_empty() {
            put(object_key, objects.into());
        }
        if let Some(name) = room_name {
            put("updated_room_name", name.into());
        }
        if let Some(text) = text_in(&with, "message")? {
            put("message", text.into());
        }
        if let Some(payload) = with.get("payload") {
            put("payload", payload.clone());
        }
        Ok(())
    }

    /// The details of the event, if it is a system event of Qiscus.
    fn told(call: &Call<'_>) -> Json {
        let of_system = call
            .message()
            .is_some_and(|message| message.kind == "system_event");
        let body = call.payload().at("payload.message");
        match body.filter(|_| of_system && call.event.kind.as_str() == "qiscus") {
            Some(body) => message::details_of(body),
            None => Json::Null,
        }
    }

    fn update_room(&self, call: &Call<'_>, body: &mut Map<String, Json>) -> Result<(), Unsendable> {
        let with = asking::with(call, ROOM)?;
        let v2 = self.api.version == Version::V2;
        let options = match with.get("options") {
            Some(options @ (Json::Object(_) | Json::Array(_))) => Some(options.to_string()),
            _ => text_in(&with, "options")?,
        };
        let options_key = if v2 { "options" } else { "room_options" };
        let changes = [
            ("room_name", text_in(&with, "name")?),
            ("room_avatar_url", text_in(&with, "avatar_url")?),
            (options_key, options),
        ];
        let mut changed = false;
        for (name, value) in changes {
            if let Some(value) = value {
                body.insert(name.to_owned(), value.into());
                changed = true;
            }
        }
        if !changed {
            return Err(asking::unsendable(
                "nothing to update: with = { name = \"…\" }, or `avatar_url`, or `options`",
            ));
        }
        if v2 {
            let user = match text_in(&with, "user_email")? {
                Some(user) => user,
                None => self.sender_of(call, Direction::System)?,
            };
            body.insert("user_email".to_owned(), user.into());
        }
        Ok(())
    }
}
