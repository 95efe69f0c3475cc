//! One world from one seed: a few lives of the gateway, each with its own end,
//! then peace, and the accounts.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::book::{Books, End};
use super::bugs::Bug;
use super::disk::SimDisk;
use super::table::Table;
use super::trace::Trace;
use super::vendors::{Vendors, Wire};
use super::{Failure, Kind};
use crate::admin::House;
use crate::clock::{Clock, Timestamp};
use crate::deliver::simulated::connect;
use crate::gateway::simulated::{self as gateway, Wish};
use crate::links::Links;
use crate::log::simulated::{self, Machine};
use crate::log::{Log, Settings};
use crate::metrics::Metrics;

const START: Timestamp = Timestamp::from_millis(1_790_000_000_000);

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
    /// It is the last life before peace: what every world has must happen now.
    pub(super) due: bool,
    /// The disk was told to fail in this life.
    pub(super) troubled: bool,
    pub(super) began: Instant,
    pub(super) clock: Clock,
    pub(super) settings: Settings,
    pub(super) kinds: Kinds,
}

/// Which faults a world may have besides crashes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kinds {
    pub(crate) rot: bool,
    /// Many webhooks at once.
    pub(crate) busy: bool,
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
            busy: chance.u8(..40) == 0,
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
            due: false,
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
            self.due = life + 1 == lives;
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
            let end = match stopped {
                true if self.disk.is_full() => End::StoppedFull,
                true => End::Stopped,
                false => End::Killed,
            };
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
        let mut book = self.books.open();
        if recovery.quarantined > 0 {
            book.fault("quarantined");
        }
        if recovery.torn_bytes > 0 && book.had("rot") {
            book.fault("torn or rotten");
        }
        drop(book);
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
    pub(super) async fn over(&mut self, end: End, running: Option<Running>) -> Result<(), Failure> {
        self.trace.say(format_args!("{end:?}"));
        if !end.is_crash() {
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
            End::Stopped | End::StoppedFull => "stop",
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
    pub(super) async fn let_go(&self, mut running: Running) -> Result<(), Failure> {
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
}
