//! The few things the log asks of a disk, behind a trait so that tests can
//! make a disk lie, fill up, break or lose power.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinError;

/// A folder of files. Every method blocks.
pub(crate) trait Disk: Debug + Send + Sync {
    /// Takes the folder for this process until the guard goes; `None` when
    /// another holds it.
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Send>>>;
    /// Makes a folder (0700) and its parents; one that is there is fine. Says
    /// in which folders there is a new entry that is not durable yet.
    fn create_dir(&self, path: &Path) -> io::Result<Vec<PathBuf>>;
    /// Makes a new, empty file (0600); an older one of the name is replaced.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Opens a file that is there, for reading and writing.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Names and lengths of the files of a folder; none when it is missing.
    fn list(&self, path: &Path) -> io::Result<Vec<(String, u64)>>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes the entries of a folder durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Bytes that may still be written.
    fn free(&self, path: &Path) -> io::Result<u64>;
}

/// An open file.
pub(crate) trait DiskFile: Debug + Send + Sync {
    /// Fills `buf` from `at`; returns fewer bytes only at the file's end.
    fn read_at(&self, buf: &mut [u8], at: u64) -> io::Result<usize>;
    fn write_all_at(&self, buf: &[u8], at: u64) -> io::Result<()>;
    /// fdatasync.
    fn sync_data(&self) -> io::Result<()>;
    fn set_len(&self, len: u64) -> io::Result<()>;
    fn len(&self) -> io::Result<u64>;
}

/// The machine's disk.
#[derive(Debug)]
pub(crate) struct RealDisk;

impl Disk for RealDisk {
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Send>>> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Box::new(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn create_dir(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let missing = path
            .ancestors()
            .take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists());
        let around = missing.map(|folder| match folder.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        });
        let around: Vec<PathBuf> = around.collect();
        let fresh = !around.is_empty();
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)?;
        if fresh {
            // The umask may have taken bits of the owner; we need all three.
            fs::set_permissions(path, Permissions::from_mode(0o700))?;
        }
        Ok(around)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(path)?;
        Ok(Arc::new(RealFile(file)))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(RealFile(
            OpenOptions::new().read(true).write(true).open(path)?,
        )))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<(String, u64)>> {
        let entries = match fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut files = Vec::new();
        for entry in entries {
            let entry = entry?;
            // A file may go while we look; then it is not there.
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            if let (true, Ok(name)) = (metadata.is_file(), entry.file_name().into_string()) {
                files.push((name, metadata.len()));
            }
        }
        Ok(files)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn free(&self, path: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(path)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

/// A file for reading alone: what offline inspection opens.
pub(crate) fn open_read_only(path: &Path) -> io::Result<Arc<dyn DiskFile>> {
    Ok(Arc::new(RealFile(File::open(path)?)))
}

#[derive(Debug)]
struct RealFile(File);

impl DiskFile for RealFile {
    fn read_at(&self, buf: &mut [u8], at: u64) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(rest) = buf.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.0.read_at(rest, at.saturating_add(filled as u64)) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn write_all_at(&self, buf: &[u8], at: u64) -> io::Result<()> {
        self.0.write_all_at(buf, at)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
}

/// Whether an error says that there is no room, which is not a broken disk.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// The reading of a clock that only the disk's own threads look at: how long
/// a sync took is a fact about the machine, whatever time a test has paused.
/// The simulation is a machine of its own.
#[allow(
    clippy::disallowed_methods,
    reason = "a condition variable waits in real time, so its thread measures real time"
)]
pub(crate) fn monotonic() -> Instant {
    #[cfg(test)]
    if super::simulated::is_on() {
        return tokio::time::Instant::now().into_std();
    }
    Instant::now()
}

/// How long ago that was, by the same clock.
pub(super) fn elapsed(since: Instant) -> Duration {
    monotonic().saturating_duration_since(since)
}

/// Does what blocks where blocking is allowed.
pub(super) async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, JoinError> {
    #[cfg(test)]
    if super::simulated::is_on() {
        return Ok(super::simulated::aside(work).await);
    }
    tokio::task::spawn_blocking(work).await
}

/// Gives a disk that did not read a little time. Blocks.
pub(super) fn pause(time: Duration) {
    #[cfg(test)]
    if super::simulated::is_on() {
        return;
    }
    std::thread::sleep(time);
}
