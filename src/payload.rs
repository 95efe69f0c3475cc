//! A body understood as JSON: parsed to be looked at, never to be forwarded.
//!
//! What is not transformed is forwarded byte for byte, so this reading may be
//! kinder than the bytes: a byte order mark is skipped, a lone surrogate reads
//! as U+FFFD, of duplicate keys the last one counts. Whole numbers beyond 64
//! bits are rounded in this reading, which it remembers so that nobody sends
//! them on; of a fraction the value counts and not its spelling (`1.10` is
//! `1.1`). What is not JSON by
//! RFC 8259 is refused.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::Value;

/// The deepest nesting that any configuration may allow (serde_json's limit).
pub const DEPTH_MAX: usize = 128;

/// A parsed body; clones share it.
#[derive(Clone, Debug, PartialEq)]
pub struct Payload(Arc<Parsed>);

#[derive(Debug, PartialEq)]
struct Parsed {
    value: Value,
    rounded: bool,
}

/// Why a body is not JSON we read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotJson {
    #[error("nested deeper than {depth_max} levels")]
    TooDeep { depth_max: usize },
    #[error("not JSON at line {line} column {column}")]
    Malformed { line: usize, column: usize },
}

impl Payload {
    /// Parses a whole body. Never recurses deeper than `depth_max`
    /// (at most [`DEPTH_MAX`]).
    pub fn parse(body: &[u8], depth_max: usize) -> Result<Self, NotJson> {
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        let depth_max = depth_max.min(DEPTH_MAX);
        let (depth, rounded) = survey(body);
        if depth > depth_max {
            return Err(NotJson::TooDeep { depth_max });
        }
        let mended = mend_lone_surrogates(body);
        match serde_json::from_slice(&mended) {
            Ok(value) => Ok(Self(Arc::new(Parsed { value, rounded }))),
            Err(error) => Err(NotJson::Malformed {
                line: error.line(),
                column: error.column(),
            }),
        }
    }

    /// The parsed JSON.
    pub fn value(&self) -> &Value {
        &self.0.value
    }

    /// Whether a part of this payload holds a whole number beyond 64 bits,
    /// which reading has rounded. Costs a walk only where the payload has one.
    pub fn is_rounded(&self, part: &Value) -> bool {
        self.0.rounded && holds_rounded(part)
    }

    /// The value at a dotted path such as `order.id`; array elements by index.
    pub fn at(&self, path: &str) -> Option<&Value> {
        path.split('.')
            .try_fold(self.value(), |value, part| match value {
                Value::Object(map) => map.get(part),
                Value::Array(items) => items.get(part.parse::<usize>().ok()?),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
            })
    }
}

impl From<Value> for Payload {
    fn from(value: Value) -> Self {
        Self(Arc::new(Parsed {
            value,
            rounded: false,
        }))
    }
}

/// An id as text: a non-empty string, or an integer exactly as it was written.
/// A number that JSON readers would round (beyond u64, or a fraction) is no id.
pub fn id_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) if number.is_u64() || number.is_i64() => Some(number.to_string()),
        Value::Number(number) => {
            const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
            let float = number.as_f64()?;
            (float.fract() == 0.0 && float.abs() < EXACT_MAX).then(|| format!("{float:.0}"))
        }
        Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
            None
        }
    }
}

