//! Folding one segment's file into the accounts: by its summary where the
//! checkpoint knows all of it, else record by record, around what is damaged
//! and around what the disk does not read.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::OpenError;
use super::dedupe::{self, Seen};
use super::disk::{Disk, is_full};
use super::found::Candidate;
use super::record::{EventHead, Fact, Tag};
use super::recover::Fold;
use super::segment::{FIRST, Segment};
use super::walk::Met;
use crate::clock::Timestamp;
use crate::event::{EventId, Offset};

/// What reading a segment brought.
struct Walked {
    seen: Vec<(Seen, EventId)>,
    /// Where its last whole record ends.
    end: u32,
    /// What the disk did not read, in order.
    unread_at: Vec<Range<u32>>,
}

impl Fold {
    /// Takes up one file; the older ones were taken up before.
    pub(super) fn segment(
        &mut self,
        disk: &dyn Disk,
        candidate: Candidate,
    ) -> Result<(), OpenError> {
        let Candidate {
            id,
            path,
            file,
            length,
            header,
            unread,
        } = candidate;
        let failed = |source| OpenError::Io {
            path: path.clone(),
            source,
        };
        if header.is_some_and(|header| header.log != self.log || header.id != id) {
            tracing::warn!(path = %path.display(), "a segment of another log is left alone");
            self.recovery.quarantined += 1;
            self.recovery.quarantined_bytes += length;
            return Ok(());
        }
        let created = header.map_or(Timestamp::default(), |header| header.created);
        let segment = Segment::found(id, file, &self.log, length).created(created);
        let segment = Arc::new(segment);
        self.segments.insert(id, Arc::clone(&segment));
        let folder = path.parent().unwrap_or(Path::new(""));
        let known = self
            .dedupe
            .load(disk, folder, &self.log, id)
            .map_err(failed)?;
        let complete = self.position >= Offset::new(id, u32::try_from(length).unwrap_or(u32::MAX));
        if let Some(summary) = self.summaries.get(&id).filter(|_| known && complete) {
            segment.adopt(summary);
            return Ok(());
        }
        let counted = self.recovery.quarantined;
        let Walked {
            seen,
            end,
            mut unread_at,
        } = self.walk(&segment, created).map_err(failed)?;
        unread_at.extend(unread.then_some(0..FIRST));
        let beyond = |bad: &&Range<u32>| Offset::new(id, bad.end) > self.position;
        if let Some(bad) = unread_at.iter().find(beyond) {
            let (from, to) = (bad.start, bad.end);
            return Err(OpenError::Unread { path, from, to });
        }
        segment.set_end(end);
        self.write_again(&segment, end).map_err(failed)?;
        if unread_at.is_empty() {
            self.cut_tail(&segment, end, length).map_err(failed)?;
        } else {
            self.recovery.quarantined = self.recovery.quarantined.max(counted + 1);
            self.step_around(&segment, &path, &unread_at);
        }
        segment.file.sync_data().map_err(failed)?;
        // Ids that are not all of them are not written down: the next start
        // looks again.
        if !known && unread_at.is_empty() {
            match self.dedupe.write(disk, folder, &self.log, id, &seen) {
                Err(error) if is_full(&error) => tracing::warn!(%error, "no room for vendor ids"),
                written => written.map_err(failed)?,
            }
        }
        self.dedupe.learn(&seen);
        Ok(())
    }

    /// What the disk does not read of a segment is in the checkpoint's accounts
    /// already: nothing is decided here. Who is owed something from there will
    /// try again to read it.
    fn step_around(&mut self, segment: &Segment, path: &Path, unread_at: &[Range<u32>]) {
        let read = segment.events.load(Ordering::Relaxed);
        let summary = self.summaries.get(&segment.id);
        let events = summary.map(|summary| summary.events.saturating_sub(read));
        if let Some(summary) = summary {
            segment.adopt(summary);
        }
        let bytes: u64 = unread_at
            .iter()
            .map(|bad| u64::from(bad.end - bad.start))
            .sum();
        let (path, from) = (path.display(), unread_at.first().map(|bad| bad.start));
        let to = unread_at.last().map(|bad| bad.end);
        tracing::error!(%path, from, to, bytes, events, "the disk does not read a part of a segment; it was stepped around, and its file is left as it is");
    }

