//! Opening a folder after anything: the newest whole checkpoint, then every
//! record beyond it.
//!
//! Nothing is ever cut out of the middle. A stretch without a whole record is
//! skipped and counted; bytes after the last whole record are a torn tail, and
//! stay where they are, for the next segment is a new file.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, RwLock};

use super::account::Account;
use super::checkpoint::{AccountState, Checkpoint};
use super::dead::DeadLog;
use super::dedupe::Dedupe;
use super::disk::{Disk, monotonic};
use super::found::{candidates, log_id, newest_checkpoint};
use super::ledger::Ledger;
use super::record::{EventHead, Fact};
use super::segment::{FIRST, LogId, Segment, Summary};
use super::state::{Names, Shared};
use super::writer::{Broken, Writer};
use super::{Origin, Settings, SourceTotals};
use crate::clock::Clock;
use crate::event::{DestinationName, Offset, SourceName};
use crate::metrics::Metrics;
use crate::settle::{Reason, Settlement};

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{0} is in use by another process")]
    InUse(PathBuf),
    #[error("{path} has format {found}; this version reads up to {known}")]
    NewerFormat {
        path: PathBuf,
        found: u32,
        known: u32,
    },
    /// The bytes are those that were not read.
    #[error("{path}: the disk does not read bytes {from} to {to}, which no checkpoint covers")]
    Unread { path: PathBuf, from: u32, to: u32 },
    #[error("{path}")]
    Io { path: PathBuf, source: io::Error },
}

/// What opening found and mended.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Recovery {
    pub segments: u64,
    pub events: u64,
    /// Bytes of writes that a crash tore: nobody was ever told of them.
    pub torn_bytes: u64,
    /// Damaged ranges skipped, and their bytes.
    pub quarantined: u64,
    pub quarantined_bytes: u64,
}

/// Opens the folder; the writer it returns is not started.
pub(super) fn open(
    disk: Arc<dyn Disk>,
    settings: Settings,
    clock: Clock,
    metrics: Arc<Metrics>,
) -> Result<(Writer, Recovery), OpenError> {
    let root = settings.data_dir.clone();
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source: io::Error| OpenError::Io { path, source }
    };
    for folder in disk.create_dir(&root).map_err(failed(&root))? {
        disk.sync_dir(&folder).map_err(failed(&folder))?;
    }
    let guard = disk.lock(&root.join("lock")).map_err(failed(&root))?;
    let Some(guard) = guard else {
        return Err(OpenError::InUse(root));
    };
    let found = candidates(&*disk, &root.join("log"))?;
    let _checked = candidates(&*disk, &root.join("dead"))?;
    let checkpoint = newest_checkpoint(&*disk, &root)?;
    for folder in ["log", "dead"] {
        disk.create_dir(&root.join(folder)).map_err(failed(&root))?;
    }
    disk.sync_dir(&root).map_err(failed(&root))?;
    if let Some(bad) = found.iter().find(|candidate| candidate.unread)
        && checkpoint.is_none()
    {
        // Perhaps the only one to say which log this is.
        let path = bad.path.clone();
        let (from, to) = (0, FIRST);
        return Err(OpenError::Unread { path, from, to });
    }
    let log = log_id(checkpoint.as_deref(), &found);
    let checkpoint = checkpoint.filter(|checkpoint| checkpoint.log == log);
    if checkpoint.is_none() && !found.is_empty() {
        tracing::warn!("no whole checkpoint: reading the whole log");
    }
    let mut fold = Fold::new(&settings, log, checkpoint);
    let next_segment = found
        .iter()
        .map(|candidate| candidate.id)
        .chain([fold.position.segment()])
        .max()
        .unwrap_or(0)
        + 1;
    let there = |id| found.iter().any(|candidate| candidate.id == id);
    fold.dedupe
        .load_others(&*disk, &root.join("log"), &log, there)
        .map_err(failed(&root))?;
    fold.newest = found.last().map_or(0, |candidate| candidate.id);
    for candidate in found {
        fold.segment(&*disk, candidate)?;
    }
    fold.bury_the_missing();
    let (dead, loaded) = DeadLog::load(&disk, &root.join("dead"), log, &settings)
        .map_err(failed(&root.join("dead")))?;
    fold.recovery.quarantined += loaded.quarantined;
    fold.recovery.quarantined_bytes += loaded.quarantined_bytes;
    let position = fold.position;
    let (shared, dedupe, recovery) = fold.finish(disk, settings, clock, metrics, dead);
    let mut writer = Writer::new(Arc::new(shared), dedupe, next_segment, guard);
    writer.checkpointed = position;
    writer
        .begin()
        .map_err(|Broken(error)| failed(&root)(error))?;
    say(&recovery, &writer.shared);
    Ok((writer, recovery))
}

