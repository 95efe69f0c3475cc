//! Where the writer's bytes go: the zeroed runway ahead of the tail, the next
//! segment, and the checkpoint.
//!
//! Data is only ever written over zeros that are on disk already, so that a
//! full disk shows when the runway is extended, never in the middle of a
//! record. Events leave a reserve of it to the facts: deliveries and their
//! settlements go on while the disk is full.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::checkpoint::{AccountState, Checkpoint};
use super::disk::is_full;
use super::record::{Fact, HEADER};
use super::segment::{self, FIRST, FORMAT, Header, Segment, write_zeros};
use super::state::write;
use super::writer::{Active, Broken, Writer};
use super::{lock, read};
use crate::event::Offset;

const RESERVE_BYTES: u64 = 4 * 1024 * 1024;
const STEP_BYTES: u64 = 1024 * 1024;
const CHECKPOINT_BYTES: u64 = 16 * 1024 * 1024;

impl Writer {
    /// What events leave to facts; small segments keep a small one.
    fn reserve(&self) -> u64 {
        RESERVE_BYTES.min(self.shared.settings.segment_bytes / 8)
    }

    /// Where a segment ends, whatever it holds.
    fn limit(&self) -> u64 {
        self.shared
            .settings
            .segment_bytes
            .min(u64::from(u32::MAX) / 2)
    }

    /// Begins the next segment when facts alone have filled this one. Without
    /// room they go on in it. Everything drawn must be written.
    pub(super) fn roll_if_over(&mut self) -> Result<(), Broken> {
        let limit = self.limit();
        let over = |active: &Active| u64::from(active.end) >= limit;
        if self.active.as_ref().is_some_and(over) && !self.shared.full.load(Ordering::Relaxed) {
            // Not tried again before there is room: half a runway is written
            // each time.
            let rolled = self.roll()?;
            self.say_full(!rolled);
        }
        Ok(())
    }

    fn step(&self) -> u64 {
        STEP_BYTES
            .min(self.shared.settings.segment_bytes / 8)
            .max(4096)
    }

    /// Whether events of `n` bytes may be drawn now; makes room for them.
    pub(super) fn room_for(&mut self, n: usize) -> Result<bool, Broken> {
        let room = self.find_room(n as u64)?;
        self.say_full(!room);
        Ok(room)
    }

    /// Whether a middling event would find room now, although none came.
    pub(super) fn look_for_room(&mut self) -> Result<(), Broken> {
        self.batch.room = None;
        let bytes = usize::try_from(self.step()).unwrap_or(usize::MAX);
        self.room_for(bytes)?;
        self.batch.room = None;
        Ok(())
    }

    fn find_room(&mut self, n: u64) -> Result<bool, Broken> {
        if !self.disk_allows()? {
            return Ok(false);
        }
        let limit = self.limit();
        let full = self.active.as_ref().is_none_or(|active| {
            let written = u64::from(active.end) + self.frame.bytes.len() as u64;
            let holds_events = active.segment.events.load(Ordering::Relaxed) > 0;
            written >= limit || (written + n > limit && holds_events)
        });
        if full {
            self.commit()?;
            let runway = u64::from(FIRST) + self.reserve() + self.step();
            if !self.within_max_disk(runway)? || !self.roll()? {
                return Ok(false);
            }
        }
        let Some(active) = &self.active else {
            return Ok(false);
        };
        let need = u64::from(active.end) + self.frame.bytes.len() as u64 + n + self.reserve();
        if need > u64::from(u32::MAX) {
            return Ok(false);
        }
        let more = need
            .saturating_sub(active.allocated)
            .next_multiple_of(self.step());
        Ok(more == 0 || (self.within_max_disk(more)? && self.extend(more)?))
    }

    /// `min_free`, looked at once per batch.
    fn disk_allows(&mut self) -> Result<bool, Broken> {
        if let Some(room) = self.batch.room {
            return Ok(room);
        }
        let room = self.free()? >= self.shared.settings.min_free;
        self.batch.room = Some(room);
        Ok(room)
    }

    /// Free bytes of the disk, noted for the next scrape.
    pub(super) fn free(&self) -> io::Result<u64> {
        let free = self.shared.disk.free(&self.shared.settings.data_dir)?;
        let gauge = &self.shared.metrics.disk_free_bytes;
        gauge.set(i64::try_from(free).unwrap_or(i64::MAX));
        Ok(free)
    }

    fn within_max_disk(&mut self, more: u64) -> Result<bool, Broken> {
        let max = self.shared.settings.max_disk;
        if self.shared.bytes.load(Ordering::Relaxed) + more <= max
            || self.count_bytes()? + more <= max
        {
            return Ok(true);
        }
        self.reclaim(more)
    }

