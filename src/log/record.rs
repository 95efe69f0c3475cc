//! What records say: an event with the copies it owes, and the facts about
//! them. `frame` draws the bytes around it.

use std::sync::Arc;

use bytes::Bytes;

pub(super) use super::frame::{Frame, HEADER, Head, In, Out, Tag};
use super::{Attempt, Origin};
use crate::clock::Timestamp;
use crate::event::{
    Action, DestinationName, Direction, Event, EventId, Offset, SourceName, VendorId,
};
use crate::settle::{Reason, Settlement};

/// What an attempt's detail and a settlement's detail are cut to.
pub(super) const DETAIL_BYTES_MAX: usize = 500;

/// One copy as an event's record lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OwedEntry {
    pub(super) destination: u32,
    pub(super) action: u32,
    /// Settled in the moment it was accepted, because its budget was full.
    pub(super) born_dead: bool,
}

/// What the ledgers want to know of an event, without its body.
#[derive(Clone, Debug)]
pub(super) struct EventHead<'a> {
    pub(super) id: EventId,
    pub(super) accepted_at: Timestamp,
    /// Body and header bytes.
    pub(super) size: u32,
    hops: u8,
    direction: Option<Direction>,
    pub(super) origin: Origin,
    pub(super) owed: OwedList<'a>,
    pub(super) source: &'a str,
    pub(super) vendor_id: Option<&'a str>,
    rest: In<'a>,
}

/// The copies of an event, still as bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct OwedList<'a>(&'a [u8]);

impl OwedList<'_> {
    pub(super) fn iter(self) -> impl Iterator<Item = OwedEntry> {
        self.0.chunks_exact(OWED_BYTES).filter_map(|chunk| {
            let mut input = In(chunk);
            Some(OwedEntry {
                destination: input.u32()?,
                action: input.u32()?,
                born_dead: input.u8()? != 0,
            })
        })
    }
}

const OWED_BYTES: usize = 9;

/// What an event counts for in a backlog: its body and headers, in bytes.
pub(super) fn size_of(event: &Event) -> u32 {
    let headers: usize = event
        .headers
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    u32::try_from(event.body.len() + headers).unwrap_or(u32::MAX)
}

pub(super) fn write_event(out: &mut Out<'_>, event: &Event, origin: Origin, owed: &[OwedEntry]) {
    out.raw(&event.id.to_bytes());
    out.at(event.accepted_at);
    out.u32(size_of(event));
    out.u8(event.hops);
    out.u8(match event.direction {
        None => 0,
        Some(Direction::Incoming) => 1,
        Some(Direction::Outgoing) => 2,
        Some(Direction::System) => 3,
    });
    out.u8(match origin {
        Origin::Accepted => 0,
        Origin::Retried => 1,
        Origin::Replayed => 2,
    });
    out.count(owed.len());
    for entry in owed {
        out.u32(entry.destination);
        out.u32(entry.action);
        out.u8(u8::from(entry.born_dead));
    }
    out.text(event.source.as_str());
    out.maybe_text(event.vendor_id.as_ref().map(VendorId::as_str));
    out.text(event.kind.as_str());
    out.text(event.event_type.as_str());
    out.maybe_text(event.key.as_ref().map(crate::event::Key::as_str));
    out.maybe_text(event.user.as_deref());
    out.count(event.headers.len());
    for (name, value) in &event.headers {
        out.text(name);
        out.text(value);
    }
    out.bytes(&event.body);
}

impl<'a> EventHead<'a> {
    pub(super) fn read(payload: &'a [u8]) -> Option<Self> {
        let mut input = In(payload);
        let id = EventId::from_bytes(input.id()?);
        let accepted_at = input.at()?;
        let size = input.u32()?;
        let hops = input.u8()?;
        let direction = match input.u8()? {
            0 => None,
            1 => Some(Direction::Incoming),
            2 => Some(Direction::Outgoing),
            3 => Some(Direction::System),
            _ => return None,
        };
        let origin = match input.u8()? {
            0 => Origin::Accepted,
            1 => Origin::Retried,
            2 => Origin::Replayed,
            _ => return None,
        };
        let count = input.count(OWED_BYTES)?;
        let owed = OwedList(input.take(count * OWED_BYTES)?);
        let source = input.text()?;
        let vendor_id = input.maybe_text()?;
        Some(Self {
            id,
            accepted_at,
            size,
            hops,
            direction,
            origin,
            owed,
            source,
            vendor_id,
            rest: input,
        })
    }

    /// Its type and its key.
    pub(super) fn type_and_key(&self) -> Option<(&'a str, Option<&'a str>)> {
        let mut input = self.rest;
        let _kind = input.text()?;
        Some((input.text()?, input.maybe_text()?))
    }

