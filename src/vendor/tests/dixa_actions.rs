//! What can be done at Dixa beside saying something, and what it may depend on.

use std::time::Duration;

use serde_json::{Value as Json, json};

use super::dixa_bench::*;
use super::*;
use crate::link::{Counterpart, Standing};
use crate::vendor::dixa::Channel;

const QUEUE: &str = "92f8d193-b26f-4a62-86a3-bb03ee0915e9";
const AGENT: &str = "a53b25da-f676-4c52-acac-58c9280aa23d";
const AVAILABILITY: &str = "GET /beta/queues/92f8d193-b26f-4a62-86a3-bb03ee0915e9/availability";
const POSITION: &str = "GET /beta/queues/conversation-position/100";
const ADD: &str = "POST /beta/conversations/100/messages";

fn resolved(action: &'static str, with: Json) -> Bench {
    Bench::of("qiscus_omnichannel/mark_as_resolved")
        .linked(Standing::Open)
        .acting(action, with)
}

#[test]
fn every_action_is_one_request() {
    let at = ACCEPTED.to_string();
    let check = |action, with: Json, line: &str, status: u16, body: Json| {
        let mut bench = resolved(action, with);
        let asked = bench.check(&[(status, json!({}))], &[line], &answered(status));
        assert_eq!(asked[0].body, body, "{action}");
    };
    let path = |tail: &str| format!("PUT /beta/conversations/100/{tail}");
    check("close", json!({}), &path("close"), 204, json!({}));
    let user = json!({"userId": AGENT});
    let by = json!({"user_id": AGENT});
    check("close", by.clone(), &path("close"), 204, user.clone());
    check("reopen", by, &path("reopen"), 204, user);
    check(
        "followup",
        json!({"timestamp": "2025-01-08T08:31:25Z", "user_id": AGENT}),
        &path("followup"),
        204,
        json!({"timestamp": "2025-01-08T08:31:25.000Z", "userId": AGENT}),
    );
    check(
        "followup",
        json!({"after": "24h"}),
        &path("followup"),
        204,
        json!({"timestamp": ACCEPTED.plus(Duration::from_secs(86_400)).to_string()}),
    );
    check(
        "transfer",
        json!({"queue_id": QUEUE, "user_id": AGENT}),
        &path("transfer/queue"),
        204,
        json!({"queueId": QUEUE, "userId": AGENT}),
    );
    check(
        "claim",
        json!({"agent_id": AGENT, "force": true}),
        &path("claim"),
        204,
        json!({"agentId": AGENT, "force": true}),
    );
    check(
        "claim",
        json!({}),
        &path("claim"),
        204,
        json!({"agentId": BUDI, "force": false}),
    );
    let path = |tail: &str| format!("POST /beta/conversations/100/{tail}");
    check(
        "note",
        json!({"message": "Resolved by {{ payload.resolved_by.name }}", "agent_id": AGENT}),
        &path("notes"),
        200,
        json!({"message": "Resolved by Dewi", "agentId": AGENT, "createdAt": at}),
    );
    check(
        "rating_offer",
        json!({"rating_type": "Csat", "agent_id": AGENT}),
        &path("ratings/offer"),
        201,
        json!({"ratingType": "Csat", "agentId": AGENT, "offeredAt": at}),
    );
    check(
        "rating_submit",
        json!({"rating_type": "Nps", "rating": "{{ 9 }}", "rating_id": "r-1", "comment": "Good"}),
        &path("ratings/r-1/submit"),
        201,
        json!({"ratingResult": {"value": 9, "_type": "Nps"}, "comment": "Good", "submittedAt": at}),
    );
}

#[test]
fn a_follow_up_is_due_at_the_same_time_however_late_it_is_sent() {
    let mut bench = resolved("followup", json!({"after": "2h"}));
    let (first, _) = bench.run(&[]);
    bench.now = ACCEPTED.plus(Duration::from_secs(3600));
    let (again, _) = bench.run(&[]);
    assert_eq!(first[0].body, again[0].body);
}

#[test]
fn a_note_says_what_the_message_says_unless_told() {
    let mut bench = Bench::incoming()
        .linked(Standing::Open)
        .acting("note", json!({}));
    let (asked, _) = bench.run(&[(200, json!({}))]);
    assert_eq!(asked[0].body["message"], "Hello, where is my order A-1042?");
}

#[test]
fn closing_and_reopening_are_remembered() {
    let mut bench = resolved("close", json!({}));
    bench.run(&[(204, json!(""))]);
    assert_eq!(bench.links().1, Some(("100", Standing::Closed)));
    bench.action = "reopen";
    bench.run(&[(404, json!(""))]);
    assert_eq!(bench.links().1, Some(("100", Standing::Closed)));
    bench.run(&[(204, json!(""))]);
    assert_eq!(bench.links().1, Some(("100", Standing::Open)));
    // Another conversation's standing is not this one's.
    let mut bench = resolved("close", json!({"conversation_id": 7}));
    let lines = ["PUT /beta/conversations/7/close"];
    bench.check(&[(204, json!(""))], &lines, &answered(204));
    assert_eq!(bench.links().1, Some(("100", Standing::Open)));
}

