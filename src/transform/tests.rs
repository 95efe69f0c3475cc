//! What filled-in requests promise, whatever the event holds.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::clock::Timestamp;
use crate::event::{Event, EventId};
use crate::expression::{Scope, Template};
use crate::payload::Payload;

fn scope_of(payload: Json) -> Scope {
    let at = Timestamp::from_millis(1_732_180_000_123);
    let event = Event {
        id: EventId::new(at, 7),
        source: "shop".into(),
        kind: "generic".into(),
        event_type: "x".into(),
        key: None,
        vendor_id: None,
        direction: None,
        user: None,
        accepted_at: at,
        hops: 0,
        headers: vec![(Arc::from("x-topic"), Arc::from("paid"))],
        body: Bytes::new(),
    };
    Scope::new(&event, None, &Payload::from(payload))
}

/// `PROPTEST_CASES` asks for more.
fn config(cases: u32) -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok());
    ProptestConfig {
        cases: asked.unwrap_or(cases),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

#[test]
fn values_have_no_place_in_scheme_host_port_or_parameter_names() {
    let check = |text: &str, says: &str| {
        let error = UrlTemplate::parse(text).unwrap_err();
        assert!(error.message.contains(says), "{text}: {error}");
        assert!(text.get(error.span).is_some());
    };
    check("{{ payload.url }}", "scheme, host or port");
    check("{{ payload.s }}://a.example/", "scheme, host or port");
    check("https://{{ payload.h }}/", "scheme, host or port");
    check("https://a.example{{ payload.h }}/", "scheme, host or port");
    check("https://a.example:{{ payload.h }}/", "scheme, host or port");
    check(
        "https://a.example?{{ payload.h }}=1",
        "name of a query parameter",
    );
    check(
        "https://a.example/?a=1&b{{ payload.h }}=1",
        "name of a query parameter",
    );
    check("https://a.example/#{{ payload.h }}", "fragment");
    check("https://u:p@a.example/{{ payload.h }}", "no user name");
    check("https://a.example\\{{ payload.h }}", "backslash");
    check("https://a.example/a b", "white space");
    check("ftp://a.example/", "http://");
    check("/relative/{{ payload.x }}", "scheme, host or port");
    check(
        "https://a.example/{% if payload.x %}a{% endif %}",
        "only `{{ … }}`",
    );
    check("https://a.example/{{ nope }}", "there is no `nope`");
}

fn check_url(text: &str, value: Json, expected: &str) {
    let filled = UrlTemplate::parse(text)
        .unwrap()
        .fill(&scope_of(json!({"v": value})));
    let shown = match filled {
        Ok(url) => url.to_string(),
        Err(unfit) => format!("error: {unfit}"),
    };
    assert_eq!(shown, expected, "{text} {value}");
}

#[test]
fn each_value_is_one_segment_or_one_query_value() {
    for (value, segment) in [
        (json!("abc"), "abc"),
        (json!("a/b?c#d"), "a%2Fb%3Fc%23d"),
        (json!("é\r\n\\"), "%C3%A9%0D%0A%5C"),
        (json!(9_007_199_254_740_993_u64), "9007199254740993"),
        (json!(true), "true"),
        (json!("..."), "..."),
    ] {
        let expected = format!("https://a.example:8443/in/{segment}/x?q=1");
        check_url(
            "https://a.example:8443/in/{{ payload.v }}/x?q=1",
            value,
            &expected,
        );
    }
    let query = "https://a.example/?a={{ payload.v }}&b=2";
    check_url(
        query,
        json!("1&b=3 #+"),
        "https://a.example/?a=1%26b%3D3+%23%2B&b=2",
    );
    check_url(query, json!(""), "https://a.example/?a=&b=2");
    check_url(query, json!("../.."), "https://a.example/?a=..%2F..&b=2");
    let path = "https://a.example/in/{{ payload.v }}";
    check_url(
        path,
        json!("a/b..c/.d"),
        "https://a.example/in/a%2Fb..c%2F.d",
    );
    check_url(
        "https://a.example/fixed",
        json!(1),
        "https://a.example/fixed",
    );
}

#[test]
fn a_value_that_would_lead_elsewhere_is_refused() {
    let path = "https://a.example/in/{{ payload.v }}/x";
    let dots = "error: `payload.v` would make a path segment `.` or `..`";
    for value in [
        ".",
        "..",
        "%2e",
        "%2E%2e",
        ".%2e",
        "%252e%252e",
        "%25252e",
        "../../admin",
        "a/../b",
        "a/..",
        "..\\x",
        "a%2f..%5cb",
        "./a",
    ] {
        check_url(path, json!(value), dots);
    }
    check_url("https://a.example/.{{ payload.v }}", json!("."), dots);
    check_url("https://a.example/{{ payload.v }}.", json!("%2e"), dots);
    let empty = "error: a path segment of the URL would be empty: give `payload.v` a `default`";
    check_url(path, json!(""), empty);
    for (value, kind) in [
        (json!(null), "null"),
        (json!([1]), "list"),
        (json!({}), "table"),
    ] {
        let expected =
            format!("error: `payload.v` is a {kind}; a URL takes a text, a number or true/false");
        check_url(path, value, &expected);
    }
    check_url(
        path,
        json!("x".repeat(9000)),
        "error: the filled-in URL is longer than 8192 bytes",
    );
    let missing = "error: `payload.w`: `payload.w` is missing; `| default('')` would allow that";
    check_url("https://a.example/{{ payload.w }}", json!(1), missing);
}

/// Our own collection of texts that broke something somewhere.
const NASTY: &[&str] = &[
    "",
    ".",
    "..",
    "/",
    "//",
    "\\",
    "../../etc/passwd",
    "..\\..",
    "%2e%2e",
    "%2e%2e%2f",
    "%252e",
    ".%00",
    "a\r\nHost: evil",
    "\0",
    "\u{7f}",
    "é",
    "😀",
    "\u{202e}",
    "@evil.example",
    ":8080",
    "#x",
    "?x",
    "&a=b",
    "=",
    ";",
    "%",
    "%zz",
    "%u002e",
    "．．",
    "..;/",
    "http://evil.example/",
    "{{ payload }}",
    "'",
    "\"",
    "<script>",
    "\t",
    " ",
    "a b",
    "\u{feff}",
    "\u{2028}",
    "①②⑦.0.0.1",
    "0x7f.1",
    "[::1]",
    "xn--",
    "\u{ad}",
    "$(id)",
    "`id`",
    "() { :; }",
    "a,b",
    "*",
    "~",
    "|",
];

/// Big lists of naughty strings, where they are at hand.
fn naughty() -> Vec<String> {
    let folder = std::env::var_os("HOOKFAN_CORPORA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpora"),
        PathBuf::from,
    );
    let listed = std::fs::read(folder.join("naughty-strings/blns.json")).ok();
    let listed: Vec<String> =
        listed.map_or_else(Vec::new, |bytes| serde_json::from_slice(&bytes).unwrap());
    NASTY
        .iter()
        .map(|text| (*text).to_owned())
        .chain(listed)
        .collect()
}

