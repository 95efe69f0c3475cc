//! A message's way over: find or create the customer, then the conversation
//! with the message inside, or add the message to the one that is there.
//!
//! What heals (a link that leads nowhere, files that cannot be fetched) is tried
//! once in a dialogue; then the status decides.

use std::ops::ControlFlow;

use ::http::Method;
use serde_json::{Value as Json, json};

use super::body::{self, PLAIN, Said};
use super::request::{
    ACT, ADD, AVAILABILITY, CHECK, CREATE, CREATE_USER, FIND_USER, LIST, MESSAGES, POSITION,
    REOPEN, ask, ask_alone,
};
use super::with::With;
use super::{Desk, WhenClosed, answer, contact, deed, guard, look, unsendable};
use crate::event::Direction;
use crate::link::{Change, Counterpart, Standing, What};
use crate::message::Message;
use crate::settle::Outcome;
use crate::transform::Unsendable;
use crate::vendor::Call;
use crate::vendor::dialogue::{Ask, Dialogue, Heard, Known, Learned, Step};

/// The conversation's link led nowhere and was forgotten.
const CONVERSATION_HEALED: &str = "conversation healed";
/// The user's link led nowhere and was forgotten.
const USER_HEALED: &str = "user healed";
/// Something was not found: the conversation, or the agent.
const DOUBTED: &str = "doubted";
/// The conversation was opened again, as far as it could be.
const REOPENED: &str = "reopened";

impl Dialogue for Desk {
    fn next(&self, call: &Call<'_>, known: &Known) -> Result<Step, Unsendable> {
        let with = With::of(call)?;
        if &*call.action.name != "message" {
            return deed::next(self, call, known, &with);
        }
        let message = call.message().ok_or_else(|| {
            unsendable(
                "this event is no chat message: let the route's `on` or `when` leave it out, or give the route another \
                 action, such as action = \"note\"",
            )
        })?;
        if message.direction == Direction::System {
            return self.report(call, known, &with, message);
        }
        let said = Said::of(self, call, message, known)?;
        if let Some(step) = guard::next(self, call, known, &with)? {
            return Ok(step);
        }
        match &known.conversation {
            Some(one) if one.standing == Standing::Creating => self.look(call, known, &said),
            Some(one) => self.add(call, known, &said, one),
            None => self.create(call, known, &said),
        }
    }

    fn hear(&self, call: &Call<'_>, known: &Known, asked: &Ask, heard: &Heard<'_>) -> Learned {
        // `next` could read it, or nothing would have been asked.
        let Ok(with) = With::of(call) else {
            return Learned::end(heard.outcome.clone());
        };
        let message = call.message().filter(|_| &*call.action.name == "message");
        let said = message.and_then(|message| Said::of(self, call, message, known).ok());
        match (asked.step, &said) {
            (FIND_USER, _) => contact::found(call, known, heard),
            (CREATE_USER, _) => contact::created(call, known, heard),
            (LIST, _) if heard.status == 404 => no_user(known, heard),
            (LIST, _) => look::listed(known, heard),
            (MESSAGES, said) => {
                let id = said.as_ref().map(Said::external_id);
                look::looked(self, call, known, id, heard)
            }
            (CREATE, Some(said)) => created(known, said, heard),
            (ADD, Some(said)) => added(known, said, heard),
            (CHECK, _) => checked(heard),
            (REOPEN, _) => reopened(known, heard),
            (AVAILABILITY, _) => guard::availability(self, &with, heard),
            (POSITION, _) => guard::placed(known, &with, heard),
            (ACT, _) => deed::heard(call, known, &with, heard),
            _ => Learned::end(heard.outcome.clone()),
        }
    }
}

impl Desk {
    /// It is open whether the conversation was created.
    fn look(&self, call: &Call<'_>, known: &Known, said: &Said<'_>) -> Result<Step, Unsendable> {
        match look::next(self, call, known)? {
            ControlFlow::Break(step) => Ok(step),
            ControlFlow::Continue(()) => self.create(call, known, said),
        }
    }

    fn create(&self, call: &Call<'_>, known: &Known, said: &Said<'_>) -> Result<Step, Unsendable> {
        let user = match contact::find(self, call, known)? {
            ControlFlow::Break(step) => return Ok(step),
            ControlFlow::Continue(user) => user,
        };
        let (path, body) = body::conversation(self, call, said, &user)?;
        let request = self.send(Method::POST, path, &body);
        let creating = Change::Set(What::Conversation, Counterpart::creating());
        let what = What::Conversation;
        Ok(ask_alone(CREATE, request, what, vec![creating]))
    }

    fn add(
        &self,
        call: &Call<'_>,
        known: &Known,
        said: &Said<'_>,
        to: &Counterpart,
    ) -> Result<Step, Unsendable> {
        let linked = deed::linked(to)?;
        let path = ["conversations", linked];
        if known.note(DOUBTED).is_some() && known.note(CONVERSATION_HEALED).is_none() {
            return Ok(ask(CHECK, self.get(&path, &[])));
        }
        let [conversations, id] = path;
        if to.standing == Standing::Closed && known.note(REOPENED).is_none() {
            match self.when_closed {
                WhenClosed::Reuse => {}
                WhenClosed::New => return self.create(call, known, said),
                WhenClosed::Reopen => {
                    let path = [conversations, id, "reopen"];
                    let request = self.send(Method::PUT, &path, &json!({}));
                    return Ok(ask(REOPEN, request));
                }
            }
        }
        let path = [conversations, id, "messages"];
        Ok(ask(ADD, self.send(Method::POST, &path, &said.added())))
    }

