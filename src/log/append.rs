//! How the writer takes in events: seen before, within the budgets, room on
//! the disk; then drawn, all events of one webhook or none.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::account::{Account, AccountState};
use super::dead::{DeadError, Letter};
use super::dedupe::{self, Seen};
use super::news::Published;
use super::record::{OwedEntry, Tag, size_of, write_event};
use super::state::Reply;
use super::writer::{Broken, Writer};
use super::{Accepted, AppendError, Origin, Receipt, Stored, WhenFull, lock};
use crate::clock::Timestamp;
use crate::event::{Event, EventId, Offset, Owed, SourceName};
use crate::settle::{Reason, Settlement};

/// An event that is not a duplicate, with the accounts of its copies.
struct Fresh {
    event: Event,
    seen: Option<Seen>,
    size: u32,
    copies: Vec<(Arc<Account>, Owed)>,
}

impl Writer {
    pub(super) fn append(
        &mut self,
        events: Vec<Accepted>,
        origin: Origin,
        reply: Reply<Vec<Receipt>>,
    ) -> Result<(), Broken> {
        if reply.is_closed() {
            // Its sender was told no already, and will come again.
            return Ok(());
        }
        match self.take_in(events, origin)? {
            Ok(receipts) => self.batch.told.receipts.push((reply, receipts)),
            Err(error) => drop(reply.send(Err(error))),
        }
        Ok(())
    }

    /// Draws the events; they are durable after the next commit.
    fn take_in(
        &mut self,
        events: Vec<Accepted>,
        origin: Origin,
    ) -> Result<Result<Vec<Receipt>, AppendError>, Broken> {
        let now = self.shared.clock.now();
        let mut receipts = Vec::with_capacity(events.len());
        let mut fresh: Vec<Fresh> = Vec::with_capacity(events.len());
        let mut here: HashMap<Seen, EventId> = HashMap::new();
        let mut duplicates: Vec<SourceName> = Vec::new();
        for Accepted { event, owed } in events {
            let vendor_id = event
                .vendor_id
                .as_ref()
                .filter(|_| origin == Origin::Accepted);
            let seen = vendor_id.map(|id| dedupe::key(event.source.as_str(), id.as_str()));
            let first = seen.and_then(|seen| {
                self.dedupe
                    .get(&seen, now)
                    .or_else(|| here.get(&seen).copied())
            });
            if let Some(id) = first {
                receipts.push(Receipt {
                    id,
                    duplicate: true,
                    deliveries: 0,
                });
                duplicates.push(event.source);
                continue;
            }
            here.extend(seen.map(|seen| (seen, event.id)));
            let copies = self.copies(owed);
            receipts.push(Receipt {
                id: event.id,
                duplicate: false,
                deliveries: copies.len(),
            });
            fresh.push(Fresh {
                size: size_of(&event),
                event,
                seen,
                copies,
            });
        }
        let beyond: Vec<Beyond<'_>> = beyond(&fresh).collect();
        if let Err(error) = admit(&beyond, origin) {
            return Ok(Err(error));
        }
        let letters = letters_max(&beyond);
        if !fresh.is_empty() {
            if !self.room_for(fresh.iter().map(Fresh::bytes_max).sum())? {
                return Ok(Err(AppendError::DiskFull));
            }
            if !self.room_for_letters(letters, now)? {
                self.say_full(true);
                return Ok(Err(AppendError::DiskFull));
            }
            self.draw(fresh, origin, now)?;
        }
        self.count_duplicates(duplicates)?;
        Ok(Ok(receipts))
    }

    /// Keeps room for the letters of copies that will be dead at birth: an
    /// event is not taken whose letters might find none.
    fn room_for_letters(&self, bytes: u64, now: Timestamp) -> Result<bool, Broken> {
        if bytes == 0 {
            return Ok(true);
        }
        match self.shared.dead.reserve(bytes, now) {
            Ok(()) => Ok(true),
            Err(DeadError::Full) => Ok(false),
            Err(DeadError::Broken(error)) => Err(Broken(error)),
        }
    }

    /// The accounts of an event's copies; one destination gets one.
    fn copies(&self, owed: Vec<Owed>) -> Vec<(Arc<Account>, Owed)> {
        let mut copies: Vec<(Arc<Account>, Owed)> = Vec::with_capacity(owed.len());
        for owed in owed {
            let account = self.shared.account(&owed.destination);
            if !copies.iter().any(|(have, _)| have.id == account.id) {
                copies.push((account, owed));
            }
        }
        copies
    }