    /// Lengthens the runway. `false`: there is no room for it.
    fn extend(&mut self, more: u64) -> Result<bool, Broken> {
        let Some(active) = &mut self.active else {
            return Ok(false);
        };
        let to = active.allocated + more;
        match write_zeros(&*active.segment.file, active.allocated, to) {
            Err(error) if is_full(&error) => {
                // What was written of it is no use; without it others have room.
                let _as_it_is = active.segment.file.set_len(active.allocated);
                Ok(false)
            }
            written => {
                written?;
                active.allocated = to;
                active.segment.length.store(to, Ordering::Relaxed);
                self.shared.bytes.fetch_add(more, Ordering::Relaxed);
                Ok(true)
            }
        }
    }

    /// Draws a fact; it may use the reserve. `None`: there is no room even
    /// there, and only the memory (and the next checkpoint) knows it.
    pub(super) fn put_fact(&mut self, fact: &Fact) -> Result<Option<Offset>, Broken> {
        if self.names_written < lock(&self.shared.names).list.len()
            && !matches!(fact, Fact::Names(_))
        {
            self.put_new_names()?;
        }
        let drawn = self.frame.bytes.len();
        let at = self.frame.put(fact.tag(), |out| fact.write(out));
        let needed = |active: &Active| u64::from(active.end) + self.frame.bytes.len() as u64;
        let missing = self
            .active
            .as_ref()
            .map(|active| needed(active).saturating_sub(active.allocated));
        let fits = match missing {
            Some(0) => true,
            Some(missing)
                if self
                    .active
                    .as_ref()
                    .is_some_and(|active| needed(active) < u64::from(u32::MAX)) =>
            {
                self.extend(missing.next_multiple_of(self.step()))?
            }
            _ => false,
        };
        if !fits {
            self.frame.bytes.truncate(drawn);
            self.facts_in_memory = true;
            return Ok(None);
        }
        if let (Some(event), Some(active)) = (fact.event(), &self.active) {
            active.segment.saw_fact_about(event);
        }
        Ok(Some(at))
    }

    /// Says what numbers mean before they are used.
    pub(super) fn put_new_names(&mut self) -> Result<(), Broken> {
        let names = lock(&self.shared.names)
            .list
            .get(self.names_written..)
            .unwrap_or_default()
            .to_vec();
        if names.is_empty() {
            return Ok(());
        }
        let count = names.len();
        if self.put_fact(&Fact::Names(names))?.is_some() {
            self.names_written += count;
        }
        Ok(())
    }

    /// Starts the next segment. `false`: there is no room; the present one
    /// stays. Everything drawn must be written.
    pub(super) fn roll(&mut self) -> Result<bool, Broken> {
        let shared = Arc::clone(&self.shared);
        let id = self.next_segment;
        self.next_segment += 1;
        let folder = shared.settings.data_dir.join("log");
        let header = Header {
            format: FORMAT,
            log: shared.log,
            id,
            created: shared.clock.now(),
        };
        let names = lock(&shared.names).list.iter().map(|_| 64).sum::<u64>();
        let runway = u64::from(FIRST) + self.reserve() + self.step() + names + HEADER as u64;
        let file = match segment::create(&*shared.disk, &folder, &header, runway) {
            Err(error) if is_full(&error) => return Ok(false),
            made => made?,
        };
        if self.active.is_some() {
            self.sync()?;
            self.seal()?;
        }
        let segment = Segment::new(id, file, &shared.log, runway).created(header.created);
        let segment = Arc::new(segment);
        shared.bytes.fetch_add(runway, Ordering::Relaxed);
        write(&shared.segments).insert(id, Arc::clone(&segment));
        shared.tail.store(segment.end().0, Ordering::Release);
        self.frame.restart(segment.end(), segment.seed, FIRST);
        self.active = Some(Active {
            segment,
            end: FIRST,
            synced: FIRST,
            allocated: runway,
        });
        self.names_written = 0;
        self.put_new_names()?;
        self.begin_checkpoint()?;
        // After the checkpoint, which stands before what is drawn now.
        self.lose_passed(id)?;
        Ok(true)
    }

