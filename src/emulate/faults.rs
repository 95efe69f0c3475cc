//! What goes wrong on demand: which calls it hits, and what it does to them.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

/// What goes wrong with a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Answered with this status, and not processed.
    Status(u16),
    /// Processed, and answered with this status all the same.
    LostStatus(u16),
    /// 429, not processed.
    TooMany { retry_after: Option<Duration> },
    /// Processed; the answer's head comes this late.
    LateHead(Duration),
    /// Processed; the answer's body comes in four pieces, this far apart.
    SlowBody(Duration),
    /// The connection is reset before anything is processed.
    Reset,
    /// Processed, then the connection is reset.
    LostAnswer,
    /// Processed; the answer ends in the middle of its body.
    HalfAnswer,
    /// Processed; a 200 whose body is no JSON.
    Garbage,
    /// Sent elsewhere with a 307, and not processed.
    Redirect(String),
}

impl Fault {
    /// As the command line and the call log call it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Status(_) => "status",
            Self::LostStatus(_) => "lost_status",
            Self::TooMany { .. } => "too_many",
            Self::LateHead(_) => "late_head",
            Self::SlowBody(_) => "slow_body",
            Self::Reset => "reset",
            Self::LostAnswer => "lost_answer",
            Self::HalfAnswer => "half_answer",
            Self::Garbage => "garbage",
            Self::Redirect(_) => "redirect",
        }
    }

    /// Whether the vendor sees the call at all.
    pub(super) const fn processed(&self) -> bool {
        !matches!(
            self,
            Self::Status(_) | Self::TooMany { .. } | Self::Reset | Self::Redirect(_)
        )
    }
}

/// Which calls are hit, of those that [`Faults::only`] lets count.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum When {
    #[default]
    Never,
    Always,
    /// The n-th, 2n-th, and so on.
    Every(u64),
    /// The first n.
    First(u64),
    /// That one alone, from 1.
    Nth(u64),
    /// Each with this probability; the same seed hits the same calls.
    Chance {
        share: f64,
        seed: u64,
    },
}

/// What goes wrong, and how often.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    pub when: When,
    /// In turn.
    pub kinds: Vec<Fault>,
    /// Only calls to paths that begin so, after an optional method; `*` stands
    /// for one segment: `POST /beta/conversations/*/messages`.
    pub only: Option<String>,
    /// Before each call is looked at, hit or not.
    pub delay: Duration,
}

impl Faults {
    /// One kind.
    pub fn of(when: When, kind: Fault) -> Self {
        Self {
            when,
            kinds: vec![kind],
            ..Self::default()
        }
    }

    #[must_use]
    pub fn only(mut self, pattern: &str) -> Self {
        self.only = Some(pattern.to_owned());
        self
    }
}

/// The faults, and how far they are.
#[derive(Debug)]
pub(super) struct Dice {
    faults: Faults,
    counted: u64,
    hit: usize,
    chance: fastrand::Rng,
}

impl Dice {
    pub(super) fn new(faults: Faults) -> Self {
        let seed = match faults.when {
            When::Chance { seed, .. } => seed,
            _ => 0,
        };
        Self {
            faults,
            counted: 0,
            hit: 0,
            chance: fastrand::Rng::with_seed(seed),
        }
    }

    pub(super) fn delay(&self) -> Duration {
        self.faults.delay
    }

    /// What goes wrong with the next call.
    pub(super) fn draw(&mut self, method: &str, path: &str) -> Option<Fault> {
        let only = self.faults.only.as_deref();
        if self.faults.kinds.is_empty() || !only.is_none_or(|only| concerns(only, method, path)) {
            return None;
        }
        self.counted += 1;
        let hits = match self.faults.when {
            When::Never => false,
            When::Always => true,
            When::Every(n) => n > 0 && self.counted.is_multiple_of(n),
            When::First(n) => self.counted <= n,
            When::Nth(n) => self.counted == n,
            When::Chance { share, .. } => self.chance.f64() < share,
        };
        if !hits {
            return None;
        }
        let at = self.hit % self.faults.kinds.len();
        self.hit += 1;
        self.faults.kinds.get(at).cloned()
    }
}

fn concerns(only: &str, method: &str, path: &str) -> bool {
    let pattern = match only.split_once(' ') {
        Some((named, _)) if named != method => return false,
        Some((_, pattern)) => pattern,
        None => only,
    };
    // A prefix may end within a segment, so the last one is only begun with.
    let mut wanted = pattern.split('/').peekable();
    let mut given = path.split('/');
    while let Some(want) = wanted.next() {
        let Some(have) = given.next() else {
            return false;
        };
        let last = wanted.peek().is_none();
        if want != "*" && want != have && !(last && have.starts_with(want)) {
            return false;
        }
    }
    true
}

