//! The dialogue: find the conversation, reopen it if need be, say it.
//!
//! SendyIQ documents no idempotency: a message whose answer got lost is said
//! again.

use std::time::Duration;

use uuid::Uuid;

use super::{Match, SendyIq, Side, WhenResolved, answers};
use crate::event::Direction;
use crate::link::{Counterpart, Standing, What};
use crate::payload::id_text;
use crate::settle::{Outcome, Reason};
use crate::transform::Unsendable;
use crate::vendor::Call;
use crate::vendor::asking::{self, answered};
use crate::vendor::dialogue::{Ask, Dialogue, Heard, Known, Learned, Step};

/// For how long a search that found nothing is not repeated.
const MISS_TTL: Duration = Duration::from_secs(60);

/// The steps.
const LIST: &str = "list";
const SAY: &str = "message";
const REOPEN: &str = "reopen";
const RESOLVE: &str = "resolve";

/// The notes: the next page to ask for; the search found nothing; the link that
/// turned out to lead nowhere; how far reopening is.
const PAGE: &str = "page";
const MISSED: &str = "missed";
const STALE: &str = "stale";
const REOPENING: &str = "reopening";
const DUE: &str = "due";
const DONE: &str = "done";

/// What this copy does once the conversation is known.
enum Deed {
    Say(String),
    Reopen,
    Resolve,
}

impl Dialogue for SendyIq {
    fn next(&self, call: &Call<'_>, known: &Known) -> Result<Step, Unsendable> {
        let deed = self.deed(call)?;
        let id = match self.linked(call, known)? {
            Linked::To(id) => id,
            Linked::Ask(step) => return Ok(step),
        };
        Ok(match deed {
            Deed::Say(_) if known.note(REOPENING) == Some(DUE) => {
                asking::ask(REOPEN, self.reopen(id))
            }
            Deed::Say(text) => asking::ask(SAY, self.say(id, &text)),
            Deed::Reopen => asking::ask(REOPEN, self.reopen(id)),
            Deed::Resolve => asking::ask(RESOLVE, self.resolve(id)),
        })
    }

    fn hear(&self, call: &Call<'_>, known: &Known, asked: &Ask, heard: &Heard<'_>) -> Learned {
        let outcome = judged(heard);
        if asked.step == LIST {
            return self.searched(call, known, heard, outcome);
        }
        let Some(conversation) = &known.conversation else {
            return Learned::end(outcome);
        };
        if outcome.status() == Some(404) {
            return gone(known, conversation);
        }
        let saying = &*call.action.name == SAY;
        let conflict = outcome.status() == Some(409);
        match asked.step {
            SAY if conflict => {
                let first = known.note(REOPENING).is_none();
                if first && self.when_resolved == WhenResolved::Reopen {
                    return Learned::go_on().note(REOPENING, DUE);
                }
                Learned::end(outcome)
            }
            REOPEN if saying && outcome.is_success() => {
                let learned = Learned::go_on().note(REOPENING, DONE);
                stands(learned, conversation, Standing::Open)
            }
            // It stands so already: nothing is left to do.
            REOPEN | RESOLVE if !saying && conflict => {
                Learned::end(Outcome::AlreadyThere { status: 409 })
            }
            REOPEN if outcome.is_success() => {
                stands(Learned::end(outcome), conversation, Standing::Open)
            }
            RESOLVE if outcome.is_success() => {
                stands(Learned::end(outcome), conversation, Standing::Closed)
            }
            _ => Learned::end(outcome),
        }
    }
}

/// The conversation over there, or the request that looks for it.
enum Linked {
    To(Uuid),
    Ask(Step),
}

impl SendyIq {
    fn deed(&self, call: &Call<'_>) -> Result<Deed, Unsendable> {
        match &*call.action.name {
            REOPEN => return Ok(Deed::Reopen),
            RESOLVE => return Ok(Deed::Resolve),
            SAY => {}
            _ => {
                return Err(asking::unsendable(
                    "there is no such action here; there are `message`, `reopen` and `resolve`",
                ));
            }
        }
        let Some(message) = call.message() else {
            return Err(asking::unsendable(
                "this event is no chat message: let the route's `on` or `when` leave it out, send it elsewhere, \
                 or give the route action = \"reopen\" or \"resolve\"",
            ));
        };
        let skip = |rule| Err(Unsendable::Skip { rule });
        match message.direction {
            Direction::System if !self.system_events => return skip("system_events"),
            Direction::Incoming if self.side == Side::Agent => return skip("side"),
            Direction::System | Direction::Incoming | Direction::Outgoing => {}
        }
        let prefix = self.prefix(call);
        Ok(Deed::Say(format!("{prefix}{}", message.quoted)))
    }

    /// Nothing where the author has no name, or the prefix would say nothing.
    fn prefix(&self, call: &Call<'_>) -> String {
        let Some(template) = &self.prefix else {
            return String::new();
        };
        let text = template.render_text(&asking::scope(call));
        text.ok()
            .filter(|text| text.chars().any(char::is_alphanumeric))
            .unwrap_or_default()
    }

