//! Months of certificates in microseconds: a fake clock, given chances.

use super::*;

const DAY: Duration = Duration::from_secs(24 * 3600);
const MINUTE: Duration = Duration::from_secs(60);

fn start() -> Timestamp {
    Timestamp::parse_rfc3339("2026-01-01T00:00:00Z").unwrap()
}

fn held(from: Timestamp, lifetime: Duration) -> Held {
    Held {
        not_before: from,
        not_after: from.plus(lifetime),
        fits: true,
    }
}

#[test]
fn what_is_done_with_what_is_held() {
    let (now, fresh) = (start(), Tried::default());
    let ninety = |age: u32| held(now.minus(DAY * age), DAY * 90);
    for (what, held, expected) in [
        ("nothing is held", None, Act::Order),
        (
            "a new one",
            Some(ninety(0)),
            Act::Keep {
                until: now.plus(DAY * 60),
            },
        ),
        (
            "one a day before its time",
            Some(ninety(59)),
            Act::Keep {
                until: now.plus(DAY),
            },
        ),
        (
            "one with a third of its life left",
            Some(ninety(60)),
            Act::Order,
        ),
        ("one that ended", Some(ninety(91)), Act::Order),
        (
            "one for other names",
            Some(Held {
                fits: false,
                ..ninety(0)
            }),
            Act::Order,
        ),
        (
            "one of six days",
            Some(held(now, DAY * 6)),
            Act::Keep {
                until: now.plus(DAY * 4),
            },
        ),
    ] {
        assert_eq!(act(held, &fresh, now, 0.0), expected, "{what}");
    }
    // The spread is at most a thirtieth of the life, and earlier, never later.
    let until = now.plus(DAY * 57);
    assert_eq!(act(Some(ninety(0)), &fresh, now, 1.0), Act::Keep { until });
}

#[test]
fn failures_wait_longer_each_time_and_a_silent_server_is_asked_more_often() {
    let now = start();
    let pauses = |unreached: bool, chance: f64| -> Vec<u64> {
        let mut tried = Tried::default();
        (0..10)
            .map(|_| {
                tried.failed(now, unreached, None);
                match act(None, &tried, now, chance) {
                    Act::Wait { until } => until.since(now).as_secs(),
                    other => panic!("{other:?}"),
                }
            })
            .collect()
    };
    let hours = |hours: u64| hours * 3600;
    assert_eq!(
        pauses(false, 0.5),
        [
            3,
            30,
            300,
            900,
            hours(1),
            hours(2),
            hours(4),
            hours(6),
            hours(6),
            hours(6)
        ]
    );
    assert_eq!(
        pauses(true, 0.5),
        [3, 30, 300, 900, 900, 900, 900, 900, 900, 900]
    );
    assert_eq!((pauses(false, 0.0)[2], pauses(false, 1.0)[2]), (225, 375));
}

#[test]
fn the_servers_word_is_kept_within_reason_and_ends() {
    let now = start();
    let mut tried = Tried::default();
    let told = now.plus(DAY * 2);
    tried.failed(now, false, Some(told));
    assert_eq!(act(None, &tried, now, 0.5), Act::Wait { until: told });
    assert_eq!(act(None, &tried, told, 0.5), Act::Order);
    // A year is no reason but a mistake; nor does a good certificate care.
    tried.failed(now, false, Some(now.plus(DAY * 365)));
    assert_eq!(
        act(None, &tried, now, 0.5),
        Act::Wait {
            until: now.plus(DAY * 7)
        }
    );
    assert!(matches!(
        act(Some(held(now, DAY * 90)), &tried, now, 0.5),
        Act::Keep { .. }
    ));
}

