//! What opening finds, counts and says.

use std::fmt::Debug;
use std::sync::Mutex;

use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use super::limits::by_hand;
use super::*;
use crate::settle::{Reason, Settlement};

/// Log lines: level and message.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<String>>>);

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

impl<S: tracing::Subscriber> Layer<S> for Said {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let mut message = Message(String::new());
        event.record(&mut message);
        let line = format!("{} {}", event.metadata().level(), message.0);
        lock(&self.0).push(line);
    }
}

/// What this thread says meanwhile, of warnings and errors.
fn warned<T>(work: impl FnOnce() -> T) -> (T, Vec<String>) {
    let said = Said::default();
    let log = tracing_subscriber::registry().with(said.clone());
    let done = tracing::subscriber::with_default(log, work);
    let mut lines = std::mem::take(&mut *lock(&said.0));
    lines.retain(|line| line.starts_with("WARN") || line.starts_with("ERROR"));
    (done, lines)
}

fn without_checkpoint(house: &House) {
    for file in ["/data/checkpoint", "/data/checkpoint.old"] {
        if house.disk.files().iter().any(|there| there == file) {
            house.disk.delete(file);
        }
    }
}

/// Flips a bit of event `n` in the one file of a folder.
fn flip(house: &House, folder: &str, n: u64) {
    let files = house.disk.files();
    let of_folder = |file: &&String| file.starts_with(folder) && file.ends_with(".seg");
    let path = files.iter().find(of_folder).unwrap();
    let mut bytes = house.disk.bytes(path);
    let body = format!("{{\"n\":{n}}}");
    let at = bytes
        .windows(body.len())
        .position(|at| at == body.as_bytes());
    bytes[at.unwrap()] ^= 1;
    house.disk.set_bytes(path, bytes);
}

#[tokio::test]
async fn a_log_without_a_checkpoint_is_read_whole_and_gives_the_same_account() {
    let mut house = House::new();
    let log = house.open();
    put(&log, 0, &["a"]).await;
    put(&log, 1, &[]).await;
    put(&log, 2, &["b"]).await;
    put(&log, 5, &["b"]).await;
    let of_vendor = || vec![accepted(vendor(3, "x"), &[]), accepted(vendor(4, "x"), &[])];
    for _ in 0..2 {
        log.append(of_vendor()).await.unwrap();
    }
    let before = (log.source_totals(), totals(&log, "a"));
    let SourceTotals {
        accepted,
        unrouted,
        duplicate,
    } = before.0[&SourceName::from("qiscus")];
    assert_eq!((accepted, unrouted, duplicate), (5, 2, 3));
    log.close().await;
    without_checkpoint(&house);
    house.disk = house.disk.copy();
    let log = house.open();
    assert_eq!((log.source_totals(), totals(&log, "a")), before);
    // Each account begins where its destination was first owed something.
    let stored = log.events(Filter::default(), None, 9).await.unwrap();
    for (to, first) in [("a", 0), ("b", 2)] {
        let account = log.shared().account(&name(to));
        let at = stored.iter().find(|stored| stored.event == event(first));
        let state = lock(&account.state);
        let read = Some(state.ledger.read);
        assert_eq!(read, at.map(|stored| stored.offset), "{to}");
        assert_eq!(state.head_at, Some(event(first).accepted_at), "{to}");
    }
}

#[tokio::test]
async fn a_missing_checkpoint_is_said_where_there_should_be_one() {
    let house = House::new();
    let whole = "WARN no whole checkpoint: reading the whole log".to_owned();
    let (log, said) = warned(|| house.open());
    assert!(said.is_empty(), "a new folder: {said:?}");
    put(&log, 0, &["a"]).await;
    log.close().await;
    let (log, said) = warned(|| house.open());
    assert!(said.is_empty(), "an orderly start: {said:?}");
    log.close().await;
    without_checkpoint(&house);
    let (_log, said) = warned(|| house.open());
    assert_eq!(said, [whole]);
}

#[tokio::test]
async fn damage_in_the_log_and_among_the_dead_is_counted_together_and_said() {
    let house = House::new();
    let log = house.open();
    let mut a = log.subscribe(&name("a"));
    for n in 0..4 {
        put(&log, n, &["a"]).await;
        let at = next(&mut a).await.stored.offset;
        a.settle(at, Settlement::Dead(Reason::Refused), None, "no");
    }
    until(|| log.totals()[&name("a")].dead_letters == 4).await;
    drop(a);
    log.close().await;
    without_checkpoint(&house);
    flip(&house, "/data/log/", 1);
    let (opened, _) = warned(|| house.try_open());
    let (log, of_log) = opened.unwrap();
    assert_eq!(of_log.quarantined, 1);
    log.close().await;
    without_checkpoint(&house);
    flip(&house, "/data/dead/", 2);
    let (opened, said) = warned(|| house.try_open());
    let (log, both) = opened.unwrap();
    assert_eq!(both.quarantined, 2);
    let of_dead = both.quarantined_bytes - of_log.quarantined_bytes;
    assert!((100..1000).contains(&of_dead), "{both:?} after {of_log:?}");
    let damaged = "WARN damaged stretches of the log were skipped".to_owned();
    assert!(said.contains(&damaged), "{said:?}");
    let shared = log.shared();
    let counted = shared
        .metrics
        .log_quarantined_total
        .with_label_values::<&str>(&[]);
    assert_eq!(counted.get(), 2);
    assert_eq!(log.totals()[&name("a")].dead_letters, 3);
}

#[tokio::test]
async fn of_a_damaged_event_nothing_counts_and_of_its_neighbours_everything() {
    let house = House::new();
    let log = house.open();
    let mut a = log.subscribe(&name("a"));
    for n in 0..5 {
        put(&log, n, &["a"]).await;
    }
    for n in 0..5 {
        let at = next(&mut a).await.stored.offset;
        // The first and the last stay open.
        match n {
            1 | 3 => assert!(a.settle(at, Settlement::Delivered, None, "")),
            2 => assert!(a.settle(at, Settlement::Dropped, None, "")),
            _ => {}
        }
    }
    drop(a);
    log.close().await;
    without_checkpoint(&house);
    flip(&house, "/data/log/", 2);
    let log = house.open();
    assert_eq!(totals(&log, "a"), [4, 2, 0, 0, 2]);
    adds_up(&log);
}

#[tokio::test]
async fn a_start_shows_its_limits_among_the_metrics() {
    let mut house = House::new();
    (house.settings.max_disk, house.settings.min_free) = (1 << 33, 1 << 22);
    house.disk.set_room(Some(1 << 34));
    let log = house.open();
    let metrics = &log.shared().metrics;
    assert_eq!(metrics.log_max_bytes.get(), 1 << 33);
    assert_eq!(metrics.disk_min_free_bytes.get(), 1 << 22);
}

#[tokio::test]
async fn a_full_disk_is_said_once_and_so_is_its_end() {
    let (writer, _) = by_hand(&House::new(), 1);
    let said = Said::default();
    let log = tracing_subscriber::registry().with(said.clone());
    tracing::subscriber::with_default(log, || {
        for full in [false, true, true, false, false] {
            writer.say_full(full);
        }
    });
    let said = lock(&said.0).join("\n");
    let full = "WARN no room on the disk: events are refused, deliveries go on";
    assert_eq!(said, format!("{full}\nINFO room on the disk again"));
}
