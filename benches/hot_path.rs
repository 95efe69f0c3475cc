//! What one event costs in the parts that every event passes: reading, proof,
//! routing, rendering, writing, judging. `make bench`; quote ratios, not times.

#![allow(
    clippy::expect_used,
    reason = "a bench that cannot start has nothing to measure"
)]

#[path = "shared/samples.rs"]
mod samples;

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use hookfan::clock::Timestamp;
use hookfan::event::Action;
use hookfan::expression::{Expression, Scope, Template};
use hookfan::payload::{DEPTH_MAX, Payload};
use hookfan::settle::{Outcome, Tried, judge};
use hookfan::vendor::{Call, Contents, message_of};
use http::HeaderMap;

use samples::{BODY, NOW, config, inbound, long_message, proof, sample, table};

fn reading(criterion: &mut Criterion) {
    criterion.bench_function("payload/parse", |bench| {
        bench.iter(|| Payload::parse(black_box(BODY), DEPTH_MAX))
    });
    let config = config();
    let (headers, body) = (HeaderMap::new(), Bytes::from_static(BODY));
    let shop = config.sources.get("shop").expect("in the file");
    criterion.bench_function("read/generic", |bench| {
        bench.iter(|| shop.reader.read(&inbound(&headers, &body), DEPTH_MAX))
    });
}

fn proving(criterion: &mut Criterion) {
    let config = config();
    let auth = &config.sources.get("signed").expect("in the file").auth;
    let (now, body) = (Timestamp::from_millis(NOW), Bytes::from_static(BODY));
    let headers = proof(auth, &body, now);
    criterion.bench_function("verify/hmac", |bench| {
        bench.iter(|| auth.verify(&inbound(&headers, &body), now).expect("proven"))
    });
}

fn routing(criterion: &mut Criterion) {
    let (event, payload) = sample();
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
    let when = Expression::parse("payload.payload.message.type == 'text'").expect("an expression");
    criterion.bench_function("route/when", |bench| {
        bench.iter(|| when.holds(&Scope::new(&event, None, &payload)))
    });
}

fn rendering(criterion: &mut Criterion) {
    let (event, payload, message) = long_message();
    let short =
        Template::parse("{{ payload.payload.from.name }} wrote {{ payload.payload.message.text }}")
            .expect("a template");
    criterion.bench_function("template/text", |bench| {
        bench.iter(|| short.render(&Scope::new(&event, None, &payload)))
    });
    let long =
        Template::parse("{{ message.author.name }} wrote: {{ message.text }}").expect("a template");
    criterion.bench_function("template/10 KB", |bench| {
        bench.iter(|| long.render_text(&Scope::new(&event, Some(&message), &payload)))
    });
}

/// From a stored event to a request, but for what changes with each attempt.
fn writing(criterion: &mut Criterion) {
    let (config, event, action) = (config(), sample().0, Action::message());
    for name in ["plain", "shaped", "tracker"] {
        let writer = &config.destinations.get(name).expect("in the file").writer;
        criterion.bench_function(&format!("write/{name}"), |bench| {
            bench.iter(|| {
                let contents = Contents::stored(&event, message_of);
                writer
                    .write(&Call {
                        event: &event,
                        contents: &contents,
                        action: &action,
                        customer: event.user.as_deref(),
                        now: event.accepted_at,
                    })
                    .expect("a sample")
            })
        });
    }
}

fn judging(criterion: &mut Criterion) {
    let config = config();
    let policy = &config.destinations.get("plain").expect("in the file").retry;
    let outcome = Outcome::Answered {
        status: 503,
        retry_after: None,
    };
    let at = Timestamp::from_millis(NOW);
    let tried = Tried {
        attempt: 3,
        first_at: at,
        now: at,
        jitter: 0.5,
    };
    criterion.bench_function("judge", |bench| {
        bench.iter(|| judge(policy, black_box(&outcome), black_box(tried)))
    });
}

criterion_group!(
    benches, reading, proving, routing, rendering, writing, judging
);
criterion_main!(benches);
