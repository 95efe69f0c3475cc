//! What routing promises.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::clock::Timestamp;
use crate::event::{Event, EventId};
use crate::payload::Payload;

fn scope() -> Scope {
    let at = Timestamp::from_millis(1_732_180_000_123);
    let event = Event {
        id: EventId::new(at, 7),
        source: "a".into(),
        kind: "generic".into(),
        event_type: "x".into(),
        key: None,
        vendor_id: None,
        direction: None,
        user: None,
        accepted_at: at,
        hops: 0,
        headers: Vec::new(),
        body: Bytes::new(),
    };
    Scope::new(&event, None, &Payload::from(json!({"n": 5})))
}

fn route(
    name: &str,
    from: &[&str],
    on: &[&str],
    when: Option<&str>,
    to: &[&str],
    action: &str,
) -> Route {
    Route {
        name: name.into(),
        from: from.iter().map(|name| SourceName::from(*name)).collect(),
        on: on.iter().map(|pattern| (*pattern).to_owned()).collect(),
        when: when.map(|when| Expression::parse(when).unwrap()),
        to: to.iter().map(|name| DestinationName::from(*name)).collect(),
        action: Action {
            name: action.into(),
            with: "".into(),
        },
        written: None,
    }
}

fn owed(table: &RouteTable, source: &str, event_type: &str) -> Vec<String> {
    let owed = table.owed(&source.into(), &event_type.into(), &scope());
    owed.iter()
        .map(|owed| format!("{}:{}", owed.destination, owed.action.name))
        .collect()
}

#[test]
fn the_first_matching_route_decides_the_action() {
    let table = RouteTable::new(vec![
        route("1", &["b"], &[], None, &["crm"], "never"),
        route("2", &["a"], &["y"], None, &["crm"], "never"),
        route("3", &[], &[], Some("payload.n > 9"), &["crm"], "never"),
        route("4", &[], &[], Some("payload.missing"), &["crm"], "never"),
        route(
            "5",
            &["b", "a"],
            &["no", "x*"],
            Some("payload.n == 5"),
            &["crm", "bi"],
            "close",
        ),
        route("6", &["a"], &["x"], None, &["bi", "log", "log"], "message"),
    ]);
    assert_eq!(
        owed(&table, "a", "x"),
        ["crm:close", "bi:close", "log:message"]
    );
    assert_eq!(owed(&table, "a", "y"), ["crm:never"]);
    assert_eq!(owed(&table, "nobody", "x"), Vec::<String>::new());
    assert_eq!(
        RouteTable::default().owed(&"a".into(), &"x".into(), &scope()),
        []
    );
}

#[test]
fn a_type_is_matched_exactly() {
    let table = RouteTable::new(vec![route("1", &[], &["Post"], None, &["d"], "m")]);
    for (event_type, expected) in [
        ("Post", 1),
        ("post", 0),
        (" Post", 0),
        ("Post ", 0),
        ("", 0),
    ] {
        assert_eq!(
            owed(&table, "a", event_type).len(),
            expected,
            "{event_type:?}"
        );
    }
}

#[test]
fn an_explanation_shows_every_route_and_clause() {
    let table = RouteTable::new(vec![
        route(
            "first",
            &["a"],
            &["y*", "z"],
            Some("payload.nope == 1"),
            &["d"],
            "m",
        ),
        route("all", &[], &[], None, &["d"], "m"),
        route(
            "elsewhere",
            &["b", "c"],
            &["x"],
            Some("payload.n == 5"),
            &["d"],
            "m",
        ),
    ]);
    let explained =
        serde_json::to_value(table.explain(&"a".into(), &"x".into(), &scope())).unwrap();
    let expected = json!([
        {"name": "first", "matched": false, "clauses": [
            {"clause": "from = \"a\"", "holds": true, "values": [{"path": "event.source", "value": "a"}]},
            {"clause": "on = [\"y*\", \"z\"]", "holds": false, "values": [{"path": "event.type", "value": "x"}]},
            {"clause": "when = \"payload.nope == 1\"", "holds": false, "values": [{"path": "payload.nope", "value": null}],
             "failed": "`payload.nope == 1`: `payload.nope` is missing; `| default('')` would allow that"},
        ]},
        {"name": "all", "matched": true, "clauses": []},
        {"name": "elsewhere", "matched": false, "clauses": [
            {"clause": "from = [\"b\", \"c\"]", "holds": false, "values": [{"path": "event.source", "value": "a"}]},
            {"clause": "on = \"x\"", "holds": true, "values": [{"path": "event.type", "value": "x"}]},
            {"clause": "when = \"payload.n == 5\"", "holds": true, "values": [{"path": "payload.n", "value": 5}]},
        ]},
    ]);
    assert_eq!(explained, expected);
}

