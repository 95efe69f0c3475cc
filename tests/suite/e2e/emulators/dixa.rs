//! The emulated Dixa.

use hookfan::emulate::dixa::{Availability, Closed, Duplicates, Options, State};
use hookfan::emulate::{Endpoint, Faults, Hook, Limit};
use serde_json::{Value, json};

use super::{Emulated, broken, has_the_shape_of, sample};
use crate::support::http::Answer;
use crate::support::receiver::{Receiver, Reply};

const KEY: &str = "dixa-key";
const AGENT: &str = "bac5a02c-15b3-44da-ae1e-ab7b9db4aa89";
const QUEUE: &str = "92f8d193-b26f-4a62-86a3-bb03ee0915e9";

struct Dixa(Emulated);

impl Dixa {
    /// Without a limit, which has tests of its own.
    fn start(options: Options) -> Self {
        let options = Options {
            limit: None,
            ..options
        };
        Self(Emulated::start(
            Endpoint::Dixa(options),
            KEY,
            Faults::default(),
        ))
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> Answer {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let path = format!("/beta{path}");
        let headers = [("authorization", KEY), ("webhook-id", "e1")];
        self.0.ask(method, &path, &headers, body.as_bytes())
    }

    fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &Value::Null)
    }

    fn user(&self) -> String {
        self.0.dixa().add_end_user(Some("qiscus:90211"), "Rina")
    }

    /// A chat of this user with one message.
    fn chat(&self, user: &str, external_id: &str) -> i64 {
        let mut body = sample("api/dixa/post_conversations_chat.request.json");
        body["requesterId"] = json!(user);
        body["message"]["externalId"] = json!(external_id);
        let answer = self.ask("POST", "/conversations", &body);
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json()["data"]["id"].as_i64().unwrap()
    }

    fn message(&self, conversation: i64, external_id: &str) -> Answer {
        let mut body = sample("api/dixa/post_message_inbound.request.json");
        body["externalId"] = json!(external_id);
        let path = format!("/conversations/{conversation}/messages");
        self.ask("POST", &path, &body)
    }
}

fn for_user(body: &Value, user: &str) -> Value {
    let mut body = body.clone();
    if body.get("requesterId").is_some() {
        body["requesterId"] = json!(user);
    }
    body
}

#[test]
fn every_sample_request_is_taken_and_answered_in_the_documented_shape() {
    let dixa = Dixa::start(Options::default());
    let user = dixa.user();
    let chat = dixa.chat(&user, "other");
    let messages = format!("/conversations/{chat}/messages");
    for (name, path, status, answered) in [
        ("post_endusers", "/endusers", 201, ""),
        (
            "post_conversations_chat",
            "/conversations",
            201,
            "post_conversations.response_201",
        ),
        (
            "post_conversations_email",
            "/conversations",
            201,
            "post_conversations.response_201",
        ),
        (
            "post_conversations_import",
            "/conversations/import",
            201,
            "",
        ),
        (
            "post_message_inbound",
            messages.as_str(),
            200,
            "post_message.response_200",
        ),
        ("post_message_outbound", messages.as_str(), 200, ""),
    ] {
        let body = for_user(&sample(&format!("api/dixa/{name}.request.json")), &user);
        let answer = dixa.ask("POST", path, &body);
        assert_eq!(answer.status, status, "{name}: {}", answer.text());
        if !answered.is_empty() {
            let expected = sample(&format!("api/dixa/{answered}.json"));
            has_the_shape_of(&answer.json(), &expected, name);
        }
    }
    let counts = dixa.0.counts();
    assert_eq!((counts.refused, counts.declined), (0, 0));
    assert_eq!(counts.events, 1, "all with one webhook-id");
    assert_eq!(counts.taken, 6, "but for the end user");
    let found = dixa.get("/endusers?externalId=qiscus%3A90211").json();
    assert_eq!(found["data"].as_array().unwrap().len(), 2);
    let none = dixa.get("/endusers?externalId=nobody").json();
    assert_eq!(
        none,
        sample("api/dixa/get_endusers_by_external_id.response_200_empty.json")
    );
}