    fn draw(&mut self, fresh: Vec<Fresh>, origin: Origin, now: Timestamp) -> Result<(), Broken> {
        let entries: Vec<Vec<OwedEntry>> = fresh.iter().map(|fresh| self.entries(fresh)).collect();
        self.put_new_names()?;
        let group = (fresh.len() > 1).then(|| self.frame.open_group());
        for (fresh, mut entries) in fresh.into_iter().zip(entries) {
            let at = self.frame.here();
            for (entry, (account, owed)) in entries.iter_mut().zip(&fresh.copies) {
                entry.born_dead = self.owe(account, owed, at, &fresh, now);
            }
            let event = &fresh.event;
            let draw = |out: &mut super::record::Out<'_>| write_event(out, event, origin, &entries);
            match group {
                Some(_) => self.frame.put_inner(Tag::Event, draw),
                None => self.frame.put(Tag::Event, draw),
            };
            self.take_note(fresh, &entries, origin, at, now);
        }
        if let Some(group) = group {
            self.frame.close_group(group);
        }
        Ok(())
    }

    fn entries(&self, fresh: &Fresh) -> Vec<OwedEntry> {
        let mut names = lock(&self.shared.names);
        let entry = |(account, owed): &(Arc<Account>, Owed)| OwedEntry {
            destination: account.id,
            action: names.number(&owed.action),
            born_dead: false,
        };
        fresh.copies.iter().map(entry).collect()
    }

    /// Enters a copy into its account. `true`: its budget is full, and it is
    /// settled dead already.
    fn owe(
        &mut self,
        account: &Arc<Account>,
        owed: &Owed,
        at: Offset,
        fresh: &Fresh,
        now: Timestamp,
    ) -> bool {
        let mut state = lock(&account.state);
        let over = is_over(&state, 1, u64::from(fresh.size));
        let rule = state.budget.map(|budget| budget.when_full).filter(|_| over);
        if rule == Some(WhenFull::DeadLetter) {
            let settlement = Settlement::Dead(Reason::BacklogFull);
            state.ledger.owe_settled(settlement);
            drop(state);
            self.letters
                .push(death_at_birth(account, owed, at, &fresh.event, now));
            return true;
        }
        state.owe(at, fresh.size, fresh.event.accepted_at);
        drop(state);
        if rule == Some(WhenFull::DropOldest) {
            self.batch.over.push(Arc::clone(account));
        }
        false
    }

    /// Remembers a drawn event for when it is durable.
    fn take_note(
        &mut self,
        fresh: Fresh,
        entries: &[OwedEntry],
        origin: Origin,
        at: Offset,
        now: Timestamp,
    ) {
        let Fresh {
            event,
            seen,
            size,
            copies,
        } = fresh;
        if origin == Origin::Accepted {
            let mut sources = lock(&self.shared.sources);
            let totals = sources.entry(event.source.clone()).or_default();
            totals.accepted += 1;
            totals.unrouted += u64::from(copies.is_empty());
        }
        if let Some(seen) = seen {
            self.dedupe.remember(seen, event.id);
        }
        if let Some(active) = &self.active {
            active.segment.saw_event(event.accepted_at, now);
        }
        let mut targets = Vec::with_capacity(copies.len());
        let mut owed = Vec::with_capacity(copies.len());
        for (place, ((account, copy), entry)) in copies.into_iter().zip(entries).enumerate() {
            owed.push(copy);
            if !entry.born_dead {
                targets.push((account, place));
            }
        }
        let stored = Arc::new(Stored {
            offset: at,
            event,
            owed,
            origin,
        });
        self.batch.told.events.push(Arc::new(Published {
            stored,
            next: self.frame.here(),
            size,
            targets,
        }));
    }

    fn count_duplicates(&mut self, sources: Vec<SourceName>) -> Result<(), Broken> {
        let mut counts: BTreeMap<SourceName, u64> = BTreeMap::new();
        for source in sources {
            *counts.entry(source).or_default() += 1;
        }
        for (source, count) in counts {
            lock(&self.shared.sources)
                .entry(source.clone())
                .or_default()
                .duplicate += count;
            self.put_fact(&super::record::Fact::Duplicates { source, count })?;
        }
        Ok(())
    }

    /// A new obligation for a dead letter; then the letter goes.
    pub(super) fn dead_retry(&mut self, id: Offset, reply: Reply<bool>) -> Result<(), Broken> {
        let Some(letter) = self.shared.dead.letter(id)? else {
            drop(reply.send(Ok(false)));
            return Ok(());
        };
        let owed = vec![Owed {
            destination: letter.destination,
            action: letter.action,
        }];
        let taken = self.take_in(
            vec![Accepted {
                event: letter.event,
                owed,
            }],
            Origin::Retried,
        )?;
        if let Err(error) = taken {
            drop(reply.send(Err(error)));
            return Ok(());
        }
        self.commit()?;
        self.dead_drop(id, reply)
    }

