//! What the emulated Dixa holds, and what can be switched.

use hookfan::emulate::dixa::{Availability, Closed, Conversation, Duplicates, Options, State};
use serde_json::{Value, json};

use super::{AGENT, Dixa, QUEUE, for_user};
use crate::e2e::emulators::{broken, sample};
use crate::support::http::Answer;

#[test]
fn a_repeated_external_id_is_declined_in_its_scope() {
    for (scope, elsewhere) in [
        (Duplicates::Conversation, 201),
        (Duplicates::Everywhere, 400),
    ] {
        let dixa = Dixa::start(Options {
            duplicates: scope,
            ..Options::default()
        });
        let user = dixa.user();
        let chat = dixa.chat(&user, "m1");
        assert_eq!(dixa.message(chat, "m2").status, 200);
        for again in ["m1", "m2"] {
            let answer = dixa.message(chat, again);
            assert_eq!(answer.status, 400);
            assert_eq!(
                answer.json(),
                sample("api/dixa/error_400_duplicate_external_id.json")
            );
        }
        let mut body = sample("api/dixa/post_conversations_chat.request.json");
        body["requesterId"] = json!(user);
        body["message"]["externalId"] = json!("m1");
        let answer = dixa.ask("POST", "/conversations", &body);
        assert_eq!(answer.status, elsewhere, "{scope:?}");
        assert_eq!(dixa.0.counts().refused, 0, "it is a good request");
        assert!(dixa.0.counts().declined >= 2);
        let texts = dixa.0.dixa().conversation(chat).unwrap().messages;
        let ids: Vec<&str> = texts
            .iter()
            .filter_map(|message| message.external_id.as_deref())
            .collect();
        assert_eq!(ids, ["m1", "m2"], "nothing twice");
    }
}

/// A chat, and what is asked of it.
struct Chat(Dixa, i64);

impl Chat {
    fn start() -> Self {
        let dixa = Dixa::start(Options::default());
        let chat = dixa.chat(&dixa.user(), "m");
        Self(dixa, chat)
    }

    fn ask(&self, method: &str, what: &str, body: &Value) -> Answer {
        let path = format!("/conversations/{}/{what}", self.1);
        self.0.ask(method, &path, body)
    }

    fn put(&self, what: &str, body: &Value) -> u16 {
        self.ask("PUT", what, body).status
    }

    fn held(&self) -> Conversation {
        self.0.0.dixa().conversation(self.1).unwrap()
    }
}

#[test]
fn a_conversation_is_closed_reopened_and_followed_up() {
    let chat = Chat::start();
    assert_eq!(chat.put("close", &json!({"userId": AGENT})), 204);
    assert_eq!(chat.held().state, State::Closed);
    let customer = json!({"userId": chat.held().requester});
    assert_eq!(chat.put("reopen", &customer), 400, "he is no agent");
    assert_eq!(chat.put("reopen", &Value::Null), 204);
    assert_eq!(chat.held().state, State::Open);
    let at = "2025-01-08T08:31:25Z";
    assert_eq!(chat.put("followup", &json!({"timestamp": at})), 204);
    let held = chat.held();
    assert_eq!(held.state, State::Pending);
    assert_eq!(held.follow_up_at.as_deref(), Some(at));
}

#[test]
fn a_conversation_is_claimed_once_and_transferred() {
    let chat = Chat::start();
    let other = "eeb3bbe5-0355-4ac1-8af5-20d42a3db24b";
    for (agent, force, status, holds) in [
        (AGENT, false, 204, AGENT),
        (AGENT, false, 204, AGENT),
        (other, false, 409, AGENT),
        (other, true, 204, other),
    ] {
        let body = json!({"agentId": agent, "force": force});
        assert_eq!(chat.put("claim", &body), status, "{agent} {force}");
        assert_eq!(chat.held().agent.as_deref(), Some(holds));
    }
    let body = json!({"queueId": QUEUE, "userId": AGENT});
    assert_eq!(chat.put("transfer/queue", &body), 204);
    let path = format!("/queues/conversation-position/{}", chat.1);
    assert_eq!(chat.0.get(&path).json()["data"]["position"], 1);
}

#[test]
fn a_conversation_is_noted_and_rated() {
    let chat = Chat::start();
    let note = chat.ask("POST", "notes", &json!({"message": "VIP"}));
    assert_eq!(note.status, 200);
    assert_eq!(chat.held().notes[0].message, "VIP");
    let offer = chat.ask("POST", "ratings/offer", &json!({"ratingType": "Csat"}));
    assert_eq!(offer.status, 201);
    let id = offer.json()["data"]["id"].as_str().unwrap().to_owned();
    for (kind, value, status) in [("Nps", 9, 400), ("Csat", 4, 201)] {
        let body = json!({"ratingResult": {"value": value, "_type": kind}});
        let answer = chat.ask("POST", &format!("ratings/{id}/submit"), &body);
        assert_eq!(answer.status, status, "{kind}");
    }
    assert_eq!(chat.held().ratings[0].score, Some(4));
    assert_eq!(chat.0.0.counts().refused, 0);
}

