//! Strangers who are slow, silent, many or rude (P4).

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::support::gateway::Gateway;
use crate::support::http::raw;
use crate::support::proof::Proof;
use crate::support::sender::{Load, message, qiscus, signed};
use crate::support::{eventually, scale};

const RULES: &str = "[limits]\nfirst_byte = \"1s\"\nhead = \"1s\"\nbody = \"1s\"\nwrite = \"1s\"\nidle = \"1s\"\n\
                     connections = 12000\nconnections_per_ip = 12000\n[log]\nmin_free = \"16MiB\"\n";

#[derive(Clone, Copy, Debug)]
enum Mode {
    /// A header line now and then, never the end.
    SlowHead,
    /// A whole head, then the body byte by byte.
    SlowBody,
    /// Asks much and reads nothing.
    SlowRead,
    /// Says nothing at all.
    Silent,
    /// The first byte of a request, and no more.
    OneByte,
}

fn begin(address: SocketAddr, mode: Mode) -> Option<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5)).ok()?;
    let body = message(1, "slow", "slow");
    let opening = match mode {
        Mode::SlowHead => b"POST /hooks/qiscus HTTP/1.1\r\nhost: x\r\n".to_vec(),
        Mode::SlowBody => format!(
            "POST /hooks/qiscus HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes(),
        Mode::SlowRead => b"GET /nothing HTTP/1.1\r\nhost: x\r\n\r\n".repeat(20),
        Mode::Silent => Vec::new(),
        Mode::OneByte => b"P".to_vec(),
    };
    stream.write_all(&opening).ok()?;
    stream.set_nonblocking(true).ok()?;
    Some(stream)
}

/// Whether the other side has closed. Trickles on where the mode does.
fn closed(stream: &mut TcpStream, mode: Mode) -> bool {
    let drip: &[u8] = match mode {
        Mode::SlowHead => b"x-a: b\r\n",
        Mode::SlowBody => b" ",
        Mode::SlowRead | Mode::Silent | Mode::OneByte => b"",
    };
    if !drip.is_empty() {
        match stream.write(drip) {
            Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => return true,
            _ => {}
        }
    }
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != std::io::ErrorKind::WouldBlock,
        }
    }
}

/// Opens so many connections of a mode and waits until all of them are closed,
/// in time; the resident memory with all of them open.
fn outlast(gateway: &Gateway, mode: Mode, each: usize) -> u64 {
    let mut open: Vec<(Instant, TcpStream)> = (0..each)
        .filter_map(|_| begin(gateway.ingress, mode).map(|stream| (Instant::now(), stream)))
        .collect();
    assert_eq!(open.len(), each, "every connection is taken at first");
    let resident = gateway.resident();
    // Deadline 1 s (an idle connection after answers: 1 s more) + 2 s, and the
    // time the test itself takes to look.
    let patience = Duration::from_secs(1 + 1 + 2) + Duration::from_millis(each as u64 / 2);
    let mut late: Vec<Duration> = Vec::new();
    eventually("every slow connection to be closed", patience * 3, || {
        open.retain_mut(|(since, stream)| {
            let gone = closed(stream, mode);
            if gone && since.elapsed() > patience {
                late.push(since.elapsed());
            }
            !gone
        });
        std::thread::sleep(Duration::from_millis(50));
        open.is_empty().then_some(())
    });
    assert!(late.is_empty(), "{mode:?} closed too late: {late:?}");
    resident
}

/// C1: all of them are closed by their deadline + 2 s, while a legitimate
/// sender is served and memory stays.
#[test]
fn slow_and_silent_connections_are_closed_and_nobody_else_notices() {
    let each = scale("HOOKFAN_STRANGERS", 100);
    let proof = Proof::of("strangers");
    let mut gateway = Gateway::prepare(RULES);
    gateway.run();
    let before = gateway.resident();
    let load = Load::start(
        gateway.ingress,
        "legit",
        2,
        2,
        Some(Duration::from_millis(5)),
    );
    eventually("the legitimate load", Duration::from_secs(10), || {
        (load.count() >= 50).then_some(())
    });
    let mut grown = 0;
    for mode in [
        Mode::SlowHead,
        Mode::SlowBody,
        Mode::SlowRead,
        Mode::Silent,
        Mode::OneByte,
    ] {
        grown = grown.max(outlast(&gateway, mode, each).saturating_sub(before));
    }
    assert!(
        grown <= 64 << 20,
        "{} MiB more with {each} strangers",
        grown >> 20
    );
    let refused = load.refused.load(std::sync::atomic::Ordering::Relaxed);
    let mut latencies = load.latencies.lock().unwrap().clone();
    let served = load.finish().len();
    latencies.sort();
    assert!(
        served > 50 && refused == 0,
        "{served} served, {refused} refused"
    );
    proof.found(serde_json::json!({
        "strangers of each of five kinds": each,
        "closed in time, %": 100,
        "memory more, MiB": grown >> 20,
        "legitimate served": served,
        "legitimate refused": refused,
        "legitimate p99, ms": latencies[latencies.len() * 99 / 100].as_millis() as u64,
    }));
}

