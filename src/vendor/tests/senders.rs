//! Standard Webhooks, GitHub, Stripe, Slack, and any other sender of JSON.

use super::*;
use crate::vendor::generic::{Generic, Selector};
use crate::vendor::{github::GitHub, slack::Slack, standard::Standard, stripe::Stripe};

/// `type | id | key` of what a body reads as, or the error.
fn said(reader: &dyn Reader, headers: &[(&str, &str)], body: &str) -> String {
    let bytes = Bytes::from(body.to_owned());
    match read_with(reader, headers, &bytes) {
        Ok(Webhook::Events(readings)) => {
            let [reading] = readings.as_slice() else {
                panic!("{readings:?}")
            };
            assert_eq!(reading.body, bytes, "stored as received");
            assert!(reading.message.is_none() && reading.direction.is_none());
            let id = reading.vendor_id.as_ref().map_or("-", |id| id.as_str());
            format!(
                "{} | {id} | {}",
                reading.event_type,
                reading.key.as_deref().unwrap_or("-")
            )
        }
        Ok(Webhook::Probe { content_type, body }) => {
            format!("probe {content_type} {}", String::from_utf8_lossy(&body))
        }
        Err(Unreadable(why)) => format!("unreadable: {why}"),
    }
}

#[test]
fn standard_webhooks_carry_type_and_id() {
    let check = |headers: &[(&str, &str)], body: &str, expected: &str| {
        assert_eq!(said(&Standard, headers, body), expected)
    };
    check(
        &[("webhook-id", "msg_1")],
        r#"{"type":"user.created","data":{}}"#,
        "user.created | msg_1 | -",
    );
    check(&[], r#"{"type":"user.created"}"#, "user.created | - | -");
    check(&[("webhook-id", "msg_1")], "[1]", "unknown | msg_1 | -");
    check(&[], "no", "unreadable: not JSON at line 1 column 2");
    assert_eq!(Standard.headers(), ["webhook-id"]);
}

#[test]
fn github_names_its_events_in_a_header() {
    let headers = [
        ("X-GitHub-Event", "issues"),
        ("X-GitHub-Delivery", "72d3162e"),
        ("content-type", "application/json"),
    ];
    assert_eq!(
        said(&GitHub, &headers, r#"{"action":"opened"}"#),
        "issues | 72d3162e | -"
    );
    let form = [
        ("X-GitHub-Event", "push"),
        (
            "content-type",
            "application/x-www-form-urlencoded; charset=utf-8",
        ),
    ];
    assert_eq!(
        said(&GitHub, &form, "payload=%7B%22a%22%3A1%7D"),
        "push | - | -"
    );
    let reading = one(read_with(
        &GitHub,
        &form,
        &Bytes::from("x=1&payload=%7B%22a%22%3A1%7D"),
    )
    .unwrap());
    assert_eq!(reading.payload.value(), &serde_json::json!({"a": 1}));
    let mut stored = event_of("github", &reading);
    stored.headers = vec![(Arc::from("content-type"), Arc::from(form[1].1))];
    assert_eq!(payload_of(&stored, 128), Some(reading.payload));
    stored.kind = "generic".into();
    assert_eq!(payload_of(&stored, 128), None);
    assert!(said(&GitHub, &form, "other=1").starts_with("unreadable"));
    assert!(said(&GitHub, &form, "payload=%7B").starts_with("unreadable"));
    assert!(said(&GitHub, &[], "{}").contains("X-GitHub-Event"));
}

#[test]
fn stripe_names_its_events_in_the_body() {
    assert_eq!(
        said(&Stripe, &[], r#"{"id":"evt_1","type":"invoice.paid"}"#),
        "invoice.paid | evt_1 | -"
    );
    assert_eq!(
        said(&Stripe, &[], r#"{"type":"invoice.paid","id":7}"#),
        "invoice.paid | - | -"
    );
    for bad in ["[]", "{}", r#"{"type":1}"#, r#"{"type":""}"#, ""] {
        assert!(said(&Stripe, &[], bad).starts_with("unreadable"), "{bad}");
    }
}

#[test]
fn slack_is_an_envelope_or_a_challenge() {
    let check =
        |body: &str, expected: &str| assert_eq!(said(&Slack, &[], body), expected, "{body}");
    check(
        r#"{"type":"url_verification","challenge":"3eZb","token":"t"}"#,
        "probe text/plain 3eZb",
    );
    check(
        r#"{"type":"event_callback","event_id":"Ev1","event":{"type":"message","channel":"C1"}}"#,
        "message | Ev1 | C1",
    );
    check(
        r#"{"type":"event_callback","event":{"type":"reaction_added","item":{"channel":"C2"}}}"#,
        "reaction_added | - | C2",
    );
    check(
        r#"{"type":"event_callback","event":{"type":"channel_created","channel":{"id":"C3"}}}"#,
        "channel_created | - | C3",
    );
    check(r#"{"type":"app_rate_limited"}"#, "app_rate_limited | - | -");
    check(
        r#"{"type":"event_callback","event":{}}"#,
        "unreadable: no `event.type`",
    );
    check(
        r#"{"type":"url_verification"}"#,
        "unreadable: no `challenge`",
    );
    check("[]", "unreadable: no `type`");
    assert!(said(&Slack, &[], "token=x&command=%2Fy").starts_with("unreadable"));
}

#[test]
fn a_generic_sender_is_told_where_to_look() {
    let header = |name: &str| Selector::Header(name.into());
    let body = |path: &str| Selector::Body(path.into());
    let reader = Generic {
        event_type: vec![header("x-shop-topic"), body("topic"), body("list.1")],
        id: vec![header("x-shop-id"), body("flag")],
        key: vec![body("order.id")],
    };
    let check = |headers: &[(&str, &str)], text: &str, expected: &str| {
        assert_eq!(said(&reader, headers, text), expected, "{text}")
    };
    check(
        &[("X-Shop-Topic", "paid")],
        r#"{"topic":"other","order":{"id":9007199254740993}}"#,
        "paid | - | 9007199254740993",
    );
    check(
        &[("X-Shop-Topic", "")],
        r#"{"topic":"other","flag":true}"#,
        "other | true | -",
    );
    check(
        &[],
        r#"{"topic":null,"list":[0,"second"],"order":{"id":"a b"}}"#,
        "second | - | a b",
    );
    check(
        &[("x-shop-id", "7")],
        r#"{"order":{"id":123456789012345678901234567890}}"#,
        "unknown | 7 | -",
    );
    for any in ["1", "\"text\"", "null", "[]", "{}", "true"] {
        check(&[], any, "unknown | - | -");
    }
    assert!(said(&reader, &[], "").starts_with("unreadable"));
    assert_eq!(reader.headers(), ["x-shop-topic", "x-shop-id"]);
}

/// What JSON is (RFC 8259) and what it is not.
#[test]
fn a_body_is_json_or_refused() {
    let yes: &[&[u8]] = &[
        b"[]",
        b"{}",
        b" [1]\n",
        b"[1.5e-3]",
        b"[-0]",
        b"[0e+1]",
        b"\"\"",
        b"\"\\u0000\"",
        b"[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]",
        b"{\"a\":{\"a\":1},\"a\":2}",
        b"[null,true,false]",
        b"\"\xf0\x9f\x98\x80\"",
        b"\"\\ud83d\\ude00\"",
        b"\"\\ud83d\"",
        b"123",
        b"[\"\x7f\"]",
        b"\xef\xbb\xbf{}",
        b"[1,2 , 3]",
        b"{\"\":0}",
        b"1E22",
    ];
    let no: &[&[u8]] = &[
        b"",
        b" ",
        b"[",
        b"]",
        b"[1,]",
        b"[,1]",
        b"{a:1}",
        b"{'a':1}",
        b"{\"a\":1,}",
        b"{\"a\" 1}",
        b"[01]",
        b"[1.]",
        b"[.5]",
        b"[+1]",
        b"[0x1]",
        b"[NaN]",
        b"[Infinity]",
        b"[tru]",
        b"\"a\nb\"",
        b"\"\\x41\"",
        b"\"\\u12\"",
        b"\"",
        b"[1] x",
        b"{}{}",
        b"// c\n{}",
        b"\xff",
        b"\"\xc0\xaf\"",
        b"\"\xed\xa0\x80\"",
        b"[\"\t\"]",
        b"\xef\xbb\xbf",
    ];
    let reader = Generic::default();
    for (bodies, expected) in [(yes, true), (no, false)] {
        for body in bodies {
            let read = read_with(&reader, &[], &Bytes::copy_from_slice(body));
            assert_eq!(read.is_ok(), expected, "{}", String::from_utf8_lossy(body));
        }
    }
}

#[test]
fn the_json_test_suite_is_passed_where_it_is_at_hand() {
    let folder = std::env::var_os("HOOKFAN_CORPORA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpora"),
        PathBuf::from,
    );
    let Ok(entries) = std::fs::read_dir(folder.join("json-test-suite/test_parsing")) else {
        return;
    };
    let mut seen = 0;
    for entry in entries {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let read = read_with(
            &Generic::default(),
            &[],
            &Bytes::from(std::fs::read(&path).unwrap()),
        );
        match name.as_bytes() {
            [b'y', ..] => assert!(read.is_ok(), "{name}: {read:?}"),
            [b'n', ..] => assert!(read.is_err(), "{name}"),
            _ => {}
        }
        seen += 1;
    }
    assert!(seen > 300, "{seen}");
}
