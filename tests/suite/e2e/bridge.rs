//! One conversation in two systems: each side's words go over once, and what
//! went over does not come back.

use std::time::Duration;

use hookfan::emulate::{Endpoint, Faults, Hook, dixa, qiscus};

use crate::support::eventually;
use crate::support::gateway::Gateway;
use crate::support::proof::Proof;
use crate::support::scale;
use crate::support::sender::QISCUS_TOKEN;

use super::emulators::Emulated;

const DIXA_KEY: &str = "dixa-key-for-the-bridge";
const QISCUS_SECRET: &str = "qiscus-secret-for-the-bridge";
/// The subscription's secret, in hex.
const DIXA_HOOK: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";
const TRACKER_KEY: &str = "tracker-key-for-the-bridge";
const AGENT: &str = "bac5a02c-15b3-44da-ae1e-ab7b9db4aa89";
const BOT: &str = "bridge@acme.example";

struct Bridge {
    gateway: Gateway,
    dixa: Emulated,
    qiscus: Emulated,
    /// Hears what is said in the rooms, by whomever.
    tracker: Emulated,
}

/// Both sides and the file that joins them. `more` goes into `[destination.rooms]`.
fn bridge(shape: qiscus::Shape, more: &str) -> Bridge {
    let options = dixa::Options {
        limit: None,
        ..dixa::Options::default()
    };
    let helpdesk = Emulated::start(Endpoint::Dixa(options), DIXA_KEY, Faults::default());
    let options = qiscus::Options {
        shape,
        ..qiscus::Options::default()
    };
    let rooms = Emulated::start(Endpoint::Qiscus(options), QISCUS_SECRET, Faults::default());
    let rules = format!(
        "[log]\nmin_free = \"16MiB\"\n\
         [source.dixa]\nkind = \"dixa\"\nauth = {{ scheme = \"dixa\", secret = {{ file = \"dixa-hook\" }} }}\n\
         [destination.helpdesk]\nkind = \"dixa\"\nsource = \"dixa\"\nbase_url = \"{}/beta\"\napi_key = {{ file = \"dixa-key\" }}\n\
         agent_id = \"{AGENT}\"\nallow_private = true\nrate = \"5000/s\"\nburst = 100\n\
         [destination.rooms]\nkind = \"qiscus\"\nsource = \"qiscus\"\napi = \"v2\"\nbase_url = \"{}\"\nsecret = {{ file = \"qiscus-secret\" }}\n\
         sender = \"{BOT}\"\nallow_private = true\n{more}\n\
         [[route]]\nfrom = \"qiscus\"\non = \"post_comment_*\"\nto = \"helpdesk\"\n\
         [[route]]\nfrom = \"dixa\"\non = \"CONVERSATION_MESSAGE_ADDED\"\nto = \"rooms\"\n",
        helpdesk.url(),
        rooms.url(),
    );
    let tracker = Emulated::start(Endpoint::Dimension, TRACKER_KEY, Faults::default());
    let rules = format!(
        "{rules}[destination.analytics]\nkind = \"dimension\"\nbase_url = \"{}\"\napi_key = {{ file = \"tracker-key\" }}\nallow_private = true\n\
         [[route]]\nfrom = \"qiscus\"\non = \"post_comment_*\"\nto = \"analytics\"\n",
        tracker.url()
    );
    let mut gateway = Gateway::prepare(&rules);
    gateway.secret("tracker-key", TRACKER_KEY);
    if shape == qiscus::Shape::Seed {
        // Its webhooks carry no mark of ours: the sender is known instead.
        let text = std::fs::read_to_string(gateway.file()).unwrap();
        let ours = format!("[source.qiscus]\nours = [\"{BOT}\"]");
        std::fs::write(gateway.file(), text.replace("[source.qiscus]", &ours)).unwrap();
    }
    gateway.secret("dixa-key", DIXA_KEY);
    gateway.secret("dixa-hook", DIXA_HOOK);
    gateway.secret("qiscus-secret", QISCUS_SECRET);
    gateway.run();
    let hook = |source: &str, secret: &str| {
        Some(Hook {
            url: format!("http://{}/hooks/{source}", gateway.ingress)
                .parse()
                .unwrap(),
            secret: secret.to_owned(),
        })
    };
    helpdesk.post_webhooks(hook("dixa", DIXA_HOOK));
    rooms.post_webhooks(hook("qiscus", QISCUS_TOKEN));
    Bridge {
        gateway,
        dixa: helpdesk,
        qiscus: rooms,
        tracker,
    }
}

