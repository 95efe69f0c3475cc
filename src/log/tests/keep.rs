//! Limits, what may go, and what must stay.

use super::*;
use crate::settle::{Reason, Settlement};

fn budget(events_max: u64, when_full: WhenFull) -> Budget {
    Budget {
        events_max,
        bytes_max: 1 << 30,
        when_full,
    }
}

#[tokio::test]
async fn a_full_budget_kills_the_copy_and_the_others_get_theirs() {
    let mut house = House::new();
    let log = house.open();
    log.set_budget(&name("a"), budget(2, WhenFull::DeadLetter));
    for n in 0..5 {
        assert_eq!(put(&log, n, &["a", "b"]).await.deliveries, 2);
    }
    assert_eq!(
        (totals(&log, "a"), totals(&log, "b")),
        ([5, 0, 3, 0, 2], [5, 0, 0, 0, 5])
    );
    let dead = log.dead(Filter::default(), None, 10).await.unwrap();
    assert!(
        dead.iter()
            .all(|letter| letter.reason == Reason::BacklogFull && letter.destination == name("a"))
    );
    assert_eq!(
        dead.iter().map(|letter| letter.event).collect::<Vec<_>>(),
        [2, 3, 4].map(|n| event(n).id)
    );
    let mut a = log.subscribe(&name("a"));
    for n in 0..2 {
        assert_eq!(next(&mut a).await.stored.event, event(n));
    }
    nothing_more(&mut a).await;
    let told = log.event(event(3).id).await.unwrap();
    assert_eq!(
        told[0].1[0].settlement,
        Some(Settlement::Dead(Reason::BacklogFull))
    );
    assert_eq!(
        log.dead_retry(dead[0].id).await,
        Err(AppendError::BacklogFull(name("a")))
    );
    house.crash(&mut fastrand::Rng::with_seed(3));
    let log = house.open();
    assert_eq!(
        (totals(&log, "a"), totals(&log, "b")),
        ([5, 0, 3, 0, 2], [5, 0, 0, 0, 5])
    );
    assert_eq!(
        log.dead(Filter::default(), None, 10).await.unwrap().len(),
        3
    );
    adds_up(&log);
}

#[tokio::test]
async fn a_full_budget_that_rejects_refuses_the_whole_webhook() {
    let house = House::new();
    let log = house.open();
    log.set_budget(&name("a"), budget(2, WhenFull::Reject));
    put(&log, 0, &["a"]).await;
    let two = vec![
        accepted(event(1), &["b"]),
        accepted(event(2), &["a"]),
        accepted(event(3), &["a"]),
    ];
    assert_eq!(
        log.append(two).await,
        Err(AppendError::BacklogFull(name("a")))
    );
    assert_eq!(
        (totals(&log, "a"), totals(&log, "b")),
        ([1, 0, 0, 0, 1], [0; 5])
    );
    put(&log, 4, &["a"]).await;
    let resend = vec![accepted(vendor(5, "x"), &["a"])];
    assert_eq!(
        log.append(resend.clone()).await,
        Err(AppendError::BacklogFull(name("a")))
    );
    log.set_budget(
        &name("a"),
        Budget {
            bytes_max: 1 << 30,
            ..budget(9, WhenFull::Reject)
        },
    );
    assert!(
        !log.append(resend).await.unwrap()[0].duplicate,
        "nothing is remembered of a refusal"
    );
    log.set_budget(
        &name("a"),
        Budget {
            bytes_max: 10,
            ..budget(9, WhenFull::Reject)
        },
    );
    assert_eq!(
        log.append(vec![accepted(event(6), &["a"])]).await,
        Err(AppendError::BacklogFull(name("a")))
    );
}

#[tokio::test]
async fn a_full_budget_that_drops_drops_the_oldest_that_is_not_in_the_air() {
    for subscribed in [true, false] {
        let mut house = House::with_segments(1 << 14);
        let log = house.open();
        log.set_budget(&name("a"), budget(3, WhenFull::DropOldest));
        let mut a = subscribed.then(|| log.subscribe(&name("a")));
        put(&log, 0, &["a"]).await;
        let mut expected = vec![97, 98, 99];
        if let Some(a) = &mut a {
            let at = next(a).await.stored.offset;
            a.start(at);
            expected = vec![0, 98, 99];
        }
        for n in 1..100 {
            put(&log, n, &["a"]).await;
        }
        until(|| totals(&log, "a") == [100, 0, 0, 97, 3]).await;
        adds_up(&log);
        put(&log, 100, &["other"]).await;
        house.crash(&mut fastrand::Rng::with_seed(5));
        drop(a);
        let log = house.open();
        assert_eq!(totals(&log, "a"), [100, 0, 0, 97, 3]);
        let mut a = log.subscribe(&name("a"));
        for n in expected {
            assert_eq!(next(&mut a).await.stored.event, event(n), "{subscribed}");
        }
        nothing_more(&mut a).await;
    }
}

