//! What was not delivered, why, and again.

use std::time::Duration;

use crate::support::eventually;
use crate::support::gateway::Gateway;
use crate::support::receiver::{Receiver, Reply};
use crate::support::sender::{message, qiscus};

fn rules(receiver: &Receiver, more: &str) -> String {
    format!(
        "[log]\nmin_free = \"16MiB\"\n[destination.crm]\nkind = \"http\"\nurl = \"{}/in\"\nallow_private = true\n{more}\n[[route]]\nto = \"crm\"\n",
        receiver.url()
    )
}

/// Waits until so many letters of a kind are listed.
fn letters(gateway: &Gateway, filter: &str, count: usize) -> Vec<serde_json::Value> {
    eventually("dead letters", Duration::from_secs(10), || {
        let page = gateway.get(&format!("/api/v1/dead?{filter}")).json();
        let letters = page["dead"].as_array().cloned().unwrap_or_default();
        (letters.len() == count).then_some(letters)
    })
}

/// An age selects what it says, also where things are lost by mistake.
#[test]
fn what_is_too_young_for_the_filter_is_neither_dropped_nor_retried() {
    let receiver = Receiver::answering(|_| Reply::Status(400));
    let gateway = Gateway::start(&rules(&receiver, ""));
    qiscus(gateway.ingress, &message(1, "a", "a"));
    letters(&gateway, "", 1);
    for verb in ["drop", "retry"] {
        let output = gateway.hookfan(&["dead", verb, "--until", "2h", "--json"]);
        assert!(
            String::from_utf8_lossy(&output.stdout).contains("\"done\": 0"),
            "{output:?}"
        );
    }
    let output = gateway.hookfan(&["replay", "--until", "2h", "--json"]);
    assert!(
        String::from_utf8_lossy(&output.stdout).contains("\"done\": 0"),
        "{output:?}"
    );
    assert_eq!(
        gateway
            .hookfan(&["dead", "drop", "--until", "soon"])
            .status
            .code(),
        Some(1)
    );
    assert_eq!(
        gateway
            .hookfan(&["dead", "drop", "1", "--destination", "crm"])
            .status
            .code(),
        Some(1)
    );
    assert_eq!(gateway.hookfan(&["dead", "drop"]).status.code(), Some(64));
    letters(&gateway, "", 1);
}

/// X14: a retried dead letter gets a fresh schedule and a new obligation;
/// nothing ever decreases.
#[test]
fn a_dead_letter_is_listed_shown_and_retried() {
    let receiver =
        Receiver::answering(|_| Reply::Full(422, Vec::new(), b"no such customer".to_vec()));
    let mut gateway = Gateway::start(&rules(&receiver, ""));
    let id = qiscus(gateway.ingress, &message(7, "a", "hello")).json()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    letters(&gateway, "destination=crm&reason=refused", 1);
    gateway.kill();
    gateway.run();
    let letter = letters(&gateway, "destination=crm&reason=refused", 1)[0].clone();
    assert_eq!(
        (
            &letter["event"],
            &letter["reason"],
            &letter["type"],
            &letter["key"]
        ),
        (
            &id.clone().into(),
            &"refused".into(),
            &"post_comment_mobile".into(),
            &"qiscus/7".into()
        )
    );
    assert_eq!(letter["attempts"], 1);
    let number = letter["id"].as_str().unwrap().to_owned();
    let whole = gateway.get(&format!("/api/v1/dead/{number}")).json();
    assert!(
        whole["history"][0]["detail"]
            .as_str()
            .unwrap()
            .contains("no such customer"),
        "{whole}"
    );
    assert!(
        whole["original"]["body"]
            .as_str()
            .unwrap()
            .contains("hello")
    );

    receiver.answers(|_| Reply::Status(200));
    let output = gateway.hookfan(&["dead", "retry", &number]);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).trim(),
        "1 owed again",
        "{output:?}"
    );
    gateway.drained(Duration::from_secs(5));
    let arrived = receiver.all();
    assert_eq!(arrived[1].request.header("webhook-id"), Some(id.as_str()));
    assert_eq!(arrived[1].request.header("hookfan-attempt"), Some("1"));
    let again = gateway.hookfan(&["dead", "retry", &number, "--json"]);
    assert!(
        String::from_utf8_lossy(&again.stdout).contains("\"done\": 0"),
        "repeating it is safe: {again:?}"
    );
    let row = gateway.destination("crm");
    assert_eq!(
        (
            &row["owed"],
            &row["delivered"],
            &row["dead"],
            &row["dead_letters"]
        ),
        (&2.into(), &1.into(), &1.into(), &0.into())
    );
    let told = "\"message\":\"operator.acted\",\"deed\":\"DeadRetry\"";
    assert!(gateway.log().contains(told), "{}", gateway.log());
}

