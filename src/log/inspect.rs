//! What a data folder holds, read offline: no lock, nothing written.

use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::checkpoint::{self, Checkpoint, Found};
use super::disk::{RealDisk, open_read_only};
use super::record::{EventHead, Tag};
use super::segment::{self, FIRST, FORMAT, Header};
use super::walk::{Met, Walk};
use super::{Attempt, Origin};
use crate::clock::Timestamp;
use crate::event::{EventId, EventType, Key, Offset, SourceName};
use crate::settle::Reason;

mod words;

use words::Words;

/// What `log verify` says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    pub segments: u64,
    pub dead_segments: u64,
    pub events: u64,
    pub facts: u64,
    pub dead_letters: u64,
    pub damaged: Vec<Damage>,
    /// Bytes of writes that were under way when the power went: after the last
    /// whole record, and between records that were not durable either.
    pub torn_bytes: u64,
    pub checkpoint: Condition,
    pub checkpoint_old: Condition,
}

impl Report {
    /// Nothing is damaged. A torn tail is what a crash leaves, not damage.
    pub fn is_sound(&self) -> bool {
        self.damaged.is_empty() && self.checkpoint != Condition::Damaged
    }
}

/// A stretch of a file without a whole record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Damage {
    pub file: PathBuf,
    pub from: u64,
    pub to: u64,
    pub what: &'static str,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    Whole,
    Damaged,
    Newer,
    #[default]
    Missing,
}

/// What `log stat` says of one segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SegmentStat {
    pub file: PathBuf,
    pub id: u32,
    pub format: u32,
    pub created: Timestamp,
    pub bytes: u64,
    pub records: u64,
    pub events: u64,
    pub facts: u64,
    pub first_at: Option<Timestamp>,
    pub last_at: Option<Timestamp>,
}

/// One record as `log cat` prints it; bodies are told by length and checksum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Entry {
    Event {
        offset: Offset,
        id: EventId,
        source: SourceName,
        #[serde(rename = "type")]
        event_type: EventType,
        key: Option<Key>,
        accepted_at: Timestamp,
        origin: Origin,
        owed: Vec<OwedTo>,
        body_bytes: usize,
        body_crc32c: u32,
    },
    Retrying {
        offset: Offset,
        event: Offset,
        destination: String,
        not_before: Timestamp,
        attempt: Attempt,
    },
    Settled {
        offset: Offset,
        event: Offset,
        destination: String,
        settlement: &'static str,
        reason: Option<Reason>,
        attempt: Option<Attempt>,
        detail: String,
    },
    Paused {
        offset: Offset,
        destination: String,
        paused: bool,
    },
    Lost {
        offset: Offset,
        destination: String,
        segment: u32,
        copies: u32,
    },
    Duplicates {
        offset: Offset,
        source: SourceName,
        count: u64,
    },
    Names {
        offset: Offset,
        count: usize,
    },
    DeadLetter {
        offset: Offset,
        event: EventId,
        destination: String,
        action: String,
        reason: Reason,
        detail: String,
        attempts: u32,
        at: Timestamp,
        body_bytes: usize,
        body_crc32c: u32,
    },
    /// A dead letter was retried or dropped.
    Gone {
        offset: Offset,
        letter: Offset,
    },
    Damaged(Damage),
}

/// One copy of an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OwedTo {
    pub destination: String,
    pub action: String,
    /// Settled in the moment it was accepted: its budget was full.
    pub born_dead: bool,
}

/// Reads everything and says what is not whole. `read` is told the bytes of
/// each file when it is through with it, here and below.
pub fn verify(dir: &Path, read: &mut dyn FnMut(u64)) -> io::Result<Report> {
    let mut report = Report::default();
    for folder in [dir.join("log"), dir.join("dead")] {
        for file in files(&folder)? {
            let dead = folder.ends_with("dead");
            *(if dead {
                &mut report.dead_segments
            } else {
                &mut report.segments
            }) += 1;
            let found = walk(&file, &mut |record| match record {
                Piece::Record {
                    tag: Tag::Event, ..
                } => report.events += 1,
                Piece::Record {
                    tag: Tag::Letter, ..
                } => report.dead_letters += 1,
                Piece::Record { .. } => report.facts += 1,
                Piece::Damaged(damage) => report.damaged.push(damage),
            })?;
            report.torn_bytes += found.torn_bytes;
            read(found.length);
        }
    }
    report.checkpoint = condition(&dir.join(checkpoint::FILE))?;
    report.checkpoint_old = condition(&dir.join(checkpoint::OLD))?;
    Ok(report)
}

