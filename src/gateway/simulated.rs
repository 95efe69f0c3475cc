//! The gateway without sockets and files, for the simulation: its reloads, its
//! workers and its end are the real ones.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use dashmap::DashMap;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{CLOSING_MAX, COMMANDS_MAX, Gateway, HOUSEKEEPING, front, notify, tls};
use crate::admin::{House, InForce};
use crate::clock::Clock;
use crate::config::{self, Config, watch::Watcher};
use crate::decode::Secrets;
use crate::deliver::Accounts;
use crate::links::Links;
use crate::log::Log;
use crate::metrics::Metrics;

/// A file that is nowhere.
const PATH: &str = "/simulated/routes.toml";

/// Reads a text as the gateway reads its file.
pub(crate) fn read(text: &str) -> Result<Config, String> {
    config::load_text(text, Path::new(PATH), Secrets::Resolve)
        .map_err(|complaints| complaints.draw(false))
}

/// What the gateway is told while it runs.
pub(crate) enum Wish {
    /// A new text, and what is to be done at the moment it is in force.
    Reload(String, Box<dyn FnOnce(bool) + Send>),
    /// An orderly stop.
    Stop,
}

/// A gateway over an open log; its workers run.
pub(crate) fn open(
    mut config: Config,
    log: Log,
    links: Links,
    clock: Clock,
    metrics: Arc<Metrics>,
) -> Gateway {
    let (commands, received) = mpsc::channel(COMMANDS_MAX);
    let drain = CancellationToken::new();
    let house = House {
        front: Arc::new(ArcSwap::from_pointee(front(&mut config))),
        in_force: Arc::new(ArcSwap::from_pointee(InForce::default())),
        tls: None,
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
    let nowhere = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let mut gateway = Gateway {
        ingress: nowhere,
        admin: nowhere,
        path: PathBuf::from(PATH),
        watcher: Watcher::asleep(),
        fixed: config,
        house,
        certificates: tls::Certificates::default(),
        listener: None,
        admin_listener: None,
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
    gateway
}

/// As [`Gateway::run`], without the edges. `false`: a worker panicked, or
/// something did not end by itself.
pub(crate) async fn run(mut gateway: Gateway, mut wishes: mpsc::Receiver<Wish>) -> bool {
    let mut well = true;
    let mut housekeeping = tokio::time::interval(HOUSEKEEPING);
    housekeeping.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            Some(wish) = wishes.recv() => match wish {
                Wish::Reload(text, then) => {
                    let taken = match read(&text) {
                        Ok(config) => gateway.take(config).is_ok(),
                        Err(_) => false,
                    };
                    then(taken);
                }
                Wish::Stop => break,
            },
            Some(ended) = gateway.tasks.join_next_with_id() => {
                well &= ended.is_ok();
                gateway.worker_ended(ended);
            }
            Some(done) = gateway.chores.join_next() => well &= done.is_ok(),
            _ = housekeeping.tick() => gateway.settle_orphans(),
        }
    }
    let patience = gateway.house.front.load().limits.drain * 2 + std::time::Duration::from_secs(2);
    gateway.drain.cancel();
    let tasks = &mut gateway.tasks;
    let landed = async { while tasks.join_next().await.is_some() {} };
    let in_time = tokio::time::timeout(patience, landed).await.is_ok();
    gateway.tasks.shutdown().await;
    gateway.chores.shutdown().await;
    let log = gateway.house.log.clone();
    let closed = tokio::time::timeout(CLOSING_MAX, log.close()).await.is_ok();
    well && in_time && closed
}
