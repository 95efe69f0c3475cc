//! `hookfan health`: whether a running gateway is ready, as an exit code: for
//! whoever watches over a container and can only run a command in it.

use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use http::{HeaderMap, Method};

use super::client::{exchange, reachable, read_config};
use super::{ConfigFile, Exit, block_on, complain, say, tame};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, clap::Args)]
#[command(after_help = "\
0: /readyz says yes. 1: it says no, and why is printed; or nobody answers within five seconds.
Needs no token. With --admin the file is not read, so that a file that has become wrong makes no
gateway unhealthy that still runs by the one before.

  hookfan health --admin http://127.0.0.1:9090")]
pub(super) struct Health {
    #[command(flatten)]
    config: ConfigFile,
    /// The admin address, e.g. http://127.0.0.1:9090, instead of the file's
    #[arg(long, value_name = "URL", env = "HOOKFAN_ADMIN")]
    admin: Option<String>,
}

impl Health {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        let address = match &self.admin {
            Some(url) => url
                .trim_end_matches('/')
                .strip_prefix("http://")
                .map(str::to_owned)
                .with_context(|| format!("--admin {url}: must start with http://"))?,
            None => reachable(read_config(&self.config.config)?.server.admin).to_string(),
        };
        let asked = exchange(
            &address,
            Method::GET,
            "/readyz",
            HeaderMap::new(),
            Bytes::new(),
        );
        let answered = block_on(async {
            match tokio::time::timeout(PATIENCE, asked).await {
                Ok(answered) => answered,
                Err(_elapsed) => bail!("no answer within {} s", PATIENCE.as_secs()),
            }
        });
        let (status, body) = answered.with_context(|| format!("asking {address}"))?;
        let said = String::from_utf8_lossy(&body);
        let said = tame(said.trim_end(), true);
        if status.is_success() {
            say(&said);
            return Ok(Exit::Ok);
        }
        complain(&format!("not ready ({status}): {said}"));
        Ok(Exit::Failed)
    }
}
