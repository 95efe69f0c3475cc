//! `hookfan events`: what the log holds.

use serde_json::Value;

use super::client::Target;
use super::print::{attempts, cell, new_table, text, whole};
use super::select::Page;
use super::{Exit, block_on, say, say_json};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Events {
    /// Newest first
    List(Page),
    /// One event: body, message, and every attempt at every copy
    Show(Show),
}

#[derive(Debug, clap::Args)]
pub(super) struct Show {
    /// The id that the sender was answered
    id: String,
    #[command(flatten)]
    target: Target,
}

impl Events {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        match self {
            Self::List(page) => page.show("/api/v1/events", table),
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

/// The list as a table.
fn table(page: &Value) -> String {
    let mut table = new_table(&["id", "accepted", "source", "type", "key", "to"]);
    for row in page["events"].as_array().into_iter().flatten() {
        let to: Vec<String> = row["destinations"]
            .as_array()
            .into_iter()
            .flatten()
            .map(cell)
            .collect();
        table.add_row([
            cell(&row["id"]),
            cell(&row["accepted_at"]),
            cell(&row["source"]),
            cell(&row["type"]),
            cell(&row["key"]),
            to.join(" "),
        ]);
    }
    table.to_string()
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
