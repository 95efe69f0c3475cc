//! Copies that lack something: each is a dead letter that says what to set, and
//! goes when it is set.

use std::time::Duration;

use hookfan::emulate::{Endpoint, Faults, dixa, qiscus as rooms, sendyiq};
use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::gateway::Gateway;
use crate::support::sender::{message, qiscus};

use super::emulators::Emulated;

const AGENT: &str = "bac5a02c-15b3-44da-ae1e-ab7b9db4aa89";
const CHAT: &str = "3f2504e0-4f89-11d3-9a0c-0305e82c3301";
const STORE_KEY: &str = "store.secret-of-the-store";

/// What an agent says in a room, in the shape that names no participants.
fn reply(room: usize, id: &str, text: &str) -> Vec<u8> {
    json!({
        "type": "post_comment_mobile",
        "payload": {
            "from": {"id": 2, "email": "budi@qismo.com", "name": "Budi"},
            "room": {"id": room, "topic_id": room, "type": "group", "name": "r", "participants": []},
            "message": {"type": "text", "text": text, "payload": {}, "unique_temp_id": id}
        }
    })
    .to_string()
    .into_bytes()
}

fn letters(gateway: &Gateway, destination: &str, count: usize) -> Vec<Value> {
    eventually("dead letters", Duration::from_secs(15), || {
        let page = gateway
            .get(&format!("/api/v1/dead?destination={destination}"))
            .json();
        let letters = page["dead"].as_array().cloned().unwrap_or_default();
        (letters.len() == count).then_some(letters)
    })
}

/// The one letter says why, in these words.
fn says(gateway: &Gateway, destination: &str, reason: &str, words: &str) {
    let letter = letters(gateway, destination, 1).remove(0);
    assert_eq!(letter["reason"], reason, "{letter}");
    let detail = letter["detail"].as_str().unwrap();
    assert!(detail.contains(words), "{detail}");
}

