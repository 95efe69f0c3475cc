//! A dead letter as its record holds it: the copy with its event, why it died,
//! and the attempts that were made at it.

use super::record::{self, EventHead, Frame, In, Tag};
use super::{Attempt, DeadLetter, Origin};
use crate::clock::Timestamp;
use crate::event::{Action, DestinationName, Event, Key, Offset};
use crate::settle::Reason;

/// A dead letter in full.
#[derive(Clone, Debug)]
pub(super) struct Letter {
    /// Where its obligation lies, or lay, in the log.
    pub(super) owed_at: Offset,
    pub(super) destination: DestinationName,
    pub(super) action: Action,
    pub(super) reason: Reason,
    pub(super) detail: String,
    /// How many attempts there were; the log may not hold all of them any more.
    pub(super) attempts: u32,
    pub(super) history: Vec<Attempt>,
    pub(super) at: Timestamp,
    pub(super) event: Event,
}

impl Letter {
    pub(super) fn write(&self, frame: &mut Frame) -> Offset {
        frame.put(Tag::Letter, |out| {
            out.u64(self.owed_at.0);
            out.at(self.at);
            out.u8(self.reason.code());
            out.u32(self.attempts);
            out.text(self.destination.as_str());
            out.text(&self.action.name);
            out.text(&self.action.with);
            out.text(&self.detail);
            record::write_attempts(out, &self.history);
            record::write_event(out, &self.event, Origin::Accepted, &[]);
        })
    }

    pub(super) fn read(payload: &[u8]) -> Option<Self> {
        let mut input = In(payload);
        Some(Self {
            owed_at: Offset(input.u64()?),
            at: input.at()?,
            reason: Reason::from_code(input.u8()?)?,
            attempts: input.u32()?,
            destination: input.text()?.into(),
            action: Action {
                name: input.text()?.into(),
                with: input.text()?.into(),
            },
            detail: input.text()?.to_owned(),
            history: record::read_attempts(&mut input)?,
            event: EventHead::read(input.0)?.event()?,
        })
    }

    pub(super) fn card(&self) -> Card<'_> {
        Card {
            owed_at: self.owed_at,
            at: self.at,
            reason: self.reason,
            destination: self.destination.as_str(),
            source: self.event.source.as_str(),
            event_type: self.event.event_type.as_str(),
            key: self.event.key.as_ref().map(Key::as_str),
        }
    }

    /// Without its body, as lists show it.
    pub(super) fn summary(&self, id: Offset) -> DeadLetter {
        DeadLetter {
            id,
            event: self.event.id,
            source: self.event.source.clone(),
            kind: self.event.kind.clone(),
            event_type: self.event.event_type.clone(),
            key: self.event.key.clone(),
            destination: self.destination.clone(),
            action: self.action.clone(),
            reason: self.reason,
            detail: self.detail.clone(),
            attempts: self.attempts,
            at: self.at,
        }
    }
}

/// What lists and filters look at of a dead letter, in its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Card<'a> {
    pub(super) owed_at: Offset,
    pub(super) at: Timestamp,
    pub(super) reason: Reason,
    pub(super) destination: &'a str,
    pub(super) source: &'a str,
    pub(super) event_type: &'a str,
    pub(super) key: Option<&'a str>,
}

impl<'a> Card<'a> {
    /// From a letter's record; its body and its attempts are passed over.
    pub(super) fn read(payload: &'a [u8]) -> Option<Self> {
        let mut input = In(payload);
        let owed_at = Offset(input.u64()?);
        let at = input.at()?;
        let reason = Reason::from_code(input.u8()?)?;
        input.u32()?;
        let destination = input.text()?;
        let _action = (input.text()?, input.text()?);
        let _detail = input.text()?;
        record::skip_attempts(&mut input)?;
        let head = EventHead::read(input.0)?;
        let (event_type, key) = head.type_and_key()?;
        Some(Self {
            owed_at,
            at,
            reason,
            destination,
            source: head.source,
            event_type,
            key,
        })
    }
}
