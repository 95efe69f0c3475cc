//! What the log costs: how fast records are drawn and checked, and how many
//! events a second become durable when many wait for one sync. `make bench`;
//! quote ratios, not times.

#![allow(
    clippy::expect_used,
    reason = "a bench that cannot start has nothing to measure"
)]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use hookfan::clock::{Clock, Timestamp};
use hookfan::event::{
    Action, DestinationName, Direction, Event, EventId, EventType, Key, Kind, Owed, SourceName,
};
use hookfan::log::{Accepted, Filter, Log, Settings};
use hookfan::metrics::Metrics;
use hookfan::settle::Settlement;

const BODY: &[u8] =
    include_bytes!("../tests/suite/fixtures/samples/qiscus/post_comment_mobile_text.json");

fn event(number: u64) -> Event {
    let at = Timestamp::from_millis(1_790_000_000_000 + number);
    Event {
        id: EventId::new(at, u128::from(number)),
        source: SourceName::from("qiscus"),
        kind: Kind::from("qiscus"),
        event_type: EventType::from("post_comment_mobile"),
        key: Some(Key::from(format!("qiscus/{}", number % 100))),
        vendor_id: None,
        direction: Some(Direction::Incoming),
        user: Some(Arc::from("ann@example.com")),
        accepted_at: at,
        hops: 0,
        headers: vec![(Arc::from("content-type"), Arc::from("application/json"))],
        body: Bytes::from_static(BODY),
    }
}

fn accepted(number: u64) -> Accepted {
    let destination = DestinationName::from("crm");
    let action = Action::message();
    Accepted {
        event: event(number),
        owed: vec![Owed {
            destination,
            action,
        }],
    }
}

fn open(data_dir: PathBuf) -> Log {
    let settings = Settings {
        data_dir,
        // Nothing is kept for long, or a bench would fill the disk.
        retain: Duration::ZERO,
        retain_dead: Duration::ZERO,
        max_disk: 2 << 30,
        min_free: 0,
        dedupe: Duration::ZERO,
        segment_bytes: 64 << 20,
    };
    let (log, _) = Log::open(settings, Clock::system(), Arc::new(Metrics::new()))
        .expect("a folder of its own");
    log
}

/// The record codec, by what is public of it: a page of events read back from
/// the page cache, which checks and decodes each record.
fn codec(criterion: &mut Criterion) {
    const EVENTS: u64 = 1000;
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    let folder = tempfile::tempdir().expect("a folder");
    let log = {
        let _clock = runtime.enter();
        open(folder.path().join("data"))
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
            open(folder.path().join("data"))
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
