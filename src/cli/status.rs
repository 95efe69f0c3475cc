//! `hookfan status`, `pause`, `resume`: what each destination is doing.

use serde_json::Value;

use super::client::Target;
use super::print::{Column, Sheet, Width, text};
use super::{Exit, block_on, say, say_json};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  hookfan status
  hookfan status --json | jq '.destinations[] | select(.pending > 0)'

`hookfan top` shows the same, live.")]
pub(super) struct Status {
    #[command(flatten)]
    width: Width,
    #[command(flatten)]
    target: Target,
}

impl Status {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        let status = block_on(async { self.target.admin()?.get("/api/v1/status").await })?;
        if self.target.json {
            say_json(&status);
        } else {
            say(&drawn(&status, self.width));
        }
        Ok(Exit::Ok)
    }
}

/// What a person reads: the sheet, then what is wrong with the whole.
fn drawn(status: &Value, width: Width) -> String {
    let mut sheet = Sheet::new(&[
        Column::text("destination", 0, 14),
        Column::whole("kind", 6),
        Column::whole("state", 0),
        Column::number("delivered", 4),
        Column::number("dead", 2),
        Column::number("dropped", 5),
        Column::number("waiting", 0),
        Column::number("oldest", 1),
        Column::text("last error", 3, 12),
    ]);
    for row in status["destinations"].as_array().into_iter().flatten() {
        let error = &row["last_error"];
        let error = if error.is_null() {
            String::new()
        } else {
            ["outcome", "detail", "at"]
                .map(|name| text(&error[name]))
                .join(" ")
        };
        let oldest = row["oldest_seconds"].as_u64().map_or(String::new(), age);
        sheet.push([
            text(&row["name"]),
            text(&row["kind"]),
            text(&row["state"]),
            text(&row["delivered"]),
            text(&row["dead"]),
            text(&row["dropped"]),
            text(&row["pending"]),
            oldest,
            error,
        ]);
    }
    let trouble = status["trouble"]
        .as_str()
        .map_or(String::new(), |trouble| format!("\nnot ready: {trouble}"));
    format!("{}{trouble}", sheet.drawn(width.room()))
}

/// `90` as `1m30s`: two units, the coarse ones.
pub(super) fn age(seconds: u64) -> String {
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
        let answer = block_on(async {
            self.target
                .admin()?
                .post(&path, &serde_json::json!({}))
                .await
        })?;
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
