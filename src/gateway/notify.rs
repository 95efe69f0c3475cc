//! What the service manager that started us is told, in systemd's words: ready,
//! reloading, stopping, how it goes, and that we are alive.
//!
//! The protocol is one datagram per message to the socket that `NOTIFY_SOCKET`
//! names. Without that variable everything here does nothing. A message never
//! waits: a service manager that does not read must not hold up a gateway.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;

use crate::admin::{House, health};

/// How often the status text is made anew, when the watchdog asks for nothing sooner.
const EVERY: Duration = Duration::from_secs(10);
/// How soon it is looked again whether what was broken has mended.
const AGAIN: Duration = Duration::from_secs(1);
/// Destinations that a status text names; the others are counted.
const NAMED_MAX: usize = 3;

/// The service manager above us, if there is one.
#[derive(Clone, Debug, Default)]
pub struct Supervisor(Option<Arc<Above>>);

#[derive(Debug)]
struct Above {
    socket: UnixDatagram,
    address: SocketAddr,
    /// It restarts us when it has heard no ping for so long.
    patience: Option<Duration>,
}

impl Supervisor {
    /// As `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID` say. An error
    /// means that somebody waits to be told and cannot be.
    pub fn from_environment() -> io::Result<Self> {
        match std::env::var_os("NOTIFY_SOCKET") {
            Some(name) if !name.is_empty() => Self::at(&name, sd_notify::watchdog_enabled()),
            _ => Ok(Self::default()),
        }
    }

    /// `name` is a path, or an abstract name after an `@`.
    fn at(name: &OsStr, patience: Option<Duration>) -> io::Result<Self> {
        let address = match name.as_bytes() {
            [b'@', abstract_name @ ..] => SocketAddr::from_abstract_name(abstract_name)?,
            _ => SocketAddr::from_pathname(name)?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        let patience = patience.filter(|patience| !patience.is_zero());
        Ok(Self(Some(Arc::new(Above {
            socket,
            address,
            patience,
        }))))
    }

    /// Both sockets serve.
    pub(super) fn ready(&self, house: &House) {
        self.tell(&[NotifyState::Ready, NotifyState::Status(&standing(house))]);
    }

    /// A configuration is being read; [`Supervisor::reloaded`] follows.
    pub(super) fn reloading(&self) {
        if self.0.is_some()
            && let Ok(now) = NotifyState::monotonic_usec_now()
        {
            self.tell(&[NotifyState::Reloading, now]);
        }
    }

    /// The reload has ended: applied or refused, we serve.
    pub(super) fn reloaded(&self, house: &House) {
        self.ready(house);
    }

    /// Nothing more is taken; what is in the air lands.
    pub(super) fn stopping(&self, patience: Duration) {
        let status = format!(
            "draining: what is in the air may land for {}",
            spoken(patience)
        );
        self.tell(&[NotifyState::Stopping, NotifyState::Status(&status)]);
    }

    /// A sentence for `systemctl status`.
    pub fn status(&self, text: &str) {
        self.tell(&[NotifyState::Status(text)]);
    }

    /// Tells for ever how it goes, and that we are alive for as long as a
    /// restart would mend nothing. Ends at once if nobody listens.
    pub(super) async fn keep_informed(self, house: House) {
        let Some(above) = &self.0 else {
            return;
        };
        let every = above.patience.map_or(EVERY, |all| EVERY.min(all / 2));
        let mut said = String::new();
        loop {
            let broken = health::broken(&house);
            let (text, pause) = if broken.is_empty() {
                if above.patience.is_some() {
                    self.tell(&[NotifyState::Watchdog]);
                }
                (standing(&house), every)
            } else {
                (broken.join("; "), every.min(AGAIN))
            };
            if text != said {
                self.status(&text);
                said = text;
            }
            tokio::time::sleep(pause).await;
        }
    }

    fn tell(&self, words: &[NotifyState<'_>]) {
        let Some(above) = &self.0 else {
            return;
        };
        // A line is a message of its own: an error of several lines is made one.
        let line = |word: &NotifyState<'_>| word.to_string().replace('\n', " ");
        let message: Vec<String> = words.iter().map(line).collect();
        let message = message.join("\n");
        if let Err(error) = above
            .socket
            .send_to_addr(message.as_bytes(), &above.address)
        {
            tracing::warn!(%error, message, "notify: the service manager was not told");
        }
    }
}

/// How it goes, in one line that names what an operator would look for first.
fn standing(house: &House) -> String {
    if let Err(trouble) = house.log.health() {
        return format!("not ready: {trouble}");
    }
    let now = house.clock.now();
    let totals = house.log.totals();
    let mut standing = Standing {
        refused: house.metrics.config_last_reload_successful.get() == 0,
        ..Standing::default()
    };
    for worker in house.workers.iter() {
        let (name, state) = (worker.key().to_string(), worker.state());
        standing.destinations += 1;
        if state.paused {
            standing.paused.push(name);
        } else if state.breaker_open {
            standing.failing.push(name);
        }
        if let Some(account) = totals.get(worker.key()) {
            standing.pending += account.pending();
            standing.dead_letters += account.dead_letters;
            let age = account.oldest.map(|oldest| now.since(oldest));
            standing.oldest = standing.oldest.max(age);
        }
    }
    standing.failing.sort_unstable();
    standing.paused.sort_unstable();
    standing.to_string()
}

/// What the line is made of.
#[derive(Debug, Default)]
struct Standing {
    destinations: usize,
    failing: Vec<String>,
    paused: Vec<String>,
    pending: u64,
    oldest: Option<Duration>,
    dead_letters: u64,
    /// The last reload was refused.
    refused: bool,
}

impl std::fmt::Display for Standing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} destinations", self.destinations)?;
        for (what, names) in [("failing", &self.failing), ("paused", &self.paused)] {
            if names.is_empty() {
                continue;
            }
            let shown: Vec<&str> = names.iter().take(NAMED_MAX).map(String::as_str).collect();
            write!(f, ", {what}: {}", shown.join(" "))?;
            if names.len() > NAMED_MAX {
                write!(f, " and {} more", names.len() - NAMED_MAX)?;
            }
        }
        match self.oldest {
            Some(oldest) if self.pending > 0 => {
                let oldest = spoken(oldest);
                write!(f, "; {} copies wait, the oldest for {oldest}", self.pending)?;
            }
            _ => write!(f, "; {} copies wait", self.pending)?,
        }
        if self.dead_letters > 0 {
            write!(f, "; {} dead letters", self.dead_letters)?;
        }
        if self.refused {
            f.write_str("; the last reload was refused, the one before is in force")?;
        }
        Ok(())
    }
}

