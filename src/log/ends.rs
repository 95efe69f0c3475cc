//! How the writer ends copies: the dead letter first, then the settlement that
//! speaks of it.

use std::io::ErrorKind;
use std::sync::Arc;

use super::account::Account;
use super::dead::{DeadError, Letter};
use super::disk::monotonic;
use super::lock;
use super::record::{EventHead, Fact, Head, Settled, Tag};
use super::state::{Removed, Settling};
use super::writer::{Broken, Writer};
use crate::event::{Action, Event, Offset};
use crate::settle::{Reason, Settlement};

/// Dead letters gathered in memory before they are written.
const LETTERS_AT_ONCE: usize = 64;
/// A delivery's attempts that are looked up for its dead letter.
const HISTORY_MAX: usize = 100;

impl Writer {
    /// Writes an end; a dead one after its letter.
    pub(super) fn settle(&mut self, mut settling: Settling) -> Result<(), Broken> {
        let orphan = self.orphans.remove(&(settling.account.id, settling.at));
        settling.open.last_fact = orphan.or(settling.open.last_fact);
        if let Settlement::Dead(reason) = settling.settlement {
            if self.has_letter(&settling) {
                return self.put_settled(&settling);
            }
            match self.letter(&settling, reason)? {
                Some(letter) => self.batch.dying.push((letter, settling)),
                None => {
                    let (destination, at) = (&settling.account.name, settling.at);
                    tracing::warn!(%destination, %at, "a copy died whose event cannot be read any more");
                    self.put_settled(&settling)?;
                }
            }
            if self.batch.dying.len() >= LETTERS_AT_ONCE {
                self.commit()?;
            }
            return Ok(());
        }
        if settling.at.segment() < self.first_segment {
            self.take_back(&settling)?;
        }
        self.put_settled(&settling)
    }

    /// A power cut may come between a letter and the settlement that speaks of
    /// it; the copy is then pending again. When it dies again, that letter is
    /// its letter: of two, one would be hidden, and come back when the other
    /// was dropped.
    fn has_letter(&self, settling: &Settling) -> bool {
        let former = settling.at.segment() < self.first_segment;
        former && self.shared.dead.has(settling.at, &settling.account.name)
    }

    /// When it does not die after all, its letter goes, and goes first: the
    /// other way round it could stay for ever.
    fn take_back(&mut self, settling: &Settling) -> Result<(), Broken> {
        let dead = &self.shared.dead;
        let Some(letter) = dead.letter_of(settling.at, &settling.account.name) else {
            return Ok(());
        };
        match dead.remove(letter, self.shared.clock.now()) {
            Ok(_) => Ok(()),
            Err(DeadError::Full) => {
                let (destination, at) = (&settling.account.name, settling.at);
                tracing::warn!(%destination, %at, "no room to take back the dead letter of a copy that did not die");
                Ok(())
            }
            Err(DeadError::Broken(error)) => Err(Broken(error)),
        }
    }

    fn put_settled(&mut self, settling: &Settling) -> Result<(), Broken> {
        let fact = Fact::Settled(Settled {
            destination: settling.account.id,
            event: settling.at,
            size: settling.open.size,
            settlement: settling.settlement,
            attempt: settling.attempt.clone(),
            detail: settling.detail.clone(),
        });
        self.put_fact(&fact)?;
        let unsynced = || (Arc::clone(&settling.account), 0);
        self.unsynced
            .entry(settling.account.id)
            .or_insert_with(unsynced)
            .1 += 1;
        lock(&settling.account.state)
            .ledger
            .closing
            .remove(&settling.at);
        Ok(())
    }

    /// The dead letter of a settlement, with the attempts that can still be
    /// found. `None`: the event is damaged.
    fn letter(&self, settling: &Settling, reason: Reason) -> Result<Option<Letter>, Broken> {
        let Some((event, action)) = self.owed_event(settling)? else {
            return Ok(None);
        };
        let mut history = Vec::new();
        let mut next = settling.open.last_fact;
        while let Some(at) = next.filter(|_| history.len() < HISTORY_MAX) {
            let Some(Fact::Retrying(fact)) = self.fact(at)? else {
                break;
            };
            // Damaged bytes never pass, but a chain must not depend on it to end.
            next = fact.previous.filter(|previous| *previous < at);
            history.push(fact.attempt);
        }
        history.reverse();
        history.extend(settling.attempt.clone());
        let tried = settling
            .attempt
            .as_ref()
            .map_or(0, |attempt| attempt.number);
        Ok(Some(Letter {
            owed_at: settling.at,
            destination: settling.account.name.clone(),
            action,
            reason,
            detail: settling.detail.clone(),
            attempts: settling.open.attempts.max(tried),
            history,
            at: self.shared.clock.now(),
            event,
        }))
    }

