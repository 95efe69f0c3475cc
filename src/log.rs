//! The log: what remembers events and what became of them.
//!
//! Events go in through [`Log::append`], which returns after the fdatasync that
//! covers them; copies come out through a [`Subscription`] per destination.
//! Everything else in the house is a function of what is written here.
//!
//! ```text
//! data_dir/lock             one process per folder
//!          log/<id>.seg     events and facts about them, in order
//!          log/<id>.ids     vendor ids of a sealed segment, for resends
//!          dead/<id>.seg    full copies of what died
//!          checkpoint       the accounts at one place in the log (and .old)
//! ```
//!
//! * One thread writes (`writer`): it takes whatever came in while the last
//!   batch was under way, draws it into one buffer (`record`), writes it over
//!   zeros that are on disk already (`room`), syncs once, and only then tells
//!   anybody. Facts (an attempt, a settlement) ride on the next sync.
//! * A failed write or sync poisons the log for good: after it the page cache
//!   says nothing about the disk. A full disk is not that: events are refused,
//!   deliveries go on, and it mends itself.
//! * An [`Offset`] is a segment's id and a position in it, so that a record is
//!   read without an index.
//! * An account (`ledger`) is a pure fold of the log. It holds what was handed
//!   out, never what merely waits in the log.
//! * After a start a new segment begins; what lies behind is never changed.

mod account;
mod append;
mod checkpoint;
mod dead;
mod dedupe;
mod disk;
mod ends;
mod folding;
mod found;
mod frame;
mod gather;
pub mod inspect;
mod ledger;
mod letter;
mod listed;
mod look;
mod news;
mod parked;
mod read;
mod recent;
mod record;
mod recover;
mod retain;
mod room;
mod seen;
mod segment;
mod state;
#[cfg(any(test, fuzzing))]
pub mod strange;
mod subscription;
#[cfg(test)]
pub(crate) mod simulated;
#[cfg(test)]
mod tests;
mod walk;
mod words;
mod writer;

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::oneshot;

use self::disk::{Disk, RealDisk};
use self::state::{Command, Handle, Shared, lock, read};
use crate::clock::{Clock, Timestamp};
use crate::event::{Action, DestinationName, Event, EventId, Offset, Owed, SourceName};
use crate::metrics::Metrics;

pub use self::read::{DeadLetter, DeliveryHistory, Filter};
pub use self::recover::{OpenError, Recovery};
pub use self::subscription::Subscription;

/// `[log]` and `server.data_dir`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub data_dir: PathBuf,
    /// How long a settled event stays replayable.
    pub retain: Duration,
    pub retain_dead: Duration,
    /// How many dead letters are kept at most: memory holds a line for each.
    pub dead_letters_max: u64,
    /// Bytes that the whole folder may take.
    pub max_disk: u64,
    /// Bytes of the file system that events leave free.
    pub min_free: u64,
    /// How long a resend is recognised, from when the first one was accepted.
    pub dedupe: Duration,
    /// Where a segment ends; 64 MiB unless a test says otherwise.
    pub segment_bytes: u64,
}

/// What may wait for one destination, and what happens beyond it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    pub events_max: u64,
    pub bytes_max: u64,
    pub when_full: WhenFull,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// The copy is settled dead (`backlog_full`), the others get theirs.
    DeadLetter,
    /// The whole webhook is refused with 503.
    Reject,
    /// The oldest waiting copy is settled dropped.
    DropOldest,
}

/// An event with the copies it owes, by the table in force now.
#[derive(Clone, Debug)]
pub struct Accepted {
    pub event: Event,
    pub owed: Vec<Owed>,
}

/// What became of one appended event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The id it is stored under: for a duplicate, the first one's.
    pub id: EventId,
    pub duplicate: bool,
    /// Copies owed (0 for a duplicate).
    pub deliveries: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// `min_free`, `max_disk` or the file system says no.
    #[error("no room on the disk")]
    DiskFull,
    /// A destination with `when_full = "reject"` has its budget full.
    #[error("the backlog of {0} is full")]
    BacklogFull(DestinationName),
    /// A write or sync failed; the process is about to end.
    #[error("the log is poisoned")]
    Poisoned,
    #[error("shutting down")]
    Closed,
}

