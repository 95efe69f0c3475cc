//! A disk in memory that knows what is durable, and can fill up, fail at its
//! n-th operation, or lose its power.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::log::disk::{Disk, DiskFile};
use crate::log::lock;

/// The size of what a device writes in one piece.
const SECTOR: usize = 512;

#[derive(Clone, Debug, Default)]
pub(crate) struct SimDisk(Arc<Mutex<World>>);

/// While it is there the disk hangs.
pub(crate) struct Held<'a>(#[expect(dead_code, reason = "held, not used")] MutexGuard<'a, World>);

#[derive(Debug, Default)]
pub(crate) struct World {
    inodes: Vec<Inode>,
    /// What a program sees, and what a power cut leaves.
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    /// Folders, and those whose own entry a power cut takes away.
    folders: BTreeSet<PathBuf>,
    fresh_folders: BTreeSet<PathBuf>,
    /// Stretches of files that cannot be read.
    bad: Vec<(usize, Range<usize>)>,
    locked: bool,
    dead: bool,
    /// Bytes all files may take; `None`: no end.
    pub(crate) room: Option<u64>,
    operations: u64,
    fail_at: Option<u64>,
    fail_syncs: bool,
    panic_at_syncs: bool,
    syncs: u64,
}

#[derive(Clone, Debug, Default)]
struct Inode {
    now: Vec<u8>,
    durable: Vec<u8>,
    /// What a failed sync gave up: called clean, and not on the device.
    given_up: Vec<Range<usize>>,
}

impl Inode {
    fn sync(&mut self) {
        let mut synced = self.now.clone();
        for bytes in &self.given_up {
            let old = self.durable.iter().copied().chain(std::iter::repeat(0));
            let old = old.skip(bytes.start).take(bytes.len());
            synced[bytes.clone()]
                .iter_mut()
                .zip(old)
                .for_each(|(to, from)| *to = from);
        }
        self.durable = synced;
    }

    fn give_up(&mut self) {
        let durable = |at: usize| self.durable.get(at).copied().unwrap_or(0);
        for from in (0..self.now.len()).step_by(SECTOR) {
            let sector = from..(from + SECTOR).min(self.now.len());
            if sector.clone().any(|at| self.now[at] != durable(at)) {
                self.given_up.push(sector);
            }
        }
    }
}

impl World {
    fn step(&mut self) -> io::Result<()> {
        if self.dead {
            return Err(io::Error::other("the power is gone"));
        }
        self.operations += 1;
        if self.fail_at == Some(self.operations) {
            return Err(io::Error::other("input/output error"));
        }
        Ok(())
    }

    fn used(&self) -> u64 {
        self.names
            .values()
            .map(|inode| self.inodes[*inode].now.len() as u64)
            .sum()
    }
}

impl SimDisk {
    /// The process is gone, and with it its lock; what the system has in memory
    /// stays.
    pub(crate) fn kill(&self) {
        lock(&self.0).locked = false;
    }

    /// What is left after a power cut: each unsynced sector may be old, new or
    /// (rarely) torn; unsynced names may be there or not.
    pub(crate) fn crash(&self, chance: &mut fastrand::Rng) -> Self {
        let mut guard = lock(&self.0);
        guard.dead = true;
        let world = &*guard;
        let mut names = world.durable_names.clone();
        for (path, inode) in &world.names {
            if chance.bool() {
                names.insert(path.clone(), *inode);
            }
        }
        for path in world.durable_names.keys() {
            if !world.names.contains_key(path) && chance.bool() {
                names.remove(path);
            }
        }
        let lost = |path: &Path| path.ancestors().any(|up| world.fresh_folders.contains(up));
        names.retain(|path, _| !lost(path));
        let folders = world.folders.iter().filter(|path| !lost(path));
        let inodes = world.inodes.iter().map(|inode| {
            let left = survive(inode, chance);
            Inode {
                now: left.clone(),
                durable: left,
                given_up: Vec::new(),
            }
        });
        let fresh = World {
            inodes: inodes.collect(),
            folders: folders.cloned().collect(),
            durable_names: names.clone(),
            names,
            ..World::default()
        };
        Self(Arc::new(Mutex::new(fresh)))
    }

