//! What is never stored or never typed: credentials, endless names.

use serde_json::json;

use super::*;
use crate::vendor::qiscus::Qiscus;

const KEY: &str = "sdk-key-of-an-agent";

/// A custom agent allocation without a usable room.
fn without_a_room() -> Bytes {
    let candidate = json!({"email": "a@acme.example", "sdk_key": KEY, "authentication_token": KEY});
    Bytes::from(json!({"candidate_agent": candidate, "email": "c@x.example"}).to_string())
}

#[test]
fn a_body_that_cannot_be_read_keeps_no_credentials() {
    let reader = Qiscus::default();
    let body = without_a_room();
    assert!(read_with(&reader, &[], &body).is_err());
    let kept = reader.unreadable(&body);
    let text = std::str::from_utf8(&kept).unwrap();
    assert!(!text.contains(KEY), "{text}");
    assert!(text.contains("a@acme.example"), "{text}");
    for untouched in ["no JSON", "{\"a\": 1 }"] {
        let body = Bytes::from(untouched);
        assert_eq!(reader.unreadable(&body), body);
    }
}

#[test]
fn credentials_go_whatever_the_body_calls_itself() {
    let candidate = json!({"name": "Agent", "sdk_key": KEY});
    let from = json!({"email": "c@x.example", "name": "C"});
    let inner = json!({"from": from, "room": {"id": 1}, "message": {"type": "text", "text": "hi"}});
    let mut beside = json!({"type": "custom_agent_allocation", "payload": inner});
    beside["candidate_agent"] = candidate.clone();
    let mut within = json!({"type": "post_comment_mobile", "payload": inner});
    within["payload"]["candidate_agent"] = candidate;
    for body in [beside, within] {
        let body = Bytes::from(body.to_string());
        let reading = one(read_with(&Qiscus::default(), &[], &body).unwrap());
        let stored = std::str::from_utf8(&reading.body).unwrap();
        assert!(!stored.contains(KEY), "{stored}");
        assert!(!reading.payload.value().to_string().contains(KEY));
        assert_eq!(reading.key.as_deref(), Some("1"));
        assert_eq!(reading.message.unwrap().text, "hi");
    }
}

#[test]
fn a_chat_body_without_an_agent_is_stored_as_it_came() {
    let body = chat::body(
        "post_comment_mobile",
        "c@x.example",
        json!({"type": "text", "text": "t", "token": "x"}),
    );
    let reading = one(read_with(&Qiscus::default(), &[], &body).unwrap());
    assert_eq!(reading.body, body);
}

#[test]
fn no_type_id_or_key_is_endless() {
    let (generic, told) = configured::source(
        "generic",
        "type = { body = \"t\" }\nid = { body = \"i\" }\nkey = { body = \"k\" }",
    );
    assert_eq!(told, Vec::<String>::new());
    let read = |t: &str, other: &str| {
        let body = Bytes::from(json!({"t": t, "i": other, "k": other}).to_string());
        let reading = one(read_with(&*generic, &[], &body).unwrap());
        let id = reading.vendor_id.unwrap();
        (
            reading.event_type.as_str().to_owned(),
            id.as_str().to_owned(),
            reading.key.unwrap(),
        )
    };
    let (t, id, key) = read(&"t".repeat(256), &"k".repeat(1024));
    assert_eq!((t.len(), id.len(), key.len()), (256, 1024, 1024));
    for letter in ["t", "é", "語"] {
        let long = letter.repeat(5000);
        let (t, id, key) = read(&long, &long);
        assert!(t.len() <= 256 && id.len() <= 1024 && key.len() <= 1024);
        assert!(t.starts_with(letter) && t.contains('…'), "{t}");
        assert_eq!(id, key);
        let (other_t, other_id, _) = read(&format!("{long}x"), &format!("{long}x"));
        assert!(
            t != other_t && id != other_id,
            "what is cut must not become equal"
        );
    }
    let webhook = read_with(
        &Qiscus::default(),
        &[],
        &sample("edge/long_event_type.json"),
    );
    assert!(one(webhook.unwrap()).event_type.as_str().len() <= 256);
}

