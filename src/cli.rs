//! The command line: what was typed, what it means, and the exit codes.

#![allow(
    clippy::indexing_slicing,
    reason = "what is indexed here is JSON, where an absent name reads as null"
)]

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

mod backfill;
mod check;
mod client;
mod dead;
mod demo;
mod emulate;
mod events;
mod explain;
mod health;
mod links;
mod log;
mod print;
mod progress;
mod run;
mod schema;
mod select;
mod send;
mod shell;
mod status;
mod top;
#[cfg(feature = "otel")]
mod traces;

/// Exit codes, as PRODUCT's section 2 has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    Ok = 0,
    Failed = 1,
    Findings = 2,
    Usage = 64,
    Unclean = 69,
    Disk = 74,
    Config = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// A self-hosted webhook fan-out gateway that understands chat.
///
/// Chat platforms post webhooks to it, routes.toml says which events go where, and one worker per
/// destination forwards copies. Nothing acknowledged is ever lost.
#[derive(Debug, Parser)]
#[command(
    name = "hookfan",
    version,
    max_term_width = 100,
    after_help = "\
Start here:
  hookfan demo                      see it work, with nothing to configure
  hookfan check -c routes.toml      say all that is wrong with a file
  hookfan explain --source S FILE   why a webhook goes where it goes
  hookfan run -c routes.toml        the gateway

Exit codes: 0 ok, 1 failed, 2 findings, 64 usage, 69 unclean stop,
74 disk failure, 78 bad configuration."
)]
struct Command {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// The gateway, in the foreground. SIGTERM and SIGINT drain, SIGHUP reloads
    Run(run::Run),
    /// Say all that is wrong with a configuration, with line and column
    Check(check::Check),
    /// Show where a webhook would go and as what request; sends nothing
    Explain(explain::Explain),
    /// Run the gateway against built-in emulators and post every sample to it
    #[command(after_help = "\
Everything happens on loopback and in a temporary folder; no key, no server,
no configuration.

  hookfan demo
  hookfan demo --once")]
    Demo(demo::Demo),
    /// Post a webhook to a running gateway, signed as its source wants
    Send(send::Send),
    /// Show what each destination of a running gateway is doing
    Status(status::Status),
    /// The same, live: rates, backlogs, errors, pause and resume
    Top(top::Top),
    /// Say by the exit code whether a running gateway is ready
    Health(health::Health),
    /// Look at what the log holds
    #[command(
        subcommand,
        after_help = "\
Examples:
  hookfan events list --source qiscus --since 2h
  hookfan events show 019a4bd2-7c1e-7000-8000-000000000000"
    )]
    Events(events::Events),
    /// Look at dead letters, retry them, drop them
    #[command(
        subcommand,
        after_help = "\
Examples:
  hookfan dead list --destination crm
  hookfan dead retry --destination crm --reason exhausted"
    )]
    Dead(dead::Dead),
    /// Owe stored events again
    Replay(dead::Replay),
    /// Pause a destination: its events wait in the log
    #[command(after_help = "\
It is still paused after a restart, until somebody resumes it.

  hookfan pause crm")]
    Pause(status::Pause),
    /// Resume a paused destination
    #[command(after_help = "\
What the file pauses (`paused = true`), only the file resumes.

  hookfan resume crm")]
    Resume(status::Pause),
    /// What conversations are called over there: list, set, remove
    #[command(
        subcommand,
        after_help = "\
Examples:
  hookfan links list --destination support
  hookfan links import links.csv"
    )]
    Links(links::Links),
    /// Fetch what was said in a conversation and accept what was missed
    Backfill(backfill::Backfill),
    /// Read a data folder without a running gateway
    #[command(
        subcommand,
        after_help = "\
Examples:
  hookfan log verify /var/lib/hookfan
  hookfan log cat data | grep 019a4bd2-7c1e"
    )]
    Log(log::Log),
    /// Run a vendor's emulator on a port
    Emulate(emulate::Emulate),
    /// Print the JSON Schema of routes.toml, for editors
    Schema(schema::Schema),
    /// Print a shell's completions
    Completions(shell::Completions),
    /// Print the manual page, or write all of them into a folder
    Man(shell::Man),
    /// Print the version
    #[command(after_help = "Example:\n  hookfan version --json")]
    Version {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// The command line asks for something that makes no sense.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Usage(String);

/// The configuration cannot be read; drawn complaints.
#[derive(Debug, thiserror::Error)]
#[error("{file} has errors:\n{drawn}")]
struct BadConfig {
    file: String,
    drawn: String,
}

impl BadConfig {
    fn new(file: &std::path::Path, complaints: &crate::config::Complaints) -> Self {
        Self {
            file: file.display().to_string(),
            drawn: complaints.draw(colour()),
        }
    }
}

/// Where routes.toml is.
#[derive(Debug, Args)]
struct ConfigFile {
    /// The routing file
    #[arg(
        short,
        long,
        value_name = "FILE",
        default_value = "routes.toml",
        env = "HOOKFAN_CONFIG",
        hide_env_values = true
    )]
    config: PathBuf,
}

