//! What was told last, for who lags a little: under load a destination is often
//! some hundred copies behind, and need not read again from the disk what was
//! in memory a moment ago. While nobody lags a little nothing is kept, so that
//! memory is used again before it has left the processor's cache.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use super::lock;
use super::news::Published;
use crate::event::Offset;

/// How much is remembered, whoever reads it.
const EVENTS_MAX: usize = 4096;
const BYTES_MAX: u64 = 4 * 1024 * 1024;

#[derive(Debug, Default)]
pub(super) struct Recent(Mutex<Ring>);

/// Every event from one place on, in order.
#[derive(Debug, Default)]
pub(super) struct Ring {
    events: VecDeque<Arc<Published>>,
    bytes: u64,
    /// Whoever reads from here on misses nothing; nobody was told anything yet.
    start: Option<Offset>,
}

impl Recent {
    /// Takes in what is about to be told, and forgets what is too old for it.
    pub(super) fn add(&self, told: &[Arc<Published>]) {
        let ring = &mut *lock(&self.0);
        for event in told {
            ring.start.get_or_insert(event.stored.offset);
            ring.bytes += u64::from(event.size);
            ring.events.push_back(Arc::clone(event));
        }
        while ring.events.len() > EVENTS_MAX || ring.bytes > BYTES_MAX {
            let Some(oldest) = ring.events.pop_front() else {
                return;
            };
            ring.bytes -= u64::from(oldest.size);
            ring.start = Some(oldest.next);
        }
    }

    /// For when none of those told last lags a little: nobody will read on here.
    /// Who was not told, and does lag, reads on from the disk.
    pub(super) fn forget(&self) {
        let ring = &mut *lock(&self.0);
        if let Some(newest) = ring.events.back() {
            ring.start = Some(newest.next);
        }
        ring.events.clear();
        ring.bytes = 0;
    }

    /// Nothing is added while somebody looks.
    pub(super) fn look(&self) -> MutexGuard<'_, Ring> {
        lock(&self.0)
    }
}

impl Ring {
    /// Everything told from `place` on; `None`: what came first there is
    /// forgotten, or was never told.
    pub(super) fn from(&self, place: Offset) -> Option<impl Iterator<Item = &Arc<Published>>> {
        self.start.filter(|start| *start <= place)?;
        let first = self
            .events
            .partition_point(|event| event.stored.offset < place);
        Some(self.events.range(first..))
    }
}

/// Whether who reads from `place` on is so little behind what is told now that
/// it may soon be read here. Who does not read at all is not, after a while.
pub(super) fn is_near(place: Offset, told: Offset) -> bool {
    if place >= told {
        return true;
    }
    let start = match told.segment() - place.segment() {
        0 => u64::from(place.position()),
        // Where the one before ended is not known here.
        1 => 0,
        _ => return false,
    };
    u64::from(told.position()).saturating_sub(start) < BYTES_MAX
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::tests::event;
    use crate::log::{Origin, Stored};

    fn told(range: std::ops::Range<u64>, size: u32) -> Vec<Arc<Published>> {
        let one = |n: u64| {
            Arc::new(Published {
                stored: Arc::new(Stored {
                    offset: Offset(n * 8),
                    event: event(1),
                    owed: Vec::new(),
                    origin: Origin::Accepted,
                }),
                next: Offset(n * 8 + 8),
                size,
                targets: Vec::new(),
            })
        };
        range.map(one).collect()
    }

    fn places(recent: &Recent, from: u64) -> Option<Vec<u64>> {
        let ring = recent.look();
        let found = ring.from(Offset(from))?;
        Some(found.map(|event| event.stored.offset.0 / 8).collect())
    }

    #[test]
    fn who_reads_from_a_place_misses_nothing_or_is_told_so() {
        let recent = Recent::default();
        assert_eq!(places(&recent, 0), None, "nobody was told anything");
        recent.add(&told(10..13, 100));
        assert_eq!(places(&recent, 79), None, "something may have been before");
        assert_eq!(places(&recent, 80), Some(vec![10, 11, 12]));
        assert_eq!(places(&recent, 81), Some(vec![11, 12]));
        assert_eq!(places(&recent, 104), Some(vec![]));
        recent.add(&[]);
        assert_eq!(places(&recent, 80), Some(vec![10, 11, 12]));
    }

    #[test]
    fn what_was_forgotten_is_not_taken_for_what_never_was() {
        let recent = Recent::default();
        recent.forget();
        assert_eq!(places(&recent, 0), None, "nobody was told anything");
        recent.add(&told(10..13, 100));
        recent.forget();
        recent.forget();
        assert_eq!(places(&recent, 103), None, "12 is not here any more");
        assert_eq!(places(&recent, 104), Some(vec![]));
        recent.add(&told(13..14, 100));
        assert_eq!(places(&recent, 103), None);
        assert_eq!(places(&recent, 104), Some(vec![13]));
    }

    #[test]
    fn near_is_what_could_be_kept_from_there_on() {
        let far = u32::try_from(BYTES_MAX).unwrap();
        let near = |place, told| {
            let at = |(segment, position)| Offset::new(segment, position);
            is_near(at(place), at(told))
        };
        assert!(near((3, 100), (3, 100)) && near((3, 100), (3, far + 99)));
        assert!(!near((3, 100), (3, far + 100)));
        assert!(near((2, far * 9), (3, far - 1)) && !near((2, far * 9), (3, far)));
        assert!(!near((1, 0), (3, 0)));
        assert!(near((4, 0), (3, far)), "it has read more than was told");
    }

    #[test]
    fn it_keeps_no_more_than_it_may() {
        let recent = Recent::default();
        recent.add(&told(0..EVENTS_MAX as u64 + 2, 100));
        assert_eq!(places(&recent, 15), None);
        assert_eq!(places(&recent, 16).map(|all| all.len()), Some(EVENTS_MAX));
        let large = u32::try_from(BYTES_MAX / 2).unwrap();
        recent.add(&told(10_000..10_003, large));
        assert_eq!(places(&recent, 80_007), None);
        assert_eq!(places(&recent, 80_008), Some(vec![10_001, 10_002]));
        recent.add(&told(20_000..20_001, u32::MAX));
        assert_eq!(places(&recent, 160_000), None, "larger than all of it");
        assert_eq!(places(&recent, 160_008), Some(vec![]));
    }
}
