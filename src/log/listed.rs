//! Which dead letters there are, in memory, with all that a filter looks at: so
//! that no filter reads a letter that it does not show. A letter takes about
//! 150 bytes here, its key included.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Filter;
use super::letter::Card;
use super::segment::Segment;
use super::words::Words;
use crate::clock::Timestamp;
use crate::event::{DestinationName, Offset};
use crate::route::glob_matches;
use crate::settle::Reason;

/// A longer key is not held here: a filter by key reads the letter.
const KEY_BYTES_MAX: usize = 256;

#[derive(Debug)]
pub(super) struct DeadSegment {
    pub(super) file: Arc<Segment>,
    pub(super) live: u64,
    /// Segments whose letters a record in here removes: they must go first.
    pub(super) removes_in: BTreeSet<u32>,
}

impl DeadSegment {
    pub(super) fn new(file: Arc<Segment>) -> Self {
        Self {
            file,
            live: 0,
            removes_in: BTreeSet::new(),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Index {
    rows: BTreeMap<Offset, Row>,
    /// The copy that each letter is of.
    copies: HashSet<(Offset, u32)>,
    counts: HashMap<u32, u64>,
    words: Words,
    pub(super) segments: BTreeMap<u32, DeadSegment>,
    /// No letter is older than this.
    oldest: Option<Timestamp>,
    /// Letters that went before their time, and nobody was told of.
    shed: u64,
}

/// One letter; its words are numbers.
#[derive(Debug)]
struct Row {
    owed_at: Offset,
    at: Timestamp,
    destination: u32,
    source: u32,
    event_type: u32,
    reason: Reason,
    /// Empty: longer than [`KEY_BYTES_MAX`].
    key: Option<Box<str>>,
}

/// What a look at the list found.
#[derive(Debug, Default)]
pub(super) struct Looked {
    /// With whether only the letter itself can tell.
    pub(super) found: Vec<(Offset, Doubt)>,
    /// The last one that was looked at, if there may be more behind it.
    pub(super) last: Option<Offset>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    None,
    Key,
}

/// Where a list begins, which way it goes, where it ends.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Span {
    pub(super) after: Option<Offset>,
    pub(super) before: Option<Offset>,
    pub(super) newest_first: bool,
}

impl Index {
    pub(super) fn add(&mut self, at: Offset, card: &Card<'_>) {
        let destination = self.words.take(card.destination);
        if !self.copies.insert((card.owed_at, destination)) {
            return self.words.give_back(destination);
        }
        *self.counts.entry(destination).or_default() += 1;
        self.oldest = Some(self.oldest.map_or(card.at, |oldest| oldest.min(card.at)));
        if let Some(segment) = self.segments.get_mut(&at.segment()) {
            segment.live += 1;
        }
        let key = card.key.map(|key| match key.len() {
            0..=KEY_BYTES_MAX => Box::from(key),
            _ => Box::from(""),
        });
        let row = Row {
            owed_at: card.owed_at,
            at: card.at,
            destination,
            source: self.words.take(card.source),
            event_type: self.words.take(card.event_type),
            reason: card.reason,
            key,
        };
        self.rows.insert(at, row);
    }

    /// How many letters there are.
    pub(super) fn total(&self) -> u64 {
        self.rows.len() as u64
    }

    /// How many there are for a destination.
    pub(super) fn count(&self, destination: &DestinationName) -> u64 {
        let number = self.words.number(destination.as_str());
        number.map_or(0, |number| self.counts.get(&number).copied().unwrap_or(0))
    }

    pub(super) fn has(&self, at: Offset) -> bool {
        self.rows.contains_key(&at)
    }

    /// Whether there is a letter of a copy.
    pub(super) fn has_one_of(&self, owed_at: Offset, destination: &str) -> bool {
        let number = self.words.number(destination);
        number.is_some_and(|number| self.copies.contains(&(owed_at, number)))
    }

    /// The letter of a copy, if there is one.
    pub(super) fn letter_of(&self, owed_at: Offset, destination: &str) -> Option<Offset> {
        if !self.has_one_of(owed_at, destination) {
            return None;
        }
        let copy = (owed_at, self.words.number(destination)?);
        let is_it = |row: &Row| (row.owed_at, row.destination) == copy;
        let mut rows = self.rows.iter();
        rows.find(|(_, row)| is_it(row)).map(|(at, _)| *at)
    }

    /// Looks at no more than `looks_max` letters of a span for at most `limit`
    /// that a filter takes.
    pub(super) fn look(
        &self,
        filter: &Filter,
        span: Span,
        limit: usize,
        looks_max: usize,
    ) -> Looked {
        let Some(mut probe) = Probe::new(&self.words, filter) else {
            return Looked::default();
        };
        let bounds = (
            span.after.map_or(Bound::Unbounded, Bound::Excluded),
            span.before.map_or(Bound::Unbounded, Bound::Excluded),
        );
        // A range that ends before it begins is a panic.
        if let (Some(after), Some(before)) = (span.after, span.before)
            && after >= before
        {
            return Looked::default();
        }
        let (mut forth, mut back);
        let rows: &mut dyn Iterator<Item = (&Offset, &Row)> = match span.newest_first {
            false => {
                forth = self.rows.range(bounds);
                &mut forth
            }
            true => {
                back = self.rows.range(bounds).rev();
                &mut back
            }
        };
        let mut looked = Looked::default();
        for (at, row) in rows.take(looks_max) {
            looked.last = Some(*at);
            if let Some(doubt) = probe.takes(row) {
                looked.found.push((*at, doubt));
                if looked.found.len() >= limit {
                    break;
                }
            }
        }
        looked
    }

    /// Takes off what is too old. Looks at each only when one of them is.
    pub(super) fn forget(&mut self, too_old: impl Fn(Timestamp) -> bool) {
        if !self.oldest.is_some_and(&too_old) {
            return;
        }
        let old = self.rows.iter().filter(|(_, row)| too_old(row.at));
        let old: Vec<Offset> = old.map(|(at, _)| *at).collect();
        for at in old {
            self.remove(at);
        }
        self.oldest = self.rows.values().map(|row| row.at).min();
    }

    /// Takes off the oldest segments' letters until the rest is within
    /// `bytes_max` and `letters_max`; the segment being written stays.
    pub(super) fn shed(&mut self, bytes_max: u64, letters_max: u64, active: Option<u32>) {
        let length = |segment: &DeadSegment| segment.file.length.load(Ordering::Relaxed);
        let sizes: Vec<(u32, u64)> = self
            .segments
            .iter()
            .map(|(id, s)| (*id, length(s)))
            .collect();
        let mut bytes: u64 = sizes.iter().map(|(_, size)| size).sum();
        for (id, size) in sizes {
            let fits = bytes <= bytes_max && self.total() <= letters_max;
            if fits || Some(id) == active {
                break;
            }
            bytes -= size;
            let old = self.rows.range(Offset::new(id, 0)..Offset::new(id + 1, 0));
            let old: Vec<Offset> = old.map(|(at, _)| *at).collect();
            self.shed += old.len() as u64;
            for at in old {
                self.remove(at);
            }
        }
    }

    /// How many went by that since this was asked last.
    pub(super) fn shed_so_far(&mut self) -> u64 {
        std::mem::take(&mut self.shed)
    }

    /// Letters of a segment that are listed.
    pub(super) fn live(&self, segment: u32) -> u64 {
        self.segments.get(&segment).map_or(0, |found| found.live)
    }

    pub(super) fn remove(&mut self, at: Offset) -> bool {
        let Some(row) = self.rows.remove(&at) else {
            return false;
        };
        if let Some(count) = self.counts.get_mut(&row.destination) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&row.destination);
            }
        }
        if let Some(segment) = self.segments.get_mut(&at.segment()) {
            segment.live = segment.live.saturating_sub(1);
        }
        self.copies.remove(&(row.owed_at, row.destination));
        for word in [row.destination, row.source, row.event_type] {
            self.words.give_back(word);
        }
        true
    }
}

