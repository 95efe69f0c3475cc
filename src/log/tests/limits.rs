//! Limits that take a broken, slow or full disk, or a writer without its
//! thread, to be reached.

use tokio::sync::oneshot;

use super::*;
use crate::log::disk::monotonic;
use crate::log::state::Sleep;
use crate::log::writer::Writer;
use crate::settle::{Reason, Settlement};

/// A writer that does what the test says, and the copies it owes to `a`.
pub(super) fn by_hand(house: &House, events: u64) -> (Writer, Vec<Offset>) {
    let metrics = Arc::new(Metrics::new());
    let disk = Arc::new(house.disk.clone());
    let opened = recover::open(disk, house.settings.clone(), house.clock.clone(), metrics);
    let (mut writer, _) = opened.unwrap();
    let (reply, _answer) = oneshot::channel();
    let events = (0..events).map(|n| accepted(event(n), &["a"])).collect();
    writer.append(events, Origin::Accepted, reply).unwrap();
    writer.commit().unwrap();
    let account = writer.shared.account(&name("a"));
    let (open, _more) = account.take_open(&writer.shared, usize::MAX).unwrap();
    (writer, open)
}

fn settle(writer: &mut Writer, at: Offset) {
    let account = writer.shared.account(&name("a"));
    let settling = account.settle(at, Settlement::Delivered, None, String::new());
    writer.settle(settling.unwrap()).unwrap();
}

#[tokio::test]
async fn thirty_two_settlements_of_a_destination_are_synced() {
    let house = House::new();
    let (mut writer, open) = by_hand(&house, 200);
    let before = house.disk.syncs();
    for (n, at) in (1..).zip(open) {
        settle(&mut writer, at);
        // However slow this machine is, time is not what this test is about.
        writer.unsynced_since = Some(monotonic() + Duration::from_secs(60));
        writer.commit().unwrap();
        assert_eq!(house.disk.syncs() - before, n / 32, "after {n}");
    }
}

#[tokio::test]
async fn a_settlement_waits_a_second_for_its_sync_at_most() {
    let house = House::new();
    let (mut writer, open) = by_hand(&house, 1);
    settle(&mut writer, open[0]);
    let before = house.disk.syncs();
    // As if it had been drawn just now, however slow this machine is.
    writer.unsynced_since = Some(monotonic() + Duration::from_secs(60));
    writer.commit().unwrap();
    assert_eq!(house.disk.syncs(), before);
    writer.unsynced_since = monotonic().checked_sub(Duration::from_secs(1));
    writer.commit().unwrap();
    assert_eq!(house.disk.syncs() - before, 1);
    writer.commit().unwrap();
    assert_eq!(house.disk.syncs() - before, 1, "nothing waits any more");
}

#[tokio::test]
async fn an_idle_writer_syncs_what_waits() {
    let house = House::new();
    let log = house.open();
    let mut a = log.subscribe(&name("a"));
    put(&log, 1, &["a"]).await;
    let at = next(&mut a).await.stored.offset;
    let before = house.disk.syncs();
    a.settle(at, Settlement::Delivered, None, "");
    until(|| house.disk.syncs() > before).await;
}

#[tokio::test]
async fn a_disk_that_hangs_for_five_seconds_is_said() {
    for (busy_since, now, expected) in [
        (0, 99_999, None),
        (1, 5000, None),
        (1, 5001, Some(5)),
        (700, 9699, Some(8)),
        (9, 8, None),
    ] {
        assert_eq!(stalled(busy_since, now), expected, "{busy_since} {now}");
    }
    let house = House::new();
    let log = house.open();
    put(&log, 1, &["a"]).await;
    let busy = || log.shared().busy_since.load(Ordering::Relaxed) != 0;
    until(|| !busy()).await;
    let held = house.disk.hold();
    let seen = async {
        until(busy).await;
        drop(held);
    };
    tokio::join!(put(&log, 2, &["a"]), seen);
    until(|| !busy()).await;
    assert_eq!(log.health(), Ok(()));
}

#[tokio::test]
async fn a_panic_of_the_writer_poisons_the_log() {
    let house = House::new();
    let log = house.open();
    put(&log, 0, &["a"]).await;
    house.disk.panic_at_syncs();
    let refused = log.append(vec![accepted(event(1), &["a"])]).await;
    assert_eq!(refused, Err(AppendError::Poisoned));
    log.poisoned().await;
    assert!(log.health().unwrap_err().contains("poisoned"));
    log.close().await;
}

