//! Which of a conversation's messages have been events: a platform that posts
//! whole conversations shows each of them again for as long as it lives, far
//! beyond the log's own memory of resends.
//!
//! Written behind the log, like customers: what is lost with a crash's last
//! second the log still knows, because a message and its id are one record there.

use std::collections::{HashMap, HashSet};

use redb::{ReadableTable, TableDefinition, TableError, WriteTransaction};
use sha2::{Digest, Sha256};

use super::{Links, LinksError, Shared, lock};
use crate::clock::Timestamp;
use crate::event::{Key, VendorId};

/// A conversation's key: when it was last shown (Unix milliseconds, 8 bytes),
/// then 8 bytes for each message.
const SEEN: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("seen");

/// Conversations looked at for forgetting, with each commit.
const SWEEP: usize = 100;

/// What of conversations waits for the disk.
#[derive(Debug, Default)]
pub(super) struct Shown {
    by_key: HashMap<Key, HashSet<u64>>,
    /// When the latest of them was shown.
    at: Timestamp,
}

impl Shown {
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// Takes what a failed commit gives back.
    pub(super) fn put_back(&mut self, other: &Self) {
        self.at = self.at.max(other.at);
        for (key, ids) in &other.by_key {
            self.by_key.entry(key.clone()).or_default().extend(ids);
        }
    }
}

/// The messages of one conversation that have been events.
#[derive(Debug, Default)]
pub struct Seen(HashSet<u64>);

impl Seen {
    pub fn contains(&self, id: &VendorId) -> bool {
        self.0.contains(&short(id))
    }
}

impl Links {
    /// An error is none of "not seen": nothing may be made of it.
    pub async fn seen(&self, key: &Key) -> Result<Seen, LinksError> {
        let key = key.clone();
        let seen = self.blocking(move |shared| shared.seen(&key)).await?;
        Ok(Seen(seen))
    }

    /// Remembers; visible at once, on disk within a second.
    pub fn remember_seen(&self, key: &Key, ids: &[VendorId], now: Timestamp) {
        let shared = &self.handle.shared;
        let mut unwritten = lock(&shared.unwritten);
        unwritten.shown.at = unwritten.shown.at.max(now);
        let known = unwritten.shown.by_key.entry(key.clone()).or_default();
        known.extend(ids.iter().map(short));
        drop(unwritten);
        shared.wake.notify_all();
    }
}

impl Shared {
    fn seen(&self, key: &Key) -> Result<HashSet<u64>, redb::Error> {
        // What waits is copied first: a commit in between is then read twice,
        // never missed.
        let mut seen: HashSet<u64> = {
            let unwritten = lock(&self.unwritten);
            let waiting = [&unwritten.shown, &*unwritten.shown_committing];
            let waiting = waiting.iter().filter_map(|shown| shown.by_key.get(key));
            waiting.flatten().copied().collect()
        };
        let table = match self.read_table(SEEN) {
            Err(redb::Error::TableDoesNotExist(_)) => return Ok(seen),
            table => table?,
        };
        if let Some(found) = table.get(key.as_str())? {
            seen.extend(parse(found.value()).1);
        }
        Ok(seen)
    }

    fn read_table<K: redb::Key + 'static, V: redb::Value + 'static>(
        &self,
        definition: TableDefinition<'_, K, V>,
    ) -> Result<redb::ReadOnlyTable<K, V>, redb::Error> {
        use redb::ReadableDatabase;
        let database = self.database();
        let database = database.as_ref().ok_or(redb::Error::DatabaseClosed)?;
        Ok(database
            .begin_read()?
            .open_table(definition)
            .map_err(|error: TableError| error)?)
    }

    /// Adds what was shown, and forgets a few conversations that nobody has
    /// shown for `remember`.
    pub(super) fn write_shown(
        &self,
        transaction: &WriteTransaction,
        shown: &Shown,
    ) -> Result<(), redb::Error> {
        if shown.is_empty() {
            return Ok(());
        }
        let mut table = transaction.open_table(SEEN)?;
        for (key, ids) in &shown.by_key {
            let mut all: HashSet<u64> = ids.clone();
            if let Some(before) = table.get(key.as_str())? {
                all.extend(parse(before.value()).1);
            }
            let mut all: Vec<u64> = all.into_iter().collect();
            all.sort_unstable();
            let mut bytes = shown.at.as_millis().to_be_bytes().to_vec();
            bytes.extend(all.iter().flat_map(|id| id.to_be_bytes()));
            table.insert(key.as_str(), bytes.as_slice())?;
        }
        self.forget(&mut table, shown.at)
    }

    fn forget(
        &self,
        table: &mut redb::Table<'_, &'static str, &'static [u8]>,
        now: Timestamp,
    ) -> Result<(), redb::Error> {
        let mut swept = lock(&self.swept);
        let before = now.minus(swept.remember);
        let mut old = Vec::new();
        let mut last = String::new();
        for entry in table.range(swept.after.as_str()..)?.take(SWEEP) {
            let (key, value) = entry?;
            key.value().clone_into(&mut last);
            if parse(value.value()).0 < before {
                old.push(key.value().to_owned());
            }
        }
        for key in &old {
            table.remove(key.as_str())?;
        }
        // At the end it begins again.
        let at_end = last.is_empty() || last == swept.after;
        swept.after = if at_end { String::new() } else { last };
        Ok(())
    }
}

/// How far forgetting has come, and after how long it forgets.
#[derive(Debug)]
pub(super) struct Swept {
    pub(super) after: String,
    pub(super) remember: std::time::Duration,
}

fn parse(bytes: &[u8]) -> (Timestamp, impl Iterator<Item = u64> + '_) {
    let number = |bytes: &[u8]| bytes.try_into().map_or(0, u64::from_be_bytes);
    let (at, ids) = bytes.split_at_checked(8).unwrap_or_default();
    let ids = ids.chunks_exact(8).map(number);
    (Timestamp::from_millis(number(at)), ids)
}

/// Eight bytes tell the messages of one conversation apart.
fn short(id: &VendorId) -> u64 {
    let digest = Sha256::digest(id.as_str().as_bytes());
    let first = digest.first_chunk().copied().unwrap_or_default();
    u64::from_be_bytes(first)
}