    /// A copy as it is now, everything durable: a clean stop's disk.
    pub(crate) fn copy(&self) -> Self {
        let world = lock(&self.0);
        let inodes = world.inodes.iter().map(|inode| Inode {
            now: inode.now.clone(),
            durable: inode.now.clone(),
            given_up: Vec::new(),
        });
        let fresh = World {
            inodes: inodes.collect(),
            names: world.names.clone(),
            durable_names: world.names.clone(),
            folders: world.folders.clone(),
            ..World::default()
        };
        Self(Arc::new(Mutex::new(fresh)))
    }

    pub(crate) fn set_room(&self, room: Option<u64>) {
        lock(&self.0).room = room;
    }

    pub(crate) fn used(&self) -> u64 {
        lock(&self.0).used()
    }

    pub(crate) fn operations(&self) -> u64 {
        lock(&self.0).operations
    }

    pub(crate) fn syncs(&self) -> u64 {
        lock(&self.0).syncs
    }

    /// The n-th operation from the beginning fails.
    pub(crate) fn fail_at(&self, n: u64) {
        lock(&self.0).fail_at = Some(n);
    }

    pub(crate) fn fail_syncs(&self, fail: bool) {
        lock(&self.0).fail_syncs = fail;
    }

    pub(crate) fn panic_at_syncs(&self) {
        lock(&self.0).panic_at_syncs = true;
    }

    /// Every operation waits until this is dropped.
    pub(crate) fn hold(&self) -> Held<'_> {
        Held(lock(&self.0))
    }

    /// From now on these bytes of a file cannot be read.
    pub(crate) fn break_reads(&self, path: &str, bytes: Range<usize>) {
        let mut world = lock(&self.0);
        let inode = world.names[Path::new(path)];
        world.bad.push((inode, bytes));
    }

    pub(crate) fn files(&self) -> Vec<String> {
        lock(&self.0)
            .names
            .keys()
            .map(|path| path.display().to_string())
            .collect()
    }

    pub(crate) fn bytes(&self, path: &str) -> Vec<u8> {
        let world = lock(&self.0);
        world.inodes[world.names[Path::new(path)]].now.clone()
    }

    pub(crate) fn set_bytes(&self, path: &str, bytes: Vec<u8>) {
        let mut world = lock(&self.0);
        let inode = world.names[Path::new(path)];
        world.inodes[inode] = Inode {
            now: bytes.clone(),
            durable: bytes,
            given_up: Vec::new(),
        };
    }

    pub(crate) fn delete(&self, path: &str) {
        lock(&self.0).names.remove(Path::new(path));
    }
}

fn survive(inode: &Inode, chance: &mut fastrand::Rng) -> Vec<u8> {
    let longest = inode.now.len().max(inode.durable.len());
    let length = if chance.bool() {
        inode.now.len()
    } else {
        inode.durable.len()
    };
    let mut left = vec![0; longest];
    for from in (0..longest).step_by(SECTOR) {
        let to = (from + SECTOR).min(longest);
        let new = chance.bool();
        let cut = if chance.u8(..8) == 0 {
            from + chance.usize(0..=to - from)
        } else {
            to
        };
        for (at, byte) in left.iter_mut().enumerate().take(to).skip(from) {
            let source = if new == (at < cut) {
                &inode.now
            } else {
                &inode.durable
            };
            *byte = source.get(at).copied().unwrap_or(0);
        }
    }
    left.truncate(length);
    left
}

impl Disk for SimDisk {
    fn lock(&self, _path: &Path) -> io::Result<Option<Box<dyn Send>>> {
        let mut world = lock(&self.0);
        if std::mem::replace(&mut world.locked, true) {
            return Ok(None);
        }
        Ok(Some(Box::new(Unlock(self.clone()))))
    }