/// C8: out of descriptors, the gateway neither dies nor stops syncing; it
/// takes connections again when there is room.
#[test]
fn a_flood_of_connections_beyond_the_descriptors_is_survived() {
    let mut gateway = Gateway::prepare(RULES).under(&["prlimit", "--nofile=256"]);
    gateway.run();
    let flood: Vec<TcpStream> = (0..1000)
        .filter_map(|_| {
            TcpStream::connect_timeout(&gateway.ingress, Duration::from_millis(500)).ok()
        })
        .collect();
    assert!(flood.len() > 256);
    drop(flood);
    let answer = eventually(
        "a webhook to be taken again",
        Duration::from_secs(10),
        || {
            let body = message(1, "after", "after");
            crate::support::http::ask(
                gateway.ingress,
                "POST",
                "/hooks/qiscus",
                &signed(&body),
                &body,
            )
            .ok()
            .filter(|answer| answer.status == 200)
        },
    );
    assert_eq!(answer.status, 200);
}

/// What it is, the bytes, the status.
const AMBIGUOUS: [(&str, &str, u16); 11] = [
    (
        "bare LF",
        "POST /hooks/qiscus HTTP/1.1\nhost: x\ncontent-length: 0\n\n",
        400,
    ),
    (
        "no Host",
        "POST /hooks/qiscus HTTP/1.1\r\ncontent-length: 0\r\n\r\n",
        400,
    ),
    (
        "two Hosts",
        "POST /hooks/qiscus HTTP/1.1\r\nhost: a\r\nhost: b\r\ncontent-length: 0\r\n\r\n",
        400,
    ),
    (
        "length and chunked",
        "POST /hooks/qiscus HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "two lengths",
        "POST /hooks/qiscus HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        400,
    ),
    (
        "signed length",
        "POST /hooks/qiscus HTTP/1.1\r\nhost: x\r\ncontent-length: +5\r\n\r\nhello",
        400,
    ),
    (
        "folded header",
        "POST /hooks/qiscus HTTP/1.1\r\nhost: x\r\nx-a: b\r\n c\r\ncontent-length: 0\r\n\r\n",
        400,
    ),
    (
        "space before colon",
        "POST /hooks/qiscus HTTP/1.1\r\nhost: x\r\ncontent-length : 5\r\n\r\nhello",
        400,
    ),
    (
        "body on GET",
        "GET /hooks/qiscus HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhello",
        400,
    ),
    (
        "other authority",
        "POST http://other/hooks/qiscus HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n",
        400,
    ),
    (
        "gzip, chunked",
        "POST /hooks/qiscus HTTP/1.1\r\nhost: x\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        501,
    ),
];

/// C3: what a proxy in front could read differently is refused, and one
/// request never gets two answers.
#[test]
fn an_ambiguous_head_gets_one_refusal_and_the_connection_ends() {
    let gateway = Gateway::start(RULES);
    let long = format!(
        "POST /{} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n",
        "a".repeat(9000)
    );
    for (name, probe, status) in AMBIGUOUS
        .into_iter()
        .chain([("long target", long.as_str(), 414)])
    {
        let smuggled = "POST /hooks/qiscus HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n";
        let answer = raw(gateway.ingress, format!("{probe}{smuggled}").as_bytes()).unwrap();
        let answer = String::from_utf8_lossy(&answer);
        let answers = answer.matches("HTTP/1.1 ").count();
        assert_eq!(answers, 1, "{name}: {answer}");
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{name}: {answer}"
        );
    }
    assert_eq!(
        qiscus(gateway.ingress, &message(1, "ok", "ok")).status,
        200,
        "the gateway is unimpressed"
    );
}

