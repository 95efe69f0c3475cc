//! Quiq, from its token to the messages in its snapshots; and the destination
//! of its own that a source asks its platform through.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::gateway::Gateway;
use crate::support::http::{Answer, ask};
use crate::support::receiver::{Receiver, Reply};

const TOKEN: &str = "11111111-2222-4333-8444-555555555555";
const HOLDS: Duration = Duration::from_secs(20);

/// A gateway for the source `quiq` (`more` are further keys of it) that sends
/// messages to `/in`.
fn rules(receiver: &Receiver, more: &str) -> String {
    let from = format!(
        "fetch_from = {{ base_url = \"{}/quiq\", api_key = {{ file = \"api-key\" }}, allow_private = true }}",
        receiver.url()
    );
    let more = more.replace("FROM", &from);
    format!(
        "[log]\nmin_free = \"16MiB\"\n[source.quiq]\nkind = \"quiq\"\nauth = {{ scheme = \"quiq\", secret = {{ file = \"token\" }} }}\n{more}\n\
         [destination.one]\nkind = \"http\"\nurl = \"{}/in\"\nallow_private = true\norder = \"conversation\"\n\
         [[route]]\nfrom = \"quiq\"\non = \"ConversationMessage\"\nto = \"one\"\n",
        receiver.url()
    )
}

fn gateway(rules: &str) -> Gateway {
    let mut gateway = Gateway::prepare(rules);
    gateway.secret("token", TOKEN);
    gateway.secret("api-key", "k3y");
    gateway.run();
    gateway
}

fn post(gateway: &Gateway, body: &[u8]) -> Answer {
    let headers = [
        ("content-type".to_owned(), "application/json".to_owned()),
        ("X-Centricient-Hook-Token".to_owned(), TOKEN.to_owned()),
    ];
    ask(gateway.ingress, "POST", "/hooks/quiq", &headers, body).expect("an answer")
}

fn sample(name: &str) -> Vec<u8> {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/fixtures/samples/quiq");
    std::fs::read(samples.join(name)).unwrap()
}

#[test]
fn every_message_of_all_snapshots_arrives_once_whatever_is_resent_after_a_kill() {
    let receiver = Receiver::start();
    let mut gateway = gateway(&rules(&receiver, ""));
    let test = sample("test.json");
    assert_eq!(post(&gateway, &test).status, 200);
    let wrong = [(
        "X-Centricient-Hook-Token".to_owned(),
        TOKEN.replace('1', "2"),
    )];
    let refused = ask(gateway.ingress, "POST", "/hooks/quiq", &wrong, &test).unwrap();
    assert_eq!(refused.status, 401);
    let snapshots = [
        "requested",
        "activated",
        "inactivated",
        "closed",
        "status_changed",
    ];
    for round in ["before the kill", "after it"] {
        for name in snapshots {
            let answer = post(&gateway, &sample(&format!("conversation_{name}.json")));
            assert_eq!(answer.status, 200, "{name} {round}");
        }
        gateway.drained(HOLDS);
        gateway.kill();
        gateway.run();
    }
    // What was settled in the second before the kill may repeat, under its id.
    let mut arrived = receiver.all();
    let mut ids = HashSet::new();
    arrived.retain(|one| ids.insert(one.request.header("webhook-id").map(str::to_owned)));
    let texts: Vec<Value> = arrived
        .iter()
        .map(|one| one.request.json()["message"]["text"].clone())
        .collect();
    assert_eq!(texts, ["hey", "", "see the picture above"]);
}

#[test]
fn a_source_asks_its_platform_through_a_destination_that_is_operated_like_any() {
    let receiver = Receiver::answering(|request| {
        if request.target.ends_with("/gone") {
            return Reply::Status(404);
        }
        let body = json!({"id": "there", "messages": []}).to_string();
        Reply::Full(200, Vec::new(), body.into_bytes())
    });
    let gateway = gateway(&rules(&receiver, "fetch = \"missing\"\nFROM"));
    let bare = |id: &str| {
        let body = json!({"id": id, "eventType": "ConversationClosed", "data": {"id": id}});
        body.to_string().into_bytes()
    };
    for id in ["there", "gone"] {
        assert_eq!(post(&gateway, &bare(id)).json()["deliveries"], 1);
    }
    gateway.drained(HOLDS);
    let mut asked: Vec<String> = receiver
        .all()
        .iter()
        .map(|one| one.request.target.clone())
        .collect();
    asked.sort();
    let at = "/quiq/api/v1/messaging/conversations";
    assert_eq!(asked, [format!("{at}/gone"), format!("{at}/there")]);
    for one in receiver.all() {
        assert_eq!(one.request.header("authorization"), Some("Bearer k3y"));
    }
    let row = gateway.destination("quiq.fetch");
    assert_eq!(
        (&row["delivered"], &row["dead"]),
        (&json!(1), &json!(1)),
        "{row}"
    );
    let dead = gateway.get("/api/v1/dead?destination=quiq.fetch").json();
    assert!(dead.to_string().contains("\"refused\""), "{dead}");

    let paused = gateway.post("/api/v1/destinations/quiq.fetch:pause", &json!({}));
    assert_eq!(paused.status, 200);
    eventually("it to be paused", HOLDS, || {
        (gateway.destination("quiq.fetch")["state"] == "paused").then_some(())
    });
    let resumed = gateway.hookfan(&["resume", "quiq.fetch"]);
    assert!(resumed.status.success(), "{resumed:?}");

    for (more, there) in [("", false), ("fetch = \"always\"\nFROM", true)] {
        gateway.write(&rules(&receiver, more));
        assert_eq!(gateway.post("/api/v1/reload", &json!({})).status, 200);
        eventually("the destination to come and go", HOLDS, || {
            (gateway.destination("quiq.fetch").is_null() != there).then_some(())
        });
    }
    assert_eq!(
        post(&gateway, &sample("conversation_requested.json")).json()["deliveries"],
        2
    );
}
