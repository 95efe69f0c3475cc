//! What the log costs: how fast records are drawn and checked, and how many
//! events a second become durable when many wait for one sync. `make bench`;
//! quote ratios, not times.

#![allow(
    clippy::expect_used,
    reason = "a bench that cannot start has nothing to measure"
)]

#[path = "shared/samples.rs"]
mod samples;

use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use hookfan::event::DestinationName;
use hookfan::log::{Filter, Log};
use hookfan::settle::Settlement;

use samples::{accepted, open};

/// The record codec, by what is public of it: a page of events read back from
/// the page cache, which checks and decodes each record.
fn codec(criterion: &mut Criterion) {
    const EVENTS: u64 = 1000;
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    let folder = tempfile::tempdir().expect("a folder");
    let log = {
        let _clock = runtime.enter();
        open(folder.path())
    };
    runtime
        .block_on(log.append((0..EVENTS).map(accepted).collect()))
        .expect("room");
    let mut group = criterion.benchmark_group("log");
    group.throughput(Throughput::Elements(EVENTS));
    group.bench_function("read", |bench| {
        bench.iter(|| {
            let page = runtime.block_on(log.events(Filter::default(), None, EVENTS as usize));
            assert_eq!(page.expect("a disk that reads").len() as u64, EVENTS);
        });
    });
    group.finish();
    runtime.block_on(log.close());
}

/// Appends by so many tasks at once, each waiting for its own; a subscription
/// takes and settles them all, so that nothing piles up.
fn group_commit(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    let mut group = criterion.benchmark_group("log/append");
    group
        .sample_size(10)
        .measurement_time(Duration::from_secs(5));
    for tasks in [1_u64, 8, 64] {
        let folder = tempfile::tempdir().expect("a folder");
        let log = {
            let _clock = runtime.enter();
            open(folder.path())
        };
        let mut subscription = log.subscribe(&DestinationName::from("crm"));
        let reader = runtime.spawn(async move {
            loop {
                let at = subscription.next().await.stored.offset;
                subscription.settle(at, Settlement::Delivered, None, "");
            }
        });
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::from_parameter(tasks), |bench| {
            bench.iter_custom(|events| runtime.block_on(append(&log, tasks, events)));
        });
        reader.abort();
        runtime.block_on(log.close());
    }
    group.finish();
}

/// How long `events` appends take.
async fn append(log: &Log, tasks: u64, events: u64) -> Duration {
    #[allow(clippy::disallowed_methods, reason = "a bench measures real time")]
    let started = Instant::now();
    let mut appenders = tokio::task::JoinSet::new();
    for task in 0..tasks {
        let log = log.clone();
        appenders.spawn(async move {
            for number in (task..events).step_by(tasks as usize) {
                log.append(vec![accepted(number)]).await.expect("room");
            }
        });
    }
    while let Some(ended) = appenders.join_next().await {
        ended.expect("no panic");
    }
    started.elapsed()
}

criterion_group!(benches, codec, group_commit);
criterion_main!(benches);
