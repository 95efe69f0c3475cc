//! Sectors that went bad, and what a power cut leaves half done.

use std::path::Path;

use super::*;
use crate::log::disk::Disk;
use crate::log::writer::Writer;
use crate::settle::{Reason, Settlement};

/// The log's first segment, and where an event's body lies in it.
fn place(house: &House, n: u64) -> (String, usize) {
    let needle = format!("{{\"n\":{n}}}");
    let files = house.disk.files().into_iter();
    for path in files.filter(|file| file.contains("/log/") && file.ends_with(".seg")) {
        let bytes = house.disk.bytes(&path);
        let mut windows = bytes.windows(needle.len());
        if let Some(at) = windows.position(|window| window == needle.as_bytes()) {
            return (path, at);
        }
    }
    panic!("event {n} is not there");
}

fn flip(house: &House, n: u64) {
    let (path, at) = place(house, n);
    let mut bytes = house.disk.bytes(&path);
    bytes[at + 1] ^= 1;
    house.disk.set_bytes(&path, bytes);
}

/// A power cut after the letters were synced, and before what speaks of them:
/// of the files that were there before, nothing is left of what came since.
fn forget_settlements(house: &mut House, before: &SimDisk) {
    let disk = house.disk.copy();
    for path in before.files() {
        disk.set_bytes(&path, before.bytes(&path));
    }
    house.disk = disk;
}

#[tokio::test]
async fn a_copy_that_was_delivered_before_its_event_was_damaged_stays_delivered() {
    let mut house = House::new();
    let log = house.open();
    for n in 0..3 {
        put(&log, n, &["a"]).await;
    }
    log.close().await;
    let log = house.open();
    let mut a = log.subscribe(&name("a"));
    for _ in 0..2 {
        let at = next(&mut a).await.stored.offset;
        a.settle(at, Settlement::Delivered, None, "");
    }
    put(&log, 3, &["other"]).await;
    drop(a);
    house.disk = house.disk.copy();
    flip(&house, 1);
    let ids: Vec<String> = house.disk.files();
    for path in ids.iter().filter(|file| file.ends_with(".ids")) {
        // So that the segment is read again, damage and all.
        house.disk.delete(path);
    }
    let log = house.open();
    let mut a = log.subscribe(&name("a"));
    assert_eq!(next(&mut a).await.stored.event, event(2));
    nothing_more(&mut a).await;
    assert_eq!(totals(&log, "a"), [3, 2, 0, 0, 1]);
    adds_up(&log);
}

#[tokio::test]
async fn a_letter_whose_copy_is_delivered_after_all_leaves_the_list() {
    for end in [Settlement::Delivered, Settlement::Dropped] {
        let mut house = House::new();
        let log = house.open();
        let mut a = log.subscribe(&name("a"));
        put(&log, 0, &["a"]).await;
        put(&log, 1, &["a"]).await;
        let before = house.disk.copy();
        for _ in 0..2 {
            let at = next(&mut a).await.stored.offset;
            a.settle(at, Settlement::Dead(Reason::Refused), None, "no");
        }
        until(|| log.totals()[&name("a")].dead_letters == 2).await;
        drop(a);
        // The letters were synced, the settlements were not.
        forget_settlements(&mut house, &before);
        let log = house.open();
        assert_eq!(totals(&log, "a"), [2, 0, 0, 0, 2]);
        let mut a = log.subscribe(&name("a"));
        let at = next(&mut a).await.stored.offset;
        a.settle(at, end, None, "");
        put(&log, 2, &["other"]).await;
        let left = log.dead(Filter::default(), None, 9).await.unwrap();
        assert_eq!(left.len(), 1, "{end:?}");
        assert_eq!(left[0].event, event(1).id);
        drop(a);
        house.crash(&mut fastrand::Rng::with_seed(4));
        let log = house.open();
        assert_eq!(log.totals()[&name("a")].dead_letters, 1);
    }
}

