//! A disk in memory that behaves as badly as disks may: what was not synced is
//! lost, torn or reordered by a power cut, a failed sync is never made good by
//! a later one, and it fills up, fails, and rots when told to.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use super::bugs::Bug;
use super::medium::{Change, Inode};
use crate::log::simulated::{Disk, DiskFile};

/// Bytes of a checkpoint, or of a segment that holds but facts.
const SMALL: u64 = 16 * 1024;

#[derive(Clone, Debug)]
pub(crate) struct SimDisk(Arc<Mutex<State>>);

/// What the next operations of a kind come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    Write,
    Sync,
    Read,
}

#[derive(Debug)]
struct State {
    inodes: Vec<Inode>,
    /// What a program sees.
    names: BTreeMap<PathBuf, usize>,
    /// What a power cut leaves for sure.
    durable: BTreeMap<PathBuf, usize>,
    /// Changes of names since the last sync of their folder.
    journal: Vec<Change>,
    folders: BTreeSet<PathBuf>,
    fresh_folders: BTreeSet<PathBuf>,
    chance: fastrand::Rng,
    bug: Option<Bug>,
    locked: bool,
    room: Option<u64>,
    /// Operations until the power goes.
    cut_in: Option<u64>,
    power: CancellationToken,
    trouble: Option<(Trouble, u64)>,
    operations: u64,
    /// What every operation was, folded into a number.
    print: u64,
}

impl State {
    /// One operation: the power may go, and then nothing works any more.
    fn step(&mut self, what: u64, kind: Option<Trouble>) -> io::Result<()> {
        self.operations += 1;
        self.print = (self.print ^ what).wrapping_mul(0x0100_0000_01b3);
        if let Some(left) = &mut self.cut_in {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.power.cancel();
            }
        }
        if self.power.is_cancelled() {
            return Err(io::Error::other("the power is gone"));
        }
        match &mut self.trouble {
            Some((trouble, left)) if Some(*trouble) == kind => {
                *left = left.saturating_sub(1);
                if *left > 0 {
                    return Ok(());
                }
                self.trouble = None;
                Err(io::Error::other("input/output error"))
            }
            _ => Ok(()),
        }
    }

    fn used(&self) -> u64 {
        let length = |inode: &usize| self.inodes[*inode].now.len() as u64;
        self.names.values().map(length).sum()
    }
}