fn say(recovery: &Recovery, shared: &Shared) {
    let gauge = |bytes| i64::try_from(bytes).unwrap_or(i64::MAX);
    let (metrics, settings) = (&shared.metrics, &shared.settings);
    metrics.log_max_bytes.set(gauge(settings.max_disk));
    metrics.disk_min_free_bytes.set(gauge(settings.min_free));
    shared
        .metrics
        .log_quarantined_total
        .with_label_values::<&str>(&[])
        .inc_by(recovery.quarantined);
    let Recovery {
        segments,
        events,
        torn_bytes,
        quarantined,
        quarantined_bytes,
    } = recovery;
    if *quarantined > 0 {
        tracing::warn!(
            quarantined,
            quarantined_bytes,
            "damaged stretches of the log were skipped"
        );
    }
    tracing::info!(segments, events, torn_bytes, quarantined, "the log is open");
}

/// The log folded into accounts.
pub(super) struct Fold {
    pub(super) log: LogId,
    /// The last segment there is.
    pub(super) newest: u32,
    /// What lies below is in the checkpoint.
    pub(super) position: Offset,
    pub(super) summaries: HashMap<u32, Summary>,
    pub(super) accounts: BTreeMap<u32, AccountState>,
    pub(super) names: Names,
    pub(super) sources: HashMap<SourceName, SourceTotals>,
    pub(super) segments: BTreeMap<u32, Arc<Segment>>,
    pub(super) damaged: Vec<(Offset, Offset)>,
    pub(super) dedupe: Dedupe,
    pub(super) recovery: Recovery,
}

impl Fold {
    fn new(settings: &Settings, log: LogId, checkpoint: Option<Box<Checkpoint>>) -> Self {
        let checkpoint = checkpoint.map(|checkpoint| *checkpoint).unwrap_or_default();
        let mut names = Names::default();
        checkpoint.names.iter().for_each(|name| names.learn(name));
        Self {
            log,
            newest: 0,
            position: checkpoint.position,
            summaries: checkpoint
                .segments
                .into_iter()
                .map(|summary| (summary.id, summary))
                .collect(),
            accounts: checkpoint
                .accounts
                .into_iter()
                .map(|account| (account.id, account))
                .collect(),
            names,
            sources: checkpoint.sources,
            segments: BTreeMap::new(),
            damaged: Vec::new(),
            dedupe: Dedupe::new(settings.dedupe),
            recovery: Recovery::default(),
        }
    }

    pub(super) fn event(&mut self, at: Offset, head: &EventHead<'_>) {
        if head.origin == Origin::Accepted {
            let totals = self
                .sources
                .entry(SourceName::from(head.source))
                .or_default();
            totals.accepted += 1;
            totals.unrouted += u64::from(head.owed.iter().next().is_none());
        }
        for owed in head.owed.iter() {
            self.names.reserve(owed.destination, owed.action);
            let account = self.account(owed.destination, at);
            if owed.born_dead {
                account
                    .ledger
                    .owe_settled(Settlement::Dead(Reason::BacklogFull));
                continue;
            }
            if account.ledger.unread() == 0 {
                account.head_at = Some(head.accepted_at);
            }
            account.ledger.owe(at, head.size);
        }
    }

    /// An account that was opened at `at`, unless it is known.
    fn account(&mut self, id: u32, at: Offset) -> &mut AccountState {
        let fresh = || AccountState {
            id,
            ledger: Ledger {
                read: at,
                ..Ledger::default()
            },
            ..AccountState::default()
        };
        self.accounts.entry(id).or_insert_with(fresh)
    }