#[tokio::test]
async fn what_was_handed_out_but_not_started_is_dropped_before_the_answer() {
    for handed_out in 0..3 {
        let house = House::new();
        let log = house.open();
        log.set_budget(&name("a"), budget(3, WhenFull::DropOldest));
        let mut a = log.subscribe(&name("a"));
        let mut held = Vec::new();
        for n in 0..6 {
            put(&log, n, &["a"]).await;
            // At once: who was answered finds the budget kept.
            let pending = (n + 1).min(3);
            assert_eq!(totals(&log, "a"), [n + 1, 0, 0, n + 1 - pending, pending]);
            if n < handed_out {
                held.push(next(&mut a).await.stored.offset);
            }
        }
        for at in held {
            assert!(!a.start(at) && a.reread(at).await.is_none());
            assert!(!a.settle(at, Settlement::Delivered, None, ""), "too late");
        }
        for n in 3..6 {
            let delivery = next(&mut a).await;
            assert_eq!(delivery.stored.event, event(n));
            assert!(a.start(delivery.stored.offset));
        }
        adds_up(&log);
    }
}

#[tokio::test]
async fn only_what_is_settled_and_old_goes() {
    let mut house = House::with_segments(1 << 13);
    let log = house.open();
    let mut a = log.subscribe(&name("a"));
    for n in 0..200 {
        put(&log, n, &["a"]).await;
    }
    for n in 0..200 {
        let at = next(&mut a).await.stored.offset;
        if n != 100 {
            a.settle(at, Settlement::Delivered, None, "");
        }
    }
    drop(a);
    log.close().await;
    let segments = |house: &House| {
        house
            .disk
            .files()
            .iter()
            .filter(|file| file.ends_with(".seg"))
            .count()
    };
    let before = segments(&house);
    let log = house.open();
    log.close().await;
    assert!(segments(&house) >= before, "young segments stay");
    house.clock = Clock::following_tokio(START.plus(Duration::from_secs(25 * 3600)));
    let (log, mut writer) = house.unstarted();
    writer.wall = retain::WallClock::in_step();
    writer.keep_house().unwrap();
    assert_eq!(
        segments(&house),
        2,
        "the one that holds event 100, and the new one"
    );
    assert_eq!(totals(&log, "a"), [200, 199, 0, 0, 1]);
    let mut a = log.subscribe(&name("a"));
    assert_eq!(next(&mut a).await.stored.event, event(100));
}

