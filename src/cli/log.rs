//! `hookfan log`: reads a data folder without a running gateway. Changes
//! nothing.

use std::path::PathBuf;

use anyhow::{Context, bail};
use serde_json::json;

use super::print::{new_table, text};
use super::{Exit, say, say_json};
use crate::log::inspect::{self, Report, SegmentStat};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Log {
    /// Check every record; exit code 2 where damage was found
    Verify(Folder),
    /// Sizes, counts and times, per segment
    Stat(Folder),
    /// Every record, one JSON object a line
    Cat(Folder),
}

#[derive(Debug, clap::Args)]
pub(super) struct Folder {
    /// The data folder (server.data_dir)
    #[arg(default_value = "data")]
    data_dir: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
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
        match self {
            Self::Verify(folder) => {
                let report = inspect::verify(&folder.data_dir)
                    .with_context(|| folder.data_dir.display().to_string())?;
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
                let stat = inspect::stat(&folder.data_dir)
                    .with_context(|| folder.data_dir.display().to_string())?;
                if folder.json {
                    say_json(&json!(stat));
                } else {
                    say(&counted(&stat));
                }
                Ok(Exit::Ok)
            }
            Self::Cat(folder) => {
                inspect::cat(
                    &folder.data_dir,
                    &mut |entry| say(&json!(entry).to_string()),
                )
                .with_context(|| folder.data_dir.display().to_string())?;
                Ok(Exit::Ok)
            }
        }
    }
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
fn counted(stats: &[SegmentStat]) -> String {
    let mut table = new_table(&[
        "file", "bytes", "records", "events", "facts", "first", "last",
    ]);
    for stat in stats {
        let stat = json!(stat);
        table.add_row(
            [
                "file", "bytes", "records", "events", "facts", "first_at", "last_at",
            ]
            .map(|cell| text(&stat[cell])),
        );
    }
    table.to_string()
}
