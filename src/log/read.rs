//! Questions to the log: what came in, and what became of it. All of it
//! blocks; `Log` asks from threads that may.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use super::dead::{Doubt, Letter, Span};
use super::record::{EventHead, Fact, Settled, Tag};
use super::segment::{FIRST, Segment};
use super::state::Shared;
use super::walk::Met;
use super::{Attempt, Stored, lock, read};
use crate::clock::Timestamp;
use crate::event::{
    Action, DestinationName, Event, EventId, EventType, Key, Kind, Offset, Owed, SourceName,
};
use crate::route::glob_matches;
use crate::settle::{Reason, Settlement};

/// A filter of `events`, `dead` and `replay`.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub destination: Option<DestinationName>,
    pub source: Option<SourceName>,
    /// A glob.
    pub event_type: Option<String>,
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
    /// A glob.
    pub key: Option<String>,
    pub reason: Option<Reason>,
}

/// A dead letter without its body.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// Position in the dead-letter log; what the API calls its id.
    pub id: Offset,
    pub event: EventId,
    pub source: SourceName,
    pub kind: Kind,
    pub event_type: EventType,
    pub key: Option<Key>,
    pub destination: DestinationName,
    pub action: Action,
    pub reason: Reason,
    pub detail: String,
    /// All attempts of its obligation.
    pub attempts: u32,
    pub at: Timestamp,
}

/// What happened to one copy of an event.
#[derive(Clone, Debug)]
pub struct DeliveryHistory {
    pub destination: DestinationName,
    pub action: Action,
    /// `None`: still pending.
    pub settlement: Option<Settlement>,
    pub detail: String,
    pub attempts: Vec<Attempt>,
}

/// An event as its record holds it.
pub(super) fn stored(shared: &Shared, at: Offset, head: &EventHead<'_>) -> Option<Stored> {
    let names = lock(&shared.names);
    let owed = head.owed.iter().filter_map(|owed| {
        Some(Owed {
            destination: names.destination(owed.destination)?,
            action: names.action(owed.action)?,
        })
    });
    let owed = owed.collect();
    drop(names);
    Some(Stored {
        offset: at,
        event: head.event()?,
        owed,
        origin: head.origin,
    })
}

/// What a filter takes.
struct Sieve<'a> {
    filter: &'a Filter,
}

impl<'a> Sieve<'a> {
    fn new(filter: &'a Filter) -> Self {
        Self { filter }
    }

    fn takes_time(&self, at: Timestamp) -> bool {
        self.filter.since.is_none_or(|since| at >= since)
            && self.filter.until.is_none_or(|until| at <= until)
    }

    fn takes_event(&self, event: &Event) -> bool {
        self.filter
            .source
            .as_ref()
            .is_none_or(|source| *source == event.source)
            && self.takes_key(event.key.as_ref())
            && self
                .filter
                .event_type
                .as_deref()
                .is_none_or(|wanted| glob_matches(wanted, event.event_type.as_str()))
    }

    fn takes_key(&self, key: Option<&Key>) -> bool {
        let wanted = self.filter.key.as_deref();
        wanted.is_none_or(|wanted| key.is_some_and(|key| glob_matches(wanted, key.as_str())))
    }

    fn takes_stored(&self, stored: &Stored) -> bool {
        let wanted = |owed: &Owed| {
            self.filter
                .destination
                .as_ref()
                .is_none_or(|name| *name == owed.destination)
        };
        self.takes_time(stored.event.accepted_at)
            && self.takes_event(&stored.event)
            && (self.filter.destination.is_none() || stored.owed.iter().any(wanted))
    }
}

