//! What destinations with the same key at the same vendor share: its rate, the
//! turns of those who must not do the same thing at once, and its memos.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use dashmap::DashMap;

use super::Destination;
use super::rate::Bucket;
use crate::event::DestinationName;
use crate::vendor::dialogue::{Account, Memos};

/// All accounts in use. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Accounts(Arc<DashMap<Account, Weak<Desk>>>);

impl Accounts {
    /// The desk of a destination: a shared one where its writer names an
    /// account, else its own.
    pub(super) fn desk(&self, destination: &Destination) -> Arc<Desk> {
        let desk = match destination.writer.account() {
            None => Arc::default(),
            Some(account) => {
                self.0.retain(|_, desk| desk.strong_count() > 0);
                let mut held = self.0.entry(account).or_default();
                held.upgrade().unwrap_or_else(|| {
                    let desk = Arc::<Desk>::default();
                    *held = Arc::downgrade(&desk);
                    // What was drawn before a restart nobody here knows.
                    desk.seat(destination);
                    desk.bucket.empty();
                    desk
                })
            }
        };
        desk.seat(destination);
        desk
    }
}

/// One account's.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) bucket: Bucket,
    /// Whoever waits for a token waits in line.
    line: tokio::sync::Mutex<()>,
    rates: Mutex<BTreeMap<DestinationName, (Option<f64>, u32)>>,
    turns: Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>,
    pub(super) memos: Arc<Memos>,
}

impl Default for Desk {
    fn default() -> Self {
        Self {
            bucket: Bucket::new(None, 1),
            line: tokio::sync::Mutex::default(),
            rates: Mutex::default(),
            turns: Mutex::default(),
            memos: Arc::default(),
        }
    }
}

/// Held as long as nobody else may.
pub(super) type Alone = tokio::sync::OwnedMutexGuard<()>;

impl Desk {
    /// The slowest of those who share it sets the rate.
    pub(super) fn seat(&self, destination: &Destination) {
        let mut rates = lock(&self.rates);
        rates.insert(
            destination.name.clone(),
            (destination.rate, destination.burst),
        );
        self.set_rate(&rates);
    }

    /// A destination that is gone slows nobody.
    pub(super) fn leave(&self, name: &DestinationName) {
        let mut rates = lock(&self.rates);
        rates.remove(name);
        if !rates.is_empty() {
            self.set_rate(&rates);
        }
    }

    fn set_rate(&self, rates: &BTreeMap<DestinationName, (Option<f64>, u32)>) {
        let slowness =
            |rate: Option<f64>| rate.map_or(0.0, |rate| 1.0 / rate.max(f64::MIN_POSITIVE));
        let slowest = rates
            .values()
            .max_by(|(a, _), (b, _)| slowness(*a).total_cmp(&slowness(*b)));
        if let Some((rate, burst)) = slowest {
            self.bucket.set(*rate, *burst);
        }
    }

    /// Waits for a token, in line.
    pub(super) async fn draw(&self) {
        let _in_line = self.line.lock().await;
        while let Err(at) = self.bucket.draw() {
            tokio::time::sleep_until(at).await;
        }
    }

    /// Waits until nobody else does something with `name`.
    pub(super) async fn alone(&self, name: &str) -> Alone {
        let turn = {
            let mut turns = lock(&self.turns);
            let known = turns.get(name).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                // Those that nobody holds are over.
                turns.retain(|_, turn| turn.strong_count() > 0);
                let turn = Arc::default();
                turns.insert(name.to_owned(), Arc::downgrade(&turn));
                turn
            })
        };
        turn.lock_owned().await
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
