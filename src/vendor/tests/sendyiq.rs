//! SendyIQ.

use serde_json::json;

use super::scripted::{End, Talks, came, json as body, lines, of_sample, why};
use super::*;
use crate::link::{Counterpart, Standing};
use crate::settle::Outcome;
use crate::vendor::sendyiq;

const ID: &str = "3f2504e0-4f89-11d3-9a0c-0305e82c3301";
const OTHER: &str = "aa2504e0-4f89-11d3-9a0c-0305e82c33aa";
const AT: &str = "/api/v1/store/integrations/chat/conversations";
const KEY: &str = "api_key = { env = \"K\" }\n";
const OK: (u16, &str) = (200, "{}");

fn talks(more: &str) -> Talks {
    Talks::of("sendyiq", &format!("{KEY}{more}"))
}

fn agent() -> Reading {
    of_sample("qiscus/post_comment_rest_text.json")
}

fn customer() -> Reading {
    of_sample("qiscus/post_comment_mobile_text.json")
}

const MATCHING: &str = "match = { field = \"customer.email\", to = \"{{ message.user.email }}\" }";

fn item(id: &str, email: &str) -> String {
    json!({"id": id, "status": "open", "customer": {"email": email}}).to_string()
}

fn listed(items: &[String], total: u64) -> String {
    format!(
        r#"{{"success":true,"data":{{"items":[{}],"page":1,"pageSize":{},"totalCount":{total}}}}}"#,
        items.join(","),
        items.len()
    )
}

#[test]
fn a_message_of_the_store_is_one_text() {
    for (api, at) in [("chat", "chat"), ("social", "social")] {
        let mut talks = talks(&format!("api = \"{api}\"")).linked(ID);
        let (asked, end) = talks.message(&agent(), &[OK]);
        assert_eq!(end, came(200));
        let [asked] = asked.as_slice() else {
            panic!("{asked:?}")
        };
        assert_eq!(
            asked.request.url.as_str(),
            format!(
                "https://api.sendyiq.com/api/v1/store/integrations/{at}/conversations/{ID}/messages"
            )
        );
        let golden: serde_json::Value =
            serde_json::from_slice(&sample("api/sendyiq/post_message.request.json")).unwrap();
        let sent = body(asked);
        let keys = |value: &serde_json::Value| {
            let keys = value.as_object().unwrap().keys();
            keys.cloned().collect::<Vec<_>>()
        };
        assert_eq!(keys(&sent), keys(&golden));
        assert_eq!(sent["text"], agent().message.unwrap().quoted);
        assert_eq!(asked.request.headers["content-type"], "application/json");
        assert!(asked.request.headers["x-api-key"].is_sensitive());
        assert_eq!(asked.request.describe()["headers"]["x-api-key"], "***");
    }
}

#[test]
fn the_other_requests_are_those_that_are_documented() {
    let check = |action: &str, expected: &str| {
        let (asked, end) = talks("").linked(ID).run(&customer(), action, "", &[OK]);
        assert_eq!(end, came(200));
        assert_eq!(lines(&asked), [format!("POST {AT}/{ID}/{expected}")]);
        assert!(asked[0].request.headers.get("content-type").is_none());
    };
    check("reopen", "reopen");
    check("resolve", "resolve");
}

