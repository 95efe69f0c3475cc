//! The emulated Qiscus.

mod comments;

use hookfan::emulate::qiscus::{Options, Shape};
use hookfan::emulate::{Endpoint, Faults, Hook};
use serde_json::{Value, json};

use super::{Emulated, broken, has_the_shape_of, sample};
use crate::support::http::Answer;
use crate::support::receiver::Receiver;
use crate::support::sender::{QISCUS_TOKEN, signed};

const SECRET: &str = "8355105e6171795fca176366e0c16f22";
const APP: &str = "emulated-app";
const ROOM: u64 = 1_375_619;
const AGENT: &str = "agent.budi@shop.example.com";
const RINA: &str = "rina@customer.example.com";
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

fn start(options: Options) -> Emulated {
    let qiscus = Emulated::start(Endpoint::Qiscus(options), SECRET, Faults::default());
    qiscus
        .qiscus()
        .add_room(ROOM, "Order A-1042", &[RINA, AGENT]);
    qiscus
}

fn v2(qiscus: &Emulated, method: &str, endpoint: &str, body: &Value) -> Answer {
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let headers = [("QISCUS_SDK_SECRET", SECRET), ("webhook-id", "e1")];
    qiscus.ask(
        method,
        &format!("/api/v2/rest/{endpoint}"),
        &headers,
        body.as_bytes(),
    )
}

fn v21(qiscus: &Emulated, method: &str, endpoint: &str, body: &Value) -> Answer {
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let headers = [("QISCUS-SDK-SECRET", SECRET), ("QISCUS-SDK-APP-ID", APP)];
    qiscus.ask(
        method,
        &format!("/api/v2.1/rest/{endpoint}"),
        &headers,
        body.as_bytes(),
    )
}

#[test]
fn rooms_are_created_changed_joined_and_left() {
    let qiscus = start(Options::default());
    let fresh = json!({"name": "R", "participants": [RINA], "creator": AGENT});
    let room = v2(&qiscus, "POST", "create_room", &fresh).json();
    assert_eq!(room["results"]["participants"], json!([AGENT, RINA]));
    let id = room["results"]["room_id"].to_string();
    let options = "{\"a\":1}";
    let update = json!({"user_email": AGENT, "room_id": id, "room_name": "S", "options": options});
    let changed = v2(&qiscus, "POST", "update_room", &update).json();
    assert_eq!(changed["results"]["changed"], true);
    assert_eq!(changed["results"]["room"]["room_name"], "S");
    for (pointer, put) in [("/user_email", "x@y.example"), ("/options", "{")] {
        let wrong = broken(&update, pointer, Some(json!(put)));
        let answer = v2(&qiscus, "POST", "update_room", &wrong);
        assert_eq!(answer.status, 400, "{pointer}");
    }
    let cici = "cici@shop.example.com";
    let who = json!({"room_id": id, "emails": [cici]});
    let joined = v2(&qiscus, "POST", "add_room_participants", &who).json();
    assert_eq!(
        joined["results"]["participants"],
        json!([AGENT, RINA, cici])
    );
    let who = json!({"room_id": id, "user_ids": [RINA]});
    let left = v21(&qiscus, "POST", "remove_room_participants", &who).json();
    assert_eq!(left["results"]["participants_removed"][0]["user_id"], RINA);
    let held = qiscus.qiscus().room(id.parse().unwrap()).unwrap();
    assert_eq!(held.participants, [AGENT, cici]);
    assert_eq!((held.name.as_str(), held.options.as_str()), ("S", options));
}

#[test]
fn rooms_of_two_are_found_again_and_cannot_grow() {
    let qiscus = start(Options::default());
    let target = "get_or_create_room_with_target";
    let pair = format!("{target}?emails[]={RINA}&emails[]={AGENT}");
    let one = v2(&qiscus, "GET", &pair, &Value::Null).json()["results"]["room"].clone();
    assert_eq!(one["chat_type"], "single");
    let two = json!({"user_ids": [AGENT, RINA]});
    let other = v21(&qiscus, "POST", target, &two).json()["results"]["room"].clone();
    assert_eq!(other["room_id"], one["id"].to_string());
    let three = json!({"user_ids": [AGENT, RINA, "x@y.example"]});
    assert_eq!(v21(&qiscus, "POST", target, &three).status, 400);
    let third = json!({"room_id": other["room_id"], "emails": ["x@y.example"]});
    let answer = v2(&qiscus, "POST", "add_room_participants", &third);
    assert_eq!(answer.status, 400);
}

#[test]
fn rooms_are_listed() {
    let qiscus = start(Options::default());
    let wanted = json!({"room_id": ["1375619", "7"], "user_email": AGENT});
    let info = v2(&qiscus, "POST", "get_rooms_info", &wanted).json();
    assert_eq!(info["results"]["rooms_info"].as_array().unwrap().len(), 1);
    let path = "get_rooms_info?room_ids[]=1375619";
    let info = v21(&qiscus, "GET", path, &Value::Null).json();
    assert_eq!(info["results"]["rooms"][0]["room_name"], "Order A-1042");
    let more = "room_type=group&show_participants=true&page=1";
    let path = format!("get_user_rooms?user_email={AGENT}&{more}");
    let mine = v2(&qiscus, "GET", &path, &Value::Null).json()["results"].clone();
    assert_eq!(mine["meta"], json!({"current_page": 1, "total_room": 1}));
    assert_eq!(mine["rooms_info"][0]["participants"][0]["email"], RINA);
}

