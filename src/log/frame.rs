//! The frame of a record: how its bytes are drawn, checked and read back.
//!
//! ```text
//!   0        4        8                16  17  18   20     24       24+length
//!   +--------+--------+----------------+---+---+----+------+---- - ----+- -+
//!   | crc32c | length |     offset     |tag|flg|zero| mark |  payload  |pad|
//!   +--------+--------+----------------+---+---+----+------+---- - ----+- -+
//!             `--------------- what the checksum covers -------------------'
//! ```
//!
//! Everything is little-endian and starts at a multiple of eight. The checksum
//! starts from a seed made of the log's random id and the segment's, and the
//! offset is the record's own: neither stale bytes nor a record that a stranger
//! hid in a body ever pass for one of ours. A `Group` holds further records
//! (flagged as inner) under one checksum: all of them, or none. The mark is the
//! position in the file up to which all was durable when the record was drawn
//! (0 in format 1, which had none).

use crate::clock::Timestamp;
use crate::event::Offset;

pub(super) const HEADER: usize = 24;
const ALIGN: usize = 8;
/// The record lives inside a group.
const INNER: u8 = 1;
/// Stands for an absent text.
const ABSENT: u32 = u32::MAX;

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Tag {
    Names = 1,
    Event = 2,
    Group = 3,
    Retrying = 4,
    Settled = 5,
    Paused = 6,
    Lost = 7,
    Duplicates = 8,
    Letter = 9,
    Gone = 10,
}

impl Tag {
    pub(super) const ALL: [Self; 10] = [
        Self::Names,
        Self::Event,
        Self::Group,
        Self::Retrying,
        Self::Settled,
        Self::Paused,
        Self::Lost,
        Self::Duplicates,
        Self::Letter,
        Self::Gone,
    ];

    fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|tag| *tag as u8 == code)
    }
}

/// Records being drawn for one write.
#[derive(Debug, Default)]
pub(super) struct Frame {
    pub(super) bytes: Vec<u8>,
    /// Where the first byte will lie.
    base: u64,
    seed: u32,
    mark: u32,
}

impl Frame {
    /// Starts again, for a write that begins at `base` of a file that is
    /// durable up to `mark`.
    pub(super) fn restart(&mut self, base: Offset, seed: u32, mark: u32) {
        self.bytes.clear();
        self.base = base.0;
        self.seed = seed;
        self.mark = mark;
    }

    /// The file is durable up to here from now on.
    pub(super) fn synced(&mut self, mark: u32) {
        self.mark = mark;
    }

    /// Where the next record will lie.
    pub(super) fn here(&self) -> Offset {
        Offset(self.base + self.bytes.len() as u64)
    }

    /// The bytes from `offset` on, if they are drawn here.
    pub(super) fn from(&self, offset: Offset) -> Option<&[u8]> {
        let start = usize::try_from(offset.0.checked_sub(self.base)?).ok()?;
        self.bytes.get(start..).filter(|bytes| !bytes.is_empty())
    }

    /// Draws one record; says where it lies.
    pub(super) fn put(&mut self, tag: Tag, payload: impl FnOnce(&mut Out<'_>)) -> Offset {
        self.draw(tag, 0, payload)
    }

    /// Draws one record inside an open group.
    pub(super) fn put_inner(&mut self, tag: Tag, payload: impl FnOnce(&mut Out<'_>)) -> Offset {
        self.draw(tag, INNER, payload)
    }

    /// Opens a group; [`Frame::close_group`] ends it.
    pub(super) fn open_group(&mut self) -> usize {
        let start = self.bytes.len();
        self.bytes.resize(start + HEADER, 0);
        start
    }

    pub(super) fn close_group(&mut self, start: usize) {
        self.finish(start, Tag::Group, 0);
    }

    fn draw(&mut self, tag: Tag, flags: u8, payload: impl FnOnce(&mut Out<'_>)) -> Offset {
        let at = self.here();
        let start = self.bytes.len();
        self.bytes.resize(start + HEADER, 0);
        payload(&mut Out(&mut self.bytes));
        self.finish(start, tag, flags);
        at
    }

    fn finish(&mut self, start: usize, tag: Tag, flags: u8) {
        let length = u32::try_from(self.bytes.len() - start - HEADER).unwrap_or(u32::MAX);
        let offset = self.base + start as u64;
        let mark = self.mark;
        self.bytes
            .resize(self.bytes.len().next_multiple_of(ALIGN), 0);
        let Some(record) = self.bytes.get_mut(start..) else {
            return;
        };
        set(record, 4, &length.to_le_bytes());
        set(record, 8, &offset.to_le_bytes());
        set(record, 16, &[tag as u8, flags]);
        set(record, 20, &mark.to_le_bytes());
        let crc = crc32c::crc32c_append(self.seed, record.get(4..).unwrap_or_default());
        set(record, 0, &crc.to_le_bytes());
    }
}

/// Writes `value` at `at`, which the caller made room for.
fn set(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + value.len()) {
        place.copy_from_slice(value);
    }
}

/// A record's frame, before anyone looks inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    crc: u32,
    pub(super) length: usize,
    offset: u64,
    tag: Tag,
    inner: bool,
    mark: u32,
}

impl Head {
    /// Reads a frame that claims to lie at `at`.
    pub(super) fn read(bytes: &[u8], at: Offset) -> Option<Self> {
        let mut input = In(bytes);
        let head = Self {
            crc: input.u32()?,
            length: input.u32()? as usize,
            offset: input.u64()?,
            tag: Tag::from_code(input.u8()?)?,
            inner: match input.u8()? {
                0 => false,
                INNER => true,
                _ => return None,
            },
            mark: (input.u16()? == 0).then(|| input.u32())??,
        };
        (head.offset == at.0).then_some(head)
    }

