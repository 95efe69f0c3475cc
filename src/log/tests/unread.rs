//! A disk that does not read at a start: what an account knows already is
//! stepped around and read later; what none knows yet is waited for.

use super::*;
use crate::log::disk::Disk;
use crate::settle::{Reason, Settlement};

const FIRST_SEGMENT: &str = "/data/log/0000000000000001.seg";

/// The same folder on a disk that reads everything.
fn healed(house: &House) -> House {
    House {
        disk: house.disk.copy(),
        settings: house.settings.clone(),
        clock: house.clock.clone(),
    }
}

/// Where an event's body lies.
fn find(house: &House, path: &str, n: u64) -> usize {
    let needle = format!("{{\"n\":{n}}}");
    let bytes = house.disk.bytes(path);
    let mut windows = bytes.windows(needle.len());
    let at = windows.position(|window| window == needle.as_bytes());
    at.expect("the event is there")
}

fn forget_ids(house: &House) {
    for path in house.disk.files() {
        if path.ends_with(".ids") {
            house.disk.delete(&path);
        }
    }
}

#[tokio::test]
async fn what_the_checkpoint_knows_of_an_unread_segment_is_not_lost_by_a_start() {
    for whole in [true, false] {
        let mut house = House::with_segments(1 << 13);
        let log = house.open();
        for n in 0..100 {
            put(&log, n, &["a"]).await;
        }
        log.close().await;
        house.disk = house.disk.copy();
        // So that the segment is read.
        forget_ids(&house);
        let before = house.disk.bytes(FIRST_SEGMENT);
        let five = find(&house, FIRST_SEGMENT, 5);
        let bad = if whole {
            0..before.len()
        } else {
            five..five + 1
        };
        house.disk.break_reads(FIRST_SEGMENT, bad);
        let (log, recovery) = house.try_open().unwrap();
        assert_eq!(recovery.quarantined, 1);
        assert_eq!(
            recovery.events, 100,
            "the checkpoint knows how many there are"
        );
        assert_eq!(totals(&log, "a"), [100, 0, 0, 0, 100]);
        assert_eq!(
            house.disk.bytes(FIRST_SEGMENT),
            before,
            "the file is left alone"
        );
        log.close().await;
        // It was a cable: the next start reads everything.
        let house = healed(&house);
        let log = house.open();
        let mut a = log.subscribe(&name("a"));
        for n in 0..100 {
            let delivery = next(&mut a).await;
            assert_eq!(delivery.stored.event, event(n));
            a.settle(delivery.stored.offset, Settlement::Delivered, None, "");
        }
        assert_eq!(totals(&log, "a"), [100, 100, 0, 0, 0]);
        adds_up(&log);
    }
}

#[tokio::test]
async fn a_sector_that_stays_bad_costs_what_lay_on_it() {
    let mut house = House::with_segments(1 << 13);
    let log = house.open();
    for n in 0..100 {
        put(&log, n, &["a"]).await;
    }
    log.close().await;
    house.disk = house.disk.copy();
    forget_ids(&house);
    let five = find(&house, FIRST_SEGMENT, 5);
    house.disk.break_reads(FIRST_SEGMENT, five..five + 1);
    let log = house.open();
    let mut a = log.subscribe(&name("a"));
    let mut got = 0;
    while totals(&log, "a")[4] > 0 {
        let delivery = next(&mut a).await;
        a.settle(delivery.stored.offset, Settlement::Delivered, None, "");
        put(&log, 1000 + got, &["other"]).await;
        got += 1;
    }
    assert!((80..100).contains(&got), "{got}");
    assert_eq!(totals(&log, "a"), [100, got, 100 - got, 0, 0]);
    adds_up(&log);
}

