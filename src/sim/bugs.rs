//! Bugs that somebody could write, each put where it would be, so that the
//! checker can be shown to see them.

use crate::deliver::simulated::Sabotage;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// An event is acknowledged before it is on the disk.
    NoSync,
    /// A new file's name is not made durable.
    NoFolderSync,
    /// A failed sync is tried again and believed.
    SyncTriedAgain,
    /// A copy is settled when its attempt starts.
    SettlesEarly,
    /// A conversation's events go out at once.
    NoLanes,
    /// What vendors called their events is forgotten at a restart.
    ForgetsIds,
    /// Failed attempts are forgotten at a restart.
    ForgetsRetries,
}

impl Bug {
    pub(crate) const ALL: [Self; 7] = [
        Self::NoSync,
        Self::NoFolderSync,
        Self::SyncTriedAgain,
        Self::SettlesEarly,
        Self::NoLanes,
        Self::ForgetsIds,
        Self::ForgetsRetries,
    ];

    pub(crate) fn sabotage(bug: Option<Self>) -> Sabotage {
        match bug {
            Some(Self::SettlesEarly) => Sabotage::SettlesEarly,
            Some(Self::ForgetsRetries) => Sabotage::ForgetsRetries,
            _ => Sabotage::None,
        }
    }
}
