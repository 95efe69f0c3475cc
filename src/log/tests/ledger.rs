//! A destination's account by itself, step by step.

use super::pure::retrying;
use super::*;
use crate::log::ledger::{Ledger, Open, Pending};
use crate::settle::{Reason, Settlement};

/// Copy number `n`, of `10 n` bytes.
fn at(n: u32) -> Offset {
    Offset::new(1, 100 * n)
}

/// What owes copies 1 to `count` and has read none.
fn owing(count: u32) -> Ledger {
    let mut ledger = Ledger::default();
    (1..=count).for_each(|n| ledger.owe(at(n), 10 * n));
    ledger
}

/// Hands out what comes next.
fn hand_out(ledger: &mut Ledger, n: u32) -> Option<Open> {
    ledger.hand_out(at(n), at(n + 1), 10 * n, START)
}

fn pending(count: u32, bytes: u64) -> Pending {
    Pending { count, bytes }
}

#[test]
fn what_is_pending_is_what_is_owed_and_has_not_ended() {
    let mut ledger = owing(10);
    ledger.owe_settled(Settlement::Dead(Reason::BacklogFull));
    assert_eq!(
        (ledger.owed, ledger.pending(), ledger.unread()),
        (11, 10, 10)
    );
    assert_eq!(ledger.pending_bytes, 550);
    for n in 1..=8 {
        assert_eq!(hand_out(&mut ledger, n), Some(Open::new(10 * n, START)));
    }
    assert!(ledger.retrying(at(8), 1, START, START));
    assert_eq!((ledger.handed_out(), ledger.unread()), (8, 2));
    for (n, end) in [
        (1, Settlement::Delivered),
        (2, Settlement::Dead(Reason::Gone)),
        (3, Settlement::Dead(Reason::Gone)),
        (4, Settlement::Dropped),
        (5, Settlement::Dropped),
    ] {
        assert!(ledger.settle(at(n), end).is_some());
        assert_eq!(ledger.settle(at(n), end), None, "it has ended");
        assert!(!ledger.retrying(at(n), 2, START, START));
    }
    assert_eq!((ledger.delivered, ledger.dead, ledger.dropped), (1, 3, 2));
    assert_eq!((ledger.pending(), ledger.handed_out()), (5, 3));
    assert_eq!(ledger.pending_bytes, 400);
    assert_eq!(ledger.pending_in[&1], pending(5, 400));
    assert!(ledger.ahead.is_empty(), "all of it was read");
}

#[test]
fn what_ends_unread_is_read() {
    let mut ledger = owing(2);
    ledger.settle_unread(at(1), at(2), 10, Settlement::Dropped);
    assert_eq!((ledger.dropped, ledger.read), (1, at(2)));
    assert_eq!(ledger.pending_in[&1], pending(1, 20));
    ledger.settle_unread(at(2), at(3), 20, Settlement::Dropped);
    assert_eq!((ledger.dropped, ledger.pending_bytes), (2, 0));
    assert!(ledger.pending_in.is_empty());
}

#[test]
fn what_ended_before_it_was_read_is_not_handed_out() {
    let mut ledger = owing(3);
    ledger.replay_settled(at(2), 20, Settlement::Delivered);
    assert!(hand_out(&mut ledger, 1).is_some());
    assert!(ledger.ahead.contains(&at(2)), "it comes next");
    assert_eq!(hand_out(&mut ledger, 2), None);
    assert!(ledger.ahead.is_empty(), "nobody asks for it again");
    assert!(hand_out(&mut ledger, 3).is_some());
    assert_eq!((ledger.delivered, ledger.pending()), (1, 2));
}

