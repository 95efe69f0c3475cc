//! What an attempt told us, and what we do about it: the only place that
//! knows what a 503 means.
//!
//! [`Outcome`] is a fact, [`judge`] a decision, [`Verdict`] what is to be
//! written. No clock, no dice, no I/O: everything that could make two runs
//! differ is an argument.

#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::clock::Timestamp;

/// What one attempt told us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An answer with a status; `retry_after` is what the destination asked
    /// for, already a duration from now.
    Answered {
        status: u16,
        retry_after: Option<Duration>,
    },
    /// The vendor's answer means the copy is there already (for example
    /// "Duplicate externalId").
    AlreadyThere { status: u16 },
    /// No answer by the deadline.
    TimedOut,
    /// The name did not resolve, or not to an address we may connect to.
    Dns,
    /// No connection.
    Connect,
    /// No trust, or no common protocol.
    Tls,
    /// The connection broke, or its answer could not be read, after sending.
    Broken,
}

impl Outcome {
    /// The `outcome` label of `hookfan_attempts_total`.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::AlreadyThere { .. } => "2xx",
            Self::Answered { status, .. } => match *status {
                429 => "429",
                100..=199 => "broken",
                200..=299 => "2xx",
                300..=399 => "3xx",
                400..=499 => "4xx",
                _ => "5xx",
            },
            Self::TimedOut => "timeout",
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Broken => "broken",
        }
    }

    /// The status, where there was one.
    pub const fn status(&self) -> Option<u16> {
        match self {
            Self::Answered { status, .. } | Self::AlreadyThere { status } => Some(*status),
            Self::TimedOut | Self::Dns | Self::Connect | Self::Tls | Self::Broken => None,
        }
    }

    /// Whether the copy is there.
    pub const fn is_success(&self) -> bool {
        matches!(
            self,
            Self::AlreadyThere { .. }
                | Self::Answered {
                    status: 200..=299,
                    ..
                }
        )
    }

    /// Whether this speaks against the destination's health (and so counts
    /// towards its breaker).
    pub const fn is_trouble(&self) -> bool {
        match self {
            Self::Answered { status, .. } => matches!(status, 408 | 425 | 429 | 500..),
            Self::AlreadyThere { .. } => false,
            Self::TimedOut | Self::Dns | Self::Connect | Self::Tls | Self::Broken => true,
        }
    }
}

/// Why a delivery ended without reaching its destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Reason {
    /// The retry schedule ended.
    Exhausted = 1,
    /// The destination refused it for good (a 4xx or 3xx that does not retry).
    Refused = 2,
    /// 410: the destination says it is gone.
    Gone = 3,
    /// 508: it went in a circle.
    Loop = 4,
    /// Its request could not be built: a template failed or a value is missing.
    Unsendable = 5,
    /// The customer of an outgoing message is not known.
    UnknownUser = 6,
    /// Too old for the destination, and its policy says so.
    Late = 7,
    /// The destination's budget was full.
    BacklogFull = 8,
    /// The destination left the configuration.
    DestinationRemoved = 9,
    /// The conversation has no counterpart over there.
    Unlinked = 10,
    /// The stored bytes were damaged.
    Damaged = 11,
}

impl Reason {
    /// Every reason there is.
    pub const ALL: [Self; 11] = [
        Self::Exhausted,
        Self::Refused,
        Self::Gone,
        Self::Loop,
        Self::Unsendable,
        Self::UnknownUser,
        Self::Late,
        Self::BacklogFull,
        Self::DestinationRemoved,
        Self::Unlinked,
        Self::Damaged,
    ];

    /// The word the API, the log lines and `--reason` use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exhausted => "exhausted",
            Self::Refused => "refused",
            Self::Gone => "gone",
            Self::Loop => "loop",
            Self::Unsendable => "unsendable",
            Self::UnknownUser => "unknown_user",
            Self::Late => "late",
            Self::BacklogFull => "backlog_full",
            Self::DestinationRemoved => "destination_removed",
            Self::Unlinked => "unlinked",
            Self::Damaged => "damaged",
        }
    }

    /// The byte a record stores.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The inverse of [`Reason::code`].
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.code() == code)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a delivery ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Settlement {
    Delivered,
    Dead(Reason),
    /// By a named rule or by an operator.
    Dropped,
}

