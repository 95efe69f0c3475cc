//! What must not stand still, grow without end, or believe a clock too soon.

use super::*;
use crate::log::writer::Writer;
use crate::settle::{Reason, Settlement};

impl House {
    /// A log whose writer thread is not started: commands wait.
    pub(super) fn unstarted(&self) -> (Log, Writer) {
        let metrics = Arc::new(Metrics::new());
        let disk = Arc::new(self.disk.clone());
        let (settings, clock) = (self.settings.clone(), self.clock.clone());
        let (writer, _) = recover::open(disk, settings, clock, metrics).unwrap();
        let handle = Arc::new(Handle {
            shared: Arc::clone(&writer.shared),
            _carrier: writer.shared.news.carry(&tokio::runtime::Handle::current()),
        });
        (Log { handle }, writer)
    }

    /// One that trusts the wall clock has kept house, and ended without a word.
    pub(super) fn grow_old(&self) {
        let (_log, mut writer) = self.unstarted();
        writer.wall = retain::WallClock::in_step();
        writer.keep_house().unwrap();
    }

    fn segments(&self) -> Vec<String> {
        let files = self.disk.files().into_iter();
        files
            .filter(|file| file.contains("/log/") && file.ends_with(".seg"))
            .collect()
    }
}

/// Hands out and delivers so many.
async fn deliver(subscription: &mut Subscription, count: u64) {
    for _ in 0..count {
        let at = next(subscription).await.stored.offset;
        subscription.settle(at, Settlement::Delivered, None, "");
    }
}

#[tokio::test]
async fn removing_a_long_backlog_lets_appends_through() {
    let house = House::with_segments(1 << 20);
    let log = house.open();
    for chunk in 0..5 {
        let events = (0..1000).map(|n| accepted(event(chunk * 1000 + n), &["a"]));
        log.append(events.collect()).await.unwrap();
    }
    let mut removing = tokio::task::JoinSet::new();
    let again = log.clone();
    removing.spawn(async move { again.remove_destination(&name("a")).await });
    tokio::task::yield_now().await;
    put(&log, 5000, &["b"]).await;
    assert!(totals(&log, "a")[4] > 2500, "{:?}", totals(&log, "a"));
    assert_eq!(removing.join_next().await.unwrap().unwrap(), Ok(5000));
    assert_eq!(totals(&log, "a"), [5000, 0, 5000, 0, 0]);
    adds_up(&log);
}

#[tokio::test]
async fn a_disk_with_room_again_is_healthy_before_anybody_appends() {
    let mut house = House::new();
    house.settings.min_free = 50_000_000;
    house.disk.set_room(Some(40_000_000));
    let (log, mut writer) = house.unstarted();
    let (reply, _answer) = oneshot::channel();
    writer
        .append(vec![accepted(event(0), &["a"])], Origin::Accepted, reply)
        .unwrap();
    writer.keep_house().unwrap();
    assert!(log.health().unwrap_err().contains("no room"));
    house.disk.set_room(Some(60_000_000));
    writer.commit().unwrap();
    writer.keep_house().unwrap();
    assert_eq!(log.health(), Ok(()));
}