    /// Reads a segment whole; folds what lies beyond the checkpoint.
    fn walk(&mut self, segment: &Segment, created: Timestamp) -> io::Result<Walked> {
        let length = segment.length.load(Ordering::Relaxed);
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        let mut seen = Vec::new();
        let mut end = FIRST;
        let mut walk = segment.walk_around(FIRST, length).whole_file();
        while let Some(met) = walk.next()? {
            match met {
                Met::Record {
                    at,
                    next,
                    tag: Tag::Event,
                    payload,
                } => {
                    end = next.position();
                    if let Some(head) = EventHead::read(payload) {
                        segment.saw_event(head.accepted_at, created);
                        seen.extend(
                            head.vendor_id
                                .map(|id| (dedupe::key(head.source, id), head.id)),
                        );
                        if at >= self.position {
                            self.event(at, &head);
                        }
                    }
                }
                Met::Record {
                    at,
                    next,
                    tag,
                    payload,
                } => {
                    end = next.position();
                    let Some(fact) = Fact::read(tag, payload) else {
                        continue;
                    };
                    if let Some(event) = fact.event() {
                        segment.saw_fact_about(event);
                    }
                    if at >= self.position || tag == Tag::Names {
                        self.fact(at, fact);
                    }
                }
                Met::Damaged {
                    from,
                    to,
                    torn: false,
                } => {
                    self.recovery.quarantined += 1;
                    self.recovery.quarantined_bytes += u64::from(to - from);
                    self.damaged
                        .push((Offset::new(segment.id, from), Offset::new(segment.id, to)));
                    segment.is_new_damage(from);
                }
                // At the end it is counted when the tail is cut.
                Met::Damaged { to, .. } if to >= length => {}
                Met::Damaged { from, to, .. } => {
                    self.recovery.torn_bytes += u64::from(to - from);
                }
            }
        }
        Ok(Walked {
            seen,
            end,
            unread_at: walk.unread(),
        })
    }

    /// What a former run wrote last may be in the system's memory alone: after
    /// a failed sync the system calls it clean, shows it, and never writes it.
    /// So what is about to be believed beyond the checkpoint is written again.
    /// Without a checkpoint only the newest can be such a segment: whoever
    /// began one had synced the one before.
    fn write_again(&self, segment: &Segment, end: u32) -> io::Result<()> {
        let first = self.position.max(Offset::new(segment.id, FIRST));
        if self.position == Offset(0) && segment.id != self.newest {
            return Ok(());
        }
        if first.segment() == segment.id {
            segment.write_again(first.position(), end)?;
        }
        Ok(())
    }

    /// Gives the unused runway back; torn bytes stay as evidence, unread.
    fn cut_tail(&mut self, segment: &Segment, end: u32, length: u64) -> io::Result<()> {
        let (mut at, mut torn) = (u64::from(end), u64::from(end));
        let mut buffer = vec![0; 64 * 1024];
        while at < length {
            let n = segment.file.read_at(&mut buffer, at)?;
            if n == 0 {
                break;
            }
            let bytes = buffer.get(..n).unwrap_or_default();
            if let Some(last) = bytes.iter().rposition(|byte| *byte != 0) {
                torn = at + last as u64 + 1;
            }
            at += n as u64;
        }
        self.recovery.torn_bytes += torn - u64::from(end);
        if torn < length && segment.file.set_len(torn).is_ok() {
            segment.length.store(torn, Ordering::Relaxed);
        }
        Ok(())
    }
}
