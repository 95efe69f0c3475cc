//! The news of what became durable: events for who delivers them, receipts for
//! who appended them.
//!
//! The writer thread leaves it here batch by batch, and one task of the runtime
//! brings it round. So the thread wakes one task instead of everybody, and who
//! is woken finds the whole batch and not its first event.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::account::Account;
use super::recent::Recent;
use super::state::{Reply, lock};
use super::{Receipt, Stored};
use crate::event::{Action, Offset};

/// An event that is on the disk, for who wants it.
#[derive(Debug)]
pub(super) struct Published {
    pub(super) stored: Arc<Stored>,
    pub(super) next: Offset,
    pub(super) size: u32,
    /// Accounts with the place of their action among the copies.
    pub(super) targets: Vec<(Arc<Account>, usize)>,
}

/// What is told together: events before receipts, so that who holds a receipt
/// can say that its event was handed on.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) events: Vec<Arc<Published>>,
    pub(super) receipts: Vec<(Reply<Vec<Receipt>>, Vec<Receipt>)>,
}

#[derive(Debug, Default)]
pub(super) struct News {
    /// What was told last.
    pub(super) recent: Recent,
    /// The oldest first.
    left: Mutex<Vec<Told>>,
    /// Held from taking to telling: batches arrive in their order.
    telling: Mutex<()>,
    wake: Notify,
    /// A task brings it round; without one, who leaves it does.
    carried: AtomicBool,
}

impl News {
    /// Leaves a batch to be brought round.
    pub(super) fn leave(&self, told: Told) {
        if told.events.is_empty() && told.receipts.is_empty() {
            return;
        }
        lock(&self.left).push(told);
        if self.carried.load(Ordering::SeqCst) {
            self.wake.notify_one();
        } else {
            self.tell();
        }
    }

    /// Brings round what there is, here and now.
    pub(super) fn tell(&self) {
        let _in_order = lock(&self.telling);
        let batches = std::mem::take(&mut *lock(&self.left));
        for Told { events, receipts } in batches {
            // Before anybody is told: who finds nothing newer there is told of
            // all that comes.
            self.recent.add(&events);
            let mut lags = false;
            for event in &events {
                lags |= event.tell();
            }
            if !lags {
                self.recent.forget();
            }
            for (reply, receipts) in receipts {
                let _nobody_waits = reply.send(Ok(receipts));
            }
        }
    }

    /// Starts the task that brings it round, for as long as the set lives.
    pub(super) fn carry(self: &Arc<Self>, runtime: &tokio::runtime::Handle) -> JoinSet<()> {
        let carrier = Carrier(Arc::clone(self));
        self.carried.store(true, Ordering::SeqCst);
        let mut task = JoinSet::new();
        task.spawn_on(carrier.carry(), runtime);
        task
    }
}

impl Published {
    /// What an account owes of it, if it owes any.
    pub(super) fn owed_to(&self, account: &Account) -> Option<&Action> {
        let mut targets = self.targets.iter();
        let (_, place) = targets.find(|(target, _)| target.id == account.id)?;
        self.stored.owed.get(*place).map(|owed| &owed.action)
    }

    /// Whether somebody lags who may soon want it.
    fn tell(&self) -> bool {
        let mut lags = false;
        for (account, place) in &self.targets {
            if let Some(owed) = self.stored.owed.get(*place) {
                lags |= account.publish(&self.stored, self.next, &owed.action, self.size);
            }
        }
        lags
    }
}

/// However its task ends, nothing stays untold.
struct Carrier(Arc<News>);

impl Carrier {
    async fn carry(self) {
        loop {
            self.0.wake.notified().await;
            self.0.tell();
        }
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        self.0.carried.store(false, Ordering::SeqCst);
        self.0.tell();
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Poll;

    use tokio::sync::oneshot;

    use super::*;
    use crate::clock::Timestamp;
    use crate::event::EventId;
    use crate::log::AppendError;

    fn told() -> (Told, oneshot::Receiver<Result<Vec<Receipt>, AppendError>>) {
        let (reply, answer) = oneshot::channel();
        let receipt = Receipt {
            id: EventId::new(Timestamp::from_millis(1), 7),
            duplicate: false,
            deliveries: 0,
        };
        let told = Told {
            events: Vec::new(),
            receipts: vec![(reply, vec![receipt])],
        };
        (told, answer)
    }

    #[test]
    fn without_a_task_who_leaves_news_tells_it() {
        let news = News::default();
        let (told, mut answer) = told();
        news.leave(told);
        assert!(answer.try_recv().unwrap().is_ok());
    }

    #[tokio::test]
    async fn a_task_brings_news_round_and_none_is_left_when_it_ends() {
        let news = Arc::new(News::default());
        let task = news.carry(&tokio::runtime::Handle::current());
        let (first, answer) = told();
        news.leave(first);
        assert!(answer.await.unwrap().is_ok());

        let (left, mut answer) = told();
        news.leave(left);
        assert!(answer.try_recv().is_err(), "told by the thread itself");
        drop(task);
        // The runtime drops what was aborted when it has its next turn.
        poll_fn(|cx| {
            cx.waker().wake_by_ref();
            match answer.try_recv() {
                Ok(told) => Poll::Ready(told),
                Err(_) => Poll::Pending,
            }
        })
        .await
        .unwrap();

        let (after, mut answer) = told();
        news.leave(after);
        assert!(
            answer.try_recv().unwrap().is_ok(),
            "nobody is left to tell it"
        );
    }
}
