//! Each part of the hot path, so many times and nothing beside it, for a
//! counter of instructions: `instructions PART TIMES`; without arguments it
//! lists the parts. `benches/instructions.py` runs it under valgrind, once with
//! N and once with 2N times, so that what comes before and after cancels out.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a bench that cannot start has nothing to measure"
)]

#[path = "shared/samples.rs"]
mod samples;
#[path = "shared/way.rs"]
mod way;

use std::hint::black_box;
use std::process::ExitCode;

use bytes::Bytes;
use hookfan::clock::Timestamp;
use hookfan::event::{Action, DestinationName};
use hookfan::expression::{Expression, Scope, Template};
use hookfan::log::{Filter, Log};
use hookfan::payload::{DEPTH_MAX, Payload};
use hookfan::settle::{Outcome, Settlement, Tried, judge};
use hookfan::vendor::{Call, Contents};
use http::HeaderMap;

use samples::{BODY, NOW, accepted, config, inbound, long_message, open, proof, sample, table};
use way::way;

/// The name, the N of the first run, and what is done.
type Part = (&'static str, usize, fn(usize));

const PARTS: &[Part] = &[
    ("parse", 50, parse),
    ("read", 50, read),
    ("verify", 50, verify),
    ("route/10", 200, |times| route(10, times)),
    ("route/1000", 100, |times| route(1_000, times)),
    ("route/10000", 20, |times| route(10_000, times)),
    ("when", 100, when),
    ("write/plain", 100, |times| write("plain", times)),
    ("write/shaped", 50, |times| write("shaped", times)),
    ("write/message", 50, |times| write("tracker", times)),
    ("render/10KB", 50, render),
    ("judge", 2_000, verdict),
    ("log/append", 4, append),
    ("log/append one", 50, append_one),
    ("log/take and settle", 4, settle),
    ("log/read back", 4, read_back),
    ("way/3 copies", 40, |times| way(3, times)),
];

/// Events in one append, as a busy second's sync has them.
const BATCH: u64 = 64;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let [name, times] = arguments.as_slice() else {
        for (name, times, _) in PARTS {
            println!("{name}\t{times}");
        }
        return ExitCode::SUCCESS;
    };
    let part = PARTS.iter().find(|(part, _, _)| part == name);
    let (Some((_, _, run)), Ok(times)) = (part, times.parse()) else {
        eprintln!("no such part: {name} {times}");
        return ExitCode::FAILURE;
    };
    run(times);
    ExitCode::SUCCESS
}

fn parse(times: usize) {
    for _ in 0..times {
        black_box(Payload::parse(black_box(BODY), DEPTH_MAX)).expect("a sample");
    }
}

/// The generic reader: parsing, and where type and key stand.
fn read(times: usize) {
    let config = config();
    let source = config.sources.get("shop").expect("in the file");
    let (headers, body) = (HeaderMap::new(), Bytes::from_static(BODY));
    for _ in 0..times {
        let webhook = source.reader.read(&inbound(&headers, &body), DEPTH_MAX);
        black_box(webhook).expect("a sample");
    }
}

/// An HMAC over the body, held against the header.
fn verify(times: usize) {
    let config = config();
    let auth = &config.sources.get("signed").expect("in the file").auth;
    let (now, body) = (Timestamp::from_millis(NOW), Bytes::from_static(BODY));
    let headers = proof(auth, &body, now);
    for _ in 0..times {
        black_box(auth.verify(&inbound(&headers, &body), now)).expect("proven");
    }
}

fn route(count: usize, times: usize) {
    let (table, (event, payload)) = (table(count), sample());
    for _ in 0..times {
        let scope = Scope::new(&event, None, &payload);
        let owed = table.owed(black_box(&event.source), &event.event_type, &scope);
        assert_eq!(black_box(owed).len(), 1);
    }
}

fn when(times: usize) {
    let (event, payload) = sample();
    let when = Expression::parse("payload.payload.message.type == 'text'").expect("an expression");
    for _ in 0..times {
        let scope = Scope::new(&event, None, &payload);
        assert!(black_box(when.holds(&scope)).expect("a sample"));
    }
}

/// What a writer makes of a stored event.
fn write(destination: &str, times: usize) {
    let config = config();
    let writer = &config
        .destinations
        .get(destination)
        .expect("in the file")
        .writer;
    let (event, action) = (sample().0, Action::message());
    for _ in 0..times {
        let contents = Contents::stored(&event, hookfan::vendor::message_of);
        let call = Call {
            event: &event,
            contents: &contents,
            action: &action,
            customer: event.user.as_deref(),
            now: event.accepted_at,
        };
        black_box(writer.write(&call)).expect("a sample");
    }
}

fn render(times: usize) {
    let (event, payload, message) = long_message();
    let template =
        Template::parse("{{ message.author.name }} wrote: {{ message.text }}").expect("a template");
    for _ in 0..times {
        let scope = Scope::new(&event, Some(&message), &payload);
        let text = template.render_text(&scope).expect("a sample");
        assert!(black_box(text).len() > 10_000);
    }
}

fn verdict(times: usize) {
    let config = config();
    let policy = &config.destinations.get("plain").expect("in the file").retry;
    let at = Timestamp::from_millis(NOW);
    let outcome = Outcome::Answered {
        status: 503,
        retry_after: None,
    };
    for number in 0..times {
        let tried = Tried {
            attempt: 1 + number as u32 % 5,
            first_at: at,
            now: at,
            jitter: 0.5,
        };
        black_box(judge(policy, black_box(&outcome), tried));
    }
}

/// Events drawn as records, written and synced, many at once.
fn append(times: usize) {
    with_log(async |log| {
        for batch in 0..times as u64 {
            append_batch(log, batch).await;
        }
    });
}

/// One event, one record, one sync: all that is done once a batch.
fn append_one(times: usize) {
    with_log(async |log| {
        for number in 0..times as u64 {
            log.append(vec![accepted(number)]).await.expect("room");
        }
    });
}

/// The same as [`append`], and each copy handed out and settled.
fn settle(times: usize) {
    with_log(async |log| {
        let mut subscription = log.subscribe(&DestinationName::from("crm"));
        for batch in 0..times as u64 {
            append_batch(log, batch).await;
            for _ in 0..BATCH {
                let at = subscription.next().await.stored.offset;
                subscription.settle(at, Settlement::Delivered, None, "");
            }
        }
    });
}

/// A page of events, checked and decoded from the page cache.
fn read_back(times: usize) {
    with_log(async |log| {
        append_batch(log, 0).await;
        for _ in 0..times {
            let page = log.events(Filter::default(), None, BATCH as usize).await;
            assert_eq!(page.expect("a disk that reads").len() as u64, BATCH);
        }
    });
}

async fn append_batch(log: &Log, batch: u64) {
    let events = (batch * BATCH..(batch + 1) * BATCH).map(accepted).collect();
    log.append(events).await.expect("room");
}

fn with_log(work: impl AsyncFnOnce(&Log)) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    runtime.block_on(async {
        let log = open(folder.path());
        work(&log).await;
        log.close().await;
    });
}
