//! `hookfan status`, `pause`, `resume`: what each destination is doing.

use serde_json::Value;

use super::client::Target;
use super::print::{cell, new_table};
use super::{Exit, block_on, say, say_json};

#[derive(Debug, clap::Args)]
pub(super) struct Status {
    #[command(flatten)]
    target: Target,
}

impl Status {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        let status = block_on(async { self.target.admin()?.get("/api/v1/status").await })?;
        if self.target.json {
            say_json(&status);
        } else {
            say(&drawn(&status));
        }
        Ok(Exit::Ok)
    }
}

/// The table a person reads.
pub(super) fn drawn(status: &Value) -> String {
    let mut table = new_table(&[
        "destination",
        "kind",
        "state",
        "delivered",
        "dead",
        "dropped",
        "waiting",
        "oldest",
        "last error",
    ]);
    for row in status["destinations"].as_array().into_iter().flatten() {
        let error = &row["last_error"];
        let error = if error.is_null() {
            String::new()
        } else {
            format!(
                "{} {} {}",
                cell(&error["at"]),
                cell(&error["outcome"]),
                cell(&error["detail"])
            )
        };
        let oldest = row["oldest_seconds"].as_u64().map_or(String::new(), age);
        table.add_row([
            cell(&row["name"]),
            cell(&row["kind"]),
            cell(&row["state"]),
            cell(&row["delivered"]),
            cell(&row["dead"]),
            cell(&row["dropped"]),
            cell(&row["pending"]),
            oldest,
            error,
        ]);
    }
    let trouble = status["trouble"]
        .as_str()
        .map_or(String::new(), |trouble| format!("\nnot ready: {trouble}"));
    format!("{table}{trouble}")
}

/// `90` as `1m30s`: two units, the coarse ones.
fn age(seconds: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3600, "h"), (60, "m"), (1, "s")];
    let mut rest = seconds;
    let mut shown = String::new();
    for (size, unit) in UNITS {
        if rest >= size && shown.matches(char::is_alphabetic).count() < 2 {
            shown.push_str(&format!("{}{unit}", rest / size));
            rest %= size;
        }
    }
    if shown.is_empty() {
        "0s".to_owned()
    } else {
        shown
    }
}

#[derive(Debug, clap::Args)]
pub(super) struct Pause {
    /// The destination's name
    destination: String,
    #[command(flatten)]
    target: Target,
}

impl Pause {
    pub(super) fn run(self, pause: bool) -> anyhow::Result<Exit> {
        let verb = if pause { "pause" } else { "resume" };
        let path = format!("/api/v1/destinations/{}:{verb}", self.destination);
        let answer = block_on(async { self.target.admin()?.post(&path, &serde_json::json!({})).await })?;
        if self.target.json {
            say_json(&answer);
        } else {
            say(&format!(
                "{} is {}",
                self.destination,
                if pause {
                    "paused: its events wait in the log"
                } else {
                    "delivering again"
                }
            ));
        }
        Ok(Exit::Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_two_coarse_units() {
        for (seconds, expected) in [
            (0, "0s"),
            (59, "59s"),
            (90, "1m30s"),
            (3600, "1h"),
            (90_061, "1d1h"),
            (86_401, "1d1s"),
        ] {
            assert_eq!(age(seconds), expected);
        }
    }
}
