//! What outlives events: which customer a conversation belongs to, what (for
//! vendors with conversations of their own) it is called over there, and which
//! of its messages were seen (where a vendor shows them again and again).
//! Kept in redb, because random access by key for years is a key-value job.

use std::collections::HashMap;
use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use dashmap::DashMap;
use redb::{Database, DatabaseError, ReadableDatabase, TableDefinition, TableError};
use tokio::time::Instant;

use crate::event::Key;

mod counterparts;
mod seen;

pub use counterparts::{Edit, Link, LinkFilter};
pub use seen::SeenId;

const CUSTOMER: TableDefinition<'_, &str, &str> = TableDefinition::new("customer");
/// How long a link waits for others to share its commit with.
const GATHER: Duration = Duration::from_millis(500);
/// Conversations remembered in front of the table.
const CACHED_MAX: usize = 200_000;
/// Links that wait for the disk; what comes beyond it is dropped, and counted.
const UNWRITTEN_MAX: usize = 100_000;
/// At most one line about trouble in this time.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// Clones share it; the last one writes what is left.
#[derive(Clone, Debug)]
pub struct Links {
    handle: Arc<Handle>,
}

#[derive(Debug, thiserror::Error)]
#[error("{path}: {message}")]
pub struct LinksError {
    pub path: PathBuf,
    pub message: String,
}

#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    open: Opener,
    /// `None` while it could not be opened again. Whoever reads shares the lock
    /// with the commit; only opening again, by the writer, takes it alone.
    database: RwLock<Option<Database>>,
    /// `None`: it is known that nobody is known.
    cache: DashMap<Key, Option<Arc<str>>>,
    unwritten: Mutex<Unwritten>,
    wake: Condvar,
    said_at: Mutex<Option<Instant>>,
}

type Opener = fn(&Path) -> Result<Database, DatabaseError>;

#[derive(Debug, Default)]
struct Unwritten {
    customers: HashMap<Key, Arc<str>>,
    /// Being committed now: read before the table, until it is there.
    committing: Arc<HashMap<Key, Arc<str>>>,
    /// Counts what was taught, so that a reader sees that it was overtaken.
    taught: u64,
    seen: seen::Seen,
    /// Links not taken because too many waited.
    dropped: u64,
    closed: bool,
}

impl Unwritten {
    fn get(&self, key: &Key) -> Option<&Arc<str>> {
        self.customers.get(key).or_else(|| self.committing.get(key))
    }

    fn is_empty(&self) -> bool {
        self.customers.is_empty() && self.seen.unwritten.is_empty()
    }

    fn is_full(&self) -> bool {
        self.customers.len() + self.committing.len() >= UNWRITTEN_MAX
    }
}

impl Links {
    /// Opens `links.redb` in `dir`, which must be there; starts its writer.
    pub fn open(dir: &Path) -> Result<Self, LinksError> {
        Self::open_by(dir, |path| Database::create(path))
    }

    fn open_by(dir: &Path, open: Opener) -> Result<Self, LinksError> {
        let path = dir.join("links.redb");
        let failed = |message: String| LinksError {
            path: path.clone(),
            message,
        };
        if !path.exists() {
            make(dir, &path, open).map_err(|error| failed(error.to_string()))?;
        }
        make_private(&path).map_err(|error| failed(error.to_string()))?;
        let database = open(&path).map_err(|error| failed(error.to_string()))?;
        let shared = Arc::new(Shared {
            path: path.clone(),
            open,
            database: RwLock::new(Some(database)),
            cache: DashMap::new(),
            unwritten: Mutex::default(),
            wake: Condvar::new(),
            said_at: Mutex::default(),
        });
        let theirs = Arc::clone(&shared);
        let writer = std::thread::Builder::new()
            .name("links".to_owned())
            .spawn(move || theirs.run());
        let writer = writer.map_err(|error| failed(error.to_string()))?;
        Ok(Self {
            handle: Arc::new(Handle {
                shared,
                writer: Mutex::new(Some(writer)),
            }),
        })
    }

