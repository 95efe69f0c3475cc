//! The judge that stands in for Dimension and Dashbot.

use serde_json::{Value as Json, json};

use super::*;
use crate::vendor::dimension::{Host, Request, check_request};

#[test]
fn the_documented_examples_are_taken() {
    let check = |name: &str, kind: &str| {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        let query = format!("platform=universal&v=10.1.1-rest&type={kind}&apiKey=K");
        let body = sample(&format!("api/dimension/{name}.request.json"));
        let request = Request {
            path: "/track",
            query: &query,
            headers: &headers,
            body: &body,
        };
        assert_eq!(
            check_request(Host::Dimension, Some("K"), &request, ACCEPTED)
                .unwrap()
                .kind,
            kind,
            "{name}"
        );
    };
    check("track_incoming", "incoming");
    check("track_full", "incoming");
    check("track_event", "event");
}

const GOOD: &str = "platform=universal&v=1&type=incoming&apiKey=K";

fn refused(path: &str, query: &str, content_type: &'static str, body: &Json) -> (u16, String) {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static(content_type));
    let body = body.to_string();
    let request = Request {
        path,
        query,
        headers: &headers,
        body: body.as_bytes(),
    };
    let refused = check_request(Host::Dimension, Some("K"), &request, ACCEPTED).unwrap_err();
    (refused.status, refused.body)
}

#[test]
fn a_wrong_query_or_head_is_refused_with_its_reason() {
    let fine = json!({"text": "t", "userId": "u"});
    for (path, query, status, says) in [
        ("/other", GOOD, 404, "not found"),
        (
            "/track",
            "platform=universal&v=1&type=incoming",
            403,
            "Forbidden",
        ),
        (
            "/track",
            "platform=universal&v=1&type=incoming&apiKey=X",
            403,
            "Forbidden",
        ),
        (
            "/track",
            "platform=mine&v=1&type=incoming&apiKey=K",
            400,
            "platform",
        ),
        (
            "/track",
            "platform=sms&type=incoming&apiKey=K",
            400,
            "v is missing",
        ),
        (
            "/track",
            "platform=sms&v=1&type=both&apiKey=K",
            400,
            "type must be",
        ),
        (
            "/track",
            "platform=sms&v=1&type=incoming&apiKey=K&apiKey=K",
            400,
            "twice",
        ),
        (
            "/trackhistorical",
            GOOD,
            400,
            "dimensionlabs_timestamp is required",
        ),
    ] {
        let (found, body) = refused(path, query, "application/json", &fine);
        assert!(
            found == status && body.contains(says),
            "{path}?{query}: {found} {body}"
        );
    }
    let (status, body) = refused("/track", GOOD, "text/plain", &fine);
    assert!(status == 400 && body.contains("Content-Type"), "{body}");
}

#[test]
fn a_wrong_body_is_refused_with_its_reason() {
    for (change, says) in [
        (json!({"text": null}), "text must be a string"),
        (json!({"text": " "}), "text is required"),
        (json!({"userId": 7}), "userId must be a string"),
        (json!({"userId": ""}), "userId is required"),
        (json!({"userid": "u"}), "write userId"),
        (json!({"other": 1}), "unknown field"),
        (json!({"incoming": false}), "does not agree"),
        (json!({"incoming": "true"}), "boolean"),
        (json!({"conversationId": "a:b"}), "colon"),
        (json!({"sessionId": 7}), "sessionId must be a string"),
        (json!({"images": [{"src": "x"}]}), "images"),
        (json!({"platformJson": "x"}), "object"),
        (
            json!({"dashbot_timestamp": 1_752_212_797_000_u64}),
            "on this host",
        ),
        (
            json!({"dimensionlabs_timestamp": 1_752_212_797}),
            "not seconds",
        ),
        (
            json!({"dimensionlabs_timestamp": "1752212797000"}),
            "Unix milliseconds",
        ),
        (
            json!({"dimensionlabs_timestamp": 1_752_126_399_999_u64}),
            "older than 24 h",
        ),
        (
            json!({"dimensionlabs_timestamp": 1_752_216_400_000_u64}),
            "ahead",
        ),
    ] {
        let mut body = json!({"text": "t", "userId": "u"});
        for (key, value) in change.as_object().unwrap() {
            body[key] = value.clone();
        }
        let (status, answer) = refused("/track", GOOD, "application/json", &body);
        assert!(status == 400 && answer.contains(says), "{body}: {answer}");
    }
    assert!(
        refused("/track", GOOD, "application/json", &json!([]))
            .1
            .contains("JSON object")
    );
}

#[test]
fn an_event_needs_its_own_fields() {
    let query = "platform=sms&v=1&type=event&apiKey=K";
    for (body, says) in [
        (
            json!({"userId": "u", "name": "n", "type": "odd"}),
            "type of event",
        ),
        (
            json!({"userId": "u", "name": "n", "type": "revenueEvent"}),
            "amount",
        ),
        (
            json!({"userId": "u", "type": "customEvent"}),
            "name is required",
        ),
        (
            json!({"userId": "u", "name": "n", "type": "customEvent", "text": "t"}),
            "text",
        ),
    ] {
        let (status, answer) = refused("/track", query, "application/json", &body);
        assert!(status == 400 && answer.contains(says), "{body}: {answer}");
    }
}
