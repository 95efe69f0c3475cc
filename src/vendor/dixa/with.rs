//! What a route's `with` gives to an action, its templates filled in.

use serde_json::Value as Json;

use super::{request, unsendable};
use crate::expression::Scope;
use crate::payload;
use crate::transform::{BodyShape, Unsendable};
use crate::vendor::Call;

/// The table, or null.
#[derive(Debug)]
pub(super) struct With(Json);

/// What every action but `message` takes, guards' keys included.
const OF_ALL: &[&str] = &[
    "conversation_id",
    "require",
    "queue_id",
    "channel",
    "position_max",
];

/// What each action takes beyond that.
const OF_ACTION: &[(&str, &[&str])] = &[
    ("close", &["user_id"]),
    ("reopen", &["user_id"]),
    ("followup", &["timestamp", "after", "user_id"]),
    ("transfer", &["user_id"]),
    ("claim", &["agent_id", "force"]),
    ("note", &["message", "agent_id"]),
    ("rating_offer", &["rating_type", "user_id", "agent_id"]),
    (
        "rating_submit",
        &["rating_type", "rating", "rating_id", "comment"],
    ),
];

/// A key that is not known is a slip. A message takes what it needs and leaves
/// the rest: its route may lead to others, too.
fn known_keys(action: &str, with: &Json) -> Result<(), Unsendable> {
    let Some((_, of_action)) = OF_ACTION.iter().find(|(name, _)| *name == action) else {
        return Ok(());
    };
    let known = || of_action.iter().chain(OF_ALL).copied();
    let keys = with.as_object().into_iter().flat_map(|with| with.keys());
    match keys
        .into_iter()
        .find(|key| !known().any(|known| known == *key))
    {
        None => Ok(()),
        Some(key) => Err(unsendable(format!(
            "the route's `with` has `{key}`, which `{action}` does not take; it takes {}",
            known().collect::<Vec<_>>().join(", ")
        ))),
    }
}

impl With {
    pub(super) fn of(call: &Call<'_>) -> Result<Self, Unsendable> {
        if call.action.with.is_empty() {
            return Ok(Self(Json::Null));
        }
        let with: Json = serde_json::from_str(&call.action.with)
            .map_err(|error| unsendable(format!("the route's `with` cannot be read: {error}")))?;
        let shape = BodyShape::from_json(&with)
            .map_err(|error| unsendable(format!("the route's `with`: {error}")))?;
        let scope = Scope::new(call.event, call.message(), call.payload());
        let with = shape.render(&scope)?;
        known_keys(&call.action.name, &with)?;
        Ok(Self(with))
    }

    /// A text that says something, or a whole number as text.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.0
            .get(name)
            .and_then(payload::id_text)
            .filter(|text| !text.trim().is_empty())
    }

    /// Like `text`; where it is absent, what the action needs it for.
    pub(super) fn required(&self, name: &str, call: &Call<'_>) -> Result<String, Unsendable> {
        self.text(name).ok_or_else(|| {
            unsendable(format!(
                "`{}` needs it: give the route with = {{ {name} = \"…\" }}",
                call.action.name
            ))
        })
    }

    /// An id, where there is one.
    pub(super) fn id(&self, name: &str) -> Result<Option<String>, Unsendable> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        request::id(&format!("the route's with.{name}"), &text)?;
        Ok(Some(text))
    }

    pub(super) fn required_id(&self, name: &str, call: &Call<'_>) -> Result<String, Unsendable> {
        let text = self.required(name, call)?;
        request::id(&format!("the route's with.{name}"), &text)?;
        Ok(text)
    }

    pub(super) fn whole(&self, name: &str) -> Option<i64> {
        self.text(name)?.trim().parse().ok()
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        match self.0.get(name) {
            Some(Json::Bool(flag)) => *flag,
            Some(Json::String(text)) => text.trim() == "true",
            _ => false,
        }
    }
}
