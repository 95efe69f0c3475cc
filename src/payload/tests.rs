//! What is read as JSON, with and without a tree.

use proptest::prelude::*;
use serde_json::json;

use super::*;

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

/// Whether no tree was made yet.
fn is_treeless(payload: &Payload) -> bool {
    payload.0.tree.get().is_none()
}

#[test]
fn a_plain_body_is_judged_and_asked_without_a_tree() {
    let body = Bytes::from_static(
        br#" {"type" : "new \"order\" \ud83d\ude00", "order": {"id": 12.50, "open": [ true, {"id":"x"} ]}, "type2":null } "#,
    );
    let payload = Payload::of(&body, DEPTH_MAX).unwrap();
    let found = |path: &str| payload.find(path).map(Cow::into_owned);
    assert_eq!(found("type"), Some(json!("new \"order\" 😀")));
    assert_eq!(found("order.id"), Some(json!(12.5)));
    assert_eq!(found("order.open.1.id"), Some(json!("x")));
    assert_eq!(found("order.open"), Some(json!([true, {"id": "x"}])));
    assert_eq!(found("type2"), Some(Value::Null));
    for path in ["", "order.open.2", "order.open.x", "type.x", "order.id.0"] {
        assert_eq!(found(path), None, "{path}");
    }
    assert!(is_treeless(&payload));
    assert_eq!(payload.at("order.open.1.id"), Some(&json!("x")));
    assert!(!is_treeless(&payload));
    assert_eq!(found("order.open.0"), Some(json!(true)));
}

#[test]
fn of_duplicate_keys_the_last_one_counts_without_a_tree_too() {
    let body = Bytes::from_static(br#"{"a":{"b":1,"b":2},"a":{"b":3,"b":4}, "c":{"d":1},"c":5}"#);
    let payload = Payload::of(&body, DEPTH_MAX).unwrap();
    assert_eq!(payload.find("a.b").as_deref(), Some(&json!(4)));
    assert_eq!(payload.find("c.d"), None);
    assert!(is_treeless(&payload));
}

#[test]
fn what_is_not_plain_is_left_to_the_full_parse() {
    for body in [
        "1e5",
        "1E400",
        "12345678901234567890",
        "-1234567890123456789",
        r#""\ud83d""#,
        r#""\ude00\ud83d""#,
        r#"{"\u0061":1}"#,
        "\u{feff}1e5",
        "\"\u{1f}\"",
    ] {
        match Payload::of(&Bytes::from(body), DEPTH_MAX) {
            Ok(payload) => assert!(!is_treeless(&payload), "{body}"),
            Err(error) => assert_eq!(parse(body), Err(error), "{body}"),
        }
    }
}

/// What stands in no brackets: unusual often enough to matter.
const LEAVES: &[&str] = &[
    "null",
    "true",
    "false",
    "0",
    "-0",
    "7",
    "-1.5",
    "01",
    "1.",
    "-",
    "1e3",
    "1e999",
    "0.1E-2",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775808",
    "123456789012345678",
    "-99999999999999999999",
    "0.12345678901234567",
    "\"\"",
    "\"a\"",
    "\"a\\n\\u00e9 long enough for a word\"",
    "\"\\ud83d\\ude00\"",
    "\"\\ud83d\"",
    "\"\\ud83dx\"",
    "\"\\x\"",
    "\"\\u12g4\"",
    "\"\u{7f}é😀\"",
    "\"tab\tin it\"",
    "\"unit separator\u{1f}\"",
    "\"a text that makes whatever it stands in one of the longer objects and arrays\"",
    "\"end",
    "\"b\\",
    "tru",
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    "\u{feff}",
    "\u{a0}",
    "//",
];

const KEYS: &[&str] = &[
    "\"a\"",
    "\"b\"",
    "\"0\"",
    "\"\"",
    "\"\\u0061\"",
    "a",
    "\"a.b\"",
];

const BLANKS: &[&str] = &["", "", "", " ", "\r\n", "\t", "\u{b}"];

const COMMAS: &[&str] = &[",", ",", ",", ",", ",", " ,\n", ",,", ""];

fn one_of(texts: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> + Clone {
    prop::sample::select(texts).prop_map(|text| text.as_bytes().to_vec())
}

/// Items between brackets, mostly with commas.
fn list(
    item: impl Strategy<Value = Vec<u8>>,
    [open, close]: [&'static [u8]; 2],
) -> impl Strategy<Value = Vec<u8>> {
    let parts = (
        prop::collection::vec(item, 0..4),
        one_of(COMMAS),
        one_of(BLANKS),
    );
    parts.prop_map(move |(items, comma, blank)| {
        [open, &blank, &items.join(&comma[..]), &blank, close].concat()
    })
}

/// Pieces of JSON, whole ones often enough to be accepted.
fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let whole = one_of(LEAVES).prop_recursive(5, 40, 5, |inner| {
        let member = (one_of(KEYS), one_of(BLANKS), inner.clone(), one_of(BLANKS));
        let member = member.prop_map(|(key, before, value, after)| {
            [&key, &before, &b":"[..], &after, &value].concat()
        });
        prop_oneof![
            3 => list(member, [b"{", b"}"]),
            2 => list(inner, [b"[", b"]"]),
        ]
    });
    // One byte in the wrong place, now and then.
    let wrong = prop::option::weighted(0.2, (any::<prop::sample::Index>(), any::<u8>()));
    (whole, wrong).prop_map(|(mut body, wrong)| {
        if let Some((at, byte)) = wrong.filter(|_| !body.is_empty()) {
            let at = at.index(body.len());
            body[at] = byte;
        }
        body
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn without_a_tree_the_answers_are_those_of_the_tree(body in bodies(), depth_max in 0_usize..7) {
        let whole = Payload::parse(&body, depth_max);
        let body = Bytes::from(body);
        let lazy = Payload::of(&body, depth_max);
        if let (Ok(whole), Ok(lazy)) = (&whole, &lazy) {
            for path in ["a", "b", "", "0", "1", "a.b", "a.a", "a.0", "b.1.a", "0.0", "1.b", "0.1.2", "a.0.b.0", "a.+1"] {
                let found = lazy.find(path);
                prop_assert_eq!(found.as_deref(), whole.at(path), "{}", path);
            }
        }
        prop_assert_eq!(lazy, whole);
    }
}