#[test]
fn a_request_broken_in_one_place_is_refused() {
    let dixa = Dixa::start(Options::default());
    let user = dixa.user();
    let chat = dixa.chat(&user, "other");
    let messages = format!("/conversations/{chat}/messages");
    let cases: &[(&str, &str, &[(&str, Option<Value>)])] = &[
        (
            "post_endusers",
            "/endusers",
            &[
                ("/email", Some(json!("rina"))),
                ("/displayName", Some(json!(1))),
                ("/externalId", Some(json!(90211))),
                ("/externalID", Some(json!("x"))),
                ("/phoneNumber", Some(json!("0812"))),
                ("/additionalPhoneNumbers", Some(json!(["0812"]))),
                ("/additionalEmails", Some(json!("x@y.example"))),
                ("/avatarUrl", Some(json!("me.png"))),
                ("/middleNames", Some(json!(null))),
            ],
        ),
        (
            "post_conversations_chat",
            "/conversations",
            &[
                ("/_type", None),
                ("/_type", Some(json!("Chatty"))),
                ("/_type", Some(json!("Sms"))),
                ("/requesterId", None),
                ("/requesterId", Some(json!("rina"))),
                ("/widgetId", None),
                ("/widgetId", Some(json!("my-widget"))),
                ("/message", None),
                ("/message/_type", None),
                ("/message/content", None),
                ("/message/content/value", Some(json!(" "))),
                ("/message/content/_type", Some(json!("Plain"))),
                ("/message/attachments", Some(json!([{"prettyName": "x"}]))),
                ("/message/externalId", Some(json!(7))),
                ("/subject", Some(json!("x"))),
            ],
        ),
        (
            "post_conversations_email",
            "/conversations",
            &[
                ("/subject", None),
                ("/emailIntegrationId", None),
                ("/emailIntegrationId", Some(json!("me@shop.example.com"))),
                ("/emailIntegrationId", Some(json!("@email.dixa.io"))),
            ],
        ),
        (
            "post_conversations_import",
            "/conversations/import",
            &[
                ("/_type", None),
                ("/genericChannelName", None),
                ("/requesterId", None),
                ("/direction", Some(json!("inbound"))),
                ("/createdAt", None),
                ("/createdAt", Some(json!(1_638_363_600))),
                ("/requesterConnectionStatus", Some(json!("Online"))),
                ("/messages/0/createdAt", None),
                ("/messages/0/_type", Some(json!("Inbound"))),
                ("/messages/0/_type", Some(json!("OutboundImport"))),
                ("/assignment", Some(json!({"agentId": AGENT}))),
                ("/closing", Some(json!({"closedBy": AGENT}))),
            ],
        ),
        (
            "post_message_inbound",
            &messages,
            &[
                ("/content", None),
                ("/_type", None),
                ("/agentId", Some(json!(AGENT))),
                ("/createdAt", Some(json!("2021-12-01T13:00:00Z"))),
                ("/integrationEmail", Some(json!("x@y.example"))),
            ],
        ),
        (
            "post_message_outbound",
            &messages,
            &[
                ("/agentId", None),
                ("/agentId", Some(json!("budi"))),
                ("/content", None),
                ("/cc", Some(json!(["rina@customer.example.com"]))),
                ("/attachments/0/url", Some(json!("label.pdf"))),
                ("/attachments/0/name", Some(json!("label"))),
            ],
        ),
    ];
    let mut refused = 0;
    for (name, path, breaks) in cases {
        let good = for_user(&sample(&format!("api/dixa/{name}.request.json")), &user);
        for (pointer, put) in *breaks {
            let answer = dixa.ask("POST", path, &broken(&good, pointer, put.clone()));
            assert_eq!(answer.status, 400, "{name} {pointer} {put:?}");
            assert!(answer.json()["message"].is_string());
            refused += 1;
            assert_eq!(dixa.0.counts().refused, refused, "{name} {pointer} {put:?}");
        }
    }
    let call = dixa.0.calls().pop().unwrap();
    assert_eq!(
        call.refused.as_deref(),
        Some("the body.attachments[0] has the unknown field \"name\"")
    );
    assert_eq!(dixa.0.dixa().conversations().len(), 1);
    assert_eq!(dixa.0.dixa().end_users().len(), 1);
}

