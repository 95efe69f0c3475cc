//! What expressions promise.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;

use super::*;
use crate::clock::Timestamp;
use crate::event::{Direction, Event, EventId};
use crate::message::{Attachment, Conversation, Message, Person};
use crate::payload::Payload;

fn event() -> Event {
    let at = Timestamp::from_millis(1_732_180_000_123);
    Event {
        id: EventId::new(at, 7),
        source: "shop".into(),
        kind: "generic".into(),
        event_type: "order.paid".into(),
        key: None,
        vendor_id: None,
        direction: None,
        user: None,
        accepted_at: at,
        hops: 0,
        headers: vec![(Arc::from("x-topic"), Arc::from("paid"))],
        body: Bytes::new(),
    }
}

fn message() -> Message {
    Message {
        id: None,
        kind: "text".into(),
        text: "hello".into(),
        quoted: "> x\nhello".into(),
        direction: Direction::Incoming,
        conversation: Conversation {
            id: "12".into(),
            name: None,
            kind: Some("group".into()),
        },
        author: Person {
            email: Some("rina@example.com".into()),
            ..Person::default()
        },
        user: None,
        attachments: vec![Attachment {
            url: "https://cdn.example.com/a.png".into(),
            name: None,
            image: true,
        }],
        sent_at: None,
    }
}

fn payload() -> Payload {
    Payload::parse(
        br#"{"n": 9007199254740993, "u": 18446744073709551615, "big": 123456789012345678901234567890, "f": 1.5,
             "t": "text", "flag": true, "nothing": null, "list": [1, {"a": "b"}, 3], "order": {"id": 7, "lines": ["x", "y"]}}"#,
        128,
    )
    .unwrap()
}

fn scope() -> Scope {
    Scope::new(&event(), Some(&message()), &payload())
}

#[test]
fn conditions_are_bare_expressions() {
    let check = |text: &str, expected: bool| {
        assert_eq!(
            Expression::parse(text).unwrap().holds(&scope()),
            Ok(expected),
            "{text}"
        );
    };
    check("message.direction == 'incoming'", true);
    check("message.kind != 'system_event'", true);
    check("message.author.email is endingwith '@example.com'", true);
    check(
        "event.headers['X-Topic'] == 'paid' and event.type == 'order.paid'",
        true,
    );
    check("'hell' in message.text", true);
    check("payload.order.id in [6, 7]", true);
    check("payload.nope is defined", false);
    check("payload.nope | default(false)", false);
    check("payload.list[1].a == 'b'", true);
    check("payload.list | length > 2", true);
    check("not payload.flag", false);
    check("payload.n == 9007199254740992", false);
}

#[test]
fn a_lone_expression_keeps_its_json_type() {
    let check = |text: &str, expected: serde_json::Value| {
        assert_eq!(
            Template::parse(text).unwrap().render(&scope()),
            Ok(expected),
            "{text}"
        );
    };
    check("{{ payload.n }}", json!(9_007_199_254_740_993_u64));
    check("{{ payload.u }}", json!(u64::MAX));
    check("{{ payload.f }}", json!(1.5));
    check("{{ payload.flag }}", json!(true));
    check("{{ payload.nothing }}", json!(null));
    check("{{ payload.order }}", json!({"id": 7, "lines": ["x", "y"]}));
    check("{{ payload.list }}", payload().value()["list"].clone());
    check(
        "{{ [payload.order.id, {'k': payload.list}] }}",
        json!([7, {"k": [1, {"a": "b"}, 3]}]),
    );
    check(
        "{{ message.conversation }}",
        json!({"id": "12", "kind": "group"}),
    );
    check(
        "{{ message.attachments | map(attribute='url') }}",
        json!(["https://cdn.example.com/a.png"]),
    );
    check("{{ payload.f * 2 }}", json!(3.0));
    check("{{ payload.order.id * 100 + 1 }}", json!(701));
    check("n: {{ payload.n }}", json!("n: 9007199254740993"));
    check(
        "{{ payload.flag }}{{ payload.nothing }} {{ payload.order }}\n",
        json!("truenull {\"id\":7,\"lines\":[\"x\",\"y\"]}\n"),
    );
    check(
        "{% for x in payload.order.lines %}[{{ x }}]{% endfor %}",
        json!("[x][y]"),
    );
    check(
        "{% if message.id is defined %}a{% else %}b{% endif %}",
        json!("b"),
    );
    check("plain { text }", json!("plain { text }"));
    check("", json!(""));
    check("{{ '<b>' }}&", json!("<b>&"));
    let rendered = Template::parse("{{ message }}")
        .unwrap()
        .render(&scope())
        .unwrap();
    assert_eq!(rendered, serde_json::to_value(message()).unwrap());
}