#[test]
fn a_message_for_a_closed_conversation_does_what_is_switched() {
    for (closed, status, state) in [
        (Closed::Refuse, 400, State::Closed),
        (Closed::Reopen, 200, State::Open),
        (Closed::Keep, 200, State::Closed),
    ] {
        let dixa = Dixa::start(Options {
            closed,
            ..Options::default()
        });
        let chat = dixa.chat(&dixa.user(), "m");
        dixa.0.dixa().agent_closes(chat);
        assert_eq!(dixa.message(chat, "n").status, status, "{closed:?}");
        assert_eq!(
            dixa.0.dixa().conversation(chat).unwrap().state,
            state,
            "{closed:?}"
        );
    }
}

#[test]
fn what_dixa_leaves_open_is_a_switch() {
    let dixa = Dixa::start(Options {
        import_channels: vec!["genericapimessaging".to_owned()],
        generic_inbound: false,
        dead_attachments: vec!["label.pdf".to_owned()],
        unique_contacts: true,
        queues: vec![QUEUE.to_owned()],
        availability: Availability::NotAvailable,
        ..Options::default()
    });
    let user = dixa.user();
    let import = for_user(
        &sample("api/dixa/post_conversations_import.request.json"),
        &user,
    );
    let answer = dixa.ask("POST", "/conversations/import", &import);
    assert_eq!(answer.status, 201);
    let imported = answer.json()["data"]["id"].as_i64().unwrap();
    assert_eq!(
        dixa.message(imported, "n").status,
        400,
        "customers' messages are not added"
    );
    let other = broken(&import, "/genericChannelName", Some(json!("MyCustomChat")));
    assert_eq!(
        dixa.ask("POST", "/conversations/import", &other).status,
        400
    );
    let outbound = sample("api/dixa/post_message_outbound.request.json");
    let path = format!("/conversations/{imported}/messages");
    assert_eq!(
        dixa.ask("POST", &path, &outbound).status,
        400,
        "a dead attachment"
    );
    let without = broken(&outbound, "/attachments", Some(json!([])));
    assert_eq!(dixa.ask("POST", &path, &without).status, 200);
    let rina = sample("api/dixa/post_endusers.request.json");
    assert_eq!(dixa.ask("POST", "/endusers", &rina).status, 201);
    assert_eq!(
        dixa.ask("POST", "/endusers", &rina).status,
        400,
        "the e-mail address is taken"
    );
    let asked = dixa.get(&format!("/queues/{QUEUE}/availability")).json();
    assert_eq!(
        asked["data"][0]["channelAvailability"]["availability"],
        "NotAvailable"
    );
    assert_eq!(
        dixa.get(&format!("/queues/{AGENT}/availability")).status,
        400
    );
    assert_eq!(dixa.0.counts().refused, 0);
}

#[test]
fn a_list_comes_in_pages_to_the_end() {
    for newest_first in [true, false] {
        let dixa = Dixa::start(Options {
            newest_first,
            ..Options::default()
        });
        let user = dixa.user();
        let mut ids: Vec<i64> = (0..7).map(|n| dixa.chat(&user, &format!("m{n}"))).collect();
        if newest_first {
            ids.reverse();
        }
        let mut path = format!("/endusers/{user}/conversations?pageLimit=3");
        let (mut seen, mut sizes) = (Vec::new(), Vec::new());
        loop {
            let page = dixa.get(&path).json();
            let data = page["data"].as_array().unwrap();
            sizes.push(data.len());
            seen.extend(data.iter().map(|found| found["id"].as_i64().unwrap()));
            match page["meta"]["next"].as_str() {
                Some(next) => path = next.strip_prefix("/beta").unwrap().to_owned(),
                None => break,
            }
        }
        assert_eq!(
            (seen, sizes),
            (ids, vec![3, 3, 1]),
            "newest first: {newest_first}"
        );
    }
    let dixa = Dixa::start(Options::default());
    for n in 0..30 {
        dixa.0.dixa().add_end_user(Some(["a", "b"][n % 2]), "Rina");
    }
    let page = dixa.get("/endusers?externalId=a&pageLimit=10").json();
    let next = page["meta"]["next"]
        .as_str()
        .unwrap()
        .strip_prefix("/beta")
        .unwrap();
    let rest = dixa.get(next).json();
    assert_eq!(
        rest["data"].as_array().unwrap().len(),
        5,
        "a page's key carries its filter"
    );
    assert_eq!(rest["data"][4]["externalId"], "a");
}