fn run(gateway: &Gateway, arguments: &[&str]) -> String {
    let output = gateway.hookfan(arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn delivered(gateway: &Gateway, destination: &str, count: u64) {
    eventually("the copies to arrive", Duration::from_secs(15), || {
        (gateway.destination(destination)["delivered"] == count).then_some(())
    });
}

fn store() -> Emulated {
    let options = sendyiq::Options {
        conversations: vec![sendyiq::Conversation::chat(CHAT, "customer-1@example.com")],
        ..sendyiq::Options::default()
    };
    Emulated::start(Endpoint::SendyIq(options), STORE_KEY, Faults::default())
}

fn store_rules(store: &Emulated, more: &str) -> String {
    format!(
        "[log]\nmin_free = \"16MiB\"\n[destination.store]\nkind = \"sendyiq\"\nbase_url = \"{}\"\napi_key = {{ file = \"store-key\" }}\n\
         allow_private = true\n{more}\n[[route]]\nfrom = \"qiscus\"\nto = \"store\"\n",
        store.url()
    )
}

fn store_gateway(store: &Emulated, more: &str) -> Gateway {
    let mut gateway = Gateway::prepare(&store_rules(store, more));
    gateway.secret("store-key", STORE_KEY);
    gateway.run();
    gateway
}

#[test]
fn what_is_not_linked_says_how_to_link_it_and_goes_when_it_is() {
    let store = store();
    let gateway = store_gateway(&store, "when_unlinked = \"dead_letter\"");
    qiscus(
        gateway.ingress,
        &message(1, "in", "customers are not told their own words"),
    );
    qiscus(gateway.ingress, &reply(1, "out", "It left today."));
    says(
        &gateway,
        "store",
        "unlinked",
        "hookfan links set --destination store qiscus/1 <conversation uuid>",
    );
    let wrong = gateway.hookfan(&["links", "set", "--destination", "store", "qiskus/1", CHAT]);
    let said = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(
        !wrong.status.success() && said.contains("did you mean qiscus?"),
        "{said}"
    );
    let seen: Value =
        serde_json::from_str(&run(&gateway, &["links", "look", "store", "--json"])).unwrap();
    assert_eq!(seen["body"]["data"]["items"][0]["id"], CHAT, "{seen}");
    let one = run(&gateway, &["links", "look", "store", "--id", CHAT]);
    assert!(one.contains("customer-1@example.com"), "{one}");
    assert!(run(&gateway, &["links", "look", "store", "--hub-token"]).contains("token"));

    run(
        &gateway,
        &["links", "set", "--destination", "store", "qiscus/1", CHAT],
    );
    let listed = run(&gateway, &["links", "list"]);
    assert!(
        listed.contains("qiscus/1") && listed.contains(CHAT),
        "{listed}"
    );
    run(&gateway, &["dead", "retry", "--destination", "store"]);
    delivered(&gateway, "store", 1);
    let found = store.sendyiq().conversation(CHAT).unwrap();
    let texts: Vec<&str> = found.messages.iter().map(|one| one.text.as_str()).collect();
    assert_eq!(texts, ["It left today."]);

    let file = gateway.folder.path().join("links.csv");
    std::fs::write(
        &file,
        format!("# ours\nstore,qiscus/2,{CHAT}\nstore,qiscus/3,{CHAT}\n"),
    )
    .unwrap();
    assert!(run(&gateway, &["links", "import", file.to_str().unwrap()]).contains("2 linked"));
    run(
        &gateway,
        &["links", "remove", "--destination", "store", "qiscus/2"],
    );
    let left: Value = serde_json::from_str(&run(&gateway, &["links", "list", "--json"])).unwrap();
    assert_eq!(left["links"].as_array().unwrap().len(), 2, "{left}");
    assert_eq!(store.counts().refused, 0);
}

#[test]
fn a_conversation_is_found_by_its_customer_and_reopened() {
    let store = store();
    let more =
        "match = { field = \"customer.email\", to = \"{{ message.user.email }}\", status = \"\" }";
    let gateway = store_gateway(&store, more);
    assert!(store.sendyiq().resolve(CHAT, true));
    qiscus(
        gateway.ingress,
        &message(1, "in", "teaches who the customer is"),
    );
    qiscus(gateway.ingress, &reply(1, "out", "Hello Rina"));
    delivered(&gateway, "store", 1);
    let found = store.sendyiq().conversation(CHAT).unwrap();
    assert_eq!((found.messages.len(), found.resolved), (1, false));
}

#[test]
fn a_text_beyond_the_limit_and_an_unknown_room_are_dead_letters_that_say_so() {
    let chat = Emulated::start(
        Endpoint::Qiscus(rooms::Options::default()),
        "room-secret",
        Faults::default(),
    );
    let rules = |more: &str| {
        format!(
            "[log]\nmin_free = \"16MiB\"\n[destination.rooms]\nkind = \"qiscus\"\nsource = \"qiscus\"\napi = \"v2\"\nbase_url = \"{}\"\n\
             secret = {{ file = \"room-secret\" }}\nsender = \"bot@acme.example\"\nallow_private = true\n{more}\n\
             [[route]]\nfrom = \"qiscus\"\nto = \"rooms\"\n",
            chat.url()
        )
    };
    let mut gateway = Gateway::prepare(&rules(""));
    gateway.secret("room-secret", "room-secret");
    gateway.run();
    chat.qiscus().add_room(1, "r", &["rina@example.com"]);
    qiscus(gateway.ingress, &message(1, "long", &"é".repeat(4001)));
    says(&gateway, "rooms", "unsendable", "long_text");
    gateway.write(&rules("long_text = \"cut\""));
    assert_eq!(gateway.post("/api/v1/reload", &Value::Null).status, 200);
    run(&gateway, &["dead", "retry", "--destination", "rooms"]);
    delivered(&gateway, "rooms", 1);
    let cut = chat.qiscus().room(1).unwrap().comments.remove(0).text;
    assert!(cut.chars().count() <= 4000 && cut.starts_with("éé"));

    qiscus(
        gateway.ingress,
        &message(2, "lost", "nobody made this room"),
    );
    let letter = letters(&gateway, "rooms", 1).remove(0);
    assert!(
        letter["detail"]
            .as_str()
            .is_some_and(|detail| detail.contains("room")),
        "{letter}"
    );
    chat.qiscus().add_room(2, "r", &["rina@example.com"]);
    run(&gateway, &["dead", "retry", "--destination", "rooms"]);
    delivered(&gateway, "rooms", 2);
    assert_eq!(chat.counts().refused, 0);
}

#[test]
fn an_agent_without_an_id_and_a_customer_nobody_knows_are_dead_letters_that_say_so() {
    let desk = Emulated::start(
        Endpoint::Dixa(dixa::Options::default()),
        "desk-key",
        Faults::default(),
    );
    let rules = |more: &str| {
        format!(
            "[log]\nmin_free = \"16MiB\"\n[destination.desk]\nkind = \"dixa\"\nbase_url = \"{}/beta\"\napi_key = {{ file = \"desk-key\" }}\n\
             allow_private = true\n{more}\n[[route]]\nfrom = \"qiscus\"\nto = \"desk\"\n",
            desk.url()
        )
    };
    let mut gateway = Gateway::prepare(&rules(""));
    gateway.secret("desk-key", "desk-key");
    gateway.run();
    qiscus(gateway.ingress, &reply(1, "a", "who says this?"));
    says(&gateway, "desk", "unsendable", "agent_id");
    gateway.write(&rules(&format!("agent_id = \"{AGENT}\"")));
    assert_eq!(gateway.post("/api/v1/reload", &Value::Null).status, 200);
    run(&gateway, &["dead", "retry", "--destination", "desk"]);
    // Now it is known who speaks, but not to whom.
    says(&gateway, "desk", "unknown_user", "customer");
    qiscus(gateway.ingress, &message(1, "b", "it was me"));
    delivered(&gateway, "desk", 1);
    run(&gateway, &["dead", "retry", "--destination", "desk"]);
    delivered(&gateway, "desk", 2);
    let conversation = desk.dixa().conversations().remove(0);
    let said: Vec<_> = conversation
        .messages
        .iter()
        .map(|one| (one.direction, one.text.as_str()))
        .collect();
    assert_eq!(
        said,
        [("Inbound", "it was me"), ("Outbound", "who says this?")]
    );
    assert_eq!(desk.counts().refused, 0);
}

#[test]
fn what_a_gateway_missed_is_fetched_once_and_goes_the_way_of_the_rest() {
    let chat = Emulated::start(
        Endpoint::Qiscus(rooms::Options::default()),
        "room-secret",
        Faults::default(),
    );
    let tracker = Emulated::start(Endpoint::Dimension, "tracker-key", Faults::default());
    let rules = format!(
        "[log]\nmin_free = \"16MiB\"\n[destination.rooms]\nkind = \"qiscus\"\nsource = \"qiscus\"\napi = \"v2\"\nbase_url = \"{}\"\n\
         secret = {{ file = \"room-secret\" }}\nsender = \"bot@acme.example\"\nallow_private = true\n\
         [destination.analytics]\nkind = \"dimension\"\nbase_url = \"{}\"\napi_key = {{ file = \"tracker-key\" }}\nallow_private = true\n\
         [[route]]\nfrom = \"qiscus\"\non = \"post_comment_*\"\nto = \"analytics\"\n\
         [[route]]\nfrom = \"qiscus\"\non = \"mark_as_resolved\"\nto = \"rooms\"\naction = \"system_event\"\n",
        chat.url(),
        tracker.url(),
    );
    let mut gateway = Gateway::prepare(&rules);
    gateway.secret("room-secret", "room-secret");
    gateway.secret("tracker-key", "tracker-key");
    gateway.run();
    chat.qiscus().add_room(7, "r", &["rina@example.com"]);
    for number in 0..130 {
        chat.qiscus()
            .says(7, "rina@example.com", &format!("missed {number}"))
            .unwrap();
    }
    let arguments = [
        "backfill",
        "--source",
        "qiscus",
        "--conversation",
        "7",
        "--json",
    ];
    let first: Value = serde_json::from_str(&run(&gateway, &arguments)).unwrap();
    assert_eq!(
        (&first["found"], &first["accepted"]),
        (&json!(130), &json!(130)),
        "{first}"
    );
    gateway.drained(Duration::from_secs(20));
    assert_eq!(tracker.counts().events, 130);
    chat.qiscus()
        .says(7, "rina@example.com", "one more")
        .unwrap();
    let again: Value = serde_json::from_str(&run(&gateway, &arguments)).unwrap();
    assert_eq!(again["accepted"], 1, "{again}");
    gateway.drained(Duration::from_secs(20));
    let counts = tracker.counts();
    assert_eq!((counts.events, counts.refused), (131, 0));
    let wrong = gateway.hookfan(&["backfill", "--source", "nobody", "--conversation", "7"]);
    assert!(!wrong.status.success());
}
