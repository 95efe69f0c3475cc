//! What the world around the gateway remembers: what was sent and acknowledged,
//! what an operator did, how each life ended.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use super::table::{Full, Table};

/// One event as its sender knows it.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) source: usize,
    pub(crate) kind: usize,
    pub(crate) even: bool,
    pub(crate) room: Option<u8>,
    /// It has an id of the sender's, and may be sent again.
    pub(crate) has_id: bool,
    pub(crate) body: Bytes,
    /// Who would have been owed a copy, each time it was sent.
    pub(crate) tries: Vec<BTreeSet<usize>>,
    /// The event it became, once that was acknowledged.
    pub(crate) known_as: Option<String>,
}

/// An acknowledged event.
#[derive(Clone, Debug)]
pub(crate) struct Acked {
    /// Who must have got a copy.
    pub(crate) must: BTreeSet<usize>,
}

/// How a life of the gateway ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Stopped,
    /// Orderly, and there was no room left to write down what was delivered.
    StoppedFull,
    Killed,
    PowerCut,
}

impl End {
    pub(crate) fn is_crash(self) -> bool {
        matches!(self, Self::Killed | Self::PowerCut)
    }
}

/// An (event, destination).
pub(crate) type Copy = (String, usize);

#[derive(Debug, Default)]
pub(crate) struct Book {
    pub(crate) sent: BTreeMap<u64, Sent>,
    pub(crate) acked: BTreeMap<String, Acked>,
    /// How each life ended, and when.
    pub(crate) ends: Vec<(End, Duration)>,
    /// Copies an operator asked for again.
    pub(crate) again: BTreeMap<Copy, u64>,
    /// Copies whose letter an operator dropped.
    pub(crate) discarded: BTreeSet<Copy>,
    /// Letters that left the list.
    pub(crate) letters_gone: BTreeMap<Copy, u64>,
    /// An operator was not told what came of it.
    pub(crate) unsure: BTreeSet<Copy>,
    /// Destinations that were always in order and waited for a stuck one; `false`:
    /// one table at least said otherwise.
    pub(crate) ordered: BTreeMap<usize, bool>,
    /// Destinations whose schedule may end within a world.
    pub(crate) may_exhaust: BTreeSet<usize>,
    /// Destinations that drop what is too much: a power cut may forget it of
    /// some, and they go behind what came after them.
    pub(crate) may_drop: BTreeSet<usize>,
    /// Faults that were made, by kind.
    pub(crate) faults: BTreeMap<&'static str, u64>,
    /// What was seen to be wrong on the way.
    pub(crate) wrong: Vec<String>,
    pub(crate) stalled: Vec<String>,
}

impl Book {
    pub(crate) fn fault(&mut self, kind: &'static str) {
        *self.faults.entry(kind).or_default() += 1;
    }

    /// A table that is in force, or may be.
    pub(crate) fn note(&mut self, table: &Table) {
        for (name, to) in &table.to {
            let ordered = to.ordered && to.skip_after.is_none();
            *self.ordered.entry(*name).or_insert(true) &= ordered;
            if to.span < 3600 {
                self.may_exhaust.insert(*name);
            }
            if matches!(to.backlog, Some((_, Full::DropOldest))) {
                self.may_drop.insert(*name);
            }
        }
    }

    pub(crate) fn had(&self, kind: &str) -> bool {
        self.faults.contains_key(kind)
    }

    /// What was acknowledged as `event`. A second word about the same thing
    /// must be the same word.
    pub(crate) fn acknowledge(
        &mut self,
        (n, place): (u64, usize),
        event: String,
        duplicate: bool,
        copies: usize,
    ) {
        let Some(sent) = self.sent.get_mut(&n) else {
            return;
        };
        let now = sent.tries.get(place).cloned().unwrap_or_default();
        match (&sent.known_as, duplicate) {
            // Damage may have made it unknown, and then it was stored again.
            (Some(known), true) if *known != event && !self.faults.contains_key("rot") => {
                self.wrong
                    .push(format!("{n} was {known} and is now a duplicate of {event}"));
            }
            // Who posted it twice may hear of the second one first.
            (Some(known), false)
                if sent.has_id && *known != event && !self.faults.contains_key("rot") =>
            {
                self.wrong
                    .push(format!("{n} was stored as {known} and again as {event}"));
            }
            _ => {}
        }
        if !duplicate && copies != now.len() {
            self.wrong
                .push(format!("{n} is owed to {copies}, not to {now:?}"));
        }
        let must = match duplicate {
            false => now,
            // One of its former tries was stored, nobody knows which.
            true => {
                let mut tries = sent.tries.iter();
                let first = tries.next().cloned().unwrap_or_default();
                tries.fold(first, |all, one| &all & one)
            }
        };
        sent.known_as.get_or_insert_with(|| event.clone());
        self.acked.entry(event).or_insert(Acked { must });
    }
}

/// Shared among the senders, the operator and the checker.
#[derive(Clone, Debug, Default)]
pub(crate) struct Books(Arc<Mutex<Book>>);

impl Books {
    pub(crate) fn open(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
