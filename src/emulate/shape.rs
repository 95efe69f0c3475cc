//! What a JSON body may look like: small tables, and one function that holds a
//! body against them. Names that are not in the table are refused.

use serde_json::{Map, Value as Json};

use crate::clock::Timestamp;

/// What may stand in a place.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Any,
    Text,
    /// Not only white space.
    Filled,
    Boolean,
    /// A whole number from 0.
    Count,
    /// A whole number from 1, as `int32`.
    Page,
    Number,
    Uuid,
    /// E.164: a plus and 7 to 15 digits, the first not 0.
    Phone,
    Email,
    /// `http` or `https`, with a host.
    Url,
    /// RFC 3339.
    Time,
    Word(&'static [&'static str]),
    List(&'static Self),
    Object(&'static [Field]),
    /// An object in which further names may stand.
    Open(&'static [Field]),
    /// Objects told apart by `_type`.
    Union(&'static [(&'static str, &'static [Field])]),
}

/// A name and what it holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    name: &'static str,
    required: bool,
    kind: Kind,
}

pub(super) const fn must(name: &'static str, kind: Kind) -> Field {
    Field {
        name,
        required: true,
        kind,
    }
}

pub(super) const fn may(name: &'static str, kind: Kind) -> Field {
    Field {
        name,
        required: false,
        kind,
    }
}

/// What a table says of a name.
pub(super) fn kind_of(fields: &[Field], name: &str) -> Option<Kind> {
    let found = fields.iter().find(|field| field.name == name);
    found.map(|field| field.kind)
}

/// The first thing that is wrong with `value`, with its place.
pub(super) fn check(kind: Kind, value: &Json) -> Result<(), String> {
    check_at("the body", kind, value)
}

fn check_at(place: &str, kind: Kind, value: &Json) -> Result<(), String> {
    let wrong = |what: &str| Err(format!("{place} {what}"));
    match (kind, value) {
        (Kind::Any, _) | (Kind::Text, Json::String(_)) | (Kind::Boolean, Json::Bool(_)) => Ok(()),
        (Kind::List(kind), Json::Array(items)) => {
            for (at, item) in items.iter().enumerate() {
                check_at(&format!("{place}[{at}]"), *kind, item)?;
            }
            Ok(())
        }
        (Kind::Object(fields), Json::Object(object)) => check_object(place, fields, object, &[]),
        (Kind::Open(fields), Json::Object(object)) => check_fields(place, fields, object),
        (Kind::Union(variants), Json::Object(object)) => {
            let Some(kind) = object.get("_type").and_then(Json::as_str) else {
                return wrong("has no _type");
            };
            let Some((_, fields)) = variants.iter().find(|(name, _)| *name == kind) else {
                return wrong(&format!("has the unknown _type {kind:?}"));
            };
            check_object(place, fields, object, &["_type"])
        }
        (Kind::Number, Json::Number(_)) => Ok(()),
        (Kind::Count, Json::Number(number)) if number.is_u64() => Ok(()),
        (Kind::Page, Json::Number(number))
            if number
                .as_i64()
                .is_some_and(|page| (1..=i64::from(i32::MAX)).contains(&page)) =>
        {
            Ok(())
        }
        (
            Kind::Filled
            | Kind::Uuid
            | Kind::Phone
            | Kind::Email
            | Kind::Url
            | Kind::Time
            | Kind::Word(_),
            Json::String(text),
        ) => check_text(kind, text).map_err(|what| format!("{place} {what}")),
        _ => wrong(&format!("must be {}", said(kind))),
    }
}

fn check_object(
    place: &str,
    fields: &[Field],
    object: &Map<String, Json>,
    also: &[&str],
) -> Result<(), String> {
    let known = |name: &str| also.contains(&name) || fields.iter().any(|field| field.name == name);
    if let Some(name) = object.keys().find(|name| !known(name)) {
        return Err(format!("{place} has the unknown field {name:?}"));
    }
    check_fields(place, fields, object)
}

fn check_fields(place: &str, fields: &[Field], object: &Map<String, Json>) -> Result<(), String> {
    for field in fields {
        let place = format!("{place}.{}", field.name);
        match object.get(field.name) {
            None if field.required => return Err(format!("{place} is required")),
            None => {}
            Some(value) => check_at(&place, field.kind, value)?,
        }
    }
    Ok(())
}

/// As [`check`], for a value that came as text: in a path, a query or a form.
pub(super) fn check_text(kind: Kind, text: &str) -> Result<(), String> {
    let fits = match kind {
        Kind::Any | Kind::Text => true,
        Kind::Filled => !text.trim().is_empty(),
        Kind::Boolean => matches!(text, "true" | "false"),
        Kind::Count => text.parse::<u64>().is_ok(),
        Kind::Page => text.parse::<i32>().is_ok_and(|number| number >= 1),
        Kind::Number => text.parse::<f64>().is_ok(),
        Kind::Uuid => is_uuid(text),
        Kind::Phone => is_phone(text),
        Kind::Email => is_email(text),
        Kind::Url => is_url(text),
        Kind::Time => Timestamp::parse_rfc3339(text).is_some(),
        Kind::Word(words) => words.contains(&text),
        Kind::List(_) | Kind::Object(_) | Kind::Open(_) | Kind::Union(_) => false,
    };
    if fits {
        Ok(())
    } else {
        Err(format!("must be {}", said(kind)))
    }
}

fn said(kind: Kind) -> String {
    match kind {
        Kind::Any => "anything",
        Kind::Text => "a string",
        Kind::Filled => "a string that is not blank",
        Kind::Boolean => "true or false",
        Kind::Count => "a whole number",
        Kind::Page => "a whole number from 1",
        Kind::Number => "a number",
        Kind::Uuid => "a UUID",
        Kind::Phone => "a phone number in E.164",
        Kind::Email => "an e-mail address",
        Kind::Url => "an http URL",
        Kind::Time => "a time in RFC 3339",
        Kind::Word(words) => return format!("one of {}", words.join(", ")),
        Kind::List(_) => "an array",
        Kind::Object(_) | Kind::Open(_) | Kind::Union(_) => "an object",
    }
    .to_owned()
}

/// With its four hyphens.
pub(super) fn is_uuid(text: &str) -> bool {
    text.len() == 36 && uuid::Uuid::try_parse(text).is_ok()
}

fn is_phone(text: &str) -> bool {
    text.strip_prefix('+').is_some_and(|digits| {
        (7..=15).contains(&digits.len())
            && digits.bytes().all(|digit| digit.is_ascii_digit())
            && !digits.starts_with('0')
    })
}

pub(super) fn is_email(text: &str) -> bool {
    let blank = |letter: char| letter.is_whitespace() || letter.is_control();
    text.split_once('@').is_some_and(|(local, domain)| {
        !local.is_empty()
            && !text.contains(blank)
            && !domain.contains('@')
            && domain.split('.').count() >= 2
            && domain.split('.').all(|label| !label.is_empty())
    })
}

fn is_url(text: &str) -> bool {
    url::Url::parse(text)
        .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_kind_takes_what_it_says_and_nothing_else() {
        const OPEN: Kind = Kind::Open(&[must("x", Kind::Count)]);
        const MAYBE: Kind = Kind::Object(&[may("x", Kind::Text)]);
        const WORDS: Kind = Kind::Word(&["a", "b"]);
        const UNION: Kind = Kind::Union(&[("X", &[must("n", Kind::Count)])]);
        for (kind, good, bad) in [
            (Kind::Text, json!(""), json!(1)),
            (Kind::Filled, json!("x"), json!(" \n")),
            (Kind::Boolean, json!(false), json!("false")),
            (Kind::Count, json!(0), json!(-1)),
            (Kind::Count, json!(7), json!(1.5)),
            (Kind::Number, json!(-1.5), json!("1")),
            (Kind::Page, json!(1), json!(0)),
            (
                Kind::Uuid,
                json!("434ce9f5-14c8-4be1-a0a8-f755010deb9b"),
                json!("434ce9f514c84be1a0a8f755010deb9b"),
            ),
            (Kind::Phone, json!("+551155256325"), json!("551155256325")),
            (Kind::Phone, json!("+4511223344"), json!("+0511223344")),
            (Kind::Phone, json!("+4511223344"), json!("+45 1122 3344")),
            (Kind::Email, json!("a@b.example"), json!("a@b")),
            (Kind::Email, json!("a+b@c.example"), json!("a b@c.example")),
            (
                Kind::Url,
                json!("https://cdn.example.com/x"),
                json!("ftp://cdn.example.com/x"),
            ),
            (Kind::Url, json!("http://1.2.3.4"), json!("/x")),
            (
                Kind::Time,
                json!("2021-12-01T13:00:00.003Z"),
                json!("2021-12-01 13:00"),
            ),
            (WORDS, json!("a"), json!("A")),
            (Kind::List(&Kind::Uuid), json!([]), json!(["x"])),
            (Kind::Object(&[]), json!({}), json!({"x": 1})),
            (OPEN, json!({"x": 1, "y": 2}), json!({"y": 2})),
            (
                UNION,
                json!({"_type": "X", "n": 1}),
                json!({"_type": "Y", "n": 1}),
            ),
            (UNION, json!({"_type": "X", "n": 1}), json!({"n": 1})),
            (
                UNION,
                json!({"_type": "X", "n": 1}),
                json!({"_type": "X", "n": 1, "m": 1}),
            ),
            (UNION, json!({"_type": "X", "n": 1}), json!({"_type": "X"})),
            (MAYBE, json!({}), json!({"x": null})),
        ] {
            assert_eq!(check(kind, &good), Ok(()), "{kind:?} {good}");
            assert!(check(kind, &bad).is_err(), "{kind:?} {bad}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        const SHAPE: Kind = Kind::Object(&[must(
            "a",
            Kind::List(&Kind::Object(&[must("b", Kind::Count)])),
        )]);
        assert_eq!(
            check(SHAPE, &json!({"a": [{"b": 1}, {"b": "x"}]})),
            Err("the body.a[1].b must be a whole number".to_owned())
        );
    }
}