#[tokio::test]
async fn under_max_disk_settled_segments_go_early_and_then_events_are_refused() {
    let mut house = House::with_segments(1 << 14);
    house.settings.max_disk = 200_000;
    let log = house.open();
    let mut a = log.subscribe(&name("a"));
    for n in 0..2000 {
        put(&log, n, &["a"]).await;
        let at = next(&mut a).await.stored.offset;
        a.settle(at, Settlement::Delivered, None, "");
    }
    assert!(
        house.disk.used() <= 200_000 + (1 << 14),
        "{}",
        house.disk.used()
    );
    let mut held = 0;
    let refused = loop {
        match log.append(vec![accepted(event(held), &["a"])]).await {
            Ok(_) => held += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(refused, AppendError::DiskFull);
    assert!(log.health().is_err());
    assert_eq!(totals(&log, "a")[4], held);
    for _ in 0..held {
        let at = next(&mut a).await.stored.offset;
        a.settle(at, Settlement::Delivered, None, "");
    }
    put(&log, 9, &["a"]).await;
    assert!(log.health().is_ok());
    adds_up(&log);
}

/// X3: what found no room is refused, and not remembered either.
#[tokio::test]
async fn a_full_disk_refuses_events_lets_deliveries_go_on_and_mends_itself() {
    let mut house = House::with_segments(1 << 16);
    let log = house.open();
    let mut a = log.subscribe(&name("a"));
    put(&log, 0, &["a"]).await;
    house.disk.set_room(Some(house.disk.used() + 1000));
    let mut held = 1;
    while log
        .append(vec![accepted(vendor(held, &held.to_string()), &["a"])])
        .await
        .is_ok()
    {
        held += 1;
    }
    for _ in 0..held {
        let at = next(&mut a).await.stored.offset;
        a.retry(at, attempt(1), START);
        a.settle(at, Settlement::Delivered, Some(attempt(2)), "");
    }
    let refused = vec![accepted(vendor(held, &held.to_string()), &["a"])];
    assert_eq!(
        log.append(refused.clone()).await,
        Err(AppendError::DiskFull)
    );
    assert_eq!(totals(&log, "a"), [held, held, 0, 0, 0]);
    assert!(log.health().unwrap_err().contains("no room"));
    house.disk.set_room(None);
    assert!(!log.append(refused.clone()).await.unwrap()[0].duplicate);
    assert!(log.append(refused).await.unwrap()[0].duplicate);
    assert!(log.health().is_ok());
    house.crash(&mut fastrand::Rng::with_seed(2));
    let log = house.open();
    assert_eq!(totals(&log, "a"), [held + 1, held, 0, 0, 1]);
    adds_up(&log);
}

#[tokio::test]
async fn below_min_free_events_are_refused() {
    let mut house = House::new();
    house.settings.min_free = 50_000_000;
    house.disk.set_room(Some(40_000_000));
    let log = house.open();
    assert_eq!(
        log.append(vec![accepted(event(0), &["a"])]).await,
        Err(AppendError::DiskFull)
    );
    house.disk.set_room(Some(60_000_000));
    put(&log, 0, &["a"]).await;
}

#[tokio::test]
async fn a_pause_outlives_the_process() {
    let mut house = House::new();
    let log = house.open();
    log.set_paused(&name("a"), true);
    log.set_paused(&name("b"), true);
    log.set_paused(&name("b"), false);
    put(&log, 0, &[]).await;
    house.crash(&mut fastrand::Rng::with_seed(2));
    let log = house.open();
    assert!(log.paused(&name("a")) && !log.paused(&name("b")) && !log.paused(&name("c")));
    assert_eq!(log.destinations(), [name("a"), name("b")]);
    assert_eq!(
        log.source_totals()[&SourceName::from("qiscus")],
        SourceTotals {
            accepted: 1,
            unrouted: 1,
            duplicate: 0
        }
    );
}

#[tokio::test]
async fn one_process_per_folder() {
    let house = House::new();
    let log = house.open();
    assert!(matches!(house.try_open(), Err(OpenError::InUse(_))));
    log.close().await;
    house.open();
}

#[tokio::test]
async fn a_real_folder_is_private_and_locked() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let house = House::new();
    let settings = Settings {
        data_dir: folder.path().join("data"),
        ..house.settings.clone()
    };
    let open = || Log::open(settings.clone(), Clock::system(), Arc::new(Metrics::new()));
    let (log, recovery) = open().unwrap();
    assert_eq!(recovery, Recovery::default());
    assert!(matches!(open(), Err(OpenError::InUse(_))));
    put(&log, 1, &["a"]).await;
    log.close().await;
    let mut folders = vec![settings.data_dir.clone()];
    while let Some(folder) = folders.pop() {
        assert_eq!(
            folder.metadata().unwrap().permissions().mode() & 0o777,
            0o700
        );
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let metadata = entry.metadata().unwrap();
            if metadata.is_dir() {
                folders.push(entry.path());
            } else {
                assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "{entry:?}");
            }
        }
    }
    let (log, recovery) = open().unwrap();
    assert_eq!((recovery.events, totals(&log, "a")), (1, [1, 0, 0, 0, 1]));
    let mut a = log.subscribe(&name("a"));
    assert_eq!(next(&mut a).await.stored.event, event(1));
}

/// A run that took no event in, and delivered what was there: what it says of
/// those is kept as long as they are.
#[tokio::test]
async fn what_became_of_an_event_is_told_as_long_as_the_event_is_kept() {
    let house = House::new();
    let log = house.open();
    let id = put(&log, 0, &["a"]).await.id;
    log.close().await;
    let log = house.open();
    let mut a = log.subscribe(&name("a"));
    let at = next(&mut a).await.stored.offset;
    a.settle(at, Settlement::Delivered, None, "");
    log.close().await;
    let segments = |house: &House| {
        let files = house.disk.files().into_iter();
        files.filter(|file| file.ends_with(".seg")).count()
    };
    let before = segments(&house);
    for _ in 0..4 {
        let log = house.open();
        let (_, copies) = log.event(id).await.unwrap().pop().unwrap();
        assert_eq!(copies[0].settlement, Some(Settlement::Delivered));
        log.close().await;
    }
    assert!(segments(&house) <= before + 2, "those that say nothing go");
}
