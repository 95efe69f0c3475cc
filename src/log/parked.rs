//! Copies that were handed out and merely wait in their lanes, in accepted
//! order, at sixteen bytes each. Pure: no I/O, no clock.
//!
//! Half a million of them behind a few stuck conversations must cost neither
//! memory nor time: they lie in short stretches that are shared with a
//! checkpoint under way, and copied only where they change meanwhile.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use super::ledger::Pending;
use crate::clock::Timestamp;
use crate::event::Offset;

/// One copy of a stretch, whose segment is said once for all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) position: u32,
    pub(super) size: u32,
    pub(super) accepted_at: Timestamp,
}

/// Neighbours within one segment; never empty.
#[derive(Clone, Debug)]
pub(super) struct Stretch {
    pub(super) segment: u32,
    /// What they add up to.
    bytes: u64,
    pub(super) copies: Arc<Vec<Waiting>>,
}

/// All of one destination.
#[derive(Clone, Debug, Default)]
pub(super) struct Parked {
    stretches: VecDeque<Stretch>,
    count: usize,
    /// The room of a stretch that emptied, for the next one: most come and go
    /// one by one.
    spare: Arc<Vec<Waiting>>,
}

impl Parked {
    /// One more; one that is here already stays as it is.
    pub(super) fn insert(&mut self, at: Offset, size: u32, accepted_at: Timestamp) {
        let waiting = Waiting {
            position: at.position(),
            size,
            accepted_at,
        };
        let after = self.stretches.partition_point(|one| one.first() <= at);
        let Some(stretch) = self.holding(after, at) else {
            return self.begin(after, at.segment(), waiting);
        };
        let Err(place) = stretch.find(at) else { return };
        if place == STRETCH_MAX {
            return self.begin(after, at.segment(), waiting);
        }
        let copies = Arc::make_mut(&mut stretch.copies);
        copies.insert(place, waiting);
        stretch.bytes += u64::from(size);
        let rest = (copies.len() > STRETCH_MAX).then(|| copies.split_off(STRETCH_MAX / 2));
        if let Some(rest) = rest {
            let rest = Stretch::of(at.segment(), rest);
            stretch.bytes = stretch.bytes.saturating_sub(rest.bytes);
            self.stretches.insert(after, rest);
        }
        self.count += 1;
    }

    /// Takes one out: it waits no longer.
    pub(super) fn remove(&mut self, at: Offset) -> Option<Waiting> {
        let after = self.stretches.partition_point(|one| one.first() <= at);
        let stretch = self.holding(after, at)?;
        let place = stretch.find(at).ok()?;
        let copies = Arc::make_mut(&mut stretch.copies);
        let waiting = copies.remove(place);
        stretch.bytes = stretch.bytes.saturating_sub(u64::from(waiting.size));
        if copies.len() <= copies.capacity() / 4 && copies.len() > 2 {
            copies.shrink_to(copies.len() * 2);
        }
        if copies.is_empty()
            && let Some(emptied) = self.stretches.remove(after - 1)
        {
            self.spare = emptied.copies;
        }
        self.count -= 1;
        Some(waiting)
    }

    pub(super) fn get(&self, at: Offset) -> Option<Waiting> {
        let after = self.stretches.partition_point(|one| one.first() <= at);
        let stretch = self.stretches.get(after.checked_sub(1)?)?;
        let place = stretch.find(at).ok()?;
        stretch.copies.get(place).copied()
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    pub(super) fn first(&self) -> Option<(Offset, Waiting)> {
        let stretch = self.stretches.front()?;
        Some((stretch.first(), *stretch.copies.first()?))
    }

    /// In accepted order.
    pub(super) fn range(&self, range: Range<Offset>) -> impl Iterator<Item = Offset> {
        let after = |one: &Stretch| one.first() <= range.start;
        let begin = self.stretches.partition_point(after).saturating_sub(1);
        let offsets = self.stretches.range(begin..).flat_map(Stretch::offsets);
        offsets
            .skip_while(move |at| *at < range.start)
            .take_while(move |at| *at < range.end)
    }

    /// What waits of one segment.
    pub(super) fn pending_in(&self, segment: u32) -> Pending {
        let begin = self.stretches.partition_point(|one| one.segment < segment);
        let stretches = self.stretches.range(begin..);
        let mut pending = Pending::default();
        for one in stretches.take_while(|one| one.segment == segment) {
            let count = u32::try_from(one.copies.len()).unwrap_or(u32::MAX);
            pending.count = pending.count.saturating_add(count);
            pending.bytes += one.bytes;
        }
        pending
    }

    /// For a checkpoint; sharing them costs nothing.
    pub(super) fn stretches(&self) -> impl ExactSizeIterator<Item = &Stretch> {
        self.stretches.iter()
    }

    /// The stretch in which `at` is or would be, if there is one of its
    /// segment; `after` is the place of the first that begins behind it.
    fn holding(&mut self, after: usize, at: Offset) -> Option<&mut Stretch> {
        self.stretches
            .get_mut(after.checked_sub(1)?)
            .filter(|one| one.segment == at.segment())
    }

    fn begin(&mut self, place: usize, segment: u32, waiting: Waiting) {
        let mut copies = std::mem::take(&mut self.spare);
        Arc::make_mut(&mut copies).push(waiting);
        let stretch = Stretch {
            segment,
            bytes: u64::from(waiting.size),
            copies,
        };
        self.stretches.insert(place, stretch);
        self.count += 1;
    }
}

impl Stretch {
    fn of(segment: u32, copies: Vec<Waiting>) -> Self {
        Self {
            segment,
            bytes: copies.iter().map(|one| u64::from(one.size)).sum(),
            copies: Arc::new(copies),
        }
    }

    fn first(&self) -> Offset {
        let position = self.copies.first().map_or(0, |one| one.position);
        Offset::new(self.segment, position)
    }

    /// Where `at` is, or where it would be.
    fn find(&self, at: Offset) -> Result<usize, usize> {
        if self.segment != at.segment() {
            return Err(self.copies.len());
        }
        self.copies
            .binary_search_by_key(&at.position(), |one| one.position)
    }

    fn offsets(&self) -> impl Iterator<Item = Offset> {
        let at = |one: &Waiting| Offset::new(self.segment, one.position);
        self.copies.iter().map(at)
    }
}

/// What waits is the same, however it is cut into stretches.
impl PartialEq for Parked {
    fn eq(&self, other: &Self) -> bool {
        let all = |parked: &Self| {
            let each = |one: &Stretch| {
                let segment = one.segment;
                one.copies
                    .iter()
                    .map(move |copy| (segment, *copy))
                    .collect::<Vec<_>>()
            };
            parked.stretches.iter().flat_map(each).collect::<Vec<_>>()
        };
        self.count == other.count && all(self) == all(other)
    }
}

impl Eq for Parked {}

/// 8 KiB: what a change copies while a checkpoint holds the same stretch.
const STRETCH_MAX: usize = 512;