impl Settlement {
    /// The `settlement` label of `hookfan_deliveries_settled_total`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Dead(_) => "dead",
            Self::Dropped => "dropped",
        }
    }
}

/// What is to be written about a delivery after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Settle(Settlement),
    /// Try again, not before this instant.
    Retry {
        at: Timestamp,
    },
}

/// When to try again and when to stop; `retry = { delays = […], for = "…" }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// After the first attempt, the second, …; the last one repeats. Never
    /// empty.
    pub delays: Vec<Duration>,
    /// No attempt starts later than this after the first one.
    pub span: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        const MINUTE: u64 = 60;
        const HOUR: u64 = 60 * MINUTE;
        let delays = [
            5,
            30,
            2 * MINUTE,
            10 * MINUTE,
            30 * MINUTE,
            HOUR,
            2 * HOUR,
            4 * HOUR,
            8 * HOUR,
            12 * HOUR,
            24 * HOUR,
        ];
        Self {
            delays: delays.into_iter().map(Duration::from_secs).collect(),
            span: Duration::from_secs(76 * HOUR),
        }
    }
}

impl RetryPolicy {
    /// The wait after attempt number `attempt` (from 1): the schedule ± 25 %
    /// by `jitter` in `0.0..1.0`, or what the destination asked for, clamped
    /// to `[scheduled, max(2 × scheduled, 1 h)]`.
    pub fn wait(&self, attempt: u32, asked: Option<Duration>, jitter: f64) -> Duration {
        let index = usize::try_from(attempt.saturating_sub(1)).unwrap_or(usize::MAX);
        let scheduled = self
            .delays
            .get(index)
            .or(self.delays.last())
            .copied()
            .unwrap_or(Duration::from_secs(5));
        match asked {
            Some(asked) => {
                let ceiling = scheduled.saturating_mul(2).max(Duration::from_secs(3600));
                asked.clamp(scheduled, ceiling)
            }
            None => scheduled.mul_f64(0.75 + 0.5 * jitter.clamp(0.0, 1.0)),
        }
    }
}

/// What is known of a delivery when an attempt at it ends.
#[derive(Clone, Copy, Debug)]
pub struct Tried {
    /// The number of the attempt that just ended, from 1.
    pub attempt: u32,
    /// When the first attempt started.
    pub first_at: Timestamp,
    /// Now.
    pub now: Timestamp,
    /// A fair number in `0.0..1.0`.
    pub jitter: f64,
}

/// One attempt's outcome, judged.
pub fn judge(policy: &RetryPolicy, outcome: &Outcome, tried: Tried) -> Verdict {
    use Settlement::{Dead, Delivered};
    let asked = match outcome {
        Outcome::Answered {
            status: 200..=299, ..
        }
        | Outcome::AlreadyThere { .. } => {
            return Verdict::Settle(Delivered);
        }
        Outcome::Answered { status: 508, .. } => return Verdict::Settle(Dead(Reason::Loop)),
        Outcome::Answered { status: 410, .. } => return Verdict::Settle(Dead(Reason::Gone)),
        Outcome::Answered {
            status: 408 | 425 | 429 | 500..,
            retry_after,
        } => *retry_after,
        Outcome::Answered {
            status: 100..=199, ..
        } => None,
        Outcome::Answered { .. } => return Verdict::Settle(Dead(Reason::Refused)),
        Outcome::TimedOut | Outcome::Dns | Outcome::Connect | Outcome::Tls | Outcome::Broken => {
            None
        }
    };
    let at = tried
        .now
        .plus(policy.wait(tried.attempt, asked, tried.jitter));
    if at > tried.first_at.plus(policy.span) {
        return Verdict::Settle(Dead(Reason::Exhausted));
    }
    Verdict::Retry { at }
}

/// Reads a `Retry-After` value: whole seconds or an IMF-fixdate, nothing else.
/// Returns how long from `now`; `None` for anything malformed, negative or in
/// the past.
pub fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        // More digits than a u64 holds still means "very long": the clamp decides.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX / 4)));
    }
    let at = httpdate::parse_http_date(value).ok()?;
    let at = at.duration_since(std::time::UNIX_EPOCH).ok()?;
    let now = Duration::from_millis(now.as_millis());
    at.checked_sub(now)
}
