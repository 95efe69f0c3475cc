//! The judge. It knows what senders were told, what destinations saw, what an
//! operator did, and what the public questions answer; of the gateway's code it
//! uses nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::answers::Answers;
use super::book::{Book, Copy, End};
use super::table::NAMES;
use super::vendors::{Arrival, Said, short};
use crate::settle::Settlement;

/// Settlements that a crash may forget, by destination (published).
const FORGOTTEN_MAX: usize = 64;
/// Attempts in the air at once, at most, by any table.
const IN_AIR_MAX: usize = 4;
/// What was written longer ago than this, on a disk that is well, no crash
/// forgets.
const SETTLED: Duration = Duration::from_secs(20);

/// Everything that was promised.
pub(crate) fn check(
    book: &Book,
    arrivals: &[Arrival],
    answers: &Answers,
    again: &Answers,
) -> Result<(), String> {
    if let Some(changed) = answers.changed(again) {
        return Err(format!("a clean restart changes {changed}"));
    }
    if let Some(bug) = answers.bugs.first() {
        return Err(format!("a letter speaks of a bug: {bug}"));
    }
    let judge = Judge {
        book,
        arrivals,
        answers,
    };
    judge.nothing_came_unasked()?;
    judge.nothing_is_lost()?;
    judge.accounts_add_up()?;
    // Facts are written a little after they count: asked after the restart.
    let answers = again;
    let later = Judge {
        book,
        arrivals,
        answers,
    };
    later.histories_are_true()?;
    judge.nothing_comes_twice()?;
    judge.attempts_count_on()?;
    judge.order_holds()
}

struct Judge<'a> {
    book: &'a Book,
    arrivals: &'a [Arrival],
    answers: &'a Answers,
}

