//! Qiscus as a destination: rooms, and the actions that are no message.

use serde_json::{Value as Json, json};

use super::qiscus_out::V2;
use super::scripted::{Asked, End, Talks, came, form, json as body, line, lines, of_sample, why};
use super::*;
use crate::link::{Counterpart, What};
use crate::settle::Outcome;

const OK: (u16, &str) = (200, r#"{"results":{},"status":200}"#);
const PAIR: &str = "create_room = true\ncreator = \"bot@acme.example\"\nparticipants = \"{{ message.user.email }}\"\n";
const GROUP: &str = "create_room = true\ncreator = \"bot@acme.example\"\n\
                     participants = [\"{{ message.user.email }}\", \"desk@acme.example\", \"bot@acme.example\"]\n";
const V2_ROOM: &str = r#"{"results":{"creator":"bot@acme.example","room_id":16,"room_name":"Order A-1042","room_type":"group"},"status":200}"#;
const V21_ROOM: &str = r#"{"results":{"room":{"room_id":"17","room_name":"x"}},"status":200}"#;

fn talks(more: &str) -> Talks {
    Talks::of("qiscus", &format!("{V2}{more}"))
}

fn text() -> Reading {
    of_sample("qiscus/post_comment_mobile_text.json")
}

fn fields(asked: &Asked) -> Vec<String> {
    let form = form(&asked.request.body);
    form.iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect()
}

#[test]
fn an_event_of_the_same_account_names_its_room() {
    let (asked, end) = talks("source = \"qiscus\"").message(&text(), &[OK]);
    assert_eq!(end, came(200));
    assert!(fields(&asked[0]).contains(&"room_id=1375619".to_owned()));
    let resolved = of_sample("qiscus_omnichannel/mark_as_resolved.json");
    let with = r#"{"emails":["a@x.example"]}"#;
    let (asked, _) = talks("source = \"qiscus\"").run(&resolved, "add_participants", with, &[OK]);
    assert!(fields(&asked[0]).contains(&"room_id=1905692".to_owned()));
    let mut linked = talks("source = \"qiscus\"").linked("9");
    assert!(fields(&linked.message(&text(), &[OK]).0[0]).contains(&"room_id=9".to_owned()));
    let said = why(&talks("source = \"other\"").message(&text(), &[]).1);
    assert!(said.starts_with("wait 600s unlinked"), "{said}");
    let mut prefix = talks("source = \"qis\"");
    prefix.source = "qis-cus";
    assert!(why(&prefix.message(&text(), &[]).1).starts_with("wait"));
}

#[test]
fn an_unlinked_conversation_says_how_to_link_it() {
    let said = why(&talks("").message(&text(), &[]).1);
    let how = "hookfan links set --destination … qiscus/1375619 <room id>";
    assert!(
        said.starts_with("wait 600s") && said.contains(how),
        "{said}"
    );
    let dead = why(&talks("when_unlinked = \"dead_letter\"")
        .message(&text(), &[])
        .1);
    assert!(dead.starts_with("dead unlinked"), "{dead}");
    let mut keyless = text();
    keyless.key = None;
    assert!(why(&talks("").message(&keyless, &[]).1).starts_with("dead unlinked"));
    assert!(why(&talks(PAIR).message(&keyless, &[]).1).starts_with("dead unsendable"));
}

#[test]
fn a_room_that_is_gone_is_forgotten() {
    let mut talks = talks("").linked("9");
    let gone = (
        200,
        r#"{"error":{"message":"Room not found"},"status":404}"#,
    );
    let (asked, end) = talks.message(&text(), &[gone]);
    assert_eq!(asked.len(), 1);
    let said = why(&end);
    assert!(
        said.starts_with("dead unlinked") && said.contains("no room 9"),
        "{said}"
    );
    assert_eq!(talks.conversation, None);
    let mut other = self::talks("").linked("9");
    let user = (404, r#"{"error":{"message":"User not found"}}"#);
    assert_eq!(other.message(&text(), &[user]).1, came(404));
    assert!(other.conversation.is_some());
    let mut makes = self::talks(GROUP).linked("9");
    let (asked, end) = makes.message(&text(), &[(404, ""), (200, V2_ROOM), OK]);
    assert_eq!((asked.len(), end), (3, came(200)));
    let (asked, end) = makes
        .linked("9")
        .message(&text(), &[(404, ""), (200, V2_ROOM), (404, "")]);
    assert_eq!((asked.len(), end), (3, came(404)), "once only");
}

#[test]
fn a_room_for_two_is_got_or_created() {
    let answer =
        r#"{"results":{"comments":[],"room":{"id":234,"chat_type":"single"}},"status":200}"#;
    let mut talks = talks(PAIR);
    let (asked, end) = talks.message(&text(), &[(200, answer), OK]);
    assert_eq!(end, came(200));
    let expected = "GET /api/v2/rest/get_or_create_room_with_target?emails%5B%5D=bot%40acme.example&emails%5B%5D=rina%40customer.example.com";
    assert_eq!(line(&asked[0]), expected);
    assert_eq!(
        (asked[0].alone, &asked[0].linked),
        (Some(What::Conversation), &None)
    );
    assert!(fields(&asked[1]).contains(&"room_id=234".to_owned()));
    assert_eq!(talks.conversation, Some(Counterpart::open("234")));

    let (asked, _) =
        self::talks(&format!("{PAIR}api = \"v2.1\"")).message(&text(), &[(200, V21_ROOM), OK]);
    assert_eq!(asked[0].request.method, "POST");
    let both = json!({"user_ids": ["bot@acme.example", "rina@customer.example.com"]});
    assert_eq!(body(&asked[0]), both);
    assert_eq!(body(&asked[1])["room_id"], "17");
    let (_, end) = self::talks(PAIR).message(&text(), &[(403, "")]);
    assert_eq!(end, came(403));
}

#[test]
fn a_group_is_created_alone_and_marked_before() {
    let mut talks = talks(GROUP);
    let (asked, end) = talks.message(&text(), &[(200, V2_ROOM), OK]);
    assert_eq!(end, came(200));
    let expected = [
        "name=Order A-1042",
        "participants[]=rina@customer.example.com",
        "participants[]=desk@acme.example",
        "creator=bot@acme.example",
    ];
    assert_eq!(fields(&asked[0]), expected);
    assert_eq!(asked[0].linked, Some(Counterpart::creating()));
    assert_eq!(asked[0].alone, Some(What::Conversation));
    assert_eq!(talks.conversation, Some(Counterpart::open("16")));
    let mut nameless = text();
    nameless.message.as_mut().unwrap().conversation.name = None;
    let (asked, _) = self::talks(GROUP).message(&nameless, &[(200, V2_ROOM), OK]);
    assert_eq!(fields(&asked[0])[0], "name=qiscus/1375619");
    let named = format!("{PAIR}room_name = \"Chat of {{{{ message.user.name }}}}\"");
    let (asked, _) = self::talks(&named).message(&text(), &[(200, V2_ROOM), OK]);
    assert_eq!(fields(&asked[0])[0], "name=Chat of Rina Wijaya");
}

#[test]
fn after_an_unclear_outcome_the_room_is_looked_for() {
    let people = |emails: &[&str]| {
        let people: Vec<Json> = emails.iter().map(|email| json!({"email": email})).collect();
        Json::from(people)
    };
    let room = |id: u32, name: &str, emails: &[&str]| json!({"room_id": id, "room_name": name, "participants": people(emails)});
    let page =
        |rooms: &[Json]| json!({"results": {"rooms_info": rooms}, "status": 200}).to_string();
    let all = [
        "rina@customer.example.com",
        "desk@acme.example",
        "bot@acme.example",
    ];
    let others = page(&[
        room(1, "Order A-1042", &all[..1]),
        room(2, "Other", &all),
        room(
            3,
            "Order A-1042",
            &[
                "rina@customer.example.com",
                "desk@acme.example",
                "x@x.example",
            ],
        ),
    ]);
    let ours = page(&[room(16, "Order A-1042", &all)]);

    let mut talks = talks(GROUP);
    let (_, end) = talks.message(&text(), &[(500, "")]);
    assert_eq!(end, came(500));
    assert_eq!(talks.conversation, Some(Counterpart::creating()));
    let (asked, end) = talks.message(&text(), &[(200, &others), (200, &ours), OK]);
    assert_eq!(end, came(200), "{:?}", lines(&asked));
    let first = "GET /api/v2/rest/get_user_rooms?user_email=bot%40acme.example&page=1&show_participants=true&room_type=group";
    assert_eq!(line(&asked[0]), first);
    assert_eq!(asked[0].alone, Some(What::Conversation));
    assert_eq!(talks.conversation, Some(Counterpart::open("16")));
}

#[test]
fn a_room_that_is_not_found_is_created_again() {
    let other = r#"{"results":{"rooms":[{"room_id":"1","room_options":"{\"hookfan\":\"qiscus/2\"}"}]},"status":200}"#;
    let ours = r#"{"results":{"rooms":[{"room_id":"1","room_options":""},{"room_id":"5","room_options":"{\"hookfan\":\"qiscus/1375619\"}"}]},"status":200}"#;
    let empty = r#"{"results":{"rooms":[]},"status":200}"#;
    let v21 = format!("{GROUP}api = \"v2.1\"");
    let run = |script: &[(u16, &str)]| {
        let mut talks = talks(&v21);
        talks.conversation = Some(Counterpart::creating());
        let (asked, end) = talks.message(&text(), script);
        (asked, end, talks.conversation)
    };
    let (asked, end, link) = run(&[(200, ours), OK]);
    assert_eq!((asked.len(), end), (2, came(200)));
    assert_eq!(link, Some(Counterpart::open("5")));
    let (asked, end, _) = run(&[(200, empty), (200, V21_ROOM), OK]);
    assert_eq!((asked.len(), end), (3, came(200)));
    let options = r#"{"hookfan":"qiscus/1375619"}"#;
    assert_eq!(body(&asked[1])["room_options"], options);
    let pages = [(200, other); 5];
    let script: Vec<_> = pages.into_iter().chain([(200, V21_ROOM), OK]).collect();
    let (asked, end, _) = run(&script);
    assert_eq!((asked.len(), end), (7, came(200)), "five pages at most");
    let (_, end, link) = run(&[(503, "")]);
    assert_eq!((end, link), (came(503), Some(Counterpart::creating())));
}

#[test]
fn only_a_clear_refusal_forgets_that_a_room_is_being_made() {
    let check = |answer: (u16, &str), end: End, kept: bool| {
        let mut talks = talks(GROUP);
        assert_eq!(talks.message(&text(), &[answer]).1, end);
        assert_eq!(talks.conversation.is_some(), kept, "{answer:?}");
    };
    check(
        (200, r#"{"error":{"message":"no"},"status":400}"#),
        came(400),
        false,
    );
    check((429, ""), came(429), false);
    check((408, ""), came(408), true);
    check((502, ""), came(502), true);
    check((200, "<html>"), End::Came(Outcome::Broken), true);
    let mut talks = talks(GROUP);
    assert_eq!(talks.message(&text(), &[]).1, End::Silence);
    assert_eq!(talks.conversation, Some(Counterpart::creating()));
}

#[test]
fn a_room_needs_people() {
    let alone = "create_room = true\ncreator = \"bot@acme.example\"\n";
    assert!(why(&talks(alone).message(&text(), &[]).1).contains("at least one other"));
    let itself = format!("{alone}participants = [\"bot@acme.example\", \"\"]");
    assert!(why(&talks(&itself).message(&text(), &[]).1).contains("at least one other"));
    let mut userless = text();
    userless.message.as_mut().unwrap().user = None;
    assert!(why(&talks(PAIR).message(&userless, &[]).1).starts_with("dead unsendable"));
}

#[test]
fn the_action_create_room_links_and_is_done_once() {
    let with = r#"{"name":"Desk","creator":"boss@acme.example","participants":["{{ message.user.email }}","b@x.example"],"avatar_url":"https://a.example/p.png"}"#;
    let mut talks = talks("");
    let (asked, end) = talks.run(&text(), "create_room", with, &[(200, V2_ROOM)]);
    assert_eq!(end, End::Done);
    let expected = [
        "name=Desk",
        "participants[]=rina@customer.example.com",
        "participants[]=b@x.example",
        "creator=boss@acme.example",
        "avatar_url=https://a.example/p.png",
    ];
    assert_eq!(fields(&asked[0]), expected);
    assert_eq!(talks.run(&text(), "create_room", with, &[]).1, End::Done);
    let own = self::talks("source = \"qiscus\"")
        .run(&text(), "create_room", with, &[])
        .1;
    assert!(why(&own).contains("a room already"), "{own:?}");
    let nobody = self::talks("").run(&text(), "create_room", "", &[]).1;
    assert!(why(&nobody).contains("`creator`"), "{nobody:?}");
}

#[test]
fn participants_come_and_go() {
    let check = |action: &str, api: &str, expected: &str| {
        let with = r#"{"emails":["{{ message.user.email }}", "b@x.example"]}"#;
        let mut talks = talks(&format!("api = \"{api}\"")).linked("9");
        let (asked, end) = talks.run(&text(), action, with, &[OK]);
        assert_eq!(end, came(200));
        assert_eq!(line(&asked[0]), expected);
    };
    let form = "room_id=9&emails%5B%5D=rina%40customer.example.com&emails%5B%5D=b%40x.example";
    check(
        "add_participants",
        "v2",
        &format!("POST /api/v2/rest/add_room_participants {form}"),
    );
    check(
        "remove_participants",
        "v2",
        &format!("POST /api/v2/rest/remove_room_participants {form}"),
    );
    let json = r#"{"room_id":"9","user_ids":["rina@customer.example.com","b@x.example"]}"#;
    check(
        "add_participants",
        "v2.1",
        &format!("POST /api/v2.1/rest/add_room_participants {json}"),
    );
    let run = |with: &str| {
        why(&talks("")
            .linked("9")
            .run(&text(), "add_participants", with, &[])
            .1)
    };
    assert!(run("").contains("with = { emails"), "{}", run(""));
    assert!(run(r#"{"emails":[" "]}"#).contains("with = { emails"));
    assert!(run(r#"{"emails":[true]}"#).contains("list of texts"));
    assert!(run(r#"{"mails":[]}"#).contains("it takes emails"));
    let unlinked = why(&talks("").run(&text(), "add_participants", "", &[]).1);
    assert!(unlinked.starts_with("wait"), "{unlinked}");
}

#[test]
fn a_room_is_updated_with_what_is_said() {
    let with = r#"{"name":"Order {{ message.conversation.name }}","avatar_url":"https://a.example/p.png","options":{"vip":true}}"#;
    let (asked, _) = talks("")
        .linked("9")
        .run(&text(), "update_room", with, &[OK]);
    let expected = [
        "room_id=9",
        "room_name=Order Order A-1042",
        "room_avatar_url=https://a.example/p.png",
        "options={\"vip\":true}",
        "user_email=bot@acme.example",
    ];
    assert_eq!(fields(&asked[0]), expected);
    let mut v21 = talks("api = \"v2.1\"").linked("9");
    let (asked, _) = v21.run(&text(), "update_room", r#"{"options":"{}"}"#, &[OK]);
    assert_eq!(
        body(&asked[0]),
        json!({"room_id": "9", "room_options": "{}"})
    );
    let (asked, _) = talks("").linked("9").run(
        &text(),
        "update_room",
        r#"{"name":"N","user_email":"u@x.example"}"#,
        &[OK],
    );
    assert!(fields(&asked[0]).contains(&"user_email=u@x.example".to_owned()));
    let said = why(&talks("").linked("9").run(&text(), "update_room", "", &[]).1);
    assert!(said.contains("nothing to update"), "{said}");
}

#[test]
fn a_system_event_is_what_with_or_the_event_says() {
    let added = of_sample("qiscus/post_comment_rest_system_event_add_member.json");
    let (asked, end) = talks("").linked("9").run(&added, "system_event", "", &[OK]);
    assert_eq!(end, came(200));
    let expected = [
        "room_id=9",
        "system_event_type=add_member",
        "subject_email=agent.budi@shop.example.com",
        "object_email[]=rina@customer.example.com",
    ];
    assert_eq!(fields(&asked[0]), expected);
    let with = r#"{"type":"change_room_name","subject_email":"a@x.example","room_name":"New"}"#;
    let (asked, _) = talks("")
        .linked("9")
        .run(&text(), "system_event", with, &[OK]);
    assert!(fields(&asked[0]).contains(&"updated_room_name=New".to_owned()));
    let custom = r#"{"type":"custom","message":"Admin is being set!","payload":{"type":"add_admin"},"object_email":["o@x.example"]}"#;
    let mut v21 = talks("api = \"v2.1\"").linked("9");
    let (asked, _) = v21.run(&text(), "system_event", custom, &[OK]);
    let expected = json!({
        "room_id": "9",
        "system_event_type": "custom",
        "object_user_id": ["o@x.example"],
        "message": "Admin is being set!",
        "payload": {"type": "add_admin"},
    });
    assert_eq!(body(&asked[0]), expected);
    let run = |with: &str| {
        why(&talks("")
            .linked("9")
            .run(&text(), "system_event", with, &[])
            .1)
    };
    assert!(run("").contains("a `type`"));
    assert!(run(r#"{"type":"join_room"}"#).contains("`subject_email`"));
    assert!(run(r#"{"type":"add_member","subject_email":"a"}"#).contains("`object_email`"));
    assert!(run(r#"{"type":"create_room","subject_email":"a"}"#).contains("`room_name`"));
    let (asked, _) = talks("source = \"qiscus\"").run(&added, "system_event", "", &[(404, "")]);
    assert_eq!(asked.len(), 1, "the room of its own key is not forgotten");
}
