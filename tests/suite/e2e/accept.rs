//! From a webhook to its answer.

use std::time::Duration;

use crate::support::eventually;
use crate::support::gateway::Gateway;
use crate::support::http::{Connection, ask, raw};
use crate::support::receiver::Receiver;
use crate::support::sender::{message, qiscus, signed};

fn one_destination(receiver: &Receiver) -> String {
    format!(
        "[log]\nmin_free = \"16MiB\"\n[destination.one]\nkind = \"http\"\nurl = \"{}/in\"\nallow_private = true\n[[route]]\nname = \"all\"\nto = \"one\"\n",
        receiver.url()
    )
}

#[test]
fn a_signed_webhook_is_acknowledged_with_its_id_and_copies() {
    let receiver = Receiver::start();
    let gateway = Gateway::start(&one_destination(&receiver));
    let answer = qiscus(gateway.ingress, &message(1, "a", "a"));
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["deliveries"], 1);
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(
        receiver.gets(1)[0].request.header("webhook-id"),
        Some(id.as_str())
    );
    let event = eventually("the event to be delivered", Duration::from_secs(5), || {
        let event = gateway.get(&format!("/api/v1/events/{id}")).json();
        (event["deliveries"][0]["state"] == "delivered").then_some(event)
    });
    assert_eq!(event["type"], "post_comment_mobile");
    assert_eq!(event["key"], "qiscus/1");
    assert_eq!(event["message"]["text"], "a");
    assert_eq!(event["deliveries"][0]["attempts"][0]["status"], 200);
}

/// T1: flipped, missing and repeated signatures are 401, without detail.
#[test]
fn a_webhook_that_is_not_signed_right_is_refused_without_detail() {
    let gateway = Gateway::start("[log]\nmin_free = \"16MiB\"\n");
    let body = message(1, "a", "a");
    let good = signed(&body);
    let mut flipped = body.clone();
    flipped[10] ^= 1;
    let twice = [good.clone(), vec![good[1].clone()]].concat();
    for (headers, body) in [
        (&good[..1], &body),
        (&good[..], &flipped),
        (&twice[..], &body),
    ] {
        let answer = ask(gateway.ingress, "POST", "/hooks/qiscus", headers, body).unwrap();
        assert_eq!(answer.status, 401);
        let shown = answer.json();
        assert_eq!(
            shown.as_object().unwrap().len(),
            3,
            "type, title, status and nothing else: {shown}"
        );
    }
    assert_eq!(
        gateway.metric("hookfan_webhooks_total{code=\"401\",source=\"qiscus\"}"),
        Some(3.0)
    );
}

#[test]
fn each_kind_of_refusal_has_its_status_and_is_counted() {
    let gateway = Gateway::start(
        "[log]\nmin_free = \"16MiB\"\n[source.slow]\nkind = \"generic\"\nauth = \"none\"\nrate = \"1/m\"\n",
    );
    let status = |method: &str, path: &str, headers: &[(String, String)], body: &[u8]| {
        ask(gateway.ingress, method, path, headers, body).unwrap()
    };
    assert_eq!(status("POST", "/hooks/nobody", &[], b"{}").status, 404);
    assert_eq!(status("POST", "/elsewhere", &[], b"{}").status, 404);
    let wrong = status("GET", "/hooks/qiscus", &[], b"");
    assert_eq!(wrong.status, 405);
    assert!(
        wrong
            .headers
            .iter()
            .any(|(name, value)| name.eq_ignore_ascii_case("allow") && value == "POST")
    );
    let broken = b"{\"type\":";
    assert_eq!(
        status("POST", "/hooks/qiscus", &signed(broken), broken).status,
        400
    );
    assert_eq!(status("POST", "/hooks/slow", &[], b"{}").status, 200);
    let limited = status("POST", "/hooks/slow", &[], b"{}");
    assert_eq!(limited.status, 429);
    assert!(
        limited
            .headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("retry-after"))
    );
    let hops = [("hookfan-hops".to_owned(), "5".to_owned())];
    assert_eq!(status("POST", "/hooks/qiscus", &hops, b"{}").status, 508);
    assert_eq!(
        gateway.metric("hookfan_webhooks_total{code=\"404\",source=\"unknown\"}"),
        Some(2.0)
    );
    assert_eq!(
        gateway.metric("hookfan_webhooks_total{code=\"400\",source=\"qiscus\"}"),
        Some(1.0)
    );
    assert_eq!(
        gateway.metric("hookfan_webhooks_total{code=\"508\",source=\"qiscus\"}"),
        Some(1.0)
    );
}