    fn create_dir(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let mut world = lock(&self.0);
        let mut around = Vec::new();
        for folder in path.ancestors().filter(|folder| folder.parent().is_some()) {
            if world.folders.insert(folder.to_owned()) {
                world.fresh_folders.insert(folder.to_owned());
                around.extend(folder.parent().map(Path::to_owned));
            }
        }
        Ok(around)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut world = lock(&self.0);
        world.step()?;
        world.inodes.push(Inode::default());
        let inode = world.inodes.len() - 1;
        world.names.insert(path.to_owned(), inode);
        Ok(Arc::new(SimFile {
            disk: self.clone(),
            inode,
        }))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut world = lock(&self.0);
        world.step()?;
        let inode = *world.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(SimFile {
            disk: self.clone(),
            inode,
        }))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<(String, u64)>> {
        let mut world = lock(&self.0);
        world.step()?;
        let here = world
            .names
            .iter()
            .filter(|(file, _)| file.parent() == Some(path));
        let entry = |(file, inode): (&PathBuf, &usize)| {
            (
                file.file_name().unwrap().to_str().unwrap().to_owned(),
                world.inodes[*inode].now.len() as u64,
            )
        };
        Ok(here.map(entry).collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut world = lock(&self.0);
        world.step()?;
        let inode = world.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        world.names.insert(to.to_owned(), inode);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut world = lock(&self.0);
        world.step()?;
        world.names.remove(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut world = lock(&self.0);
        world.step()?;
        let world = &mut *world;
        world
            .fresh_folders
            .retain(|folder| folder.parent() != Some(path));
        world
            .durable_names
            .retain(|file, _| file.parent() != Some(path));
        let here = world
            .names
            .iter()
            .filter(|(file, _)| file.parent() == Some(path));
        world
            .durable_names
            .extend(here.map(|(file, inode)| (file.clone(), *inode)));
        Ok(())
    }

    fn free(&self, _path: &Path) -> io::Result<u64> {
        let mut world = lock(&self.0);
        world.step()?;
        Ok(world
            .room
            .map_or(u64::MAX, |room| room.saturating_sub(world.used())))
    }
}

struct Unlock(SimDisk);

impl Drop for Unlock {
    fn drop(&mut self) {
        lock(&self.0.0).locked = false;
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    inode: usize,
}

impl DiskFile for SimFile {
    fn read_at(&self, buf: &mut [u8], at: u64) -> io::Result<usize> {
        let mut world = lock(&self.disk.0);
        world.step()?;
        let asked = at as usize..at as usize + buf.len();
        let is_bad = |(inode, bad): &(usize, Range<usize>)| {
            *inode == self.inode && bad.start < asked.end && asked.start < bad.end
        };
        if world.bad.iter().any(is_bad) {
            return Err(io::Error::other("a bad sector"));
        }
        let bytes = world.inodes[self.inode]
            .now
            .get(at as usize..)
            .unwrap_or_default();
        let n = bytes.len().min(buf.len());
        buf[..n].copy_from_slice(&bytes[..n]);
        Ok(n)
    }

    fn write_all_at(&self, buf: &[u8], at: u64) -> io::Result<()> {
        let mut world = lock(&self.disk.0);
        world.step()?;
        let end = at as usize + buf.len();
        let grows = end.saturating_sub(world.inodes[self.inode].now.len()) as u64;
        if world.room.is_some_and(|room| world.used() + grows > room) && grows > 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let inode = &mut world.inodes[self.inode];
        inode
            .given_up
            .retain(|bytes| at as usize >= bytes.end || end <= bytes.start);
        let now = &mut inode.now;
        now.resize(now.len().max(end), 0);
        now[at as usize..end].copy_from_slice(buf);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut world = lock(&self.disk.0);
        world.step()?;
        if world.fail_syncs {
            world.inodes[self.inode].give_up();
            return Err(io::Error::other("input/output error"));
        }
        assert!(!world.panic_at_syncs, "as the test wants it");
        world.syncs += 1;
        world.inodes[self.inode].sync();
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut world = lock(&self.disk.0);
        world.step()?;
        world.inodes[self.inode].now.resize(len as usize, 0);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        let mut world = lock(&self.disk.0);
        world.step()?;
        Ok(world.inodes[self.inode].now.len() as u64)
    }
}
