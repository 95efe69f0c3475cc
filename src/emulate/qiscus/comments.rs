//! Comments: posting, system events, reading back.

use serde_json::{Value as Json, json};

use crate::emulate::asked::{No, Yes};
use crate::emulate::shape;

use super::kept::{Comment, Room};
use super::{Dialect, Repeat, Turn, bad, no_room, number, results, shapes, text, texts, webhook};

/// Qiscus documents at most 4000 characters.
const TEXT_MAX: usize = 4000;
const PAGE: usize = 20;
/// Who speaks in system events.
const SYSTEM: &str = "system@qiscus.example";

impl Turn<'_> {
    pub(super) fn post_comment(&mut self) -> Result<Yes, No> {
        let params = self.params(self.either(shapes::POST_COMMENT_V2, shapes::POST_COMMENT_V21))?;
        self.post(&params)
    }

    pub(super) fn bot(&mut self) -> Result<Yes, No> {
        let params = self.params(shapes::BOT)?;
        self.post(&params)
    }

    fn post(&mut self, params: &Json) -> Result<Yes, No> {
        let kind = Some(text(params, "type"))
            .filter(|kind| !kind.is_empty())
            .unwrap_or("text");
        let message = text(params, "message");
        let payload = self.payload(params, kind)?;
        check_message(kind, message)?;
        let sender = text(params, self.name("sender_email", "user_id"));
        let room = self.room_for(text(params, "room_id"), sender)?;
        let unique = text(params, "unique_temp_id");
        if let Some((room, there)) = self.kept.comment(unique) {
            match self.options.repeat {
                Repeat::Merge => {
                    let shown = self.shown_comment(room, there);
                    return Ok(Yes::taken(200, results(&json!({"comment": shown}))));
                }
                Repeat::Refuse => return Err(No::state(400, "unique_temp_id is already used")),
                Repeat::Accept => {}
            }
        }
        let mut comment = Comment::text(sender, message, self.asked.now);
        kind.clone_into(&mut comment.kind);
        comment.payload = payload;
        comment.extras = params.get("extras").cloned().unwrap_or_default();
        if !unique.is_empty() {
            unique.clone_into(&mut comment.unique_temp_id);
        }
        self.kept.user(sender);
        self.keep(room, comment)
    }

    pub(super) fn system_event(&mut self) -> Result<Yes, No> {
        let params = self.params(self.either(shapes::SYSTEM_EVENT_V2, shapes::SYSTEM_EVENT_V21))?;
        let kind = text(&params, "system_event_type");
        let subject = text(&params, self.name("subject_email", "subject_user_id"));
        let object = self.name("object_email", "object_user_id");
        let mut objects = texts(&params, object);
        if objects.is_empty() {
            objects.extend(params.get(object).and_then(Json::as_str).map(str::to_owned));
        }
        if matches!(kind, "add_member" | "remove_member") && objects.is_empty() {
            return Err(bad(format!("{object} is required for {kind}")));
        }
        let renamed = text(&params, "updated_room_name");
        if matches!(kind, "create_room" | "change_room_name") && renamed.is_empty() {
            return Err(bad(format!("updated_room_name is required for {kind}")));
        }
        let given = self.payload(&params, "text")?;
        if kind == "custom" && params.get("payload").is_none() {
            return Err(bad("payload is required for custom".to_owned()));
        }
        let room = self.room_for(text(&params, "room_id"), subject)?;
        let name = if renamed.is_empty() {
            self.kept.room(room).map_or("", |room| &room.name)
        } else {
            renamed
        };
        let (who, whom) = (
            username(subject),
            objects
                .iter()
                .map(|email| username(email))
                .collect::<Vec<_>>()
                .join(", "),
        );
        let message = match kind {
            "create_room" => format!("{who} created room '{name}'"),
            "add_member" => format!("{who} added {whom}"),
            "remove_member" => format!("{who} removed {whom}"),
            "join_room" => format!("{who} joined room"),
            "left_room" => format!("{who} left room"),
            "change_room_name" => format!("{who} changed room name to '{name}'"),
            "change_room_avatar" => format!("{who} changed room avatar"),
            _ => text(&params, "message").to_owned(),
        };
        let payload = match (kind, self.dialect) {
            ("custom", Dialect::V21) => json!({"type": "custom", "payload": given}),
            ("custom", _) => given,
            _ => json!({
                "type": kind,
                "subject_username": who,
                "subject_email": subject,
                "object_username": whom,
                "object_email": objects.first().cloned().unwrap_or_default(),
                "room_name": name,
            }),
        };
        self.kept.user(SYSTEM);
        let mut comment = Comment::text(SYSTEM, &message, self.asked.now);
        "system_event".clone_into(&mut comment.kind);
        comment.payload = payload;
        if let Some(system) = self.kept.user_mut(SYSTEM) {
            "System".clone_into(&mut system.username);
        }
        self.keep(room, comment)
    }

    /// Newest first.
    pub(super) fn load_comments(&mut self) -> Result<Yes, No> {
        let params = self.params(shapes::LOAD_COMMENTS)?;
        let room = self.find_room(text(&params, "room_id"))?;
        let page = number(&params, "page").unwrap_or(1);
        let limit = number(&params, "limit").unwrap_or(PAGE);
        let comments: Vec<Json> = room
            .comments
            .iter()
            .rev()
            .skip((page - 1).saturating_mul(limit))
            .take(limit)
            .map(|comment| self.shown_comment(room, comment))
            .collect();
        Ok(Yes::told(200, results(&json!({"comments": comments}))))
    }

    fn keep(&mut self, room: u64, mut comment: Comment) -> Result<Yes, No> {
        comment.event =
            Some(self.asked.header("webhook-id").to_owned()).filter(|event| !event.is_empty());
        self.kept.user(&comment.sender);
        let comment = self.kept.add_comment(room, comment).ok_or_else(no_room)?;
        webhook::posted(
            self.outbox,
            self.kept,
            self.options.shape,
            "post_comment_rest",
            room,
            &comment,
        );
        let room = self.kept.room(room).ok_or_else(no_room)?;
        let shown = self.shown_comment(room, &comment);
        Ok(Yes::taken(200, results(&json!({"comment": shown}))))
    }

    fn room_for(&mut self, id: &str, sender: &str) -> Result<u64, No> {
        match self.find_room(id) {
            Ok(room) => Ok(room.id),
            Err(_unknown) if self.options.any_room && id.parse::<u64>().is_ok() => Ok(self
                .kept
                .add_room(id.parse().ok(), "group", id, vec![sender.to_owned()])),
            Err(no) => Err(no),
        }
    }

    /// The payload held against its type's table.
    fn payload(&self, params: &Json, kind: &str) -> Result<Json, No> {
        if kind == "system_event" {
            return Err(bad("system_event has an endpoint of its own".to_owned()));
        }
        let Some((_, shape)) = shapes::PAYLOADS.iter().find(|(known, _)| *known == kind) else {
            return Err(bad(format!("type {kind:?} is not known")));
        };
        let payload = match params.get("payload") {
            None | Some(Json::Null) => None,
            // v2 takes JSON in a string.
            Some(Json::String(text)) => Some(
                serde_json::from_str(text)
                    .map_err(|error| bad(format!("payload is not JSON: {error}")))?,
            ),
            Some(payload) => Some(payload.clone()),
        };
        let Some(payload) = payload else {
            return if matches!(kind, "text" | "button_postback_response") {
                Ok(json!({}))
            } else {
                Err(bad(format!("payload is required for type {kind}")))
            };
        };
        shape::check(*shape, &payload).map_err(|reason| bad(format!("payload: {reason}")))?;
        let replied = payload.get("replied_comment_id");
        if kind == "reply"
            && !replied.is_some_and(|id| id.is_u64() || id.as_str().is_some_and(digits))
        {
            return Err(bad("payload: replied_comment_id must be an id".to_owned()));
        }
        Ok(payload)
    }

    fn shown_comment(&self, room: &Room, comment: &Comment) -> Json {
        let user = self.kept.known_user(&comment.sender);
        let username = user.map_or("", |user| &user.username);
        let avatar = user.map_or("", |user| &user.avatar_url);
        if self.dialect == Dialect::V21 {
            return json!({
                "id": comment.id.to_string(),
                "message": comment.text,
                "payload": comment.payload,
                "extras": comment.extras,
                "timestamp": comment.at,
                "type": comment.kind,
                "unique_temp_id": comment.unique_temp_id,
                "room_id": room.id.to_string(),
                "user": {"avatar_url": avatar, "user_id": comment.sender, "username": username},
            });
        }
        json!({
            "comment_before_id": comment.before,
            "disable_link_preview": false,
            "email": comment.sender,
            "id": comment.id,
            "message": comment.text,
            "payload": comment.payload,
            "room_id": room.id,
            "room_name": room.name,
            "timestamp": comment.at,
            "unix_timestamp": comment.at.as_secs(),
            "topic_id": room.id,
            "type": comment.kind,
            "unique_temp_id": comment.unique_temp_id,
            "user_avatar": {"avatar": {"url": avatar}},
            "user_avatar_url": avatar,
            "username": username,
        })
    }
}

fn check_message(kind: &str, message: &str) -> Result<(), No> {
    if kind == "text" && message.trim().is_empty() {
        return Err(bad("message is required for type text".to_owned()));
    }
    if message.chars().count() > TEXT_MAX {
        return Err(bad(format!("message has more than {TEXT_MAX} characters")));
    }
    Ok(())
}

fn username(email: &str) -> &str {
    email.split('@').next().unwrap_or(email)
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit())
}
