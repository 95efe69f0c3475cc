//! The guarded wire beneath hyper: follows the framing of the requests itself,
//! shows hyper no byte of a head the filter has not passed, and keeps the
//! deadlines, each with a timer of its own.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use super::Limits;
use super::framing::{Request, Step};
use super::head::Refusal;

/// Read at once, on the stack: a connection holds what was said on it, and no
/// room for what may never come.
const READ_BYTES: usize = 16 << 10;
/// After an answer that leaves bytes unread, this much of them is read and
/// thrown away, for this long, so that a reset does not overtake the answer.
const LINGER_BYTES_MAX: usize = 64 << 10;
/// Of a proxy all of a body is read, the largest there may be: cut off while it
/// sends one, it tells the sender 502 where we said 413, and senders repeat that.
const LINGER_PROXY_BYTES_MAX: usize = 26 << 20;
const LINGER_MAX: Duration = Duration::from_secs(1);

/// Who sets the limits and hears of refusals.
pub(super) trait Watch: Send + Sync + 'static {
    /// The limits in force now; asked at each request.
    fn limits(&self) -> Limits;
    /// A head was refused, or never came to its end.
    fn refused(&self, peer: IpAddr, refusal: Refusal);
}

/// What the wire and whoever answers tell each other about one connection.
#[derive(Debug, Default)]
pub(super) struct Note(Mutex<Told>);

#[derive(Debug, Default)]
struct Told {
    first_byte_at: Option<Instant>,
    answered: bool,
    broken: Option<Broken>,
}

/// Why a body ended before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    Timeout,
    Chunks,
    CutOff,
}

impl Note {
    /// When the first byte of the present request came.
    pub(super) fn first_byte_at(&self) -> Option<Instant> {
        self.told().first_byte_at
    }

    pub(super) fn broken(&self) -> Option<Broken> {
        self.told().broken
    }

    /// The answer to the present request is ready; the next flush carries it.
    pub(super) fn answered(&self) {
        self.told().answered = true;
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why the wire said it was at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The other side ended it, or we did between two requests.
    Quiet,
    /// Connected and said nothing.
    NoFirstByte,
    Refused(Refusal),
}

/// A socket, or TLS over one, as hyper sees it.
pub(super) struct Wire<Io, W> {
    io: Io,
    watch: Arc<W>,
    note: Arc<Note>,
    peer: IpAddr,
    limits: Limits,
    /// What was read and not passed on; the first `pass` bytes may be.
    inbox: BytesMut,
    pass: usize,
    /// The request being read; `None` between two.
    request: Option<Request>,
    requests: u64,
    ending: Option<Ending>,
    /// A request was passed on and its answer is not flushed yet. Until it is,
    /// the end is not told: hyper might close without flushing.
    owes: bool,
    parked: Option<Waker>,
    read_deadline: Option<Instant>,
    read_timer: Pin<Box<Sleep>>,
    /// Set while a write makes no progress.
    write_timer: Option<Pin<Box<Sleep>>>,
    linger_bytes_max: usize,
}

impl<Io, W> Wire<Io, W>
where
    Io: AsyncRead + AsyncWrite + Unpin,
    W: Watch,
{
    pub(super) fn new(io: Io, watch: Arc<W>, note: Arc<Note>, peer: IpAddr) -> Self {
        let limits = watch.limits();
        Self {
            io,
            watch,
            note,
            peer,
            limits,
            inbox: BytesMut::new(),
            pass: 0,
            request: None,
            requests: 0,
            ending: None,
            owes: false,
            parked: None,
            read_deadline: None,
            read_timer: Box::pin(sleep_until(Instant::now())),
            write_timer: None,
            linger_bytes_max: LINGER_BYTES_MAX,
        }
    }

    /// The other side is a proxy that is believed: it may be in the middle of a
    /// stranger's body when it is refused.
    pub(super) fn linger_for_a_proxy(&mut self) {
        self.linger_bytes_max = LINGER_PROXY_BYTES_MAX;
    }

    pub(super) fn ending(&self) -> Option<Ending> {
        self.ending
    }

    /// Waits until a whole head may be passed on, or the wire ends. Who says
    /// none costs this struct and what he did say, and none of hyper's buffers.
    pub(super) async fn first_head(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_pass(cx)).await
    }

