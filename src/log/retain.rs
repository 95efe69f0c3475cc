//! What may go: segments nobody is owed anything from, dead letters that are
//! too old, vendor ids beyond the window. And a look at what nobody reads.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::segment::{self, Segment};
use super::state::write;
use super::writer::{Broken, Writer};
use super::{dedupe, lock, read};
use crate::clock::Timestamp;
use crate::event::Offset;

/// How much further than the machine's own count the wall clock may move
/// between two looks, and how long it must then keep step to be believed.
const LEAP: Duration = Duration::from_secs(3600);

/// Whether what the wall clock says is good enough to delete by it: a leap
/// forward (a dead battery, a wrong time server) must not expire everything.
/// Whether it leapt before this start nobody knows, so a start is one, too.
#[derive(Debug)]
pub(super) struct WallClock {
    /// What wall and monotonic clock said at the last look.
    last: Option<(Timestamp, Duration)>,
    /// When it leapt, by the monotonic clock.
    leapt: Option<Duration>,
}

impl WallClock {
    /// For a start in which the monotonic clock counts from zero.
    pub(super) fn at_start() -> Self {
        Self {
            last: None,
            leapt: Some(Duration::ZERO),
        }
    }

    /// One that has kept step for long enough.
    #[cfg(test)]
    pub(super) fn in_step() -> Self {
        let (last, leapt) = (None, None);
        Self { last, leapt }
    }

    /// Looks at both clocks; `monotonic` counts from the start.
    pub(super) fn is_believed(&mut self, wall: Timestamp, monotonic: Duration) -> bool {
        if let Some((wall_before, before)) = self.last.replace((wall, monotonic)) {
            let expected = wall_before.plus(monotonic.saturating_sub(before));
            let leap = wall.since(expected);
            if leap > LEAP {
                tracing::warn!(
                    seconds = leap.as_secs(),
                    "the wall clock leapt forward: nothing expires until it has kept step for an hour"
                );
                self.leapt = Some(monotonic);
            }
        }
        self.leapt = self
            .leapt
            .filter(|leapt| monotonic.saturating_sub(*leapt) < LEAP);
        self.leapt.is_none()
    }
}

/// Dead letters take at most this part of `max_disk`: one destination that
/// refuses everything must not use up the room that events are accepted into.
const DEAD_SHARE: u64 = 2;

/// When the last of what a segment says may have been news; `None`: it says
/// nothing at all. One that tells only what became of older events goes no
/// sooner than they do: it was begun after them.
fn said_at(segment: &Segment) -> Option<Timestamp> {
    match segment.speaks_of(Offset(u64::MAX - 1)) {
        true => Some(segment.last_at().max(segment.created)),
        false => Some(segment.last_at()).filter(|last| *last > Timestamp::default()),
    }
}

impl Writer {
    /// Everything that time allows to go.
    pub(super) fn keep_house(&mut self) -> Result<(), Broken> {
        let now = self.shared.clock.now();
        let monotonic = Duration::from_millis(self.shared.elapsed_ms());
        let believed = self.wall.is_believed(now, monotonic);
        // At the epoch nothing is old; what is too much goes all the same.
        self.expire(if believed { now } else { Timestamp::default() })?;
        self.count_bytes()?;
        if let Err(error) = self.free() {
            tracing::warn!(%error, "the disk's free space is not told");
        }
        for account in self.shared.all_accounts() {
            if let Err(error) = account.peek(&self.shared) {
                tracing::warn!(destination = %account.name, %error, "reading the log failed");
            }
        }
        if self.shared.full.load(Ordering::Relaxed) {
            // Who asks before it sends would never send, and nobody else looks.
            self.look_for_room()?;
        }
        Ok(())
    }