#[test]
fn other_requests_nobody_should_send_are_refused() {
    let dixa = Dixa::start(Options::default());
    let user = dixa.user();
    let chat = dixa.chat(&user, "m");
    for (method, path, body, status) in [
        ("GET", "/nothing", json!(null), 404),
        ("DELETE", "/endusers", json!(null), 404),
        ("GET", "/endusers?email=a&phone=b", json!(null), 400),
        ("GET", "/endusers?name=a", json!(null), 400),
        ("GET", "/endusers?email=a&email=a", json!(null), 400),
        ("GET", "/endusers?pageLimit=0", json!(null), 400),
        ("GET", "/endusers?pageLimit=101", json!(null), 400),
        ("GET", "/endusers?pageKey=2", json!(null), 400),
        ("GET", "/endusers/rina", json!(null), 400),
        ("GET", "/conversations/x", json!(null), 400),
        (
            "PUT",
            &format!("/conversations/{chat}/close"),
            json!({"agentId": AGENT}),
            400,
        ),
        (
            "PUT",
            &format!("/conversations/{chat}/claim"),
            json!({"force": true}),
            400,
        ),
        (
            "PUT",
            &format!("/conversations/{chat}/claim"),
            json!(null),
            415,
        ),
        (
            "PUT",
            &format!("/conversations/{chat}/followup"),
            json!({}),
            400,
        ),
        (
            "PUT",
            &format!("/conversations/{chat}/transfer/queue"),
            json!({"queueId": "q"}),
            400,
        ),
        (
            "POST",
            &format!("/conversations/{chat}/ratings/offer"),
            json!({"ratingType": "Stars"}),
            400,
        ),
        (
            "POST",
            &format!("/conversations/{chat}/ratings/x/submit"),
            json!({"ratingResult": {"value": 6, "_type": "Csat"}}),
            400,
        ),
        (
            "POST",
            &format!("/conversations/{chat}/ratings/x/submit"),
            json!({"ratingResult": {"value": "5", "_type": "Csat"}}),
            400,
        ),
        (
            "POST",
            &format!("/conversations/{chat}/notes"),
            json!({"text": "x"}),
            400,
        ),
        ("GET", "/queues/q/availability", json!(null), 400),
    ] {
        let before = dixa.0.counts().refused;
        let answer = dixa.ask(method, path, &body);
        assert_eq!(answer.status, status, "{method} {path}");
        assert_eq!(dixa.0.counts().refused, before + 1, "{method} {path}");
    }
    for key in ["", "wrong", &format!("Bearer {KEY}"), &KEY.to_uppercase()] {
        let answer = dixa
            .0
            .ask("GET", "/beta/endusers", &[("authorization", key)], b"");
        assert_eq!(answer.status, 401, "{key:?}");
        assert_eq!(answer.json(), sample("api/dixa/error_401.json"));
    }
    let headers = [("authorization", KEY), ("content-type", "text/plain")];
    let answer = dixa.0.ask("POST", "/v1/endusers", &headers, b"{}");
    assert_eq!(answer.status, 415);
}

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

#[test]
fn what_does_not_exist_is_answered_404() {
    let dixa = Dixa::start(Options {
        agents: vec![AGENT.to_owned()],
        ..Options::default()
    });
    let user = dixa.user();
    let chat = dixa.chat(&user, "m");
    let nobody = "00000000-0000-4000-8000-000000000000";
    let inbound = sample("api/dixa/post_message_inbound.request.json");
    let outbound = broken(
        &sample("api/dixa/post_message_outbound.request.json"),
        "/agentId",
        Some(json!(nobody)),
    );
    let fresh = for_user(
        &sample("api/dixa/post_conversations_chat.request.json"),
        nobody,
    );
    for (method, path, body) in [
        ("GET", format!("/endusers/{nobody}"), json!(null)),
        (
            "GET",
            format!("/endusers/{nobody}/conversations"),
            json!(null),
        ),
        ("POST", "/conversations".to_owned(), fresh),
        ("GET", "/conversations/7".to_owned(), json!(null)),
        ("GET", "/conversations/7/messages".to_owned(), json!(null)),
        ("POST", "/conversations/7/messages".to_owned(), inbound),
        ("POST", format!("/conversations/{chat}/messages"), outbound),
        ("PUT", "/conversations/7/close".to_owned(), json!(null)),
        (
            "PUT",
            format!("/conversations/{chat}/claim"),
            json!({"agentId": nobody}),
        ),
        (
            "POST",
            format!("/conversations/{chat}/ratings/x/submit"),
            json!({"ratingResult": {"value": 5, "_type": "Csat"}}),
        ),
        (
            "GET",
            format!("/queues/conversation-position/{chat}"),
            json!(null),
        ),
    ] {
        let answer = dixa.ask(method, &path, &body);
        assert_eq!(answer.status, 404, "{method} {path}: {}", answer.text());
        assert_eq!(answer.json(), sample("api/dixa/error_404.json"));
    }
    assert_eq!(dixa.0.counts().refused, 0);
    assert!(dixa.0.dixa().remove_conversation(chat));
    assert_eq!(dixa.message(chat, "n").status, 404);
}