#[test]
fn globs_match_whole_texts() {
    let check = |pattern: &str, text: &str, expected: bool| {
        assert_eq!(
            glob_matches(pattern, text),
            expected,
            "{pattern:?} {text:?}"
        );
    };
    check("", "", true);
    check("", "a", false);
    check("*", "", true);
    check("*", "anything", true);
    check("post_comment_*", "post_comment_mobile", true);
    check("post_comment_*", "post_comment", false);
    check("*@qismo.com", "kovof-123_admin@qismo.com", true);
    check("*@qismo.com", "a@qismo.com.evil.example", false);
    check("a*b*c", "a-b-b-c", true);
    check("a*b*c", "a-c-b", false);
    check("?", "é", true);
    check("?", "", false);
    check("??", "😀", false);
    check("[a]", "a", false);
    check("a.c", "abc", false);
}

#[test]
fn a_hostile_pattern_takes_no_exponential_time() {
    let pattern = "*a".repeat(30) + "b";
    assert!(!glob_matches(&pattern, &"a".repeat(20_000)));
}

/// The definition of a glob, without any care for time.
fn slow_glob(pattern: &[char], text: &[char]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some(('*', rest)), None) => slow_glob(rest, text),
        (Some(('*', rest)), Some((_, text_rest))) => {
            slow_glob(rest, text) || slow_glob(pattern, text_rest)
        }
        (Some((want, rest)), Some((have, text_rest))) => {
            (*want == '?' || want == have) && slow_glob(rest, text_rest)
        }
        _ => false,
    }
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

#[test]
fn globs_agree_with_their_definition() {
    proptest!(config(2000), |(pattern in "[ab*?é]{0,8}", text in "[abé]{0,10}")| {
        let slow = slow_glob(&pattern.chars().collect::<Vec<_>>(), &text.chars().collect::<Vec<_>>());
        prop_assert_eq!(glob_matches(&pattern, &text), slow);
    });
}

/// Every route in turn: what the index must not change.
fn naive(
    routes: &[Route],
    source: &SourceName,
    event_type: &EventType,
    scope: &Scope,
) -> Vec<Owed> {
    let mut owed: Vec<Owed> = Vec::new();
    for route in routes {
        let from = route.from.is_empty() || route.from.contains(source);
        let on = route.on.is_empty()
            || route
                .on
                .iter()
                .any(|p| slow_glob(&chars(p), &chars(event_type.as_str())));
        if from
            && on
            && route
                .when
                .as_ref()
                .is_none_or(|when| when.holds(scope) == Ok(true))
        {
            for to in &route.to {
                if !owed.iter().any(|owed| owed.destination == *to) {
                    owed.push(Owed {
                        destination: to.clone(),
                        action: route.action.clone(),
                    });
                }
            }
        }
    }
    owed
}

fn chars(text: &str) -> Vec<char> {
    text.chars().collect()
}

#[test]
fn ten_thousand_routes_decide_as_a_plain_scan_would() {
    let one = (0..4_u8, 0..4_u8, 0..7_u8, 0..60_u8, 0..3_u8);
    let whens = ["payload.n == 5", "payload.n > 5", "payload.missing"];
    let ons: [&[&str]; 7] = [
        &[],
        &["x"],
        &["x", "y"],
        &["x*"],
        &["?", "zz"],
        &["é*", "xy?"],
        &["y", "x*z", "*"],
    ];
    proptest!(config(6), |(plan in prop::collection::vec(one, 10_000))| {
        let routes: Vec<Route> = plan.iter().enumerate().map(|(index, (from, when, on, to, second))| {
            let from: &[&str] = match from { 0 => &[], 1 => &["a"], 2 => &["b"], _ => &["a", "b"] };
            let when = whens.get(usize::from(*when)).copied().filter(|_| index % 20 == 0);
            let to = [format!("d{to}"), format!("d{second}")];
            route(&index.to_string(), from, ons[usize::from(*on)], when, &[&to[0], &to[1]], &index.to_string())
        }).collect();
        let table = RouteTable::new(routes);
        let scope = scope();
        for source in ["a", "b", "c"] {
            for event_type in ["x", "y", "xyz", "zz", "q", "", "éa", "è"] {
                let (source, event_type) = (source.into(), event_type.into());
                prop_assert_eq!(
                    table.owed(&source, &event_type, &scope),
                    naive(table.routes(), &source, &event_type, &scope)
                );
            }
        }
    });
}
