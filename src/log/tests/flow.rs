//! Events in, copies out, across hand-overs and restarts.

use super::*;
use crate::log::account::UPCOMING_EVENTS_MAX;
use crate::settle::{Reason, Settlement};

#[tokio::test]
async fn what_was_accepted_is_delivered_once_and_the_account_adds_up() {
    let house = House::new();
    let log = house.open();
    let mut a = log.subscribe(&name("a"));
    let mut b = log.subscribe(&name("b"));
    for n in 0..10 {
        let receipt = put(&log, n, &["a", "b"]).await;
        assert_eq!(
            (receipt.deliveries, receipt.duplicate, receipt.id),
            (2, false, event(n).id)
        );
    }
    for n in 0..10 {
        let delivery = next(&mut a).await;
        assert_eq!(delivery.stored.event, event(n));
        assert!(a.start(delivery.stored.offset));
        a.settle(
            delivery.stored.offset,
            Settlement::Delivered,
            Some(attempt(1)),
            "",
        );
        a.settle(
            delivery.stored.offset,
            Settlement::Dropped,
            None,
            "a second end is ignored",
        );
        assert!(!a.start(delivery.stored.offset));
    }
    nothing_more(&mut a).await;
    assert_eq!(totals(&log, "a"), [10, 10, 0, 0, 0]);
    assert_eq!(totals(&log, "b"), [10, 0, 0, 0, 10]);
    assert_eq!(log.totals()[&name("b")].oldest, Some(event(0).accepted_at));
    assert_eq!(next(&mut b).await.stored.event, event(0));
    let accepted = log.source_totals()[&SourceName::from("qiscus")];
    assert_eq!(
        accepted,
        SourceTotals {
            accepted: 10,
            unrouted: 0,
            duplicate: 0
        }
    );
    adds_up(&log);
    log.close().await;
    assert_eq!(
        log.append(vec![accepted_event(99)]).await,
        Err(AppendError::Closed)
    );
}

fn accepted_event(n: u64) -> Accepted {
    accepted(event(n), &["a"])
}

/// How the log ends before it is opened again.
#[derive(Clone, Copy, Debug)]
enum End {
    Closed,
    Crashed,
}

async fn restart(house: &mut House, log: Log, end: End) -> Log {
    match end {
        End::Closed => log.close().await,
        End::Crashed => house.crash(&mut fastrand::Rng::with_seed(7)),
    }
    drop(log);
    house.open()
}

#[tokio::test]
async fn a_restart_hands_out_what_was_open_and_then_goes_on() {
    for end in [End::Closed, End::Crashed] {
        let mut house = House::with_segments(1 << 14);
        let log = house.open();
        let mut a = log.subscribe(&name("a"));
        for n in 0..200 {
            put(&log, n, &["a"]).await;
        }
        let mut offsets = Vec::new();
        for _ in 0..100 {
            offsets.push(next(&mut a).await.stored.offset);
        }
        for at in &offsets[..50] {
            a.settle(*at, Settlement::Delivered, Some(attempt(1)), "");
        }
        a.retry(offsets[60], attempt(1), START.plus(Duration::from_secs(99)));
        a.settle(
            offsets[70],
            Settlement::Dead(Reason::Refused),
            Some(attempt(1)),
            "no",
        );
        // Whatever is durable now covers the facts before it.
        put(&log, 200, &["a"]).await;
        let before = totals(&log, "a");
        let log = restart(&mut house, log, end).await;
        assert_eq!(totals(&log, "a"), before, "{end:?}");
        adds_up(&log);
        let mut a = log.subscribe(&name("a"));
        for n in (50..201).filter(|n| *n != 70) {
            let delivery = next(&mut a).await;
            assert_eq!(delivery.stored.event, event(n), "{end:?}");
            let expected = if n == 60 {
                (1, Some(START.plus(Duration::from_secs(99))))
            } else {
                (0, None)
            };
            assert_eq!((delivery.attempts, delivery.not_before), expected, "{n}");
            a.settle(delivery.stored.offset, Settlement::Delivered, None, "");
        }
        nothing_more(&mut a).await;
        assert_eq!(totals(&log, "a"), [201, 200, 1, 0, 0]);
        adds_up(&log);
    }
}

