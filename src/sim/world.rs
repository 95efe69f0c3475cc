//! One world from one seed: a few lives of the gateway, each with its own end,
//! then peace, and the accounts.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::book::{Books, End};
use super::bugs::Bug;
use super::checker::{self, Answers};
use super::disk::SimDisk;
use super::table::{NAMES, Table};
use super::trace::Trace;
use super::vendors::{Mood, Vendors, Wire};
use super::{Failure, Kind};
use crate::admin::House;
use crate::clock::{Clock, Timestamp};
use crate::deliver::simulated::connect;
use crate::gateway::simulated::{self as gateway, Wish};
use crate::links::Links;
use crate::log::simulated::{self, Machine};
use crate::log::{Filter, Log, Settings};
use crate::metrics::Metrics;

const START: Timestamp = Timestamp::from_millis(1_790_000_000_000);
/// Within so long, with everybody well, everything has its end.
const PEACE: Duration = Duration::from_secs(3600);

/// What one seed came to.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) events: u64,
    pub(crate) attempts: u64,
    pub(crate) crashes: u64,
    pub(crate) faults: std::collections::BTreeMap<&'static str, u64>,
    pub(crate) print: u64,
}

pub(crate) struct World {
    pub(super) chance: fastrand::Rng,
    pub(super) bug: Option<Bug>,
    pub(super) disk: SimDisk,
    pub(super) vendors: Arc<Vendors>,
    pub(super) trace: Trace,
    pub(super) books: Books,
    pub(super) in_force: Arc<Mutex<Table>>,
    pub(super) next: u64,
    /// The disk was told to fail in this life.
    pub(super) troubled: bool,
    pub(super) began: Instant,
    clock: Clock,
    settings: Settings,
    pub(super) kinds: Kinds,
}

/// Which faults a world may have besides crashes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kinds {
    pub(crate) rot: bool,
    pub(crate) full: bool,
    pub(crate) trouble: bool,
}

/// A running gateway.
pub(super) struct Running {
    pub(super) log: Log,
    pub(super) house: House,
    pub(super) wishes: mpsc::Sender<Wish>,
    pub(super) senders: JoinSet<()>,
    tasks: JoinSet<()>,
    whole: JoinSet<bool>,
}

/// Runs a world to its end on a runtime of its own.
pub(crate) fn run(seed: u64, bug: Option<Bug>) -> (Result<Tally, Failure>, String) {
    // Opening it rolls dice.
    let _links = links();
    fastrand::seed(seed ^ 0x5eed);
    let _machine = Machine::start();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let done = runtime.block_on(async {
        let mut world = World::new(seed, bug);
        connect(
            Some(Arc::new(Wire(Arc::clone(&world.vendors)))),
            Bug::sabotage(bug),
        );
        let done = world.all().await;
        (done, world.trace.last(200))
    });
    connect(None, Bug::sabotage(None));
    done
}

fn links() -> Links {
    static LINKS: OnceLock<Links> = OnceLock::new();
    // Nothing is ever remembered in it: no source here names a customer.
    let open = || {
        let folder = tempfile::tempdir().unwrap();
        Links::open(folder.path()).unwrap()
    };
    LINKS.get_or_init(open).clone()
}

impl World {
    fn new(seed: u64, bug: Option<Bug>) -> Self {
        let mut chance = fastrand::Rng::with_seed(seed);
        let trace = Trace::new();
        let kinds = Kinds {
            rot: chance.u8(..6) == 0,
            full: chance.u8(..3) == 0,
            trouble: chance.u8(..3) == 0,
        };
        let table = Table::draw(&mut chance);
        let books = Books::default();
        books.open().note(&table);
        let settings = Settings {
            segment_bytes: [4096, 8192, 16_384][chance.usize(..3)],
            ..gateway::read(&table.text(bug)).unwrap().log
        };
        Self {
            disk: SimDisk::new(chance.fork(), bug),
            vendors: Arc::new(Vendors::new(chance.fork(), trace.clone())),
            books,
            in_force: Arc::new(Mutex::new(table)),
            next: 0,
            troubled: false,
            began: Instant::now(),
            clock: Clock::following_tokio(START),
            settings,
            kinds,
            chance,
            bug,
            trace,
        }
    }

