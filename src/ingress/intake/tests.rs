//! Quiq's snapshots through the real log and the real links: every message
//! once and in order, whatever comes again, and whatever has ended meanwhile.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use arc_swap::ArcSwap;
use bytes::Bytes;
use serde_json::json;

use super::*;
use crate::clock::Clock;
use crate::event::{Action, Inbound};
use crate::log::{Settings, Subscription};
use crate::route::{Route, RouteTable};
use crate::settle::Settlement;
use crate::vendor::quiq::Quiq;
use crate::vendor::{Reader, Webhook};
use crate::verify::{Auth, Scheme};

const START: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const DAY: Duration = Duration::from_secs(86_400);
const HOLDS: Duration = Duration::from_secs(20);

/// An ingress on a folder, and the destination that is owed everything.
struct House {
    ingress: Ingress,
    sink: Subscription,
}

impl House {
    fn open(folder: &Path, now: Timestamp) -> Self {
        let (clock, metrics) = (Clock::following_tokio(now), Arc::new(Metrics::new()));
        let settings = Settings {
            data_dir: folder.to_owned(),
            retain: DAY,
            retain_dead: 30 * DAY,
            dead_letters_max: 1_000_000,
            max_disk: 1 << 40,
            min_free: 0,
            dedupe: 3 * DAY,
            segment_bytes: 1 << 20,
        };
        let (log, _) = Log::open(settings, clock.clone(), Arc::clone(&metrics)).unwrap();
        let source = Source {
            name: "quiq".into(),
            kind: "quiq".into(),
            auth: Auth {
                scheme: Scheme::None,
                allow: Vec::new(),
            },
            reader: Arc::new(Quiq::default()),
            rate: None,
            body_max: 1 << 20,
            keep_unreadable: false,
        };
        let route = Route {
            name: "all".into(),
            from: Vec::new(),
            on: Vec::new(),
            when: None,
            to: vec!["sink".into()],
            action: Action::message(),
            written: None,
        };
        let front = Front {
            sources: [(source.name.clone(), Arc::new(source))].into(),
            routes: RouteTable::new(vec![route]),
            ..Front::default()
        };
        Self {
            sink: log.subscribe(&"sink".into()),
            ingress: Ingress {
                front: Arc::new(ArcSwap::from_pointee(front)),
                log,
                links: Links::open(folder).unwrap(),
                clock,
                metrics,
            },
        }
    }

    async fn post(&self, body: &Bytes) -> Result<Vec<Receipt>, NotTaken> {
        self.ingress.accept(&"quiq".into(), read(body)).await
    }

    /// What the destination gets next, up to an event of this type.
    async fn until(&mut self, last: &str) -> Vec<String> {
        let mut got = Vec::new();
        while got.last().is_none_or(|got| got != last) {
            let next = tokio::time::timeout(HOLDS, self.sink.next()).await;
            let stored = next.expect("something is owed").stored;
            self.sink
                .settle(stored.offset, Settlement::Delivered, None, "");
            got.push(said(&stored.event));
        }
        got
    }

    async fn close(self) {
        self.ingress.links.close();
        self.ingress.log.close().await;
    }
}

fn read(body: &Bytes) -> Vec<Reading> {
    let inbound = Inbound {
        tail: None,
        query: None,
        headers: &http::HeaderMap::new(),
        body,
        peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
    };
    match Quiq::default().read(&inbound, 128) {
        Ok(Webhook::Events(readings)) => readings,
        other => panic!("{other:?}"),
    }
}

/// The message's id, or the event's type.
fn said(event: &Event) -> String {
    let body: serde_json::Value = serde_json::from_slice(&event.body).unwrap();
    let id = body.pointer("/message/id").and_then(|id| id.as_str());
    id.unwrap_or(event.event_type.as_str()).to_owned()
}

/// A snapshot of one conversation with so many messages.
fn snapshot(envelope: &str, event_type: &str, messages: usize) -> Bytes {
    let messages: Vec<_> = (1..=messages)
        .map(|n| json!({"id": format!("m{n}"), "fromCustomer": true, "author": "ann", "text": "hi", "timestamp": n}))
        .collect();
    let data = json!({"id": "c", "customerHandle": "ann", "messages": messages});
    Bytes::from(json!({"id": envelope, "eventType": event_type, "data": data}).to_string())
}

