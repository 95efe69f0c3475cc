//! Reading on for a destination that lags: what of the log on disk is owed to
//! it and not settled, a comfortable amount at a time.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, Weak};

use super::account::{Account, UPCOMING_BYTES_MAX, UPCOMING_EVENTS_MAX, Upcoming};
use super::record::{EventHead, Tag};
use super::state::{Command, Shared};
use super::walk::Met;
use super::{Stored, lock};
use crate::event::Offset;
use crate::settle::{Reason, Settlement};

/// How far one read goes on when it finds nothing that is owed.
const SCAN_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// How much is read at once, not to read what is left for later and not to
/// clear memory for it.
const PIECE_BYTES: usize = 64 * 1024;
/// The same for one copy.
const PEEK_BYTES: usize = 16 * 1024;

/// Events that were read from the disk and are still held by somebody:
/// destinations mostly lag together, and then read the same ones.
#[derive(Debug, Default)]
pub(super) struct Lately(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    events: BTreeMap<Offset, Weak<Stored>>,
    /// With so many it is time to forget those that nobody holds any more.
    enough: usize,
}

impl Lately {
    /// The event at this place; `read` only where nobody holds it. Not under
    /// the lock: of two who read it at the same moment each has its own.
    fn share(&self, at: Offset, read: impl FnOnce() -> Option<Stored>) -> Option<Arc<Stored>> {
        if let Some(stored) = lock(&self.0).events.get(&at).and_then(Weak::upgrade) {
            return Some(stored);
        }
        let stored = Arc::new(read()?);
        let held = &mut *lock(&self.0);
        if held.events.len() >= held.enough {
            held.events.retain(|_, stored| stored.strong_count() > 0);
            held.enough = (held.events.len() * 2).max(UPCOMING_EVENTS_MAX);
        }
        held.events.insert(at, Arc::downgrade(&stored));
        Some(stored)
    }
}

/// What one blocking read brought.
struct Gathered {
    found: Vec<Upcoming>,
    /// Where to go on.
    reached: Offset,
    /// Segments that were read to their end.
    passed: Vec<u32>,
}

impl Account {
    /// Fills `upcoming` from the disk when it is empty and the subscription
    /// lags. Blocks. `false`: there is nothing to read.
    pub(super) fn fill(self: &Arc<Self>, shared: &Shared) -> io::Result<bool> {
        self.read_on(shared, UPCOMING_EVENTS_MAX)
    }

    /// Fetches the first unread copy of an account that nobody reads, so that
    /// its age is known. Blocks.
    pub(super) fn peek(self: &Arc<Self>, shared: &Shared) -> io::Result<()> {
        let idle = {
            let state = lock(&self.state);
            !state.live && state.upcoming.is_empty() && state.ledger.unread() > 0
        };
        if idle {
            self.read_on(shared, 1)?;
        }
        Ok(())
    }

    fn read_on(self: &Arc<Self>, shared: &Shared, events_max: usize) -> io::Result<bool> {
        let tail = shared.tail();
        let (from, pending) = {
            let state = lock(&self.state);
            if !state.upcoming.is_empty() {
                return Ok(true);
            }
            if state.live {
                return Ok(false);
            }
            (
                state.scan,
                state.ledger.pending_in.keys().copied().collect::<Vec<_>>(),
            )
        };
        let gathered = self.gather(shared, from..tail, &pending, events_max)?;
        let mut state = lock(&self.state);
        if state.scan != from || state.live {
            // Somebody else read on meanwhile.
            return Ok(true);
        }
        // A former run was handed them and wrote of them; what it read is not
        // there any more.
        let open = state.ledger.open.range(from..gathered.reached);
        let found = |at: &Offset| gathered.found.iter().any(|one| one.stored.offset == *at);
        let unfound: Vec<Offset> = open.map(|(at, _)| *at).filter(|at| !found(at)).collect();
        for upcoming in gathered.found {
            state.push(upcoming);
        }
        state.scan = gathered.reached;
        if state.upcoming.is_empty() {
            state.ledger.advance(gathered.reached);
        }
        let lost: Vec<u32> = gathered
            .passed
            .into_iter()
            .filter(|id| state.lost_in(*id).count > 0)
            .collect();
        let caught_up = gathered.reached >= shared.tail();
        state.live = caught_up && state.subscribed;
        let more = !state.upcoming.is_empty() || !caught_up;
        drop(state);
        for at in unfound {
            self.settle_damaged(shared, at);
        }
        for segment in lost {
            shared.send(Command::Lost {
                account: Arc::clone(self),
                segment,
            });
        }
        Ok(more)
    }

