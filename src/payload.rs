//! A body understood as JSON: parsed to be looked at, never to be forwarded.
//!
//! What is not transformed is forwarded byte for byte, so this reading may be
//! kinder than the bytes: a byte order mark is skipped, a lone surrogate reads
//! as U+FFFD, of duplicate keys the last one counts. What is not JSON by
//! RFC 8259 is refused.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::Value;

/// The deepest nesting that any configuration may allow (serde_json's limit).
pub const DEPTH_MAX: usize = 128;

/// A parsed body; clones share it.
#[derive(Clone, Debug, PartialEq)]
pub struct Payload(Arc<Value>);

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
        if depth(body) > depth_max {
            return Err(NotJson::TooDeep { depth_max });
        }
        let mended = mend_lone_surrogates(body);
        match serde_json::from_slice(&mended) {
            Ok(value) => Ok(Self(Arc::new(value))),
            Err(error) => Err(NotJson::Malformed {
                line: error.line(),
                column: error.column(),
            }),
        }
    }

    /// The parsed JSON.
    pub fn value(&self) -> &Value {
        &self.0
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
        Self(Arc::new(value))
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

/// The deepest nesting of brackets outside strings. Looks at bytes only, so it
/// needs no stack.
fn depth(body: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0_usize);
    let mut bytes = body.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
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
    deepest
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

/// The code unit of a `\uXXXX` escape that starts at `at`.
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
        assert_eq!(depth(br#"{"a":"[[[[\"[","b":[1]}"#), 2);
        assert_eq!(depth(&[b'['; 100_000]), 100_000);
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