/// Says what each segment of the log holds, in order.
pub fn stat(dir: &Path, read: &mut dyn FnMut(u64)) -> io::Result<Vec<SegmentStat>> {
    let mut stats = Vec::new();
    for file in files(&dir.join("log"))? {
        let mut times: Option<(Timestamp, Timestamp)> = None;
        let (mut events, mut facts) = (0, 0);
        let found = walk(&file, &mut |record| match record {
            Piece::Record {
                tag: Tag::Event,
                payload,
                ..
            } => {
                events += 1;
                let Some(at) = EventHead::read(payload).map(|head| head.accepted_at) else {
                    return;
                };
                times = Some(times.map_or((at, at), |(first, last)| (first.min(at), last.max(at))));
            }
            Piece::Record { .. } => facts += 1,
            Piece::Damaged(_) => {}
        })?;
        read(found.length);
        stats.push(SegmentStat {
            id: found.id,
            format: found.header.map_or(0, |header| header.format),
            created: found
                .header
                .map_or(Timestamp::default(), |header| header.created),
            bytes: found.length,
            records: events + facts,
            events,
            facts,
            first_at: times.map(|(first, _)| first),
            last_at: times.map(|(_, last)| last),
            file,
        });
    }
    Ok(stats)
}

/// Tells every record of the log, then of the dead-letter log, in order.
pub fn cat(dir: &Path, each: &mut dyn FnMut(Entry), read: &mut dyn FnMut(u64)) -> io::Result<()> {
    let mut words = Words::default();
    if let Found::Whole(checkpoint) = read_checkpoint(&dir.join(checkpoint::FILE))? {
        checkpoint.names.iter().for_each(|name| words.learn(name));
    }
    for folder in [dir.join("log"), dir.join("dead")] {
        for file in files(&folder)? {
            let found = walk(&file, &mut |record| match record {
                Piece::Record { at, tag, payload } => {
                    if let Some(entry) = words.entry(at, tag, payload) {
                        each(entry);
                    }
                }
                Piece::Damaged(damage) => each(Entry::Damaged(damage)),
            })?;
            read(found.length);
        }
    }
    Ok(())
}

/// What a walk over one file hands on.
enum Piece<'a> {
    Record {
        at: Offset,
        tag: Tag,
        payload: &'a [u8],
    },
    Damaged(Damage),
}

struct Walked {
    id: u32,
    header: Option<Header>,
    length: u64,
    torn_bytes: u64,
}

fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let listed = super::disk::Disk::list(&RealDisk, folder)?;
    let mut ids: Vec<u32> = listed
        .iter()
        .filter_map(|(name, _)| segment::parse_name(name, ".seg"))
        .collect();
    ids.sort_unstable();
    Ok(ids
        .into_iter()
        .map(|id| segment::path(folder, id))
        .collect())
}

/// Goes over one file. It may be in use: what is being written at its end
/// looks torn.
fn walk(path: &Path, each: &mut dyn FnMut(Piece<'_>)) -> io::Result<Walked> {
    let file = open_read_only(path)?;
    let length = file.len()?;
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let id = segment::parse_name(name, ".seg").unwrap_or(0);
    let header = Header::read(&*file)?;
    let mut walked = Walked {
        id,
        header,
        length,
        torn_bytes: 0,
    };
    let damage = |from: u64, to: u64, what| Damage {
        file: path.to_owned(),
        from,
        to,
        what,
    };
    let what = match header {
        None => Some("its header is damaged"),
        Some(header) if header.format > FORMAT => Some("a newer format"),
        Some(header) if header.id != id => Some("another segment's header"),
        Some(_) => None,
    };
    let Some(Header { log, .. }) = header.filter(|_| what.is_none()) else {
        each(Piece::Damaged(damage(0, length, what.unwrap_or_default())));
        return Ok(walked);
    };
    let end = u32::try_from(length).unwrap_or(u32::MAX);
    let mut walk = Walk::new(
        std::sync::Arc::clone(&file),
        segment::seed(&log, id),
        id,
        FIRST,
        end,
    )
    .whole_file();
    while let Some(met) = walk.next()? {
        match met {
            Met::Record {
                at, tag, payload, ..
            } => each(Piece::Record { at, tag, payload }),
            Met::Damaged {
                from,
                to,
                torn: false,
            } => {
                each(Piece::Damaged(damage(
                    u64::from(from),
                    u64::from(to),
                    "no whole record",
                )));
            }
            Met::Damaged { from, to, .. } if to < end => walked.torn_bytes += u64::from(to - from),
            Met::Damaged { from, .. } => {
                walked.torn_bytes += torn(&*file, u64::from(from), length)?;
            }
        }
    }
    Ok(walked)
}

/// How far bytes that are not zero go on from `from`.
fn torn(file: &dyn super::disk::DiskFile, from: u64, length: u64) -> io::Result<u64> {
    let mut bytes = vec![0; usize::try_from(length - from).unwrap_or(0)];
    let n = file.read_at(&mut bytes, from)?;
    let last = bytes.iter().take(n).rposition(|byte| *byte != 0);
    Ok(last.map_or(0, |last| last as u64 + 1))
}

fn read_checkpoint(path: &Path) -> io::Result<Found> {
    match open_read_only(path) {
        Ok(file) => Checkpoint::from_file(&*file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Found::Nothing),
        Err(error) => Err(error),
    }
}

fn condition(path: &Path) -> io::Result<Condition> {
    Ok(match read_checkpoint(path)? {
        Found::Whole(_) => Condition::Whole,
        Found::Newer(_) => Condition::Newer,
        Found::Nothing if path.exists() => Condition::Damaged,
        Found::Nothing => Condition::Missing,
    })
}
