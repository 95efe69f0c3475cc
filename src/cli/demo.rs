//! `hookfan demo`: the gateway against emulated destinations, fed with every
//! Qiscus sample, over real HTTP on loopback.
//!
//! It is the real gateway reading a real file; only the destinations are
//! emulated. The totals are those of the gateway and those of the emulators,
//! which know nothing of each other, held side by side.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::client::Admin;
use super::print::new_table;
use super::{Exit, install_tls, run, say, send};
use crate::clock::Clock;
use crate::config;
use crate::decode::Secrets;
use crate::emulate::{Counts, Emulator, Endpoint, Faults};
use crate::gateway::{Ended, Gateway};
use crate::verify::Auth;

mod samples;

/// By then every copy of a handful of samples is delivered, or something is wrong.
const PATIENCE: Duration = Duration::from_secs(60);
const KEY: &str = "demo-key-0123456789";

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Everything happens on loopback and in a temporary folder; no key, no server, no configuration.")]
pub(super) struct Demo {
    /// Exit after the totals: 0 if they add up, 1 if not
    #[arg(long)]
    once: bool,
    /// What to log, as in `hookfan run`
    #[arg(long, default_value = "error", value_name = "FILTER")]
    log: String,
}

impl Demo {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        run::start_logging(&self.log, false)?;
        install_tls();
        let folder = std::env::temp_dir().join(format!("hookfan-demo-{}", std::process::id()));
        std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?;
        let ended = runtime.block_on(self.play(&folder));
        std::fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
        ended
    }

    async fn play(&self, folder: &Path) -> anyhow::Result<Exit> {
        let stage = Stage::set(folder).await?;
        let gateway = Gateway::open(stage.routes.clone(), Clock::system())
            .await
            .map_err(|error| {
                run::explain_start(&error);
                anyhow::anyhow!("the demo's gateway did not start")
            })?;
        let admin = Admin::at(gateway.admin.to_string());
        let (ingress, admin_address) = (gateway.ingress, gateway.admin);
        let stop = CancellationToken::new();
        let mut running = JoinSet::new();
        running.spawn(gateway.run(stop.clone()));

        say(&format!(
            "posting {} samples to http://{ingress}/hooks/qiscus, signed as Qiscus signs",
            samples::ALL.len()
        ));
        let auth = stage.auth()?;
        for (name, body) in samples::ALL {
            let (status, answer) = send::post(
                &ingress.to_string(),
                "qiscus",
                &auth,
                &HeaderMap::new(),
                Bytes::from_static(body),
            )
            .await?;
            if !status.is_success() {
                bail!("{name} was answered {status} {answer}");
            }
        }
        let status = settled(&admin).await?;
        let adds_up = stage.totals(&status);
        if !self.once {
            say(&format!(
                "\nA gentle flow goes on until Ctrl-C. Meanwhile, elsewhere:\n\
                 \x20 metrics     curl http://{admin_address}/metrics\n\
                 \x20 status      hookfan status --admin http://{admin_address}\n\
                 \x20 the file    {}\n\
                 \x20 explain     hookfan explain -c {} --source qiscus WEBHOOK.json",
                stage.routes.display(),
                stage.routes.display(),
            ));
            flow(&ingress.to_string(), &auth).await?;
        }
        stop.cancel();
        let clean = matches!(running.join_next().await, Some(Ok(Ended::Clean)));
        Ok(if adds_up && clean {
            Exit::Ok
        } else {
            Exit::Failed
        })
    }
}

/// The emulators and the file that names them.
struct Stage {
    routes: PathBuf,
    emulators: Vec<(&'static str, Emulator)>,
}

impl Stage {
    async fn set(folder: &Path) -> anyhow::Result<Self> {
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut emulators = Vec::new();
        for (name, endpoint) in [
            ("analytics", Endpoint::Dimension),
            ("bot_analytics", Endpoint::Dashbot),
            ("warehouse", Endpoint::Http),
            ("archive", Endpoint::Http),
        ] {
            emulators.push((
                name,
                Emulator::start(endpoint, loopback, KEY, Faults::default()).await?,
            ));
        }
        let secret = |name: &str, value: &str| {
            std::fs::write(folder.join(name), value).with_context(|| name.to_owned())
        };
        secret("qiscus-token", "demo-signature-token")?;
        secret("api-key", KEY)?;
        secret(
            "archive-signing",
            "whsec_aG9va2ZhbiBkZW1vIGFyY2hpdmUgc2lnbmluZyBrZXk=",
        )?;
        let mut text = include_str!("demo/routes.toml").to_owned();
        for (name, emulator) in &emulators {
            text = text.replace(&format!("{{{name}}}"), &emulator.address.to_string());
        }
        text = text
            .replace("{listen}", &free_address()?.to_string())
            .replace("{admin}", &free_address()?.to_string());
        text = text.replace("{data_dir}", &folder.join("data").display().to_string());
        let routes = folder.join("routes.toml");
        std::fs::write(&routes, text)?;
        Ok(Self { routes, emulators })
    }