#[test]
fn a_missing_name_is_an_error_that_names_it() {
    let check = |text: &str, expression: &str, missing: &str| {
        let failed = Template::parse(text).unwrap().render(&scope()).unwrap_err();
        assert_eq!(failed.expression, expression, "{text}: {failed}");
        assert!(
            failed.message.contains(&format!("`{missing}` is missing")),
            "{text}: {failed}"
        );
    };
    check("{{ payload.nope }}", "payload.nope", "payload.nope");
    check(
        "{{ payload.nope.deeper }}",
        "payload.nope.deeper",
        "payload.nope",
    );
    check("a {{ payload.nope }}", "payload.nope", "payload.nope");
    check(
        "{{ payload.t }} {{ payload.order.idd|upper }}",
        "payload.order.idd|upper",
        "payload.order.idd",
    );
    check("{{ message.user.id }}", "message.user.id", "message.user");
    check("{{ event.key }}", "event.key", "event.key");
    check(
        "{{ payload.nope | join(',') }}",
        "payload.nope | join(',')",
        "payload.nope",
    );
    check("{{ [payload.nope] }}", "[payload.nope]", "payload.nope");
    check(
        "{{ payload.nope == 'x' }}",
        "payload.nope == 'x'",
        "payload.nope",
    );
    check(
        "{% if payload.nope %}x{% endif %}",
        "if payload.nope",
        "payload.nope",
    );
    let failed = Expression::parse("message.text == 'x'").unwrap();
    let failed = failed
        .holds(&Scope::new(&event(), None, &payload()))
        .unwrap_err();
    assert!(failed.message.contains("`message` is missing"), "{failed}");
    let ok = Template::parse("{{ payload.nope | default('') }}")
        .unwrap()
        .render(&scope());
    assert_eq!(ok, Ok(json!("")));
    let empty = Expression::parse("'x' if false")
        .unwrap()
        .value(&scope())
        .unwrap_err();
    assert!(empty.message.contains("else"), "{empty}");
}

#[test]
fn what_is_not_offered_is_refused_where_it_stands() {
    let check = |text: &str, at: &str, says: &str| {
        let error = Template::parse(text).unwrap_err();
        assert!(error.message.contains(says), "{text}: {error}");
        assert_eq!(&text[error.span.clone()], at, "{text}: {error}");
    };
    check(
        "{{ mesage.text }}",
        "mesage",
        "no `mesage` here; did you mean \"message\"?",
    );
    check("{{ x }}", "x", "`event`, `message` and `payload`");
    check("{{ payload.t | shout }}", "shout", "no filter `shout`");
    check(
        "{{ payload.t is shouting }}",
        "shouting",
        "no test `shouting`",
    );
    check(
        "{{ payload.t is not shouting }}",
        "shouting",
        "no test `shouting`",
    );
    check("{{ range(5) }}", "range", "no functions");
    check("{{ payload.t.upper() }}", "upper", "no functions");
    check("x {{ 'a' | join(*payload.list) }}", "*", "spreading");
    check("{{ payload.t | __factor }}", "__factor", "no filter");
    for text in [
        "{% include 'x' %}",
        "{% extends 'x' %}",
        "{% import 'x' as y %}",
        "{% macro m() %}{% endmacro %}",
        "{% set x %}{{ payload.t }}{% endset %}",
        "{% for x in payload.list recursive %}{% endfor %}",
        "{% filter upper %}x{% endfilter %}",
        "{% raw %}x{% endraw %}",
        "{% autoescape true %}x{% endautoescape %}",
        "{{ payload.",
        "{{ }}",
        "{{ a b }}",
        "{{ payload }} {{",
    ] {
        assert!(Template::parse(text).is_err(), "{text}");
    }
    assert!(Expression::parse("payload.t = 1").is_err());
    assert!(Expression::parse("").is_err());
}

