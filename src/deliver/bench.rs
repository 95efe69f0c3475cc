//! A worker on a bench: a ledger in memory, a destination that follows a
//! script, and tokio's clock to move by hand.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use http::Response;
use http_body_util::{BodyExt, Full};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower::BoxError;
use tower::util::BoxCloneService;

use super::attempt::{Client, Sent, Silence};
use super::ledger::Ledger;
use super::{Accounts, Destination, Means, Worker, sample};
use crate::clock::{Clock, Timestamp};
use crate::event::{DestinationName, Event, Offset};
use crate::links::Links;
use crate::log::{Attempt, Delivery, Origin, Stored};
use crate::metrics::Metrics;
use crate::settle::{Outcome, Settlement};

/// The ledger: everything in memory, every fact kept.
#[derive(Clone, Default)]
pub(super) struct Book(Arc<Pages>);

#[derive(Default)]
struct Pages {
    page: Mutex<Page>,
    more: Notify,
    settled: Notify,
}

#[derive(Default)]
pub(super) struct Page {
    pub unread: VecDeque<Delivery>,
    pub open: BTreeMap<Offset, Delivery>,
    pub settled: BTreeMap<Offset, (Settlement, Option<Attempt>, String)>,
    pub retries: Vec<(Offset, Attempt, Timestamp)>,
    pub started: HashSet<Offset>,
    pub paused: Vec<bool>,
    pub customer: Option<Arc<str>>,
    /// What dialogues use, where there are any.
    pub links: Option<Links>,
    pub reads: usize,
    /// Settlements that no sync covered, and how many there may be.
    pub unsynced: usize,
    pub unsynced_max: Option<usize>,
}

impl Book {
    pub(super) fn page(&self) -> MutexGuard<'_, Page> {
        self.0.page.lock().unwrap()
    }

    pub(super) fn owe(&self, event: Event) {
        let n = {
            let page = self.page();
            page.open.len() + page.settled.len()
        };
        self.owe_again(event, n as u64, 0, None, None);
    }

    /// Covers what is settled.
    pub(super) fn sync(&self) {
        self.page().unsynced = 0;
        self.0.more.notify_one();
    }

    /// As a former run left it.
    pub(super) fn owe_again(
        &self,
        event: Event,
        offset: u64,
        attempts: u32,
        first_at: Option<Timestamp>,
        not_before: Option<Timestamp>,
    ) {
        let stored = Stored {
            offset: Offset(offset),
            event,
            owed: Vec::new(),
            origin: Origin::Accepted,
        };
        let delivery = Delivery {
            stored: Arc::new(stored),
            action: sample::action(),
            attempts,
            first_at,
            not_before,
        };
        let mut page = self.page();
        page.open.insert(Offset(offset), delivery.clone());
        page.unread.push_back(delivery);
        drop(page);
        self.0.more.notify_one();
    }
}

impl Ledger for Book {
    async fn next(&mut self) -> Delivery {
        loop {
            let more = self.0.more.notified();
            {
                let mut page = self.page();
                if let Some(delivery) = page.unread.pop_front() {
                    page.reads += 1;
                    return delivery;
                }
            }
            more.await;
        }
    }

    fn try_next(&mut self) -> Option<Delivery> {
        let mut page = self.page();
        let delivery = page.unread.pop_front()?;
        page.reads += 1;
        Some(delivery)
    }

    fn awaits_sync(&self) -> bool {
        let page = self.page();
        page.unsynced_max.is_some_and(|max| page.unsynced >= max)
    }

    async fn synced(&self) {
        while self.awaits_sync() {
            self.0.more.notified().await;
        }
    }

    async fn reread(&self, offset: Offset) -> Option<Delivery> {
        self.page().open.get(&offset).cloned()
    }

    fn start(&self, offset: Offset) -> bool {
        let mut page = self.page();
        assert!(page.started.insert(offset), "{offset} started twice");
        page.open.contains_key(&offset)
    }

    fn retry(&self, offset: Offset, attempt: Attempt, not_before: Timestamp) {
        let mut page = self.page();
        assert!(page.started.remove(&offset), "{offset} was not started");
        let delivery = page.open.get_mut(&offset).unwrap();
        delivery.attempts = attempt.number;
        delivery.first_at.get_or_insert(attempt.at);
        delivery.not_before = Some(not_before);
        page.retries.push((offset, attempt, not_before));
    }

    fn settle(
        &self,
        offset: Offset,
        settlement: Settlement,
        attempt: Option<Attempt>,
        detail: &str,
    ) -> bool {
        let mut page = self.page();
        page.started.remove(&offset);
        page.open.remove(&offset).expect("settled once");
        page.unsynced += 1;
        page.settled
            .insert(offset, (settlement, attempt, detail.to_owned()));
        self.0.settled.notify_waiters();
        true
    }

    fn set_paused(&self, paused: bool) {
        self.page().paused.push(paused);
    }

    async fn customer(&self, event: &Event) -> Option<Arc<str>> {
        event.user.clone().or_else(|| self.page().customer.clone())
    }

    fn links(&self) -> Links {
        self.page().links.clone().unwrap()
    }
}

/// What the destination does with attempt `attempt` of event `n`.
pub(super) type Script = dyn Fn(u64, u32) -> Says + Send + Sync;

pub(super) struct Says {
    pub after: Duration,
    pub answer: Result<u16, Outcome>,
    pub body: &'static str,
}