    /// The event in full.
    pub(super) fn event(&self) -> Option<Event> {
        let mut input = self.rest;
        let kind = input.text()?.into();
        let event_type = input.text()?.into();
        let key = input.maybe_text()?.map(Into::into);
        let user = input.maybe_text()?.map(Arc::from);
        let count = input.count(8)?;
        let mut headers = Vec::with_capacity(count);
        for _ in 0..count {
            headers.push((Arc::from(input.text()?), Arc::from(input.text()?)));
        }
        let body = Bytes::copy_from_slice(input.bytes()?);
        input.end()?;
        Some(Event {
            id: self.id,
            source: SourceName::from(self.source),
            kind,
            event_type,
            key,
            vendor_id: self.vendor_id.map(Into::into),
            direction: self.direction,
            user,
            accepted_at: self.accepted_at,
            hops: self.hops,
            headers,
            body,
        })
    }
}

/// A number and what it stands for in this log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Name {
    Destination(u32, DestinationName),
    Action(u32, Action),
}

impl Name {
    pub(super) fn write(&self, out: &mut Out<'_>) {
        match self {
            Self::Destination(number, name) => {
                out.u8(0);
                out.u32(*number);
                out.text(name.as_str());
                out.text("");
            }
            Self::Action(number, action) => {
                out.u8(1);
                out.u32(*number);
                out.text(&action.name);
                out.text(&action.with);
            }
        }
    }

    pub(super) fn read(input: &mut In<'_>) -> Option<Self> {
        let tag = input.u8()?;
        let number = input.u32()?;
        let (name, with) = (input.text()?, input.text()?);
        match tag {
            0 => Some(Self::Destination(number, name.into())),
            1 => Some(Self::Action(
                number,
                Action {
                    name: name.into(),
                    with: with.into(),
                },
            )),
            _ => None,
        }
    }
}

/// A fact about a copy: everything in the log that is not an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fact {
    Names(Vec<Name>),
    Retrying(Retrying),
    Settled(Settled),
    Paused {
        destination: u32,
        paused: bool,
    },
    /// Copies that could not be read any more and were settled dead.
    Lost {
        destination: u32,
        segment: u32,
        count: u32,
        bytes: u64,
    },
    Duplicates {
        source: SourceName,
        count: u64,
    },
}

/// An attempt failed; another will follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Retrying {
    pub(super) destination: u32,
    pub(super) event: Offset,
    pub(super) size: u32,
    pub(super) accepted_at: Timestamp,
    pub(super) first_at: Timestamp,
    pub(super) not_before: Timestamp,
    /// The record of the attempt before this one.
    pub(super) previous: Option<Offset>,
    pub(super) attempt: Attempt,
}

/// A copy's end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Settled {
    pub(super) destination: u32,
    pub(super) event: Offset,
    pub(super) size: u32,
    pub(super) settlement: Settlement,
    pub(super) attempt: Option<Attempt>,
    pub(super) detail: String,
}

impl Fact {
    pub(super) fn tag(&self) -> Tag {
        match self {
            Self::Names(_) => Tag::Names,
            Self::Retrying(_) => Tag::Retrying,
            Self::Settled(_) => Tag::Settled,
            Self::Paused { .. } => Tag::Paused,
            Self::Lost { .. } => Tag::Lost,
            Self::Duplicates { .. } => Tag::Duplicates,
        }
    }

    /// The event it speaks of.
    pub(super) fn event(&self) -> Option<Offset> {
        match self {
            Self::Retrying(fact) => Some(fact.event),
            Self::Settled(fact) => Some(fact.event),
            Self::Names(_) | Self::Paused { .. } | Self::Lost { .. } | Self::Duplicates { .. } => {
                None
            }
        }
    }

    pub(super) fn write(&self, out: &mut Out<'_>) {
        match self {
            Self::Names(names) => {
                out.count(names.len());
                names.iter().for_each(|name| name.write(out));
            }
            Self::Retrying(fact) => {
                out.u32(fact.destination);
                out.u64(fact.event.0);
                out.u32(fact.size);
                out.at(fact.accepted_at);
                out.at(fact.first_at);
                out.at(fact.not_before);
                out.u64(fact.previous.unwrap_or_default().0);
                write_attempt(out, &fact.attempt);
            }
            Self::Settled(fact) => {
                out.u32(fact.destination);
                out.u64(fact.event.0);
                out.u32(fact.size);
                write_settlement(out, fact.settlement);
                write_attempts(out, fact.attempt.as_slice());
                out.text(&fact.detail);
            }
            Self::Paused {
                destination,
                paused,
            } => {
                out.u32(*destination);
                out.u8(u8::from(*paused));
            }
            Self::Lost {
                destination,
                segment,
                count,
                bytes,
            } => {
                out.u32(*destination);
                out.u32(*segment);
                out.u32(*count);
                out.u64(*bytes);
            }
            Self::Duplicates { source, count } => {
                out.text(source.as_str());
                out.u64(*count);
            }
        }
    }

