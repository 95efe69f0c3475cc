//! Samples add up, quantiles are those of the interval, an hour is an hour.

use super::*;

const BOUNDS: Bounds = Bounds {
    attempt: &[0.01, 0.1, 1.0],
    delivery: &[0.1, 1.0],
};

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(1_790_000_000_000 + seconds * 1000)
}

fn shown(sample: &Sample) -> serde_json::Value {
    serde_json::to_value(sample.shown()).unwrap()
}

#[test]
fn a_sample_is_what_happened_between_two_readings() {
    let before = Reading {
        owed: 100,
        delivered: 90,
        dead: 1,
        attempts: 95,
        failed: 5,
        attempt_buckets: vec![50, 90, 95, 95],
        delivery_buckets: vec![80, 90, 90],
        ..Reading::default()
    };
    let after = Reading {
        owed: 130,
        delivered: 110,
        dead: 2,
        attempts: 120,
        failed: 9,
        pending: 18,
        pending_bytes: 5000,
        oldest_seconds: Some(7),
        attempt_buckets: vec![50, 110, 115, 115],
        delivery_buckets: vec![80, 90, 90],
    };
    let sample = shown(&fold(&before, &after, at(10), BOUNDS));
    for (name, expected) in [
        ("accepted", 30),
        ("delivered", 20),
        ("dead", 1),
        ("attempts", 25),
        ("failed", 4),
        ("pending", 18),
        ("pending_bytes", 5120),
        ("oldest_seconds", 7),
    ] {
        assert_eq!(sample[name], expected, "{name}");
    }
    // All twenty of the interval lie between 10 and 100 ms.
    assert_eq!(sample["attempt_ms"]["p50"], 55.0);
    assert_eq!(sample["attempt_ms"]["p99"], 99.1);
    assert!(sample["delivery_ms"].is_null(), "none in the interval");
}

#[test]
fn a_worker_that_was_started_again_counts_from_zero() {
    let (before, after) = (
        Reading {
            attempts: 1000,
            failed: 10,
            ..Reading::default()
        },
        Reading {
            attempts: 3,
            failed: 1,
            ..Reading::default()
        },
    );
    let sample = shown(&fold(&before, &after, at(0), BOUNDS));
    assert_eq!(
        (&sample["attempts"], &sample["failed"]),
        (&3.into(), &1.into())
    );
}

#[test]
fn a_quantile_beyond_the_last_bound_is_that_bound() {
    assert_eq!(quantile(&[1.0, 2.0], &[0, 0, 4], 0.5), Some(2.0));
    assert_eq!(quantile(&[1.0, 2.0], &[4, 4, 4], 0.5), Some(0.5));
    assert_eq!(quantile(&[1.0, 2.0], &[2, 4, 4], 0.99), Some(1.98));
    assert_eq!(quantile(&[1.0, 2.0], &[0, 0, 0], 0.5), None);
    assert_eq!(quantile(&[1.0, 2.0], &[], 0.5), None);
}

/// Whatever was measured, a quantile lies in its bucket, and p50 <= p99.
#[test]
fn quantiles_are_in_order_and_within_the_bounds() {
    use proptest::prelude::*;
    proptest!(|(counts in proptest::collection::vec(0_u64..1000, 4))| {
        let mut sum = 0;
        let cumulative: Vec<u64> = counts.iter().map(|count| { sum += count; sum }).collect();
        let bounds = [0.1, 1.0, 10.0];
        let (half, most) = (quantile(&bounds, &cumulative, 0.5), quantile(&bounds, &cumulative, 0.99));
        prop_assert_eq!(half.is_some(), sum > 0);
        if let (Some(half), Some(most)) = (half, most) {
            prop_assert!((0.0..=10.0).contains(&half) && half <= most && most <= 10.0);
        }
    });
}

#[test]
fn an_hour_is_kept_and_no_more() {
    let mut ring = Ring::default();
    for number in 0..1000 {
        let reading = Reading {
            owed: number * number,
            ..Reading::default()
        };
        ring.note(reading, at(number * 10), BOUNDS);
    }
    let samples = serde_json::to_value(ring.shown()).unwrap();
    let samples = samples.as_array().unwrap();
    assert_eq!(samples.len(), SAMPLES_MAX);
    assert_eq!(samples[0]["at"], at((1000 - 360) * 10).to_string());
    assert_eq!(samples[359]["accepted"], 999 * 2 - 1);
    assert!(
        ring.samples.capacity() <= SAMPLES_MAX,
        "no room that is not used"
    );
    assert_eq!(size_of::<Sample>(), 56);
}

#[tokio::test(start_paused = true)]
async fn a_rate_is_the_mean_of_the_last_ten_seconds() {
    let mut window = Window::<1>::default();
    let mut counted = 0;
    assert_eq!(
        window.rates(Instant::now(), [5]),
        [0.0],
        "nothing is known yet"
    );
    for _ in 0..30 {
        window.note(Instant::now(), [counted]);
        tokio::time::advance(Duration::from_secs(1)).await;
        counted += 50;
    }
    assert_eq!(window.rates(Instant::now(), [counted]), [50.0]);
    assert!(window.readings.len() <= 12);
    for _ in 0..5 {
        window.note(Instant::now(), [counted]);
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    let [half] = window.rates(Instant::now(), [counted]);
    assert!((20.0..=30.0).contains(&half), "{half}");
    for _ in 0..10 {
        window.note(Instant::now(), [counted]);
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    assert_eq!(window.rates(Instant::now(), [counted]), [0.0]);
}
