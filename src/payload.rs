//! A body understood as JSON: parsed to be looked at, never to be forwarded.
//!
//! What is not transformed is forwarded byte for byte, so this reading may be
//! kinder than the bytes: a byte order mark is skipped, a lone surrogate reads
//! as U+FFFD, of duplicate keys the last one counts. Whole numbers beyond 64
//! bits are rounded in this reading, which it remembers so that nobody sends
//! them on; of a fraction the value counts and not its spelling (`1.10` is
//! `1.1`). What is not JSON by
//! RFC 8259 is refused.

mod plain;

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use plain::Plain;
use serde_json::Value;

/// The deepest nesting that any configuration may allow (serde_json's limit).
pub const DEPTH_MAX: usize = 128;

/// A body that is JSON; clones share it. The tree of one that was read by
/// [`Payload::of`] is made when somebody looks at it, and once.
#[derive(Clone, Debug)]
pub struct Payload(Arc<Parsed>);

#[derive(Debug)]
struct Parsed {
    tree: OnceLock<Value>,
    /// What the tree is made from, and a way through it: both empty where the
    /// tree was made at once.
    body: Bytes,
    plain: Plain,
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
        let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
        let depth_max = depth_max.min(DEPTH_MAX);
        let (depth, rounded) = survey(body);
        if depth > depth_max {
            return Err(NotJson::TooDeep { depth_max });
        }
        let mended = mend_lone_surrogates(body);
        match serde_json::from_slice(&mended) {
            Ok(value) => Ok(Self::known(value, rounded)),
            Err(error) => Err(NotJson::Malformed {
                line: error.line(),
                column: error.column(),
            }),
        }
    }

    /// The same judgement as [`Payload::parse`]'s, without making the tree of a
    /// body in which nothing is unusual: most webhooks are asked for two or
    /// three values, see [`Payload::find`]. Shares the bytes.
    pub fn of(body: &Bytes, depth_max: usize) -> Result<Self, NotJson> {
        let mark = body.starts_with(BYTE_ORDER_MARK);
        let start = if mark { BYTE_ORDER_MARK.len() } else { 0 };
        let Some(plain) = Plain::read(body.get(start..).unwrap_or_default(), depth_max) else {
            return Self::parse(body, depth_max);
        };
        Ok(Self(Arc::new(Parsed {
            tree: OnceLock::new(),
            body: body.slice(start..),
            plain,
            rounded: false,
        })))
    }

    fn known(value: Value, rounded: bool) -> Self {
        Self(Arc::new(Parsed {
            tree: OnceLock::from(value),
            body: Bytes::new(),
            plain: Plain::default(),
            rounded,
        }))
    }

    /// The parsed JSON.
    pub fn value(&self) -> &Value {
        // What is plain was found to be JSON.
        let parse = || serde_json::from_slice(&self.0.body).unwrap_or_default();
        self.0.tree.get_or_init(parse)
    }

    /// Whether a part of this payload holds a whole number beyond 64 bits,
    /// which reading has rounded. Costs a walk only where the payload has one.
    pub fn is_rounded(&self, part: &Value) -> bool {
        self.0.rounded && holds_rounded(part)
    }

    /// What [`Payload::at`] gives, without making a tree for it. For those who
    /// ask for a few values only; whoever asks for more asks `at`.
    pub fn find(&self, path: &str) -> Option<Cow<'_, Value>> {
        if self.0.tree.get().is_some() {
            return self.at(path).map(Cow::Borrowed);
        }
        let found = self.0.plain.find(&self.0.body, path)?;
        serde_json::from_slice(found).ok().map(Cow::Owned)
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

impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        self.0.rounded == other.0.rounded && self.value() == other.value()
    }
}

impl From<Value> for Payload {
    fn from(value: Value) -> Self {
        Self::known(value, false)
    }
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

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
mod tests;
