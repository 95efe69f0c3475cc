//! `hookfan emulate`, as a process.

use std::io::{BufRead, BufReader, Lines};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use super::sample;
use crate::support::gateway::hookfan;
use crate::support::http::ask;

struct Verb {
    child: Child,
    address: SocketAddr,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Verb {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_hookfan"))
            .arg("emulate")
            .args(arguments)
            .arg("--json")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        Self {
            child,
            address: first["listening"].as_str().unwrap().parse().unwrap(),
            lines,
        }
    }

    fn ask(&self, method: &str, path: &str, header: (&str, &str), body: &Value) -> Option<u16> {
        let headers = [
            ("content-type".to_owned(), "application/json".to_owned()),
            (header.0.to_owned(), header.1.to_owned()),
        ];
        let body = body.to_string();
        let answer = ask(self.address, method, path, &headers, body.as_bytes());
        answer.ok().map(|answer| answer.status)
    }

    fn shown(&self) -> Value {
        let answer = ask(self.address, "GET", "/_emulator", &[], b"");
        answer.unwrap().json()
    }
}

impl Drop for Verb {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        self.child.wait().unwrap();
    }
}

#[test]
fn a_vendor_runs_on_a_port_with_seeds_and_faults() {
    let id = "3f2504e0-4f89-11d3-9a0c-0305e82c3301";
    let seed = format!("{id}=rina@customer.example.com");
    let mut verb = Verb::start(&[
        "sendyiq",
        "--conversation",
        &seed,
        "--every",
        "2",
        "--fault",
        "lost_answer",
        "--fault",
        "too_many",
    ]);
    let key = ("x-api-key", "emulator.secret");
    let path = format!("/api/v1/store/integrations/chat/conversations/{id}/messages");
    let message = sample("api/sendyiq/post_message.request.json");
    let say = || verb.ask("POST", &path, key, &message);
    let heard: Vec<Option<u16>> = (0..4).map(|_| say()).collect();
    assert_eq!(heard, [Some(200), None, Some(200), Some(429)]);
    let shown = verb.shown();
    let held = &shown["state"]["conversations"][0];
    assert_eq!(held["messages"].as_array().unwrap().len(), 3);
    assert_eq!(held["customer_email"], "rina@customer.example.com");
    assert_eq!(shown["counts"]["faults"], 2);
    for fault in [
        json!(null),
        json!("lost_answer"),
        json!(null),
        json!("too_many"),
    ] {
        let line: Value = serde_json::from_str(&verb.lines.next().unwrap().unwrap()).unwrap();
        assert_eq!(line["fault"], fault);
    }
}

#[test]
fn every_vendor_can_be_run() {
    for (vendor, arguments, header, line, body, status) in [
        (
            "dixa",
            vec!["--no-limit"],
            ("authorization", "emulator"),
            "GET /beta/endusers",
            json!(null),
            200,
        ),
        (
            "qiscus",
            vec!["--room", "7=a@x.example,b@x.example"],
            ("qiscus_sdk_secret", "emulator"),
            "POST /api/v2/rest/post_comment",
            json!({"sender_email": "a@x.example", "room_id": "7", "message": "m"}),
            200,
        ),
        (
            "quiq",
            vec!["--conversation", "c1=+14065550123"],
            ("authorization", "Bearer emulator"),
            "GET /api/v1/messaging/conversations/c1",
            json!(null),
            200,
        ),
        (
            "http",
            vec!["--first", "1", "--status", "502"],
            ("x", "y"),
            "POST /x",
            json!({}),
            502,
        ),
        (
            "dashbot",
            vec!["--api-key", "k"],
            ("x", "y"),
            "POST /track?apiKey=other",
            json!({}),
            403,
        ),
        (
            "dimension",
            vec!["--chance", "1", "--fault", "garbage"],
            ("x", "y"),
            "POST /track",
            json!({}),
            200,
        ),
    ] {
        let arguments: Vec<&str> = [vendor].into_iter().chain(arguments).collect();
        let verb = Verb::start(&arguments);
        let (method, path) = line.split_once(' ').unwrap();
        assert_eq!(
            verb.ask(method, path, header, &body),
            Some(status),
            "{vendor}"
        );
    }
}

#[test]
fn what_cannot_be_meant_is_a_usage_error() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [
        &["emulate", "sendyiq", "--conversation", "no-customer"][..],
        &["emulate", "qiscus", "--room", "x=a@x.example"],
        &["emulate", "http", "--fault", "unknown"],
        &["emulate", "http", "--every", "2", "--first", "2"],
        &["emulate", "nobody"],
    ] {
        let output = hookfan(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}");
    }
}
