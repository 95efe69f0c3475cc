//! Which vendor ids were seen: a resend of a durable event is the same event.
//!
//! In memory for the window; on disk in the event records, and, since events
//! may go earlier than the window ends, in one `.ids` file per sealed segment.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::disk::Disk;
use super::record::{In, Out};
use super::segment::{self, FORMAT, LogId};
use crate::clock::Timestamp;
use crate::event::EventId;

const MAGIC: [u8; 8] = *b"hookfani";

/// Half of a SHA-256 over source and vendor id: short, and nobody can make two
/// that collide.
pub(super) type Seen = [u8; 16];

pub(super) fn key(source: &str, vendor_id: &str) -> Seen {
    let mut hash = Sha256::new();
    hash.update((source.len() as u64).to_le_bytes());
    hash.update(source.as_bytes());
    hash.update(vendor_id.as_bytes());
    let mut seen = [0; 16];
    seen.iter_mut()
        .zip(hash.finalize())
        .for_each(|(to, from)| *to = from);
    seen
}

#[derive(Debug, Default)]
pub(super) struct Dedupe {
    window: Duration,
    seen: HashMap<Seen, EventId>,
    /// Of the segment being written.
    fresh: Vec<(Seen, EventId)>,
    /// The `.ids` files there are, and when the last event in each was accepted.
    files: HashMap<u32, Timestamp>,
}

impl Dedupe {
    pub(super) fn new(window: Duration) -> Self {
        Self {
            window,
            ..Self::default()
        }
    }

    /// The id an event like this is stored under, within the window.
    pub(super) fn get(&self, seen: &Seen, now: Timestamp) -> Option<EventId> {
        self.seen
            .get(seen)
            .copied()
            .filter(|id| id.accepted_at().plus(self.window) > now)
    }

    /// An event of the segment being written.
    pub(super) fn remember(&mut self, seen: Seen, id: EventId) {
        self.seen.insert(seen, id);
        self.fresh.push((seen, id));
    }

    /// Writes what the segment being sealed added.
    pub(super) fn seal(
        &mut self,
        disk: &dyn Disk,
        folder: &Path,
        log: &LogId,
        segment: u32,
    ) -> io::Result<()> {
        let entries = std::mem::take(&mut self.fresh);
        let written = self.write(disk, folder, log, segment, &entries);
        if written.is_err() {
            // They go into the next segment's file.
            self.fresh = entries;
        }
        written
    }

    pub(super) fn write(
        &mut self,
        disk: &dyn Disk,
        folder: &Path,
        log: &LogId,
        segment: u32,
        entries: &[(Seen, EventId)],
    ) -> io::Result<()> {
        let last = entries
            .iter()
            .map(|(_, id)| id.accepted_at())
            .max()
            .unwrap_or_default();
        let mut bytes = Vec::with_capacity(40 + entries.len() * 32);
        let mut out = Out(&mut bytes);
        out.raw(&MAGIC);
        out.u32(FORMAT);
        out.raw(log);
        out.count(entries.len());
        for (seen, id) in entries {
            out.raw(seen);
            out.raw(&id.to_bytes());
        }
        out.u32(crc32c::crc32c(out.0));
        let file = disk.create(&path(folder, segment))?;
        file.write_all_at(&bytes, 0)?;
        file.sync_data()?;
        disk.sync_dir(folder)?;
        self.files.insert(segment, last);
        Ok(())
    }

    /// Learns a file; `false` when it is missing or damaged.
    pub(super) fn load(
        &mut self,
        disk: &dyn Disk,
        folder: &Path,
        log: &LogId,
        segment: u32,
    ) -> io::Result<bool> {
        let file = match disk.open(&path(folder, segment)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        let mut bytes = vec![0; usize::try_from(file.len()?).unwrap_or(0)];
        let n = file.read_at(&mut bytes, 0)?;
        bytes.truncate(n);
        let Some(entries) = parse(&bytes, log) else {
            return Ok(false);
        };
        self.files.insert(
            segment,
            entries
                .iter()
                .map(|(_, id)| id.accepted_at())
                .max()
                .unwrap_or_default(),
        );
        self.learn(&entries);
        Ok(true)
    }

    /// Takes entries that are on disk elsewhere.
    pub(super) fn learn(&mut self, entries: &[(Seen, EventId)]) {
        for (seen, id) in entries {
            let known = self.seen.entry(*seen).or_insert(*id);
            *known = (*known).max(*id);
        }
    }

    /// Forgets what the window has left behind; says which files may go. A
    /// segment that is there keeps its file: else a restart would read it.
    pub(super) fn expire(&mut self, now: Timestamp, is_there: impl Fn(u32) -> bool) -> Vec<u32> {
        let window = self.window;
        let gone = |at: Timestamp| at.plus(window) <= now;
        let old = self
            .files
            .iter()
            .filter(|(segment, last)| gone(**last) && !is_there(**segment));
        let old: Vec<u32> = old.map(|(segment, _)| *segment).collect();
        self.seen.retain(|_, id| !gone(id.accepted_at()));
        self.files.retain(|segment, _| !old.contains(segment));
        old
    }
}

pub(super) fn path(folder: &Path, segment: u32) -> PathBuf {
    segment::path(folder, segment).with_extension("ids")
}

fn parse(bytes: &[u8], log: &LogId) -> Option<Vec<(Seen, EventId)>> {
    let (covered, crc) = bytes.split_at_checked(bytes.len().checked_sub(4)?)?;
    let mut input = In(covered);
    (In(crc).u32()? == crc32c::crc32c(covered) && input.take(8)? == MAGIC).then_some(())?;
    (input.u32()? <= FORMAT && input.id()? == *log).then_some(())?;
    let count = input.count(32)?;
    let entries = (0..count)
        .map(|_| Some((input.id()?, EventId::from_bytes(input.id()?))))
        .collect::<Option<_>>()?;
    input.end()?;
    Some(entries)
}
