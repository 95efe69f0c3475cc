//! The operator's side: health, metrics and the JSON API that the command line
//! and the console read. It shows what is, and asks the gateway by [`Command`].

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use dashmap::DashMap;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::{Clock, Timestamp};
use crate::deliver::{Accounts, Worker};
use crate::event::{DestinationName, EventId};
use crate::ingress::{Front, Ingress, Tls};
use crate::links::Links;
use crate::log::Log;
use crate::metrics::Metrics;
use crate::secret::Secret;

pub mod answer;
mod console;
mod dispatch;
pub mod endpoints;
pub mod explain;
pub mod guard;
pub mod health;
pub mod history;
pub mod jobs;
mod links;
pub mod live;
pub mod openapi;
pub mod operate;
mod remote;
pub mod sampler;
pub mod select;
mod serve;
pub mod show;
pub mod status;

pub use self::answer::Refusal;
pub use self::serve::serve;

/// What the operator's side sees of the running gateway. Clones share it.
#[derive(Clone, Debug)]
pub struct House {
    pub log: Log,
    pub links: Links,
    pub accounts: Accounts,
    pub clock: Clock,
    pub metrics: Arc<Metrics>,
    pub front: Arc<ArcSwap<Front>>,
    pub in_force: Arc<ArcSwap<InForce>>,
    pub workers: Arc<DashMap<DestinationName, Worker>>,
    pub progress: Arc<health::Progress>,
    pub commands: mpsc::Sender<Command>,
    pub sampler: Arc<sampler::Sampler>,
    pub live: Arc<live::Live>,
    pub jobs: Arc<jobs::Jobs>,
    /// What goes on beside the answers: looking for `live`, sampling, jobs. It
    /// ends when `drain` is cancelled.
    pub tasks: TaskTracker,
    pub drain: CancellationToken,
    /// Where webhooks come by TLS.
    pub tls: Option<Arc<Tls>>,
}

impl House {
    /// The way in for events: those posted, those fetched.
    pub fn ingress(&self) -> Ingress {
        Ingress {
            front: Arc::clone(&self.front),
            log: self.log.clone(),
            links: self.links.clone(),
            clock: self.clock.clone(),
            metrics: Arc::clone(&self.metrics),
        }
    }
}

/// The configuration in force, as far as an operator is shown it.
#[derive(Debug, Default)]
pub struct InForce {
    pub hash: String,
    pub applied_at: Timestamp,
    /// Files and their texts; secrets are references there.
    pub texts: Vec<(String, String)>,
    pub warnings: Value,
    pub admin_token: Option<Secret>,
    /// Names the admin address may be called by.
    pub hosts: Vec<String>,
}

/// What the operator's side asks of the whole.
#[derive(Debug)]
pub enum Command {
    /// Answers with the new hash, or with the complaints as `check --json` has them.
    Reload(oneshot::Sender<Result<String, Value>>),
    /// Answers with the complaints about the files as they are now.
    Check(oneshot::Sender<Value>),
}

fn event_id(text: &str) -> Result<EventId, Refusal> {
    EventId::parse(text)
        .ok_or_else(|| Refusal::bad_request(format!("{text:?} is no event id; ids are UUIDs")))
}

fn unknown_destination(house: &House, name: &str) -> Refusal {
    let names: Vec<String> = house
        .workers
        .iter()
        .map(|worker| worker.key().to_string())
        .collect();
    let help = crate::decode::nearest(name, names.iter().map(String::as_str))
        .map_or(String::new(), |near| format!("; did you mean {near}?"));
    Refusal::not_found(format!("there is no destination {name}{help}"))
}

/// Names by which a browser may call an admin address: rebinding attacks come
/// with another one. `more` are those of `server.admin_names`.
pub fn host_names(address: SocketAddr, more: &[String]) -> Vec<String> {
    let port = address.port();
    let mut hosts = more.to_vec();
    hosts.push(address.to_string());
    if address.ip().is_loopback() || address.ip().is_unspecified() {
        hosts.extend([
            format!("localhost:{port}"),
            format!("127.0.0.1:{port}"),
            format!("[::1]:{port}"),
        ]);
    }
    hosts
}