#[test]
fn a_list_or_text_is_never_multiplied() {
    for text in [
        "payload.list * 1000000000",
        "payload.n * payload.list",
        "[1] * payload.n",
        "'ab' * payload.order.id",
        "payload.t * payload.order.id",
        "(payload.list + payload.list) * 5",
        "1 * payload.list * 5",
        "2 * 3 * payload.t.x|default('y')",
        "payload.list[0] * payload.list[1:]",
        "2 * (payload.order.lines)",
        "payload.t|trim * 3",
        "1 + 2 * payload.list if payload.flag else 0",
    ] {
        let failed = Expression::parse(text)
            .unwrap()
            .value(&scope())
            .unwrap_err();
        assert!(
            failed.message.contains("multiplies numbers only"),
            "{text}: {failed}"
        );
        let mixed = Template::parse(&format!("a{{% set x = {text} %}}"))
            .unwrap()
            .render(&scope());
        assert!(
            mixed
                .unwrap_err()
                .message
                .contains("multiplies numbers only"),
            "{text}"
        );
    }
}

#[test]
fn every_evaluation_has_a_budget() {
    let many: Vec<u32> = (0..60_000).collect();
    let big = "x".repeat(1 << 20);
    let payload = Payload::from(json!({"many": many, "big": big}));
    let scope = Scope::new(&event(), None, &payload);
    let check = |text: &str, says: &str| {
        let failed = Template::parse(text).unwrap().render(&scope).unwrap_err();
        assert!(failed.message.contains(says), "{text}: {failed}");
    };
    check("{% for x in payload.many %}{% endfor %}!", "50000 steps");
    check(
        "{% for x in payload.many %}{{ payload.big }}{% endfor %}",
        "4194304 bytes",
    );
    check(
        "{{ payload.big | replace('x', payload.big) }}",
        "4194304 bytes",
    );
    check(
        "{{ payload.big | replace('', payload.big) }}",
        "4194304 bytes",
    );
    check("{{ payload.many | join(payload.big) }}", "4194304 bytes");
    check("{{ payload.big | split('x') }}", "10000 parts");
    check(
        "{{ [payload.many, payload.many[1:], payload.many[2:]] }}",
        "100000 elements",
    );
    assert!(Template::parse(&"x".repeat(SOURCE_BYTES_MAX + 1)).is_err());
}

#[test]
fn the_paths_it_read_are_listed_with_their_values() {
    let expression = Expression::parse(
        "payload.order.id > 5 and payload.nope is defined and message.kind == 'x'",
    )
    .unwrap();
    let looked = expression.looked_at(&scope());
    let seen: Vec<(&str, Option<serde_json::Value>)> = looked
        .iter()
        .map(|l| (l.path.as_str(), l.value.clone()))
        .collect();
    assert_eq!(
        seen,
        [
            ("message.kind", Some(json!("text"))),
            ("payload.nope", None),
            ("payload.order.id", Some(json!(7)))
        ]
    );
}

