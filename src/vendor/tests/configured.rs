//! The vendors' own keys of routes.toml.

use toml::de::DeTable;

use super::*;
use crate::decode::{Decoder, Fields, Secrets};

/// What a table of this kind makes, and what is complained about it, each with
/// the text it points at.
fn configure<T>(text: &str, read: impl FnOnce(&mut Fields<'_, '_>) -> T) -> (T, Vec<String>) {
    let table = DeTable::parse(text).unwrap();
    let mut decoder = Decoder::new(Secrets::Offline, "");
    let mut fields = Fields::new(&mut decoder, table.get_ref(), 0, 0..text.len(), "x.y");
    let made = read(&mut fields);
    fields.finish();
    let told = decoder.complaints.iter();
    let told = told.map(|one| format!("{}: {}", &text[one.span.clone()], one.message));
    (made, told.collect())
}

pub(super) fn source(kind: &str, text: &str) -> (Arc<dyn Reader>, Vec<String>) {
    configure(text, find(kind).unwrap().source.as_ref().unwrap().configure)
}

pub(super) fn destination(kind: &str, text: &str) -> (Arc<dyn Writer>, Vec<String>) {
    configure(
        text,
        find(kind).unwrap().destination.as_ref().unwrap().configure,
    )
}

#[test]
fn every_documented_key_is_taken() {
    let nothing: Vec<String> = Vec::new();
    let (qiscus, told) = source(
        "qiscus",
        "agents = [\"*@acme.example\"]\nrest = \"customer\"",
    );
    assert_eq!(told, nothing);
    let shown = format!("{qiscus:?}");
    assert!(
        shown.contains("*@acme.example") && shown.contains("Customer"),
        "{shown}"
    );
    assert!(!shown.contains("qismo"), "{shown}");
    let shop = "type = [{ header = \"X-Shop-Topic\" }, { body = \"topic\" }]\nid = [{ header = \"X-Shop-Id\" }]\nkey = { body = \"order.id\" }";
    let (generic, told) = source("generic", shop);
    assert_eq!(told, nothing);
    assert_eq!(generic.headers(), ["x-shop-topic", "x-shop-id"]);
    for kind in ["standard", "github", "stripe", "slack"] {
        assert_eq!(source(kind, "").1, nothing);
    }
    let track = "api_key = { env = \"K\" }\nbase_url = \"http://127.0.0.1:1/x\"\nplatform = \"webchat\"\nv = \"9\"\n\
                 when_late = \"now\"\nunknown_user = { wait = \"10m\" }\nsystem_events = true";
    for kind in ["dimension", "dashbot"] {
        let (writer, told) = destination(kind, track);
        assert_eq!(told, nothing, "{kind}");
        assert_eq!(writer.shown_target(), "http://127.0.0.1:1/x");
        let shown = format!("{writer:?}");
        assert!(
            shown.contains("Wait(600s)") && shown.contains("webchat") && shown.contains("Now"),
            "{shown}"
        );
    }
    let http = "url = \"https://w.example/in/{{ event.source }}\"\nmethod = \"PUT\"\n\
                headers = { Authorization = { env = \"W\" }, X-Type = \"{{ event.type }}\" }\n\
                sign = { scheme = \"standard\", secret = { env = \"S\" } }\n[body]\ntext = \"{{ message.text }}\"";
    let (writer, told) = destination("http", http);
    assert_eq!(told, nothing);
    assert_eq!(writer.shown_target(), "https://w.example");
}

fn check(told: Vec<String>, expected: &[(&str, &str)]) {
    assert_eq!(told.len(), expected.len(), "{told:?}");
    for (told, (at, says)) in told.iter().zip(expected) {
        assert!(
            told.starts_with(at) && told.contains(says),
            "{told:?} {at} {says}"
        );
    }
}

#[test]
fn a_wrong_key_is_pointed_at() {
    check(
        source("qiscus", "rest = \"nobody\"").1,
        &[("\"nobody\"", "rest")],
    );
    check(
        source("generic", "type = [{ query = \"x\" }]").1,
        &[("{ query", "one place"), ("query", "unknown key")],
    );
    check(
        source("generic", "id = { header = \"bad name\" }").1,
        &[("\"bad name\"", "not a header name")],
    );
    check(
        source("stripe", "agents = []").1,
        &[("agents", "unknown key")],
    );
    check(
        destination("dimension", "v = \"1\"").1,
        &[("v = \"1\"", "needs an api_key")],
    );
    let late = "api_key = { env = \"K\" }\nwhen_late = \"history\"";
    check(
        destination("dashbot", late).1,
        &[("\"history\"", "when_late")],
    );
    let base = "api_key = { env = \"K\" }\nbase_url = \"https://u:p@h/\"";
    check(
        destination("dimension", base).1,
        &[("\"https://u:p@h/\"", "nothing else")],
    );
    let wait = "api_key = { env = \"K\" }\nunknown_user = {}";
    check(destination("dimension", wait).1, &[("{}", "how long")]);
}

#[test]
fn a_wrong_endpoint_is_pointed_at() {
    check(
        destination("http", "method = \"POST\"").1,
        &[("method", "url")],
    );
    check(
        destination("http", "url = \"https://{{ payload.h }}/\"").1,
        &[("{{ payload.h }}", "scheme, host or port")],
    );
    let headers = "url = \"https://h/\"\nheaders = { Host = \"x\", Authorization = \"Bearer t0p\", X-A = 7, X-B = \"{{ nope }}\" }";
    let told = destination("http", headers).1;
    assert!(
        told.iter()
            .all(|told| !told.split_once(": ").unwrap().1.contains("t0p")),
        "{told:?}"
    );
    check(
        told,
        &[
            (
                "\"Bearer t0p\"",
                "a secret is typed into the file: `Authorization`",
            ),
            ("Host", "cannot be configured"),
            ("7", "text or a secret"),
            ("nope", "no `nope`"),
        ],
    );
    let body =
        "url = \"https://h/\"\nbody = { a = \"{{ nope }}\", b = \"{{ message.text | shout }}\" }";
    check(
        destination("http", body).1,
        &[("nope", "no `nope`"), ("shout", "no filter")],
    );
    check(
        destination("http", "url = \"https://h/\"\nsign = {}").1,
        &[("{}", "scheme"), ("{}", "secret")],
    );
}
