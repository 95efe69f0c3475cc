//! A day's outage on a clock moved by hand: how often a destination is asked
//! that is down for so long, how gently it is met when it is back, and that
//! everything then arrives, in order. `HOOKFAN_OUTAGE_EVENTS` is how much waits.

use std::time::Duration;

use tokio::time::Instant;

use super::bench::{Bench, Saw, Says, says};
use super::{Breaker, Destination, sample};
use crate::proof::Proof;
use crate::settle::RetryPolicy;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const CONVERSATIONS: u64 = 100;
const RATE: usize = 200;
const CAP: usize = 8;
const PROBE_EVERY: Duration = Duration::from_secs(30);
const FAILURES: u32 = 5;

fn room(n: u64) -> Option<String> {
    Some(format!("room {}", n % CONVERSATIONS))
}

fn events() -> u64 {
    let asked = std::env::var("HOOKFAN_OUTAGE_EVENTS");
    asked.map_or(5_000, |text| text.parse().unwrap())
}

/// Down for a day, with `events` waiting; ends when everything is settled.
async fn a_day(destination: Destination, events: u64) -> Vec<Saw> {
    let back_at = Instant::now() + DAY;
    let status = move || if Instant::now() < back_at { 503 } else { 200 };
    let answer = move |_, _| Says {
        after: Duration::from_millis(20),
        ..says(status())
    };
    let bench = Bench::new(destination, answer);
    bench.owe(0..events, room);
    bench.settled(80 * HOUR).await;
    let page = bench.book.page();
    assert_eq!(page.settled.len() as u64, events);
    assert!(
        page.settled
            .values()
            .all(|(how, ..)| how.label() == "delivered")
    );
    drop(page);
    bench.sink.seen()
}

/// Each event once after the outage, and each conversation in order.
fn all_arrived_in_order(seen: &[Saw], events: u64) {
    let mut last = vec![None; usize::try_from(CONVERSATIONS).unwrap()];
    let mut arrived = 0;
    for saw in seen.iter().filter(|saw| saw.end > Some(DAY)) {
        let lane = &mut last[usize::try_from(saw.n % CONVERSATIONS).unwrap()];
        assert!(*lane < Some(saw.n), "{saw:?} after {lane:?}");
        *lane = Some(saw.n);
        arrived += 1;
    }
    assert_eq!(arrived, events);
}

/// How many were in the air, at each start; who ends at that moment is gone.
fn crowds(seen: &[Saw]) -> Vec<usize> {
    let mut ends: Vec<Duration> = seen.iter().filter_map(|saw| saw.end).collect();
    ends.sort_unstable();
    let landed = |at: Duration| ends.partition_point(|end| *end <= at);
    let crowd = |(nth, saw): (usize, &Saw)| (nth + 1).saturating_sub(landed(saw.start));
    seen.iter().enumerate().map(crowd).collect()
}

/// The most attempts that start within any second.
fn busiest_second(seen: &[Saw]) -> usize {
    let starts: Vec<Duration> = seen.iter().map(|saw| saw.start).collect();
    let within = |(nth, at): (usize, &Duration)| {
        starts[nth..].partition_point(|start| *start < *at + SECOND)
    };
    starts.iter().enumerate().map(within).max().unwrap_or(0)
}

/// B2, with a breaker.
#[tokio::test(start_paused = true)]
async fn after_a_day_down_a_destination_is_met_gently_and_gets_everything() {
    let (proof, events) = (Proof::of("outage"), events());
    let destination = Destination {
        rate: Some(RATE as f64),
        concurrency: CAP,
        breaker: Breaker {
            failures: FAILURES,
            probe_every: PROBE_EVERY,
        },
        retry: RetryPolicy {
            delays: vec![SECOND, 60 * SECOND],
            span: 72 * HOUR,
        },
        ..sample::destination()
    };
    let seen = a_day(destination, events).await;
    all_arrived_in_order(&seen, events);
    let down = seen.iter().filter(|saw| saw.end <= Some(DAY)).count();
    // Who was in the air when it opened, and one each time it looks in.
    let looks = usize::try_from(DAY.as_secs() / PROBE_EVERY.as_secs()).unwrap();
    let most = looks + FAILURES as usize + CAP;
    assert!(down <= most && down >= looks / 2, "{down} of {most}");
    let (back, busiest) = (&crowds(&seen)[down..], busiest_second(&seen));
    let crowd = back.iter().max().copied().unwrap_or(0);
    assert_eq!(back[..4], [1, 1, 1, 2], "it is met gently");
    assert!((CAP / 2..=CAP).contains(&crowd), "{crowd} in the air");
    assert!(busiest * 10 <= RATE * 12, "{busiest} in a second");
    proof.found(serde_json::json!({
        "hours down": 24, "waiting": events, "attempts while down": down, "looks in, at most": most,
        "in the air when it is back, first": back[0], "in the air, most": crowd,
        "rate allowed, a second": RATE, "busiest second": busiest, "lost or out of order": 0,
    }));
}

/// B2, without one: the head of each conversation is tried by its schedule,
/// and nobody behind it.
#[tokio::test(start_paused = true)]
async fn while_a_destination_is_down_each_conversation_is_tried_by_the_schedule() {
    let destination = Destination {
        retry: RetryPolicy {
            delays: vec![60 * SECOND, HOUR, 6 * HOUR],
            span: 72 * HOUR,
        },
        ..sample::destination()
    };
    let events = 1_000;
    let seen = a_day(destination, events).await;
    all_arrived_in_order(&seen, events);
    // 0, 1 min, 1 h 1 min, then every six hours, each a quarter more or less.
    let scheduled = 6_usize;
    for head in 0..CONVERSATIONS {
        let tried = seen
            .iter()
            .filter(|saw| saw.n == head && saw.end <= Some(DAY));
        let tried = tried.count();
        assert!(tried.abs_diff(scheduled) <= 1, "{head}: {tried} attempts");
    }
    let behind = seen
        .iter()
        .filter(|saw| saw.n >= CONVERSATIONS && saw.end <= Some(DAY));
    assert_eq!(behind.count(), 0);
}
