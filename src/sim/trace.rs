//! What happened, line by line: the last of it for whoever looks for a fault,
//! and one number for all of it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

const LINES: usize = 4000;

#[derive(Clone, Debug)]
pub(crate) struct Trace {
    lines: Arc<Mutex<Lines>>,
    base: Instant,
}

#[derive(Debug)]
struct Lines {
    print: u64,
    last: VecDeque<String>,
}

impl Trace {
    /// Times count from now.
    pub(crate) fn new() -> Self {
        let lines = Lines {
            print: 0xcbf2_9ce4_8422_2325,
            last: VecDeque::new(),
        };
        Self {
            lines: Arc::new(Mutex::new(lines)),
            base: Instant::now(),
        }
    }

    pub(crate) fn say(&self, what: fmt::Arguments<'_>) {
        let line = format!("{:>12.3}s {what}", self.base.elapsed().as_secs_f64());
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        for byte in line.bytes() {
            lines.print = (lines.print ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        if lines.last.len() == LINES {
            lines.last.pop_front();
        }
        lines.last.push_back(line);
    }

    pub(crate) fn print(&self) -> u64 {
        self.lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .print
    }

    pub(crate) fn last(&self, count: usize) -> String {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let from = lines.last.len().saturating_sub(count);
        lines
            .last
            .range(from..)
            .map(|line| format!("{line}\n"))
            .collect()
    }
}
