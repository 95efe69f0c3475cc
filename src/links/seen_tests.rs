//! What remembering messages promises.

use std::time::Duration;

use super::tests::{broken, open_fragile};
use super::*;
use crate::clock::Timestamp;
use crate::event::VendorId;

const NOW: Timestamp = Timestamp::from_millis(1_752_212_800_000);

fn ids(range: std::ops::Range<usize>) -> Vec<VendorId> {
    range.map(|n| VendorId::from(format!("c/m{n}"))).collect()
}

async fn known(links: &Links, key: &Key, range: std::ops::Range<usize>) -> usize {
    let seen = links.seen(key).await.unwrap();
    ids(range).iter().filter(|id| seen.contains(id)).count()
}

#[tokio::test]
async fn a_message_is_known_at_once_and_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (Key::from("quiq/c"), Key::from("quiq/d"));
    let links = Links::open(folder.path()).unwrap();
    links.remember_seen(&one, &ids(0..50), NOW);
    assert_eq!(known(&links, &one, 0..60).await, 50);
    drop(links);
    let links = Links::open(folder.path()).unwrap();
    links.remember_seen(&one, &ids(50..60), NOW);
    assert_eq!(known(&links, &one, 0..70).await, 60);
    assert_eq!(known(&links, &other, 0..60).await, 0);
    links.close();
    drop(links);
    let links = Links::open(folder.path()).unwrap();
    assert_eq!(known(&links, &one, 0..70).await, 60);
}

#[tokio::test]
async fn only_what_nobody_shows_any_more_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let links = Links::open(folder.path()).unwrap();
    links.set_remember(Duration::from_secs(86_400));
    let shared = &links.handle.shared;
    let show = |key: &Key, at: Timestamp| {
        links.remember_seen(key, &ids(0..2), at);
        let shown = std::mem::take(&mut lock(&shared.unwritten).shown);
        shared.commit(&HashMap::new(), &shown).unwrap();
    };
    let keys: Vec<Key> = (0..150)
        .map(|n| Key::from(format!("quiq/{n:03}")))
        .collect();
    for key in &keys {
        show(key, NOW);
    }
    let later = NOW.plus(Duration::from_secs(2 * 86_400));
    for _ in 0..5 {
        show(&keys[7], later);
    }
    assert_eq!(known(&links, &keys[7], 0..2).await, 2);
    assert_eq!(known(&links, &keys[0], 0..2).await, 0);
    assert_eq!(
        known(&links, &keys[149], 0..2).await,
        0,
        "the sweep goes round"
    );
}

#[tokio::test]
async fn what_a_failing_disk_refuses_is_known_and_written_later() {
    let folder = tempfile::tempdir().unwrap();
    let links = Links::open_by(folder.path(), open_fragile).unwrap();
    let (shared, key) = (&links.handle.shared, Key::from("quiq/c"));
    let broken = broken(&shared.path);
    std::fs::File::create(&broken).unwrap();
    let mut shown = Shown::default();
    links.remember_seen(&key, &ids(0..3), NOW);
    std::mem::swap(&mut shown, &mut lock(&shared.unwritten).shown);
    shared.write(&HashMap::new(), &shown, false);
    assert_eq!(lock(&shared.unwritten).shown.len(), 1, "it waits");
    std::fs::remove_file(&broken).unwrap();
    links.close();
    assert!(lock(&shared.unwritten).shown.is_empty());
    assert_eq!(known(&links, &key, 0..5).await, 3);
}
