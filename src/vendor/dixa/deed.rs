//! The actions beside `message`: one request each, about a conversation that
//! is there.

use std::ops::ControlFlow;
use std::time::Duration;

use ::http::Method;
use serde_json::{Map, Value as Json, json};

use super::request::{ACT, ask, is_id};
use super::with::With;
use super::{Desk, answer, guard, look, unsendable};
use crate::clock::Timestamp;
use crate::decode::quantity;
use crate::link::{Counterpart, Standing, What};
use crate::settle::Reason;
use crate::transform::Unsendable;
use crate::vendor::Call;
use crate::vendor::dialogue::{Heard, Known, Learned, Step};

/// How long the latest rating offer of a conversation is remembered.
const OFFER_TTL: Duration = Duration::from_secs(7 * 24 * 3600);

/// The ratings Dixa documents, with the values each may have.
const RATINGS: &[(&str, i64, i64)] = &[("Csat", 1, 5), ("Nps", 0, 10), ("ThumbsUpOrDown", 0, 1)];

pub(super) fn next(
    desk: &Desk,
    call: &Call<'_>,
    known: &Known,
    with: &With,
) -> Result<Step, Unsendable> {
    let Some(conversation) = target(known, with)? else {
        return recover(desk, call, known)?.ok_or_else(|| unlinked(call));
    };
    let deed = Deed::of(desk, call, known, with, &conversation)?;
    if let Some(step) = guard::next(desk, call, known, with)? {
        return Ok(step);
    }
    let mut path = vec!["conversations", &conversation];
    path.extend(deed.path.iter().map(String::as_str));
    Ok(ask(ACT, desk.send(deed.method, &path, &deed.body)))
}

/// The answer to it.
pub(super) fn heard(call: &Call<'_>, known: &Known, with: &With, heard: &Heard<'_>) -> Learned {
    let learned = Learned::end(heard.outcome.clone());
    if !(200..=299).contains(&heard.status) {
        return learned;
    }
    let Some(conversation) = target(known, with).ok().flatten() else {
        return learned;
    };
    let own = known.conversation.as_ref().map(|own| own.id.as_str());
    let own = own == Some(conversation.as_str());
    let stands = |standing| Counterpart {
        id: conversation.clone(),
        standing,
    };
    match &*call.action.name {
        "close" if own => learned.set(What::Conversation, stands(Standing::Closed)),
        "reopen" if own => learned.set(What::Conversation, stands(Standing::Open)),
        "rating_offer" => match answer::id(heard.body) {
            Some(id) => learned.memo(offer(&conversation), id, OFFER_TTL),
            None => learned,
        },
        _ => learned,
    }
}

/// The conversation that is meant: the route's, else the event's.
pub(super) fn target(known: &Known, with: &With) -> Result<Option<String>, Unsendable> {
    if let Some(id) = with.id("conversation_id")? {
        return Ok(Some(id));
    }
    match &known.conversation {
        Some(one) if one.standing != Standing::Creating => linked(one).map(str::to_owned).map(Some),
        _ => Ok(None),
    }
}

/// A link may have been written by hand.
pub(super) fn linked(to: &Counterpart) -> Result<&str, Unsendable> {
    if is_id(&to.id) {
        return Ok(&to.id);
    }
    Err(Unsendable::Dead {
        reason: Reason::Unlinked,
        detail:
            "this conversation is linked to what is no id of Dixa's: `hookfan links set …` mends it"
                .to_owned(),
    })
}

/// A message's copy may have left open whether its conversation was created.
fn recover(desk: &Desk, call: &Call<'_>, known: &Known) -> Result<Option<Step>, Unsendable> {
    let creating = known
        .conversation
        .as_ref()
        .is_some_and(|one| one.standing == Standing::Creating);
    let customer = call.customer.is_some() || known.user.is_some();
    if !creating || !customer {
        return Ok(None);
    }
    match look::next(desk, call, known)? {
        ControlFlow::Break(step) => Ok(Some(step)),
        ControlFlow::Continue(()) => Ok(None),
    }
}

fn unlinked(call: &Call<'_>) -> Unsendable {
    let key = call
        .event
        .key
        .as_ref()
        .map_or("this event, which has no key", |key| key.as_str());
    Unsendable::Dead {
        reason: Reason::Unlinked,
        detail: format!(
            "no conversation at Dixa is linked to {key}: its first message makes one, `hookfan links set …` names one by \
             hand, and with = {{ conversation_id = \"…\" }} on the route does without"
        ),
    }
}

fn offer(conversation: &str) -> String {
    format!("rating/{conversation}")
}

/// What is sent: below the conversation's own path.
struct Deed {
    method: Method,
    path: Vec<String>,
    body: Json,
}

