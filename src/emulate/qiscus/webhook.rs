//! The webhooks Qiscus posts of comments, and their signature.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value as Json, json};
use sha2::Sha256;

use crate::emulate::outbox::Outbox;

use super::Shape;
use super::kept::{Comment, Kept, Room};

/// `post_comment_mobile` or `post_comment_rest`, signed if there is a secret.
pub(super) fn posted(
    outbox: &Outbox,
    kept: &Kept,
    shape: Shape,
    event: &str,
    room: u64,
    comment: &Comment,
) {
    let Some(room) = kept.room(room) else { return };
    let body = match shape {
        Shape::Seed => seed(kept, event, room, comment),
        Shape::Current => current(kept, event, room, comment),
    };
    outbox.put(event, body.to_string(), |secret, body| {
        // Qiscus documents no header where no token was generated.
        if secret.is_empty() {
            return Vec::new();
        }
        let code = sign(secret, body.as_bytes());
        vec![("QISCUS-SDK-SIGNATURE".to_owned(), code)]
    });
}

fn sign(secret: &str, body: &[u8]) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        return String::new();
    };
    mac.update(body);
    hex::encode(mac.finalize().into_bytes())
}

/// Without ids and times, as the older shape is.
fn seed(kept: &Kept, event: &str, room: &Room, comment: &Comment) -> Json {
    let participants: Vec<Json> = room
        .participants
        .iter()
        .filter_map(|email| kept.known_user(email))
        .map(|user| json!({"id": user.id, "email": user.email, "username": user.username, "avatar_url": user.avatar_url}))
        .collect();
    let (id, name) = who(kept, comment);
    json!({
        "type": event,
        "payload": {
            "from": {"id": id, "email": comment.sender, "name": name},
            "room": {
                "id": room.id,
                "topic_id": room.id,
                "type": room.kind,
                "name": room.name,
                "participants": participants,
            },
            "message": {
                "type": comment.kind,
                "text": comment.text,
                "payload": comment.payload,
            },
        },
    })
}

/// Names in the order of the alphabet, ids of rooms as text.
fn current(kept: &Kept, event: &str, room: &Room, comment: &Comment) -> Json {
    let participants: Vec<Json> = room
        .participants
        .iter()
        .map(|email| json!({"email": email}))
        .collect();
    let (id, name) = who(kept, comment);
    let nanos = comment.at.as_millis().saturating_mul(1_000_000);
    json!({
        "payload": {
            "from": {
                "avatar_url": "https://cdn.example.com/image.jpeg",
                "email": comment.sender,
                "id": id,
                "id_str": id.to_string(),
                "name": name,
            },
            "message": {
                "comment_before_id": comment.before,
                "comment_before_id_str": comment.before.to_string(),
                "created_at": comment.at,
                "disable_link_preview": false,
                "extras": comment.extras,
                "id": comment.id,
                "id_str": comment.id.to_string(),
                "payload": comment.payload,
                "text": comment.text,
                "timestamp": comment.at,
                "type": comment.kind,
                "unique_temp_id": comment.unique_temp_id,
                "unix_nano_timestamp": nanos,
                "unix_timestamp": comment.at.as_secs(),
            },
            "room": {
                "id": room.id.to_string(),
                "id_str": room.id.to_string(),
                "is_public_channel": false,
                "name": room.name,
                "options": room.options,
                "participants": participants,
                "room_avatar": room.avatar_url,
                "topic_id": room.id.to_string(),
                "topic_id_str": room.id.to_string(),
                "type": room.kind,
            },
            "type": event,
        },
        "type": event,
    })
}

fn who<'a>(kept: &'a Kept, comment: &'a Comment) -> (u64, &'a str) {
    let user = kept.known_user(&comment.sender);
    user.map_or((0, &comment.sender), |user| (user.id, &user.username))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vector of the sample collection.
    #[test]
    fn the_signature_is_that_of_the_documented_example() {
        let body = include_bytes!(
            "../../../tests/suite/fixtures/samples/qiscus/post_comment_mobile_text.json"
        );
        assert_eq!(
            sign("qiscus-test-signature-token", body),
            "5f6cc719c5d73c1a097ea382027d239ac49a9c6d2f41f4d30b964b3bad825473"
        );
    }
}
