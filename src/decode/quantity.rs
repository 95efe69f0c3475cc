//! Durations, sizes and rates as people write them: `"1h30m"`, `"64MiB"`,
//! `"500/s"`. Arithmetic is exact and checked: what does not fit is refused,
//! never wrapped.

use std::time::Duration;

use super::Rate;

/// Why a text is no duration, size or rate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    #[error("it is empty")]
    Empty,
    #[error("there is no \"unlimited\"")]
    Unlimited,
    #[error("it must be more than zero")]
    Zero,
    #[error("it must not be negative")]
    Negative,
    #[error("it is more than the {0} that fit")]
    TooLarge(&'static str),
    #[error("it does not start with a number")]
    NoNumber,
    #[error("it has no unit")]
    NoUnit,
    #[error("\"{0}\" is no unit")]
    UnknownUnit(String),
    #[error("it is finer than {0}")]
    TooFine(&'static str),
    #[error("its units must get smaller from left to right, each once")]
    Disorder,
    #[error("it must be a number, a slash and a unit")]
    NoSlash,
}

/// A hundred years: more than any clock here will see, and far from where
/// adding two of them overflows.
pub const DURATION_MAX: Duration = Duration::from_secs(36_500 * 86_400);

/// What a signed 64-bit file offset can address.
pub const SIZE_MAX: u64 = i64::MAX as u64;

/// A billion a second; nothing here is faster.
pub const RATE_MAX: f64 = 1e9;

const NANOS: u128 = 1_000_000_000;

/// Longest first, which is also the order a combined duration is written in.
const DURATION_UNITS: &[(&str, u128)] = &[
    ("w", 604_800 * NANOS),
    ("d", 86_400 * NANOS),
    ("h", 3_600 * NANOS),
    ("m", 60 * NANOS),
    ("s", NANOS),
    ("ms", NANOS / 1_000),
];

const SIZE_UNITS: &[(&str, u128)] = &[
    ("b", 1),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
];

const RATE_UNITS: &[(&str, f64)] = &[("s", 1.0), ("m", 60.0), ("h", 3_600.0), ("d", 86_400.0)];

/// Reads `"250ms"`, `"2.5s"`, `"24h"`, `"1h30m"`: from one millisecond to a
/// hundred years.
pub fn duration(text: &str) -> Result<Duration, Unfit> {
    let mut rest = start(text)?;
    let mut nanos: u128 = 0;
    let mut smallest = u128::MAX;
    while !rest.is_empty() {
        let number;
        (number, rest) = Decimal::take(rest)?;
        let unit;
        (unit, rest) = take_unit(rest);
        let scale = match DURATION_UNITS.iter().find(|(name, _)| *name == unit) {
            Some((_, scale)) => *scale,
            None if unit.is_empty() => return Err(Unfit::NoUnit),
            None => return Err(Unfit::UnknownUnit(unit.to_owned())),
        };
        if scale >= smallest {
            return Err(Unfit::Disorder);
        }
        smallest = scale;
        let part = number.times(scale).ok_or(Unfit::TooLarge("100 years"))?;
        nanos = nanos
            .checked_add(part)
            .ok_or(Unfit::TooLarge("100 years"))?;
        rest = rest.trim_start();
    }
    if nanos == 0 {
        return Err(Unfit::Zero);
    }
    if nanos > DURATION_MAX.as_nanos() {
        return Err(Unfit::TooLarge("100 years"));
    }
    if !nanos.is_multiple_of(NANOS / 1_000) {
        return Err(Unfit::TooFine("a millisecond"));
    }
    let millis =
        u64::try_from(nanos / (NANOS / 1_000)).map_err(|_| Unfit::TooLarge("100 years"))?;
    Ok(Duration::from_millis(millis))
}

/// Reads `"64MiB"` (of 1024²), `"10GB"` (of 1000³), `"512"` and `"512B"`:
/// bytes, at least one.
pub fn size(text: &str) -> Result<u64, Unfit> {
    let (number, rest) = Decimal::take(start(text)?)?;
    let (unit, rest) = take_unit(rest);
    if !rest.is_empty() {
        return Err(Unfit::UnknownUnit(format!("{unit}{rest}")));
    }
    let lower = if unit.is_empty() {
        "b".to_owned()
    } else {
        unit.to_ascii_lowercase()
    };
    let Some((_, scale)) = SIZE_UNITS.iter().find(|(name, _)| *name == lower) else {
        return Err(Unfit::UnknownUnit(unit.to_owned()));
    };
    let bytes = number.times(*scale).ok_or(Unfit::TooLarge("8 EiB"))?;
    match u64::try_from(bytes) {
        Ok(0) if number.is_zero() => Err(Unfit::Zero),
        Ok(0) => Err(Unfit::TooFine("a byte")),
        Ok(bytes) if bytes <= SIZE_MAX => Ok(bytes),
        _ => Err(Unfit::TooLarge("8 EiB")),
    }
}

/// Reads `"500/s"`, `"2.5/s"`, `"100/m"`, `"1000/h"`, `"5000/d"`.
pub fn rate(text: &str) -> Result<Rate, Unfit> {
    let (number, rest) = Decimal::take(start(text)?)?;
    let unit = rest
        .trim_start()
        .strip_prefix('/')
        .ok_or(Unfit::NoSlash)?
        .trim();
    let Some((_, seconds)) = RATE_UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err(if unit.is_empty() {
            Unfit::NoUnit
        } else {
            Unfit::UnknownUnit(unit.to_owned())
        });
    };
    let per_second = number.as_f64() / seconds;
    if number.is_zero() {
        return Err(Unfit::Zero);
    }
    if !per_second.is_finite() || per_second > RATE_MAX {
        return Err(Unfit::TooLarge("billion a second"));
    }
    Ok(Rate { per_second })
}