#[test]
fn a_conversation_is_closed_reopened_claimed_transferred_noted_and_rated() {
    let dixa = Dixa::start(Options::default());
    let user = dixa.user();
    let chat = dixa.chat(&user, "m");
    let held = || dixa.0.dixa().conversation(chat).unwrap();
    let put =
        |what: &str, body: Value| dixa.ask("PUT", &format!("/conversations/{chat}/{what}"), &body);
    let other = "eeb3bbe5-0355-4ac1-8af5-20d42a3db24b";
    assert_eq!(put("close", json!({"userId": AGENT})).status, 204);
    assert_eq!(held().state, State::Closed);
    assert_eq!(
        put("close", json!({"userId": user})).status,
        400,
        "no agent"
    );
    assert_eq!(put("reopen", json!(null)).status, 204);
    assert_eq!(held().state, State::Open);
    assert_eq!(
        put("followup", json!({"timestamp": "2025-01-08T08:31:25Z"})).status,
        204
    );
    assert_eq!(
        (held().state, held().follow_up_at.as_deref()),
        (State::Pending, Some("2025-01-08T08:31:25Z"))
    );
    assert_eq!(put("claim", json!({"agentId": AGENT})).status, 204);
    assert_eq!(
        put("claim", json!({"agentId": AGENT})).status,
        204,
        "his already"
    );
    assert_eq!(
        put("claim", json!({"agentId": other, "force": false})).status,
        409
    );
    assert_eq!(held().agent.as_deref(), Some(AGENT));
    assert_eq!(
        put("claim", json!({"agentId": other, "force": true})).status,
        204
    );
    assert_eq!(held().agent.as_deref(), Some(other));
    assert_eq!(put("reopen", json!({})).status, 204);
    assert_eq!(
        put("transfer/queue", json!({"queueId": QUEUE, "userId": AGENT})).status,
        204
    );
    let position = dixa
        .get(&format!("/queues/conversation-position/{chat}"))
        .json();
    assert_eq!(position["data"]["position"], 1);
    let post =
        |what: &str, body: Value| dixa.ask("POST", &format!("/conversations/{chat}/{what}"), &body);
    assert_eq!(post("notes", json!({"message": "VIP"})).status, 200);
    assert_eq!(held().notes[0].message, "VIP");
    let offer = post("ratings/offer", json!({"ratingType": "Csat"}));
    assert_eq!(offer.status, 201);
    let submit = format!(
        "ratings/{}/submit",
        offer.json()["data"]["id"].as_str().unwrap()
    );
    assert_eq!(
        post(
            &submit,
            json!({"ratingResult": {"value": 9, "_type": "Nps"}})
        )
        .status,
        400
    );
    assert_eq!(
        post(
            &submit,
            json!({"ratingResult": {"value": 4, "_type": "Csat"}})
        )
        .status,
        201
    );
    assert_eq!(held().ratings[0].score, Some(4));
}

