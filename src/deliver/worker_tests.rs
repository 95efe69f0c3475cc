//! What a worker promises, shown on a bench with paused time.

use std::sync::Arc;
use std::time::Duration;

use super::bench::{Bench, Saw, Says, says};
use super::{Destination, OnStuck, Order, sample};
use crate::event::Event;
use crate::settle::{Outcome, Reason, RetryPolicy, Settlement};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

fn quick_retry() -> RetryPolicy {
    RetryPolicy {
        delays: vec![SECOND, 2 * SECOND],
        span: HOUR,
    }
}

fn one_conversation(_: u64) -> Option<String> {
    Some("room".to_owned())
}

#[tokio::test(start_paused = true)]
async fn only_a_2xx_is_delivered_and_every_attempt_has_its_status() {
    let policy = RetryPolicy {
        delays: vec![SECOND],
        span: Duration::ZERO,
    };
    let bench = Bench::new(
        Destination {
            retry: policy,
            ..sample::destination()
        },
        |n, _| says(u16::try_from(n).unwrap()),
    );
    for status in 100..600 {
        // 410 pauses the destination and has a test of its own.
        if status != 410 {
            bench.book.owe_again(
                sample::event(status, None, "message"),
                status,
                0,
                None,
                None,
            );
        }
    }
    bench.settled(HOUR).await;
    let page = bench.book.page();
    assert_eq!(page.settled.len(), 499);
    for (offset, (settlement, attempt, _)) in &page.settled {
        let expected = match offset.0 {
            200..=299 => Settlement::Delivered,
            508 => Settlement::Dead(Reason::Loop),
            100..=199 | 408 | 425 | 429 | 500.. => Settlement::Dead(Reason::Exhausted),
            _ => Settlement::Dead(Reason::Refused),
        };
        let attempt = attempt.as_ref().unwrap();
        assert_eq!(
            (*settlement, attempt.status, attempt.number),
            (expected, Some(u16::try_from(offset.0).unwrap()), 1)
        );
    }
    assert_eq!(
        bench
            .metrics
            .attempts_total
            .with_label_values(&["sink", "2xx"])
            .get(),
        100
    );
    assert_eq!(
        bench
            .metrics
            .attempts_total
            .with_label_values(&["sink", "429"])
            .get(),
        1
    );
    assert_eq!(
        bench
            .metrics
            .loops_stopped_total
            .with_label_values(&["sink"])
            .get(),
        1
    );
}

#[tokio::test(start_paused = true)]
async fn a_silence_is_tried_again_and_labelled_as_what_it_was() {
    let outcomes = [
        Outcome::TimedOut,
        Outcome::Dns,
        Outcome::Connect,
        Outcome::Tls,
        Outcome::Broken,
    ];
    let script = outcomes.clone();
    let bench = Bench::new(
        Destination {
            retry: quick_retry(),
            ..sample::destination()
        },
        move |n, attempt| match attempt {
            1 => Says {
                answer: Err(script[usize::try_from(n).unwrap()].clone()),
                ..says(0)
            },
            _ => says(204),
        },
    );
    bench.owe(0..5, |_| None);
    bench.settled(HOUR).await;
    assert_eq!(bench.endings(), vec!["delivered"; 5]);
    for outcome in outcomes {
        assert_eq!(
            bench
                .metrics
                .attempts_total
                .with_label_values(&["sink", outcome.label()])
                .get(),
            1,
            "{outcome:?}"
        );
    }
    assert!(
        bench
            .book
            .page()
            .retries
            .iter()
            .all(|(_, attempt, _)| attempt.detail == "as scripted" && attempt.status.is_none())
    );
}

#[tokio::test(start_paused = true)]
async fn order_holds_per_conversation_under_random_failures() {
    let chance = std::sync::Mutex::new(fastrand::Rng::with_seed(7));
    let bench = Bench::new(
        Destination {
            retry: quick_retry(),
            ..sample::destination()
        },
        move |_, _| {
            let mut chance = chance.lock().unwrap();
            Says {
                after: Duration::from_millis(chance.u64(0..300)),
                ..says([200, 200, 503, 429, 400][chance.usize(0..5)])
            }
        },
    );
    let key = |n: u64| (!n.is_multiple_of(11)).then(|| format!("room {}", n % 7));
    bench.owe(0..400, key);
    bench.settled(4 * HOUR).await;
    let seen = bench.sink.seen();
    assert!(bench.sink.crowd() <= 8 && bench.sink.crowd() > 2);
    for (index, saw) in seen.iter().enumerate() {
        let same = |other: &&Saw| key(other.n).is_some() && key(other.n) == key(saw.n);
        for earlier in seen[..index].iter().filter(same) {
            assert!(
                earlier.end.unwrap() <= saw.start,
                "{earlier:?} and {saw:?} were in the air at once"
            );
            assert!(earlier.n <= saw.n, "{saw:?} after {earlier:?}");
        }
    }
    assert_eq!(bench.endings().len(), 400);
}

