//! A message's way to Dixa, where nothing goes wrong.

use std::time::Duration;

use serde_json::{Value as Json, json};

use super::dixa_bench::*;
use super::*;
use crate::expression::Template;
use crate::link::{Standing, What};
use crate::vendor::asking::Missing;
use crate::vendor::dixa::{Channel, Desk, Dixa, EXTERNAL_ID_PREFIX, Mail, WhenClosed};

const ROOM: &str = "hookfan:qiscus/1375619:";
const FIND: &str = "GET /beta/endusers?externalId=qiscus%3Arina%40customer.example.com";
const USER: &str = "qiscus:rina@customer.example.com";

fn external_id() -> String {
    format!("{ROOM}{}", EventId::new(ACCEPTED, 7))
}

/// A sample of the API with other values.
fn sample_with(name: &str, changes: &[(&str, Json)]) -> Json {
    let mut body = api(name);
    for (pointer, value) in changes {
        *body.pointer_mut(pointer).unwrap() = value.clone();
    }
    body
}

fn mail() -> Mail {
    Mail {
        integration: "my-integration@email.dixa.io".to_owned(),
        subject: Template::parse("order {{ message.conversation.name }}").unwrap(),
    }
}

#[test]
fn a_first_message_creates_the_customer_and_the_conversation_around_it() {
    let mut bench = Bench::incoming();
    bench.desk.language = Some("en".to_owned());
    let asked = bench.check(
        &[
            no_users(),
            (201, api("post_endusers.response_201")),
            (201, api("post_conversations.response_201")),
        ],
        &[FIND, "POST /beta/endusers", "POST /beta/conversations"],
        &answered(201),
    );
    let user = sample_with("post_endusers.request", &[("/externalId", json!(USER))]);
    assert_eq!(asked[1].body, user);
    let conversation = sample_with(
        "post_conversations_chat.request",
        &[("/message/externalId", json!(external_id()))],
    );
    assert_eq!(asked[2].body, conversation);
    // Nobody else creates the same at the same time, and a crash leaves a mark.
    let alone: Vec<_> = asked.iter().map(|one| (one.alone, one.marked)).collect();
    let user = (Some(What::User), false);
    assert_eq!(alone, [user, user, (Some(What::Conversation), true)]);
    let linked = (Some(RINA), Some(("100", Standing::Open)));
    assert_eq!(bench.links(), linked);
}

#[test]
fn a_customer_who_is_there_is_found_and_not_created() {
    let mut bench = Bench::incoming();
    let created = (201, api("post_conversations.response_201"));
    let lines = [FIND, "POST /beta/conversations"];
    bench.check(&[user(USER), created], &lines, &answered(201));
    assert_eq!(bench.links().0, Some(RINA));
}

#[test]
fn the_next_message_is_one_request() {
    let mut bench = Bench::incoming().linked(Standing::Open);
    let asked = bench.check(
        &[(200, api("post_message.response_200"))],
        &["POST /beta/conversations/100/messages"],
        &answered(200),
    );
    let expected = sample_with(
        "post_message_inbound.request",
        &[
            ("/content/value", json!("Hello, where is my order A-1042?")),
            ("/externalId", json!(external_id())),
        ],
    );
    assert_eq!(asked[0].body, expected);
    assert_eq!((asked[0].alone, asked[0].marked), (None, false));
}

#[test]
fn an_outgoing_message_is_an_agents_and_needs_no_customer_where_it_is_linked() {
    let mut bench = Bench::outgoing().linked(Standing::Open);
    bench.customer = None;
    let message = bench.reading.message.as_mut().unwrap();
    message.attachments = vec![crate::message::Attachment {
        url: "https://cdn.example.com/u/label.pdf".to_owned(),
        name: Some("label.pdf".to_owned()),
        image: false,
    }];
    let lines = ["POST /beta/conversations/100/messages"];
    let asked = bench.check(&[(200, json!({}))], &lines, &answered(200));
    let expected = sample_with(
        "post_message_outbound.request",
        &[
            ("/content/value", json!("Hello Harpi, how can I help?")),
            (
                "/externalId",
                json!("hookfan:qiscus/1905692:web1752212797123"),
            ),
        ],
    );
    assert_eq!(asked[0].body, expected);
}

