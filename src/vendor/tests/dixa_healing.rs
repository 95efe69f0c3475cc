//! A message's way to Dixa, where something goes wrong.

use serde_json::{Value as Json, json};

use super::dixa_bench::*;
use super::*;
use crate::link::{Counterpart, Standing};
use crate::vendor::dixa::WhenClosed;

const FIND: &str = "GET /beta/endusers?externalId=qiscus%3Arina%40customer.example.com";
const BY_EMAIL: &str = "GET /beta/endusers?email=rina%40customer.example.com";
const NEW_USER: &str = "POST /beta/endusers";
const CREATE: &str = "POST /beta/conversations";
const ADD: &str = "POST /beta/conversations/100/messages";
const LIST: &str =
    "GET /beta/endusers/434ce9f5-14c8-4be1-a0a8-f755010deb9b/conversations?pageLimit=25";
const USER: &str = "qiscus:rina@customer.example.com";
const ROOM: &str = "hookfan:qiscus/1375619:";

fn created(id: i64) -> Said {
    (201, json!({"data": {"id": id}}))
}

fn added() -> Said {
    (200, api("post_message.response_200"))
}

fn own_id() -> String {
    format!("{ROOM}{}", EventId::new(ACCEPTED, 7))
}

/// A list of conversations: id, day of creation, state.
fn conversations(listed: &[(i64, u8, &str)]) -> Said {
    let data: Vec<Json> = listed
        .iter()
        .map(|(id, day, state)| {
            let created = format!("2025-07-{day:02}T09:41:43Z");
            json!({"id": id, "createdAt": created, "state": state, "_type": "ChatConversation"})
        })
        .collect();
    (200, json!({"data": data, "meta": {}}))
}

fn messages(external_ids: &[&str]) -> Said {
    let data: Vec<Json> = external_ids
        .iter()
        .map(|id| json!({"id": "22b95893-0514-4606-a5d8-1880172b3a56", "externalId": id}))
        .collect();
    (200, json!({"data": data}))
}

/// A message whose conversation may have been created by an attempt before.
fn unclear() -> Bench {
    let mut bench = Bench::incoming();
    bench.user = Some(Counterpart::open(RINA));
    bench.conversation = Some(Counterpart::creating());
    bench
}

fn messages_of(id: i64) -> String {
    format!("GET /beta/conversations/{id}/messages")
}

#[test]
fn a_message_that_is_there_already_is_delivered() {
    for message in [
        "Duplicate externalId",
        "DUPLICATE: the ExternalId 'x' exists",
        "externalId is a duplicate",
        "duplicate external id",
    ] {
        let mut bench = Bench::incoming().linked(Standing::Open);
        let answer = (400, json!({"message": message}));
        bench.check(&[answer], &[ADD], &already(400));
    }
    for message in ["Decoding failure in request", "Duplicate", "externalId"] {
        let mut bench = Bench::incoming().linked(Standing::Open);
        let answer = (400, json!({"message": message}));
        bench.check(&[answer], &[ADD], &answered(400));
    }
}

#[test]
fn what_nobody_healed_is_judged_by_its_status() {
    let errors = [
        (401, api("error_401")),
        (403, json!({})),
        (429, api("error_429")),
        (500, api("error_500")),
        (302, json!("")),
    ];
    for (status, body) in errors {
        let mut bench = Bench::incoming().linked(Standing::Open);
        bench.check(&[(status, body.clone())], &[ADD], &answered(status));
        let mut bench = Bench::incoming();
        bench.check(&[(status, body.clone())], &[FIND], &answered(status));
        let script = [no_users(), (status, body.clone())];
        bench.check(&script, &[FIND, NEW_USER], &answered(status));
        bench.user = Some(Counterpart::open(RINA));
        bench.check(&[(status, body)], &[CREATE], &answered(status));
        // Only what surely created nothing takes the mark away.
        let marked = bench.links().1.is_some();
        assert_eq!(marked, status == 500, "{status}");
    }
}

#[test]
fn a_success_that_tells_no_id_is_no_success() {
    for body in [
        json!("<html>"),
        json!({}),
        json!({"data": {}}),
        json!({"data": {"id": "../x"}}),
        json!("{\"data\":{\"id\":1"),
    ] {
        let mut bench = Bench::incoming();
        let lines = [FIND, NEW_USER, CREATE];
        let script = [no_users(), (201, body.clone())];
        bench.check(&script, &lines[..2], &broken());
        assert_eq!(bench.links().0, None);
        bench.user = Some(Counterpart::open(RINA));
        bench.check(&[(201, body)], &[CREATE], &broken());
        // The next attempt looks.
        let (asked, end) = bench.run(&[]);
        assert_eq!((asked[0].line.as_str(), end), (LIST, End::Silence));
    }
    // An unreadable list is not an empty one, or the customer would be created twice.
    for body in [json!("oops"), json!({"data": {}}), json!({})] {
        Bench::incoming().check(&[(200, body)], &[FIND], &broken());
    }
}

