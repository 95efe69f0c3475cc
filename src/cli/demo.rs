//! `hookfan demo`: the gateway against emulators of every vendor, fed with every
//! sample there is, over real HTTP on loopback.
//!
//! It is the real gateway reading a real file; only the vendors are emulated.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::client::Admin;
use super::{Exit, install_tls, run, say, send};
use crate::clock::Clock;
use crate::gateway::{Ended, Gateway};
use crate::verify::Auth;

mod samples;
mod stage;
mod totals;

use samples::{QISCUS, SOURCES};
use stage::Stage;
use totals::Account;

/// By then every copy of a handful of samples is delivered, or something is wrong.
const PATIENCE: Duration = Duration::from_secs(60);

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
        run::start_logging(&self.log, false, None)?;
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
        let (ingress, admin) = (gateway.ingress, gateway.admin.to_string());
        let stop = CancellationToken::new();
        let mut running = JoinSet::new();
        running.spawn(gateway.run(stop.clone()));
        stage.register(ingress)?;

        let ingress = ingress.to_string();
        let adds_up = bring(&stage, &ingress, &admin).await?;
        if !self.once {
            say(&format!(
                "\nA gentle flow goes on until Ctrl-C. Meanwhile, elsewhere:\n\
                 \x20 console     http://{admin}\n\
                 \x20 metrics     curl http://{admin}/metrics\n\
                 \x20 status      hookfan status --admin http://{admin}\n\
                 \x20 links       hookfan links list --admin http://{admin}\n\
                 \x20 the file    {}\n\
                 \x20 explain     hookfan explain -c {} --source qiscus WEBHOOK.json",
                stage.routes.display(),
                stage.routes.display(),
            ));
            flow(&ingress, &stage.auth("qiscus")?).await?;
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

/// Posts every sample, lets agents answer, and prints the totals; true if they
/// add up.
async fn bring(stage: &Stage, ingress: &str, admin: &str) -> anyhow::Result<bool> {
    let count: usize = SOURCES.map(|source| samples::of(source).len()).iter().sum();
    say(&format!(
        "posting {count} samples to http://{ingress}/hooks/…, each signed as its vendor signs"
    ));
    for source in SOURCES {
        let auth = stage.auth(source)?;
        for (name, body) in samples::of(source) {
            let none = HeaderMap::new();
            let body = Bytes::from_static(body);
            let (status, answer) = send::post(ingress, source, &auth, &none, body).await?;
            if !status.is_success() {
                bail!("{name} was answered {status} {answer}");
            }
        }
    }
    say("this takes some seconds: Dixa allows 10 requests a second");
    let asked = Admin::at(admin.to_owned());
    let until = Instant::now() + PATIENCE;
    settled(stage, &asked, until).await?;
    let answers = stage.answer()?;
    say(&format!("in Dixa, agents answer {answers} customers"));
    let status = settled(stage, &asked, until).await?;
    let account = Account::ask(&asked, admin, status).await?;
    totals::hold(stage, &account)
}

/// Waits until nothing is pending here and nothing is left to tell over there,
/// or as long as there is patience; the status then.
async fn settled(stage: &Stage, admin: &Admin, until: Instant) -> anyhow::Result<Value> {
    let deadline = tokio::time::sleep_until(until);
    tokio::pin!(deadline);
    let mut tick = tokio::time::interval(Duration::from_millis(50));
    loop {
        // In this order: what is told meanwhile shows in the count afterwards.
        let told = stage.told();
        let status = admin.get("/api/v1/status").await?;
        let pending: u64 = status["destinations"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|row| row["pending"].as_u64())
            .sum();
        if pending == 0 && told == Some(stage.happened()) {
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
    // Listened to all the time: a Ctrl-C while a sample is posted counts, too.
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    loop {
        tokio::select! {
            _ = interrupted.recv() => return Ok(()),
            _ = terminated.recv() => return Ok(()),
            _ = tick.tick() => {
                let Some((_, body)) = QISCUS.get(fastrand::usize(..QISCUS.len())) else { continue };
                send::post(address, "qiscus", auth, &HeaderMap::new(), Bytes::from_static(body)).await?;
            }
        }
    }
}
