//! Who may go next: one lane per conversation, one delivery of a lane in the
//! air, in accepted order.
//!
//! Pure: no clock, no I/O. Time is the worker's steady clock. What waits costs
//! its offset; the event itself stays in the log until its turn.

use std::cmp::Reverse;
use std::collections::hash_map::Entry;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};

use super::OnStuck;
use crate::clock::Timestamp;
use crate::event::Offset;

/// A lane's name: the hash of a conversation's key. Two conversations that
/// share one wait for each other, which is harmless.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct LaneId(pub u64);

/// What is known of a delivery that was tried, or looked at, before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tried {
    /// When the first attempt started (for one that never could be sent: when
    /// its wait began), on the steady clock.
    pub since: Timestamp,
    /// Attempts that ended.
    pub attempts: u32,
}

/// A delivery whose turn it is. It is in the air until it is settled or put
/// back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    pub lane: LaneId,
    pub offset: Offset,
    /// `None`: not since this worker began.
    pub tried: Option<Tried>,
    /// Later ones of its lane went before it.
    pub passed: bool,
}

/// A lane's name is a keyed hash already: hashing it again would gain nothing.
#[derive(Clone, Copy, Debug, Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = self.0.rotate_left(8) ^ hash;
    }
}

/// All lanes of one destination.
#[derive(Debug)]
pub(super) struct Lanes {
    on_stuck: OnStuck,
    lanes: HashMap<LaneId, Lane, BuildHasherDefault<Hashed>>,
    /// Lanes with something that may start, first come first served.
    ready: VecDeque<LaneId>,
    /// When a lane is to be looked at again: a retry is due, or a head counts
    /// as stuck. Entries may be out of date; the lane knows.
    due: BinaryHeap<Reverse<(Timestamp, LaneId)>>,
    parked: usize,
    /// Those of them that were tried and wait for their time.
    retrying: usize,
}

#[derive(Debug, Default)]
struct Lane {
    /// In accepted order, never tried in this run.
    waiting: VecDeque<Offset>,
    /// The head that failed. While it is here, `waiting` waits.
    head: Option<Failing>,
    /// Former heads that were passed; they keep trying. Boxed, because hardly
    /// any lane has one.
    #[expect(
        clippy::box_collection,
        reason = "a million lanes pay for it, one in a million uses it"
    )]
    passed: Option<Box<Vec<Failing>>>,
    in_air: Option<Air>,
    /// It is in `ready`.
    queued: bool,
}

#[derive(Clone, Copy, Debug)]
struct Failing {
    offset: Offset,
    at: Timestamp,
    tried: Tried,
}

/// Which of a lane is in the air.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Air {
    Head,
    Passed,
}

impl Lanes {
    pub(super) fn new(on_stuck: OnStuck) -> Self {
        Self {
            on_stuck,
            lanes: HashMap::default(),
            ready: VecDeque::new(),
            due: BinaryHeap::new(),
            parked: 0,
            retrying: 0,
        }
    }

    /// Another policy from now on, for heads that are stuck already, too.
    pub(super) fn set_on_stuck(&mut self, on_stuck: OnStuck, now: Timestamp) {
        self.on_stuck = on_stuck;
        if let OnStuck::SkipAfter(patience) = on_stuck {
            let heads = self
                .lanes
                .iter()
                .filter_map(|(id, lane)| Some((lane.head?, *id)));
            self.due
                .extend(heads.map(|(head, id)| Reverse((head.tried.since.plus(patience), id))));
        }
        self.wake_due(now);
    }

    /// Deliveries that wait here (and not in the log).
    pub(super) fn parked(&self) -> usize {
        self.parked
    }

    /// Deliveries that were tried and wait for their time.
    pub(super) fn retrying(&self) -> usize {
        self.retrying
    }

    /// A delivery fresh from the log, in accepted order. `Some`: its lane is
    /// free, it is in the air now. `None`: it is parked. `wait`: what a former
    /// run knows of it, and when it may be tried again.
    pub(super) fn offer(
        &mut self,
        id: LaneId,
        offset: Offset,
        wait: Option<(Timestamp, Tried)>,
        now: Timestamp,
    ) -> Option<Turn> {
        let on_stuck = self.on_stuck;
        let lane = self.lanes.entry(id).or_default();
        // It will wait behind a head, unless that is stuck.
        lane.pass_stuck_head(on_stuck, now);
        let first =
            lane.head.is_none() && lane.waiting.is_empty() && lane.in_air != Some(Air::Head);
        match wait {
            Some((at, tried)) if first && at > now => {
                self.parked += 1;
                self.retrying += 1;
                lane.head = Some(Failing { offset, at, tried });
                self.remember_head(id);
                None
            }
            wait if first && lane.in_air.is_none() && !lane.queued => {
                lane.in_air = Some(Air::Head);
                Some(Turn {
                    lane: id,
                    offset,
                    tried: wait.map(|(_, tried)| tried),
                    passed: false,
                })
            }
            // What a former run knew of it is read again with it.
            _ => {
                self.parked += 1;
                lane.waiting.push_back(offset);
                if let (1, Some(head), OnStuck::SkipAfter(patience)) =
                    (lane.waiting.len(), lane.head, on_stuck)
                {
                    self.due
                        .push(Reverse((head.tried.since.plus(patience), id)));
                }
                self.queue(id, now);
                None
            }
        }
    }