/// How a stored event came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    Accepted,
    /// An operator retried a dead letter.
    Retried,
    /// An operator replayed it.
    Replayed,
}

/// An event as the log holds it.
#[derive(Debug)]
pub struct Stored {
    pub offset: Offset,
    pub event: Event,
    pub owed: Vec<Owed>,
    pub origin: Origin,
}

/// The obligation to bring one event to one destination.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub stored: Arc<Stored>,
    pub action: Action,
    /// Attempts that ended already.
    pub attempts: u32,
    /// When the first of them started.
    pub first_at: Option<Timestamp>,
    /// Not to be tried before.
    pub not_before: Option<Timestamp>,
}

/// One attempt, for the record.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Attempt {
    /// From 1.
    pub number: u32,
    pub at: Timestamp,
    /// An [`crate::settle::Outcome`] label.
    pub outcome: Cow<'static, str>,
    pub status: Option<u16>,
    pub took_ms: u32,
    /// For the operator; no secret in it; at most 500 bytes.
    pub detail: String,
}

/// A destination's account. owed = delivered + dead + dropped + pending.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Totals {
    pub owed: u64,
    pub delivered: u64,
    pub dead: u64,
    pub dropped: u64,
    /// Body and header bytes of what is pending.
    pub pending_bytes: u64,
    /// When the oldest pending one was accepted. Where a reader stopped in the
    /// middle of what is on disk (a pause), it is for up to ten seconds the
    /// time of the last copy it read.
    pub oldest: Option<Timestamp>,
    /// Kept dead letters now.
    pub dead_letters: u64,
}

impl Totals {
    pub fn pending(&self) -> u64 {
        self.owed
            .saturating_sub(self.delivered + self.dead + self.dropped)
    }
}

/// A source's account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct SourceTotals {
    pub accepted: u64,
    pub unrouted: u64,
    pub duplicate: u64,
}

/// The log. Clones share it; with the last one it closes by itself.
#[derive(Clone, Debug)]
pub struct Log {
    handle: Arc<Handle>,
}

/// How long the writer may be at one batch before the log counts as stalled.
const STALLED_MS: u64 = 5000;