/// C6: bodies beyond the limit, with and without a length; bodies half sent
/// beyond the budget.
#[test]
fn bodies_have_a_limit_each_and_all_together() {
    let rules = format!(
        "{}[source.big]\nkind = \"generic\"\nauth = \"none\"\nmax_body = \"1MiB\"\n",
        // Long enough that the half sent ones are still there when they are looked for.
        RULES
            .replace("body = \"1s\"", "body = \"60s\"")
            .replace("idle = \"1s\"", "idle = \"1s\"\nbody_in_flight = \"2MiB\"")
    );
    let gateway = Gateway::start(&rules);
    let head = |length: usize| {
        format!("POST /hooks/big HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n")
    };
    let too_long = raw(gateway.ingress, head((1 << 20) + 1).as_bytes()).unwrap();
    assert!(
        too_long.starts_with(b"HTTP/1.1 413 "),
        "{}",
        String::from_utf8_lossy(&too_long)
    );
    let mut chunked =
        b"POST /hooks/big HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..17 {
        chunked.extend_from_slice(b"10000\r\n");
        chunked.extend_from_slice(&vec![b' '; 0x10000]);
        chunked.extend_from_slice(b"\r\n");
    }
    let too_long = raw(gateway.ingress, &chunked).unwrap_or_default();
    assert!(
        too_long.is_empty() || too_long.starts_with(b"HTTP/1.1 413 "),
        "{}",
        String::from_utf8_lossy(&too_long)
    );
    // Two bodies that lack their last byte take the whole budget; the third is
    // told to come back.
    let hold: Vec<TcpStream> = (0..2)
        .map(|_| {
            let mut stream = TcpStream::connect(gateway.ingress).unwrap();
            stream.write_all(head(1 << 20).as_bytes()).unwrap();
            stream.write_all(&vec![b' '; (1 << 20) - 1]).unwrap();
            stream
        })
        .collect();
    // Asked beforehand, so that the question itself takes nothing of the budget.
    let probe = head(1 << 20).replace("host: x", "host: x\r\nexpect: 100-continue");
    eventually("the budget to be used up", Duration::from_secs(5), || {
        let mut stream = TcpStream::connect(gateway.ingress).ok()?;
        stream.write_all(probe.as_bytes()).ok()?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).ok()?;
        answer.starts_with(b"HTTP/1.1 503").then_some(())
    });
    drop(hold);
    eventually(
        "the budget to be free again",
        Duration::from_secs(5),
        || {
            let body = format!("{}{}", head(3), "[1]");
            let mut stream = TcpStream::connect(gateway.ingress).ok()?;
            stream.write_all(body.as_bytes()).ok()?;
            let mut answer = [0; 15];
            stream.read_exact(&mut answer).ok()?;
            answer.starts_with(b"HTTP/1.1 200 OK").then_some(())
        },
    );
}

/// T17, F2s: no stranger's word becomes a label, however many there are.
#[test]
fn strangers_words_make_no_series() {
    let gateway = Gateway::start(
        "[source.open]\nkind = \"generic\"\nauth = \"none\"\ntype = [{ header = \"X-Type\" }]\n[log]\nmin_free = \"16MiB\"\n",
    );
    let post = |path: &str, kind: &str| {
        crate::support::http::ask(
            gateway.ingress,
            "POST",
            path,
            &[("x-type".to_owned(), kind.to_owned())],
            b"{}",
        )
        .unwrap()
        .status
    };
    assert_eq!(post("/hooks/open", "first"), 200);
    assert_eq!(post("/hooks/nobody", "first"), 404);
    let proof = Proof::of("series");
    let words = scale("HOOKFAN_SERIES", 300);
    let series = |text: &str| text.lines().filter(|line| !line.starts_with('#')).count();
    let before = series(&gateway.get("/metrics").text());
    for number in 0..words {
        assert_eq!(post("/hooks/open", &format!("type-{number}")), 200);
        assert_eq!(post(&format!("/hooks/nobody-{number}"), "x"), 404);
    }
    let began = Instant::now();
    let scrape = gateway.get("/metrics").text();
    let took = began.elapsed();
    assert_eq!(series(&scrape), before);
    assert!(scrape.len() <= 1 << 20, "{} bytes", scrape.len());
    proof.found(serde_json::json!({
        "different types and paths": 2 * words,
        "new series": 0,
        "a scrape, ms": took.as_millis() as u64,
        "a scrape, KiB": scrape.len() / 1024,
    }));
}