/// Newest first. A reason means nothing to an event and is not looked at.
pub(super) fn events(
    shared: &Shared,
    filter: &Filter,
    before: Option<Offset>,
    limit: usize,
) -> io::Result<Vec<Arc<Stored>>> {
    let sieve = Sieve::new(filter);
    let before = before.unwrap_or(Offset(u64::MAX));
    let segments: Vec<Arc<Segment>> = read(&shared.segments)
        .range(..=before.segment())
        .rev()
        .map(|(_, segment)| Arc::clone(segment))
        .collect();
    let mut found = Vec::new();
    for segment in segments {
        if found.len() >= limit {
            break;
        }
        if !segment.may_hold(filter.since, filter.until) {
            continue;
        }
        // The newest of a segment come last: keep as many as are still wanted.
        let wanted = limit - found.len();
        let mut last = VecDeque::new();
        each(shared, &segment, |at, tag, payload| {
            if tag != Tag::Event || at >= before {
                return;
            }
            let candidate =
                EventHead::read(payload).filter(|head| sieve.takes_time(head.accepted_at));
            let Some(stored) = candidate.and_then(|head| stored(shared, at, &head)) else {
                return;
            };
            if sieve.takes_stored(&stored) {
                last.push_back(Arc::new(stored));
                if last.len() > wanted {
                    last.pop_front();
                }
            }
        })?;
        found.extend(last.into_iter().rev());
    }
    Ok(found)
}

/// Every obligation of an event, with what happened to its copies.
pub(super) fn event(
    shared: &Shared,
    id: EventId,
) -> io::Result<Vec<(Arc<Stored>, Vec<DeliveryHistory>)>> {
    let at = Some(id.accepted_at());
    let segments: Vec<Arc<Segment>> = read(&shared.segments).values().cloned().collect();
    let mut found = Vec::new();
    for segment in segments.iter().filter(|segment| segment.may_hold(at, at)) {
        each(shared, segment, |at, tag, payload| {
            if tag == Tag::Event {
                let head = EventHead::read(payload).filter(|head| head.id == id);
                found.extend(head.and_then(|head| {
                    Some((Arc::new(stored(shared, at, &head)?), dead_at_birth(&head)))
                }));
            }
        })?;
    }
    found
        .into_iter()
        .map(|(stored, born_dead)| {
            Ok((
                Arc::clone(&stored),
                history(shared, &segments, &stored, &born_dead)?,
            ))
        })
        .collect()
}

fn dead_at_birth(head: &EventHead<'_>) -> Vec<u32> {
    head.owed
        .iter()
        .filter(|owed| owed.born_dead)
        .map(|owed| owed.destination)
        .collect()
}

/// Folds the facts about one event, from where it lies to the tail.
fn history(
    shared: &Shared,
    segments: &[Arc<Segment>],
    stored: &Stored,
    born_dead: &[u32],
) -> io::Result<Vec<DeliveryHistory>> {
    let number = |owed: &Owed| {
        read(&shared.accounts)
            .get(&owed.destination)
            .map(|account| account.id)
    };
    let mut copies: Vec<(Option<u32>, DeliveryHistory)> = stored
        .owed
        .iter()
        .map(|owed| {
            let number = number(owed);
            let dead = number.is_some_and(|number| born_dead.contains(&number));
            let copy = DeliveryHistory {
                destination: owed.destination.clone(),
                action: owed.action.clone(),
                settlement: dead.then_some(Settlement::Dead(Reason::BacklogFull)),
                detail: String::new(),
                attempts: Vec::new(),
            };
            (number, copy)
        })
        .collect();
    let from = stored.offset;
    for segment in segments
        .iter()
        .filter(|s| s.id >= from.segment() && s.speaks_of(from))
    {
        each(shared, segment, |_, tag, payload| {
            if !matches!(tag, Tag::Retrying | Tag::Settled) {
                return;
            }
            match Fact::read(tag, payload) {
                Some(Fact::Retrying(fact)) if fact.event == from => {
                    let copy = copies
                        .iter_mut()
                        .find(|(number, _)| *number == Some(fact.destination));
                    if let Some((_, copy)) = copy {
                        copy.attempts.push(fact.attempt);
                    }
                }
                Some(Fact::Settled(fact)) if fact.event == from => {
                    let copy = copies
                        .iter_mut()
                        .find(|(number, _)| *number == Some(fact.destination));
                    if let Some((_, copy)) = copy {
                        settled(copy, fact);
                    }
                }
                _ => {}
            }
        })?;
    }
    Ok(copies.into_iter().map(|(_, copy)| copy).collect())
}

