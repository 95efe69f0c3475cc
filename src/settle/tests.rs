//! What each answer means, at its edges.

use super::*;

fn check(outcome: Outcome, attempt: u32, elapsed_secs: u64, expected: &str) {
    let policy = RetryPolicy::default();
    let first_at = Timestamp::from_millis(1_000_000);
    let now = first_at.plus(Duration::from_secs(elapsed_secs));
    let verdict = judge(
        &policy,
        &outcome,
        Tried {
            attempt,
            first_at,
            now,
            jitter: 0.5,
        },
    );
    let said = match verdict {
        Verdict::Settle(Settlement::Dead(reason)) => format!("dead {reason}"),
        Verdict::Settle(settlement) => settlement.label().to_owned(),
        Verdict::Retry { at } => format!("retry +{}s", at.since(now).as_secs()),
    };
    assert_eq!(
        said, expected,
        "{outcome:?}, attempt {attempt} after {elapsed_secs}s"
    );
}

fn answered(status: u16) -> Outcome {
    Outcome::Answered {
        status,
        retry_after: None,
    }
}

#[test]
fn only_a_2xx_is_success() {
    for status in 200..=299 {
        check(answered(status), 1, 0, "delivered");
    }
    for status in (100..=199).chain(500..=507).chain(509..=599) {
        check(answered(status), 1, 0, "retry +5s");
    }
    for status in (300..=399).chain(400..=407) {
        check(answered(status), 1, 0, "dead refused");
    }
}

#[test]
fn an_answer_that_may_change_is_tried_again() {
    for status in [408, 425, 429, 500, 502, 503, 504] {
        check(answered(status), 1, 0, "retry +5s");
    }
    for outcome in [
        Outcome::TimedOut,
        Outcome::Dns,
        Outcome::Connect,
        Outcome::Tls,
        Outcome::Broken,
    ] {
        check(outcome, 2, 5, "retry +30s");
    }
}

#[test]
fn a_destination_that_is_gone_or_ours_is_dead_at_once() {
    check(answered(410), 1, 0, "dead gone");
    check(answered(508), 1, 0, "dead loop");
    check(answered(404), 1, 0, "dead refused");
}

#[test]
fn what_is_there_already_is_delivered() {
    check(Outcome::AlreadyThere { status: 400 }, 3, 60, "delivered");
}

#[test]
fn the_last_delay_repeats_until_the_span_is_over() {
    check(answered(503), 11, 52 * 3600, "retry +86400s");
    check(answered(503), 12, 52 * 3600, "retry +86400s");
    check(answered(503), 12, 52 * 3600 + 1, "dead exhausted");
}

#[test]
fn a_retry_after_is_obeyed_within_its_clamp() {
    let ask = |secs| Outcome::Answered {
        status: 429,
        retry_after: Some(Duration::from_secs(secs)),
    };
    check(ask(1), 1, 0, "retry +5s");
    check(ask(120), 1, 0, "retry +120s");
    check(ask(10 * 365 * 86400), 1, 0, "retry +3600s");
    check(ask(u64::MAX / 4), 6, 0, "retry +7200s");
}

#[test]
fn a_malformed_retry_after_is_ignored() {
    let now = Timestamp::parse_rfc3339("2026-11-20T10:00:00Z").unwrap();
    let check = |value: &str, expected: Option<u64>| {
        assert_eq!(
            retry_after(value, now).map(|d| d.as_secs()),
            expected,
            "{value:?}"
        );
    };
    check("120", Some(120));
    check(" 120 ", Some(120));
    check("0", Some(0));
    check("Fri, 20 Nov 2026 10:01:00 GMT", Some(60));
    check("Fri, 20 Nov 2026 09:00:00 GMT", None);
    check("99999999999999999999999999", Some(u64::MAX / 4));
    for bad in [
        "",
        "-1",
        "+5",
        "1.5",
        "NaN",
        "1e300",
        "inf",
        "soon",
        "Fri, 32 Nov 2026 10:01:00 GMT",
        "120 s",
        "0x10",
        "١٢",
    ] {
        check(bad, None);
    }
}

#[test]
fn every_outcome_has_its_label_its_status_and_its_say_about_health() {
    for (status, label, success, trouble) in [
        (199, "broken", false, false),
        (200, "2xx", true, false),
        (299, "2xx", true, false),
        (300, "3xx", false, false),
        (399, "3xx", false, false),
        (400, "4xx", false, false),
        (408, "4xx", false, true),
        (425, "4xx", false, true),
        (429, "429", false, true),
        (499, "4xx", false, false),
        (500, "5xx", false, true),
    ] {
        let outcome = answered(status);
        assert_eq!((outcome.label(), outcome.status()), (label, Some(status)));
        assert_eq!(outcome.is_success(), success, "{status}");
        assert_eq!(outcome.is_trouble(), trouble, "{status}");
    }
    let there = Outcome::AlreadyThere { status: 409 };
    assert_eq!((there.label(), there.status()), ("2xx", Some(409)));
    assert!(there.is_success() && !there.is_trouble());
    for (outcome, label) in [
        (Outcome::TimedOut, "timeout"),
        (Outcome::Dns, "dns"),
        (Outcome::Connect, "connect"),
        (Outcome::Tls, "tls"),
        (Outcome::Broken, "broken"),
    ] {
        assert_eq!((outcome.label(), outcome.status()), (label, None));
        assert!(!outcome.is_success() && outcome.is_trouble(), "{label}");
    }
}

#[test]
fn a_stored_reason_reads_back_and_its_word_is_the_one_of_its_json() {
    for (code, reason) in (1..).zip(Reason::ALL) {
        assert_eq!(reason.code(), code);
        assert_eq!(Reason::from_code(code), Some(reason));
        let json = serde_json::to_string(&reason).unwrap();
        assert_eq!(json, format!("\"{reason}\""));
        assert_eq!(Settlement::Dead(reason).label(), "dead");
    }
    assert_eq!((Reason::from_code(0), Reason::from_code(12)), (None, None));
    assert_eq!(Settlement::Delivered.label(), "delivered");
    assert_eq!(Settlement::Dropped.label(), "dropped");
}

#[test]
fn a_wait_is_the_schedule_give_or_take_a_quarter() {
    let policy = RetryPolicy::default();
    for (attempt, jitter, millis) in [(1, 0.0, 3750), (1, 1.0, 6250), (2, 0.5, 30_000)] {
        let wait = policy.wait(attempt, None, jitter);
        assert_eq!(wait, Duration::from_millis(millis), "{attempt} {jitter}");
    }
}
