//! Qiscus: what comes back of what we said, and what a room said before.

use serde_json::{Value as Json, json};

use super::scripted::of_sample;
use super::*;
use crate::secret::Secret;
use crate::vendor::qiscus::backfill::{
    Chained, Comment, Ended, Gap, LIMIT, Next, PAGES_MAX, Walk, gaps, webhook_body,
};
use crate::vendor::qiscus::{Api, Qiscus, Version};

fn webhook(event_type: &str, email: &str, extra: &Json) -> Reading {
    let mut message = json!({"type": "text", "text": "hi"});
    for (key, value) in extra.as_object().unwrap() {
        message[key] = value.clone();
    }
    let body = json!({"type": event_type, "payload": {
        "from": {"id": 1, "email": email, "name": "N"},
        "room": {"id": 7, "participants": [{"email": "rina"}, {"email": "bot@acme.example"}]},
        "message": message,
    }});
    let source = Qiscus {
        ours: vec!["bot@*".to_owned()],
        ..Qiscus::default()
    };
    one(read_with(&source, &[], &Bytes::from(body.to_string())).unwrap())
}

#[test]
fn what_we_said_is_known_again_and_a_customer_cannot_claim_it() {
    let check = |event_type: &str, email: &str, extra: Json, ours: bool| {
        let reading = webhook(event_type, email, &extra);
        assert_eq!(reading.ours, ours, "{event_type} {email} {extra}");
    };
    let (rest, mobile) = ("post_comment_rest", "post_comment_mobile");
    let mark = json!({"unique_temp_id": "hookfan-0197-aa"});
    let extras = json!({"extras": {"hookfan": "0197-aa"}});
    check(rest, "x@x.example", mark.clone(), true);
    check(rest, "x@x.example", extras.clone(), true);
    check(
        rest,
        "x@x.example",
        json!({"extras": "{\"hookfan\":\"a\"}"}),
        true,
    );
    check(mobile, "x@x.example", mark, false);
    check(mobile, "x@x.example", extras, false);
    check(
        rest,
        "x@x.example",
        json!({"unique_temp_id": "android-hookfan-1"}),
        false,
    );
    check(rest, "x@x.example", json!({"extras": "hookfan"}), false);
    check(mobile, "BOT@acme.example", json!({}), true);
    check(mobile, "robot@acme.example", json!({}), false);
}

#[test]
fn who_is_ours_is_an_agent_too() {
    let reading = webhook("post_comment_mobile", "bot@acme.example", &json!({}));
    assert_eq!(reading.direction, Some(Direction::Outgoing));
    assert_eq!(reading.user.as_deref(), Some("rina"));
    let (source, told) = configured::source("qiscus", "ours = [\"bot@acme.example\"]");
    assert!(told.is_empty() && format!("{source:?}").contains("bot@acme.example"));
}

fn api(version: Version) -> Api {
    let base = url::Url::parse("https://acme.qiscus.com").unwrap();
    Api::new(version, "acme", base, Secret::new("s3cret")).unwrap()
}

fn comment(id: u64, before: u64, at: &str) -> Json {
    json!({
        "comment_before_id": before, "disable_link_preview": false, "email": "rina@customer.example.com",
        "id": id, "message": format!("message {id}"), "room_id": 1_375_619, "room_name": "Order A-1042",
        "timestamp": at, "unique_temp_id": format!("temp-{id}"), "username": "Rina",
    })
}

fn page(comments: &[Json]) -> Vec<u8> {
    let body = json!({"results": {"comments": comments}, "status": 200});
    body.to_string().into_bytes()
}

fn only(page: &[u8]) -> Comment {
    let mut walk = Walk::new("1375619", None, 1);
    let _ = walk.take(page).unwrap();
    walk.end().comments.remove(0)
}