/// X19: attempts have an end, and a known number.
#[tokio::test(start_paused = true)]
async fn a_destination_that_never_recovers_is_tried_by_the_schedule_and_then_it_is_dead() {
    let bench = Bench::new(sample::destination(), |_, _| says(503));
    bench.owe(0..1, one_conversation);
    bench.settled(80 * HOUR).await;
    assert_eq!(bench.endings(), ["dead exhausted"]);
    let seen = bench.sink.seen();
    let delays = RetryPolicy::default().delays;
    assert!((11..=14).contains(&seen.len()), "{} attempts", seen.len());
    for (index, pair) in seen.windows(2).enumerate() {
        let (waited, due) = (
            pair[1].start - pair[0].end.unwrap(),
            *delays.get(index).unwrap_or(delays.last().unwrap()),
        );
        assert!(
            waited >= due.mul_f64(0.75) && waited <= due.mul_f64(1.25) + SECOND,
            "{waited:?} instead of {due:?}"
        );
        assert_eq!(pair[1].attempt, pair[0].attempt + 1);
    }
    assert!(seen.last().unwrap().start <= 76 * HOUR);
    let page = bench.book.page();
    assert_eq!(page.retries.len() + 1, seen.len());
    assert!(
        page.retries
            .iter()
            .all(|(_, attempt, at)| *at > attempt.at && attempt.status == Some(503))
    );
}

