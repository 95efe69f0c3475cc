//! An outage of hours, on a clock moved by hand: what each tracking host gets
//! when it is back, judged by the rules of the host and not by our own.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Response;
use http_body_util::{BodyExt, Full};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower::BoxError;
use tower::util::BoxCloneService;

use super::attempt::Sent;
use super::bench::Book;
use super::{Accounts, Destination, Means, Worker, sample};
use crate::clock::Clock;
use crate::event::{Direction, Event};
use crate::metrics::Metrics;
use crate::secret::Secret;
use crate::settle::{Reason, Settlement};
use crate::vendor::dimension::{Host, Request, Track, WhenLate, check_request};
use crate::vendor::message_of;

const HOUR: Duration = Duration::from_secs(3600);

/// What the host took: the path, and the time that stood in the body.
type Taken = Arc<Mutex<Vec<(String, Option<u64>)>>>;

/// Down for `outage`, then as strict as the real one.
fn host(kind: Host, outage: Duration, clock: Clock, taken: &Taken) -> super::attempt::Client {
    let (back_at, taken) = (Instant::now() + outage, Arc::clone(taken));
    BoxCloneService::new(tower::service_fn(move |sent: Sent| {
        let (taken, clock) = (Arc::clone(&taken), clock.clone());
        async move {
            let (parts, body) = sent.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let mut status = 503;
            if Instant::now() >= back_at {
                let request = Request {
                    path: parts.uri.path(),
                    query: parts.uri.query().unwrap_or_default(),
                    headers: &parts.headers,
                    body: &body,
                };
                let received = check_request(kind, Some("key"), &request, clock.now());
                let received = received.unwrap_or_else(|refused| panic!("{refused:?}"));
                status = 200;
                let mut taken = taken.lock().unwrap();
                taken.push((parts.uri.path().to_owned(), received.timestamp));
            }
            let body = Full::from("").map_err(BoxError::from).boxed_unsync();
            Ok(Response::builder().status(status).body(body).unwrap())
        }
    }))
}

fn message(n: u64) -> Event {
    let body = serde_json::json!({
        "type": "post_comment_mobile",
        "payload": {
            "from": {"id": 1, "email": "rina@example.com", "name": "Rina"},
            "room": {"id": n, "topic_id": n, "type": "single", "name": "r", "participants": []},
            "message": {"type": "text", "text": "hello", "payload": {}}
        }
    });
    Event {
        source: "qiscus".into(),
        kind: "qiscus".into(),
        direction: Some(Direction::Incoming),
        user: Some("rina@example.com".into()),
        body: body.to_string().into(),
        ..sample::event(n, Some(&format!("qiscus/{n}")), "post_comment_mobile")
    }
}

/// Ten messages during an outage: what the host took of them, and how the rest
/// ended.
async fn after(
    kind: Host,
    outage: Duration,
    when_late: Option<WhenLate>,
) -> (Vec<(String, Option<u64>)>, Vec<Settlement>) {
    let clock = Clock::following_tokio(sample::start());
    let mut track = Track::new(kind, Secret::new("key")).unwrap();
    if let Some(when_late) = when_late {
        track.when_late = when_late;
    }
    let destination = Destination {
        writer: Arc::new(track),
        ..sample::destination()
    };
    let (taken, book) = (Taken::default(), Book::default());
    (0..10).for_each(|n| book.owe(message(n)));
    let (theirs, their_clock) = (Arc::clone(&taken), clock.clone());
    let means = Means {
        intake: Arc::new(sample::NoIntake),
        accounts: Accounts::default(),
        clock,
        metrics: Arc::new(Metrics::new()),
        read: message_of,
        drain_patience: Duration::from_secs(10),
        client: move |_: &Destination| host(kind, outage, their_clock.clone(), &theirs),
        sign: |_, _, _, _| unreachable!(),
    };
    let mut tasks = JoinSet::new();
    let (drain, destination) = (CancellationToken::new(), Arc::new(destination));
    let _worker = Worker::run(destination, book.clone(), false, means, drain, &mut tasks);
    let deadline = Instant::now() + 76 * HOUR;
    while !book.page().open.is_empty() {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    let settled = book.page().settled.values().map(|(how, ..)| *how).collect();
    let taken = taken.lock().unwrap().clone();
    (taken, settled)
}

async fn check(kind: Host, hours: u32, when_late: Option<WhenLate>, path: &str, time: Option<u64>) {
    let (taken, settled) = after(kind, HOUR * hours, when_late).await;
    let expected = vec![(path.to_owned(), time); 10];
    assert_eq!(taken, expected, "{kind:?} after {hours} h");
    assert_eq!(settled, [Settlement::Delivered; 10]);
}

#[tokio::test(start_paused = true)]
async fn after_an_outage_each_host_gets_what_its_policy_says_and_never_a_wrong_time() {
    let accepted = Some(sample::start().as_millis());
    check(Host::Dimension, 2, None, "/track", accepted).await;
    check(Host::Dimension, 25, None, "/trackhistorical", accepted).await;
    // Without a time the host takes its own: that is what was asked for.
    let now = Some(WhenLate::Now);
    check(Host::Dashbot, 2, now, "/track", None).await;
    check(Host::Dashbot, 25, now, "/track", None).await;
}

#[tokio::test(start_paused = true)]
async fn what_dashbot_would_misdate_is_a_dead_letter_unless_told() {
    for hours in [2, 25] {
        let (taken, settled) = after(Host::Dashbot, HOUR * hours, None).await;
        assert_eq!(taken, []);
        assert_eq!(settled, [Settlement::Dead(Reason::Late); 10]);
    }
}
