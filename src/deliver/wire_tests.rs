//! One attempt over real sockets: the exact bytes, hostile destinations, and
//! the addresses nobody may be led to.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method};
use tokio::time::Instant;

use super::attempt::{Answer, Client, Sent};
use super::client::client;
use super::hostile::{Hostile, Step};
use super::stack::{Stack, Try};
use super::{Destination, request, sample};
use crate::payload::Payload;
use crate::secret::Secret;
use crate::settle::Outcome;
use crate::transform::Outgoing;

pub(super) fn outgoing(url: &str) -> Outgoing {
    Outgoing {
        method: Method::POST,
        url: url.parse().unwrap(),
        headers: HeaderMap::new(),
        body: "{}".into(),
        sign: None,
        redact: Vec::new(),
        late: false,
    }
}

pub(super) fn local() -> Destination {
    Destination {
        timeout: Duration::from_secs(1),
        allow_private: true,
        ..sample::destination()
    }
}

pub(super) async fn attempt(stack: &mut Stack, outgoing: &Outgoing) -> Answer {
    let sign = |_: &Secret, id: &str, _: &[u8], _| {
        [
            ("webhook-timestamp", "1700000000".to_owned()),
            ("webhook-signature", format!("v1,{}", id.len())),
        ]
    };
    let event = crate::event::Event {
        hops: 2,
        ..sample::event(1, None, "message")
    };
    let attempted = request::Attempted {
        event: &event,
        destination: &local().name,
        number: 3,
        now: sample::start(),
    };
    let request = request::request(outgoing.clone(), attempted, sign, &mut None).unwrap();
    let reading = super::answer::Reading {
        secrets: outgoing.redact.clone(),
        ..sample::reading()
    };
    std::future::poll_fn(|cx| stack.poll_room(cx)).await;
    let Ok(answer) = stack.attempt(Try::One { request, reading }).await;
    answer
}

pub(super) fn stack(destination: &Destination, client: Client) -> Stack {
    Stack::new(destination, &sample::memory(destination), client)
}

async fn once(destination: &Destination, url: &str) -> Answer {
    attempt(&mut stack(destination, client(destination)), &outgoing(url)).await
}

pub(super) fn ok() -> Vec<Step> {
    vec![Step::Send(
        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec(),
    )]
}

#[tokio::test]
async fn the_bytes_on_the_wire_are_these() {
    let server = Hostile::new(ok()).await;
    let mut outgoing = outgoing(&format!(
        "http://user:pass@{}/in/a%20b?k=1#part",
        server.address
    ));
    outgoing.body = "{\"n\": 12345678901234567890123}".into();
    outgoing.sign = Some(Secret::new("whsec"));
    for (name, value) in [
        ("content-type", "application/json"),
        ("x-two", "a"),
        ("connection", "close"),
        ("transfer-encoding", "chunked"),
    ] {
        outgoing
            .headers
            .append(name, HeaderValue::from_static(value));
    }
    for (name, value) in [
        ("x-two", "b"),
        ("hookfan-hops", "0"),
        ("accept-encoding", "gzip"),
        ("content-length", "1"),
        ("webhook-signature", "forged"),
        ("host", "evil"),
    ] {
        outgoing
            .headers
            .append(name, HeaderValue::from_static(value));
    }
    let destination = local();
    let answer = attempt(&mut stack(&destination, client(&destination)), &outgoing).await;
    assert_eq!(
        answer,
        Answer::new(
            Outcome::Answered {
                status: 200,
                retry_after: None
            },
            String::new()
        )
    );
    let heard = String::from_utf8(server.heard.lock().await.clone()).unwrap();
    let id = sample::event(1, None, "message").id;
    let expected = [
        "POST /in/a%20b?k=1 HTTP/1.1".to_owned(),
        format!("host: {}", server.address),
        format!("user-agent: hookfan/{}", env!("CARGO_PKG_VERSION")),
        "accept-encoding: identity".to_owned(),
        format!("webhook-id: {id}"),
        "hookfan-attempt: 3".to_owned(),
        "hookfan-hops: 3".to_owned(),
        "content-type: application/json".to_owned(),
        "x-two: a".to_owned(),
        "x-two: b".to_owned(),
        "webhook-signature: v1,36".to_owned(),
        "content-length: 30".to_owned(),
        "webhook-timestamp: 1700000000".to_owned(),
        String::new(),
        "{\"n\": 12345678901234567890123}".to_owned(),
    ];
    assert_eq!(heard, expected.join("\r\n"));
}

