//! What the public questions answer at one moment, in the simulation's words.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::book::Copy;
use super::table::NAMES;
use super::vendors::short;
use crate::event::DestinationName;
use crate::log::{DeadLetter, DeliveryHistory, Log, Origin, Stored};
use crate::settle::Settlement;

/// What the public questions say at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Answers {
    /// Owed, delivered, dead, dropped.
    pub(super) totals: BTreeMap<usize, [u64; 4]>,
    /// Letters by copy, and whether one speaks of a bug.
    pub(super) letters: BTreeMap<Copy, u64>,
    pub(super) bugs: Vec<String>,
    /// When an event was first accepted, as places in the log.
    pub(super) places: BTreeMap<String, u64>,
    /// Events accepted, by source: as counted, and as there are.
    pub(super) accepted: BTreeMap<String, (u64, u64)>,
    /// What became of some copies, as the log tells it.
    pub(super) told: Vec<(Copy, Option<Settlement>)>,
}

impl Answers {
    pub(crate) fn new(log: &Log, letters: &[DeadLetter], events: &[Arc<Stored>]) -> Self {
        let number =
            |name: &DestinationName| NAMES.iter().position(|known| *known == name.as_str());
        let totals = log.totals().into_iter().filter_map(|(name, totals)| {
            let four = [totals.owed, totals.delivered, totals.dead, totals.dropped];
            Some((number(&name)?, four))
        });
        let mut answers = Self {
            totals: totals.collect(),
            letters: BTreeMap::new(),
            bugs: Vec::new(),
            places: BTreeMap::new(),
            accepted: BTreeMap::new(),
            told: Vec::new(),
        };
        for letter in letters {
            let Some(to) = number(&letter.destination) else {
                continue;
            };
            *answers
                .letters
                .entry((letter.event.to_string(), to))
                .or_default() += 1;
            if letter.detail.contains("bug") {
                answers.bugs.push(letter.detail.clone());
            }
        }
        for (source, totals) in log.source_totals() {
            let source = source.as_str().to_owned();
            answers.accepted.insert(source, (totals.accepted, 0));
        }
        let accepted = |stored: &&Arc<Stored>| stored.origin == Origin::Accepted;
        for stored in events.iter().filter(accepted) {
            let event = &stored.event;
            let place = stored.offset.0;
            answers.places.insert(event.id.to_string(), place);
            let source = event.source.as_str().to_owned();
            answers.accepted.entry(source).or_default().1 += 1;
        }
        answers
    }

    /// The history of one obligation of an event.
    pub(crate) fn tell(&mut self, event: &str, copies: &[DeliveryHistory]) {
        for copy in copies {
            if let Some(to) = NAMES
                .iter()
                .position(|name| *name == copy.destination.as_str())
            {
                self.told.push(((event.to_owned(), to), copy.settlement));
            }
        }
    }
}

impl Answers {
    /// What is not the same in `again`. A letter may be left of an event that
    /// was never accepted: it is written first.
    pub(super) fn changed(&self, again: &Self) -> Option<String> {
        if self.totals != again.totals {
            return Some(format!(
                "the totals {:?} to {:?}",
                self.totals, again.totals
            ));
        }
        if self.places != again.places {
            let gone = self
                .places
                .iter()
                .filter(|(event, _)| !again.places.contains_key(*event));
            let gone: Vec<_> = gone.map(|(event, place)| (short(event), *place)).collect();
            return Some(format!("the events: {gone:?} are gone"));
        }
        let letters = |answers: &Self| {
            let of_events = answers
                .letters
                .iter()
                .filter(|((event, _), _)| self.places.contains_key(event));
            of_events
                .map(|(copy, count)| (copy.clone(), *count))
                .collect::<BTreeMap<_, _>>()
        };
        let (before, after) = (letters(self), letters(again));
        (before != after).then(|| format!("the letters {before:?} to {after:?}"))
    }
}
