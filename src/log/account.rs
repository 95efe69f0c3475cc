//! A destination's account among threads: its ledger, the hot queue of what was
//! just committed, and the way back to disk when it lags.
//!
//! A live subscription is handed each commit in memory. One that does not
//! take them quickly enough lags: from the first that did not fit it reads what
//! was told last (`recent`), or where that has forgotten it the log, until it
//! has caught up. `scan` is the seam: below it everything owed was handed out or
//! waits in `upcoming`; nothing below it is published. Under the account's lock
//! a reader goes live while it stands at the tail, or has read all that was told.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use super::ledger::{Ledger, Open, Pending};
use super::recent::is_near;
use super::record::cut;
use super::state::{Settling, Shared};
use super::{Attempt, Budget, Stored, lock};
use crate::clock::Timestamp;
use crate::event::{Action, DestinationName, Offset};
use crate::settle::Settlement;

/// What waits in memory for one subscription, at most.
pub(super) const UPCOMING_EVENTS_MAX: usize = 256;
pub(super) const UPCOMING_BYTES_MAX: u64 = 1024 * 1024;
/// Settlements of one destination that a crash may forget, at most: with so
/// many, its reader waits for a sync.
pub(super) const UNSYNCED_SETTLEMENTS_MAX: usize = 64;
/// With so many of them there is a sync, so that the reader need not wait.
pub(super) const UNSYNCED_SETTLEMENTS_ENOUGH: usize = UNSYNCED_SETTLEMENTS_MAX / 2;

/// A copy that was read (or never left memory) and waits to be handed out.
#[derive(Debug)]
pub(super) struct Upcoming {
    pub(super) stored: Arc<Stored>,
    /// Where the next record starts.
    pub(super) next: Offset,
    pub(super) action: Action,
    pub(super) size: u32,
}

#[derive(Debug)]
pub(super) struct Account {
    pub(super) id: u32,
    pub(super) name: DestinationName,
    pub(super) state: Mutex<AccountState>,
    pub(super) wake: Notify,
    /// Settlements that no sync covers yet, wherever they are on their way.
    unsynced: AtomicUsize,
}

#[derive(Debug)]
pub(super) struct AccountState {
    pub(super) ledger: Ledger,
    pub(super) budget: Option<Budget>,
    pub(super) paused: bool,
    pub(super) upcoming: VecDeque<Upcoming>,
    pub(super) upcoming_bytes: u64,
    pub(super) scan: Offset,
    pub(super) live: bool,
    pub(super) subscribed: bool,
    /// When the first unread copy was accepted, or a little earlier.
    pub(super) head_at: Option<Timestamp>,
}

impl AccountState {
    pub(super) fn owe(&mut self, at: Offset, size: u32, accepted_at: Timestamp) {
        if self.ledger.unread() == 0 {
            self.head_at = Some(accepted_at);
        }
        self.ledger.owe(at, size);
    }

    /// When the oldest pending copy was accepted: exact where that one is open
    /// or in memory. Between the last copy read and the next `peek` it is the
    /// last one's time, which may be earlier.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        let open = self.ledger.oldest();
        let front = self
            .upcoming
            .front()
            .map(|upcoming| upcoming.stored.event.accepted_at);
        let unread = front
            .or(self.head_at)
            .filter(|_| front.is_some() || self.ledger.unread() > 0);
        match (open, unread) {
            // What a former run left open may lie behind what nobody read yet.
            (Some((at, open)), Some(unread)) if at >= self.ledger.read => Some(open.min(unread)),
            (Some((_, open)), _) => Some(open),
            (None, unread) => unread,
        }
    }

    pub(super) fn head_at(&self) -> Option<Timestamp> {
        self.head_at
    }

    pub(super) fn pop(&mut self) -> Option<Upcoming> {
        let upcoming = self.upcoming.pop_front()?;
        self.upcoming_bytes = self.upcoming_bytes.saturating_sub(u64::from(upcoming.size));
        self.head_at = Some(upcoming.stored.event.accepted_at);
        Some(upcoming)
    }

    pub(super) fn push(&mut self, upcoming: Upcoming) {
        self.upcoming_bytes += u64::from(upcoming.size);
        self.upcoming.push_back(upcoming);
    }

    /// Of a segment, what was found and waits in memory, and is not open too:
    /// a former run tried some of what is read again.
    fn waiting_in(&self, segment: u32) -> Pending {
        let mut waiting = Pending::default();
        for upcoming in self.upcoming.iter().filter(|upcoming| {
            let at = upcoming.stored.offset;
            at.segment() == segment && self.ledger.find(at).is_none()
        }) {
            waiting.count += 1;
            waiting.bytes += u64::from(upcoming.size);
        }
        waiting
    }

    /// Sealed segments, below `active`, that were read to their end although
    /// something in them was not found.
    pub(super) fn passed_with_loss(&self, active: u32) -> Vec<u32> {
        let segments = self.ledger.pending_in.range(..active);
        segments
            .map(|(id, _)| *id)
            .filter(|id| self.lost_in(*id).count > 0)
            .collect()
    }

    /// What cannot be read any more in a segment that was passed. Who is live
    /// has passed all that is sealed.
    pub(super) fn lost_in(&self, segment: u32) -> Pending {
        if self.scan.segment() <= segment && !self.live {
            return Pending::default();
        }
        self.ledger.unfound(segment, self.waiting_in(segment))
    }
}

