//! What lies on the simulated device: files by sectors, and names by changes.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// What a device writes in one piece.
const SECTOR: usize = 512;

/// A change of names that no sync of its folder covers yet.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Link(PathBuf, usize),
    Unlink(PathBuf),
    Rename(PathBuf, PathBuf, usize),
}

impl Change {
    pub(super) fn folder(&self) -> Option<&Path> {
        match self {
            Self::Link(path, _) | Self::Unlink(path) | Self::Rename(path, ..) => path.parent(),
        }
    }

    pub(super) fn apply(self, names: &mut BTreeMap<PathBuf, usize>) {
        match self {
            Self::Link(path, inode) => drop(names.insert(path, inode)),
            Self::Unlink(path) => drop(names.remove(&path)),
            Self::Rename(from, to, inode) => {
                if names.get(&from) == Some(&inode) {
                    names.remove(&from);
                }
                names.insert(to, inode);
            }
        }
    }
}

/// A file: what a program sees of it, and what the device holds.
#[derive(Clone, Debug, Default)]
pub(super) struct Inode {
    pub(super) now: Vec<u8>,
    pub(super) durable: Vec<u8>,
    /// Sectors that a sync would write.
    pub(super) dirty: BTreeSet<usize>,
}

impl Inode {
    pub(super) fn touch(&mut self, bytes: Range<usize>) {
        if !bytes.is_empty() {
            self.dirty
                .extend(bytes.start / SECTOR..=(bytes.end - 1) / SECTOR);
        }
    }

    fn sector(&self, sector: usize) -> Range<usize> {
        sector * SECTOR..((sector + 1) * SECTOR).min(self.now.len())
    }

    pub(super) fn sync(&mut self) {
        self.durable.resize(self.now.len(), 0);
        for sector in std::mem::take(&mut self.dirty) {
            let range = self.sector(sector);
            if !range.is_empty() {
                self.durable[range.clone()].copy_from_slice(&self.now[range]);
            }
        }
    }

    /// What a power cut leaves.
    pub(super) fn survive(mut self, chance: &mut fastrand::Rng) -> Self {
        let mut left = std::mem::take(&mut self.durable);
        if chance.bool() {
            left.resize(self.now.len(), 0);
        }
        for sector in &self.dirty {
            let range = self.sector(*sector);
            let range = range.start.min(left.len())..range.end.min(left.len());
            let new = match chance.u8(..8) {
                0 => range.start + chance.usize(0..=range.len()),
                1..5 => range.end,
                _ => range.start,
            };
            left[range.start..new].copy_from_slice(&self.now[range.start..new]);
        }
        Self {
            now: left.clone(),
            durable: left,
            dirty: BTreeSet::new(),
        }
    }
}
