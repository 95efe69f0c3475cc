//! One file of the log: its header, its summary, and reading a record by its
//! offset. `walk` reads its records in order.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::disk::{Disk, DiskFile};
use super::lock;
use super::record::{HEADER, Head, In, Out, Tag};
use super::walk::{Walk, read_around};
use crate::clock::Timestamp;
use crate::event::Offset;

/// The newest format this version reads; every older one is read too. Format 1
/// had no marks in its records ([`Head::mark`](super::record::Head)).
pub(super) const FORMAT: u32 = 2;
const MAGIC: [u8; 8] = *b"hookfan\n";
/// Magic, format, spare, log id, segment id, created, spare, checksum. This
/// layout is for ever, so that any version can tell a newer format.
const COPY_BYTES: usize = 64;
/// The header lies there twice: one flipped bit must not cost a segment.
pub(super) const FIRST: u32 = 2 * COPY_BYTES as u32;
/// The random name of a log; the same in all its files.
pub(super) type LogId = [u8; 16];

/// What the first bytes of a segment say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) format: u32,
    pub(super) log: LogId,
    pub(super) id: u32,
    pub(super) created: Timestamp,
}

impl Header {
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut copy = Vec::with_capacity(COPY_BYTES);
        let mut out = Out(&mut copy);
        out.raw(&MAGIC);
        out.u32(self.format);
        out.u32(0);
        out.raw(&self.log);
        out.u64(u64::from(self.id));
        out.at(self.created);
        out.raw(&[0; 12]);
        out.u32(crc32c::crc32c(out.0));
        copy.repeat(2)
    }

    /// `None`: neither copy is whole.
    pub(super) fn read(file: &dyn DiskFile) -> io::Result<Option<Self>> {
        let mut bytes = vec![0; FIRST as usize];
        let n = file.read_at(&mut bytes, 0)?;
        bytes.truncate(n);
        Ok(bytes.chunks_exact(COPY_BYTES).find_map(Self::parse))
    }

    fn parse(copy: &[u8]) -> Option<Self> {
        let (covered, crc) = copy.split_at_checked(COPY_BYTES - 4)?;
        let mut input = In(covered);
        (In(crc).u32()? == crc32c::crc32c(covered) && input.take(8)? == MAGIC).then_some(())?;
        let format = input.u32()?;
        input.u32()?;
        Some(Self {
            format,
            log: input.id()?,
            id: u32::try_from(input.u64()?).ok()?,
            created: input.at()?,
        })
    }
}

/// What a record's checksum starts from in this segment.
pub(super) fn seed(log: &LogId, id: u32) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(log), &id.to_le_bytes())
}

pub(super) fn path(folder: &Path, id: u32) -> PathBuf {
    folder.join(format!("{id:016x}.seg"))
}

/// The id that a file name of this ending says.
pub(super) fn parse_name(name: &str, ending: &str) -> Option<u32> {
    let digits = name
        .strip_suffix(ending)
        .filter(|digits| digits.len() == 16)?;
    u32::try_from(u64::from_str_radix(digits, 16).ok()?).ok()
}

impl Offset {
    pub(super) fn new(segment: u32, position: u32) -> Self {
        Self(u64::from(segment) << 32 | u64::from(position))
    }
    pub(super) fn segment(self) -> u32 {
        (self.0 >> 32) as u32
    }
    pub(super) fn position(self) -> u32 {
        (self.0 & u64::from(u32::MAX)) as u32
    }
    pub(super) fn forward(self, bytes: usize) -> Self {
        Self(self.0.saturating_add(bytes as u64))
    }
}

/// A segment that is there. What is known of it only grows.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) id: u32,
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) seed: u32,
    /// Written by this run: what its readers come to is on the disk.
    ours: bool,
    /// Where its records end.
    end: AtomicU32,
    /// Bytes of its file.
    pub(super) length: AtomicU64,
    first_at: AtomicU64,
    last_at: AtomicU64,
    pub(super) events: AtomicU64,
    /// The oldest event that a fact in here speaks of.
    lowest: AtomicU64,
    /// As its header says.
    pub(super) created: Timestamp,
    /// Damaged stretches that were reported already.
    damaged: Mutex<BTreeSet<u32>>,
}

/// A segment's summary, as checkpoints keep it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Summary {
    pub(super) id: u32,
    pub(super) end: u32,
    pub(super) first_at: u64,
    pub(super) last_at: u64,
    pub(super) events: u64,
    pub(super) lowest: u64,
}

impl Segment {
    /// One that this run has made.
    pub(super) fn new(id: u32, file: Arc<dyn DiskFile>, log: &LogId, length: u64) -> Self {
        Self {
            ours: true,
            ..Self::found(id, file, log, length)
        }
    }

    /// One that was there: a power cut may have torn what it holds.
    pub(super) fn found(id: u32, file: Arc<dyn DiskFile>, log: &LogId, length: u64) -> Self {
        Self {
            id,
            file,
            seed: seed(log, id),
            ours: false,
            end: AtomicU32::new(FIRST),
            length: AtomicU64::new(length),
            first_at: AtomicU64::new(u64::MAX),
            last_at: AtomicU64::new(0),
            events: AtomicU64::new(0),
            lowest: AtomicU64::new(u64::MAX),
            created: Timestamp::default(),
            damaged: Mutex::default(),
        }
    }

    pub(super) fn created(self, created: Timestamp) -> Self {
        Self { created, ..self }
    }

