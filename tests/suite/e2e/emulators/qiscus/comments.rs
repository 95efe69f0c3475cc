//! Comments, as the emulated Qiscus takes them.

use hookfan::emulate::qiscus::{Options, Repeat};
use serde_json::{Value, json};

use super::{AGENT, APP, FORM, RINA, ROOM, SECRET, start, v2, v21};
use crate::e2e::emulators::{Emulated, broken, has_the_shape_of, sample};
use crate::support::http::Answer;

#[test]
fn the_sample_comments_are_taken_as_json_and_as_a_form() {
    let qiscus = start(Options::default());
    let good = sample("api/qiscus/post_comment_v2.request.json");
    let answer = v2(&qiscus, "POST", "post_comment", &good);
    assert_eq!(answer.status, 200, "{}", answer.text());
    has_the_shape_of(
        &answer.json(),
        &sample("api/qiscus/post_comment_v2.response_200.json"),
        "comment",
    );
    let form: Vec<(String, String)> = good
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| {
            (
                name.clone(),
                value.as_str().map_or(value.to_string(), str::to_owned),
            )
        })
        .map(|(name, value)| {
            if name == "unique_temp_id" {
                (name, "gw-2".to_owned())
            } else {
                (name, value)
            }
        })
        .collect();
    let form = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(form)
        .finish();
    let headers = [("qiscus_sdk_secret", SECRET), FORM];
    let answer = qiscus.ask(
        "POST",
        "/api/v2/rest/post_comment",
        &headers,
        form.as_bytes(),
    );
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = v21(
        &qiscus,
        "POST",
        "post_comment",
        &sample("api/qiscus/post_comment_v21.request.json"),
    );
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.json()["results"]["comment"]["id"].is_string());
    let bot = json!({"sender_email": AGENT, "message": "Hi", "room_id": "1375619", "type": "text"});
    let headers = [("Qiscus-App-Id", APP), ("Qiscus-Secret-Key", SECRET)];
    let answer = qiscus.ask(
        "POST",
        &format!("/{APP}/bot"),
        &headers,
        bot.to_string().as_bytes(),
    );
    assert_eq!(answer.status, 200, "{}", answer.text());
    let comments = qiscus.qiscus().room(ROOM).unwrap().comments;
    assert_eq!(comments.len(), 4);
    assert!(comments.windows(2).all(|two| two[1].before == two[0].id));
    assert_eq!(comments[0].event.as_deref(), Some("e1"));
    let call = &qiscus.calls()[1];
    assert_eq!(
        call.body.as_ref().unwrap()["unique_temp_id"],
        "gw-2",
        "forms are shown as JSON"
    );
    assert_eq!(qiscus.counts().refused, 0);
}

/// One of the two interfaces.
type Ask = fn(&Emulated, &str, &str, &Value) -> Answer;
/// One place, and what stands there instead.
type Break<'a> = (&'a str, Option<Value>);