fn closed(envelope: &str, messages: usize) -> Bytes {
    snapshot(envelope, "ConversationClosed", messages)
}

#[tokio::test]
async fn growing_snapshots_that_come_twice_and_out_of_order_give_each_message_once_and_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::open(folder.path(), START);
    let growing = [
        snapshot("1", "ConversationRequested", 1),
        snapshot("3", "ConversationInactivated", 3),
        snapshot("2", "ConversationActivated", 2),
        closed("4", 5),
    ];
    for body in &growing {
        house.post(body).await.unwrap();
        assert!(
            house
                .post(body)
                .await
                .unwrap()
                .iter()
                .all(|receipt| receipt.duplicate)
        );
    }
    let expected = [
        "ConversationRequested",
        "m1",
        "m2",
        "m3",
        "ConversationInactivated",
        "ConversationActivated",
        "m4",
        "m5",
        "ConversationClosed",
    ];
    assert_eq!(house.until("ConversationClosed").await, expected);
    house.close().await;

    let mut house = House::open(folder.path(), START.plus(Duration::from_secs(60)));
    for body in growing.iter().rev() {
        assert!(
            house
                .post(body)
                .await
                .unwrap()
                .iter()
                .all(|receipt| receipt.duplicate)
        );
    }
    house.post(&closed("5", 6)).await.unwrap();
    assert_eq!(
        house.until("ConversationClosed").await,
        ["m6", "ConversationClosed"]
    );
    house.close().await;
}

/// The log knows ids for three days here.
#[tokio::test]
async fn a_closed_conversation_that_comes_back_after_months_tells_only_what_is_new() {
    let folder = tempfile::tempdir().unwrap();
    let mut now = START;
    for round in 1..=3 {
        let mut house = House::open(folder.path(), now);
        house
            .post(&closed(&format!("e{round}"), round))
            .await
            .unwrap();
        let expected = [format!("m{round}"), "ConversationClosed".to_owned()];
        assert_eq!(house.until("ConversationClosed").await, expected);
        house.close().await;
        now = now.plus(200 * DAY);
    }
    // Not shown for longer than `remember`: forgotten, in passing.
    now = now.plus(300 * DAY);
    for (conversation, expected) in [("other", vec!["m1"]), ("c", vec!["m1", "m2", "m3"])] {
        let mut house = House::open(folder.path(), now);
        let body = closed(conversation, expected.len());
        let body = String::from_utf8(body.to_vec()).unwrap();
        let body = body.replace("\"id\":\"c\"", &format!("\"id\":\"{conversation}\""));
        house.post(&Bytes::from(body)).await.unwrap();
        let mut got = house.until("ConversationClosed").await;
        assert_eq!(got.pop().as_deref(), Some("ConversationClosed"));
        assert_eq!(got, expected);
        house.close().await;
    }
}

/// What links lose in a crash, the log still knows.
#[tokio::test]
async fn a_crash_before_the_links_are_written_repeats_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::open(folder.path(), START);
    house.post(&closed("1", 3)).await.unwrap();
    house.until("ConversationClosed").await;
    house.close().await;
    std::fs::remove_file(folder.path().join("links.redb")).unwrap();

    let mut house = House::open(folder.path(), START.plus(2 * DAY));
    house.post(&closed("2", 4)).await.unwrap();
    assert_eq!(
        house.until("ConversationClosed").await,
        ["m4", "ConversationClosed"]
    );
    house.close().await;
    // And what the log knew has been taught to the links again.
    let mut house = House::open(folder.path(), START.plus(30 * DAY));
    house.post(&closed("3", 5)).await.unwrap();
    assert_eq!(
        house.until("ConversationClosed").await,
        ["m5", "ConversationClosed"]
    );
    house.close().await;
}

