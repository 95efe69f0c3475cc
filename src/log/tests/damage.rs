//! Flipped bits, cut files, foreign and newer ones: nothing panics, nothing
//! wrong is delivered, and what is whole comes back.

use std::collections::BTreeSet;

use super::*;
use crate::settle::{Reason, Settlement};

/// A closed log of a few events, some settled; the path of its segment.
async fn written() -> (House, String) {
    let house = House::new();
    let log = house.open();
    let mut a = log.subscribe(&name("a"));
    for n in 0..4 {
        put(&log, n, &["a", "b"]).await;
    }
    log.append(vec![accepted(event(4), &["a"]), accepted(event(5), &["a"])])
        .await
        .unwrap();
    let at = next(&mut a).await.stored.offset;
    a.settle(at, Settlement::Delivered, Some(attempt(1)), "");
    let at = next(&mut a).await.stored.offset;
    a.retry(at, attempt(1), START);
    log.close().await;
    let path = house
        .disk
        .files()
        .into_iter()
        .find(|file| file.contains("/log/") && file.ends_with(".seg"))
        .unwrap();
    (house, path)
}

/// The numbers of the events that are read back; each as it was written.
async fn whole(log: &Log) -> BTreeSet<u64> {
    let stored = log.events(Filter::default(), None, 100).await.unwrap();
    let number = |stored: &Arc<Stored>| {
        let n = stored.event.accepted_at.since(START).as_millis() as u64;
        assert_eq!(stored.event, event(n));
        n
    };
    stored.iter().map(number).collect()
}

/// Takes all that is pending for `a`; every delivery must be as written.
async fn drain(log: &Log) {
    let mut a = log.subscribe(&name("a"));
    let mut idle = 0;
    while totals(log, "a")[4] > 0 {
        let Ok(delivery) = tokio::time::timeout(Duration::from_millis(5), a.next()).await else {
            // What cannot be read is settled by another thread, in its own time.
            idle += 1;
            assert!(idle < 4000, "pending, but never handed out");
            continue;
        };
        let n = delivery.stored.event.accepted_at.since(START).as_millis() as u64;
        assert_eq!(delivery.stored.event, event(n));
        a.settle(delivery.stored.offset, Settlement::Delivered, None, "");
    }
    adds_up(log);
}

#[tokio::test]
async fn a_flipped_byte_costs_at_most_what_it_hit() {
    let (house, path) = written().await;
    let bytes = house.disk.bytes(&path);
    for with_checkpoint in [true, false] {
        let stride = if with_checkpoint { 7 } else { 1 };
        for at in (0..bytes.len()).step_by(stride) {
            let disk = house.disk.copy();
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x40;
            disk.set_bytes(&path, flipped);
            if !with_checkpoint {
                disk.delete("/data/checkpoint");
                disk.delete("/data/checkpoint.old");
            }
            let house = House {
                disk,
                settings: house.settings.clone(),
                clock: house.clock.clone(),
            };
            let log = house.open();
            let left = whole(&log).await;
            let all: BTreeSet<u64> = (0..6).collect();
            let missing: Vec<u64> = all.difference(&left).copied().collect();
            assert!(
                (missing.len() <= 1 && !missing.contains(&4) && !missing.contains(&5))
                    || missing == [4, 5],
                "byte {at}: {missing:?}"
            );
            drain(&log).await;
        }
    }
}

/// X23: a torn tail is no reason not to start.
#[tokio::test]
async fn a_torn_tail_is_ignored_and_counted() {
    let (house, path) = written().await;
    let bytes = house.disk.bytes(&path);
    let mut last = usize::MAX;
    for length in (0..bytes.len()).rev() {
        let disk = house.disk.copy();
        disk.set_bytes(&path, bytes[..length].to_vec());
        disk.delete("/data/checkpoint");
        disk.delete("/data/checkpoint.old");
        let house = House {
            disk,
            settings: house.settings.clone(),
            clock: house.clock.clone(),
        };
        let (log, recovery) = house.try_open().unwrap();
        let left = whole(&log).await.len();
        assert!(
            left <= last && left != 5,
            "the two of one webhook go together"
        );
        assert!(
            length < 200 || recovery.torn_bytes < 700,
            "{recovery:?} at {length}"
        );
        last = left;
        adds_up(&log);
    }
    assert_eq!(last, 0);
}