/// Requests that differ from each other in whatever one may keep.
fn various() -> Vec<Outgoing> {
    let wires = [
        ("/a", Method::POST, "{}"),
        ("/a", Method::GET, ""),
        ("/b", Method::PUT, "{\"longer\":1}"),
    ];
    let wanted = [
        None,
        Some(("x", false)),
        Some(("x", true)),
        Some(("tracestate", false)),
        Some(("webhook-id", false)),
    ];
    let mut various = Vec::new();
    for (path, method, body) in wires {
        for header in wanted {
            let mut one = outgoing(&format!("http://example.org{path}"));
            (one.method, one.body) = (method.clone(), body.into());
            if let Some((name, secret)) = header {
                let mut value = HeaderValue::from_static("value");
                value.set_sensitive(secret);
                one.headers.insert(name, value);
            } else {
                one.sign = Some(Secret::new("whsec"));
            }
            various.push(one);
        }
    }
    various
}

/// What is kept of the request before is no more than saves work.
#[test]
fn a_request_like_the_last_carries_what_is_its_own() {
    let plain = sample::event(1, None, "message");
    let traced = crate::event::Event {
        hops: 7,
        headers: [
            (
                "traceparent",
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            ),
            ("tracestate", "a=1"),
            ("tracestate", "b=2"),
        ]
        .map(|(name, value)| (name.into(), value.into()))
        .into(),
        ..sample::event(2, None, "message")
    };
    let sign = |_: &Secret, id: &str, _: &[u8], _| {
        [
            ("webhook-timestamp", "17".to_owned()),
            ("webhook-signature", id.to_owned()),
        ]
    };
    let secret = |request: &Sent| request.headers().get("x").map(HeaderValue::is_sensitive);
    let (various, mut last) = (various(), None);
    let pairs = various
        .iter()
        .flat_map(|first| various.iter().map(move |second| (first, second)));
    for (first, second) in pairs {
        for (outgoing, event, number) in [(first, &traced, 3), (second, &plain, 1)] {
            let attempted = request::Attempted {
                event,
                destination: &local().name,
                number,
                now: sample::start(),
            };
            let request =
                |last: &mut _| request::request(outgoing.clone(), attempted, sign, last).unwrap();
            let (fresh, like) = (request(&mut None), request(&mut last));
            assert_eq!((fresh.uri(), fresh.headers()), (like.uri(), like.headers()));
            assert_eq!(secret(&fresh), secret(&like));
            if number == 3 {
                let states = like.headers().get_all("tracestate");
                assert!(states.iter().eq(["a=1", "b=2"]));
            }
        }
    }
}

#[test]
fn a_preview_is_what_would_be_sent() {
    let (event, payload) = (
        sample::event(1, None, "message"),
        Payload::from(serde_json::Value::Null),
    );
    let preview = |event_type: &str| {
        let event = crate::event::Event {
            event_type: event_type.into(),
            ..event.clone()
        };
        let call = crate::vendor::Call {
            event: &event,
            contents: &crate::vendor::Contents::known(&event, None, &payload),
            action: &sample::action(),
            customer: None,
            now: sample::start(),
        };
        super::preview(&sample::destination(), &call, &Default::default())
    };
    let shown = preview("message").unwrap().unwrap();
    let names: Vec<_> = shown.headers.keys().map(http::HeaderName::as_str).collect();
    assert_eq!(
        names,
        [
            "host",
            "user-agent",
            "accept-encoding",
            "webhook-id",
            "hookfan-attempt",
            "hookfan-hops",
            "content-length"
        ]
    );
    assert_eq!(
        (
            shown.headers["hookfan-attempt"].to_str().unwrap(),
            shown.body
        ),
        ("1", event.body.clone())
    );
    assert!(preview("panic").is_err() && preview("dead").is_err());
}