/// A template that fails names the expression and the missing name, and the
/// copy can be sent once the file is mended.
#[test]
fn a_template_that_fails_says_which_name_is_missing() {
    let receiver = Receiver::start();
    let broken = rules(
        &receiver,
        "[destination.crm.body]\nwho = \"{{ payload.customer.name }}\"",
    );
    let gateway = Gateway::start(&broken);
    qiscus(gateway.ingress, &message(1, "a", "a"));
    let letter = letters(&gateway, "reason=unsendable", 1)[0].clone();
    assert_eq!(letter["reason"], "unsendable");
    let detail = letter["detail"].as_str().unwrap();
    assert!(
        detail.contains("payload.customer.name") && detail.contains("customer"),
        "{detail}"
    );
    gateway.write(&broken.replace("payload.customer.name", "message.author.name"));
    assert_eq!(
        gateway
            .post("/api/v1/reload", &serde_json::json!({}))
            .status,
        200
    );
    gateway.hookfan(&["dead", "retry", "--destination", "crm"]);
    assert_eq!(receiver.gets(1)[0].request.body, br#"{"who":"Rina"}"#);
}

/// `when_full = "dead_letter"`: the copy beyond the budget is dead at once,
/// the others get theirs.
#[test]
fn a_full_backlog_settles_its_own_copies_only() {
    let receiver = Receiver::start();
    let stuck = Receiver::answering(|_| Reply::Hang);
    let text = format!(
        "{}\n[destination.stuck]\nkind = \"http\"\nurl = \"{}/\"\nallow_private = true\nbacklog = {{ max_events = 10 }}\n[[route]]\nto = \"stuck\"\n",
        rules(&receiver, ""),
        stuck.url()
    );
    let gateway = Gateway::start(&text);
    for number in 0..25 {
        let id = number.to_string();
        assert_eq!(
            qiscus(gateway.ingress, &message(number, &id, &id)).status,
            200
        );
    }
    receiver.gets(25);
    let row = eventually("the overflow to be settled", Duration::from_secs(5), || {
        Some(gateway.destination("stuck")).filter(|row| row["dead"] == 15)
    });
    assert_eq!(row["pending"], 10, "{row}");
    let page = gateway.get("/api/v1/dead?reason=backlog_full").json();
    assert_eq!(page["dead"].as_array().unwrap().len(), 15);
}

/// X12: what was refused is remembered nowhere; the identical retry is taken,
/// once.
#[test]
fn a_full_backlog_that_rejects_answers_503_and_takes_the_retry_once() {
    let receiver = Receiver::start();
    let text = rules(
        &receiver,
        "backlog = { max_events = 3, when_full = \"reject\" }",
    );
    let gateway = Gateway::start(&text);
    gateway.hookfan(&["pause", "crm"]);
    let post = |number: usize| qiscus(gateway.ingress, &message(number, &number.to_string(), "x"));
    let statuses: Vec<u16> = (0..6).map(|number| post(number).status).collect();
    assert_eq!(statuses, [200, 200, 200, 503, 503, 503]);
    gateway.hookfan(&["resume", "crm"]);
    receiver.gets(3);
    gateway.drained(Duration::from_secs(5));
    let (first, second) = (post(3).json(), post(3).json());
    assert_eq!(
        (&first["duplicate"], &second["duplicate"]),
        (&serde_json::Value::Null, &true.into())
    );
    assert_eq!(first["id"], second["id"]);
}

#[test]
fn a_full_backlog_that_drops_keeps_the_newest() {
    let receiver = Receiver::start();
    let gateway = Gateway::start(&rules(
        &receiver,
        "backlog = { max_events = 3, when_full = \"drop_oldest\" }",
    ));
    gateway.hookfan(&["pause", "crm"]);
    for number in 0..6 {
        let id = number.to_string();
        assert_eq!(
            qiscus(gateway.ingress, &message(number, &id, &id)).status,
            200
        );
    }
    let row = gateway.destination("crm");
    assert_eq!(
        (&row["pending"], &row["dropped"]),
        (&3.into(), &3.into()),
        "{row}"
    );
    gateway.hookfan(&["resume", "crm"]);
    let mut rooms: Vec<Option<u64>> = receiver
        .gets(3)
        .iter()
        .map(|one| one.request.json()["payload"]["room"]["id"].as_u64())
        .collect();
    rooms.sort_unstable();
    assert_eq!(rooms, [Some(3), Some(4), Some(5)]);
}

/// A destination that leaves the file: what it still owed is dead and can be
/// retried once the name is back.
#[test]
fn a_removed_destination_leaves_dead_letters_that_can_be_retried() {
    let receiver = Receiver::start();
    let with = rules(&receiver, "paused = true");
    let gateway = Gateway::start(&with);
    for number in 0..5 {
        let id = number.to_string();
        qiscus(gateway.ingress, &message(number, &id, &id));
    }
    gateway.write("[log]\nmin_free = \"16MiB\"\n");
    assert_eq!(
        gateway
            .post("/api/v1/reload", &serde_json::json!({}))
            .status,
        200
    );
    let page = eventually("the copies to be settled", Duration::from_secs(15), || {
        Some(
            gateway
                .get("/api/v1/dead?reason=destination_removed")
                .json(),
        )
        .filter(|page| page["dead"].as_array().unwrap().len() == 5)
    });
    assert_eq!(page["dead"][0]["destination"], "crm");
    gateway.write(&with.replace("paused = true", ""));
    assert_eq!(
        gateway
            .post("/api/v1/reload", &serde_json::json!({}))
            .status,
        200
    );
    let output = gateway.hookfan(&["dead", "retry", "--all"]);
    assert!(
        String::from_utf8_lossy(&output.stdout).contains("5 owed again"),
        "{output:?}"
    );
    receiver.gets(5);
}

#[test]
fn a_replay_owes_stored_events_again() {
    let receiver = Receiver::start();
    let gateway = Gateway::start(&rules(&receiver, ""));
    for number in 0..3 {
        let id = number.to_string();
        qiscus(gateway.ingress, &message(number, &id, &id));
    }
    receiver.gets(3);
    let output = gateway.hookfan(&["replay", "--source", "qiscus"]);
    assert!(
        String::from_utf8_lossy(&output.stdout).contains("3 copies owed again"),
        "{output:?}"
    );
    let arrived = receiver.gets(6);
    let mut ids: Vec<&str> = arrived
        .iter()
        .filter_map(|one| one.request.header("webhook-id"))
        .collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 3, "the same events, the same ids");
    let output = gateway.hookfan(&["replay"]);
    assert_eq!(output.status.code(), Some(64), "everything must be said");
}
