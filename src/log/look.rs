//! What an operator looks at, and owes again: events, dead letters, replays.

use std::sync::Arc;

use super::disk::aside;
use super::state::{Command, Shared};
use super::{
    Accepted, AppendError, Attempt, DeadLetter, DeliveryHistory, Filter, Log, Origin, Stored, dead,
    read,
};
use crate::event::{EventId, Offset, Owed};

impl Log {
    /// Newest first, at most `limit`, older than `before` if given. A filter's
    /// reason is for dead letters and not looked at here.
    pub async fn events(
        &self,
        filter: Filter,
        before: Option<Offset>,
        limit: usize,
    ) -> std::io::Result<Vec<Arc<Stored>>> {
        self.look(move |shared| read::events(shared, &filter, before, limit))
            .await
    }

    /// The stored event of an id (the latest obligation comes last).
    pub async fn event(
        &self,
        id: EventId,
    ) -> std::io::Result<Vec<(Arc<Stored>, Vec<DeliveryHistory>)>> {
        self.look(move |shared| read::event(shared, id)).await
    }

    /// Oldest first, at most `limit`, newer than `after` if given. Since and
    /// until mean when it died.
    pub async fn dead(
        &self,
        filter: Filter,
        after: Option<Offset>,
        limit: usize,
    ) -> std::io::Result<Vec<DeadLetter>> {
        let before = None;
        self.dead_between(filter, (after, before), false, limit)
            .await
    }

    /// At most `limit` of those after the first and before the second id, if
    /// they are given, newest or oldest first.
    pub async fn dead_between(
        &self,
        filter: Filter,
        (after, before): (Option<Offset>, Option<Offset>),
        newest_first: bool,
        limit: usize,
    ) -> std::io::Result<Vec<DeadLetter>> {
        let span = dead::Span {
            after,
            before,
            newest_first,
        };
        self.look(move |shared| read::dead(shared, &filter, span, limit))
            .await
    }

    /// How many dead letters are kept.
    pub fn dead_total(&self) -> u64 {
        self.shared().dead.total()
    }

    /// How many dead letters a filter takes.
    pub async fn dead_count(&self, filter: Filter) -> std::io::Result<u64> {
        self.look(move |shared| read::dead_count(shared, &filter))
            .await
    }

    /// One dead letter with its event and attempts.
    pub async fn dead_letter(
        &self,
        id: Offset,
    ) -> std::io::Result<Option<(DeadLetter, Arc<Stored>, Vec<Attempt>)>> {
        self.look(move |shared| read::dead_letter(shared, id)).await
    }

    /// A new obligation for one dead letter: `owed` + 1, fresh schedule. Then
    /// it leaves the list. `Ok(false)`: it was not there (any more).
    pub async fn dead_retry(&self, id: Offset) -> Result<bool, AppendError> {
        self.shared()
            .ask(|reply| Command::DeadRetry { id, reply })
            .await
    }

    /// Removes one from the list.
    pub async fn dead_drop(&self, id: Offset) -> Result<bool, AppendError> {
        self.shared()
            .ask(|reply| Command::DeadDrop { id, reply })
            .await
    }

    /// Owes an event's stored bytes again to these destinations.
    pub async fn replay(&self, stored: &Stored, owed: Vec<Owed>) -> Result<(), AppendError> {
        let events = vec![Accepted {
            event: stored.event.clone(),
            owed,
        }];
        self.append_as(Origin::Replayed, events).await.map(drop)
    }

    /// Reads files where reading may block.
    async fn look<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Shared) -> std::io::Result<T> + Send + 'static,
    ) -> std::io::Result<T> {
        let shared = Arc::clone(&self.handle.shared);
        aside(move || question(&shared))
            .await
            .map_err(std::io::Error::other)?
    }
}