#[test]
fn a_page_is_asked_for_by_number() {
    let walk = Walk::new("1375619", None, 3);
    let request = walk.request(&api(Version::V2)).unwrap();
    assert_eq!(request.method, "GET");
    let at = format!("load_comments?room_id=1375619&page=1&limit={LIMIT}");
    assert_eq!(
        request.url.as_str(),
        format!("https://acme.qiscus.com/api/v2/rest/{at}")
    );
    let request = walk.request(&api(Version::V21)).unwrap();
    assert!(
        request
            .url
            .as_str()
            .ends_with(&format!("/api/v2.1/rest/{at}"))
    );
    assert!(!format!("{request:?} {:?}", api(Version::V2)).contains("s3cret"));
    assert!(walk.request(&api(Version::Omnichannel)).is_none());
}

#[test]
fn a_loaded_comment_is_the_event_that_the_webhook_would_have_been() {
    let loaded = only(&sample("api/qiscus/load_comments_v2.response_200.json"));
    let source = Qiscus::default();
    let reading = reading(&source, "1375619", &loaded).unwrap();
    assert!(!reading.ours);
    assert_eq!(reading.event_type.as_str(), "post_comment_mobile");
    assert_eq!(
        reading.vendor_id.as_ref().unwrap().as_str(),
        "pyRIKY4reRXlU4Sp6r97"
    );
    let by_webhook = of_sample("qiscus/post_comment_mobile_text.json");
    assert_eq!(reading.key, by_webhook.key);
    assert_eq!(reading.user.as_deref(), Some("rina@customer.example.com"));
    let message = reading.message.clone().unwrap();
    assert_eq!(
        (message.text.as_str(), message.kind.as_str()),
        ("testing", "text")
    );
    assert_eq!(message.conversation.name.as_deref(), Some("Order A-1042"));
    assert_eq!(
        message.sent_at,
        Timestamp::parse_rfc3339("2017-02-07T19:01:00Z")
    );
    let event = event_of("qiscus", &reading);
    assert_eq!(
        message_of(&event, &reading.payload),
        Some(message),
        "it can be read again"
    );
}

#[test]
fn what_came_by_webhook_already_has_the_same_vendor_id() {
    let name = "qiscus_omnichannel/sdk_v21_post_comment_mobile_text.json";
    let came = of_sample(name);
    let body: Json = serde_json::from_slice(&sample(name)).unwrap();
    let mut raw = body["payload"]["message"].clone();
    let object = raw.as_object_mut().unwrap();
    let text = object.remove("text").unwrap();
    object.insert("message".to_owned(), text);
    object.insert(
        "user".to_owned(),
        json!({"user_id": "guest@example.com", "username": "Guest"}),
    );
    let loaded = only(&page(&[raw.clone()]));
    let back = reading(&Qiscus::default(), "1905692", &loaded).unwrap();
    assert_eq!((&back.vendor_id, &back.key), (&came.vendor_id, &came.key));
    let (back, came) = (back.message.unwrap(), came.message.unwrap());
    assert_eq!(
        (back.author, back.text, back.sent_at),
        (came.author, came.text, came.sent_at)
    );

    let object = raw.as_object_mut().unwrap();
    let id = object.remove("unique_temp_id").unwrap();
    object.insert("unique_id".to_owned(), id.clone());
    let renamed = reading(&Qiscus::default(), "1905692", &only(&page(&[raw.clone()]))).unwrap();
    assert_eq!(renamed.vendor_id.unwrap().as_str(), id.as_str().unwrap());
    raw.as_object_mut().unwrap().remove("unique_id");
    let nameless = only(&page(&[raw]));
    let nameless = reading(&Qiscus::default(), "1905692", &nameless).unwrap();
    assert_eq!(nameless.vendor_id.unwrap().as_str(), "914076");
}

#[test]
fn what_we_said_is_known_again_in_the_past_too() {
    let mut ours = comment(2, 1, "2025-07-11T05:46:37Z");
    ours["unique_temp_id"] = "hookfan-0197".into();
    let reading = reading(&Qiscus::default(), "7", &only(&page(&[ours]))).unwrap();
    assert!(reading.ours);
    assert_eq!(reading.event_type.as_str(), "post_comment_rest");
}

