//! `hookfan emulate`: one vendor's endpoint on a port.

use std::net::SocketAddr;
use std::time::Duration;

use clap::ValueEnum;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use url::Url;

use super::{Exit, Usage, block_on, say, tame};
use crate::emulate::{Call, Emulator, Endpoint, Fault, Faults, Hook, When};
use crate::emulate::{dixa, qiscus, quiq, sendyiq};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Checks every request as strictly as the vendor documents it, holds what it was told, and prints one
line per call. GET /_emulator shows counts, calls, what it holds, and the webhooks of what happened.

  hookfan emulate dimension --listen 127.0.0.1:9001 --api-key test
  hookfan emulate http --every 5 --status 503 --delay-ms 200
  hookfan emulate dixa --every 10 --fault lost_answer --only 'POST /beta/conversations'
  hookfan emulate sendyiq --conversation 3f2504e0-4f89-11d3-9a0c-0305e82c3301=rina@example.com
  hookfan emulate qiscus --any-room --webhook http://127.0.0.1:8080/hooks/qiscus --webhook-secret S")]
pub(super) struct Emulate {
    vendor: Vendor,
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// The key that callers must present [default: emulator; for sendyiq emulator.secret]
    #[arg(long, value_name = "KEY")]
    api_key: Option<String>,
    #[command(flatten)]
    trouble: Trouble,
    #[command(flatten)]
    habits: Habits,
    /// Print calls as JSON lines
    #[arg(long)]
    json: bool,
}

/// What goes wrong.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "What goes wrong")]
struct Trouble {
    /// Every n-th call
    #[arg(long, default_value = "0", value_name = "N")]
    every: u64,
    /// Or each call with this probability, 0.0 to 1.0
    #[arg(long, value_name = "SHARE", conflicts_with = "every")]
    chance: Option<f64>,
    /// The same seed hits the same calls
    #[arg(long, default_value = "1", requires = "chance")]
    seed: u64,
    /// Or the first n calls
    #[arg(long, value_name = "N", conflicts_with_all = ["every", "chance"])]
    first: Option<u64>,
    /// What happens to them; several come in turn
    #[arg(long = "fault", value_name = "FAULT", default_value = "status")]
    faults: Vec<FaultName>,
    /// Of the faults status and lost_status
    #[arg(long, default_value = "503", value_parser = clap::value_parser!(u16).range(100..=599))]
    status: u16,
    /// Of the fault too_many; absent: no such header
    #[arg(long, value_name = "SECONDS")]
    retry_after: Option<u64>,
    /// Of the faults late_head and, between pieces, slow_body
    #[arg(long, default_value = "5000", value_name = "MS")]
    hold_ms: u64,
    /// Of the fault redirect
    #[arg(
        long,
        default_value = "http://127.0.0.1:1/elsewhere",
        value_name = "URL"
    )]
    redirect_to: String,
    /// Only calls to paths that begin so: 'POST /beta/conversations/*/messages'
    #[arg(long, value_name = "PATTERN")]
    only: Option<String>,
    /// Wait before each call is looked at
    #[arg(long, default_value = "0")]
    delay_ms: u64,
}

/// What the vendors do not say, or say in several ways.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "How the vendor behaves")]
struct Habits {
    /// dixa, qiscus, quiq: post what happened there
    #[arg(long, value_name = "URL")]
    webhook: Option<Url>,
    /// What these webhooks are signed with; for dixa in hex
    #[arg(
        long,
        value_name = "SECRET",
        default_value = "",
        hide_default_value = true
    )]
    webhook_secret: String,
    /// sendyiq: an open chat; quiq: a conversation; ID=CUSTOMER
    #[arg(long = "conversation", value_name = "ID=CUSTOMER")]
    conversations: Vec<String>,
    /// sendyiq: an open conversation on a social channel
    #[arg(long = "social", value_name = "ID=CUSTOMER")]
    socials: Vec<String>,
    /// qiscus: a room
    #[arg(long = "room", value_name = "ID=EMAIL,EMAIL")]
    rooms: Vec<String>,
    /// qiscus: a comment for an unknown room creates it
    #[arg(long)]
    any_room: bool,
    /// qiscus: what a repeated unique_temp_id does
    #[arg(long, default_value = "merge")]
    repeat: RepeatName,
    /// qiscus: the app id of v2.1 and of the bot endpoint
    #[arg(long, default_value = "emulated-app")]
    app_id: String,
    /// qiscus: post webhooks of the older shape, without ids
    #[arg(long)]
    seed_shape: bool,
    /// dixa: without its limit of 10 requests a second
    #[arg(long)]
    no_limit: bool,
    /// dixa: an externalId may not be repeated in any conversation
    #[arg(long)]
    duplicates_everywhere: bool,
    /// dixa: a message for a closed conversation
    #[arg(long, default_value = "reopen")]
    closed: ClosedName,
    /// dixa: an agent's id; absent: whoever is no end user
    #[arg(long = "agent", value_name = "UUID")]
    agents: Vec<String>,
    /// dixa: what an import may name as its channel; absent: anything
    #[arg(long = "import-channel", value_name = "NAME")]
    import_channels: Vec<String>,
    /// dixa: attachments whose URL contains this cannot be downloaded
    #[arg(long = "dead-attachment", value_name = "TEXT")]
    dead_attachments: Vec<String>,
    /// sendyiq: take messages for resolved conversations
    #[arg(long)]
    resolved_takes: bool,
    /// quiq: answer with the snapshot of its webhooks
    #[arg(long)]
    snapshot: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Vendor {
    Dimension,
    Dashbot,
    Http,
    Dixa,
    Sendyiq,
    Qiscus,
    Quiq,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "snake_case")]
