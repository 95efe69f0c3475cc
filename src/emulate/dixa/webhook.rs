//! The webhooks Dixa posts of what happened, and their signature.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value as Json, json};
use sha2::Sha256;

use crate::clock::Timestamp;

use crate::emulate::fresh_id;

use super::kept::{Conversation, Kept, Message, State};
use crate::emulate::outbox::Outbox;

const SUBSCRIPTION: &str = "6f0f5a0e-0b5a-4f0c-9d55-3b6a2f7c1d10";
const ORGANIZATION: &str = "a1b15dc2-bba8-48a8-a92e-852014a166b9";

/// The value of `X-DIXA-SIGNATURE`: HMAC-SHA256 of the time, a dot and the
/// body, under the key that `secret` is in hex. Empty where it is no hex.
pub fn sign(secret: &str, at: Timestamp, body: &[u8]) -> String {
    let key = hex::decode(secret).unwrap_or_default();
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&key) else {
        return String::new();
    };
    let millis = at.as_millis();
    mac.update(format!("{millis}.").as_bytes());
    mac.update(body);
    format!("t={millis},v1={}", hex::encode(mac.finalize().into_bytes()))
}

/// Of the newest message of a conversation.
pub(super) fn message_added(outbox: &Outbox, kept: &Kept, id: i64, at: Timestamp) {
    let Some((found, message)) = kept
        .conversation(id)
        .and_then(|found| Some((found, found.messages.last()?)))
    else {
        return;
    };
    let data = json!({
        "conversation": conversation(kept, found),
        "message_id": message.id,
        "external_id": message.external_id,
        "direction": message.direction.to_lowercase(),
        "channel": channel(found),
        "author": author(kept, found, message),
        "text": message.text,
        "content": {
            "text": message.text,
            "content_type": message.content_type,
            "original_content_url": null,
            "processed_content_url": null,
        },
        "created_at": message.created_at,
    });
    post(outbox, "CONVERSATION_MESSAGE_ADDED", &data, at);
}

pub(super) fn closed(outbox: &Outbox, kept: &Kept, id: i64, at: Timestamp) {
    if let Some(found) = kept.conversation(id) {
        let data = json!({"conversation": conversation(kept, found)});
        post(outbox, "CONVERSATION_CLOSED", &data, at);
    }
}

fn post(outbox: &Outbox, event: &str, data: &Json, at: Timestamp) {
    let body = json!({
        "event_id": fresh_id(),
        "event_fqn": event,
        "event_version": "1",
        "event_timestamp": at,
        "organization": {"id": ORGANIZATION, "name": "Example Org"},
        "data": data,
    });
    outbox.put(event, body.to_string(), |secret, body| {
        vec![
            (
                "X-DIXA-SIGNATURE".to_owned(),
                sign(secret, at, body.as_bytes()),
            ),
            ("X-DIXA-SUBSCRIPTION-ID".to_owned(), SUBSCRIPTION.to_owned()),
        ]
    });
}

fn conversation(kept: &Kept, found: &Conversation) -> Json {
    let status = match found.state {
        State::Open => "OPEN",
        State::Pending => "PENDING",
        State::Closed => "CLOSED",
    };
    json!({
        "csid": found.id,
        "channel": channel(found),
        "status": status,
        "direction": found.direction.to_uppercase(),
        "queue": found.queue.as_ref().map(|queue| json!({"id": queue, "name": "default"})),
        "contact_point": "contact@email.dixa.io",
        "requester": customer(kept, &found.requester),
        "assignee": found.agent.as_ref().map(|agent| person(agent)),
        "subject": null,
        "tags": [],
        "created_at": found.created_at,
    })
}

fn channel(found: &Conversation) -> String {
    match found.channel.as_str() {
        "Chat" => "WIDGET_CHAT".to_owned(),
        "ContactForm" => "CONTACT_FORM".to_owned(),
        other => other.to_uppercase(),
    }
}

fn author(kept: &Kept, found: &Conversation, message: &Message) -> Json {
    if message.author == found.requester {
        customer(kept, &message.author)
    } else {
        person(&message.author)
    }
}

fn customer(kept: &Kept, id: &str) -> Json {
    let user = kept.user(id);
    json!({
        "id": id,
        "name": user.and_then(|user| user.name.as_deref()),
        "email": user.and_then(|user| user.email.as_deref()),
        "phone": user.and_then(|user| user.phone.as_deref()),
        "roles": ["Enduser"],
        "user_type": "Contact",
    })
}

fn person(agent: &str) -> Json {
    json!({
        "id": agent,
        "name": "An Agent",
        "email": "agent@shop.example.com",
        "phone": null,
        "roles": ["Agent"],
        "user_type": "Member",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vector of the sample collection.
    #[test]
    fn the_signature_is_that_of_the_documented_example() {
        let body = include_bytes!(
            "../../../tests/suite/fixtures/samples/dixa/conversation_message_added_inbound.json"
        );
        assert_eq!(
            sign(
                "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
                Timestamp::from_millis(1_736_892_065_429),
                body,
            ),
            "t=1736892065429,v1=2bed54b8069420547558e015283195873bce181b0bf1a04e235bac02c03f0afc"
        );
    }
}