/// A letter that was dropped stays away, though its copy died twice: a power
/// cut took the first settlement and left the letter.
#[tokio::test]
async fn a_copy_that_dies_again_after_a_power_cut_has_one_letter() {
    let mut house = House::new();
    let log = house.open();
    let mut a = log.subscribe(&name("a"));
    put(&log, 0, &["a"]).await;
    let before = house.disk.copy();
    let at = next(&mut a).await.stored.offset;
    a.settle(at, Settlement::Dead(Reason::Refused), None, "no");
    until(|| log.totals()[&name("a")].dead_letters == 1).await;
    drop(a);
    forget_settlements(&mut house, &before);
    let log = house.open();
    let mut a = log.subscribe(&name("a"));
    let at = next(&mut a).await.stored.offset;
    a.settle(at, Settlement::Dead(Reason::Exhausted), None, "no");
    until(|| log.totals()[&name("a")].dead == 1).await;
    let letters = log.dead(Filter::default(), None, 9).await.unwrap();
    assert_eq!(letters.len(), 1);
    assert!(log.dead_drop(letters[0].id).await.unwrap());
    drop(a);
    log.close().await;
    // Nothing is left in the first file, and so it goes.
    let first = Path::new("/data/dead/0000000000000001.seg");
    house.disk.remove(first).unwrap();
    assert_eq!(house.open().totals()[&name("a")].dead_letters, 0);
}

/// The power cut came after the letter was dropped: the copy died again, and
/// that letter is listed.
#[tokio::test]
async fn a_letter_written_after_another_of_its_copy_was_dropped_is_listed() {
    let mut house = House::new();
    let log = house.open();
    let mut a = log.subscribe(&name("a"));
    put(&log, 0, &["a"]).await;
    let before = house.disk.copy();
    let die = async |log: &Log, a: &mut Subscription| {
        let at = next(a).await.stored.offset;
        a.settle(at, Settlement::Dead(Reason::Refused), None, "no");
        until(|| log.totals()[&name("a")].dead_letters == 1).await;
    };
    die(&log, &mut a).await;
    drop(a);
    let letters = log.dead(Filter::default(), None, 9).await.unwrap();
    assert!(log.dead_drop(letters[0].id).await.unwrap());
    forget_settlements(&mut house, &before);
    let log = house.open();
    let mut a = log.subscribe(&name("a"));
    die(&log, &mut a).await;
    drop(a);
    log.close().await;
    for _ in 0..2 {
        let log = house.open();
        assert_eq!(log.totals()[&name("a")].dead_letters, 1);
        log.close().await;
    }
}

#[tokio::test]
async fn damage_that_a_reader_passed_in_the_segment_being_written_is_settled() {
    let house = House::with_segments(1 << 13);
    let log = house.open();
    for n in 0..5 {
        put(&log, n, &["a"]).await;
    }
    flip(&house, 2);
    let mut a = log.subscribe(&name("a"));
    for _ in 0..4 {
        let at = next(&mut a).await.stored.offset;
        a.settle(at, Settlement::Delivered, None, "");
    }
    nothing_more(&mut a).await;
    assert_eq!(totals(&log, "a"), [5, 4, 0, 0, 1]);
    for n in 5..60 {
        put(&log, n, &["other"]).await;
    }
    assert_eq!(totals(&log, "a"), [5, 4, 1, 0, 0]);
    adds_up(&log);
    let again = House {
        disk: house.disk.copy(),
        settings: house.settings.clone(),
        clock: house.clock.clone(),
    };
    assert_eq!(totals(&again.open(), "a"), [5, 4, 1, 0, 0]);
}

#[tokio::test]
async fn damage_that_was_passed_before_a_crash_is_settled_at_the_next_start() {
    let mut house = House::new();
    let log = house.open();
    for n in 0..3 {
        put(&log, n, &["a"]).await;
    }
    log.close().await;
    let metrics = Arc::new(Metrics::new());
    let disk = Arc::new(house.disk.clone());
    let (settings, clock) = (house.settings.clone(), house.clock.clone());
    let (mut writer, _): (Writer, _) = recover::open(disk, settings, clock, metrics).unwrap();
    // Its reader found none of them; before it was said, the power went.
    let account = writer.shared.account(&name("a"));
    let tail = writer.shared.tail();
    lock(&account.state).ledger.advance(tail);
    writer.checkpoint().unwrap();
    house.disk = house.disk.copy();
    for _ in 0..2 {
        let log = house.open();
        assert_eq!(totals(&log, "a"), [3, 0, 3, 0, 0]);
        adds_up(&log);
        drop(log);
        house.disk = house.disk.copy();
    }
}

