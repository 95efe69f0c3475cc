//! The back edge: one [`Worker`] per destination, each at its own pace.
//!
//! A worker waits until its `stack` has room, then takes from the log; its
//! `lanes` say whose turn it is; `request` writes the bytes, the stack makes
//! the attempt, [`crate::settle`] judges, the log remembers.

mod account;
mod answer;
mod ask;
mod attempt;
mod breaker;
mod client;
mod connector;
pub mod guard;
mod in_air;
mod lanes;
mod ledger;
mod pool;
mod preview;
mod rate;
mod report;
mod request;
mod settling;
mod stack;
mod steady;
mod talk;
mod worker;

#[cfg(test)]
mod bench;
#[cfg(test)]
mod day_tests;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod outage_tests;
#[cfg(test)]
mod sample;
#[cfg(test)]
pub(crate) mod simulated;
#[cfg(test)]
mod ssrf_tests;
#[cfg(test)]
mod steering_tests;
#[cfg(test)]
mod talk_tests;
#[cfg(test)]
mod tls_tests;
#[cfg(test)]
mod wire_tests;
#[cfg(test)]
mod worker_tests;

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use self::account::Accounts;
pub use self::ask::{Asked, ask};
use self::attempt::Client;
use self::ledger::{Account, Ledger};
pub use self::preview::preview;
use self::worker::{Orders, Run};

use crate::clock::{Clock, Timestamp};
use crate::event::{DestinationName, Kind, SourceName};
use crate::link::Place;
use crate::links::Links;
use crate::log::{Budget, Log};
use crate::metrics::Metrics;
use crate::settle::RetryPolicy;
use crate::vendor::{ReadMessage, Reading, Writer, message_of};

/// One `[destination.…]`.
#[derive(Debug)]
pub struct Destination {
    pub name: DestinationName,
    pub kind: Kind,
    /// It must not hear what we said ourselves.
    pub talks: bool,
    /// What conversations and users are called over there.
    pub place: Place,
    pub writer: Arc<dyn Writer>,
    /// One attempt, to the last byte of the answer.
    pub timeout: Duration,
    pub concurrency: usize,
    /// Per second; `None`: unlimited.
    pub rate: Option<f64>,
    pub burst: u32,
    pub order: Order,
    pub on_stuck: OnStuck,
    pub retry: RetryPolicy,
    pub backlog: Budget,
    pub breaker: Breaker,
    pub allow_private: bool,
    pub allow_link_local: bool,
    /// Further roots to trust (`ca = "file.pem"`).
    pub ca: Option<PathBuf>,
    pub paused: bool,
    /// Changes whenever anything written about this destination changes.
    pub fingerprint: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Conversation,
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnStuck {
    Wait,
    SkipAfter(Duration),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breaker {
    pub failures: u32,
    pub probe_every: Duration,
}

/// What a worker is doing, for status and metrics.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct State {
    pub paused: bool,
    pub breaker_open: bool,
    pub in_flight: usize,
    /// It answered 410, and nobody has resumed it since (in this process).
    pub gone: bool,
    /// Attempts begun since this process started.
    pub attempts: u64,
    /// Attempts that did not succeed, since then.
    pub failed: u64,
    /// Copies that failed and wait for their next attempt.
    pub retrying: usize,
    /// Deliveries that wait for their time, or behind one that does.
    pub waiting: usize,
    /// When the attempts in the air must have ended, by their own timeouts.
    #[serde(skip)]
    pub busy_until: Option<Instant>,
    /// Until then no attempt more can start, and rightly so: the rate is used
    /// up, all places are taken by attempts within their time, or as much waits
    /// as may.
    #[serde(skip)]
    pub held_until: Option<Instant>,
    pub last_error: Option<LastError>,
    pub last_delivered_at: Option<Timestamp>,
}

#[derive(Clone, Debug, serde::Serialize)]
pub struct LastError {
    pub at: Timestamp,
    pub outcome: String,
    pub status: Option<u16>,
    pub detail: String,
}

/// Takes events that a dialogue fetched, as if they had been posted.
pub trait Intake: std::fmt::Debug + Send + Sync {
    /// Durable when it returns; an error is for the operator.
    fn accept<'a>(
        &'a self,
        source: &'a SourceName,
        readings: Vec<Reading>,
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>>;
}

/// What every worker is given.
#[derive(Clone, Debug)]
pub struct Shared {
    /// Where fetched events go.
    pub intake: Arc<dyn Intake>,
    pub accounts: Accounts,
    pub log: Log,
    pub links: Links,
    pub clock: Clock,
    pub metrics: Arc<Metrics>,
    /// How long attempts in the air may go on once a worker is to end
    /// (`limits.drain`); [`Worker::set_drain_patience`] changes it.
    pub drain_patience: Duration,
}

/// A running destination: the gateway's handle to its worker. Dropping it does
/// not end the worker; [`Worker::stop`] or the drain token does.
#[derive(Debug)]
pub struct Worker {
    orders: Arc<watch::Sender<Orders>>,
    state: Arc<Mutex<State>>,
    task: tokio::task::Id,
}

impl Worker {
    /// Starts the destination's task on the current runtime (in `tasks`), which
    /// gives the destination's name when it has ended: after `drain` is
    /// cancelled or [`Worker::stop`] is called, and the attempts in the air have
    /// ended or been abandoned. What is abandoned is not written: it repeats.
    pub fn start(
        destination: Arc<Destination>,
        shared: Shared,
        drain: CancellationToken,
        tasks: &mut tokio::task::JoinSet<DestinationName>,
    ) -> Self {
        let account = Account {
            name: destination.name.clone(),
            subscription: shared.log.subscribe(&destination.name),
            log: shared.log.clone(),
            links: shared.links.clone(),
        };
        #[cfg(test)]
        let account = simulated::Twin(account);
        let paused = shared.log.paused(&destination.name);
        let means = Means {
            intake: shared.intake,
            accounts: shared.accounts,
            clock: shared.clock,
            metrics: shared.metrics,
            read: message_of,
            drain_patience: shared.drain_patience,
            client: client::client,
            sign: crate::verify::sign_standard,
        };
        Self::run(destination, account, paused, means, drain, tasks)
    }