    /// The customer of a conversation, if one was ever seen. May read the disk:
    /// on the way of events ask [`Links::find_customer`].
    pub fn customer(&self, key: &Key) -> Option<Arc<str>> {
        let shared = &self.handle.shared;
        shared.in_memory(key).unwrap_or_else(|| shared.read(key))
    }

    /// As [`Links::customer`], and keeps nobody waiting: what memory does not
    /// know is read where blocking is allowed. Needs a tokio runtime.
    pub async fn find_customer(&self, key: &Key) -> Option<Arc<str>> {
        if let Some(known) = self.handle.shared.in_memory(key) {
            return known;
        }
        let (shared, key) = (Arc::clone(&self.handle.shared), key.clone());
        let read = tokio::task::spawn_blocking(move || shared.read(&key));
        read.await.unwrap_or_default()
    }

    /// Remembers; visible at once, on disk within a second. An event whose
    /// customer is lost with the disk's last second teaches it again. Never
    /// waits: while the disk takes nothing and too many links wait already,
    /// this one is dropped.
    pub fn remember_customer(&self, key: &Key, user: &str) {
        let shared = &self.handle.shared;
        if let Some(Some(known)) = shared.in_memory(key)
            && &*known == user
        {
            return;
        }
        let user: Arc<str> = Arc::from(user);
        let mut unwritten = lock(&shared.unwritten);
        if unwritten.is_full() && !unwritten.customers.contains_key(key) {
            unwritten.dropped += 1;
            let dropped = unwritten.dropped;
            drop(unwritten);
            if shared.may_say() {
                tracing::warn!(path = %shared.path.display(), dropped, "links dropped: too many wait for the disk");
            }
            return;
        }
        unwritten.taught += 1;
        unwritten.customers.insert(key.clone(), Arc::clone(&user));
        // Under the lock, so that two who teach the same key leave one answer.
        shared.make_room();
        shared.cache.insert(key.clone(), Some(user));
        drop(unwritten);
        shared.wake.notify_all();
    }

    /// Writes what is not yet on disk and stops writing.
    pub fn close(&self) {
        self.handle.close();
    }
}

/// Makes an empty database, and gives it its name when it is whole and durable:
/// a power cut half-way must not leave one that cannot be opened.
fn make(dir: &Path, path: &Path, open: Opener) -> Result<(), redb::Error> {
    let fresh = path.with_extension("redb.new");
    match std::fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    make_private(&fresh)?;
    drop(open(&fresh)?);
    std::fs::rename(&fresh, path)?;
    File::open(dir)?.sync_all()?;
    Ok(())
}

/// There is a file, and for nobody else to read.
fn make_private(path: &Path) -> io::Result<()> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(0o600)
        .open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))
}

