//! An ACME server on loopback (RFC 8555), by our own hand: accounts, orders,
//! proofs that it really looks at, certificates of its own root. It checks each
//! request's form, nonce, address and signature, and fails when told to.

mod der;
mod jws;
mod look;
mod server;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::Value;

pub use look::{Look, presented};
use server::{Server, State};

/// What goes wrong, once each, in the order told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// The next signed request's nonce is not accepted.
    BadNonce,
    /// The next order meets a limit.
    RateLimited { retry_after: u64 },
    /// The next proof is not believed.
    Disbelief,
    /// The next order is answered 500, without a problem document.
    Broken,
    /// The next order is answered late.
    Slow(Duration),
    /// The next order stays as it is for so many looks at it, before it is
    /// ready and again before it is valid.
    Lingering(usize),
    /// The next order finds that its account is gone.
    Forgetful,
    /// The next certificate is for another name.
    OtherName,
    /// The next certificate has ended already.
    Ended,
}

/// The server; stops when dropped.
pub struct Acme {
    pub address: SocketAddr,
    server: Arc<Server>,
    stopped: Arc<AtomicBool>,
}

impl Acme {
    /// Starts with certificates of this lifetime; proofs are looked for as
    /// `look` says, whatever the name.
    pub fn start(look: Look, lifetime: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self::on(listener, look, lifetime)
    }

    /// The same on a socket that is bound already.
    pub fn on(listener: TcpListener, look: Look, lifetime: Duration) -> Self {
        let address = listener.local_addr().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root_pem = params.self_signed(&key).unwrap().pem();
        let state = State {
            lifetime,
            ..State::default()
        };
        let server = Arc::new(Server {
            base: format!("http://{address}"),
            look,
            root: Issuer::new(params, key),
            root_pem,
            state: Mutex::new(state),
        });
        let stopped = Arc::new(AtomicBool::new(false));
        let (serving, ending) = (Arc::clone(&server), Arc::clone(&stopped));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ending.load(Ordering::Relaxed) {
                    return;
                }
                let server = Arc::clone(&serving);
                std::thread::spawn(move || server.converse(stream.unwrap()));
            }
        });
        Self {
            address,
            server,
            stopped,
        }
    }

    pub fn directory(&self) -> String {
        format!("{}/dir", self.server.base)
    }

    pub fn root(&self) -> &str {
        &self.server.root_pem
    }

    pub fn fails(&self, fault: Fault) {
        self.state().faults.push_back(fault);
    }

    pub fn lives(&self, lifetime: Duration) {
        self.state().lifetime = lifetime;
    }

    /// Orders placed so far, those refused included.
    pub fn orders(&self) -> usize {
        self.state().orders.len()
    }

    pub fn certificates(&self) -> usize {
        let state = self.state();
        state
            .orders
            .iter()
            .filter(|order| order.chain.is_some())
            .count()
    }

    pub fn accounts(&self) -> usize {
        self.state().accounts.len()
    }

    pub fn contacts(&self) -> Vec<Value> {
        self.state().contacts.clone()
    }

    /// What was malformed in any request; nothing should be.
    pub fn complaints(&self) -> Vec<String> {
        self.state().complaints.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.server.state.lock().unwrap()
    }
}

impl Drop for Acme {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        // Wakes the accept loop.
        let _wake = TcpStream::connect(self.address);
    }
}
