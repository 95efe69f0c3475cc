//! Bars for long work: on standard error, for a person on a terminal, and
//! nothing at all for scripts. Interrupted work says how far it came.

use std::cell::Cell;
use std::time::Duration;

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::signal::unix::{SignalKind, signal};

/// Work in steps that can be repeated safely.
pub(super) struct Progress {
    bar: ProgressBar,
    done: Cell<u64>,
    /// What is done to each: `owed again`.
    said: &'static str,
}

/// The bar moves on although no step is over.
const TICK: Duration = Duration::from_millis(100);

impl Progress {
    /// Of unknown length. `quiet`: nobody looks (`--json`); a standard error
    /// that is no terminal is quiet by itself.
    pub(super) fn counting(said: &'static str, quiet: bool) -> Self {
        let bar = ProgressBar::with_draw_target(None, target(quiet));
        Self::new(
            bar,
            said,
            "{spinner} {human_pos} {msg}, {per_sec}, {elapsed}",
        )
    }

    /// Of so many.
    pub(super) fn of(total: u64, said: &'static str, quiet: bool) -> Self {
        let bar = ProgressBar::with_draw_target(Some(total), target(quiet));
        Self::new(
            bar,
            said,
            "{bar:20} {human_pos} of {human_len} {msg}, {per_sec}, {eta} to go",
        )
    }

    /// Of so many bytes that are read.
    pub(super) fn bytes(total: u64, quiet: bool) -> Self {
        let bar = ProgressBar::with_draw_target(Some(total), target(quiet));
        let drawn = "{bar:20} {binary_bytes} of {binary_total_bytes} {msg}, {binary_bytes_per_sec}, {eta} to go";
        Self::new(bar, "read", drawn)
    }

    fn new(bar: ProgressBar, said: &'static str, template: &str) -> Self {
        let style = ProgressStyle::with_template(template)
            .unwrap_or_else(|_| ProgressStyle::default_spinner());
        let bar = bar.with_style(style).with_message(said);
        if !bar.is_hidden() {
            bar.enable_steady_tick(TICK);
        }
        Self {
            bar,
            done: Cell::new(0),
            said,
        }
    }

    /// So many more are done.
    pub(super) fn add(&self, more: u64) {
        self.done.set(self.done.get().saturating_add(more));
        self.bar.set_position(self.done.get());
    }

    pub(super) fn done(&self) -> u64 {
        self.done.get()
    }

    /// Other words behind the figures.
    pub(super) fn say(&self, message: String) {
        self.bar.set_message(message);
    }

    /// Runs steps until they are over, fail, or somebody interrupts them; in
    /// the latter two cases the error says what is done and stays done.
    pub(super) async fn watch<T>(
        &self,
        steps: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        let mut int = signal(SignalKind::interrupt())?;
        let mut term = signal(SignalKind::terminate())?;
        let ended = tokio::select! {
            ended = steps => Some(ended),
            _ = int.recv() => None,
            _ = term.recv() => None,
        };
        self.bar.finish_and_clear();
        let so_far = format!(
            "{} {} so far; repeating the command is safe, it goes on with the rest",
            self.done.get(),
            self.said
        );
        match ended {
            None => bail!("interrupted: {so_far}"),
            Some(Err(error)) if self.done.get() > 0 => Err(error).context(so_far),
            Some(ended) => ended,
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn target(quiet: bool) -> ProgressDrawTarget {
    if quiet {
        ProgressDrawTarget::hidden()
    } else {
        ProgressDrawTarget::stderr()
    }
}
