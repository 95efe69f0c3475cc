//! `hookfan backfill`: a vendor is asked for a conversation, and what the
//! gateway missed of it is accepted as if it had been posted.

use serde_json::{Value, json};

use super::client::Target;
use super::print::text;
use super::progress::Progress;
use super::{Exit, block_on, complain, say, say_json};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The gateway asks with the key of the destination that names this source. What
came already is a duplicate and goes nowhere: it can be interrupted and
repeated.

  hookfan backfill --source qiscus --conversation 1375619
  hookfan backfill --source quiq --conversation 7f3a --since 2026-11-20T10:00:00Z")]
pub(super) struct Backfill {
    /// The source whose conversation it is
    #[arg(long, value_name = "NAME")]
    source: String,
    /// Its id at the vendor
    #[arg(long, value_name = "ID")]
    conversation: String,
    /// Nothing older than this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    #[command(flatten)]
    target: Target,
}

impl Backfill {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        let progress = Progress::counting("accepted", self.target.json);
        let total = block_on(progress.watch(self.fetch(&progress)))?;
        drop(progress);
        if self.target.json {
            say_json(&total);
            return Ok(Exit::Ok);
        }
        say(&format!(
            "{} found in {} pages, {} accepted, the rest was here",
            text(&total["found"]),
            text(&total["pages"]),
            text(&total["accepted"]),
        ));
        for gap in total["gaps"].as_array().into_iter().flatten() {
            complain(&format!("missing there, too: {}", text(gap)));
        }
        Ok(Exit::Ok)
    }

    /// Call by call, until there is no next.
    async fn fetch(&self, progress: &Progress) -> anyhow::Result<Value> {
        let admin = self.target.admin()?;
        let (mut pages, mut found, mut accepted) = (0, 0, 0);
        let mut gaps: Vec<Value> = Vec::new();
        let mut after = Value::Null;
        loop {
            let asked = json!({
                "source": self.source, "conversation": self.conversation,
                "since": self.since, "after": after,
            });
            let said = admin.post("/api/v1/backfill", &asked).await?;
            let number = |name: &str| said[name].as_u64().unwrap_or(0);
            pages += number("pages");
            found += number("found");
            accepted += number("accepted");
            gaps.extend(said["gaps"].as_array().into_iter().flatten().cloned());
            progress.add(number("accepted"));
            progress.say(format!("accepted, {found} found in {pages} pages"));
            after = said["next"].clone();
            if after.is_null() {
                return Ok(json!({
                    "pages": pages, "found": found, "accepted": accepted, "gaps": gaps,
                }));
            }
        }
    }
}
