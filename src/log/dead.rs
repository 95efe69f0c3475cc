//! The dead-letter log: full copies of what could not be delivered, in a
//! folder of its own, so that one dead letter never pins a segment.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::disk::{Disk, is_full};
use super::letter::Card;
pub(super) use super::letter::Letter;
use super::listed::{DeadSegment, Index};
pub(super) use super::listed::{Doubt, Looked, Span};
use super::record::{Frame, In, Tag};
use super::segment::{self, FIRST, FORMAT, Header, LogId, Segment, write_zeros};
use super::walk::Met;
use super::{Filter, Settings, lock};
use crate::clock::Timestamp;
use crate::event::{DestinationName, Offset};

/// How far the zeroed runway goes on at once.
const STEP_BYTES: u64 = 64 * 1024;

/// A segment holds at most this part of the letters that there may be: the
/// oldest go a segment at a time.
const SHED_PARTS: u64 = 8;

/// Letters that one look at the list looks at.
const LOOKS_MAX: usize = 8192;

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
    letters_max: u64,
    index: Mutex<Index>,
    active: Mutex<Active>,
}

#[derive(Debug, Default)]
struct Active {
    segment: Option<Arc<Segment>>,
    next: u32,
    frame: Frame,
    /// Bytes of the segment's file; what lies beyond its end is zeros.
    allocated: u64,
    /// Bytes of them that are promised to letters.
    reserved: u64,
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
        settings: &Settings,
    ) -> io::Result<(Self, Loaded)> {
        let letters_max = settings.dead_letters_max;
        let mut index = Index::default();
        let mut loaded = Loaded::default();
        let mut ids: Vec<u32> = disk
            .list(folder)?
            .iter()
            .filter_map(|(name, _)| segment::parse_name(name, ".seg"))
            .collect();
        ids.sort_unstable();
        for id in &ids {
            let last = Self::load_segment(disk, folder, &log, *id, &mut index, &mut loaded)?;
            let newest = ids.last() == Some(id);
            if let Some(segment) = index.segments.get(id).filter(|_| newest) {
                // It may never have been synced, only shown.
                segment.file.write_again(last.start, last.end)?;
                segment.file.file.sync_data()?;
            }
            index.shed(u64::MAX, letters_max, Some(*id));
        }
        let active = Active {
            next: ids.last().map_or(1, |id| id + 1),
            ..Active::default()
        };
        let dead = Self {
            disk: Arc::clone(disk),
            folder: folder.to_owned(),
            log,
            segment_bytes: settings.segment_bytes,
            letters_max,
            index: Mutex::new(index),
            active: Mutex::new(active),
        };
        Ok((dead, loaded))
    }

    /// Takes in what is there. Says where the last write lies: each was synced
    /// before the next one.
    fn load_segment(
        disk: &Arc<dyn Disk>,
        folder: &Path,
        log: &LogId,
        id: u32,
        index: &mut Index,
        loaded: &mut Loaded,
    ) -> io::Result<Range<u32>> {
        let file = disk.open(&segment::path(folder, id))?;
        let length = file.len()?;
        // One that is not read was told of already.
        let header = Header::read(&*file).unwrap_or_default();
        if header.is_some_and(|header| header.log != *log) {
            loaded.quarantined += 1;
            loaded.quarantined_bytes += length;
            return Ok(FIRST..FIRST);
        }
        let segment = Arc::new(Segment::found(id, file, log, length));
        let end = u32::try_from(length).unwrap_or(u32::MAX);
        segment.set_end(end);
        let empty = DeadSegment::new(Arc::clone(&segment));
        index.segments.insert(id, empty);
        let counted = loaded.quarantined;
        let mut whole = FIRST;
        let mut walk = segment.walk_around(FIRST, end).whole_file();
        while let Some(met) = walk.next()? {
            if let Met::Record { next, .. } = &met {
                whole = next.position();
            }
            match met {
                Met::Record {
                    at,
                    tag: Tag::Letter,
                    payload,
                    ..
                } => {
                    if let Some(card) = Card::read(payload) {
                        index.add(at, &card);
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
                    // In the order of writing: a copy may die again, and then
                    // has another letter, which stays.
                    index.remove(target);
                    if let Some(segment) = index.segments.get_mut(&id) {
                        segment.removes_in.insert(target.segment());
                    }
                }
                Met::Record { .. } | Met::Damaged { torn: true, .. } => {}
                Met::Damaged {
                    from,
                    to,
                    torn: false,
                } => {
                    loaded.quarantined += 1;
                    loaded.quarantined_bytes += u64::from(to - from);
                }
            }
        }
        let last = walk.mark().max(FIRST)..whole;
        let Some(bad) = walk.unread().into_iter().next() else {
            return Ok(last);
        };
        loaded.quarantined = loaded.quarantined.max(counted + 1);
        let (path, from) = (segment::path(folder, id), bad.start);
        tracing::error!(path = %path.display(), from, "the disk does not read some dead letters; their file stays, the next start tries again");
        if let Some(segment) = index.segments.get_mut(&id) {
            // Of what cannot be read, at least one counts.
            segment.live += 1;
        }
        Ok(FIRST..FIRST)
    }

    /// Keeps room for letters of so many bytes: the next `add` finds it,
    /// whatever has become of the disk by then.
    pub(super) fn reserve(&self, bytes: u64, now: Timestamp) -> Result<(), DeadError> {
        let mut active = lock(&self.active);
        let file = self.current(&mut active, now)?;
        let reserved = active.reserved + bytes;
        self.extend(&mut active, &file, reserved)?;
        active.reserved = reserved;
        Ok(())
    }

    /// Writes letters, in what is reserved and beyond, and makes them durable;
    /// then they are listed.
    pub(super) fn add(&self, letters: &[Letter], now: Timestamp) -> Result<(), DeadError> {
        if letters.is_empty() {
            return Ok(());
        }
        let draw = |frame: &mut Frame| -> Vec<Offset> {
            letters.iter().map(|letter| letter.write(frame)).collect()
        };
        let places = self.write(now, true, draw)?;
        let active = places.last().map(|at| at.segment());
        let mut index = lock(&self.index);
        for (at, letter) in places.into_iter().zip(letters) {
            index.add(at, &letter.card());
        }
        if index.total() > self.letters_max {
            index.shed(u64::MAX, self.letters_max, active);
        }
        Ok(())
    }

    /// Takes one off the list, durably. `false`: it is not on it.
    pub(super) fn remove(&self, at: Offset, now: Timestamp) -> Result<bool, DeadError> {
        if !lock(&self.index).has(at) {
            return Ok(false);
        }
        let record = self.write(now, false, |frame| {
            frame.put(Tag::Gone, |out| out.u64(at.0))
        })?;
        let mut index = lock(&self.index);
        if let Some(segment) = index.segments.get_mut(&record.segment()) {
            segment.removes_in.insert(at.segment());
        }
        Ok(index.remove(at))
    }

    /// Whether a letter of a copy is listed.
    pub(super) fn has(&self, owed_at: Offset, destination: &DestinationName) -> bool {
        lock(&self.index).has_one_of(owed_at, destination.as_str())
    }

    /// The listed letter of a copy, if there is one.
    pub(super) fn letter_of(
        &self,
        owed_at: Offset,
        destination: &DestinationName,
    ) -> Option<Offset> {
        lock(&self.index).letter_of(owed_at, destination.as_str())
    }

    /// One write and one sync at the end of the newest segment, over zeros
    /// that are there already.
    fn write<T>(
        &self,
        now: Timestamp,
        takes_reserve: bool,
        draw: impl FnOnce(&mut Frame) -> T,
    ) -> Result<T, DeadError> {
        let mut active = lock(&self.active);
        let file = self.current(&mut active, now)?;
        // Each write is synced before the next one.
        let mark = file.end().position();
        active.frame.restart(file.end(), file.seed, mark);
        let drawn = draw(&mut active.frame);
        let others = if takes_reserve { 0 } else { active.reserved };
        let length = active.frame.bytes.len() as u64;
        self.extend(&mut active, &file, length + others)?;
        let position = file.end().position();
        let bytes = &active.frame.bytes;
        file.file
            .write_all_at(bytes, u64::from(position))
            .and_then(|()| file.file.sync_data())
            .map_err(DeadError::Broken)?;
        file.set_end(position.saturating_add(u32::try_from(bytes.len()).unwrap_or(u32::MAX)));
        if takes_reserve {
            active.reserved = 0;
        }
        Ok(drawn)
    }

    /// The segment to write to; a full one gives way to a new one, unless some
    /// of it is promised.
    fn current(&self, active: &mut Active, now: Timestamp) -> Result<Arc<Segment>, DeadError> {
        let usable = |file: &&Arc<Segment>| {
            let has_room = u64::from(file.end().position()) < self.segment_bytes
                && lock(&self.index).live(file.id) < self.letters_max.div_ceil(SHED_PARTS);
            active.reserved > 0 || has_room
        };
        if let Some(file) = active.segment.as_ref().filter(usable) {
            return Ok(Arc::clone(file));
        }
        let made = self.create(active.next, now)?;
        self.trim(active);
        active.next += 1;
        active.allocated = u64::from(FIRST);
        active.segment = Some(Arc::clone(&made));
        Ok(made)
    }

    /// Lengthens the runway until `bytes` fit behind the segment's end.
    fn extend(&self, active: &mut Active, file: &Segment, bytes: u64) -> Result<(), DeadError> {
        let need = u64::from(file.end().position()) + bytes;
        if need <= active.allocated {
            return Ok(());
        }
        if need > u64::from(u32::MAX) {
            return Err(DeadError::Full);
        }
        let step = STEP_BYTES.min(self.segment_bytes / 8).max(4096);
        let to = active.allocated + (need - active.allocated).next_multiple_of(step);
        match write_zeros(&*file.file, active.allocated, to) {
            Err(error) if is_full(&error) => {
                // What was written of it is no use; without it others have room.
                let _as_it_is = file.file.set_len(active.allocated);
                Err(DeadError::Full)
            }
            Err(error) => Err(DeadError::Broken(error)),
            Ok(()) => {
                active.allocated = to;
                file.length.store(to, Ordering::Relaxed);
                Ok(())
            }
        }
    }

    /// Gives back what a segment does not use of its runway.
    fn trim(&self, active: &Active) {
        let Some(file) = &active.segment else { return };
        let end = u64::from(file.end().position());
        match file.file.set_len(end) {
            Ok(()) => file.length.store(end, Ordering::Relaxed),
            Err(error) => {
                tracing::warn!(segment = file.id, %error, "a dead-letter segment keeps its unused room");
            }
        }
    }

    /// Nothing more is written.
    pub(super) fn close(&self) {
        self.trim(&lock(&self.active));
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
        let entry = DeadSegment::new(Arc::clone(&segment));
        lock(&self.index).segments.insert(id, entry);
        Ok(segment)
    }

    /// Forgets letters older than `retain`, then the oldest beyond `bytes_max`,
    /// and removes segments without live ones. Says how many segments went, and
    /// how many letters before their time since it was asked last.
    pub(super) fn expire(
        &self,
        now: Timestamp,
        retain: Duration,
        bytes_max: u64,
    ) -> io::Result<(usize, u64)> {
        let active = lock(&self.active)
            .segment
            .as_ref()
            .map(|segment| segment.id);
        let mut index = lock(&self.index);
        index.forget(|at| at.plus(retain) <= now);
        index.shed(bytes_max, self.letters_max, active);
        let shed = index.shed_so_far();
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
        Ok((removed, shed))
    }

    /// A letter in full. Blocks.
    pub(super) fn letter(&self, at: Offset) -> io::Result<Option<Letter>> {
        let segment = {
            let index = lock(&self.index);
            let listed = index.has(at);
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

    /// The next letters of a span that a filter takes, at most `limit`. Looks
    /// at a bounded number, so that nobody waits long for the list.
    pub(super) fn look(&self, filter: &Filter, span: Span, limit: usize) -> Looked {
        lock(&self.index).look(filter, span, limit, LOOKS_MAX)
    }

    /// How many are kept for a destination.
    pub(super) fn count(&self, destination: &DestinationName) -> u64 {
        lock(&self.index).count(destination)
    }

    /// How many are kept in all.
    pub(super) fn total(&self) -> u64 {
        lock(&self.index).total()
    }
}