impl Account {
    pub(super) fn new(id: u32, name: DestinationName, tail: Offset) -> Self {
        let state = AccountState {
            ledger: Ledger {
                read: tail,
                ..Ledger::default()
            },
            budget: None,
            paused: false,
            upcoming: VecDeque::new(),
            upcoming_bytes: 0,
            scan: tail,
            live: false,
            subscribed: false,
            head_at: None,
        };
        Self {
            id,
            name,
            state: Mutex::new(state),
            wake: Notify::new(),
            unsynced: AtomicUsize::new(0),
        }
    }

    pub(super) fn unsynced(&self) -> usize {
        self.unsynced.load(Ordering::Acquire)
    }

    /// One more settlement is on its way.
    pub(super) fn settling(&self) {
        self.unsynced.fetch_add(1, Ordering::AcqRel);
    }

    /// A sync covered so many settlements; a reader that waited for it goes on.
    pub(super) fn synced(&self, count: usize) {
        let less = |unsynced: usize| Some(unsynced.saturating_sub(count));
        let before = self
            .unsynced
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, less);
        if before.is_ok_and(|before| before >= UNSYNCED_SETTLEMENTS_MAX) {
            self.wake.notify_one();
        }
    }

    /// An account as recovery folded it.
    pub(super) fn recovered(
        id: u32,
        name: DestinationName,
        ledger: Ledger,
        paused: bool,
        head_at: Option<Timestamp>,
    ) -> Self {
        let account = Self::new(id, name, ledger.read);
        {
            let mut state = lock(&account.state);
            state.ledger = ledger;
            state.paused = paused;
            state.head_at = head_at;
        }
        account
    }

    /// A committed event reaches a subscription that is up to date. Whether one
    /// that is not may soon want what is told now.
    pub(super) fn publish(
        &self,
        stored: &Arc<Stored>,
        next: Offset,
        action: &Action,
        size: u32,
    ) -> bool {
        let mut state = lock(&self.state);
        if !state.live {
            return is_near(state.scan, stored.offset);
        }
        if stored.offset < state.scan {
            return false;
        }
        let full = state.upcoming.len() >= UPCOMING_EVENTS_MAX
            || (state.upcoming_bytes + u64::from(size) > UPCOMING_BYTES_MAX
                && !state.upcoming.is_empty());
        if full {
            state.live = false;
            state.scan = stored.offset;
        } else {
            state.push(Upcoming {
                stored: Arc::clone(stored),
                next,
                action: action.clone(),
                size,
            });
            state.scan = next;
        }
        drop(state);
        self.wake.notify_one();
        full
    }

    /// Settles the oldest waiting copy that no attempt is made at as dropped.
    pub(super) fn drop_oldest(self: &Arc<Self>, shared: &Shared) -> io::Result<Option<Settling>> {
        loop {
            let mut state = lock(&self.state);
            if let Some(at) = state.ledger.oldest_idle() {
                let open = state.ledger.settle(at, Settlement::Dropped);
                return Ok(open.map(|open| self.dropped(at, open)));
            }
            if let Some(upcoming) = state.pop() {
                let (at, accepted_at) = (upcoming.stored.offset, upcoming.stored.event.accepted_at);
                if state.ledger.ahead.contains(&at) {
                    state.ledger.advance(upcoming.next);
                    continue;
                }
                if state.ledger.find(at).is_some() {
                    // A former run tried it already; it is open, so settle it as such.
                    state.ledger.advance(upcoming.next);
                    let open = state.ledger.settle(at, Settlement::Dropped);
                    return Ok(open.map(|open| self.dropped(at, open)));
                }
                state
                    .ledger
                    .settle_unread(at, upcoming.next, upcoming.size, Settlement::Dropped);
                return Ok(Some(
                    self.dropped(at, Open::new(upcoming.size, accepted_at)),
                ));
            }
            let idle = state.live || state.ledger.unread() == 0;
            drop(state);
            if idle || !self.fill(shared)? {
                return Ok(None);
            }
        }
    }

    fn dropped(self: &Arc<Self>, at: Offset, open: Open) -> Settling {
        let detail = "the backlog was full".to_owned();
        Settling {
            account: Arc::clone(self),
            at,
            settlement: Settlement::Dropped,
            attempt: None,
            detail,
            open,
        }
    }

    /// Hands out the oldest of what waits, at most `limit`, for an account
    /// whose destination left. `false`: there is no more. One read at most.
    pub(super) fn take_open(
        self: &Arc<Self>,
        shared: &Shared,
        limit: usize,
    ) -> io::Result<(Vec<Offset>, bool)> {
        let more = self.fill(shared)?;
        let mut state = lock(&self.state);
        while state.ledger.handed_out() < limit {
            let Some(upcoming) = state.pop() else { break };
            let accepted_at = upcoming.stored.event.accepted_at;
            state.ledger.hand_out(
                upcoming.stored.offset,
                upcoming.next,
                upcoming.size,
                accepted_at,
            );
        }
        let open = state.ledger.first_of(Offset(0)..Offset(u64::MAX), limit);
        let more = more || !open.is_empty();
        Ok((open, more))
    }

    /// Settles an open copy; `None`: it was not open. A dead one stays in
    /// `closing` until its letter is on disk.
    pub(super) fn settle(
        self: &Arc<Self>,
        at: Offset,
        settlement: Settlement,
        attempt: Option<Attempt>,
        detail: String,
    ) -> Option<Settling> {
        let mut state = lock(&self.state);
        let open = state.ledger.settle(at, settlement)?;
        self.settling();
        if matches!(settlement, Settlement::Dead(_)) {
            state.ledger.closing.insert(at, open);
        }
        drop(state);
        let attempt = attempt.map(|attempt| Attempt {
            detail: cut(attempt.detail),
            ..attempt
        });
        Some(Settling {
            account: Arc::clone(self),
            at,
            settlement,
            attempt,
            detail: cut(detail),
            open,
        })
    }
}