/// What a filled-in URL must keep, said without the code under test.
fn same_shape(filled: &Url, host: &str, segments: usize, query_names: &[&str]) {
    assert_eq!(filled.scheme(), "https");
    assert_eq!(filled.host_str(), Some(host));
    assert_eq!(filled.port(), Some(8443));
    assert_eq!(filled.path().matches('/').count(), segments);
    assert!(
        filled.username().is_empty() && filled.password().is_none() && filled.fragment().is_none()
    );
    let names: Vec<String> = filled
        .query_pairs()
        .map(|(name, _)| name.into_owned())
        .collect();
    assert_eq!(names, query_names);
}

#[test]
fn no_value_leaves_its_place() {
    let template = UrlTemplate::parse(
        "https://a.example:8443/v1/{{ payload.a }}/p-{{ payload.b }}/z?q={{ payload.c }}&r=1",
    )
    .unwrap();
    let mut headers = Headers::default();
    headers
        .add(
            "X-Value",
            HeaderText::Template(Template::parse("v={{ payload.a }}").unwrap()),
        )
        .unwrap();
    let check = |a: &str, b: &str, c: &str| {
        let scope = scope_of(json!({"a": a, "b": b, "c": c}));
        if let Ok(url) = template.fill(&scope) {
            same_shape(&url, "a.example", 4, &["q", "r"]);
            let (_, value) = url.query_pairs().next().unwrap();
            assert_eq!(value, c);
            let first = url.path_segments().unwrap().nth(1).unwrap();
            assert_eq!(
                percent_encoding::percent_decode_str(first)
                    .decode_utf8()
                    .unwrap(),
                a
            );
        }
        match headers.fill(&scope) {
            Ok(filled) => {
                assert_eq!(filled.len(), 1);
                assert_eq!(filled["x-value"].to_str().unwrap(), format!("v={a}"));
            }
            Err(_) => assert!(
                a.bytes().any(|byte| !(b' '..=b'~').contains(&byte)) || a.len() > 8000,
                "{a:?}"
            ),
        }
    };
    for text in naughty() {
        check(&text, "b", "c");
        check("a", &text, "c");
        check("a", "b", &text);
    }
    proptest!(config(3000), |(a in r"[./\\%2eE:@?#\PC]{0,6}", b in r"[./%2e\PC]{0,4}", c in r"[&=#+%\PC]{0,6}")| {
        check(&a, &b, &c);
    });
}

