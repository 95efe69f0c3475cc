//! Which events or dead letters are meant: the filters that lists and bulk
//! work share, and one page of a list.

use clap::builder::PossibleValuesParser;
use serde_json::{Map, Value};

use super::client::{Admin, Target, query};
use super::print::{Sheet, Width};
use super::{Exit, block_on, complain, say_json};
use crate::settle::Reason;

/// The filters that lists and bulk work share.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Selection {
    /// Only copies for this destination
    #[arg(long, value_name = "NAME", help_heading = "Which")]
    destination: Option<String>,
    /// Only what came from this source
    #[arg(long, value_name = "NAME", help_heading = "Which")]
    source: Option<String>,
    /// An event type, `*` and `?` allowed
    #[arg(long = "type", value_name = "GLOB", help_heading = "Which")]
    event_type: Option<String>,
    /// Not before this time (2026-11-20T10:00:00Z), or not older than this age (2h)
    #[arg(long, value_name = "WHEN", help_heading = "Which")]
    since: Option<String>,
    /// Not after this time, or not younger than this age
    #[arg(long, value_name = "WHEN", help_heading = "Which")]
    until: Option<String>,
    /// The conversation, e.g. qiscus/1375619
    #[arg(long, help_heading = "Which")]
    key: Option<String>,
    /// Why it died
    #[arg(long, help_heading = "Which", value_parser = reasons())]
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

/// The words of `--reason`.
fn reasons() -> PossibleValuesParser {
    PossibleValuesParser::new(Reason::ALL.map(Reason::as_str))
}

/// A page of a list.
#[derive(Debug, clap::Args)]
pub(super) struct Page {
    #[command(flatten)]
    selection: Selection,
    /// How many, at most 1000
    #[arg(long, default_value = "50", value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
    #[command(flatten)]
    width: Width,
    #[command(flatten)]
    target: Target,
}

impl Page {
    /// Asks for the page and prints it: as JSON, or as `drawn` draws it. Says
    /// so where more `things` wait behind it.
    pub(super) fn show(
        &self,
        path: &str,
        things: &str,
        drawn: impl FnOnce(&Value) -> Sheet,
    ) -> anyhow::Result<Exit> {
        let page = block_on(async { self.ask(&self.target.admin()?, path).await })?;
        if self.target.json {
            say_json(&page);
            return Ok(Exit::Ok);
        }
        drawn(&page).say(self.width);
        if !page["next"].is_null() {
            let total = page["total"]
                .as_u64()
                .map_or(String::new(), |all| format!(" of {all} kept"));
            complain(&format!(
                "these are {}{total}; a filter or a larger --limit shows others",
                self.limit
            ));
        } else if page[things].as_array().is_some_and(Vec::is_empty) {
            complain("none");
        }
        Ok(Exit::Ok)
    }

    async fn ask(&self, admin: &Admin, path: &str) -> anyhow::Result<Value> {
        let limit = self.limit.to_string();
        let mut pairs = self.selection.pairs();
        pairs.push(("limit", Some(&limit)));
        admin.get(&format!("{path}?{}", query(&pairs))).await
    }
}