    /// How the demo's source wants to be signed, read from its own file.
    fn auth(&self) -> anyhow::Result<Auth> {
        let mut config = config::load(&self.routes, Secrets::Resolve)
            .map_err(|complaints| anyhow::anyhow!(complaints.draw(false)))?;
        let source = config
            .sources
            .remove("qiscus")
            .context("the demo's file has a source qiscus")?;
        Ok(std::sync::Arc::try_unwrap(source)
            .map_err(|_| anyhow::anyhow!("the source is shared"))?
            .auth)
    }

    /// Prints both sides' totals; true if they add up.
    fn totals(&self, status: &Value) -> bool {
        let rows: HashMap<&str, &Value> = status["destinations"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|row| Some((row["name"].as_str()?, row)))
            .collect();
        let accepted = status["sources"][0]["accepted"].as_u64().unwrap_or(0);
        let mut adds_up = accepted == samples::ALL.len() as u64;
        let mut table = new_table(&[
            "destination",
            "owed",
            "delivered",
            "dead",
            "dropped",
            "waiting",
            "arrived there",
            "",
        ]);
        for (name, emulator) in &self.emulators {
            let Some(row) = rows.get(name) else {
                return false;
            };
            let counts = emulator.counts();
            let number = |field: &str| row[field].as_u64().unwrap_or(0);
            let ok = add_up(row, counts);
            adds_up &= ok;
            table.add_row([
                (*name).to_owned(),
                number("owed").to_string(),
                number("delivered").to_string(),
                number("dead").to_string(),
                number("dropped").to_string(),
                number("pending").to_string(),
                counts.events.to_string(),
                if ok {
                    "adds up".to_owned()
                } else {
                    format!("does NOT add up; {} refused", counts.refused)
                },
            ]);
        }
        say(&format!(
            "accepted {accepted} of {} samples\n{table}",
            samples::ALL.len()
        ));
        say(if adds_up {
            "every sample accepted, every copy delivered"
        } else {
            "the totals do not add up"
        });
        adds_up
    }
}

/// Every copy owed was delivered, and that many different events arrived.
fn add_up(row: &Value, counts: Counts) -> bool {
    let number = |field: &str| row[field].as_u64();
    number("owed")
        .is_some_and(|owed| owed > 0 && number("delivered") == Some(owed) && counts.events == owed)
        && counts.refused == 0
}

/// Waits until nothing is pending; the status then.
async fn settled(admin: &Admin) -> anyhow::Result<Value> {
    let deadline = tokio::time::sleep(PATIENCE);
    tokio::pin!(deadline);
    let mut tick = tokio::time::interval(Duration::from_millis(50));
    loop {
        let status = admin.get("/api/v1/status").await?;
        let pending: u64 = status["destinations"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|row| row["pending"].as_u64())
            .sum();
        if pending == 0 {
            return Ok(status);
        }
        tokio::select! {
            () = &mut deadline => return Ok(status),
            _ = tick.tick() => {}
        }
    }
}

/// One sample a second until Ctrl-C.
async fn flow(address: &str, auth: &Auth) -> anyhow::Result<()> {
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    let mut terminated = signal(SignalKind::terminate())?;
    loop {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => return Ok(()),
            _ = terminated.recv() => return Ok(()),
            _ = tick.tick() => {
                let Some((_, body)) = samples::ALL.get(fastrand::usize(..samples::ALL.len())) else { continue };
                send::post(address, "qiscus", auth, &HeaderMap::new(), Bytes::from_static(body)).await?;
            }
        }
    }
}

/// A loopback address that was free a moment ago.
fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