impl Bridge {
    fn texts_at_dixa(&self) -> Vec<String> {
        let conversations = self.dixa.dixa().conversations();
        let messages = conversations.iter().flat_map(|one| &one.messages);
        messages.map(|message| message.text.clone()).collect()
    }

    fn texts_in_rooms(&self) -> Vec<String> {
        let rooms = self.qiscus.qiscus().rooms();
        let comments = rooms.iter().flat_map(|room| &room.comments);
        comments.map(|comment| comment.text.clone()).collect()
    }

    fn stopped(&self, destination: &str) -> f64 {
        let series = format!("hookfan_loops_stopped_total{{destination=\"{destination}\"}}");
        self.gateway.metric(&series).unwrap_or_default()
    }

    /// Waits until nothing more is under way on either side.
    fn rests(&self, total: usize) {
        eventually(
            "both sides to have everything",
            Duration::from_secs(120),
            || {
                let (there, here) = (self.texts_at_dixa().len(), self.texts_in_rooms().len());
                (there >= total && here >= total).then_some(())
            },
        );
        // Echoes are under way until each was taken and stopped.
        eventually("every echo to be stopped", Duration::from_secs(60), || {
            let stopped = self.stopped("helpdesk") + self.stopped("rooms");
            (stopped as usize >= total).then_some(())
        });
        self.gateway.drained(Duration::from_secs(60));
    }
}

fn everything_once(shape: qiscus::Shape) {
    let total = scale("HOOKFAN_BRIDGE_MESSAGES", 80);
    let proof = Proof::of("bridge");
    let rooms = 4;
    let bridge = bridge(shape, "");
    let mut said = Vec::new();
    for room in 0..rooms {
        let customer = format!("customer-{room}@example.com");
        bridge.qiscus.qiscus().add_room(room, "r", &[&customer]);
        let text = format!("{room}: hello");
        bridge.qiscus.qiscus().says(room, &customer, &text).unwrap();
        said.push(text);
    }
    eventually("the conversations", Duration::from_secs(20), || {
        (bridge.dixa.dixa().conversations().len() == rooms as usize).then_some(())
    });
    for number in said.len()..total {
        let room = number as u64 % rooms;
        let text = format!("{room}: {number}");
        if number % 2 == 0 {
            let customer = format!("customer-{room}@example.com");
            bridge.qiscus.qiscus().says(room, &customer, &text).unwrap();
        } else {
            let conversations = bridge.dixa.dixa().conversations();
            let conversation = conversations
                .iter()
                .find(|one| one.messages[0].text.starts_with(&format!("{room}:")));
            let id = conversation.unwrap().id;
            bridge.dixa.dixa().agent_says(id, AGENT, &text).unwrap();
        }
        said.push(text);
    }
    bridge.rests(total);
    said.sort();
    for (side, mut texts) in [
        ("Dixa", bridge.texts_at_dixa()),
        ("Qiscus", bridge.texts_in_rooms()),
    ] {
        texts.sort();
        assert_eq!(texts, said, "{side}");
    }
    assert_eq!(bridge.dixa.dixa().conversations().len(), rooms as usize);
    // A tracker hears both sides, what came over the bridge included.
    assert_eq!(bridge.tracker.counts().events, total as u64);
    for emulator in [&bridge.dixa, &bridge.qiscus, &bridge.tracker] {
        assert_eq!(emulator.counts().refused, 0);
    }
    proof.found(serde_json::json!({"messages both ways": total, "missing": 0, "echoes": 0}));
}

#[test]
fn both_sides_have_every_message_once_and_no_echo() {
    everything_once(qiscus::Shape::Current);
}

