//! Copies that take more than one request: find the user, find or create the
//! conversation, then say it.
//!
//! A [`Dialogue`] is pure. `deliver` asks it what to do [`next`](Dialogue::next),
//! sends that, lets it [`hear`](Dialogue::hear) the answer, writes what was
//! learned, and asks again, until the copy has its end. Each request draws from
//! the account's rate. A dialogue that was cut off starts again from what is
//! [`Known`]: every step must bear being repeated.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::{Call, Reading};
use crate::clock::Timestamp;
use crate::link::{Change, Counterpart, What};
use crate::secret::Secret;
use crate::settle::Outcome;
use crate::transform::{Outgoing, Unsendable};

/// How a vendor's copies go over in several requests.
pub trait Dialogue: Debug + Send + Sync {
    /// What to do now.
    fn next(&self, call: &Call<'_>, known: &Known) -> Result<Step, Unsendable>;

    /// What an answer teaches. Only answers come here; a silence (no
    /// connection, no answer in time) ends the attempt.
    fn hear(&self, call: &Call<'_>, known: &Known, asked: &Ask, heard: &Heard<'_>) -> Learned;
}

/// What a dialogue wants done.
#[derive(Clone, Debug)]
pub enum Step {
    Ask(Box<Ask>),
    /// There is nothing left to do: it is over there.
    Done,
}

/// One request of a dialogue.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The vendor's name for it, for [`Dialogue::hear`] and the operator.
    pub step: &'static str,
    pub request: Outgoing,
    /// Made durable before the request goes out.
    pub before: Vec<Change>,
    /// From now to the end of the dialogue nobody else of this account asks
    /// with the same user or conversation alone. Whoever had to wait is asked
    /// `next` again, knowing what the other one learned.
    pub alone: Option<What>,
}

/// An answer, read up to the cap for bodies.
#[derive(Clone, Copy, Debug)]
pub struct Heard<'a> {
    pub status: u16,
    pub body: &'a [u8],
    /// What the status alone says.
    pub outcome: &'a Outcome,
}

/// What is to be done with an answer.
#[derive(Clone, Debug)]
pub struct Learned {
    /// Made durable before anything else is done.
    pub changes: Vec<Change>,
    /// Kept to the end of the dialogue: see [`Known::note`].
    pub notes: Vec<(&'static str, String)>,
    /// Kept for a time, for every dialogue of the account: see [`Known::memo`].
    pub memos: Vec<(String, String, Duration)>,
    /// Events to be accepted for the call's source as if they had been posted.
    pub events: Vec<Reading>,
    pub then: Then,
}

/// How a dialogue goes on.
#[derive(Clone, Debug)]
pub enum Then {
    /// Ask for the next step.
    GoOn,
    /// The attempt came to this.
    End(Outcome),
}

impl Learned {
    /// Nothing learned, but that there is a next step.
    pub fn go_on() -> Self {
        Self::then(Then::GoOn)
    }

    /// The attempt came to this.
    pub fn end(outcome: Outcome) -> Self {
        Self::then(Then::End(outcome))
    }

    fn then(then: Then) -> Self {
        Self {
            changes: Vec::new(),
            notes: Vec::new(),
            memos: Vec::new(),
            events: Vec::new(),
            then,
        }
    }

    #[must_use]
    pub fn set(mut self, what: What, counterpart: Counterpart) -> Self {
        self.changes.push(Change::Set(what, counterpart));
        self
    }

    #[must_use]
    pub fn forget(mut self, what: What) -> Self {
        self.changes.push(Change::Forget(what));
        self
    }

    #[must_use]
    pub fn note(mut self, name: &'static str, text: impl Into<String>) -> Self {
        self.notes.push((name, text.into()));
        self
    }

    #[must_use]
    pub fn memo(mut self, name: impl Into<String>, text: impl Into<String>, ttl: Duration) -> Self {
        self.memos.push((name.into(), text.into(), ttl));
        self
    }
}

/// What is known when the next step is decided.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The customer of the event, over there.
    pub user: Option<Counterpart>,
    /// The conversation of the event, over there.
    pub conversation: Option<Counterpart>,
    notes: BTreeMap<&'static str, String>,
    memos: Arc<Memos>,
}

impl Known {
    pub fn new(memos: Arc<Memos>) -> Self {
        Self {
            memos,
            ..Self::default()
        }
    }

    /// What this dialogue noted for itself.
    pub fn note(&self, name: &str) -> Option<&str> {
        self.notes.get(name).map(String::as_str)
    }

    /// What any dialogue of this account asked a little while ago.
    pub fn memo(&self, name: &str, now: Timestamp) -> Option<String> {
        self.memos.get(name, now)
    }

    /// Takes what an answer taught, but for its links and events.
    pub fn take(&mut self, learned: &Learned, now: Timestamp) {
        self.notes.extend(
            learned
                .notes
                .iter()
                .map(|(name, text)| (*name, text.clone())),
        );
        for (name, text, ttl) in &learned.memos {
            self.memos.put(name, text, now.plus(*ttl), now);
        }
    }

    /// Takes a change that has become durable.
    pub fn apply(&mut self, change: &Change) {
        let (what, counterpart) = match change {
            Change::Set(what, counterpart) => (*what, Some(counterpart.clone())),
            Change::Forget(what) => (*what, None),
        };
        match what {
            What::User => self.user = counterpart,
            What::Conversation => self.conversation = counterpart,
        }
    }
}

/// Short-lived knowledge of one account, such as whether a queue is open.
#[derive(Debug, Default)]
pub struct Memos(Mutex<HashMap<String, (String, Timestamp)>>);

/// Beyond it the outdated ones go, and if that is not enough, all.
const MEMOS_MAX: usize = 10_000;

impl Memos {
    fn get(&self, name: &str, now: Timestamp) -> Option<String> {
        let memos = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        memos
            .get(name)
            .filter(|(_, until)| now < *until)
            .map(|(text, _)| text.clone())
    }

    fn put(&self, name: &str, text: &str, until: Timestamp, now: Timestamp) {
        let mut memos = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if memos.len() >= MEMOS_MAX {
            memos.retain(|_, (_, until)| now < *until);
            if memos.len() >= MEMOS_MAX {
                memos.clear();
            }
        }
        memos.insert(name.to_owned(), (text.to_owned(), until));
    }
}

/// Who we are over there: destinations with the same key at the same address
/// share its rate, its memos and its turns.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Account([u8; 16]);

impl Account {
    /// `target` as [`super::Writer::shown_target`] says it.
    pub fn of(target: &str, key: &Secret) -> Self {
        let mut hash = Sha256::new();
        hash.update(target.len().to_le_bytes());
        hash.update(target);
        hash.update(key.expose());
        let digest = hash.finalize();
        let mut id = [0; 16];
        for (to, from) in id.iter_mut().zip(digest) {
            *to = from;
        }
        Self(id)
    }
}

/// It is made of a secret.
impl Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Account")
    }
}
