//! The writer thread: everything that is written is written here, in batches
//! of whatever came in while the last one was on its way to the disk.

use std::collections::BTreeMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::account::{Account, UNSYNCED_SETTLEMENTS_ENOUGH};
use super::checkpoint::Unfinished;
use super::dead::Letter;
use super::dedupe::Dedupe;
use super::disk::{elapsed, monotonic};
use super::news::Told;
use super::record::{Fact, Frame, Retrying};
use super::retain::WallClock;
use super::segment::Segment;
use super::state::{Command, Queue, Settling, Shared, Sleep};
use super::{Attempt, lock};
use crate::clock::Timestamp;
use crate::event::Offset;

/// How long a fact may wait for a sync.
pub(super) const UNSYNCED_MAX: Duration = Duration::from_secs(1);
/// How long facts wait for the next append before they are written without it.
pub(super) const COMPANY_MAX: Duration = Duration::from_millis(10);
const HOUSEKEEPING: Duration = Duration::from_secs(10);

/// The disk failed, and nothing it says can be believed any more.
#[derive(Debug)]
pub(super) struct Broken(pub(super) io::Error);

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self(error)
    }
}

/// The segment being written.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) segment: Arc<Segment>,
    pub(super) end: u32,
    /// Up to where it is durable.
    pub(super) synced: u32,
    /// Bytes of the file; what lies beyond `end` is zeros.
    pub(super) allocated: u64,
}

#[derive(Debug, Default)]
pub(super) struct Batch {
    /// What is told when it is durable.
    pub(super) told: Told,
    /// Settlements that wait for their dead letter.
    pub(super) dying: Vec<(Letter, Settling)>,
    /// Accounts that drop their oldest while over their budget, some of them
    /// more than once.
    pub(super) over: Vec<Arc<Account>>,
    /// What the disk's free space allows, once looked at.
    pub(super) room: Option<bool>,
}

pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) dedupe: Dedupe,
    pub(super) active: Option<Active>,
    /// The first of this run.
    pub(super) first_segment: u32,
    pub(super) next_segment: u32,
    pub(super) frame: Frame,
    pub(super) batch: Batch,
    /// Letters of this batch's copies that died at birth; the dead-letter log
    /// keeps room for them.
    pub(super) letters: Vec<Letter>,
    /// Settlements to try again when the dead-letter log has room.
    pub(super) deferred: Vec<Settling>,
    pub(super) deferred_tried_at: Instant,
    pub(super) names_written: usize,
    /// Records of attempts whose copy was settled before they were written.
    pub(super) orphans: BTreeMap<(u32, Offset), Offset>,
    /// Settlements drawn since the last sync, by destination.
    pub(super) unsynced: BTreeMap<u32, (Arc<Account>, usize)>,
    pub(super) unsynced_since: Option<Instant>,
    /// Facts that found no room: the next checkpoint keeps them.
    pub(super) facts_in_memory: bool,
    pub(super) since_checkpoint: u64,
    /// The checkpoint being written, with what it covers: bytes written since
    /// the one before, and whether there were facts without room.
    pub(super) unfinished: Option<(Unfinished, (u64, bool))>,
    /// Where the last checkpoint stands, and the one before it: both may be
    /// needed.
    pub(super) checkpointed: Offset,
    pub(super) checkpointed_before: Offset,
    pub(super) housekeeping_at: Instant,
    pub(super) wall: WallClock,
    /// The folder is ours until this goes.
    guard: Option<Box<dyn Send>>,
}

impl Writer {
    pub(super) fn new(
        shared: Arc<Shared>,
        dedupe: Dedupe,
        next_segment: u32,
        guard: Box<dyn Send>,
    ) -> Self {
        Self {
            shared,
            dedupe,
            active: None,
            first_segment: next_segment,
            next_segment,
            frame: Frame::default(),
            batch: Batch::default(),
            letters: Vec::new(),
            deferred: Vec::new(),
            deferred_tried_at: monotonic(),
            names_written: 0,
            orphans: BTreeMap::new(),
            unsynced: BTreeMap::new(),
            unsynced_since: None,
            facts_in_memory: false,
            since_checkpoint: 0,
            unfinished: None,
            checkpointed: Offset(0),
            checkpointed_before: Offset(0),
            housekeeping_at: monotonic(),
            wall: WallClock::at_start(),
            guard: Some(guard),
        }
    }

