//! What one turn of the writer does, and what it leaves for a later one.

use super::limits::by_hand;
use super::*;
use crate::log::disk::monotonic;
use crate::log::state::Command;
use crate::log::writer::Writer;
use crate::settle::{Reason, Settlement};

/// As if it had just been done, however slow this machine is.
fn just_now() -> std::time::Instant {
    monotonic() + Duration::from_secs(60)
}

fn seconds_ago(seconds: u64) -> std::time::Instant {
    monotonic()
        .checked_sub(Duration::from_secs(seconds))
        .unwrap()
}

#[tokio::test]
async fn house_is_kept_every_ten_seconds() {
    let house = House::new();
    let (mut writer, _) = by_hand(&house, 1);
    for (at, kept) in [(just_now(), false), (seconds_ago(10), true)] {
        writer.housekeeping_at = at;
        writer.shared.bytes.store(0, Ordering::Relaxed);
        assert!(!writer.turn(&mut Vec::new(), false).unwrap());
        // Housekeeping counts what the folder takes.
        let counted = writer.shared.bytes.load(Ordering::Relaxed) > 0;
        assert_eq!(counted, kept);
        assert_eq!(writer.housekeeping_at == at, !kept);
    }
}

/// A writer with a death that found no room, where there is room by now.
fn with_a_deferred_death(house: &House) -> Writer {
    let (mut writer, open) = by_hand(house, 1);
    house.disk.set_room(Some(house.disk.used()));
    let account = writer.shared.account(&name("a"));
    let dead = Settlement::Dead(Reason::Refused);
    let settling = account.settle(open[0], dead, None, String::new());
    writer.settle(settling.unwrap()).unwrap();
    writer.commit().unwrap();
    assert_eq!(writer.deferred.len(), 1);
    house.disk.set_room(None);
    writer
}

#[tokio::test]
async fn a_deferred_death_is_tried_when_idle_and_each_second_under_load() {
    for (load, tried_at, expected) in [
        (false, just_now(), true),
        (true, just_now(), false),
        (true, seconds_ago(1), true),
    ] {
        let mut writer = with_a_deferred_death(&House::new());
        let account = writer.shared.account(&name("a"));
        let pause = Command::Pause {
            account,
            paused: true,
        };
        let mut commands = Vec::from_iter(load.then_some(pause));
        writer.deferred_tried_at = tried_at;
        writer.turn(&mut commands, false).unwrap();
        assert_eq!(writer.deferred.is_empty(), expected, "under load: {load}");
    }
}

#[tokio::test]
async fn every_byte_written_counts_towards_the_next_checkpoint() {
    let house = House::new();
    let (mut writer, _) = by_hand(&house, 1);
    let end = |writer: &Writer| u64::from(writer.active.as_ref().unwrap().end);
    let before = (writer.since_checkpoint, end(&writer));
    for n in 2..5 {
        let (reply, _answer) = oneshot::channel();
        let events = vec![accepted(event(n), &["a"])];
        writer.append(events, Origin::Accepted, reply).unwrap();
        writer.commit().unwrap();
    }
    let written = end(&writer) - before.1;
    assert!(written > 0);
    assert_eq!(writer.since_checkpoint - before.0, written);
}

/// A start does not look below a checkpoint: what that knows of an end whose
/// fact is nowhere would be gone from the event's history.
#[tokio::test]
async fn a_checkpoint_comes_after_the_facts_of_all_ends_that_it_knows() {
    let house = House::new();
    let (mut writer, open) = by_hand(&house, 1);
    let account = writer.shared.account(&name("a"));
    // Ended, and the fact is still in the queue.
    let settling = account.settle(open[0], Settlement::Delivered, None, String::new());
    let before = house.disk.bytes("/data/checkpoint");
    // The rest of a turn in which a segment began.
    assert!(writer.roll().unwrap());
    writer.keep_checkpoint().unwrap();
    assert!(writer.unfinished.is_some());
    let mut commands = vec![Command::Settle(settling.unwrap())];
    while writer.unfinished.is_some() {
        assert_eq!(house.disk.bytes("/data/checkpoint"), before);
        writer.turn(&mut commands, false).unwrap();
    }
    assert!(commands.is_empty() && house.disk.bytes("/data/checkpoint") != before);
    let active = writer.active.as_ref().unwrap();
    assert_eq!(active.end, active.synced, "the fact is on the disk");
}
