//! A destination's account, folded from the log: what it is owed, what became
//! of it, and what is still open. Pure: no I/O, no clock.
//!
//! It holds what was handed out, never what merely waits in the log: a million
//! events behind a dead destination are one count per segment. Of what was
//! handed out, only that is open of which there is something to know; the rest
//! is parked.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::parked::{Parked, Waiting};
use crate::clock::Timestamp;
use crate::event::Offset;
use crate::settle::Settlement;

/// A copy that was handed out, was tried and is not settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Open {
    /// Attempts that ended.
    pub(super) attempts: u32,
    pub(super) first_at: Option<Timestamp>,
    pub(super) not_before: Option<Timestamp>,
    pub(super) size: u32,
    pub(super) accepted_at: Timestamp,
    /// The record of the last attempt.
    pub(super) last_fact: Option<Offset>,
    /// An attempt is in the air.
    pub(super) in_flight: bool,
}

impl Open {
    pub(super) fn new(size: u32, accepted_at: Timestamp) -> Self {
        Self {
            attempts: 0,
            first_at: None,
            not_before: None,
            size,
            accepted_at,
            last_fact: None,
            in_flight: false,
        }
    }

    /// Nothing is known of it that a parked copy would not say.
    fn is_untried(&self) -> bool {
        *self == Self::new(self.size, self.accepted_at)
    }
}

impl From<Waiting> for Open {
    fn from(waiting: Waiting) -> Self {
        Self::new(waiting.size, waiting.accepted_at)
    }
}

/// What is pending in one segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pending {
    pub(super) count: u32,
    pub(super) bytes: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ledger {
    pub(super) owed: u64,
    pub(super) delivered: u64,
    pub(super) dead: u64,
    pub(super) dropped: u64,
    pub(super) pending_bytes: u64,
    /// Everything owed below was handed out or settled.
    pub(super) read: Offset,
    pub(super) open: BTreeMap<Offset, Open>,
    /// Handed out, and not tried yet: none of them is in `open`.
    pub(super) parked: Parked,
    /// Settled although not below `read`: what a former run read further than
    /// its checkpoint says.
    pub(super) ahead: BTreeSet<Offset>,
    /// Settled dead, but the dead letter is not on disk yet: for a checkpoint
    /// these are still open.
    pub(super) closing: BTreeMap<Offset, Open>,
    pub(super) pending_in: BTreeMap<u32, Pending>,
}

impl Ledger {
    pub(super) fn pending(&self) -> u64 {
        self.owed
            .saturating_sub(self.delivered + self.dead + self.dropped)
    }

    /// Pending and not handed out.
    pub(super) fn unread(&self) -> u64 {
        self.pending().saturating_sub(self.handed_out() as u64)
    }

    /// One more copy is owed.
    pub(super) fn owe(&mut self, at: Offset, size: u32) {
        self.owed += 1;
        self.pending_bytes += u64::from(size);
        let pending = self.pending_in.entry(at.segment()).or_default();
        pending.count += 1;
        pending.bytes += u64::from(size);
    }

    /// One more copy is owed, and settled in the same moment.
    pub(super) fn owe_settled(&mut self, settlement: Settlement) {
        self.owed += 1;
        self.count(settlement, 1);
    }

    /// The next unread copy is handed out; what lies below `next` is read.
    /// `None`: it is settled already.
    pub(super) fn hand_out(
        &mut self,
        at: Offset,
        next: Offset,
        size: u32,
        accepted_at: Timestamp,
    ) -> Option<Open> {
        let settled = self.ahead.contains(&at);
        self.advance(next);
        if settled {
            return None;
        }
        if let Some(open) = self.open.get(&at) {
            return Some(*open);
        }
        self.parked.insert(at, size, accepted_at);
        Some(Open::new(size, accepted_at))
    }

    /// A copy that was handed out gets a state of its own. `None`: it is
    /// settled.
    pub(super) fn open_up(&mut self, at: Offset) -> Option<&mut Open> {
        if let Some(waiting) = self.parked.remove(at) {
            self.open.insert(at, waiting.into());
        }
        self.open.get_mut(&at)
    }

    /// Everything owed below `next` was handed out or settled.
    pub(super) fn advance(&mut self, next: Offset) {
        self.read = self.read.max(next);
        while self.ahead.first().is_some_and(|at| *at < self.read) {
            self.ahead.pop_first();
        }
    }

    /// An attempt failed. Ignored for what is settled.
    pub(super) fn retrying(
        &mut self,
        at: Offset,
        number: u32,
        first_at: Timestamp,
        not_before: Timestamp,
    ) -> bool {
        let Some(open) = self.open_up(at) else {
            return false;
        };
        open.attempts = open.attempts.max(number);
        open.first_at = open.first_at.or(Some(first_at));
        open.not_before = Some(not_before);
        open.in_flight = false;
        true
    }

    /// The same, as read from the log: the copy may not have been handed out
    /// yet as far as this ledger knows.
    pub(super) fn replay_retrying(&mut self, fact: &super::record::Retrying, record: Offset) {
        let known = self.find(fact.event).is_some();
        if !known {
            if fact.event < self.read
                || self.ahead.contains(&fact.event)
                || !self.is_pending_in(fact.event)
            {
                return;
            }
            self.open
                .insert(fact.event, Open::new(fact.size, fact.accepted_at));
        }
        self.retrying(
            fact.event,
            fact.attempt.number,
            fact.first_at,
            fact.not_before,
        );
        if let Some(open) = self.open.get_mut(&fact.event) {
            open.last_fact = open.last_fact.max(Some(record));
        }
    }

