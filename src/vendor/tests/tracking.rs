//! Dimension and Dashbot.

use std::time::Duration;

use serde_json::json;

use super::*;
use crate::settle::Reason;
use crate::vendor::asking::Missing;
use crate::vendor::dimension::{Host, Received, Request, Track, WhenLate, check_request};
use crate::vendor::qiscus::Qiscus;

const KEY: &str = "k3y/with+odd=signs";

fn track(host: Host) -> Track {
    Track::new(host, crate::secret::Secret::new(KEY)).unwrap()
}

fn reading(name: &str) -> Reading {
    one(read_with(&Qiscus::default(), &[], &sample(name)).unwrap())
}

struct Sent<'a> {
    reading: &'a Reading,
    action: &'a str,
    with: &'a str,
    customer: Option<&'a str>,
    now: Timestamp,
}

impl<'a> Sent<'a> {
    fn of(reading: &'a Reading) -> Self {
        Self {
            reading,
            action: "message",
            with: "",
            customer: None,
            now: ACCEPTED,
        }
    }

    fn by(&self, track: &Track) -> Result<Outgoing, Unsendable> {
        let event = event_of("qiscus", self.reading);
        let action = Action {
            name: self.action.into(),
            with: self.with.into(),
        };
        let customer = self.customer.or(event.user.as_deref());
        let message = self.reading.message.as_ref();
        let contents = Contents::known(&event, message, &self.reading.payload);
        track.write(&Call {
            event: &event,
            contents: &contents,
            action: &action,
            customer,
            now: self.now,
        })
    }
}

fn judged(host: Host, request: &Outgoing, now: Timestamp) -> Received {
    let seen = Request {
        path: request.url.path(),
        query: request.url.query().unwrap_or_default(),
        headers: &request.headers,
        body: &request.body,
    };
    check_request(host, Some(KEY), &seen, now)
        .unwrap_or_else(|refused| panic!("{refused:?}: {:?}", request.describe()))
}

#[test]
fn every_chat_sample_makes_a_request_that_the_api_takes() {
    let mut sent = 0;
    for name in ["qiscus", "qiscus_omnichannel", "edge"]
        .iter()
        .flat_map(|folder| listed(folder))
    {
        let reading = reading(&name);
        let Some(message) = &reading.message else {
            continue;
        };
        for host in [Host::Dimension, Host::Dashbot] {
            let track = Track {
                system_events: true,
                ..track(host)
            };
            let request = Sent {
                customer: reading.user.as_deref().or(Some("known")),
                ..Sent::of(&reading)
            }
            .by(&track);
            let received = judged(
                host,
                &request.unwrap_or_else(|error| panic!("{name}: {error:?}")),
                ACCEPTED,
            );
            let kind = match message.direction {
                Direction::Incoming => "incoming",
                Direction::Outgoing => "outgoing",
                Direction::System => "event",
            };
            assert_eq!(received.kind, kind, "{name}");
            assert_eq!(
                received.user_id,
                reading.user.as_deref().unwrap_or("known"),
                "{name}"
            );
            if kind != "event" {
                assert_eq!(received.text, message.text, "{name}");
            }
            sent += 1;
        }
    }
    assert!(sent > 140, "{sent}");
}

#[test]
fn a_request_holds_what_is_known() {
    let reading = reading("qiscus_omnichannel/bot_post_comment_mobile_file_attachment.json");
    let request = Sent::of(&reading).by(&track(Host::Dimension)).unwrap();
    let described = request.describe();
    assert_eq!(
        described["url"],
        "https://tracker.dimensionlabs.io/track?platform=universal&v=11.1.0-rest&type=incoming&apiKey=***"
    );
    let id = EventId::new(ACCEPTED, 7).to_string();
    let expected = json!({
        "text": "Receipt\nhttps://cdn.example.com/u/1669774321_85.jpg",
        "userId": "6281200000132",
        "incoming": true,
        "sessionId": "qiscus-1905692-20250711",
        "conversationId": "qiscus-1905692",
        "dimensionlabs_timestamp": 1_752_212_797_000_u64,
        "platformJson": {"eventId": id, "source": "qiscus", "type": "post_comment_mobile", "messageType": "file_attachment",
            "messageId": "wa_wamid.HBgNNjI4MTExAB=="},
        "platformUserJson": {"firstName": "Harpi"},
        "images": [{"url": "https://cdn.example.com/u/1669774321_85.jpg"}],
    });
    assert_eq!(described["body"], expected);
    for shown in [
        described.to_string(),
        format!("{request:?}"),
        track(Host::Dimension).shown_target(),
        format!("{:?}", track(Host::Dashbot)),
    ] {
        assert!(!shown.contains("k3y") && !shown.contains("odd"), "{shown}");
    }
}