impl Deed {
    fn of(
        desk: &Desk,
        call: &Call<'_>,
        known: &Known,
        with: &With,
        conversation: &str,
    ) -> Result<Self, Unsendable> {
        let user = with.id("user_id")?;
        match &*call.action.name {
            "close" => Ok(Self::put(&["close"], [("userId", user.map(Json::from))])),
            "reopen" => Ok(Self::put(&["reopen"], [("userId", user.map(Json::from))])),
            "followup" => {
                let at = moment(call, with)?.to_string();
                let parts = [
                    ("timestamp", Some(Json::from(at))),
                    ("userId", user.map(Json::from)),
                ];
                Ok(Self::put(&["followup"], parts))
            }
            "transfer" => {
                let queue = with.required_id("queue_id", call)?;
                let parts = [
                    ("queueId", Some(Json::from(queue))),
                    ("userId", user.map(Json::from)),
                ];
                Ok(Self::put(&["transfer", "queue"], parts))
            }
            "claim" => {
                let agent = match with.id("agent_id")?.or_else(|| desk.agent_id.clone()) {
                    Some(agent) => agent,
                    None => with.required_id("agent_id", call)?,
                };
                let parts = [
                    ("agentId", Some(Json::from(agent))),
                    ("force", Some(Json::from(with.flag("force")))),
                ];
                Ok(Self::put(&["claim"], parts))
            }
            "note" => Self::note(desk, call, with),
            "rating_offer" => Self::rating_offer(call, with, user),
            "rating_submit" => Self::rating_submit(call, known, with, conversation),
            other => Err(unsendable(format!("there is no action `{other}` here"))),
        }
    }

    fn put<const N: usize>(path: &[&str], parts: [(&str, Option<Json>); N]) -> Self {
        Self::new(Method::PUT, path, parts)
    }

    fn new<const N: usize>(
        method: Method,
        path: &[&str],
        parts: [(&str, Option<Json>); N],
    ) -> Self {
        let body: Map<String, Json> = parts
            .into_iter()
            .filter_map(|(key, value)| Some((key.to_owned(), value?)))
            .collect();
        Self {
            method,
            path: path.iter().map(|part| (*part).to_owned()).collect(),
            body: Json::Object(body),
        }
    }

    fn note(desk: &Desk, call: &Call<'_>, with: &With) -> Result<Self, Unsendable> {
        let said = || call.message().map(|message| message.quoted.clone());
        let text = match with.text("message").or_else(said) {
            Some(text) => text,
            None => with.required("message", call)?,
        };
        let agent = with.id("agent_id")?.or_else(|| desk.agent_id.clone());
        let parts = [
            ("message", Some(Json::from(text))),
            ("agentId", agent.map(Json::from)),
            ("createdAt", Some(Json::from(said_at(call).to_string()))),
        ];
        Ok(Self::new(Method::POST, &["notes"], parts))
    }

    fn rating_offer(
        call: &Call<'_>,
        with: &With,
        user: Option<String>,
    ) -> Result<Self, Unsendable> {
        let (kind, ..) = rating_type(call, with)?;
        let parts = [
            ("ratingType", Some(Json::from(kind))),
            ("userId", user.map(Json::from)),
            ("agentId", with.id("agent_id")?.map(Json::from)),
            ("offeredAt", Some(Json::from(said_at(call).to_string()))),
        ];
        Ok(Self::new(Method::POST, &["ratings", "offer"], parts))
    }

    fn rating_submit(
        call: &Call<'_>,
        known: &Known,
        with: &With,
        conversation: &str,
    ) -> Result<Self, Unsendable> {
        let (kind, least, most) = rating_type(call, with)?;
        let rating = with.required("rating", call)?;
        let value = with
            .whole("rating")
            .filter(|value| (least..=most).contains(value))
            .ok_or_else(|| {
                unsendable(format!(
                    "with.rating is {rating}, and {kind} takes {least} to {most}"
                ))
            })?;
        let remembered = || known.memo(&offer(conversation), call.now);
        let id = with.id("rating_id")?.or_else(remembered).ok_or_else(|| {
            unsendable(
                "no rating offer of this conversation is remembered (a restart forgets it): give the route \
                 with = { rating_id = \"…\" }",
            )
        })?;
        let result = json!({ "value": value, "_type": kind });
        let parts = [
            ("ratingResult", Some(result)),
            ("comment", with.text("comment").map(Json::from)),
            ("submittedAt", Some(Json::from(said_at(call).to_string()))),
        ];
        Ok(Self::new(Method::POST, &["ratings", &id, "submit"], parts))
    }
}

fn rating_type(call: &Call<'_>, with: &With) -> Result<(&'static str, i64, i64), Unsendable> {
    let kind = with.required("rating_type", call)?;
    let known = RATINGS.iter().find(|(name, ..)| *name == kind);
    known.copied().ok_or_else(|| {
        unsendable(format!(
            "with.rating_type is `{kind}`; there are Csat, Nps and ThumbsUpOrDown"
        ))
    })
}

/// When a follow-up is due: at a time, or so long after the event was accepted
/// (and not after this attempt, so that a retry asks for the same).
fn moment(call: &Call<'_>, with: &With) -> Result<Timestamp, Unsendable> {
    if let Some(text) = with.text("timestamp") {
        return Timestamp::parse_rfc3339(&text).ok_or_else(|| {
            unsendable(
                "the route's with.timestamp is no RFC 3339 time such as 2025-01-08T08:31:25Z",
            )
        });
    }
    let Some(text) = with.text("after") else {
        return Err(unsendable(
            "`followup` needs to know when: give the route with = { after = \"24h\" }, or with = { timestamp = \"…\" }",
        ));
    };
    let after = quantity::duration(&text).map_err(|_unfit| {
        unsendable("the route's with.after is no duration such as \"30m\" or \"24h\"")
    })?;
    Ok(call.event.accepted_at.plus(after))
}

/// The platform's time where it gives one that can be; else when the event was
/// accepted.
fn said_at(call: &Call<'_>) -> Timestamp {
    let said = call.message().and_then(|message| message.sent_at);
    said.unwrap_or(call.event.accepted_at).min(call.now)
}
