//! `hookfan check`: all that is wrong with a configuration, at once.

use super::{ConfigFile, Exit, colour, complain, say, say_json};
use crate::config::{self, Complaints};
use crate::decode::Secrets;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Works offline: secrets are checked for their form only, unless --strict.

  hookfan check
  hookfan check --strict -c /etc/hookfan/routes.toml

Exit codes: 0 nothing wrong (warnings are shown), 78 errors, 2 warnings with --strict.")]
pub(super) struct Check {
    #[command(flatten)]
    config: ConfigFile,
    /// Resolve secrets too, and let warnings fail
    #[arg(long)]
    strict: bool,
    /// Print {complaints:[…]} for editors and scripts
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        let secrets = if self.strict {
            Secrets::Resolve
        } else {
            Secrets::Offline
        };
        let (complaints, summary) = match config::load(&self.config.config, secrets) {
            Ok(config) => {
                let summary = format!(
                    "{}: {} sources, {} destinations, {} routes",
                    self.config.config.display(),
                    config.sources.len(),
                    config.destinations.len(),
                    config.routes.len()
                );
                (
                    Complaints {
                        complaints: config.warnings,
                        texts: config.texts,
                    },
                    Some(summary),
                )
            }
            Err(complaints) => (complaints, None),
        };
        if self.json {
            say_json(&complaints.to_json());
        } else {
            if !complaints.complaints.is_empty() {
                complain(&complaints.draw(colour()));
            }
            if let Some(summary) = &summary {
                say(summary);
            }
        }
        Ok(match summary {
            None => Exit::Config,
            Some(_) if self.strict && !complaints.complaints.is_empty() => Exit::Findings,
            Some(_) => Exit::Ok,
        })
    }
}