impl Judge<'_> {
    /// Every arrival is of something that was sent, as it was sent, and by a
    /// table under which it was sent.
    fn nothing_came_unasked(&self) -> Result<(), String> {
        for arrival in self.arrivals {
            let sent = number(&arrival.body).and_then(|n| self.book.sent.get(&n));
            let Some(sent) = sent.filter(|sent| sent.body == arrival.body) else {
                return Err(format!("bytes arrived that nobody sent: {arrival:?}"));
            };
            let owed = sent.tries.iter().any(|owed| owed.contains(&arrival.to));
            if !owed {
                let to = NAMES[arrival.to];
                return Err(format!(
                    "{} arrived at {to}, by no table",
                    short(&arrival.event)
                ));
            }
        }
        Ok(())
    }

    fn yes(&self) -> BTreeSet<Copy> {
        let yes = self.arrivals.iter().filter(|arrival| arrival.said.yes());
        yes.map(|arrival| (arrival.event.clone(), arrival.to))
            .collect()
    }

    /// P1, P5: each copy of what was acknowledged arrived, or has a letter, or
    /// was dropped by somebody or something that is counted.
    fn nothing_is_lost(&self) -> Result<(), String> {
        let yes = self.yes();
        let mut missing: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
        for (event, acked) in &self.book.acked {
            for to in &acked.must {
                let copy = (event.clone(), *to);
                let known = yes.contains(&copy)
                    || self.answers.letters.contains_key(&copy)
                    || self.book.discarded.contains(&copy)
                    || self.book.unsure.contains(&copy);
                if !known {
                    missing.entry(*to).or_default().push(event);
                }
            }
        }
        let rotten = self.damage() * 15;
        let mut damaged = 0;
        for (to, events) in missing {
            let [_, _, dead, dropped] = self.answers.totals.get(&to).copied().unwrap_or_default();
            let counted = dropped + self.unlettered(to, dead, &yes);
            let beyond = (events.len() as u64).saturating_sub(counted);
            damaged += beyond;
            if damaged > rotten || (beyond > 0 && !self.damage_was_met()) {
                let events: Vec<&str> = events.into_iter().map(short).collect();
                return Err(format!(
                    "lost on the way to {}: {events:?}, {dropped} dropped, {dead} dead",
                    NAMES[to]
                ));
            }
        }
        Ok(())
    }

    /// A start said so: of damage, or of bytes after the last mark of a crash,
    /// which rot as well as the crash may have spoilt.
    fn damage_was_met(&self) -> bool {
        self.book.had("quarantined") || self.book.had("torn or rotten")
    }

    /// How often the disk lost what it had taken.
    fn damage(&self) -> u64 {
        self.book.faults.get("rot").copied().unwrap_or(0)
    }

    /// Copies that died without a letter, which only damage does.
    fn unlettered(&self, to: usize, dead: u64, yes: &BTreeSet<Copy>) -> u64 {
        if self.damage() == 0 {
            return 0;
        }
        let letters = |letters| self.of_deaths(letters, to, yes);
        dead.saturating_sub(letters(&self.answers.letters) + letters(&self.book.letters_gone))
    }

    /// A letter is written first: one may be left of an event that nobody was
    /// told of, and that is not there, or of an end that a crash forgot, after
    /// which the copy was delivered. It counts nowhere.
    fn of_deaths(&self, letters: &BTreeMap<Copy, u64>, to: usize, yes: &BTreeSet<Copy>) -> u64 {
        let is_there = |event: &str| {
            self.answers.places.contains_key(event) || self.book.acked.contains_key(event)
        };
        let died = |copy: &Copy| copy.1 == to && is_there(&copy.0) && !yes.contains(copy);
        let of_them = letters.iter().filter(|(copy, _)| died(copy));
        of_them.map(|(_, count)| count).sum()
    }

    /// P2, from inside and from outside.
    fn accounts_add_up(&self) -> Result<(), String> {
        let mut yes: BTreeMap<usize, u64> = BTreeMap::new();
        for (_, to) in self.yes() {
            *yes.entry(to).or_default() += 1;
        }
        for (to, [owed, delivered, dead, dropped]) in &self.answers.totals {
            let name = NAMES[*to];
            if *owed != delivered + dead + dropped {
                return Err(format!(
                    "{name}: {owed} owed are not {delivered} + {dead} + {dropped}"
                ));
            }
            let of = |copies: &BTreeMap<Copy, u64>| -> u64 {
                copies
                    .iter()
                    .filter(|((_, at), _)| at == to)
                    .map(|(_, count)| count)
                    .sum()
            };
            let unsure = self.book.unsure.iter().filter(|(_, at)| at == to).count() as u64 * 4;
            let again = of(&self.book.again);
            let came = yes.get(to).copied().unwrap_or(0) + again + unsure;
            if *delivered > came {
                return Err(format!(
                    "{name}: {delivered} delivered, and only {came} came"
                ));
            }
            let must = self
                .book
                .acked
                .values()
                .filter(|acked| acked.must.contains(to))
                .count() as u64;
            let may: u64 = (self.book.sent.values())
                .map(|sent| sent.tries.iter().filter(|owed| owed.contains(to)).count() as u64)
                .sum();
            if *owed > may + again + unsure || (self.damage() == 0 && *owed < must + again) {
                return Err(format!(
                    "{name}: {owed} owed, of {must} to {may} and {again} again"
                ));
            }
            let gone = of(&self.book.letters_gone);
            let letters = of(&self.answers.letters);
            if self.damage() == 0 && unsure == 0 && *dead > letters + gone {
                return Err(format!(
                    "{name}: {dead} dead, but {letters} letters and {gone} that went"
                ));
            }
        }
        Ok(())
    }

    /// The log tells of each copy how it ended, and of each source what came.
    fn histories_are_true(&self) -> Result<(), String> {
        if self.disk_was_unwell() {
            return Ok(());
        }
        let yes = self.yes();
        for (copy, settlement) in &self.answers.told {
            let (event, to) = (short(&copy.0), NAMES[copy.1]);
            match settlement {
                None => return Err(format!("{event} has no end at {to}, as its history says")),
                Some(Settlement::Delivered) if !yes.contains(copy) => {
                    return Err(format!(
                        "{event} was delivered to {to}, as its history says"
                    ));
                }
                Some(_) => {}
            }
        }
        for (source, (counted, there)) in &self.answers.accepted {
            if counted != there {
                return Err(format!(
                    "{counted} accepted from {source}, and {there} are there"
                ));
            }
        }
        Ok(())
    }

    /// A copy that its destination took is not sent again, but for what a crash
    /// may forget.
    fn nothing_comes_twice(&self) -> Result<(), String> {
        let mut taken: BTreeMap<(&str, usize), &Arrival> = BTreeMap::new();
        // By life and destination: copies, however often each was tried.
        let mut repeats: BTreeMap<(usize, usize), BTreeSet<&str>> = BTreeMap::new();
        for arrival in self.arrivals {
            let copy = (arrival.event.as_str(), arrival.to);
            if self.excused(&arrival.event, arrival.to) {
                continue;
            }
            if let Some(before) = taken
                .get(&copy)
                .filter(|before| before.ended <= Some(arrival.at))
            {
                let (event, to) = (short(copy.0), NAMES[copy.1]);
                if before.life == arrival.life {
                    return Err(format!("{event} went to {to} again, which had taken it"));
                }
                let (end, at) = self.book.ends[arrival.life - 1];
                let since = before.ended.unwrap_or_default();
                let all_stopped =
                    (before.life..arrival.life).all(|life| self.book.ends[life].0 == End::Stopped);
                if all_stopped && end == End::Stopped {
                    return Err(format!("{event} went to {to} again after an orderly stop"));
                }
                let first_end = self.book.ends[before.life].1.min(at);
                if first_end.saturating_sub(since) > SETTLED && !self.disk_was_unwell() {
                    return Err(format!(
                        "{event} went to {to} again long after it had been taken"
                    ));
                }
                let again = repeats.entry((arrival.life, arrival.to)).or_default();
                again.insert(&arrival.event);
                let count = again.len();
                if count > FORGOTTEN_MAX + IN_AIR_MAX && !self.disk_was_unwell() {
                    return Err(format!("{count} copies went to {to} again after one crash"));
                }
            }
            if arrival.said.yes() {
                taken.insert(copy, arrival);
            }
        }
        Ok(())
    }

    /// Facts may have found no room, or have been damaged.
    fn disk_was_unwell(&self) -> bool {
        self.damage() > 0 || self.book.had("full")
    }

    /// Copies an operator had a hand in.
    fn excused(&self, event: &str, to: usize) -> bool {
        let copy = (event.to_owned(), to);
        self.book.again.contains_key(&copy) || self.book.unsure.contains(&copy)
    }

    /// What failed before a restart counts after it.
    fn attempts_count_on(&self) -> Result<(), String> {
        let mut last: BTreeMap<(&str, usize), &Arrival> = BTreeMap::new();
        if self.disk_was_unwell() {
            return Ok(());
        }
        for arrival in self.arrivals {
            let copy = (arrival.event.as_str(), arrival.to);
            if self.excused(&arrival.event, arrival.to) {
                continue;
            }
            if let Some(before) = last.get(&copy).filter(|before| before.life < arrival.life) {
                let (end, at) = self.book.ends[before.life];
                let known = end == End::Stopped
                    || before
                        .ended
                        .is_some_and(|ended| at.saturating_sub(ended) > SETTLED);
                if known && before.ended.is_some() && arrival.attempt <= before.attempt {
                    return Err(format!(
                        "{} at {}: attempt {} after {}",
                        short(copy.0),
                        NAMES[copy.1],
                        arrival.attempt,
                        before.attempt
                    ));
                }
            }
            last.insert(copy, arrival);
        }
        Ok(())
    }

    /// P3: within a conversation attempts start in accepted order.
    fn order_holds(&self) -> Result<(), String> {
        let mut rooms: BTreeMap<(usize, usize, u8), Vec<&Arrival>> = BTreeMap::new();
        for arrival in self.arrivals {
            let sent = number(&arrival.body).and_then(|n| self.book.sent.get(&n));
            let Some((sent, room)) = sent.and_then(|sent| Some((sent, sent.room?))) else {
                continue;
            };
            if !self.excused(&arrival.event, arrival.to)
                && self.answers.places.contains_key(&arrival.event)
            {
                rooms
                    .entry((arrival.to, sent.source, room))
                    .or_default()
                    .push(arrival);
            }
        }
        for ((to, ..), arrivals) in rooms {
            let ordered = self.book.ordered.get(&to).copied().unwrap_or(false);
            if ordered {
                self.in_order(to, &arrivals)?;
            }
        }
        Ok(())
    }

    fn in_order(&self, to: usize, arrivals: &[&Arrival]) -> Result<(), String> {
        let place = |arrival: &Arrival| {
            self.answers
                .places
                .get(&arrival.event)
                .copied()
                .unwrap_or(0)
        };
        let at = NAMES[to];
        for (index, later) in arrivals.iter().enumerate() {
            for earlier in &arrivals[..index] {
                if place(earlier) <= place(later) {
                    continue;
                }
                // `later` came later and was accepted earlier.
                let (first, second) = (short(&later.event), short(&earlier.event));
                if earlier.life == later.life {
                    return Err(format!(
                        "{first} went to {at} after {second}, which was accepted later"
                    ));
                }
                let done = arrivals[..index].iter().any(|before| {
                    before.event == later.event
                        && (before.said.yes() || before.said.no_for_good())
                        && before.ended <= Some(earlier.at)
                });
                let may_end =
                    self.book.may_exhaust.contains(&to) || self.book.may_drop.contains(&to);
                if !done && !may_end && !self.died(&later.event, to) {
                    return Err(format!(
                        "{second} went to {at} before {first} was done, in an earlier life"
                    ));
                }
            }
        }
        // One of a conversation at a time.
        for pair in arrivals.windows(2) {
            let (one, next) = (pair[0], pair[1]);
            let free = one.ended.is_some_and(|ended| ended <= next.at) || one.said == Said::Nothing;
            if one.life == next.life && !free {
                return Err(format!(
                    "{} and {} were at {at} at once",
                    short(&one.event),
                    short(&next.event)
                ));
            }
        }
        Ok(())
    }

    /// It has a letter: it may have died of something nobody here saw.
    fn died(&self, event: &str, to: usize) -> bool {
        let copy = (event.to_owned(), to);
        self.answers.letters.contains_key(&copy) || self.book.discarded.contains(&copy)
    }
}

/// The number that a body says.
fn number(body: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(body).ok()?;
    let rest = text.strip_prefix("{\"n\":")?;
    rest.split(',').next()?.parse().ok()
}
