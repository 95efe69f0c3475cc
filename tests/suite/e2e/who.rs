//! Who speaks to whom, whoever speaks; and what goes in a circle.

use std::time::Duration;

use hookfan::emulate::{Endpoint, Faults};
use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::gateway::Gateway;
use crate::support::http::ask;
use crate::support::receiver::Receiver;
use crate::support::sender::qiscus;

use super::emulators::Emulated;

/// The current shape, as the customer, an agent or a bot says it.
fn said(room: usize, number: usize) -> (Vec<u8>, &'static str) {
    let customer = format!("customer-{room}@example.com");
    let (author, event_type, direction) = match number % 3 {
        0 => (customer.as_str(), "post_comment_mobile", "incoming"),
        1 => ("budi@qismo.com", "post_comment_mobile", "outgoing"),
        _ => ("bot@acme.example", "post_comment_rest", "outgoing"),
    };
    let body = json!({
        "type": event_type,
        "payload": {
            "from": {"id": 1, "email": author, "name": "N"},
            "room": {"id": room, "topic_id": room, "type": "single", "name": "r", "participants": []},
            "message": {"type": "text", "text": format!("{room}/{number}"), "payload": {},
                        "unique_temp_id": format!("{room}-{number}")}
        }
    });
    (body.to_string().into_bytes(), direction)
}

#[test]
fn the_user_is_the_customer_whoever_speaks_and_after_a_restart_too() {
    let strict = Emulated::start(Endpoint::Dimension, "key", Faults::default());
    let receiver = Receiver::start();
    let destination = |name: &str, url: &str| {
        format!(
            "[destination.{name}]\nkind = \"dimension\"\nbase_url = \"{url}\"\napi_key = {{ file = \"key\" }}\nallow_private = true\n"
        )
    };
    let rules = format!(
        "[log]\nmin_free = \"16MiB\"\n{}{}[[route]]\nfrom = \"qiscus\"\nto = [\"strict\", \"analytics\"]\n",
        destination("strict", &strict.url()),
        destination("analytics", &receiver.url()),
    );
    let mut gateway = Gateway::prepare(&rules);
    gateway.secret("key", "key");
    gateway.run();
    let (rooms, each) = (5, 12);
    let mut expected = Vec::new();
    for number in 0..each {
        if number == each / 2 {
            gateway.stop();
            gateway.run();
        }
        for room in 0..rooms {
            let (body, direction) = said(room, number);
            assert_eq!(qiscus(gateway.ingress, &body).status, 200);
            expected.push((
                format!("{room}/{number}"),
                format!("customer-{room}@example.com"),
                direction,
            ));
        }
    }
    gateway.drained(Duration::from_secs(20));
    let counts = strict.counts();
    assert_eq!((counts.events, counts.refused), (expected.len() as u64, 0));
    let mut arrived: Vec<_> = receiver
        .gets(expected.len())
        .iter()
        .map(|one| {
            let body = one.request.json();
            let text = |name: &str| body[name].as_str().unwrap().to_owned();
            let direction = ["incoming", "outgoing"]
                .into_iter()
                .find(|word| one.request.target.contains(&format!("type={word}")));
            (text("text"), text("userId"), direction.unwrap())
        })
        .collect();
    arrived.sort();
    expected.sort();
    assert_eq!(arrived, expected);
}

/// P4: two gateways that send to each other do so five times, not for ever.
#[test]
fn two_gateways_in_a_ring_stop() {
    let mut ring = [Gateway::prepare(""), Gateway::prepare("")];
    let addresses = [ring[0].ingress, ring[1].ingress];
    for (index, gateway) in ring.iter_mut().enumerate() {
        gateway.write(&format!(
            "[log]\nmin_free = \"16MiB\"\n[source.ring]\nkind = \"generic\"\nauth = \"none\"\n\
             [destination.other]\nkind = \"http\"\nurl = \"http://{}/hooks/ring\"\nallow_private = true\n\
             [[route]]\nfrom = \"ring\"\nto = \"other\"\n",
            addresses[1 - index]
        ));
        gateway.run();
    }
    let headers = [("content-type".to_owned(), "application/json".to_owned())];
    let answer = ask(addresses[0], "POST", "/hooks/ring", &headers, b"{\"n\":1}").unwrap();
    assert_eq!(answer.status, 200);
    let letters = |gateway: &Gateway| -> Vec<Value> {
        let page = gateway.get("/api/v1/dead?reason=loop").json();
        page["dead"].as_array().cloned().unwrap_or_default()
    };
    eventually("the circle to end", Duration::from_secs(20), || {
        (letters(&ring[0]).len() + letters(&ring[1]).len() == 1).then_some(())
    });
    let accepted: f64 = ring
        .iter()
        .filter_map(|gateway| gateway.metric("hookfan_events_accepted_total{source=\"ring\"}"))
        .sum();
    assert_eq!(accepted, 5.0, "five gateways had it, the sixth said no");
}
