//! What the service manager hears, at a socket of the test's own.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::faults::sync::failing_sync;
use crate::support::eventually;
use crate::support::gateway::Gateway;
use crate::support::http::ask;
use crate::support::receiver::{Receiver, Reply};
use crate::support::sender::{message, qiscus, signed};

const PATIENCE: Duration = Duration::from_secs(20);

/// Messages in the order they came.
struct Manager(Arc<Mutex<Vec<String>>>);

impl Manager {
    fn at(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        let heard: Arc<Mutex<Vec<String>>> = Arc::default();
        let ears = Arc::clone(&heard);
        std::thread::spawn(move || {
            let mut room = [0; 4096];
            while let Ok(length) = socket.recv(&mut room) {
                let text = String::from_utf8_lossy(&room[..length]).into_owned();
                ears.lock().unwrap().push(text);
            }
        });
        Self(heard)
    }

    fn heard(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    fn pings(&self) -> usize {
        let heard = self.0.lock().unwrap();
        heard.iter().filter(|text| is_ping(text)).count()
    }

    /// Waits for a message after the first `skip` that holds, and says how many there are up to it.
    fn hears(&self, what: &str, skip: usize, holds: impl Fn(&str) -> bool) -> usize {
        eventually(what, PATIENCE, || {
            let heard = self.heard();
            let found = heard.iter().skip(skip).position(|text| holds(text))?;
            Some(skip + found + 1)
        })
    }
}

fn is_ping(text: &str) -> bool {
    text.lines().any(|line| line == "WATCHDOG=1")
}

fn is_ready(text: &str) -> bool {
    text.lines().any(|line| line == "READY=1")
}

/// A gateway below a service manager that wants a ping every half a second.
fn supervised(rules: &str) -> (Gateway, Manager) {
    let gateway = Gateway::prepare(rules);
    let path = gateway.folder.path().join("notify");
    let manager = Manager::at(&path);
    let gateway = gateway
        .with_environment("NOTIFY_SOCKET", path.to_str().unwrap())
        .with_environment("WATCHDOG_USEC", "500000");
    (gateway, manager)
}

fn to(receiver: &Receiver) -> String {
    format!(
        "[destination.crm]\nkind = \"http\"\nurl = \"{}/\"\nallow_private = true\n[[route]]\nto = \"crm\"\n",
        receiver.url()
    )
}

#[test]
fn the_service_manager_hears_of_ready_reload_refusal_and_stop() {
    let receiver = Receiver::start();
    let rules = to(&receiver);
    let (mut gateway, manager) = supervised(&rules);
    gateway.spawn();
    let ready = manager.hears("READY=1", 0, is_ready);
    // Not asked twice: ready means that both sockets serve.
    assert_eq!(gateway.get("/readyz").status, 200);
    assert_eq!(
        qiscus(gateway.ingress, &message(1, "one", "one")).status,
        200
    );
    eventually("three pings", PATIENCE, || {
        (manager.pings() >= 3).then_some(())
    });

    gateway.write(&format!("{rules}# changed\n"));
    gateway.signal("HUP");
    let reloading = manager.hears("RELOADING=1", ready, |text| {
        text.starts_with("RELOADING=1\n")
    });
    let said = manager.heard()[reloading - 1].clone();
    let since_boot: u128 = said
        .lines()
        .find_map(|line| line.strip_prefix("MONOTONIC_USEC="))
        .and_then(|text| text.parse().ok())
        .expect("when the reload began");
    let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
    let uptime: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
    #[expect(clippy::cast_precision_loss, reason = "microseconds of one uptime")]
    let seconds = since_boot as f64 / 1e6;
    assert!(seconds > 0.0 && seconds < uptime + 1.0, "{said}");
    let applied = manager.hears("ready again", reloading, is_ready);
    assert!(manager.heard()[applied - 1].contains("STATUS=1 destinations"));

    gateway.write("[destination.crm]\nkind = \"nonsense\"\n");
    gateway.signal("HUP");
    let refused = manager.hears("ready, refused", applied, |text| {
        is_ready(text) && text.contains("the last reload was refused")
    });

    assert_eq!(gateway.stop().code(), Some(0), "{}", gateway.log());
    let stopping = manager.hears("STOPPING=1", refused, |text| {
        text.starts_with("STOPPING=1\nSTATUS=draining")
    });
    assert!(
        !manager
            .heard()
            .iter()
            .skip(stopping)
            .any(|text| is_ready(text))
    );
}

#[test]
fn a_file_with_errors_is_why_it_did_not_start() {
    let (mut gateway, manager) = supervised("[destination.crm]\nkind = \"nonsense\"\n");
    gateway.spawn();
    assert_eq!(gateway.wait(PATIENCE).code(), Some(78));
    manager.hears("the reason", 0, |text| {
        text == "STATUS=not started: the configuration has errors"
    });
    assert!(
        !manager
            .heard()
            .iter()
            .any(|text| is_ready(text) || is_ping(text))
    );
}

/// X25: alive is not enough. A disk that hangs, then one that fails.
#[test]
fn no_ping_is_sent_while_the_log_hangs_nor_once_it_is_poisoned() {
    let receiver = Receiver::start();
    // An attempt that nobody answers keeps the drain going when all is over.
    let rules = format!("[limits]\ndrain = \"3s\"\n{}", to(&receiver));
    let (gateway, manager) = supervised(&rules);
    let library = failing_sync(gateway.folder.path());
    let fails = gateway.folder.path().join("the-disk-fails");
    let slow = gateway.folder.path().join("the-disk-is-slow");
    let mut gateway = gateway
        .with_environment("LD_PRELOAD", library.to_str().unwrap())
        .with_environment("HOOKFAN_FAILING_SYNC", fails.to_str().unwrap())
        .with_environment("HOOKFAN_SLOW_SYNC", slow.to_str().unwrap());
    gateway.run();
    manager.hears("a ping", 0, is_ping);

    std::fs::write(&slow, "600000").unwrap();
    let body = message(1, "slow", "slow");
    let late = ask(
        gateway.ingress,
        "POST",
        "/hooks/qiscus",
        &signed(&body),
        &body,
    );
    assert_eq!(late.unwrap().status, 503, "not durable, so not a 2xx");
    let is_trouble = |text: &str| text.starts_with("STATUS=the disk has not answered for");
    let hangs = manager.hears("the trouble", 0, is_trouble);
    // It says for how long, second by second, and does not ping meanwhile.
    let still = manager.hears("it going on", hangs, is_trouble);
    let still = manager.hears("it going on", still, is_trouble);
    let heard = manager.heard();
    assert!(
        !heard[hangs..still].iter().any(|text| is_ping(text)),
        "{heard:?}"
    );
    std::fs::remove_file(&slow).unwrap();
    manager.hears("pings, once it moves", still, is_ping);

    receiver.answers(|_| Reply::Hang);
    assert_eq!(
        qiscus(gateway.ingress, &message(1, "held", "held")).status,
        200
    );
    eventually("an attempt in the air", PATIENCE, || {
        (gateway.metric("hookfan_in_flight{destination=\"crm\"}")? >= 1.0).then_some(())
    });
    std::fs::write(&fails, "").unwrap();
    let body = message(1, "fails", "fails");
    let _refused_or_cut_off = ask(
        gateway.ingress,
        "POST",
        "/hooks/qiscus",
        &signed(&body),
        &body,
    );
    let stopping = manager.hears("STOPPING=1", 0, |text| text.starts_with("STOPPING=1"));
    manager.hears("why", 0, |text| text == "STATUS=the log is poisoned");
    assert_eq!(gateway.wait(PATIENCE).code(), Some(74), "{}", gateway.log());
    let heard = manager.heard();
    assert!(
        !heard[stopping..].iter().any(|text| is_ping(text)),
        "{heard:?}"
    );
}
