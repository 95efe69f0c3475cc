//! The admin API and its document: every endpoint of the document is called,
//! and every answer is what the document says.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::gateway::Gateway;
use crate::support::http::{Answer, ask};
use crate::support::receiver::{Receiver, Reply};
use crate::support::sender::{message, qiscus};

/// A gateway on which something of everything has happened.
struct Stage {
    gateway: Gateway,
    document: Value,
    /// `METHOD path` of the document that were called and went well.
    called: BTreeSet<String>,
    _receiver: Receiver,
}

impl Stage {
    fn start() -> Self {
        let receiver = Receiver::answering(|request| match request.header("x-fate") {
            Some("refuse") => Reply::Status(400),
            Some("fail") => Reply::Status(503),
            _ => Reply::Status(200),
        });
        let destination = |name: &str, fate: &str| {
            format!(
                "[destination.{name}]\nkind = \"http\"\nurl = \"{}/in\"\nallow_private = true\nheaders = {{ x-fate = \"{fate}\" }}\n",
                receiver.url()
            )
        };
        let rules = format!(
            "[log]\nmin_free = \"16MiB\"\n[source.bytes]\nkind = \"generic\"\nauth = \"none\"\n{}{}{}\
             [[route]]\nname = \"all\"\nfrom = \"qiscus\"\nwhen = \"message.kind == 'text'\"\nto = [\"good\", \"bad\"]\n\
             [[route]]\nfrom = [\"qiscus\", \"bytes\"]\nto = \"down\"\n",
            destination("good", "take"),
            destination("bad", "refuse"),
            destination("down", "fail"),
        );
        let gateway = Gateway::start(&rules);
        for number in 0..5 {
            let text = format!("text {number} é\u{202e}\"<b>");
            qiscus(
                gateway.ingress,
                &message(number, &number.to_string(), &text),
            );
        }
        let headers = [("content-type".to_owned(), "application/json".to_owned())];
        let posted = ask(
            gateway.ingress,
            "POST",
            "/hooks/bytes",
            &headers,
            b"[18446744073709551617]",
        );
        assert_eq!(posted.unwrap().status, 200);
        eventually(
            "five letters and five deliveries",
            Duration::from_secs(20),
            || {
                let dead = gateway.destination("bad")["dead_letters"] == 5;
                let tried = gateway.destination("down")["retrying"].as_u64() >= Some(5);
                (dead && tried && gateway.destination("good")["delivered"] == 5).then_some(())
            },
        );
        let document = gateway.get("/api/v1/openapi.json").json();
        Self {
            gateway,
            document,
            called: BTreeSet::new(),
            _receiver: receiver,
        }
    }

    /// Calls an operation of the document and holds the answer against it.
    fn call(&mut self, operation: &str, path: &str, body: Option<&Value>, status: u16) -> Value {
        let (method, written) = operation.split_once(' ').unwrap();
        let (headers, bytes) = match body {
            None => (Vec::new(), Vec::new()),
            Some(body) => {
                let kind = ("content-type".to_owned(), "application/json".to_owned());
                (vec![kind], body.to_string().into_bytes())
            }
        };
        let answer = ask(self.gateway.admin, method, path, &headers, &bytes).unwrap();
        assert_eq!(
            answer.status,
            status,
            "{operation} {path}: {}",
            answer.text()
        );
        let said = &self.document["paths"][written][method.to_lowercase()];
        assert!(said.is_object(), "the document has no {operation}");
        check(&self.document, said, &answer, operation);
        if status < 300 {
            self.called.insert(operation.to_owned());
        }
        answer.json()
    }

    fn get(&mut self, path: &str, name: &str) -> Value {
        let asked = fill(path, name);
        self.call(&format!("GET {path}"), &asked, None, 200)
    }

    fn post(&mut self, path: &str, name: &str, body: &Value) -> Value {
        let asked = fill(path, name);
        let status = if path == "/api/v1/jobs" { 202 } else { 200 };
        self.call(&format!("POST {path}"), &asked, Some(body), status)
    }

    fn operations(&self) -> BTreeSet<String> {
        let paths = self.document["paths"].as_object().unwrap();
        let operations = paths.iter().flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().keys();
            methods.map(move |method| format!("{} {path}", method.to_uppercase()))
        });
        operations.collect()
    }
}

