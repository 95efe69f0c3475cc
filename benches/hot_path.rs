//! What one event costs in the parts that every event passes: reading, routing,
//! rendering. `make bench`; quote ratios, not times.

#![allow(
    clippy::expect_used,
    reason = "a bench that cannot start has nothing to measure"
)]

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use hookfan::clock::Timestamp;
use hookfan::event::{Action, DestinationName, Event, EventId, EventType, Kind, SourceName};
use hookfan::expression::{Expression, Scope, Template};
use hookfan::payload::{DEPTH_MAX, Payload};
use hookfan::route::{Route, RouteTable};

const BODY: &[u8] =
    include_bytes!("../tests/suite/fixtures/samples/qiscus/post_comment_mobile_text.json");

fn event() -> Event {
    let at = Timestamp::from_millis(1_760_000_000_000);
    Event {
        id: EventId::new(at, 1),
        source: SourceName::from("qiscus"),
        kind: Kind::from("qiscus"),
        event_type: EventType::from("post_comment_mobile"),
        key: None,
        vendor_id: None,
        direction: None,
        user: None,
        accepted_at: at,
        hops: 0,
        headers: Vec::new(),
        body: Bytes::from_static(BODY),
    }
}

/// `count` routes of which one wants the event; a tenth have globs.
fn table(count: usize) -> RouteTable {
    let route = |number: usize| Route {
        name: format!("route {number}").into(),
        from: vec![SourceName::from("qiscus")],
        on: vec![match (number, number % 10) {
            (0, _) => "post_comment_mobile".to_owned(),
            (_, 0) => format!("other_{number}_*"),
            _ => format!("other_{number}"),
        }],
        when: None,
        to: vec![DestinationName::from("crm")],
        action: Action::message(),
        written: None,
    };
    RouteTable::new((0..count).map(route).collect())
}

fn reading(criterion: &mut Criterion) {
    criterion.bench_function("payload/parse", |bench| {
        bench.iter(|| Payload::parse(black_box(BODY), DEPTH_MAX))
    });
}

fn routing(criterion: &mut Criterion) {
    let event = event();
    let payload = Payload::parse(BODY, DEPTH_MAX).expect("a sample");
    for count in [10, 1_000, 10_000] {
        let table = table(count);
        criterion.bench_function(&format!("route/{count} routes"), |bench| {
            bench.iter(|| {
                let scope = Scope::new(&event, None, &payload);
                table.owed(
                    black_box(&event.source),
                    black_box(&event.event_type),
                    &scope,
                )
            });
        });
    }
    let when = Expression::parse("payload.message.type == 'text'").expect("an expression");
    criterion.bench_function("route/when", |bench| {
        bench.iter(|| when.holds(&Scope::new(&event, None, &payload)))
    });
}

fn rendering(criterion: &mut Criterion) {
    let event = event();
    let payload = Payload::parse(BODY, DEPTH_MAX).expect("a sample");
    let template =
        Template::parse("{{ payload.payload.from.name }} wrote {{ payload.payload.message.text }}")
            .expect("a template");
    criterion.bench_function("template/text", |bench| {
        bench.iter(|| template.render(&Scope::new(&event, None, &payload)))
    });
}

criterion_group!(benches, reading, routing, rendering);
criterion_main!(benches);
