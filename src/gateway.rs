//! The whole: opens everything, owns every task, applies configurations,
//! drains. The only place where the parts meet.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use arc_swap::ArcSwap;
use dashmap::DashMap;
use tokio::sync::mpsc;
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admin::{self, Command, House, InForce};
use crate::clock::Clock;
use crate::config::{self, Complaints, Config, watch::Watcher};
use crate::decode::Secrets;
use crate::deliver::{self, Accounts, Destination, Worker};
use crate::event::{DestinationName, SourceName};
use crate::ingress::{self, Front, Ingress};
use crate::links::{Links, LinksError};
use crate::log::{Log, OpenError};
use crate::metrics::Metrics;
use crate::route::RouteTable;
use crate::vendor::Reading;

pub mod apply;
pub mod notify;
mod tls;

/// How often accounts without a worker are looked for.
const HOUSEKEEPING: std::time::Duration = std::time::Duration::from_secs(5);

/// How long the last writes may take once everything has ended.
const CLOSING_MAX: std::time::Duration = std::time::Duration::from_secs(10);

/// Wishes that may wait for the gateway's attention.
const COMMANDS_MAX: usize = 16;

/// Why the gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("the configuration has errors")]
    Config(Complaints),
    #[error(transparent)]
    Log(#[from] OpenError),
    #[error(transparent)]
    Links(#[from] LinksError),
    #[error("{key} = {address}: {source}")]
    Bind {
        key: &'static str,
        address: SocketAddr,
        source: std::io::Error,
    },
    #[error("server.tls: {0}")]
    Tls(String),
}

/// How the gateway ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Drained: what was in the air has landed or, at `limits.drain`, was let
    /// go to be repeated; everything else is on disk.
    Clean,
    /// Something did not end by itself and was ended.
    Unclean,
    /// The disk failed; what was acknowledged is safe, nothing more is taken.
    Disk,
}

/// A gateway with its sockets bound and its log open, ready to run.
pub struct Gateway {
    pub ingress: SocketAddr,
    pub admin: SocketAddr,
    path: PathBuf,
    /// The file's values that a reload compares with and cannot change.
    fixed: Config,
    house: House,
    certificates: tls::Certificates,
    listener: Option<tokio::net::TcpListener>,
    admin_listener: Option<tokio::net::TcpListener>,
    commands: mpsc::Receiver<Command>,
    tasks: JoinSet<DestinationName>,
    /// Whose task is whose: a task that panics does not tell its name.
    names: HashMap<Id, DestinationName>,
    /// Removed destinations whose last attempts are still in the air.
    leaving: HashSet<DestinationName>,
    /// What is owed to names nobody knows is settled beside everything else.
    chores: JoinSet<()>,
    drain: CancellationToken,
    watcher: Watcher,
    supervisor: notify::Supervisor,
}

impl Gateway {
    /// Reads the configuration, opens the log, binds both addresses, starts
    /// the workers. Nothing is accepted before [`Gateway::run`].
    pub async fn open(path: PathBuf, clock: Clock) -> Result<Self, StartError> {
        // Watched before it is read, so that no change falls between the two.
        let mut watcher = Watcher::new(vec![path.clone()]);
        if let Some(error) = watcher.deaf() {
            tracing::warn!(%error, "config.polled: the kernel does not tell of changes; looking every few seconds");
        }
        let mut config = config::load(&path, Secrets::Resolve).map_err(StartError::Config)?;
        watcher.set_files(config.files.clone());
        let bind = |key, address| {
            ingress::bind(address).map_err(|source| StartError::Bind {
                key,
                address,
                source,
            })
        };
        let metrics = Arc::new(Metrics::new());
        let (log, recovery) = Log::open(config.log.clone(), clock.clone(), Arc::clone(&metrics))?;
        tracing::info!(?recovery, "log.opened");
        let links = Links::open(&config.log.data_dir)?;
        let certificates =
            tls::Certificates::open(&config.server, &config.log.data_dir, &clock, &metrics)?;
        let listener = bind("server.listen", config.server.listen)?;
        let admin_listener = bind("server.admin", config.server.admin)?;
        let address =
            |listener: &tokio::net::TcpListener, asked| listener.local_addr().unwrap_or(asked);
        let (ingress, admin) = (
            address(&listener, config.server.listen),
            address(&admin_listener, config.server.admin),
        );
        let (commands, received) = mpsc::channel(COMMANDS_MAX);
        let drain = CancellationToken::new();
        let house = House {
            front: Arc::new(ArcSwap::from_pointee(front(&mut config))),
            // Said in full by `note_applied`, when everything runs.
            in_force: Arc::new(ArcSwap::from_pointee(InForce::default())),
            tls: certificates.tls.clone(),
            log,
            links,
            accounts: Accounts::default(),
            clock,
            metrics,
            workers: Arc::new(DashMap::new()),
            progress: Arc::default(),
            commands,
            sampler: Arc::default(),
            live: Arc::default(),
            jobs: Arc::default(),
            tasks: TaskTracker::new(),
            drain: drain.clone(),
        };
        let mut gateway = Self {
            ingress,
            admin,
            path,
            watcher,
            fixed: config,
            house,
            certificates,
            listener: Some(listener),
            admin_listener: Some(admin_listener),
            commands: received,
            tasks: JoinSet::new(),
            names: HashMap::new(),
            leaving: HashSet::new(),
            chores: JoinSet::new(),
            drain,
            supervisor: notify::Supervisor::default(),
        };
        gateway.start_workers();
        gateway.note_applied();
        Ok(gateway)
    }

