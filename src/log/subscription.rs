//! What a worker holds: the deliveries of one destination, first those a
//! former run left open, then new ones.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::account::{Account, UNSYNCED_SETTLEMENTS_MAX, UPCOMING_EVENTS_MAX, Upcoming};
use super::disk::aside;
use super::ledger::Open;
use super::record::{Tag, cut};
use super::segment::Segment;
use super::state::{Command, Shared};
use super::{Attempt, Delivery, Handle, Stored, lock};
use crate::clock::Timestamp;
use crate::event::{Action, DestinationName, Offset};
use crate::settle::Settlement;

/// One destination's durable place in the log.
#[derive(Debug)]
pub struct Subscription {
    handle: Arc<Handle>,
    account: Arc<Account>,
    /// Where copies lie that a former subscription was handed, and this one
    /// was not yet.
    resume: Range<Offset>,
    /// Those of them that were read.
    resumed: VecDeque<Delivery>,
}

/// What a look into the memory says.
enum Look {
    Found(Delivery),
    Resume(Vec<Offset>),
    Fill,
    Wait,
}

impl Subscription {
    pub(super) fn new(handle: Arc<Handle>, account: Arc<Account>) -> Self {
        let resume = {
            let mut state = lock(&account.state);
            state.subscribed = true;
            for open in state.ledger.open.values_mut() {
                open.in_flight = false;
            }
            Offset(0)..state.ledger.read
        };
        Self {
            handle,
            account,
            resume,
            resumed: VecDeque::new(),
        }
    }

    pub fn name(&self) -> &DestinationName {
        &self.account.name
    }

    /// Whether as many settlements of this destination as a crash may forget
    /// wait for a sync. Then [`Subscription::next`] waits for it, and what was
    /// handed out before should not be tried either.
    pub fn awaits_sync(&self) -> bool {
        self.account.unsynced() >= UNSYNCED_SETTLEMENTS_MAX
    }

    /// Until a sync covered some of them. Cancel safe.
    pub async fn synced(&self) {
        while self.awaits_sync() {
            self.account.wake.notified().await;
        }
    }

    /// The next owed delivery that was not handed out since this subscription
    /// was opened, in accepted order: first those a former run left unsettled,
    /// then new ones as they are committed. Waits when there is none (for ever,
    /// once the log is poisoned or closed). Cancel safe. What is handed out
    /// stays open until it is settled.
    pub async fn next(&mut self) -> Delivery {
        loop {
            match self.look() {
                Look::Found(delivery) => return delivery,
                Look::Resume(offsets) => {
                    let (handle, account) = (Arc::clone(&self.handle), Arc::clone(&self.account));
                    let read = aside(move || {
                        let found =
                            |at: &Offset| read_open(&handle.shared, &account, *at).transpose();
                        offsets
                            .iter()
                            .filter_map(found)
                            .collect::<io::Result<Vec<_>>>()
                            .map(|found| (offsets.last().copied(), found))
                    });
                    match read.await {
                        Ok(Ok((last, found))) => {
                            let next = last.map_or(self.resume.end, |last| last.forward(1));
                            self.resume.start = next;
                            self.resumed.extend(found);
                        }
                        failed => self.failed(&format!("{failed:?}")).await,
                    }
                }
                Look::Fill => {
                    let (handle, account) = (Arc::clone(&self.handle), Arc::clone(&self.account));
                    match aside(move || account.fill(&handle.shared)).await {
                        Ok(Ok(_)) => {}
                        failed => self.failed(&format!("{failed:?}")).await,
                    }
                }
                Look::Wait => self.account.wake.notified().await,
            }
        }
    }

    /// The same, if it is in memory already.
    pub fn try_next(&mut self) -> Option<Delivery> {
        match self.look() {
            Look::Found(delivery) => Some(delivery),
            Look::Resume(_) | Look::Fill | Look::Wait => None,
        }
    }

    /// The next thing from memory, or what to do to get it there.
    fn look(&mut self) -> Look {
        if self.awaits_sync() {
            return Look::Wait;
        }
        loop {
            match self.look_in_memory() {
                Look::Fill
                    if self
                        .account
                        .recall(&self.handle.shared.news.recent, UPCOMING_EVENTS_MAX) => {}
                seen => return seen,
            }
        }
    }

