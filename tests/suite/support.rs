//! What the tests are written with: a real gateway process, senders that sign,
//! destinations that answer as told. Shares no code with the gateway.

pub mod acme;
pub mod gateway;
pub mod http;
#[path = "../../src/proof.rs"]
pub mod proof;
pub mod receiver;
pub mod sender;

use std::time::{Duration, Instant};

/// Waits until `condition` gives something, at most `patience`; panics with
/// what it was waiting for. The one place in the suite that sleeps.
pub fn eventually<T>(
    what: &str,
    patience: Duration,
    mut condition: impl FnMut() -> Option<T>,
) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {patience:?} for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A number from the environment, for the long forms of a proof.
pub fn scale(name: &str, short: usize) -> usize {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(short)
}