pub(super) fn says(status: u16) -> Says {
    Says {
        after: Duration::from_millis(10),
        answer: Ok(status),
        body: "",
    }
}

/// One attempt, as the destination saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Saw {
    pub n: u64,
    pub attempt: u32,
    pub start: Duration,
    pub end: Option<Duration>,
}

/// The destination's memory.
#[derive(Clone)]
pub(super) struct Sink {
    pub seen: Arc<Mutex<Vec<Saw>>>,
    base: Instant,
}

impl Sink {
    fn client(&self, script: &Arc<Script>) -> Client {
        let (sink, script) = (self.clone(), script.clone());
        BoxCloneService::new(tower::service_fn(move |sent: Sent| {
            let (sink, script) = (sink.clone(), script.clone());
            async move {
                let attempt: u32 = sent.headers()["hookfan-attempt"]
                    .to_str()
                    .unwrap()
                    .parse()
                    .unwrap();
                let body = sent.into_body().collect().await.unwrap().to_bytes();
                // Not parsed as JSON: some of what is sent is none.
                let text = String::from_utf8_lossy(&body);
                let digits = text
                    .rsplit("\"n\":")
                    .next()
                    .unwrap()
                    .chars()
                    .take_while(char::is_ascii_digit);
                let n = digits.collect::<String>().parse().unwrap();
                let index = {
                    let mut seen = sink.seen.lock().unwrap();
                    seen.push(Saw {
                        n,
                        attempt,
                        start: sink.base.elapsed(),
                        end: None,
                    });
                    seen.len() - 1
                };
                let Says {
                    after,
                    answer,
                    body,
                } = script(n, attempt);
                tokio::time::sleep(after).await;
                sink.seen.lock().unwrap()[index].end = Some(sink.base.elapsed());
                let status = answer.map_err(|outcome| Silence {
                    outcome,
                    detail: "as scripted".to_owned(),
                })?;
                let body = Full::from(body).map_err(BoxError::from).boxed_unsync();
                Ok(Response::builder().status(status).body(body).unwrap())
            }
        }))
    }

    pub(super) fn seen(&self) -> Vec<Saw> {
        self.seen.lock().unwrap().clone()
    }

    /// How many were in the air at once, at most.
    pub(super) fn crowd(&self) -> usize {
        let seen = self.seen();
        let in_air = |at: Duration| {
            seen.iter()
                .filter(|saw| saw.start <= at && saw.end.is_none_or(|end| end > at))
                .count()
        };
        seen.iter().map(|saw| in_air(saw.start)).max().unwrap_or(0)
    }
}

pub(super) struct Bench {
    pub book: Book,
    pub sink: Sink,
    pub worker: Worker,
    pub metrics: Arc<Metrics>,
    pub drain: CancellationToken,
    pub tasks: JoinSet<DestinationName>,
}

impl Bench {
    pub(super) fn new(
        destination: Destination,
        script: impl Fn(u64, u32) -> Says + Send + Sync + 'static,
    ) -> Self {
        Self::over(Book::default(), destination, script)
    }

    pub(super) fn over(
        book: Book,
        destination: Destination,
        script: impl Fn(u64, u32) -> Says + Send + Sync + 'static,
    ) -> Self {
        let sink = Sink {
            seen: Arc::default(),
            base: Instant::now(),
        };
        let (metrics, drain, mut tasks) = (
            Arc::new(Metrics::new()),
            CancellationToken::new(),
            JoinSet::new(),
        );
        let (script, to): (Arc<Script>, _) = (Arc::new(script), sink.clone());
        let means = Means {
            intake: Arc::new(sample::NoIntake),
            accounts: Accounts::default(),
            clock: Clock::following_tokio(sample::start()),
            metrics: metrics.clone(),
            read: sample::read,
            drain_patience: Duration::from_secs(10),
            client: move |_: &Destination| to.client(&script),
            sign: |_, _, _, _| unreachable!(),
        };
        let worker = Worker::run(
            Arc::new(destination),
            book.clone(),
            false,
            means,
            drain.clone(),
            &mut tasks,
        );
        Self {
            book,
            sink,
            worker,
            metrics,
            drain,
            tasks,
        }
    }

    /// Owes events `n` of a range; `key` names each one's conversation.
    pub(super) fn owe(&self, range: std::ops::Range<u64>, key: impl Fn(u64) -> Option<String>) {
        for n in range {
            self.book
                .owe(sample::event(n, key(n).as_deref(), "message"));
        }
    }

    /// Lets time pass until all that is owed is settled, at most `within`.
    pub(super) async fn settled(&self, within: Duration) {
        let deadline = Instant::now() + within;
        loop {
            let settled = self.book.0.settled.notified();
            let open = self.book.page().open.len();
            if open == 0 {
                break;
            }
            let in_time = tokio::time::timeout_at(deadline, settled).await.is_ok();
            assert!(
                in_time,
                "{open} not settled within {within:?}: {:?}",
                self.sink.seen().last()
            );
        }
        // The worker takes note of the last one, too.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    pub(super) async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    /// How each offset ended.
    pub(super) fn endings(&self) -> Vec<String> {
        let word = |settlement: &Settlement| match settlement {
            Settlement::Dead(reason) => format!("dead {reason}"),
            other => other.label().to_owned(),
        };
        self.book
            .page()
            .settled
            .values()
            .map(|(settlement, ..)| word(settlement))
            .collect()
    }
}