    /// Says what is left to say and closes: a bare status for a refused head;
    /// and where bytes were left unread, waits a little so that the answer arrives.
    pub(super) async fn close(mut self) {
        if let Some(Ending::Refused(refusal)) = self.ending {
            let status = http::StatusCode::from_u16(refusal.status())
                .unwrap_or(http::StatusCode::BAD_REQUEST);
            let reason = status.canonical_reason().unwrap_or_default();
            let answer = format!(
                "HTTP/1.1 {} {reason}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
                status.as_u16()
            );
            let write = async {
                self.io.write_all(answer.as_bytes()).await?;
                self.io.flush().await
            };
            if !matches!(timeout(self.limits.write, write).await, Ok(Ok(()))) {
                return;
            }
        }
        let unread = self.request.is_some()
            || !self.inbox.is_empty()
            || matches!(self.ending, Some(Ending::Refused(_)));
        let linger = async {
            self.io.shutdown().await?;
            // On the heap: every connection would carry it from its first byte on.
            let (mut scratch, mut left) = (vec![0; 4 << 10], self.linger_bytes_max);
            while unread && left > 0 {
                match self.io.read(&mut scratch).await? {
                    0 => break,
                    bytes => left = left.saturating_sub(bytes),
                }
            }
            io::Result::Ok(())
        };
        // However this ends, the socket is dropped now.
        let _ended = timeout(LINGER_MAX, linger).await;
    }

    /// Brings the state forward until bytes may be passed on or the wire ends.
    fn poll_pass(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.pass > 0 {
                return Poll::Ready(Ok(()));
            }
            if self.ending.is_some() {
                return self.poll_end(cx);
            }
            if self.request.is_none() {
                self.await_request();
            }
            if self.follow()? {
                continue;
            }
            match self.poll_fill(cx) {
                Poll::Ready(Ok(0))
                    if self
                        .request
                        .as_ref()
                        .is_some_and(|request| !request.is_head()) =>
                {
                    self.note.told().broken.get_or_insert(Broken::CutOff);
                    return Poll::Ready(Ok(()));
                }
                Poll::Ready(Ok(0)) => self.ending = Some(Ending::Quiet),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    ready!(self.poll_deadline(cx));
                    self.late()?;
                }
            }
        }
    }

    /// Between two requests: either the next one has begun, or it is waited for.
    fn await_request(&mut self) {
        if !self.inbox.is_empty() {
            self.limits = self.watch.limits();
            self.request = Some(Request::new(&self.limits));
            self.requests += 1;
            let now = Instant::now();
            self.read_deadline = Some(now + self.limits.head);
            let mut told = self.note.told();
            told.first_byte_at = Some(now);
            told.broken = None;
        } else if self.read_deadline.is_none() {
            let patience = if self.requests == 0 {
                self.limits.first_byte
            } else {
                self.limits.idle
            };
            self.read_deadline = Some(Instant::now() + patience);
            // No buffer is kept through an idle time.
            self.inbox = BytesMut::new();
        }
    }

    /// Looks at what came. `true`: something changed, look again before reading.
    fn follow(&mut self) -> io::Result<bool> {
        let Some(request) = &mut self.request else {
            return Ok(false);
        };
        if self.inbox.is_empty() {
            return Ok(false);
        }
        let was_head = request.is_head();
        match request.step(&self.inbox) {
            Step::More => Ok(false),
            Step::Pass { bytes, last } => {
                self.pass = bytes;
                if was_head {
                    self.owes = true;
                    self.read_deadline = Some(Instant::now() + self.limits.body);
                }
                if last {
                    self.request = None;
                    self.read_deadline = None;
                }
                Ok(true)
            }
            Step::Refused(refusal) if was_head => {
                self.refuse(refusal);
                Ok(true)
            }
            Step::Refused(_chunks) => {
                self.note.told().broken.get_or_insert(Broken::Chunks);
                Err(io::ErrorKind::InvalidData.into())
            }
        }
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut room = [MaybeUninit::uninit(); READ_BYTES];
        let mut read = ReadBuf::uninit(&mut room);
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut read))?;
        self.inbox.extend_from_slice(read.filled());
        Poll::Ready(Ok(read.filled().len()))
    }

    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.read_deadline else {
            return Poll::Pending;
        };
        if self.read_timer.deadline() != deadline {
            self.read_timer.as_mut().reset(deadline);
        }
        self.read_timer.as_mut().poll(cx)
    }

    /// The deadline of whatever was being waited for has passed.
    fn late(&mut self) -> io::Result<()> {
        match &self.request {
            None if self.requests == 0 => self.ending = Some(Ending::NoFirstByte),
            None => self.ending = Some(Ending::Quiet),
            Some(request) if request.is_head() => self.refuse(Refusal::HeadTimeout),
            Some(_body) => {
                self.note.told().broken.get_or_insert(Broken::Timeout);
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
        Ok(())
    }

    fn refuse(&mut self, refusal: Refusal) {
        self.watch.refused(self.peer, refusal);
        self.ending = Some(Ending::Refused(refusal));
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.owes {
            self.parked = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    /// Pending only while the write deadline has not passed.
    fn poll_stuck(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let deadline = self.limits.write;
        let timer = self
            .write_timer
            .get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + deadline)));
        timer
            .as_mut()
            .poll(cx)
            .map(|()| io::ErrorKind::TimedOut.into())
    }
}