    /// The next delivery that may start, if there is one; it is in the air now.
    pub(super) fn take(&mut self, now: Timestamp) -> Option<Turn> {
        self.wake_due(now);
        while let Some(id) = self.ready.pop_front() {
            let Some(lane) = self.lanes.get_mut(&id) else {
                continue;
            };
            lane.queued = false;
            if let Some((offset, tried, passed)) = lane.start(now) {
                self.parked -= 1;
                self.retrying -= usize::from(tried.is_some());
                return Some(Turn {
                    lane: id,
                    offset,
                    tried,
                    passed,
                });
            }
        }
        None
    }

    /// The delivery in the air comes back, to start at `at` or later.
    pub(super) fn put_back(&mut self, turn: Turn, at: Timestamp, tried: Tried, now: Timestamp) {
        let Some(lane) = self.lanes.get_mut(&turn.lane) else {
            return;
        };
        lane.in_air = None;
        self.parked += 1;
        self.retrying += 1;
        let failing = Failing {
            offset: turn.offset,
            at,
            tried,
        };
        if turn.passed {
            lane.passed.get_or_insert_default().push(failing);
            self.due.push(Reverse((at, turn.lane)));
        } else {
            lane.head = Some(failing);
            self.remember_head(turn.lane);
        }
        self.queue(turn.lane, now);
    }

    /// The delivery in the air has ended: its lane goes on.
    pub(super) fn end(&mut self, turn: Turn, now: Timestamp) {
        if let Entry::Occupied(mut lane) = self.lanes.entry(turn.lane) {
            lane.get_mut().in_air = None;
            if lane.get().is_empty() {
                lane.remove();
            } else {
                self.queue(turn.lane, now);
            }
        }
    }

    /// When to look again; `None`: nothing here waits for the time.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.due.peek().map(|Reverse((at, _))| *at)
    }

    fn wake_due(&mut self, now: Timestamp) {
        while let Some(Reverse((at, id))) = self.due.peek().copied()
            && at <= now
        {
            self.due.pop();
            self.queue(id, now);
        }
    }

    /// Puts a lane among the ready ones, if something of it may start.
    fn queue(&mut self, id: LaneId, now: Timestamp) {
        let Some(lane) = self.lanes.get_mut(&id) else {
            return;
        };
        if !lane.waiting.is_empty() {
            lane.pass_stuck_head(self.on_stuck, now);
        }
        if !lane.queued && lane.may_start(now) {
            lane.queued = true;
            self.ready.push_back(id);
        }
    }

    fn remember_head(&mut self, id: LaneId) {
        let Some(lane) = self.lanes.get(&id) else {
            return;
        };
        let Some(head) = lane.head else { return };
        self.due.push(Reverse((head.at, id)));
        if let (OnStuck::SkipAfter(patience), false) = (self.on_stuck, lane.waiting.is_empty()) {
            self.due
                .push(Reverse((head.tried.since.plus(patience), id)));
        }
    }
}

impl Lane {
    /// A head that has been failing for too long makes way.
    fn pass_stuck_head(&mut self, on_stuck: OnStuck, now: Timestamp) {
        let OnStuck::SkipAfter(patience) = on_stuck else {
            return;
        };
        if let Some(head) = self
            .head
            .take_if(|head| head.tried.since.plus(patience) <= now)
        {
            self.passed.get_or_insert_default().push(head);
        }
    }

    fn may_start(&self, now: Timestamp) -> bool {
        let passed = self
            .passed
            .as_ref()
            .is_some_and(|passed| passed.iter().any(|one| one.at <= now));
        let head = self
            .head
            .map_or(!self.waiting.is_empty(), |head| head.at <= now);
        self.in_air.is_none() && (passed || head)
    }

    /// Former heads before the present one: they are older.
    fn start(&mut self, now: Timestamp) -> Option<(Offset, Option<Tried>, bool)> {
        if self.in_air.is_some() {
            return None;
        }
        let (offset, tried, passed) = if let Some(one) = self.take_passed(now) {
            (one.offset, Some(one.tried), true)
        } else if let Some(head) = self.head.take_if(|head| head.at <= now) {
            (head.offset, Some(head.tried), false)
        } else if self.head.is_none() {
            (self.waiting.pop_front()?, None, false)
        } else {
            return None;
        };
        self.in_air = Some(if passed { Air::Passed } else { Air::Head });
        Some((offset, tried, passed))
    }

    fn take_passed(&mut self, now: Timestamp) -> Option<Failing> {
        let passed = self.passed.as_mut()?;
        let due = passed.iter().enumerate().filter(|(_, one)| one.at <= now);
        let (first, _) = due.min_by_key(|(_, one)| one.at)?;
        let one = passed.swap_remove(first);
        if passed.is_empty() {
            self.passed = None;
        }
        Some(one)
    }

    fn is_empty(&self) -> bool {
        self.in_air.is_none()
            && self.head.is_none()
            && self.waiting.is_empty()
            && self.passed.is_none()
    }
}

/// Keyed anew for each worker: strangers name conversations, and must not be
/// able to choose two that share a lane. A simulation must be the same twice.
#[cfg(not(test))]
pub(super) type LaneHasher = std::hash::RandomState;
#[cfg(test)]
pub(super) type LaneHasher = BuildHasherDefault<std::hash::DefaultHasher>;

#[cfg(test)]
#[path = "lanes_tests.rs"]
mod tests;