/// A duration as a person says it, in one unit.
fn spoken(duration: Duration) -> String {
    match duration.as_secs() {
        0..=119 => format!("{} s", duration.as_secs()),
        secs @ 120..=7199 => format!("{} min", secs / 60),
        secs @ 7200..=172_799 => format!("{} h", secs / 3600),
        secs => format!("{} days", secs / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_names_what_an_operator_looks_for_first() {
        let quiet = Standing {
            destinations: 2,
            ..Standing::default()
        };
        assert_eq!(quiet.to_string(), "2 destinations; 0 copies wait");
        let busy = Standing {
            destinations: 9,
            failing: ["a", "b", "c", "d", "e"].map(str::to_owned).to_vec(),
            paused: vec!["crm".to_owned()],
            pending: 120,
            oldest: Some(Duration::from_secs(200)),
            dead_letters: 7,
            refused: true,
        };
        assert_eq!(
            busy.to_string(),
            "9 destinations, failing: a b c and 2 more, paused: crm; 120 copies wait, the oldest for 3 min; \
             7 dead letters; the last reload was refused, the one before is in force"
        );
    }

    #[test]
    fn a_path_and_an_abstract_name_are_both_told_and_a_full_socket_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let name = format!("hookfan-notify-{}", std::process::id());
        let abstract_address = SocketAddr::from_abstract_name(&name).unwrap();
        for (listening, named) in [
            (UnixDatagram::bind(&path), path.as_os_str().to_owned()),
            (
                UnixDatagram::bind_addr(&abstract_address),
                format!("@{name}").into(),
            ),
        ] {
            let listening = listening.unwrap();
            let supervisor = Supervisor::at(&named, None).unwrap();
            supervisor.status("hello");
            let mut room = [0; 64];
            let length = listening.recv(&mut room).unwrap();
            assert_eq!(&room[..length], b"STATUS=hello");
            // Far more than any queue of datagrams holds: a send that waited would hang here.
            for _ in 0..5000 {
                supervisor.status("nobody reads this");
            }
        }
    }

    #[test]
    fn nobody_above_is_told_nothing() {
        let nobody = Supervisor::default();
        nobody.status("hello");
        nobody.reloading();
    }
}
