//! Any HTTP endpoint.

use ::http::Method;
use serde_json::json;

use super::*;
use crate::expression::Template;
use crate::secret::Secret;
use crate::settle::Reason;
use crate::transform::{BodyShape, HeaderText, Headers, UrlTemplate};
use crate::vendor::http::{Endpoint, Target};
use crate::vendor::qiscus::Qiscus;

fn endpoint(url: &str) -> Endpoint {
    let url = Target::Url(Box::new(UrlTemplate::parse(url).unwrap()));
    Endpoint {
        url,
        method: Method::POST,
        query: Vec::new(),
        headers: Headers::default(),
        body: None,
        sign: None,
    }
}

/// The request, and what people are shown of it.
pub(super) fn sent(writer: &dyn Writer, name: &str) -> (Outgoing, String) {
    let request = write(writer, name).unwrap();
    let shown = format!("{} {request:?}", request.describe());
    (request, shown)
}

fn write(endpoint: &dyn Writer, name: &str) -> Result<Outgoing, Unsendable> {
    let reading = one(read_with(&Qiscus::default(), &[], &sample(name)).unwrap());
    let event = event_of("qiscus", &reading);
    let contents = Contents::known(&event, reading.message.as_ref(), &reading.payload);
    let action = Action::message();
    endpoint.write(&Call {
        event: &event,
        contents: &contents,
        action: &action,
        customer: None,
        now: ACCEPTED,
    })
}

#[test]
fn without_a_body_the_stored_bytes_go_out_untouched() {
    for name in listed("edge") {
        let request = write(&endpoint("https://a.example/in"), &name).unwrap();
        assert_eq!(request.body, sample(&name), "{name}");
        assert_eq!(
            request.headers["content-type"],
            "application/json; charset=utf-8"
        );
        assert_eq!(request.headers.len(), 1);
        assert_eq!(
            (request.method.as_str(), request.url.as_str()),
            ("POST", "https://a.example/in")
        );
    }
}

#[test]
fn a_drawn_body_is_filled_in() {
    let mut to =
        endpoint("https://a.example/in/{{ event.source }}?room={{ message.conversation.id }}");
    let shape = json!({"text": "{{ message.text }}", "who": "{{ message.user.id }}", "raw": "{{ payload.payload.room.id }}"});
    to.body = Some(BodyShape::from_json(&shape).unwrap());
    to.method = Method::PUT;
    to.sign = Some(Secret::new("whsec_c2lnbg=="));
    to.headers
        .add(
            "X-Kind",
            HeaderText::Template(Template::parse("{{ message.kind }}").unwrap()),
        )
        .unwrap();
    to.headers
        .add(
            "Authorization",
            HeaderText::Secret(Secret::new("Bearer 123")),
        )
        .unwrap();
    let request = write(&to, "qiscus/post_comment_mobile_text.json").unwrap();
    assert_eq!(request.sign, to.sign);
    let expected = json!({
        "method": "PUT",
        "url": "https://a.example/in/qiscus?room=1375619",
        "headers": {"x-kind": "text", "authorization": "***", "content-type": "application/json"},
        "body": {"text": "Hello, where is my order A-1042?", "who": "rina@customer.example.com", "raw": 1_375_619},
    });
    assert_eq!(request.describe(), expected);
    for shown in [format!("{request:?}"), format!("{to:?}")] {
        assert!(
            !shown.contains("123") && !shown.contains("c2lnbg"),
            "{shown}"
        );
    }
}

#[test]
fn a_missing_value_is_a_dead_letter_that_names_it() {
    let mut to = endpoint("https://a.example/");
    to.body = Some(BodyShape::from_json(&json!({"a": "{{ payload.nope }}"})).unwrap());
    let check = |to: &Endpoint, name: &str, says: &str| match write(to, name).unwrap_err() {
        Unsendable::Dead {
            reason: Reason::Unsendable,
            detail,
        } => assert!(detail.contains(says), "{detail}"),
        other => panic!("{other:?}"),
    };
    check(&to, "edge/null_payload.json", "`payload.nope` is missing");
    check(
        &endpoint("https://a.example/{{ message.text }}"),
        "qiscus_omnichannel/mark_as_resolved.json",
        "`message` is missing",
    );
    check(
        &endpoint("https://a.example/{{ message.sent_at }}"),
        "qiscus/post_comment_mobile_text.json",
        "message.sent_at",
    );
    let mut header = endpoint("https://a.example/");
    header
        .headers
        .add(
            "X-Text",
            HeaderText::Template(Template::parse("{{ message.text }}").unwrap()),
        )
        .unwrap();
    check(&header, "edge/text_control_and_crlf.json", "`x-text`");
}

#[test]
fn a_configured_content_type_wins() {
    let mut to = endpoint("https://a.example/");
    to.headers
        .add(
            "Content-Type",
            HeaderText::Template(Template::parse("application/vnd.x+json").unwrap()),
        )
        .unwrap();
    let request = write(&to, "edge/null_payload.json").unwrap();
    assert_eq!(request.headers["content-type"], "application/vnd.x+json");
    assert_eq!(to.shown_target(), "https://a.example");
}
