//! One file of the log: its header, reading a record by its offset, and
//! walking over records in order, damaged stretches included.

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::disk::{Disk, DiskFile};
use super::lock;
use super::record::{HEADER, Head, In, Out, Tag};
use crate::clock::Timestamp;
use crate::event::Offset;

/// The newest format this version reads; every older one is read too.
pub(super) const FORMAT: u32 = 1;
const MAGIC: [u8; 8] = *b"hookfan\n";
/// Magic, format, spare, log id, segment id, created, spare, checksum. This
/// layout is for ever, so that any version can tell a newer format.
const COPY_BYTES: usize = 64;
/// The header lies there twice: one flipped bit must not cost a segment.
pub(super) const FIRST: u32 = 2 * COPY_BYTES as u32;
/// How much is read at once when walking.
const READ_BYTES: usize = 512 * 1024;

/// What is given up at once of what the disk does not read.
const SECTOR_BYTES: usize = 512;

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
    /// Where its records end.
    end: AtomicU32,
    /// Bytes of its file.
    pub(super) length: AtomicU64,
    first_at: AtomicU64,
    last_at: AtomicU64,
    pub(super) events: AtomicU64,
    /// The oldest event that a fact in here speaks of.
    lowest: AtomicU64,
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
    pub(super) fn new(id: u32, file: Arc<dyn DiskFile>, log: &LogId, length: u64) -> Self {
        Self {
            id,
            file,
            seed: seed(log, id),
            end: AtomicU32::new(FIRST),
            length: AtomicU64::new(length),
            first_at: AtomicU64::new(u64::MAX),
            last_at: AtomicU64::new(0),
            events: AtomicU64::new(0),
            lowest: AtomicU64::new(u64::MAX),
            damaged: Mutex::default(),
        }
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
        Walk::new(Arc::clone(&self.file), self.seed, self.id, from, end)
    }

    /// The same for who must go on: what cannot be read counts as damaged.
    pub(super) fn walk_around(&self, from: u32, end: u32) -> Walk {
        Walk {
            around: true,
            ..self.walk(from, end)
        }
    }
}

/// What a walk meets.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Met<'a> {
    /// A whole record, with where the next one starts.
    Record {
        at: Offset,
        next: Offset,
        tag: Tag,
        payload: &'a [u8],
    },
    /// A stretch that holds no whole record, before one that is whole or, at
    /// the end, before nothing.
    Damaged { from: u32, to: u32, last: bool },
}

/// Records in order, read in large pieces. Groups are opened: their inner
/// records come one by one.
#[derive(Debug)]
pub(super) struct Walk {
    file: Arc<dyn DiskFile>,
    seed: u32,
    id: u32,
    position: u32,
    end: u32,
    buffer: Vec<u8>,
    /// Where the buffer's first byte lies.
    start: u32,
    /// How much is read at once.
    piece: usize,
    /// Whether bad sectors are stepped over.
    around: bool,
    unread: Vec<Range<u32>>,
}

impl Walk {
    pub(super) fn new(file: Arc<dyn DiskFile>, seed: u32, id: u32, from: u32, end: u32) -> Self {
        Self {
            file,
            seed,
            id,
            position: from.max(FIRST),
            end,
            buffer: Vec::new(),
            start: 0,
            piece: READ_BYTES,
            around: false,
            unread: Vec::new(),
        }
    }

    /// Reads so many bytes at once, for who does not go far.
    pub(super) fn in_pieces(self, piece: usize) -> Self {
        Self { piece, ..self }
    }

    /// The position it has reached.
    pub(super) fn position(&self) -> u32 {
        self.position
    }

    /// What it stepped over, in order.
    pub(super) fn unread(mut self) -> Vec<Range<u32>> {
        self.unread.sort_unstable_by_key(|bad| bad.start);
        self.unread.dedup_by(|next, bad| {
            let touches = next.start <= bad.end;
            if touches {
                bad.end = bad.end.max(next.end);
            }
            touches
        });
        self.unread
    }