#[test]
fn a_fact_counts_once_and_only_for_what_is_still_to_be_read() {
    let mut ledger = owing(4);
    ledger.advance(at(2));
    let before = ledger.clone();
    // The first was read, and is not open: it ended long ago.
    ledger.replay_retrying(&retrying(at(1), 1), Offset(1));
    ledger.replay_settled(at(1), 10, Settlement::Delivered);
    // In the ninth segment nothing is pending.
    ledger.replay_retrying(&retrying(Offset::new(9, 0), 1), Offset(1));
    ledger.replay_settled(Offset::new(9, 0), 10, Settlement::Delivered);
    assert_eq!(ledger, before);
    for n in [2, 3] {
        for (number, record) in [(2, 2000), (1, 1000)] {
            ledger.replay_retrying(&retrying(at(n), number), Offset(record));
        }
        let open = ledger.open[&at(n)];
        assert_eq!((open.attempts, open.last_fact), (2, Some(Offset(2000))));
    }
    for (n, delivered) in [(2, 1), (2, 1), (4, 2), (4, 2)] {
        ledger.replay_settled(at(n), 10 * n, Settlement::Delivered);
        assert_eq!(ledger.delivered, delivered, "{n}");
        ledger.replay_retrying(&retrying(at(n), 3), Offset(3000));
        assert_eq!(ledger.find(at(n)), None, "{n} has ended");
    }
    assert!(ledger.ahead.contains(&at(2)) && ledger.ahead.contains(&at(4)));
    let mut ledger = owing(2);
    ledger.advance(at(2));
    ledger.replay_settled(at(2), 20, Settlement::Delivered);
    assert_eq!(ledger.delivered, 1, "it is the next to be read");
}

#[test]
fn what_is_lost_is_what_is_neither_waiting_nor_handed_out() {
    let mut ledger = owing(10);
    ledger.owe(Offset::new(2, 0), 5);
    (1..=5).for_each(|n| assert!(hand_out(&mut ledger, n).is_some()));
    for n in [4, 5] {
        assert!(ledger.retrying(at(n), 1, START, START));
    }
    // The sixth and the seventh were read, and wait.
    let lost = ledger.unfound(1, pending(2, 130));
    assert_eq!(lost, pending(3, 270));
    assert_eq!(ledger.unfound(7, Pending::default()), Pending::default());
    ledger.lose(7, pending(3, 270));
    ledger.lose(1, lost);
    assert_eq!(ledger.pending_in[&1], pending(7, 280));
    assert_eq!(
        (ledger.dead, ledger.pending(), ledger.pending_bytes),
        (3, 8, 285)
    );
    ledger.lose(1, pending(99, 9999));
    assert!(!ledger.pending_in.contains_key(&1), "no more than there is");
    assert_eq!(
        (ledger.dead, ledger.pending(), ledger.pending_bytes),
        (10, 1, 5)
    );
}

#[test]
fn the_oldest_may_be_parked_or_open_and_idle_is_what_is_not_in_the_air() {
    let mut ledger = owing(3);
    (1..=3).for_each(|n| assert!(hand_out(&mut ledger, n).is_some()));
    ledger.open_up(at(1)).unwrap().in_flight = true;
    assert!(ledger.retrying(at(3), 1, START, START));
    assert_eq!(ledger.oldest(), Some((at(1), START)));
    assert_eq!(ledger.oldest_idle(), Some(at(2)));
    let all = Offset(0)..Offset(u64::MAX);
    assert_eq!(ledger.first_of(all.clone(), 2), [at(1), at(2)]);
    assert_eq!(ledger.first_of(all, 9), [at(1), at(2), at(3)]);
    assert!(ledger.settle(at(2), Settlement::Delivered).is_some());
    assert_eq!(ledger.oldest_idle(), Some(at(3)));
}

#[test]
fn what_nothing_is_known_of_is_parked() {
    let mut ledger = owing(2);
    ledger.hold(at(1), Open::new(10, START));
    let tried = Open {
        attempts: 1,
        ..Open::new(20, START)
    };
    ledger.hold(at(2), tried);
    assert_eq!((ledger.parked.len(), ledger.open.len()), (1, 1));
    assert_eq!(ledger.find(at(1)), Some(Open::new(10, START)));
    assert_eq!(ledger.find(at(2)), Some(tried));
}
