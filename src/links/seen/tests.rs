//! What is seen stays seen: over restarts, a broken disk, a full cache, and not
//! for ever.

use super::*;

const START: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const REMEMBER: Duration = Duration::from_secs(400 * 86_400);

fn key(n: usize) -> Key {
    Key::from(format!("quiq/{n}"))
}

fn ids(range: std::ops::Range<u64>) -> Vec<SeenId> {
    range
        .map(|n| SeenId::of(&format!("c/{n}").into()))
        .collect()
}

fn later(days: u64) -> Timestamp {
    START.plus(Duration::from_secs(days * 86_400))
}

/// How many of these are known.
async fn known(links: &Links, key: &Key, range: std::ops::Range<u64>) -> usize {
    let seen = links.seen(key, &ids(range)).await.unwrap();
    seen.into_iter().filter(|seen| *seen).count()
}

fn row(links: &Links, key: &Key) -> Option<Told> {
    links.handle.shared.look_up_seen(key).unwrap()
}

#[tokio::test]
async fn what_is_remembered_is_seen_at_once_and_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let links = Links::open(folder.path()).unwrap();
    // One conversation that was asked for first, one that was not.
    assert_eq!(known(&links, &key(1), 0..10).await, 0);
    for n in [1, 2] {
        links.remember_seen(&key(n), &ids(0..5), START, REMEMBER);
        links.remember_seen(&key(n), &ids(3..7), START, REMEMBER);
        assert_eq!(known(&links, &key(n), 0..10).await, 7);
    }
    assert_eq!(
        known(&links, &key(3), 0..10).await,
        0,
        "another conversation's ids"
    );
    links.close();
    drop(links);
    let links = Links::open(folder.path()).unwrap();
    for n in [1, 2] {
        assert_eq!(known(&links, &key(n), 0..10).await, 7);
    }
    let seen = links.seen(&key(1), &ids(5..9)).await.unwrap();
    assert_eq!(seen, [true, true, false, false], "each by itself");
}

#[tokio::test]
async fn a_full_cache_and_a_read_that_was_overtaken_forget_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let links = Links::open(folder.path()).unwrap();
    links.remember_seen(&key(1), &ids(0..5), START, REMEMBER);
    assert_eq!(known(&links, &key(1), 0..10).await, 5);
    let full = Told {
        ids: vec![SeenId(1); CACHED_MAX - CACHED_KEY],
        until: 0,
    };
    let shared = &links.handle.shared;
    lock(&shared.unwritten).seen.keep(&key(2), &full);
    {
        let unwritten = lock(&shared.unwritten);
        assert_eq!(unwritten.seen.cache.len(), 1, "it began again");
        assert_eq!(unwritten.seen.cached, CACHED_MAX);
    }
    assert_eq!(known(&links, &key(1), 0..10).await, 5);
    lock(&shared.unwritten).seen.forget(&key(1));
    // As if it had been told while the disk was asked.
    let read = std::thread::scope(|scope| {
        let held = shared.database.write().unwrap();
        let reading = scope.spawn(|| shared.read_seen(&key(1)));
        while !reading.is_finished() && lock(&shared.unwritten).seen.told == 1 {
            links.remember_seen(&key(1), &ids(5..6), START, REMEMBER);
        }
        drop(held);
        reading.join().unwrap().unwrap()
    });
    assert!(read.ids.len() >= 5);
    assert_eq!(known(&links, &key(1), 0..10).await, 6);
}

#[tokio::test]
async fn a_conversation_shown_in_no_snapshot_for_long_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let links = Links::open(folder.path()).unwrap();
    let shared = &links.handle.shared;
    let commit = |key: Key, now: Timestamp| {
        let mut told = Told::default();
        told.add(&ids(0..1), day(now.plus(REMEMBER)) + 1);
        lock(&shared.unwritten).seen.today = day(now);
        shared.write_seen(&Batch::from([(key, told)]), false);
    };
    for n in 0..2 * SWEEP_ROWS {
        commit(key(n), START);
    }
    assert_eq!(known(&links, &key(0), 0..1).await, 1);
    // Shown again: it stays for as long again.
    commit(key(7), later(300));
    commit(key(0), later(400));
    let rows =
        |range: std::ops::Range<usize>| range.filter(|n| row(&links, &key(*n)).is_some()).count();
    assert_eq!(rows(0..2 * SWEEP_ROWS), 2 * SWEEP_ROWS, "not a day earlier");
    // Each commit looks at so many only.
    let mut left = rows(0..2 * SWEEP_ROWS);
    for _ in 0..3 {
        commit(key(0), later(402));
        let now = rows(0..2 * SWEEP_ROWS);
        assert!(left - now <= SWEEP_ROWS);
        left = now;
    }
    assert_eq!(left, 2);
    assert!(row(&links, &key(0)).is_some() && row(&links, &key(7)).is_some());
    assert_eq!(known(&links, &key(1), 0..1).await, 0);
}

#[tokio::test]
async fn being_shown_again_renews_once_a_day_and_writes_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let links = Links::open(folder.path()).unwrap();
    let shared = &links.handle.shared;
    assert_eq!(known(&links, &key(1), 0..3).await, 0);
    let told = || lock(&shared.unwritten).seen.told;
    links.remember_seen(&key(1), &ids(0..3), START, REMEMBER);
    links.remember_seen(&key(1), &ids(0..3), START, REMEMBER);
    links.remember_seen(&key(1), &ids(1..2), START, REMEMBER);
    assert_eq!(told(), 1);
    links.remember_seen(&key(1), &ids(0..3), later(1), REMEMBER);
    assert_eq!(told(), 2);
    links.close();
    assert_eq!(row(&links, &key(1)).unwrap().until, day(later(401)) + 1);
}

#[test]
fn of_one_conversation_the_newest_are_known() {
    let mut row = Vec::new();
    for from in [0, 30_000_u64, 60_000] {
        let known = if row.is_empty() {
            (0, Vec::new())
        } else {
            parse(&row).unwrap()
        };
        let mut told = Told::default();
        let fresh: Vec<SeenId> = (from..from + 30_000).map(SeenId).collect();
        told.add(&fresh, 7);
        row = merged(known, &told);
    }
    let (until, ids) = parse(&row).unwrap();
    assert_eq!((until, ids.len()), (7, IDS_MAX));
    assert_eq!((ids[0], ids[IDS_MAX - 1]), (SeenId(40_000), SeenId(89_999)));
    assert!(parse(&row[..row.len() - 1]).is_err() && parse(&[1, 2]).is_err());
}

#[tokio::test]
async fn while_the_disk_takes_nothing_no_more_than_so_many_wait() {
    let folder = tempfile::tempdir().unwrap();
    let links = Links::open(folder.path()).unwrap();
    links.remember_seen(&key(1), &ids(0..1), START, REMEMBER);
    lock(&links.handle.shared.unwritten).seen.waiting = UNWRITTEN_MAX;
    let refused = links.seen(&key(1), &ids(0..1)).await.unwrap_err();
    assert!(
        refused.to_string().contains("too many messages wait"),
        "{refused}"
    );
    links.close();
    assert_eq!(
        known(&links, &key(1), 0..1).await,
        1,
        "what waited is written"
    );
}

/// A lost database is an error, and never "not seen".
#[tokio::test]
async fn what_cannot_be_read_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let links = Links::open(folder.path()).unwrap();
    links.remember_seen(&key(1), &ids(0..1), START, REMEMBER);
    links.close();
    let shared = &links.handle.shared;
    shared.database.write().unwrap().take();
    assert!(links.seen(&key(1), &ids(0..1)).await.is_err());
}