/// D4: the same vendor id is one event, also across a restart; equal bytes
/// without an id are two.
#[test]
fn a_resend_is_acknowledged_and_stored_once() {
    let receiver = Receiver::start();
    let mut gateway = Gateway::start(&one_destination(&receiver));
    let body = message(1, "same", "same");
    let first = qiscus(gateway.ingress, &body).json();
    for _ in 0..20 {
        let again = qiscus(gateway.ingress, &body).json();
        assert_eq!(
            (&again["id"], &again["duplicate"]),
            (&first["id"], &serde_json::Value::Bool(true))
        );
    }
    gateway.kill();
    gateway.run();
    assert_eq!(qiscus(gateway.ingress, &body).json()["id"], first["id"]);
    let nameless = serde_json::json!({"type": "post_comment_mobile", "payload": {
        "from": {"id": 1, "email": "a@example.com", "name": "A"}, "room": {"id": 2, "type": "group", "name": "r"},
        "message": {"type": "text", "text": "ok", "payload": {}}}});
    for _ in 0..2 {
        assert_eq!(
            qiscus(gateway.ingress, nameless.to_string().as_bytes()).json()["duplicate"],
            serde_json::Value::Null
        );
    }
    gateway.drained(Duration::from_secs(10));
    assert_eq!(
        gateway.metric("hookfan_deliveries_owed_total{destination=\"one\"}"),
        Some(3.0)
    );
    assert_eq!(
        gateway.metric("hookfan_events_duplicate_total{source=\"qiscus\"}"),
        Some(21.0)
    );
}

#[test]
fn an_event_nobody_wants_is_counted_and_acknowledged() {
    let gateway = Gateway::start("[log]\nmin_free = \"16MiB\"\n");
    let answer = qiscus(gateway.ingress, &message(1, "a", "a"));
    assert_eq!(
        (answer.status, &answer.json()["deliveries"]),
        (200, &serde_json::json!(0))
    );
    assert_eq!(
        gateway.metric("hookfan_events_unrouted_total{source=\"qiscus\"}"),
        Some(1.0)
    );
}

/// A connection is kept; requests that come together are answered in order.
#[test]
fn requests_on_one_connection_are_answered_in_order() {
    let gateway = Gateway::start("[log]\nmin_free = \"16MiB\"\n");
    let mut connection = Connection::open(gateway.ingress).unwrap();
    for number in 0..5 {
        let id = number.to_string();
        let body = message(1, &id, &id);
        assert_eq!(
            connection
                .ask("POST", "/hooks/qiscus", &signed(&body), &body)
                .unwrap()
                .status,
            200
        );
    }
    let post = |id: &str, close: &str| {
        let body = message(2, id, id);
        let signature = &signed(&body)[1].1;
        let head = format!(
            "POST /hooks/qiscus HTTP/1.1\r\nhost: x\r\nqiscus-sdk-signature: {signature}\r\n{close}content-length: {}\r\n\r\n",
            body.len()
        );
        [head.into_bytes(), body].concat()
    };
    let first = qiscus(gateway.ingress, &message(2, "first", "first")).json();
    let together = [post("first", ""), post("second", "connection: close\r\n")].concat();
    let answers = String::from_utf8(raw(gateway.ingress, &together).unwrap()).unwrap();
    let bodies: Vec<&str> = answers
        .lines()
        .filter(|line| line.starts_with('{'))
        .collect();
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 2, "{answers}");
    let id = first["id"].as_str().unwrap();
    assert!(
        answers.find(id) < answers.find("\"deliveries\":0}"),
        "{bodies:?}"
    );
}

#[test]
fn a_signed_body_that_cannot_be_parsed_is_kept_where_the_source_says_so() {
    let receiver = Receiver::start();
    let rules = one_destination(&receiver).replace("[log]", "unreadable = \"keep\"\n[log]");
    let gateway = Gateway::start(&rules);
    let body = b"{\"cut in the mid";
    assert_eq!(qiscus(gateway.ingress, body).status, 200);
    let arrived = receiver.gets(1);
    assert_eq!(arrived[0].request.body, body);
    let events = gateway.get("/api/v1/events").json();
    assert_eq!(events["events"][0]["type"], "unreadable");
}
