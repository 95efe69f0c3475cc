//! `hookfan dead` and `hookfan replay`: what was not delivered, why, and
//! sending it again.

use serde_json::{Map, Value, json};

use super::client::{Admin, Target};
use super::print::{Column, Sheet, attempts, text, whole};
use super::progress::Progress;
use super::select::{Page, Selection};
use super::{Exit, Usage, block_on, say, say_json};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Dead {
    /// Oldest first
    #[command(after_help = "\
Examples:
  hookfan dead list --destination crm --reason exhausted
  hookfan dead list --since 1h --json | jq -r '.dead[].id'")]
    List(Page),
    /// One dead letter: its body, and every attempt with its answer
    Show(Show),
    /// Owe them again, with a fresh schedule
    #[command(after_help = "\
Name ids, or select by filters; --all is everything. It goes in steps, can be
interrupted, and repeating it is safe.

  hookfan dead retry 4294971392
  hookfan dead retry --destination crm --reason exhausted")]
    Retry(Bulk),
    /// Remove them from the list; they stay settled
    #[command(after_help = "\
Name ids, or select by filters; --all is everything. It goes in steps, can be
interrupted, and repeating it is safe.

  hookfan dead drop 4294971392
  hookfan dead drop --destination crm --until 7d")]
    Drop(Bulk),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  hookfan dead show 4294971392")]
pub(super) struct Show {
    /// As `dead list` shows it
    id: String,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, clap::Args)]
pub(super) struct Bulk {
    /// Which ones
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    #[command(flatten)]
    selection: Selection,
    /// Every one
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Each copy goes where it went the first time, unless --to names destinations or
--route asks today's routes. Destinations see the same webhook-id again.

  hookfan replay --source qiscus --since 2h --to crm")]
pub(super) struct Replay {
    #[command(flatten)]
    bulk: Bulk,
    /// Only to this destination (may be repeated)
    #[arg(long, value_name = "NAME", conflicts_with = "route")]
    to: Vec<String>,
    /// To where today's routes say
    #[arg(long)]
    route: bool,
}

impl Dead {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        match self {
            Self::List(page) => page.show("/api/v1/dead", "dead", sheet),
            Self::Show(show) => show.run(),
            Self::Retry(bulk) => bulk.run("/api/v1/dead:retry", Map::new(), "owed again"),
            Self::Drop(bulk) => bulk.run("/api/v1/dead:drop", Map::new(), "dropped"),
        }
    }
}

impl Replay {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        let mut more = Map::new();
        if !self.to.is_empty() {
            more.insert("to".to_owned(), json!(self.to));
        }
        if self.route {
            more.insert("route".to_owned(), Value::Bool(true));
        }
        self.bulk.run("/api/v1/replay", more, "copies owed again")
    }
}

/// The list as a sheet.
fn sheet(page: &Value) -> Sheet {
    const NAMES: [&str; 8] = [
        "id",
        "at",
        "destination",
        "type",
        "key",
        "reason",
        "attempts",
        "detail",
    ];
    let mut sheet = Sheet::new(&[
        Column::whole("id", 0),
        Column::text("at", 5, 19),
        Column::text("destination", 0, 12),
        Column::text("type", 2, 10),
        Column::text("key", 3, 10),
        Column::whole("reason", 0),
        Column::number("attempts", 4),
        Column::text("detail", 1, 10),
    ]);
    for row in page["dead"].as_array().into_iter().flatten() {
        sheet.push(NAMES.map(|name| text(&row[name])));
    }
    sheet
}

impl Show {
    fn run(self) -> anyhow::Result<Exit> {
        let path = format!("/api/v1/dead/{}", self.id);
        let letter = block_on(async { self.target.admin()?.get(&path).await })?;
        if self.target.json {
            say_json(&letter);
            return Ok(Exit::Ok);
        }
        let mut lines = Vec::new();
        for name in [
            "id",
            "event",
            "source",
            "type",
            "key",
            "destination",
            "action",
            "reason",
            "detail",
            "at",
        ] {
            lines.push(format!("{name:12} {}", text(&letter[name])));
        }
        lines.extend(attempts(&letter["history"]));
        lines.push(whole(&letter["original"]["body"]));
        say(&lines.join("\n"));
        Ok(Exit::Ok)
    }
}

impl Bulk {
    fn run(self, path: &str, more: Map<String, Value>, done: &'static str) -> anyhow::Result<Exit> {
        let mut asked = self.selection.to_json();
        if asked.is_empty() && self.ids.is_empty() && !self.all {
            let which = "say which: ids, a filter such as --destination, or --all";
            return Err(Usage(which.to_owned()).into());
        }
        if !self.ids.is_empty() {
            asked.insert("ids".to_owned(), json!(self.ids));
        }
        if self.all {
            asked.insert("all".to_owned(), Value::Bool(true));
        }
        asked.extend(more);
        let progress = Progress::counting(done, self.target.json);
        block_on(
            progress
                .watch(async { step_through(&self.target.admin()?, path, asked, &progress).await }),
        )?;
        let count = progress.done();
        drop(progress);
        if self.target.json {
            say_json(&json!({"done": count}));
        } else {
            say(&format!("{count} {done}"));
        }
        Ok(Exit::Ok)
    }
}

/// Calls a stepwise action until it says there is no more.
async fn step_through(
    admin: &Admin,
    path: &str,
    mut asked: Map<String, Value>,
    progress: &Progress,
) -> anyhow::Result<()> {
    loop {
        let answer = admin.post(path, &Value::Object(asked.clone())).await?;
        progress.add(answer["done"].as_u64().unwrap_or(0));
        if answer["next"].is_null() {
            return Ok(());
        }
        if !answer["until"].is_null() {
            asked.insert("until".to_owned(), answer["until"].clone());
        }
        let cursor = if path.ends_with("replay") {
            "before"
        } else {
            "after"
        };
        asked.insert(cursor.to_owned(), answer["next"].clone());
    }
}
