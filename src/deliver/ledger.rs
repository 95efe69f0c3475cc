//! What a worker needs of the memory below it: its place in the log, its pause
//! mark, and the customers remembered. A trait, so that the worker can be shown
//! to be right without a disk.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::event::{DestinationName, Event, Offset};
use crate::links::Links;
use crate::log::{Attempt, Delivery, Log, Subscription};
use crate::settle::Settlement;

/// One destination's account, open for its worker alone. The promises are those
/// of [`Subscription`].
pub(super) trait Ledger: Send + Sync + 'static {
    fn next(&mut self) -> impl Future<Output = Delivery> + Send;
    /// The next one, if it is at hand.
    fn try_next(&mut self) -> Option<Delivery>;
    /// A crash would forget as many settlements as it may: no attempt starts.
    fn awaits_sync(&self) -> bool;
    /// Until a sync covered enough of them.
    fn synced(&self) -> impl Future<Output = ()> + Send;
    fn reread(&self, offset: Offset) -> impl Future<Output = Option<Delivery>> + Send;
    fn start(&self, offset: Offset) -> bool;
    fn retry(&self, offset: Offset, attempt: Attempt, not_before: Timestamp);
    fn settle(
        &self,
        offset: Offset,
        settlement: Settlement,
        attempt: Option<Attempt>,
        detail: &str,
    ) -> bool;
    fn set_paused(&self, paused: bool);
    /// The customer of the event's conversation, as the event says or as
    /// remembered.
    fn customer(&self, event: &Event) -> impl Future<Output = Option<Arc<str>>> + Send;
    /// What dialogues read and write.
    fn links(&self) -> Links;
}

/// The real one.
#[derive(Debug)]
pub(super) struct Account {
    pub name: DestinationName,
    pub log: Log,
    pub links: Links,
    pub subscription: Subscription,
}

impl Ledger for Account {
    async fn next(&mut self) -> Delivery {
        self.subscription.next().await
    }

    fn try_next(&mut self) -> Option<Delivery> {
        self.subscription.try_next()
    }

    fn awaits_sync(&self) -> bool {
        self.subscription.awaits_sync()
    }

    async fn synced(&self) {
        self.subscription.synced().await;
    }

    async fn reread(&self, offset: Offset) -> Option<Delivery> {
        self.subscription.reread(offset).await
    }

    fn start(&self, offset: Offset) -> bool {
        self.subscription.start(offset)
    }

    fn retry(&self, offset: Offset, attempt: Attempt, not_before: Timestamp) {
        self.subscription.retry(offset, attempt, not_before);
    }

    fn settle(
        &self,
        offset: Offset,
        settlement: Settlement,
        attempt: Option<Attempt>,
        detail: &str,
    ) -> bool {
        self.subscription
            .settle(offset, settlement, attempt, detail)
    }

    fn set_paused(&self, paused: bool) {
        self.log.set_paused(&self.name, paused);
    }

    async fn customer(&self, event: &Event) -> Option<Arc<str>> {
        match (&event.user, &event.key) {
            (Some(user), _) => Some(Arc::clone(user)),
            (None, Some(key)) => self.links.find_customer(key).await,
            (None, None) => None,
        }
    }

    fn links(&self) -> Links {
        self.links.clone()
    }
}
