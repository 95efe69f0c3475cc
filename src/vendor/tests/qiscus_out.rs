//! Qiscus as a destination: what is said.

use serde_json::{Value as Json, json};

use super::scripted::{Asked, End, Talks, came, form, json as body, of_sample, why};
use super::*;
use crate::message::Attachment;
use crate::settle::Outcome;

pub(super) const V2: &str =
    "secret = { env = \"S\" }\napp_id = \"acme\"\nsender = \"bot@acme.example\"\n";
const OK: (u16, &str) = (200, r#"{"results":{},"status":200}"#);
const ROOM: &str = "1375619";

fn talks(more: &str) -> Talks {
    Talks::of("qiscus", &format!("{V2}{more}")).linked(ROOM)
}

fn text_sample() -> Reading {
    of_sample("qiscus/post_comment_mobile_text.json")
}

fn golden(name: &str) -> Json {
    serde_json::from_slice(&sample(name)).unwrap()
}

fn value<'f>(form: &'f [(String, String)], name: &str) -> &'f str {
    let found = form.iter().find(|(have, _)| have == name);
    found.map_or("", |(_, value)| value)
}

/// Type, text and payload of what was posted, whatever the encoding.
fn said(asked: &Asked) -> (String, String, Json) {
    if asked.request.headers["content-type"] == "application/json" {
        let body = body(asked);
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        return (text("type"), text("message"), body["payload"].clone());
    }
    let form = form(&asked.request.body);
    let payload = serde_json::from_str(value(&form, "payload")).unwrap();
    let text = |name: &str| value(&form, name).to_owned();
    (text("type"), text("message"), payload)
}

fn at(text: &mut Reading, said: &str) {
    let message = text.message.as_mut().unwrap();
    message.text = said.to_owned();
    message.quoted = said.to_owned();
}

#[test]
fn v2_takes_a_form_with_the_documented_names() {
    let (asked, end) = talks("").message(&text_sample(), &[OK]);
    assert_eq!(end, came(200));
    let request = &asked[0].request;
    assert_eq!(
        request.url.as_str(),
        "https://acme.qiscus.com/api/v2/rest/post_comment"
    );
    assert_eq!(
        request.headers["content-type"],
        "application/x-www-form-urlencoded"
    );
    assert!(request.headers["qiscus_sdk_secret"].is_sensitive());
    let sent = form(&request.body);
    let golden = golden("api/qiscus/post_comment_v2.request.json");
    let names: Vec<&str> = sent.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        golden.as_object().unwrap().keys().collect::<Vec<_>>()
    );
    let id = EventId::new(ACCEPTED, 7);
    for (name, expected) in [
        ("sender_email", "bot@acme.example"),
        ("room_id", ROOM),
        ("message", "Hello, where is my order A-1042?"),
        ("type", "text"),
        ("payload", "{}"),
        ("unique_temp_id", &format!("hookfan-{id}")),
        ("disable_link_preview", "false"),
    ] {
        assert_eq!(value(&sent, name), expected, "{name}");
    }
}