    fn owed_event(&self, settling: &Settling) -> Result<Option<(Event, Action)>, Broken> {
        let Some((Tag::Event, payload)) = self.record(settling.at)? else {
            return Ok(None);
        };
        let Some(head) = EventHead::read(&payload) else {
            return Ok(None);
        };
        let owed = head
            .owed
            .iter()
            .find(|owed| owed.destination == settling.account.id);
        let action = owed.and_then(|owed| lock(&self.shared.names).action(owed.action));
        Ok(head.event().zip(action))
    }

    fn fact(&self, at: Offset) -> Result<Option<Fact>, Broken> {
        Ok(self
            .record(at)?
            .and_then(|(tag, payload)| Fact::read(tag, &payload)))
    }

    /// A record that is on disk or about to be.
    fn record(&self, at: Offset) -> Result<Option<(Tag, Vec<u8>)>, Broken> {
        let drawn = self
            .frame
            .from(at)
            .zip(self.active.as_ref())
            .and_then(|(bytes, active)| {
                let head = Head::read(bytes, at)?;
                Some((head.tag(), head.check(bytes, active.segment.seed)?.to_vec()))
            });
        if drawn.is_some() {
            return Ok(drawn);
        }
        match self.shared.segment(at.segment()) {
            Some(segment) => Ok(segment.record(at)?),
            None => Ok(None),
        }
    }

    pub(super) fn lose(&mut self, account: &Account, segment: u32) -> Result<(), Broken> {
        // What nobody was told of yet is not lost.
        self.shared.news.tell();
        let lost = {
            let mut state = lock(&account.state);
            let lost = state.lost_in(segment);
            state.ledger.lose(segment, lost);
            lost
        };
        if lost.count > 0 {
            tracing::error!(destination = %account.name, segment, copies = lost.count, "copies were damaged on the disk and settled dead");
            let fact = Fact::Lost {
                destination: account.id,
                segment,
                count: lost.count,
                bytes: lost.bytes,
            };
            self.put_fact(&fact)?;
        }
        Ok(())
    }

    /// What readers passed and did not find while its segment was being
    /// written, or before a crash: nobody comes by there again. A new segment
    /// has begun.
    pub(super) fn lose_passed(&mut self, active: u32) -> Result<(), Broken> {
        self.shared.news.tell();
        for account in self.shared.all_accounts() {
            let passed = lock(&account.state).passed_with_loss(active);
            for segment in passed {
                self.lose(&account, segment)?;
            }
        }
        Ok(())
    }

    /// One step of a removal: a command may not keep the others from the disk
    /// for as long as a backlog is deep.
    pub(super) fn remove(&mut self, account: &Arc<Account>) -> Result<Removed, Broken> {
        let (open, more) = account.take_open(&self.shared, LETTERS_AT_ONCE)?;
        let mut removed = Removed { settled: 0, more };
        for at in open {
            let reason = Settlement::Dead(Reason::DestinationRemoved);
            if let Some(settling) = account.settle(at, reason, None, String::new()) {
                removed.settled += 1;
                self.settle(settling)?;
            }
        }
        Ok(removed)
    }

    /// Writes the dead letters of this batch, then the ends that waited for
    /// them.
    pub(super) fn bury(&mut self) -> Result<(), Broken> {
        if self.batch.dying.is_empty() && self.letters.is_empty() {
            return Ok(());
        }
        let (letters, dying): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.batch.dying).into_iter().unzip();
        let births = self.letters.len();
        self.letters.extend(letters);
        let now = self.shared.clock.now();
        match self.shared.dead.add(&self.letters, now) {
            Ok(()) => {
                self.letters.clear();
                return dying
                    .iter()
                    .try_for_each(|settling| self.put_settled(settling));
            }
            Err(DeadError::Broken(error)) => return Err(Broken(error)),
            Err(DeadError::Full) => {}
        }
        let waiting = dying.len();
        tracing::warn!(waiting, "no room for dead letters; trying again");
        self.deferred.extend(dying);
        // Those that died at birth have their room, or the disk lies.
        self.letters.truncate(births);
        match self.shared.dead.add(&self.letters, now) {
            Ok(()) => self.letters.clear(),
            Err(DeadError::Full) => return Err(Broken(ErrorKind::StorageFull.into())),
            Err(DeadError::Broken(error)) => return Err(Broken(error)),
        }
        Ok(())
    }

    pub(super) fn retry_deferred(&mut self) -> Result<(), Broken> {
        self.deferred_tried_at = monotonic();
        for settling in std::mem::take(&mut self.deferred) {
            self.settle(settling)?;
        }
        Ok(())
    }
}