/// A path with its braces replaced.
fn fill(path: &str, name: &str) -> String {
    path.replace("{name}", name).replace("{id}", name)
}

/// The answer's status is declared, its content type is the declared one, its
/// body is of the declared schema, and its headers are the ones all carry.
fn check(document: &Value, said: &Value, answer: &Answer, operation: &str) {
    let mut declared = &said["responses"][answer.status.to_string()];
    assert!(
        declared.is_object(),
        "{operation} does not declare {}",
        answer.status
    );
    if let Some(name) = declared["$ref"].as_str() {
        declared = document.pointer(name.trim_start_matches('#')).unwrap();
    }
    let header = |name: &str| {
        let mut headers = answer.headers.iter();
        headers
            .find(|(have, _)| have == name)
            .map(|(_, value)| value.as_str())
    };
    let kind = header("content-type").unwrap();
    let content = declared["content"].as_object().unwrap();
    let (_, content) = content
        .iter()
        .find(|(declared, _)| kind.split(';').next() == Some(declared))
        .unwrap_or_else(|| panic!("{operation} {}: {kind} is not declared", answer.status));
    for (name, value) in [
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        (
            "content-security-policy",
            "default-src 'none'; frame-ancestors 'none'",
        ),
    ] {
        assert_eq!(header(name), Some(value), "{operation}: {name}");
    }
    if kind.contains("json") {
        valid(document, &content["schema"], &answer.json(), operation);
    }
}