enum FaultName {
    /// Answered with --status, not processed
    Status,
    /// Processed, answered with --status
    LostStatus,
    /// 429, not processed
    TooMany,
    /// Processed, the head comes late
    LateHead,
    /// Processed, the body comes slowly
    SlowBody,
    /// Connection reset, not processed
    Reset,
    /// Processed, then the connection is reset
    LostAnswer,
    /// Processed, the answer is cut off
    HalfAnswer,
    /// Processed, a 200 that is no JSON
    Garbage,
    /// 307, not processed
    Redirect,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum RepeatName {
    Merge,
    Refuse,
    Accept,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ClosedName {
    Refuse,
    Reopen,
    Keep,
}

impl Emulate {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        let endpoint = self.habits.endpoint(self.vendor)?;
        let key = self.api_key.clone().unwrap_or_else(|| match self.vendor {
            Vendor::Sendyiq => "emulator.secret".to_owned(),
            _ => "emulator".to_owned(),
        });
        let rooms = self.habits.rooms()?;
        let quiq = matches!(self.vendor, Vendor::Quiq)
            .then(|| pairs(&self.habits.conversations))
            .transpose()?;
        block_on(async {
            let emulator =
                Emulator::start(endpoint, self.listen, &key, self.trouble.faults()).await?;
            for (id, participants) in &rooms {
                emulator
                    .qiscus()
                    .add_room(*id, &id.to_string(), participants);
            }
            for (id, customer) in quiq.into_iter().flatten() {
                emulator
                    .quiq()
                    .add_conversation(quiq::Conversation::new(id, customer));
            }
            say(&if self.json {
                json!({"listening": emulator.address}).to_string()
            } else {
                format!("listening on {}", emulator.url())
            });
            let mut shown = 0;
            let mut tick = tokio::time::interval(Duration::from_millis(200));
            let mut interrupted = signal(SignalKind::interrupt())?;
            loop {
                tokio::select! {
                    _ = interrupted.recv() => return Ok(Exit::Ok),
                    _ = tick.tick() => shown = self.show_new(&emulator, shown),
                }
            }
        })
    }

    /// Prints the calls since `shown`; returns how many there are now.
    fn show_new(&self, emulator: &Emulator, shown: u64) -> u64 {
        let total = emulator.counts().calls;
        if total == shown {
            return total;
        }
        let new = usize::try_from(total - shown).unwrap_or(usize::MAX);
        let calls = emulator.calls();
        for call in calls.iter().skip(calls.len().saturating_sub(new)) {
            say(&if self.json {
                json!(call).to_string()
            } else {
                line(call)
            });
        }
        total
    }
}

fn line(call: &Call) -> String {
    let why = call.refused.as_deref().or(call.declined.as_deref());
    let fault = call.fault.map(|fault| format!(" [{fault}]"));
    let line = format!(
        "{} {} {} {}{} {}",
        call.at,
        call.status,
        call.method,
        call.path,
        fault.unwrap_or_default(),
        why.unwrap_or_default()
    );
    tame(line.trim_end(), false)
}

impl Trouble {
    fn faults(&self) -> Faults {
        let when = match (self.chance, self.first) {
            (Some(share), _) => When::Chance {
                share,
                seed: self.seed,
            },
            (_, Some(n)) => When::First(n),
            _ => When::Every(self.every),
        };
        let hold = Duration::from_millis(self.hold_ms);
        let kind = |name: &FaultName| match name {
            FaultName::Status => Fault::Status(self.status),
            FaultName::LostStatus => Fault::LostStatus(self.status),
            FaultName::TooMany => Fault::TooMany {
                retry_after: self.retry_after.map(Duration::from_secs),
            },
            FaultName::LateHead => Fault::LateHead(hold),
            FaultName::SlowBody => Fault::SlowBody(hold),
            FaultName::Reset => Fault::Reset,
            FaultName::LostAnswer => Fault::LostAnswer,
            FaultName::HalfAnswer => Fault::HalfAnswer,
            FaultName::Garbage => Fault::Garbage,
            FaultName::Redirect => Fault::Redirect(self.redirect_to.clone()),
        };
        Faults {
            when,
            kinds: self.faults.iter().map(kind).collect(),
            only: self.only.clone(),
            delay: Duration::from_millis(self.delay_ms),
        }
    }
}

impl Habits {
    fn endpoint(&self, vendor: Vendor) -> anyhow::Result<Endpoint> {
        let webhook = self.webhook.clone().map(|url| Hook {
            url,
            secret: self.webhook_secret.clone(),
        });
        Ok(match vendor {
            Vendor::Dimension => Endpoint::Dimension,
            Vendor::Dashbot => Endpoint::Dashbot,
            Vendor::Http => Endpoint::Http,
            Vendor::Dixa => Endpoint::Dixa(self.dixa(webhook)),
            Vendor::Sendyiq => Endpoint::SendyIq(self.sendyiq()?),
            Vendor::Qiscus => Endpoint::Qiscus(qiscus::Options {
                app_id: self.app_id.clone(),
                repeat: match self.repeat {
                    RepeatName::Merge => qiscus::Repeat::Merge,
                    RepeatName::Refuse => qiscus::Repeat::Refuse,
                    RepeatName::Accept => qiscus::Repeat::Accept,
                },
                any_room: self.any_room,
                shape: if self.seed_shape {
                    qiscus::Shape::Seed
                } else {
                    qiscus::Shape::Current
                },
                webhook,
            }),
            Vendor::Quiq => Endpoint::Quiq(quiq::Options {
                form: if self.snapshot {
                    quiq::Form::Snapshot
                } else {
                    quiq::Form::Simple
                },
                app_id: Some(self.app_id.clone()),
                webhook,
            }),
        })
    }