#[test]
fn answers_without_a_wrapper_are_read() {
    let mut bench = Bench::incoming();
    let script = [
        (200, json!([])),
        (201, json!({"id": RINA})),
        (201, json!({"id": "100"})),
    ];
    bench.check(&script, &[FIND, NEW_USER, CREATE], &answered(201));
    let linked = (Some(RINA), Some(("100", Standing::Open)));
    assert_eq!(bench.links(), linked);
}

#[test]
fn a_crash_between_creating_and_knowing_makes_no_second_conversation() {
    let mut bench = Bench::incoming();
    bench.user = Some(Counterpart::open(RINA));
    let (asked, end) = bench.run(&[]);
    assert_eq!((asked[0].line.as_str(), end), (CREATE, End::Silence));
    assert_eq!(bench.links().1, Some(("", Standing::Creating)));
    // This very message is in it: nothing is left to do.
    let script = [
        conversations(&[(7, 1, "Open"), (100, 3, "Open")]),
        messages(&["13244", &own_id()]),
    ];
    let lines = [LIST, &messages_of(100)];
    bench.check(&script, &lines, &already(200));
    assert_eq!(bench.links().1, Some(("100", Standing::Open)));
}

#[test]
fn a_conversation_begun_by_an_earlier_message_is_found_and_added_to() {
    let mut bench = unclear();
    let earlier = format!("{ROOM}earlier");
    let script = [
        conversations(&[(100, 3, "Closed"), (9, 1, "Open")]),
        messages(&[&earlier]),
        added(),
    ];
    bench.check(&script, &[LIST, &messages_of(100), ADD], &answered(200));
    assert_eq!(bench.links().1, Some(("100", Standing::Closed)));
}

#[test]
fn what_was_not_created_is_created_after_looking() {
    let mut bench = unclear();
    let other = "hookfan:qiscus/13756190:1";
    let script = [
        conversations(&[(5, 5, "Open"), (4, 4, "Open"), (3, 3, "Open")]),
        messages(&[other]),
        not_found(),
        messages(&[]),
        created(100),
    ];
    let lines = [
        LIST,
        &messages_of(5),
        &messages_of(4),
        &messages_of(3),
        CREATE,
    ];
    bench.check(&script, &lines, &answered(201));
    // A customer without conversations costs one look.
    let script = [conversations(&[]), created(100)];
    unclear().check(&script, &[LIST, CREATE], &answered(201));
}

#[test]
fn looking_has_an_end() {
    let mut bench = unclear();
    let page = |first: i64| {
        let listed: Vec<_> = (0_u8..3)
            .map(|day| (first + i64::from(day), day + 1, "Open"))
            .collect();
        let (status, mut body) = conversations(&listed);
        body["meta"]["next"] =
            json!("/beta/endusers/x/conversations?pageKey=cGFnZQ%3D%3D&pageLimit=25");
        (status, body)
    };
    let mut script = vec![page(10), page(20), page(30), page(40)];
    script.extend((0..5).map(|_| messages(&["13244"])));
    script.push(created(100));
    let (asked, end) = bench.run(&script);
    assert_eq!(end, answered(201));
    let lines: Vec<&str> = asked.iter().map(|asked| asked.line.as_str()).collect();
    assert_eq!(lines[..2], [LIST, &format!("{LIST}&pageKey=cGFnZQ%3D%3D")]);
    // The newest of all pages first.
    let looked: Vec<String> = [12, 22, 32, 42, 11].map(messages_of).to_vec();
    assert_eq!(lines[4..9], looked);
    assert_eq!(lines[9..], [CREATE]);
}

#[test]
fn a_list_of_messages_that_was_cut_off_still_counts() {
    let body = format!(
        r#"{{"data":[{{"id":"a","externalId" : "{}","text":"\"externalId\":\"x\""}},{{"id"#,
        own_id()
    );
    let script = [conversations(&[(100, 1, "Open")]), (200, json!(body))];
    let lines = [LIST, &messages_of(100)];
    unclear().check(&script, &lines, &already(200));
    let script = [conversations(&[(100, 1, "Open")]), (200, json!("<html>"))];
    unclear().check(&script, &lines, &broken());
}

#[test]
fn a_customer_cannot_pretend_to_be_an_earlier_message() {
    let text = format!("\"externalId\":\"{}\"", own_id());
    let listed = json!({"data": [{"id": "a", "attributes": {"content": {"value": text}}}]});
    let script = [
        conversations(&[(7, 1, "Open")]),
        (200, listed),
        created(100),
    ];
    let lines = [LIST, &messages_of(7), CREATE];
    unclear().check(&script, &lines, &answered(201));
}

