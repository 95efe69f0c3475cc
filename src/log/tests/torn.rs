//! What a power cut tears is not called damaged, and what is damaged is not
//! called torn.

use tokio::sync::oneshot;

use super::*;
use crate::log::record::{Frame, Tag};
use crate::log::segment::{FIRST, Header, seed};
use crate::log::writer::Writer;

const SECTOR: usize = 512;

/// Each of these in a webhook of its own, all in one write and one sync.
fn together(writer: &mut Writer, numbers: std::ops::Range<u64>) {
    for n in numbers {
        let (reply, _answer) = oneshot::channel();
        let mut event = event(n);
        event.body = Bytes::from(vec![b'x'; 700]);
        writer
            .append(vec![accepted(event, &["a"])], Origin::Accepted, reply)
            .unwrap();
    }
    writer.commit().unwrap();
}

/// The segment's bytes after one event, after five more in one write, and
/// after one more.
fn three_moments() -> (House, String, [Vec<u8>; 3]) {
    let house = House::new();
    let metrics = Arc::new(Metrics::new());
    let disk = Arc::new(house.disk.clone());
    let opened = recover::open(disk, house.settings.clone(), house.clock.clone(), metrics);
    let mut writer = opened.unwrap().0;
    let moment = |writer: &mut Writer, numbers| {
        together(writer, numbers);
        house.disk.bytes(&path(&house))
    };
    let moments = [0..1, 1..6, 6..7].map(|numbers| moment(&mut writer, numbers));
    // It ends without a word.
    drop(writer);
    let path = path(&house);
    (house, path, moments)
}

fn path(house: &House) -> String {
    let mut files = house.disk.files().into_iter();
    files.find(|file| file.ends_with(".seg")).unwrap()
}

/// What is found where the segment holds these bytes.
async fn found(house: &House, path: &str, bytes: &[u8]) -> Recovery {
    let disk = house.disk.copy();
    disk.set_bytes(path, bytes.to_vec());
    let house = House {
        disk,
        settings: house.settings.clone(),
        clock: house.clock.clone(),
    };
    let (log, first) = house.try_open().unwrap();
    // Who reads it finds no more than the start did.
    let all = log.events(Filter::default(), None, 100).await.unwrap();
    assert_eq!(all.len() as u64, first.events);
    let counted = log.shared().metrics.log_quarantined_total.clone();
    let counted = counted.with_label_values::<&str>(&[]).get();
    assert_eq!(counted, first.quarantined);
    adds_up(&log);
    first
}

/// A2: a batch is one write of many records, and a disk that loses power keeps
/// any of its sectors: also later ones without earlier ones.
#[tokio::test]
async fn what_a_power_cut_tears_between_whole_records_is_not_called_damaged() {
    let (house, path, [before, after, _]) = three_moments();
    let (mut between, mut most) = (0, 0);
    for n in 0..200 {
        let mut chance = fastrand::Rng::with_seed(n);
        let mut bytes = after.clone();
        for (old, new) in before.chunks(SECTOR).zip(bytes.chunks_mut(SECTOR)) {
            if chance.u8(..4) == 0 {
                new.copy_from_slice(old);
            }
        }
        let recovery = found(&house, &path, &bytes).await;
        assert_eq!(recovery.quarantined, 0, "seed {n}: {recovery:?}");
        assert!(recovery.events >= 1, "the first was durable");
        between += u32::from(recovery.torn_bytes > 0);
        most = most.max(recovery.events);
    }
    assert!(between > 100 && most >= 5, "{between} torn, {most} whole");
}

/// The same bytes, when a later record says that they were durable.
#[tokio::test]
async fn what_was_durable_and_is_not_whole_is_called_damaged() {
    let (house, path, [before, after, last]) = three_moments();
    let end = after.iter().rposition(|byte| *byte != 0).unwrap();
    let mut lost = 0;
    for start in (0..end / SECTOR).map(|sector| sector * SECTOR) {
        let sector = start..start + SECTOR;
        // Of the batch alone: what was there before it stays.
        if before[sector.clone()].iter().any(|byte| *byte != 0) {
            continue;
        }
        let mut bytes = last.clone();
        bytes[sector].fill(0);
        let recovery = found(&house, &path, &bytes).await;
        let counted = (recovery.quarantined, recovery.torn_bytes);
        assert_eq!(counted, (1, 0), "{start}");
        assert!((5..7).contains(&recovery.events), "{recovery:?} at {start}");
        lost += 1;
    }
    assert!(lost > 4, "{lost} sectors");
}

/// Records of format 1 carry no mark: what is not whole between them may have
/// been durable, and is called damaged as it always was.
#[tokio::test]
async fn a_segment_of_format_1_is_read_and_its_damage_called_so() {
    let house = House::new();
    house.open().close().await;
    let path = path(&house);
    let file = house.disk.bytes(&path);
    let log = <[u8; 16]>::try_from(&file[16..32]).unwrap();
    let (id, created) = (1, START);
    let mut frame = Frame::default();
    frame.restart(Offset::new(id, FIRST), seed(&log, id), 0);
    let places: Vec<usize> = (0..3)
        .map(|_| {
            let at = frame.put(Tag::Names, |out| out.u32(0));
            at.position() as usize
        })
        .collect();
    let header = Header {
        format: 1,
        log,
        id,
        created,
    };
    let mut bytes = header.bytes();
    bytes.extend(&frame.bytes);
    for checkpoint in ["/data/checkpoint", "/data/checkpoint.old"] {
        house.disk.delete(checkpoint);
    }
    assert_eq!(found(&house, &path, &bytes).await.quarantined, 0);
    bytes[places[1]..places[2]].fill(0);
    assert_eq!(found(&house, &path, &bytes).await.quarantined, 1);
}