#[tokio::test(start_paused = true)]
async fn a_poison_event_dies_alone_and_its_successor_goes_at_once() {
    let bench = Bench::new(sample::destination(), |n, _| {
        if n == 0 { says(422) } else { says(200) }
    });
    bench.book.owe(sample::event(0, Some("room"), "message"));
    for (n, event_type) in [
        (1, "panic"),
        (2, "dead"),
        (3, "late"),
        (4, "skip"),
        (5, "message"),
    ] {
        bench.book.owe(sample::event(n, Some("room"), event_type));
    }
    bench.settled(SECOND).await;
    let expected = [
        "dead refused",
        "dead unsendable",
        "dead unsendable",
        "dead late",
        "dropped",
        "delivered",
    ];
    assert_eq!(bench.endings(), expected);
    let page = bench.book.page();
    let details: Vec<_> = page
        .settled
        .values()
        .map(|(_, attempt, detail)| (attempt.is_some(), detail.as_str()))
        .collect();
    assert_eq!(details[2], (false, "no text"));
    assert_eq!(details[4], (false, "system_events"));
    assert!(details[1].1.contains("panicked"));
    assert_eq!(
        bench
            .metrics
            .late_deliveries_total
            .with_label_values(&["sink"])
            .get(),
        1
    );
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_an_attempt_kills_that_delivery_only() {
    let bench = Bench::new(sample::destination(), |n, _| {
        assert!(n != 0, "a bug of ours");
        says(200)
    });
    bench.owe(0..3, one_conversation);
    bench.settled(SECOND).await;
    assert_eq!(
        bench.endings(),
        ["dead unsendable", "delivered", "delivered"]
    );
    assert!(
        bench
            .book
            .page()
            .settled
            .values()
            .next()
            .unwrap()
            .2
            .contains("panicked")
    );
    assert_eq!(bench.worker.state().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_event_is_sent_as_bytes() {
    let bench = Bench::new(sample::destination(), |_, _| says(200));
    for (n, body) in [
        (0, "no JSON \"n\":0".to_owned()),
        (1, format!("{}\"n\":1", "[".repeat(100_000))),
    ] {
        bench.book.owe(Event {
            body: body.into(),
            ..sample::event(n, None, "unreadable")
        });
    }
    bench.settled(SECOND).await;
    assert_eq!(bench.endings(), ["delivered", "delivered"]);
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_its_customer_is_no_attempt() {
    let bench = Bench::new(sample::destination(), |_, _| says(200));
    bench.book.owe(sample::event(0, Some("a"), "wait"));
    bench.book.owe(sample::event(1, Some("b"), "wait"));
    bench.pass(60 * SECOND).await;
    assert!(bench.sink.seen().is_empty() && bench.book.page().started.is_empty());
    bench.book.page().customer = Some(Arc::from("jo"));
    bench.pass(6 * SECOND).await;
    assert_eq!(bench.endings(), ["delivered", "delivered"]);
    assert!(bench.sink.seen().iter().all(|saw| saw.attempt == 1));
    bench.book.page().customer = None;
    bench.book.owe(sample::event(2, Some("a"), "wait"));
    bench.settled(11 * 60 * SECOND).await;
    assert_eq!(bench.endings()[2], "dead unknown_user");
    assert_eq!(
        bench.book.page().settled.values().last().unwrap().2,
        "no customer yet"
    );
}

#[tokio::test(start_paused = true)]
async fn a_stuck_head_lets_others_pass_and_its_late_arrival_is_counted() {
    let recovers = 3 * HOUR;
    let retry = RetryPolicy {
        delays: vec![SECOND, HOUR],
        span: 76 * HOUR,
    };
    let on_stuck = OnStuck::SkipAfter(600 * SECOND);
    let begun = tokio::time::Instant::now();
    let script = move |n, _| {
        if n == 0 && begun.elapsed() < recovers {
            says(500)
        } else {
            says(200)
        }
    };
    let bench = Bench::new(
        Destination {
            retry,
            on_stuck,
            ..sample::destination()
        },
        script,
    );
    bench.owe(0..3, one_conversation);
    bench.pass(599 * SECOND).await;
    assert!(bench.endings().is_empty());
    bench.pass(2 * SECOND).await;
    assert_eq!(bench.endings().len(), 2);
    bench.settled(8 * HOUR).await;
    assert_eq!(
        bench
            .metrics
            .stuck_passed_total
            .with_label_values(&["sink"])
            .get(),
        1
    );
}

#[tokio::test(start_paused = true)]
async fn without_order_a_failing_event_holds_nobody_up() {
    let bench = Bench::new(
        Destination {
            order: Order::None,
            ..sample::destination()
        },
        |n, _| says(if n == 0 { 503 } else { 200 }),
    );
    bench.owe(0..20, one_conversation);
    bench.pass(SECOND).await;
    assert_eq!(bench.endings().len(), 19);
}

#[tokio::test(start_paused = true)]
async fn a_vendors_answer_is_read_before_its_status() {
    let bench = Bench::new(sample::destination(), |n, _| match n {
        0 => Says {
            body: "Duplicate externalId",
            ..says(400)
        },
        1 => Says {
            body: "{\"ok\":false}",
            ..says(200)
        },
        _ => Says {
            body: "no such user\u{1b}[31m",
            ..says(404)
        },
    });
    bench.owe(0..3, |_| None);
    bench.settled(SECOND).await;
    assert_eq!(
        bench.endings(),
        ["delivered", "dead refused", "dead refused"]
    );
    let error = bench.worker.state().last_error.unwrap();
    assert_eq!(
        (error.status, error.detail.as_str()),
        (Some(404), r"no such user\u{1b}[31m")
    );
    assert_eq!(
        bench.book.page().settled.values().last().unwrap().2,
        error.detail
    );
}

#[tokio::test(start_paused = true)]
async fn contents_are_read_by_the_events_kind_and_only_for_a_writer_that_asks() {
    let bench = Bench::new(sample::destination(), |_, _| says(200));
    bench.book.owe(Event {
        kind: "github".into(),
        headers: vec![(
            "content-type".into(),
            "application/x-www-form-urlencoded".into(),
        )],
        body: "payload=%7B%22n%22%3A0%7D".into(),
        ..sample::event(0, None, "payload")
    });
    bench.book.owe(sample::event(1, None, "a bug in a reader"));
    bench
        .book
        .owe(sample::event(2, None, "a bug in a reader, met"));
    bench.book.owe(sample::event(3, None, "message"));
    bench.settled(SECOND).await;
    let page = bench.book.page();
    let endings: Vec<_> = page
        .settled
        .values()
        .map(|(settlement, _, detail)| (settlement.label(), detail.as_str()))
        .collect();
    let bug = "the transformation panicked: this is a bug in hookfan";
    let delivered = ("delivered", "");
    assert_eq!(
        endings,
        [("dead", "{\"n\":0}"), delivered, ("dead", bug), delivered]
    );
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_though_the_wall_clock_went_back() {
    let bench = Bench::new(sample::destination(), |_, _| says(200));
    bench.book.owe(Event {
        accepted_at: sample::start().plus(24 * HOUR),
        ..sample::event(0, Some("a"), "wait")
    });
    bench.settled(601 * SECOND).await;
    assert_eq!(bench.endings(), ["dead unknown_user"]);
}
