//! A flood of refusals must not become a flood of log lines.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

const LINES_PER_SECOND_MAX: u32 = 10;

/// Counts lines by why they are written (fixed words, so the map stays small).
#[derive(Debug, Default)]
pub(super) struct Quiet(Mutex<HashMap<&'static str, Window>>);

#[derive(Debug)]
struct Window {
    began_at: Instant,
    lines: u32,
    suppressed: u64,
}

impl Quiet {
    /// `Some` if a line may be written now, with how many were not since the last one.
    pub(super) fn may_say(&self, why: &'static str) -> Option<u64> {
        let now = Instant::now();
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let window = windows.entry(why).or_insert(Window {
            began_at: now,
            lines: 0,
            suppressed: 0,
        });
        if now.duration_since(window.began_at) >= Duration::from_secs(1) {
            window.began_at = now;
            window.lines = 0;
        }
        if window.lines == LINES_PER_SECOND_MAX {
            window.suppressed += 1;
            return None;
        }
        window.lines += 1;
        Some(std::mem::take(&mut window.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn ten_lines_a_second_are_said_and_the_rest_is_counted() {
        let quiet = Quiet::default();
        let said = (0..25).filter(|_| quiet.may_say("proof").is_some()).count();
        assert_eq!(said, 10);
        assert_eq!(quiet.may_say("rate"), Some(0));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(quiet.may_say("proof"), Some(15));
        assert_eq!(quiet.may_say("proof"), Some(0));
    }
}