/// The body of an answer: whole, in pieces, or cut off.
#[derive(Debug)]
pub(super) struct Pieces {
    pieces: VecDeque<Bytes>,
    /// Before each piece but the first, and before the cut.
    pause: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
    cut: bool,
    /// What the head promises and has not come yet.
    left: u64,
}

impl Pieces {
    pub(super) fn whole(text: String) -> Self {
        Self {
            left: text.len() as u64,
            pieces: [Bytes::from(text)].into(),
            pause: Duration::ZERO,
            waiting: None,
            cut: false,
        }
    }

    pub(super) fn slow(text: String, pause: Duration) -> Self {
        let mut whole = Self::whole(text);
        if let Some(text) = whole.pieces.pop_front() {
            let size = text.len().div_ceil(4).max(1);
            whole.pieces = text
                .chunks(size)
                .map(|piece| text.slice_ref(piece))
                .collect();
        }
        whole.pause = pause;
        whole
    }

    /// The head promises all of it; half of it comes.
    pub(super) fn half(text: String) -> Self {
        // Even an empty answer can be cut off.
        let text = if text.is_empty() {
            "{}".to_owned()
        } else {
            text
        };
        let mut half = Self::whole(text);
        half.pieces
            .iter_mut()
            .for_each(|piece| piece.truncate(piece.len() / 2));
        // Long enough for hyper to send the half before it sees the cut.
        half.pause = Duration::from_millis(20);
        half.cut = true;
        half
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(waiting) = &mut self.waiting {
            std::task::ready!(waiting.as_mut().poll(context));
            self.waiting = None;
        }
        let Some(piece) = self.pieces.pop_front() else {
            return Poll::Ready(
                self.cut
                    .then(|| Err(io::Error::from(io::ErrorKind::ConnectionAborted))),
            );
        };
        self.left = self.left.saturating_sub(piece.len() as u64);
        if !self.pause.is_zero() && (self.cut || !self.pieces.is_empty()) {
            self.waiting = Some(Box::pin(tokio::time::sleep(self.pause)));
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hits(when: When, calls: usize) -> Vec<usize> {
        let mut dice = Dice::new(Faults::of(when, Fault::Reset));
        let all = (1..=calls).filter(|_| dice.draw("POST", "/x").is_some());
        all.collect()
    }

    #[test]
    fn each_rule_hits_the_calls_it_says() {
        for (when, expected) in [
            (When::Never, vec![]),
            (When::Always, vec![1, 2, 3, 4, 5, 6]),
            (When::Every(3), vec![3, 6]),
            (When::Every(0), vec![]),
            (When::First(2), vec![1, 2]),
            (When::Nth(4), vec![4]),
        ] {
            assert_eq!(hits(when, 6), expected, "{when:?}");
        }
    }

    #[test]
    fn chance_hits_its_share_and_the_same_calls_for_the_same_seed() {
        let when = |seed| When::Chance { share: 0.1, seed };
        assert_eq!(hits(when(7), 1000), hits(when(7), 1000));
        assert_ne!(hits(when(7), 1000), hits(when(8), 1000));
        assert!((60..140).contains(&hits(when(7), 1000).len()));
    }

    #[test]
    fn kinds_come_in_turn_and_only_on_the_paths_they_concern() {
        let mut dice = Dice::new(Faults {
            when: When::Always,
            kinds: vec![Fault::Reset, Fault::Garbage],
            only: Some("POST /beta/conversations/*/messages".to_owned()),
            delay: Duration::ZERO,
        });
        for (method, path, expected) in [
            ("POST", "/beta/conversations/100/messages", Some("reset")),
            ("GET", "/beta/conversations/100/messages", None),
            ("POST", "/beta/conversations", None),
            ("POST", "/beta/conversations/100/notes", None),
            ("POST", "/beta/conversations/101/messages", Some("garbage")),
            ("POST", "/beta/conversations/101/messages", Some("reset")),
        ] {
            let fault = dice.draw(method, path);
            assert_eq!(fault.as_ref().map(Fault::name), expected, "{method} {path}");
        }
        assert!(concerns("/track", "POST", "/trackhistorical"), "a prefix");
        assert!(!concerns("/track/x", "POST", "/track"));
    }
}