    fn look_in_memory(&mut self) -> Look {
        const RESUME_AT_ONCE: usize = 32;
        let mut state = lock(&self.account.state);
        while let Some(mut delivery) = self.resumed.pop_front() {
            if let Some(open) = state.ledger.find(delivery.stored.offset) {
                delivery.attempts = open.attempts;
                return Look::Found(delivery);
            }
        }
        if self.resume.start < self.resume.end {
            let rest = self.resume.clone();
            match state.ledger.first_of(rest, RESUME_AT_ONCE) {
                first if first.is_empty() => self.resume.start = self.resume.end,
                first => return Look::Resume(first),
            }
        }
        while let Some(Upcoming {
            stored,
            next,
            action,
            size,
        }) = state.pop()
        {
            if let Some(open) =
                state
                    .ledger
                    .hand_out(stored.offset, next, size, stored.event.accepted_at)
            {
                return Look::Found(delivery(stored, action, &open));
            }
        }
        if state.live { Look::Wait } else { Look::Fill }
    }

    /// The disk does not read: said, and tried again a little later.
    async fn failed(&self, why: &str) {
        tracing::warn!(destination = %self.account.name, why, "reading the log failed");
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }

    /// Reads a handed-out, unsettled delivery again, so that a worker need not
    /// hold the event of what waits. `None`: settled meanwhile (dropped by its
    /// budget, or the record is damaged and was settled dead).
    pub async fn reread(&self, offset: Offset) -> Option<Delivery> {
        loop {
            let (handle, account) = (Arc::clone(&self.handle), Arc::clone(&self.account));
            match aside(move || read_open(&handle.shared, &account, offset)).await {
                Ok(Ok(delivery)) => return delivery,
                failed => self.failed(&format!("{failed:?}")).await,
            }
        }
    }

    /// Marks an attempt as started: until it is settled or retried,
    /// `drop_oldest` leaves it alone. `false`: it was settled meanwhile.
    pub fn start(&self, offset: Offset) -> bool {
        match lock(&self.account.state).ledger.open_up(offset) {
            Some(open) => {
                open.in_flight = true;
                true
            }
            None => false,
        }
    }

    /// Writes that an attempt failed and when the next may start.
    pub fn retry(&self, offset: Offset, attempt: Attempt, not_before: Timestamp) {
        let attempt = Attempt {
            detail: cut(attempt.detail),
            ..attempt
        };
        let open = {
            let mut state = lock(&self.account.state);
            if !state
                .ledger
                .retrying(offset, attempt.number, attempt.at, not_before)
            {
                return;
            }
            state.ledger.find(offset)
        };
        let Some(open) = open else { return };
        let account = Arc::clone(&self.account);
        self.handle.shared.send(Command::Retry {
            account,
            at: offset,
            attempt,
            not_before,
            open,
        });
    }

    /// Writes how it ended. `attempt`: the last one, if one was made. Exactly
    /// one settlement counts; a second is ignored. `false`: it was settled
    /// meanwhile (dropped by its budget), and this one counts for nothing.
    pub fn settle(
        &self,
        offset: Offset,
        settlement: Settlement,
        attempt: Option<Attempt>,
        detail: &str,
    ) -> bool {
        let settled = self
            .account
            .settle(offset, settlement, attempt, detail.to_owned());
        let counts = settled.is_some();
        if let Some(settling) = settled {
            self.handle.shared.send(Command::Settle(settling));
        }
        counts
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut state = lock(&self.account.state);
        state.subscribed = false;
        state.live = false;
        // What waits in memory is on disk too: no body is held for nobody.
        if let Some(front) = state.upcoming.front() {
            state.scan = front.stored.offset;
            state.upcoming.clear();
            state.upcoming_bytes = 0;
        }
    }
}

fn delivery(stored: Arc<Stored>, action: Action, open: &Open) -> Delivery {
    Delivery {
        stored,
        action,
        attempts: open.attempts,
        first_at: open.first_at,
        not_before: open.not_before,
    }
}

/// An open copy with its event; one whose event is damaged is settled dead.
/// Blocks.
fn read_open(shared: &Shared, account: &Arc<Account>, at: Offset) -> io::Result<Option<Delivery>> {
    let Some(open) = lock(&account.state).ledger.find(at) else {
        return Ok(None);
    };
    let segment = shared.segment(at.segment());
    let record = segment
        .as_deref()
        .map(|segment: &Segment| segment.record(at))
        .transpose()?
        .flatten();
    let found = record
        .filter(|(tag, _)| *tag == Tag::Event)
        .and_then(|(_, payload)| {
            let upcoming = account.pick(shared, at, at, &payload)?;
            Some(delivery(upcoming.stored, upcoming.action, &open))
        });
    if found.is_none() {
        account.settle_damaged(shared, at);
    }
    Ok(found)
}
