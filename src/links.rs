//! What outlives events: which customer a conversation belongs to, and (for
//! vendors with conversations of their own) what it is called over there.
//! Kept in redb, because random access by key for years is a key-value job.

use std::collections::HashMap;
use std::fs::{OpenOptions, Permissions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use dashmap::DashMap;
use redb::{Database, ReadableDatabase, TableDefinition, TableError};

use crate::event::Key;

const CUSTOMER: TableDefinition<'_, &str, &str> = TableDefinition::new("customer");
/// How long a link waits for others to share its commit with.
const GATHER: Duration = Duration::from_millis(500);
/// Conversations remembered in front of the table.
const CACHED_MAX: usize = 200_000;
/// Links that wait for the disk; beyond it a caller waits with them.
const UNWRITTEN_MAX: usize = 100_000;

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
    database: Database,
    cache: DashMap<Key, Arc<str>>,
    unwritten: Mutex<Unwritten>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct Unwritten {
    customers: HashMap<Key, Arc<str>>,
    /// Being committed now: read before the table, until it is there.
    committing: Arc<HashMap<Key, Arc<str>>>,
    closed: bool,
}

impl Links {
    /// Opens `links.redb` in `dir`, which must be there; starts its writer.
    pub fn open(dir: &Path) -> Result<Self, LinksError> {
        let path = dir.join("links.redb");
        let failed = |message: String| LinksError {
            path: path.clone(),
            message,
        };
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(&path);
        file.and_then(|file| file.set_permissions(Permissions::from_mode(0o600)))
            .map_err(|error| failed(error.to_string()))?;
        let database = Database::create(&path).map_err(|error| failed(error.to_string()))?;
        let shared = Arc::new(Shared {
            path: path.clone(),
            database,
            cache: DashMap::new(),
            unwritten: Mutex::default(),
            wake: Condvar::new(),
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

    /// The customer of a conversation, if one was ever seen.
    pub fn customer(&self, key: &Key) -> Option<Arc<str>> {
        self.handle.shared.customer(key)
    }

    /// Remembers; visible at once, on disk within a second. An event whose
    /// customer is lost with the disk's last second teaches it again.
    pub fn remember_customer(&self, key: &Key, user: &str) {
        let shared = &self.handle.shared;
        if shared.customer(key).is_some_and(|known| &*known == user) {
            return;
        }
        let user: Arc<str> = Arc::from(user);
        let mut unwritten = lock(&shared.unwritten);
        while unwritten.customers.len() >= UNWRITTEN_MAX && !unwritten.closed {
            shared.wake.notify_all();
            let waited = shared.wake.wait_timeout(unwritten, GATHER);
            unwritten = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        unwritten.customers.insert(key.clone(), Arc::clone(&user));
        // Under the lock, so that two who teach the same key leave one answer.
        shared.keep(key.clone(), user);
        drop(unwritten);
        shared.wake.notify_all();
    }

    /// Writes what is not yet on disk and stops writing.
    pub fn close(&self) {
        self.handle.close();
    }
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
    fn customer(&self, key: &Key) -> Option<Arc<str>> {
        if let Some(user) = self.cache.get(key) {
            return Some(Arc::clone(&user));
        }
        let waiting = {
            let unwritten = lock(&self.unwritten);
            unwritten
                .customers
                .get(key)
                .or_else(|| unwritten.committing.get(key))
                .cloned()
        };
        let user = match waiting {
            Some(user) => user,
            None => match self.look_up(key) {
                Ok(user) => user?,
                Err(error) => {
                    tracing::warn!(path = %self.path.display(), %error, "reading a link failed");
                    return None;
                }
            },
        };
        // Whoever taught it meanwhile knows better.
        self.make_room();
        Some(Arc::clone(&self.cache.entry(key.clone()).or_insert(user)))
    }

    fn look_up(&self, key: &Key) -> Result<Option<Arc<str>>, redb::Error> {
        let table = match self.database.begin_read()?.open_table(CUSTOMER) {
            Err(TableError::TableDoesNotExist(_)) => return Ok(None),
            table => table?,
        };
        Ok(redb::ReadableTable::get(&table, key.as_str())?.map(|user| Arc::from(user.value())))
    }

    fn keep(&self, key: Key, user: Arc<str>) {
        self.make_room();
        self.cache.insert(key, user);
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
            while unwritten.customers.is_empty() && !unwritten.closed {
                unwritten = self
                    .wake
                    .wait(unwritten)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            if !unwritten.closed {
                let early = |unwritten: &mut Unwritten| {
                    !unwritten.closed && unwritten.customers.len() < UNWRITTEN_MAX
                };
                let gathered = self.wake.wait_timeout_while(unwritten, GATHER, early);
                unwritten = gathered.unwrap_or_else(PoisonError::into_inner).0;
            }
            let closed = unwritten.closed;
            unwritten.committing = Arc::new(std::mem::take(&mut unwritten.customers));
            let batch = Arc::clone(&unwritten.committing);
            drop(unwritten);
            if !batch.is_empty() {
                self.write(&batch, closed);
            }
            if closed {
                return;
            }
        }
    }

    /// One commit. What could not be written waits for the next one.
    fn write(&self, batch: &HashMap<Key, Arc<str>>, closed: bool) {
        let written = self.commit(batch);
        let mut unwritten = lock(&self.unwritten);
        unwritten.committing = Arc::default();
        if let Err(error) = written {
            tracing::warn!(path = %self.path.display(), %error, links = batch.len(), "writing links failed");
            if !closed {
                for (key, user) in batch {
                    unwritten
                        .customers
                        .entry(key.clone())
                        .or_insert_with(|| Arc::clone(user));
                }
            }
        }
        drop(unwritten);
        self.wake.notify_all();
    }

    fn commit(&self, batch: &HashMap<Key, Arc<str>>) -> Result<(), redb::Error> {
        let transaction = self.database.begin_write()?;
        {
            let mut table = transaction.open_table(CUSTOMER)?;
            for (key, user) in batch {
                table.insert(key.as_str(), &**user)?;
            }
        }
        transaction.commit()?;
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: usize) -> Key {
        Key::from(format!("qiscus/{n}"))
    }

    #[test]
    fn a_link_is_visible_at_once_and_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let links = Links::open(folder.path()).unwrap();
        assert_eq!(links.customer(&key(1)), None);
        links.remember_customer(&key(1), "ann");
        assert_eq!(links.customer(&key(1)).as_deref(), Some("ann"));
        links.remember_customer(&key(1), "bob");
        for n in 2..500 {
            links.remember_customer(&key(n), "carol");
        }
        links.close();
        links.close();
        drop(links);
        let links = Links::open(folder.path()).unwrap();
        assert_eq!(links.customer(&key(1)).as_deref(), Some("bob"));
        assert_eq!(links.customer(&key(499)).as_deref(), Some("carol"));
        assert_eq!(links.customer(&key(500)), None);
        let mode = folder
            .path()
            .join("links.redb")
            .metadata()
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn what_is_known_is_not_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let links = Links::open(folder.path()).unwrap();
        links.remember_customer(&key(1), "ann");
        drop(links);
        let links = Links::open(folder.path()).unwrap();
        links.remember_customer(&key(1), "ann");
        let shared = &links.handle.shared;
        assert!(
            lock(&shared.unwritten).customers.is_empty()
                && lock(&shared.unwritten).committing.is_empty()
        );
    }

    #[test]
    fn the_cache_has_an_end_and_the_table_answers_beyond_it() {
        let folder = tempfile::tempdir().unwrap();
        let links = Links::open(folder.path()).unwrap();
        links.remember_customer(&key(0), "first");
        for n in 1..=CACHED_MAX {
            links.remember_customer(&key(n), "x");
        }
        assert!(links.handle.shared.cache.len() < CACHED_MAX);
        assert_eq!(links.customer(&key(0)).as_deref(), Some("first"));
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error_with_its_path() {
        let error = Links::open(Path::new("/nonexistent/folder")).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("/nonexistent/folder/links.redb: ")
        );
    }
}
