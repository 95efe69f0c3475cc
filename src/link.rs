//! The words of a link: what a conversation or a user here is called over
//! there. The vendors decide by them; `links` keeps them.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// What is linked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    User,
    Conversation,
}

/// A system in which conversations and users have names of their own: the one
/// behind a source, or, where nothing comes back from there, a destination.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Place(Arc<str>);

impl Place {
    /// Where a source's events come from. A key `<source>/<id>` names the
    /// conversation `id` there.
    pub fn of_source(name: &str) -> Self {
        Self(Arc::from(name))
    }

    /// Where a destination's requests go, if no source belongs to it.
    pub fn of_destination(name: &str) -> Self {
        Self(Arc::from(format!("{DESTINATION}{name}")))
    }

    /// The inverse of [`Place::as_str`].
    pub fn parse(text: &str) -> Self {
        Self(Arc::from(text))
    }

    /// The source this place is known by, if it is a source's.
    pub fn source(&self) -> Option<&str> {
        (!self.0.starts_with(DESTINATION)).then_some(&*self.0)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// No source's name begins like this.
const DESTINATION: char = '>';

/// What something of ours is called over there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counterpart {
    /// The vendor's id, as text; empty while it is being created.
    pub id: String,
    pub standing: Standing,
}

impl Counterpart {
    /// There, and open.
    pub fn open(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            standing: Standing::Open,
        }
    }

    /// A request that creates it is about to be sent, or its outcome is not
    /// known: look before creating it again.
    pub fn creating() -> Self {
        Self {
            id: String::new(),
            standing: Standing::Creating,
        }
    }
}

/// How a counterpart stands, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    Open,
    Closed,
    Creating,
}

/// What is to be remembered, or forgotten, about a copy's user or conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Set(What, Counterpart),
    Forget(What),
}