#[test]
fn a_reply_is_sent_plain_and_what_it_replies_to_beside_it() {
    let reading = reading("qiscus/post_comment_mobile_reply.json");
    let received = judged(
        Host::Dashbot,
        &Sent::of(&reading).by(&track(Host::Dashbot)).unwrap(),
        ACCEPTED,
    );
    assert_eq!(received.text, "Yes, that one");
    assert_eq!(
        received.body["platformJson"]["inReplyTo"],
        "Budi (Support): Do you mean order A-1042?"
    );
    assert_eq!(
        received.body["platformUserJson"],
        json!({"firstName": "Rina", "lastName": "Wijaya"})
    );
    assert_eq!(received.timestamp, Some(ACCEPTED.as_millis()));
    let plain = judged(
        Host::Dimension,
        &Sent::of(&self::reading("edge/null_payload.json"))
            .by(&track(Host::Dimension))
            .unwrap(),
        ACCEPTED,
    );
    assert!(plain.body["platformJson"].get("inReplyTo").is_none());
}

#[test]
fn the_user_is_the_customer_for_both_directions() {
    let incoming = reading("qiscus_omnichannel/bot_post_comment_mobile_text.json");
    let outgoing = reading("qiscus_omnichannel/post_comment_rest_agent_text.json");
    for reading in [&incoming, &outgoing] {
        let received = judged(
            Host::Dimension,
            &Sent::of(reading).by(&track(Host::Dimension)).unwrap(),
            ACCEPTED,
        );
        assert_eq!(received.user_id, "6281200000132");
        assert_eq!(received.conversation_id.as_deref(), Some("qiscus-1905692"));
        assert_eq!(received.body["incoming"], received.kind == "incoming");
    }
    let mut unknown = outgoing;
    unknown.user = None;
    unknown.message.as_mut().unwrap().user = None;
    let remembered = Sent {
        customer: Some("rina"),
        ..Sent::of(&unknown)
    }
    .by(&track(Host::Dimension))
    .unwrap();
    assert_eq!(
        judged(Host::Dimension, &remembered, ACCEPTED).user_id,
        "rina"
    );
    match Sent::of(&unknown).by(&track(Host::Dimension)).unwrap_err() {
        Unsendable::Dead {
            reason: Reason::UnknownUser,
            detail,
        } => assert!(detail.contains("unknown_user")),
        other => panic!("{other:?}"),
    }
    let patience = Duration::from_secs(600);
    let waiting = Track {
        unknown_user: Missing::Wait(patience),
        ..track(Host::Dimension)
    };
    let waits = Sent {
        customer: Some(" "),
        ..Sent::of(&unknown)
    }
    .by(&waiting)
    .unwrap_err();
    assert!(
        matches!(waits, Unsendable::Wait { for_at_most, reason: Reason::UnknownUser, .. } if for_at_most == patience)
    );
}

#[test]
fn a_conversation_id_has_no_colon() {
    let mut reading = reading("qiscus/post_comment_mobile_text.json");
    reading.message.as_mut().unwrap().conversation.id = "a:b:c".into();
    let received = judged(
        Host::Dimension,
        &Sent::of(&reading).by(&track(Host::Dimension)).unwrap(),
        ACCEPTED,
    );
    assert_eq!(received.conversation_id.as_deref(), Some("qiscus-a-b-c"));
}

#[test]
fn a_late_message_follows_its_policy() {
    let reading = reading("qiscus/post_comment_mobile_text.json");
    let check = |host: Host, policy: Option<WhenLate>, hours: f64, expected: &str| {
        let mut track = track(host);
        track.when_late = policy.unwrap_or(track.when_late);
        let now = ACCEPTED.plus(Duration::from_secs_f64(hours * 3600.0));
        let said = match (Sent {
            now,
            ..Sent::of(&reading)
        })
        .by(&track)
        {
            Ok(request) => {
                let received = judged(host, &request, now);
                let timed = if received.timestamp == Some(ACCEPTED.as_millis()) {
                    "timed"
                } else {
                    "now"
                };
                assert_eq!(request.late, received.historical || timed == "now");
                format!("{} {timed}", request.url.path())
            }
            Err(Unsendable::Dead { reason, .. }) => format!("dead {reason}"),
            Err(other) => format!("{other:?}"),
        };
        assert_eq!(said, expected, "{host:?} {policy:?} {hours}");
    };
    check(Host::Dimension, None, 0.0, "/track timed");
    check(Host::Dimension, None, 23.9, "/track timed");
    check(Host::Dimension, None, 23.99, "/trackhistorical timed");
    check(Host::Dimension, None, 500.0, "/trackhistorical timed");
    check(Host::Dimension, Some(WhenLate::Now), 25.0, "/track now");
    check(
        Host::Dimension,
        Some(WhenLate::DeadLetter),
        25.0,
        "dead late",
    );
    check(Host::Dashbot, None, 0.9, "/track timed");
    check(Host::Dashbot, None, 1.1, "dead late");
    check(Host::Dashbot, Some(WhenLate::Now), 1.1, "/track now");
}

