//! Power cuts, failing disks: what was acknowledged is there afterwards.

use std::collections::BTreeMap;

use super::*;
use crate::settle::{Reason, Settlement};

#[tokio::test]
async fn a_failed_sync_poisons_the_log_for_good() {
    let house = House::new();
    let log = house.open();
    put(&log, 0, &["a"]).await;
    house.disk.fail_syncs(true);
    assert_eq!(
        log.append(vec![accepted(event(1), &["a"])]).await,
        Err(AppendError::Poisoned)
    );
    house.disk.fail_syncs(false);
    let syncs = house.disk.syncs();
    log.poisoned().await;
    assert_eq!(
        log.append(vec![accepted(event(2), &["a"])]).await,
        Err(AppendError::Poisoned)
    );
    assert!(log.health().is_err());
    log.close().await;
    assert_eq!(
        house.disk.syncs(),
        syncs,
        "a failed sync is never tried again"
    );
}

/// The system shows what it could not write, calls it clean, and writes it no
/// more: a start that believed it would acknowledge a resend of it, and the next
/// power cut would take it away.
#[tokio::test]
async fn what_a_failed_sync_left_in_memory_is_on_the_disk_before_it_is_believed() {
    for seed in 0..8 {
        let mut house = House::new();
        let log = house.open();
        put(&log, 0, &["a"]).await;
        house.disk.fail_syncs(true);
        let failed = log.append(vec![accepted(vendor(1, "v"), &["a"])]).await;
        assert_eq!(failed, Err(AppendError::Poisoned));
        log.close().await;
        house.disk.fail_syncs(false);
        house.disk.kill();
        let log = house.open();
        let again = log.append(vec![accepted(vendor(2, "v"), &["a"])]).await;
        assert!(again.unwrap()[0].duplicate, "it is there");
        house.crash(&mut fastrand::Rng::with_seed(seed));
        let log = house.open();
        assert_eq!(totals(&log, "a"), [2, 0, 0, 0, 2]);
        let mut a = log.subscribe(&name("a"));
        assert_eq!(number(&next(&mut a).await), 0);
        assert_eq!(number(&next(&mut a).await), 1, "seed {seed}: it is lost");
    }
}

/// The same of a dead letter: by it a copy is settled, and nothing else is
/// left of it.
#[tokio::test]
async fn a_letter_that_a_failed_sync_left_in_memory_is_on_the_disk_before_it_counts() {
    let refused = Settlement::Dead(Reason::Refused);
    for seed in 0..8 {
        let mut house = House::new();
        let log = house.open();
        put(&log, 0, &["a"]).await;
        put(&log, 1, &["a"]).await;
        let mut a = log.subscribe(&name("a"));
        let first = next(&mut a).await.stored.offset;
        let second = next(&mut a).await.stored.offset;
        // Makes the file that the other one's letter goes into.
        a.settle(first, refused, None, "no");
        put(&log, 2, &["other"]).await;
        house.disk.fail_syncs(true);
        a.settle(second, refused, None, "no");
        log.poisoned().await;
        drop(a);
        log.close().await;
        house.disk.fail_syncs(false);
        house.disk.kill();
        let log = house.open();
        let mut a = log.subscribe(&name("a"));
        let at = next(&mut a).await.stored.offset;
        assert_eq!(at, second);
        a.settle(at, refused, None, "no");
        until(|| totals(&log, "a") == [2, 0, 2, 0, 0]).await;
        put(&log, 3, &["other"]).await;
        drop(a);
        house.crash(&mut fastrand::Rng::with_seed(seed));
        let log = house.open();
        let letters = log.totals()[&name("a")].dead_letters;
        let told = (totals(&log, "a"), letters);
        assert_eq!(told, ([2, 0, 2, 0, 0], 2), "seed {seed}");
    }
}

