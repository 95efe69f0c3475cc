//! `hookfan links`: what conversations and users are called over there, where
//! no vendor lets the gateway find out by itself.

use serde_json::{Value, json};

use super::client::{Admin, Target, query};
use super::print::{Column, Sheet, Width, text};
use super::progress::Progress;
use super::{Exit, Usage, block_on, say, say_json};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Links {
    /// What is linked, in order of our own names
    List(List),
    /// Link a conversation (or a user) to its name at a destination
    Set(Set),
    /// Forget a link
    Remove(Remove),
    /// Link many: a CSV of destination,ours,id
    Import(Import),
    /// Ask the vendor for its conversations
    Look(Look),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  hookfan links list --destination support --ours qiscus/")]
pub(super) struct List {
    /// Only at this destination
    #[arg(long, value_name = "NAME")]
    destination: Option<String>,
    /// Only what begins so, such as qiscus/
    #[arg(long, value_name = "PREFIX")]
    ours: Option<String>,
    /// Only users
    #[arg(long)]
    users: bool,
    #[command(flatten)]
    width: Width,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  hookfan links set --destination support qiscus/1375619 3f2504e0-4f89-11d3
  hookfan dead retry --destination support --reason unlinked")]
pub(super) struct Set {
    /// At which destination
    #[arg(long, value_name = "NAME")]
    destination: String,
    /// A conversation's key, as events show it: `SOURCE/CONVERSATION`
    ours: String,
    /// Its name over there
    id: String,
    /// It is a user: `SOURCE/USER`
    #[arg(long)]
    user: bool,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  hookfan links remove --destination support qiscus/1375619")]
pub(super) struct Remove {
    /// At which destination
    #[arg(long, value_name = "NAME")]
    destination: String,
    /// `SOURCE/CONVERSATION`
    ours: String,
    /// It is a user: `SOURCE/USER`
    #[arg(long)]
    user: bool,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Each line is destination,ours,id; lines that begin with # are skipped.
Repeating it is safe.

  hookfan links import links.csv
  my-export | hookfan links import -")]
pub(super) struct Import {
    /// The file, or - for standard input
    file: String,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The gateway asks, with its own key and at its own rate; the answer is the vendor's.

  hookfan links look support --page 2
  hookfan links look support --id 3f2504e0-4f89-11d3")]
pub(super) struct Look {
    /// The destination
    destination: String,
    /// Which page of its conversations
    #[arg(long, default_value_t = 1, conflicts_with_all = ["id", "hub_token"])]
    page: u32,
    /// One conversation
    #[arg(long, conflicts_with = "hub_token")]
    id: Option<String>,
    /// A token for the vendor's live feed; it is a secret
    #[arg(long)]
    hub_token: bool,
    #[command(flatten)]
    target: Target,
}

/// As many as the gateway takes at once.
const STEP: usize = 1000;

impl Links {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        match self {
            Self::List(list) => list.run(),
            Self::Set(set) => set.run(),
            Self::Remove(remove) => remove.run(),
            Self::Import(import) => import.run(),
            Self::Look(look) => look.run(),
        }
    }
}

impl List {
    fn run(self) -> anyhow::Result<Exit> {
        let links = block_on(async { self.all(&self.target.admin()?).await })?;
        if self.target.json {
            say_json(&json!({"links": links}));
            return Ok(Exit::Ok);
        }
        let mut sheet = Sheet::new(&[
            Column::text("ours", 0, 12),
            Column::text("destinations", 1, 8),
            Column::text("id", 0, 12),
            Column::whole("standing", 2),
            Column::whole("what", 3),
        ]);
        for link in &links {
            let names = ["ours", "destinations", "id", "standing", "what"];
            sheet.push(names.map(|name| match &link[name] {
                Value::Array(names) => names.iter().map(text).collect::<Vec<_>>().join(" "),
                other => text(other),
            }));
        }
        sheet.say(self.width);
        Ok(Exit::Ok)
    }

    /// Page by page.
    async fn all(&self, admin: &Admin) -> anyhow::Result<Vec<Value>> {
        let mut links = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let asked = query(&[
                ("destination", self.destination.as_deref()),
                ("ours", self.ours.as_deref()),
                ("what", self.users.then_some("user")),
                ("after", after.as_deref()),
            ]);
            let page = admin.get(&format!("/api/v1/links?{asked}")).await?;
            links.extend(page["links"].as_array().into_iter().flatten().cloned());
            after = page["next"].as_str().map(str::to_owned);
            if after.is_none() {
                return Ok(links);
            }
        }
    }
}

fn what(user: bool) -> &'static str {
    if user { "user" } else { "conversation" }
}

impl Set {
    fn run(self) -> anyhow::Result<Exit> {
        let link = json!({
            "destination": self.destination, "ours": self.ours, "id": self.id, "what": what(self.user),
        });
        change(&self.target, "set", vec![link], "linked")
    }
}

impl Remove {
    fn run(self) -> anyhow::Result<Exit> {
        let link = json!({
            "destination": self.destination, "ours": self.ours, "what": what(self.user),
        });
        change(&self.target, "remove", vec![link], "removed")
    }
}

impl Import {
    fn run(self) -> anyhow::Result<Exit> {
        let text = super::explain::read_body(&self.file)?;
        let text = String::from_utf8(text.to_vec())
            .map_err(|_| Usage(format!("{}: not UTF-8", self.file)))?;
        let mut links = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            // An id of ours may hold a comma; a name or an id over there does not.
            let fields = line.split_once(',').and_then(|(destination, rest)| {
                rest.rsplit_once(',')
                    .map(|(ours, id)| (destination, ours, id))
            });
            let Some((destination, ours, id)) = fields else {
                let file = &self.file;
                return Err(Usage(format!("{file}:{number}: write destination,ours,id")).into());
            };
            links.push(json!({
                "destination": destination.trim(), "ours": ours.trim(), "id": id.trim(),
            }));
        }
        change(&self.target, "set", links, "linked")
    }
}

impl Look {
    fn run(self) -> anyhow::Result<Exit> {
        let path = format!("/api/v1/destinations/{}", self.destination);
        let page = self.page.to_string();
        let asked = match &self.id {
            Some(id) => query(&[("id", Some(id))]),
            None => query(&[("page", Some(&page))]),
        };
        let said = block_on(async {
            let admin = self.target.admin()?;
            if self.hub_token {
                return admin.post(&format!("{path}:hub-token"), &json!({})).await;
            }
            admin.get(&format!("{path}/conversations?{asked}")).await
        })?;
        say_json(if self.target.json {
            &said
        } else {
            &said["body"]
        });
        let well = said["status"].as_u64().is_some_and(|status| status < 300);
        Ok(if well { Exit::Ok } else { Exit::Failed })
    }
}

fn change(
    target: &Target,
    verb: &str,
    links: Vec<Value>,
    done: &'static str,
) -> anyhow::Result<Exit> {
    let total = u64::try_from(links.len()).unwrap_or(u64::MAX);
    let progress = Progress::of(total, done, target.json || links.len() <= STEP);
    block_on(progress.watch(async {
        let admin = target.admin()?;
        let path = format!("/api/v1/links:{verb}");
        for step in links.chunks(STEP) {
            let answer = admin.post(&path, &json!({"links": step})).await?;
            progress.add(answer["done"].as_u64().unwrap_or(0));
        }
        Ok(())
    }))?;
    let count = progress.done();
    drop(progress);
    if target.json {
        say_json(&json!({"done": count}));
    } else {
        say(&format!("{count} {done}"));
    }
    Ok(Exit::Ok)
}