#[tokio::test]
async fn what_no_checkpoint_knows_is_waited_for_and_given_up_only_by_hand() {
    let mut house = House::new();
    let log = house.open();
    for n in 0..5 {
        put(&log, n, &["a"]).await;
    }
    house.disk = house.disk.copy();
    let three = find(&house, FIRST_SEGMENT, 3);
    house.disk.break_reads(FIRST_SEGMENT, three..three + 1);
    let before = house.disk.bytes(FIRST_SEGMENT);
    for _ in 0..2 {
        let Err(OpenError::Unread { path, from, to }) = house.try_open() else {
            panic!("an event could be lost");
        };
        assert_eq!(path, PathBuf::from(FIRST_SEGMENT));
        assert!((from as usize..to as usize).contains(&three), "{from} {to}");
        assert_eq!(house.disk.bytes(FIRST_SEGMENT), before);
    }
    assert_eq!(totals(&healed(&house).open(), "a"), [5, 0, 0, 0, 5]);
    // The operator puts zeros where nothing can be read.
    let house = healed(&house);
    let mut copied = before;
    copied[three - three % 512..][..16].fill(0);
    copied[three..three + 8].fill(0);
    house.disk.set_bytes(FIRST_SEGMENT, copied);
    let (log, recovery) = house.try_open().unwrap();
    assert!(recovery.quarantined >= 1);
    let left = totals(&log, "a")[4];
    assert!((3..5).contains(&left), "{left}");
}

#[tokio::test]
async fn an_unread_checkpoint_costs_time_and_two_of_them_are_waited_for() {
    let mut house = House::with_segments(1 << 13);
    let log = house.open();
    for n in 0..100 {
        put(&log, n, &["a"]).await;
    }
    log.close().await;
    house.disk = house.disk.copy();
    house.disk.break_reads("/data/checkpoint", 0..9);
    let (log, _) = house.try_open().unwrap();
    assert_eq!(totals(&log, "a"), [100, 0, 0, 0, 100]);
    log.close().await;
    house.disk = house.disk.copy();
    for file in ["/data/checkpoint", "/data/checkpoint.old"] {
        house.disk.break_reads(file, 0..9);
    }
    assert!(matches!(house.try_open(), Err(OpenError::Io { .. })));
    assert_eq!(totals(&healed(&house).open(), "a"), [100, 0, 0, 0, 100]);
}

#[tokio::test]
async fn a_header_or_a_list_of_ids_that_is_not_read_stops_no_start() {
    let mut house = House::new();
    let log = house.open();
    let resend = || vec![accepted(vendor(1, "x"), &["a"])];
    log.append(resend()).await.unwrap();
    log.close().await;
    house.disk = house.disk.copy();
    house.disk.break_reads(FIRST_SEGMENT, 0..128);
    house
        .disk
        .break_reads("/data/log/0000000000000001.ids", 0..1);
    let log = house.open();
    let again = log.append(resend()).await.unwrap();
    assert!(again[0].duplicate, "its segment says so, too");
    assert_eq!(totals(&log, "a"), [1, 0, 0, 0, 1]);
    log.close().await;
    // Without a checkpoint perhaps nothing else says which log this is.
    house.disk = house.disk.copy();
    for file in ["/data/checkpoint", "/data/checkpoint.old"] {
        house.disk.delete(file);
    }
    house.disk.break_reads(FIRST_SEGMENT, 0..128);
    let refused = house.try_open();
    assert!(matches!(refused, Err(OpenError::Unread { from: 0, .. })));
}

#[tokio::test]
async fn dead_letters_that_are_not_read_are_back_when_they_are() {
    let mut house = House::new();
    let log = house.open();
    let mut a = log.subscribe(&name("a"));
    for n in 0..30 {
        put(&log, n, &["a"]).await;
        let at = next(&mut a).await.stored.offset;
        a.settle(at, Settlement::Dead(Reason::Refused), None, "no");
    }
    until(|| log.totals()[&name("a")].dead_letters == 30).await;
    drop(a);
    log.close().await;
    house.disk = house.disk.copy();
    let file = "/data/dead/0000000000000001.seg";
    for bad in [0..1 << 20, find(&house, file, 7)..find(&house, file, 7) + 1] {
        house.disk = house.disk.copy();
        house.disk.break_reads(file, bad.clone());
        let (log, recovery) = house.try_open().unwrap();
        assert_eq!(recovery.quarantined, 1, "{bad:?}");
        let listed = log.totals()[&name("a")].dead_letters;
        assert!(listed < 30, "{bad:?}");
        log.close().await;
        assert!(house.disk.open(std::path::Path::new(file)).is_ok());
        let log = healed(&house).open();
        assert_eq!(log.totals()[&name("a")].dead_letters, 30, "{bad:?}");
    }
}
