//! What the emulated Dixa takes and what it refuses.

use hookfan::emulate::dixa::Options;
use serde_json::{Value, json};

use super::{AGENT, Dixa, KEY, for_user};
use crate::e2e::emulators::{broken, has_the_shape_of, sample};

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

/// One place, and what stands there instead.
type Break<'a> = (&'a str, Option<Value>);

/// The sample request with each of these breaks, and nothing came of it.
fn check_refused(name: &str, path: &str, breaks: &[Break<'_>]) {
    let dixa = Dixa::start(Options::default());
    let user = dixa.user();
    let chat = dixa.chat(&user, "other").to_string();
    let path = path.replace("{chat}", &chat);
    let good = for_user(&sample(&format!("api/dixa/{name}.request.json")), &user);
    for (at, (pointer, put)) in breaks.iter().enumerate() {
        let answer = dixa.ask("POST", &path, &broken(&good, pointer, put.clone()));
        assert_eq!(answer.status, 400, "{name} {pointer} {put:?}");
        assert!(answer.json()["message"].is_string());
        let counts = dixa.0.counts();
        assert_eq!(counts.refused, at as u64 + 1, "{name} {pointer} {put:?}");
        assert!(dixa.0.calls().pop().unwrap().refused.is_some());
    }
    let held = dixa.0.dixa();
    assert_eq!((held.end_users().len(), held.conversations().len()), (1, 1));
    assert_eq!(held.conversations()[0].messages.len(), 1);
}

#[test]
fn an_end_user_broken_in_one_place_is_refused() {
    check_refused(
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
    );
}

#[test]
fn a_conversation_broken_in_one_place_is_refused() {
    check_refused(
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
    );
    check_refused(
        "post_conversations_email",
        "/conversations",
        &[
            ("/subject", None),
            ("/emailIntegrationId", None),
            ("/emailIntegrationId", Some(json!("me@shop.example.com"))),
            ("/emailIntegrationId", Some(json!("@email.dixa.io"))),
        ],
    );
}

#[test]
fn an_import_broken_in_one_place_is_refused() {
    check_refused(
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
    );
}

#[test]
fn a_message_broken_in_one_place_is_refused() {
    check_refused(
        "post_message_inbound",
        "/conversations/{chat}/messages",
        &[
            ("/content", None),
            ("/_type", None),
            ("/agentId", Some(json!(AGENT))),
            ("/createdAt", Some(json!("2021-12-01T13:00:00Z"))),
            ("/integrationEmail", Some(json!("x@y.example"))),
        ],
    );
    check_refused(
        "post_message_outbound",
        "/conversations/{chat}/messages",
        &[
            ("/agentId", None),
            ("/agentId", Some(json!("budi"))),
            ("/content", None),
            ("/cc", Some(json!(["rina@customer.example.com"]))),
            ("/attachments/0/url", Some(json!("label.pdf"))),
            ("/attachments/0/name", Some(json!("label"))),
        ],
    );
}

#[test]
fn other_requests_nobody_should_send_are_refused() {
    let dixa = Dixa::start(Options::default());
    let chat = dixa.chat(&dixa.user(), "m").to_string();
    let stars = json!({"ratingType": "Stars"});
    let off_scale = json!({"ratingResult": {"value": 6, "_type": "Csat"}});
    let as_text = json!({"ratingResult": {"value": "5", "_type": "Csat"}});
    for (line, body, status) in [
        ("GET /nothing", json!(null), 404),
        ("DELETE /endusers", json!(null), 404),
        ("GET /endusers?email=a&phone=b", json!(null), 400),
        ("GET /endusers?name=a", json!(null), 400),
        ("GET /endusers?email=a&email=a", json!(null), 400),
        ("GET /endusers?pageLimit=0", json!(null), 400),
        ("GET /endusers?pageLimit=101", json!(null), 400),
        ("GET /endusers?pageKey=2", json!(null), 400),
        ("GET /endusers/rina", json!(null), 400),
        ("GET /conversations/x", json!(null), 400),
        ("PUT /conversations/#/close", json!({"agentId": AGENT}), 400),
        ("PUT /conversations/#/claim", json!({"force": true}), 400),
        ("PUT /conversations/#/claim", json!(null), 415),
        ("PUT /conversations/#/followup", json!({}), 400),
        (
            "PUT /conversations/#/transfer/queue",
            json!({"queueId": "q"}),
            400,
        ),
        ("POST /conversations/#/ratings/offer", stars, 400),
        ("POST /conversations/#/ratings/x/submit", off_scale, 400),
        ("POST /conversations/#/ratings/x/submit", as_text, 400),
        ("POST /conversations/#/notes", json!({"text": "x"}), 400),
        ("GET /queues/q/availability", json!(null), 400),
    ] {
        let (method, path) = line.split_once(' ').unwrap();
        let before = dixa.0.counts().refused;
        let answer = dixa.ask(method, &path.replace('#', &chat), &body);
        assert_eq!(answer.status, status, "{line}");
        assert_eq!(dixa.0.counts().refused, before + 1, "{line}");
    }
}

#[test]
fn the_key_stands_alone_and_bodies_are_json() {
    let dixa = Dixa::start(Options::default());
    for key in ["", "wrong", &format!("Bearer {KEY}"), &KEY.to_uppercase()] {
        let headers = [("authorization", key)];
        let answer = dixa.0.ask("GET", "/beta/endusers", &headers, b"");
        assert_eq!(answer.status, 401, "{key:?}");
        assert_eq!(answer.json(), sample("api/dixa/error_401.json"));
    }
    let headers = [("authorization", KEY), ("content-type", "text/plain")];
    let answer = dixa.0.ask("POST", "/v1/endusers", &headers, b"{}");
    assert_eq!(answer.status, 415);
    assert_eq!(dixa.0.counts().refused, 5);
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
