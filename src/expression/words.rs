//! The filters and tests there are, in one table each; nothing else can be
//! called. Those that could make much out of little have a cap.

use std::fmt::Write as _;
use std::sync::LazyLock;

use minijinja::value::{Kwargs, Rest, StringInput, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, filters, tests as builtin};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};

use super::scope;

/// The filter put behind every factor of a `*`; users cannot write it.
pub(super) const FACTOR: &str = "__factor";

/// The longest text a filter may make, and a template may render to: 4 MiB.
pub const TEXT_BYTES_MAX: usize = 4 << 20;

/// The most parts `split` may make.
pub const SPLIT_PARTS_MAX: usize = 10_000;

/// Every filter: its name and what it does, for documents and complaints.
pub const FILTERS: &[(&str, &str)] = &[
    (
        "default",
        "x | default('…'): the other value where x is missing; default('…', true): where it is empty too",
    ),
    ("upper", "in capitals"),
    ("lower", "in small letters"),
    (
        "trim",
        "without white space (or the characters given) at both ends",
    ),
    ("replace", "text | replace('from', 'to')"),
    ("length", "how many characters, elements or keys"),
    ("join", "list | join(', ')"),
    ("split", "text | split(','): a list of at most 10000 parts"),
    ("first", "the first element or character"),
    ("last", "the last element or character"),
    ("map", "list | map(attribute='url')"),
    ("tojson", "as JSON text"),
    (
        "int",
        "as a whole number; int(0): that one where it is none",
    ),
    ("float", "as a number"),
    ("string", "as text"),
    ("round", "round(2): to so many decimals"),
    ("abs", "without its sign"),
    ("urlencode", "percent-encoded, for a part of a URL"),
];

/// Every test, as in `x is defined`.
pub const TESTS: &[&str] = &[
    "defined",
    "undefined",
    "none",
    "boolean",
    "number",
    "integer",
    "float",
    "string",
    "sequence",
    "mapping",
    "iterable",
    "startingwith",
    "endingwith",
    "odd",
    "even",
    "divisibleby",
    "in",
    "true",
    "false",
];

pub(super) fn is_filter(name: &str) -> bool {
    FILTERS.iter().any(|(filter, _)| *filter == name)
}

pub(super) fn is_test(name: &str) -> bool {
    TESTS.contains(&name)
}

pub(super) fn filter_names() -> &'static str {
    static NAMES: LazyLock<String> = LazyLock::new(|| {
        FILTERS
            .iter()
            .map(|(name, _)| *name)
            .collect::<Vec<_>>()
            .join(", ")
    });
    &NAMES
}

pub(super) fn test_names() -> &'static str {
    static NAMES: LazyLock<String> = LazyLock::new(|| TESTS.join(", "));
    &NAMES
}

/// Puts the two tables into an environment.
pub(super) fn install(environment: &mut Environment<'static>) {
    environment.add_filter(FACTOR, factor);
    environment.add_filter("default", filters::default);
    environment.add_filter("upper", filters::upper);
    environment.add_filter("lower", filters::lower);
    environment.add_filter("trim", filters::trim);
    environment.add_filter("replace", replace);
    environment.add_filter("length", filters::length);
    environment.add_filter("join", join);
    environment.add_filter("split", split);
    environment.add_filter("first", filters::first);
    environment.add_filter("last", filters::last);
    environment.add_filter("map", map);
    environment.add_filter("tojson", to_json);
    environment.add_filter("int", filters::int);
    environment.add_filter("float", filters::float);
    environment.add_filter("string", string);
    environment.add_filter("round", filters::round);
    environment.add_filter("abs", filters::abs);
    environment.add_filter("urlencode", url_encode);

    environment.add_test("defined", builtin::is_defined);
    environment.add_test("undefined", builtin::is_undefined);
    environment.add_test("none", builtin::is_none);
    environment.add_test("boolean", builtin::is_boolean);
    environment.add_test("number", builtin::is_number);
    environment.add_test("integer", builtin::is_integer);
    environment.add_test("float", builtin::is_float);
    environment.add_test("string", builtin::is_string);
    environment.add_test("sequence", builtin::is_sequence);
    environment.add_test("mapping", builtin::is_mapping);
    environment.add_test("iterable", builtin::is_iterable);
    environment.add_test("startingwith", builtin::is_startingwith);
    environment.add_test("endingwith", builtin::is_endingwith);
    environment.add_test("odd", builtin::is_odd);
    environment.add_test("even", builtin::is_even);
    environment.add_test("divisibleby", builtin::is_divisibleby);
    environment.add_test("in", builtin::is_in);
    environment.add_test("true", builtin::is_true);
    environment.add_test("false", builtin::is_false);
}

