//! The dead-letter log: full copies of what could not be delivered, in a
//! folder of its own, so that one dead letter never pins a segment.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::disk::{Disk, is_full};
use super::record::{self, EventHead, Frame, In, Tag};
use super::segment::{self, FIRST, FORMAT, Header, LogId, Met, Segment};
use super::{Attempt, DeadLetter, Origin, lock};
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
    fn write(&self, frame: &mut Frame) -> Offset {
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

    fn card(&self) -> Card {
        let destination = self.destination.clone();
        Card {
            owed_at: self.owed_at,
            destination,
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

#[derive(Debug)]
struct DeadSegment {
    file: Arc<Segment>,
    live: u64,
    /// Segments whose letters a record in here removes: they must go first.
    removes_in: BTreeSet<u32>,
}

#[derive(Debug, Default)]
struct Index {
    cards: BTreeMap<Offset, Card>,
    keys: HashSet<(Offset, DestinationName)>,
    counts: HashMap<DestinationName, u64>,
    segments: BTreeMap<u32, DeadSegment>,
}

impl Index {
    fn add(&mut self, at: Offset, card: Card) {
        if !self.keys.insert((card.owed_at, card.destination.clone())) {
            return;
        }
        *self.counts.entry(card.destination.clone()).or_default() += 1;
        if let Some(segment) = self.segments.get_mut(&at.segment()) {
            segment.live += 1;
        }
        self.cards.insert(at, card);
    }

    fn remove(&mut self, at: Offset) -> bool {
        let Some(card) = self.cards.remove(&at) else {
            return false;
        };
        if let Some(count) = self.counts.get_mut(&card.destination) {
            *count = count.saturating_sub(1);
        }
        if let Some(segment) = self.segments.get_mut(&at.segment()) {
            segment.live = segment.live.saturating_sub(1);
        }
        self.keys.remove(&(card.owed_at, card.destination));
        true
    }
}

/// Why the dead-letter log could not be written.
#[derive(Debug)]
pub(super) enum DeadError {
    /// Nothing was written; it can be tried again.
    Full,
    /// A write or sync failed.
    Broken(io::Error),
}

#[derive(Debug)]
pub(super) struct DeadLog {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    log: LogId,
    segment_bytes: u64,
    index: Mutex<Index>,
    active: Mutex<Active>,
}

#[derive(Debug, Default)]
struct Active {
    segment: Option<Arc<Segment>>,
    next: u32,
    frame: Frame,
}

/// What loading the folder found.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    pub(super) quarantined: u64,
    pub(super) quarantined_bytes: u64,
}

impl DeadLog {
    /// Reads what is there; the first new letter opens a new segment.
    pub(super) fn load(
        disk: &Arc<dyn Disk>,
        folder: &Path,
        log: LogId,
        segment_bytes: u64,
    ) -> io::Result<(Self, Loaded)> {
        let mut index = Index::default();
        let mut loaded = Loaded::default();
        let mut gone = Vec::new();
        let mut ids: Vec<u32> = disk
            .list(folder)?
            .iter()
            .filter_map(|(name, _)| segment::parse_name(name, ".seg"))
            .collect();
        ids.sort_unstable();
        for id in &ids {
            Self::load_segment(disk, folder, &log, *id, &mut index, &mut gone, &mut loaded)?;
        }
        for at in gone {
            index.remove(at);
        }
        let active = Active {
            segment: None,
            next: ids.last().map_or(1, |id| id + 1),
            frame: Frame::default(),
        };
        let dead = Self {
            disk: Arc::clone(disk),
            folder: folder.to_owned(),
            log,
            segment_bytes,
            index: Mutex::new(index),
            active: Mutex::new(active),
        };
        Ok((dead, loaded))
    }

    fn load_segment(
        disk: &Arc<dyn Disk>,
        folder: &Path,
        log: &LogId,
        id: u32,
        index: &mut Index,
        gone: &mut Vec<Offset>,
        loaded: &mut Loaded,
    ) -> io::Result<()> {
        let file = disk.open(&segment::path(folder, id))?;
        let length = file.len()?;
        let header = Header::read(&*file)?;
        if header.is_some_and(|header| header.log != *log) {
            loaded.quarantined += 1;
            loaded.quarantined_bytes += length;
            return Ok(());
        }
        let segment = Arc::new(Segment::new(id, file, log, length));
        let end = u32::try_from(length).unwrap_or(u32::MAX);
        segment.set_end(end);
        index.segments.insert(
            id,
            DeadSegment {
                file: Arc::clone(&segment),
                live: 0,
                removes_in: BTreeSet::new(),
            },
        );
        let mut walk = segment.walk(FIRST, end);
        while let Some(met) = walk.next()? {
            match met {
                Met::Record {
                    at,
                    tag: Tag::Letter,
                    payload,
                    ..
                } => {
                    if let Some(letter) = Letter::read(payload) {
                        index.add(at, letter.card());
                    }
                }
                Met::Record {
                    tag: Tag::Gone,
                    payload,
                    ..
                } => {
                    let Some(target) = In(payload).u64().map(Offset) else {
                        continue;
                    };
                    gone.push(target);
                    if let Some(segment) = index.segments.get_mut(&id) {
                        segment.removes_in.insert(target.segment());
                    }
                }
                Met::Record { .. } | Met::Damaged { last: true, .. } => {}
                Met::Damaged {
                    from,
                    to,
                    last: false,
                } => {
                    loaded.quarantined += 1;
                    loaded.quarantined_bytes += u64::from(to - from);
                }
            }
        }
        Ok(())
    }

    /// Writes letters and makes them durable; then they are listed.
    pub(super) fn add(&self, letters: &[Letter], now: Timestamp) -> Result<(), DeadError> {
        if letters.is_empty() {
            return Ok(());
        }
        let places = self.write(now, |frame| {
            letters
                .iter()
                .map(|letter| letter.write(frame))
                .collect::<Vec<_>>()
        })?;
        let mut index = lock(&self.index);
        for (at, letter) in places.into_iter().zip(letters) {
            index.add(at, letter.card());
        }
        Ok(())
    }

    /// Takes one off the list, durably. `false`: it is not on it.
    pub(super) fn remove(&self, at: Offset, now: Timestamp) -> Result<bool, DeadError> {
        if !lock(&self.index).cards.contains_key(&at) {
            return Ok(false);
        }
        let record = self.write(now, |frame| frame.put(Tag::Gone, |out| out.u64(at.0)))?;
        let mut index = lock(&self.index);
        if let Some(segment) = index.segments.get_mut(&record.segment()) {
            segment.removes_in.insert(at.segment());
        }
        Ok(index.remove(at))
    }

    /// One write and one sync at the end of the newest segment.
    fn write<T>(&self, now: Timestamp, draw: impl FnOnce(&mut Frame) -> T) -> Result<T, DeadError> {
        let mut active = lock(&self.active);
        let Active {
            segment,
            next,
            frame,
        } = &mut *active;
        let file = match segment {
            Some(file) if u64::from(file.end().position()) < self.segment_bytes => Arc::clone(file),
            _ => {
                let made = self.create(*next, now)?;
                *next += 1;
                Arc::clone(segment.insert(made))
            }
        };
        frame.restart(file.end(), file.seed);
        let drawn = draw(frame);
        let position = file.end().position();
        match file.file.write_all_at(&frame.bytes, u64::from(position)) {
            Err(error) if is_full(&error) => return Err(DeadError::Full),
            written => written.map_err(DeadError::Broken)?,
        }
        file.file.sync_data().map_err(DeadError::Broken)?;
        let end = position.saturating_add(u32::try_from(frame.bytes.len()).unwrap_or(u32::MAX));
        file.set_end(end);
        file.length.store(u64::from(end), Ordering::Relaxed);
        Ok(drawn)
    }

    fn create(&self, id: u32, now: Timestamp) -> Result<Arc<Segment>, DeadError> {
        let header = Header {
            format: FORMAT,
            log: self.log,
            id,
            created: now,
        };
        let file =
            segment::create(&*self.disk, &self.folder, &header, 0).map_err(
                |error| match error {
                    error if is_full(&error) => DeadError::Full,
                    error => DeadError::Broken(error),
                },
            )?;
        let segment = Arc::new(Segment::new(id, file, &self.log, u64::from(FIRST)));
        let entry = DeadSegment {
            file: Arc::clone(&segment),
            live: 0,
            removes_in: BTreeSet::new(),
        };
        lock(&self.index).segments.insert(id, entry);
        Ok(segment)
    }

    /// Forgets letters older than `retain` and removes segments without live
    /// ones. Says how many segments went.
    pub(super) fn expire(&self, now: Timestamp, retain: Duration) -> io::Result<usize> {
        let active = lock(&self.active)
            .segment
            .as_ref()
            .map(|segment| segment.id);
        let mut index = lock(&self.index);
        let old: Vec<Offset> = index
            .cards
            .iter()
            .filter(|(_, card)| card.at.plus(retain) <= now)
            .map(|(at, _)| *at)
            .collect();
        for at in old {
            index.remove(at);
        }
        let mut removed = 0;
        let ids: Vec<u32> = index.segments.keys().copied().collect();
        for id in ids {
            let there = |other: &u32| *other != id && index.segments.contains_key(other);
            let idle = index
                .segments
                .get(&id)
                .is_some_and(|s| s.live == 0 && !s.removes_in.iter().any(there));
            if idle && active != Some(id) {
                self.disk.remove(&segment::path(&self.folder, id))?;
                index.segments.remove(&id);
                removed += 1;
            }
        }
        if removed > 0 {
            self.disk.sync_dir(&self.folder)?;
        }
        Ok(removed)
    }

    /// A letter in full. Blocks.
    pub(super) fn letter(&self, at: Offset) -> io::Result<Option<Letter>> {
        let segment = {
            let index = lock(&self.index);
            let listed = index.cards.contains_key(&at);
            index
                .segments
                .get(&at.segment())
                .filter(|_| listed)
                .map(|segment| Arc::clone(&segment.file))
        };
        let Some(segment) = segment else {
            return Ok(None);
        };
        Ok(segment
            .record(at)?
            .filter(|(tag, _)| *tag == Tag::Letter)
            .and_then(|(_, payload)| Letter::read(&payload)))
    }

    /// Cards after `after`, oldest first, at most `limit` that `wanted` takes.
    pub(super) fn cards(
        &self,
        after: Option<Offset>,
        limit: usize,
        wanted: impl Fn(&Card) -> bool,
    ) -> Vec<Offset> {
        let from = after.map_or(Offset(0), |after| Offset(after.0.saturating_add(1)));
        let index = lock(&self.index);
        index
            .cards
            .range(from..)
            .filter(|(_, card)| wanted(card))
            .map(|(at, _)| *at)
            .take(limit)
            .collect()
    }

    /// How many are kept for a destination.
    pub(super) fn count(&self, destination: &DestinationName) -> u64 {
        lock(&self.index)
            .counts
            .get(destination)
            .copied()
            .unwrap_or(0)
    }
}
