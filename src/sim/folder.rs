//! What happens to the data folder while the gateway is not looking: bits rot,
//! and other versions were here.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::task::JoinSet;

use super::world::World;
use crate::log::OpenError;
use crate::log::simulated::{self, Disk};
use crate::metrics::Metrics;

impl World {
    /// What happens to a folder while nobody uses it.
    pub(super) fn between(&mut self) {
        if self.kinds.rot && self.chance.bool() {
            self.rot();
        }
        match self.chance.u8(..3) {
            0 => self.upgrade(),
            1 => self.refuse_newer(),
            _ => {}
        }
    }

    /// One bit of a sealed segment turns over.
    pub(super) fn rot(&mut self) {
        let sealed = self.sealed();
        if let Some(path) = sealed.get(self.chance.usize(..sealed.len().max(1))) {
            let length = self.disk.bytes(path).map_or(0, |bytes| bytes.len());
            if length > 128 {
                let at = self.chance.usize(128..length);
                self.disk.rot(path, at, self.chance.u8(..8));
                self.trace
                    .say(format_args!("{} rots at {at}", path.display()));
                self.books.open().fault("rot");
            }
        }
    }

    /// Log segments but the last.
    pub(super) fn sealed(&self) -> Vec<PathBuf> {
        let files = self.disk.files().into_iter().map(|(path, _)| path);
        let mut segments: Vec<PathBuf> = files
            .filter(|path| {
                path.starts_with("/data/log") && path.extension().is_some_and(|e| e == "seg")
            })
            .collect();
        segments.pop();
        segments
    }

    /// An older version wrote the checkpoint.
    pub(super) fn upgrade(&mut self) {
        let root = Path::new("/data");
        if simulated::age_checkpoint(&self.disk, root).unwrap_or(false) {
            self.trace
                .say(format_args!("an older version's checkpoint"));
            self.books.open().fault("upgrade");
        }
    }

    /// A newer version's segment is refused, and nothing is written.
    fn refuse_newer(&mut self) {
        let Some(path) = self.sealed().last().cloned() else {
            return;
        };
        let Some(whole) = self.disk.bytes(&path) else {
            return;
        };
        let Some(newer) = simulated::as_newer(&self.disk, &path) else {
            return;
        };
        let write = |bytes: &[u8]| {
            let file = self.disk.open(&path)?;
            file.write_all_at(bytes, 0)?;
            file.sync_data()
        };
        if write(&newer).is_err() {
            return;
        }
        let before = self.disk.files();
        let mut tasks = JoinSet::new();
        let opened = simulated::open(
            Arc::new(self.disk.clone()),
            self.settings.clone(),
            self.clock.clone(),
            Arc::new(Metrics::new()),
            &mut tasks,
        );
        let refused = matches!(opened, Err(OpenError::NewerFormat { .. }));
        let untouched =
            before == self.disk.files() && self.disk.bytes(&path).as_deref() == Some(&newer[..]);
        if !(refused && untouched) {
            self.books.open().wrong.push(format!(
                "a newer format is not refused untouched: {refused}, {untouched}"
            ));
        }
        drop(opened);
        if write(&whole).is_ok() {
            self.books.open().fault("newer");
        }
    }
}
