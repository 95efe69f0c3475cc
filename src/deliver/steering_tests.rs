//! What a worker promises when it is paused, drained, reloaded, restarted or
//! held back, shown on a bench with paused time.

use std::sync::Arc;
use std::time::Duration;

use super::bench::{Bench, Book, Says, says};
use super::{Breaker, Destination, sample};
use crate::log::{Budget, WhenFull};
use crate::settle::RetryPolicy;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

fn one_conversation(_: u64) -> Option<String> {
    Some("room".to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_paused_destination_gets_nothing_until_it_is_resumed() {
    let bench = Bench::new(sample::destination(), |_, _| says(200));
    bench.worker.pause();
    bench.pass(SECOND).await;
    bench.owe(0..10, |_| None);
    bench.pass(HOUR).await;
    assert_eq!((bench.sink.seen().len(), bench.book.page().reads), (0, 0));
    assert!(bench.worker.state().paused);
    bench.worker.resume();
    bench.settled(SECOND).await;
    assert_eq!(bench.book.page().paused, [true, false]);
    assert_eq!(bench.metrics.paused.with_label_values(&["sink"]).get(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_410_is_dead_and_pauses_the_destination() {
    let destination = Destination {
        concurrency: 1,
        ..sample::destination()
    };
    let bench = Bench::new(
        destination,
        |n, _| if n == 3 { says(410) } else { says(200) },
    );
    bench.owe(0..10, |_| None);
    bench.pass(HOUR).await;
    assert_eq!(
        bench.endings(),
        ["delivered", "delivered", "delivered", "dead gone"]
    );
    assert!(bench.worker.state().paused);
    assert_eq!(bench.book.page().paused, [true]);
    bench.worker.resume();
    bench.settled(SECOND).await;
    assert_eq!(bench.endings().len(), 10);
}

#[tokio::test(start_paused = true)]
async fn the_file_can_pause_a_destination_too() {
    let bench = Bench::new(
        Destination {
            paused: true,
            ..sample::destination()
        },
        |_, _| says(200),
    );
    bench.owe(0..1, |_| None);
    bench.worker.resume();
    bench.pass(HOUR).await;
    assert!(bench.worker.state().paused && bench.sink.seen().is_empty());
    bench.worker.adopt(Arc::new(Destination {
        fingerprint: 2,
        ..sample::destination()
    }));
    bench.settled(SECOND).await;
    assert!(
        bench.book.page().paused.is_empty(),
        "the log is not told what the file says"
    );
}

#[tokio::test(start_paused = true)]
async fn a_drain_settles_what_ends_in_time_and_abandons_the_rest_without_a_fact() {
    let mut bench = Bench::new(sample::destination(), |n, _| Says {
        after: SECOND * u32::try_from(n * 6).unwrap(),
        ..says(200)
    });
    bench.owe(1..4, |_| None);
    bench.pass(SECOND).await;
    bench.drain.cancel();
    bench.owe(10..12, |_| None);
    let begun = tokio::time::Instant::now();
    assert_eq!(
        bench.tasks.join_next().await.unwrap().unwrap().as_str(),
        "sink"
    );
    assert_eq!(begun.elapsed(), 10 * SECOND);
    assert_eq!(
        bench.sink.seen().len(),
        3,
        "no attempt starts during a drain"
    );
    assert_eq!(
        (bench.endings(), bench.book.page().retries.len()),
        (vec!["delivered".to_owned()], 0)
    );
    assert_eq!(bench.worker.state().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn an_idle_worker_stops_at_once() {
    let mut bench = Bench::new(sample::destination(), |_, _| says(200));
    bench.owe(0..1, |_| None);
    bench.settled(SECOND).await;
    let begun = tokio::time::Instant::now();
    bench.worker.stop();
    assert!(bench.tasks.join_next().await.unwrap().is_ok());
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn the_rate_at_the_destination_is_the_one_configured() {
    let bench = Bench::new(
        Destination {
            rate: Some(10.0),
            burst: 4,
            ..sample::destination()
        },
        |_, _| says(200),
    );
    bench.owe(0..104, |_| None);
    bench.settled(HOUR).await;
    let seen = bench.sink.seen();
    for (index, saw) in seen.iter().enumerate() {
        let due = 100 * (index as u128).saturating_sub(3);
        assert_eq!(saw.start.as_millis(), due, "call {index}");
    }
}

#[tokio::test(start_paused = true)]
async fn never_more_in_the_air_than_the_concurrency_says_across_a_reload_too() {
    let slow = |_, _| Says {
        after: 5 * SECOND,
        ..says(200)
    };
    let bench = Bench::new(
        Destination {
            concurrency: 4,
            ..sample::destination()
        },
        slow,
    );
    bench.owe(0..60, |_| None);
    for reload in 2..20 {
        bench.pass(2 * SECOND).await;
        bench.worker.adopt(Arc::new(Destination {
            concurrency: 4,
            fingerprint: reload,
            ..sample::destination()
        }));
    }
    bench.settled(HOUR).await;
    assert_eq!(bench.sink.crowd(), 4);
    assert_eq!(bench.sink.seen().len(), 60, "a reload repeats nothing");
}

#[tokio::test(start_paused = true)]
async fn a_change_is_live_for_the_next_attempt() {
    let bench = Bench::new(
        Destination {
            timeout: 20 * SECOND,
            ..sample::destination()
        },
        |_, _| Says {
            after: HOUR,
            ..says(200)
        },
    );
    bench.owe(0..1, one_conversation);
    bench.pass(10 * SECOND).await;
    let retry = RetryPolicy {
        delays: vec![60 * SECOND],
        span: HOUR,
    };
    bench.worker.adopt(Arc::new(Destination {
        timeout: 3 * SECOND,
        retry,
        fingerprint: 2,
        ..sample::destination()
    }));
    bench.pass(120 * SECOND).await;
    let retries = bench.book.page().retries.clone();
    assert_eq!(retries[0].1.took_ms, 20_000, "it finishes as it began");
    assert_eq!(retries[1].1.took_ms, 3_000);
    assert!(
        retries[0].2.since(retries[0].1.at) >= (20 + 45) * SECOND,
        "the new schedule decides"
    );
}

#[tokio::test(start_paused = true)]
async fn a_dead_day_costs_few_attempts_and_recovery_is_gentle() {
    let begun = tokio::time::Instant::now();
    let day = 24 * HOUR;
    let script = move |_, _| Says {
        after: SECOND,
        ..says(if begun.elapsed() < day { 503 } else { 200 })
    };
    let breaker = Breaker {
        failures: 20,
        probe_every: 30 * SECOND,
    };
    let bench = Bench::new(
        Destination {
            breaker,
            ..sample::destination()
        },
        script,
    );
    bench.owe(0..2000, |n| Some(format!("room {}", n % 500)));
    bench.pass(HOUR).await;
    assert!(bench.worker.state().breaker_open);
    assert_eq!(
        bench
            .metrics
            .breaker_open
            .with_label_values(&["sink"])
            .get(),
        1
    );
    bench.settled(4 * day).await;
    let seen = bench.sink.seen();
    let during: Vec<_> = seen.iter().filter(|saw| saw.end.unwrap() < day).collect();
    assert!(
        (2800..=2920).contains(&during.len()),
        "{} attempts while it was down",
        during.len()
    );
    // The first success is a probe; then one, two, four at a time.
    let after: Vec<_> = seen
        .iter()
        .filter(|saw| saw.end.unwrap() >= day)
        .map(|saw| saw.start)
        .collect();
    let at_once = |nth: usize| after.iter().filter(|start| **start == after[nth]).count();
    assert_eq!(
        [at_once(0), at_once(1), at_once(2), at_once(4)],
        [1, 1, 2, 4]
    );
    assert!(bench.sink.crowd() <= 8);
    assert_eq!(bench.endings(), vec!["delivered"; 2000]);
    assert!(!bench.worker.state().breaker_open);
}

#[tokio::test(start_paused = true)]
async fn a_former_runs_waits_are_kept_but_not_those_of_a_clock_that_jumped() {
    let book = Book::default();
    let (soon, never) = (
        sample::start().plus(30 * SECOND),
        sample::start().plus(10 * 365 * 24 * HOUR),
    );
    book.owe_again(
        sample::event(0, Some("a"), "message"),
        0,
        3,
        Some(sample::start().minus(60 * SECOND)),
        Some(soon),
    );
    book.owe_again(sample::event(1, Some("a"), "message"), 1, 0, None, None);
    book.owe_again(
        sample::event(2, Some("b"), "message"),
        2,
        1,
        Some(never),
        Some(never),
    );
    book.owe_again(
        sample::event(3, Some("a"), "message"),
        3,
        1,
        Some(sample::start()),
        Some(soon.plus(30 * SECOND)),
    );
    let retry = RetryPolicy {
        delays: vec![SECOND, 2 * HOUR],
        span: 76 * HOUR,
    };
    let bench = Bench::over(
        book,
        Destination {
            retry,
            ..sample::destination()
        },
        |_, _| says(200),
    );
    bench.settled(5 * HOUR).await;
    let seen: Vec<_> = bench
        .sink
        .seen()
        .iter()
        .map(|saw| (saw.n, saw.attempt, saw.start.as_secs()))
        .collect();
    assert_eq!(seen, [(0, 4, 30), (1, 1, 30), (3, 2, 60), (2, 2, 4 * 3600)]);
}

#[tokio::test(start_paused = true)]
async fn no_more_is_parked_than_the_budget_allows() {
    let backlog = Budget {
        events_max: 10,
        bytes_max: 1,
        when_full: WhenFull::DeadLetter,
    };
    let bench = Bench::new(
        Destination {
            backlog,
            ..sample::destination()
        },
        |_, _| says(503),
    );
    bench.owe(0..100, one_conversation);
    bench.pass(HOUR).await;
    assert!(
        (10..=11).contains(&bench.book.page().reads),
        "{}",
        bench.book.page().reads
    );
}

#[tokio::test(start_paused = true)]
async fn what_was_settled_meanwhile_is_not_sent() {
    let bench = Bench::new(sample::destination(), |n, attempt| {
        if n == 0 && attempt == 1 {
            says(503)
        } else {
            says(200)
        }
    });
    bench.owe(0..3, one_conversation);
    bench.pass(SECOND).await;
    for dropped in [0, 1] {
        bench
            .book
            .page()
            .open
            .remove(&crate::event::Offset(dropped));
    }
    bench.settled(60 * SECOND).await;
    assert_eq!(
        bench
            .sink
            .seen()
            .iter()
            .map(|saw| saw.n)
            .collect::<Vec<_>>(),
        [0, 2]
    );
}

#[tokio::test(start_paused = true)]
async fn a_new_drain_patience_reaches_a_running_worker() {
    let mut bench = Bench::new(
        Destination {
            timeout: HOUR,
            ..sample::destination()
        },
        |_, _| Says {
            after: HOUR,
            ..says(200)
        },
    );
    bench.owe(0..1, |_| None);
    bench.worker.set_drain_patience(3 * SECOND);
    bench.pass(SECOND).await;
    bench.drain.cancel();
    let begun = tokio::time::Instant::now();
    assert!(bench.tasks.join_next().await.unwrap().is_ok());
    assert_eq!(begun.elapsed(), 3 * SECOND);
}

/// What is no standstill says for how long it is none.
#[tokio::test(start_paused = true)]
async fn who_rightly_starts_nothing_says_until_when() {
    let left = |bench: &Bench| {
        let until = bench.worker.state().held_until;
        until.map(|until| until.duration_since(tokio::time::Instant::now()))
    };
    let slow = Destination {
        rate: Some(6.0 / 3600.0),
        ..sample::destination()
    };
    let bench = Bench::new(slow, |_, _| says(200));
    bench.owe(0..3, |_| None);
    bench.pass(100 * SECOND).await;
    assert_eq!(left(&bench), Some(500 * SECOND), "six an hour");

    let narrow = Destination {
        concurrency: 1,
        timeout: 600 * SECOND,
        ..sample::destination()
    };
    let bench = Bench::new(narrow, |_, _| Says {
        after: HOUR,
        ..says(200)
    });
    bench.owe(0..3, |_| None);
    bench.pass(100 * SECOND).await;
    assert_eq!(left(&bench), Some(500 * SECOND), "its one place is taken");
    assert_eq!(
        bench.worker.state().busy_until,
        bench.worker.state().held_until
    );

    let bench = Bench::new(sample::destination(), |_, _| says(200));
    bench.owe(0..3, |_| None);
    bench.pass(100 * SECOND).await;
    assert_eq!(left(&bench), None, "it has room");
}

#[tokio::test(start_paused = true)]
async fn what_waits_in_a_lane_waits_for_the_sync_too() {
    let bench = Bench::new(sample::destination(), |_, _| says(200));
    bench.book.page().unsynced_max = Some(3);
    bench.owe(0..10, one_conversation);
    for settled in [3, 6, 9, 10] {
        bench.pass(HOUR).await;
        assert_eq!(bench.endings().len(), settled);
        bench.book.sync();
    }
}