#[tokio::test]
async fn damage_before_the_checkpoint_settles_what_cannot_be_read() {
    let house = House::with_segments(1 << 13);
    let log = house.open();
    for n in 0..100 {
        put(&log, n, &["a"]).await;
    }
    log.close().await;
    let path = house
        .disk
        .files()
        .into_iter()
        .find(|file| file.ends_with(".seg"))
        .unwrap();
    let mut bytes = house.disk.bytes(&path);
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    house.disk.set_bytes(&path, bytes);
    let metrics = Arc::new(Metrics::new());
    let disk = Arc::new(house.disk.clone());
    let (log, _) = Log::open_on(
        disk,
        house.settings.clone(),
        house.clock.clone(),
        Arc::clone(&metrics),
    )
    .unwrap();
    let mut a = log.subscribe(&name("a"));
    for _ in 0..99 {
        let at = next(&mut a).await.stored.offset;
        a.settle(at, Settlement::Delivered, None, "");
    }
    until(|| totals(&log, "a") == [100, 99, 1, 0, 0]).await;
    assert_eq!(
        metrics
            .log_quarantined_total
            .with_label_values::<&str>(&[])
            .get(),
        1
    );
    adds_up(&log);
    log.close().await;
    let log = house.open();
    assert_eq!(totals(&log, "a"), [100, 99, 1, 0, 0]);
}

#[tokio::test]
async fn an_open_copy_whose_event_is_damaged_dies() {
    let (house, path) = written().await;
    let mut bytes = house.disk.bytes(&path);
    let at = bytes
        .windows(7)
        .position(|window| window == b"{\"n\":1}")
        .unwrap();
    bytes[at] ^= 1;
    house.disk.set_bytes(&path, bytes);
    let log = house.open();
    assert_eq!(totals(&log, "a"), [6, 1, 0, 0, 5]);
    let mut a = log.subscribe(&name("a"));
    assert_eq!(next(&mut a).await.stored.event, event(2));
    until(|| totals(&log, "a") == [6, 1, 1, 0, 4]).await;
    adds_up(&log);
}

#[tokio::test]
async fn a_missing_segment_settles_what_it_held() {
    let (house, path) = written().await;
    house.disk.delete(&path);
    let log = house.open();
    assert_eq!(
        (totals(&log, "a"), totals(&log, "b")),
        ([6, 1, 5, 0, 0], [4, 0, 4, 0, 0])
    );
    adds_up(&log);
}

#[tokio::test]
async fn a_newer_format_is_refused_untouched() {
    let (house, path) = written().await;
    let header = segment::Header {
        format: segment::FORMAT + 1,
        log: [7; 16],
        id: 9,
        created: START,
    };
    let newer = "/data/log/0000000000000009.seg";
    let disk: &dyn Disk = &house.disk;
    disk.create(std::path::Path::new(newer))
        .unwrap()
        .write_all_at(&header.bytes(), 0)
        .unwrap();
    let before: Vec<_> = house
        .disk
        .files()
        .iter()
        .map(|file| (file.clone(), house.disk.bytes(file)))
        .collect();
    match house.try_open() {
        Err(OpenError::NewerFormat { found, known, path }) => {
            assert_eq!((found, known), (segment::FORMAT + 1, segment::FORMAT));
            assert_eq!(path, std::path::Path::new(newer));
        }
        other => panic!("{:?}", other.map(|(_, recovery)| recovery)),
    }
    let after: Vec<_> = house
        .disk
        .files()
        .iter()
        .map(|file| (file.clone(), house.disk.bytes(file)))
        .collect();
    assert!(before == after && before.iter().any(|(file, _)| *file == path));
}

#[tokio::test]
async fn a_segment_of_another_log_is_left_alone() {
    let (house, path) = written().await;
    let (other, _) = written().await;
    let foreign = "/data/log/0000000000000009.seg";
    let disk: &dyn Disk = &other.disk;
    disk.create(std::path::Path::new(foreign))
        .unwrap()
        .write_all_at(&house.disk.bytes(&path), 0)
        .unwrap();
    let (log, recovery) = other.try_open().unwrap();
    assert_eq!((recovery.quarantined, recovery.events), (1, 6));
    assert_eq!(totals(&log, "a"), [6, 1, 0, 0, 5]);
}

