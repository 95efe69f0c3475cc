//! `hookfan run`: the gateway in the foreground.

use anyhow::Context;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

#[cfg(feature = "otel")]
use super::traces;
use super::{ConfigFile, Exit, colour, complain, install_tls};
use crate::admin::Command;
use crate::clock::Clock;
use crate::gateway::notify::Supervisor;
use crate::gateway::{Ended, Gateway, StartError};
use crate::log::OpenError;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Webhooks come in at server.listen (POST /hooks/<source>); health, metrics and the API are at server.admin.
A change of the file is applied by itself, whole or not at all; `kill -HUP` does it now.

  hookfan run -c routes.toml
  hookfan run -c routes.toml --log-format json --log info")]
pub(super) struct Run {
    #[command(flatten)]
    config: ConfigFile,
    /// What to log: error, warn, info, debug, trace, or a filter as in hookfan::deliver=debug
    #[arg(
        long,
        default_value = "info",
        env = "HOOKFAN_LOG",
        value_name = "FILTER"
    )]
    log: String,
    /// human or json
    #[arg(long, default_value = "human", value_parser = ["human", "json"], env = "HOOKFAN_LOG_FORMAT")]
    log_format: String,
    /// Send spans to the OpenTelemetry collector at this base URL
    #[cfg(feature = "otel")]
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "URL")]
    traces: Option<String>,
}

impl Run {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        #[cfg(feature = "otel")]
        let (spans, export) = match self.traces.as_deref().map(traces::to).transpose()? {
            Some((spans, export)) => (Some(spans.boxed()), Some(export)),
            None => (None, None),
        };
        #[cfg(not(feature = "otel"))]
        let spans = None;
        start_logging(&self.log, self.log_format == "json", spans)?;
        install_tls();
        let runtime = runtime()?;
        let serve = serve(self.config.config);
        #[cfg(feature = "otel")]
        let serve = traces::beside(export, serve);
        let exit = runtime.block_on(serve);
        // A blocking read that hangs on a dead disk must not hold up the exit.
        runtime.shutdown_timeout(std::time::Duration::from_secs(1));
        exit
    }
}

/// A thread for each processor we may use. With one, nothing is gained by
/// handing tasks from thread to thread.
fn runtime() -> std::io::Result<Runtime> {
    let alone = std::thread::available_parallelism().is_ok_and(|threads| threads.get() == 1);
    let mut builder = if alone {
        Builder::new_current_thread()
    } else {
        Builder::new_multi_thread()
    };
    builder.enable_all().thread_name("hookfan").build()
}

/// What else hears of our log lines.
type Listener = Box<dyn Layer<Registry> + Send + Sync>;

/// One line per thing that ends, on standard error.
pub(super) fn start_logging(
    filter: &str,
    json: bool,
    listener: Option<Listener>,
) -> anyhow::Result<()> {
    let filter =
        EnvFilter::try_new(filter).with_context(|| format!("--log {filter:?} is no filter"))?;
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_target(false);
    let heard = tracing_subscriber::registry().with(listener);
    let started = if json {
        let lines = lines.json().flatten_event(true);
        heard.with(lines.with_filter(filter)).try_init()
    } else {
        let lines = lines.with_ansi(colour());
        heard.with(lines.with_filter(filter)).try_init()
    };
    started.map_err(|error| anyhow::anyhow!("logging: {error}"))
}

async fn serve(path: std::path::PathBuf) -> anyhow::Result<Exit> {
    let supervisor = Supervisor::from_environment().unwrap_or_else(|error| {
        tracing::warn!(%error, "NOTIFY_SOCKET: the service manager cannot be told");
        Supervisor::default()
    });
    supervisor.status("reading the configuration and the log");
    let gateway = match Gateway::open(path, Clock::system()).await {
        Ok(gateway) => gateway.supervised(supervisor),
        Err(error) => {
            supervisor.status(&format!("not started: {error}"));
            return Ok(explain_start(&error));
        }
    };
    tracing::info!(webhooks = %gateway.ingress, admin = %gateway.admin, "serving");
    let stop = CancellationToken::new();
    let commands = gateway.house().commands;
    let mut signals = tokio::task::JoinSet::new();
    signals.spawn(listen(stop.clone(), commands));
    let ended = gateway.run(stop).await;
    signals.shutdown().await;
    Ok(match ended {
        Ended::Clean => Exit::Ok,
        Ended::Unclean => Exit::Unclean,
        Ended::Disk => {
            complain(
                "hookfan: the disk failed; what was acknowledged is safe. See the log above, mend the disk, start again.",
            );
            Exit::Disk
        }
    })
}

/// Says why the gateway did not start, in words for the operator.
pub(super) fn explain_start(error: &StartError) -> Exit {
    match error {
        StartError::Config(complaints) => {
            complain(&complaints.draw(colour()));
            Exit::Config
        }
        StartError::Tls(_) => {
            complain(&format!("hookfan: {error}"));
            Exit::Config
        }
        StartError::Log(OpenError::InUse(path)) => {
            complain(&format!(
                "hookfan: {} is in use by another hookfan; one process a folder",
                path.display()
            ));
            Exit::Failed
        }
        StartError::Log(OpenError::Unread { path, .. }) => {
            let path = path.display();
            complain(&format!(
                "hookfan: {error}. Acknowledged events may lie there. Start again once the disk reads it; or, to go on \
                 without them, keep the file and put in its place what can be read of it, with zeros for the rest:\n  \
                 dd if={path} of=readable.seg bs=512 conv=noerror,sync"
            ));
            Exit::Disk
        }
        StartError::Log(OpenError::Io { .. }) => {
            complain(&format!(
                "hookfan: {:#}",
                anyhow::anyhow!("{error}").context("opening the log")
            ));
            Exit::Disk
        }
        StartError::Log(OpenError::NewerFormat { .. })
        | StartError::Links(_)
        | StartError::Bind { .. } => {
            complain(&format!("hookfan: {error}"));
            Exit::Failed
        }
    }
}

/// SIGTERM and SIGINT stop, SIGHUP reloads.
async fn listen(stop: CancellationToken, commands: mpsc::Sender<Command>) {
    let (Ok(mut terminate), Ok(mut interrupt), Ok(mut hangup)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
        signal(SignalKind::hangup()),
    ) else {
        tracing::error!("signals cannot be listened to");
        return;
    };
    loop {
        tokio::select! {
            _ = terminate.recv() => stop.cancel(),
            _ = interrupt.recv() => stop.cancel(),
            _ = hangup.recv() => {
                let (answer, _logged_by_the_gateway) = oneshot::channel();
                if commands.send(Command::Reload(answer)).await.is_err() {
                    return;
                }
            }
        }
    }
}