#[test]
fn a_refusal_is_final_and_costs_no_link() {
    for status in [400, 404, 409] {
        let mut bench = resolved("claim", json!({}));
        let lines = ["PUT /beta/conversations/100/claim"];
        bench.check(&[(status, api("error_404"))], &lines, &answered(status));
        assert_eq!(bench.links().1, Some(("100", Standing::Open)));
    }
}

#[test]
fn what_an_action_lacks_is_named() {
    let check = |action, with: Json, says: &str| {
        let mut bench = resolved(action, with.clone());
        bench.desk.agent_id = None;
        let (reason, detail) = bench.refused(&[]);
        assert_eq!(reason, "unsendable");
        assert!(detail.contains(says), "{action} {with}: {detail}");
    };
    check("followup", json!({}), "with = { after = \"24h\" }");
    check("followup", json!({"after": "soon"}), "no duration");
    check("followup", json!({"timestamp": "soon"}), "RFC 3339");
    check("transfer", json!({}), "with = { queue_id = ");
    check("transfer", json!({"queue_id": "../x"}), "no id of Dixa's");
    check("transfer", json!({"queue_id": " "}), "with = { queue_id = ");
    check("claim", json!({}), "with = { agent_id = ");
    check("note", json!({}), "with = { message = ");
    check(
        "close",
        json!({"user_ids": "x"}),
        "`user_ids`, which `close` does not take",
    );
    check("note", json!({"message": "{{ payload.nope }}"}), "nope");
    check("rating_offer", json!({}), "with = { rating_type = ");
    check(
        "rating_offer",
        json!({"rating_type": "Stars"}),
        "ThumbsUpOrDown",
    );
    let with =
        |kind: &str, rating: Json| json!({"rating_type": kind, "rating": rating, "rating_id": "r"});
    check(
        "rating_submit",
        json!({"rating_type": "Csat"}),
        "with = { rating = ",
    );
    check("rating_submit", with("Csat", json!(0)), "1 to 5");
    check("rating_submit", with("Csat", json!(6)), "1 to 5");
    check("rating_submit", with("Nps", json!(11)), "0 to 10");
    check(
        "rating_submit",
        with("ThumbsUpOrDown", json!("up")),
        "0 to 1",
    );
    let without = json!({"rating_type": "Csat", "rating": 4});
    check("rating_submit", without, "rating_id");
    check("dance", json!({}), "no action `dance`");
    let mut torn = resolved("close", json!({}));
    torn.with = "{".to_owned();
    assert!(torn.refused(&[]).1.contains("`with`"));
}

#[test]
fn an_action_on_what_is_not_linked_says_how_to_link_it() {
    let mut bench = resolved("close", json!({}));
    bench.conversation = None;
    let (reason, detail) = bench.refused(&[]);
    assert_eq!(reason, "unlinked");
    assert!(
        detail.contains("qiscus/1905692") && detail.contains("hookfan links set"),
        "{detail}"
    );
    // What may have been created is looked for first.
    bench.conversation = Some(Counterpart::creating());
    let listed =
        json!({"data": [{"id": 100, "state": "Open", "createdAt": "2025-07-11T00:00:00Z"}]});
    let said = json!({"data": [{"id": "a", "externalId": "hookfan:qiscus/1905692:x"}]});
    let lines = [
        "GET /beta/endusers/434ce9f5-14c8-4be1-a0a8-f755010deb9b/conversations?pageLimit=25",
        "GET /beta/conversations/100/messages",
        "PUT /beta/conversations/100/close",
    ];
    let script = [(200, listed), (200, said), (204, json!(""))];
    bench.check(&script, &lines, &answered(204));
    assert_eq!(bench.links().1, Some(("100", Standing::Closed)));
    bench.conversation = Some(Counterpart::creating());
    assert_eq!(bench.refused(&[(200, json!({"data": []}))]).0, "unlinked");
    bench.user = None;
    bench.customer = None;
    assert_eq!(bench.refused(&[]).0, "unlinked");
}

#[test]
fn a_rating_is_given_for_the_latest_offer() {
    let mut bench = resolved("rating_offer", json!({"rating_type": "Csat"}));
    let offered =
        json!({"data": {"id": "2f0122db-0824-44d7-b39a-e1f722b8c38c", "ratingType": "Csat"}});
    let (_, end) = bench.run(&[(201, offered)]);
    assert_eq!(end, answered(201));
    bench.action = "rating_submit";
    bench.with = json!({"rating_type": "Csat", "rating": 4}).to_string();
    let line = "POST /beta/conversations/100/ratings/2f0122db-0824-44d7-b39a-e1f722b8c38c/submit";
    bench.check(&[(201, json!({}))], &[line], &answered(201));
    bench.conversation = Some(Counterpart::open("101"));
    assert!(bench.refused(&[]).1.contains("rating_id"));
}

