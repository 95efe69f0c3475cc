//! What goes wrong on demand, as a client sees it.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use hookfan::emulate::{Endpoint, Fault, Faults, When};

use super::Emulated;
use crate::support::http::{Connection, raw};

fn failing(kind: Fault) -> Emulated {
    Emulated::start(Endpoint::Http, "", Faults::of(When::Always, kind))
}

const HEADERS: [(&str, &str); 2] = [("webhook-id", "e1"), ("hookfan-attempt", "1")];

#[test]
fn a_status_is_answered_before_or_after_the_request_is_processed() {
    for (kind, status, events) in [
        (Fault::Status(503), 503, 0),
        (Fault::LostStatus(500), 500, 1),
        (Fault::TooMany { retry_after: None }, 429, 0),
        (Fault::Garbage, 200, 1),
        (Fault::Redirect("http://127.0.0.1:1/x".to_owned()), 307, 0),
    ] {
        let name = kind.name();
        let emulated = failing(kind);
        let answer = emulated.ask("POST", "/x", &HEADERS, b"{}");
        assert_eq!(answer.status, status, "{name}");
        let counts = emulated.counts();
        assert_eq!(
            (counts.calls, counts.faults, counts.events),
            (1, 1, events),
            "{name}"
        );
        let call = emulated.calls().remove(0);
        assert_eq!(call.fault, Some(name));
        assert_eq!(call.ok(), events == 1, "{name}");
        if name == "garbage" {
            assert!(answer.json().is_null());
        }
    }
}

#[test]
fn headers_of_the_faults_that_have_some() {
    let find = |kind: Fault, name: &str| {
        let answer = failing(kind).ask("POST", "/x", &[], b"{}");
        let found = answer
            .headers
            .iter()
            .find(|(have, _)| have == name)
            .cloned();
        found.map(|(_, value)| value)
    };
    let after = Fault::TooMany {
        retry_after: Some(Duration::from_secs(7)),
    };
    assert_eq!(find(after, "retry-after").as_deref(), Some("7"));
    assert_eq!(
        find(Fault::TooMany { retry_after: None }, "retry-after"),
        None
    );
    let to = "http://169.254.169.254/x";
    assert_eq!(
        find(Fault::Redirect(to.to_owned()), "location").as_deref(),
        Some(to)
    );
}

#[test]
fn an_answer_is_lost_in_a_reset_before_or_after_processing() {
    for (kind, events) in [(Fault::Reset, 0), (Fault::LostAnswer, 1)] {
        let name = kind.name();
        let emulated = failing(kind);
        let mut stream = TcpStream::connect(emulated.address).unwrap();
        stream
            .write_all(
                b"POST /x HTTP/1.1\r\nhost: x\r\nwebhook-id: e1\r\ncontent-length: 2\r\n\r\n{}",
            )
            .unwrap();
        let error = stream.read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{name}");
        assert_eq!(emulated.counts().events, events, "{name}");
        assert_eq!(
            emulated.calls()[0].status,
            if events == 1 { 200 } else { 0 }
        );
    }
}

#[test]
fn half_an_answer_is_cut_off_in_its_body() {
    let emulated = failing(Fault::HalfAnswer);
    let request = b"POST /x HTTP/1.1\r\nhost: x\r\nwebhook-id: e1\r\ncontent-length: 2\r\n\r\n{}";
    let answer = String::from_utf8(raw(emulated.address, request).unwrap()).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(head.contains("content-length: 11"), "{head}");
    assert_eq!(body, r#"{"ok""#);
    assert_eq!(emulated.counts().events, 1);
}

#[test]
fn a_late_head_and_a_slow_body_take_their_time_and_are_whole() {
    let pause = Duration::from_millis(100);
    for (kind, least) in [
        (Fault::LateHead(pause), pause),
        (Fault::SlowBody(pause), pause * 3),
    ] {
        let name = kind.name();
        let emulated = failing(kind);
        let began = Instant::now();
        let answer = emulated.ask("POST", "/x", &HEADERS, b"{}");
        assert!(began.elapsed() >= least, "{name}");
        assert_eq!(answer.text(), r#"{"ok":true}"#, "{name}");
        assert_eq!(emulated.counts().events, 1);
    }
}

#[test]
fn faults_hit_every_nth_call_on_their_paths_and_can_be_changed() {
    let emulated = Emulated::start(
        Endpoint::Http,
        "",
        Faults::of(When::Every(3), Fault::Status(503)).only("POST /in"),
    );
    let mut connection = Connection::open(emulated.address).unwrap();
    let mut ask = |path: &str| connection.ask("POST", path, &[], b"x").unwrap().status;
    let statuses: Vec<u16> = (0..6).map(|_| ask("/in/a")).collect();
    assert_eq!(statuses, [200, 200, 503, 200, 200, 503]);
    assert!((0..6).all(|_| ask("/out") == 200));
    emulated.fail(Faults::of(When::Nth(2), Fault::Status(500)));
    assert_eq!((ask("/out"), ask("/out"), ask("/out")), (200, 500, 200));
    emulated.fail(Faults::default());
    assert_eq!(ask("/in/a"), 200);
    let counts = emulated.counts();
    assert_eq!((counts.calls, counts.faults), (16, 3));
}

#[test]
fn an_emulator_shows_itself_at_the_reserved_path() {
    let emulated = Emulated::start(Endpoint::Dimension, "k", Faults::default());
    let path = "/track?platform=universal&v=10.1.1-rest&type=incoming&apiKey=k";
    let body = super::sample("api/dimension/track_incoming.request.json");
    assert_eq!(
        emulated
            .ask("POST", path, &HEADERS, body.to_string().as_bytes())
            .status,
        200
    );
    let wrong = path.replace("apiKey=k", "apiKey=secret-1");
    assert_eq!(emulated.ask("POST", &wrong, &HEADERS, b"{}").status, 403);
    let answer = emulated.ask("GET", "/_emulator", &[], b"");
    let shown = answer.json();
    assert_eq!(shown["counts"]["calls"], 2);
    assert_eq!(shown["counts"]["events"], 1);
    assert_eq!(shown["counts"]["refused"], 1);
    assert_eq!(shown["calls"][0]["step"], "track");
    assert_eq!(shown["calls"][0]["event"], "e1");
    assert_eq!(shown["calls"][0]["body"], body);
    assert!(!answer.text().contains("secret-1"), "keys are masked");
}
