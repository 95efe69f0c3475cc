//! What the writer thread, the subscriptions and the queries share.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{
    Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
};
use std::time::Instant;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::account::Account;
use super::dead::DeadLog;
use super::disk::{Disk, monotonic};
use super::ledger::Open;
use super::record::Name;
use super::segment::{LogId, Met, Segment};
use super::{Accepted, AppendError, Attempt, Origin, Receipt, Settings, SourceTotals};
use crate::clock::{Clock, Timestamp};
use crate::event::{Action, DestinationName, Offset, SourceName};
use crate::metrics::Metrics;
use crate::settle::Settlement;

pub(super) type Reply<T> = oneshot::Sender<Result<T, AppendError>>;

/// What the writer thread is asked to do.
#[derive(Debug)]
pub(super) enum Command {
    Append {
        events: Vec<Accepted>,
        origin: Origin,
        reply: Reply<Vec<Receipt>>,
    },
    Retry {
        account: Arc<Account>,
        at: Offset,
        attempt: Attempt,
        not_before: Timestamp,
        open: Open,
    },
    Settle(Settling),
    Pause {
        account: Arc<Account>,
        paused: bool,
    },
    /// A reader passed a segment's end and did not find all it was owed.
    Lost {
        account: Arc<Account>,
        segment: u32,
    },
    /// The destination left: some of what it is owed ends.
    Remove {
        account: Arc<Account>,
        reply: Reply<Removed>,
    },
    DeadRetry {
        id: Offset,
        reply: Reply<bool>,
    },
    DeadDrop {
        id: Offset,
        reply: Reply<bool>,
    },
}

/// What one step of a removal did.
#[derive(Clone, Copy, Debug)]
pub(super) struct Removed {
    pub(super) settled: u64,
    /// Another step may find more.
    pub(super) more: bool,
}

/// A copy that its ledger has settled, on its way to the disk.
#[derive(Debug)]
pub(super) struct Settling {
    pub(super) account: Arc<Account>,
    pub(super) at: Offset,
    pub(super) settlement: Settlement,
    pub(super) attempt: Option<Attempt>,
    pub(super) detail: String,
    pub(super) open: Open,
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) commands: Vec<Command>,
    pub(super) closed: bool,
    /// Told when the writer thread has ended.
    pub(super) waiting: Vec<oneshot::Sender<()>>,
    pub(super) ended: bool,
}

/// Numbers for what records name often.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// In the order they were first used.
    pub(super) list: Vec<Name>,
    actions: HashMap<Action, u32>,
    by_number: HashMap<u32, Action>,
    destinations: HashMap<u32, DestinationName>,
    next_destination: u32,
    next_action: u32,
}

impl Names {
    /// Takes a name from the disk. Later ones win.
    pub(super) fn learn(&mut self, name: &Name) {
        let known = match name {
            Name::Destination(number, name) => self.destinations.get(number) == Some(name),
            Name::Action(number, action) => self.by_number.get(number) == Some(action),
        };
        if known {
            return;
        }
        self.list.push(name.clone());
        match name {
            Name::Destination(number, name) => {
                self.next_destination = self.next_destination.max(number.saturating_add(1));
                self.destinations.insert(*number, name.clone());
            }
            Name::Action(number, action) => {
                self.next_action = self.next_action.max(number.saturating_add(1));
                self.actions.insert(action.clone(), *number);
                self.by_number.insert(*number, action.clone());
            }
        }
    }

    /// Numbers that records use must never be given to another name, even if
    /// the record that said what they mean is damaged.
    pub(super) fn reserve(&mut self, destination: u32, action: u32) {
        self.next_destination = self.next_destination.max(destination.saturating_add(1));
        self.next_action = self.next_action.max(action.saturating_add(1));
    }

    pub(super) fn number(&mut self, action: &Action) -> u32 {
        if let Some(number) = self.actions.get(action) {
            return *number;
        }
        let number = self.next_action;
        self.learn(&Name::Action(number, action.clone()));
        number
    }

    pub(super) fn new_destination(&mut self, name: &DestinationName) -> u32 {
        let number = self.next_destination;
        self.learn(&Name::Destination(number, name.clone()));
        number
    }

    pub(super) fn action(&self, number: u32) -> Option<Action> {
        self.by_number.get(&number).cloned()
    }

