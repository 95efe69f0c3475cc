//! Which messages of a conversation were taken: platforms that send snapshots
//! show each of them again for years, long after the log has forgotten its id.
//!
//! As with customers, what was told is visible at once and on disk within a
//! second; the log, which does not accept an id twice within its own window,
//! knows what a crash took away. Unlike there nothing is dropped and no error
//! reads as "not seen": a message said twice cannot be taken back.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use redb::{ReadableDatabase, ReadableTable, Table, TableDefinition, TableError};
use sha2::{Digest, Sha256};

use super::{Links, LinksError, Shared, lock};
use crate::clock::Timestamp;
use crate::event::{Key, VendorId};

/// By conversation: the day when it may be forgotten (since 1970, u32), then
/// the hashes of its messages in the order they came, all little-endian.
const SEEN: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("seen");

/// Messages remembered of one conversation; beyond it the oldest go.
const IDS_MAX: usize = 50_000;
/// Hashes remembered in front of the table, a conversation counting as
/// [`CACHED_KEY`]: about 32 MiB.
const CACHED_MAX: usize = 4_000_000;
const CACHED_KEY: usize = 32;
/// Hashes that wait for the disk; beyond it nobody is answered, so that no more
/// come.
const UNWRITTEN_MAX: usize = 1_000_000;
/// Conversations that each commit looks at, to see whether they may go.
const SWEEP_ROWS: usize = 256;

/// What stands for a message's id: 8 bytes of SHA-256. A conversation with
/// 50 000 messages has two alike once in ten thousand million times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeenId(u64);

impl SeenId {
    pub fn of(id: &VendorId) -> Self {
        let digest = Sha256::digest(id.as_str().as_bytes());
        Self(digest.first_chunk().copied().map_or(0, u64::from_le_bytes))
    }
}

/// What is known of a conversation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// Sorted.
    ids: Vec<SeenId>,
    /// The day it may be forgotten.
    until: u32,
}

impl Told {
    fn has(&self, id: SeenId) -> bool {
        self.ids.binary_search(&id).is_ok()
    }

    fn add(&mut self, ids: &[SeenId], until: u32) {
        self.ids.extend_from_slice(ids);
        self.ids.sort_unstable();
        self.ids.dedup();
        self.until = self.until.max(until);
    }
}

/// Conversations on their way to the disk.
pub(super) type Batch = HashMap<Key, Told>;

/// What is in memory, under the lock of what is unwritten.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) unwritten: Batch,
    /// Being committed now.
    pub(super) committing: Arc<Batch>,
    cache: HashMap<Key, Told>,
    /// As [`CACHED_MAX`] counts.
    cached: usize,
    /// Hashes in `unwritten` and `committing`, at most.
    waiting: usize,
    /// Counts what was told, so that a reader sees that it was overtaken.
    told: u64,
    /// The last day anything was told.
    pub(super) today: u32,
    /// Behind which conversation the next commit goes on looking.
    swept: String,
}

impl Seen {
    fn pending(&self, key: &Key, told: &mut Told) {
        for batch in [&self.unwritten, &*self.committing] {
            if let Some(more) = batch.get(key) {
                told.add(&more.ids, more.until);
            }
        }
    }

    fn keep(&mut self, key: &Key, told: &Told) {
        let weight = told.ids.len() + CACHED_KEY;
        if self.cached + weight > CACHED_MAX {
            self.cache.clear();
            self.cached = 0;
        }
        self.forget(key);
        self.cached += weight;
        self.cache.insert(key.clone(), told.clone());
    }

    fn forget(&mut self, key: &Key) {
        if let Some(old) = self.cache.remove(key) {
            self.cached = self.cached.saturating_sub(old.ids.len() + CACHED_KEY);
        }
    }

    /// The next batch for the disk.
    pub(super) fn take(&mut self) -> Arc<Batch> {
        self.committing = Arc::new(std::mem::take(&mut self.unwritten));
        Arc::clone(&self.committing)
    }
}

impl Links {
    /// Which of these messages of a conversation were remembered. What memory
    /// does not know is read where blocking is allowed. Needs a tokio runtime.
    pub async fn seen(&self, key: &Key, ids: &[SeenId]) -> Result<Vec<bool>, LinksError> {
        let shared = &self.handle.shared;
        {
            let unwritten = lock(&shared.unwritten);
            if unwritten.seen.waiting >= UNWRITTEN_MAX {
                return Err(LinksError {
                    path: shared.path.clone(),
                    message: "too many messages wait to be remembered".to_owned(),
                });
            }
            if let Some(told) = unwritten.seen.cache.get(key) {
                return Ok(ids.iter().map(|id| told.has(*id)).collect());
            }
        }
        let theirs = key.clone();
        let told = self.blocking(move |shared| shared.read_seen(&theirs));
        let told = told.await?;
        Ok(ids.iter().map(|id| told.has(*id)).collect())
    }

    /// Remembers messages that are durable in the log. Tell all that a snapshot
    /// shows: it keeps those known from being forgotten for `remember` more.
    pub fn remember_seen(&self, key: &Key, ids: &[SeenId], now: Timestamp, remember: Duration) {
        let shared = &self.handle.shared;
        let (today, until) = (day(now), day(now.plus(remember)).saturating_add(1));
        let mut unwritten = lock(&shared.unwritten);
        let seen = &mut unwritten.seen;
        seen.today = seen.today.max(today);
        if let Some(told) = seen.cache.get(key)
            && told.until >= until
            && ids.iter().all(|id| told.has(*id))
        {
            return;
        }
        seen.told += 1;
        let waits = seen.unwritten.entry(key.clone()).or_default();
        let before = waits.ids.len();
        waits.add(ids, until);
        seen.waiting += waits.ids.len() - before;
        if let Some(mut told) = seen.cache.get(key).cloned() {
            told.add(ids, until);
            seen.keep(key, &told);
        }
        drop(unwritten);
        shared.wake.notify_all();
    }
}

