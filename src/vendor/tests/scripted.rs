//! A driver for dialogues: scripted answers in, the requests made and the end
//! out. Links and memos stay from one copy to the next, as they do in the house.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::Value as Json;

use super::*;
use crate::link::{Change, Counterpart, What};
use crate::settle::Outcome;
use crate::vendor::dialogue::{Heard, Known, Memos, Step, Then};

/// More requests than this is a dialogue that never ends.
const ASKS_MAX: usize = 60;

/// One request that was made.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) step: &'static str,
    pub(super) request: Outgoing,
    /// What the link was when the request went out.
    pub(super) linked: Option<Counterpart>,
    pub(super) alone: Option<What>,
}

/// How a copy ended.
#[derive(Debug, PartialEq)]
pub(super) enum End {
    Came(Outcome),
    Done,
    Not(Unsendable),
    /// The script ran out: a silence.
    Silence,
}

/// What lasts from copy to copy.
#[derive(Debug)]
pub(super) struct Talks {
    pub(super) writer: Arc<dyn Writer>,
    pub(super) conversation: Option<Counterpart>,
    pub(super) memos: Arc<Memos>,
    pub(super) now: Timestamp,
    pub(super) customer: Option<String>,
    pub(super) source: &'static str,
    pub(super) kind: &'static str,
}

impl Talks {
    pub(super) fn of(kind: &str, text: &str) -> Self {
        let (writer, told) = configured::destination(kind, text);
        assert_eq!(told, Vec::<String>::new(), "{text}");
        Self {
            writer,
            conversation: None,
            memos: Arc::default(),
            now: ACCEPTED,
            customer: None,
            source: "qiscus",
            kind: "qiscus",
        }
    }

    pub(super) fn linked(mut self, id: &str) -> Self {
        self.conversation = Some(Counterpart::open(id));
        self
    }

    pub(super) fn later(&mut self, seconds: u64) {
        self.now = self.now.plus(Duration::from_secs(seconds));
    }

    pub(super) fn message(
        &mut self,
        reading: &Reading,
        script: &[(u16, &str)],
    ) -> (Vec<Asked>, End) {
        self.run(reading, "message", "", script)
    }

    pub(super) fn run(
        &mut self,
        reading: &Reading,
        action: &str,
        with: &str,
        script: &[(u16, &str)],
    ) -> (Vec<Asked>, End) {
        let mut event = event_of(self.kind, reading);
        event.source = SourceName::from(self.source);
        event.key = reading
            .key
            .as_ref()
            .map(|key| Key::from(format!("{}/{key}", self.source)));
        let contents = Contents::known(&event, reading.message.as_ref(), &reading.payload);
        let action = Action {
            name: action.into(),
            with: with.into(),
        };
        let writer = self.writer.clone();
        let dialogue = writer.dialogue().unwrap();
        let call = Call {
            event: &event,
            contents: &contents,
            action: &action,
            customer: self.customer.as_deref(),
            now: self.now,
        };
        let mut known = Known::new(self.memos.clone());
        known.conversation = self.conversation.clone();
        let mut script: VecDeque<_> = script.iter().copied().collect();
        let mut asked = Vec::new();
        loop {
            assert!(asked.len() < ASKS_MAX, "it never ends: {asked:?}");
            let ask = match dialogue.next(&call, &known) {
                Ok(Step::Ask(ask)) => ask,
                Ok(Step::Done) => return (asked, End::Done),
                Err(unsendable) => return (asked, End::Not(unsendable)),
            };
            keep(&mut self.conversation, &mut known, &ask.before);
            asked.push(Asked {
                step: ask.step,
                request: ask.request.clone(),
                linked: known.conversation.clone(),
                alone: ask.alone,
            });
            let Some((status, body)) = script.pop_front() else {
                return (asked, End::Silence);
            };
            let outcome = Outcome::Answered {
                status,
                retry_after: None,
            };
            let heard = Heard {
                status,
                body: body.as_bytes(),
                outcome: &outcome,
            };
            let learned = dialogue.hear(&call, &known, &ask, &heard);
            keep(&mut self.conversation, &mut known, &learned.changes);
            known.take(&learned, self.now);
            if let Then::End(outcome) = learned.then {
                assert!(script.is_empty(), "answers left: {script:?}");
                return (asked, End::Came(outcome));
            }
        }
    }
}

fn keep(links: &mut Option<Counterpart>, known: &mut Known, changes: &[Change]) {
    for change in changes {
        known.apply(change);
    }
    links.clone_from(&known.conversation);
}

/// `METHOD path?query body`.
pub(super) fn line(asked: &Asked) -> String {
    let url = &asked.request.url;
    let query = url
        .query()
        .map_or_else(String::new, |query| format!("?{query}"));
    let body = String::from_utf8_lossy(&asked.request.body);
    format!("{} {}{query} {body}", asked.request.method, url.path())
        .trim_end()
        .to_owned()
}

pub(super) fn lines(asked: &[Asked]) -> Vec<String> {
    asked.iter().map(line).collect()
}

/// The body of a JSON request.
pub(super) fn json(asked: &Asked) -> Json {
    serde_json::from_slice(&asked.request.body).unwrap()
}

pub(super) fn came(status: u16) -> End {
    End::Came(Outcome::Answered {
        status,
        retry_after: None,
    })
}

/// `dead unlinked: …`, `wait 600s unlinked: …` or `skip side`.
pub(super) fn why(end: &End) -> String {
    match end {
        End::Not(Unsendable::Dead { reason, detail }) => format!("dead {reason}: {detail}"),
        End::Not(Unsendable::Wait {
            for_at_most,
            reason,
            detail,
        }) => format!("wait {for_at_most:?} {reason}: {detail}"),
        End::Not(Unsendable::Skip { rule }) => format!("skip {rule}"),
        other => format!("{other:?}"),
    }
}

pub(super) fn of_sample(name: &str) -> Reading {
    let source = qiscus::Qiscus {
        agents: vec!["*@shop.example.com".to_owned(), "*@qismo.com".to_owned()],
        ..qiscus::Qiscus::default()
    };
    one(read_with(&source, &[], &sample(name)).unwrap())
}

/// The body of a form, or the query of a URL, in order.
pub(super) fn form(text: &[u8]) -> Vec<(String, String)> {
    url::form_urlencoded::parse(text).into_owned().collect()
}
