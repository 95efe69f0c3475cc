//! The central words: an [`Event`] is a verified webhook, immutable, with the
//! bytes as stored; everything else in the house happens to events.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::trace::{self, Trace};

/// Declares a name: a cheap-to-clone piece of text that cannot be mistaken for
/// another name.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(Arc::from(text))
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(Arc::from(text))
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }
    };
}

name! {
    /// Who may send us events: the name of a `[source.…]` table.
    SourceName
}
name! {
    /// Where copies go: the name of a `[destination.…]` table.
    DestinationName
}
name! {
    /// A vendor's name as `kind = "…"` spells it.
    Kind
}
name! {
    /// The vendor's own word for what happened, e.g. `post_comment_mobile`.
    EventType
}
name! {
    /// What orders: for a chat event the conversation, `<source>/<room id>`.
    Key
}
name! {
    /// What the sender calls this event; the same for every resend of it.
    VendorId
}

/// The same event, the same id, over every resend, attempt and replay; a
/// UUIDv7, so that it also says when the event was accepted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventId(Uuid);

impl EventId {
    /// An id for an event accepted at `at`; `chance` is 74 bits of it or more.
    pub fn new(at: Timestamp, chance: u128) -> Self {
        let bytes = chance.to_be_bytes();
        let mut random = [0_u8; 10];
        random.copy_from_slice(bytes.get(6..16).unwrap_or(&[0; 10]));
        Self(uuid::Builder::from_unix_timestamp_millis(at.as_millis(), &random).into_uuid())
    }

    /// The id as sixteen bytes, in the order they sort.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.into_bytes()
    }

    /// The inverse of [`EventId::to_bytes`].
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// The form that [`fmt::Display`] writes, in a buffer of the caller's.
    pub fn text(self, buffer: &mut [u8; 36]) -> &str {
        self.0.hyphenated().encode_lower(buffer)
    }

    /// Reads the form that [`fmt::Display`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        Uuid::try_parse(text).ok().map(Self)
    }

    /// When the event was accepted, as the id says.
    pub fn accepted_at(self) -> Timestamp {
        let [a, b, c, d, e, f, ..] = self.0.into_bytes();
        Timestamp::from_millis(u64::from_be_bytes([0, 0, a, b, c, d, e, f]))
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A position in the log. Offsets of later records are greater.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Offset(pub u64);

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Who speaks in a chat event. Decided once, at acceptance, by the source's
/// rules, and stored with the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// The customer's side.
    Incoming,
    /// The company's side, bots included.
    Outgoing,
    /// Nobody: the platform reports something.
    System,
}

/// A verified webhook, or one of several events read out of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub id: EventId,
    pub source: SourceName,
    /// The source's vendor, so that the body can be read again later.
    pub kind: Kind,
    pub event_type: EventType,
    /// What orders; an event without one is ordered with nothing.
    pub key: Option<Key>,
    /// What makes a resend a duplicate; an event without one is never one.
    pub vendor_id: Option<VendorId>,
    pub direction: Option<Direction>,
    /// The customer this chat event belongs to, in the vendor's own words.
    pub user: Option<Arc<str>>,
    pub accepted_at: Timestamp,
    /// How many gateways of ours have passed this on.
    pub hops: u8,
    /// Lower-case names; nothing that proves identity (no credentials, no
    /// signatures, no cookies).
    pub headers: Vec<(Arc<str>, Arc<str>)>,
    /// As received, or as received with credentials removed.
    pub body: Bytes,
}

impl Event {
    /// The trace that the event came with, if it came with one.
    pub fn trace(&self) -> Option<Trace> {
        Trace::read(self.header(trace::TRACEPARENT)?)
    }

    /// The first header of this lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(have, _)| &**have == name)
            .map(|(_, value)| &**value)
    }
}

/// A request as it came, before anyone believes it.
#[derive(Clone, Copy, Debug)]
pub struct Inbound<'a> {
    /// What follows `/hooks/<source>/` in the path, if anything.
    pub tail: Option<&'a str>,
    /// The query as sent, without the question mark.
    pub query: Option<&'a str>,
    pub headers: &'a http::HeaderMap,
    pub body: &'a Bytes,
    /// Who is connected, or whom a believed proxy names.
    pub peer: std::net::IpAddr,
}

/// What to do at a destination: the vendor's word for it, and what it needs
/// beyond the event (templates as written, rendered at delivery).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Action {
    /// `message`, `close`, … ; for `http` always `message`.
    pub name: Arc<str>,
    /// The route's `with` table as JSON text; empty when there is none.
    pub with: Arc<str>,
}

impl Action {
    /// The action of a route that names none.
    pub fn message() -> Self {
        Self {
            name: Arc::from("message"),
            with: Arc::from(""),
        }
    }
}

/// One copy that an event owes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owed {
    pub destination: DestinationName,
    pub action: Action,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_tells_when_its_event_was_accepted() {
        let at = Timestamp::from_millis(1_732_180_000_123);
        let id = EventId::new(at, 77);
        assert_eq!(id.accepted_at(), at);
        assert_eq!(EventId::parse(&id.to_string()), Some(id));
        assert_eq!(id.text(&mut [0; 36]), id.to_string());
        assert_eq!(EventId::from_bytes(id.to_bytes()), id);
    }

    #[test]
    fn ids_of_later_events_sort_later() {
        let at = Timestamp::from_millis(1_732_180_000_123);
        assert!(
            EventId::new(at, u128::MAX)
                < EventId::new(Timestamp::from_millis(at.as_millis() + 1), 0)
        );
    }
}