#[test]
fn a_closed_conversation_is_not_the_new_one_that_was_being_created() {
    let mut bench = unclear();
    bench.desk.when_closed = WhenClosed::New;
    let earlier = format!("{ROOM}earlier");
    let script = [
        conversations(&[(7, 1, "Closed")]),
        messages(&[&earlier]),
        created(100),
    ];
    let lines = [LIST, &messages_of(7), CREATE];
    bench.check(&script, &lines, &answered(201));
    // But it is, where this very message is in it.
    let mut bench = unclear();
    bench.desk.when_closed = WhenClosed::New;
    let script = [conversations(&[(7, 1, "Closed")]), messages(&[&own_id()])];
    bench.check(&script, &lines[..2], &already(200));
}

#[test]
fn a_duplicate_on_creating_is_looked_for() {
    let mut bench = Bench::incoming();
    bench.user = Some(Counterpart::open(RINA));
    let script = [
        duplicate(),
        conversations(&[(100, 1, "Open")]),
        messages(&[&own_id()]),
    ];
    let lines = [CREATE, LIST, &messages_of(100)];
    bench.check(&script, &lines, &already(200));
    // Dixa says twice that it is there, and nobody finds it: it is there.
    bench.conversation = None;
    let script = [duplicate(), conversations(&[]), duplicate()];
    bench.check(&script, &[CREATE, LIST, CREATE], &already(400));
    assert_eq!(bench.links().1, Some(("", Standing::Creating)));
}

#[test]
fn a_conversation_that_is_gone_is_created_anew_and_once() {
    let mut bench = Bench::incoming().linked(Standing::Open);
    let lines = [ADD, CREATE];
    bench.check(&[not_found(), created(101)], &lines, &answered(201));
    assert_eq!(bench.links().1, Some(("101", Standing::Open)));

    let mut bench = Bench::incoming().linked(Standing::Closed);
    bench.desk.when_closed = WhenClosed::Reopen;
    let lines = ["PUT /beta/conversations/100/reopen", CREATE];
    bench.check(&[not_found(), created(101)], &lines, &answered(201));
}

#[test]
fn an_agent_who_is_not_found_costs_no_link() {
    const CHECK: &str = "GET /beta/conversations/100";
    let mut bench = Bench::outgoing().linked(Standing::Open);
    let there = (200, json!({"data": {"id": 100}}));
    bench.check(&[not_found(), there], &[ADD, CHECK], &answered(404));
    assert_eq!(bench.links().1, Some(("100", Standing::Open)));
    let trouble = (503, json!({}));
    bench.check(&[not_found(), trouble], &[ADD, CHECK], &answered(503));
    assert_eq!(bench.links().1, Some(("100", Standing::Open)));
    let script = [not_found(), not_found(), created(101)];
    bench.check(&script, &[ADD, CHECK, CREATE], &answered(201));
    assert_eq!(bench.links().1, Some(("101", Standing::Open)));
}

#[test]
fn a_customer_who_is_gone_is_found_or_created_anew_and_once() {
    let mut bench = Bench::incoming();
    bench.user = Some(Counterpart::open("gone"));
    let script = [not_found(), user(USER), created(100)];
    bench.check(&script, &[CREATE, FIND, CREATE], &answered(201));
    assert_eq!(bench.links().0, Some(RINA));

    let mut bench = Bench::incoming();
    bench.user = Some(Counterpart::open("gone"));
    let missing = || (400, json!({"message": "Requester does not exist"}));
    let script = [missing(), user(USER), missing()];
    bench.check(&script, &[CREATE, FIND, CREATE], &answered(400));

    // The list of his conversations tells it as well.
    let mut bench = unclear();
    bench.user = Some(Counterpart::open("gone"));
    let list = "GET /beta/endusers/gone/conversations?pageLimit=25";
    let script = [not_found(), user(USER), not_found()];
    bench.check(&script, &[list, FIND, LIST], &answered(404));
}

#[test]
fn files_that_cannot_be_fetched_go_as_addresses() {
    let failed = || (400, json!({"message": "Failure to download Attachment"}));
    let mut bench = Bench::file().linked(Standing::Open);
    // The address stands in the caption's next line already, unless it does not.
    bench.reading.message.as_mut().unwrap().quoted = "Receipt".to_owned();
    let asked = bench.check(&[failed(), added()], &[ADD, ADD], &answered(200));
    assert_eq!(asked[0].body["content"]["value"], "Receipt");
    assert_eq!(
        asked[0].body["attachments"],
        json!([{"url": "https://cdn.example.com/u/1669774321_85.jpg"}])
    );
    assert_eq!(
        asked[1].body["content"]["value"],
        "Receipt\nhttps://cdn.example.com/u/1669774321_85.jpg"
    );
    assert_eq!(asked[1].body["attachments"], json!([]));
    assert_eq!(asked[0].body["externalId"], asked[1].body["externalId"]);
    bench.check(&[failed(), failed()], &[ADD, ADD], &answered(400));
    // The same with a conversation around it, which was surely not created.
    bench.conversation = None;
    bench.check(&[failed(), created(100)], &[CREATE, CREATE], &answered(201));
    // Without files it is about something else.
    let mut bench = Bench::incoming().linked(Standing::Open);
    bench.check(&[failed()], &[ADD], &answered(400));
}

