//! The bytes and the arithmetic, without a disk.

use proptest::prelude::*;

use super::*;
use crate::log::checkpoint::{AccountState, Checkpoint, Found};
use crate::log::ledger::{Ledger, Open, Pending};
use crate::log::record::{
    EventHead, Fact, Frame, Head, Name, Out, OwedEntry, Retrying, Settled, Tag, cut, write_event,
};
use crate::settle::{Reason, Settlement};

/// Draws a record and reads it back, whole and with each byte changed.
fn check(tag: Tag, draw: impl FnOnce(&mut Out<'_>)) -> Vec<u8> {
    let (base, seed) = (Offset(5 << 32 | 128), 77);
    let mut frame = Frame::default();
    frame.restart(base, seed, 0);
    frame.put(tag, draw);
    let head = Head::read(&frame.bytes, base).unwrap();
    assert_eq!((head.size(), head.tag()), (frame.bytes.len(), tag));
    let payload = head.check(&frame.bytes, seed).unwrap().to_vec();
    assert!(
        head.check(&frame.bytes, seed + 1).is_none(),
        "another log's"
    );
    assert!(
        Head::read(&frame.bytes, Offset(base.0 + 8)).is_none(),
        "stale"
    );
    for at in 0..frame.bytes.len().min(200) {
        let mut bytes = frame.bytes.clone();
        bytes[at] ^= 0x11;
        let believed = Head::read(&bytes, base)
            .filter(|head| bytes.len() >= head.size())
            .and_then(|head| head.check(&bytes, seed));
        assert!(believed.is_none(), "byte {at}");
    }
    payload
}

fn some_event() -> impl Strategy<Value = Event> {
    let texts = (
        ".{0,20}",
        ".{0,20}",
        proptest::option::of(".{0,20}"),
        proptest::option::of(".{0,20}"),
    );
    let rest = (
        proptest::option::of(".{0,9}"),
        proptest::collection::vec(("[a-z-]{1,9}", ".{0,9}"), 0..4),
        proptest::collection::vec(any::<u8>(), 0..300),
        any::<u8>(),
        0..4_u8,
    );
    (texts, rest).prop_map(
        |((source, kind, key, vendor_id), (user, headers, body, hops, direction))| Event {
            source: source.into(),
            kind: kind.into(),
            key: key.map(Key::from),
            vendor_id: vendor_id.map(Into::into),
            user: user.map(Arc::from),
            headers: headers
                .iter()
                .map(|(name, value)| (Arc::from(name.as_str()), Arc::from(value.as_str())))
                .collect(),
            body: body.into(),
            hops,
            direction: match direction {
                0 => None,
                1 => Some(crate::event::Direction::Incoming),
                2 => Some(crate::event::Direction::Outgoing),
                _ => Some(crate::event::Direction::System),
            },
            ..event(u64::from(hops))
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_event_reads_back_as_it_was_written(event in some_event(), dead: bool) {
        let entries = [OwedEntry { destination: 3, action: 9, born_dead: dead }];
        let payload = check(Tag::Event, |out| write_event(out, &event, Origin::Replayed, &entries));
        let head = EventHead::read(&payload).unwrap();
        prop_assert_eq!(head.owed.iter().collect::<Vec<_>>(), entries);
        prop_assert_eq!(head.event().unwrap(), event);
        for cut in 0..payload.len() {
            prop_assert!(EventHead::read(&payload[..cut]).and_then(|head| head.event()).is_none());
        }
    }

    #[test]
    fn facts_in_any_order_give_one_account(
        facts in proptest::collection::vec((0..20_u64, 0..4_u8), 0..60).prop_shuffle(),
        read in 0..20_u64,
    ) {
        let at = |n: u64| Offset((1 << 32) | ((n + 1) * 64));
        let fold = |order: &[(u64, u8)]| {
            let mut ledger = Ledger { read: at(read), ..Ledger::default() };
            for n in 0..20 {
                ledger.owe(at(n), 10);
                if n < read {
                    ledger.parked.insert(at(n), 10, START);
                }
            }
            for (n, what) in order {
                match what {
                    0 => ledger.replay_settled(at(*n), 10, Settlement::Delivered),
                    _ => ledger.replay_retrying(&retrying(at(*n), u32::from(*what)), Offset(u64::from(*what))),
                }
            }
            ledger
        };
        let one = fold(&facts);
        let mut sorted = facts.clone();
        sorted.sort_unstable();
        prop_assert_eq!(&one, &fold(&sorted));
        let twice: Vec<_> = facts.iter().chain(&facts).copied().collect();
        prop_assert_eq!(&one, &fold(&twice), "a fact that is read twice counts once");
        prop_assert_eq!(one.owed, one.delivered + one.pending());
        prop_assert_eq!(one.pending_bytes, one.pending() * 10);
    }
}

pub(super) fn retrying(event: Offset, number: u32) -> Retrying {
    Retrying {
        destination: 1,
        event,
        size: 10,
        accepted_at: START,
        first_at: START,
        not_before: START,
        previous: (number > 1).then_some(Offset(44)),
        attempt: attempt(number),
    }
}

#[test]
fn every_fact_reads_back_as_it_was_written() {
    let settled = |settlement, attempt| Settled {
        destination: 2,
        event: Offset(9 << 32 | 128),
        size: 7,
        settlement,
        attempt,
        detail: "why".to_owned(),
    };
    let mut facts = vec![
        Fact::Names(vec![
            Name::Destination(1, name("a")),
            Name::Action(
                2,
                Action {
                    name: Arc::from("close"),
                    with: Arc::from("{}"),
                },
            ),
        ]),
        Fact::Retrying(retrying(Offset(8), 1)),
        Fact::Retrying(retrying(Offset(8), 2)),
        Fact::Settled(settled(Settlement::Delivered, Some(attempt(1)))),
        Fact::Settled(settled(Settlement::Dropped, None)),
        Fact::Paused {
            destination: 1,
            paused: true,
        },
        Fact::Lost {
            destination: 1,
            segment: 2,
            count: 3,
            bytes: 4,
        },
        Fact::Duplicates {
            source: "s".into(),
            count: 5,
        },
    ];
    facts.extend(Reason::ALL.map(|reason| Fact::Settled(settled(Settlement::Dead(reason), None))));
    for fact in facts {
        let payload = check(fact.tag(), |out| fact.write(out));
        assert_eq!(Fact::read(fact.tag(), &payload).as_ref(), Some(&fact));
        for cut in 0..payload.len() {
            assert!(Fact::read(fact.tag(), &payload[..cut]).is_none());
        }
    }
}

#[test]
fn a_detail_is_cut_at_the_end_of_a_character() {
    assert_eq!(cut("x".repeat(500)), "x".repeat(500));
    assert_eq!(cut("x".repeat(501)).len(), 500);
    assert_eq!(cut(format!("x{}", "é".repeat(300))).len(), 499);
}

#[test]
fn a_checkpoint_reads_back_and_a_flipped_byte_is_found() {
    let mut ledger = Ledger {
        owed: 9,
        delivered: 2,
        dead: 1,
        pending_bytes: 60,
        read: Offset(7),
        ..Ledger::default()
    };
    ledger.open.insert(
        Offset(3),
        Open {
            attempts: 2,
            last_fact: Some(Offset(5)),
            ..Open::new(10, START)
        },
    );
    ledger.ahead.insert(Offset(11));
    ledger.pending_in.insert(
        0,
        Pending {
            count: 6,
            bytes: 60,
        },
    );
    let checkpoint = Checkpoint {
        log: [3; 16],
        position: Offset(77),
        names: vec![Name::Destination(0, name("a"))],
        accounts: vec![AccountState {
            id: 0,
            paused: true,
            head_at: Some(START),
            ledger,
        }],
        sources: [(
            "s".into(),
            SourceTotals {
                accepted: 1,
                unrouted: 2,
                duplicate: 3,
            },
        )]
        .into(),
        segments: Vec::new(),
    };
    let disk = SimDisk::default();
    let folder = std::path::Path::new("/data");
    let mut unfinished = checkpoint.begin(&disk, folder).unwrap();
    assert!(unfinished.go_on(&disk, folder).unwrap(), "one slice");
    let read = || Checkpoint::read(&disk, &folder.join("checkpoint")).unwrap();
    assert!(matches!(read(), Found::Whole(found) if *found == checkpoint));
    let bytes = disk.bytes("/data/checkpoint");
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 2;
        disk.set_bytes("/data/checkpoint", flipped);
        assert!(matches!(read(), Found::Nothing), "byte {at}");
    }
}

#[test]
fn a_dead_copy_without_its_letter_is_still_open_for_a_checkpoint() {
    let mut ledger = Ledger::default();
    let at = Offset(1 << 32 | 128);
    ledger.owe(at, 10);
    ledger.hand_out(at, Offset(at.0 + 8), 10, START);
    let before = ledger.clone();
    let open = ledger.settle(at, Settlement::Dead(Reason::Gone)).unwrap();
    ledger.closing.insert(at, open);
    assert_eq!((ledger.dead, ledger.pending()), (1, 0));
    assert_eq!(ledger.durable(), before);
}
