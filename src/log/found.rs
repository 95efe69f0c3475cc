//! What lies in a folder before anything is opened: segments, checkpoints, and
//! whether a newer version wrote them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::OpenError;
use super::checkpoint::{self, Checkpoint, Found};
use super::disk::{Disk, DiskFile};
use super::segment::{self, FORMAT, Header, LogId};

/// A file that calls itself a segment.
pub(super) struct Candidate {
    pub(super) id: u32,
    pub(super) path: PathBuf,
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) length: u64,
    pub(super) header: Option<Header>,
    /// The disk does not read its header.
    pub(super) unread: bool,
}

/// The segment files of a folder in order. A newer format is refused before
/// anything is written.
pub(super) fn candidates(disk: &dyn Disk, folder: &Path) -> Result<Vec<Candidate>, OpenError> {
    let failed = |path: &Path, source| OpenError::Io {
        path: path.to_owned(),
        source,
    };
    let mut found = Vec::new();
    for (name, length) in disk.list(folder).map_err(|error| failed(folder, error))? {
        let Some(id) = segment::parse_name(&name, ".seg") else {
            continue;
        };
        let path = folder.join(&name);
        let file = disk.open(&path).map_err(|error| failed(&path, error))?;
        let (header, unread) = match Header::read(&*file) {
            Ok(header) => (header, false),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "the disk does not read a header");
                (None, true)
            }
        };
        if let Some(Header { format, .. }) = header.filter(|header| header.format > FORMAT) {
            return Err(OpenError::NewerFormat {
                path,
                found: format,
                known: FORMAT,
            });
        }
        found.push(Candidate {
            id,
            path,
            file,
            length,
            header,
            unread,
        });
    }
    found.sort_by_key(|candidate| candidate.id);
    Ok(found)
}

/// The newest whole one. One that the disk does not read is as good as
/// damaged while the other is whole; without both, too much would be forgotten.
pub(super) fn newest_checkpoint(
    disk: &dyn Disk,
    root: &Path,
) -> Result<Option<Box<Checkpoint>>, OpenError> {
    let mut unread = None;
    for name in [checkpoint::FILE, checkpoint::OLD] {
        let path = root.join(name);
        match Checkpoint::read(disk, &path) {
            Ok(Found::Whole(checkpoint)) => return Ok(Some(checkpoint)),
            Ok(Found::Newer(found)) => {
                return Err(OpenError::NewerFormat {
                    path,
                    found,
                    known: checkpoint::FORMAT,
                });
            }
            Ok(Found::Nothing) => {}
            Err(source) => {
                tracing::warn!(path = %path.display(), error = %source, "the disk does not read a checkpoint");
                unread = Some(OpenError::Io { path, source });
            }
        }
    }
    unread.map_or(Ok(None), Err)
}

/// Which log this folder holds; a new one gets a name of its own.
pub(super) fn log_id(checkpoint: Option<&Checkpoint>, candidates: &[Candidate]) -> LogId {
    let mut headers = candidates.iter().filter_map(|candidate| candidate.header);
    match (checkpoint, headers.clone().next()) {
        (Some(checkpoint), None) => checkpoint.log,
        (Some(checkpoint), Some(_)) if headers.any(|header| header.log == checkpoint.log) => {
            checkpoint.log
        }
        (_, Some(first)) => first.log,
        (None, None) => fastrand::u128(..).to_le_bytes(),
    }
}