#[test]
fn where_webhooks_carry_no_mark_the_sender_tells_an_echo() {
    everything_once(qiscus::Shape::Seed);
}

/// Whichever side comes first makes the link, and the other one uses it.
#[test]
fn a_conversation_that_begins_at_dixa_gets_a_room_and_the_answers_find_back() {
    let more = format!(
        "create_room = true\ncreator = \"{BOT}\"\nparticipants = [\"{{{{ message.user.email }}}}\"]"
    );
    let bridge = bridge(qiscus::Shape::Current, &more);
    let user = bridge.dixa.ask(
        "POST",
        "/beta/endusers",
        &[("authorization", DIXA_KEY)],
        br#"{"displayName": "Rina", "email": "rina@example.com"}"#,
    );
    let user = user.json()["data"]["id"].as_str().unwrap().to_owned();
    let begun = serde_json::json!({
        "requesterId": user, "widgetId": "0e0d1ead-dc69-470a-9b3a-e7eb16a56453", "_type": "Chat",
        "message": {"content": {"value": "from the widget", "_type": "Text"}, "attachments": [], "_type": "Inbound"},
    });
    let begun = bridge.dixa.ask(
        "POST",
        "/beta/conversations",
        &[("authorization", DIXA_KEY)],
        begun.to_string().as_bytes(),
    );
    let conversation = begun.json()["data"]["id"].as_i64().unwrap();
    let room = eventually("a room", Duration::from_secs(20), || {
        let rooms = bridge.qiscus.qiscus().rooms();
        rooms.into_iter().find(|room| !room.comments.is_empty())
    });
    assert_eq!(room.comments[0].text, "from the widget");
    bridge
        .qiscus
        .qiscus()
        .says(room.id, "rina@example.com", "from the app")
        .unwrap();
    eventually("the answer at Dixa", Duration::from_secs(20), || {
        let found = bridge.dixa.dixa().conversation(conversation).unwrap();
        found
            .messages
            .iter()
            .any(|one| one.text == "from the app")
            .then_some(())
    });
    assert_eq!(bridge.dixa.dixa().conversations().len(), 1);
}

/// How the other side stands is told by its webhooks, and acted on.
#[test]
fn a_closed_conversation_is_followed_by_a_new_one_where_the_file_says_so() {
    let bridge = bridge(qiscus::Shape::Current, "");
    let text = std::fs::read_to_string(bridge.gateway.file()).unwrap();
    let text = text.replace(
        "[destination.helpdesk]",
        "[destination.helpdesk]\nwhen_closed = \"new\"",
    );
    std::fs::write(bridge.gateway.file(), text).unwrap();
    assert_eq!(
        bridge
            .gateway
            .post("/api/v1/reload", &serde_json::Value::Null)
            .status,
        200
    );
    bridge
        .qiscus
        .qiscus()
        .add_room(9, "r", &["rina@example.com"]);
    let says = |text: &str| {
        bridge
            .qiscus
            .qiscus()
            .says(9, "rina@example.com", text)
            .unwrap()
    };
    says("first");
    let first = eventually("a conversation", Duration::from_secs(20), || {
        bridge.dixa.dixa().conversations().first().cloned()
    });
    bridge.gateway.drained(Duration::from_secs(20));
    assert!(bridge.dixa.dixa().agent_closes(first.id));
    eventually("the link to say so", Duration::from_secs(20), || {
        let links = bridge
            .gateway
            .get("/api/v1/links?destination=helpdesk&ours=qiscus/9")
            .json();
        (links["links"][0]["standing"] == "closed").then_some(())
    });
    says("second");
    eventually("another conversation", Duration::from_secs(20), || {
        (bridge.dixa.dixa().conversations().len() == 2).then_some(())
    });
    bridge.gateway.drained(Duration::from_secs(20));
    let counts: Vec<usize> = bridge
        .dixa
        .dixa()
        .conversations()
        .iter()
        .map(|one| one.messages.len())
        .collect();
    assert_eq!(counts, [1, 1]);
}