    pub(super) fn read(tag: Tag, payload: &[u8]) -> Option<Self> {
        let mut input = In(payload);
        let fact = match tag {
            Tag::Names => {
                let count = input.count(13)?;
                Self::Names(
                    (0..count)
                        .map(|_| Name::read(&mut input))
                        .collect::<Option<_>>()?,
                )
            }
            Tag::Retrying => Self::Retrying(Retrying {
                destination: input.u32()?,
                event: Offset(input.u64()?),
                size: input.u32()?,
                accepted_at: input.at()?,
                first_at: input.at()?,
                not_before: input.at()?,
                previous: Some(Offset(input.u64()?)).filter(|offset| offset.0 != 0),
                attempt: read_attempt(&mut input)?,
            }),
            Tag::Settled => Self::Settled(Settled {
                destination: input.u32()?,
                event: Offset(input.u64()?),
                size: input.u32()?,
                settlement: read_settlement(&mut input)?,
                attempt: read_attempts(&mut input)?.pop(),
                detail: input.text()?.to_owned(),
            }),
            Tag::Paused => Self::Paused {
                destination: input.u32()?,
                paused: input.u8()? != 0,
            },
            Tag::Lost => Self::Lost {
                destination: input.u32()?,
                segment: input.u32()?,
                count: input.u32()?,
                bytes: input.u64()?,
            },
            Tag::Duplicates => Self::Duplicates {
                source: input.text()?.into(),
                count: input.u64()?,
            },
            Tag::Event | Tag::Group | Tag::Letter | Tag::Gone => return None,
        };
        input.end()?;
        Some(fact)
    }
}

fn write_settlement(out: &mut Out<'_>, settlement: Settlement) {
    let (code, reason) = match settlement {
        Settlement::Delivered => (0, 0),
        Settlement::Dropped => (1, 0),
        Settlement::Dead(reason) => (2, reason.code()),
    };
    out.u8(code);
    out.u8(reason);
}

fn read_settlement(input: &mut In<'_>) -> Option<Settlement> {
    match (input.u8()?, input.u8()?) {
        (0, _) => Some(Settlement::Delivered),
        (1, _) => Some(Settlement::Dropped),
        (2, reason) => Reason::from_code(reason).map(Settlement::Dead),
        _ => None,
    }
}

fn write_attempt(out: &mut Out<'_>, attempt: &Attempt) {
    out.u32(attempt.number);
    out.at(attempt.at);
    out.text(&attempt.outcome);
    out.u16(attempt.status.unwrap_or(0));
    out.u32(attempt.took_ms);
    out.text(&attempt.detail);
}

fn read_attempt(input: &mut In<'_>) -> Option<Attempt> {
    Some(Attempt {
        number: input.u32()?,
        at: input.at()?,
        outcome: input.text()?.to_owned().into(),
        status: Some(input.u16()?).filter(|status| *status != 0),
        took_ms: input.u32()?,
        detail: input.text()?.to_owned(),
    })
}

pub(super) fn write_attempts(out: &mut Out<'_>, attempts: &[Attempt]) {
    out.count(attempts.len());
    attempts
        .iter()
        .for_each(|attempt| write_attempt(out, attempt));
}

pub(super) fn read_attempts(input: &mut In<'_>) -> Option<Vec<Attempt>> {
    let count = input.count(26)?;
    (0..count).map(|_| read_attempt(input)).collect()
}

/// Goes behind attempts without reading them.
pub(super) fn skip_attempts(input: &mut In<'_>) -> Option<()> {
    for _ in 0..input.count(26)? {
        let _number_and_at = (input.u32()?, input.at()?);
        let _outcome = input.text()?;
        let _status_and_took = (input.u16()?, input.u32()?);
        let _detail = input.text()?;
    }
    Some(())
}

/// Cuts a detail to its limit, at the end of a character.
pub(super) fn cut(mut detail: String) -> String {
    if detail.len() > DETAIL_BYTES_MAX {
        let end = (0..=DETAIL_BYTES_MAX)
            .rev()
            .find(|at| detail.is_char_boundary(*at))
            .unwrap_or(0);
        detail.truncate(end);
    }
    detail
}