    /// A system event is nobody's message: an internal note, where there is a
    /// conversation to note it in.
    fn report(
        &self,
        call: &Call<'_>,
        known: &Known,
        with: &With,
        message: &Message,
    ) -> Result<Step, Unsendable> {
        let skip = |rule| Err(Unsendable::Skip { rule });
        if !self.system_events {
            return skip("system_events");
        }
        let Some(conversation) = deed::target(known, with)? else {
            return skip("system_event_unlinked");
        };
        if let Some(step) = guard::next(self, call, known, with)? {
            return Ok(step);
        }
        let at = message.sent_at.unwrap_or(call.event.accepted_at);
        let body = json!({ "message": message.text, "createdAt": at.min(call.now).to_string() });
        let path = ["conversations", conversation.as_str(), "notes"];
        Ok(ask(ACT, self.send(Method::POST, &path, &body)))
    }
}

/// The answer to creating a conversation.
fn created(known: &Known, said: &Said<'_>, heard: &Heard<'_>) -> Learned {
    let what = What::Conversation;
    let end = || Learned::end(heard.outcome.clone());
    match heard.status {
        200..=299 => {
            let Some(id) = answer::id(heard.body) else {
                // It may be there: the next attempt looks.
                return Learned::end(Outcome::Broken);
            };
            let open = Counterpart::open(id);
            if left_out(heard.body, said) {
                return Learned::go_on().set(what, open).note(PLAIN, "yes");
            }
            end().set(what, open)
        }
        400 if answer::is_duplicate(heard.body) => {
            if known.note(look::LOOK).is_none() {
                // It is marked as being created: the next step looks.
                return Learned::go_on();
            }
            let status = heard.status;
            Learned::end(Outcome::AlreadyThere { status })
        }
        400 if said.has_files() && answer::says(heard.body, &["attachment"]) => {
            Learned::go_on().forget(what).note(PLAIN, "yes")
        }
        404 => no_user(known, heard).forget(what),
        400 if answer::says(heard.body, &["requester", "notexist"]) => {
            no_user(known, heard).forget(what)
        }
        // Whether these created it, nobody knows.
        408 | 425 => end(),
        300..=499 => end().forget(what),
        _ => end(),
    }
}

/// An import reports what it left out. To add the message then is safe: if it is
/// there after all, it is a duplicate.
fn left_out(body: &[u8], said: &Said<'_>) -> bool {
    let errors = answer::data(body).and_then(|data| data.get("partialErrors").cloned());
    let errors = errors.as_ref().and_then(Json::as_array);
    errors.into_iter().flatten().any(|error| {
        let text = error.get("message").and_then(Json::as_str);
        text.is_some_and(|text| {
            text.contains(said.external_id())
                || answer::contains(text, &["attachment"])
                || answer::contains(text, &["message"])
        })
    })
}

/// The answer to adding a message.
fn added(known: &Known, said: &Said<'_>, heard: &Heard<'_>) -> Learned {
    match heard.status {
        400 if answer::is_duplicate(heard.body) => Learned::end(Outcome::AlreadyThere {
            status: heard.status,
        }),
        400 if said.has_files() && answer::says(heard.body, &["attachment"]) => {
            Learned::go_on().note(PLAIN, "yes")
        }
        // An agent that does not exist may be meant as well.
        404 if said.agent.is_some() && known.note(DOUBTED).is_none() => {
            Learned::go_on().note(DOUBTED, "yes")
        }
        404 if said.agent.is_none() => no_conversation(known, heard),
        _ => Learned::end(heard.outcome.clone()),
    }
}

/// Whether the conversation is there after all.
fn checked(heard: &Heard<'_>) -> Learned {
    match heard.status {
        404 => Learned::go_on()
            .forget(What::Conversation)
            .note(CONVERSATION_HEALED, "yes"),
        // Then it was the agent who was not found.
        200..=299 => Learned::end(Outcome::Answered {
            status: 404,
            retry_after: None,
        }),
        _ => Learned::end(heard.outcome.clone()),
    }
}

/// The answer to opening a conversation again. A refusal says that it is open
/// already, as far as anybody knows: the message tells.
fn reopened(known: &Known, heard: &Heard<'_>) -> Learned {
    let Some(conversation) = &known.conversation else {
        return Learned::end(heard.outcome.clone());
    };
    match heard.status {
        200..=299 | 400 | 409 => Learned::go_on()
            .set(
                What::Conversation,
                Counterpart::open(conversation.id.clone()),
            )
            .note(REOPENED, "yes"),
        404 => no_conversation(known, heard),
        _ => Learned::end(heard.outcome.clone()),
    }
}

fn no_conversation(known: &Known, heard: &Heard<'_>) -> Learned {
    if known.note(CONVERSATION_HEALED).is_some() {
        return Learned::end(heard.outcome.clone());
    }
    Learned::go_on()
        .forget(What::Conversation)
        .note(CONVERSATION_HEALED, "yes")
}

fn no_user(known: &Known, heard: &Heard<'_>) -> Learned {
    if known.note(USER_HEALED).is_some() {
        return Learned::end(heard.outcome.clone());
    }
    Learned::go_on()
        .forget(What::User)
        .note(USER_HEALED, "yes")
        .note(contact::SEARCH, "")
}
