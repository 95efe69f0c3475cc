//! Connections to a destination's hosts, kept open between requests.
//!
//! Our own, because whoever makes a request drives its connection: no task, no
//! channel and no wake-up stands between an attempt and its socket. What idles
//! is looked at when it is used again; one look-out for all of a destination's
//! connections closes what nobody wanted for a while.

use std::fmt;
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::uri::{Authority, Scheme};
use http::{Response, Uri};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1};
use hyper::rt;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tower::{BoxError, Service};

use super::attempt::{Head, Sent};
use super::connector::{Connector, Stream, Unreached};

#[cfg(test)]
mod tests;

/// All connections of one destination. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Pool(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    connector: Connector,
    builder: http1::Builder,
    idle: Arc<Idle>,
}

/// What may idle, and what does: the one used last is at the end.
#[derive(Debug)]
struct Idle {
    lines_max: usize,
    lines: Mutex<Lines>,
}

#[derive(Debug, Default)]
struct Lines {
    idle: Vec<Line>,
    /// Closes what idles too long; ends when nothing idles.
    watch: JoinSet<()>,
    watched: bool,
}

/// One connection.
struct Line {
    to: Host,
    sender: http1::SendRequest<Full<Bytes>>,
    /// `None`: it has ended.
    driver: Option<Box<http1::Connection<Rationed, Full<Bytes>>>>,
    /// What may be read before somebody else has a turn.
    ration: Arc<AtomicU8>,
    used_at: Instant,
}

/// Who is at the other end.
#[derive(Debug)]
struct Host {
    scheme: Scheme,
    authority: Authority,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    #[error(transparent)]
    Unreached(#[from] Unreached),
    #[error(transparent)]
    Broken(#[from] hyper::Error),
}

impl Pool {
    /// `lines_max`: connections that may idle.
    pub(super) fn new(connector: Connector, builder: http1::Builder, lines_max: usize) -> Self {
        let idle = Idle {
            lines_max,
            lines: Mutex::default(),
        };
        Self(Arc::new(Shared {
            connector,
            builder,
            idle: Arc::new(idle),
        }))
    }

    /// The head of the answer to a request with an absolute URL. Nothing is done
    /// before it is polled: a worker writes all requests that it may, and then
    /// sends them.
    pub(super) fn ask(
        &self,
        mut request: Sent,
    ) -> impl Future<Output = Result<Head, Failed>> + Send + use<> {
        let Self(shared) = self.clone();
        async move {
            let uri = std::mem::take(request.uri_mut());
            if let Some(path) = uri.path_and_query() {
                *request.uri_mut() = Uri::from(path.clone());
            }
            while let Some(line) = shared.idle.take(&uri) {
                match line.ask(request, &shared.idle).await {
                    Ok(head) => return Ok(head),
                    // The other side has closed it meanwhile, and nobody was told.
                    Err(mut ended) => match ended.take_message() {
                        Some(unsent) => request = unsent,
                        None => return Err(ended.into_error().into()),
                    },
                }
            }
            // Boxed: connecting is rare, and its state is large.
            let line = Box::pin(shared.connect(&uri)).await?;
            let asked = line.ask(request, &shared.idle).await;
            asked.map_err(|ended| ended.into_error().into())
        }
    }
}

impl Shared {
    async fn connect(&self, uri: &Uri) -> Result<Line, Failed> {
        let to = Host::of(uri).ok_or(Unreached::NoHost)?;
        let stream = self.connector.clone().call(uri.clone()).await?;
        let ration = Arc::default();
        let stream = Rationed {
            stream,
            left: Arc::clone(&ration),
        };
        let (sender, driver) = self.builder.handshake(stream).await?;
        Ok(Line {
            to,
            ration,
            sender,
            driver: Some(Box::new(driver)),
            used_at: Instant::now(),
        })
    }
}

impl Line {
    /// The head of the answer; or the request again, if none of it was sent.
    async fn ask(mut self, request: Sent, home: &Arc<Idle>) -> Result<Head, TrySendError<Sent>> {
        let mut answer = pin!(self.sender.try_send_request(request));
        let head = std::future::poll_fn(|cx| {
            self.drive(cx);
            answer.as_mut().poll(cx)
        });
        let head = head.await?;
        Ok(self.answered(head, Arc::clone(home)))
    }

    fn answered(self, head: Response<Incoming>, home: Arc<Idle>) -> Head {
        head.map(|body| {
            let mut body = AnswerBody {
                body,
                line: Some(self),
                home,
            };
            if body.body.is_end_stream() {
                body.give_back();
            }
            body.map_err(BoxError::from).boxed_unsync()
        })
    }

    /// Lets the connection do what it can. What ended it is told to whoever
    /// waits for the answer.
    fn drive(&mut self, cx: &mut Context<'_>) {
        self.ration.store(READS_AT_ONCE, Ordering::Relaxed);
        let ended = self
            .driver
            .as_mut()
            .is_some_and(|driver| Pin::new(driver).poll(cx).is_ready());
        if ended {
            self.driver = None;
        }
    }

    /// Whether another request may be made on it.
    fn is_ready(&self) -> bool {
        self.driver.is_some() && self.sender.is_ready()
    }
}

impl Host {
    fn of(uri: &Uri) -> Option<Self> {
        Some(Self {
            scheme: uri.scheme()?.clone(),
            authority: uri.authority()?.clone(),
        })
    }

    /// To the letter: a URL of a configuration is spelled in one way.
    fn is_that_of(&self, uri: &Uri) -> bool {
        let authority = uri.authority().map(Authority::as_str);
        uri.scheme() == Some(&self.scheme) && authority == Some(self.authority.as_str())
    }
}

/// A stream of which so much is read at once and no more: hyper reads on for
/// as long as there is something, and a stranger may never stop.
#[derive(Debug)]
struct Rationed {
    stream: Stream,
    left: Arc<AtomicU8>,
}

impl rt::Read for Rationed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let left = self.left.load(Ordering::Relaxed);
        let Some(less) = left.checked_sub(1) else {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        };
        self.left.store(less, Ordering::Relaxed);
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl rt::Write for Rationed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, pieces)
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line")
            .field("to", &self.to)
            .field("used_at", &self.used_at)
            .finish_non_exhaustive()
    }
}

