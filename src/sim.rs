//! The simulation: the real gateway, log, ledger, lanes and settlement in one
//! thread, from one seed, over a disk, a network and a clock that are not real.
//!
//! ```text
//!  senders ──▶ Ingress::accept ──▶ log ──▶ workers ──▶ vendors (moods)
//!     │                             │ disk: cuts, EIO, full, rot
//!     └── book ◀── operator ◀───────┘            │
//!           └──────────────▶ checker ◀───────────┘
//! ```
//!
//! A world has a few lives, each with its own end: an orderly stop, a kill, a
//! power cut. Then everybody is well, everything must come to its end, and the
//! checker, which uses nothing of what it checks, goes through the accounts.
//! The same seed is the same world, to the last byte.
//!
//! `make sim SEEDS=…` runs many of them; a seed that fails is printed with what
//! it needs to be run again: `HOOKFAN_SIM_FROM=<seed> HOOKFAN_SIM_SEEDS=1`.

mod answers;
mod book;
mod bugs;
mod checker;
mod deeds;
mod disk;
mod folder;
mod medium;
mod peace;
mod run;
mod table;
mod trace;
mod vendors;
mod world;

/// What a world found wrong.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    pub(crate) what: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Crash,
    WrongAnswer,
    Stall,
}

impl Failure {
    pub(crate) fn new(kind: Kind, what: &str) -> Self {
        let what = what.to_owned();
        Self { kind, what }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Crash => "crash",
            Self::WrongAnswer => "wrong answer",
            Self::Stall => "stall",
        })
    }
}