impl<Io, W> AsyncRead for Wire<Io, W>
where
    Io: AsyncRead + AsyncWrite + Unpin,
    W: Watch,
{
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_pass(cx))?;
        let bytes = this.pass.min(out.remaining());
        out.put_slice(this.inbox.get(..bytes).unwrap_or_default());
        this.inbox.advance(bytes);
        this.pass -= bytes;
        Poll::Ready(Ok(()))
    }
}

impl<Io, W> AsyncWrite for Wire<Io, W>
where
    Io: AsyncRead + AsyncWrite + Unpin,
    W: Watch,
{
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match Pin::new(&mut this.io).poll_write(cx, bytes) {
            Poll::Ready(written) => {
                this.write_timer = None;
                Poll::Ready(written)
            }
            Poll::Pending => this.poll_stuck(cx).map(Err),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match Pin::new(&mut this.io).poll_flush(cx) {
            Poll::Ready(flushed) => {
                this.write_timer = None;
                if this.owes && std::mem::take(&mut this.note.told().answered) {
                    this.owes = false;
                    if let Some(parked) = this.parked.take() {
                        parked.wake();
                    }
                }
                Poll::Ready(flushed)
            }
            Poll::Pending => this.poll_stuck(cx).map(Err),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        Pin::new(&mut this.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;

    struct Defaults;

    impl Watch for Defaults {
        fn limits(&self) -> Limits {
            Limits::default()
        }

        fn refused(&self, _peer: IpAddr, _refusal: Refusal) {}
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_is_told_only_when_the_answer_before_it_is_flushed() {
        let (mut client, server) = duplex(1 << 10);
        let note = Arc::new(Note::default());
        let peer = IpAddr::from([192, 0, 2, 7]);
        let mut wire = Wire::new(server, Arc::new(Defaults), Arc::clone(&note), peer);
        let good = b"POST /hooks/a HTTP/1.1\r\nHost: a\r\n\r\n";
        client.write_all(good).await.unwrap();
        client.write_all(b"BAD\r\n").await.unwrap();
        let mut head = vec![0; 1 << 10];
        assert_eq!(wire.read(&mut head).await.unwrap(), good.len());
        // An interim answer is flushed too; it is not the answer.
        wire.flush().await.unwrap();
        let ended = timeout(Duration::from_secs(1), wire.read(&mut head)).await;
        assert!(ended.is_err(), "{ended:?}");
        note.answered();
        wire.flush().await.unwrap();
        assert_eq!(wire.read(&mut head).await.unwrap(), 0);
        assert_eq!(wire.ending(), Some(Ending::Refused(Refusal::RequestLine)));
    }
}