    /// Starts the thread. It follows the caller's tokio clock, if there is one,
    /// and then a task of that runtime brings its news round, for as long as
    /// the set lives.
    pub(super) fn start(mut self) -> io::Result<JoinSet<()>> {
        let runtime = tokio::runtime::Handle::try_current().ok();
        let carrier = runtime
            .as_ref()
            .map(|runtime| self.shared.news.carry(runtime));
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || {
                let _clock = runtime.as_ref().map(tokio::runtime::Handle::enter);
                let ended = catch_unwind(AssertUnwindSafe(|| self.run()));
                self.end(ended);
            })?;
        Ok(carrier.unwrap_or_default())
    }

    fn run(&mut self) -> Result<(), Broken> {
        let mut commands = Vec::new();
        loop {
            let closed = self.wait(&mut commands);
            if self.turn(&mut commands, closed)? {
                return Ok(());
            }
        }
    }

    /// Does what came in. `true`: nothing more will, and it is at its end.
    pub(super) fn turn(
        &mut self,
        commands: &mut Vec<Command>,
        closed: bool,
    ) -> Result<bool, Broken> {
        self.shared
            .busy_since
            .store(self.shared.elapsed_ms().max(1), Ordering::Relaxed);
        let work = !commands.is_empty();
        self.work(commands)?;
        if !work && closed {
            return self.finish().map(|()| true);
        }
        if elapsed(self.housekeeping_at) >= HOUSEKEEPING {
            self.retry_deferred()?;
            self.commit()?;
            self.keep_house()?;
            self.housekeeping_at = monotonic();
        }
        self.shared.busy_since.store(0, Ordering::Relaxed);
        Ok(false)
    }

    /// The end, whatever it was.
    pub(super) fn end(mut self, ended: thread::Result<Result<(), Broken>>) {
        let shared = Arc::clone(&self.shared);
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(Broken(error))) => {
                shared.poison.cancel();
                tracing::error!(%error, "the log is poisoned: a write or sync failed");
            }
            Err(_) => {
                shared.poison.cancel();
                tracing::error!("the log is poisoned: its writer panicked");
            }
        }
        let guard = self.guard.take();
        // What is durable is told. Every reply that is still owed is dropped:
        // their askers see the poison.
        shared.news.tell();
        drop(self);
        drop(guard);
        let mut queue = lock(&shared.queue);
        queue.closed = true;
        queue.ended = true;
        queue.commands.clear();
        shared.busy_since.store(0, Ordering::Relaxed);
        for waiting in queue.waiting.drain(..) {
            let _nobody_waits = waiting.send(());
        }
    }

    /// Takes what came in; waits for it, but not for longer than facts may
    /// wait for their sync. What nobody waits for waits a little for company.
    fn wait(&self, commands: &mut Vec<Command>) -> bool {
        let shared = &self.shared;
        let mut queue = lock(&shared.queue);
        if self.unfinished.is_none() {
            queue = shared.sleep(queue, Sleep::ForWork, UNSYNCED_MAX, Queue::none);
            queue = shared.sleep(queue, Sleep::ForCompany, COMPANY_MAX, Queue::alone);
        }
        queue.take(commands)
    }

    fn work(&mut self, commands: &mut Vec<Command>) -> Result<(), Broken> {
        // Idle or not: a gateway under load has no idle second.
        let idle = commands.is_empty() && self.unfinished.is_none();
        if idle || elapsed(self.deferred_tried_at) >= UNSYNCED_MAX {
            self.retry_deferred()?;
        }
        for command in commands.drain(..) {
            self.obey(command)?;
        }
        self.commit()?;
        self.roll_if_over()?;
        self.keep_checkpoint()
    }

    fn obey(&mut self, command: Command) -> Result<(), Broken> {
        match command {
            Command::Append {
                events,
                origin,
                reply,
            } => self.append(events, origin, reply),
            Command::Retry {
                account,
                at,
                attempt,
                not_before,
                open,
            } => self.retry(&account, at, attempt, not_before, &open),
            Command::Settle(settling) => self.settle(settling),
            Command::Pause { account, paused } => self
                .put_fact(&Fact::Paused {
                    destination: account.id,
                    paused,
                })
                .map(drop),
            Command::Lost { account, segment } => self.lose(&account, segment),
            Command::Remove { account, reply } => {
                let removed = self.remove(&account)?;
                // What it counts is written before it is told.
                self.commit()?;
                let _nobody_waits = reply.send(Ok(removed));
                Ok(())
            }
            Command::DeadRetry { id, reply } => self.dead_retry(id, reply),
            Command::DeadDrop { id, reply } => self.dead_drop(id, reply),
        }
    }

    fn retry(
        &mut self,
        account: &Account,
        at: Offset,
        attempt: Attempt,
        not_before: Timestamp,
        known: &super::ledger::Open,
    ) -> Result<(), Broken> {
        let last = lock(&account.state)
            .ledger
            .open
            .get(&at)
            .and_then(|open| open.last_fact);
        let previous = self
            .orphans
            .get(&(account.id, at))
            .copied()
            .or(last)
            .or(known.last_fact);
        let fact = Fact::Retrying(Retrying {
            destination: account.id,
            event: at,
            size: known.size,
            accepted_at: known.accepted_at,
            first_at: known.first_at.unwrap_or(attempt.at),
            not_before,
            previous,
            attempt,
        });
        if let Some(record) = self.put_fact(&fact)? {
            match lock(&account.state).ledger.open.get_mut(&at) {
                Some(open) => open.last_fact = Some(record),
                None => {
                    self.orphans.insert((account.id, at), record);
                }
            }
        }
        Ok(())
    }

    /// Makes everything drawn so far real: letters, records, sync, and only
    /// then the news of it. Who asked is told last, when every budget holds
    /// again.
    pub(super) fn commit(&mut self) -> Result<(), Broken> {
        loop {
            self.bury()?;
            self.write_frame()?;
            let durable = !self.batch.told.events.is_empty();
            let many = self
                .unsynced
                .values()
                .any(|(account, _)| account.unsynced() >= UNSYNCED_SETTLEMENTS_ENOUGH);
            let late = self
                .unsynced_since
                .is_some_and(|since| elapsed(since) >= UNSYNCED_MAX);
            if durable || many || late {
                self.sync()?;
            }
            self.publish();
            if !self.drop_oldest()? {
                self.batch.room = None;
                self.shared.news.leave(std::mem::take(&mut self.batch.told));
                return Ok(());
            }
        }
    }

    fn write_frame(&mut self) -> Result<(), Broken> {
        let Some(active) = &mut self.active else {
            return Ok(());
        };
        if self.frame.bytes.is_empty() {
            return Ok(());
        }
        active
            .segment
            .file
            .write_all_at(&self.frame.bytes, u64::from(active.end))?;
        let length = self.frame.bytes.len();
        active.end = active
            .end
            .saturating_add(u32::try_from(length).unwrap_or(u32::MAX));
        self.since_checkpoint += length as u64;
        self.unsynced_since.get_or_insert_with(monotonic);
        active.segment.set_end(active.end);
        self.frame
            .restart(active.segment.end(), active.segment.seed, active.synced);
        Ok(())
    }

    pub(super) fn sync(&mut self) -> Result<(), Broken> {
        let Some(active) = &mut self.active else {
            return Ok(());
        };
        let started = monotonic();
        active.segment.file.sync_data()?;
        active.synced = active.end;
        self.frame.synced(active.end);
        self.shared
            .metrics
            .log_sync_seconds
            .observe(elapsed(started).as_secs_f64());
        for (account, count) in std::mem::take(&mut self.unsynced).into_values() {
            account.synced(count);
        }
        self.unsynced_since = None;
        Ok(())
    }

    /// What is durable now may be read.
    fn publish(&self) {
        if let Some(active) = &self.active {
            self.shared
                .tail
                .store(active.segment.end().0, Ordering::Release);
        }
    }

    /// Brings accounts with `drop_oldest` back into their budgets. `true`:
    /// there is something to write.
    fn drop_oldest(&mut self) -> Result<bool, Broken> {
        let over = std::mem::take(&mut self.batch.over);
        if over.is_empty() {
            return Ok(false);
        }
        self.shared.news.leave(Told {
            events: std::mem::take(&mut self.batch.told.events),
            receipts: Vec::new(),
        });
        // The oldest may be what no reader has heard of yet.
        self.shared.news.tell();
        let mut dropped = false;
        for account in over {
            while super::append::is_over(&lock(&account.state), 0, 0) {
                let Some(settling) = account.drop_oldest(&self.shared)? else {
                    break;
                };
                account.settling();
                self.settle(settling)?;
                dropped = true;
            }
        }
        Ok(dropped)
    }

    /// An orderly end.
    fn finish(&mut self) -> Result<(), Broken> {
        self.retry_deferred()?;
        self.commit()?;
        self.sync()?;
        self.seal()?;
        self.shared.dead.close();
        self.checkpoint()?;
        if self.facts_in_memory {
            tracing::error!(
                "the disk is full: what was delivered since the last checkpoint could not be written down and is delivered again after the next start"
            );
        }
        Ok(())
    }
}