/// What was tried before a crash is read again behind what is damaged, and
/// counts once.
#[tokio::test]
async fn damage_beside_a_copy_that_was_tried_before_is_settled() {
    let mut house = House::new();
    let log = house.open();
    for n in 0..5 {
        put(&log, n, &["a"]).await;
    }
    log.close().await;
    let log = house.open();
    // The last checkpoint: it knows of no attempt.
    put(&log, 8, &["other"]).await;
    let mut a = log.subscribe(&name("a"));
    let mut at = Offset(0);
    for _ in 0..4 {
        at = next(&mut a).await.stored.offset;
    }
    a.retry(at, attempt(1), START);
    put(&log, 9, &["other"]).await;
    house.disk = house.disk.copy();
    let log = house.open();
    flip(&house, 2);
    // No segment begins after it was read: the reader must see it himself.
    put(&log, 10, &["other"]).await;
    let mut a = log.subscribe(&name("a"));
    for n in [0, 1, 3, 4] {
        let delivery = next(&mut a).await;
        assert_eq!(delivery.stored.event.id, event(n).id);
        assert_eq!(delivery.attempts, u32::from(n == 3));
        a.settle(delivery.stored.offset, Settlement::Delivered, None, "");
    }
    nothing_more(&mut a).await;
    until(|| totals(&log, "a") == [5, 4, 1, 0, 0]).await;
}

#[tokio::test]
async fn a_bad_sector_costs_what_lay_on_it_and_stops_nobody() {
    let house = House::with_segments(1 << 13);
    let log = house.open();
    for n in 0..100 {
        put(&log, n, &["a"]).await;
    }
    let (path, at) = place(&house, 5);
    house.disk.break_reads(&path, at..at + 1);
    let mut a = log.subscribe(&name("a"));
    let mut missing = 0;
    for n in 0..100 {
        if totals(&log, "a")[4] == 0 {
            missing = 100 - n;
            break;
        }
        let taken = tokio::time::timeout(Duration::from_secs(3), a.next());
        let at = taken.await.expect("a delivery").stored.offset;
        a.settle(at, Settlement::Delivered, None, "");
        if n >= 80 {
            // Time for the loss to be noted before the next is asked for.
            put(&log, 1000 + n, &["other"]).await;
        }
    }
    assert!((1..=20).contains(&missing), "{missing}");
    assert_eq!(totals(&log, "a"), [100, 100 - missing, missing, 0, 0]);
    assert_eq!(log.health(), Ok(()));
    adds_up(&log);
}

#[tokio::test]
async fn a_death_whose_event_cannot_be_read_poisons_nothing() {
    let house = House::new();
    let log = house.open();
    let mut a = log.subscribe(&name("a"));
    put(&log, 0, &["a"]).await;
    let at = next(&mut a).await.stored.offset;
    let (path, place) = place(&house, 0);
    house.disk.break_reads(&path, place..place + 1);
    a.settle(at, Settlement::Dead(Reason::Refused), None, "no");
    put(&log, 1, &["a"]).await;
    assert_eq!(log.health(), Ok(()));
    assert_eq!(totals(&log, "a"), [2, 0, 1, 0, 1]);
}

#[tokio::test]
async fn a_fresh_data_folder_is_there_after_a_power_cut() {
    let mut house = House::new();
    house.settings.data_dir = PathBuf::from("/var/lib/hookfan/data");
    let log = house.open();
    put(&log, 0, &["a"]).await;
    house.crash(&mut fastrand::Rng::with_seed(1));
    let log = house.open();
    assert_eq!(totals(&log, "a"), [1, 0, 0, 0, 1]);
}
