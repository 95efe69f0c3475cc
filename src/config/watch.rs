//! Notices when a file of the configuration really changes: editors that
//! rename, tools that truncate, links and Kubernetes' `..data` that swap.
//!
//! The kernel only says when to look; what counts is whether the bytes differ.
//! So nothing is reported twice, and nothing for a touch.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::Watcher as _;
use sha2::{Digest, Sha256};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use super::files::has_wildcard;

/// Watches the files of a configuration. One task waits for
/// [`Watcher::changed`].
#[derive(Debug)]
pub struct Watcher {
    /// What each file held when it was last reported (or first seen).
    known: HashMap<PathBuf, Print>,
    /// Rung by the kernel, by way of `notify`'s thread.
    bell: Arc<Notify>,
    native: Option<notify::RecommendedWatcher>,
    /// The folders being watched, with the inode that was found there.
    folders: HashMap<PathBuf, (u64, u64)>,
    /// Why the kernel does not tell, where it does not.
    deaf: Option<notify::Error>,
    /// It rang, and nobody has looked since.
    rung: bool,
    /// Since when a file is missing or empty that was not.
    gone_since: Option<Instant>,
}

/// What a file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Print {
    /// Missing, unreadable, or empty: as an editor leaves it between two
    /// steps.
    Gone,
    Bytes([u8; 32]),
}

/// Nothing is looked at before it has been quiet for this long …
const QUIET: Duration = Duration::from_millis(100);
/// … or this long has passed since the first ring.
const STORM: Duration = Duration::from_secs(1);
/// A file may be gone for this long before that counts as its end: removing
/// an included file removes its destinations, so it is never done in haste.
const GRACE: Duration = Duration::from_secs(2);
/// How often to look where the kernel does not tell.
const POLL: Duration = Duration::from_secs(5);
/// How often to look even where it does: a network file system may not.
const GLANCE: Duration = Duration::from_secs(60);

impl Watcher {
    /// Watches these files, from what they hold now. Falls back to looking
    /// every five seconds where the kernel cannot tell; [`Watcher::deaf`] says
    /// why.
    ///
    /// What changes between reading the configuration and this call is not
    /// noticed: make the watcher with the main file first, load, and then call
    /// [`Watcher::set_files`].
    pub fn new(files: Vec<PathBuf>) -> Self {
        let bell = Arc::new(Notify::new());
        let ring = Arc::clone(&bell);
        let native = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if !event.is_ok_and(|event| is_reading(&event)) {
                ring.notify_one();
            }
        });
        let (native, deaf) = match native {
            Ok(native) => (Some(native), None),
            Err(error) => (None, Some(error)),
        };
        let mut watcher = Self {
            known: HashMap::new(),
            bell,
            native,
            folders: HashMap::new(),
            deaf,
            rung: false,
            gone_since: None,
        };
        watcher.set_files(files);
        watcher
    }

    /// One that never hears anything, for a simulation without files.
    #[cfg(test)]
    pub(crate) fn asleep() -> Self {
        Self {
            known: HashMap::new(),
            bell: Arc::default(),
            native: None,
            folders: HashMap::new(),
            deaf: None,
            rung: false,
            gone_since: None,
        }
    }

    /// Why the files are looked at every five seconds instead of when they
    /// change; for a line in the log.
    pub fn deaf(&self) -> Option<&notify::Error> {
        self.deaf.as_ref()
    }

    /// Watches these files from now on, after a reload. Of files that were
    /// watched before, a change since the last report is still reported.
    pub fn set_files(&mut self, files: Vec<PathBuf>) {
        let mut known = std::mem::take(&mut self.known);
        let paths: BTreeSet<PathBuf> = files.into_iter().collect();
        self.listen(paths.iter().flat_map(|path| folders(path)).collect());
        self.known = paths
            .into_iter()
            .map(|path| known.remove_entry(&path).unwrap_or_else(|| printed(path)))
            .collect();
        self.rung = true;
    }

    /// Waits until the bytes of a file differ from what they were when this
    /// last returned. Cancel safe.
    pub async fn changed(&mut self) {
        while !self.look().await {}
    }

    /// Waits for a reason to look, then for quiet, then looks once.
    async fn look(&mut self) -> bool {
        if !self.rung {
            let patience = match (self.gone_since, &self.deaf) {
                (Some(_), _) => QUIET,
                (None, Some(_)) => POLL,
                (None, None) => GLANCE,
            };
            let _ = timeout(patience, self.bell.notified()).await;
            self.rung = true;
        }
        let first = Instant::now();
        while first.elapsed() < STORM && timeout(QUIET, self.bell.notified()).await.is_ok() {}

        let paths: Vec<PathBuf> = self.known.keys().cloned().collect();
        let looked = tokio::task::spawn_blocking(move || {
            let folders: BTreeSet<PathBuf> = paths.iter().flat_map(|path| folders(path)).collect();
            (folders, prints(paths))
        });
        let Ok((folders, prints)) = looked.await else {
            return false;
        };
        self.rung = false;
        if self.listen(folders) {
            // What happened in a folder before it was listened to is not heard.
            self.rung = true;
        }
        self.judge(prints)
    }

    /// Whether this is news; then it is known.
    fn judge(&mut self, prints: HashMap<PathBuf, Print>) -> bool {
        if prints == self.known {
            self.gone_since = None;
            return false;
        }
        let gone = prints.iter().any(|(path, print)| {
            *print == Print::Gone && self.known.get(path) != Some(&Print::Gone)
        });
        if gone {
            let since = *self.gone_since.get_or_insert_with(Instant::now);
            if since.elapsed() < GRACE {
                return false;
            }
        }
        self.gone_since = None;
        self.known = prints;
        true
    }

    /// Listens to exactly these folders; true if one is new, or is another
    /// than it was.
    fn listen(&mut self, wanted: BTreeSet<PathBuf>) -> bool {
        let Some(native) = &mut self.native else {
            return false;
        };
        let mut news = false;
        let mut deaf = None;
        let mut heard = HashMap::new();
        for folder in wanted {
            let Some(inode) = inode(&folder) else {
                continue;
            };
            match self.folders.remove(&folder) {
                Some(before) if before == inode => {
                    heard.insert(folder, inode);
                    continue;
                }
                Some(_) => drop(native.unwatch(&folder)),
                None => {}
            }
            match native.watch(&folder, notify::RecursiveMode::NonRecursive) {
                Ok(()) => {
                    news = true;
                    heard.insert(folder, inode);
                }
                Err(error) => deaf = Some(error),
            }
        }
        for folder in self.folders.keys() {
            let _ = native.unwatch(folder);
        }
        self.folders = heard;
        self.deaf = deaf;
        news
    }
}

