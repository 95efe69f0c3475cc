//! Emulated destinations on loopback: each vendor's endpoint with its own
//! strictness and error shapes, a call log, and faults on demand. `hookfan
//! emulate` runs one; the demo runs one for each of its destinations.
//!
//! What is a valid request is the vendor modules' checkers' business; they
//! share no code with the writers.

use std::collections::{HashSet, VecDeque};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::clock::{Clock, Timestamp};
use crate::vendor::dimension;

/// The largest request an emulator takes.
const BODY_MAX: usize = 26 << 20;
/// Calls kept for whoever asks.
const CALLS_KEPT: usize = 1000;

/// Whose endpoint is emulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `/track` and `/trackhistorical`, 24 h.
    Dimension,
    /// `/track`, 1 h.
    Dashbot,
    /// Any path, any body: 200.
    Http,
}

/// What goes wrong, and how often.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Every n-th call is answered with `status`; 0: none.
    pub every: u64,
    pub status: u16,
    /// Before each answer.
    pub delay: Duration,
}

/// One request, as it arrived.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Call {
    pub at: Timestamp,
    /// Without the query: keys sit there.
    pub path: String,
    pub event: Option<String>,
    pub attempt: Option<String>,
    pub status: u16,
    /// What was wrong with it.
    pub refused: Option<String>,
}

/// What arrived so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    pub calls: u64,
    /// Different events that were taken with 200.
    pub events: u64,
    /// Requests the vendor would have refused.
    pub refused: u64,
    /// Answers that were faults on demand.
    pub faults: u64,
}

#[derive(Debug, Default)]
struct Book {
    counts: Counts,
    events: HashSet<String>,
    calls: VecDeque<Call>,
}

/// A running emulator; dropping it stops it.
#[derive(Debug)]
pub struct Emulator {
    pub address: SocketAddr,
    book: Arc<Mutex<Book>>,
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
        let book = Arc::new(Mutex::new(Book::default()));
        let desk = Arc::new(Desk {
            endpoint,
            api_key: api_key.to_owned(),
            faults,
            clock: Clock::system(),
            book: Arc::clone(&book),
        });
        let mut task = JoinSet::new();
        task.spawn(serve(listener, desk));
        Ok(Self {
            address,
            book,
            _task: task,
        })
    }

    pub fn counts(&self) -> Counts {
        lock(&self.book).counts
    }

    /// The last calls, oldest first.
    pub fn calls(&self) -> Vec<Call> {
        lock(&self.book).calls.iter().cloned().collect()
    }
}

fn lock(book: &Mutex<Book>) -> MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Who answers.
#[derive(Debug)]
struct Desk {
    endpoint: Endpoint,
    api_key: String,
    faults: Faults,
    clock: Clock,
    book: Arc<Mutex<Book>>,
}

async fn serve(listener: TcpListener, desk: Arc<Desk>) {
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(_) => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
        };
        let _only_slower = stream.set_nodelay(true);
        let desk = Arc::clone(&desk);
        connections.spawn(async move {
            let answer = service_fn(move |request| {
                let desk = Arc::clone(&desk);
                async move { Ok::<_, Infallible>(desk.answer(request).await) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), answer);
            if let Err(error) = connection.await {
                tracing::debug!(%error, "emulator.connection");
            }
        });
    }
}

impl Desk {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (parts, body) = request.into_parts();
        let body = match Limited::new(body, BODY_MAX).collect().await {
            Ok(body) => body.to_bytes(),
            Err(_) => return response(StatusCode::PAYLOAD_TOO_LARGE, "too large"),
        };
        if !self.faults.delay.is_zero() {
            tokio::time::sleep(self.faults.delay).await;
        }
        let now = self.clock.now();
        let checked = match self.endpoint {
            Endpoint::Http => Ok(()),
            _ if parts.method != Method::POST => Err((405, "POST only".to_owned())),
            Endpoint::Dimension => self.track(
                dimension::Host::Dimension,
                &parts.uri,
                &parts.headers,
                &body,
                now,
            ),
            Endpoint::Dashbot => self.track(
                dimension::Host::Dashbot,
                &parts.uri,
                &parts.headers,
                &body,
                now,
            ),
        };
        self.note(&parts.uri, &parts.headers, checked, now)
    }

    fn track(
        &self,
        host: dimension::Host,
        uri: &http::Uri,
        headers: &HeaderMap,
        body: &Bytes,
        now: Timestamp,
    ) -> Result<(), (u16, String)> {
        let request = dimension::Request {
            path: uri.path(),
            query: uri.query().unwrap_or_default(),
            headers,
            body,
        };
        let checked = dimension::check_request(host, Some(&self.api_key), &request, now);
        checked
            .map(|_received| ())
            .map_err(|refused| (refused.status, refused.body))
    }

    fn note(
        &self,
        uri: &http::Uri,
        headers: &HeaderMap,
        checked: Result<(), (u16, String)>,
        at: Timestamp,
    ) -> Response<Full<Bytes>> {
        let text = |name: &str| {
            headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned)
        };
        let mut book = lock(&self.book);
        book.counts.calls += 1;
        let faulty = self.faults.every > 0 && book.counts.calls.is_multiple_of(self.faults.every);
        let (status, said) = match &checked {
            _ if faulty => (self.faults.status, "a fault on demand".to_owned()),
            Ok(()) => (200, "{\"ok\":true}".to_owned()),
            Err((status, said)) => (*status, said.clone()),
        };
        let event = text("webhook-id");
        match checked {
            _ if faulty => book.counts.faults += 1,
            Ok(()) => {
                if let Some(event) = &event {
                    book.events.insert(event.clone());
                }
                book.counts.events = book.events.len() as u64;
            }
            Err(_) => book.counts.refused += 1,
        }
        let refused = (status != 200).then(|| said.clone());
        book.calls.push_back(Call {
            at,
            path: uri.path().to_owned(),
            event,
            attempt: text("hookfan-attempt"),
            status,
            refused,
        });
        if book.calls.len() > CALLS_KEPT {
            book.calls.pop_front();
        }
        response(
            StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            &said,
        )
    }
}

fn response(status: StatusCode, body: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body.to_owned())));
    *response.status_mut() = status;
    response
}
