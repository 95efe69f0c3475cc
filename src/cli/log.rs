//! `hookfan log`: reads a data folder without a running gateway. Changes
//! nothing.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde_json::json;

use super::print::{Column, Sheet, Width, text};
use super::progress::Progress;
use super::{Exit, say, say_json};
use crate::log::inspect::{self, Report, SegmentStat};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Log {
    /// Check every record; exit code 2 where damage was found
    #[command(after_help = "Example:\n  hookfan log verify /var/lib/hookfan")]
    Verify(Folder),
    /// Sizes, counts and times, per segment
    #[command(after_help = "Example:\n  hookfan log stat data --json | jq 'map(.bytes) | add'")]
    Stat(Folder),
    /// Every record, one JSON object a line
    #[command(after_help = "Example:\n  hookfan log cat data | grep 019a4bd2-7c1e")]
    Cat(Folder),
}

#[derive(Debug, clap::Args)]
pub(super) struct Folder {
    /// The data folder (server.data_dir)
    #[arg(default_value = "data")]
    data_dir: PathBuf,
    /// Print JSON (`cat` always does)
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    width: Width,
}

impl Log {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        let (Self::Verify(folder) | Self::Stat(folder) | Self::Cat(folder)) = &self;
        // An unmounted volume must not pass for a sound log.
        if !folder.data_dir.join("log").is_dir() {
            bail!(
                "{}: no data folder of hookfan here (server.data_dir says where)",
                folder.data_dir.display()
            );
        }
        let (dir, cat) = (&folder.data_dir, matches!(self, Self::Cat(_)));
        // Where records fill the terminal, a bar would stand among them.
        let quiet = (folder.json && !cat) || (cat && std::io::stdout().is_terminal());
        let progress = Progress::bytes(bytes_in(dir), quiet);
        let mut read = |bytes| progress.add(bytes);
        let named = || dir.display().to_string();
        match &self {
            Self::Verify(folder) => {
                let report = inspect::verify(dir, &mut read).with_context(named)?;
                drop(progress);
                if folder.json {
                    say_json(&json!(report));
                } else {
                    say(&verified(&report));
                }
                Ok(if report.is_sound() {
                    Exit::Ok
                } else {
                    Exit::Findings
                })
            }
            Self::Stat(folder) => {
                let stat = inspect::stat(dir, &mut read).with_context(named)?;
                drop(progress);
                if folder.json {
                    say_json(&json!(stat));
                } else {
                    counted(&stat).say(folder.width);
                }
                Ok(Exit::Ok)
            }
            Self::Cat(_) => {
                let mut each = |entry| say(&json!(entry).to_string());
                inspect::cat(dir, &mut each, &mut read).with_context(named)?;
                Ok(Exit::Ok)
            }
        }
    }
}

/// How much there is to read, about: the gateway may be writing.
fn bytes_in(dir: &Path) -> u64 {
    let folders = [dir.join("log"), dir.join("dead")].into_iter();
    let entries = folders.flat_map(std::fs::read_dir).flatten().flatten();
    let segments = entries.filter(|entry| entry.path().extension() == Some("seg".as_ref()));
    segments
        .filter_map(|entry| Some(entry.metadata().ok()?.len()))
        .sum()
}

/// A report as a person reads it.
fn verified(report: &Report) -> String {
    let mut lines = vec![format!(
        "{} segments, {} events, {} facts; {} segments of dead letters with {}",
        report.segments, report.events, report.facts, report.dead_segments, report.dead_letters
    )];
    if report.torn_bytes > 0 {
        lines.push(format!(
            "{} bytes of torn tail, as a crash leaves it: nothing acknowledged is in it",
            report.torn_bytes
        ));
    }
    for damage in &report.damaged {
        lines.push(format!(
            "{}: bytes {} to {}: {}",
            damage.file.display(),
            damage.from,
            damage.to,
            damage.what
        ));
    }
    lines.push(
        if report.is_sound() {
            "sound"
        } else {
            "damaged; what is whole is still delivered"
        }
        .to_owned(),
    );
    lines.join("\n")
}

/// One line per segment.
fn counted(stats: &[SegmentStat]) -> Sheet {
    let mut sheet = Sheet::new(&[
        Column::text("file", 0, 12),
        Column::number("bytes", 0),
        Column::number("records", 4),
        Column::number("events", 1),
        Column::number("facts", 5),
        Column::text("first", 2, 19),
        Column::text("last", 3, 19),
    ]);
    for stat in stats {
        let stat = json!(stat);
        sheet.push(
            [
                "file", "bytes", "records", "events", "facts", "first_at", "last_at",
            ]
            .map(|cell| text(&stat[cell])),
        );
    }
    sheet
}