    fn linked(&self, call: &Call<'_>, known: &Known) -> Result<Linked, Unsendable> {
        let id = known.conversation.as_ref().map(|link| link.id.as_str());
        if let Some(id) = id.filter(|id| !id.is_empty()) {
            return match Uuid::try_parse(id) {
                Ok(id) => Ok(Linked::To(id)),
                Err(_) => Err(asking::dead(
                    Reason::Unlinked,
                    format!(
                        "the conversation is linked to \"{id}\", which is no UUID; {}",
                        self.how_to_link(call)
                    ),
                )),
            };
        }
        if call.event.key.is_none() {
            return Err(asking::dead(
                Reason::Unlinked,
                "the event has no key, so nothing can be linked to it",
            ));
        }
        let stale = known.note(STALE);
        if let Some(find) = &self.find
            && known.note(MISSED).is_none()
            && let Some(wanted) = wanted(find, call)
        {
            let missed = || known.memo(&self.memo(find, &wanted), call.now).is_some();
            if stale.is_some() || !missed() {
                let request = self.list_request(page_of(known), find.status.as_deref(), None);
                return Ok(Linked::Ask(asking::ask(LIST, request)));
            }
        }
        if let Some(stale) = stale {
            let detail = format!(
                "SendyIQ knows no conversation {stale}, so the link is forgotten; {}",
                self.how_to_link(call)
            );
            return Err(asking::dead(Reason::Unlinked, detail));
        }
        let detail = format!(
            "the conversation has no counterpart at SendyIQ, which cannot create one; {}",
            self.how_to_link(call)
        );
        Err(self.when_unlinked.unsendable(Reason::Unlinked, detail))
    }

    fn how_to_link(&self, call: &Call<'_>) -> String {
        let key = call.event.key.as_ref().map_or("<key>", |key| key.as_str());
        format!(
            "to link it: hookfan links set --destination {} {key} <conversation uuid>",
            self.name
        )
    }

    fn searched(
        &self,
        call: &Call<'_>,
        known: &Known,
        heard: &Heard<'_>,
        outcome: Outcome,
    ) -> Learned {
        if !outcome.is_success() {
            return Learned::end(outcome);
        }
        let sought = self.find.as_ref();
        let Some((find, wanted)) = sought.and_then(|find| Some((find, wanted(find, call)?))) else {
            return Learned::go_on().note(MISSED, DONE);
        };
        let number = page_of(known);
        let page = answers::page(heard.body);
        let stale = known.note(STALE);
        let found = page.as_ref().and_then(|page| {
            page.conversations
                .iter()
                .filter(|one| stale != Some(one.id.as_str()))
                .find(|one| Uuid::try_parse(&one.id).is_ok() && matches(one, find, &wanted))
        });
        if let Some(found) = found {
            return Learned::go_on().set(What::Conversation, Counterpart::open(&found.id));
        }
        let last = page.is_none_or(|page| page.is_last(number)) || number >= find.pages_max;
        if last {
            let memo = self.memo(find, &wanted);
            return Learned::go_on()
                .note(MISSED, DONE)
                .memo(memo, DONE, MISS_TTL);
        }
        Learned::go_on().note(PAGE, (number + 1).to_string())
    }

    fn memo(&self, find: &Match, wanted: &str) -> String {
        let status = find.status.as_deref().unwrap_or_default();
        let field = &find.field;
        format!("missed {} {status} {field} {wanted}", self.inbox.word())
    }
}

/// What is looked for; nothing is not looked for.
fn wanted(find: &Match, call: &Call<'_>) -> Option<String> {
    let text = find.to.render_text(&asking::scope(call)).ok()?;
    let text = text.trim().to_lowercase();
    (!text.is_empty() && text != "null").then_some(text)
}

fn matches(one: &answers::Conversation, find: &Match, wanted: &str) -> bool {
    let found = asking::at(&one.raw, &find.field).and_then(id_text);
    found.is_some_and(|found| found.trim().to_lowercase() == wanted)
}

fn page_of(known: &Known) -> u32 {
    known
        .note(PAGE)
        .and_then(|page| page.parse().ok())
        .unwrap_or(1)
}

/// The answer's own word counts where it contradicts a 2xx.
fn judged(heard: &Heard<'_>) -> Outcome {
    if heard.outcome.is_success() && answers::says_no(heard.body) {
        return answered(400);
    }
    heard.outcome.clone()
}

/// Forgets the link, and looks for another conversation once.
fn gone(known: &Known, conversation: &Counterpart) -> Learned {
    let learned = Learned::go_on()
        .forget(What::Conversation)
        .note(STALE, conversation.id.clone())
        .note(PAGE, "1");
    match known.note(STALE) {
        None => learned,
        Some(_) => learned.note(MISSED, DONE),
    }
}

fn stands(learned: Learned, conversation: &Counterpart, standing: Standing) -> Learned {
    if conversation.standing == standing {
        return learned;
    }
    let id = conversation.id.clone();
    learned.set(What::Conversation, Counterpart { id, standing })
}
