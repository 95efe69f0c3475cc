//! Rooms, who takes part in them, and users.

use serde_json::{Value as Json, json};

use crate::emulate::asked::{No, Yes};

use super::kept::{Room, User};
use super::{Dialect, Turn, bad, no_room, number, results, shapes, text, texts};

/// The documented most of one answer without pages, and of a page.
const ALL_MAX: usize = 100;
const PAGE: usize = 20;

impl Turn<'_> {
    pub(super) fn create_room(&mut self) -> Result<Yes, No> {
        let params = self.params(self.either(shapes::CREATE_ROOM_V2, shapes::CREATE_ROOM_V21))?;
        let options = options_of(&params, "room_options")?;
        let name = text(&params, self.name("name", "room_name"));
        let avatar = text(&params, self.name("avatar_url", "room_avatar_url"));
        let mut participants = vec![text(&params, "creator").to_owned()];
        for email in texts(&params, "participants") {
            if !participants.contains(&email) {
                participants.push(email);
            }
        }
        let id = self.kept.add_room(None, "group", name, participants);
        let room = self.kept.room_mut(id).ok_or_else(no_room)?;
        avatar.clone_into(&mut room.avatar_url);
        room.options = options.unwrap_or_default();
        let room = self.kept.room(id).ok_or_else(no_room)?;
        let shown = match self.dialect {
            Dialect::V21 => json!({"room": short(room)}),
            _ => members(room),
        };
        Ok(Yes::taken(200, results(&shown)))
    }

    pub(super) fn update_room(&mut self) -> Result<Yes, No> {
        let params = self.params(self.either(shapes::UPDATE_ROOM_V2, shapes::UPDATE_ROOM_V21))?;
        let options = options_of(&params, self.name("options", "room_options"))?;
        let room = self.group(text(&params, "room_id"))?;
        let user = text(&params, "user_email");
        if self.dialect == Dialect::V2 && !room.participants.iter().any(|email| email == user) {
            return Err(No::state(400, "user_email must be a participant"));
        }
        let id = room.id;
        let room = self.kept.room_mut(id).ok_or_else(no_room)?;
        let before = (
            room.name.clone(),
            room.avatar_url.clone(),
            room.options.clone(),
        );
        for (name, held) in [
            ("room_name", &mut room.name),
            ("room_avatar_url", &mut room.avatar_url),
        ] {
            if params.get(name).is_some() {
                text(&params, name).clone_into(held);
            }
        }
        if let Some(options) = options {
            room.options = options;
        }
        let changed = before
            != (
                room.name.clone(),
                room.avatar_url.clone(),
                room.options.clone(),
            );
        let room = self.kept.room(id).ok_or_else(no_room)?;
        let shown = match self.dialect {
            Dialect::V21 => json!({"changed": changed, "room": short(room)}),
            _ => json!({"changed": changed, "room": self.long(room), "comments": []}),
        };
        Ok(Yes::taken(200, results(&shown)))
    }

    pub(super) fn room_with_target(&mut self) -> Result<Yes, No> {
        let params = self.params(self.either(shapes::TARGET_V2, shapes::TARGET_V21))?;
        let name = self.name("emails", "user_ids");
        let emails = texts(&params, name);
        let [one, other] = emails.as_slice() else {
            return Err(bad(format!("{name} must be exactly 2")));
        };
        let both = |room: &&Room| {
            room.kind == "single" && emails.iter().all(|email| room.participants.contains(email))
        };
        let id = match self.kept.rooms.iter().find(both) {
            Some(room) => room.id,
            None => {
                let name = format!("{one} {other}");
                self.kept.add_room(None, "single", &name, emails.clone())
            }
        };
        let room = self.kept.room(id).ok_or_else(no_room)?;
        let shown = match self.dialect {
            Dialect::V21 => json!({"room": short(room)}),
            _ => json!({"room": self.long(room), "comments": []}),
        };
        Ok(Yes::told(200, results(&shown)))
    }

    /// Unknown rooms are left out.
    pub(super) fn rooms_info(&mut self) -> Result<Yes, No> {
        let params = self.params(self.either(shapes::ROOMS_INFO_V2, shapes::ROOMS_INFO_V21))?;
        let ids = texts(&params, self.name("room_id", "room_ids"));
        let rooms = self.kept.rooms.iter();
        let found = rooms.filter(|room| ids.contains(&room.id.to_string()));
        let shown: Vec<Json> = found.map(|room| self.listed(room, &params)).collect();
        let list = self.name("rooms_info", "rooms");
        Ok(Yes::told(200, results(&json!({list: shown}))))
    }

    pub(super) fn user_rooms(&mut self) -> Result<Yes, No> {
        let params = self.params(self.either(shapes::USER_ROOMS_V2, shapes::USER_ROOMS_V21))?;
        let user = text(&params, self.name("user_email", "user_id"));
        let kind = text(&params, "room_type");
        let rooms: Vec<&Room> = self
            .kept
            .rooms
            .iter()
            .filter(|room| room.participants.iter().any(|email| email == user))
            .filter(|room| kind.is_empty() || room.kind == kind)
            .collect();
        let (page, size) = match number(&params, "page") {
            Some(page) => (page, number(&params, "limit").unwrap_or(PAGE)),
            None => (1, number(&params, "limit").unwrap_or(ALL_MAX)),
        };
        let size = size.min(ALL_MAX);
        let shown: Vec<Json> = rooms
            .iter()
            .skip((page - 1).saturating_mul(size))
            .take(size)
            .map(|room| self.listed(room, &params))
            .collect();
        let meta = json!({"current_page": page, "total_room": rooms.len()});
        let list = self.name("rooms_info", "rooms");
        Ok(Yes::told(200, results(&json!({"meta": meta, list: shown}))))
    }

    pub(super) fn participants(&mut self, add: bool) -> Result<Yes, No> {
        let params = self.params(self.either(shapes::PARTICIPANTS_V2, shapes::PARTICIPANTS_V21))?;
        let id = self.group(text(&params, "room_id"))?.id;
        let emails = texts(&params, self.name("emails", "user_ids"));
        if emails.is_empty() {
            return Err(bad("nobody is named".to_owned()));
        }
        let changed: Vec<Json> = emails
            .iter()
            .map(|email| participant(&self.kept.user(email)))
            .collect();
        let room = self.kept.room_mut(id).ok_or_else(no_room)?;
        room.participants.retain(|email| !emails.contains(email));
        if add {
            room.participants.extend(emails);
        }
        let shown = match (self.dialect, add) {
            (Dialect::V21, true) => json!({"participants_added": changed}),
            (Dialect::V21, false) => json!({"participants_removed": changed}),
            _ => members(room),
        };
        Ok(Yes::taken(200, results(&shown)))
    }

    pub(super) fn login_or_register(&mut self) -> Result<Yes, No> {
        let params = self.params(self.either(shapes::LOGIN_V2, shapes::LOGIN_V21))?;
        let email = text(&params, self.name("email", "user_id"));
        self.kept.user(email);
        if let Some(user) = self.kept.user_mut(email) {
            text(&params, "username").clone_into(&mut user.username);
            if params.get("avatar_url").is_some() {
                text(&params, "avatar_url").clone_into(&mut user.avatar_url);
            }
        }
        let user = self.kept.user(email);
        Ok(Yes::told(200, results(&json!({"user": user}))))
    }

    pub(super) fn user_profile(&mut self) -> Result<Yes, No> {
        let params = self.params(self.either(shapes::PROFILE_V2, shapes::PROFILE_V21))?;
        let email = text(&params, self.name("user_email", "user_id"));
        match self.kept.known_user(email) {
            Some(user) => Ok(Yes::told(200, results(&json!({"user": user})))),
            None => Err(No::state(404, "user not found")),
        }
    }

    /// What may be changed is a group.
    fn group(&self, id: &str) -> Result<&Room, No> {
        let room = self.find_room(id)?;
        if room.kind == "group" {
            Ok(room)
        } else {
            Err(No::state(400, "room must be a group"))
        }
    }

    fn listed(&self, room: &Room, params: &Json) -> Json {
        if self.dialect == Dialect::V21 {
            return short(room);
        }
        let last = room.comments.last();
        let mut shown = json!({
            "last_comment_id": last.map_or(0, |last| last.id),
            "last_comment_message": last.map_or("", |last| &last.text),
            "last_comment_timestamp": last.map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), |last| last.at.to_string()),
            "room_avatar_url": room.avatar_url,
            "room_id": room.id,
            "room_name": room.name,
            "room_type": room.kind,
            "unread_count": 0,
        });
        let wanted = params.get("show_participants") == Some(&Json::Bool(true));
        if let Some(shown) = shown.as_object_mut()
            && wanted
        {
            shown.insert("participants".to_owned(), self.taking_part(room));
        }
        shown
    }

    fn long(&self, room: &Room) -> Json {
        let last = room.comments.last();
        json!({
            "chat_type": room.kind,
            "id": room.id,
            "last_comment_id": last.map_or(0, |last| last.id),
            "last_comment_message": last.map_or("", |last| &last.text),
            "last_topic_id": room.id,
            "avatar_url": room.avatar_url,
            "options": room.options,
            "participants": self.taking_part(room),
            "room_name": room.name,
        })
    }

    fn taking_part(&self, room: &Room) -> Json {
        let known = room
            .participants
            .iter()
            .filter_map(|email| self.kept.known_user(email));
        known
            .map(|user| json!({"avatar_url": user.avatar_url, "email": user.email, "id": user.id, "username": user.username}))
            .collect()
    }
}

fn members(room: &Room) -> Json {
    json!({
        "creator": room.creator,
        "participants": room.participants,
        "room_id": room.id,
        "room_name": room.name,
        "room_type": room.kind,
    })
}

fn short(room: &Room) -> Json {
    json!({
        "room_id": room.id.to_string(),
        "room_name": room.name,
        "room_type": room.kind,
        "room_avatar_url": room.avatar_url,
        "room_options": if room.options.is_empty() { "{}" } else { &room.options },
        "room_channel_id": "",
    })
}

fn participant(user: &User) -> Json {
    json!({"avatar_url": user.avatar_url, "user_id": user.email, "username": user.username})
}

/// Options are JSON in a string.
fn options_of(params: &Json, name: &str) -> Result<Option<String>, No> {
    match params.get(name).and_then(Json::as_str) {
        None => Ok(None),
        Some(options) if serde_json::from_str::<Json>(options).is_ok() => {
            Ok(Some(options.to_owned()))
        }
        Some(_) => Err(bad(format!("{name} is not JSON"))),
    }
}