#[test]
fn a_list_is_read_wherever_its_items_stand() {
    let answer = sample("api/sendyiq/get_conversations.response_200.json");
    let page = sendyiq::page(&answer).unwrap();
    let [one] = page.conversations.as_slice() else {
        panic!("{page:?}")
    };
    assert_eq!((one.id.as_str(), one.status.as_deref()), (ID, Some("open")));
    assert!(one.channel_id.is_some() && one.last_message_at.is_some());
    assert!(page.is_last(1));
    for list in [
        format!("[{}]", item(ID, "x")),
        format!(r#"{{"data":[{}]}}"#, item(ID, "x")),
    ] {
        let page = sendyiq::page(list.as_bytes()).unwrap();
        assert_eq!(page.conversations[0].id, ID);
        assert!(!page.is_last(1), "nobody said how many there are");
    }
    assert_eq!(sendyiq::page(b"<html>"), None);
}

#[test]
fn only_the_agents_side_is_said_to_the_customer() {
    let system = of_sample("qiscus/post_comment_rest_system_event_create_room.json");
    let check = |more: &str, reading: &Reading, expected: &str| {
        let (asked, end) = talks(more).linked(ID).message(reading, &[OK]);
        let said = match asked.first() {
            Some(asked) => body(asked)["text"].as_str().unwrap().to_owned(),
            None => why(&end),
        };
        assert_eq!(said, expected, "{more}");
    };
    let plain = agent().message.unwrap().text;
    check("", &agent(), &plain);
    check("", &customer(), "skip side");
    check("", &system, "skip system_events");
    check(
        "system_events = true",
        &system,
        "Budi created room 'Order A-1042'",
    );
    let both = "[Rina Wijaya] Hello, where is my order A-1042?";
    check("side = \"both\"", &customer(), both);
    let bare = "Hello, where is my order A-1042?";
    check("side = \"both\"\nprefix = \"\"", &customer(), bare);
    check(
        "prefix = \"{{ message.author.email }}: \"",
        &agent(),
        &format!("agent.budi@shop.example.com: {plain}"),
    );
}

#[test]
fn a_prefix_that_says_nothing_is_left_out() {
    let mut nameless = customer();
    let check = |reading: &Reading, prefix: &str| {
        let more = format!("side = \"both\"\nprefix = \"{prefix}\"");
        let (asked, _) = talks(&more).linked(ID).message(reading, &[OK]);
        assert_eq!(body(&asked[0])["text"], "Hello, where is my order A-1042?");
    };
    nameless.message.as_mut().unwrap().author.name = None;
    check(&nameless, "[{{ message.author.name }}] ");
    nameless.message.as_mut().unwrap().author.name = Some("  ".to_owned());
    check(&nameless, "[{{ message.author.name }}] ");
}

#[test]
fn an_unlinked_conversation_waits_and_says_how_to_link_it() {
    let (asked, end) = talks("").message(&agent(), &[]);
    assert!(asked.is_empty());
    let said = why(&end);
    assert!(said.starts_with("wait 600s unlinked"), "{said}");
    let how = "hookfan links set --destination … qiscus/1375619 <conversation uuid>";
    assert!(said.contains(how), "{said}");
    let said = why(&talks("when_unlinked = \"dead_letter\"")
        .message(&agent(), &[])
        .1);
    assert!(said.starts_with("dead unlinked"), "{said}");
    let said = why(&talks("when_unlinked = { wait = \"2h\" }")
        .message(&agent(), &[])
        .1);
    assert!(said.starts_with("wait 7200s"), "{said}");
    let mut keyless = agent();
    keyless.key = None;
    let said = why(&talks("").message(&keyless, &[]).1);
    assert!(
        said.starts_with("dead unlinked") && said.contains("no key"),
        "{said}"
    );
}

#[test]
fn a_link_that_is_no_uuid_is_dead_and_names_the_way_out() {
    let said = why(&talks("").linked("../admin").message(&agent(), &[]).1);
    assert!(
        said.starts_with("dead unlinked") && said.contains("links set"),
        "{said}"
    );
    let braces = format!("{{{}}}", ID.to_uppercase());
    let (asked, _) = talks("").linked(&braces).message(&agent(), &[OK]);
    assert!(lines(&asked)[0].contains(&format!("/{ID}/messages")));
}

#[test]
fn a_conversation_is_matched_once_and_then_known() {
    let mut talks = talks(MATCHING);
    let mine = item(ID, "Rina@Customer.example.com");
    let page = listed(&[item(OTHER, "else@example.com"), mine], 2);
    let (asked, end) = talks.message(&agent(), &[(200, &page), OK]);
    assert_eq!(end, came(200));
    let told = lines(&asked);
    assert_eq!(told[0], format!("GET {AT}?Page=1&PageSize=50&Status=open"));
    assert!(told[1].starts_with(&format!("POST {AT}/{ID}/messages")));
    assert_eq!(talks.conversation, Some(Counterpart::open(ID)));
    let (asked, _) = talks.message(&agent(), &[OK]);
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].linked, Some(Counterpart::open(ID)));
    assert_eq!(asked[0].alone, None, "its lane is its own already");
}