#[test]
fn a_comment_broken_in_one_place_is_refused() {
    let qiscus = start(Options::default());
    let long = "x".repeat(4001);
    let old = sample("api/qiscus/post_comment_v2.request.json");
    let new = sample("api/qiscus/post_comment_v21.request.json");
    let cases: &[(Ask, &Value, &[Break<'_>])] = &[
        (
            v2,
            &old,
            &[
                ("/sender_email", None),
                ("/room_id", None),
                ("/room_id", Some(json!(1_375_619))),
                ("/message", None),
                ("/message", Some(json!(" "))),
                ("/message", Some(json!(long))),
                ("/type", Some(json!("system_event"))),
                ("/type", Some(json!("texts"))),
                ("/type", Some(json!("buttons"))),
                ("/payload", Some(json!({}))),
                ("/payload", Some(json!("{"))),
                ("/payload", Some(json!("[]"))),
                ("/disable_link_preview", Some(json!("no"))),
                ("/user_id", Some(json!(AGENT))),
            ],
        ),
        (
            v21,
            &new,
            &[
                ("/user_id", None),
                ("/room_id", None),
                ("/message", None),
                ("/payload", Some(json!("{}"))),
                ("/extras", Some(json!("{}"))),
                ("/sender_email", Some(json!(AGENT))),
            ],
        ),
    ];
    let mut refused = 0;
    for (ask, good, breaks) in cases {
        for (pointer, put) in *breaks {
            let answer = ask(
                &qiscus,
                "POST",
                "post_comment",
                &broken(good, pointer, put.clone()),
            );
            assert_eq!(answer.status, 400, "{pointer} {put:?}");
            assert!(answer.json()["error"]["message"].is_string());
            assert_eq!(answer.json()["status"], 400);
            refused += 1;
            assert_eq!(qiscus.counts().refused, refused, "{pointer} {put:?}");
        }
    }
    let fits = broken(&old, "/message", Some(json!("ü".repeat(4000))));
    assert_eq!(v2(&qiscus, "POST", "post_comment", &fits).status, 200);
}

/// Every payload of the webhook samples can be posted, and not without a part
/// that its type must have.
#[test]
fn each_type_of_comment_has_its_payload() {
    let qiscus = start(Options::default());
    for (name, needed) in [
        ("post_comment_rest_buttons", "buttons"),
        ("post_comment_rest_card", "title"),
        ("post_comment_rest_card_image_url", "text"),
        ("post_comment_rest_carousel", "cards"),
        ("post_comment_rest_custom_object", "content"),
        ("post_comment_rest_custom_string_content", "type"),
        ("post_comment_mobile_location", "latitude"),
        ("post_comment_mobile_location_out_of_range", "name"),
        ("post_comment_mobile_contact_person_email", "value"),
        ("post_comment_mobile_contact_person_type_empty", "name"),
        ("post_comment_rest_account_linking", "redirect_url"),
        ("post_comment_mobile_reply_minimal", "replied_comment_id"),
        ("post_comment_mobile_file_attachment_image", "url"),
    ] {
        let webhook = sample(&format!("qiscus/{name}.json"));
        let message = &webhook["payload"]["message"];
        for (needed, status) in [(None, 200), (Some(needed), 400)] {
            let payload = match needed {
                None => message["payload"].clone(),
                Some(needed) => broken(&message["payload"], &format!("/{needed}"), None),
            };
            let body = json!({
                "user_id": AGENT,
                "room_id": ROOM.to_string(),
                "message": message["text"],
                "type": message["type"],
                "payload": payload,
            });
            let answer = v21(&qiscus, "POST", "post_comment", &body);
            assert_eq!(answer.status, status, "{name}: {}", answer.text());
        }
    }
}

#[test]
fn a_repeated_unique_temp_id_merges_is_refused_or_accepted() {
    for (repeat, status, comments) in [
        (Repeat::Merge, 200, 1),
        (Repeat::Refuse, 400, 1),
        (Repeat::Accept, 200, 2),
    ] {
        let qiscus = start(Options {
            repeat,
            ..Options::default()
        });
        let body = sample("api/qiscus/post_comment_v2.request.json");
        let first = v2(&qiscus, "POST", "post_comment", &body).json();
        let again = v2(&qiscus, "POST", "post_comment", &body);
        assert_eq!(again.status, status, "{repeat:?}");
        if repeat == Repeat::Merge {
            assert_eq!(again.json(), first);
        }
        assert_eq!(qiscus.qiscus().room(ROOM).unwrap().comments.len(), comments);
        assert_eq!(qiscus.counts().refused, 0);
    }
}

#[test]
fn comments_are_read_back_in_pages_newest_first() {
    let qiscus = start(Options::default());
    for n in 0..5 {
        qiscus.qiscus().says(ROOM, RINA, &format!("m{n}")).unwrap();
    }
    let read = |query: &str| {
        let answer = v2(
            &qiscus,
            "GET",
            &format!("load_comments?{query}"),
            &Value::Null,
        );
        assert_eq!(answer.status, 200, "{}", answer.text());
        has_the_shape_of(
            &answer.json(),
            &sample("api/qiscus/load_comments_v2.response_200.json"),
            query,
        );
        let comments = answer.json()["results"]["comments"].clone();
        let texts: Vec<String> = comments
            .as_array()
            .unwrap()
            .iter()
            .map(|comment| comment["message"].as_str().unwrap().to_owned())
            .collect();
        texts
    };
    assert_eq!(read("room_id=1375619&limit=2"), ["m4", "m3"]);
    assert_eq!(read("room_id=1375619&limit=2&page=3"), ["m0"]);
    assert!(read("room_id=1375619&page=2").is_empty());
    assert_eq!(
        v2(&qiscus, "GET", "load_comments", &Value::Null).status,
        400
    );
    assert_eq!(
        v2(&qiscus, "GET", "load_comments?room_id=7", &Value::Null).status,
        404
    );
    assert_eq!(
        v2(
            &qiscus,
            "GET",
            "load_comments?room_id=1375619&page=0",
            &Value::Null
        )
        .status,
        400
    );
}