/// X3: a letter that finds no room is not lost: before it is on disk its copy
/// is still open for whoever opens the log.
#[tokio::test]
async fn a_letter_without_room_waits_and_its_copy_is_open_until_then() {
    for crash in [true, false] {
        let mut house = House::new();
        let log = house.open();
        let mut a = log.subscribe(&name("a"));
        put(&log, 1, &["a"]).await;
        let at = next(&mut a).await.stored.offset;
        house.disk.set_room(Some(house.disk.used()));
        a.settle(at, Settlement::Dead(Reason::Refused), None, "no");
        let tried = house.disk.operations();
        until(|| house.disk.operations() > tried + 5).await;
        assert_eq!(log.totals()[&name("a")].dead_letters, 0);
        assert_eq!(totals(&log, "a"), [1, 0, 0, 0, 1]);
        if crash {
            drop(a);
            house.crash(&mut fastrand::Rng::with_seed(4));
            let log = house.open();
            assert_eq!(totals(&log, "a"), [1, 0, 0, 0, 1]);
            let mut a = log.subscribe(&name("a"));
            assert_eq!(next(&mut a).await.stored.event, event(1));
        } else {
            house.disk.set_room(None);
            until(|| totals(&log, "a") == [1, 0, 1, 0, 0]).await;
            assert_eq!(log.totals()[&name("a")].dead_letters, 1);
        }
    }
}

/// X3: a copy that dies at birth has its letter whatever the disk does, or its
/// event is refused.
#[tokio::test]
async fn no_letter_of_a_copy_that_died_at_birth_is_lost() {
    for room in (0..40).map(|n| 1000 + n * 3000) {
        let mut house = House::with_segments(1 << 16);
        let log = house.open();
        let budget = Budget {
            events_max: 2,
            bytes_max: 1 << 30,
            when_full: WhenFull::DeadLetter,
        };
        log.set_budget(&name("a"), budget);
        put(&log, 0, &["a"]).await;
        house.disk.set_room(Some(house.disk.used() + room));
        let mut taken = 1;
        while taken < 600 {
            let two = (0..2).map(|n| accepted(event(taken + n), &["a"])).collect();
            match log.append(two).await {
                Ok(_) => taken += 2,
                Err(error) => {
                    assert_eq!(error, AppendError::DiskFull, "{room}");
                    break;
                }
            }
        }
        house.crash(&mut fastrand::Rng::with_seed(room));
        let log = house.open();
        let [owed, _, dead, _, pending] = totals(&log, "a");
        let letters = log.dead(Filter::default(), None, usize::MAX).await.unwrap();
        assert!(owed >= taken, "room {room}: {owed} of {taken}");
        assert_eq!((pending, dead), (2.min(owed), owed.saturating_sub(2)));
        assert!(
            letters.len() as u64 >= dead,
            "room {room}: {} of {dead}",
            letters.len()
        );
        adds_up(&log);
    }
}

#[tokio::test]
async fn dead_letters_go_after_their_time_and_their_segments_with_them() {
    let mut house = House::with_segments(1 << 13);
    house.settings.retain_dead = Duration::from_secs(3600);
    let log = house.open();
    let mut a = log.subscribe(&name("a"));
    for n in 0..100 {
        put(&log, n, &["a"]).await;
        let at = next(&mut a).await.stored.offset;
        a.settle(at, Settlement::Dead(Reason::Refused), None, "no");
    }
    until(|| log.totals()[&name("a")].dead_letters == 100).await;
    drop(a);
    log.close().await;
    let files = |house: &House| {
        let files = house.disk.files();
        files.iter().filter(|file| file.contains("/dead/")).count()
    };
    assert!(files(&house) > 2);
    for (after, letters) in [(1800, 100), (3700, 0), (3700, 0)] {
        let clock = Clock::following_tokio(START.plus(Duration::from_secs(after)));
        house.clock = clock;
        house.grow_old();
        let log = house.open();
        assert_eq!(log.totals()[&name("a")].dead_letters, letters);
        let listed = log.dead(Filter::default(), None, 200).await.unwrap();
        assert_eq!(listed.len() as u64, letters);
        assert_eq!(files(&house) == 0, letters == 0);
        assert_eq!(totals(&log, "a"), [100, 0, 100, 0, 0]);
        log.close().await;
    }
}

/// P9: a destination that refuses everything does not use up the disk of the
/// others; the oldest of its letters go first.
#[tokio::test]
async fn dead_letters_take_at_most_their_share_of_the_disk() {
    let mut house = House::with_segments(1 << 13);
    let log = house.open();
    let mut a = log.subscribe(&name("a"));
    for n in 0..200 {
        put(&log, n, &["a"]).await;
        let at = next(&mut a).await.stored.offset;
        a.settle(at, Settlement::Dead(Reason::Refused), None, "no");
    }
    until(|| log.totals()[&name("a")].dead_letters == 200).await;
    drop(a);
    log.close().await;
    house.settings.max_disk = 1 << 16;
    let log = house.open();
    until(|| log.totals()[&name("a")].dead_letters < 200).await;
    let listed = log.dead(Filter::default(), None, 300).await.unwrap();
    assert!(!listed.is_empty() && listed.len() < 200, "{}", listed.len());
    let newest = listed.last().map(|letter| letter.event);
    assert_eq!(newest, Some(event(199).id), "the newest stay");
    assert_eq!(totals(&log, "a"), [200, 0, 200, 0, 0], "nothing decreases");
    log.close().await;
}

