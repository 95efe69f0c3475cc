//! Reading on for a destination that lags: what is owed to it and not settled,
//! a comfortable amount at a time; of what was told last, or of the log on disk.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::account::{Account, UPCOMING_BYTES_MAX, UPCOMING_EVENTS_MAX, Upcoming};
use super::lock;
use super::recent::Recent;
use super::record::{EventHead, Tag};
use super::state::{Command, Shared};
use super::walk::Met;
use crate::event::Offset;
use crate::settle::{Reason, Settlement};

/// How far one read goes on when it finds nothing that is owed.
const SCAN_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// How much is read at once, not to read what is left for later and not to
/// clear memory for it.
const PIECE_BYTES: usize = 64 * 1024;
/// The same for one copy.
const PEEK_BYTES: usize = 16 * 1024;

/// What one blocking read brought.
struct Gathered {
    found: Vec<Upcoming>,
    /// Where to go on.
    reached: Offset,
    /// Segments that were read to their end.
    passed: Vec<u32>,
}

impl Account {
    /// Fills `upcoming` when it is empty and the subscription
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
        if self.recall(&shared.news.recent, events_max) {
            return Ok(true);
        }
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

    /// Reads on in memory, if what comes next was told so lately; `false`: it
    /// was not, or there is nothing to read. Who has read all that was told is
    /// live again: whatever is told later finds it so.
    pub(super) fn recall(&self, recent: &Recent, events_max: usize) -> bool {
        let mut state = lock(&self.state);
        if state.live || !state.upcoming.is_empty() {
            return false;
        }
        let recent = recent.look();
        let Some(told) = recent.from(state.scan) else {
            return false;
        };
        let mut all = true;
        for published in told {
            if state.upcoming.len() >= events_max || state.upcoming_bytes >= UPCOMING_BYTES_MAX {
                all = false;
                break;
            }
            state.scan = published.next;
            let at = published.stored.offset;
            if let Some(action) = published
                .owed_to(self)
                .filter(|_| !state.ledger.ahead.contains(&at))
            {
                state.push(Upcoming {
                    stored: Arc::clone(&published.stored),
                    next: published.next,
                    action: action.clone(),
                    size: published.size,
                });
            }
        }
        state.live = all && state.subscribed;
        if state.upcoming.is_empty() {
            let scan = state.scan;
            state.ledger.advance(scan);
        }
        state.live || !state.upcoming.is_empty()
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
        let stored = Arc::new(super::read::stored(shared, at, &head)?);
        Some(Upcoming {
            stored,
            next,
            action,
            size,
        })
    }
}