    /// A handle for the operator's side, and for whoever embeds the gateway.
    pub fn house(&self) -> House {
        self.house.clone()
    }

    /// Whom to tell how it goes; nobody, if this is not called.
    pub fn supervised(mut self, supervisor: notify::Supervisor) -> Self {
        self.supervisor = supervisor;
        self
    }

    /// Runs until `stop` is cancelled or the disk fails, then drains.
    pub async fn run(mut self, stop: CancellationToken) -> Ended {
        let mut edges: JoinSet<()> = JoinSet::new();
        if let Some(listener) = self.listener.take() {
            let ingress = self.house.ingress();
            let tls = self.certificates.tls.clone();
            edges.spawn(ingress.serve(listener, tls, self.drain.clone()));
        }
        self.certificates
            .serve(&self.house, &mut edges, &self.drain);
        let sampling = admin::sampler::run(self.house.clone(), self.drain.clone());
        self.house.tasks.spawn(sampling);
        let admin_drain = CancellationToken::new();
        let mut admin_task: JoinSet<()> = JoinSet::new();
        if let Some(listener) = self.admin_listener.take() {
            admin_task.spawn(admin::serve(
                listener,
                self.house.clone(),
                admin_drain.clone(),
            ));
        }
        self.supervisor.ready(&self.house);
        let mut informed: JoinSet<()> = JoinSet::new();
        let supervisor = self.supervisor.clone();
        informed.spawn(supervisor.keep_informed(self.house.clone()));
        let ended = self.steer(&stop, &mut edges).await;
        let ended = self.finish(ended, edges).await;
        informed.shutdown().await;
        admin_drain.cancel();
        while admin_task.join_next().await.is_some() {}
        ended
    }

