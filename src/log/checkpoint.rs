//! The accounts as they stood at one place in the log, so that a restart reads
//! little. Two are kept: the last one, and the one before it.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use super::SourceTotals;
use super::disk::{Disk, DiskFile};
use super::ledger::{Ledger, Open, Pending};
use super::record::{In, Name, Out};
use super::segment::{FORMAT, LogId, Summary};
use crate::clock::Timestamp;
use crate::event::{Offset, SourceName};

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

impl Checkpoint {
    /// Replaces the last one; it becomes the old one.
    pub(super) fn write(&self, disk: &dyn Disk, folder: &Path) -> io::Result<()> {
        let temporary = folder.join(TEMPORARY);
        let bytes = self.bytes();
        let file = disk.create(&temporary)?;
        file.write_all_at(&bytes, 0)?;
        file.sync_data()?;
        drop(file);
        let current = folder.join(FILE);
        match disk.rename(&current, &folder.join(OLD)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        disk.rename(&temporary, &current)?;
        disk.sync_dir(folder)
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

    fn parse(bytes: &[u8]) -> Found {
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
            Some(_) => Self::fields(input).map_or(Found::Nothing, |checkpoint| {
                Found::Whole(Box::new(checkpoint))
            }),
            None => Found::Nothing,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut out = Out(&mut bytes);
        out.raw(&MAGIC);
        out.u32(FORMAT);
        out.raw(&self.log);
        out.u64(self.position.0);
        out.count(self.names.len());
        self.names.iter().for_each(|name| name.write(&mut out));
        out.count(self.accounts.len());
        self.accounts
            .iter()
            .for_each(|account| account.write(&mut out));
        out.count(self.sources.len());
        for (name, totals) in &self.sources {
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
        out.u32(crc32c::crc32c(out.0));
        bytes
    }

    fn fields(mut input: In<'_>) -> Option<Self> {
        let mut checkpoint = Self {
            log: input.id()?,
            position: Offset(input.u64()?),
            ..Self::default()
        };
        for _ in 0..input.count(13)? {
            checkpoint.names.push(Name::read(&mut input)?);
        }
        for _ in 0..input.count(64)? {
            checkpoint.accounts.push(AccountState::read(&mut input)?);
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

impl AccountState {
    fn write(&self, out: &mut Out<'_>) {
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

    fn read(input: &mut In<'_>) -> Option<Self> {
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
            ledger.open.insert(at, open);
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
