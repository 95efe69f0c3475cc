//! From the log to a destination's answer.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::eventually;
use crate::support::gateway::Gateway;
use crate::support::http::ask;
use crate::support::receiver::{Receiver, Reply};
use crate::support::sender::{message, qiscus, signed};

fn rules(receiver: &Receiver, more: &str) -> String {
    format!(
        "[log]\nmin_free = \"16MiB\"\n[destination.one]\nkind = \"http\"\nurl = \"{}/in\"\nallow_private = true\n{more}\n[[route]]\nto = \"one\"\n",
        receiver.url()
    )
}

/// X1, X2: only the success set is delivered; the attempt keeps its code.
#[test]
fn only_a_2xx_is_delivered_and_every_attempt_keeps_its_status() {
    let receiver = Receiver::answering(|request| {
        let status = request.json()["payload"]["message"]["text"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        Reply::Status(status)
    });
    let gateway = Gateway::start(&rules(
        &receiver,
        "retry = { delays = [\"10ms\"], for = \"25ms\" }\nbreaker = { failures = 1000, probe_every = \"1s\" }",
    ));
    let statuses = [
        200_u16, 201, 204, 299, 300, 301, 302, 304, 400, 401, 403, 404, 408, 409, 422, 425, 429,
        500, 501, 502, 503, 504, 508, 599,
    ];
    let mut ids = Vec::new();
    for status in statuses {
        let answer = qiscus(
            gateway.ingress,
            &message(
                usize::from(status),
                &status.to_string(),
                &status.to_string(),
            ),
        );
        ids.push((status, answer.json()["id"].as_str().unwrap().to_owned()));
    }
    gateway.drained(Duration::from_secs(20));
    for (status, id) in ids {
        let event = gateway.get(&format!("/api/v1/events/{id}")).json();
        let copy = &event["deliveries"][0];
        let expected = match status {
            200..=299 => ("delivered", None),
            508 => ("dead", Some("loop")),
            408 | 425 | 429 | 500.. => ("dead", Some("exhausted")),
            _ => ("dead", Some("refused")),
        };
        assert_eq!(
            (copy["state"].as_str().unwrap(), copy["reason"].as_str()),
            expected,
            "{status}: {copy}"
        );
        let attempts = copy["attempts"].as_array().unwrap();
        assert!(
            !attempts.is_empty() && attempts.iter().all(|attempt| attempt["status"] == status),
            "{status}: {copy}"
        );
    }
}

/// X4: what leaves is what came, with our headers and no others.
#[test]
fn an_untouched_copy_is_byte_for_byte_and_its_head_is_known() {
    let receiver = Receiver::start();
    let gateway = Gateway::start(&rules(&receiver, ""));
    let body = b"{ \"type\" : \"post_comment_mobile\", \"payload\": {\"from\":{\"email\":\"a@example.com\"},\"room\":{\"id\": 12345678901234567},\"message\":{\"type\":\"text\",\"text\":\"\\ud83d\",\"payload\":{}}} }\n";
    let id = qiscus(gateway.ingress, body).json()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let request = receiver.gets(1)[0].request.clone();
    assert_eq!(request.body, body);
    assert_eq!(
        (request.method.as_str(), request.target.as_str()),
        ("POST", "/in")
    );
    let mut head: Vec<(String, String)> = request
        .headers
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
        .collect();
    head.sort();
    let expected = [
        ("accept-encoding", "identity".to_owned()),
        ("content-length", body.len().to_string()),
        ("content-type", "application/json".to_owned()),
        ("hookfan-attempt", "1".to_owned()),
        ("hookfan-hops", "1".to_owned()),
        ("host", receiver.address.to_string()),
        (
            "user-agent",
            format!("hookfan/{}", env!("CARGO_PKG_VERSION")),
        ),
        ("webhook-id", id),
    ];
    let expected: Vec<(String, String)> = expected
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    assert_eq!(head, expected);
}

/// W3C Trace Context: the trace goes on, each attempt in a span of its own; what
/// is malformed goes no further.
#[test]
fn a_trace_goes_on_through_every_attempt() {
    let turn = AtomicUsize::new(0);
    let receiver = Receiver::answering(move |_| match turn.fetch_add(1, Ordering::Relaxed) {
        0 => Reply::Status(503),
        _ => Reply::Status(200),
    });
    let retry = "retry = { delays = [\"20ms\"], for = \"1m\" }";
    let gateway = Gateway::start(&rules(&receiver, retry));
    let came = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let post = |id: &str, traceparent: &str| {
        let body = message(1, id, "x");
        let mut headers = signed(&body);
        headers.push(("traceparent".to_owned(), traceparent.to_owned()));
        headers.push(("tracestate".to_owned(), "vendor=a".to_owned()));
        let answer = ask(gateway.ingress, "POST", "/hooks/qiscus", &headers, &body).unwrap();
        assert_eq!(answer.status, 200);
    };
    post("one", came);
    let tried = receiver.gets(2);
    let spans: Vec<&str> = tried
        .iter()
        .map(|arrived| arrived.request.header("traceparent").unwrap())
        .collect();
    for span in &spans {
        assert!(
            span.starts_with(&came[..36]) && span.ends_with("-01"),
            "{span}"
        );
        assert_ne!(*span, came);
    }
    assert_ne!(spans[0], spans[1]);
    assert_eq!(tried[1].request.header("tracestate"), Some("vendor=a"));
    post("two", &came.replace("0af7", "0AF7"));
    let arrived = receiver.gets(3);
    assert_eq!(arrived[2].request.header("traceparent"), None);
    assert_eq!(arrived[2].request.header("tracestate"), None);
}

#[test]
fn a_destination_that_comes_back_gets_everything_with_the_same_id() {
    let turn = AtomicUsize::new(0);
    let receiver = Receiver::answering(move |_| {
        if turn.fetch_add(1, Ordering::Relaxed) < 2 {
            Reply::Status(503)
        } else {
            Reply::Status(200)
        }
    });
    let gateway = Gateway::start(&rules(
        &receiver,
        "retry = { delays = [\"20ms\"], for = \"1m\" }",
    ));
    qiscus(gateway.ingress, &message(1, "a", "a"));
    let arrived = receiver.gets(3);
    let ids: Vec<&str> = arrived
        .iter()
        .filter_map(|one| one.request.header("webhook-id"))
        .collect();
    let attempts: Vec<&str> = arrived
        .iter()
        .filter_map(|one| one.request.header("hookfan-attempt"))
        .collect();
    assert!(ids.iter().all(|id| *id == ids[0]));
    assert_eq!(attempts, ["1", "2", "3"]);
    gateway.drained(Duration::from_secs(5));
    assert_eq!(
        gateway.metric("hookfan_attempts_total{destination=\"one\",outcome=\"5xx\"}"),
        Some(2.0)
    );
    assert_eq!(
        gateway.metric("hookfan_attempts_total{destination=\"one\",outcome=\"2xx\"}"),
        Some(1.0)
    );
}

/// X16: a destination that answers 200 and streams for ever costs one attempt.
#[test]
fn an_endless_answer_is_cut_and_the_status_decides() {
    let receiver = Receiver::answering(|_| {
        let mut answer = b"HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\n".to_vec();
        answer.extend_from_slice(&vec![b'x'; 4 << 20]);
        Reply::Raw(answer)
    });
    let gateway = Gateway::start(&rules(&receiver, "timeout = \"5s\""));
    qiscus(gateway.ingress, &message(1, "a", "a"));
    eventually("the copy to be delivered", Duration::from_secs(10), || {
        (gateway.destination("one")["delivered"] == 1).then_some(())
    });
    assert_eq!(receiver.count(), 1);
}

/// Redirects are answers, never followed: they would defeat the address guard.
#[test]
fn a_redirect_is_not_followed() {
    let canary = Receiver::start();
    let target = format!("{}/stolen", canary.url());
    let receiver = Receiver::answering(move |_| {
        Reply::Full(
            307,
            vec![("location".to_owned(), target.clone())],
            Vec::new(),
        )
    });
    let gateway = Gateway::start(&rules(&receiver, ""));
    qiscus(gateway.ingress, &message(1, "a", "a"));
    gateway.drained(Duration::from_secs(10));
    assert_eq!(gateway.destination("one")["dead"], 1);
    assert_eq!(canary.count(), 0);
}

/// E1 in the whole: a private address is not connected to unless allowed. An
/// address is refused by `check`, whatever its spelling; a name when it turns
/// out to be one.
#[test]
fn a_private_address_is_refused_unless_allowed() {
    let receiver = Receiver::start();
    let port = receiver.address.port();
    let to = |host: &str| {
        rules(&receiver, "retry = { delays = [\"10ms\"], for = \"15ms\" }")
            .replace(&receiver.url(), &format!("http://{host}:{port}"))
            .replace("allow_private = true\n", "")
    };
    for host in [
        "127.0.0.1",
        "[::1]",
        "0x7f.1",
        "2130706433",
        "[::ffff:127.0.0.1]",
        "127.1",
        "169.254.169.254",
    ] {
        let gateway = Gateway::prepare(&to(host));
        let output = gateway.hookfan(&["check"]);
        assert_eq!(output.status.code(), Some(78), "{host}: {output:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("is never connected to"), "{host}: {said}");
    }
    let gateway = Gateway::start(&to("localhost"));
    qiscus(gateway.ingress, &message(1, "a", "a"));
    let row = eventually("the copy to die", Duration::from_secs(10), || {
        Some(gateway.destination("one")).filter(|row| row["dead"] == 1)
    });
    assert_eq!(row["last_error"]["outcome"], "dns", "{row}");
    assert_eq!(receiver.count(), 0);
}

/// X22: what the file says is what the destination sees.
#[test]
fn a_rate_is_kept() {
    let receiver = Receiver::start();
    let gateway = Gateway::start(&rules(&receiver, "rate = \"20/s\"\nburst = 5"));
    for number in 0..45 {
        let id = number.to_string();
        qiscus(gateway.ingress, &message(number, &id, &id));
    }
    let arrived = receiver.gets(45);
    let took = arrived[44].at.duration_since(arrived[0].at);
    assert!(
        took >= Duration::from_millis(1900),
        "40 beyond the burst at 20/s take 2 s, not {took:?}"
    );
}

#[test]
fn a_destination_that_is_gone_is_paused_and_keeps_its_backlog() {
    let receiver = Receiver::answering(|_| Reply::Status(410));
    let mut gateway = Gateway::start(&rules(&receiver, ""));
    qiscus(gateway.ingress, &message(1, "a", "a"));
    eventually("the pause", Duration::from_secs(5), || {
        (gateway.destination("one")["state"] == "paused").then_some(())
    });
    qiscus(gateway.ingress, &message(1, "b", "b"));
    assert_eq!(gateway.destination("one")["pending"], 1);
    gateway.kill();
    gateway.run();
    assert_eq!(
        gateway.destination("one")["state"],
        "paused",
        "a pause outlives the process"
    );
    receiver.answers(|_| Reply::Status(200));
    assert_eq!(gateway.hookfan(&["resume", "one"]).status.code(), Some(0));
    gateway.drained(Duration::from_secs(5));
    assert_eq!(receiver.count(), 2);
}

#[test]
fn a_signed_copy_verifies_by_standard_webhooks() {
    use base64::Engine;
    use hmac::{Hmac, KeyInit, Mac};
    let receiver = Receiver::start();
    let key = b"an archive signing key of some length";
    let mut gateway = Gateway::prepare(&rules(
        &receiver,
        "sign = { scheme = \"standard\", secret = { file = \"signing\" } }",
    ));
    let encoded = base64::engine::general_purpose::STANDARD.encode(key);
    gateway.secret("signing", &format!("whsec_{encoded}\n"));
    gateway.run();
    let body = message(1, "a", "a");
    qiscus(gateway.ingress, &body);
    let request = receiver.gets(1)[0].request.clone();
    let (id, at) = (
        request.header("webhook-id").unwrap(),
        request.header("webhook-timestamp").unwrap(),
    );
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(key).unwrap();
    mac.update(format!("{id}.{at}.").as_bytes());
    mac.update(&body);
    let expected = base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes());
    assert_eq!(
        request.header("webhook-signature"),
        Some(format!("v1,{expected}").as_str())
    );
}

/// P5: what goes in a circle is stopped, counted and kept.
#[test]
fn two_gateways_in_a_ring_stop_at_the_fifth_hop() {
    let ring = |own: &Gateway, next: &Gateway| {
        format!(
            "[server]\nlisten = \"{}\"\nadmin = \"{}\"\ndata_dir = \"{}\"\n[log]\nmin_free = \"16MiB\"\n[source.any]\nkind = \"generic\"\nauth = \"none\"\n\
             [destination.next]\nkind = \"http\"\nurl = \"http://{}/hooks/any\"\nallow_private = true\n[[route]]\nto = \"next\"\n",
            own.ingress,
            own.admin,
            own.data().display(),
            next.ingress
        )
    };
    let (mut first, mut second) = (Gateway::prepare(""), Gateway::prepare(""));
    std::fs::write(first.file(), ring(&first, &second)).unwrap();
    std::fs::write(second.file(), ring(&second, &first)).unwrap();
    first.run();
    second.run();
    let answer = ask(first.ingress, "POST", "/hooks/any", &[], b"{}").unwrap();
    assert_eq!(answer.status, 200);
    eventually("the loop to be stopped", Duration::from_secs(10), || {
        let stopped = |gateway: &Gateway| {
            gateway
                .metric("hookfan_loops_stopped_total{destination=\"next\"}")
                .unwrap_or(0.0)
        };
        (stopped(&first) + stopped(&second) == 1.0).then_some(())
    });
    let accepted = |gateway: &Gateway| {
        gateway
            .metric("hookfan_events_accepted_total{source=\"any\"}")
            .unwrap()
    };
    assert_eq!(accepted(&first) + accepted(&second), 5.0);
    let dead = |gateway: &Gateway| {
        gateway.get("/api/v1/dead").json()["total"]
            .as_u64()
            .unwrap()
    };
    eventually("the dead letter", Duration::from_secs(10), || {
        (dead(&first) + dead(&second) == 1).then_some(())
    });
}

/// With one processor the runtime has one thread: whatever would wait for
/// another one would wait for ever.
#[test]
fn one_processor_is_enough() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let allowed = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))
        .unwrap();
    let first = allowed.trim().split([',', '-']).next().unwrap();
    let receiver = Receiver::answering(|_| Reply::Status(200));
    let mut gateway = Gateway::prepare(&rules(&receiver, "")).under(&["taskset", "-c", first]);
    gateway.run();
    for n in 1..=100 {
        let answer = qiscus(gateway.ingress, &message(n, "room", "hello"));
        assert_eq!(answer.status, 200);
    }
    gateway.drained(Duration::from_secs(20));
    assert_eq!(gateway.get("/api/v1/events?limit=100").status, 200);
}