    pub(super) fn dead_drop(&mut self, id: Offset, reply: Reply<bool>) -> Result<(), Broken> {
        let answer = match self.shared.dead.remove(id, self.shared.clock.now()) {
            Ok(was_there) => Ok(was_there),
            Err(DeadError::Full) => Err(AppendError::DiskFull),
            Err(DeadError::Broken(error)) => return Err(Broken(error)),
        };
        drop(reply.send(answer));
        Ok(())
    }

    pub(super) fn say_full(&self, full: bool) {
        if self.shared.full.swap(full, Ordering::Relaxed) != full {
            if full {
                tracing::warn!("no room on the disk: events are refused, deliveries go on");
            } else {
                tracing::info!("room on the disk again");
            }
        }
    }
}

impl Fresh {
    /// What it takes at most: its record, its part of a group's, and names
    /// that are new.
    fn bytes_max(&self) -> usize {
        let event = &self.event;
        let texts = [
            event.source.as_str().len(),
            event.kind.as_str().len(),
            event.event_type.as_str().len(),
        ];
        let maybe = [
            event.key.as_ref().map_or(0, |key| key.as_str().len()),
            event.vendor_id.as_ref().map_or(0, |id| id.as_str().len()),
            event.user.as_ref().map_or(0, |user| user.len()),
        ];
        let names: usize = self
            .copies
            .iter()
            .map(|(account, owed)| {
                account.name.as_str().len() + owed.action.name.len() + owed.action.with.len()
            })
            .sum();
        let fixed = 256 + event.headers.len() * 8 + self.copies.len() * 64;
        fixed + self.size as usize + texts.iter().chain(&maybe).sum::<usize>() + names
    }
}

/// The letter of a copy that found its account's budget full.
fn death_at_birth(
    account: &Account,
    owed: &Owed,
    at: Offset,
    event: &Event,
    now: Timestamp,
) -> Letter {
    Letter {
        owed_at: at,
        destination: account.name.clone(),
        action: owed.action.clone(),
        reason: Reason::BacklogFull,
        detail: "the backlog was full when the event came".to_owned(),
        attempts: 0,
        history: Vec::new(),
        at: now,
        event: event.clone(),
    }
}

/// Whether a destination says no to the whole webhook. What an operator asks
/// for is refused too rather than turned into another dead letter.
fn admit(beyond: &[Beyond<'_>], origin: Origin) -> Result<(), AppendError> {
    let refuses = |when_full| match when_full {
        WhenFull::Reject => true,
        WhenFull::DeadLetter => origin != Origin::Accepted,
        WhenFull::DropOldest => false,
    };
    match beyond.iter().find(|(_, _, when_full)| refuses(*when_full)) {
        Some((account, _, _)) => Err(AppendError::BacklogFull(account.name.clone())),
        None => Ok(()),
    }
}

/// What the letters of copies that die at birth take, at most.
fn letters_max(beyond: &[Beyond<'_>]) -> u64 {
    (beyond.iter())
        .filter(|(_, _, when_full)| *when_full == WhenFull::DeadLetter)
        .map(|(_, fresh, _)| (fresh.bytes_max() + LETTER_BYTES) as u64)
        .sum()
}

/// What a letter takes besides its event, and more.
const LETTER_BYTES: usize = 256;

/// A copy beyond its account's budget.
type Beyond<'a> = (&'a Account, &'a Fresh, WhenFull);

/// The copies beyond their account's budget, if all before them stay.
fn beyond(fresh: &[Fresh]) -> impl Iterator<Item = Beyond<'_>> {
    let mut asked: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
    let copies = fresh.iter().flat_map(|fresh| {
        fresh
            .copies
            .iter()
            .map(move |(account, _)| (account, fresh))
    });
    copies.filter_map(move |(account, fresh)| {
        let state = lock(&account.state);
        let when_full = state.budget?.when_full;
        let (events, bytes) = asked.entry(account.id).or_default();
        *events += 1;
        *bytes += u64::from(fresh.size);
        is_over(&state, *events, *bytes).then_some((&**account, fresh, when_full))
    })
}

/// Whether so much more would be beyond an account's budget.
pub(super) fn is_over(state: &AccountState, events: u64, bytes: u64) -> bool {
    state.budget.is_some_and(|budget| {
        state.ledger.pending() + events > budget.events_max
            || state.ledger.pending_bytes + bytes > budget.bytes_max
    })
}
