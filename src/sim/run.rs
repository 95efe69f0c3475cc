//! Many seeds, and what they came to.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::Instant;

use super::bugs::Bug;
use super::world::{self, Tally};
use super::{Failure, Kind};
use crate::proof::Proof;

/// Seeds within `make test`: what a minute of a debug build takes.
const SHORT: u64 = 300;
/// A bug that is put in on purpose is found within so many.
const FOUND_WITHIN: u64 = 5000;

/// One world. A panic in it is a crash of ours.
fn one(seed: u64, bug: Option<Bug>) -> (Result<Tally, Failure>, String) {
    catch_unwind(AssertUnwindSafe(|| world::run(seed, bug))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        let failure = Failure::new(Kind::Crash, &text.unwrap_or_default());
        (Err(failure), String::new())
    })
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

fn commit() -> String {
    let described = Command::new("git")
        .args(["describe", "--always", "--dirty"])
        .output();
    let text = described.ok().filter(|said| said.status.success());
    let text = text.map(|said| String::from_utf8_lossy(&said.stdout).trim().to_owned());
    text.filter(|text| !text.is_empty())
        .unwrap_or_else(|| "unknown".to_owned())
}

/// All that the seeds came to.
#[derive(Default)]
struct Sum {
    seeds: u64,
    /// Seeds with a crash, at least three kinds of fault, an upgrade and a reload.
    full: u64,
    events: u64,
    attempts: u64,
    crashes: u64,
    faults: BTreeMap<&'static str, u64>,
    failed: Vec<(u64, Failure, String)>,
}

impl Sum {
    fn add(&mut self, seed: u64, done: (Result<Tally, Failure>, String)) {
        self.seeds += 1;
        match done {
            (Ok(tally), _) => {
                let kinds = tally
                    .faults
                    .keys()
                    .filter(|kind| !["stop", "quarantined", "torn or rotten"].contains(*kind));
                let changed = ["upgrade", "reload"]
                    .iter()
                    .all(|kind| tally.faults.contains_key(kind));
                self.full += u64::from(tally.crashes > 0 && kinds.count() >= 3 && changed);
                self.events += tally.events;
                self.attempts += tally.attempts;
                self.crashes += tally.crashes;
                for (kind, count) in tally.faults {
                    *self.faults.entry(kind).or_default() += count;
                }
            }
            (Err(failure), trace) => self.failed.push((seed, failure, trace)),
        }
    }

    fn join(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.full += other.full;
        self.events += other.events;
        self.attempts += other.attempts;
        self.crashes += other.crashes;
        for (kind, count) in other.faults {
            *self.faults.entry(kind).or_default() += count;
        }
        self.failed.extend(other.failed);
    }
}

/// Every seed of a range, on as many threads as are asked for.
fn many(from: u64, seeds: u64, threads: u64) -> Sum {
    let (next, began) = (AtomicU64::new(from), Instant::now());
    let work = || {
        let mut sum = Sum::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= from + seeds || sum.failed.len() >= 20 {
                return sum;
            }
            let done = one(seed, None);
            if let Err(failure) = &done.0 {
                println!("seed {seed}: {}: {}", failure.kind, failure.what);
            }
            sum.add(seed, done);
            if (seed - from + 1).is_multiple_of(1000) {
                println!(
                    "{} seeds, {:.0} s",
                    seed - from + 1,
                    began.elapsed().as_secs_f64()
                );
            }
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
        let mut all = Sum::default();
        threads
            .into_iter()
            .for_each(|thread| all.join(thread.join().unwrap()));
        all
    })
}

/// A3. With `HOOKFAN_SIM_SEEDS` (and `_FROM`, `_THREADS`) as many as are asked.
#[test]
fn over_any_faults_nothing_is_lost_misordered_or_stuck() {
    let (from, seeds) = (
        number("HOOKFAN_SIM_FROM", 0),
        number("HOOKFAN_SIM_SEEDS", SHORT),
    );
    let (began, proof) = (Instant::now(), Proof::of("sim"));
    let sum = many(from, seeds, number("HOOKFAN_SIM_THREADS", 1));
    let (seconds, commit) = (began.elapsed().as_secs_f64(), commit());
    let Sum {
        full,
        events,
        attempts,
        crashes,
        faults,
        failed,
        ..
    } = &sum;
    println!(
        "simulation: {} seeds, {} violations, {full} with a crash and three kinds of fault, {events} events, \
         {attempts} attempts, {crashes} crashes, {faults:?}, {seconds:.0} s",
        sum.seeds,
        failed.len(),
    );
    if seeds == 1 && failed.is_empty() {
        println!("{}", one(from, None).1);
    }
    for (seed, failure, trace) in failed {
        println!(
            "{trace}seed {seed} at {commit}: {}: {}",
            failure.kind, failure.what
        );
    }
    assert_eq!(
        *full + failed.len() as u64,
        sum.seeds,
        "seeds without their faults"
    );
    assert!(
        failed.is_empty(),
        "{} of {} seeds failed",
        failed.len(),
        sum.seeds
    );
    proof.found(figures(&sum));
}

/// For docs/proof.md.
fn figures(sum: &Sum) -> serde_json::Value {
    let mut figures = serde_json::json!({
        "seeds": sum.seeds, "violations": 0, "events": sum.events, "attempts": sum.attempts, "crashes": sum.crashes,
    });
    for (kind, count) in &sum.faults {
        figures[*kind] = (*count).into();
    }
    figures
}

#[test]
fn the_same_seed_is_the_same_world() {
    for seed in 0..12 {
        let print = || {
            one(seed, None)
                .0
                .map(|tally| tally.print)
                .map_err(|failure| failure.what)
        };
        let first = print();
        let elsewhere = std::thread::scope(|scope| scope.spawn(print).join().unwrap());
        assert_eq!(first, elsewhere, "seed {seed}");
    }
}

/// The smallest seed that sees a bug.
fn found(bug: Bug) -> Option<(u64, Failure)> {
    (0..FOUND_WITHIN).find_map(|seed| Some((seed, one(seed, Some(bug)).0.err()?)))
}

#[test]
fn every_bug_put_in_on_purpose_is_found() {
    for bug in Bug::ALL {
        let (seed, failure) = found(bug).unwrap_or_else(|| panic!("{bug:?} is not found"));
        println!("{bug:?}: seed {seed}: {}: {}", failure.kind, failure.what);
    }
}
