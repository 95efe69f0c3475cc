//! A destination that answers as it is told and remembers what arrived.

use std::io::{BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::eventually;
use super::http::{Request, read_request};

/// What to do with one request.
#[derive(Clone, Debug)]
pub enum Reply {
    Status(u16),
    /// A status with headers and a body.
    Full(u16, Vec<(String, String)>, Vec<u8>),
    /// Never answer; hold the connection.
    Hang,
    /// These bytes, then close.
    Raw(Vec<u8>),
}

#[derive(Clone, Debug)]
pub struct Arrived {
    pub request: Request,
    pub at: Instant,
    /// What it was answered; 0 where it was not.
    pub status: u16,
}

type Script = dyn FnMut(&Request) -> Reply + Send;

pub struct Receiver {
    pub address: SocketAddr,
    arrived: Arc<Mutex<Vec<Arrived>>>,
    script: Arc<Mutex<Box<Script>>>,
    stopped: Arc<AtomicBool>,
    remembers: Arc<AtomicBool>,
    pub connections: Arc<AtomicU64>,
}

impl Receiver {
    /// Answers everything with 200.
    pub fn start() -> Self {
        Self::answering(|_| Reply::Status(200))
    }

    pub fn answering(script: impl FnMut(&Request) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let receiver = Self {
            address: listener.local_addr().unwrap(),
            arrived: Arc::default(),
            script: Arc::new(Mutex::new(Box::new(script))),
            stopped: Arc::default(),
            remembers: Arc::new(AtomicBool::new(true)),
            connections: Arc::default(),
        };
        let remembers = Arc::clone(&receiver.remembers);
        let (arrived, script) = (Arc::clone(&receiver.arrived), Arc::clone(&receiver.script));
        let (stopped, connections) = (
            Arc::clone(&receiver.stopped),
            Arc::clone(&receiver.connections),
        );
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                connections.fetch_add(1, Ordering::Relaxed);
                let (arrived, script) = (Arc::clone(&arrived), Arc::clone(&script));
                let remembers = Arc::clone(&remembers);
                std::thread::spawn(move || serve(stream, &arrived, &script, &remembers));
            }
        });
        receiver
    }

    /// As `answering`, and nothing is kept of what arrives: for so many
    /// requests that the script counts them itself.
    pub fn counting(script: impl FnMut(&Request) -> Reply + Send + 'static) -> Self {
        let receiver = Self::answering(script);
        receiver.remembers.store(false, Ordering::Relaxed);
        receiver
    }

    /// From now on.
    pub fn answers(&self, script: impl FnMut(&Request) -> Reply + Send + 'static) {
        *self.script.lock().unwrap() = Box::new(script);
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn all(&self) -> Vec<Arrived> {
        self.arrived.lock().unwrap().clone()
    }

    pub fn count(&self) -> usize {
        self.arrived.lock().unwrap().len()
    }

    /// Looks at what arrived without copying it.
    pub fn with<T>(&self, look: impl FnOnce(&[Arrived]) -> T) -> T {
        look(&self.arrived.lock().unwrap())
    }

    /// Waits until `count` requests arrived.
    pub fn gets(&self, count: usize) -> Vec<Arrived> {
        eventually(
            &format!("{count} requests at {}", self.address),
            Duration::from_secs(30),
            || (self.count() >= count).then(|| self.all()),
        )
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        // Wakes the accept loop.
        let _wake = TcpStream::connect(self.address);
    }
}

fn serve(
    stream: TcpStream,
    arrived: &Mutex<Vec<Arrived>>,
    script: &Mutex<Box<Script>>,
    remembers: &AtomicBool,
) {
    let _only_slower = stream.set_nodelay(true);
    let mut stream = BufReader::new(stream);
    while let Ok(Some(request)) = read_request(&mut stream) {
        let at = Instant::now();
        let reply = (script.lock().unwrap())(&request);
        let status = match &reply {
            Reply::Status(status) | Reply::Full(status, ..) => *status,
            Reply::Hang | Reply::Raw(_) => 0,
        };
        if remembers.load(Ordering::Relaxed) {
            arrived.lock().unwrap().push(Arrived {
                request,
                at,
                status,
            });
        }
        let answer = match reply {
            Reply::Status(status) => {
                format!("HTTP/1.1 {status} X\r\ncontent-length: 2\r\n\r\nok").into_bytes()
            }
            Reply::Full(status, headers, body) => {
                let mut answer = format!("HTTP/1.1 {status} X\r\n");
                for (name, value) in headers {
                    answer.push_str(&format!("{name}: {value}\r\n"));
                }
                answer.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
                [answer.into_bytes(), body].concat()
            }
            Reply::Raw(bytes) => {
                let _gone = stream.get_mut().write_all(&bytes);
                let _gone = stream.get_mut().shutdown(Shutdown::Both);
                return;
            }
            Reply::Hang => {
                // Until the other side gives up.
                let _gave_up = read_request(&mut stream);
                return;
            }
        };
        if stream.get_mut().write_all(&answer).is_err() {
            return;
        }
    }
}
