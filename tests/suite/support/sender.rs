//! Platforms that post webhooks: Qiscus' HMAC by our own hand, and a load of
//! senders that remember what was acknowledged.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::http::{Answer, Connection, ask};

pub const QISCUS_TOKEN: &str = "qiscus-test-signature-token";

/// The headers Qiscus sends with a body.
pub fn signed(body: &[u8]) -> Vec<(String, String)> {
    signed_with(QISCUS_TOKEN, body)
}

/// The same by another secret.
pub fn signed_with(token: &str, body: &[u8]) -> Vec<(String, String)> {
    let mut mac = Hmac::<Sha256>::new_from_slice(token.as_bytes()).unwrap();
    mac.update(body);
    vec![
        ("content-type".to_owned(), "application/json".to_owned()),
        (
            "qiscus-sdk-signature".to_owned(),
            hex::encode(mac.finalize().into_bytes()),
        ),
    ]
}

/// Posts a Qiscus webhook.
pub fn qiscus(address: SocketAddr, body: &[u8]) -> Answer {
    ask(address, "POST", "/hooks/qiscus", &signed(body), body).expect("an answer")
}

/// A customer's message in the current shape: with an id, so that a resend is
/// a duplicate, and a room, so that it has an order.
pub fn message(room: usize, id: &str, text: &str) -> Vec<u8> {
    serde_json::json!({
        "type": "post_comment_mobile",
        "payload": {
            "from": {"id": 1, "email": format!("customer-{room}@example.com"), "name": "Rina"},
            "room": {"id": room, "topic_id": room, "type": "group", "name": "r", "participants": []},
            "message": {"type": "text", "text": text, "payload": {}, "unique_temp_id": id}
        }
    })
    .to_string()
    .into_bytes()
}

/// Many connections posting as fast as they are answered, or at a pace.
pub struct Load {
    stop: Arc<AtomicBool>,
    pub acknowledged: Arc<Mutex<Vec<String>>>,
    pub refused: Arc<AtomicU64>,
    pub latencies: Arc<Mutex<Vec<Duration>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    /// `connections` senders; message `n` of sender `s` goes to room
    /// `s * rooms_each + n % rooms_each` with text `<prefix>-<s>-<n>` and that as its id. A message
    /// whose answer was lost is sent again with the same id until it is
    /// acknowledged or the load stops, as a platform that retries would.
    pub fn start(
        address: SocketAddr,
        prefix: &str,
        connections: usize,
        rooms_each: usize,
        pace: Option<Duration>,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (acknowledged, refused, latencies) = (Arc::default(), Arc::default(), Arc::default());
        let threads = (0..connections)
            .map(|sender| {
                let (stop, acknowledged) = (Arc::clone(&stop), Arc::clone(&acknowledged));
                let (refused, latencies) = (Arc::clone(&refused), Arc::clone(&latencies));
                let prefix = prefix.to_owned();
                std::thread::spawn(move || {
                    send_until(
                        &stop,
                        address,
                        sender,
                        rooms_each,
                        &prefix,
                        pace,
                        &acknowledged,
                        &refused,
                        &latencies,
                    );
                })
            })
            .collect();
        Self {
            stop,
            acknowledged,
            refused,
            latencies,
            threads,
        }
    }

    pub fn count(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }

    /// Stops and returns the texts of what was acknowledged.
    pub fn finish(mut self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
        std::mem::take(&mut *self.acknowledged.lock().unwrap())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

#[allow(clippy::too_many_arguments)]
fn send_until(
    stop: &AtomicBool,
    address: SocketAddr,
    sender: usize,
    rooms_each: usize,
    prefix: &str,
    pace: Option<Duration>,
    acknowledged: &Mutex<Vec<String>>,
    refused: &AtomicU64,
    latencies: &Mutex<Vec<Duration>>,
) {
    let mut connection = None;
    let mut number = 0_usize;
    while !stop.load(Ordering::Relaxed) {
        if connection.is_none() {
            connection = Connection::open(address).ok();
        }
        let Some(open) = &mut connection else {
            std::thread::sleep(Duration::from_millis(2));
            continue;
        };
        let text = format!("{prefix}-{sender}-{number}");
        let body = message(sender * rooms_each + number % rooms_each, &text, &text);
        let began = Instant::now();
        match open.ask("POST", "/hooks/qiscus", &signed(&body), &body) {
            Ok(answer) if answer.status == 200 => {
                latencies.lock().unwrap().push(began.elapsed());
                acknowledged.lock().unwrap().push(text);
                number += 1;
            }
            Ok(_) => {
                refused.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(2));
            }
            Err(_) => connection = None,
        }
        if let Some(pace) = pace {
            std::thread::sleep(pace.saturating_sub(began.elapsed()));
        }
    }
}