#[test]
fn pages_are_read_up_to_the_limit_and_a_miss_is_remembered_for_a_minute() {
    let page = listed(&[item(OTHER, "else@example.com")], 1000);
    let limits = MATCHING.replace("}\" }", "}\", pages = 3, status = \"\" }");
    let more = format!("api = \"social\"\n{limits}");
    let mut talks = talks(&more);
    let pages = [(200, page.as_str()); 3];
    let (asked, end) = talks.message(&agent(), &pages);
    assert!(why(&end).starts_with("wait 600s unlinked"), "{end:?}");
    let at = "/api/v1/store/integrations/social/conversations";
    let expected = [1, 2, 3].map(|page| format!("GET {at}?Page={page}&PerPage=50"));
    assert_eq!(lines(&asked), expected);
    talks.later(59);
    assert_eq!(talks.message(&agent(), &[]).0.len(), 0);
    talks.later(2);
    assert_eq!(talks.message(&agent(), &pages).0.len(), 3);
}

#[test]
fn an_empty_page_or_a_full_count_ends_the_search() {
    let one = listed(&[item(OTHER, "else@example.com")], 1);
    for last in [listed(&[], 0), one, "[]".to_owned(), "nonsense".to_owned()] {
        let (asked, end) = talks(MATCHING).message(&agent(), &[(200, &last)]);
        assert_eq!(asked.len(), 1, "{last}");
        assert!(why(&end).starts_with("wait"), "{end:?}");
    }
    let (_, end) = talks(MATCHING).message(&agent(), &[(503, "")]);
    assert_eq!(end, came(503));
}

#[test]
fn what_cannot_be_said_of_the_event_is_not_looked_for() {
    let mut unknown = agent();
    unknown.message.as_mut().unwrap().user = None;
    let (asked, end) = talks(MATCHING).message(&unknown, &[]);
    assert!(asked.is_empty() && why(&end).starts_with("wait"), "{end:?}");
}

#[test]
fn a_stale_link_is_forgotten_and_matched_again_once() {
    let mut plain = talks("").linked(ID);
    let (_, end) = plain.message(&agent(), &[(404, "")]);
    let said = why(&end);
    assert!(
        said.starts_with("dead unlinked") && said.contains(ID) && said.contains("links set"),
        "{said}"
    );
    assert_eq!(plain.conversation, None);

    let mut matching = talks(MATCHING).linked(ID);
    let mine = |id: &str| item(id, "rina@customer.example.com");
    let both = listed(&[mine(ID), mine(OTHER)], 2);
    let (asked, end) = matching.message(&agent(), &[(404, ""), (200, &both), OK]);
    assert_eq!((asked.len(), end), (3, came(200)));
    assert_eq!(matching.conversation, Some(Counterpart::open(OTHER)));

    let mut hopeless = talks(MATCHING).linked(ID);
    let (asked, end) = hopeless.message(&agent(), &[(404, ""), (200, &both), (404, "")]);
    assert_eq!(asked.len(), 3);
    assert!(why(&end).starts_with("dead unlinked"), "{end:?}");
}