#[test]
fn an_hour_has_so_many_orders_whatever_happens_between_them() {
    let now = start();
    let mut tried = Tried::default();
    for minute in 0..u32::try_from(ORDERS_PER_HOUR_MAX).unwrap() {
        let at = now.plus(MINUTE * minute);
        assert_eq!(act(None, &tried, at, 0.0), Act::Order, "{minute}");
        tried.ordering(at);
        // A success that is lost (a data folder that is thrown away) is no failure.
        tried.succeeded();
    }
    let later = now.plus(MINUTE * 10);
    let until = now.plus(HOUR);
    assert_eq!(act(None, &tried, later, 0.0), Act::Wait { until });
    assert_eq!(act(None, &tried, until, 0.0), Act::Order);
}

#[test]
fn a_clock_that_leaps_back_holds_nothing_up_for_longer_than_the_pause() {
    let now = start();
    let mut tried = Tried::default();
    tried.ordering(now.plus(DAY * 400));
    tried.failed(now.plus(DAY * 400), false, None);
    let until = now.plus(Duration::from_secs(3));
    assert_eq!(act(None, &tried, now, 0.5), Act::Wait { until });
    assert_eq!(tried.orders.len(), 1);
}

/// What a server does in a year, and what comes of it.
struct Year {
    orders: Vec<Timestamp>,
    /// Milliseconds without a valid certificate, after the first.
    bare: Duration,
}

/// Lives through a year. `answers` says at each order whether it succeeds.
fn year(lifetime: Duration, chance: f64, answers: impl Fn(Timestamp) -> bool) -> Year {
    let (mut now, end) = (start(), start().plus(DAY * 365));
    let (mut have, mut tried) = (None, Tried::default());
    let (mut orders, mut bare) = (Vec::new(), Duration::ZERO);
    while now < end {
        let next = match act(have, &tried, now, chance) {
            Act::Keep { until } | Act::Wait { until } => until,
            Act::Order => {
                tried.ordering(now);
                orders.push(now);
                if answers(now) {
                    tried.succeeded();
                    // As the big ones do: dated back by an hour.
                    have = Some(held(now.minus(HOUR), lifetime));
                } else {
                    tried.failed(now, false, None);
                }
                continue;
            }
        };
        assert!(next > now, "it waits for what is over");
        if let Some(held) = have {
            bare += next.since(held.not_after.max(now));
        }
        now = next;
    }
    Year { orders, bare }
}

fn most_in_an_hour(orders: &[Timestamp]) -> usize {
    let within = |from: &Timestamp| {
        let after = orders
            .iter()
            .filter(|at| *at >= from && at.since(*from) < HOUR);
        after.count()
    };
    orders.iter().map(within).max().unwrap_or(0)
}

#[test]
fn a_year_of_ninety_day_certificates_takes_seven_orders() {
    for chance in [0.0, 0.3, 0.999] {
        let year = year(DAY * 90, chance, |_| true);
        assert_eq!(year.orders.len(), 7, "{chance}");
        assert_eq!(year.bare, Duration::ZERO);
    }
}

#[test]
fn a_server_that_is_away_for_three_weeks_costs_no_minute_without_a_certificate() {
    let (from, to) = (start().plus(DAY * 55), start().plus(DAY * 76));
    let year = year(DAY * 90, 0.5, |now| now < from || now > to);
    assert_eq!(year.bare, Duration::ZERO);
    let failed = year.orders.iter().filter(|at| **at >= from && **at <= to);
    let failed = failed.count();
    assert!(
        (60..90).contains(&failed),
        "{failed} orders in some twenty days"
    );
    assert!(most_in_an_hour(&year.orders) <= ORDERS_PER_HOUR_MAX);
}

#[test]
fn a_server_that_always_refuses_is_asked_a_few_times_a_day() {
    let year = year(DAY * 90, 0.5, |_| false);
    assert!(year.orders.len() < 4 * 365 + 10, "{}", year.orders.len());
    assert!(most_in_an_hour(&year.orders) <= ORDERS_PER_HOUR_MAX);
}

#[test]
fn six_day_certificates_are_renewed_every_four_days() {
    let year = year(DAY * 6, 0.5, |_| true);
    assert!(
        (92..97).contains(&year.orders.len()),
        "{}",
        year.orders.len()
    );
    assert_eq!(year.bare, Duration::ZERO);
}
