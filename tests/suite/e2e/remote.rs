//! What an operator asks of the vendors themselves, and what a bridge both ways
//! keeps to itself: the real gateway against emulated vendors.

use std::time::Duration;

use hookfan::emulate::{Endpoint, Faults, Hook, dixa, qiscus, quiq, sendyiq};
use serde_json::Value;

use super::emulators::Emulated;
use super::pages;
use crate::support::eventually;
use crate::support::gateway::Gateway;
use crate::support::sender::QISCUS_TOKEN;

const PATIENCE: Duration = Duration::from_secs(30);
const CHAT: &str = "3f2504e0-4f89-11d3-9a0c-0305e82c3301";
const SOCIAL: &str = "4f2504e0-4f89-11d3-9a0c-0305e82c3302";
const RINA: &str = "rina@customer.example";
const AGENT: &str = "5a556159-9c21-4f3e-a44f-d323deb80d16";

fn said(gateway: &Gateway, arguments: &[&str]) -> Value {
    let output = gateway.hookfan(arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_vendor_is_asked_for_its_conversations() {
    let options = sendyiq::Options {
        conversations: vec![
            sendyiq::Conversation::chat(CHAT, RINA),
            sendyiq::Conversation::social(SOCIAL, RINA),
        ],
        ..sendyiq::Options::default()
    };
    let vendor = Emulated::start(Endpoint::SendyIq(options), "id.secret", Faults::default());
    let shop = |name: &str| {
        format!(
            "[destination.{name}]\nkind = \"sendyiq\"\napi = \"{name}\"\napi_key = {{ file = \"key\" }}\n\
             base_url = \"{}\"\nallow_private = true\n",
            vendor.url()
        )
    };
    let rules = format!(
        "[log]\nmin_free = \"16MiB\"\n{}{}[[route]]\nto = [\"chat\", \"social\"]\n",
        shop("chat"),
        shop("social")
    );
    let mut gateway = Gateway::prepare(&rules);
    gateway.secret("key", "id.secret");
    gateway.run();
    for (name, id) in [("chat", CHAT), ("social", SOCIAL)] {
        let list = said(&gateway, &["links", "look", name]);
        assert_eq!(list["data"]["items"][0]["id"], id, "{list}");
        let one = said(&gateway, &["links", "look", name, "--id", id]);
        assert_eq!(one["data"]["customer"]["email"], RINA, "{one}");
    }
    let token = said(&gateway, &["links", "look", "chat", "--hub-token"]);
    assert!(token["data"]["token"].is_string(), "{token}");
    assert_eq!(vendor.counts().refused, 0);
    let nobody = gateway.hookfan(&["links", "look", "chat", "--id", SOCIAL]);
    assert_eq!(nobody.status.code(), Some(1), "a 404 is no answer");
}

/// The bridge of the page about vendors, but for the addresses.
struct Bridge {
    gateway: Gateway,
    dixa: Emulated,
    qiscus: Emulated,
}

impl Bridge {
    fn start() -> Self {
        let dixa = Emulated::start(
            Endpoint::Dixa(dixa::Options::default()),
            "dixa-key",
            Faults::default(),
        );
        let qiscus = Emulated::start(
            Endpoint::Qiscus(qiscus::Options::default()),
            "qiscus-secret",
            Faults::default(),
        );
        let anything = format!("\nbase_url = \"{}\"\nallow_private = true", dixa.url());
        let file = pages::blocks(&pages::page("vendors.md"), "toml complete")
            .into_iter()
            .find(|file| file.contains("[destination.rooms]"))
            .unwrap();
        let mut gateway = Gateway::prepare("")
            .with_environment("QISCUS_SIGNATURE_TOKEN", QISCUS_TOKEN)
            .with_environment("DIXA_WEBHOOK_KEY", "00ff")
            .with_environment("DIXA_API_KEY", "dixa-key")
            .with_environment("QISCUS_SECRET", "qiscus-secret")
            .with_environment("DIMENSION_API_KEY", "k")
            .with_environment("SENDYIQ_API_KEY", "id.secret");
        let base =
            |url: String, path: &str| format!("\nbase_url = \"{url}{path}\"\nallow_private = true");
        let admin = format!(
            "admin = \"{}\"\n[log]\nmin_free = \"16MiB\"\n",
            gateway.admin
        );
        let text = file
            .replace("\"0.0.0.0:8080\"", &format!("\"{}\"", gateway.ingress))
            .replace(
                "data_dir = \"data\"\n",
                &format!("data_dir = \"data\"\n{admin}"),
            )
            .replace(
                "source       = \"dixa\"",
                &format!("source = \"dixa\"{}", base(dixa.url(), "/beta")),
            )
            .replace(
                "source        = \"qiscus\"",
                &format!("source = \"qiscus\"{}", base(qiscus.url(), "")),
            )
            .replace(
                "kind         = \"dimension\"",
                &format!("kind = \"dimension\"{anything}\npaused = true"),
            )
            .replace(
                "kind    = \"sendyiq\"",
                &format!("kind = \"sendyiq\"{anything}\npaused = true"),
            );
        std::fs::write(gateway.file(), text).unwrap();
        gateway.run();
        let hook = |source: &str, secret: &str| {
            Some(Hook {
                url: format!("http://{}/hooks/{source}", gateway.ingress)
                    .parse()
                    .unwrap(),
                secret: secret.to_owned(),
            })
        };
        dixa.post_webhooks(hook("dixa", "00ff"));
        qiscus.post_webhooks(hook("qiscus", QISCUS_TOKEN));
        qiscus.qiscus().add_room(42, "Rina", &[RINA]);
        Self {
            gateway,
            dixa,
            qiscus,
        }
    }

    fn stopped(&self, destination: &str) -> f64 {
        let series = format!("hookfan_loops_stopped_total{{destination=\"{destination}\"}}");
        self.gateway.metric(&series).unwrap_or(0.0)
    }

    /// The texts of the room, and of the conversation at Dixa.
    fn texts(&self) -> (Vec<String>, Vec<String>) {
        let room = self.qiscus.qiscus().room(42).unwrap();
        let room = room.comments.iter().map(|one| one.text.clone()).collect();
        let conversations = self.dixa.dixa().conversations();
        assert!(conversations.len() <= 1, "{conversations:?}");
        let said = conversations.iter().flat_map(|one| &one.messages);
        (room, said.map(|one| one.text.clone()).collect())
    }
}

#[test]
fn the_bridge_of_the_page_says_everything_once_on_both_sides() {
    let bridge = Bridge::start();
    bridge.qiscus.qiscus().says(42, RINA, "hello").unwrap();
    let conversation = eventually("the conversation at Dixa", PATIENCE, || {
        bridge.dixa.dixa().conversations().first().map(|one| one.id)
    });
    eventually("the echo from Dixa to be stored", PATIENCE, || {
        let events = said(
            &bridge.gateway,
            &["events", "list", "--source", "dixa", "--json"],
        );
        events
            .to_string()
            .contains("CONVERSATION_MESSAGE_ADDED")
            .then_some(())
    });
    bridge
        .dixa
        .dixa()
        .agent_says(conversation, AGENT, "How can I help?")
        .unwrap();
    eventually("the answer in the room, and its echo", PATIENCE, || {
        (bridge.stopped("support") >= 1.0).then_some(())
    });
    bridge
        .qiscus
        .qiscus()
        .says(42, RINA, "with my order")
        .unwrap();
    let all = ["hello", "How can I help?", "with my order"];
    eventually("the next message at Dixa", PATIENCE, || {
        (bridge.texts().1.len() == 3).then_some(())
    });
    let (room, dixa) = bridge.texts();
    assert_eq!(room, all);
    assert_eq!(dixa, all);
    assert_eq!(bridge.stopped("support"), 1.0);
    assert_eq!(bridge.dixa.counts().refused, 0);
    assert_eq!(bridge.qiscus.counts().refused, 0);
    let links = said(&bridge.gateway, &["links", "list", "--json"]).to_string();
    for link in ["qiscus/42", &format!("dixa/{conversation}")] {
        assert!(links.contains(link), "{link} in {links}");
    }
    assert!(bridge.dixa.dixa().agent_closes(conversation));
    eventually("the standing beside the link", PATIENCE, || {
        let links = said(
            &bridge.gateway,
            &["links", "list", "--ours", "qiscus/", "--json"],
        );
        links.to_string().contains("closed").then_some(())
    });
}

#[test]
fn what_was_missed_is_fetched_once() {
    let bridge = Bridge::start();
    bridge.qiscus.qiscus().says(42, RINA, "hello").unwrap();
    eventually("the conversation at Dixa", PATIENCE, || {
        bridge.dixa.dixa().conversations().first().map(|one| one.id)
    });
    bridge.qiscus.post_webhooks(None);
    for text in ["one", "two"] {
        bridge.qiscus.qiscus().says(42, RINA, text).unwrap();
    }
    let fetch = [
        "backfill",
        "--source",
        "qiscus",
        "--conversation",
        "42",
        "--json",
    ];
    for (found, accepted) in [(3, 2), (3, 0)] {
        let told = said(&bridge.gateway, &fetch);
        assert_eq!(
            (&told["found"], &told["accepted"]),
            (&found.into(), &accepted.into()),
            "{told}"
        );
        assert_eq!(told["gaps"], serde_json::json!([]));
    }
    eventually("what was missed at Dixa", PATIENCE, || {
        (bridge.texts().1.len() == 3).then_some(())
    });
    assert_eq!(bridge.texts().1, ["hello", "one", "two"]);
}

#[test]
fn a_quiq_conversation_is_fetched_once() {
    for form in [quiq::Form::Simple, quiq::Form::Snapshot] {
        let options = quiq::Options {
            form,
            ..quiq::Options::default()
        };
        let vendor = Emulated::start(Endpoint::Quiq(options), "quiq-key", Faults::default());
        let customer = "+14065550123";
        vendor
            .quiq()
            .add_conversation(quiq::Conversation::new("c1", customer));
        for (author, text) in [(customer, "hello"), ("agent_1", "hi")] {
            vendor.quiq().say("c1", Some(author), text).unwrap();
        }
        let rules = format!(
            "[log]\nmin_free = \"16MiB\"\n[source.quiq]\nkind = \"quiq\"\nauth = {{ scheme = \"quiq\", secret = {{ file = \"key\" }} }}\n\
             fetch = \"missing\"\nfetch_from = {{ base_url = \"{}\", api_key = {{ file = \"key\" }}, allow_private = true }}\n",
            vendor.url()
        );
        let mut gateway = Gateway::prepare(&rules);
        gateway.secret("key", "quiq-key");
        gateway.run();
        let fetch = [
            "backfill",
            "--source",
            "quiq",
            "--conversation",
            "c1",
            "--json",
        ];
        // The snapshot and its messages; repeating it repeats nothing.
        for accepted in [3, 0] {
            let told = said(&gateway, &fetch);
            assert_eq!(told["found"], 3, "{told}");
            assert_eq!(told["accepted"], accepted, "{told}");
        }
        assert_eq!(vendor.counts().refused, 0);
    }
}