    /// Ends the present segment: its unused runway goes, its vendor ids are
    /// written down. It must be synced.
    pub(super) fn seal(&mut self) -> Result<(), Broken> {
        let Some(active) = self.active.take() else {
            return Ok(());
        };
        let (segment, end) = (active.segment, active.end);
        if let Err(error) = segment.file.set_len(u64::from(end)) {
            tracing::warn!(segment = segment.id, %error, "a sealed segment keeps its unused room");
        } else {
            segment.length.store(u64::from(end), Ordering::Relaxed);
            let unused = active.allocated.saturating_sub(u64::from(end));
            self.shared.bytes.fetch_sub(unused, Ordering::Relaxed);
        }
        let folder = self.shared.settings.data_dir.join("log");
        match self
            .dedupe
            .seal(&*self.shared.disk, &folder, &self.shared.log, segment.id)
        {
            Err(error) if is_full(&error) => {
                tracing::warn!(segment = segment.id, %error, "no room for vendor ids")
            }
            written => written?,
        }
        tracing::debug!(segment = segment.id, bytes = end, "sealed");
        Ok(())
    }

    /// Writes at a checkpoint for a little while, or begins one that is due.
    /// Everything drawn is written.
    pub(super) fn keep_checkpoint(&mut self) -> Result<(), Broken> {
        if let Some((unfinished, _)) = &mut self.unfinished {
            // Its accounts may know of ends whose facts were in the queue: those
            // are drawn a turn later.
            let ripe = std::mem::replace(&mut unfinished.ripe, true);
            return if ripe {
                self.checkpoint_slice()
            } else {
                Ok(())
            };
        }
        if self.since_checkpoint >= CHECKPOINT_BYTES || self.facts_in_memory {
            return self.begin_checkpoint();
        }
        Ok(())
    }

    /// Begins to write down the accounts as they stand at the tail; everything
    /// drawn is written. While another is under way it is put off.
    fn begin_checkpoint(&mut self) -> Result<(), Broken> {
        if self.unfinished.is_some() {
            self.since_checkpoint = CHECKPOINT_BYTES;
            return Ok(());
        }
        let checkpoint = self.snapshot();
        let covered = (self.since_checkpoint, self.facts_in_memory);
        (self.since_checkpoint, self.facts_in_memory) = (0, false);
        let (disk, folder) = (&*self.shared.disk, &self.shared.settings.data_dir);
        match checkpoint.begin(disk, folder) {
            Err(error) if is_full(&error) => {
                self.no_room_for_checkpoint(covered, &error);
                Ok(())
            }
            begun => {
                self.unfinished = Some((begun?, covered));
                Ok(())
            }
        }
    }

    pub(super) fn checkpoint_slice(&mut self) -> Result<(), Broken> {
        let Some((mut unfinished, covered)) = self.unfinished.take() else {
            return Ok(());
        };
        if !unfinished.is_under_way() && self.unsynced_since.is_some() {
            // No start looks below it again: what lies there is on the disk first.
            self.sync()?;
        }
        let (disk, folder) = (&*self.shared.disk, &self.shared.settings.data_dir);
        match unfinished.go_on(disk, folder) {
            Err(error) if is_full(&error) => self.no_room_for_checkpoint(covered, &error),
            went => {
                if went? {
                    self.checkpointed_before =
                        std::mem::replace(&mut self.checkpointed, unfinished.position);
                } else {
                    self.unfinished = Some((unfinished, covered));
                }
            }
        }
        Ok(())
    }

    /// What it would have covered is to be covered by the next one.
    fn no_room_for_checkpoint(&mut self, (since, facts): (u64, bool), error: &io::Error) {
        tracing::warn!(%error, "no room for a checkpoint");
        self.since_checkpoint += since;
        self.facts_in_memory |= facts;
    }

    /// Writes down the accounts as they stand at the tail, and returns when
    /// that is done; everything drawn is written.
    pub(super) fn checkpoint(&mut self) -> Result<(), Broken> {
        if let Some((_abandoned, covered)) = self.unfinished.take() {
            self.since_checkpoint += covered.0;
            self.facts_in_memory |= covered.1;
        }
        self.begin_checkpoint()?;
        while self.unfinished.is_some() {
            self.checkpoint_slice()?;
        }
        Ok(())
    }

    fn snapshot(&self) -> Checkpoint {
        let shared = &self.shared;
        let accounts = shared.all_accounts();
        let accounts = accounts.iter().map(|account| {
            let state = lock(&account.state);
            let (paused, head_at) = (state.paused, state.head_at());
            AccountState {
                id: account.id,
                paused,
                head_at,
                ledger: state.ledger.durable(),
            }
        });
        let accounts = accounts.collect();
        // After the accounts: a name that came in between does no harm.
        let names = lock(&shared.names).list.clone();
        Checkpoint {
            log: shared.log,
            position: shared.tail(),
            names,
            accounts,
            sources: lock(&shared.sources).clone(),
            segments: read(&shared.segments)
                .values()
                .map(|segment| segment.summary())
                .collect(),
        }
    }
}
