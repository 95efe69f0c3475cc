//! The keys of a Dixa destination.

use super::configured::{destination, source};
use super::*;
use crate::vendor::dixa;

const AGENT: &str = "bac5a02c-15b3-44da-ae1e-ab7b9db4aa89";

/// What is complained about a table with an api_key and this.
fn told(text: &str) -> Vec<String> {
    destination("dixa", &format!("api_key = {{ env = \"K\" }}\n{text}")).1
}

fn check(text: &str, expected: &[(&str, &str)]) {
    let told = told(text);
    assert_eq!(told.len(), expected.len(), "{text}: {told:?}");
    for (told, (at, says)) in told.iter().zip(expected) {
        assert!(
            told.starts_with(at) && told.contains(says),
            "{told:?} {at} {says}"
        );
    }
}

#[test]
fn a_key_alone_is_a_destination() {
    let (writer, told) = destination("dixa", "api_key = { env = \"K\" }");
    assert_eq!(told, Vec::<String>::new());
    assert_eq!(writer.shown_target(), "https://dev.dixa.io/beta");
    let shown = format!("{writer:?}");
    for part in ["genericapimessaging", "Reuse", "DeadLetter", "***"] {
        assert!(shown.contains(part), "{shown}");
    }
    assert!(writer.dialogue().is_some() && writer.account().is_some());
    let entry = find("dixa").unwrap().destination.as_ref().unwrap();
    assert_eq!(entry.rate, Some((10.0, 4)));
    assert_eq!(source("dixa", "").1, Vec::<String>::new());
    assert_eq!(source("dixa", "agents = []").1.len(), 1);
}

#[test]
fn every_key_of_dixas_is_taken() {
    let channels = [
        "kind = \"chat\", widget_id = \"0e0d1ead-dc69-470a-9b3a-e7eb16a56453\"",
        "kind = \"email\", integration = \"a@email.dixa.io\", subject = \"{{ message.conversation.name }}\"",
        "kind = \"contact_form\", integration = \"a@email.dixa.io\", subject = \"Chat\"",
        "kind = \"sms\", contact_endpoint = \"+4588888888\"",
        "kind = \"import\", channel_name = \"MyCustomChat\"",
        "kind = \"import\"",
    ];
    for channel in channels {
        check(&format!("channel = {{ {channel} }}"), &[]);
    }
    let text = format!(
        "api_key = {{ env = \"K\" }}\nbase_url = \"http://127.0.0.1:1/v1/\"\nchannel = {{ {} }}\nagent_id = \"{AGENT}\"\n\
         agents = {{ \"Budi@acme.example\" = \"{AGENT}\" }}\nwhen_closed = \"reopen\"\nunknown_user = {{ wait = \"10m\" }}\n\
         language = \"en\"\nsystem_events = true",
        channels[0]
    );
    let (writer, told) = destination("dixa", &text);
    assert_eq!(told, Vec::<String>::new());
    assert_eq!(writer.shown_target(), "http://127.0.0.1:1/v1");
    let shown = format!("{writer:?}");
    for part in ["Reopen", "Wait(600s)", "budi@acme.example", "0e0d1ead"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

#[test]
fn what_a_channel_lacks_or_does_not_know_is_pointed_at() {
    let missing = |kind: &str, key: &str| {
        let text = format!("channel = {{ kind = \"{kind}\" }}");
        let told = told(&text);
        let says = format!("`x.y.channel.{key}` is missing");
        assert!(told.iter().any(|told| told.contains(&says)), "{told:?}");
    };
    missing("chat", "widget_id");
    missing("email", "integration");
    missing("email", "subject");
    missing("contact_form", "integration");
    missing("sms", "contact_endpoint");
    check("channel = {}", &[("{}", "kind` is missing")]);
    check(
        "channel = { kind = \"fax\", widget_id = \"x\" }",
        &[("\"fax\"", "kind")],
    );
    check(
        "channel = { kind = \"import\", widget_id = \"x\" }",
        &[("widget_id", "unknown key")],
    );
    check(
        "channel = { kind = \"chat\", widget_id = \"x\" }",
        &[("\"x\"", "no UUID")],
    );
    check(
        "channel = { kind = \"sms\", contact_endpoint = \"88888888\" }",
        &[("\"88888888\"", "E.164")],
    );
    check(
        "channel = { kind = \"email\", integration = \"x\", subject = \"{{ nope }}\" }",
        &[("\"x\"", "no e-mail address"), ("nope", "nope")],
    );
}

#[test]
fn a_wrong_key_of_dixas_is_pointed_at() {
    let told = destination("dixa", "agent_id = \"x\"").1;
    assert!(told[0].contains("needs an api_key"), "{told:?}");
    assert!(told[1].contains("no UUID"), "{told:?}");
    check(
        "base_url = \"https://u:p@h/\"",
        &[("\"https://u:p@h/\"", "nothing else")],
    );
    check("when_closed = \"never\"", &[("\"never\"", "when_closed")]);
    check("unknown_user = {}", &[("{}", "how long")]);
    check("agents = \"x\"", &[("\"x\"", "table")]);
    check(
        "agents = { a = \"x\", b = 7 }",
        &[("\"x\"", "no UUID"), ("7", "text")],
    );
    check("language = \"en\"", &[("\"en\"", "no language")]);
    check("api_token = 1", &[("api_token", "unknown key")]);
}

#[test]
fn the_same_key_at_the_same_place_is_one_account() {
    let account = |key: &str, url: &str| {
        let mut desk = dixa::Desk::new(crate::secret::Secret::new(key)).unwrap();
        desk.base_url = url.parse().unwrap();
        desk.account().unwrap()
    };
    let one = account("a", "https://dev.dixa.io/beta");
    assert_eq!(one, account("a", "https://dev.dixa.io/beta/"));
    assert_ne!(one, account("b", "https://dev.dixa.io/beta"));
    assert_ne!(one, account("a", "https://dev.dixa.io/v1"));
}
