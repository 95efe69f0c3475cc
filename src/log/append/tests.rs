//! What is asked before events are taken in: whether budgets hold, and how
//! much room there must be.

use super::*;
use crate::event::Action;
use crate::log::Budget;
use crate::log::frame::Frame;
use crate::log::record::{Fact, Name};
use crate::log::tests::{START, event, name};

fn account(id: u32, budget: Option<Budget>) -> Arc<Account> {
    let account = Account::new(id, name(&format!("{id:0>900}")), Offset(0));
    lock(&account.state).budget = budget;
    Arc::new(account)
}

fn budget(events_max: u64, bytes_max: u64, when_full: WhenFull) -> Option<Budget> {
    Some(Budget {
        events_max,
        bytes_max,
        when_full,
    })
}

/// An event with a copy for each account.
fn fresh(event: Event, to: &[&Arc<Account>]) -> Fresh {
    let copy = |account: &&Arc<Account>| {
        let owed = Owed {
            destination: account.name.clone(),
            action: Action {
                name: "n".repeat(700).into(),
                with: "w".repeat(500).into(),
            },
        };
        (Arc::clone(account), owed)
    };
    Fresh {
        size: size_of(&event),
        seen: None,
        copies: to.iter().map(copy).collect(),
        event,
    }
}

#[test]
fn a_budget_is_over_when_more_would_not_fit() {
    let a = account(1, budget(3, 100, WhenFull::Reject));
    lock(&a.state).owe(Offset(64), 80, START);
    for (events, bytes, over) in [
        (0, 0, false),
        (2, 20, false),
        (3, 0, true),
        (0, 21, true),
        (3, 21, true),
    ] {
        assert_eq!(
            is_over(&lock(&a.state), events, bytes),
            over,
            "{events} {bytes}"
        );
    }
    let unlimited = account(1, None);
    assert!(!is_over(&lock(&unlimited.state), u64::MAX, u64::MAX));
}

#[test]
fn the_copies_of_one_webhook_count_together() {
    let size = u64::from(size_of(&event(1)));
    for limits in [
        budget(2, u64::MAX, WhenFull::DropOldest),
        budget(u64::MAX, 2 * size, WhenFull::DropOldest),
    ] {
        let (a, b) = (account(1, limits), account(2, limits));
        let webhook = [
            fresh(event(1), &[&a, &b]),
            fresh(event(2), &[&a]),
            fresh(event(3), &[&a]),
            fresh(event(4), &[&a, &b]),
        ];
        let beyond: Vec<_> = beyond(&webhook)
            .map(|(account, fresh, when_full)| (account.id, fresh.event.id, when_full))
            .collect();
        let dropped = |n| (1, event(n).id, WhenFull::DropOldest);
        assert_eq!(beyond, [dropped(3), dropped(4)], "{limits:?}");
    }
}

#[test]
fn only_some_full_budgets_refuse_and_some_only_what_an_operator_asks() {
    use WhenFull::{DeadLetter, DropOldest, Reject};
    for (when_full, origin, refused) in [
        (Reject, Origin::Accepted, true),
        (Reject, Origin::Retried, true),
        (DeadLetter, Origin::Accepted, false),
        (DeadLetter, Origin::Retried, true),
        (DeadLetter, Origin::Replayed, true),
        (DropOldest, Origin::Accepted, false),
        (DropOldest, Origin::Retried, false),
    ] {
        let full = account(1, budget(0, 0, when_full));
        let one = [fresh(event(1), &[&full])];
        let admitted = admit(&beyond(&one).collect::<Vec<_>>(), origin);
        assert_eq!(admitted.is_err(), refused, "{when_full:?} {origin:?}");
        let roomy = account(1, budget(1, 1000, when_full));
        let one = [fresh(event(1), &[&roomy])];
        assert_eq!(admit(&beyond(&one).collect::<Vec<_>>(), origin), Ok(()));
    }
}

/// An event all of whose texts are long.
fn wordy(headers: usize) -> Event {
    let long = |letter: &str| letter.repeat(1000);
    Event {
        source: long("s").into(),
        kind: long("k").into(),
        event_type: long("t").into(),
        key: Some(long("c").into()),
        vendor_id: Some(long("v").into()),
        user: Some(long("u").into()),
        headers: vec![(Arc::from("x"), Arc::from("y")); headers],
        ..event(1)
    }
}

/// What an event takes that is alone in its webhook, and whose names are new.
fn drawn(fresh: &Fresh) -> usize {
    let mut frame = Frame::default();
    let mut names = Vec::new();
    let mut entries = Vec::new();
    for (account, owed) in &fresh.copies {
        names.push(Name::Destination(account.id, account.name.clone()));
        names.push(Name::Action(account.id, owed.action.clone()));
        entries.push(OwedEntry {
            destination: account.id,
            action: account.id,
            born_dead: false,
        });
    }
    let names = Fact::Names(names);
    frame.put(names.tag(), |out| names.write(out));
    let group = frame.open_group();
    frame.put_inner(Tag::Event, |out| {
        write_event(out, &fresh.event, Origin::Accepted, &entries);
    });
    frame.close_group(group);
    frame.bytes.len()
}

#[test]
fn no_event_takes_more_than_was_asked_for_nor_much_less() {
    for (headers, copies) in [(0, 0), (100, 1), (0, 100), (3, 2)] {
        let accounts: Vec<_> = (0..copies).map(|id| account(id, None)).collect();
        let to: Vec<_> = accounts.iter().collect();
        let fresh = fresh(wordy(headers), &to);
        let (asked, drawn) = (fresh.bytes_max(), drawn(&fresh));
        let slack = 256 + 64 * to.len();
        assert!(drawn <= asked, "{headers} {copies}: {drawn} of {asked}");
        assert!(
            asked <= drawn + slack,
            "{headers} {copies}: {drawn} of {asked}"
        );
    }
}

#[test]
fn no_letter_of_a_death_at_birth_takes_more_than_was_asked_for_nor_much_less() {
    let dying = account(1, budget(1, u64::MAX, WhenFull::DeadLetter));
    let dropping = account(2, budget(0, 0, WhenFull::DropOldest));
    let event = || Event {
        headers: Vec::new(),
        ..event(1)
    };
    let webhook: Vec<_> = (0..3)
        .map(|_| fresh(event(), &[&dying, &dropping]))
        .collect();
    let mut frame = Frame::default();
    for fresh in webhook.iter().skip(1) {
        let (account, owed) = &fresh.copies[0];
        death_at_birth(account, owed, Offset(64), &fresh.event, START).write(&mut frame);
    }
    let letters = |webhook: &[Fresh]| letters_max(&beyond(webhook).collect::<Vec<_>>());
    let (asked, drawn) = (letters(&webhook), frame.bytes.len() as u64);
    assert!(drawn <= asked, "{drawn} of {asked}");
    // The event's other copies are asked for, too.
    let slack = 2 * (2 * LETTER_BYTES as u64 + 3000);
    assert!(asked <= drawn + slack, "{drawn} of {asked}");
    assert_eq!(letters(&webhook[..1]), 0, "the first one fits");
}
