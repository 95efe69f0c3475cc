//! A chat [`Message`] in our canonical form: what every chat source is read
//! into and every chat destination is written from, so that n sources and m
//! destinations need n + m connectors.

use serde::Serialize;

use crate::clock::Timestamp;
use crate::event::Direction;

/// One chat message or system event. Serialised, it is what templates and
/// `when` see as `message`, and what the API shows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Message {
    /// The vendor's id of the message; absent where it gives none.
    pub id: Option<String>,
    /// The vendor's message type: `text`, `buttons`, `system_event`, …
    pub kind: String,
    /// The plain rendering; never blank.
    pub text: String,
    /// The rendering with the quoted line of a reply in front.
    pub quoted: String,
    pub direction: Direction,
    pub conversation: Conversation,
    pub author: Person,
    /// The customer of the conversation, where this event tells it.
    pub user: Option<Person>,
    pub attachments: Vec<Attachment>,
    /// When the platform says it was sent; absent where it does not say.
    pub sent_at: Option<Timestamp>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Conversation {
    /// The vendor's id, as text whatever its JSON type.
    pub id: String,
    pub name: Option<String>,
    /// The vendor's word, e.g. `group` or `single`.
    pub kind: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Person {
    pub id: Option<String>,
    pub name: Option<String>,
    pub email: Option<String>,
    pub phone: Option<String>,
    /// `customer`, `agent` or `system`.
    pub role: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Attachment {
    pub url: String,
    pub name: Option<String>,
    /// True where the name or the vendor says it is a picture.
    pub image: bool,
}