/// The first end counts.
fn settled(copy: &mut DeliveryHistory, fact: Settled) {
    if copy.settlement.is_none() {
        copy.settlement = Some(fact.settlement);
        copy.detail = fact.detail;
        copy.attempts.extend(fact.attempt);
    }
}

/// The letters of a span that a filter takes.
pub(super) fn dead(
    shared: &Shared,
    filter: &Filter,
    span: Span,
    limit: usize,
) -> io::Result<Vec<DeadLetter>> {
    let mut found = Vec::new();
    each_dead(shared, filter, span, limit, |id, letter| {
        // It may have left the list since it was looked at.
        if let Some(letter) = letter.map_or_else(|| shared.dead.letter(id), |it| Ok(Some(it)))? {
            found.push(letter.summary(id));
        }
        Ok(found.len() < limit)
    })?;
    Ok(found)
}

/// How many letters a filter takes.
pub(super) fn dead_count(shared: &Shared, filter: &Filter) -> io::Result<u64> {
    let mut count = 0;
    each_dead(shared, filter, Span::default(), usize::MAX, |_, _| {
        count += 1;
        Ok(true)
    })?;
    Ok(count)
}

/// Visits what a filter takes until that is told `false`; with the letter,
/// where it had to be read to tell.
fn each_dead(
    shared: &Shared,
    filter: &Filter,
    mut span: Span,
    limit: usize,
    mut visit: impl FnMut(Offset, Option<Letter>) -> io::Result<bool>,
) -> io::Result<()> {
    let sieve = Sieve::new(filter);
    loop {
        let looked = shared.dead.look(filter, span, limit);
        for (id, doubt) in looked.found {
            let letter = match doubt {
                Doubt::None => None,
                Doubt::Key => match shared.dead.letter(id)? {
                    Some(letter) if sieve.takes_event(&letter.event) => Some(letter),
                    _ => continue,
                },
            };
            if !visit(id, letter)? {
                return Ok(());
            }
        }
        match looked.last {
            None => return Ok(()),
            Some(last) if span.newest_first => span.before = Some(last),
            Some(last) => span.after = Some(last),
        }
    }
}

/// A dead letter with its event and attempts.
type Told = (DeadLetter, Arc<Stored>, Vec<Attempt>);

/// One letter in full.
pub(super) fn dead_letter(shared: &Shared, id: Offset) -> io::Result<Option<Told>> {
    Ok(shared.dead.letter(id)?.map(|letter| {
        let summary = letter.summary(id);
        let owed = vec![Owed {
            destination: letter.destination,
            action: letter.action,
        }];
        let origin = super::Origin::Accepted;
        (
            summary,
            Arc::new(Stored {
                offset: letter.owed_at,
                event: letter.event,
                owed,
                origin,
            }),
            letter.history,
        )
    }))
}

/// Every whole record of what is committed in a segment.
fn each(
    shared: &Shared,
    segment: &Segment,
    mut visit: impl FnMut(Offset, Tag, &[u8]),
) -> io::Result<()> {
    let tail = shared.tail();
    let end = if segment.id == tail.segment() {
        tail
    } else {
        segment.end()
    };
    let mut walk = segment.walk_around(FIRST, end.position());
    while let Some(met) = walk.next()? {
        match met {
            Met::Record {
                at, tag, payload, ..
            } => visit(at, tag, payload),
            Met::Damaged { .. } => shared.report_damage(segment, &met),
        }
    }
    Ok(())
}