    /// Writes what is there once more, so that the next sync covers it whatever
    /// became of the sync before.
    pub(super) fn write_again(&self, from: u32, to: u32) -> io::Result<()> {
        let mut buffer = vec![0; 64 * 1024];
        let mut at = u64::from(from);
        while at < u64::from(to) {
            let left = usize::try_from(u64::from(to) - at).unwrap_or(usize::MAX);
            let wanted = left.min(buffer.len());
            let n = (self.file).read_at(buffer.get_mut(..wanted).unwrap_or_default(), at)?;
            let read = buffer.get(..n).filter(|read| !read.is_empty());
            let Some(read) = read else { break };
            self.file.write_all_at(read, at)?;
            at += n as u64;
        }
        Ok(())
    }

    pub(super) fn end(&self) -> Offset {
        Offset::new(self.id, self.end.load(Ordering::Acquire))
    }

    pub(super) fn set_end(&self, end: u32) {
        self.end.store(end, Ordering::Release);
    }

    /// An event came in; `now` is when it was written.
    pub(super) fn saw_event(&self, accepted_at: Timestamp, now: Timestamp) {
        self.events.fetch_add(1, Ordering::Relaxed);
        self.first_at
            .fetch_min(accepted_at.as_millis(), Ordering::Relaxed);
        self.last_at
            .fetch_max(accepted_at.max(now).as_millis(), Ordering::Relaxed);
    }

    pub(super) fn saw_fact_about(&self, event: Offset) {
        self.lowest.fetch_min(event.0, Ordering::Relaxed);
    }

    pub(super) fn speaks_of(&self, event: Offset) -> bool {
        self.lowest.load(Ordering::Relaxed) <= event.0
    }

    /// When its last event was written; the epoch when it has none.
    pub(super) fn last_at(&self) -> Timestamp {
        Timestamp::from_millis(self.last_at.load(Ordering::Relaxed))
    }

    /// Whether an event accepted between these two may be in here.
    pub(super) fn may_hold(&self, since: Option<Timestamp>, until: Option<Timestamp>) -> bool {
        since.is_none_or(|since| self.last_at() >= since)
            && until.is_none_or(|until| self.first_at.load(Ordering::Relaxed) <= until.as_millis())
    }

    pub(super) fn summary(&self) -> Summary {
        Summary {
            id: self.id,
            end: self.end().position(),
            first_at: self.first_at.load(Ordering::Relaxed),
            last_at: self.last_at.load(Ordering::Relaxed),
            events: self.events.load(Ordering::Relaxed),
            lowest: self.lowest.load(Ordering::Relaxed),
        }
    }

    /// What a checkpoint knows of it, besides what was read already.
    pub(super) fn adopt(&self, summary: &Summary) {
        self.end.fetch_max(summary.end, Ordering::AcqRel);
        self.first_at.fetch_min(summary.first_at, Ordering::Relaxed);
        self.last_at.fetch_max(summary.last_at, Ordering::Relaxed);
        self.events.fetch_max(summary.events, Ordering::Relaxed);
        self.lowest.fetch_min(summary.lowest, Ordering::Relaxed);
    }

    /// Whether a damaged stretch starting here is news.
    pub(super) fn is_new_damage(&self, from: u32) -> bool {
        lock(&self.damaged).insert(from)
    }

    /// One record by its offset; `None` when there is no whole one.
    pub(super) fn record(&self, at: Offset) -> io::Result<Option<(Tag, Vec<u8>)>> {
        let mut bytes = vec![0; 4096];
        let position = u64::from(at.position());
        let n = read_around(&*self.file, &mut bytes, position, |_| ());
        let Some(head) = Head::read(bytes.get(..n).unwrap_or_default(), at) else {
            return Ok(None);
        };
        let limit = self.file.len()?.saturating_sub(position);
        if head.size() as u64 > limit {
            return Ok(None);
        }
        if head.size() > n {
            bytes.resize(head.size(), 0);
            let n = read_around(&*self.file, &mut bytes, position, |_| ());
            bytes.truncate(n);
        }
        if head.check(&bytes, self.seed).is_none() {
            return Ok(None);
        }
        bytes.truncate(HEADER + head.length);
        bytes.drain(..HEADER);
        Ok(Some((head.tag(), bytes)))
    }

    /// Walks from `from` to `end` (positions; the end of what is committed).
    pub(super) fn walk(&self, from: u32, end: u32) -> Walk {
        let walk = Walk::new(Arc::clone(&self.file), self.seed, self.id, from, end);
        if self.ours { walk.all_durable() } else { walk }
    }

    /// The same for who must go on: what cannot be read counts as damaged.
    pub(super) fn walk_around(&self, from: u32, end: u32) -> Walk {
        self.walk(from, end).around()
    }
}

/// Makes a segment's file with its header and `runway` zero bytes in all, and
/// makes file and name durable.
pub(super) fn create(
    disk: &dyn Disk,
    folder: &Path,
    header: &Header,
    runway: u64,
) -> io::Result<Arc<dyn DiskFile>> {
    let path = path(folder, header.id);
    let make = || {
        let file = disk.create(&path)?;
        write_zeros(&*file, 0, runway.max(u64::from(FIRST)))?;
        file.write_all_at(&header.bytes(), 0)?;
        file.sync_data()?;
        disk.sync_dir(folder)?;
        Ok(file)
    };
    make().inspect_err(|_| {
        // Half a file would only be in the way; that it could not be made says
        // more than that it could not be removed.
        let _gone = disk.remove(&path);
    })
}

/// Zeros from `from` to `to`, so that later writes there need no new blocks.
pub(super) fn write_zeros(file: &dyn DiskFile, from: u64, to: u64) -> io::Result<()> {
    static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];
    let mut at = from;
    while at < to {
        let n = usize::try_from(to - at)
            .unwrap_or(usize::MAX)
            .min(ZEROS.len());
        file.write_all_at(ZEROS.get(..n).unwrap_or_default(), at)?;
        at += n as u64;
    }
    Ok(())
}