#[test]
fn an_author_with_an_id_of_his_own_speaks_as_himself() {
    const DEWI: &str = "359ef707-d77f-4298-a101-43da2d0c5770";
    let mut bench = Bench::outgoing().linked(Standing::Open);
    let agents = &mut bench.desk.agents;
    agents.insert("kovof-123_admin@qismo.com".to_owned(), DEWI.to_owned());
    let author = &mut bench.reading.message.as_mut().unwrap().author;
    author.email = Some("Kovof-123_Admin@qismo.com".to_owned());
    let (asked, _) = bench.run(&[(200, json!({}))]);
    assert_eq!(asked[0].body["agentId"], DEWI);
    bench.desk.agents.clear();
    bench.desk.agent_id = None;
    let (reason, detail) = bench.refused(&[]);
    assert_eq!(reason, "unsendable");
    assert!(
        detail.contains("agent_id = ") && detail.contains("agents = "),
        "{detail}"
    );
}

#[test]
fn every_channel_has_its_own_conversation() {
    let created = || (201, api("post_conversations.response_201"));
    let run = |bench: Bench, channel: Channel| {
        let mut bench = bench.on(channel);
        bench.user = Some(crate::link::Counterpart::open(RINA));
        let (mut asked, end) = bench.run(&[created()]);
        assert_eq!(end, answered(201));
        asked.remove(0)
    };
    let email = run(Bench::incoming(), Channel::Email(mail()));
    let mut expected = sample_with(
        "post_conversations_email.request",
        &[
            ("/subject", json!("order Order A-1042")),
            (
                "/message/content/value",
                json!("Hello, where is my order A-1042?"),
            ),
        ],
    );
    expected["message"]["externalId"] = json!(external_id());
    expected.as_object_mut().unwrap().remove("language");
    assert_eq!(email.body, expected);
    let form = run(Bench::incoming(), Channel::ContactForm(mail()));
    expected["_type"] = json!("ContactForm");
    assert_eq!(form.body, expected);

    let contact_endpoint = "+4588888888".to_owned();
    let sms = run(Bench::outgoing(), Channel::Sms { contact_endpoint });
    assert_eq!(sms.body["_type"], "Sms");
    assert_eq!(sms.body["contactEndpointId"], "+4588888888");
    assert_eq!(sms.body["message"]["_type"], "Outbound");
}

#[test]
fn an_import_tells_when_it_was_said() {
    let mut bench = Bench::incoming();
    bench.desk.channel = Desk::new(crate::secret::Secret::new("k")).unwrap().channel;
    bench.user = Some(crate::link::Counterpart::open(RINA));
    let imported = || (201, json!({"data": {"id": 100, "partialErrors": []}}));
    let lines = ["POST /beta/conversations/import"];
    let asked = bench.check(&[imported()], &lines, &answered(201));
    let at = json!(ACCEPTED.to_string());
    let mut expected = sample_with(
        "post_conversations_import.request",
        &[
            ("/createdAt", at.clone()),
            ("/messages/0/createdAt", at),
            ("/messages/0/externalId", json!(external_id())),
        ],
    );
    // Whether that must be unique is not documented, and nobody needs it.
    expected.as_object_mut().unwrap().remove("externalId");
    assert_eq!(asked[0].body, expected);

    let mut outgoing = Bench::outgoing();
    outgoing.desk.channel = bench.desk.channel;
    outgoing.user = bench.user;
    let (asked, _) = outgoing.run(&[imported()]);
    let body = &asked[0].body;
    assert_eq!(body["direction"], "Outbound");
    assert_eq!(body["messages"][0]["_type"], "OutboundImport");
    assert_eq!(body["messages"][0]["agentId"], BUDI);
    assert_eq!(body["createdAt"], "2025-07-11T05:46:37.123Z");
}

