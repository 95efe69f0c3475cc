//! `hookfan explain`: where a webhook would go, why, and as what request.
//! Works offline on a file; asks a running gateway for a stored event.

use std::io::Read;

use anyhow::Context;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use super::client::{Target, read_config};
use super::print::{text, whole};
use super::{Exit, Usage, block_on, say, say_json, tame};
use crate::admin::explain::Rules;
use crate::clock::Clock;
use crate::event::EventId;
use crate::ingress::Front;
use crate::route::RouteTable;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  hookfan explain --source qiscus webhook.json
  hookfan explain --source github -H 'X-GitHub-Event: push' - < body.json
  hookfan explain 019a4bd2-7c1e-7000-8000-000000000000

The last is a stored event, by today's rules.
Nothing is sent and no signature is checked. Secrets are masked.")]
pub(super) struct Explain {
    #[command(flatten)]
    target: Target,
    /// The source the webhook would come to
    #[arg(short, long, value_name = "NAME")]
    source: Option<String>,
    /// A header of the webhook (may be repeated)
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// A file with the body, `-` for standard input, or the id of a stored event
    file: String,
}

impl Explain {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        let explained = match (&self.source, EventId::parse(&self.file)) {
            (None, Some(id)) => self.stored(id)?,
            (None, None) => {
                let which = "--source says which source the webhook would come to";
                return Err(Usage(which.to_owned()).into());
            }
            (Some(source), _) => self.offline(source)?,
        };
        if self.target.json {
            say_json(&explained);
        } else if let Some(events) = explained["events"].as_array() {
            for event in events {
                say(&drawn(event));
            }
        } else {
            say(&drawn(&explained));
        }
        Ok(Exit::Ok)
    }

    fn stored(&self, id: EventId) -> anyhow::Result<Value> {
        block_on(async {
            self.target
                .admin()?
                .post(&format!("/api/v1/explain?event={id}"), &Value::Null)
                .await
        })
    }

    fn offline(&self, source: &str) -> anyhow::Result<Value> {
        let mut config = read_config(&self.target.config)?;
        let body = read_body(&self.file)?;
        let headers = parse_headers(&self.headers)?;
        let front = Front {
            limits: config.limits.clone(),
            sources: std::mem::take(&mut config.sources),
            routes: RouteTable::new(std::mem::take(&mut config.routes)),
            ..Front::default()
        };
        let destinations = |name: &str| config.destinations.get(name).cloned();
        let rules = Rules {
            front: &front,
            destinations: &destinations,
            customer: &|_| None,
            counterpart: &|_, _, _| None,
            now: Clock::system().now(),
        };
        rules
            .webhook(source, &headers, &body)
            .map_err(|why| anyhow::anyhow!(why))
    }
}

/// A file's bytes, or standard input's for `-`.
pub(super) fn read_body(file: &str) -> anyhow::Result<Bytes> {
    if file == "-" {
        let mut body = Vec::new();
        std::io::stdin().read_to_end(&mut body)?;
        return Ok(Bytes::from(body));
    }
    Ok(Bytes::from(
        std::fs::read(file).with_context(|| file.to_owned())?,
    ))
}

/// `Name: value` pairs.
pub(super) fn parse_headers(given: &[String]) -> anyhow::Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    for header in given {
        let (name, value) = header
            .split_once(':')
            .with_context(|| format!("-H {header:?}: write 'Name: value'"))?;
        headers.append(
            HeaderName::try_from(name.trim())?,
            HeaderValue::from_str(value.trim())?,
        );
    }
    Ok(headers)
}

/// The explanation as a person reads it.
fn drawn(explained: &Value) -> String {
    let event = &explained["event"];
    let mut lines = Vec::new();
    if explained["probe"] == Value::Bool(true) {
        return "a probe: answered 200, goes nowhere".to_owned();
    }
    for name in ["source", "type", "vendor_id", "key", "direction", "user"] {
        lines.push(format!("{name:10} {}", text(&event[name])));
    }
    if explained["message"]["text"].is_string() {
        let message = whole(&explained["message"]["text"]);
        lines.push(format!(
            "{:10} {}",
            "message",
            message.replace('\n', "\n           ")
        ));
    }
    for route in explained["routes"].as_array().into_iter().flatten() {
        let mark = if route["matched"] == Value::Bool(true) {
            "matches"
        } else {
            "does not match"
        };
        lines.push(format!("\nroute {} {mark}", text(&route["name"])));
        for clause in route["clauses"].as_array().into_iter().flatten() {
            let mark = if clause["holds"] == Value::Bool(true) {
                "yes"
            } else {
                "no "
            };
            lines.push(format!("  {mark} {}", text(&clause["clause"])));
            for value in clause["values"].as_array().into_iter().flatten() {
                let seen = if value["value"].is_null() {
                    "(nothing)".to_owned()
                } else {
                    tame(&value["value"].to_string(), false)
                };
                lines.push(format!("      {} = {seen}", text(&value["path"])));
            }
            if let Some(failed) = clause["failed"].as_str() {
                lines.push(format!("      {}", tame(failed, false)));
            }
        }
    }
    for request in explained["requests"].as_array().into_iter().flatten() {
        lines.push(format!(
            "\n-> {} ({})",
            text(&request["destination"]),
            text(&request["action"])
        ));
        if let Some(state) = request["state"].as_str() {
            lines.push(format!(
                "   {state} {}: {}",
                text(&request["reason"]),
                text(&request["detail"])
            ));
            continue;
        }
        lines.push(format!(
            "   {} {}",
            text(&request["method"]),
            text(&request["url"])
        ));
        for (name, value) in request["headers"].as_object().into_iter().flatten() {
            lines.push(format!("   {name}: {}", text(value)));
        }
        let body = serde_json::to_string_pretty(&request["body"]).unwrap_or_default();
        lines.extend(tame(&body, true).lines().map(|line| format!("   {line}")));
    }
    lines.join("\n")
}