impl SimDisk {
    pub(crate) fn new(chance: fastrand::Rng, bug: Option<Bug>) -> Self {
        Self(Arc::new(Mutex::new(State {
            inodes: Vec::new(),
            names: BTreeMap::new(),
            durable: BTreeMap::new(),
            journal: Vec::new(),
            folders: BTreeSet::new(),
            fresh_folders: BTreeSet::new(),
            chance,
            bug,
            locked: false,
            room: None,
            cut_in: None,
            power: CancellationToken::new(),
            trouble: None,
            operations: 0,
            print: 0xcbf2_9ce4_8422_2325,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The machine starts again after a power cut; whoever still holds the old
    /// disk finds it dead.
    pub(crate) fn after_power_cut(&self) -> Self {
        let mut state = self.state();
        state.power.cancel();
        let mut chance = state.chance.fork();
        let mut names = state.durable.clone();
        let in_order = chance.bool();
        let first = chance.usize(0..=state.journal.len());
        for (place, change) in state.journal.iter().enumerate() {
            let kept = if in_order {
                place < first
            } else {
                chance.bool()
            };
            if kept {
                change.clone().apply(&mut names);
            }
        }
        let lost = |path: &Path| path.ancestors().any(|up| state.fresh_folders.contains(up));
        names.retain(|path, _| !lost(path));
        let folders = state.folders.iter().filter(|path| !lost(path)).cloned();
        let folders = folders.collect();
        let kept: BTreeSet<usize> = names.values().copied().collect();
        let inodes = state.inodes.iter().enumerate().map(|(number, inode)| {
            if kept.contains(&number) {
                inode.clone().survive(&mut chance)
            } else {
                Inode::default()
            }
        });
        let inodes = inodes.collect();
        Self(Arc::new(Mutex::new(State {
            inodes,
            durable: names.clone(),
            names,
            journal: Vec::new(),
            folders,
            fresh_folders: BTreeSet::new(),
            chance,
            bug: state.bug,
            locked: false,
            room: state.room,
            cut_in: None,
            power: CancellationToken::new(),
            trouble: None,
            operations: state.operations,
            print: state.print,
        })))
    }

    /// The process is gone and another may come; what the system has in memory
    /// stays. Whoever still holds the old disk finds it dead.
    pub(crate) fn after_kill(&self) -> Self {
        let mut state = self.state();
        state.power.cancel();
        let chance = state.chance.fork();
        Self(Arc::new(Mutex::new(State {
            inodes: std::mem::take(&mut state.inodes),
            names: std::mem::take(&mut state.names),
            durable: std::mem::take(&mut state.durable),
            journal: std::mem::take(&mut state.journal),
            folders: std::mem::take(&mut state.folders),
            fresh_folders: std::mem::take(&mut state.fresh_folders),
            chance,
            bug: state.bug,
            locked: false,
            room: state.room,
            cut_in: None,
            power: CancellationToken::new(),
            trouble: None,
            operations: state.operations,
            print: state.print,
        })))
    }

    /// Cancelled when the power goes.
    pub(crate) fn power(&self) -> CancellationToken {
        self.state().power.clone()
    }

    /// The power goes at the n-th operation from now.
    pub(crate) fn cut_in(&self, operations: Option<u64>) {
        self.state().cut_in = operations;
    }

    /// The n-th operation of this kind from now fails.
    pub(crate) fn trouble(&self, trouble: Option<(Trouble, u64)>) {
        self.state().trouble = trouble;
    }

    /// Bytes that all files may take beyond what they take now.
    pub(crate) fn fill_up(&self, left: Option<u64>) {
        let mut state = self.state();
        let used = state.used();
        state.room = left.map(|left| used + left);
    }

    /// Whether not even small things find room.
    pub(crate) fn is_full(&self) -> bool {
        let state = self.state();
        let left = state.room.map(|room| room.saturating_sub(state.used()));
        left.is_some_and(|left| left < SMALL)
    }

    pub(crate) fn files(&self) -> Vec<(PathBuf, u64)> {
        let state = self.state();
        let entry = |(path, inode): (&PathBuf, &usize)| {
            (path.clone(), state.inodes[*inode].now.len() as u64)
        };
        state.names.iter().map(entry).collect()
    }

    pub(crate) fn bytes(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.state();
        let inode = state.names.get(path)?;
        Some(state.inodes[*inode].now.clone())
    }

    /// One bit turns over on the device.
    pub(crate) fn rot(&self, path: &Path, at: usize, bit: u8) {
        let mut state = self.state();
        let Some(inode) = state.names.get(path).copied() else {
            return;
        };
        let inode = &mut state.inodes[inode];
        for bytes in [&mut inode.now, &mut inode.durable] {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << (bit % 8);
            }
        }
    }

    pub(crate) fn heal(&self) {
        let mut state = self.state();
        (state.trouble, state.cut_in, state.room) = (None, None, None);
    }

    /// Folds all that was asked of it, and all that it holds.
    pub(crate) fn print(&self) -> u64 {
        let state = self.state();
        let mut print = state.print;
        for (path, inode) in &state.names {
            for byte in path
                .as_os_str()
                .as_encoded_bytes()
                .iter()
                .chain(&state.inodes[*inode].now)
            {
                print = (print ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
        print
    }
}

impl Disk for SimDisk {
    fn lock(&self, _path: &Path) -> io::Result<Option<Box<dyn Send>>> {
        let taken = std::mem::replace(&mut self.state().locked, true);
        Ok((!taken).then(|| Box::new(Unlock(self.clone())) as Box<dyn Send>))
    }

    fn create_dir(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let mut state = self.state();
        state.step(1, None)?;
        let mut around = Vec::new();
        for folder in path.ancestors().filter(|folder| folder.parent().is_some()) {
            if state.folders.insert(folder.to_owned()) {
                state.fresh_folders.insert(folder.to_owned());
                around.extend(folder.parent().map(Path::to_owned));
            }
        }
        Ok(around)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        state.step(2, Some(Trouble::Write))?;
        state.inodes.push(Inode::default());
        let inode = state.inodes.len() - 1;
        state.names.insert(path.to_owned(), inode);
        state.journal.push(Change::Link(path.to_owned(), inode));
        Ok(Arc::new(SimFile {
            disk: self.clone(),
            inode,
        }))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        state.step(3, None)?;
        let inode = *state.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(SimFile {
            disk: self.clone(),
            inode,
        }))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<(String, u64)>> {
        let mut state = self.state();
        state.step(4, None)?;
        let here = state
            .names
            .iter()
            .filter(|(file, _)| file.parent() == Some(path));
        let entry = |(file, inode): (&PathBuf, &usize)| {
            let name = file.file_name()?.to_str()?.to_owned();
            Some((name, state.inodes[*inode].now.len() as u64))
        };
        Ok(here.filter_map(entry).collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.step(5, Some(Trouble::Write))?;
        let inode = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.to_owned(), inode);
        let change = Change::Rename(from.to_owned(), to.to_owned(), inode);
        state.journal.push(change);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.step(6, Some(Trouble::Write))?;
        state.names.remove(path).ok_or(io::ErrorKind::NotFound)?;
        state.journal.push(Change::Unlink(path.to_owned()));
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.step(7, Some(Trouble::Sync))?;
        let state = &mut *state;
        if state.bug == Some(Bug::NoFolderSync) {
            return Ok(());
        }
        state
            .fresh_folders
            .retain(|folder| folder.parent() != Some(path));
        for change in std::mem::take(&mut state.journal) {
            if change.folder() == Some(path) {
                change.apply(&mut state.durable);
            } else {
                state.journal.push(change);
            }
        }
        Ok(())
    }

    fn free(&self, _path: &Path) -> io::Result<u64> {
        let mut state = self.state();
        state.step(8, None)?;
        let used = state.used();
        Ok(state
            .room
            .map_or(u64::MAX >> 1, |room| room.saturating_sub(used)))
    }
}

struct Unlock(SimDisk);

impl Drop for Unlock {
    fn drop(&mut self) {
        self.0.state().locked = false;
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    inode: usize,
}

impl SimFile {
    fn inode<'a>(&self, state: &'a mut State) -> io::Result<&'a mut Inode> {
        let gone = || io::Error::other("the power is gone");
        state.inodes.get_mut(self.inode).ok_or_else(gone)
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, buf: &mut [u8], at: u64) -> io::Result<usize> {
        let mut state = self.disk.state();
        state.step(9, Some(Trouble::Read))?;
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        let bytes = self.inode(&mut state)?.now.get(at..).unwrap_or_default();
        let n = bytes.len().min(buf.len());
        buf[..n].copy_from_slice(&bytes[..n]);
        Ok(n)
    }

    fn write_all_at(&self, buf: &[u8], at: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.step(10 + buf.len() as u64, Some(Trouble::Write))?;
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        let end = at + buf.len();
        let grows = end.saturating_sub(self.inode(&mut state)?.now.len()) as u64;
        if grows > 0 && state.room.is_some_and(|room| state.used() + grows > room) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let inode = self.inode(&mut state)?;
        inode.now.resize(inode.now.len().max(end), 0);
        inode.now[at..end].copy_from_slice(buf);
        inode.touch(at..end);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        let bug = state.bug;
        let stepped = state.step(11, Some(Trouble::Sync));
        if state.power.is_cancelled() {
            return stepped;
        }
        let inode = self.inode(&mut state)?;
        match stepped {
            Ok(()) if bug == Some(Bug::NoSync) => Ok(()),
            Ok(()) => {
                inode.sync();
                Ok(())
            }
            Err(error) => {
                // The system gives up what it could not write, and calls it
                // clean: no later sync writes it.
                inode.durable.resize(inode.now.len(), 0);
                inode.dirty.clear();
                match bug {
                    Some(Bug::SyncTriedAgain) => Ok(()),
                    _ => Err(error),
                }
            }
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.step(12, Some(Trouble::Write))?;
        let inode = self.inode(&mut state)?;
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        inode.now.resize(len, 0);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        let mut state = self.disk.state();
        state.step(13, None)?;
        Ok(self.inode(&mut state)?.now.len() as u64)
    }
}