/// Reading is no change; our own reading would ring the bell for ever.
fn is_reading(event: &notify::Event) -> bool {
    use notify::event::{AccessKind, AccessMode, EventKind};
    match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => false,
        EventKind::Access(_) => true,
        _ => false,
    }
}

/// Every folder in which a change can change what a path leads to: its own,
/// and that of each link on the way.
fn folders(path: &Path) -> BTreeSet<PathBuf> {
    /// As many as Linux follows.
    const LINKS_MAX: usize = 40;
    let mut found = BTreeSet::new();
    let Ok(mut path) = std::path::absolute(path) else {
        return found;
    };
    for _ in 0..LINKS_MAX {
        found.extend(
            path.ancestors()
                .skip(1)
                .find(|folder| folder.is_dir())
                .map(Path::to_owned),
        );
        // The link nearest to the root decides where the rest is looked for.
        let prefixes: Vec<&Path> = path.ancestors().collect();
        let link = prefixes
            .into_iter()
            .rev()
            .find_map(|prefix| Some((prefix, std::fs::read_link(prefix).ok()?)));
        let Some((prefix, target)) = link else {
            break;
        };
        let rest = path.strip_prefix(prefix).unwrap_or(Path::new(""));
        let folder = prefix.parent().unwrap_or(Path::new("/"));
        found.insert(folder.to_owned());
        let next = folder.join(target);
        path = if rest.as_os_str().is_empty() {
            next
        } else {
            next.join(rest)
        };
    }
    found
}

fn inode(folder: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    let about = std::fs::metadata(folder).ok()?;
    Some((about.dev(), about.ino()))
}

fn prints(paths: Vec<PathBuf>) -> HashMap<PathBuf, Print> {
    paths.into_iter().map(printed).collect()
}

fn printed(path: PathBuf) -> (PathBuf, Print) {
    let print = print(&path);
    (path, print)
}

/// Through links. A pattern's print covers the names of what it matches, too.
fn print(path: &Path) -> Print {
    let pattern = path
        .to_str()
        .filter(|text| has_wildcard(text) && !path.exists());
    let mut hash = Sha256::new();
    let matched = pattern.and_then(|pattern| glob::glob(pattern).ok());
    if let Some(matched) = matched {
        for path in matched.flatten() {
            hash.update(path.as_os_str().as_encoded_bytes());
            hash.update([0]);
        }
        return Print::Bytes(hash.finalize().into());
    }
    match read(path) {
        Ok(bytes) if !bytes.is_empty() => {
            hash.update(&*bytes);
            Print::Bytes(hash.finalize().into())
        }
        _ => Print::Gone,
    }
}

/// May hold a secret: wiped after use.
fn read(path: &Path) -> std::io::Result<zeroize::Zeroizing<Vec<u8>>> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::ErrorKind::InvalidInput.into());
    }
    std::fs::read(path).map(zeroize::Zeroizing::new)
}

#[cfg(test)]
mod tests;