impl Idle {
    /// A connection to this host that was open when it was last looked at.
    fn take(&self, uri: &Uri) -> Option<Line> {
        let idle = &mut self.lock().idle;
        let at = idle.iter().rposition(|line| line.to.is_that_of(uri))?;
        Some(idle.remove(at))
    }

    fn put(self: &Arc<Self>, mut line: Line) {
        line.used_at = Instant::now();
        let mut lines = self.lock();
        lines.idle.push(line);
        let over = lines.idle.len() > self.lines_max;
        let longest = over.then(|| lines.idle.remove(0));
        if !std::mem::replace(&mut lines.watched, true) {
            while lines.watch.try_join_next().is_some() {}
            lines.watch.spawn(watch_over(Arc::downgrade(self)));
        }
        drop(lines);
        drop(longest);
    }

    /// Closes what has idled too long; says when to look again.
    fn close_old(&self, now: Instant) -> Option<Instant> {
        let mut lines = self.lock();
        let old = |line: &Line| now.duration_since(line.used_at) >= IDLE_MAX;
        let closed: Vec<Line> = lines.idle.extract_if(.., |line| old(line)).collect();
        let next = lines.idle.iter().map(|line| line.used_at).min();
        lines.watched = next.is_some();
        drop(lines);
        drop(closed);
        next.map(|used_at| used_at + IDLE_MAX)
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends when nothing idles any more, or nobody is left to want it.
async fn watch_over(idle: Weak<Idle>) {
    let mut next = Instant::now() + IDLE_MAX;
    loop {
        tokio::time::sleep_until(next).await;
        let Some(idle) = idle.upgrade() else { return };
        match idle.close_old(Instant::now()) {
            Some(at) => next = at,
            None => return,
        }
    }
}

/// The body of an answer, which drives its connection while it is read. Read to
/// its end, the connection may be used again; dropped before, it is closed.
struct AnswerBody {
    body: Incoming,
    line: Option<Line>,
    home: Arc<Idle>,
}

impl AnswerBody {
    fn give_back(&mut self) {
        if let Some(line) = self.line.take_if(|line| line.is_ready()) {
            self.home.put(line);
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = &mut *self;
        let mut frame = Pin::new(&mut this.body).poll_frame(cx);
        // What came with the head is here already.
        if let (Poll::Pending, Some(line)) = (&frame, &mut this.line) {
            line.drive(cx);
            frame = Pin::new(&mut this.body).poll_frame(cx);
        }
        if matches!(frame, Poll::Ready(None)) || self.body.is_end_stream() {
            self.give_back();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Shorter than the 30 s and more that most servers keep theirs.
const IDLE_MAX: Duration = Duration::from_secs(20);
/// Reads between two looks at the clock.
const READS_AT_ONCE: u8 = 8;
