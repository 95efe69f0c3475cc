//! Which events or dead letters are meant: the filters that lists and bulk
//! work share, and one page of a list.

use serde_json::{Map, Value};

use super::client::{Target, query};
use super::{Exit, block_on, say, say_json};

/// The filters that lists and bulk work share.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Selection {
    #[arg(long, value_name = "NAME")]
    destination: Option<String>,
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// An event type, `*` and `?` allowed
    #[arg(long = "type", value_name = "GLOB")]
    event_type: Option<String>,
    /// A time (2026-11-20T10:00:00Z) or an age (2h)
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    #[arg(long, value_name = "WHEN")]
    until: Option<String>,
    /// The conversation, e.g. qiscus/1375619
    #[arg(long)]
    key: Option<String>,
    /// Why it died: exhausted, refused, unsendable, …
    #[arg(long)]
    reason: Option<String>,
}

impl Selection {
    pub(super) fn pairs(&self) -> Vec<(&'static str, Option<&str>)> {
        vec![
            ("destination", self.destination.as_deref()),
            ("source", self.source.as_deref()),
            ("type", self.event_type.as_deref()),
            ("since", self.since.as_deref()),
            ("until", self.until.as_deref()),
            ("key", self.key.as_deref()),
            ("reason", self.reason.as_deref()),
        ]
    }

    pub(super) fn to_json(&self) -> Map<String, Value> {
        let named = |(name, value): (&'static str, Option<&str>)| {
            Some((name.to_owned(), Value::from(value?)))
        };
        self.pairs().into_iter().filter_map(named).collect()
    }
}

#[derive(Debug, clap::Args)]
pub(super) struct Page {
    #[command(flatten)]
    selection: Selection,
    /// How many, at most 1000
    #[arg(long, default_value = "50")]
    limit: u16,
    #[command(flatten)]
    target: Target,
}

impl Page {
    /// Asks for the page and prints it: as JSON, or as `drawn` draws it.
    pub(super) fn show(
        &self,
        path: &str,
        drawn: impl FnOnce(&Value) -> String,
    ) -> anyhow::Result<Exit> {
        let limit = self.limit.to_string();
        let mut pairs = self.selection.pairs();
        pairs.push(("limit", Some(&limit)));
        let path = format!("{path}?{}", query(&pairs));
        let page = block_on(async { self.target.admin()?.get(&path).await })?;
        if self.target.json {
            say_json(&page);
        } else {
            say(&drawn(&page));
        }
        Ok(Exit::Ok)
    }
}