    /// The whole record with its padding, in bytes.
    pub(super) fn size(self) -> usize {
        (HEADER + self.length).next_multiple_of(ALIGN)
    }

    pub(super) fn tag(self) -> Tag {
        self.tag
    }

    /// Up to where its file was durable when it was drawn; `None` in format 1.
    pub(super) fn mark(self) -> Option<u32> {
        (self.mark != 0).then_some(self.mark)
    }

    pub(super) fn is_inner(self) -> bool {
        self.inner
    }

    /// The payload, if `record` (which starts with this head) is unharmed.
    pub(super) fn check(self, record: &[u8], seed: u32) -> Option<&[u8]> {
        let covered = record.get(4..self.size())?;
        (crc32c::crc32c_append(seed, covered) == self.crc).then_some(())?;
        record.get(HEADER..HEADER + self.length)
    }
}

/// Where fields are written.
#[derive(Debug)]
pub(super) struct Out<'a>(pub(super) &'a mut Vec<u8>);

impl Out<'_> {
    pub(super) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }
    pub(super) fn u16(&mut self, value: u16) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }
    pub(super) fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }
    pub(super) fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }
    pub(super) fn raw(&mut self, value: &[u8]) {
        self.0.extend_from_slice(value);
    }
    pub(super) fn bytes(&mut self, value: &[u8]) {
        self.count(value.len());
        self.raw(value);
    }
    pub(super) fn text(&mut self, value: &str) {
        self.bytes(value.as_bytes());
    }
    pub(super) fn maybe_text(&mut self, value: Option<&str>) {
        match value {
            Some(value) => self.text(value),
            None => self.u32(ABSENT),
        }
    }
    pub(super) fn at(&mut self, value: Timestamp) {
        self.u64(value.as_millis());
    }
    /// Zero stands for none: nothing happened in the first millisecond of 1970.
    pub(super) fn maybe_at(&mut self, value: Option<Timestamp>) {
        self.u64(value.map_or(0, Timestamp::as_millis));
    }
    pub(super) fn count(&mut self, value: usize) {
        self.u32(u32::try_from(value).unwrap_or(ABSENT - 1));
    }
}

/// Where fields are read; every step says when the bytes do not fit.
#[derive(Clone, Copy, Debug)]
pub(super) struct In<'a>(pub(super) &'a [u8]);

impl<'a> In<'a> {
    pub(super) fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(n)?;
        self.0 = tail;
        Some(head)
    }
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }
    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }
    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }
    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }
    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
    pub(super) fn id(&mut self) -> Option<[u8; 16]> {
        self.array()
    }
    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        let n = self.u32()?;
        self.take(n as usize)
    }
    pub(super) fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }
    pub(super) fn maybe_text(&mut self) -> Option<Option<&'a str>> {
        let n = self.u32()?;
        if n == ABSENT {
            return Some(None);
        }
        std::str::from_utf8(self.take(n as usize)?).ok().map(Some)
    }
    pub(super) fn at(&mut self) -> Option<Timestamp> {
        self.u64().map(Timestamp::from_millis)
    }
    pub(super) fn maybe_at(&mut self) -> Option<Option<Timestamp>> {
        self.u64()
            .map(|ms| (ms != 0).then(|| Timestamp::from_millis(ms)))
    }
    /// A count of things that take at least `each` bytes, so that a wrong one
    /// cannot ask for the machine's memory.
    pub(super) fn count(&mut self, each: usize) -> Option<usize> {
        let n = self.u32()? as usize;
        (n.checked_mul(each)? <= self.0.len()).then_some(n)
    }
    pub(super) fn end(self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}
