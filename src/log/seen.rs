//! The vendor ids of the window in memory, compactly: entries in the order they
//! were learnt, so that the oldest go first and going costs nothing for those
//! that stay, and a table of their numbers. About 40 bytes an id.

use std::collections::VecDeque;

use crate::event::EventId;

/// Half of a SHA-256 over source and vendor id: short, and nobody can make two
/// that collide.
pub(super) type Seen = [u8; 16];

/// Entries that are allocated together.
const CHUNK: usize = 4096;
const SLOTS_MIN: usize = 1024;
/// Numbers are kept in slots by what they leave over this.
const CYCLE: u64 = u32::MAX as u64;

#[derive(Debug)]
pub(super) struct SeenIds {
    /// All full but the last; the first one's beginning may have gone.
    chunks: VecDeque<Vec<(Seen, EventId)>>,
    gone: usize,
    /// The number of the oldest entry.
    first: u64,
    len: usize,
    /// A number and one, cycled; 0 is empty. Open addressing, linear probing.
    slots: Vec<u32>,
    /// Which slot an id calls home; ours alone, so that nobody outside can
    /// choose ids that all call at one.
    salt: u64,
}

impl SeenIds {
    pub(super) fn new(salt: u64) -> Self {
        Self {
            chunks: VecDeque::new(),
            gone: 0,
            first: 0,
            len: 0,
            slots: Vec::new(),
            salt: salt | 1,
        }
    }

    /// How many entries there are, outdated ones included.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The number that the next entry gets.
    pub(super) fn next_number(&self) -> u64 {
        self.first + self.len as u64
    }

    pub(super) fn get(&self, seen: &Seen) -> Option<EventId> {
        let (_, number) = self.find(seen)?;
        self.entry(number).map(|(_, id)| *id)
    }

