//! Walking over the records of one file in order, around what is not whole,
//! and telling what a crash tore from what was damaged.
//!
//! A batch is one write, and a disk that loses power keeps any of its sectors:
//! a record may be gone while one behind it is whole. Each record therefore
//! carries a mark, the position up to which its file was durable when it was
//! drawn. What is not whole below a later mark was on the disk once and is
//! damaged; what no mark covers was never promised to anybody.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::disk::DiskFile;
use super::record::{HEADER, Head, Tag};
use super::segment::FIRST;
use crate::event::Offset;

/// How much is read at once.
const READ_BYTES: usize = 512 * 1024;

/// What is given up at once of what the disk does not read.
const SECTOR_BYTES: usize = 512;

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
    /// A stretch that holds no whole record, before one that is whole or
    /// before the end. `torn`: nothing says that it was ever durable, and so
    /// it is what a crash leaves of writes that were under way.
    Damaged { from: u32, to: u32, torn: bool },
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
    /// Whether it goes to the end of the file, not of what is committed.
    whole_file: bool,
    /// Up to where what is not whole is damage, once it was needed.
    durable: Option<u32>,
    /// What the last whole record says was durable before it.
    mark: u32,
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
            whole_file: false,
            durable: None,
            mark: 0,
        }
    }

    /// To the end of a file that nobody has looked at: what comes there after
    /// the last whole record is torn.
    pub(super) fn whole_file(self) -> Self {
        Self {
            whole_file: true,
            ..self
        }
    }

    /// For who knows that all of it was durable: nothing is torn.
    pub(super) fn all_durable(self) -> Self {
        let durable = Some(u32::MAX);
        Self { durable, ..self }
    }

    /// For who must go on: what cannot be read counts as damaged.
    pub(super) fn around(self) -> Self {
        Self {
            around: true,
            ..self
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

    /// Up to where the file was durable before the last record it met was
    /// written, by that record's word; 0: it says nothing.
    pub(super) fn mark(&self) -> u32 {
        self.mark
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
            let resumed = self.resume(at)?;
            let to = resumed.unwrap_or(self.end);
            let torn = match resumed {
                Some(to) => self.durable_to(to)? <= at,
                None => self.whole_file,
            };
            self.position = to;
            return Ok(Some(Met::Damaged { from: at, to, torn }));
        };
        self.mark = head.mark().unwrap_or_default();
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

    /// What was durable by the word of the whole records from `at` on. Each
    /// says it of the moment in which it was drawn, so the last one knows most.
    fn durable_to(&mut self, at: u32) -> io::Result<u32> {
        if let Some(durable) = self.durable {
            return Ok(durable);
        }
        let (mut next, mut durable) = (Some(at), 0);
        while let Some(at) = next.filter(|at| *at < self.end) {
            next = match self.whole(at)? {
                Some(head) => {
                    // Without a mark it is of format 1, which could not tell.
                    durable = durable.max(head.mark().unwrap_or(u32::MAX));
                    let size = u32::try_from(head.size()).unwrap_or(u32::MAX);
                    Some(at.saturating_add(size))
                }
                None => self.resume(at)?,
            };
        }
        self.durable = Some(durable);
        Ok(durable)
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
pub(super) fn read_around(
    file: &dyn DiskFile,
    buf: &mut [u8],
    at: u64,
    mut tell: impl FnMut(Range<u64>),
) -> usize {
    for pause in [10, 50, 100].map(Duration::from_millis) {
        match file.read_at(buf, at) {
            Ok(n) => return n,
            // Only threads that may block read.
            Err(_) => super::disk::pause(pause),
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
