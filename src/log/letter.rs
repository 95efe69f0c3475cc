//! A dead letter as its record holds it: the copy with its event, why it died,
//! and the attempts that were made at it.

use super::record::{self, EventHead, Frame, In, Tag};
use super::{Attempt, DeadLetter, Origin};
use crate::clock::Timestamp;
use crate::event::{Action, DestinationName, Event, Offset};
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

    pub(super) fn card(&self) -> Card {
        Card {
            owed_at: self.owed_at,
            destination: self.destination.clone(),
            reason: self.reason,
            at: self.at,
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

/// What is remembered of each dead letter: enough to list and filter most.
#[derive(Clone, Debug)]
pub(super) struct Card {
    pub(super) owed_at: Offset,
    pub(super) destination: DestinationName,
    pub(super) reason: Reason,
    pub(super) at: Timestamp,
}

impl Card {
    /// From a letter's record, of which only the beginning is looked at. Most
    /// letters are to few destinations: `name` finds the one they share.
    pub(super) fn read(payload: &[u8], name: impl Fn(&str) -> DestinationName) -> Option<Self> {
        let mut input = In(payload);
        let owed_at = Offset(input.u64()?);
        let at = input.at()?;
        let reason = Reason::from_code(input.u8()?)?;
        input.u32()?;
        Some(Self {
            owed_at,
            destination: name(input.text()?),
            reason,
            at,
        })
    }
}
