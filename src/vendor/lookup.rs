//! Questions to a vendor that no copy asks: an operator looks for a
//! conversation, or fetches what a gateway that was away has missed. Pure:
//! `deliver` sends them.

use std::fmt::Debug;

use bytes::Bytes;

use crate::clock::Timestamp;
use crate::transform::{Outgoing, Unsendable};

/// What an operator may want to see over there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// The conversations, a page at a time, from 1.
    Conversations { page: u32 },
    /// One conversation by its id over there.
    Conversation(String),
    /// A token for the vendor's own live feed.
    HubToken,
}

/// A vendor that gives out what was said in a conversation.
pub trait Backfill: Debug + Send + Sync {
    /// Asks for a page; `cursor` is what the page before gave as `next`.
    fn request(&self, conversation: &str, cursor: Option<&str>) -> Result<Outgoing, Unsendable>;

    /// Reads a page. An error is for the operator.
    fn read(&self, conversation: &str, cursor: Option<&str>, body: &[u8]) -> Result<Past, String>;
}

/// One page of the past.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Past {
    /// What the vendor would have posted, as its source reads it; oldest first.
    pub webhooks: Vec<Bytes>,
    /// The page before this one in time, if there is one.
    pub next: Option<String>,
    /// When the oldest message of the page was sent, if it says so.
    pub oldest: Option<Timestamp>,
    /// Messages that must have been and are not there, for the operator.
    pub gaps: Vec<String>,
}
