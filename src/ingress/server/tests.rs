//! The wire and the server, asked by raw bytes: over pipes with paused time
//! where deadlines matter, over loopback sockets where the system does.

mod deadlines;
mod requests;
mod sockets;

use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::Semaphore;

use super::*;
use crate::clock::Clock;
use crate::event::{Inbound, Kind, SourceName};
use crate::ingress::admit::Gate;
use crate::ingress::head::Refusal;
use crate::ingress::{Front, Limits, Source};
use crate::vendor::{Reader, Unreadable, Webhook};
use crate::verify::{Auth, Scheme};

const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

/// Stands where the log will be: admits as the real one does, then answers
/// with the body's length and first bytes.
struct House {
    limits: ArcSwap<Limits>,
    metrics: Metrics,
    refused: Mutex<Vec<Refusal>>,
    gate: Gate,
    source: Source,
    /// Requests to `/hooks/hold` wait here.
    gate_of_hold: Semaphore,
    held: AtomicUsize,
}

#[derive(Debug)]
struct Nothing;

impl Reader for Nothing {
    fn read(&self, _inbound: &Inbound<'_>, _depth_max: usize) -> Result<Webhook, Unreadable> {
        Ok(Webhook::Events(Vec::new()))
    }
}

impl House {
    fn new(limits: Limits) -> Arc<Self> {
        let source = Source {
            name: SourceName::from("shop"),
            kind: Kind::from("generic"),
            auth: Auth {
                scheme: Scheme::None,
                allow: Vec::new(),
            },
            reader: Arc::new(Nothing),
            rate: None,
            body_max: 100_000,
            keep_unreadable: false,
        };
        Arc::new(Self {
            limits: ArcSwap::from_pointee(limits),
            metrics: Metrics::new(),
            refused: Mutex::default(),
            gate: Gate::default(),
            source,
            gate_of_hold: Semaphore::new(0),
            held: AtomicUsize::new(0),
        })
    }

    fn refused_connections(&self, why: &str) -> u64 {
        self.metrics
            .connections_refused_total
            .with_label_values(&[why])
            .get()
    }
}

impl Watch for House {
    fn limits(&self) -> Limits {
        Limits::clone(&self.limits.load())
    }

    fn refused(&self, peer: IpAddr, refusal: Refusal) {
        assert_eq!(peer, PEER);
        self.refused.lock().unwrap().push(refusal);
    }
}

impl Respond for House {
    fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    fn turned_away(&self, _peer: Option<IpAddr>, why: &'static str) {
        let refused = &self.metrics.connections_refused_total;
        refused.with_label_values(&[why]).inc();
    }

    fn is_proxy(&self, _peer: IpAddr) -> bool {
        false
    }

    async fn respond(self: Arc<Self>, arrival: Arrival, request: Request<Incoming>) -> Answer {
        let front = Front {
            limits: self.limits(),
            ..Front::default()
        };
        let (parts, body) = request.into_parts();
        let hold = parts.uri.path() == "/hooks/hold";
        let admitted = match self
            .gate
            .admit(
                &front,
                &self.source,
                &arrival,
                parts,
                body,
                &Clock::system(),
            )
            .await
        {
            Ok(admitted) => admitted,
            Err(refused) => return refused.answer(),
        };
        if hold {
            self.held.fetch_add(1, Ordering::SeqCst);
            self.gate_of_hold.acquire().await.unwrap().forget();
        }
        let text =
            String::from_utf8_lossy(&admitted.body[..admitted.body.len().min(8)]).into_owned();
        Answer::new(format!("<{}:{text}>", admitted.body.len()).into())
    }
}

/// A connection over a pipe of this capacity, and the task that serves it.
fn connect(
    house: &Arc<House>,
    capacity: usize,
    drain: &CancellationToken,
) -> (DuplexStream, JoinSet<()>) {
    let (client, server) = duplex(capacity);
    let mut tasks = JoinSet::new();
    tasks.spawn(converse(Arc::clone(house), server, PEER, drain.clone()));
    (client, tasks)
}

fn post(path: &str, lines: &str, body: &str) -> String {
    format!("POST /hooks/{path} HTTP/1.1\r\nHost: a\r\n{lines}\r\n{body}")
}

fn sized(path: &str, body: &str) -> String {
    post(path, &format!("Content-Length: {}\r\n", body.len()), body)
}

/// All that comes until the other side closes; a reset counts as closing.
async fn rest(client: &mut (impl AsyncRead + Unpin)) -> String {
    let mut bytes = Vec::new();
    let _reset = timeout(Duration::from_secs(100), client.read_to_end(&mut bytes))
        .await
        .expect("the connection ends");
    String::from_utf8(bytes).unwrap()
}

/// All that comes until `end` has come.
async fn until(client: &mut (impl AsyncRead + Unpin), end: &str) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(end.as_bytes()) {
        let byte = timeout(Duration::from_secs(100), client.read_u8())
            .await
            .expect("an answer comes");
        let Ok(byte) = byte else {
            panic!("closed after {:?}", String::from_utf8_lossy(&bytes));
        };
        bytes.push(byte);
    }
    String::from_utf8(bytes).unwrap()
}

/// The status lines in a text, in order.
fn statuses(text: &str) -> Vec<u16> {
    let lines = text.split("HTTP/1.").skip(1);
    lines
        .map(|line| line.split(' ').nth(1).unwrap().parse().unwrap())
        .collect()
}

/// What one connection answers to these bytes, with the client's side closed after them.
async fn say(house: &Arc<House>, bytes: &str) -> String {
    let (mut client, mut tasks) = connect(house, 1 << 20, &CancellationToken::new());
    client.write_all(bytes.as_bytes()).await.unwrap();
    client.shutdown().await.unwrap();
    let text = rest(&mut client).await;
    ended(&mut tasks).await;
    text
}

/// Waits for a condition that other tasks bring about.
async fn wait_for(what: &str, condition: impl Fn() -> bool) {
    let reached = async {
        while !condition() {
            sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(Duration::from_secs(20), reached).await.expect(what);
}

/// Waits until the connection's task is over.
async fn ended(tasks: &mut JoinSet<()>) {
    let task = timeout(Duration::from_secs(100), tasks.join_next()).await;
    task.expect("the task ends").unwrap().unwrap();
}
