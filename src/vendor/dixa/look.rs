//! Looking before creating a conversation again.
//!
//! Creating one is not idempotent, and a crash or a silence leaves it open
//! whether it happened. So the customer's newest conversations are looked into
//! for a message of ours.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::body::conversation_prefix;
use super::request::{LIST, MESSAGES, ask_alone};
use super::{Desk, WhenClosed, answer, contact};
use crate::link::{Counterpart, Standing, What};
use crate::settle::Outcome;
use crate::transform::Unsendable;
use crate::vendor::Call;
use crate::vendor::dialogue::{Heard, Known, Learned, Step};

/// What was seen so far; its presence says that this dialogue has looked.
pub(super) const LOOK: &str = "look";

/// A page of conversations stays well below the cap for answers.
const PAGE_LIMIT: &str = "25";

/// Pages read at most: Dixa does not document their order.
const PAGES_MAX: usize = 4;

/// Conversations looked into at most, the newest first.
const LOOKS_MAX: usize = 5;

#[derive(Debug, Default, Serialize, Deserialize)]
struct Look {
    pages: usize,
    /// The next page; `None` at the first, and when all are listed.
    page: Option<String>,
    listed: bool,
    candidates: Vec<Candidate>,
}

/// The newest sorts first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Candidate {
    created: std::cmp::Reverse<String>,
    id: String,
    closed: bool,
}

impl Look {
    fn of(known: &Known) -> Self {
        known
            .note(LOOK)
            .and_then(|note| serde_json::from_str(note).ok())
            .unwrap_or_default()
    }

    fn noted(&self, learned: Learned) -> Learned {
        learned.note(LOOK, serde_json::to_string(self).unwrap_or_default())
    }
}

/// The next thing to ask, or `Continue`: it is not there.
pub(super) fn next(
    desk: &Desk,
    call: &Call<'_>,
    known: &Known,
) -> Result<ControlFlow<Step>, Unsendable> {
    let user = match contact::find(desk, call, known)? {
        ControlFlow::Break(step) => return Ok(ControlFlow::Break(step)),
        ControlFlow::Continue(user) => user,
    };
    let look = Look::of(known);
    let (step, request) = if !look.listed {
        let mut query = vec![("pageLimit", PAGE_LIMIT)];
        query.extend(look.page.as_deref().map(|page| ("pageKey", page)));
        let path = ["endusers", &user, "conversations"];
        (LIST, desk.get(&path, &query))
    } else if let Some(candidate) = look.candidates.first() {
        let path = ["conversations", &candidate.id, "messages"];
        (MESSAGES, desk.get(&path, &[]))
    } else {
        return Ok(ControlFlow::Continue(()));
    };
    let step = ask_alone(step, request, What::Conversation, Vec::new());
    Ok(ControlFlow::Break(step))
}

/// The answer to the list of conversations.
pub(super) fn listed(known: &Known, heard: &Heard<'_>) -> Learned {
    if !(200..=299).contains(&heard.status) {
        return Learned::end(heard.outcome.clone());
    }
    let Some((conversations, next)) = answer::page(heard.body) else {
        return Learned::end(Outcome::Broken);
    };
    let mut look = Look::of(known);
    look.candidates
        .extend(conversations.iter().filter_map(Candidate::of));
    look.candidates.sort();
    look.candidates.truncate(LOOKS_MAX);
    look.pages += 1;
    look.listed = next.is_none() || look.pages >= PAGES_MAX;
    look.page = next;
    look.noted(Learned::go_on())
}

/// The answer to the list of a conversation's messages. `said` is the
/// `externalId` of this very message, where the copy is one.
pub(super) fn looked(
    desk: &Desk,
    call: &Call<'_>,
    known: &Known,
    said: Option<&str>,
    heard: &Heard<'_>,
) -> Learned {
    let ids = match heard.status {
        200..=299 => match answer::external_ids(heard.body) {
            Some(ids) => ids,
            None => return Learned::end(Outcome::Broken),
        },
        404 => Vec::new(),
        _ => return Learned::end(heard.outcome.clone()),
    };
    let mut look = Look::of(known);
    if look.candidates.is_empty() {
        return Learned::go_on();
    }
    let candidate = look.candidates.remove(0);
    let counterpart = Counterpart {
        id: candidate.id,
        standing: if candidate.closed {
            Standing::Closed
        } else {
            Standing::Open
        },
    };
    if ids.iter().any(|id| Some(id.as_str()) == said) {
        let status = heard.status;
        return Learned::end(Outcome::AlreadyThere { status }).set(What::Conversation, counterpart);
    }
    // A closed one is not what was being created, where a new one was due.
    let wanted = !(candidate.closed && desk.when_closed == WhenClosed::New);
    let prefix = conversation_prefix(call.event).unwrap_or_default();
    let ours = !prefix.is_empty() && ids.iter().any(|id| id.starts_with(&prefix));
    let learned = look.noted(Learned::go_on());
    if ours && wanted {
        learned.set(What::Conversation, counterpart)
    } else {
        learned
    }
}

impl Candidate {
    fn of(conversation: &Json) -> Option<Self> {
        let text = |key: &str| conversation.get(key).and_then(Json::as_str);
        Some(Self {
            created: std::cmp::Reverse(text("createdAt").unwrap_or_default().to_owned()),
            id: answer::id_of(conversation)?,
            closed: text("state").is_some_and(|state| state.eq_ignore_ascii_case("closed")),
        })
    }
}