/// What all three have in common at their start.
fn start(text: &str) -> Result<&str, Unfit> {
    let text = text.trim();
    let lower = text.to_ascii_lowercase();
    if text.is_empty() {
        return Err(Unfit::Empty);
    }
    if [
        "unlimited",
        "none",
        "never",
        "off",
        "inf",
        "infinite",
        "infinity",
        "∞",
    ]
    .contains(&lower.as_str())
    {
        return Err(Unfit::Unlimited);
    }
    if text.starts_with(['-', '−']) {
        return Err(Unfit::Negative);
    }
    Ok(text)
}

/// The unit in front of the next number, and what follows it.
fn take_unit(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    let end = text
        .find(|c: char| c.is_ascii_digit() || c.is_whitespace())
        .unwrap_or(text.len());
    let (unit, rest) = text.split_at_checked(end).unwrap_or((text, ""));
    (unit, rest.trim_start())
}

/// A decimal number, exact: `whole + fraction / 10^9`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Decimal {
    whole: u64,
    /// Billionths.
    fraction: u32,
}

impl Decimal {
    /// Takes the number a text starts with. Underscores may separate digits,
    /// as in TOML.
    fn take(text: &str) -> Result<(Self, &str), Unfit> {
        let (digits, rest) = take_digits(text);
        if digits.is_empty() {
            return Err(Unfit::NoNumber);
        }
        let whole = digits
            .parse()
            .map_err(|_| Unfit::TooLarge("18 quintillion"))?;
        let Some(after) = rest.strip_prefix('.') else {
            return Ok((Self { whole, fraction: 0 }, rest));
        };
        let (digits, rest) = take_digits(after);
        if digits.is_empty() {
            return Err(Unfit::NoNumber);
        }
        if digits.len() > 9 {
            return Err(Unfit::TooFine("a billionth"));
        }
        let fraction = format!("{digits:0<9}")
            .parse()
            .map_err(|_| Unfit::NoNumber)?;
        Ok((Self { whole, fraction }, rest))
    }

    fn is_zero(self) -> bool {
        self.whole == 0 && self.fraction == 0
    }

    /// Multiplied by a unit, rounded down; `None` on overflow.
    fn times(self, scale: u128) -> Option<u128> {
        let whole = u128::from(self.whole).checked_mul(scale)?;
        let part = u128::from(self.fraction).checked_mul(scale)? / NANOS;
        whole.checked_add(part)
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "a rate of more than 2^53 is refused anyway"
    )]
    fn as_f64(self) -> f64 {
        self.whole as f64 + f64::from(self.fraction) / 1e9
    }
}