    /// Turns wishes into deeds until it is time to stop.
    async fn steer(&mut self, stop: &CancellationToken, edges: &mut JoinSet<()>) -> Option<Ended> {
        let log = self.house.log.clone();
        let mut housekeeping = tokio::time::interval(HOUSEKEEPING);
        housekeeping.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = log.poisoned() => return Some(Ended::Disk),
                () = stop.cancelled() => return None,
                Some(command) = self.commands.recv() => self.follow(command).await,
                () = self.watcher.changed() => {
                    let _logged = self.reload().await;
                }
                Some(ended) = self.tasks.join_next_with_id() => self.worker_ended(ended),
                Some(_) = edges.join_next() => {
                    tracing::error!("the ingress ended by itself; stopping");
                    return Some(Ended::Unclean);
                }
                Some(_) = self.chores.join_next() => {}
                _ = housekeeping.tick() => {
                    self.settle_orphans();
                    self.certificates.attend(&self.drain);
                }
            }
        }
    }

    /// The asker may have gone; what is done stands all the same.
    async fn follow(&mut self, command: Command) {
        match command {
            Command::Reload(answer) => {
                let said = self.reload().await;
                let _gone = answer.send(said);
            }
            Command::Check(answer) => {
                let path = self.path.clone();
                // Reading files and resolving secrets must not hold up anything.
                self.house.tasks.spawn_blocking(move || {
                    let _gone = answer.send(apply::check(&path));
                });
            }
        }
    }

    /// A worker ends when its destination was removed; one that ends by itself
    /// (a panic) is started again: its subscription knows where it was.
    fn worker_ended(&mut self, ended: Result<(Id, DestinationName), JoinError>) {
        let id = match &ended {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        if let Some(name) = self.names.remove(&id) {
            self.leaving.remove(&name);
            match ended {
                Ok(_) => tracing::info!(destination = %name, "worker.ended"),
                Err(error) => tracing::error!(destination = %name, %error, "worker.failed"),
            }
        }
        let running = |name: &DestinationName| {
            self.house
                .workers
                .get(name)
                .is_some_and(|worker| !worker.ended())
        };
        let mut idle = self.wanted();
        idle.retain(|destination| {
            !running(&destination.name) && !self.leaving.contains(&destination.name)
        });
        for destination in idle {
            self.start_worker(&destination);
        }
        self.settle_orphans();
    }

    /// Stops taking, lets what is in the air land, closes the log.
    async fn finish(&mut self, ended: Option<Ended>, mut edges: JoinSet<()>) -> Ended {
        let patience = self.house.front.load().limits.drain;
        tracing::info!(?patience, "draining");
        self.supervisor.stopping(patience);
        self.drain.cancel();
        let landed = async {
            while edges.join_next().await.is_some() {}
            while self.tasks.join_next().await.is_some() {}
            self.house.tasks.close();
            self.house.tasks.wait().await;
        };
        // The parts keep their own patience (the ingress twice: for connections,
        // then for late appends); this is for one that does not.
        let patience = patience * 2 + std::time::Duration::from_secs(2);
        let in_time = tokio::time::timeout(patience, landed).await.is_ok();
        edges.shutdown().await;
        self.tasks.shutdown().await;
        self.chores.shutdown().await;
        self.certificates.end().await;
        if ended == Some(Ended::Disk) {
            return Ended::Disk;
        }
        // A disk that hangs must not hold up the end: what it has not taken was
        // not acknowledged.
        let (log, links) = (self.house.log.clone(), self.house.links.clone());
        let closed = async {
            let links = tokio::task::spawn_blocking(move || links.close());
            log.close().await;
            links.await.is_ok()
        };
        let closed = tokio::time::timeout(CLOSING_MAX, closed).await == Ok(true);
        let in_time = in_time && closed;
        match (ended, in_time) {
            (Some(ended), _) => ended,
            (None, true) => Ended::Clean,
            (None, false) => Ended::Unclean,
        }
    }

    fn start_worker(&mut self, destination: &Arc<Destination>) {
        let shared = deliver::Shared {
            intake: Arc::new(Fetched(self.house.ingress())),
            accounts: self.house.accounts.clone(),
            log: self.house.log.clone(),
            links: self.house.links.clone(),
            clock: self.house.clock.clone(),
            metrics: Arc::clone(&self.house.metrics),
            drain_patience: self.house.front.load().limits.drain,
        };
        self.house
            .log
            .set_budget(&destination.name, destination.backlog);
        let worker = Worker::start(
            Arc::clone(destination),
            shared,
            self.drain.clone(),
            &mut self.tasks,
        );
        self.names.insert(worker.task(), destination.name.clone());
        self.house.workers.insert(destination.name.clone(), worker);
    }

    /// Settles what is owed to names that no configuration knows any more.
    fn settle_orphans(&mut self) {
        if !self.chores.is_empty() {
            return;
        }
        let totals = self.house.log.totals();
        let mut orphans = self.house.log.destinations();
        orphans.retain(|name| {
            totals
                .get(name)
                .is_some_and(|account| account.pending() > 0)
                && !self.fixed.destinations.contains_key(name)
                && !self.leaving.contains(name)
        });
        if orphans.is_empty() {
            return;
        }
        let log = self.house.log.clone();
        self.chores.spawn(async move {
            for name in orphans {
                match log.remove_destination(&name).await {
                    Ok(settled) => {
                        tracing::warn!(destination = %name, settled, "destination.removed")
                    }
                    Err(error) => {
                        tracing::error!(destination = %name, %error, "destination.remove")
                    }
                }
            }
        });
    }
}

/// What a destination fetched goes the way of what is posted.
#[derive(Debug)]
struct Fetched(Ingress);

impl deliver::Intake for Fetched {
    fn accept<'a>(
        &'a self,
        source: &'a SourceName,
        readings: Vec<Reading>,
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>> {
        Box::pin(async move {
            let taken = self.0.accept(source, readings).await;
            taken.map(drop).map_err(|error| error.to_string())
        })
    }
}

/// What the front edge needs of a configuration; takes its routes.
fn front(config: &mut Config) -> Front {
    Front {
        limits: config.limits.clone(),
        sources: config.sources.clone(),
        routes: RouteTable::new(std::mem::take(&mut config.routes)),
        talkers: config
            .destinations
            .values()
            .filter(|destination| destination.talks)
            .map(|destination| destination.name.clone())
            .collect(),
        proxies: config.server.proxies.clone(),
    }
}

#[cfg(test)]
pub(crate) mod simulated;