#[tokio::test]
async fn a_fall_back_to_the_older_checkpoint_finds_all_it_needs() {
    let mut house = House::with_segments(1 << 14);
    house.settings.max_disk = 30_000;
    let log = house.open();
    let mut a = log.subscribe(&name("a"));
    for n in 0..400 {
        put(&log, n, &["a"]).await;
        deliver(&mut a, 1).await;
        if n % 20 == 0 {
            let damaged = House {
                disk: house.disk.copy(),
                settings: house.settings.clone(),
                clock: house.clock.clone(),
            };
            damaged.disk.set_bytes("/data/checkpoint", vec![0; 99]);
            let log = damaged.open();
            assert_eq!(totals(&log, "a")[0], n + 1);
            adds_up(&log);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_leap_of_the_wall_clock_nothing_expires() {
    let house = House::with_segments(1 << 13);
    let (log, mut writer) = house.unstarted();
    let mut replies = Vec::new();
    for n in 0..100 {
        let (reply, answer) = oneshot::channel();
        let events = vec![accepted(vendor(n, &n.to_string()), &[])];
        writer.append(events, Origin::Accepted, reply).unwrap();
        replies.push(answer);
    }
    writer.commit().unwrap();
    let before = house.segments();
    assert!(before.len() > 2);
    tokio::time::advance(Duration::from_secs(40 * 24 * 3600)).await;
    for _ in 0..3 {
        writer.keep_house().unwrap();
        assert_eq!(house.segments(), before);
    }
    drop(log);
}

/// H2: a machine that starts with a wrong date. Nothing that is young by the
/// log's own times goes, however often it starts.
#[tokio::test]
async fn a_start_years_ahead_expires_nothing() {
    let mut house = House::with_segments(1 << 13);
    let log = house.open();
    let mut a = log.subscribe(&name("a"));
    for n in 0..100 {
        put(&log, n, &["a"]).await;
        let at = next(&mut a).await.stored.offset;
        let end = [Settlement::Delivered, Settlement::Dead(Reason::Refused)][n as usize % 2];
        a.settle(at, end, None, "");
    }
    until(|| log.totals()[&name("a")].dead_letters == 50).await;
    drop(a);
    log.close().await;
    let before = house.segments();
    assert!(before.len() > 2);
    let years = Duration::from_secs(10 * 365 * 24 * 3600);
    house.clock = Clock::following_tokio(START.plus(years));
    for _ in 0..3 {
        let log = house.open();
        put(&log, 200, &["b"]).await;
        assert_eq!(log.totals()[&name("a")].dead_letters, 50);
        log.close().await;
        assert!(before.iter().all(|file| house.segments().contains(file)));
    }
}

#[tokio::test]
async fn a_death_that_found_no_room_is_written_under_load_too() {
    let house = House::new();
    let log = house.open();
    let mut a = log.subscribe(&name("a"));
    put(&log, 0, &["a"]).await;
    let at = next(&mut a).await.stored.offset;
    house.disk.set_room(Some(house.disk.used()));
    a.settle(at, Settlement::Dead(Reason::Refused), None, "no");
    put(&log, 1, &["b"]).await;
    assert_eq!(log.totals()[&name("a")].dead_letters, 0);
    house.disk.set_room(None);
    let log = &log;
    let busy = async {
        let mut n = 2;
        while log.totals()[&name("a")].dead_letters == 0 {
            put(log, n, &["b"]).await;
            n += 1;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let done = tokio::time::timeout(Duration::from_secs(5), busy).await;
    assert!(done.is_ok(), "never while there is work");
    assert_eq!(totals(log, "a"), [1, 0, 1, 0, 0]);
}

#[tokio::test]
async fn facts_alone_fill_segments_no_further_than_their_size() {
    let mut house = House::with_segments(1 << 13);
    let log = house.open();
    put(&log, 0, &["a"]).await;
    log.close().await;
    let log = house.open();
    let mut a = log.subscribe(&name("a"));
    let at = next(&mut a).await.stored.offset;
    for number in 1..=500 {
        a.retry(at, attempt(number), START);
        if number % 10 == 0 {
            // Its answer means that the facts before it were written.
            assert_eq!(log.dead_drop(Offset(1)).await, Ok(false));
        }
    }
    put(&log, 1, &["a"]).await;
    for path in house.segments() {
        let bytes = house.disk.bytes(&path).len();
        assert!(bytes < 3 << 13, "{path}: {bytes}");
    }
    house.crash(&mut fastrand::Rng::with_seed(9));
    let log = house.open();
    let mut a = log.subscribe(&name("a"));
    assert_eq!(next(&mut a).await.attempts, 500);
    assert_eq!(totals(&log, "a"), [2, 0, 0, 0, 2]);
}

#[tokio::test]
async fn an_append_that_nobody_waits_for_any_more_is_not_stored() {
    let house = House::new();
    let (log, writer) = house.unstarted();
    let gone = log.append(vec![accepted(event(0), &["a"])]);
    assert!(
        tokio::time::timeout(Duration::from_millis(5), gone)
            .await
            .is_err()
    );
    writer.start().unwrap();
    put(&log, 1, &["a"]).await;
    assert_eq!(totals(&log, "a"), [1, 0, 0, 0, 1]);
    let stored = log.events(Filter::default(), None, 9).await.unwrap();
    assert_eq!(stored.len(), 1);
}

#[tokio::test]
async fn what_a_crash_may_forget_of_one_destination_is_bounded() {
    let house = House::new();
    let log = house.open();
    for n in 0..100 {
        put(&log, n, &["a"]).await;
    }
    log.close().await;
    let (log, writer) = house.unstarted();
    let mut a = log.subscribe(&name("a"));
    deliver(&mut a, 64).await;
    assert!(a.awaits_sync());
    nothing_more(&mut a).await;
    writer.start().unwrap();
    deliver(&mut a, 36).await;
    put(&log, 100, &["other"]).await;
    assert_eq!(totals(&log, "a"), [100, 100, 0, 0, 0]);
    assert!(!a.awaits_sync());
}

#[test]
fn a_wall_clock_that_leapt_is_believed_after_an_hour_in_step() {
    const HOUR: u64 = 3600;
    // Seconds on the wall and by the monotonic clock, and whether to expire.
    let looks = [
        // It may have leapt before this start.
        (0, 0, false),
        (10, 10, false),
        (HOUR, HOUR, true),
        // An hour of summer time, or a night's sleep of a laptop's lid.
        (2 * HOUR + 20, HOUR + 20, true),
        (30 * HOUR, HOUR + 30, false),
        (30 * HOUR + 10, HOUR + 40, false),
        (30 * HOUR + 3599, HOUR + 3629, false),
        (30 * HOUR + 3600, HOUR + 3630, true),
        // Back again: nothing is older than it seems.
        (10 * HOUR, HOUR + 3640, true),
        (20 * HOUR, HOUR + 3650, false),
        (10 * HOUR + 20, HOUR + 3660, false),
        (11 * HOUR + 20, HOUR + 3660 + HOUR, true),
    ];
    let mut clock = retain::WallClock::at_start();
    for (wall, monotonic, expected) in looks {
        let wall = START.plus(Duration::from_secs(wall));
        let believed = clock.is_believed(wall, Duration::from_secs(monotonic));
        assert_eq!(believed, expected, "{wall} at {monotonic}");
    }
}

/// Appends and commits so many, and gives nobody a turn meanwhile.
fn commit_alone(writer: &mut Writer, count: u64) {
    for n in 0..count {
        let (reply, _answer) = oneshot::channel();
        let events = vec![accepted(event(n), &["a"])];
        writer.append(events, Origin::Retried, reply).unwrap();
        writer.commit().unwrap();
    }
}

#[tokio::test]
async fn news_that_waits_to_be_told_is_not_lost() {
    let house = House::with_segments(1 << 12);
    let (log, mut writer) = house.unstarted();
    let mut a = log.subscribe(&name("a"));
    nothing_more(&mut a).await;
    commit_alone(&mut writer, 60);
    assert!(house.segments().len() > 2);
    assert_eq!(totals(&log, "a"), [60, 0, 0, 0, 60]);
    deliver(&mut a, 60).await;
    assert_eq!(totals(&log, "a"), [60, 60, 0, 0, 0]);
}

#[tokio::test]
async fn a_budget_holds_before_the_news_is_told() {
    let house = House::new();
    let (log, mut writer) = house.unstarted();
    let budget = Budget {
        events_max: 3,
        bytes_max: u64::MAX,
        when_full: WhenFull::DropOldest,
    };
    log.set_budget(&name("a"), budget);
    let mut a = log.subscribe(&name("a"));
    nothing_more(&mut a).await;
    commit_alone(&mut writer, 10);
    assert_eq!(totals(&log, "a"), [10, 0, 0, 7, 3]);
}