/// The digits a text starts with, without their underscores.
fn take_digits(text: &str) -> (String, &str) {
    let mut digits = String::new();
    let mut end = 0;
    let mut bytes = text.bytes().enumerate().peekable();
    while let Some((at, byte)) = bytes.next() {
        let separates = byte == b'_'
            && !digits.is_empty()
            && bytes.peek().is_some_and(|(_, next)| next.is_ascii_digit());
        if byte.is_ascii_digit() {
            digits.push(char::from(byte));
        } else if !separates {
            break;
        }
        end = at + 1;
    }
    (digits, text.get(end..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_read_as_people_write_them() {
        for (text, millis) in [
            ("250ms", 250),
            ("2.5s", 2_500),
            ("10m", 600_000),
            ("24h", 86_400_000),
            ("30d", 2_592_000_000),
            ("2w", 1_209_600_000),
            ("1h30m", 5_400_000),
            ("1h 30m 5s", 5_405_000),
            ("1_000ms", 1_000),
            ("0.5h", 1_800_000),
            ("36500d", 3_153_600_000_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn a_duration_that_cannot_be_meant_says_why() {
        for (text, why) in [
            ("", Unfit::Empty),
            ("  ", Unfit::Empty),
            ("0s", Unfit::Zero),
            ("0h0m", Unfit::Zero),
            ("-5s", Unfit::Negative),
            ("unlimited", Unfit::Unlimited),
            ("inf", Unfit::Unlimited),
            ("NaN", Unfit::NoNumber),
            ("soon", Unfit::NoNumber),
            ("10", Unfit::NoUnit),
            ("10 parsecs", Unfit::UnknownUnit("parsecs".into())),
            ("10M", Unfit::UnknownUnit("M".into())),
            ("10s10s", Unfit::Disorder),
            ("5m1h", Unfit::Disorder),
            ("0.5ms", Unfit::TooFine("a millisecond")),
            ("36501d", Unfit::TooLarge("100 years")),
            ("18446744073709551615w", Unfit::TooLarge("100 years")),
            ("99999999999999999999s", Unfit::TooLarge("18 quintillion")),
            ("1.s", Unfit::NoNumber),
            ("1._5s", Unfit::NoNumber),
            ("1e3s", Unfit::UnknownUnit("e".into())),
        ] {
            assert_eq!(duration(text), Err(why), "{text}");
        }
    }

    #[test]
    fn sizes_read_as_people_write_them() {
        for (text, bytes) in [
            ("512", 512),
            ("512B", 512),
            ("64MiB", 64 << 20),
            ("64 mib", 64 << 20),
            ("10GB", 10_000_000_000),
            ("10GiB", 10 << 30),
            ("1.5KiB", 1_536),
            ("1_000kB", 1_000_000),
            ("9223372036854775807", SIZE_MAX),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn a_size_that_cannot_be_meant_says_why() {
        for (text, why) in [
            ("", Unfit::Empty),
            ("0", Unfit::Zero),
            ("0GiB", Unfit::Zero),
            ("0.1B", Unfit::TooFine("a byte")),
            ("-1", Unfit::Negative),
            ("unlimited", Unfit::Unlimited),
            ("10M", Unfit::UnknownUnit("M".into())),
            ("10Mi B", Unfit::UnknownUnit("MiB".into())),
            ("1MiB2", Unfit::UnknownUnit("MiB2".into())),
            ("nan", Unfit::NoNumber),
            ("9223372036854775808", Unfit::TooLarge("8 EiB")),
            ("16777216TiB", Unfit::TooLarge("8 EiB")),
            ("18446744073709551616", Unfit::TooLarge("18 quintillion")),
        ] {
            assert_eq!(size(text), Err(why), "{text}");
        }
    }

    #[test]
    fn rates_read_per_second_minute_hour_and_day() {
        for (text, per_second) in [
            ("500/s", 500.0),
            ("2.5/s", 2.5),
            ("120/m", 2.0),
            ("3600 / h", 1.0),
            ("86_400/d", 1.0),
        ] {
            assert_eq!(rate(text), Ok(Rate { per_second }), "{text}");
        }
        for (text, why) in [
            ("0/s", Unfit::Zero),
            ("-1/s", Unfit::Negative),
            ("10", Unfit::NoSlash),
            ("10/", Unfit::NoUnit),
            ("10/sec", Unfit::UnknownUnit("sec".into())),
            ("nan/s", Unfit::NoNumber),
            ("inf", Unfit::Unlimited),
            ("1000000001/s", Unfit::TooLarge("billion a second")),
            ("unlimited", Unfit::Unlimited),
        ] {
            assert_eq!(rate(text), Err(why), "{text}");
        }
    }

    // X18: no text overflows a size, a duration or a rate.
    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_text_makes_a_parser_panic_or_leave_its_range(text in "\\PC{0,24}") {
            holds(&text);
        }

        #[test]
        fn nothing_close_to_a_quantity_leaves_its_range(text in "[-+]?[0-9_]{0,22}(\\.[0-9_]{0,12})?[ ]?(ms|s|m|h|d|w|B|KiB|MiB|GiB|TiB|GB|/s|/m|/h)?([0-9]{1,3}(s|m))?") {
            holds(&text);
        }

        #[test]
        fn a_duration_of_whole_milliseconds_reads_back(millis in 1_u64..3_153_600_000_000) {
            prop_assert_eq!(duration(&format!("{millis}ms")), Ok(Duration::from_millis(millis)));
        }

        #[test]
        fn a_size_is_its_number_times_its_unit_or_refused(number in any::<u64>(), unit in 0_usize..4) {
            let (name, shift) = [("B", 0), ("KiB", 10), ("MiB", 20), ("TiB", 40)][unit];
            let expected = (u128::from(number)) << shift;
            match size(&format!("{number}{name}")) {
                Ok(bytes) => prop_assert_eq!(u128::from(bytes), expected),
                Err(_) => prop_assert!(expected == 0 || expected > u128::from(SIZE_MAX)),
            }
        }
    }

    fn holds(text: &str) {
        if let Ok(duration) = duration(text) {
            assert!(
                duration >= Duration::from_millis(1) && duration <= DURATION_MAX,
                "{text}"
            );
        }
        if let Ok(size) = size(text) {
            assert!((1..=SIZE_MAX).contains(&size), "{text}");
        }
        if let Ok(rate) = rate(text) {
            assert!(
                rate.per_second > 0.0 && rate.per_second <= RATE_MAX,
                "{text}"
            );
        }
    }
}