/// Thirty ways to misbehave, and what each is called.
#[rustfmt::skip]
fn behaviours() -> Vec<(&'static str, Vec<Step>, &'static str)> {
    use Step::{Drip, Flood, Hang, Reset, Send};
    let send = |text: &str| Send(text.as_bytes().to_vec());
    let flood = |text: &str| Flood(text.as_bytes().to_vec());
    let headers = (0..150).map(|n| format!("x-{n}: 1\r\n")).collect::<String>();
    vec![
        ("never answers", vec![Hang], "timeout"),
        ("half a status line", vec![send("HTTP/1.1 20"), Hang], "timeout"),
        ("half a head", vec![send("HTTP/1.1 200 OK\r\nx: "), Hang], "timeout"),
        ("a head byte by byte", vec![send("HTTP/1.1 200 OK\r\nx: "), Drip(b"a".to_vec())], "timeout"),
        ("an endless head", vec![send("HTTP/1.1 200 OK\r\n"), flood("x: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n")], "broken"),
        ("an endless header", vec![send("HTTP/1.1 200 OK\r\nx: "), flood("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")], "broken"),
        ("too many headers", vec![send(&format!("HTTP/1.1 200 OK\r\n{headers}\r\n")), Hang], "broken"),
        ("closes at once", vec![], "broken"),
        ("resets after the request", vec![Reset], "broken"),
        ("closes in the head", vec![send("HTTP/1.1 200 OK\r\nx: ")], "broken"),
        ("garbage", vec![send("\u{0}\u{1}garbage\r\n\r\n")], "broken"),
        ("endless garbage", vec![flood("garbage")], "broken"),
        ("HTTP/0.9", vec![send("hello")], "broken"),
        ("another protocol", vec![send("SSH-2.0-OpenSSH_9.9\r\n"), Hang], "broken"),
        ("a status of 99", vec![send("HTTP/1.1 99 No\r\n\r\n")], "broken"),
        ("a status of 1000", vec![send("HTTP/1.1 1000 No\r\n\r\n")], "broken"),
        ("two different lengths", vec![send("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab"), Hang], "broken"),
        ("a negative length", vec![send("HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n"), Hang], "broken"),
        ("1xx for ever", vec![flood("HTTP/1.1 103 Early Hints\r\nx: y\r\n\r\n")], "timeout"),
        ("continue, then nothing", vec![send("HTTP/1.1 100 Continue\r\n\r\n"), Hang], "timeout"),
        ("switches protocols", vec![send("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"), Hang], "broken"),
        ("an endless body", vec![send("HTTP/1.1 200 OK\r\n\r\n"), flood("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")], "2xx"),
        ("an endless chunked body", vec![send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"), flood("4\r\naaaa\r\n")], "2xx"),
        ("endless chunk extensions", vec![send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4;"), flood("aaaaaaaa")], "2xx"),
        ("endless trailers", vec![send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n"), flood("x: aaaa\r\n")], "2xx"),
        ("a slow body", vec![send("HTTP/1.1 200 OK\r\n\r\n"), Drip(b"a".to_vec())], "2xx"),
        ("a body that stalls", vec![send("HTTP/1.1 500 No\r\ncontent-length: 10\r\n\r\nabc"), Hang], "5xx"),
        ("a huge length, then closes", vec![send("HTTP/1.1 200 OK\r\ncontent-length: 99999999999999\r\n\r\nabc")], "2xx"),
        ("a bad chunk size", vec![send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"), Hang], "2xx"),
        ("resets in the body", vec![send("HTTP/1.1 503 No\r\ncontent-length: 10\r\n\r\nabc"), Reset], "5xx"),
        ("204 with a body", vec![send("HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\nhello"), Hang], "2xx"),
        ("a gzip bomb", vec![send("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n\u{1f}"), Flood(vec![0; 4096])], "2xx"),
        ("a Retry-After of ten years", vec![send("HTTP/1.1 429 Slow\r\nretry-after: 315360000\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")], "429"),
        ("a Retry-After of NaN", vec![send("HTTP/1.1 503 No\r\nretry-after: NaN\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")], "5xx"),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_hostile_an_attempt_ends_in_time_and_gives_its_place_back() {
    for (name, steps, expected) in behaviours() {
        let server = Hostile::new(steps).await;
        let destination = Destination {
            concurrency: 2,
            timeout: Duration::from_millis(300),
            ..local()
        };
        let mut stack = stack(&destination, client(&destination));
        let outgoing = outgoing(&format!("http://{}/", server.address));
        for round in 0..3 {
            let start = Instant::now();
            let answer = attempt(&mut stack, &outgoing).await;
            assert_eq!(
                answer.outcome.label(),
                expected,
                "{name}, round {round}: {answer:?}"
            );
            assert!(
                start.elapsed() < destination.timeout + Duration::from_secs(1),
                "{name}: {:?}",
                start.elapsed()
            );
            assert!(
                answer.detail.len() <= 2048 && !answer.detail.contains(char::is_control),
                "{name}"
            );
        }
    }
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_nobody_follows_it() {
    let canary = Hostile::new(ok()).await;
    let redirect = format!(
        "HTTP/1.1 307 Over There\r\nlocation: http://{}/\r\ncontent-length: 0\r\n\r\n",
        canary.address
    );
    let server = Hostile::new(vec![Step::Send(redirect.into_bytes())]).await;
    let answer = once(&local(), &format!("http://{}/", server.address)).await;
    assert_eq!(
        (answer.outcome.status(), canary.connections()),
        (Some(307), 0)
    );
}

#[tokio::test]
async fn an_error_shows_the_answer_without_our_secrets() {
    let text = "HTTP/1.1 403 No\r\ncontent-length: 22\r\n\r\nbad key k3y-of-ours\u{7}!!";
    let server = Hostile::new(vec![Step::Send(text.as_bytes().to_vec())]).await;
    let destination = local();
    let mut outgoing = outgoing(&format!("http://{}/?apiKey=k3y-of-ours", server.address));
    outgoing.redact.push(Secret::new("k3y-of-ours"));
    let answer = attempt(&mut stack(&destination, client(&destination)), &outgoing).await;
    assert_eq!(answer.detail, r"bad key ***\u{7}!!");
}

#[tokio::test]
async fn nobody_at_home_is_no_connection() {
    let closed = Hostile::new(ok()).await.address;
    let answer = once(&local(), &format!("http://{closed}/")).await;
    assert_eq!(answer.outcome, Outcome::Connect, "{answer:?}");
}
