//! Emulated vendors on loopback: each one's endpoints with its own strictness
//! and error shapes, what it holds, a call log, and faults on demand. `hookfan
//! emulate` runs one; the demo runs one for each of its destinations.
//!
//! An emulator is a checker: it shares no code with the writers.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value as Json, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::vendor::dimension;

mod asked;
mod book;
mod faults;
mod limiter;
mod outbox;
mod serve;
mod shape;
mod tracker;

pub mod dixa;
pub mod qiscus;
pub mod quiq;
pub mod sendyiq;

pub use book::{Call, Counts};
pub use faults::{Fault, Faults, When};
pub use limiter::Limit;
pub use outbox::{Hook, Webhook};

use asked::{Asked, Said};
use book::Book;
use dixa::Dixa;
use faults::Dice;
use outbox::Outbox;
use qiscus::Qiscus;
use quiq::Quiq;
use sendyiq::SendyIq;

/// Whose endpoint is emulated.
#[derive(Clone, Debug)]
pub enum Endpoint {
    /// `/track` and `/trackhistorical`, 24 h.
    Dimension,
    /// `/track`, 1 h.
    Dashbot,
    /// Any path, any body: 200.
    Http,
    /// End users, conversations, messages, and webhooks of what happened.
    Dixa(dixa::Options),
    /// Conversations, messages, resolving.
    SendyIq(sendyiq::Options),
    /// REST v2, v2.1 and the bot endpoint, and webhooks of what was posted.
    Qiscus(qiscus::Options),
    /// A conversation to read, and webhooks of snapshots.
    Quiq(quiq::Options),
}

/// A running emulator; dropping it stops it.
#[derive(Debug)]
pub struct Emulator {
    pub address: SocketAddr,
    desk: Arc<Desk>,
    _task: JoinSet<()>,
}

impl Emulator {
    /// Binds (port 0: any free one) and serves. `api_key`: what callers must
    /// present, where the vendor wants a key.
    pub async fn start(
        endpoint: Endpoint,
        address: SocketAddr,
        api_key: &str,
        faults: Faults,
    ) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let desk = Arc::new(Desk::new(endpoint, api_key, faults));
        let mut task = JoinSet::new();
        task.spawn(serve::serve(listener, Arc::clone(&desk)));
        Ok(Self {
            address,
            desk,
            _task: task,
        })
    }

    /// From now on; the counting begins anew.
    pub fn fail(&self, faults: Faults) {
        *lock(&self.desk.dice) = Dice::new(faults);
    }

    /// From now on the vendor's webhooks go there; `None`: nowhere.
    pub fn post_webhooks(&self, hook: Option<Hook>) {
        self.desk.outbox.set(hook);
    }

    pub fn counts(&self) -> Counts {
        lock(&self.desk.book).counts
    }

    /// The last calls, oldest first.
    pub fn calls(&self) -> Vec<Call> {
        lock(&self.desk.book).calls()
    }

    /// The webhooks of what happened, oldest first, posted or not.
    pub fn webhooks(&self) -> Vec<Webhook> {
        self.desk.outbox.sent()
    }

    /// What it holds as Dixa; empty if it is another vendor.
    pub fn dixa(&self) -> &Dixa {
        &self.desk.dixa
    }

    /// What it holds as SendyIQ.
    pub fn sendyiq(&self) -> &SendyIq {
        &self.desk.sendyiq
    }

    /// What it holds as Qiscus.
    pub fn qiscus(&self) -> &Qiscus {
        &self.desk.qiscus
    }

    /// What it holds as Quiq.
    pub fn quiq(&self) -> &Quiq {
        &self.desk.quiq
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Tracker(dimension::Host),
    Http,
    Dixa,
    SendyIq,
    Qiscus,
    Quiq,
}

/// Who answers.
#[derive(Debug)]
struct Desk {
    kind: Kind,
    api_key: String,
    clock: Clock,
    dice: Mutex<Dice>,
    book: Mutex<Book>,
    outbox: Arc<Outbox>,
    dixa: Dixa,
    sendyiq: SendyIq,
    qiscus: Qiscus,
    quiq: Quiq,
}

/// An id as vendors make them: a random UUID, version 4.
fn fresh_id() -> String {
    let mut bytes = [0; 16];
    fastrand::fill(&mut bytes);
    let id = uuid::Builder::from_random_bytes(bytes).into_uuid();
    id.to_string()
}

impl Desk {
    fn new(endpoint: Endpoint, api_key: &str, faults: Faults) -> Self {
        let clock = Clock::system();
        let (mut dixa, mut sendyiq) = (dixa::Options::default(), sendyiq::Options::default());
        let (mut qiscus, mut quiq) = (qiscus::Options::default(), quiq::Options::default());
        let mut hook = None;
        let kind = match endpoint {
            Endpoint::Dimension => Kind::Tracker(dimension::Host::Dimension),
            Endpoint::Dashbot => Kind::Tracker(dimension::Host::Dashbot),
            Endpoint::Http => Kind::Http,
            Endpoint::Dixa(options) => {
                hook.clone_from(&options.webhook);
                dixa = options;
                Kind::Dixa
            }
            Endpoint::SendyIq(options) => {
                sendyiq = options;
                Kind::SendyIq
            }
            Endpoint::Qiscus(options) => {
                hook.clone_from(&options.webhook);
                qiscus = options;
                Kind::Qiscus
            }
            Endpoint::Quiq(options) => {
                hook.clone_from(&options.webhook);
                quiq = options;
                Kind::Quiq
            }
        };
        let outbox = Arc::new(Outbox::open(hook));
        Self {
            kind,
            api_key: api_key.to_owned(),
            dice: Mutex::new(Dice::new(faults)),
            book: Mutex::default(),
            dixa: Dixa::new(dixa, clock.clone(), Arc::clone(&outbox)),
            sendyiq: SendyIq::new(sendyiq, clock.clone()),
            qiscus: Qiscus::new(qiscus, clock.clone(), Arc::clone(&outbox)),
            quiq: Quiq::new(quiq, clock.clone(), Arc::clone(&outbox)),
            outbox,
            clock,
        }
    }

    fn judge(&self, asked: &Asked<'_>) -> Said {
        match self.kind {
            Kind::Tracker(host) => tracker::judge(host, &self.api_key, asked),
            Kind::Http => tracker::anything(),
            Kind::Dixa => self.dixa.judge(&self.api_key, asked),
            Kind::SendyIq => self.sendyiq.judge(&self.api_key, asked),
            Kind::Qiscus => self.qiscus.judge(&self.api_key, asked),
            Kind::Quiq => self.quiq.judge(&self.api_key, asked),
        }
    }

    /// For the reserved path.
    fn shown(&self) -> Json {
        let state = match self.kind {
            Kind::Tracker(_) | Kind::Http => Json::Null,
            Kind::Dixa => self.dixa.shown(),
            Kind::SendyIq => self.sendyiq.shown(),
            Kind::Qiscus => self.qiscus.shown(),
            Kind::Quiq => self.quiq.shown(),
        };
        let book = lock(&self.book);
        json!({
            "counts": book.counts,
            "calls": book.calls(),
            "state": state,
            "webhooks": self.outbox.sent(),
        })
    }
}