#[test]
fn any_text_parses_or_is_refused_and_never_panics() {
    use proptest::prelude::*;
    let fragments = prop::sample::select(vec![
        "{{", "}}", "{%", "%}", "{#", "#}", " ", "payload", ".t", "*", "**", "-", "(", ")", "[",
        "]", "{", "}", "'", "\"", "\\", "|", "upper", "is", "not", "if", "else", "for x in",
        "endfor", "1", "1.5e", "é", "😀", "\n", ":", ",", "~", "%", "0x",
    ]);
    let config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |(parts in prop::collection::vec(fragments, 0..14))| {
        let text = parts.concat();
        if let Ok(template) = Template::parse(&text) {
            let _ = template.render(&scope());
        }
        match Expression::parse(&text) {
            Ok(expression) => { let _ = expression.value(&scope()); }
            Err(error) => prop_assert!(text.get(error.span.clone()).is_some(), "{:?} {:?}", text, error),
        }
    });
}

#[test]
fn a_number_that_reading_has_rounded_is_never_sent() {
    for text in [
        "{{ payload.big }}",
        "id {{ payload.big }}",
        "{{ payload.big | string }}",
        "{{ [payload.big] }}",
        "{{ payload }}",
        "{{ payload | tojson }}",
    ] {
        let failed = Template::parse(text).unwrap().render(&scope()).unwrap_err();
        assert!(
            failed
                .message
                .contains("beyond 64 bits; it would be rounded"),
            "{text}: {failed}"
        );
    }
    let seen = |body: &str| {
        let payload = Payload::parse(body.as_bytes(), 128).unwrap();
        let scope = Scope::new(&event(), None, &payload);
        Template::parse("{{ payload }}")
            .unwrap()
            .render(&scope)
            .is_ok()
    };
    for (body, sent) in [
        ("[18446744073709551615, -9223372036854775808]", true),
        ("[18446744073709551616]", false),
        ("[-9223372036854775809]", false),
        ("[1e30, 1.10, 12345678901234567890.5]", true),
        ("[\"123456789012345678901234567890\", 0]", true),
        ("{\"123456789012345678901234567890\": 0}", true),
    ] {
        assert_eq!(seen(body), sent, "{body}");
    }
}

#[test]
fn a_name_that_no_event_has_is_told_with_its_place() {
    let check = |text: &str, place: &str, says: &str| {
        let error = Expression::parse(text)
            .map(drop)
            .or_else(|_| Template::parse(&format!("x{{{{ {text} }}}}")).map(drop));
        assert!(error.is_err(), "{text}");
        let error = Expression::parse(text).unwrap_err();
        assert_eq!(&text[error.span.clone()], place, "{text}: {error}");
        assert!(error.message.contains(says), "{text}: {error}");
    };
    check("message.knd == 'text'", "knd", "did you mean \"kind\"?");
    check("event.tpye == 'a'", "tpye", "did you mean \"type\"?");
    check(
        "payload.knd and message.knd",
        "knd",
        "there is no `message.knd`",
    );
    check(
        "message.author.emial | default('')",
        "emial",
        "did you mean \"email\"?",
    );
    check(
        "message.conversation.subject is defined",
        "subject",
        "there is no `message.conversation.subject`; there are",
    );
    check("event.type.x", "x", "`event.type` is a text");
    let mixed = Template::parse("a {{ message.txet }} b").unwrap_err();
    assert!(mixed.message.contains("did you mean \"text\"?"), "{mixed}");
    for sound in [
        "event.headers.anything",
        "event.headers['x-a'] == event.source",
        "message.user.phone | default('')",
        "message.attachments[0].url",
        "message.attachments | length",
        "payload.anything.at.all",
        "message is defined and message.sent_at",
        "message.conversation.kind or message.quoted or message.author.role",
        "event.id ~ event.key ~ event.received_at",
    ] {
        assert!(Expression::parse(sound).is_ok(), "{sound}");
    }
    assert!(
        Template::parse(
            "{% for a in message.attachments %}{{ a.url }}{{ loop.index }}{% endfor %}"
        )
        .is_ok()
    );
}