    fn expire(&mut self, now: Timestamp) -> Result<(), Broken> {
        let retain = self.shared.settings.retain;
        let old: Vec<_> = self
            .settled(self.checkpointed_before)
            .into_iter()
            .filter(|segment| said_at(segment).is_none_or(|last| last.plus(retain) <= now))
            .collect();
        self.remove_segments(&old)?;
        let settings = &self.shared.settings;
        let dead_max = settings.max_disk / DEAD_SHARE;
        let (segments, shed) = self
            .shared
            .dead
            .expire(now, settings.retain_dead, dead_max)?;
        if shed > 0 {
            let counter = &self.shared.metrics.dead_letters_shed_total;
            counter.with_label_values::<&str>(&[]).inc_by(shed);
            tracing::warn!(
                letters = shed,
                bytes_max = dead_max,
                letters_max = settings.dead_letters_max,
                "the oldest dead letters went before log.retain_dead: raise log.max_disk or log.max_dead_letters to keep more"
            );
        }
        if segments > 0 {
            tracing::info!(segments, "dead-letter segments removed");
        }
        let folder = self.shared.settings.data_dir.join("log");
        let there: Vec<u32> = read(&self.shared.segments).keys().copied().collect();
        for id in self.dedupe.expire(now, |id| there.contains(&id)) {
            self.shared.disk.remove(&dedupe::path(&folder, id))?;
        }
        Ok(())
    }

    /// Makes room under `max_disk`: settled segments go before their time,
    /// the oldest first. `false`: it was not enough.
    pub(super) fn reclaim(&mut self, more: u64) -> Result<bool, Broken> {
        if self.remove_until_fits(more)? {
            return Ok(true);
        }
        if self.settled(self.checkpointed).is_empty() {
            return Ok(false);
        }
        // Only the older checkpoint still needs those: a new one replaces it.
        self.commit()?;
        self.checkpoint()?;
        self.remove_until_fits(more)
    }

    fn remove_until_fits(&mut self, more: u64) -> Result<bool, Broken> {
        let max = self.shared.settings.max_disk;
        for segment in self.settled(self.checkpointed_before) {
            if self.count_bytes()? + more <= max {
                break;
            }
            self.remove_segments(&[segment])?;
        }
        Ok(self.count_bytes()? + more <= max)
    }

    /// Sealed segments in which nothing is pending, oldest first. What they
    /// say of copies in later segments the checkpoint at `known` must know.
    fn settled(&self, known: Offset) -> Vec<Arc<Segment>> {
        let active = self.active.as_ref().map(|active| active.segment.id);
        let mut segments: Vec<Arc<Segment>> =
            read(&self.shared.segments).values().cloned().collect();
        segments.retain(|segment| Some(segment.id) != active && segment.end() <= known);
        for account in self.shared.all_accounts() {
            let state = lock(&account.state);
            let owes = |id: u32| {
                state.ledger.pending_in.contains_key(&id)
                    || state.ledger.closing.keys().any(|at| at.segment() == id)
            };
            segments.retain(|segment| !owes(segment.id));
        }
        segments
    }

    fn remove_segments(&mut self, segments: &[Arc<Segment>]) -> Result<(), Broken> {
        if segments.is_empty() {
            return Ok(());
        }
        let folder = self.shared.settings.data_dir.join("log");
        for segment in segments {
            self.shared
                .disk
                .remove(&segment::path(&folder, segment.id))?;
            write(&self.shared.segments).remove(&segment.id);
            tracing::info!(segment = segment.id, "segment removed");
        }
        self.shared.disk.sync_dir(&folder)?;
        Ok(())
    }

    /// Bytes of all files in the data folder.
    pub(super) fn count_bytes(&self) -> Result<u64, Broken> {
        let root = &self.shared.settings.data_dir;
        let mut bytes = 0;
        for folder in [root.clone(), root.join("log"), root.join("dead")] {
            bytes += self
                .shared
                .disk
                .list(&folder)?
                .iter()
                .map(|(_, length)| length)
                .sum::<u64>();
        }
        self.shared.bytes.store(bytes, Ordering::Relaxed);
        Ok(bytes)
    }
}
