//! The front edge: one request in, one event durable, one answer out.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use ipnet::IpNet;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::decode::Rate;
use crate::event::{DestinationName, Kind, SourceName};
use crate::links::Links;
use crate::log::Log;
use crate::metrics::Metrics;
use crate::route::RouteTable;
use crate::vendor::Reader;
use crate::verify::Auth;

mod accept;
mod acme;
mod admit;
mod answer;
mod body;
mod certificate;
mod framing;
mod head;
mod intake;
mod kept;
mod late;
mod note;
mod peer;
mod quiet;
mod rate;
mod server;
#[cfg(any(test, fuzzing))]
pub mod strange;
mod timer;
mod tls;
mod wire;

pub use acme::{Acme, Challenge, DIRECTORY, Eab, Keeper};
pub use intake::NotTaken;
pub use tls::{Standing, Tls};

/// `[limits]`. Names as in routes.toml.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    pub connections: usize,
    pub connections_per_ip: usize,
    pub first_byte: Duration,
    pub head: Duration,
    pub body: Duration,
    pub write: Duration,
    pub idle: Duration,
    pub answer: Duration,
    pub drain: Duration,
    pub head_bytes: usize,
    pub headers: usize,
    pub uri_bytes: usize,
    pub body_in_flight: usize,
    pub json_depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            connections_per_ip: 1024,
            first_byte: Duration::from_secs(10),
            head: Duration::from_secs(10),
            body: Duration::from_secs(15),
            write: Duration::from_secs(10),
            idle: Duration::from_secs(30),
            answer: Duration::from_millis(2500),
            drain: Duration::from_secs(10),
            head_bytes: 32 << 10,
            headers: 100,
            uri_bytes: 8 << 10,
            body_in_flight: 64 << 20,
            json_depth: 128,
        }
    }
}

/// One `[source.…]`.
#[derive(Debug)]
pub struct Source {
    pub name: SourceName,
    pub kind: Kind,
    pub auth: Auth,
    pub reader: Arc<dyn Reader>,
    pub rate: Option<Rate>,
    pub body_max: usize,
    /// `unreadable = "keep"`.
    pub keep_unreadable: bool,
}

/// What the front edge needs of a configuration; swapped whole on reload.
#[derive(Debug, Default)]
pub struct Front {
    pub limits: Limits,
    pub sources: HashMap<SourceName, Arc<Source>>,
    pub routes: RouteTable,
    /// The destinations that must not hear from us what we said ourselves.
    pub talkers: HashSet<DestinationName>,
    /// Whose X-Forwarded-For is believed.
    pub proxies: Vec<IpNet>,
}

/// Everything accepting needs. Clones share it.
#[derive(Clone, Debug)]
pub struct Ingress {
    pub front: Arc<ArcSwap<Front>>,
    pub log: Log,
    pub links: Links,
    pub clock: Clock,
    pub metrics: Arc<Metrics>,
}

impl Ingress {
    /// Serves until `drain` is cancelled, then closes idle connections, lets
    /// busy ones finish for at most `limits.drain`, then appends whose answer
    /// was late for as long again, and returns.
    pub async fn serve(
        self,
        listener: TcpListener,
        tls: Option<Arc<Tls>>,
        drain: CancellationToken,
    ) {
        let acceptor = tls.as_deref().map(Tls::acceptor);
        let front = Arc::clone(&self.front);
        let door = Arc::new(accept::Door::new(self));
        server::serve(Arc::clone(&door), listener, acceptor, drain).await;
        door.close(front.load().limits.drain).await;
    }
}

/// How many connections the system holds for us between two accepts.
const BACKLOG: i32 = 1024;

/// Binds with a backlog fit for bursts. Needs a tokio runtime.
pub fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // A restart must not wait for the old connections' last packets.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}