#[test]
fn a_secret_typed_into_an_endpoint_is_told_and_not_printed() {
    let check = |text: &str, points_at: &str| {
        let text = format!("url = \"https://a.example/\"\n{text}");
        let (_, told) = configured::destination("http", &text);
        assert_eq!(told.len(), 1, "{text}: {told:?}");
        let (at, message) = told[0].split_once(": ").unwrap();
        assert!(at.contains(points_at), "{text}: {at}");
        assert!(!message.contains("hunter2"), "{message}");
        assert!(
            message.starts_with("a secret is typed into the file"),
            "{message}"
        );
    };
    for name in [
        "X-Auth-Key",
        "X-Functions-Key",
        "X-Auth",
        "X-AuthToken",
        "X-Hub-Signature",
        "x-sig",
        "X-Api-Key",
        "Authorization",
        "Cookie",
        "X-Password",
    ] {
        check(&format!("headers = {{ {name} = \"hunter2\" }}"), "hunter2");
    }
    for name in [
        "password",
        "client_secret",
        "apiKey",
        "access_token",
        "privateKey",
    ] {
        check(
            &format!("body = {{ deep = [{{ {name} = \"hunter2\" }}] }}"),
            "hunter2",
        );
    }
    for query in [
        "token=hunter2",
        "a=1&api_key=hunter2",
        "sig=hunter2&x={{ event.id }}",
        "key=hunter2",
    ] {
        let (_, told) =
            configured::destination("http", &format!("url = \"https://a.example/?{query}\""));
        assert_eq!(told.len(), 1, "{query}: {told:?}");
        assert!(
            told[0].contains(": a secret is typed into the file"),
            "{told:?}"
        );
    }
    let (_, told) = configured::destination("http", "url = \"https://me:hunter2@a.example/\"");
    assert!(
        told.len() == 1 && told[0].contains(": a secret is typed into the file"),
        "{told:?}"
    );
}

#[test]
fn what_is_no_secret_may_be_typed() {
    for text in [
        "headers = { X-Author = \"me\", X-Design = \"new\", X-Auth-Key = \"{{ payload.k }}\" }",
        "body = { token = \"{{ payload.t }}\", max_tokens = 5, key = \"a\", password = \"\" }",
        "body = { token_type = \"{{ 'Bearer' }}\", monkey = \"a\", author = \"b\" }",
    ] {
        let (_, told) = configured::destination(
            "http",
            &format!("url = \"https://a.example/?page=2\"\n{text}"),
        );
        assert_eq!(told, Vec::<String>::new(), "{text}");
    }
}

#[test]
fn secrets_from_outside_stand_in_query_and_body_and_are_masked() {
    let text = "url = \"https://a.example/?page=2\"\nquery = { token = { env = \"T\" } }\n\
                body = { user = { password = { env = \"P\" } }, meta = { env = \"{{ 'prod' }}\" } }";
    let (writer, told) = configured::destination("http", text);
    assert_eq!(told, Vec::<String>::new());
    let (request, described) = endpoint::sent(&*writer, "edge/long_event_type.json");
    let secret = "offlineplaceholderofflineplaceholder";
    assert_eq!(
        request.url.as_str(),
        format!("https://a.example/?page=2&token={secret}")
    );
    let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(
        body,
        json!({"user": {"password": secret}, "meta": {"env": "prod"}})
    );
    assert!(!described.contains(secret), "{described}");
    for odd in [
        "query = 'a'",
        "query = { a = 'b' }",
        "query = { token = 'hunter2' }",
    ] {
        let (_, told) =
            configured::destination("http", &format!("url = \"https://a.example/\"\n{odd}"));
        assert_eq!(told.len(), 1, "{odd}: {told:?}");
    }
}