    fn dixa(&self, webhook: Option<Hook>) -> dixa::Options {
        let known = dixa::Options::default();
        dixa::Options {
            limit: known.limit.filter(|_| !self.no_limit),
            duplicates: if self.duplicates_everywhere {
                dixa::Duplicates::Everywhere
            } else {
                dixa::Duplicates::Conversation
            },
            closed: match self.closed {
                ClosedName::Refuse => dixa::Closed::Refuse,
                ClosedName::Reopen => dixa::Closed::Reopen,
                ClosedName::Keep => dixa::Closed::Keep,
            },
            agents: self.agents.clone(),
            import_channels: self.import_channels.clone(),
            dead_attachments: self.dead_attachments.clone(),
            webhook,
            ..known
        }
    }

    fn sendyiq(&self) -> anyhow::Result<sendyiq::Options> {
        let chats = pairs(&self.conversations)?.into_iter();
        let socials = pairs(&self.socials)?.into_iter();
        let chats = chats.map(|(id, email)| sendyiq::Conversation::chat(id, email));
        let socials = socials.map(|(id, email)| sendyiq::Conversation::social(id, email));
        Ok(sendyiq::Options {
            resolved_refuses: !self.resolved_takes,
            conversations: chats.chain(socials).collect(),
            ..sendyiq::Options::default()
        })
    }

    /// Ids and participants.
    fn rooms(&self) -> anyhow::Result<Vec<(u64, Vec<&str>)>> {
        let rooms = pairs(&self.rooms)?.into_iter();
        rooms
            .map(|(id, emails)| {
                let id = id
                    .parse()
                    .map_err(|_not_a_number| Usage(format!("--room {id}: an id is a number")))?;
                Ok((id, emails.split(',').collect()))
            })
            .collect()
    }
}

/// `ID=CUSTOMER` each.
fn pairs(given: &[String]) -> anyhow::Result<Vec<(&str, &str)>> {
    given
        .iter()
        .map(|pair| {
            let pair = pair.split_once('=');
            pair.ok_or_else(|| Usage("write ID=CUSTOMER".to_owned()).into())
        })
        .collect()
}
