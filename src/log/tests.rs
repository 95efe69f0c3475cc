//! What the log promises, each promise over the smallest disk that can break it.

mod again;
mod crash;
mod damage;
pub(super) mod disk;
mod flow;
mod keep;
mod ledger;
mod limits;
mod mend;
mod open;
mod parked;
mod pure;
mod steady;
mod torn;
mod turn;
mod unread;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use self::disk::SimDisk;
use super::*;
use crate::event::Key;

/// A disk in memory with a log on it, for one test.
pub(super) struct House {
    pub(super) disk: SimDisk,
    pub(super) settings: Settings,
    pub(super) clock: Clock,
}

pub(super) const START: Timestamp = Timestamp::from_millis(1_790_000_000_000);

impl House {
    pub(super) fn new() -> Self {
        Self::with_segments(1 << 20)
    }

    pub(super) fn with_segments(segment_bytes: u64) -> Self {
        let settings = Settings {
            data_dir: PathBuf::from("/data"),
            retain: Duration::from_secs(24 * 3600),
            retain_dead: Duration::from_secs(30 * 24 * 3600),
            dead_letters_max: 1_000_000,
            max_disk: 1 << 40,
            min_free: 0,
            dedupe: Duration::from_secs(72 * 3600),
            segment_bytes,
        };
        Self {
            disk: SimDisk::default(),
            settings,
            clock: Clock::following_tokio(START),
        }
    }

    pub(super) fn open(&self) -> Log {
        self.try_open().unwrap().0
    }

    pub(super) fn try_open(&self) -> Result<(Log, Recovery), OpenError> {
        let metrics = Arc::new(Metrics::new());
        Log::open_on(
            Arc::new(self.disk.clone()),
            self.settings.clone(),
            self.clock.clone(),
            metrics,
        )
    }

    /// The power goes: what was not synced is lost or torn; a new disk holds
    /// the rest, and the old log finds its own broken.
    pub(super) fn crash(&mut self, chance: &mut fastrand::Rng) {
        self.disk = self.disk.crash(chance);
    }
}

pub(super) fn name(text: &str) -> DestinationName {
    DestinationName::from(text)
}

pub(super) fn event(n: u64) -> Event {
    let at = START.plus(Duration::from_millis(n));
    Event {
        id: EventId::new(at, u128::from(n)),
        source: "qiscus".into(),
        kind: "qiscus".into(),
        event_type: "post_comment_mobile".into(),
        key: Some(Key::from(format!("qiscus/{}", n % 3))),
        vendor_id: None,
        direction: Some(crate::event::Direction::Incoming),
        user: Some(Arc::from("ann@example.com")),
        accepted_at: at,
        hops: 0,
        headers: vec![(Arc::from("content-type"), Arc::from("application/json"))],
        body: Bytes::from(format!("{{\"n\":{n}}}")),
    }
}

pub(super) fn vendor(n: u64, id: &str) -> Event {
    Event {
        vendor_id: Some(id.into()),
        ..event(n)
    }
}

pub(super) fn owed(to: &[&str]) -> Vec<Owed> {
    to.iter()
        .map(|to| Owed {
            destination: name(to),
            action: Action::message(),
        })
        .collect()
}

pub(super) fn accepted(event: Event, to: &[&str]) -> Accepted {
    Accepted {
        event,
        owed: owed(to),
    }
}

/// The receipt of one event, or a failed test: nothing here takes seconds.
pub(super) async fn put(log: &Log, n: u64, to: &[&str]) -> Receipt {
    let append = log.append(vec![accepted(event(n), to)]);
    let answer = tokio::time::timeout(Duration::from_secs(20), append).await;
    answer.expect("an answer").unwrap()[0]
}

pub(super) fn attempt(number: u32) -> Attempt {
    Attempt {
        number,
        at: START.plus(Duration::from_secs(u64::from(number))),
        outcome: "5xx".into(),
        status: Some(503),
        took_ms: 12,
        detail: format!("attempt {number}"),
    }
}

/// The next delivery, or a failed test: nothing here takes seconds.
pub(super) async fn next(subscription: &mut Subscription) -> Delivery {
    tokio::time::timeout(Duration::from_secs(20), subscription.next())
        .await
        .expect("a delivery")
}

pub(super) async fn nothing_more(subscription: &mut Subscription) {
    let more = tokio::time::timeout(Duration::from_millis(30), subscription.next()).await;
    assert!(more.is_err(), "unexpected {more:?}");
}

/// Waits for what another thread does.
pub(super) async fn until(mut done: impl FnMut() -> bool) {
    for _ in 0..20_000 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("it did not come about");
}

/// Every account must add up, in itself and by segment.
pub(super) fn adds_up(log: &Log) {
    for account in log.shared().all_accounts() {
        let state = lock(&account.state);
        let ledger = &state.ledger;
        let by_segment: u64 = ledger
            .pending_in
            .values()
            .map(|pending| u64::from(pending.count))
            .sum();
        let bytes: u64 = ledger
            .pending_in
            .values()
            .map(|pending| pending.bytes)
            .sum();
        assert_eq!(
            ledger.owed,
            ledger.delivered + ledger.dead + ledger.dropped + by_segment,
            "{ledger:?}"
        );
        assert_eq!(ledger.pending_bytes, bytes, "{ledger:?}");
    }
}

pub(super) fn totals(log: &Log, to: &str) -> [u64; 5] {
    let totals = log.totals().get(&name(to)).copied().unwrap_or_default();
    [
        totals.owed,
        totals.delivered,
        totals.dead,
        totals.dropped,
        totals.pending(),
    ]
}