/// The deepest nesting of brackets outside strings, and whether there is a
/// whole number beyond 64 bits. Looks at bytes only, so it needs no stack.
fn survey(body: &[u8]) -> (usize, bool) {
    let (mut depth, mut deepest) = (0_usize, 0_usize);
    let mut rounded = false;
    let mut bytes = body.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'-' | b'0'..=b'9' => {
                let rest = bytes.as_slice();
                let more = rest.iter().take_while(|byte| is_numeric(**byte)).count();
                // Fewer digits always fit.
                if more >= 18 {
                    let start = body.len() - rest.len() - 1;
                    rounded |= body.get(start..=start + more).is_some_and(is_beyond);
                }
                if more > 0 {
                    let _ = bytes.nth(more - 1);
                }
            }
            b'"' => {
                while let Some(byte) = bytes.next() {
                    match byte {
                        b'\\' => drop(bytes.next()),
                        b'"' => break,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    (deepest, rounded)
}

const fn is_numeric(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')
}

/// Whether it is a whole number that neither u64 nor i64 holds.
fn is_beyond(number: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(number) else {
        return false;
    };
    !text.contains(['.', 'e', 'E']) && text.parse::<u64>().is_err() && text.parse::<i64>().is_err()
}

/// Whether there is a number of the size that rounded ones have.
fn holds_rounded(value: &Value) -> bool {
    match value {
        Value::Number(number) => {
            let whole = number.is_u64() || number.is_i64();
            // 2^64 and -2^63: the nearest that a rounded one can be to zero.
            let beyond = |float: f64| {
                float >= 18_446_744_073_709_551_616.0 || float <= -9_223_372_036_854_775_808.0
            };
            !whole && number.as_f64().is_some_and(beyond)
        }
        Value::Array(items) => items.iter().any(holds_rounded),
        Value::Object(map) => map.values().any(holds_rounded),
        Value::Null | Value::Bool(_) | Value::String(_) => false,
    }
}

/// Writes `\ufffd` over every surrogate escape that has no partner.
fn mend_lone_surrogates(body: &[u8]) -> Cow<'_, [u8]> {
    let mut mended: Option<Vec<u8>> = None;
    let mut at = 0;
    while let Some(found) = body
        .get(at..)
        .and_then(|rest| rest.iter().position(|byte| *byte == b'\\'))
    {
        at += found;
        match escape_at(body, at) {
            Some(0xD800..=0xDBFF) if matches!(escape_at(body, at + 6), Some(0xDC00..=0xDFFF)) => {
                at += 12
            }
            Some(0xD800..=0xDFFF) => {
                let copy = mended.get_or_insert_with(|| body.to_vec());
                if let Some(digits) = copy.get_mut(at + 2..at + 6) {
                    digits.copy_from_slice(b"fffd");
                }
                at += 6;
            }
            Some(_) => at += 6,
            None => at += 2,
        }
    }
    mended.map_or(Cow::Borrowed(body), Cow::Owned)
}

/// The code unit of the escape (`\u` and four hex digits) that starts at `at`.
fn escape_at(body: &[u8], at: usize) -> Option<u32> {
    let escape = body.get(at..at + 6)?;
    let digits = escape.strip_prefix(b"\\u")?;
    digits.iter().try_fold(0, |unit, digit| {
        Some(unit * 16 + char::from(*digit).to_digit(16)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(body: &str) -> Result<Value, NotJson> {
        Payload::parse(body.as_bytes(), DEPTH_MAX).map(|payload| payload.value().clone())
    }

    #[test]
    fn a_lone_surrogate_reads_as_the_replacement_character() {
        assert_eq!(parse(r#""a\ud83d""#), Ok(json!("a\u{fffd}")));
        assert_eq!(parse(r#""\ude00b""#), Ok(json!("\u{fffd}b")));
        assert_eq!(parse(r#""\ud83d\ud83d\ude00""#), Ok(json!("\u{fffd}😀")));
        assert_eq!(parse(r#""\\ud83d""#), Ok(json!("\\ud83d")));
        assert_eq!(parse(r#""\ud83d\ude00""#), Ok(json!("😀")));
    }

    #[test]
    fn depth_is_counted_outside_strings_only() {
        assert_eq!(survey(br#"{"a":"[[[[\"[","b":[1]}"#).0, 2);
        assert_eq!(survey(&[b'['; 100_000]).0, 100_000);
    }

    #[test]
    fn a_deep_body_is_refused_without_recursion() {
        let deep = "[".repeat(100_000);
        assert_eq!(parse(&deep), Err(NotJson::TooDeep { depth_max: 128 }));
        assert!(parse(&format!("{}{}", "[".repeat(127), "]".repeat(127))).is_ok());
    }

    #[test]
    fn a_byte_order_mark_is_skipped() {
        assert_eq!(parse("\u{feff}{\"a\":1}"), Ok(json!({"a": 1})));
        assert!(parse("\u{feff}").is_err());
    }

    #[test]
    fn an_id_keeps_its_digits() {
        let check = |json: &str, expected: Option<&str>| {
            let value: Value = serde_json::from_str(json).unwrap();
            assert_eq!(id_text(&value).as_deref(), expected, "{json}");
        };
        check("1375619", Some("1375619"));
        check("\"1375619\"", Some("1375619"));
        check("18446744073709551615", Some("18446744073709551615"));
        check("9007199254740993", Some("9007199254740993"));
        check("1.375619e6", Some("1375619"));
        check("123456789012345678901234567890", None);
        check("1.5", None);
        check("\"\"", None);
        check("null", None);
    }

    #[test]
    fn a_path_walks_objects_and_arrays() {
        let payload = Payload::from(json!({"order": {"lines": [{"id": 7}]}}));
        assert_eq!(payload.at("order.lines.0.id"), Some(&json!(7)));
        assert_eq!(payload.at("order.lines.x"), None);
        assert_eq!(payload.at("nope"), None);
    }
}
