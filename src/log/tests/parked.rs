//! Copies that were handed out and wait in their lanes: what they cost, and
//! that a crash loses and repeats none of them.

use std::collections::BTreeMap;
use std::mem::size_of;

use proptest::prelude::*;

use super::*;
use crate::log::checkpoint::{Checkpoint, Found, SLICE_BYTES};
use crate::log::parked::{Parked, Waiting};
use crate::log::record::Out;
use crate::log::writer::Writer;
use crate::settle::{Reason, Settlement};

fn place(n: u64) -> Offset {
    Offset::new(1 + (n / 1000) as u32, 128 + 8 * (n % 1000) as u32)
}

#[test]
fn a_parked_copy_costs_sixteen_bytes() {
    let mut parked = Parked::default();
    for n in 0..100_000 {
        parked.insert(place(n), 7, START);
    }
    let stretches = parked.stretches().len();
    let around = stretches * (size_of::<Vec<Waiting>>() + 64);
    let held: usize = parked.stretches().map(|one| one.copies.capacity()).sum();
    assert_eq!(size_of::<Waiting>(), 16);
    let bytes = held * 16 + around;
    assert!(bytes <= 17 * 100_000, "{bytes}");
    // Taken out one by one, they give their memory back.
    for n in (0..100_000).filter(|n| n % 10 != 0) {
        parked.remove(place(n)).unwrap();
    }
    let held: usize = parked.stretches().map(|one| one.copies.capacity()).sum();
    assert!(held <= 4 * parked.len(), "{held} for {}", parked.len());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_parked_is_what_a_plain_map_would_hold(
        steps in proptest::collection::vec((0..3000_u64, 0..4_u8), 0..40),
        from in 0..3000_u64,
        length in 0..3000_u64,
    ) {
        let (mut parked, mut map) = (Parked::default(), BTreeMap::new());
        for (n, what) in steps {
            // Runs, so that stretches fill, split and empty.
            for n in n..(n + 700).min(3000) {
                let (at, size) = (place(n), n as u32);
                if what < 3 {
                    parked.insert(at, size, START);
                    map.entry(at).or_insert(size);
                } else {
                    let size = parked.remove(at).map(|waiting| waiting.size);
                    prop_assert_eq!(size, map.remove(&at));
                }
            }
            prop_assert_eq!(parked.len(), map.len());
        }
        let range = place(from)..place(from + length);
        let inside: Vec<Offset> = map.range(range.clone()).map(|(at, _)| *at).collect();
        prop_assert_eq!(parked.range(range).collect::<Vec<_>>(), inside);
        prop_assert_eq!(parked.first().map(|(at, _)| at), map.keys().next().copied());
        prop_assert_eq!(parked.get(place(from)).map(|one| one.size), map.get(&place(from)).copied());
        for segment in 0..5 {
            let of = map.iter().filter(|(at, _)| at.segment() == segment);
            let sizes: Vec<u64> = of.map(|(_, size)| u64::from(*size)).collect();
            let pending = parked.pending_in(segment);
            prop_assert_eq!((pending.count as usize, pending.bytes), (sizes.len(), sizes.iter().sum()));
        }
        for one in parked.stretches() {
            prop_assert!((1..=512).contains(&one.copies.len()));
        }
    }
}

/// Hands out `count` copies of `a`, of which some are tried and some settled;
/// says which numbers are still pending, and their attempts.
async fn park(log: &Log, a: &mut Subscription, count: u64) -> BTreeMap<u64, u32> {
    let mut pending = BTreeMap::new();
    for n in 0..count {
        let delivery = next(a).await;
        let at = delivery.stored.offset;
        assert_eq!(delivery.stored.event, event(n), "accepted order");
        match n % 7 {
            1 => {
                assert!(a.start(at));
                a.retry(at, attempt(1), START);
                pending.insert(n, 1);
            }
            2 => assert!(a.settle(at, Settlement::Delivered, None, "")),
            // In the air when the power goes.
            3 => {
                assert!(a.start(at));
                pending.insert(n, 0);
            }
            5 => assert!(a.settle(at, Settlement::Dead(Reason::Refused), None, "")),
            _ => {
                pending.insert(n, 0);
            }
        }
        assert!(!a.settle(Offset(at.0 + 8), Settlement::Delivered, None, ""));
    }
    let held = log.shared().account(&name("a"));
    let state = lock(&held.state);
    let tried = pending.keys().filter(|n| matches!(*n % 7, 1 | 3)).count();
    assert_eq!(state.ledger.open.len(), tried, "the rest is parked");
    assert_eq!(state.ledger.handed_out(), pending.len());
    pending
}

#[tokio::test]
async fn parked_copies_survive_a_crash_before_and_after_a_checkpoint() {
    for (checkpoints, clean) in [(0, false), (1, false), (2, false), (0, true)] {
        let mut house = House::with_segments(1 << 14);
        let log = house.open();
        for n in 0..300 {
            put(&log, n, &["a"]).await;
        }
        let mut a = log.subscribe(&name("a"));
        let pending = park(&log, &mut a, 200).await;
        for n in 0..checkpoints * 200 {
            // Every new segment brings a checkpoint; the last sync covers all.
            put(&log, 1000 + n, &["other"]).await;
        }
        put(&log, 5000, &["other"]).await;
        drop(a);
        if clean {
            log.close().await;
        } else {
            house.crash(&mut fastrand::Rng::with_seed(checkpoints));
        }
        let log = house.open();
        adds_up(&log);
        let left = pending.len() as u64 + 100;
        assert_eq!(log.totals()[&name("a")].pending(), left);
        let mut a = log.subscribe(&name("a"));
        let expected = pending.into_iter().chain((200..300).map(|n| (n, 0)));
        for (n, attempts) in expected {
            let delivery = next(&mut a).await;
            assert_eq!(delivery.stored.event, event(n), "{checkpoints} {clean}");
            assert_eq!(delivery.attempts, attempts, "{n}");
            assert!(a.settle(delivery.stored.offset, Settlement::Delivered, None, ""));
        }
        nothing_more(&mut a).await;
        assert_eq!(log.totals()[&name("a")].pending(), 0);
        adds_up(&log);
    }
}

