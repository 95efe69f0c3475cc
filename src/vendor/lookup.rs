//! Questions to a vendor that no copy asks: an operator looks for a
//! conversation, or fetches what a gateway that was away has missed. Pure:
//! `deliver` sends them.

use std::fmt::Debug;

use bytes::Bytes;

use crate::clock::Timestamp;
use crate::transform::Outgoing;

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
    /// A walk back through a conversation: no further than `since`, no more
    /// than `pages_max` pages, from where the walk before ended. An error is
    /// for the operator.
    fn walk(
        &self,
        conversation: &str,
        since: Option<Timestamp>,
        from: Option<&str>,
        pages_max: u32,
    ) -> Result<Box<dyn Walk>, String>;
}

/// A walk under way.
pub trait Walk: Debug + Send {
    /// Asks for the next page.
    fn request(&self) -> Outgoing;

    /// Takes a page, the body of a 200. `true`: there is another to ask for.
    fn take(&mut self, body: &[u8]) -> Result<bool, String>;

    /// What it brought home.
    fn end(self: Box<Self>) -> Past;
}

/// A piece of the past.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Past {
    /// What the vendor would have posted, as its source reads it; oldest first.
    pub webhooks: Vec<Bytes>,
    /// Where the next walk goes on, if there may be more.
    pub next: Option<String>,
    /// Messages that must have been and are not there, for the operator.
    pub gaps: Vec<String>,
}