/// A queue's channels: Success for a known state, Failure for none.
fn queue(channels: &[(&str, Option<bool>)]) -> Said {
    let data: Vec<Json> = channels
        .iter()
        .map(|(name, state)| match state {
            Some(is) => json!({"channelAvailability": {"genericChannelName": name,
                "availability": if *is { "Available" } else { "NotAvailable" }, "_type": "GenericChannel"}, "_type": "Success"}),
            None => json!({"error": {"channel": name, "message": "Could not get availability for channel"}, "_type": "Failure"}),
        })
        .collect();
    (200, json!({"data": data}))
}

fn guarded(with: Json) -> Bench {
    Bench::incoming()
        .linked(Standing::Open)
        .acting("message", with)
}

#[test]
fn a_copy_that_requires_an_open_queue_goes_only_then() {
    let with = json!({"require": "queue_available", "queue_id": QUEUE});
    let open = queue(&[("adachat", Some(true))]);
    let lines = [AVAILABILITY, ADD];
    guarded(with.clone()).check(&[open, (200, json!({}))], &lines, &answered(200));
    for closed in [queue(&[("adachat", Some(false))]), queue(&[])] {
        let refused = guarded(with.clone()).refused(&[closed]);
        assert_eq!(refused.0, "queue_unavailable");
    }
    // Nobody knows: later.
    let unknown = [queue(&[("adachat", None)])];
    guarded(with.clone()).check(&unknown, &lines[..1], &broken());
    guarded(with.clone()).check(&[(200, json!("x"))], &lines[..1], &broken());
    // No channel of this organisation has a queue that tells.
    guarded(with).check(&[(409, json!({}))], &lines[..1], &answered(409));
    let (_, detail) = guarded(json!({"require": "queue_available"})).refused(&[]);
    assert!(detail.contains("queue_id"), "{detail}");
    let (_, detail) = guarded(json!({"require": "sunshine"})).refused(&[]);
    assert!(detail.contains("sunshine"), "{detail}");
}

#[test]
fn a_queue_is_open_for_the_channel_that_is_meant() {
    let states = || {
        queue(&[
            ("genericapimessaging", Some(false)),
            ("adachat", Some(true)),
        ])
    };
    let with = json!({"require": "queue_available", "queue_id": QUEUE});
    let mut import = guarded(with.clone()).on(Channel::Import {
        channel_name: "genericapimessaging".to_owned(),
    });
    assert_eq!(import.refused(&[states()]).0, "queue_unavailable");
    let mut with = with;
    with["channel"] = json!("adachat");
    guarded(with).check(&[states()], &[AVAILABILITY, ADD], &End::Silence);
}

#[test]
fn what_a_queue_said_is_believed_for_ten_seconds() {
    let mut bench = guarded(json!({"require": "queue_available", "queue_id": QUEUE}));
    let closed = queue(&[("adachat", Some(false))]);
    assert_eq!(bench.refused(&[closed]).0, "queue_unavailable");
    bench.now = ACCEPTED.plus(Duration::from_millis(9_999));
    assert_eq!(bench.refused(&[]).0, "queue_unavailable");
    bench.now = ACCEPTED.plus(Duration::from_secs(10));
    let open = queue(&[("adachat", Some(true))]);
    bench.check(&[open], &[AVAILABILITY, ADD], &End::Silence);
}

#[test]
fn a_copy_may_require_a_place_near_the_front() {
    let at = |position: i64| {
        let data = json!({"data": {"position": position, "queuedAt": "2021-12-01T13:00:00.003Z"}});
        (200, data)
    };
    let with = json!({"require": "queue_position", "position_max": 5});
    let lines = [POSITION, ADD];
    guarded(with.clone()).check(&[at(5)], &lines, &End::Silence);
    let beyond = guarded(with.clone()).refused(&[at(6)]);
    assert_eq!(beyond.0, "queue_position_beyond_max");
    let nowhere = guarded(with.clone()).refused(&[not_found()]);
    assert_eq!(nowhere.0, "queue_position_unknown");
    guarded(with.clone()).check(&[(200, json!({}))], &lines[..1], &broken());
    guarded(with.clone()).check(&[(500, json!({}))], &lines[..1], &answered(500));
    let mut unlinked = guarded(with);
    unlinked.conversation = None;
    assert_eq!(unlinked.refused(&[]).0, "queue_position_unknown");
    let (_, detail) = guarded(json!({"require": "queue_position"})).refused(&[]);
    assert!(detail.contains("position_max"), "{detail}");
}

#[test]
fn an_action_may_be_guarded_too() {
    let with = json!({"require": "queue_available", "queue_id": QUEUE});
    let mut bench = resolved("transfer", with);
    let lines = [AVAILABILITY, "PUT /beta/conversations/100/transfer/queue"];
    let open = queue(&[("adachat", Some(true))]);
    bench.check(&[open, (204, json!(""))], &lines, &answered(204));
}