    fn run(
        destination: Arc<Destination>,
        ledger: impl Ledger,
        paused: bool,
        means: Means<impl Fn(&Destination) -> Client + Send + 'static>,
        drain: CancellationToken,
        tasks: &mut tokio::task::JoinSet<DestinationName>,
    ) -> Self {
        let (orders, _) = watch::channel(Orders {
            destination,
            paused,
            stop: false,
            drain_patience: means.drain_patience,
        });
        let (orders, state) = (Arc::new(orders), Arc::new(Mutex::new(State::default())));
        let run = Run::new(ledger, means, Arc::clone(&orders), Arc::clone(&state));
        let task = tasks.spawn(run.until(drain)).id();
        Self {
            orders,
            state,
            task,
        }
    }

    /// A new configuration of the same name: the next attempt uses it, those in
    /// the air finish as they began.
    pub fn adopt(&self, destination: Arc<Destination>) {
        self.orders
            .send_modify(|orders| orders.destination = destination);
    }

    /// Another `limits.drain` from now on; a drain that has begun keeps its own.
    pub fn set_drain_patience(&self, patience: Duration) {
        self.orders
            .send_modify(|orders| orders.drain_patience = patience);
    }

    /// Stops this worker alone (its destination is removed): attempts in the
    /// air finish or are abandoned within `patience`.
    pub fn stop(&self) {
        self.orders.send_modify(|orders| orders.stop = true);
    }

    /// No new attempts until [`Worker::resume`]; the log remembers it.
    pub fn pause(&self) {
        self.orders.send_modify(|orders| orders.paused = true);
    }

    /// Takes back a [`Worker::pause`] (or that of a 410). A destination with
    /// `paused = true` in the file stays paused.
    pub fn resume(&self) {
        self.orders.send_modify(|orders| orders.paused = false);
    }

    /// Its task, so that a failure can be told from another's.
    pub fn task(&self) -> tokio::task::Id {
        self.task
    }

    /// Its task is over: it was stopped, or it failed.
    pub fn ended(&self) -> bool {
        self.orders.is_closed()
    }

    pub fn state(&self) -> State {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub fn destination(&self) -> Arc<Destination> {
        self.orders.borrow().destination.clone()
    }
}

/// What a worker works with, besides its ledger.
struct Means<C> {
    intake: Arc<dyn Intake>,
    accounts: Accounts,
    clock: Clock,
    metrics: Arc<Metrics>,
    read: ReadMessage,
    /// At the start.
    drain_patience: Duration,
    /// Makes the bottom row of the stack.
    client: C,
    sign: request::Signer,
}