#[test]
fn a_resolved_conversation_is_reopened_once() {
    let mut talks = talks("").linked(ID);
    let (asked, end) = talks.message(&agent(), &[(409, ""), OK, OK]);
    assert_eq!(end, came(200));
    let steps: Vec<&str> = asked.iter().map(|asked| asked.step).collect();
    assert_eq!(steps, ["message", "reopen", "message"]);
    let (_, end) = talks.message(&agent(), &[(409, ""), OK, (409, "")]);
    assert_eq!(end, came(409));
    let (_, end) = talks.message(&agent(), &[(409, ""), (503, "")]);
    assert_eq!(end, came(503));
    let refusing = self::talks("when_resolved = \"refuse\"");
    let (asked, end) = refusing.linked(ID).message(&agent(), &[(409, "")]);
    assert_eq!((asked.len(), end), (1, came(409)));
}

#[test]
fn resolving_is_remembered_and_what_is_done_is_done() {
    let mut talks = talks("").linked(ID);
    let _ = talks.run(&customer(), "resolve", "", &[OK]);
    let closed = Counterpart {
        id: ID.to_owned(),
        standing: Standing::Closed,
    };
    assert_eq!(talks.conversation, Some(closed));
    let there = End::Came(Outcome::AlreadyThere { status: 409 });
    assert_eq!(talks.run(&customer(), "resolve", "", &[(409, "")]).1, there);
    let _ = talks.run(&customer(), "reopen", "", &[OK]);
    assert_eq!(talks.conversation, Some(Counterpart::open(ID)));
    assert_eq!(talks.run(&customer(), "reopen", "", &[(409, "")]).1, there);
}

#[test]
fn an_answer_that_says_no_is_a_refusal() {
    let no = String::from_utf8(sample("api/sendyiq/error_400.json").to_vec()).unwrap();
    assert_eq!(
        talks("").linked(ID).message(&agent(), &[(200, &no)]).1,
        came(400)
    );
    for status in [400, 401, 403, 429, 500] {
        assert_eq!(
            talks("").linked(ID).message(&agent(), &[(status, "")]).1,
            came(status)
        );
    }
    assert_eq!(talks("").linked(ID).message(&agent(), &[]).1, End::Silence);
}

#[test]
fn what_is_no_message_needs_an_action() {
    let resolved = of_sample("qiscus_omnichannel/mark_as_resolved.json");
    let said = why(&talks("").linked(ID).message(&resolved, &[]).1);
    assert!(
        said.starts_with("dead unsendable") && said.contains("resolve"),
        "{said}"
    );
    let with = "{\"agent\":\"for another destination of the route\"}";
    let (_, end) = talks("").linked(ID).run(&resolved, "resolve", with, &[OK]);
    assert_eq!(end, came(200));
}

#[test]
fn wrong_keys_are_pointed_at() {
    let told = |text: &str| configured::destination("sendyiq", text).1.join("\n");
    assert!(told("").contains("api_key` is missing"));
    assert!(told(&format!("{KEY}api = \"mail\"")).contains("cannot be \"mail\""));
    let many = MATCHING.replace("}\" }", "}\", pages = 101 }");
    assert!(told(&format!("{KEY}{many}")).contains("at most 100"));
    assert!(
        told(&format!("{KEY}match = {{ field = \"x\" }}")).contains("`x.y.match.to` is missing")
    );
    assert!(told(&format!("{KEY}prefix = \"{{{{ nope }}}}\"")).contains("nope"));
    assert!(told(&format!("{KEY}when_unlinked = {{}}")).contains("how long"));
    assert!(told(&format!("{KEY}base_url = \"ftp://x\"")).contains("http"));
}

#[test]
fn the_first_request_is_shown_without_its_key() {
    let talks = talks("base_url = \"http://127.0.0.1:1/x\"");
    assert_eq!(talks.writer.shown_target(), "http://127.0.0.1:1/x");
    assert!(talks.writer.account().is_some());
    assert!(!format!("{:?}", talks.writer).contains("placeholder"));
}