    /// Learns an id; what was known of it before is outdated.
    pub(super) fn push(&mut self, seen: Seen, id: EventId) {
        if self.len + 1 > self.slots.len() / 8 * 7 {
            self.grow();
        }
        let number = self.next_number();
        let slot = match self.find(&seen) {
            Some((slot, _)) => slot,
            None => self.empty_slot(&seen),
        };
        self.set(slot, stamp(number));
        match self.chunks.back_mut().filter(|chunk| chunk.len() < CHUNK) {
            Some(chunk) => chunk.push((seen, id)),
            None => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push((seen, id));
                self.chunks.push_back(chunk);
            }
        }
        self.len += 1;
    }

    pub(super) fn oldest(&self) -> Option<EventId> {
        self.entry(self.first).map(|(_, id)| *id)
    }

    /// Forgets the oldest entry.
    pub(super) fn pop(&mut self) {
        let Some((seen, _)) = self.entry(self.first).copied() else {
            return;
        };
        if let Some((slot, number)) = self.find(&seen)
            && number == self.first
        {
            self.vacate(slot);
        }
        self.first += 1;
        self.len -= 1;
        self.gone += 1;
        if self.gone == CHUNK {
            self.chunks.pop_front();
            self.gone = 0;
        }
    }

    /// Entries with this number and later ones, in order.
    pub(super) fn since(&self, number: u64) -> impl Iterator<Item = &(Seen, EventId)> {
        (number.max(self.first)..self.next_number()).filter_map(|number| self.entry(number))
    }

    fn entry(&self, number: u64) -> Option<&(Seen, EventId)> {
        let place = usize::try_from(number.checked_sub(self.first)?).ok()? + self.gone;
        self.chunks.get(place / CHUNK)?.get(place % CHUNK)
    }

    /// The slot of an id, and the number in it.
    fn find(&self, seen: &Seen) -> Option<(usize, u64)> {
        let mut slot = self.home(seen)?;
        loop {
            let number = self.number(slot)?;
            if self.entry(number).is_some_and(|(have, _)| have == seen) {
                return Some((slot, number));
            }
            slot = self.after(slot);
        }
    }

    fn empty_slot(&self, seen: &Seen) -> usize {
        let mut slot = self.home(seen).unwrap_or(0);
        while self.number(slot).is_some() {
            slot = self.after(slot);
        }
        slot
    }

    /// Empties a slot and moves up what had to give way to it.
    fn vacate(&mut self, slot: usize) {
        let (mut hole, mut at) = (slot, slot);
        loop {
            at = self.after(at);
            let Some(number) = self.number(at) else { break };
            let home = self.entry(number).and_then(|(seen, _)| self.home(seen));
            let Some(home) = home else { break };
            let mask = self.slots.len() - 1;
            if at.wrapping_sub(home) & mask >= at.wrapping_sub(hole) & mask {
                self.set(hole, stamp(number));
                hole = at;
            }
        }
        self.set(hole, 0);
    }

    fn grow(&mut self) {
        let slots = (self.slots.len() * 2).max(SLOTS_MIN);
        let old = std::mem::replace(&mut self.slots, vec![0; slots]);
        for held in old {
            let number = self.unstamp(held);
            let entry = number.and_then(|number| self.entry(number).copied());
            if let Some((number, (seen, _))) = number.zip(entry) {
                let slot = self.empty_slot(&seen);
                self.set(slot, stamp(number));
            }
        }
    }

    /// `None`: there are no slots yet.
    fn home(&self, seen: &Seen) -> Option<usize> {
        let bits = self.slots.len().checked_ilog2()?;
        let word = seen.first_chunk().copied().map_or(0, u64::from_le_bytes);
        let home = word.wrapping_mul(self.salt) >> (64 - bits);
        usize::try_from(home).ok()
    }

    fn after(&self, slot: usize) -> usize {
        (slot + 1) & (self.slots.len() - 1)
    }

    /// What a slot holds; `None`: it is empty.
    fn number(&self, slot: usize) -> Option<u64> {
        self.unstamp(self.slots.get(slot).copied().unwrap_or(0))
    }

    fn unstamp(&self, stamp: u32) -> Option<u64> {
        let ahead = u64::from(stamp.checked_sub(1)?) + CYCLE - self.first % CYCLE;
        Some(self.first + ahead % CYCLE)
    }

    fn set(&mut self, slot: usize, stamp: u32) {
        if let Some(place) = self.slots.get_mut(slot) {
            *place = stamp;
        }
    }
}

fn stamp(number: u64) -> u32 {
    u32::try_from(number % CYCLE).map_or(0, |left| left + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    /// Against a list that is searched from its end; the numbers cross the end
    /// of their cycle on the way.
    #[test]
    fn it_answers_as_a_list_would() {
        let mut chance = fastrand::Rng::with_seed(1);
        let mut ids = SeenIds::new(chance.u64(..));
        ids.first = CYCLE - 20_000;
        let mut list: VecDeque<(Seen, EventId)> = VecDeque::new();
        for step in 0..60_000_u64 {
            let seen = u128::from(chance.u64(..9000)).wrapping_mul(u128::MAX / 9001);
            let seen = seen.to_le_bytes();
            let id = EventId::new(Timestamp::from_millis(step), u128::from(step));
            match chance.u8(..20) {
                0..10 => {
                    ids.push(seen, id);
                    list.push_back((seen, id));
                }
                10..15 if list.len() > 5000 => {
                    ids.pop();
                    list.pop_front();
                }
                _ => {}
            }
            let expected = list.iter().rev().find(|(have, _)| *have == seen);
            assert_eq!(ids.get(&seen), expected.map(|(_, id)| *id), "step {step}");
            assert_eq!(ids.oldest(), list.front().map(|(_, id)| *id));
        }
        assert!(ids.first > CYCLE - 20_000 + 2 * CHUNK as u64 && ids.next_number() > CYCLE);
        let since = ids.next_number() - 5;
        assert!(ids.since(since).eq(list.range(list.len() - 5..)));
        while ids.len() > 0 {
            ids.pop();
        }
        assert!(ids.slots.iter().all(|slot| *slot == 0));
    }
}