    /// A copy that was handed out ends. `None`: it has ended already.
    pub(super) fn settle(&mut self, at: Offset, settlement: Settlement) -> Option<Open> {
        let open = match self.parked.remove(at) {
            Some(waiting) => waiting.into(),
            None => self.open.remove(&at)?,
        };
        if at >= self.read {
            // A former run handed it out; this one has yet to read past it.
            self.ahead.insert(at);
        }
        self.forget(at, open.size);
        self.count(settlement, 1);
        Some(open)
    }

    /// A copy that was not handed out ends, read up to `next`.
    pub(super) fn settle_unread(
        &mut self,
        at: Offset,
        next: Offset,
        size: u32,
        settlement: Settlement,
    ) {
        self.advance(next);
        self.forget(at, size);
        self.count(settlement, 1);
    }

    /// A settlement as read from the log; one that is counted already changes
    /// nothing.
    pub(super) fn replay_settled(&mut self, at: Offset, size: u32, settlement: Settlement) {
        if self.settle(at, settlement).is_some() || at < self.read || !self.is_pending_in(at) {
            return;
        }
        if self.ahead.insert(at) {
            self.forget(at, size);
            self.count(settlement, 1);
        }
    }

    /// What can no longer be read in a segment whose end was passed: owed, but
    /// neither handed out nor among the `waiting` that were found.
    pub(super) fn unfound(&self, segment: u32, waiting: Pending) -> Pending {
        let pending = self.pending_in.get(&segment).copied().unwrap_or_default();
        let range = Offset::new(segment, 0)..Offset::new(segment, u32::MAX);
        let parked = self.parked.pending_in(segment);
        let mut count = u64::from(waiting.count) + u64::from(parked.count);
        let mut bytes = waiting.bytes + parked.bytes;
        for open in self.open.range(range).map(|(_, open)| open) {
            count += 1;
            bytes += u64::from(open.size);
        }
        Pending {
            count: u32::try_from(u64::from(pending.count).saturating_sub(count))
                .unwrap_or(u32::MAX),
            bytes: pending.bytes.saturating_sub(bytes),
        }
    }

    /// Settles what cannot be read any more.
    pub(super) fn lose(&mut self, segment: u32, lost: Pending) {
        let Some(pending) = self.pending_in.get_mut(&segment) else {
            return;
        };
        let count = lost.count.min(pending.count);
        let bytes = lost.bytes.min(pending.bytes);
        pending.count -= count;
        pending.bytes -= bytes;
        if pending.count == 0 {
            self.pending_in.remove(&segment);
        }
        self.pending_bytes = self.pending_bytes.saturating_sub(bytes);
        self.dead += u64::from(count);
    }

    /// The account as a checkpoint may keep it.
    pub(super) fn durable(&self) -> Self {
        let mut copy = self.clone();
        for (at, open) in std::mem::take(&mut copy.closing) {
            copy.ahead.remove(&at);
            copy.dead = copy.dead.saturating_sub(1);
            copy.owed = copy.owed.saturating_sub(1);
            copy.owe(at, open.size);
            copy.hold(at, open);
        }
        copy
    }

    /// A copy that was handed out, from what is known of it. An attempt that
    /// left no fact was none.
    pub(super) fn hold(&mut self, at: Offset, open: Open) {
        if open.is_untried() {
            self.parked.insert(at, open.size, open.accepted_at);
        } else {
            self.open.insert(at, open);
        }
    }

    /// How many copies were handed out and are not settled.
    pub(super) fn handed_out(&self) -> usize {
        self.open.len() + self.parked.len()
    }

    /// What is known of a copy that was handed out and is not settled.
    pub(super) fn find(&self, at: Offset) -> Option<Open> {
        let open = self.open.get(&at).copied();
        open.or_else(|| self.parked.get(at).map(Open::from))
    }

    /// The first of those within a range, in accepted order.
    pub(super) fn first_of(&self, range: Range<Offset>, limit: usize) -> Vec<Offset> {
        let open = self.open.range(range.clone()).map(|(at, _)| *at);
        let mut first: Vec<Offset> = open.take(limit).collect();
        first.extend(self.parked.range(range).take(limit));
        first.sort_unstable();
        first.truncate(limit);
        first
    }

    /// The oldest of them, and when it was accepted.
    pub(super) fn oldest(&self) -> Option<(Offset, Timestamp)> {
        let open = self.open.first_key_value();
        let open = open.map(|(at, open)| (*at, open.accepted_at));
        let parked = self.parked.first();
        let parked = parked.map(|(at, waiting)| (at, waiting.accepted_at));
        open.into_iter().chain(parked).min()
    }

    /// The oldest of them that is not in the air.
    pub(super) fn oldest_idle(&self) -> Option<Offset> {
        let open = self.open.iter().find(|(_, open)| !open.in_flight);
        let parked = self.parked.first().map(|(at, _)| at);
        open.map(|(at, _)| *at).into_iter().chain(parked).min()
    }

    fn is_pending_in(&self, at: Offset) -> bool {
        self.pending_in.contains_key(&at.segment())
    }

    fn forget(&mut self, at: Offset, size: u32) {
        self.pending_bytes = self.pending_bytes.saturating_sub(u64::from(size));
        if let Some(pending) = self.pending_in.get_mut(&at.segment()) {
            pending.count = pending.count.saturating_sub(1);
            pending.bytes = pending.bytes.saturating_sub(u64::from(size));
            if pending.count == 0 {
                self.pending_in.remove(&at.segment());
            }
        }
    }

    fn count(&mut self, settlement: Settlement, by: u64) {
        match settlement {
            Settlement::Delivered => self.delivered += by,
            Settlement::Dead(_) => self.dead += by,
            Settlement::Dropped => self.dropped += by,
        }
    }
}
