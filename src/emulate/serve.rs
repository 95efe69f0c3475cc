//! The wire of an emulator: connections, faults, and the reserved path.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::asked::{Asked, Said};
use super::faults::{Fault, Pieces};
use super::{Desk, lock};

/// The largest request an emulator takes.
const BODY_MAX: usize = 26 << 20;
/// Where an emulator shows itself; no call of any vendor.
const SHOWN_AT: &str = "/_emulator";

/// A stream that can be told to end with a reset instead of a farewell.
#[derive(Debug)]
struct Wire {
    stream: TcpStream,
    reset: Arc<AtomicBool>,
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.reset.load(Ordering::Relaxed) {
            let _only_politer = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// There will be no answer.
#[derive(Debug, thiserror::Error)]
#[error("a fault on demand: no answer")]
struct Unanswered;

pub(super) async fn serve(listener: TcpListener, desk: Arc<Desk>) {
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
        connections.spawn(converse(stream, Arc::clone(&desk)));
    }
}

async fn converse(stream: TcpStream, desk: Arc<Desk>) {
    let reset = Arc::new(AtomicBool::new(false));
    let wire = Wire {
        stream,
        reset: Arc::clone(&reset),
    };
    let answer = service_fn(move |request| {
        let (desk, reset) = (Arc::clone(&desk), Arc::clone(&reset));
        async move {
            let answered = desk.answer(request).await;
            reset.store(answered.is_err(), Ordering::Relaxed);
            answered
        }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(wire), answer);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "emulator.connection");
    }
}

impl Desk {
    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Pieces>, Unanswered> {
        let (parts, body) = request.into_parts();
        let Ok(body) = Limited::new(body, BODY_MAX).collect().await else {
            return Ok(response(
                413,
                "text/plain",
                Pieces::whole("too large".to_owned()),
            ));
        };
        if parts.uri.path() == SHOWN_AT {
            let text = self.shown().to_string();
            return Ok(response(200, "application/json", Pieces::whole(text)));
        }
        let delay = lock(&self.dice).delay();
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let body = body.to_bytes();
        let asked = Asked {
            method: &parts.method,
            uri: &parts.uri,
            headers: &parts.headers,
            body: &body,
            now: self.clock.now(),
            instant: Instant::now(),
        };
        let (said, fault) = self.process(&asked);
        enact(said, fault).await
    }

    /// Draws a fault, asks the vendor unless the fault comes first, and writes
    /// it down; all under one lock, so that calls are noted in the order in
    /// which they took effect.
    fn process(&self, asked: &Asked<'_>) -> (Option<Said>, Option<Fault>) {
        let mut book = lock(&self.book);
        let fault = lock(&self.dice).draw(asked.method.as_str(), asked.path());
        let seen = fault.as_ref().is_none_or(Fault::processed);
        let said = seen.then(|| self.judge(asked));
        book.note(asked, said.as_ref(), fault.as_ref().map(Fault::name));
        (said, fault)
    }
}

async fn enact(said: Option<Said>, fault: Option<Fault>) -> Result<Response<Pieces>, Unanswered> {
    let (status, content_type, text) = said
        .map_or((500, "application/json", String::new()), |said| {
            (said.status, said.content_type, said.text)
        });
    let trouble = || Pieces::whole(r#"{"message":"a fault on demand"}"#.to_owned());
    let plain = |status, text| response(status, content_type, Pieces::whole(text));
    Ok(match fault {
        None => plain(status, text),
        Some(Fault::Status(status) | Fault::LostStatus(status)) => {
            response(status, content_type, trouble())
        }
        Some(Fault::TooMany { retry_after }) => {
            let mut answer = response(429, content_type, trouble());
            if let Some(after) = retry_after {
                let seconds = header::HeaderValue::from(after.as_secs());
                answer.headers_mut().insert(header::RETRY_AFTER, seconds);
            }
            answer
        }
        Some(Fault::LateHead(by)) => {
            tokio::time::sleep(by).await;
            plain(status, text)
        }
        Some(Fault::SlowBody(pause)) => response(status, content_type, Pieces::slow(text, pause)),
        Some(Fault::Reset | Fault::LostAnswer) => return Err(Unanswered),
        Some(Fault::HalfAnswer) if status == 204 => {
            // It has no body that could be cut off.
            return Err(Unanswered);
        }
        Some(Fault::HalfAnswer) => response(status, content_type, Pieces::half(text)),
        Some(Fault::Garbage) => plain(200, "<html>{\"data\":[,".to_owned()),
        Some(Fault::Redirect(to)) => {
            let mut answer = response(307, content_type, trouble());
            if let Ok(to) = header::HeaderValue::from_str(&to) {
                answer.headers_mut().insert(header::LOCATION, to);
            }
            answer
        }
    })
}

fn response(status: u16, content_type: &'static str, body: Pieces) -> Response<Pieces> {
    let mut response = Response::new(body);
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if status != 204 {
        let value = header::HeaderValue::from_static(content_type);
        response.headers_mut().insert(header::CONTENT_TYPE, value);
    }
    response
}