#[test]
fn an_import_whose_message_was_left_out_adds_it() {
    let mut bench = Bench::file();
    bench.desk.channel = Channel::Import {
        channel_name: "MyCustomChat".to_owned(),
    };
    bench.user = Some(crate::link::Counterpart::open(RINA));
    let left_out = json!({"data": {"id": 100, "partialErrors": [{"message": "Invalid attachment url in message"}]}});
    let lines = [
        "POST /beta/conversations/import",
        "POST /beta/conversations/100/messages",
    ];
    let asked = bench.check(&[(201, left_out), duplicate()], &lines, &already(400));
    assert_eq!(
        asked[0].body["messages"][0]["attachments"],
        json!([{"url": "https://cdn.example.com/u/1669774321_85.jpg"}])
    );
    assert_eq!(asked[1].body["attachments"], json!([]));
    // What has nothing to do with the message is no reason.
    bench.conversation = None;
    let imported = (201, api("post_conversations_import.response_201"));
    bench.check(&[imported], &lines[..1], &answered(201));
}

#[test]
fn a_channel_of_texts_gets_files_as_addresses() {
    let mut bench = Bench::file().linked(Standing::Open);
    bench.desk.channel = Desk::new(crate::secret::Secret::new("k")).unwrap().channel;
    let (asked, _) = bench.run(&[(200, json!({}))]);
    assert_eq!(asked[0].body["attachments"], json!([]));
    assert_eq!(
        asked[0].body["content"]["value"],
        "Receipt\nhttps://cdn.example.com/u/1669774321_85.jpg"
    );
}

#[test]
fn a_reply_shows_what_it_replies_to() {
    let mut bench = Bench::of("qiscus/post_comment_mobile_reply").linked(Standing::Open);
    let (asked, _) = bench.run(&[(200, json!({}))]);
    let text = "> Budi (Support): Do you mean order A-1042?\nYes, that one";
    assert_eq!(asked[0].body["content"]["value"], text);
}

#[test]
fn a_closed_conversation_is_reused_reopened_or_left() {
    const ADD: &str = "POST /beta/conversations/100/messages";
    let run = |policy, script: &[Said], lines: &[&str], end: &End| {
        let mut bench = Bench::incoming().linked(Standing::Closed);
        bench.desk.when_closed = policy;
        bench.check(script, lines, end);
        bench
            .links()
            .1
            .map(|(id, standing)| (id.to_owned(), standing))
    };
    let added = || (200, api("post_message.response_200"));
    let stands = run(WhenClosed::Reuse, &[added()], &[ADD], &answered(200));
    assert_eq!(stands, Some(("100".to_owned(), Standing::Closed)));

    let reopen = ["PUT /beta/conversations/100/reopen", ADD];
    for status in [204, 400, 409] {
        let script = [(status, json!({})), added()];
        let stands = run(WhenClosed::Reopen, &script, &reopen, &answered(200));
        assert_eq!(stands, Some(("100".to_owned(), Standing::Open)));
    }
    let stands = run(
        WhenClosed::Reopen,
        &[(503, json!({}))],
        &reopen[..1],
        &answered(503),
    );
    assert_eq!(stands, Some(("100".to_owned(), Standing::Closed)));

    let other = (201, json!({"data": {"id": 101}}));
    let lines = ["POST /beta/conversations"];
    let stands = run(WhenClosed::New, &[other], &lines, &answered(201));
    assert_eq!(stands, Some(("101".to_owned(), Standing::Open)));
}

#[test]
fn a_new_conversation_of_an_unknown_customer_waits_or_is_a_dead_letter() {
    let mut bench = Bench::outgoing();
    bench.customer = None;
    let (reason, detail) = bench.refused(&[]);
    assert_eq!(reason, "unknown_user");
    assert!(detail.contains("unknown_user = { wait"), "{detail}");
    bench.desk.unknown_user = Missing::Wait(Duration::from_secs(600));
    assert_eq!(bench.refused(&[]).0, "wait unknown_user");
}

#[test]
fn what_dixa_does_not_take_is_said_before_anything_is_sent() {
    let contact_endpoint = "+4588888888".to_owned();
    let mut sms = Bench::incoming().on(Channel::Sms { contact_endpoint });
    let (reason, detail) = sms.refused(&[]);
    assert_eq!(reason, "unsendable");
    assert!(detail.contains("`channel`"), "{detail}");

    let (_, detail) = Bench::of("qiscus_omnichannel/mark_as_resolved").refused(&[]);
    assert!(detail.contains("no chat message"), "{detail}");

    let mut lost = Bench::incoming();
    lost.event.key = None;
    assert!(lost.refused(&[]).1.contains("no key"));

    let mut blank = Bench::incoming().on(Channel::Email(Mail {
        integration: "a@email.dixa.io".to_owned(),
        subject: Template::parse("{{ '' }}").unwrap(),
    }));
    blank.user = Some(crate::link::Counterpart::open(RINA));
    assert!(blank.refused(&[]).1.contains("channel.subject"));
}