impl Handle {
    fn close(&self) {
        lock(&self.shared.unwritten).closed = true;
        self.shared.wake.notify_all();
        if let Some(writer) = lock(&self.writer).take() {
            // A panic of the writer was said by its hook; links teach themselves again.
            let _ended = writer.join();
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    /// What is known without the disk; `None`: it must be asked.
    fn in_memory(&self, key: &Key) -> Option<Option<Arc<str>>> {
        if let Some(user) = self.cache.get(key) {
            return Some(user.clone());
        }
        lock(&self.unwritten).get(key).cloned().map(Some)
    }

    /// Asks the disk, and keeps what it says.
    fn read(&self, key: &Key) -> Option<Arc<str>> {
        let taught = lock(&self.unwritten).taught;
        let read = self.look_up(key);
        let unwritten = lock(&self.unwritten);
        // Whoever taught it meanwhile knows better.
        if let Some(user) = unwritten.get(key) {
            return Some(Arc::clone(user));
        }
        match read {
            // It may have been taught, and be on the disk by now.
            Ok(None) if unwritten.taught != taught => None,
            Ok(user) => {
                self.make_room();
                self.cache.entry(key.clone()).or_insert(user).clone()
            }
            Err(error) => {
                drop(unwritten);
                if self.may_say() {
                    tracing::warn!(path = %self.path.display(), %error, "reading a link failed");
                }
                None
            }
        }
    }

    fn look_up(&self, key: &Key) -> Result<Option<Arc<str>>, redb::Error> {
        let database = self.database();
        let database = database.as_ref().ok_or(redb::Error::DatabaseClosed)?;
        let table = match database.begin_read()?.open_table(CUSTOMER) {
            Err(TableError::TableDoesNotExist(_)) => return Ok(None),
            table => table?,
        };
        Ok(redb::ReadableTable::get(&table, key.as_str())?.map(|user| Arc::from(user.value())))
    }

    fn database(&self) -> RwLockReadGuard<'_, Option<Database>> {
        self.database.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The cache is only a cache: when it is full it starts again.
    fn make_room(&self) {
        if self.cache.len() >= CACHED_MAX {
            self.cache.clear();
        }
    }

    fn run(&self) {
        loop {
            let mut unwritten = lock(&self.unwritten);
            while unwritten.is_empty() && !unwritten.closed {
                unwritten = self
                    .wake
                    .wait(unwritten)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            if !unwritten.closed {
                let early = |unwritten: &mut Unwritten| {
                    !unwritten.closed && unwritten.customers.len() < UNWRITTEN_MAX / 2
                };
                let gathered = self.wake.wait_timeout_while(unwritten, GATHER, early);
                unwritten = gathered.unwrap_or_else(PoisonError::into_inner).0;
            }
            let closed = unwritten.closed;
            unwritten.committing = Arc::new(std::mem::take(&mut unwritten.customers));
            let batch = Arc::clone(&unwritten.committing);
            let seen = unwritten.seen.take();
            drop(unwritten);
            if !batch.is_empty() {
                self.write(&batch, closed);
            }
            if !seen.is_empty() {
                self.write_seen(&seen, closed);
            }
            if closed {
                return;
            }
        }
    }

    /// One commit. What could not be written waits for the next one.
    fn write(&self, batch: &HashMap<Key, Arc<str>>, closed: bool) {
        // After one failure redb takes nothing more until it is opened again.
        let written = self.commit(batch).or_else(|error| {
            self.open_again()?;
            self.say_failed(&error, batch.len());
            self.commit(batch)
        });
        let mut unwritten = lock(&self.unwritten);
        unwritten.committing = Arc::default();
        let Err(error) = written else {
            return;
        };
        if !closed {
            for (key, user) in batch {
                unwritten
                    .customers
                    .entry(key.clone())
                    .or_insert_with(|| Arc::clone(user));
            }
        }
        drop(unwritten);
        self.say_failed(&error, batch.len());
    }

    fn say_failed(&self, error: &redb::Error, links: usize) {
        if self.may_say() {
            tracing::warn!(path = %self.path.display(), %error, links, "writing links failed");
        }
    }

    /// Whether another line about trouble may be written now.
    fn may_say(&self) -> bool {
        let now = Instant::now();
        let mut said_at = lock(&self.said_at);
        let may = said_at.is_none_or(|at| now.duration_since(at) >= SAY_EVERY);
        if may {
            *said_at = Some(now);
        }
        may
    }

    /// The old one must be gone first: it has the file locked.
    fn open_again(&self) -> Result<(), redb::Error> {
        let mut database = self
            .database
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        drop(database.take());
        *database = Some((self.open)(&self.path)?);
        Ok(())
    }

    /// Returns how many were not there already.
    fn commit(&self, batch: &HashMap<Key, Arc<str>>) -> Result<usize, redb::Error> {
        let database = self.database();
        let database = database.as_ref().ok_or(redb::Error::DatabaseClosed)?;
        let transaction = database.begin_write()?;
        let mut fresh = 0;
        {
            let mut table = transaction.open_table(CUSTOMER)?;
            for (key, user) in batch {
                let known = redb::ReadableTable::get(&table, key.as_str())?
                    .is_some_and(|known| known.value() == &**user);
                if !known {
                    table.insert(key.as_str(), &**user)?;
                    fresh += 1;
                }
            }
        }
        if fresh == 0 {
            transaction.abort()?;
        } else {
            transaction.commit()?;
        }
        Ok(fresh)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod counterparts_tests;
#[cfg(test)]
mod tests;
