//! The log in one thread, for the simulation: its writer is a task, its readers
//! read where they are, and its clock is tokio's.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::checkpoint::{self, AccountState, Checkpoint, Found};
pub(crate) use super::disk::{Disk, DiskFile};
use super::record::Out;
use super::state::{Command, Handle, Queue, Shared, Sleep};
use super::writer::{COMPANY_MAX, UNSYNCED_MAX, Writer};
use super::{Log, OpenError, Recovery, Settings, lock, recover, segment};
use crate::clock::Clock;
use crate::event::Offset;
use crate::metrics::Metrics;

thread_local! {
    static ON: Cell<bool> = const { Cell::new(false) };
}

/// While it is there this thread is the simulated machine.
#[derive(Debug)]
pub(crate) struct Machine(());

impl Machine {
    pub(crate) fn start() -> Self {
        ON.set(true);
        Self(())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        ON.set(false);
    }
}

pub(super) fn is_on() -> bool {
    ON.get()
}

/// What another thread would do: now or a little later, and also if nobody
/// waits for it any more.
pub(super) async fn aside<T>(work: impl FnOnce() -> T) -> T {
    let before = fastrand::bool();
    if before {
        short().await;
    }
    let done = work();
    if !before {
        short().await;
    }
    done
}

async fn short() {
    if fastrand::bool() {
        sleep(Duration::from_millis(fastrand::u64(..4))).await;
    }
}

/// As [`Log::open`], with the writer as a task of `tasks`.
pub(crate) fn open(
    disk: Arc<dyn Disk>,
    settings: Settings,
    clock: Clock,
    metrics: Arc<Metrics>,
    tasks: &mut JoinSet<()>,
) -> Result<(Log, Recovery), OpenError> {
    let (writer, recovery) = recover::open(disk, settings, clock, metrics)?;
    let shared = Arc::clone(&writer.shared);
    let carrier = shared.news.carry(&tokio::runtime::Handle::current());
    tasks.spawn(run(writer));
    let handle = Arc::new(Handle {
        shared,
        _carrier: carrier,
    });
    Ok((Log { handle }, recovery))
}

/// The writer's loop. That its disk takes time shows between taking and doing:
/// what comes meanwhile is for the next turn.
async fn run(mut writer: Writer) {
    let shared = Arc::clone(&writer.shared);
    let mut commands = Vec::new();
    let ended = loop {
        let closed = wait(&shared, writer.unfinished.is_none(), &mut commands).await;
        if !commands.is_empty() {
            let slow = fastrand::u8(..60) == 0;
            sleep(Duration::from_millis(match slow {
                true => fastrand::u64(100..4000),
                false => fastrand::u64(..3),
            }))
            .await;
        }
        match catch_unwind(AssertUnwindSafe(|| writer.turn(&mut commands, closed))) {
            Ok(Ok(false)) => {}
            Ok(Ok(true)) => break Ok(Ok(())),
            Ok(Err(broken)) => break Ok(Err(broken)),
            Err(panic) => {
                writer.end(Ok(Ok(())));
                std::panic::resume_unwind(panic);
            }
        }
    };
    writer.end(ended);
}

async fn wait(shared: &Shared, idle: bool, commands: &mut Vec<Command>) -> bool {
    if idle {
        rest(shared, Sleep::ForWork, UNSYNCED_MAX, Queue::none).await;
        rest(shared, Sleep::ForCompany, COMPANY_MAX, Queue::alone).await;
    }
    lock(&shared.queue).take(commands)
}

async fn rest(shared: &Shared, sleep: Sleep, at_most: Duration, still: fn(&Queue) -> bool) {
    let until = Instant::now() + at_most;
    loop {
        {
            let mut queue = lock(&shared.queue);
            if !still(&queue) || Instant::now() >= until {
                queue.sleep = Sleep::Awake;
                return;
            }
            queue.sleep = sleep;
        }
        tokio::select! {
            biased;
            () = shared.rung.notified() => {}
            () = sleep_until(until) => {}
        }
    }
}

/// A segment's bytes as a newer version's. `None`: its header is not whole.
pub(crate) fn as_newer(disk: &dyn Disk, path: &Path) -> Option<Vec<u8>> {
    let file = disk.open(path).ok()?;
    let header = segment::Header::read(&*file).ok()??;
    let mut newer = vec![0; usize::try_from(file.len().ok()?).ok()?];
    file.read_at(&mut newer, 0).ok()?;
    let header = segment::Header {
        format: segment::FORMAT + 1,
        ..header
    };
    let bytes = header.bytes();
    newer.get_mut(..bytes.len())?.copy_from_slice(&bytes);
    Some(newer)
}

/// Draws the checkpoint of a folder as the first version drew it, which knew
/// nothing parked. `false`: there is none that is whole.
pub(crate) fn age_checkpoint(disk: &dyn Disk, root: &Path) -> std::io::Result<bool> {
    let path = root.join(checkpoint::FILE);
    let Found::Whole(found) = Checkpoint::read(disk, &path)? else {
        return Ok(false);
    };
    let mut bytes = b"hookfanc".to_vec();
    let mut out = Out(&mut bytes);
    out.u32(1);
    out.raw(&found.log);
    out.u64(found.position.0);
    out.count(found.names.len());
    found.names.iter().for_each(|name| name.write(&mut out));
    out.count(found.accounts.len());
    for account in &found.accounts {
        draw_account(account, &mut out);
    }
    out.count(found.sources.len());
    let mut sources: Vec<_> = found.sources.iter().collect();
    sources.sort_unstable_by_key(|(name, _)| *name);
    for (name, totals) in sources {
        out.text(name.as_str());
        for total in [totals.accepted, totals.unrouted, totals.duplicate] {
            out.u64(total);
        }
    }
    out.count(found.segments.len());
    for summary in &found.segments {
        out.u32(summary.id);
        out.u32(summary.end);
        for number in [
            summary.first_at,
            summary.last_at,
            summary.events,
            summary.lowest,
        ] {
            out.u64(number);
        }
    }
    let crc = crc32c::crc32c(&bytes);
    bytes.extend(crc.to_le_bytes());
    let file = disk.create(&path)?;
    file.write_all_at(&bytes, 0)?;
    file.sync_data()?;
    disk.sync_dir(root)?;
    Ok(true)
}

fn draw_account(account: &AccountState, out: &mut Out<'_>) {
    let ledger = &account.ledger;
    out.u32(account.id);
    out.u8(u8::from(account.paused));
    out.maybe_at(account.head_at);
    for total in [
        ledger.owed,
        ledger.delivered,
        ledger.dead,
        ledger.dropped,
        ledger.pending_bytes,
        ledger.read.0,
    ] {
        out.u64(total);
    }
    let handed_out = ledger.first_of(Offset(0)..Offset(u64::MAX), usize::MAX);
    out.count(handed_out.len());
    for (at, open) in handed_out
        .into_iter()
        .filter_map(|at| Some((at, ledger.find(at)?)))
    {
        out.u64(at.0);
        out.u32(open.attempts);
        out.maybe_at(open.first_at);
        out.maybe_at(open.not_before);
        out.u32(open.size);
        out.at(open.accepted_at);
        out.u64(open.last_fact.unwrap_or_default().0);
    }
    out.count(ledger.ahead.len());
    ledger.ahead.iter().for_each(|at| out.u64(at.0));
    out.count(ledger.pending_in.len());
    for (segment, pending) in &ledger.pending_in {
        out.u32(*segment);
        out.u32(pending.count);
        out.u64(pending.bytes);
    }
}
