//! `hookfan emulate`: one vendor's endpoint on a port.

use std::net::SocketAddr;
use std::time::Duration;

use clap::ValueEnum;
use serde_json::json;

use super::{Exit, block_on, say};
use crate::emulate::{Emulator, Endpoint, Fault, Faults, When};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Checks every request as strictly as the vendor documents it, and prints one line per call.

  hookfan emulate dimension --listen 127.0.0.1:9001 --api-key test
  hookfan emulate http --every 5 --status 503 --delay-ms 200")]
pub(super) struct Emulate {
    vendor: Vendor,
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// The key that callers must present
    #[arg(long, default_value = "emulator", value_name = "KEY")]
    api_key: String,
    /// Answer every n-th call with --status
    #[arg(long, default_value = "0", value_name = "N")]
    every: u64,
    #[arg(long, default_value = "503", value_parser = clap::value_parser!(u16).range(100..=599))]
    status: u16,
    /// Wait before each answer
    #[arg(long, default_value = "0")]
    delay_ms: u64,
    /// Print calls as JSON lines
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Vendor {
    Dimension,
    Dashbot,
    Http,
}

impl Emulate {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        block_on(async {
            let endpoint = match self.vendor {
                Vendor::Dimension => Endpoint::Dimension,
                Vendor::Dashbot => Endpoint::Dashbot,
                Vendor::Http => Endpoint::Http,
            };
            let faults = Faults {
                delay: Duration::from_millis(self.delay_ms),
                ..Faults::of(When::Every(self.every), Fault::Status(self.status))
            };
            let emulator = Emulator::start(endpoint, self.listen, &self.api_key, faults).await?;
            say(&if self.json {
                json!({"listening": emulator.address}).to_string()
            } else {
                format!("listening on http://{}", emulator.address)
            });
            let mut shown = 0;
            let mut tick = tokio::time::interval(Duration::from_millis(200));
            loop {
                tokio::select! {
                    _ = tokio::signal::ctrl_c() => return Ok(Exit::Ok),
                    _ = tick.tick() => shown = self.show_new(&emulator, shown),
                }
            }
        })
    }

    /// Prints the calls since `shown`; returns how many there are now.
    fn show_new(&self, emulator: &Emulator, shown: u64) -> u64 {
        let total = emulator.counts().calls;
        let new = usize::try_from(total - shown).unwrap_or(usize::MAX);
        let calls = emulator.calls();
        for call in calls.iter().skip(calls.len().saturating_sub(new)) {
            if self.json {
                say(&json!(call).to_string());
            } else {
                let refused = call.refused.as_deref().unwrap_or_default();
                say(&format!(
                    "{} {} {} {}",
                    call.at, call.status, call.path, refused
                ));
            }
        }
        total
    }
}