#[test]
fn a_system_event_is_a_note_where_it_is_wanted_and_there_is_a_place_for_it() {
    let system = || Bench::of("qiscus/post_comment_rest_system_event_join_room");
    assert_eq!(system().refused(&[]).0, "system_events");
    let mut bench = system();
    bench.desk.system_events = true;
    assert_eq!(bench.refused(&[]).0, "system_event_unlinked");
    let mut bench = bench.linked(Standing::Open);
    let lines = ["POST /beta/conversations/100/notes"];
    let asked = bench.check(&[(200, json!({}))], &lines, &answered(200));
    assert_eq!(
        asked[0].body,
        json!({"message": "Rina joined room", "createdAt": ACCEPTED.to_string()})
    );
}

#[test]
fn what_we_said_is_known_when_it_comes_back() {
    let mut bench = Bench::incoming().linked(Standing::Open);
    let (asked, _) = bench.run(&[(200, json!({}))]);
    let mut echo: Json =
        serde_json::from_slice(&sample("dixa/conversation_message_added_inbound.json")).unwrap();
    echo["data"]["external_id"] = asked[0].body["externalId"].clone();
    let body = Bytes::from(echo.to_string());
    assert!(one(read_with(&Dixa, &[], &body).unwrap()).ours);
}

#[test]
fn the_external_id_is_the_same_for_every_attempt_and_no_rooms_is_anothers() {
    let id = |key: &str| {
        let mut bench = Bench::incoming().linked(Standing::Open);
        bench.event.key = Some(Key::from(key));
        let (first, _) = bench.run(&[]);
        bench.now = ACCEPTED.plus(Duration::from_secs(90_000));
        let (again, _) = bench.run(&[]);
        assert_eq!(first[0].body, again[0].body);
        first[0].body["externalId"].as_str().unwrap().to_owned()
    };
    let (one, two) = (id("qiscus/1"), id("qiscus/1:2"));
    assert!(one.starts_with(EXTERNAL_ID_PREFIX));
    assert!(one.starts_with("hookfan:qiscus/1:") && !two.starts_with("hookfan:qiscus/1:"));
    assert_ne!(id("qiscus/1%3A2"), two);
}

#[test]
fn every_chat_sample_makes_a_message() {
    let mut sent = 0;
    for name in ["qiscus", "qiscus_omnichannel", "edge"]
        .iter()
        .flat_map(|folder| listed(folder))
    {
        let mut bench = Bench::of(name.trim_end_matches(".json")).linked(Standing::Open);
        let Some(message) = bench.reading.message.clone() else {
            continue;
        };
        bench.desk.system_events = true;
        let (asked, end) = bench.run(&[(200, json!({}))]);
        assert_eq!((asked.len(), end), (1, answered(200)), "{name}");
        let body = &asked[0].body;
        match message.direction {
            Direction::Incoming => assert_eq!(body["_type"], "Inbound", "{name}"),
            Direction::Outgoing => assert_eq!(body["_type"], "Outbound", "{name}"),
            Direction::System => assert_eq!(body["message"], message.text, "{name}"),
        }
        sent += 1;
    }
    assert!(sent > 70, "{sent}");
}

#[test]
fn an_explanation_shows_the_first_request() {
    let bench = Bench::incoming();
    let action = Action::message();
    let message = bench.reading.message.as_ref();
    let contents = Contents::known(&bench.event, message, &bench.reading.payload);
    let call = Call {
        event: &bench.event,
        contents: &contents,
        action: &action,
        customer: bench.customer.as_deref(),
        now: ACCEPTED,
    };
    let request = bench.desk.write(&call).unwrap().describe();
    assert_eq!(request["method"], "GET");
    assert_eq!(request["headers"]["authorization"], "***");
}
