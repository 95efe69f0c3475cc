//! What the wire and whoever answers tell each other about one connection.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::timer::Timer;

/// What the wire and whoever answers tell each other about one connection.
#[derive(Debug, Default)]
pub(super) struct Note(Mutex<Told>);

#[derive(Debug, Default)]
struct Told {
    first_byte_at: Option<Instant>,
    answered: bool,
    broken: Option<Broken>,
    timer: Timer,
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

    /// The first byte of the next request came.
    pub(super) fn began(&self, at: Instant) {
        let mut told = self.told();
        told.first_byte_at = Some(at);
        told.broken = None;
    }

    /// The body ended before its end; the first reason counts.
    pub(super) fn broke(&self, why: Broken) {
        self.told().broken.get_or_insert(why);
    }

    pub(super) fn broken(&self) -> Option<Broken> {
        self.told().broken
    }

    /// The answer to the present request is ready; the next flush carries it.
    pub(super) fn answered(&self) {
        self.told().answered = true;
    }

    /// Whether it was said since somebody asked last.
    pub(super) fn take_answered(&self) -> bool {
        std::mem::take(&mut self.told().answered)
    }

    /// A timer for the present request's answer; [`Note::keep_timer`] keeps it
    /// for the next one.
    pub(super) fn timer(&self) -> Timer {
        std::mem::take(&mut self.told().timer)
    }

    pub(super) fn keep_timer(&self, timer: Timer) {
        self.told().timer = timer;
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