#[test]
fn what_dixa_leaves_open_is_a_switch() {
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

#[test]
fn the_limiter_answers_429_beyond_its_rate_and_knows_the_peak() {
    let limited = Emulated::start(Endpoint::Dixa(Options::default()), KEY, Faults::default());
    let answers: Vec<Answer> = (0..30)
        .map(|_| limited.ask("GET", "/beta/endusers", &[("authorization", KEY)], b""))
        .collect();
    let refused: Vec<&Answer> = answers
        .iter()
        .filter(|answer| answer.status == 429)
        .collect();
    assert!(!refused.is_empty());
    assert_eq!(refused[0].json(), sample("api/dixa/error_429.json"));
    assert!(
        answers[..4].iter().all(|answer| answer.status == 200),
        "the burst"
    );
    assert_eq!(limited.counts().limited, refused.len() as u64);
    assert_eq!(limited.counts().refused, 0);
    assert!(limited.dixa().peak_rate() > 4);
    let slow = Emulated::start(
        Endpoint::Dixa(Options {
            limit: Some(Limit {
                per_second: 1,
                burst: 1,
            }),
            ..Options::default()
        }),
        KEY,
        Faults::default(),
    );
    let ask = || {
        slow.ask("GET", "/beta/endusers", &[("authorization", KEY)], b"")
            .status
    };
    assert_eq!((ask(), ask()), (200, 429));
}

/// Dixa documents HMAC-SHA256 over `t`, a dot and the body, with the key in hex.
#[test]
fn what_happens_is_posted_as_signed_webhooks_in_order() {
    const SECRET: &str = "00112233445566778899aabbccddeeff";
    let mut first = true;
    let receiver = Receiver::answering(move |_| {
        Reply::Status(if std::mem::take(&mut first) { 503 } else { 200 })
    });
    let dixa = Dixa::start(Options {
        webhook: Some(Hook {
            url: format!("{}/hooks/dixa", receiver.url()).parse().unwrap(),
            secret: SECRET.to_owned(),
        }),
        ..Options::default()
    });
    let chat = dixa.chat(&dixa.user(), "gw:1");
    dixa.0
        .dixa()
        .agent_says(chat, AGENT, "It left today.")
        .unwrap();
    assert_eq!(
        dixa.ask("PUT", &format!("/conversations/{chat}/close"), &Value::Null)
            .status,
        204
    );
    let arrived = receiver.gets(4);
    let bodies: Vec<Value> = arrived[1..]
        .iter()
        .map(|arrived| arrived.request.json())
        .collect();
    assert_eq!(
        arrived[0].request.body, arrived[1].request.body,
        "posted again after 503"
    );
    let named: Vec<&str> = bodies
        .iter()
        .map(|body| body["event_fqn"].as_str().unwrap())
        .collect();
    assert_eq!(
        named,
        [
            "CONVERSATION_MESSAGE_ADDED",
            "CONVERSATION_MESSAGE_ADDED",
            "CONVERSATION_CLOSED"
        ]
    );
    let mut echo = sample("dixa/conversation_message_added_echo_of_our_own.json");
    // Nobody is assigned, no queue is chosen and the name is all that is known.
    echo["data"]["conversation"]["assignee"] = json!(null);
    echo["data"]["conversation"]["queue"] = json!(null);
    echo["data"]["conversation"]["requester"]["email"] = json!(null);
    echo["data"]["author"]["email"] = json!(null);
    has_the_shape_of(&bodies[0], &echo, "echo");
    assert_eq!(bodies[0]["data"]["external_id"], "gw:1");
    assert_eq!(
        (
            &bodies[0]["data"]["direction"],
            &bodies[1]["data"]["direction"]
        ),
        (&json!("inbound"), &json!("outbound"))
    );
    assert_eq!(bodies[1]["data"]["author"]["user_type"], "Member");
    assert_eq!(bodies[2]["data"]["conversation"]["status"], "CLOSED");
    for arrived in &arrived {
        let header = arrived.request.header("x-dixa-signature").unwrap();
        let (time, code) = header
            .strip_prefix("t=")
            .unwrap()
            .split_once(",v1=")
            .unwrap();
        assert_eq!(code, hmac(SECRET, time, &arrived.request.body));
    }
    let sent = dixa.0.webhooks();
    assert_eq!((sent.len(), sent[0].attempts, sent[0].status), (3, 2, 200));
}

fn hmac(secret: &str, time: &str, body: &[u8]) -> String {
    use hmac::{Hmac, KeyInit, Mac};
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&hex::decode(secret).unwrap()).unwrap();
    mac.update(format!("{time}.").as_bytes());
    mac.update(body);
    hex::encode(mac.finalize().into_bytes())
}
