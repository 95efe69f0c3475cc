//! A destination that misbehaves, on loopback.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// What it does once it has read a request's head, step by step; then it
/// closes.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Send(Vec<u8>),
    /// The same again and again, as fast as it is taken.
    Flood(Vec<u8>),
    /// The same again and again, ten times a second.
    Drip(Vec<u8>),
    Hang,
    Reset,
}

pub(super) struct Hostile {
    pub address: SocketAddr,
    pub connections: Arc<AtomicUsize>,
    /// What the first connection sent.
    pub heard: Arc<tokio::sync::Mutex<Vec<u8>>>,
    _tasks: JoinSet<()>,
}

impl Hostile {
    pub(super) async fn new(steps: Vec<Step>) -> Self {
        Self::at("127.0.0.1:0", steps).await
    }

    /// Without waiting for a request that could be read.
    pub(super) async fn speaking_first(steps: Vec<Step>) -> Self {
        Self::listen("127.0.0.1:0", steps, false).await
    }

    pub(super) async fn at(address: &str, steps: Vec<Step>) -> Self {
        Self::listen(address, steps, true).await
    }

    async fn listen(address: &str, steps: Vec<Step>, hears_out: bool) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (connections, heard) = (
            Arc::new(AtomicUsize::new(0)),
            Arc::new(tokio::sync::Mutex::new(Vec::new())),
        );
        let (count, hears, mut tasks) = (connections.clone(), Arc::clone(&heard), JoinSet::new());
        tasks.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((mut tcp, _)) = listener.accept().await {
                let first = count.fetch_add(1, Ordering::SeqCst) == 0;
                let (steps, hears) = (steps.clone(), Arc::clone(&hears));
                open.spawn(async move {
                    let request = if hears_out {
                        read_request(&mut tcp).await
                    } else {
                        read_some(&mut tcp).await
                    };
                    if first {
                        *hears.lock().await = request;
                    }
                    for step in steps {
                        if act(&mut tcp, step).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self {
            address,
            connections,
            heard,
            _tasks: tasks,
        }
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// The head and as much of a body as its length says.
async fn read_request(tcp: &mut TcpStream) -> Vec<u8> {
    let (mut request, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&request).to_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .split("content-length: ")
                .nth(1)
                .and_then(|rest| rest.lines().next()?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return request;
            }
        }
        match tcp.read(&mut buffer).await {
            Ok(read) if read > 0 => request.extend_from_slice(&buffer[..read]),
            _ => return request,
        }
    }
}

async fn read_some(tcp: &mut TcpStream) -> Vec<u8> {
    let mut buffer = vec![0; 4096];
    let read = tcp.read(&mut buffer).await.unwrap_or(0);
    buffer.truncate(read);
    buffer
}

async fn act(tcp: &mut TcpStream, step: Step) -> std::io::Result<()> {
    match step {
        Step::Send(bytes) => tcp.write_all(&bytes).await,
        Step::Flood(bytes) => loop {
            tcp.write_all(&bytes).await?;
        },
        Step::Drip(bytes) => loop {
            tcp.write_all(&bytes).await?;
            tokio::time::sleep(Duration::from_millis(100)).await;
        },
        Step::Hang => std::future::pending().await,
        Step::Reset => socket2::SockRef::from(&*tcp).set_linger(Some(Duration::ZERO)),
    }
}
