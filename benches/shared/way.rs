//! The whole way of an event through a gateway in this process: posted over
//! loopback, durable, answered, delivered, one after the other. What cannot be
//! called by itself (the head filter, lanes, the bytes of a request) is in here.

#![allow(
    clippy::expect_used,
    reason = "a bench that cannot start has nothing to measure"
)]

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use hookfan::clock::Clock;
use hookfan::gateway::{Ended, Gateway};
use tokio_util::sync::CancellationToken;

use super::samples::BODY;

/// Posts `times` events, each owing `copies`, and waits for all that follows
/// from one before the next.
pub(crate) fn way(copies: usize, times: usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let destination = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = destination.local_addr().expect("bound");
    let (arrived, arrivals) = sync_channel(64);
    thread::spawn(move || receive(&destination, &arrived));

    let path = folder.path().join("routes.toml");
    let file = routes(&folder.path().display().to_string(), copies, address);
    std::fs::write(&path, file).expect("a disk");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let gateway = Gateway::open(path, Clock::system()).await.expect("sound");
        let (ingress, stop) = (gateway.ingress, CancellationToken::new());
        let sender = thread::spawn({
            let stop = stop.clone();
            move || {
                let _stop = stop.drop_guard();
                post(ingress, copies, times, &arrivals);
            }
        });
        assert_eq!(gateway.run(stop).await, Ended::Clean);
        sender.join().expect("every event was answered");
    });
}

/// A limit of time would make a stalled machine look like a dearer way.
fn routes(folder: &str, copies: usize, address: SocketAddr) -> String {
    let mut file = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\ndata_dir = \"{folder}/data\"\n\
         [log]\nmin_free = \"1B\"\n\
         [limits]\nfirst_byte = \"1h\"\nhead = \"1h\"\nbody = \"1h\"\nwrite = \"1h\"\nidle = \"1h\"\nanswer = \"1h\"\n\
         [source.shop]\nkind = \"generic\"\nauth = \"none\"\ntype = [{{ body = \"type\" }}]\n\
         key = [{{ body = \"payload.room.id\" }}]\n"
    );
    let mut to = String::new();
    for number in 0..copies {
        let _ = write!(to, "\"d{number}\", ");
        let _ = write!(
            file,
            "[destination.d{number}]\nkind = \"http\"\nurl = \"http://{address}/d{number}\"\nallow_private = true\ntimeout = \"1h\"\n"
        );
    }
    file + &format!("[[route]]\nfrom = \"shop\"\nto = [{to}]\n")
}

fn post(ingress: SocketAddr, copies: usize, times: usize, arrivals: &Receiver<()>) {
    let mut stream = TcpStream::connect(ingress).expect("a gateway");
    let head = format!(
        "POST /hooks/shop HTTP/1.1\r\nHost: {ingress}\r\nContent-Type: application/json\r\n\
         User-Agent: bench/1\r\nAccept: */*\r\nContent-Length: {}\r\n\r\n",
        BODY.len()
    );
    let request = [head.as_bytes(), BODY].concat();
    let mut answers = BufReader::new(stream.try_clone().expect("a descriptor"));
    for _ in 0..times {
        stream.write_all(&request).expect("open");
        let status = message(&mut answers).expect("an answer");
        assert!(status.starts_with("HTTP/1.1 200"), "{status}");
        for _ in 0..copies {
            arrivals.recv().expect("a copy");
        }
    }
}

/// Answers every request on every connection with 200.
fn receive(destination: &TcpListener, arrived: &SyncSender<()>) {
    for stream in destination.incoming() {
        let (mut stream, arrived) = (stream.expect("a connection"), arrived.clone());
        thread::spawn(move || {
            let mut requests = BufReader::new(stream.try_clone().expect("a descriptor"));
            while message(&mut requests).is_some() {
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
                if stream.write_all(answer).is_err() || arrived.send(()).is_err() {
                    return;
                }
            }
        });
    }
}

/// Reads one message with its body; its first line. `None`: it has ended.
fn message(from: &mut impl BufRead) -> Option<String> {
    let (mut first, mut line, mut length) = (String::new(), String::new(), 0);
    from.read_line(&mut first).ok().filter(|read| *read > 0)?;
    loop {
        line.clear();
        from.read_line(&mut line).ok().filter(|read| *read > 0)?;
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line == "\r\n" {
            break;
        }
    }
    std::io::copy(&mut from.take(length), &mut std::io::sink()).ok()?;
    Some(first)
}
