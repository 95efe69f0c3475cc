//! Records in words: numbers become the names they stand for.

use std::collections::HashMap;

use super::{Entry, OwedTo};
use crate::event::{Event, Offset};
use crate::log::Origin;
use crate::log::dead::Letter;
use crate::log::record::{EventHead, Fact, In, Name, OwedEntry, Tag};
use crate::settle::Settlement;

/// What numbers stand for.
#[derive(Debug, Default)]
pub(super) struct Words {
    destinations: HashMap<u32, String>,
    actions: HashMap<u32, String>,
}

impl Words {
    pub(super) fn learn(&mut self, name: &Name) {
        match name {
            Name::Destination(number, name) => self.destinations.insert(*number, name.to_string()),
            Name::Action(number, action) => self.actions.insert(*number, action.name.to_string()),
        };
    }

    fn destination(&self, number: u32) -> String {
        self.destinations
            .get(&number)
            .cloned()
            .unwrap_or_else(|| format!("unknown-{number}"))
    }

    fn owed(&self, entry: &OwedEntry) -> OwedTo {
        OwedTo {
            destination: self.destination(entry.destination),
            action: self
                .actions
                .get(&entry.action)
                .cloned()
                .unwrap_or_else(|| format!("unknown-{}", entry.action)),
            born_dead: entry.born_dead,
        }
    }

    pub(super) fn entry(&mut self, offset: Offset, tag: Tag, payload: &[u8]) -> Option<Entry> {
        match tag {
            Tag::Event => {
                let head = EventHead::read(payload)?;
                let event = head.event()?;
                let owed = head.owed.iter().map(|entry| self.owed(&entry)).collect();
                Some(told(offset, event, head.origin, owed))
            }
            Tag::Letter => {
                let letter = Letter::read(payload)?;
                Some(Entry::DeadLetter {
                    offset,
                    event: letter.event.id,
                    destination: letter.destination.to_string(),
                    action: letter.action.name.to_string(),
                    reason: letter.reason,
                    detail: letter.detail,
                    attempts: letter.attempts,
                    at: letter.at,
                    body_bytes: letter.event.body.len(),
                    body_crc32c: crc32c::crc32c(&letter.event.body),
                })
            }
            Tag::Gone => Some(Entry::Gone {
                offset,
                letter: Offset(In(payload).u64()?),
            }),
            _ => Some(self.fact(offset, Fact::read(tag, payload)?)),
        }
    }

    fn fact(&mut self, offset: Offset, fact: Fact) -> Entry {
        match fact {
            Fact::Names(names) => {
                names.iter().for_each(|name| self.learn(name));
                Entry::Names {
                    offset,
                    count: names.len(),
                }
            }
            Fact::Retrying(fact) => Entry::Retrying {
                offset,
                event: fact.event,
                destination: self.destination(fact.destination),
                not_before: fact.not_before,
                attempt: fact.attempt,
            },
            Fact::Settled(fact) => Entry::Settled {
                offset,
                event: fact.event,
                destination: self.destination(fact.destination),
                settlement: fact.settlement.label(),
                reason: match fact.settlement {
                    Settlement::Dead(reason) => Some(reason),
                    Settlement::Delivered | Settlement::Dropped => None,
                },
                attempt: fact.attempt,
                detail: fact.detail,
            },
            Fact::Paused {
                destination,
                paused,
            } => Entry::Paused {
                offset,
                destination: self.destination(destination),
                paused,
            },
            Fact::Lost {
                destination,
                segment,
                count,
                ..
            } => Entry::Lost {
                offset,
                destination: self.destination(destination),
                segment,
                copies: count,
            },
            Fact::Duplicates { source, count } => Entry::Duplicates {
                offset,
                source,
                count,
            },
        }
    }
}

fn told(offset: Offset, event: Event, origin: Origin, owed: Vec<OwedTo>) -> Entry {
    Entry::Event {
        offset,
        id: event.id,
        source: event.source,
        event_type: event.event_type,
        key: event.key,
        accepted_at: event.accepted_at,
        origin,
        owed,
        body_bytes: event.body.len(),
        body_crc32c: crc32c::crc32c(&event.body),
    }
}