    pub(super) fn fact(&mut self, at: Offset, fact: Fact) {
        // An event that the checkpoint counts needs no reading to be settled;
        // beyond it, what is damaged was never counted.
        let damaged = |event: Offset| {
            let mut damaged = self.damaged.iter();
            event >= self.position && damaged.any(|(from, to)| *from <= event && event < *to)
        };
        if fact.event().is_some_and(damaged) {
            return;
        }
        match fact {
            Fact::Names(names) => names.iter().for_each(|name| self.names.learn(name)),
            Fact::Retrying(fact) => self
                .account(fact.destination, at)
                .ledger
                .replay_retrying(&fact, at),
            Fact::Settled(fact) => {
                let ledger = &mut self.account(fact.destination, at).ledger;
                ledger.replay_settled(fact.event, fact.size, fact.settlement);
            }
            Fact::Paused {
                destination,
                paused,
            } => self.account(destination, at).paused = paused,
            Fact::Lost {
                destination,
                segment,
                count,
                bytes,
            } => {
                let lost = super::ledger::Pending { count, bytes };
                self.account(destination, at).ledger.lose(segment, lost);
            }
            Fact::Duplicates { source, count } => {
                self.sources.entry(source).or_default().duplicate += count
            }
        }
    }

    /// What is pending in a segment that is not there any more cannot be
    /// delivered: somebody removed the file.
    fn bury_the_missing(&mut self) {
        for account in self.accounts.values_mut() {
            let missing: Vec<u32> = account
                .ledger
                .pending_in
                .keys()
                .copied()
                .filter(|id| !self.segments.contains_key(id))
                .collect();
            for id in missing {
                let range = Offset::new(id, 0)..Offset::new(id, u32::MAX);
                for at in account.ledger.first_of(range, usize::MAX) {
                    account.ledger.settle(at, Settlement::Dead(Reason::Damaged));
                }
                let lost = account
                    .ledger
                    .pending_in
                    .get(&id)
                    .copied()
                    .unwrap_or_default();
                account.ledger.lose(id, lost);
                tracing::error!(
                    segment = id,
                    destination = account.id,
                    copies = lost.count,
                    "a segment is missing; its copies were settled dead"
                );
            }
        }
    }

    fn finish(
        mut self,
        disk: Arc<dyn Disk>,
        settings: Settings,
        clock: Clock,
        metrics: Arc<Metrics>,
        dead: DeadLog,
    ) -> (Shared, Dedupe, Recovery) {
        let mut accounts = BTreeMap::new();
        for state in self.accounts.into_values() {
            let id = state.id;
            let name = self.names.destination(id).unwrap_or_else(|| {
                tracing::warn!(id, "the name of a destination is damaged");
                DestinationName::from(format!("unknown-{id}"))
            });
            self.names
                .learn(&super::record::Name::Destination(id, name.clone()));
            let account =
                Account::recovered(id, name.clone(), state.ledger, state.paused, state.head_at);
            accounts.insert(name, Arc::new(account));
        }
        self.recovery.segments = self.segments.len() as u64;
        self.recovery.events = self
            .segments
            .values()
            .map(|segment| segment.events.load(Ordering::Relaxed))
            .sum();
        let tail = self
            .segments
            .values()
            .next_back()
            .map_or(Offset(0), |segment| segment.end());
        let shared = Shared {
            settings,
            clock,
            metrics,
            disk,
            log: self.log,
            queue: Mutex::default(),
            wake: std::sync::Condvar::new(),
            #[cfg(test)]
            rung: tokio::sync::Notify::new(),
            names: Mutex::new(self.names),
            accounts: RwLock::new(accounts),
            sources: Mutex::new(self.sources),
            segments: RwLock::new(self.segments),
            dead,
            tail: tail.0.into(),
            news: Arc::default(),
            full: false.into(),
            poison: tokio_util::sync::CancellationToken::new(),
            busy_since: 0.into(),
            started: monotonic(),
            bytes: 0.into(),
        };
        (shared, self.dedupe, self.recovery)
    }
}

impl Writer {
    /// Opens the first segment of this run. A full disk is no reason not to
    /// start: deliveries go on.
    fn begin(&mut self) -> Result<(), Broken> {
        self.count_bytes()?;
        if self.roll()? {
            self.commit()?;
            self.sync()?;
            // Nobody has ended anything yet that it would know too soon.
            self.checkpoint_slice()?;
        } else {
            self.say_full(true);
        }
        self.keep_house()
    }
}
