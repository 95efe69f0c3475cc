//! A dialogue with Dixa whose answers are scripted, driven as `deliver` does.

use serde_json::{Value as Json, json};

use super::*;
use crate::event::{Action, Event};
use crate::link::{Counterpart, Standing, What};
use crate::secret::Secret;
use crate::vendor::dialogue::{Dialogue, Heard, Known, Memos, Step, Then};
use crate::vendor::dixa::{Channel, Desk};
use crate::vendor::qiscus::Qiscus;

pub(super) const KEY: &str = "k3y-raw";
pub(super) const RINA: &str = "434ce9f5-14c8-4be1-a0a8-f755010deb9b";
pub(super) const BUDI: &str = "bac5a02c-15b3-44da-ae1e-ab7b9db4aa89";
pub(super) const WIDGET: &str = "0e0d1ead-dc69-470a-9b3a-e7eb16a56453";

/// An answer: a status and a body.
pub(super) type Said = (u16, Json);

/// A request as it went out.
#[derive(Debug)]
pub(super) struct Asked {
    /// `POST /beta/endusers`.
    pub line: String,
    /// Null where there is none.
    pub body: Json,
    pub marked: bool,
    pub alone: Option<What>,
}

#[derive(Debug, PartialEq)]
pub(super) enum End {
    Outcome(Outcome),
    Unsendable(Unsendable),
    /// The script has no answer to the last request.
    Silence,
}

/// One copy, what is linked, and what the account remembers.
pub(super) struct Bench {
    pub desk: Desk,
    pub event: Event,
    pub reading: Reading,
    pub action: &'static str,
    pub with: String,
    pub customer: Option<String>,
    pub user: Option<Counterpart>,
    pub conversation: Option<Counterpart>,
    pub now: Timestamp,
    memos: Arc<Memos>,
}

/// A chat widget, and an agent for what goes out.
pub(super) fn desk() -> Desk {
    let mut desk = Desk::new(Secret::new(KEY)).unwrap();
    desk.channel = Channel::Chat {
        widget_id: WIDGET.to_owned(),
    };
    desk.agent_id = Some(BUDI.to_owned());
    desk
}

/// A body of Dixa's API as the samples have it.
pub(super) fn api(name: &str) -> Json {
    serde_json::from_slice(&sample(&format!("api/dixa/{name}.json"))).unwrap()
}

pub(super) fn duplicate() -> Said {
    (400, api("error_400_duplicate_external_id"))
}

pub(super) fn not_found() -> Said {
    (404, api("error_404"))
}

pub(super) fn no_users() -> Said {
    (200, api("get_endusers_by_external_id.response_200_empty"))
}

/// Rina, as the end user that the search was for.
pub(super) fn user(external_id: &str) -> Said {
    let mut body = api("get_endusers_by_external_id.response_200");
    body["data"][0]["externalId"] = json!(external_id);
    (200, body)
}

impl Bench {
    /// A copy of this sample of Qiscus'.
    pub(super) fn of(name: &str) -> Self {
        let body = sample(&format!("{name}.json"));
        let reading = one(read_with(&Qiscus::default(), &[], &body).unwrap());
        let event = event_of("qiscus", &reading);
        Self {
            desk: desk(),
            customer: event.user.as_deref().map(str::to_owned),
            event,
            reading,
            action: "message",
            with: String::new(),
            user: None,
            conversation: None,
            now: ACCEPTED,
            memos: Arc::default(),
        }
    }

    /// What Rina asks; Qiscus gives it no id.
    pub(super) fn incoming() -> Self {
        Self::of("qiscus/post_comment_mobile_text")
    }

    /// What an agent says to Harpi.
    pub(super) fn outgoing() -> Self {
        Self::of("qiscus_omnichannel/post_comment_rest_agent_text")
    }

    /// Harpi's receipt.
    pub(super) fn file() -> Self {
        Self::of("qiscus_omnichannel/bot_post_comment_mobile_file_attachment")
    }

    pub(super) fn acting(mut self, action: &'static str, with: Json) -> Self {
        self.action = action;
        self.with = with.to_string();
        self
    }

    pub(super) fn linked(mut self, standing: Standing) -> Self {
        self.user = Some(Counterpart::open(RINA));
        self.conversation = Some(Counterpart {
            id: "100".to_owned(),
            standing,
        });
        self
    }

    pub(super) fn on(mut self, channel: Channel) -> Self {
        self.desk.channel = channel;
        self
    }