impl Shared {
    /// Asks the disk, and keeps what it says.
    fn read_seen(&self, key: &Key) -> Result<Told, redb::Error> {
        let (before, mut told) = {
            let unwritten = lock(&self.unwritten);
            let mut told = Told::default();
            unwritten.seen.pending(key, &mut told);
            (unwritten.seen.told, told)
        };
        if let Some(row) = self.look_up_seen(key)? {
            told.add(&row.ids, row.until);
        }
        let mut unwritten = lock(&self.unwritten);
        let seen = &mut unwritten.seen;
        if seen.told == before {
            seen.keep(key, &told);
        } else {
            // Somebody was quicker, perhaps with this conversation.
            seen.pending(key, &mut told);
        }
        Ok(told)
    }

    pub(super) fn look_up_seen(&self, key: &Key) -> Result<Option<Told>, redb::Error> {
        let database = self.database();
        let database = database.as_ref().ok_or(redb::Error::DatabaseClosed)?;
        let table = match database.begin_read()?.open_table(SEEN) {
            Err(TableError::TableDoesNotExist(_)) => return Ok(None),
            table => table?,
        };
        let Some(row) = table.get(key.as_str())? else {
            return Ok(None);
        };
        let (until, ids) = parse(row.value())?;
        let mut told = Told::default();
        told.add(&ids, until);
        Ok(Some(told))
    }

    /// One commit. What could not be written waits for the next one.
    pub(super) fn write_seen(&self, batch: &Batch, closed: bool) {
        // After one failure redb takes nothing more until it is opened again.
        let written = self.commit_seen(batch).or_else(|error| {
            self.open_again()?;
            self.say_failed(&error, batch.len());
            self.commit_seen(batch)
        });
        let mut unwritten = lock(&self.unwritten);
        let seen = &mut unwritten.seen;
        seen.committing = Arc::default();
        match &written {
            Ok((gone, swept)) => {
                gone.iter().for_each(|key| seen.forget(key));
                seen.swept.clone_from(swept);
            }
            Err(_) if closed => {}
            Err(_) => {
                for (key, told) in batch {
                    let waits = seen.unwritten.entry(key.clone()).or_default();
                    waits.add(&told.ids, told.until);
                }
            }
        }
        seen.waiting = seen.unwritten.values().map(|told| told.ids.len()).sum();
        drop(unwritten);
        if let Err(error) = written {
            self.say_failed(&error, batch.len());
        }
    }

    /// Returns which conversations it forgot, and how far it looked.
    fn commit_seen(&self, batch: &Batch) -> Result<(Vec<Key>, String), redb::Error> {
        let (today, swept) = {
            let unwritten = lock(&self.unwritten);
            (unwritten.seen.today, unwritten.seen.swept.clone())
        };
        let done = self.writing(|transaction| {
            let mut table = transaction.open_table(SEEN)?;
            for (key, told) in batch {
                let row = match table.get(key.as_str())? {
                    Some(row) => merged(parse(row.value())?, told),
                    None => merged((0, Vec::new()), told),
                };
                table.insert(key.as_str(), row.as_slice())?;
            }
            sweep(&mut table, &swept, today)
        })?;
        Ok(done)
    }
}

/// Forgets what was shown in no snapshot for long enough: looks at a few
/// conversations with each commit, so that as many can go as come.
fn sweep(
    table: &mut Table<'_, &'static str, &'static [u8]>,
    from: &str,
    today: u32,
) -> Result<(Vec<Key>, String), redb::Error> {
    let mut gone = Vec::new();
    // At the end it begins again.
    let mut at = String::new();
    for (looked, entry) in table.range(from..)?.enumerate() {
        let (key, row) = entry?;
        if looked == SWEEP_ROWS {
            key.value().clone_into(&mut at);
            break;
        }
        if day_of(row.value())? < today {
            gone.push(Key::from(key.value()));
        }
    }
    for key in &gone {
        table.remove(key.as_str())?;
    }
    Ok((gone, at))
}

/// The row that knows both.
fn merged((until, mut ids): (u32, Vec<SeenId>), told: &Told) -> Vec<u8> {
    let mut known = Told::default();
    known.add(&ids, until);
    ids.extend(told.ids.iter().filter(|id| !known.has(**id)));
    let surplus = ids.len().saturating_sub(IDS_MAX);
    let mut row = Vec::with_capacity(4 + ids.len() * 8);
    row.extend(until.max(told.until).to_le_bytes());
    row.extend(ids.iter().skip(surplus).flat_map(|id| id.0.to_le_bytes()));
    row
}

fn parse(row: &[u8]) -> Result<(u32, Vec<SeenId>), redb::Error> {
    let until = day_of(row)?;
    let (ids, rest) = row.get(4..).unwrap_or_default().as_chunks();
    if !rest.is_empty() {
        return Err(corrupted());
    }
    let ids = ids.iter().map(|id| SeenId(u64::from_le_bytes(*id)));
    Ok((until, ids.collect()))
}

fn day_of(row: &[u8]) -> Result<u32, redb::Error> {
    let day = row.first_chunk().copied().ok_or_else(corrupted)?;
    Ok(u32::from_le_bytes(day))
}

fn corrupted() -> redb::Error {
    redb::Error::Corrupted("what was seen of a conversation cannot be read".to_owned())
}

fn day(at: Timestamp) -> u32 {
    u32::try_from(at.as_secs() / 86_400).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
