//! Lanes: the cases an operator would ask about, and a naive model of all of
//! them under random steps.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;

const A: LaneId = LaneId(1);
const B: LaneId = LaneId(2);

fn at(secs: u64) -> Timestamp {
    Timestamp::from_millis(1_000_000 + secs * 1000)
}

fn tried(secs: u64) -> Tried {
    Tried {
        since: at(secs),
        attempts: 1,
    }
}

fn fresh(lanes: &mut Lanes, id: LaneId, offset: u64, secs: u64) -> Option<Turn> {
    lanes.offer(id, Offset(offset), None, at(secs))
}

#[test]
fn a_failing_head_blocks_its_own_conversation_only() {
    let mut lanes = Lanes::new(OnStuck::Wait);
    let head = fresh(&mut lanes, A, 1, 0).unwrap();
    assert_eq!(fresh(&mut lanes, A, 2, 0), None);
    let other = fresh(&mut lanes, B, 3, 0).unwrap();
    lanes.put_back(head, at(5), tried(0), at(1));
    lanes.end(other, at(1));
    assert_eq!(
        (lanes.take(at(4)), lanes.next_due(), lanes.parked()),
        (None, Some(at(5)), 2)
    );
    let again = lanes.take(at(5)).unwrap();
    assert_eq!((again.offset, again.tried), (Offset(1), Some(tried(0))));
    assert_eq!(lanes.take(at(5)), None);
    lanes.end(again, at(6));
    assert_eq!(lanes.take(at(6)).map(|turn| turn.offset), Some(Offset(2)));
}

#[test]
fn the_successor_of_what_died_goes_at_once() {
    let mut lanes = Lanes::new(OnStuck::Wait);
    let poison = fresh(&mut lanes, A, 1, 0).unwrap();
    assert_eq!(fresh(&mut lanes, A, 2, 0), None);
    lanes.end(poison, at(1));
    assert_eq!(lanes.take(at(1)).map(|turn| turn.offset), Some(Offset(2)));
}

#[test]
fn a_stuck_head_is_passed_after_its_patience_and_keeps_trying() {
    let mut lanes = Lanes::new(OnStuck::SkipAfter(Duration::from_secs(600)));
    let head = fresh(&mut lanes, A, 1, 0).unwrap();
    lanes.put_back(head, at(3600), tried(0), at(0));
    assert_eq!(fresh(&mut lanes, A, 2, 1), None);
    assert_eq!(fresh(&mut lanes, A, 3, 2), None);
    assert_eq!(
        (lanes.take(at(599)), lanes.next_due()),
        (None, Some(at(600)))
    );
    let second = lanes.take(at(600)).unwrap();
    assert_eq!((second.offset, second.passed), (Offset(2), false));
    assert_eq!(lanes.take(at(3600)), None, "one of a lane in the air");
    lanes.end(second, at(3600));
    let late = lanes.take(at(3600)).unwrap();
    assert_eq!((late.offset, late.passed), (Offset(1), true));
    assert_eq!(lanes.take(at(3600)), None, "one of a lane in the air");
    lanes.put_back(late, at(7200), tried(0), at(3600));
    assert_eq!(
        lanes.take(at(3601)).map(|turn| turn.offset),
        Some(Offset(3))
    );
}

#[test]
fn a_late_comer_passes_a_head_that_is_stuck_already() {
    let mut lanes = Lanes::new(OnStuck::SkipAfter(Duration::from_secs(600)));
    let head = fresh(&mut lanes, A, 1, 0).unwrap();
    lanes.put_back(head, at(3600), tried(0), at(0));
    assert_eq!(lanes.take(at(1000)), None);
    assert_eq!(
        fresh(&mut lanes, A, 2, 1000).map(|turn| turn.offset),
        Some(Offset(2))
    );
}

#[test]
fn a_change_of_policy_frees_heads_that_are_stuck_now() {
    let mut lanes = Lanes::new(OnStuck::Wait);
    let head = fresh(&mut lanes, A, 1, 0).unwrap();
    lanes.put_back(head, at(3600), tried(0), at(0));
    assert_eq!(fresh(&mut lanes, A, 2, 1), None);
    assert_eq!(lanes.take(at(1000)), None);
    lanes.set_on_stuck(OnStuck::SkipAfter(Duration::from_secs(600)), at(1000));
    assert_eq!(
        lanes.take(at(1000)).map(|turn| turn.offset),
        Some(Offset(2))
    );
}

#[test]
fn what_a_former_run_left_waits_for_its_time() {
    let mut lanes = Lanes::new(OnStuck::Wait);
    assert_eq!(
        lanes.offer(A, Offset(1), Some((at(9), tried(0))), at(0)),
        None
    );
    assert_eq!(lanes.offer(A, Offset(2), None, at(0)), None);
    assert_eq!(lanes.take(at(8)), None);
    assert_eq!(lanes.take(at(9)).map(|turn| turn.offset), Some(Offset(1)));
    assert!(
        lanes
            .offer(B, Offset(3), Some((at(9), tried(0))), at(9))
            .is_some_and(|turn| turn.tried == Some(tried(0)))
    );
}