#[test]
fn v21_takes_json_and_headers_with_dashes() {
    let (asked, end) = talks("api = \"v2.1\"").message(&text_sample(), &[OK]);
    assert_eq!(end, came(200));
    let request = &asked[0].request;
    assert_eq!(
        request.url.as_str(),
        "https://api.qiscus.com/api/v2.1/rest/post_comment"
    );
    assert_eq!(request.headers["qiscus-sdk-app-id"], "acme");
    assert!(request.headers["qiscus-sdk-secret"].is_sensitive());
    assert!(request.headers.get("qiscus_sdk_secret").is_none());
    let sent = body(&asked[0]);
    let golden = golden("api/qiscus/post_comment_v21.request.json");
    let keys = |value: &Json| {
        value
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(keys(&sent), keys(&golden));
    assert_eq!(sent["room_id"], ROOM);
    let id = EventId::new(ACCEPTED, 7).to_string();
    assert_eq!(sent["extras"], json!({ "hookfan": id }));
}

#[test]
fn the_omnichannel_bot_says_texts() {
    let image = of_sample("qiscus/post_comment_mobile_file_attachment_image.json");
    let (asked, end) = talks("api = \"omnichannel\"").message(&image, &[OK]);
    assert_eq!(end, came(200));
    let request = &asked[0].request;
    assert_eq!(
        request.url.as_str(),
        "https://multichannel.qiscus.com/acme/bot"
    );
    assert_eq!(request.headers["qiscus-app-id"], "acme");
    assert!(request.headers["qiscus-secret-key"].is_sensitive());
    let expected = json!({
        "sender_email": "bot@acme.example",
        "message": "The broken part\nhttps://cdn.example.com/u/photo.png",
        "room_id": ROOM,
        "type": "text",
    });
    assert_eq!(body(&asked[0]), expected);
    let said = why(&talks("api = \"omnichannel\"")
        .run(&image, "update_room", "", &[])
        .1);
    assert!(said.contains("messages only"), "{said}");
}

#[test]
fn every_message_type_of_the_samples_is_forwarded() {
    let mut typed = 0;
    let folders = ["qiscus", "qiscus_omnichannel", "edge"];
    for name in folders.iter().flat_map(|folder| listed(folder)) {
        let reading = of_sample(&name);
        let Some(message) = &reading.message else {
            continue;
        };
        for api in ["v2", "v2.1"] {
            let more = format!(
                "api = \"{api}\"\nsource = \"qiscus\"\nsystem_events = true\nlong_text = \"cut\""
            );
            let mut talks = talks(&more).linked(&message.conversation.id);
            let (asked, end) = talks.message(&reading, &[OK]);
            assert_eq!(end, came(200), "{name}");
            let (kind, text, payload) = said(&asked[0]);
            assert!(!text.trim().is_empty(), "{name}");
            let plain = [
                "text",
                "system_event",
                "sticker",
                "button_postback_response",
            ];
            if plain.contains(&message.kind.as_str()) && (api == "v2" || kind == "text") {
                assert_eq!((kind.as_str(), &payload), ("text", &json!({})), "{name}");
            } else {
                assert_eq!(kind, message.kind, "{name}");
                let own: Json = serde_json::from_slice(&sample(&name)).unwrap();
                let own = match &own["payload"]["message"]["payload"] {
                    Json::String(text) => serde_json::from_str(text).unwrap(),
                    own => own.clone(),
                };
                for (key, value) in own.as_object().unwrap() {
                    assert_eq!(&payload[key], value, "{name}");
                }
                typed += 1;
            }
        }
    }
    assert!(typed > 30, "{typed}");
}

#[test]
fn a_reply_to_what_is_not_there_is_quoted() {
    let reply = of_sample("qiscus/post_comment_mobile_reply.json");
    let (asked, _) = talks("").message(&reply, &[OK]);
    let (kind, text, _) = said(&asked[0]);
    assert_eq!(kind, "text");
    assert_eq!(text, reply.message.clone().unwrap().quoted);
    let (asked, _) = talks("source = \"qiscus\"").message(&reply, &[OK]);
    assert_eq!(said(&asked[0]).0, "reply");
    let (asked, _) = talks("source = \"qiscus\"")
        .linked("7")
        .message(&reply, &[OK]);
    assert_eq!(said(&asked[0]).0, "text", "it is another room");
}

#[test]
fn a_cards_picture_has_the_name_each_api_wants() {
    let check = |name: &str, api: &str, key: &str| {
        let card = of_sample(&format!("qiscus/post_comment_rest_card{name}.json"));
        let (asked, _) = talks(&format!("api = \"{api}\"")).message(&card, &[OK]);
        let payload = said(&asked[0]).2;
        assert!(
            payload[key].as_str().unwrap().starts_with("http"),
            "{payload}"
        );
    };
    check("", "v2", "image_url");
    check("_image_url", "v2.1", "image");
}

#[test]
fn files_of_other_vendors_become_file_attachments() {
    let file = |name: Option<&str>| Attachment {
        url: format!("https://f.example/{}", name.unwrap_or("x")),
        name: name.map(str::to_owned),
        image: false,
    };
    let mut reading = text_sample();
    at(&mut reading, "See this\nhttps://f.example/a.pdf");
    reading.message.as_mut().unwrap().attachments = vec![file(Some("a.pdf")), file(None)];
    let mut talks = talks("");
    talks.kind = "quiq";
    let (asked, end) = talks.message(&reading, &[OK, OK]);
    assert_eq!(end, came(200));
    let (kind, text, payload) = said(&asked[0]);
    assert_eq!(
        (kind.as_str(), text.as_str()),
        ("file_attachment", "See this")
    );
    let expected =
        json!({"url": "https://f.example/a.pdf", "caption": "See this", "file_name": "a.pdf"});
    assert_eq!(payload, expected);
    let (kind, text, _) = said(&asked[1]);
    assert_eq!(kind, "file_attachment");
    assert_eq!(text, "[file] https://f.example/x [/file]");
    let marks: Vec<String> = asked
        .iter()
        .map(|asked| value(&form(&asked.request.body), "unique_temp_id").to_owned())
        .collect();
    assert_eq!(marks[1], format!("{}-2", marks[0]));

    reading.message.as_mut().unwrap().attachments = vec![file(None); 21];
    let said = why(&talks.message(&reading, &[]).1);
    assert!(
        said.contains("21 messages") && said.contains("more than 20"),
        "{said}"
    );
}

#[test]
fn a_text_beyond_the_limit_follows_its_policy() {
    let mut reading = text_sample();
    let run = |more: &str, text: &str, reading: &mut Reading, script: &[(u16, &str)]| {
        at(reading, text);
        let (asked, end) = talks(more).message(reading, script);
        let texts: Vec<String> = asked.iter().map(|asked| said(asked).1).collect();
        (texts, end)
    };
    let (limit, beyond) = ("é".repeat(4000), "é".repeat(4001));
    assert_eq!(run("", &limit, &mut reading, &[OK]).0, [limit.as_str()]);
    let (_, end) = run("", &beyond, &mut reading, &[]);
    let said = why(&end);
    assert!(said.starts_with("dead unsendable"), "{said}");
    for word in ["4001", "4000", "text_max", "long_text"] {
        assert!(said.contains(word), "{said}");
    }
    let cut = "long_text = \"cut\"";
    assert_eq!(run(cut, &beyond, &mut reading, &[OK]).0, [limit.as_str()]);
    let split = "long_text = \"split\"\ntext_max = 10";
    let words = "one two three four five";
    let (texts, end) = run(split, words, &mut reading, &[OK, OK, OK]);
    assert_eq!(
        (texts.join("|"), end),
        ("one two|three four|five".to_owned(), came(200))
    );
    let (texts, _) = run(split, &"x".repeat(25), &mut reading, &[OK, OK, OK]);
    assert_eq!(
        texts.iter().map(String::len).collect::<Vec<_>>(),
        [10, 10, 5]
    );
    let (_, end) = run(split, &"x".repeat(201), &mut reading, &[]);
    assert!(why(&end).contains("more than 20"), "{end:?}");
}

#[test]
fn a_cut_never_parts_a_character_from_what_modifies_it() {
    let check = |max: usize, text: &str, expected: &str| {
        let mut reading = text_sample();
        at(&mut reading, text);
        let more = format!("long_text = \"cut\"\ntext_max = {max}");
        let (asked, _) = talks(&more).message(&reading, &[OK]);
        assert_eq!(said(&asked[0]).1, expected, "{text} {max}");
    };
    check(2, "ab\u{301}cd", "a");
    check(2, "a👍🏽b", "a");
    check(4, "a👩\u{200d}👩\u{200d}👧b", "a");
    check(3, "a👍🏽b", "a👍🏽");
    check(1, &format!("a{}", "\u{301}".repeat(40)), "a");
}

#[test]
fn long_words_of_a_typed_message_make_it_a_text() {
    let buttons = of_sample("qiscus/post_comment_rest_buttons.json");
    let (asked, _) = talks("text_max = 20\nlong_text = \"cut\"").message(&buttons, &[OK]);
    let (kind, text, payload) = said(&asked[0]);
    assert_eq!((kind.as_str(), payload), ("text", json!({})));
    assert_eq!(text, "What would you like ");
}

#[test]
fn the_part_that_failed_is_said_again_with_its_own_mark() {
    let mut reading = text_sample();
    at(&mut reading, "one two three four");
    let mut talks = talks("long_text = \"split\"\ntext_max = 10");
    let (asked, end) = talks.message(&reading, &[OK, (503, "")]);
    assert_eq!((asked.len(), end), (2, came(503)));
    let taken = (
        422,
        r#"{"error":{"message":"unique_temp_id has already been taken"},"status":422}"#,
    );
    let (asked, end) = talks.message(&reading, &[taken, OK]);
    assert_eq!((asked.len(), end), (2, came(200)));
}

#[test]
fn who_speaks_and_whose_words_go_there_is_configured() {
    let agent = of_sample("qiscus/post_comment_rest_text.json");
    let system = of_sample("qiscus/post_comment_rest_system_event_create_room.json");
    let run = |more: &str, reading: &Reading| {
        let (asked, end) = talks(more).message(reading, &[OK]);
        asked.first().map_or_else(
            || why(&end),
            |asked| value(&form(&asked.request.body), "sender_email").to_owned(),
        )
    };
    let named = "agent_sender = \"{{ message.author.email }}\"";
    assert_eq!(run(named, &agent), "agent.budi@shop.example.com");
    assert_eq!(run(named, &text_sample()), "bot@acme.example");
    assert_eq!(run("side = \"agent\"", &text_sample()), "skip side");
    assert_eq!(run("side = \"agent\"", &agent), "bot@acme.example");
    assert_eq!(run("side = \"customer\"", &agent), "skip side");
    assert_eq!(run("", &system), "skip system_events");
    assert_eq!(run("system_events = true", &system), "bot@acme.example");
    let blank = "agent_sender = \"{{ message.user.phone | default('') }}\"";
    assert!(run(blank, &agent).contains("nobody speaks"));
    let resolved = of_sample("qiscus_omnichannel/mark_as_resolved.json");
    assert!(run("", &resolved).contains("no chat message"));
}

#[test]
fn an_answers_own_status_counts() {
    let check = |status: u16, answer: &str, expected: End| {
        let (_, end) = talks("").message(&text_sample(), &[(status, answer)]);
        assert_eq!(end, expected, "{answer}");
    };
    check(200, r#"{"error":{"message":"no"},"status":400}"#, came(400));
    check(
        200,
        r#"{"error":{"message":"no"},"status":"403"}"#,
        came(403),
    );
    check(200, "<html>", came(200));
    check(500, r#"{"status":200}"#, came(500));
    let there = |status| End::Came(Outcome::AlreadyThere { status });
    check(
        400,
        r#"{"error":{"errors":{"unique_temp_id":["already exists"]}}}"#,
        there(400),
    );
    check(
        200,
        r#"{"error":{"detailed_messages":["Unique_temp_id is duplicated"]},"status":422}"#,
        there(422),
    );
    check(
        400,
        r#"{"error":{"message":"unique_temp_id does not exist"}}"#,
        came(400),
    );
    check(
        400,
        r#"{"error":{"message":"user already exists"}}"#,
        came(400),
    );
}

#[test]
fn wrong_keys_are_pointed_at() {
    let told = |text: &str| configured::destination("qiscus", text).1.join("\n");
    let bare = told("");
    for missing in ["secret", "app_id", "sender"] {
        assert!(
            bare.contains(&format!("`x.y.{missing}` is missing")),
            "{bare}"
        );
    }
    let own =
        "secret = { env = \"S\" }\nsender = \"b@x.example\"\nbase_url = \"http://127.0.0.1:1\"";
    assert_eq!(told(own), "");
    assert!(told(&format!("{own}\napi = \"v2.1\"")).contains("app_id` is missing"));
    assert!(told(&format!("{own}\napp_id = \"evil.example/\"")).contains("no app id"));
    assert!(told(&format!("{V2}api = \"v3\"")).contains("cannot be \"v3\""));
    assert!(told(&format!("{V2}text_max = 0")).contains("at least 1"));
    assert!(told(&format!("{V2}create_room = true")).contains("creator"));
    let room = "create_room = true\ncreator = \"a@x.example\"\nparticipants = [\"{{ nope }}\"]";
    assert!(told(&format!("{V2}{room}")).contains("nope"));
    let bot = "create_room = true\ncreator = \"a@x.example\"\napi = \"omnichannel\"";
    assert!(told(&format!("{V2}{bot}")).contains("creates no rooms"));
    let preview = "disable_link_preview = true\napi = \"v2.1\"";
    assert!(told(&format!("{V2}{preview}")).contains("only api"));
}