#[test]
fn a_time_that_lies_ahead_is_not_believed() {
    let mut reading = reading("qiscus/post_comment_mobile_text.json");
    let mut sent_at = |at: Timestamp| {
        reading.message.as_mut().unwrap().sent_at = Some(at);
        judged(
            Host::Dimension,
            &Sent::of(&reading).by(&track(Host::Dimension)).unwrap(),
            ACCEPTED,
        )
        .timestamp
    };
    let minute = ACCEPTED.plus(Duration::from_secs(60));
    assert_eq!(sent_at(minute), Some(minute.as_millis()));
    assert_eq!(
        sent_at(ACCEPTED.plus(Duration::from_secs(3600))),
        Some(ACCEPTED.as_millis())
    );
}

#[test]
fn system_events_are_skipped_unless_told() {
    let reading = reading("qiscus/post_comment_rest_system_event_create_room.json");
    let plain = Sent {
        customer: Some("rina"),
        ..Sent::of(&reading)
    };
    assert_eq!(
        plain.by(&track(Host::Dimension)).unwrap_err(),
        Unsendable::Skip {
            rule: "system_events"
        }
    );
    let told = Track {
        system_events: true,
        ..track(Host::Dimension)
    };
    let received = judged(Host::Dimension, &plain.by(&told).unwrap(), ACCEPTED);
    assert_eq!(
        (received.kind.as_str(), received.text.as_str()),
        ("event", "post_comment_rest")
    );
    assert_eq!(
        received.body["extraInfo"]["text"],
        "Budi created room 'Order A-1042'"
    );
}

#[test]
fn what_is_no_message_needs_the_action_event() {
    let reading = reading("qiscus_omnichannel/mark_as_resolved.json");
    match Sent::of(&reading).by(&track(Host::Dimension)).unwrap_err() {
        Unsendable::Dead {
            reason: Reason::Unsendable,
            detail,
        } => assert!(detail.contains("`when`"), "{detail}"),
        other => panic!("{other:?}"),
    }
    let check = |with: &str, expected: &str| {
        let sent = Sent {
            action: "event",
            with,
            ..Sent::of(&reading)
        }
        .by(&track(Host::Dimension))
        .unwrap();
        let received = judged(Host::Dimension, &sent, ACCEPTED);
        assert_eq!(received.text, expected);
        assert_eq!(received.user_id, "6281200000132");
        assert_eq!(received.conversation_id.as_deref(), Some("qiscus-1905692"));
    };
    check("", "mark_as_resolved");
    check(
        r#"{"name": "resolved by {{ payload.resolved_by.name }}"}"#,
        "resolved by Dewi",
    );
    for (action, with) in [
        ("close", ""),
        ("event", r#"{"name": "{{ payload.nope }}"}"#),
        ("event", r#"{"name": 7}"#),
        ("event", "{"),
    ] {
        let refused = Sent {
            action,
            with,
            ..Sent::of(&reading)
        }
        .by(&track(Host::Dimension))
        .unwrap_err();
        assert!(
            matches!(
                refused,
                Unsendable::Dead {
                    reason: Reason::Unsendable,
                    ..
                }
            ),
            "{action} {with}"
        );
    }
}

#[test]
fn another_base_url_keeps_its_path() {
    let mut track = track(Host::Dimension);
    track.base_url = url::Url::parse("http://127.0.0.1:9/emulated/").unwrap();
    let request = Sent::of(&reading("edge/null_payload.json"))
        .by(&track)
        .unwrap();
    assert!(
        request
            .url
            .as_str()
            .starts_with("http://127.0.0.1:9/emulated/track?platform=")
    );
    assert_eq!(track.shown_target(), "http://127.0.0.1:9/emulated");
}