#[test]
fn header_values_are_visible_ascii_or_nothing_is_sent() {
    let mut headers = Headers::default();
    headers
        .add(
            "X-Topic",
            HeaderText::Template(Template::parse("{{ payload.t }}").unwrap()),
        )
        .unwrap();
    let check = |value: &str, expected: Result<(), Unfit>| {
        let filled = headers.fill(&scope_of(json!({"t": value}))).map(|filled| {
            assert_eq!(filled["x-topic"], value);
        });
        assert_eq!(filled, expected, "{value:?}");
    };
    let refused = Err(Unfit::HeaderCharacters {
        name: "x-topic".into(),
    });
    check("plain text ~", Ok(()));
    check("a\r\nX-Injected: yes", refused.clone());
    check("caf\u{e9}", refused.clone());
    check("tab\there", refused.clone());
    check("nul\0", refused.clone());
    check("del\u{7f}", refused);
    check(&"x".repeat(8192), Ok(()));
    check(
        &"x".repeat(8193),
        Err(Unfit::LongHeader {
            name: "x-topic".into(),
        }),
    );
}

#[test]
fn some_headers_cannot_be_configured() {
    let template = |text: &str| HeaderText::Template(Template::parse(text).unwrap());
    for name in [
        "Host",
        "Content-Length",
        "Transfer-Encoding",
        "Connection",
        "TE",
        "Upgrade",
        "webhook-id",
        "Hookfan-Hops",
    ] {
        let refused = Headers::default().add(name, template("x"));
        assert_eq!(refused, Err(BadHeader::Reserved { name: name.into() }));
    }
    for text in ["Bearer abc", "{{ payload.token }}"] {
        let refused = Headers::default()
            .add("Authorization", template(text))
            .unwrap_err();
        assert_eq!(
            refused,
            BadHeader::Proof {
                name: "Authorization".into()
            }
        );
        assert!(!refused.to_string().contains("abc"));
    }
    let typed = Headers::default().add("X-Api-Key", template("abc"));
    assert!(matches!(typed, Err(BadHeader::Proof { .. })));
    let filled = Headers::default().add("X-Api-Key-Id", template("{{ payload.id }}"));
    assert_eq!(filled, Ok(()));
    assert!(matches!(
        Headers::default().add("bad name", template("x")),
        Err(BadHeader::Name { .. })
    ));
    assert!(matches!(
        Headers::default().add("X-A", template("a\nb")),
        Err(BadHeader::Value { .. })
    ));
    let mut twice = Headers::default();
    twice.add("X-A", template("1")).unwrap();
    assert!(matches!(
        twice.add("x-a", template("{{ payload.x }}")),
        Err(BadHeader::Twice { .. })
    ));
    let mut secret = Headers::default();
    secret
        .add(
            "Authorization",
            HeaderText::Secret(Secret::new("Bearer abc")),
        )
        .unwrap();
    assert!(secret.fill(&scope_of(json!({}))).unwrap()["authorization"].is_sensitive());
}

fn shape(text: &str) -> Result<BodyShape, Vec<Misshapen>> {
    let table = toml::de::DeTable::parse(text).unwrap();
    let body = table.get_ref().get("body").unwrap();
    BodyShape::from_toml(body, |_| None)
}