/// Each is a line in memory: a destination that refuses everything must not
/// use that up either.
#[tokio::test]
async fn dead_letters_are_no_more_than_may_be_and_the_newest_stay() {
    let mut house = House::new();
    house.settings.dead_letters_max = 80;
    let log = house.open();
    let mut a = log.subscribe(&name("a"));
    for n in 0..300 {
        put(&log, n, &["a"]).await;
        let at = next(&mut a).await.stored.offset;
        a.settle(at, Settlement::Dead(Reason::Refused), None, "no");
        until(|| log.totals()[&name("a")].dead == n + 1).await;
        let letters = log.totals()[&name("a")].dead_letters;
        assert!(
            letters <= 80 && letters + 10 > (n + 1).min(80),
            "{letters} of {n}"
        );
    }
    drop(a);
    log.close().await;
    let mut before = 0;
    for max in [80, 80, 20] {
        house.settings.dead_letters_max = max;
        let log = house.open();
        let listed = log.dead(Filter::default(), None, 300).await.unwrap();
        let count = listed.len() as u64;
        let newest = (300 - count..300).map(|n| event(n).id);
        assert!(listed.iter().map(|letter| letter.event).eq(newest));
        assert!(count <= max && count + 10 > max, "{count}");
        let shed = &log.handle.shared.metrics.dead_letters_shed_total;
        let shed = || shed.with_label_values::<&str>(&[]).get();
        until(|| shed() >= u64::saturating_sub(before, count)).await;
        before = count;
        assert_eq!(totals(&log, "a"), [300, 0, 300, 0, 0], "nothing decreases");
        log.close().await;
    }
}

#[tokio::test]
async fn a_webhook_larger_than_a_segment_is_taken_whole() {
    let mut house = House::with_segments(1 << 13);
    let log = house.open();
    let large = |n: u64| Event {
        body: Bytes::from(vec![b'x'; 3000]),
        ..event(n)
    };
    put(&log, 0, &["a"]).await;
    log.append((1..40).map(|n| accepted(large(n), &["a"])).collect())
        .await
        .unwrap();
    put(&log, 40, &["a"]).await;
    let mut log = log;
    for _ in 0..2 {
        let mut a = log.subscribe(&name("a"));
        for n in 0..=40 {
            let expected = if n % 40 == 0 { event(n) } else { large(n) };
            assert_eq!(next(&mut a).await.stored.event, expected);
        }
        nothing_more(&mut a).await;
        drop(a);
        house.crash(&mut fastrand::Rng::with_seed(1));
        log = house.open();
        adds_up(&log);
    }
}

/// What an account calls its oldest is the oldest that is pending, read or not.
#[tokio::test]
async fn the_oldest_is_never_one_that_ended() {
    let mut house = House::new();
    let log = house.open();
    for n in 0..300 {
        put(&log, n, &["a"]).await;
    }
    let oldest = |log: &Log| log.totals()[&name("a")].oldest;
    assert_eq!(oldest(&log), Some(event(0).accepted_at));
    let mut a = log.subscribe(&name("a"));
    let mut open = Vec::new();
    for _ in 0..256 {
        open.push(next(&mut a).await.stored.offset);
    }
    assert_eq!(oldest(&log), Some(event(0).accepted_at));
    for at in open {
        a.settle(at, Settlement::Delivered, None, "");
    }
    // Nothing is open, and the rest is on the disk alone.
    let account = log.shared().account(&name("a"));
    account.peek(log.shared()).unwrap();
    assert_eq!(oldest(&log), Some(event(256).accepted_at));
    put(&log, 300, &["other"]).await;
    drop(a);
    house.crash(&mut fastrand::Rng::with_seed(9));
    let log = house.open();
    assert_eq!(
        oldest(&log),
        Some(event(256).accepted_at),
        "at once after a start"
    );
    let mut a = log.subscribe(&name("a"));
    for n in 256..300 {
        let delivery = next(&mut a).await;
        assert_eq!(delivery.stored.event, event(n));
        a.settle(delivery.stored.offset, Settlement::Delivered, None, "");
    }
    assert_eq!(oldest(&log), None);
}

/// The writer's own patience is a second: hundreds of them would be too long.
#[tokio::test]
async fn a_writer_woken_for_nothing_hears_the_next_call() {
    let house = House::new();
    let log = house.open();
    let called = async {
        for n in 1..=400 {
            let shared = log.shared();
            until(|| lock(&shared.queue).sleep == Sleep::ForWork).await;
            shared.rouse(lock(&shared.queue));
            put(&log, n, &["a"]).await;
        }
    };
    let soon = Duration::from_secs(20);
    tokio::time::timeout(soon, called).await.unwrap();
}
