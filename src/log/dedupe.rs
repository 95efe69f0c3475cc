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
pub(super) use super::seen::Seen;
use super::seen::SeenIds;
use super::segment::{self, FORMAT, LogId};
use crate::clock::Timestamp;
use crate::event::EventId;

const MAGIC: [u8; 8] = *b"hookfani";
/// Vendor ids that are remembered at once, at most: beyond it the oldest go
/// before the window ends, and a resend of those is a new event. They take
/// about 200 MB; at 19 events a second the window of three days fills it.
const IDS_MAX: usize = 5_000_000;

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

#[derive(Debug)]
pub(super) struct Dedupe {
    window: Duration,
    ids_max: usize,
    seen: SeenIds,
    /// Where the ids of the segment being written begin.
    fresh: u64,
    /// The `.ids` files there are, and when the last event in each was accepted.
    files: HashMap<u32, Timestamp>,
    /// How many went before their time since that was last said, and when the
    /// last of them was accepted.
    crowded_out: u64,
    floor: Timestamp,
}

impl Dedupe {
    pub(super) fn new(window: Duration) -> Self {
        Self {
            window,
            ids_max: IDS_MAX,
            seen: SeenIds::new(fastrand::u64(..)),
            fresh: 0,
            files: HashMap::new(),
            crowded_out: 0,
            floor: Timestamp::default(),
        }
    }

    /// The id an event like this is stored under, within the window.
    pub(super) fn get(&self, seen: &Seen, now: Timestamp) -> Option<EventId> {
        self.seen
            .get(seen)
            .filter(|id| id.accepted_at().plus(self.window) > now)
    }

    /// An event of the segment being written.
    pub(super) fn remember(&mut self, seen: Seen, id: EventId) {
        while self.seen.len() >= self.ids_max {
            if let Some(oldest) = self.seen.oldest() {
                self.floor = self.floor.max(oldest.accepted_at());
            }
            self.crowded_out += 1;
            self.seen.pop();
        }
        self.seen.push(seen, id);
    }

    /// Writes what the segment being sealed added.
    pub(super) fn seal(
        &mut self,
        disk: &dyn Disk,
        folder: &Path,
        log: &LogId,
        segment: u32,
    ) -> io::Result<()> {
        let entries: Vec<_> = self.seen.since(self.fresh).copied().collect();
        // If that fails they go into the next segment's file.
        self.write(disk, folder, log, segment, &entries)?;
        self.fresh = self.seen.next_number();
        Ok(())
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

    /// Learns a file; `false` when it is missing, damaged or not read.
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
        match file.read_at(&mut bytes, 0) {
            Ok(n) => bytes.truncate(n),
            Err(error) => {
                tracing::warn!(segment, %error, "the disk does not read a segment's vendor ids");
                return Ok(false);
            }
        }
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

    /// Learns the files that have outlived their segment: they are older than
    /// the segments that are there.
    pub(super) fn load_others(
        &mut self,
        disk: &dyn Disk,
        folder: &Path,
        log: &LogId,
        is_there: impl Fn(u32) -> bool,
    ) -> io::Result<()> {
        let files = disk.list(folder)?;
        let mut ids: Vec<u32> = files
            .iter()
            .filter_map(|(name, _)| segment::parse_name(name, ".ids"))
            .filter(|id| !is_there(*id))
            .collect();
        ids.sort_unstable();
        for id in ids {
            self.load(disk, folder, log, id)?;
        }
        Ok(())
    }

    /// Takes entries that are on disk elsewhere; the oldest segment's first.
    pub(super) fn learn(&mut self, entries: &[(Seen, EventId)]) {
        for (seen, id) in entries {
            if self.seen.get(seen).is_none_or(|known| known < *id) {
                self.remember(*seen, *id);
            }
        }
        self.fresh = self.seen.next_number();
    }

    /// Forgets what the window has left behind; says which files may go. A
    /// segment that is there keeps its file: else a restart would read it.
    pub(super) fn expire(&mut self, now: Timestamp, is_there: impl Fn(u32) -> bool) -> Vec<u32> {
        let (window, floor) = (self.window, self.floor);
        let gone = |at: Timestamp| at.plus(window) <= now;
        while self.seen.oldest().is_some_and(|id| gone(id.accepted_at())) {
            self.seen.pop();
        }
        if self.crowded_out > 0 {
            let (ids, max) = (std::mem::take(&mut self.crowded_out), self.ids_max);
            tracing::warn!(
                ids,
                max,
                "more vendor ids than are remembered: resends of the oldest are new events"
            );
        }
        let files = self
            .files
            .iter()
            .filter(|(segment, last)| (gone(**last) || **last < floor) && !is_there(**segment));
        let old: Vec<u32> = files.map(|(segment, _)| *segment).collect();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::tests::{START, disk::SimDisk};

    fn id(n: u64) -> (Seen, EventId) {
        let at = START.plus(Duration::from_secs(n));
        (key("s", &n.to_string()), EventId::new(at, u128::from(n)))
    }

    /// The limit is reached in the first segment already; what a file holds is
    /// learnt again up to the limit, and the file of what went may go, too.
    #[test]
    fn beyond_so_many_ids_the_oldest_go_first() {
        let (disk, folder, log) = (SimDisk::default(), Path::new("/log"), [7; 16]);
        let small = || Dedupe {
            ids_max: 3,
            ..Dedupe::new(Duration::from_secs(3600))
        };
        let known = |dedupe: &Dedupe| -> Vec<u64> {
            let known = |n: &u64| dedupe.get(&id(*n).0, START) == Some(id(*n).1);
            (0..20).filter(known).collect()
        };
        let mut dedupe = small();
        for (segment, last) in [(1, 5), (2, 9)] {
            for n in last - 5 + u64::from(segment == 2)..last {
                let (seen, id) = id(n);
                dedupe.remember(seen, id);
            }
            dedupe.seal(&disk, folder, &log, segment).unwrap();
        }
        assert_eq!(known(&dedupe), [6, 7, 8]);
        assert_eq!(dedupe.expire(START, |_| false), [1]);
        assert_eq!(dedupe.crowded_out, 0, "said");
        let mut again = small();
        for segment in [1, 2] {
            assert!(again.load(&disk, folder, &log, segment).unwrap());
        }
        assert_eq!(known(&again), [6, 7, 8]);
        let later = START.plus(Duration::from_secs(3600 + 7));
        assert_eq!(
            again.expire(later, |segment| segment == 1),
            Vec::<u32>::new()
        );
        assert_eq!(again.seen.len(), 1);
    }
}