/// Some work with everything in it; tells what was acknowledged.
async fn work(log: &Log) -> Vec<EventId> {
    let mut acknowledged = Vec::new();
    let mut a = log.subscribe(&name("a"));
    for n in 0..40 {
        let events = vec![
            accepted(event(3 * n), &["a", "b"]),
            accepted(event(3 * n + 1), &["b"]),
        ];
        match log.append(events).await {
            Ok(receipts) => acknowledged.extend(receipts.iter().map(|receipt| receipt.id)),
            Err(_) => return acknowledged,
        }
        let taken = tokio::time::timeout(Duration::from_secs(1), a.next()).await;
        let Ok(delivery) = taken else {
            return acknowledged;
        };
        match n % 3 {
            2 => a.retry(delivery.stored.offset, attempt(1), START),
            other => {
                let dead = Settlement::Dead(Reason::Refused);
                let end = [Settlement::Delivered, dead][other as usize];
                assert!(a.settle(delivery.stored.offset, end, None, ""));
            }
        }
    }
    acknowledged
}

async fn all_ids(log: &Log) -> Vec<EventId> {
    let mut ids: Vec<EventId> = log
        .events(Filter::default(), None, usize::MAX)
        .await
        .unwrap()
        .iter()
        .map(|stored| stored.event.id)
        .collect();
    ids.sort_unstable();
    ids
}

