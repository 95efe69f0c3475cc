//! The guarded wire beneath hyper: follows the framing of the requests itself,
//! shows hyper no byte of a head the filter has not passed, and keeps the
//! deadlines: one timer for reading, one for writing.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use super::Limits;
use super::framing::{Request, Step};
use super::head::Refusal;
use super::note::{Broken, Note};
use super::timer::Timer;

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

/// Why the wire said it was at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The other side ended it, or we did between two requests.
    Quiet,
    /// Connected and said nothing.
    NoFirstByte,
    Refused(Refusal),
}

/// What a look at the bytes at the front said.
enum Followed {
    More,
    /// So many may be passed on.
    Pass(usize),
    Refused,
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
    read_timer: Timer,
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
            read_timer: Timer::default(),
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
            if !self.inbox.is_empty() {
                let inbox = std::mem::take(&mut self.inbox);
                let followed = self.follow(&inbox);
                self.inbox = inbox;
                match followed? {
                    Followed::Pass(bytes) => {
                        self.pass = bytes;
                        continue;
                    }
                    Followed::Refused => continue,
                    Followed::More => {}
                }
            }
            self.await_request();
            let mut room = [MaybeUninit::uninit(); READ_BYTES];
            let mut read = ReadBuf::uninit(&mut room);
            if ready!(self.poll_io(cx, &mut read))? {
                return Poll::Ready(Ok(()));
            }
            self.inbox.extend_from_slice(read.filled());
        }
    }

    /// Reads past the inbox, into the buffer of whoever asks: most requests come
    /// whole, at once and alone. `true`: there is something in it, or the end.
    fn poll_through(
        &mut self,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<bool>> {
        self.await_request();
        let before = out.filled().len();
        if ready!(self.poll_io(cx, out))? {
            return Poll::Ready(Ok(true));
        }
        let came = out.filled().get(before..).unwrap_or_default();
        let mut passed = 0;
        while let Some(front) = came.get(passed..).filter(|front| !front.is_empty()) {
            match self.follow(front) {
                Ok(Followed::Pass(bytes)) => passed += bytes,
                Ok(Followed::More | Followed::Refused) => break,
                Err(error) => {
                    out.set_filled(before);
                    return Poll::Ready(Err(error));
                }
            }
            // Chunks may be refused: only when what came before was passed on.
            if !matches!(self.request, Some(Request::Length { .. })) {
                break;
            }
        }
        let kept_back = came.get(passed..).unwrap_or_default();
        self.inbox.extend_from_slice(kept_back);
        out.set_filled(before + passed);
        Poll::Ready(Ok(passed > 0))
    }

    /// Reads what there is, or waits for it at most until the deadline. `true`:
    /// it ended within a body; without it, nothing read means that it ended.
    fn poll_io(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<bool>> {
        let before = out.filled().len();
        match Pin::new(&mut self.io).poll_read(cx, out)? {
            Poll::Ready(()) if out.filled().len() > before => {}
            Poll::Ready(()) => match &self.request {
                Some(request) if !request.is_head() => {
                    self.note.broke(Broken::CutOff);
                    return Poll::Ready(Ok(true));
                }
                _ => self.ending = Some(Ending::Quiet),
            },
            Poll::Pending => {
                if let Some(deadline) = self.read_deadline {
                    ready!(self.read_timer.poll_at(deadline, cx));
                    self.late()?;
                } else {
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(Ok(false))
    }

    /// The first bytes of a request are here.
    fn begin(&mut self) -> Request {
        self.limits = self.watch.limits();
        self.requests += 1;
        let now = Instant::now();
        self.read_deadline = Some(now + self.limits.head);
        self.note.began(now);
        Request::new(&self.limits)
    }

    /// Between two requests the next one is waited for.
    fn await_request(&mut self) {
        if self.request.is_none() && self.read_deadline.is_none() {
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

    /// Looks at what came and was not passed on: at least one byte.
    fn follow(&mut self, front: &[u8]) -> io::Result<Followed> {
        if self.request.is_none() {
            self.request = Some(self.begin());
        }
        let Some(request) = &mut self.request else {
            return Ok(Followed::More);
        };
        let was_head = request.is_head();
        match request.step(front) {
            Step::More => Ok(Followed::More),
            Step::Pass { bytes, last } => {
                if was_head {
                    self.owes = true;
                    self.read_deadline = Some(Instant::now() + self.limits.body);
                }
                if last {
                    self.request = None;
                    self.read_deadline = None;
                }
                Ok(Followed::Pass(bytes))
            }
            Step::Refused(refusal) if was_head => {
                self.refuse(refusal);
                Ok(Followed::Refused)
            }
            Step::Refused(_chunks) => {
                self.note.broke(Broken::Chunks);
                Err(io::ErrorKind::InvalidData.into())
            }
        }
    }

    /// The deadline of whatever was being waited for has passed.
    fn late(&mut self) -> io::Result<()> {
        match &self.request {
            None if self.requests == 0 => self.ending = Some(Ending::NoFirstByte),
            None => self.ending = Some(Ending::Quiet),
            Some(request) if request.is_head() => self.refuse(Refusal::HeadTimeout),
            Some(_body) => {
                self.note.broke(Broken::Timeout);
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
        let nothing_kept = this.inbox.is_empty() && this.ending.is_none();
        if nothing_kept && out.remaining() > 0 && ready!(this.poll_through(cx, out))? {
            return Poll::Ready(Ok(()));
        }
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
                if this.owes && this.note.take_answered() {
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
mod tests;