#[tokio::test]
async fn a_reread_tells_what_is_still_open() {
    let house = House::new();
    let log = house.open();
    let mut a = log.subscribe(&name("a"));
    put(&log, 1, &["a"]).await;
    let at = next(&mut a).await.stored.offset;
    a.retry(at, attempt(1), START);
    let again = a.reread(at).await.unwrap();
    assert_eq!(
        (again.stored.event.clone(), again.attempts, again.first_at),
        (event(1), 1, Some(attempt(1).at))
    );
    a.settle(at, Settlement::Delivered, None, "");
    assert!(a.reread(at).await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_reader_that_lags_and_catches_up_misses_and_repeats_nothing() {
    let house = House::with_segments(1 << 17);
    let log = house.open();
    const EACH: u64 = 1500;
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..3 {
        let log = log.clone();
        writers.spawn(async move {
            for n in 0..EACH {
                put(&log, writer * EACH + n, &["a", "other"]).await;
            }
        });
    }
    let mut seen = std::collections::BTreeSet::new();
    let mut last = Offset(0);
    let mut a = log.subscribe(&name("a"));
    while seen.len() < 3 * EACH as usize {
        // Now slower than the writers, now faster.
        if seen.len() % 700 == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let delivery = next(&mut a).await;
        assert!(delivery.stored.offset > last, "out of order");
        last = delivery.stored.offset;
        assert!(seen.insert(delivery.stored.event.id), "twice");
        a.settle(last, Settlement::Delivered, None, "");
    }
    while writers.join_next().await.is_some() {}
    nothing_more(&mut a).await;
    assert_eq!(totals(&log, "a"), [3 * EACH, 3 * EACH, 0, 0, 0]);
    adds_up(&log);
}

#[tokio::test]
async fn a_new_subscription_hands_out_again_what_the_old_one_left() {
    let house = House::new();
    let log = house.open();
    let mut a = log.subscribe(&name("a"));
    for n in 0..400 {
        put(&log, n, &["a"]).await;
    }
    for n in 0..5 {
        assert_eq!(next(&mut a).await.stored.event, event(n));
    }
    drop(a);
    let mut a = log.subscribe(&name("a"));
    for n in 0..400 {
        assert_eq!(next(&mut a).await.stored.event, event(n));
    }
    nothing_more(&mut a).await;
}

/// Nor does it ask for the disk afterwards: it is live again.
#[tokio::test]
async fn who_lags_a_little_does_not_read_the_disk() {
    let house = House::new();
    let log = house.open();
    let mut a = log.subscribe(&name("a"));
    put(&log, 0, &["a"]).await;
    assert_eq!(next(&mut a).await.stored.event, event(0));
    for n in 1..400 {
        put(&log, n, &["a"]).await;
    }
    for file in house.disk.files() {
        house.disk.break_reads(&file, 0..usize::MAX);
    }
    for n in 1..400 {
        assert_eq!(next(&mut a).await.stored.event, event(n));
    }
    put(&log, 400, &["a"]).await;
    assert_eq!(next(&mut a).await.stored.event, event(400));
}

#[tokio::test]
async fn what_waits_takes_no_memory() {
    let house = House::with_segments(1 << 20);
    let log = house.open();
    let mut dead = log.subscribe(&name("dead"));
    next_after_first(&log, &mut dead).await;
    for chunk in 0..100 {
        let events = (0..1000)
            .map(|n| accepted(event(chunk * 1000 + n), &["dead"]))
            .collect();
        log.append(events).await.unwrap();
    }
    let account = log.shared().account(&name("dead"));
    {
        let state = lock(&account.state);
        assert_eq!(state.ledger.pending(), 100_001);
        assert!(state.ledger.handed_out() == 1 && state.ledger.ahead.is_empty());
        assert!(state.ledger.pending_in.len() < 64);
    }
    let copy = house.disk.copy();
    drop(dead);
    let again = House {
        disk: copy,
        ..house
    };
    let log = again.open();
    let account = log.shared().account(&name("dead"));
    let state = lock(&account.state);
    assert_eq!(
        (
            state.ledger.unread(),
            state.ledger.handed_out(),
            state.ledger.ahead.len()
        ),
        (100_000, 1, 0)
    );
}

async fn next_after_first(log: &Log, subscription: &mut Subscription) {
    put(log, 0, &["dead"]).await;
    let at = next(subscription).await.stored.offset;
    subscription.retry(at, attempt(1), START);
}

#[tokio::test]
async fn an_event_tells_what_happened_to_each_copy() {
    let house = House::new();
    let log = house.open();
    let mut a = log.subscribe(&name("a"));
    put(&log, 1, &["a", "b"]).await;
    let at = next(&mut a).await.stored.offset;
    a.retry(at, attempt(1), START);
    a.settle(
        at,
        Settlement::Dead(Reason::Exhausted),
        Some(attempt(2)),
        "enough",
    );
    until(|| log.totals()[&name("a")].dead_letters == 1).await;
    put(&log, 2, &["a"]).await;
    let told = log.event(event(1).id).await.unwrap();
    assert_eq!(told.len(), 1);
    let [a, b] = &told[0].1[..] else {
        panic!("{told:?}")
    };
    assert_eq!(a.settlement, Some(Settlement::Dead(Reason::Exhausted)));
    assert_eq!(a.attempts, [attempt(1), attempt(2)]);
    assert_eq!(
        (a.detail.as_str(), b.settlement, b.attempts.len()),
        ("enough", None, 0)
    );
    let page = log.events(Filter::default(), None, 1).await.unwrap();
    assert_eq!(page[0].event, event(2));
    let page = log
        .events(Filter::default(), Some(page[0].offset), 5)
        .await
        .unwrap();
    assert_eq!(
        page.iter()
            .map(|stored| stored.event.clone())
            .collect::<Vec<_>>(),
        [event(1)]
    );
    let only_b = Filter {
        destination: Some(name("b")),
        event_type: Some("post_*".into()),
        ..Filter::default()
    };
    assert_eq!(log.events(only_b, None, 9).await.unwrap().len(), 1);
    let none = Filter {
        event_type: Some("mark_*".into()),
        ..Filter::default()
    };
    assert!(log.events(none, None, 9).await.unwrap().is_empty());
}

#[tokio::test]
async fn news_of_what_a_reader_has_read_already_is_ignored() {
    let house = House::new();
    let log = house.open();
    put(&log, 1, &["a"]).await;
    let mut a = log.subscribe(&name("a"));
    let delivery = next(&mut a).await;
    nothing_more(&mut a).await;
    // The writer's news comes after the reader found the event on disk.
    let account = log.shared().account(&name("a"));
    let next = Offset(delivery.stored.offset.0 + 8);
    account.publish(&delivery.stored, next, &delivery.action, 7);
    nothing_more(&mut a).await;
}

#[tokio::test]
async fn what_was_told_is_kept_for_who_lags_and_for_nobody_else() {
    let house = House::new();
    let log = house.open();
    let mut a = log.subscribe(&name("a"));
    nothing_more(&mut a).await;
    let recent = &log.shared().news.recent;
    let is_kept = |from: Offset| {
        let ring = recent.look();
        ring.from(from).is_some_and(|kept| kept.count() > 0)
    };
    put(&log, 1, &["a"]).await;
    let first = next(&mut a).await.stored.offset;
    assert!(!is_kept(first));
    // Nobody reads, until more wait than are handed on.
    let many = UPCOMING_EVENTS_MAX as u64 + 3;
    for n in 2..=many {
        put(&log, n, &["a"]).await;
    }
    let mut last = first;
    for n in 2..=many {
        let delivery = next(&mut a).await;
        assert_eq!(delivery.stored.event.body, event(n).body);
        last = delivery.stored.offset;
    }
    assert!(is_kept(last));
    nothing_more(&mut a).await;
    put(&log, many + 1, &["a"]).await;
    assert!(!is_kept(last));
}