/// What a restart makes of a disk as it is now.
async fn check(house: &House, disk: SimDisk, pending: u64, first: u64) {
    let again = House {
        disk,
        settings: house.settings.clone(),
        clock: house.clock.clone(),
    };
    let log = again.open();
    adds_up(&log);
    assert_eq!(log.totals()[&name("a")].pending(), pending);
    let mut a = log.subscribe(&name("a"));
    for n in first..first + 40 {
        assert_eq!(next(&mut a).await.stored.event, event(n));
    }
}

#[tokio::test]
async fn a_large_checkpoint_goes_in_slices_and_may_be_cut_off_after_any() {
    const PARKED: u64 = 40_000;
    let mut house = House::with_segments(1 << 25);
    let log = house.open();
    let mut a = log.subscribe(&name("a"));
    for chunk in 0..PARKED / 1000 {
        let numbers = chunk * 1000..(chunk + 1) * 1000;
        let events = numbers.map(|n| accepted(event(n), &["a"])).collect();
        log.append(events).await.unwrap();
    }
    for _ in 0..PARKED {
        next(&mut a).await;
    }
    log.close().await;
    house.disk = house.disk.copy();
    let (disk, metrics) = (Arc::new(house.disk.clone()), Arc::new(Metrics::new()));
    let opened = recover::open(disk, house.settings.clone(), house.clock.clone(), metrics);
    let (mut writer, _): (Writer, _) = opened.unwrap();
    while writer.unfinished.is_some() {
        writer.keep_checkpoint().unwrap();
    }
    let account = writer.shared.account(&name("a"));
    assert_eq!(lock(&account.state).ledger.parked.len() as u64, PARKED);
    writer.since_checkpoint = 1 << 30;
    let before = house.disk.bytes("/data/checkpoint");
    let mut lengths = vec![0];
    loop {
        writer.keep_checkpoint().unwrap();
        if writer.unfinished.is_none() {
            break;
        }
        assert_eq!(house.disk.bytes("/data/checkpoint"), before);
        lengths.push(house.disk.bytes("/data/checkpoint.tmp").len());
        // Meanwhile the oldest two end; the old checkpoint and the facts say so.
        for _ in 0..2 {
            let at = lock(&account.state).ledger.oldest_idle().unwrap();
            let settled = account.settle(at, Settlement::Dropped, None, String::new());
            writer.settle(settled.unwrap()).unwrap();
        }
        writer.commit().unwrap();
        writer.sync().unwrap();
        let gone = 2 * (lengths.len() as u64 - 1);
        check(&house, house.disk.copy(), PARKED - gone, gone).await;
        let crashed = house.disk.copy().crash(&mut fastrand::Rng::with_seed(gone));
        check(&house, crashed, PARKED - gone, gone).await;
    }
    let whole = house.disk.bytes("/data/checkpoint");
    lengths.push(whole.len());
    assert_ne!(whole, before);
    assert!(whole.len() as u64 <= PARKED * 16 + 4096, "{lengths:?}");
    assert!(lengths.len() > 3, "{lengths:?}");
    let slices = lengths.windows(2).map(|pair| pair[1] - pair[0]);
    assert!(slices.max().unwrap() < SLICE_BYTES + 16 * 1024);
    let gone = 2 * (lengths.len() as u64 - 2);
    check(&house, house.disk.copy(), PARKED - gone, gone).await;
}

/// A checkpoint as version 0.1 first wrote it, drawn by hand.
#[test]
fn a_checkpoint_of_format_1_is_read() {
    let mut bytes = b"hookfanc".to_vec();
    let mut out = Out(&mut bytes);
    out.u32(1);
    out.raw(&[3; 16]);
    out.u64(77);
    out.u32(0);
    // One account: its id, paused, totals.
    out.u32(1);
    out.u32(9);
    out.u8(1);
    out.u64(0);
    for total in [3, 1, 0, 0, 20, 500] {
        out.u64(total);
    }
    // Two open copies, of which one was tried.
    out.u32(2);
    for (at, attempts, not_before) in [(300, 0, 0), (400, 2, 1234)] {
        out.u64(at);
        out.u32(attempts);
        out.u64(not_before);
        out.u64(not_before);
        out.u32(10);
        out.u64(99);
        out.u64(u64::from(attempts));
    }
    out.u32(0);
    out.u32(1);
    out.u32(0);
    out.u32(2);
    out.u64(20);
    out.u32(0);
    out.u32(0);
    let crc = crc32c::crc32c(&bytes);
    bytes.extend(crc.to_le_bytes());
    let disk = SimDisk::default();
    let path = std::path::Path::new("/data/checkpoint");
    Disk::create(&disk, path).unwrap();
    disk.set_bytes("/data/checkpoint", bytes);
    let Found::Whole(found) = Checkpoint::read(&disk, path).unwrap() else {
        panic!("it is whole");
    };
    let ledger = &found.accounts[0].ledger;
    assert_eq!(
        ledger
            .parked
            .range(Offset(0)..Offset(999))
            .collect::<Vec<_>>(),
        [Offset(300)]
    );
    assert_eq!(ledger.open[&Offset(400)].attempts, 2);
    assert_eq!((ledger.pending(), ledger.unread()), (2, 0));
}
