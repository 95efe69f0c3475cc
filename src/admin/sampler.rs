//! Reads what was counted: every second for the rates, every ten for the ring
//! of samples. Whoever left the configuration is forgotten at the next reading.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::House;
use super::history::{Bounds, Reading, Ring, SAMPLE_EVERY, Shown, Window};
use crate::deliver::State;
use crate::event::{DestinationName, SourceName};
use crate::log::Totals;
use crate::metrics::{ATTEMPT_BOUNDS, DELIVERY_BOUNDS, Metrics};

const LOOK_EVERY: Duration = Duration::from_secs(1);

const BOUNDS: Bounds = Bounds {
    attempt: &ATTEMPT_BOUNDS,
    delivery: &DELIVERY_BOUNDS,
};

/// A source's name and a route's.
type Pair = [String; 2];

/// What was read of everything.
#[derive(Debug, Default)]
pub struct Sampler(Mutex<Tracks>);

#[derive(Debug, Default)]
struct Tracks {
    sources: HashMap<SourceName, Window<1>>,
    routes: HashMap<Pair, Window<1>>,
    destinations: HashMap<DestinationName, Track>,
}

#[derive(Debug, Default)]
struct Track {
    /// Delivered, attempts, failed.
    window: Window<3>,
    ring: Ring,
}

/// Per second.
#[derive(Clone, Copy, Debug, Default)]
pub struct Speeds {
    pub delivered: f64,
    pub attempts: f64,
    pub failed: f64,
}

/// Reads until the gateway drains.
pub async fn run(house: House, drain: CancellationToken) {
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sampled: Option<Instant> = None;
    loop {
        let now = tokio::select! {
            () = drain.cancelled() => return,
            now = ticks.tick() => now,
        };
        house.sampler.look(&house, now);
        if sampled.is_none_or(|last| now.duration_since(last) >= SAMPLE_EVERY) {
            house.sampler.sample(&house);
            sampled = Some(now);
        }
    }
}

impl Sampler {
    /// A reading for the rates.
    fn look(&self, house: &House, now: Instant) {
        let totals = house.log.totals();
        let mut sources = house.log.source_totals();
        let front = house.front.load();
        sources.retain(|name, _| front.sources.contains_key(name));
        let matches = house.metrics.route_matches().into_iter().collect();
        let states = states(house);
        let mut tracks = self.tracks();
        let tracks = &mut *tracks;
        follow(&mut tracks.sources, sources, |_, window, totals| {
            window.note(now, [totals.accepted]);
        });
        follow(&mut tracks.routes, matches, |_, window, count| {
            window.note(now, [count]);
        });
        follow(&mut tracks.destinations, states, |name, track, state| {
            let totals = totals.get(name).copied().unwrap_or_default();
            track.window.note(now, counts(&totals, &state));
        });
    }

    /// A reading for the rings.
    fn sample(&self, house: &House) {
        let now = house.clock.now();
        let totals = house.log.totals();
        let mut attempts: HashMap<_, _> = Metrics::buckets(&house.metrics.attempt_seconds)
            .into_iter()
            .collect();
        let mut deliveries: HashMap<_, _> = Metrics::buckets(&house.metrics.delivery_seconds)
            .into_iter()
            .collect();
        let states = states(house);
        let mut tracks = self.tracks();
        follow(&mut tracks.destinations, states, |name, track, state| {
            let totals = totals.get(name).copied().unwrap_or_default();
            let reading = Reading {
                owed: totals.owed,
                delivered: totals.delivered,
                dead: totals.dead,
                attempts: state.attempts,
                failed: state.failed,
                pending: totals.pending(),
                pending_bytes: totals.pending_bytes,
                oldest_seconds: totals.oldest.map(|oldest| now.since(oldest).as_secs()),
                attempt_buckets: attempts.remove(name.as_str()).unwrap_or_default(),
                delivery_buckets: deliveries.remove(name.as_str()).unwrap_or_default(),
            };
            track.ring.note(reading, now, BOUNDS);
        });
    }

    /// Events accepted a second.
    pub fn source(&self, name: &SourceName, accepted: u64) -> f64 {
        let tracks = self.tracks();
        let window = tracks.sources.get(name);
        window.map_or(0.0, |window| {
            let [rate] = window.rates(now(), [accepted]);
            rate
        })
    }

    /// Events that matched a second.
    pub fn route(&self, pair: &Pair, matched: u64) -> f64 {
        let tracks = self.tracks();
        let window = tracks.routes.get(pair);
        window.map_or(0.0, |window| {
            let [rate] = window.rates(now(), [matched]);
            rate
        })
    }

    /// How fast a destination goes.
    pub fn destination(&self, name: &DestinationName, totals: &Totals, state: &State) -> Speeds {
        let tracks = self.tracks();
        let track = tracks.destinations.get(name);
        track.map_or(Speeds::default(), |track| {
            let [delivered, attempts, failed] = track.window.rates(now(), counts(totals, state));
            Speeds {
                delivered,
                attempts,
                failed,
            }
        })
    }

    /// The last hour of a destination, oldest first.
    pub fn history(&self, name: &DestinationName) -> Vec<Shown> {
        let tracks = self.tracks();
        let track = tracks.destinations.get(name);
        track.map_or(Vec::new(), |track| track.ring.shown())
    }

    fn tracks(&self) -> MutexGuard<'_, Tracks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn states(house: &House) -> HashMap<DestinationName, State> {
    let workers = house.workers.iter();
    workers
        .map(|worker| (worker.key().clone(), worker.state()))
        .collect()
}

fn counts(totals: &Totals, state: &State) -> [u64; 3] {
    [totals.delivered, state.attempts, state.failed]
}

/// Tells each track what was seen of its owner; tracks of nobody go.
fn follow<K: Eq + Hash + Clone, V, T: Default>(
    tracks: &mut HashMap<K, T>,
    seen: HashMap<K, V>,
    mut note: impl FnMut(&K, &mut T, V),
) {
    tracks.retain(|name, _| seen.contains_key(name));
    for (name, value) in seen {
        let track = tracks.entry(name.clone()).or_default();
        note(&name, track, value);
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "rates of our own counters, on the monotonic clock"
)]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_left_is_forgotten() {
        let mut tracks: HashMap<&str, Vec<u32>> = HashMap::new();
        let note = |_: &&str, track: &mut Vec<u32>, value| track.push(value);
        follow(&mut tracks, HashMap::from([("a", 1), ("b", 2)]), note);
        follow(&mut tracks, HashMap::from([("b", 3)]), note);
        assert_eq!(tracks, HashMap::from([("b", vec![2, 3])]));
    }
}
