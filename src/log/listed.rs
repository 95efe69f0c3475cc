//! Which dead letters there are, in memory: a card for each, and which segment
//! holds how many.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::letter::Card;
use super::segment::Segment;
use crate::clock::Timestamp;
use crate::event::{DestinationName, Offset};

#[derive(Debug)]
pub(super) struct DeadSegment {
    pub(super) file: Arc<Segment>,
    pub(super) live: u64,
    /// Segments whose letters a record in here removes: they must go first.
    pub(super) removes_in: BTreeSet<u32>,
}

#[derive(Debug, Default)]
pub(super) struct Index {
    pub(super) cards: BTreeMap<Offset, Card>,
    pub(super) keys: HashSet<(Offset, DestinationName)>,
    pub(super) counts: HashMap<DestinationName, u64>,
    pub(super) segments: BTreeMap<u32, DeadSegment>,
    /// No letter is older than this.
    pub(super) oldest: Option<Timestamp>,
}

impl Index {
    pub(super) fn add(&mut self, at: Offset, card: Card) {
        if !self.keys.insert((card.owed_at, card.destination.clone())) {
            return;
        }
        *self.counts.entry(card.destination.clone()).or_default() += 1;
        self.oldest = Some(self.oldest.map_or(card.at, |oldest| oldest.min(card.at)));
        if let Some(segment) = self.segments.get_mut(&at.segment()) {
            segment.live += 1;
        }
        self.cards.insert(at, card);
    }

    /// Takes off what is too old. Looks at each only when one of them is.
    pub(super) fn forget(&mut self, too_old: impl Fn(Timestamp) -> bool) {
        if !self.oldest.is_some_and(&too_old) {
            return;
        }
        let old = self.cards.iter().filter(|(_, card)| too_old(card.at));
        let old: Vec<Offset> = old.map(|(at, _)| *at).collect();
        for at in old {
            self.remove(at);
        }
        self.oldest = self.cards.values().map(|card| card.at).min();
    }

    /// Takes off the oldest segments' letters until the rest is within
    /// `bytes_max`; the segment being written stays. Says how many went.
    pub(super) fn shed(&mut self, bytes_max: u64, active: Option<u32>) -> u64 {
        let length = |segment: &DeadSegment| segment.file.length.load(Ordering::Relaxed);
        let sizes: Vec<(u32, u64)> = self
            .segments
            .iter()
            .map(|(id, s)| (*id, length(s)))
            .collect();
        let mut bytes: u64 = sizes.iter().map(|(_, size)| size).sum();
        let mut shed = 0;
        for (id, size) in sizes {
            if bytes <= bytes_max || Some(id) == active {
                break;
            }
            bytes -= size;
            let old = self.cards.range(Offset::new(id, 0)..Offset::new(id + 1, 0));
            let old: Vec<Offset> = old.map(|(at, _)| *at).collect();
            shed += old
                .into_iter()
                .map(|at| u64::from(self.remove(at)))
                .sum::<u64>();
        }
        shed
    }

    /// The name as the index holds it already.
    pub(super) fn name(&self, name: &str) -> DestinationName {
        let fresh = DestinationName::from(name);
        let known = self.counts.get_key_value(&fresh);
        known.map_or_else(|| fresh.clone(), |(known, _)| known.clone())
    }

    pub(super) fn remove(&mut self, at: Offset) -> bool {
        let Some(card) = self.cards.remove(&at) else {
            return false;
        };
        if let Some(count) = self.counts.get_mut(&card.destination) {
            *count = count.saturating_sub(1);
        }
        if let Some(segment) = self.segments.get_mut(&at.segment()) {
            segment.live = segment.live.saturating_sub(1);
        }
        self.keys.remove(&(card.owed_at, card.destination));
        true
    }
}