    pub(super) fn destination(&self, number: u32) -> Option<DestinationName> {
        self.destinations.get(&number).cloned()
    }
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) clock: Clock,
    pub(super) metrics: Arc<Metrics>,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) log: LogId,
    pub(super) queue: Mutex<Queue>,
    pub(super) wake: Condvar,
    pub(super) names: Mutex<Names>,
    pub(super) accounts: RwLock<HashMap<DestinationName, Arc<Account>>>,
    pub(super) sources: Mutex<HashMap<SourceName, SourceTotals>>,
    pub(super) segments: RwLock<BTreeMap<u32, Arc<Segment>>>,
    pub(super) dead: DeadLog,
    /// The end of what is committed.
    pub(super) tail: AtomicU64,
    pub(super) full: AtomicBool,
    pub(super) poison: CancellationToken,
    /// Milliseconds since `started`, plus one, when the writer took up its
    /// present work; 0 while it has none.
    pub(super) busy_since: AtomicU64,
    pub(super) started: Instant,
    pub(super) bytes: AtomicU64,
}

impl Shared {
    /// Hands work to the writer thread; `false`: it takes none any more.
    pub(super) fn send(&self, command: Command) -> bool {
        let mut queue = lock(&self.queue);
        if queue.closed || self.poison.is_cancelled() {
            return false;
        }
        let first = queue.commands.is_empty();
        queue.commands.push(command);
        drop(queue);
        if first {
            self.wake.notify_one();
        }
        true
    }

    /// Asks the writer thread and waits for its answer.
    pub(super) async fn ask<T>(
        &self,
        command: impl FnOnce(Reply<T>) -> Command,
    ) -> Result<T, AppendError> {
        let (reply, answer) = oneshot::channel();
        if !self.send(command(reply)) {
            return Err(self.why_not());
        }
        answer.await.unwrap_or_else(|_| Err(self.why_not()))
    }

    fn why_not(&self) -> AppendError {
        if self.poison.is_cancelled() {
            AppendError::Poisoned
        } else {
            AppendError::Closed
        }
    }

    pub(super) fn tail(&self) -> Offset {
        Offset(self.tail.load(Ordering::Acquire))
    }

    /// A destination's account; a new one for a new name.
    pub(super) fn account(&self, name: &DestinationName) -> Arc<Account> {
        if let Some(account) = read(&self.accounts).get(name) {
            return Arc::clone(account);
        }
        let mut accounts = write(&self.accounts);
        let account = accounts.entry(name.clone()).or_insert_with(|| {
            let number = lock(&self.names).new_destination(name);
            Arc::new(Account::new(number, name.clone(), self.tail()))
        });
        Arc::clone(account)
    }

    pub(super) fn all_accounts(&self) -> Vec<Arc<Account>> {
        read(&self.accounts).values().cloned().collect()
    }

    pub(super) fn segment(&self, id: u32) -> Option<Arc<Segment>> {
        read(&self.segments).get(&id).cloned()
    }

    /// The first segment with this id or a later one.
    pub(super) fn segment_from(&self, id: u32) -> Option<Arc<Segment>> {
        read(&self.segments)
            .range(id..)
            .next()
            .map(|(_, segment)| Arc::clone(segment))
    }

    /// A reader met a damaged stretch: counted and said once.
    pub(super) fn report_damage(&self, segment: &Segment, met: &Met<'_>) {
        let Met::Damaged { from, to, .. } = met else {
            return;
        };
        if segment.is_new_damage(*from) {
            self.metrics
                .log_quarantined_total
                .with_label_values::<&str>(&[])
                .inc();
            tracing::warn!(
                segment = segment.id,
                from,
                to,
                "a damaged stretch of the log was quarantined"
            );
        }
    }

    pub(super) fn elapsed_ms(&self) -> u64 {
        u64::try_from(monotonic().duration_since(self.started).as_millis()).unwrap_or(u64::MAX)
    }
}

/// What keeps the writer thread going.
#[derive(Debug)]
pub(super) struct Handle {
    pub(super) shared: Arc<Shared>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        lock(&self.shared.queue).closed = true;
        self.shared.wake.notify_one();
    }
}

/// A lock whose holder panicked is still ours: what it guards is changed in
/// single steps, and a panic of the writer poisons the log anyway.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