#[test]
fn of_several_customers_the_oldest_who_is_ours_is_taken() {
    let entry = |id: &str, created: &str, external_id: &str| json!({"id": id, "createdAt": created, "externalId": external_id});
    let listed = json!({"data": [
        entry("newer", "2021-01-01T00:00:00Z", USER),
        entry("older", "2020-01-01T00:00:00Z", USER),
        entry("oldest", "2019-01-01T00:00:00Z", "someone else"),
    ]});
    let mut bench = Bench::incoming();
    let lines = [FIND, CREATE];
    bench.check(&[(200, listed), created(100)], &lines, &answered(201));
    assert_eq!(bench.links().0, Some("older"));
    // A filter that was not understood lists everybody.
    let everybody = user("someone else");
    let mut bench = Bench::incoming();
    bench.check(&[everybody], &[FIND, NEW_USER], &End::Silence);
}

#[test]
fn an_address_that_somebody_has_already_is_our_customers() {
    let taken = || (400, json!({"message": "Duplicate email address"}));
    let lines = [FIND, NEW_USER, BY_EMAIL, CREATE];
    let mut bench = Bench::incoming();
    let script = [no_users(), taken(), user("by hand"), created(100)];
    bench.check(&script, &lines, &answered(201));
    assert_eq!(bench.links().0, Some(RINA));
    // If nobody has it after all, he is created without.
    for found in [no_users(), taken(), not_found()] {
        let mut bench = Bench::incoming();
        let script = [
            no_users(),
            taken(),
            found,
            (201, json!({"data": {"id": RINA}})),
        ];
        let lines = [FIND, NEW_USER, BY_EMAIL, NEW_USER, CREATE];
        let (asked, _) = bench.run(&script);
        let seen: Vec<&str> = asked.iter().map(|asked| asked.line.as_str()).collect();
        assert_eq!(seen, lines);
        assert_eq!(
            asked[3].body,
            json!({"displayName": "Rina Wijaya", "externalId": USER})
        );
    }
}

#[test]
fn an_address_that_dixa_does_not_like_is_left_out_once() {
    let refused = || (400, json!({"message": "Validation failure"}));
    let script = [no_users(), refused(), refused()];
    let lines = [FIND, NEW_USER, NEW_USER];
    Bench::incoming().check(&script, &lines, &answered(400));
}

#[test]
fn a_user_id_may_be_an_address_or_a_number() {
    let check = |customer: &str, email: Option<&str>, phone: Option<&str>| {
        let mut bench = Bench::incoming();
        bench.customer = Some(customer.to_owned());
        bench.reading.message.as_mut().unwrap().user = None;
        let (asked, _) = bench.run(&[no_users()]);
        let body = &asked[1].body;
        assert_eq!(body["displayName"], customer);
        assert_eq!(body["externalId"], format!("qiscus:{customer}"));
        assert_eq!(body["email"].as_str(), email, "{customer}");
        assert_eq!(body["phoneNumber"].as_str(), phone, "{customer}");
    };
    check("rina@customer.example", Some("rina@customer.example"), None);
    check("6281200000132", None, Some("+6281200000132"));
    check("+4511223344", None, Some("+4511223344"));
    // A number within some country, one that may be any id, and no number.
    check("081200000132", None, None);
    check("90211", None, None);
    check("12345678901234567", None, None);
    check("user@home", None, None);
    // Whoever has a number already is found by it.
    let mut bench = Bench::file();
    let taken = (400, json!({"message": "Duplicate phone number"}));
    let (asked, _) = bench.run(&[no_users(), taken]);
    assert_eq!(asked[1].body["displayName"], "Harpi");
    assert_eq!(asked[2].line, "GET /beta/endusers?phone=%2B6281200000132");
}

#[test]
fn a_link_that_is_no_id_is_said_and_not_sent() {
    let mut bench = Bench::incoming();
    bench.conversation = Some(Counterpart::open("../../queues"));
    let (reason, detail) = bench.refused(&[]);
    assert_eq!(reason, "unlinked");
    assert!(detail.contains("hookfan links set"), "{detail}");
}