#[test]
fn system_events_and_users_have_their_endpoints() {
    let qiscus = start(Options::default());
    let post = |body: Value| v2(&qiscus, "POST", "post_system_event_message", &body);
    let added = json!({"system_event_type": "add_member", "room_id": "1375619", "subject_email": AGENT, "object_email": [RINA]});
    let comment = post(added.clone()).json()["results"]["comment"].clone();
    assert_eq!(
        (&comment["message"], &comment["type"], &comment["username"]),
        (
            &json!("agent.budi added rina"),
            &json!("system_event"),
            &json!("System")
        )
    );
    assert_eq!(comment["payload"]["object_email"], RINA);
    for (pointer, put) in [
        ("/object_email", None),
        ("/subject_email", None),
        ("/system_event_type", Some(json!("resolved"))),
        ("/system_event_type", Some(json!("change_room_name"))),
        ("/system_event_type", Some(json!("custom"))),
    ] {
        assert_eq!(post(broken(&added, pointer, put)).status, 400, "{pointer}");
    }
    let custom = json!({"system_event_type": "custom", "room_id": "1375619", "subject_user_id": AGENT, "message": "m", "payload": {"type": "add_admin"}});
    let comment = v21(&qiscus, "POST", "post_system_event_message", &custom).json();
    assert_eq!(
        comment["results"]["comment"]["payload"],
        json!({"type": "custom", "payload": {"type": "add_admin"}})
    );
    assert_eq!(
        v2(
            &qiscus,
            "GET",
            "user_profile?user_email=cici@shop.example.com",
            &Value::Null
        )
        .status,
        404
    );
    let cici = json!({"email": "cici@shop.example.com", "username": "Cici"});
    assert_eq!(v2(&qiscus, "POST", "login_or_register", &cici).status, 200);
    let profile = v2(
        &qiscus,
        "GET",
        "user_profile?user_email=cici@shop.example.com",
        &Value::Null,
    )
    .json();
    assert_eq!(profile["results"]["user"]["username"], "Cici");
}

#[test]
fn the_wrong_secret_room_method_or_encoding_is_refused() {
    let qiscus = start(Options::default());
    let body = sample("api/qiscus/post_comment_v2.request.json").to_string();
    let (old, new) = ("/api/v2/rest/post_comment", "/api/v2.1/rest/post_comment");
    for (path, headers, status) in [
        (old, vec![], 401),
        (old, vec![("qiscus_sdk_secret", "wrong")], 401),
        (old, vec![("qiscus-sdk-secret", SECRET)], 401),
        (new, vec![("qiscus_sdk_secret", SECRET)], 401),
        (
            new,
            vec![
                ("qiscus_sdk_secret", SECRET),
                ("qiscus_sdk_app_id", "other"),
            ],
            401,
        ),
        (
            new,
            vec![
                ("qiscus_sdk_secret", SECRET),
                ("qiscus_sdk_app_id", APP),
                FORM,
            ],
            415,
        ),
        (
            "/emulated-app/bot",
            vec![("qiscus_sdk_secret", SECRET)],
            401,
        ),
        ("/other-app/bot", vec![], 404),
        (
            "/api/v2/rest/post_comments",
            vec![("qiscus_sdk_secret", SECRET)],
            404,
        ),
        (
            "/api/v2/rest/get_user_rooms",
            vec![("qiscus_sdk_secret", SECRET)],
            404,
        ),
    ] {
        let answer = qiscus.ask("POST", path, &headers, body.as_bytes());
        assert_eq!(answer.status, status, "{path} {headers:?}");
    }
    assert_eq!(qiscus.counts().refused, 10);
    let elsewhere = broken(
        &sample("api/qiscus/post_comment_v2.request.json"),
        "/room_id",
        Some(json!("7")),
    );
    assert_eq!(v2(&qiscus, "POST", "post_comment", &elsewhere).status, 404);
    assert_eq!(
        qiscus.counts().declined,
        1,
        "a good request for a room that is not there"
    );
    let any = start(Options {
        any_room: true,
        ..Options::default()
    });
    assert_eq!(v2(&any, "POST", "post_comment", &elsewhere).status, 200);
    assert_eq!(any.qiscus().room(7).unwrap().comments.len(), 1);
}

#[test]
fn what_is_posted_comes_back_as_a_signed_webhook() {
    for (shape, file) in [
        (Shape::Seed, "qiscus/post_comment_rest_text.json"),
        (
            Shape::Current,
            "qiscus_omnichannel/sdk_v21_post_comment_mobile_text.json",
        ),
    ] {
        let receiver = Receiver::start();
        let qiscus = start(Options {
            shape,
            ..Options::default()
        });
        qiscus.post_webhooks(Some(Hook {
            url: format!("{}/hooks/qiscus", receiver.url()).parse().unwrap(),
            secret: QISCUS_TOKEN.to_owned(),
        }));
        let body = sample("api/qiscus/post_comment_v2.request.json");
        assert_eq!(v2(&qiscus, "POST", "post_comment", &body).status, 200);
        qiscus.qiscus().says(ROOM, RINA, "thanks").unwrap();
        let arrived = receiver.gets(2);
        let (echo, said) = (arrived[0].request.json(), arrived[1].request.json());
        has_the_shape_of(&echo, &sample(file), "webhook");
        assert_eq!(
            (&echo["type"], &said["type"]),
            (&json!("post_comment_rest"), &json!("post_comment_mobile"))
        );
        assert_eq!(said["payload"]["from"]["email"], RINA);
        assert_eq!(
            echo["payload"]["message"].get("unique_temp_id").is_some(),
            shape == Shape::Current
        );
        for arrived in &arrived {
            let expected = signed(&arrived.request.body).pop().unwrap().1;
            assert_eq!(
                arrived.request.header("qiscus-sdk-signature"),
                Some(expected.as_str())
            );
        }
    }
}
