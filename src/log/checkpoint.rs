//! The accounts as they stood at one place in the log, so that a restart reads
//! little. Two are kept: the last one, and the one before it.
//!
//! One can be large where much is parked. It is written in slices, each synced,
//! so that who writes it can do other work in between.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::SourceTotals;
use super::disk::{Disk, DiskFile};
use super::ledger::{Ledger, Open, Pending};
use super::parked::Stretch;
use super::record::{In, Name, Out};
use super::segment::{LogId, Summary};
use crate::clock::Timestamp;
use crate::event::{Offset, SourceName};

/// The newest format of a checkpoint that this version reads; 1 knew nothing
/// parked.
pub(super) const FORMAT: u32 = 2;
const MAGIC: [u8; 8] = *b"hookfanc";
pub(super) const FILE: &str = "checkpoint";
pub(super) const OLD: &str = "checkpoint.old";
const TEMPORARY: &str = "checkpoint.tmp";

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Checkpoint {
    pub(super) log: LogId,
    /// Facts from here on are not folded in.
    pub(super) position: Offset,
    pub(super) names: Vec<Name>,
    pub(super) accounts: Vec<AccountState>,
    pub(super) sources: HashMap<SourceName, SourceTotals>,
    pub(super) segments: Vec<Summary>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct AccountState {
    pub(super) id: u32,
    pub(super) paused: bool,
    pub(super) head_at: Option<Timestamp>,
    pub(super) ledger: Ledger,
}

/// What a checkpoint's file turned out to be.
#[derive(Debug)]
pub(super) enum Found {
    Whole(Box<Checkpoint>),
    Newer(u32),
    /// Missing or damaged.
    Nothing,
}

/// A checkpoint on its way to the disk.
#[derive(Debug)]
pub(super) struct Unfinished {
    pub(super) position: Offset,
    /// The writer had a turn since it was begun.
    pub(super) ripe: bool,
    file: Arc<dyn DiskFile>,
    rest: VecDeque<Part>,
    written: u64,
    crc: u32,
}

/// What is left to write: small things in one piece, what is parked as the
/// ledger holds it.
#[derive(Debug)]
enum Part {
    Bytes(Vec<u8>),
    Parked(Stretch),
}

impl Checkpoint {
    /// Begins to replace the last one, which stays until all is written.
    pub(super) fn begin(&self, disk: &dyn Disk, folder: &Path) -> io::Result<Unfinished> {
        Ok(Unfinished {
            position: self.position,
            ripe: false,
            file: disk.create(&folder.join(TEMPORARY))?,
            rest: self.parts(),
            written: 0,
            crc: 0,
        })
    }

    pub(super) fn read(disk: &dyn Disk, path: &Path) -> io::Result<Found> {
        let file = match disk.open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
            Err(error) => return Err(error),
        };
        Self::from_file(&*file)
    }

    pub(super) fn from_file(file: &dyn DiskFile) -> io::Result<Found> {
        let mut bytes = vec![0; usize::try_from(file.len()?).unwrap_or(0)];
        let n = file.read_at(&mut bytes, 0)?;
        bytes.truncate(n);
        Ok(Self::parse(&bytes))
    }

    pub(super) fn parse(bytes: &[u8]) -> Found {
        let Some((covered, crc)) = bytes
            .len()
            .checked_sub(4)
            .and_then(|at| bytes.split_at_checked(at))
        else {
            return Found::Nothing;
        };
        let mut input = In(covered);
        if In(crc).u32() != Some(crc32c::crc32c(covered)) || input.take(8) != Some(&MAGIC) {
            return Found::Nothing;
        }
        match input.u32() {
            Some(format) if format > FORMAT => Found::Newer(format),
            Some(format) => Self::fields(input, format).map_or(Found::Nothing, |checkpoint| {
                Found::Whole(Box::new(checkpoint))
            }),
            None => Found::Nothing,
        }
    }

    fn parts(&self) -> VecDeque<Part> {
        let mut parts = VecDeque::new();
        let mut bytes = Vec::new();
        let mut out = Out(&mut bytes);
        out.raw(&MAGIC);
        out.u32(FORMAT);
        out.raw(&self.log);
        out.u64(self.position.0);
        out.count(self.names.len());
        self.names.iter().for_each(|name| name.write(&mut out));
        out.count(self.accounts.len());
        for account in &self.accounts {
            account.write_head(&mut Out(&mut bytes));
            for stretch in account.ledger.parked.stretches() {
                push(&mut parts, std::mem::take(&mut bytes));
                parts.push_back(Part::Parked(stretch.clone()));
            }
            account.write_rest(&mut Out(&mut bytes));
        }
        let mut out = Out(&mut bytes);
        out.count(self.sources.len());
        let mut sources: Vec<_> = self.sources.iter().collect();
        sources.sort_unstable_by_key(|(name, _)| *name);
        for (name, totals) in sources {
            out.text(name.as_str());
            out.u64(totals.accepted);
            out.u64(totals.unrouted);
            out.u64(totals.duplicate);
        }
        out.count(self.segments.len());
        for summary in &self.segments {
            out.u32(summary.id);
            out.u32(summary.end);
            out.u64(summary.first_at);
            out.u64(summary.last_at);
            out.u64(summary.events);
            out.u64(summary.lowest);
        }
        push(&mut parts, bytes);
        parts
    }

    fn fields(mut input: In<'_>, format: u32) -> Option<Self> {
        let mut checkpoint = Self {
            log: input.id()?,
            position: Offset(input.u64()?),
            ..Self::default()
        };
        for _ in 0..input.count(13)? {
            checkpoint.names.push(Name::read(&mut input)?);
        }
        for _ in 0..input.count(64)? {
            checkpoint
                .accounts
                .push(AccountState::read(&mut input, format)?);
        }
        for _ in 0..input.count(28)? {
            let name = input.text()?.into();
            let totals = SourceTotals {
                accepted: input.u64()?,
                unrouted: input.u64()?,
                duplicate: input.u64()?,
            };
            checkpoint.sources.insert(name, totals);
        }
        for _ in 0..input.count(40)? {
            checkpoint.segments.push(Summary {
                id: input.u32()?,
                end: input.u32()?,
                first_at: input.u64()?,
                last_at: input.u64()?,
                events: input.u64()?,
                lowest: input.u64()?,
            });
        }
        input.end()?;
        Some(checkpoint)
    }
}