/// A filter with its words as numbers, and what was found out about types.
struct Probe<'a> {
    words: &'a Words,
    filter: &'a Filter,
    destination: Option<u32>,
    source: Option<u32>,
    types: HashMap<u32, bool>,
}

impl<'a> Probe<'a> {
    /// `None`: it names somebody whom no letter speaks of.
    fn new(words: &'a Words, filter: &'a Filter) -> Option<Self> {
        let number = |name: Option<&str>| match name {
            None => Some(None),
            Some(name) => words.number(name).map(Some),
        };
        Some(Self {
            words,
            filter,
            destination: number(filter.destination.as_ref().map(DestinationName::as_str))?,
            source: number(filter.source.as_ref().map(|source| source.as_str()))?,
            types: HashMap::new(),
        })
    }

    fn takes(&mut self, row: &Row) -> Option<Doubt> {
        let filter = self.filter;
        let plain = filter.since.is_none_or(|since| row.at >= since)
            && filter.until.is_none_or(|until| row.at <= until)
            && filter.reason.is_none_or(|reason| row.reason == reason)
            && self
                .destination
                .is_none_or(|wanted| row.destination == wanted)
            && self.source.is_none_or(|wanted| row.source == wanted)
            && self.takes_type(row.event_type);
        if !plain {
            return None;
        }
        match (&filter.key, row.key.as_deref()) {
            (None, _) => Some(Doubt::None),
            (Some(_), Some("")) => Some(Doubt::Key),
            (Some(wanted), Some(key)) => glob_matches(wanted, key).then_some(Doubt::None),
            (Some(_), None) => None,
        }
    }

    fn takes_type(&mut self, number: u32) -> bool {
        let Some(wanted) = &self.filter.event_type else {
            return true;
        };
        let known = self.types.entry(number);
        *known.or_insert_with(|| glob_matches(wanted, self.words.text(number)))
    }
}

#[cfg(test)]
mod tests;