fn invalid(detail: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, detail.into())
}

fn too_long() -> Error {
    invalid(format!("makes a text of more than {TEXT_BYTES_MAX} bytes"))
}

/// Filters that take any value must refuse a missing one themselves.
fn present(value: &Value) -> Result<(), Error> {
    if value.is_undefined() {
        Err(Error::from(ErrorKind::UndefinedError))
    } else {
        Ok(())
    }
}

fn factor(value: Value) -> Result<Value, Error> {
    present(&value)?;
    if value.kind() == ValueKind::Number {
        return Ok(value);
    }
    Err(invalid(format!(
        "`*` multiplies numbers only, and this is a {}",
        value.kind()
    )))
}

fn replace(
    value: StringInput<'_>,
    from: StringInput<'_>,
    to: StringInput<'_>,
) -> Result<String, Error> {
    let (text, from, to) = (value.as_str(), from.as_str(), to.as_str());
    let count = text.matches(from).count();
    let longest = count
        .checked_mul(to.len())
        .and_then(|grown| grown.checked_add(text.len()));
    if longest.is_none_or(|longest| longest > TEXT_BYTES_MAX) {
        return Err(too_long());
    }
    Ok(text.replace(from, to))
}

fn join(value: &Value, between: Option<StringInput<'_>>) -> Result<String, Error> {
    present(value)?;
    let between = between.as_ref().map_or("", StringInput::as_str);
    let mut out = String::new();
    for (index, item) in value.try_iter()?.enumerate() {
        if index > 0 {
            out.push_str(between);
        }
        present(&item)?;
        match item.as_str() {
            Some(text) => out.push_str(text),
            None => out.push_str(&scope::text_of(&item)?),
        }
        if out.len() > TEXT_BYTES_MAX {
            return Err(too_long());
        }
    }
    Ok(out)
}

fn split(value: StringInput<'_>, between: Option<StringInput<'_>>) -> Result<Vec<Value>, Error> {
    let text = value.as_str();
    let parts: Vec<Value> = match between.as_ref().map(StringInput::as_str) {
        Some("") => return Err(invalid("`split` needs something to split at")),
        Some(between) => text
            .split(between)
            .take(SPLIT_PARTS_MAX + 1)
            .map(Value::from)
            .collect(),
        None => text
            .split_whitespace()
            .take(SPLIT_PARTS_MAX + 1)
            .map(Value::from)
            .collect(),
    };
    if parts.len() > SPLIT_PARTS_MAX {
        return Err(invalid(format!(
            "`split` makes more than {SPLIT_PARTS_MAX} parts"
        )));
    }
    Ok(parts)
}

fn map(value: &Value, rest: Rest<Value>, options: Kwargs) -> Result<Vec<Value>, Error> {
    present(value)?;
    if !rest.is_empty() {
        return Err(invalid("write map(attribute='…')"));
    }
    let attribute: String = options.get("attribute")?;
    options.assert_all_used()?;
    let mut out = Vec::new();
    for item in value.try_iter()? {
        let mut at = item;
        for part in attribute.split('.') {
            at = at.get_attr(part)?;
        }
        if at.is_undefined() {
            return Err(Error::new(
                ErrorKind::UndefinedError,
                format!("`{attribute}` is undefined"),
            ));
        }
        out.push(at);
    }
    Ok(out)
}

fn to_json(value: &Value) -> Result<String, Error> {
    present(value)?;
    let json = scope::to_json(value)?.to_string();
    if json.len() > TEXT_BYTES_MAX {
        Err(too_long())
    } else {
        Ok(json)
    }
}

fn string(value: &Value) -> Result<String, Error> {
    present(value)?;
    scope::text_of(value)
}

fn url_encode(value: &Value) -> Result<String, Error> {
    const SET: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'.')
        .remove(b'_')
        .remove(b'~');
    present(value)?;
    let mut out = String::new();
    let text = scope::text_of(value)?;
    write!(out, "{}", percent_encoding::utf8_percent_encode(&text, SET)).map_err(|_| too_long())?;
    Ok(out)
}