    /// Settles an open copy whose event cannot be read any more.
    pub(super) fn settle_damaged(self: &Arc<Self>, shared: &Shared, at: Offset) {
        let detail = "its record in the log is damaged".to_owned();
        if let Some(settling) = self.settle(at, Settlement::Dead(Reason::Damaged), None, detail) {
            shared.send(Command::Settle(settling));
        }
    }

    /// Reads what is owed and not settled in a range, up to a comfortable
    /// amount.
    fn gather(
        &self,
        shared: &Shared,
        Range {
            start: from,
            end: tail,
        }: Range<Offset>,
        pending: &[u32],
        events_max: usize,
    ) -> io::Result<Gathered> {
        let mut gathered = Gathered {
            found: Vec::new(),
            reached: from,
            passed: Vec::new(),
        };
        let (mut bytes, mut scanned) = (0, 0);
        while gathered.reached < tail {
            let id = gathered.reached.segment();
            let owes = pending.contains(&id);
            let next_segment = || {
                shared
                    .segment_from(id + 1)
                    .map_or(tail, |segment| Offset::new(segment.id, 0).min(tail))
            };
            let segment = shared.segment(id).filter(|_| owes);
            let Some(segment) = segment else {
                gathered.passed.extend(owes.then_some(id));
                gathered.reached = if id == tail.segment() {
                    tail
                } else {
                    next_segment()
                };
                continue;
            };
            let end = if id == tail.segment() {
                tail
            } else {
                segment.end()
            };
            let (from, to) = (gathered.reached.position(), end.position());
            let mut walk = match events_max {
                // Who only looks gives nothing up.
                1 => segment.walk(from, to).in_pieces(PEEK_BYTES),
                _ => segment.walk_around(from, to).in_pieces(PIECE_BYTES),
            };
            while gathered.found.len() < events_max
                && bytes < UPCOMING_BYTES_MAX
                && scanned < SCAN_BYTES_MAX
            {
                let Some(met) = walk.next()? else { break };
                if let Met::Record {
                    at,
                    next,
                    tag: Tag::Event,
                    payload,
                } = met
                {
                    scanned += payload.len() as u64;
                    let upcoming = self.pick(shared, at, next, payload);
                    let settled = || lock(&self.state).ledger.ahead.contains(&at);
                    if let Some(upcoming) = upcoming.filter(|_| !settled()) {
                        bytes += u64::from(upcoming.size);
                        gathered.found.push(upcoming);
                    }
                } else {
                    shared.report_damage(&segment, &met);
                }
            }
            gathered.reached = Offset::new(id, walk.position());
            if walk.position() < end.position() {
                break;
            }
            if id < tail.segment() {
                gathered.passed.push(id);
                gathered.reached = next_segment();
            }
        }
        Ok(gathered)
    }

    /// The copy that an event's record owes to this account. Only then is the
    /// rest of the record looked at.
    pub(super) fn pick(
        &self,
        shared: &Shared,
        at: Offset,
        next: Offset,
        payload: &[u8],
    ) -> Option<Upcoming> {
        let head = EventHead::read(payload)?;
        let owed = head
            .owed
            .iter()
            .find(|owed| owed.destination == self.id && !owed.born_dead)?;
        let action = lock(&shared.names).action(owed.action)?;
        let size = head.size;
        let read = || super::read::stored(shared, at, &head);
        let stored = shared.lately.share(at, read)?;
        Some(Upcoming {
            stored,
            next,
            action,
            size,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::tests::event;

    #[test]
    fn an_event_that_many_read_is_held_once_and_no_longer_than_somebody_holds_it() {
        let (lately, at) = (Lately::default(), |n: usize| Offset(n as u64 * 8));
        let read = |n: usize| {
            let stored = Stored {
                offset: at(n),
                event: event(1),
                owed: Vec::new(),
                origin: crate::log::Origin::Accepted,
            };
            lately.share(at(n), || Some(stored)).unwrap()
        };
        let first = read(1);
        assert!(Arc::ptr_eq(&first, &read(1)));
        assert!(lately.share(at(2), || None).is_none(), "damaged");
        let many: Vec<_> = (2..UPCOMING_EVENTS_MAX * 3).map(read).collect();
        assert!(Arc::ptr_eq(&many[0], &read(2)), "however many there are");
        drop(many);
        let known = |lately: &Lately| lock(&lately.0).events.len();
        let before = known(&lately);
        for n in 0..before * 2 {
            read(10_000 + n);
        }
        assert!(known(&lately) <= before, "forgotten");
        assert!(Arc::ptr_eq(&first, &read(1)), "still held");
    }
}