impl Log {
    /// Opens a folder after anything; starts the writer thread.
    pub fn open(
        settings: Settings,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> Result<(Self, Recovery), OpenError> {
        Self::open_on(Arc::new(RealDisk), settings, clock, metrics)
    }

    fn open_on(
        disk: Arc<dyn Disk>,
        settings: Settings,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> Result<(Self, Recovery), OpenError> {
        let path = settings.data_dir.clone();
        let (writer, recovery) = recover::open(disk, settings, clock, metrics)?;
        let shared = Arc::clone(&writer.shared);
        let carrier = writer
            .start()
            .map_err(|source| OpenError::Io { path, source })?;
        let handle = Arc::new(Handle {
            shared,
            _carrier: carrier,
        });
        Ok((Self { handle }, recovery))
    }

    /// Makes events of one webhook durable, all or none, and owed to their
    /// destinations. Returns after the fdatasync that covers them.
    pub async fn append(&self, events: Vec<Accepted>) -> Result<Vec<Receipt>, AppendError> {
        self.append_as(Origin::Accepted, events).await
    }

    async fn append_as(
        &self,
        origin: Origin,
        events: Vec<Accepted>,
    ) -> Result<Vec<Receipt>, AppendError> {
        self.shared().append(events, origin).await
    }

    /// A destination's place in the log; opens an account for a new name (which
    /// starts with nothing owed). One subscription per name at a time.
    pub fn subscribe(&self, name: &DestinationName) -> Subscription {
        Subscription::new(Arc::clone(&self.handle), self.shared().account(name))
    }

    /// Which budget applies to a destination from now on.
    pub fn set_budget(&self, name: &DestinationName, budget: Budget) {
        lock(&self.shared().account(name).state).budget = Some(budget);
    }

    /// Settles all that a removed destination still owes as dead,
    /// `destination_removed`. Its worker has ended. Returns how many. It goes
    /// in steps, with other work in between; dropped half-way, the rest stays
    /// owed until it is asked again.
    pub async fn remove_destination(&self, name: &DestinationName) -> Result<u64, AppendError> {
        let mut settled = 0;
        loop {
            let account = self.shared().account(name);
            let removed = self
                .shared()
                .ask(|reply| Command::Remove { account, reply })
                .await?;
            settled += removed.settled;
            if !removed.more {
                return Ok(settled);
            }
        }
    }

    /// Destinations that have an account (perhaps from an earlier configuration).
    pub fn destinations(&self) -> Vec<DestinationName> {
        let mut names: Vec<_> = read(&self.shared().accounts).keys().cloned().collect();
        names.sort_unstable();
        names
    }

    /// Remembers across restarts that an operator (or a 410) paused a destination.
    pub fn set_paused(&self, name: &DestinationName, paused: bool) {
        let account = self.shared().account(name);
        let before = std::mem::replace(&mut lock(&account.state).paused, paused);
        if before != paused {
            self.shared().send(Command::Pause { account, paused });
        }
    }

    /// As last set.
    pub fn paused(&self, name: &DestinationName) -> bool {
        read(&self.shared().accounts)
            .get(name)
            .is_some_and(|account| lock(&account.state).paused)
    }

    pub fn totals(&self) -> HashMap<DestinationName, Totals> {
        let accounts = self.shared().all_accounts();
        let totals = accounts.iter().map(|account| {
            let dead_letters = self.shared().dead.count(&account.name);
            let state = lock(&account.state);
            let ledger = &state.ledger;
            // Dead is who has a letter; until then a crash would bring it back.
            let dying = ledger.closing.values();
            let totals = Totals {
                owed: ledger.owed,
                delivered: ledger.delivered,
                dead: ledger.dead.saturating_sub(ledger.closing.len() as u64),
                dropped: ledger.dropped,
                pending_bytes: dying.fold(ledger.pending_bytes, |sum, open| {
                    sum.saturating_add(u64::from(open.size))
                }),
                oldest: state.oldest(),
                dead_letters,
            };
            (account.name.clone(), totals)
        });
        totals.collect()
    }

    pub fn source_totals(&self) -> HashMap<SourceName, SourceTotals> {
        lock(&self.shared().sources).clone()
    }

    /// Bytes of all files in the data folder, as of at most a few seconds ago.
    pub fn disk_bytes(&self) -> u64 {
        self.shared().bytes.load(Ordering::Relaxed)
    }

    /// `Err` says why an append would fail now (disk full, poisoned, stalled
    /// for 5 s or more).
    pub fn health(&self) -> Result<(), String> {
        self.moves()?;
        if self.shared().full.load(Ordering::Relaxed) {
            return Err(AppendError::DiskFull.to_string());
        }
        Ok(())
    }

    /// As [`Log::health`], but a full disk is no reason: the writer is at work.
    pub fn moves(&self) -> Result<(), String> {
        let shared = self.shared();
        if shared.poison.is_cancelled() {
            return Err(AppendError::Poisoned.to_string());
        }
        let busy = shared.busy_since.load(Ordering::Relaxed);
        match stalled(busy, shared.elapsed_ms()) {
            Some(seconds) => Err(format!("the disk has not answered for {seconds} s")),
            None => Ok(()),
        }
    }

    /// Resolves when a write or sync failed: the process must end (exit 74).
    pub async fn poisoned(&self) {
        self.shared().poison.cancelled().await;
    }

    /// Finishes commits, writes a checkpoint, stops the writer.
    pub async fn close(&self) {
        let ended = {
            let mut queue = lock(&self.shared().queue);
            queue.closed = true;
            if queue.ended {
                return;
            }
            let (tell, ended) = oneshot::channel();
            queue.waiting.push(tell);
            self.shared().rouse(queue);
            ended
        };
        let _ended_either_way = ended.await;
    }

    fn shared(&self) -> &Shared {
        &self.handle.shared
    }
}

/// For how many seconds the writer has been at one batch, if for too long.
/// Both in milliseconds; it is idle when `busy_since` is 0.
fn stalled(busy_since: u64, now: u64) -> Option<u64> {
    let busy = now.saturating_sub(busy_since);
    (busy_since != 0 && busy >= STALLED_MS).then_some(busy / 1000)
}