#[tokio::test]
async fn two_snapshots_at_the_same_moment_tell_each_message_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::open(folder.path(), START);
    let (ingress, source) = (house.ingress.clone(), SourceName::from("quiq"));
    let bodies = [closed("1", 40), closed("2", 41)];
    let [one, two] = bodies
        .each_ref()
        .map(|body| ingress.accept(&source, read(body)));
    let (one, two) = tokio::join!(one, two);
    let receipts: Vec<Receipt> = one.unwrap().into_iter().chain(two.unwrap()).collect();
    assert_eq!(
        receipts.len(),
        83,
        "both were read before either was written"
    );
    let fresh = receipts.iter().filter(|receipt| !receipt.duplicate);
    assert_eq!(fresh.count(), 43);
    let mut got = house.until("ConversationClosed").await;
    got.extend(house.until("ConversationClosed").await);
    got.retain(|one| one.starts_with('m'));
    let expected: Vec<String> = (1..=41).map(|n| format!("m{n}")).collect();
    assert_eq!(got, expected);
    house.close().await;
}

#[tokio::test]
async fn what_could_not_be_appended_is_not_taken_for_seen() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::open(folder.path(), START);
    house.ingress.log.close().await;
    let refused = house.post(&closed("1", 2)).await;
    assert!(
        matches!(refused, Err(NotTaken::Log(AppendError::Closed))),
        "{refused:?}"
    );
    house.close().await;
    let mut house = House::open(folder.path(), START);
    house.post(&closed("1", 2)).await.unwrap();
    assert_eq!(
        house.until("ConversationClosed").await,
        ["m1", "m2", "ConversationClosed"]
    );
    house.close().await;
}

#[tokio::test]
async fn what_was_fetched_and_is_shown_later_is_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::open(folder.path(), START);
    let mut fetched = read(&closed("1", 2));
    fetched.pop();
    let source = SourceName::from("quiq");
    for _ in 0..2 {
        house
            .ingress
            .accept(&source, fetched.clone())
            .await
            .unwrap();
    }
    house.post(&closed("1", 3)).await.unwrap();
    assert_eq!(
        house.until("ConversationClosed").await,
        ["m1", "m2", "m3", "ConversationClosed"]
    );
    let none = house.ingress.accept(&source, fetched).await.unwrap();
    assert_eq!(none, []);
    house.close().await;
}

/// Saying all of it again would be worse than asking the sender to wait.
#[tokio::test]
async fn while_it_cannot_be_told_what_was_seen_nothing_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    {
        const SEEN: redb::TableDefinition<'_, &str, &[u8]> = redb::TableDefinition::new("seen");
        let database = redb::Database::create(folder.path().join("links.redb")).unwrap();
        let damage = database.begin_write().unwrap();
        damage
            .open_table(SEEN)
            .unwrap()
            .insert("quiq/c", [1, 2].as_slice())
            .unwrap();
        damage.commit().unwrap();
    }
    let house = House::open(folder.path(), START);
    let refused = house.post(&closed("1", 1)).await;
    assert!(
        matches!(&refused, Err(NotTaken::Links(why)) if why.contains("links.redb")),
        "{refused:?}"
    );
    let front = house.ingress.front.load_full();
    let source = Arc::clone(&front.sources["quiq"]);
    let (passage, readings) = (Passage::default(), read(&closed("1", 1)));
    let batch = house.ingress.batch(&front, &source, passage, readings);
    let refused = batch.await.unwrap_err();
    assert_eq!(
        (refused.status, refused.why),
        (StatusCode::SERVICE_UNAVAILABLE, "links_unreadable")
    );
    assert!(refused.retry_after.is_some());
    // What is no message of a snapshot does not depend on it.
    assert_eq!(house.post(&closed("2", 0)).await.unwrap().len(), 1);
    house.close().await;
}

#[tokio::test]
async fn every_event_of_a_webhook_has_its_headers_and_an_id_after_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::open(folder.path(), START);
    let front = house.ingress.front.load_full();
    let source = Arc::clone(&front.sources["quiq"]);
    let passage = Passage {
        hops: 2,
        headers: vec![("x-a".into(), "1".into())],
    };
    let readings = read(&closed("1", 2));
    let batch = house.ingress.batch(&front, &source, passage, readings);
    let batch = batch.await.unwrap();
    assert_eq!(batch.events.len(), 3);
    for accepted in &batch.events {
        let event = &accepted.event;
        assert_eq!((event.hops, event.header("x-a")), (2, Some("1")));
    }
    let ids = batch.events.iter().map(|accepted| accepted.event.id);
    assert!(ids.is_sorted_by(|one, next| one < next));
    house.close().await;
}