    /// Links as a dialogue would find them now.
    pub(super) fn links(&self) -> (Option<&str>, Option<(&str, Standing)>) {
        let user = self.user.as_ref().map(|one| one.id.as_str());
        let conversation = self.conversation.as_ref();
        (user, conversation.map(|one| (&*one.id, one.standing)))
    }

    /// One attempt against these answers.
    pub(super) fn run(&mut self, script: &[Said]) -> (Vec<Asked>, End) {
        let action = Action {
            name: self.action.into(),
            with: self.with.as_str().into(),
        };
        let message = self.reading.message.as_ref();
        let contents = Contents::known(&self.event, message, &self.reading.payload);
        let call = Call {
            event: &self.event,
            contents: &contents,
            action: &action,
            customer: self.customer.as_deref(),
            now: self.now,
        };
        let mut known = Known::new(self.memos.clone());
        known.user = self.user.clone();
        known.conversation = self.conversation.clone();
        let mut script = script.iter();
        let mut asked = Vec::new();
        let end = loop {
            assert!(asked.len() < 40, "a dialogue without an end: {asked:?}");
            let ask = match self.desk.next(&call, &known) {
                Ok(Step::Ask(ask)) => ask,
                Ok(Step::Done) => panic!("done without a word"),
                Err(unsendable) => break End::Unsendable(unsendable),
            };
            ask.before.iter().for_each(|change| known.apply(change));
            asked.push(seen(&ask.request, !ask.before.is_empty(), ask.alone));
            let Some((status, body)) = script.next() else {
                break End::Silence;
            };
            // A text stands for a body that is no JSON.
            let body = body
                .as_str()
                .map_or_else(|| body.to_string(), str::to_owned);
            let outcome = Outcome::Answered {
                status: *status,
                retry_after: None,
            };
            let heard = Heard {
                status: *status,
                body: body.as_bytes(),
                outcome: &outcome,
            };
            let learned = self.desk.hear(&call, &known, &ask, &heard);
            assert!(learned.events.is_empty());
            known.take(&learned, self.now);
            learned
                .changes
                .iter()
                .for_each(|change| known.apply(change));
            if let Then::End(outcome) = learned.then {
                break End::Outcome(outcome);
            }
        };
        assert_eq!(
            script.count(),
            0,
            "answers that nobody asked for: {asked:?}"
        );
        self.user = known.user.clone();
        self.conversation = known.conversation.clone();
        (asked, end)
    }

    /// Like `run`: what was asked, line by line, and the end must be this.
    pub(super) fn check(&mut self, script: &[Said], lines: &[&str], expected: &End) -> Vec<Asked> {
        let (asked, end) = self.run(script);
        let seen: Vec<&str> = asked.iter().map(|asked| asked.line.as_str()).collect();
        assert_eq!(seen, lines);
        assert_eq!(end, *expected);
        asked
    }

    /// Why there is nothing to send: the reason or the rule, and the detail.
    pub(super) fn refused(&mut self, script: &[Said]) -> (String, String) {
        match self.run(script).1 {
            End::Unsendable(Unsendable::Dead { reason, detail }) => (reason.to_string(), detail),
            End::Unsendable(Unsendable::Wait { reason, detail, .. }) => {
                (format!("wait {reason}"), detail)
            }
            End::Unsendable(Unsendable::Skip { rule }) => (rule.to_owned(), String::new()),
            other => panic!("{other:?}"),
        }
    }
}

fn seen(request: &Outgoing, marked: bool, alone: Option<What>) -> Asked {
    assert_eq!(request.headers["authorization"], KEY);
    assert!(request.headers["authorization"].is_sensitive());
    assert!(!format!("{request:?} {}", request.describe()).contains(KEY));
    let url = request.url.as_str();
    let line = url.strip_prefix("https://dev.dixa.io").unwrap();
    let body = if request.body.is_empty() {
        Json::Null
    } else {
        assert_eq!(request.headers["content-type"], "application/json");
        serde_json::from_slice(&request.body).unwrap()
    };
    Asked {
        line: format!("{} {line}", request.method),
        body,
        marked,
        alone,
    }
}

pub(super) fn answered(status: u16) -> End {
    End::Outcome(Outcome::Answered {
        status,
        retry_after: None,
    })
}

pub(super) fn already(status: u16) -> End {
    End::Outcome(Outcome::AlreadyThere { status })
}

pub(super) fn broken() -> End {
    End::Outcome(Outcome::Broken)
}
