//! What the emulated Qiscus holds.

use serde::Serialize;
use serde_json::{Value as Json, json};

use crate::clock::Timestamp;
use crate::emulate::fresh_id;

/// Whoever spoke, created or took part.
#[derive(Clone, Debug, Serialize)]
pub struct User {
    pub id: u64,
    pub email: String,
    pub username: String,
    pub avatar_url: String,
    pub token: String,
}

/// A room.
#[derive(Clone, Debug, Serialize)]
pub struct Room {
    pub id: u64,
    /// `group` or `single`.
    pub kind: &'static str,
    pub name: String,
    pub avatar_url: String,
    /// JSON, or empty.
    pub options: String,
    pub creator: String,
    /// E-mail addresses.
    pub participants: Vec<String>,
    /// Oldest first.
    pub comments: Vec<Comment>,
}

/// A comment.
#[derive(Clone, Debug, Serialize)]
pub struct Comment {
    pub id: u64,
    /// The id of the one before it, or 0.
    pub before: u64,
    /// The sender's e-mail address.
    pub sender: String,
    pub text: String,
    /// Its type.
    pub kind: String,
    pub payload: Json,
    pub extras: Json,
    pub unique_temp_id: String,
    pub at: Timestamp,
    /// The `webhook-id` it came with.
    pub event: Option<String>,
}

impl Comment {
    /// Of type `text`; the id comes with [`Kept::add_comment`].
    pub(super) fn text(sender: &str, text: &str, at: Timestamp) -> Self {
        Self {
            id: 0,
            before: 0,
            sender: sender.to_owned(),
            text: text.to_owned(),
            kind: "text".to_owned(),
            payload: json!({}),
            extras: Json::Null,
            unique_temp_id: fresh_id(),
            at,
            event: None,
        }
    }
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) users: Vec<User>,
    pub(super) rooms: Vec<Room>,
    comments: u64,
}

impl Kept {
    /// Whoever is not known yet is registered.
    pub(super) fn user(&mut self, email: &str) -> User {
        if let Some(known) = self.users.iter().find(|user| user.email == email) {
            return known.clone();
        }
        let user = User {
            id: 90_000 + self.users.len() as u64,
            email: email.to_owned(),
            username: email.split('@').next().unwrap_or(email).to_owned(),
            avatar_url: "https://cdn.example.com/2.png".to_owned(),
            token: fresh_id(),
        };
        self.users.push(user.clone());
        user
    }

    pub(super) fn known_user(&self, email: &str) -> Option<&User> {
        self.users.iter().find(|user| user.email == email)
    }

    pub(super) fn user_mut(&mut self, email: &str) -> Option<&mut User> {
        self.users.iter_mut().find(|user| user.email == email)
    }

    /// Its id; `None` chooses the next free one.
    pub(super) fn add_room(
        &mut self,
        id: Option<u64>,
        kind: &'static str,
        name: &str,
        mut participants: Vec<String>,
    ) -> u64 {
        let highest = self.rooms.iter().map(|room| room.id).max().unwrap_or(0);
        let id = id.unwrap_or(highest + 1);
        participants.dedup();
        for email in &participants {
            self.user(email);
        }
        self.rooms.push(Room {
            id,
            kind,
            name: name.to_owned(),
            avatar_url: String::new(),
            options: String::new(),
            creator: participants.first().cloned().unwrap_or_default(),
            participants,
            comments: Vec::new(),
        });
        id
    }

    pub(super) fn room(&self, id: u64) -> Option<&Room> {
        self.rooms.iter().find(|room| room.id == id)
    }

    pub(super) fn room_mut(&mut self, id: u64) -> Option<&mut Room> {
        self.rooms.iter_mut().find(|room| room.id == id)
    }

    /// The comment as it is kept, with its ids; ids rise over all rooms.
    pub(super) fn add_comment(&mut self, room: u64, mut comment: Comment) -> Option<Comment> {
        self.comments += 1;
        comment.id = 914_000 + self.comments;
        let room = self.room_mut(room)?;
        comment.before = room.comments.last().map_or(0, |last| last.id);
        room.comments.push(comment.clone());
        Some(comment)
    }

    /// The comment with this `unique_temp_id`, and its room.
    pub(super) fn comment(&self, unique_temp_id: &str) -> Option<(&Room, &Comment)> {
        self.rooms.iter().find_map(|room| {
            let mut comments = room.comments.iter();
            let found = comments.find(|comment| comment.unique_temp_id == unique_temp_id)?;
            Some((room, found))
        })
    }
}