fn valid(document: &Value, schema: &Value, instance: &Value, operation: &str) {
    let mut schema = schema.clone();
    schema["components"] = document["components"].clone();
    let validator = jsonschema::options()
        .with_draft(jsonschema::Draft::Draft202012)
        .should_validate_formats(true)
        .build(&schema)
        .unwrap();
    let errors: Vec<String> = validator
        .iter_errors(instance)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{operation}: {errors:#?}\n{instance:#}");
}

/// The first line of the stream.
fn first_of_live(gateway: &Gateway) -> Value {
    let mut stream = TcpStream::connect(gateway.admin).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    write!(
        stream,
        "GET /api/v1/live HTTP/1.1\r\nhost: {}\r\n\r\n",
        gateway.admin
    )
    .unwrap();
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    assert!(lines.next().unwrap().contains(" 200 "));
    assert!(
        lines
            .by_ref()
            .take_while(|line| !line.is_empty())
            .any(|line| line == "content-type: text/event-stream")
    );
    assert!(lines.any(|line| line == "event: status"));
    let data = lines.next().unwrap();
    serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap()
}

#[test]
fn every_endpoint_answers_as_the_document_says() {
    let mut stage = Stage::start();
    for path in [
        "/livez",
        "/readyz",
        "/metrics",
        "/api/v1/openapi.json",
        "/api/v1/config",
    ] {
        stage.get(path, "");
    }
    looks(&mut stage);
    changes(&mut stage);
    // These ask a vendor, and there is none here.
    for (operation, path, body, status) in [
        (
            "GET /api/v1/destinations/{name}/conversations",
            "/api/v1/destinations/good/conversations",
            None,
            400,
        ),
        (
            "POST /api/v1/destinations/{name}:hub-token",
            "/api/v1/destinations/good:hub-token",
            Some(json!({})),
            400,
        ),
        (
            "POST /api/v1/backfill",
            "/api/v1/backfill",
            Some(json!({"source": "qiscus", "conversation": "1"})),
            400,
        ),
    ] {
        stage.call(operation, path, body.as_ref(), status);
        stage.called.insert(operation.to_owned());
    }
    assert_eq!(stage.operations(), stage.called, "all of them were called");
}

fn looks(stage: &mut Stage) {
    let status = stage.get("/api/v1/status", "");
    let live = first_of_live(&stage.gateway);
    stage.called.insert("GET /api/v1/live".to_owned());
    valid(
        &stage.document,
        &json!({"$ref": "#/components/schemas/Status"}),
        &live,
        "live",
    );
    let routes = status["routes"].as_array().unwrap();
    assert_eq!(
        (&routes[0]["name"], &routes[0]["matched"]),
        (&json!("all"), &json!(5))
    );
    assert_eq!(
        (&routes[1]["name"], &routes[1]["matched"]),
        (&json!("route 2"), &json!(6))
    );
    let written = std::fs::read_to_string(stage.gateway.file()).unwrap();
    for (route, words) in routes.iter().zip(["name = \"all\"", "[[route]]"]) {
        let line = usize::try_from(route["line"].as_u64().unwrap()).unwrap();
        assert_eq!(written.lines().nth(line - 1), Some(words), "{route}");
        assert!(route["by_source"]["qiscus"].is_number());
    }
    assert_eq!(
        stage
            .gateway
            .metric("hookfan_route_matched_total{route=\"route 2\",source=\"bytes\"}"),
        Some(1.0)
    );
    let detail = stage.get("/api/v1/destinations/{name}", "down");
    assert_eq!(detail["settings"]["timeout_seconds"], 30.0);
    stage.get("/api/v1/destinations/{name}/history", "bad");
    let events = stage.get("/api/v1/events", "");
    for event in events["events"].as_array().unwrap() {
        stage.get("/api/v1/events/{id}", event["id"].as_str().unwrap());
    }
    let dead = stage.get("/api/v1/dead", "");
    assert_eq!((&dead["total"], &dead["next"]), (&json!(5), &Value::Null));
    for letter in dead["dead"].as_array().unwrap() {
        stage.get("/api/v1/dead/{id}", letter["id"].as_str().unwrap());
    }
    let explained = "/api/v1/explain?source=qiscus";
    let body: Value = serde_json::from_slice(&message(9, "x", "hello")).unwrap();
    stage.call("POST /api/v1/explain", explained, Some(&body), 200);
    let id = events["events"][0]["id"].as_str().unwrap();
    stage.call(
        "POST /api/v1/explain",
        &format!("/api/v1/explain?event={id}"),
        None,
        200,
    );
    stage.get("/api/v1/links", "");
}

fn changes(stage: &mut Stage) {
    stage.post("/api/v1/check", "", &json!({}));
    stage.post("/api/v1/reload", "", &json!({}));
    stage.post("/api/v1/destinations/{name}:pause", "down", &json!({}));
    let paused = stage.get("/api/v1/destinations/{name}", "down");
    assert_eq!(paused["paused_by"], "operator");
    stage.post("/api/v1/destinations/{name}:resume", "down", &json!({}));
    let link = json!({"links": [{"destination": "good", "ours": "qiscus/7", "id": "77"}]});
    stage.post("/api/v1/links:set", "", &link);
    assert_eq!(stage.get("/api/v1/links", "")["links"][0]["id"], "77");
    let link = json!({"links": [{"destination": "good", "ours": "qiscus/7"}]});
    stage.post("/api/v1/links:remove", "", &link);
    stage.post(
        "/api/v1/replay",
        "",
        &json!({"type": "post_comment_*", "to": ["good"]}),
    );
    let newest = stage
        .gateway
        .get("/api/v1/dead?order=newest&limit=1")
        .json();
    let id = newest["dead"][0]["id"].clone();
    stage.post("/api/v1/dead:drop", "", &json!({"ids": [id]}));
    let job = stage.post(
        "/api/v1/jobs",
        "",
        &json!({"what": "dead:retry", "destination": "bad"}),
    );
    let id = job["job"]["id"].as_str().unwrap().to_owned();
    eventually("the job to end", Duration::from_secs(20), || {
        (stage.get("/api/v1/jobs/{id}", &id)["state"] == "done").then_some(())
    });
    assert_eq!(stage.get("/api/v1/jobs/{id}", &id)["done"], 4);
    stage.post("/api/v1/jobs/{id}:stop", &id, &json!({}));
    stage.get("/api/v1/jobs", "");
    // What is dead again is owed again by the old way, too.
    stage.post("/api/v1/dead:retry", "", &json!({"all": true}));
}

/// Operation, path, body, status.
type Wrong = (&'static str, &'static str, Option<&'static str>, u16);

const WRONG: &[Wrong] = &[
    ("GET /api/v1/status", "/api/v1/status?colour=red", None, 400),
    ("GET /api/v1/events", "/api/v1/events?limit=0", None, 400),
    (
        "GET /api/v1/events",
        "/api/v1/events?limit=1&limit=2",
        None,
        400,
    ),
    (
        "GET /api/v1/events",
        "/api/v1/events?since=yesterday",
        None,
        400,
    ),
    ("GET /api/v1/events", "/api/v1/events?tpye=a", None, 400),
    ("GET /api/v1/events/{id}", "/api/v1/events/7", None, 400),
    (
        "GET /api/v1/events/{id}",
        "/api/v1/events/00000000-0000-7000-8000-000000000000",
        None,
        404,
    ),
    ("GET /api/v1/dead", "/api/v1/dead?order=random", None, 400),
    ("GET /api/v1/dead", "/api/v1/dead?reason=because", None, 400),
    (
        "GET /api/v1/dead/{id}",
        "/api/v1/dead/99999999999999999999",
        None,
        400,
    ),
    ("GET /api/v1/dead/{id}", "/api/v1/dead/8", None, 404),
    ("GET /api/v1/jobs/{id}", "/api/v1/jobs/1-1", None, 404),
    (
        "POST /api/v1/jobs/{id}:stop",
        "/api/v1/jobs/1-1:stop",
        Some("{}"),
        404,
    ),
    (
        "POST /api/v1/jobs",
        "/api/v1/jobs",
        Some(r#"{"what": "burn"}"#),
        400,
    ),
    (
        "POST /api/v1/jobs",
        "/api/v1/jobs",
        Some(r#"{"what": "replay", "all": true, "to": ["x"]}"#),
        404,
    ),
    (
        "POST /api/v1/dead:retry",
        "/api/v1/dead:retry",
        Some("{}"),
        400,
    ),
    (
        "POST /api/v1/dead:retry",
        "/api/v1/dead:retry",
        Some(r#"{"ids": [], "after": "x"}"#),
        400,
    ),
    (
        "POST /api/v1/reload",
        "/api/v1/reload",
        Some(r#"{"now": true}"#),
        400,
    ),
    ("POST /api/v1/explain", "/api/v1/explain", None, 400),
    (
        "POST /api/v1/links:set",
        "/api/v1/links:set",
        Some(r#"{"links": [{}]}"#),
        400,
    ),
    (
        "POST /api/v1/backfill",
        "/api/v1/backfill",
        Some(r#"{"source": 1, "conversation": "1"}"#),
        400,
    ),
    (
        "GET /api/v1/destinations/{name}",
        "/api/v1/destinations/gone",
        None,
        404,
    ),
    (
        "GET /api/v1/destinations/{name}/history",
        "/api/v1/destinations/%c3%a9/history",
        None,
        404,
    ),
];

#[test]
fn what_is_wrong_is_answered_as_the_document_says() {
    let mut stage = Stage::start();
    for (operation, path, body, status) in WRONG {
        let body: Option<Value> = body.map(|body| serde_json::from_str(body).unwrap());
        let answer = stage.call(operation, path, body.as_ref(), *status);
        let said = answer["detail"].as_str();
        assert!(said.is_some_and(|said| said.len() > 10), "{answer}");
    }
    let (drop, many) = ("/api/v1/dead:drop", json!({"ids": vec!["1"; 20_000]}));
    stage.call(&format!("POST {drop}"), drop, Some(&many), 413);
    let gateway = &stage.gateway;
    let kind = "application/x-www-form-urlencoded".to_owned();
    let form = [("content-type".to_owned(), kind)];
    let answer = ask(gateway.admin, "POST", drop, &form, b"all=true").unwrap();
    assert_eq!(answer.status, 415);
    std::fs::write(gateway.file(), "nonsense = [").unwrap();
    let (reload, check) = ("/api/v1/reload", "/api/v1/check");
    let complaints = stage.call(&format!("POST {reload}"), reload, Some(&json!({})), 422);
    let checked = stage.call(&format!("POST {check}"), check, Some(&json!({})), 200);
    assert_eq!(complaints, checked, "check says what a reload would say");
    assert!(checked["complaints"][0]["message"].is_string(), "{checked}");
}
