//! The webhooks an emulated vendor posts: kept for whoever asks, and sent, in
//! order, to whoever registered.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Webhooks kept for whoever asks.
const KEPT: usize = 10_000;
/// Waiting to be posted; beyond it the newest are lost, and counted.
const WAITING: usize = 10_000;
const ATTEMPTS: u32 = 8;
const PATIENCE: Duration = Duration::from_secs(10);

/// Where a vendor's webhooks go, and what they are signed with.
#[derive(Clone)]
pub struct Hook {
    /// `http` only: it is on loopback.
    pub url: url::Url,
    /// As the vendor has it: hex for Dixa, text for the others.
    pub secret: String,
}

impl std::fmt::Debug for Hook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Hook({})", self.url)
    }
}

/// A webhook as the vendor posts it.
#[derive(Clone, Debug, Serialize)]
pub struct Webhook {
    /// What happened, in the vendor's word.
    pub event: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
    /// The last answer to it; 0 if there was none.
    pub status: u16,
    pub attempts: u32,
}

#[derive(Debug)]
struct Shared {
    hook: Mutex<Option<Hook>>,
    sent: Mutex<VecDeque<(u64, Webhook)>>,
}

impl Shared {
    fn answered(&self, number: u64, status: u16, attempt: u32) {
        let mut sent = lock(&self.sent);
        if let Some((_, kept)) = sent.iter_mut().rev().find(|(kept, _)| *kept == number) {
            (kept.status, kept.attempts) = (status, attempt);
        }
    }
}

#[derive(Debug)]
pub(super) struct Outbox {
    shared: Arc<Shared>,
    queue: mpsc::Sender<(u64, Hook, Webhook)>,
    number: Mutex<u64>,
    _task: JoinSet<()>,
}

impl Outbox {
    /// Needs a tokio runtime.
    pub(super) fn open(hook: Option<Hook>) -> Self {
        let shared = Arc::new(Shared {
            hook: Mutex::new(hook),
            sent: Mutex::default(),
        });
        let (queue, waiting) = mpsc::channel(WAITING);
        let mut task = JoinSet::new();
        task.spawn(post_all(waiting, Arc::clone(&shared)));
        Self {
            shared,
            queue,
            number: Mutex::new(0),
            _task: task,
        }
    }

    pub(super) fn set(&self, hook: Option<Hook>) {
        *lock(&self.shared.hook) = hook;
    }

    /// Keeps a webhook and, if somebody registered, posts it. `headers` are
    /// made with the secret; it is empty where nobody registered.
    pub(super) fn put(
        &self,
        event: &str,
        body: String,
        headers: impl FnOnce(&str, &str) -> Vec<(String, String)>,
    ) {
        let hook = lock(&self.shared.hook).clone();
        let secret = hook.as_ref().map_or("", |hook| &hook.secret);
        let webhook = Webhook {
            event: event.to_owned(),
            headers: headers(secret, &body),
            body,
            status: 0,
            attempts: 0,
        };
        let mut number = lock(&self.number);
        *number += 1;
        let mut sent = lock(&self.shared.sent);
        if sent.len() >= KEPT {
            sent.pop_front();
        }
        sent.push_back((*number, webhook.clone()));
        if let Some(hook) = hook
            && self.queue.try_send((*number, hook, webhook)).is_err()
        {
            tracing::warn!(event, "emulator.webhook_lost");
        }
    }

    pub(super) fn sent(&self) -> Vec<Webhook> {
        let sent = lock(&self.shared.sent);
        sent.iter().map(|(_, webhook)| webhook.clone()).collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn post_all(mut waiting: mpsc::Receiver<(u64, Hook, Webhook)>, shared: Arc<Shared>) {
    let client: Client<HttpConnector, Full<Bytes>> =
        Client::builder(TokioExecutor::new()).build_http();
    while let Some((number, hook, webhook)) = waiting.recv().await {
        for attempt in 1..=ATTEMPTS {
            let status = post(&client, &hook, &webhook).await;
            shared.answered(number, status, attempt);
            if (200..300).contains(&status) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100) * attempt).await;
        }
    }
}

/// The status of the answer, or 0.
async fn post(client: &Client<HttpConnector, Full<Bytes>>, hook: &Hook, webhook: &Webhook) -> u16 {
    let mut request = Request::post(hook.url.as_str()).header("content-type", "application/json");
    for (name, value) in &webhook.headers {
        request = request.header(name, value);
    }
    let Ok(request) = request.body(Full::new(Bytes::from(webhook.body.clone()))) else {
        return 0;
    };
    match tokio::time::timeout(PATIENCE, client.request(request)).await {
        Ok(Ok(answer)) => answer.status().as_u16(),
        Ok(Err(_)) | Err(_) => 0,
    }
}
