//! Signed times: how they are written, and how far from now they may be.

use std::time::Duration;

use super::Rejection;
use crate::clock::Timestamp;

/// What a scheme counts time in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Seconds,
    Millis,
    /// Seconds, unless there are twelve digits or more.
    Either,
}

impl Unit {
    /// `now` as a sender would write it.
    pub(super) fn write(self, now: Timestamp) -> String {
        match self {
            Self::Seconds | Self::Either => now.as_secs().to_string(),
            Self::Millis => now.as_millis().to_string(),
        }
    }
}

/// Both edges are inside: exactly `tolerance` old and exactly `tolerance`
/// ahead are believed. Times in seconds are compared in whole seconds.
pub(super) fn check_stamp(
    text: &str,
    unit: Unit,
    tolerance: Duration,
    now: Timestamp,
) -> Result<(), Rejection> {
    // u64 holds 19 digits; `parse` alone would let a plus sign through.
    if text.len() > 19 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Rejection::Malformed);
    }
    let at: u64 = text.parse().map_err(|_empty| Rejection::Malformed)?;
    let millis = match unit {
        Unit::Seconds => false,
        Unit::Millis => true,
        Unit::Either => text.len() >= 12,
    };
    let (now, tolerance) = if millis {
        (now.as_millis(), tolerance.as_millis())
    } else {
        (now.as_secs(), u128::from(tolerance.as_secs()))
    };
    if u128::from(now.abs_diff(at)) > tolerance {
        Err(Rejection::Stale)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tolerance_is_exact_on_both_sides() {
        let now = Timestamp::from_millis(1_700_000_000_750);
        let check = |text: &str, unit, expected| {
            assert_eq!(
                check_stamp(text, unit, Duration::from_secs(300), now),
                expected,
                "{text}"
            );
        };
        check("1699999700", Unit::Seconds, Ok(()));
        check("1699999699", Unit::Seconds, Err(Rejection::Stale));
        check("1700000300", Unit::Seconds, Ok(()));
        check("1700000301", Unit::Seconds, Err(Rejection::Stale));
        check("1699999700750", Unit::Millis, Ok(()));
        check("1699999700749", Unit::Millis, Err(Rejection::Stale));
        check("1700000300750", Unit::Millis, Ok(()));
        check("1700000300751", Unit::Millis, Err(Rejection::Stale));
        check("1700000300", Unit::Either, Ok(()));
        check("1700000300750", Unit::Either, Ok(()));
        check("1700000300751", Unit::Either, Err(Rejection::Stale));
    }

    #[test]
    fn what_is_no_plain_number_is_no_time() {
        for text in [
            "",
            "-1",
            "+1700000000",
            " 1700000000",
            "1700000000 ",
            "1.7e9",
            "0x65",
            "９",
            "99999999999999999999",
        ] {
            let now = Timestamp::from_millis(1_700_000_000_000);
            assert_eq!(
                check_stamp(text, Unit::Seconds, Duration::MAX, now),
                Err(Rejection::Malformed),
                "{text:?}"
            );
        }
        let huge = u64::MAX / 2;
        let now = Timestamp::from_millis(u64::MAX);
        assert_eq!(
            check_stamp(
                &huge.to_string(),
                Unit::Seconds,
                Duration::from_secs(300),
                now
            ),
            Err(Rejection::Stale)
        );
    }
}