impl Unfinished {
    pub(super) fn is_under_way(&self) -> bool {
        self.written > 0
    }

    /// Writes the next slice. `true`: it was the last one, and this is the
    /// checkpoint now; the one before it is the old one.
    pub(super) fn go_on(&mut self, disk: &dyn Disk, folder: &Path) -> io::Result<bool> {
        let mut bytes = Vec::with_capacity(SLICE_BYTES);
        while bytes.len() < SLICE_BYTES
            && let Some(part) = self.rest.pop_front()
        {
            match part {
                Part::Bytes(part) => bytes.extend_from_slice(&part),
                Part::Parked(stretch) => write_stretch(&mut bytes, &stretch),
            }
        }
        self.crc = crc32c::crc32c_append(self.crc, &bytes);
        let last = self.rest.is_empty();
        if last {
            bytes.extend_from_slice(&self.crc.to_le_bytes());
        }
        self.file.write_all_at(&bytes, self.written)?;
        self.file.sync_data()?;
        self.written += bytes.len() as u64;
        if last {
            replace(disk, folder)?;
        }
        Ok(last)
    }
}

fn replace(disk: &dyn Disk, folder: &Path) -> io::Result<()> {
    let current = folder.join(FILE);
    match disk.rename(&current, &folder.join(OLD)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    disk.rename(&folder.join(TEMPORARY), &current)?;
    disk.sync_dir(folder)
}

/// Leaves no part larger than a slice.
fn push(parts: &mut VecDeque<Part>, bytes: Vec<u8>) {
    if bytes.len() <= SLICE_BYTES {
        parts.extend((!bytes.is_empty()).then_some(Part::Bytes(bytes)));
    } else {
        let pieces = bytes.chunks(SLICE_BYTES);
        parts.extend(pieces.map(|piece| Part::Bytes(piece.to_vec())));
    }
}

fn write_stretch(bytes: &mut Vec<u8>, stretch: &Stretch) {
    let mut out = Out(bytes);
    out.u32(stretch.segment);
    out.count(stretch.copies.len());
    for copy in stretch.copies.iter() {
        out.u32(copy.position);
        out.u32(copy.size);
        out.at(copy.accepted_at);
    }
}

impl AccountState {
    /// What is parked comes after this.
    fn write_head(&self, out: &mut Out<'_>) {
        out.u32(self.id);
        out.u8(u8::from(self.paused));
        out.maybe_at(self.head_at);
        let ledger = &self.ledger;
        for total in [
            ledger.owed,
            ledger.delivered,
            ledger.dead,
            ledger.dropped,
            ledger.pending_bytes,
            ledger.read.0,
        ] {
            out.u64(total);
        }
        out.count(ledger.parked.stretches().len());
    }

    fn write_rest(&self, out: &mut Out<'_>) {
        let ledger = &self.ledger;
        out.count(ledger.open.len());
        for (at, open) in &ledger.open {
            out.u64(at.0);
            out.u32(open.attempts);
            out.maybe_at(open.first_at);
            out.maybe_at(open.not_before);
            out.u32(open.size);
            out.at(open.accepted_at);
            out.u64(open.last_fact.unwrap_or_default().0);
        }
        out.count(ledger.ahead.len());
        ledger.ahead.iter().for_each(|at| out.u64(at.0));
        out.count(ledger.pending_in.len());
        for (segment, pending) in &ledger.pending_in {
            out.u32(*segment);
            out.u32(pending.count);
            out.u64(pending.bytes);
        }
    }

    fn read(input: &mut In<'_>, format: u32) -> Option<Self> {
        let mut state = Self {
            id: input.u32()?,
            paused: input.u8()? != 0,
            head_at: input.maybe_at()?,
            ledger: Ledger::default(),
        };
        let ledger = &mut state.ledger;
        ledger.owed = input.u64()?;
        ledger.delivered = input.u64()?;
        ledger.dead = input.u64()?;
        ledger.dropped = input.u64()?;
        ledger.pending_bytes = input.u64()?;
        ledger.read = Offset(input.u64()?);
        let stretches = if format < 2 { 0 } else { input.count(8)? };
        for _ in 0..stretches {
            let segment = input.u32()?;
            for _ in 0..input.count(16)? {
                let at = Offset::new(segment, input.u32()?);
                ledger.parked.insert(at, input.u32()?, input.at()?);
            }
        }
        for _ in 0..input.count(48)? {
            let at = Offset(input.u64()?);
            let open = Open {
                attempts: input.u32()?,
                first_at: input.maybe_at()?,
                not_before: input.maybe_at()?,
                size: input.u32()?,
                accepted_at: input.at()?,
                last_fact: Some(Offset(input.u64()?)).filter(|at| at.0 != 0),
                in_flight: false,
            };
            ledger.hold(at, open);
        }
        for _ in 0..input.count(8)? {
            ledger.ahead.insert(Offset(input.u64()?));
        }
        for _ in 0..input.count(16)? {
            let segment = input.u32()?;
            ledger.pending_in.insert(
                segment,
                Pending {
                    count: input.u32()?,
                    bytes: input.u64()?,
                },
            );
        }
        Some(state)
    }
}

/// What is written, and synced, at once: nobody waits longer for a checkpoint.
pub(super) const SLICE_BYTES: usize = 256 * 1024;
