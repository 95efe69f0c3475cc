//! `hookfan events`: what the log holds.

use serde_json::Value;

use super::client::Target;
use super::print::{Column, Sheet, attempts, text, whole};
use super::select::Page;
use super::{Exit, block_on, say, say_json};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Events {
    /// Newest first
    #[command(after_help = "\
Examples:
  hookfan events list --source qiscus --type 'post_comment_*' --since 2h
  hookfan events list --key qiscus/1375619 --wide")]
    List(Page),
    /// One event: body, message, and every attempt at every copy
    Show(Show),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  hookfan events show 019a4bd2-7c1e-7000-8000-000000000000")]
pub(super) struct Show {
    /// The id that the sender was answered
    id: String,
    #[command(flatten)]
    target: Target,
}

impl Events {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        match self {
            Self::List(page) => page.show("/api/v1/events", "events", sheet),
            Self::Show(show) => {
                let path = format!("/api/v1/events/{}", show.id);
                let event = block_on(async { show.target.admin()?.get(&path).await })?;
                if show.target.json {
                    say_json(&event);
                } else {
                    say(&drawn(&event));
                }
                Ok(Exit::Ok)
            }
        }
    }
}

/// The list as a sheet.
fn sheet(page: &Value) -> Sheet {
    let mut sheet = Sheet::new(&[
        Column::whole("id", 0),
        Column::text("accepted", 3, 19),
        Column::text("source", 4, 8),
        Column::text("type", 1, 12),
        Column::text("key", 5, 10),
        Column::text("to", 2, 8),
    ]);
    for row in page["events"].as_array().into_iter().flatten() {
        let to = row["destinations"].as_array().into_iter().flatten();
        let to: Vec<String> = to.map(text).collect();
        sheet.push([
            text(&row["id"]),
            text(&row["accepted_at"]),
            text(&row["source"]),
            text(&row["type"]),
            text(&row["key"]),
            to.join(" "),
        ]);
    }
    sheet
}

/// An event as a person reads it.
pub(super) fn drawn(event: &Value) -> String {
    let mut lines = Vec::new();
    for name in ["id", "source", "type", "key", "accepted_at"] {
        lines.push(format!("{name:12} {}", text(&event[name])));
    }
    if event["message"]["text"].is_string() {
        let message = whole(&event["message"]["text"]);
        lines.push(format!(
            "{:12} {} ({})",
            "message",
            message.replace('\n', "\n             "),
            text(&event["message"]["direction"])
        ));
    }
    for copy in event["deliveries"].as_array().into_iter().flatten() {
        let reason = copy["reason"]
            .as_str()
            .map_or(String::new(), |reason| format!(" ({reason})"));
        lines.push(format!(
            "-> {} {}{reason} {}",
            text(&copy["destination"]),
            text(&copy["state"]),
            text(&copy["detail"])
        ));
        lines.extend(attempts(&copy["attempts"]));
    }
    lines.push(whole(&event["body"]));
    lines.join("\n")
}