/// Parses, runs, and turns the result into an exit code.
pub fn main() -> ExitCode {
    let command = match Command::try_parse() {
        Ok(command) => command,
        Err(error) => {
            let shown = error.print().is_ok();
            let asked_for_help = !error.use_stderr() && shown;
            return if asked_for_help {
                Exit::Ok.into()
            } else {
                Exit::Usage.into()
            };
        }
    };
    match command.run() {
        Ok(exit) => exit.into(),
        Err(error) => {
            complain(&format!("hookfan: {error:#}"));
            if error.is::<Usage>() {
                Exit::Usage.into()
            } else if error.is::<BadConfig>() {
                Exit::Config.into()
            } else {
                Exit::Failed.into()
            }
        }
    }
}

impl Command {
    fn run(self) -> anyhow::Result<Exit> {
        match self.verb {
            Verb::Run(run) => run.run(),
            Verb::Check(check) => check.run(),
            Verb::Explain(explain) => explain.run(),
            Verb::Demo(demo) => demo.run(),
            Verb::Send(send) => send.run(),
            Verb::Status(status) => status.run(),
            Verb::Health(health) => health.run(),
            Verb::Top(top) => top.run(),
            Verb::Events(events) => events.run(),
            Verb::Dead(dead) => dead.run(),
            Verb::Replay(replay) => replay.run(),
            Verb::Pause(pause) => pause.run(true),
            Verb::Resume(resume) => resume.run(false),
            Verb::Links(links) => links.run(),
            Verb::Backfill(backfill) => backfill.run(),
            Verb::Log(log) => log.run(),
            Verb::Emulate(emulate) => emulate.run(),
            Verb::Schema(schema) => schema.run(),
            Verb::Completions(completions) => completions.run(),
            Verb::Man(man) => man.run(),
            Verb::Version { json } => {
                let version = env!("CARGO_PKG_VERSION");
                say(&if json {
                    serde_json::json!({"version": version}).to_string()
                } else {
                    format!("hookfan {version}")
                });
                Ok(Exit::Ok)
            }
        }
    }
}

/// Prints a line for whoever asked. A closed pipe is nobody's fault.
fn say(text: &str) {
    let mut out = anstream::stdout().lock();
    let _closed = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// A stranger's words made fit for a terminal: control characters would move
/// the cursor, forge lines or set titles. Line ends stay where `lines` says so.
fn tame(text: &str, lines: bool) -> String {
    let mut tamed = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\n' if lines => tamed.push('\n'),
            letter if letter.is_control() => tamed.extend(letter.escape_default()),
            letter => tamed.push(letter),
        }
    }
    tamed
}

/// Prints a line about trouble.
fn complain(text: &str) {
    let mut out = anstream::stderr().lock();
    let _closed = writeln!(out, "{text}");
}

/// JSON for scripts, indented for whoever looks anyway.
fn say_json(value: &serde_json::Value) {
    say(&serde_json::to_string_pretty(value).unwrap_or_else(|_| value.to_string()));
}

/// A runtime for verbs that talk to a gateway.
fn block_on<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(future)
}

/// The crypto provider of every TLS connection in this process.
fn install_tls() {
    // An error says that one is installed already, which is as good.
    let _installed = rustls::crypto::ring::default_provider().install_default();
}

/// Whether a person is looking.
fn colour() -> bool {
    use std::io::IsTerminal;
    std::io::stderr().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// T16: an event's words cannot drive the terminal.
    #[test]
    fn control_characters_are_shown_and_not_obeyed() {
        assert_eq!(
            tame("\u{1b}]0;title\u{7}a\nb", false),
            "\\u{1b}]0;title\\u{7}a\\nb"
        );
        assert_eq!(tame("a\nb\u{9b}31m", true), "a\nb\\u{9b}31m");
        assert_eq!(tame("grüße 😀", false), "grüße 😀");
    }

    #[test]
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory;
        Command::command().debug_assert();
    }
}