#[test]
fn a_walk_brings_each_comment_once_and_oldest_first() {
    let at = |minute: u64| format!("2025-07-11T05:{minute:02}:00Z");
    let c = |id: u64| comment(id, id - 1, &at(id));
    let mut walk = Walk::new("7", None, 10);
    assert_eq!(
        walk.take(&page(&[c(9), c(8), c(7)])).unwrap(),
        Next::Page(2)
    );
    assert_eq!(
        walk.take(&page(&[c(7), c(6), c(5)])).unwrap(),
        Next::Page(3)
    );
    assert!(
        walk.request(&api(Version::V2))
            .unwrap()
            .url
            .as_str()
            .contains("page=3")
    );
    assert_eq!(
        walk.take(&page(&[c(5)])).unwrap(),
        Next::End(Ended::Beginning)
    );
    let loaded = walk.end();
    let ids: Vec<u64> = loaded.comments.iter().filter_map(|one| one.id).collect();
    assert_eq!(ids, [5, 6, 7, 8, 9]);
    assert!(loaded.gaps.is_empty());
}

#[test]
fn a_walk_ends_at_its_time_or_its_pages() {
    let c = |id: u64, at: &str| comment(id, id - 1, at);
    let since = Timestamp::parse_rfc3339("2025-07-11T05:30:00Z");
    let mut walk = Walk::new("7", since, 10);
    let mixed = page(&[
        c(3, "2025-07-11T05:31:00Z"),
        c(2, "2025-07-11T05:30:00Z"),
        c(1, "2025-07-11T05:29:59Z"),
    ]);
    assert_eq!(walk.take(&mixed).unwrap(), Next::End(Ended::Since));
    assert_eq!(walk.end().comments.len(), 2);
    let mut walk = Walk::new("7", None, 2);
    assert_eq!(walk.take(&page(&[c(3, "x")])).unwrap(), Next::Page(2));
    assert_eq!(
        walk.take(&page(&[c(2, "x")])).unwrap(),
        Next::End(Ended::Pages)
    );
    let mut walk = Walk::new("7", None, u32::MAX);
    for number in 1..PAGES_MAX {
        let next = walk.take(&page(&[c(u64::from(number), "x")])).unwrap();
        assert_eq!(next, Next::Page(number + 1));
    }
    assert_eq!(
        walk.take(&page(&[c(5000, "x")])).unwrap(),
        Next::End(Ended::Pages)
    );
    let mut empty = Walk::new("7", None, 5);
    assert_eq!(empty.take(&page(&[])).unwrap(), Next::End(Ended::Beginning));
}

#[test]
fn an_answer_that_is_no_page_is_an_error() {
    let mut walk = Walk::new("7", None, 5);
    for (body, says) in [
        ("<html>", "not JSON"),
        (r#"{"results":{}}"#, "results.comments"),
        (
            r#"{"error":{"message":"Room not found"},"status":404}"#,
            "room not found",
        ),
    ] {
        let Unreadable(said) = walk.take(body.as_bytes()).unwrap_err();
        assert!(said.contains(says), "{said}");
    }
}

#[test]
fn broken_chains_name_what_is_missing() {
    let check = |chain: &[(u64, u64)], expected: &[(u64, u64)]| {
        let chain = chain.iter().map(|&(id, before)| Chained { id, before });
        let expected: Vec<Gap> = expected
            .iter()
            .map(|&(after, until)| Gap { after, until })
            .collect();
        assert_eq!(gaps(chain), expected);
    };
    check(&[], &[]);
    check(&[(5, 3)], &[]);
    check(&[(9, 8), (5, 3), (8, 5)], &[]);
    check(&[(5, 3), (9, 8), (9, 8), (20, 17)], &[(5, 8), (9, 17)]);
    check(&[(5, 0), (6, 0)], &[]);
    let mut walk = Walk::new("7", None, 1);
    let _ = walk
        .take(&page(&[comment(9, 8, "x"), comment(5, 4, "x")]))
        .unwrap();
    assert_eq!(walk.end().gaps, [Gap { after: 5, until: 8 }]);
}

/// The event that the webhook would have been, as the source reads it.
fn reading(reader: &dyn Reader, room: &str, comment: &Comment) -> Result<Reading, Unreadable> {
    read_with(reader, &[], &webhook_body(room, comment)).map(one)
}