/// X23: every operation is one of them, those on folders too; and what a crash
/// leaves can be opened, always.
#[tokio::test]
async fn whichever_operation_fails_nothing_acknowledged_is_lost() {
    let mut n = 0;
    let mut step = 1;
    loop {
        n += step;
        // Every one of the first, then further apart.
        step = 1 + n / 60;
        let mut house = House::with_segments(1 << 12);
        house.disk.fail_at(n);
        let mut acknowledged = Vec::new();
        if let Ok((log, _)) = house.try_open() {
            acknowledged = work(&log).await;
            log.close().await;
        }
        let clean = house.disk.operations() < n;
        house.crash(&mut fastrand::Rng::with_seed(n));
        let log = house.open();
        let ids = all_ids(&log).await;
        assert!(
            acknowledged.iter().all(|id| ids.binary_search(id).is_ok()),
            "operation {n}"
        );
        adds_up(&log);
        if clean {
            return;
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Copy {
    Pending,
    Ended,
}

/// What a checker of its own knows: not the ledger, only what was answered.
#[derive(Debug, Default)]
struct Model {
    /// Acknowledged events by number; their copies at `a` and `b`.
    acknowledged: BTreeMap<u64, [Copy; 2]>,
    next: u64,
}

const TO: [&str; 2] = ["a", "b"];

/// One life of the log: random work, then the power goes.
async fn live(house: &House, model: &mut Model, chance: &mut fastrand::Rng) {
    let (log, recovery) = house.try_open().unwrap();
    assert_eq!(recovery.quarantined, 0, "torn, not damaged");
    adds_up(&log);
    let mut subscriptions = TO.map(|to| log.subscribe(&name(to)));
    let mut held: [Vec<Delivery>; 2] = [Vec::new(), Vec::new()];
    for _ in 0..chance.u32(5..60) {
        let side = chance.usize(..2);
        match chance.u8(..10) {
            0..5 => {
                let count = chance.u64(1..4);
                let numbers: Vec<u64> = (model.next..model.next + count).collect();
                model.next += count;
                let events = numbers.iter().map(|n| accepted(event(*n), &TO)).collect();
                if log.append(events).await.is_ok() {
                    model
                        .acknowledged
                        .extend(numbers.iter().map(|n| (*n, [Copy::Pending; 2])));
                }
            }
            5..8 => {
                let taken =
                    tokio::time::timeout(Duration::from_millis(5), subscriptions[side].next())
                        .await;
                held[side].extend(taken.ok());
            }
            _ if held[side].is_empty() => {}
            what => {
                let delivery = held[side].swap_remove(chance.usize(..held[side].len()));
                let (at, n) = (delivery.stored.offset, number(&delivery));
                if what == 8 {
                    subscriptions[side].retry(at, attempt(delivery.attempts + 1), START);
                } else {
                    let dead = Settlement::Dead(Reason::Refused);
                    let end = if chance.bool() {
                        Settlement::Delivered
                    } else {
                        dead
                    };
                    subscriptions[side].settle(at, end, None, "");
                    if let Some(copies) = model.acknowledged.get_mut(&n) {
                        copies[side] = Copy::Ended;
                    }
                }
            }
        }
    }
}

fn number(delivery: &Delivery) -> u64 {
    delivery.stored.event.accepted_at.since(START).as_millis() as u64
}

/// X23: names that were not synced may be gone, the last write may be torn,
/// and the log is opened again and again.
#[tokio::test]
async fn over_power_cuts_nothing_acknowledged_is_lost_and_every_copy_is_in_one_state() {
    for seed in 0..25 {
        let mut chance = fastrand::Rng::with_seed(seed);
        let mut house = House::with_segments(1 << 13);
        let mut model = Model::default();
        for _ in 0..4 {
            live(&house, &mut model, &mut chance).await;
            house.crash(&mut chance);
        }
        check(&house, &model, seed).await;
    }
}

async fn check(house: &House, model: &Model, seed: u64) {
    let (log, recovery) = house.try_open().unwrap();
    assert_eq!(recovery.quarantined, 0, "seed {seed}: torn, not damaged");
    adds_up(&log);
    let ids = all_ids(&log).await;
    for (side, to) in TO.into_iter().enumerate() {
        let [owed, delivered, dead, dropped, pending] = totals(&log, to);
        assert_eq!(
            owed as usize,
            ids.len(),
            "seed {seed}: every event in the log owes one copy"
        );
        assert_eq!(dropped, 0);
        let mut subscription = log.subscribe(&name(to));
        let mut again = std::collections::BTreeSet::new();
        for _ in 0..pending {
            let delivery = next(&mut subscription).await;
            assert_eq!(delivery.stored.event, event(number(&delivery)));
            assert!(
                again.insert(number(&delivery)),
                "seed {seed}: handed out twice"
            );
        }
        nothing_more(&mut subscription).await;
        for (n, copies) in &model.acknowledged {
            assert!(
                ids.binary_search(&event(*n).id).is_ok(),
                "seed {seed}: {n} is lost"
            );
            assert!(
                copies[side] == Copy::Ended || again.contains(n),
                "seed {seed}: {n} of {to} vanished"
            );
        }
        // Every dead copy has its letter, and only those.
        let filter = Filter {
            destination: Some(name(to)),
            ..Filter::default()
        };
        let letters = log.dead(filter, None, usize::MAX).await.unwrap();
        assert!(
            letters.len() as u64 >= dead,
            "seed {seed}: {} letters for {dead}",
            letters.len()
        );
        assert_eq!(delivered + dead + pending, owed);
    }
}

/// X9: fan-out is atomic, and so are the events of one webhook.
#[tokio::test]
async fn a_webhook_of_several_events_is_there_whole_or_not_at_all() {
    for seed in 0..60 {
        let mut chance = fastrand::Rng::with_seed(seed);
        let mut house = House::new();
        let log = house.open();
        put(&log, 0, &["a"]).await;
        let mut bytes = Vec::new();
        let path = house
            .disk
            .files()
            .into_iter()
            .find(|file| file.ends_with(".seg"))
            .unwrap();
        let before = house.disk.bytes(&path);
        log.append((1..9).map(|n| accepted(event(n), &["a"])).collect())
            .await
            .unwrap();
        bytes.extend(house.disk.bytes(&path));
        // Undo a random part of the last write, sector by sector.
        for (old, new) in before.chunks(512).zip(bytes.chunks_mut(512)) {
            if chance.bool() {
                new.copy_from_slice(old);
            }
        }
        house.crash(&mut chance);
        house.disk.set_bytes(&path, bytes);
        let log = house.open();
        let events = all_ids(&log).await.len();
        assert!(
            matches!(events, 1 | 9) || events == 0 || events == 8,
            "{events} of 1 + 8"
        );
    }
}