#[tokio::test]
async fn a_record_that_a_stranger_hid_in_a_body_is_never_believed() {
    let (house, path) = written().await;
    let bytes = house.disk.bytes(&path);
    let record = bytes[256..].to_vec();
    let disk = House::new();
    let log = disk.open();
    for n in 0..8 {
        let body = Bytes::from([vec![0; n], record.clone()].concat());
        log.append(vec![accepted(
            Event {
                body,
                ..event(n as u64)
            },
            &["a"],
        )])
        .await
        .unwrap();
    }
    log.close().await;
    let path = disk
        .disk
        .files()
        .into_iter()
        .find(|file| file.ends_with(".seg"))
        .unwrap();
    let mut bytes = disk.disk.bytes(&path);
    bytes[300] ^= 1;
    disk.disk.set_bytes(&path, bytes);
    disk.disk.delete("/data/checkpoint");
    let log = disk.open();
    assert!(totals(&log, "a")[0] <= 8);
}

#[tokio::test]
async fn an_offline_look_counts_what_is_there_and_names_what_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::new();
    let settings = Settings {
        data_dir: folder.path().to_owned(),
        ..house.settings.clone()
    };
    let (log, _) = Log::open(settings, Clock::system(), Arc::new(Metrics::new())).unwrap();
    let mut a = log.subscribe(&name("a"));
    for n in 0..3 {
        put(&log, n, &["a"]).await;
    }
    let at = next(&mut a).await.stored.offset;
    a.settle(at, Settlement::Dead(Reason::Gone), Some(attempt(1)), "gone");
    drop(a);
    log.close().await;
    let report = inspect::verify(folder.path(), &mut |_| {}).unwrap();
    assert!(report.is_sound(), "{report:?}");
    assert_eq!(
        (
            report.events,
            report.dead_letters,
            report.segments,
            report.torn_bytes
        ),
        (3, 1, 1, 0)
    );
    let stat = inspect::stat(folder.path(), &mut |_| {}).unwrap();
    assert_eq!(
        (stat.len(), stat[0].events, stat[0].first_at),
        (1, 3, Some(event(0).accepted_at))
    );
    let mut told = Vec::new();
    let mut each = |entry| told.push(serde_json::to_value(entry).unwrap());
    inspect::cat(folder.path(), &mut each, &mut |_| {}).unwrap();
    let records: Vec<&str> = told
        .iter()
        .map(|entry| entry["record"].as_str().unwrap())
        .collect();
    assert_eq!(
        records,
        ["names", "event", "event", "event", "settled", "dead_letter"]
    );
    assert_eq!(
        (&told[1]["owed"][0]["destination"], &told[4]["reason"]),
        (&"a".into(), &"gone".into())
    );
    let mut bytes = std::fs::read(&stat[0].file).unwrap();
    bytes[500] ^= 1;
    std::fs::write(&stat[0].file, bytes).unwrap();
    let report = inspect::verify(folder.path(), &mut |_| {}).unwrap();
    assert!(!report.is_sound());
    assert_eq!((report.damaged.len(), report.events), (1, 2));
}

#[tokio::test]
async fn a_damaged_copy_that_a_former_run_tried_is_settled_dead() {
    let mut house = House::new();
    let log = house.open();
    put(&log, 0, &["a"]).await;
    put(&log, 1, &["a"]).await;
    log.close().await;
    let log = house.open();
    let mut a = log.subscribe(&name("a"));
    let first = next(&mut a).await.stored.offset;
    a.retry(first, attempt(1), START);
    // With it what was written of the attempt is synced.
    put(&log, 2, &["b"]).await;
    house.crash(&mut fastrand::Rng::with_seed(1));
    let path = "/data/log/0000000000000001.seg";
    let mut bytes = house.disk.bytes(path);
    let needle = b"{\"n\":0}";
    let at = bytes.windows(needle.len()).position(|part| part == needle);
    bytes[at.unwrap()] ^= 1;
    house.disk.set_bytes(path, bytes);
    let log = house.open();
    // Opening looks at what nobody reads; the writer settles what it missed.
    until(|| totals(&log, "a") == [2, 0, 1, 0, 1]).await;
    let mut a = log.subscribe(&name("a"));
    let second = next(&mut a).await.stored.offset;
    assert!(second > first);
    a.settle(second, Settlement::Delivered, None, "");
    assert_eq!(totals(&log, "a"), [2, 1, 1, 0, 0]);
    adds_up(&log);
}
