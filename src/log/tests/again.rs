//! What comes again: resends, dead letters, and destinations that left.

use super::*;
use crate::settle::{Reason, Settlement};

#[tokio::test]
async fn concurrent_resends_make_one_event_and_all_get_its_id() {
    let house = House::new();
    let log = house.open();
    let sends = (0..20).map(|n| log.append(vec![accepted(vendor(n, "same"), &["a"])]));
    let mut sends: tokio::task::JoinSet<_> = sends
        .map(|send| {
            let log = log.clone();
            drop(send);
            async move {
                log.append(vec![accepted(vendor(7, "same"), &["a"])])
                    .await
                    .unwrap()[0]
            }
        })
        .collect();
    let mut fresh = 0;
    while let Some(receipt) = sends.join_next().await {
        let receipt = receipt.unwrap();
        assert_eq!(receipt.id, event(7).id);
        fresh += u32::from(!receipt.duplicate);
    }
    assert_eq!((fresh, totals(&log, "a")), (1, [1, 0, 0, 0, 1]));
    assert_eq!(
        log.source_totals()[&SourceName::from("qiscus")].duplicate,
        19
    );
}

#[tokio::test]
async fn a_resend_is_recognised_across_restarts_and_after_its_segment_went() {
    let mut house = House::with_segments(1 << 13);
    house.settings.retain = Duration::ZERO;
    let log = house.open();
    let receipt = log
        .append(vec![accepted(vendor(1, "first"), &[])])
        .await
        .unwrap()[0];
    for n in 2..200 {
        log.append(vec![accepted(vendor(n, &n.to_string()), &[])])
            .await
            .unwrap();
    }
    house.clock = Clock::following_tokio(START.plus(Duration::from_secs(3600)));
    for end in ["close", "crash", "crash"] {
        if end == "close" {
            log.close().await
        } else {
            house.crash(&mut fastrand::Rng::with_seed(1))
        }
        // What is settled and old goes.
        house.grow_old();
        let log = house.open();
        assert!(
            !house
                .disk
                .files()
                .iter()
                .any(|file| file.ends_with("0001.seg")),
            "{:?}",
            house.disk.files()
        );
        for (n, id) in [(500, "first"), (501, "2"), (502, "150"), (503, "199")] {
            let again = log
                .append(vec![accepted(vendor(n, id), &[])])
                .await
                .unwrap()[0];
            assert!(again.duplicate, "{id} after {end}");
            assert!(id != "first" || again.id == receipt.id);
        }
        log.close().await;
    }
}

#[tokio::test(start_paused = true)]
async fn beyond_the_window_a_resend_is_a_new_event() {
    let mut house = House::new();
    house.settings.dedupe = Duration::from_secs(60);
    let log = house.open();
    let send = |n| log.append(vec![accepted(vendor(n, "same"), &[])]);
    assert!(!send(0).await.unwrap()[0].duplicate);
    tokio::time::advance(Duration::from_secs(59)).await;
    assert!(send(59_000).await.unwrap()[0].duplicate);
    tokio::time::advance(Duration::from_secs(2)).await;
    assert!(!send(61_000).await.unwrap()[0].duplicate);
    assert!(send(61_001).await.unwrap()[0].duplicate);
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one story over two power cuts")]
async fn a_dead_letter_keeps_all_and_lives_again() {
    let mut house = House::new();
    let log = house.open();
    let mut a = log.subscribe(&name("a"));
    put(&log, 1, &["a"]).await;
    put(&log, 2, &["a"]).await;
    for _ in 0..2 {
        let at = next(&mut a).await.stored.offset;
        a.retry(at, attempt(1), START);
        a.retry(at, attempt(2), START);
        a.settle(
            at,
            Settlement::Dead(Reason::Exhausted),
            Some(attempt(3)),
            &"é".repeat(400),
        );
    }
    until(|| log.totals()[&name("a")].dead_letters == 2).await;
    put(&log, 3, &["other"]).await;
    drop(a);
    house.crash(&mut fastrand::Rng::with_seed(11));
    let log = house.open();
    let letters = log
        .dead(
            Filter {
                reason: Some(Reason::Exhausted),
                ..Filter::default()
            },
            None,
            10,
        )
        .await
        .unwrap();
    assert_eq!(letters.len(), 2);
    assert!(
        log.dead(
            Filter {
                reason: Some(Reason::Gone),
                ..Filter::default()
            },
            None,
            10
        )
        .await
        .unwrap()
        .is_empty()
    );
    let (letter, stored, attempts) = log.dead_letter(letters[0].id).await.unwrap().unwrap();
    assert_eq!(
        (&stored.event, letter.attempts, attempts),
        (&event(1), 3, vec![attempt(1), attempt(2), attempt(3)])
    );
    assert_eq!(letter.detail, "é".repeat(250));
    assert_eq!(log.dead_retry(letters[0].id).await, Ok(true));
    assert_eq!(log.dead_retry(letters[0].id).await, Ok(false));
    assert_eq!(log.dead_drop(letters[1].id).await, Ok(true));
    assert_eq!(totals(&log, "a"), [3, 0, 2, 0, 1]);
    house.crash(&mut fastrand::Rng::with_seed(12));
    let log = house.open();
    assert!(
        log.dead(Filter::default(), None, 10)
            .await
            .unwrap()
            .is_empty()
    );
    let mut a = log.subscribe(&name("a"));
    let again = next(&mut a).await;
    assert_eq!(
        (&again.stored.event, again.stored.origin, again.attempts),
        (&event(1), Origin::Retried, 0)
    );
    a.settle(
        again.stored.offset,
        Settlement::Dead(Reason::Refused),
        Some(attempt(1)),
        "again",
    );
    until(|| totals(&log, "a") == [3, 0, 3, 0, 0]).await;
    assert_eq!(log.totals()[&name("a")].dead_letters, 1);
    assert_eq!(log.event(event(1).id).await.unwrap().len(), 2);
    adds_up(&log);
}

#[tokio::test]
async fn a_removed_destination_owes_nothing_any_more() {
    let house = House::with_segments(1 << 15);
    let log = house.open();
    let mut a = log.subscribe(&name("a"));
    for n in 0..700 {
        put(&log, n, &["a", "b"]).await;
    }
    next(&mut a).await;
    drop(a);
    assert_eq!(log.remove_destination(&name("a")).await, Ok(700));
    assert_eq!(
        (totals(&log, "a"), totals(&log, "b")),
        ([700, 0, 700, 0, 0], [700, 0, 0, 0, 700])
    );
    let mut after = None;
    let mut letters = 0;
    while let Some(last) = {
        let page = log.dead(Filter::default(), after, 100).await.unwrap();
        letters += page.len();
        page.last().map(|letter| letter.id)
    } {
        after = Some(last);
    }
    assert_eq!(letters, 700);
    adds_up(&log);
}
