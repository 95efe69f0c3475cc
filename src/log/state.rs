//! What the writer thread, the subscriptions and the queries share.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{
    Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::account::{Account, UNSYNCED_SETTLEMENTS_ENOUGH};
use super::dead::DeadLog;
use super::disk::{Disk, monotonic};
use super::ledger::Open;
use super::news::News;
use super::record::Name;
use super::segment::{LogId, Segment};
use super::walk::Met;
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

impl Command {
    /// Nobody waits for it: it rides with the next batch.
    const fn rides(&self) -> bool {
        matches!(
            self,
            Self::Retry { .. } | Self::Settle(_) | Self::Pause { .. } | Self::Lost { .. }
        )
    }
}

/// What the writer thread sleeps for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sleep {
    #[default]
    Awake,
    /// Anything to do.
    ForWork,
    /// There is work, and more of it may come for the same sync.
    ForCompany,
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) commands: Vec<Command>,
    /// Appends among them.
    pub(super) appends: usize,
    /// What is here waits for no company.
    pub(super) due: bool,
    pub(super) sleep: Sleep,
    pub(super) closed: bool,
    /// Told when the writer thread has ended.
    pub(super) waiting: Vec<oneshot::Sender<()>>,
    pub(super) ended: bool,
}

impl Queue {
    /// Takes what came in; whether nothing more will.
    pub(super) fn take(&mut self, commands: &mut Vec<Command>) -> bool {
        (self.due, self.appends) = (false, 0);
        std::mem::swap(&mut self.commands, commands);
        self.closed
    }

    /// Nothing to do.
    pub(super) fn none(&self) -> bool {
        self.commands.is_empty() && !self.closed
    }

    /// Something to do that nobody waits for.
    pub(super) fn alone(&self) -> bool {
        !(self.commands.is_empty() || self.due || self.closed)
    }
}

/// Numbers for what records name often.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// In the order they were first used.
    pub(super) list: Vec<Name>,
    actions: HashMap<Action, u32>,
    /// The one asked for last, which most are.
    last: Option<(Action, u32)>,
    by_number: BTreeMap<u32, Action>,
    destinations: BTreeMap<u32, DestinationName>,
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
        if let Some((last, number)) = &self.last
            && last == action
        {
            return *number;
        }
        let known = self.actions.get(action).copied();
        let number = known.unwrap_or_else(|| {
            let number = self.next_action;
            self.learn(&Name::Action(number, action.clone()));
            number
        });
        self.last = Some((action.clone(), number));
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
    /// The same for a writer that is a task.
    #[cfg(test)]
    pub(super) rung: tokio::sync::Notify,
    pub(super) names: Mutex<Names>,
    pub(super) accounts: RwLock<BTreeMap<DestinationName, Arc<Account>>>,
    pub(super) sources: Mutex<HashMap<SourceName, SourceTotals>>,
    pub(super) segments: RwLock<BTreeMap<u32, Arc<Segment>>>,
    pub(super) dead: DeadLog,
    /// The end of what is committed.
    pub(super) tail: AtomicU64,
    pub(super) news: Arc<News>,
    pub(super) full: AtomicBool,
    pub(super) poison: CancellationToken,
    /// Milliseconds since `started`, at least one, when the writer took up its
    /// present work; 0 while it has none.
    pub(super) busy_since: AtomicU64,
    pub(super) started: Instant,
    pub(super) bytes: AtomicU64,
}

impl Shared {
    /// Hands work to the writer thread; `false`: it takes none any more.
    pub(super) fn send(&self, command: Command) -> bool {
        let Some(mut queue) = self.open() else {
            return false;
        };
        queue.due |= !command.rides() || queue.commands.len() >= COMMANDS_AT_ONCE;
        queue.commands.push(command);
        self.rouse(queue);
        true
    }

    /// The queue, while the writer thread takes work.
    fn open(&self) -> Option<MutexGuard<'_, Queue>> {
        let queue = lock(&self.queue);
        (!queue.closed && !self.poison.is_cancelled()).then_some(queue)
    }

    /// Wakes the writer thread if it sleeps for what there is.
    pub(super) fn rouse(&self, mut queue: MutexGuard<'_, Queue>) {
        let wake = match queue.sleep {
            Sleep::Awake => false,
            Sleep::ForWork => true,
            Sleep::ForCompany => queue.due || queue.closed,
        };
        if wake {
            queue.sleep = Sleep::Awake;
            drop(queue);
            self.wake.notify_one();
            #[cfg(test)]
            self.rung.notify_one();
        }
    }

    /// The writer thread's sleep, for as long as `still` holds and at most so
    /// long.
    pub(super) fn sleep<'a>(
        &'a self,
        mut queue: MutexGuard<'a, Queue>,
        sleep: Sleep,
        at_most: Duration,
        still: impl Fn(&Queue) -> bool,
    ) -> MutexGuard<'a, Queue> {
        if still(&queue) {
            // Said at each look: who is woken for nothing sleeps on.
            let waited = self.wake.wait_timeout_while(queue, at_most, |queue| {
                queue.sleep = sleep;
                still(queue)
            });
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
            queue.sleep = Sleep::Awake;
        }
        queue
    }

    /// Hands over the events of one webhook and waits for their sync. The first
    /// append of a batch waits until no other is about to come: a gateway with
    /// nothing else to do syncs at once, and a busy one once for many.
    pub(super) async fn append(
        &self,
        events: Vec<Accepted>,
        origin: Origin,
    ) -> Result<Vec<Receipt>, AppendError> {
        let (reply, answer) = oneshot::channel();
        let append = Command::Append {
            events,
            origin,
            reply,
        };
        let first = {
            let mut queue = self.open().ok_or_else(|| self.why_not())?;
            queue.commands.push(append);
            queue.appends += 1;
            queue.appends == 1
        };
        if first {
            self.gather().await;
        }
        answer.await.unwrap_or_else(|_| Err(self.why_not()))
    }

    /// Lets every task that is ready have its turn, for as long as that brings
    /// more appends.
    async fn gather(&self) {
        let _tells = Gathered(self);
        let mut before = 1;
        loop {
            tokio::task::yield_now().await;
            let appends = lock(&self.queue).appends;
            if appends <= before || appends >= APPENDS_AT_ONCE {
                return;
            }
            before = appends;
        }
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

    /// In the order of their numbers.
    pub(super) fn all_accounts(&self) -> Vec<Arc<Account>> {
        let mut accounts: Vec<_> = read(&self.accounts).values().cloned().collect();
        accounts.sort_unstable_by_key(|account| account.id);
        accounts
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
        let Met::Damaged {
            from,
            to,
            torn: false,
        } = met
        else {
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

/// Tells the writer thread that a batch is complete, however its gathering ended.
struct Gathered<'a>(&'a Shared);

impl Drop for Gathered<'_> {
    fn drop(&mut self) {
        let mut queue = lock(&self.0.queue);
        // The writer may have taken them meanwhile.
        if queue.appends > 0 {
            queue.due = true;
            self.0.rouse(queue);
        }
    }
}

/// Appends that one sync gathers, at most.
const APPENDS_AT_ONCE: usize = 64;
/// Facts that wait for company, at most.
const COMMANDS_AT_ONCE: usize = UNSYNCED_SETTLEMENTS_ENOUGH;

/// What keeps the writer thread going.
#[derive(Debug)]
pub(super) struct Handle {
    pub(super) shared: Arc<Shared>,
    /// Brings the writer's news round.
    pub(super) _carrier: JoinSet<()>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        let mut queue = lock(&self.shared.queue);
        queue.closed = true;
        self.shared.rouse(queue);
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