#[test]
fn a_body_has_the_shape_of_its_table() {
    let scope = scope_of(json!({"n": 9_007_199_254_740_993_u64, "t": "a\"b", "o": {"k": [1]}}));
    let text = r#"
        [body]
        text = "got {{ payload.t }}"
        raw = "{{ payload.o }}"
        id = "{{ payload.n }}"
        fixed = 0x10
        half = 0.5
        yes = true
        "not.{{ a }}.key" = ["{{ event.source }}", { deep = "{{ payload.n }}" }]
    "#;
    let expected = json!({"text": "got a\"b", "raw": {"k": [1]}, "id": 9_007_199_254_740_993_u64, "fixed": 16, "half": 0.5, "yes": true,
        "not.{{ a }}.key": ["shop", {"deep": 9_007_199_254_740_993_u64}]});
    assert_eq!(shape(text).unwrap().render(&scope), Ok(expected.clone()));
    let with = BodyShape::from_json(&json!({"a": ["{{ payload.n }}", null, 1]})).unwrap();
    assert_eq!(
        with.render(&scope),
        Ok(json!({"a": [9_007_199_254_740_993_u64, null, 1]}))
    );
    assert!(
        shape("body = { a = '{{ payload.nope }}' }")
            .unwrap()
            .render(&scope)
            .unwrap_err()
            .message
            .contains("payload.nope")
    );
}

#[test]
fn every_fault_of_a_shape_is_told_with_its_place() {
    let text = r#"body = { a = "{{ mesage.text }}", b = ["ok", "{{ payload | shout }}"], c = nan, d = "\u0041 {{ nope }}" }"#;
    let wrong = shape(text).unwrap_err();
    let told: Vec<&str> = wrong
        .iter()
        .map(|wrong| &text[wrong.span.clone()])
        .collect();
    assert_eq!(told, ["mesage", "shout", "nan", r#""\u0041 {{ nope }}""#]);
}

fn outgoing(url: &str, body: &[u8]) -> Outgoing {
    let mut headers = HeaderMap::new();
    headers.insert("x-plain", http::HeaderValue::from_static("key is s3/cr+t"));
    let mut proof = http::HeaderValue::from_static("Bearer other");
    proof.set_sensitive(true);
    headers.insert("authorization", proof);
    Outgoing {
        method: Method::POST,
        url: Url::parse(url).unwrap(),
        headers,
        body: Bytes::copy_from_slice(body),
        sign: Some(Secret::new("whsec_x")),
        redact: vec![Secret::new("s3/cr+t"), Secret::new("")],
        late: false,
    }
}

#[test]
fn a_described_request_holds_no_secret() {
    let forms = [
        "https://a.example/?apiKey=s3/cr+t",
        "https://a.example/?apiKey=s3%2Fcr%2Bt",
        "https://a.example/?apiKey=s3%2fcr%2bt",
        "https://a.example/s3%2Fcr+t/whsec_x",
    ];
    for url in forms {
        let request = outgoing(url, br#"{"a": ["s3/cr+t", 1], "whsec_x": "x s3%2Fcr%2Bt"}"#);
        let described = request.describe();
        for shown in [described.to_string(), format!("{request:?}")] {
            for secret in ["s3/cr+t", "s3%2", "s3%2f", "whsec_x", "other"] {
                assert!(!shown.contains(secret), "{secret}: {shown}");
            }
        }
        assert_eq!(described["body"], json!({"a": ["***", 1], "***": "x ***"}));
        assert_eq!(
            described["headers"],
            json!({"x-plain": "key is ***", "authorization": "***"})
        );
        assert_eq!(described["method"], "POST");
    }
    assert_eq!(
        outgoing(forms[0], b"plain s3/cr+t").describe()["body"],
        "plain ***"
    );
    assert_eq!(
        outgoing(forms[0], b"\xff\xfe").describe()["body"],
        json!({"base64": "//4="})
    );
    assert_eq!(outgoing(forms[0], b"").describe()["body"], "");
    assert_eq!(
        outgoing(forms[0], b"").describe()["url"],
        "https://a.example/?apiKey=***"
    );
}