    /// The next thing; `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Met<'_>>> {
        if self.position >= self.end {
            return Ok(None);
        }
        let at = self.position;
        let Some(head) = self.whole(at)? else {
            let to = self.resume(at)?;
            let last = to.is_none();
            let to = to.unwrap_or(self.end);
            self.position = to;
            return Ok(Some(Met::Damaged { from: at, to, last }));
        };
        let step = if head.tag() == Tag::Group {
            HEADER
        } else {
            head.size()
        };
        self.position = at.saturating_add(u32::try_from(step).unwrap_or(u32::MAX));
        if head.tag() == Tag::Group {
            return self.next();
        }
        let offset = Offset::new(self.id, at);
        let next = offset.forward(step);
        let start = (at - self.start) as usize + HEADER;
        let payload = self
            .buffer
            .get(start..start + head.length)
            .unwrap_or_default();
        Ok(Some(Met::Record {
            at: offset,
            next,
            tag: head.tag(),
            payload,
        }))
    }

    /// The head of the record at `at`, if it is whole; it lies in the buffer.
    fn whole(&mut self, at: u32) -> io::Result<Option<Head>> {
        let offset = Offset::new(self.id, at);
        let Some(head) = Head::read(self.view(at, HEADER)?, offset) else {
            return Ok(None);
        };
        if head.size() as u64 > u64::from(self.end - at) {
            return Ok(None);
        }
        let seed = self.seed;
        Ok(head.check(self.view(at, head.size())?, seed).map(|_| head))
    }

    /// The first whole record after a bad place. Records inside a group do not
    /// count: without the rest they must not come back.
    fn resume(&mut self, bad: u32) -> io::Result<Option<u32>> {
        let mut at = bad.saturating_add(8);
        while at < self.end {
            let offset = Offset::new(self.id, at);
            let plausible =
                Head::read(self.view(at, HEADER)?, offset).is_some_and(|head| !head.is_inner());
            if plausible && self.whole(at)?.is_some() {
                return Ok(Some(at));
            }
            at = at.saturating_add(8);
        }
        Ok(None)
    }

    /// At least `n` bytes from `at` where the file has them.
    fn view(&mut self, at: u32, n: usize) -> io::Result<&[u8]> {
        let held = at >= self.start && (at - self.start) as usize + n <= self.buffer.len();
        if !held {
            let want = n.max(self.piece).min((self.end - at) as usize);
            self.buffer.resize(want, 0);
            let got = if self.around {
                let position = |at: u64| u32::try_from(at).unwrap_or(u32::MAX);
                let unread = &mut self.unread;
                read_around(&*self.file, &mut self.buffer, u64::from(at), |bad| {
                    unread.push(position(bad.start)..position(bad.end));
                })
            } else {
                self.file.read_at(&mut self.buffer, u64::from(at))?
            };
            self.buffer.truncate(got);
            self.start = at;
        }
        let from = (at - self.start) as usize;
        let to = (from + n).min(self.buffer.len());
        Ok(self.buffer.get(from..to).unwrap_or_default())
    }
}

/// Fills `buf` from `at` as far as the file goes; what a disk does not read
/// after a few tries comes as zeros, which no record is made of, and is told.
fn read_around(
    file: &dyn DiskFile,
    buf: &mut [u8],
    at: u64,
    mut tell: impl FnMut(Range<u64>),
) -> usize {
    for pause in [10, 50, 100].map(Duration::from_millis) {
        match file.read_at(buf, at) {
            Ok(n) => return n,
            // Only threads that may block read.
            Err(_) => std::thread::sleep(pause),
        }
    }
    // A disk that does not even say how long the file is reads nothing of it.
    let length = file.len().unwrap_or(u64::MAX).saturating_sub(at);
    let length = usize::try_from(length).unwrap_or(usize::MAX).min(buf.len());
    let (mut done, mut bad, mut why) = (0, 0, None);
    for piece in buf
        .chunks_mut(SECTOR_BYTES)
        .take(length.div_ceil(SECTOR_BYTES))
    {
        if let Err(error) = file.read_at(piece, at.saturating_add(done)) {
            piece.fill(0);
            bad += piece.len();
            let from = at.saturating_add(done);
            tell(from..from.saturating_add(piece.len() as u64));
            why = Some(error);
        }
        done += piece.len() as u64;
    }
    if let Some(error) = why {
        tracing::warn!(at, bytes = bad, %error, "the disk does not read a stretch of the log");
    }
    length
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