    pub(super) fn table(&self) -> Table {
        self.in_force
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    async fn all(&mut self) -> Result<Tally, Failure> {
        let lives = self.chance.usize(2..5);
        for life in 0..lives {
            self.live(life).await?;
            self.between();
        }
        self.in_peace(lives).await
    }

    /// One life, to its end.
    async fn live(&mut self, life: usize) -> Result<(), Failure> {
        if life > 0 && self.chance.u8(..8) == 0 {
            // In the middle of recovery.
            self.disk.cut_in(Some(self.chance.u64(1..60)));
        }
        self.troubled = false;
        let Some(mut running) = self.start(life)? else {
            return self.over(End::PowerCut, None).await;
        };
        self.disk.cut_in(None);
        let (power, log) = (self.disk.power(), running.log.clone());
        let end = tokio::select! {
            biased;
            () = power.cancelled() => End::PowerCut,
            () = log.poisoned() => {
                if !self.troubled {
                    return Err(Failure::new(Kind::Crash, "the log is poisoned, and the disk is well"));
                }
                End::Killed
            }
            end = self.script(&mut running) => end,
        };
        drop(log);
        if end == End::Stopped {
            let stopped = self.stop(&mut running).await?;
            let end = if stopped { End::Stopped } else { End::Killed };
            return self.over(end, Some(running)).await;
        }
        self.over(end, Some(running)).await
    }

    /// Opens the folder and starts everything. `None`: the power went while it
    /// did, or the disk was told to fail.
    pub(super) fn start(&mut self, life: usize) -> Result<Option<Running>, Failure> {
        let mut tasks = JoinSet::new();
        let metrics = Arc::new(Metrics::new());
        self.vendors.serve(life, self.disk.power());
        let mut settings = self.settings.clone();
        if self.bug == Some(Bug::ForgetsIds) && life > 0 {
            settings.dedupe = Duration::from_millis(1);
        }
        let opened = simulated::open(
            Arc::new(self.disk.clone()),
            settings,
            self.clock.clone(),
            Arc::clone(&metrics),
            &mut tasks,
        );
        let (log, recovery) = match opened {
            Ok(opened) => opened,
            Err(_) if self.disk.power().is_cancelled() => return Ok(None),
            Err(error) => {
                let what = format!("life {life} does not begin: {error:?}");
                return Err(Failure::new(Kind::Crash, &what));
            }
        };
        self.trace
            .say(format_args!("life {life} begins: {recovery:?}"));
        if recovery.quarantined > 0 {
            self.books.open().fault("quarantined");
        }
        let config = gateway::read(&self.table().text(self.bug))
            .map_err(|drawn| Failure::new(Kind::WrongAnswer, &drawn))?;
        let gateway = gateway::open(config, log.clone(), links(), self.clock.clone(), metrics);
        let house = gateway.house();
        let (wishes, wished) = mpsc::channel(4);
        let mut whole = JoinSet::new();
        whole.spawn(gateway::run(gateway, wished));
        Ok(Some(Running {
            log,
            house,
            wishes,
            senders: JoinSet::new(),
            tasks,
            whole,
        }))
    }

    /// An orderly stop. `false`: the power went or the disk failed meanwhile.
    pub(super) async fn stop(&mut self, running: &mut Running) -> Result<bool, Failure> {
        let (power, log) = (self.disk.power(), running.log.clone());
        self.trace.say(format_args!("stops"));
        let stopped = async {
            let _gone = running.wishes.send(Wish::Stop).await;
            running.whole.join_next().await
        };
        tokio::select! {
            biased;
            () = power.cancelled() => Ok(false),
            () = log.poisoned() => Ok(false),
            stopped = timeout(Duration::from_secs(600), stopped) => match stopped {
                Ok(Some(Ok(true))) => Ok(true),
                Ok(Some(Ok(false))) => Err(Failure::new(Kind::Crash, "a part panicked or did not end")),
                Ok(_) => Err(Failure::new(Kind::Crash, "the gateway panicked")),
                Err(_) => Err(Failure::new(Kind::Stall, "the gateway does not stop")),
            },
        }
    }

    /// The end of a life: everything goes, and the disk is what it then is.
    async fn over(&mut self, end: End, running: Option<Running>) -> Result<(), Failure> {
        self.trace.say(format_args!("{end:?}"));
        if end == End::Stopped {
            // Everything is on the disk: a cut must change nothing.
            let cut = self.chance.bool();
            if let Some(running) = running {
                self.let_go(running).await?;
            }
            self.disk = match cut {
                true => self.disk.after_power_cut(),
                false => self.disk.after_kill(),
            };
        } else {
            // The disk first: what is dropped must not get onto it.
            let next = match end {
                End::PowerCut => self.disk.after_power_cut(),
                _ => self.disk.after_kill(),
            };
            if let Some(running) = running {
                self.let_go(running).await?;
            }
            self.disk = next;
        }
        let mut book = self.books.open();
        book.ends.push((end, self.began.elapsed()));
        book.fault(match end {
            End::Stopped => "stop",
            End::Killed => "kill",
            End::PowerCut => "power cut",
        });
        match (book.wrong.first(), book.stalled.first()) {
            (Some(wrong), _) => Err(Failure::new(Kind::WrongAnswer, wrong)),
            (None, Some(stalled)) => Err(Failure::new(Kind::Stall, stalled)),
            (None, None) => Ok(()),
        }
    }

    /// Ends what still runs; a panic in it is a crash of ours.
    async fn let_go(&self, mut running: Running) -> Result<(), Failure> {
        running.whole.abort_all();
        running.senders.abort_all();
        running.tasks.abort_all();
        let mut panicked = None;
        while let Some(ended) = running.whole.join_next().await {
            panicked = panicked.or(ended.err().filter(|error| error.is_panic()));
        }
        for set in [&mut running.senders, &mut running.tasks] {
            while let Some(ended) = set.join_next().await {
                panicked = panicked.or(ended.err().filter(|error| error.is_panic()));
            }
        }
        match panicked {
            Some(error) => Err(Failure::new(
                Kind::Crash,
                &format!("a task panicked: {error}"),
            )),
            None => Ok(()),
        }
    }

    /// What happens to a folder while nobody uses it.
    fn between(&mut self) {
        if self.kinds.rot && self.chance.bool() {
            self.rot();
        }
        self.upgrade();
    }

    /// One bit of a sealed segment turns over.
    pub(super) fn rot(&mut self) {
        let sealed = self.sealed();
        if let Some(path) = sealed.get(self.chance.usize(..sealed.len().max(1))) {
            let length = self.disk.bytes(path).map_or(0, |bytes| bytes.len());
            if length > 128 {
                let at = self.chance.usize(128..length);
                self.disk.rot(path, at, self.chance.u8(..8));
                self.trace
                    .say(format_args!("{} rots at {at}", path.display()));
                self.books.open().fault("rot");
            }
        }
    }

    /// Log segments but the last.
    pub(super) fn sealed(&self) -> Vec<PathBuf> {
        let files = self.disk.files().into_iter().map(|(path, _)| path);
        let mut segments: Vec<PathBuf> = files
            .filter(|path| {
                path.starts_with("/data/log") && path.extension().is_some_and(|e| e == "seg")
            })
            .collect();
        segments.pop();
        segments
    }

    /// An older version wrote the checkpoint, or a newer one was here.
    fn upgrade(&mut self) {
        let root = Path::new("/data");
        match self.chance.u8(..3) {
            0 => {
                if simulated::age_checkpoint(&self.disk, root).unwrap_or(false) {
                    self.trace
                        .say(format_args!("an older version's checkpoint"));
                    self.books.open().fault("upgrade");
                }
            }
            1 => self.refuse_newer(),
            _ => {}
        }
    }

    /// A newer version's segment is refused, and nothing is written.
    fn refuse_newer(&mut self) {
        use crate::log::simulated::Disk;
        let Some(path) = self.sealed().last().cloned() else {
            return;
        };
        let Some(whole) = self.disk.bytes(&path) else {
            return;
        };
        let Some(newer) = simulated::as_newer(&self.disk, &path) else {
            return;
        };
        let write = |bytes: &[u8]| {
            let file = self.disk.open(&path)?;
            file.write_all_at(bytes, 0)?;
            file.sync_data()
        };
        if write(&newer).is_err() {
            return;
        }
        let before = self.disk.files();
        let mut tasks = JoinSet::new();
        let opened = simulated::open(
            Arc::new(self.disk.clone()),
            self.settings.clone(),
            self.clock.clone(),
            Arc::new(Metrics::new()),
            &mut tasks,
        );
        let refused = matches!(opened, Err(crate::log::OpenError::NewerFormat { .. }));
        let untouched =
            before == self.disk.files() && self.disk.bytes(&path).as_deref() == Some(&newer[..]);
        if !(refused && untouched) {
            self.books.open().wrong.push(format!(
                "a newer format is not refused untouched: {refused}, {untouched}"
            ));
        }
        drop(opened);
        if write(&whole).is_ok() {
            self.books.open().fault("newer");
        }
    }

    /// Everybody is well and nobody interferes: everything must have its end.
    async fn in_peace(&mut self, life: usize) -> Result<Tally, Failure> {
        self.disk.heal();
        self.troubled = false;
        for to in 0..NAMES.len() {
            self.vendors.set_mood(to, Mood::Ease);
        }
        let table = self.table().at_ease();
        *self.in_force.lock().unwrap_or_else(PoisonError::into_inner) = table;
        let Some(mut running) = self.start(life)? else {
            return Err(Failure::new(Kind::Crash, "the last life does not begin"));
        };
        for name in NAMES {
            if let Some(worker) = running.house.workers.get(name) {
                worker.resume();
            }
        }
        let deadline = Instant::now() + PEACE;
        let pending = |log: &Log| {
            let totals = log.totals().into_iter();
            let mut open: Vec<_> = totals.filter(|(_, totals)| totals.pending() > 0).collect();
            open.sort_by(|one, other| one.0.cmp(&other.0));
            open
        };
        while !pending(&running.log).is_empty() {
            if Instant::now() > deadline {
                let states: Vec<_> = running
                    .house
                    .workers
                    .iter()
                    .map(|w| (w.key().clone(), w.state()))
                    .collect();
                let what = format!(
                    "still owed in peace: {:?}; {states:?}",
                    pending(&running.log)
                );
                return Err(Failure::new(Kind::Stall, &what));
            }
            if running.log.health().is_err() && running.log.moves().is_err() {
                return Err(Failure::new(Kind::Crash, "the log is poisoned in peace"));
            }
            sleep(Duration::from_secs(1)).await;
        }
        let answers = self.ask(&running.log).await?;
        if !self.stop(&mut running).await? {
            return Err(Failure::new(Kind::Crash, "the last stop fails"));
        }
        self.over(End::Stopped, Some(running)).await?;
        let Some(running) = self.start(life + 1)? else {
            return Err(Failure::new(Kind::Crash, "it does not begin after the end"));
        };
        let again = self.ask(&running.log).await?;
        self.let_go(running).await?;
        let arrivals = self.vendors.arrivals();
        let book = self.books.open();
        checker::check(&book, &arrivals, &answers, &again)
            .map_err(|wrong| Failure::new(Kind::WrongAnswer, &wrong))?;
        let crashes = book
            .ends
            .iter()
            .filter(|(end, _)| *end != End::Stopped)
            .count();
        self.trace
            .say(format_args!("ends with {:x}", self.disk.print()));
        Ok(Tally {
            events: book.acked.len() as u64,
            attempts: arrivals.len() as u64,
            crashes: crashes as u64,
            faults: book.faults.clone(),
            print: self.trace.print(),
        })
    }

    /// What the public questions say.
    async fn ask(&self, log: &Log) -> Result<Answers, Failure> {
        let failed = |error: std::io::Error| Failure::new(Kind::Crash, &error.to_string());
        let filter = Filter::default;
        let letters = log.dead(filter(), None, usize::MAX).await.map_err(failed)?;
        let events = log
            .events(filter(), None, usize::MAX)
            .await
            .map_err(failed)?;
        Ok(Answers::new(log.totals(), &letters, &events))
    }
}