#[test]
fn an_empty_lane_is_forgotten() {
    let mut lanes = Lanes::new(OnStuck::Wait);
    for offset in 0..1000 {
        let turn = fresh(&mut lanes, LaneId(offset), offset, 0).unwrap();
        lanes.put_back(turn, at(1), tried(0), at(0));
    }
    while let Some(turn) = lanes.take(at(1)) {
        lanes.end(turn, at(1));
    }
    assert_eq!(
        (
            lanes.lanes.len(),
            lanes.parked(),
            lanes.due.len(),
            lanes.ready.len()
        ),
        (0, 0, 0, 0)
    );
    assert!(size_of::<Lane>() <= 112, "{}", size_of::<Lane>());
}

/// What may happen next, drawn at random.
#[derive(Clone, Debug)]
enum Step {
    Offer { lane: u64, wait: Option<u64> },
    Take,
    End { which: usize },
    Fail { which: usize, wait: u64 },
    Sleep { secs: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..4_u64, prop::option::weighted(0.2, 0..30_u64)).prop_map(|(lane, wait)| Step::Offer { lane, wait }),
        3 => Just(Step::Take),
        2 => (0..8_usize).prop_map(|which| Step::End { which }),
        2 => (0..8_usize, 0..40_u64).prop_map(|(which, wait)| Step::Fail { which, wait }),
        2 => (0..20_u64).prop_map(|secs| Step::Sleep { secs }),
    ]
}

/// One delivery, as a naive model sees it.
#[derive(Clone, Copy, Debug)]
struct Seen {
    lane: LaneId,
    not_before: Timestamp,
    since: Option<Timestamp>,
    in_air: bool,
}

/// The model: all open deliveries by offset, searched from the front.
#[derive(Debug, Default)]
struct Model {
    open: BTreeMap<u64, Seen>,
    patience: Option<Duration>,
}

impl Model {
    /// Every promise about a start, checked from scratch.
    fn start(&mut self, turn: Turn, now: Timestamp) {
        let one = self.open[&turn.offset.0];
        assert!(one.not_before <= now, "{turn:?} before its time");
        for (offset, other) in self.open.iter().filter(|(_, other)| other.lane == one.lane) {
            assert!(!other.in_air, "{turn:?} while {offset} is in the air");
            let stuck = self
                .patience
                .zip(other.since)
                .is_some_and(|(patience, since)| since.plus(patience) <= now);
            assert!(
                *offset >= turn.offset.0 || stuck,
                "{turn:?} before {offset}"
            );
        }
        self.open.get_mut(&turn.offset.0).unwrap().in_air = true;
    }
}

#[expect(
    clippy::too_many_lines,
    reason = "the model and the lanes take each step side by side"
)]
fn run(steps: Vec<Step>, patience: Option<u64>) {
    let patience = patience.map(Duration::from_secs);
    let mut lanes = Lanes::new(patience.map_or(OnStuck::Wait, OnStuck::SkipAfter));
    let mut model = Model {
        patience,
        ..Model::default()
    };
    let (mut now, mut air, mut next) = (at(0), Vec::<Turn>::new(), 0_u64);
    let drain = (0..2000).map(|n| match n % 3 {
        0 => Step::Take,
        1 => Step::End { which: 0 },
        _ => Step::Sleep { secs: 1 },
    });
    for step in steps.into_iter().chain(drain) {
        match step {
            Step::Offer { lane, wait } => {
                let (lane, offset) = (LaneId(lane), next);
                next += 1;
                let wait = wait.map(|secs| {
                    (
                        now.plus(Duration::from_secs(secs)),
                        Tried {
                            since: now,
                            attempts: 1,
                        },
                    )
                });
                let turn = lanes.offer(lane, Offset(offset), wait, now);
                // What waits behind others is read again by the worker, which then minds its time.
                let honoured = turn.is_some()
                    || lanes.lanes[&lane]
                        .head
                        .is_some_and(|head| head.offset.0 == offset);
                let (not_before, since) = wait
                    .filter(|_| honoured)
                    .map_or((now, None), |(at, tried)| (at, Some(tried.since)));
                model.open.insert(
                    offset,
                    Seen {
                        lane,
                        not_before,
                        since,
                        in_air: false,
                    },
                );
                if let Some(turn) = turn {
                    model.start(turn, now);
                    air.push(turn);
                }
            }
            Step::Take => {
                if let Some(turn) = lanes.take(now) {
                    model.start(turn, now);
                    air.push(turn);
                }
            }
            Step::End { which } if !air.is_empty() => {
                let turn = air.swap_remove(which % air.len());
                lanes.end(turn, now);
                model.open.remove(&turn.offset.0).unwrap();
            }
            Step::Fail { which, wait } if !air.is_empty() => {
                let turn = air.swap_remove(which % air.len());
                let at = now.plus(Duration::from_secs(wait));
                let one = model.open.get_mut(&turn.offset.0).unwrap();
                let since = *one.since.get_or_insert(now);
                (one.not_before, one.in_air) = (at, false);
                lanes.put_back(turn, at, Tried { since, attempts: 1 }, now);
            }
            Step::Sleep { secs } => now = now.plus(Duration::from_secs(secs)),
            Step::End { .. } | Step::Fail { .. } => {}
        }
        assert_eq!(
            lanes.parked(),
            model.open.values().filter(|one| !one.in_air).count()
        );
    }
    assert!(
        model.open.is_empty(),
        "all end: {:?} of {lanes:?}",
        model.open
    );
    assert!(lanes.lanes.is_empty() && lanes.ready.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn order_and_time_are_kept_and_everything_ends(
        steps in prop::collection::vec(step(), 0..200),
        patience in prop::option::of(0..60_u64),
    ) {
        run(steps, patience);
    }
}
