//! The stream of `live`: one task looks, for all who listen, and only while
//! somebody does.
//!
//! It looks every half second, and says what it saw when that differs from what
//! it said last, or after ten seconds. Each reader holds at most one line
//! that it has not taken yet; who takes nothing for 30 s is hung up on.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Refusal;

/// From one look to the next.
const PERIOD: Duration = Duration::from_millis(500);
/// Something is said at least this often: a reader that hears nothing for
/// longer knows that the line is cut.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// How long a reader may take nothing.
const PATIENCE: Duration = Duration::from_secs(30);
const READERS_MAX: usize = 32;

/// What was seen: an object as JSON, without its `now`, which alone is no news.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub now: String,
    /// `{"…":…}`
    pub rest: Bytes,
}

impl Seen {
    /// The whole object.
    pub fn json(&self) -> Vec<u8> {
        let mut line = format!("{{\"now\":\"{}\",", self.now).into_bytes();
        line.extend_from_slice(self.rest.get(1..).unwrap_or_default());
        line
    }

    fn frame(&self) -> Bytes {
        let data = b"event: status\ndata: ";
        Bytes::from([data.as_slice(), &self.json(), b"\n\n"].concat())
    }
}

/// Everybody who listens.
#[derive(Debug, Default)]
pub struct Live {
    room: Mutex<Room>,
}

#[derive(Debug, Default)]
struct Room {
    readers: Vec<Reader>,
    /// What was said last.
    said: Option<Said>,
    /// The number of the task that looks, if one does.
    looking: Option<u64>,
    /// Tasks that were started.
    started: u64,
}

#[derive(Debug)]
struct Said {
    seen: Seen,
    frame: Bytes,
    at: Instant,
}

#[derive(Debug)]
struct Reader {
    frames: mpsc::Sender<Bytes>,
    /// Since when it has left a line untaken.
    stuck_since: Option<Instant>,
    hang_up: CancellationToken,
}

/// One reader's end.
#[derive(Debug)]
pub struct Stream {
    frames: mpsc::Receiver<Bytes>,
}

impl Stream {
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.frames.poll_recv(context)
    }
}

impl Live {
    /// Another reader; `look` is asked until the last one has left or `drain`
    /// is cancelled. `hang_up` ends a reader's connection.
    pub fn join(
        self: &Arc<Self>,
        tasks: &TaskTracker,
        drain: &CancellationToken,
        hang_up: CancellationToken,
        look: impl Fn() -> Seen + Send + 'static,
    ) -> Result<Stream, Refusal> {
        if drain.is_cancelled() {
            return Err(Refusal::stopping());
        }
        let mut room = self.room();
        room.readers.retain(Reader::is_there);
        if room.readers.len() >= READERS_MAX {
            let said = format!("{READERS_MAX} streams are open already");
            let mut refusal = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, said);
            refusal.retry_after = Some(10);
            return Err(refusal);
        }
        let (sender, frames) = mpsc::channel(1);
        if let Some(said) = &room.said {
            let _room_for_one = sender.try_send(said.frame.clone());
        }
        room.readers.push(Reader {
            frames: sender,
            stuck_since: None,
            hang_up,
        });
        if room.looking.is_none() {
            room.started += 1;
            room.looking = Some(room.started);
            tasks.spawn(Arc::clone(self).look(room.started, drain.clone(), look));
        }
        Ok(Stream { frames })
    }

    async fn look(
        self: Arc<Self>,
        number: u64,
        drain: CancellationToken,
        look: impl Fn() -> Seen + Send,
    ) {
        // Should it panic, the next reader starts another.
        let _over = Over(&self, number);
        loop {
            let seen = look();
            if !self.say(seen, now()) {
                return;
            }
            tokio::select! {
                () = drain.cancelled() => return,
                () = tokio::time::sleep(PERIOD) => {}
            }
        }
    }

    /// Tells the readers, if there is news. `false`: nobody is left.
    fn say(&self, seen: Seen, now: Instant) -> bool {
        let mut room = self.room();
        room.readers.retain(Reader::is_there);
        if room.readers.is_empty() {
            room.close();
            return false;
        }
        let news = room.said.as_ref().is_none_or(|said| {
            said.seen.rest != seen.rest || now.duration_since(said.at) >= SILENCE_MAX
        });
        if !news {
            room.readers.retain_mut(|reader| reader.is_patient(now));
            return true;
        }
        let frame = seen.frame();
        room.readers.retain_mut(|reader| reader.tell(&frame, now));
        let at = now;
        room.said = Some(Said { seen, frame, at });
        true
    }

    fn room(&self) -> MutexGuard<'_, Room> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes the room when the task ends, however it ends.
struct Over<'a>(&'a Live, u64);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        let mut room = self.0.room();
        if room.looking == Some(self.1) {
            room.close();
        }
    }
}

impl Room {
    /// Streams end; the next reader starts anew.
    fn close(&mut self) {
        self.readers.clear();
        self.said = None;
        self.looking = None;
    }
}

impl Reader {
    fn is_there(&self) -> bool {
        !self.frames.is_closed()
    }

    /// Hands a line over, if the last one was taken. `false`: it is hung up on.
    fn tell(&mut self, frame: &Bytes, now: Instant) -> bool {
        match self.frames.try_send(frame.clone()) {
            Ok(()) => {
                self.stuck_since = None;
                true
            }
            Err(mpsc::error::TrySendError::Closed(_)) => false,
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.stuck_since.get_or_insert(now);
                self.is_patient(now)
            }
        }
    }

    fn is_patient(&mut self, now: Instant) -> bool {
        if self.frames.capacity() > 0 {
            self.stuck_since = None;
        }
        let over = (self.stuck_since).is_some_and(|since| now.duration_since(since) >= PATIENCE);
        if over {
            self.hang_up.cancel();
        }
        !over
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "tokio's clock: the periods of our own stream"
)]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests;
