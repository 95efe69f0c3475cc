//! `hookfan send`: posts webhooks to a running gateway, signed as the source
//! wants.

use std::path::Path;

use anyhow::{Context, bail};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde_json::{Value, json};

use super::client::{exchange, reachable};
use super::explain::{parse_headers, read_body};
use super::print::text;
use super::{BadConfig, ConfigFile, Exit, complain, say, say_json};
use crate::clock::Clock;
use crate::config;
use crate::decode::Secrets;
use crate::event::EventId;
use crate::verify::Auth;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Needs the source's secrets, as the gateway does.

  hookfan send --source qiscus webhook.json
  hookfan send --source github -H 'X-GitHub-Event: push' push.json")]
pub(super) struct Send {
    #[command(flatten)]
    config: ConfigFile,
    /// Which source; may be left out where the file has only one
    #[arg(short, long, value_name = "NAME")]
    source: Option<String>,
    /// A further header (may be repeated)
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// Another webhook address than the file's, as HOST:PORT
    #[arg(long, value_name = "HOST:PORT")]
    to: Option<String>,
    /// Bodies; `-` is standard input
    #[arg(required = true)]
    files: Vec<String>,
    /// Print each answer as JSON
    #[arg(long)]
    json: bool,
}

impl Send {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        let config = config::load(&self.config.config, Secrets::Resolve)
            .map_err(|complaints| BadConfig::new(&self.config.config, &complaints))?;
        let source = match &self.source {
            Some(name) => config.sources.get(name.as_str()).with_context(|| {
                format!("{} has no source {name}", self.config.config.display())
            })?,
            None if config.sources.len() == 1 => {
                config.sources.values().next().context("no source")?
            }
            None => bail!("--source says which; the file has {}", config.sources.len()),
        };
        if config.server.tls.is_some() && self.to.is_none() {
            bail!(
                "this gateway speaks TLS; post to it through its public name with the sender's own tools, or give --to a plain address"
            );
        }
        let address = self
            .to
            .clone()
            .unwrap_or_else(|| reachable(config.server.listen).to_string());
        let headers = parse_headers(&self.headers)?;
        let mut failed = false;
        for file in &self.files {
            let body = read_body(file)?;
            let (status, answer) = super::block_on(post(
                &address,
                source.name.as_str(),
                &source.auth,
                &headers,
                body,
            ))?;
            failed |= !status.is_success();
            if self.json {
                say_json(&json!({"file": file, "status": status.as_u16(), "answer": answer}));
            } else if status.is_success() {
                say(&format!(
                    "{} {} {}",
                    status.as_u16(),
                    shown_name(file),
                    text(&answer["id"])
                ));
            } else {
                complain(&format!("{status} {}", shown_name(file)));
            }
        }
        Ok(if failed { Exit::Failed } else { Exit::Ok })
    }
}

fn shown_name(file: &str) -> String {
    Path::new(file).file_name().map_or_else(
        || file.to_owned(),
        |name| name.to_string_lossy().into_owned(),
    )
}

/// Posts one webhook as its platform would.
pub(super) async fn post(
    address: &str,
    source: &str,
    auth: &Auth,
    headers: &HeaderMap,
    body: Bytes,
) -> anyhow::Result<(StatusCode, Value)> {
    let clock = Clock::system();
    let now = clock.now();
    let id = EventId::new(now, u128::from(fastrand::u64(..))).to_string();
    let proof = auth.prove(&id, &body, now);
    let mut headers = headers.clone();
    if !headers.contains_key(http::header::CONTENT_TYPE) {
        headers.insert(
            http::header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
    }
    for (name, value) in &proof.headers {
        headers.insert(
            HeaderName::try_from(name.as_str())?,
            HeaderValue::from_str(value)?,
        );
    }
    let mut path = format!("/hooks/{source}");
    if let Some(tail) = &proof.tail {
        path = format!("{path}/{tail}");
    }
    if let Some(query) = &proof.query {
        path = format!("{path}?{query}");
    }
    let (status, answer) = exchange(address, Method::POST, &path, headers, body)
        .await
        .with_context(|| format!("no gateway answers at {address}"))?;
    Ok((
        status,
        serde_json::from_slice(&answer).unwrap_or(Value::Null),
    ))
}
