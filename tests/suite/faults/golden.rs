//! Data folders that earlier versions left, kept as they were: each is read,
//! and a newer one is refused untouched.
//!
//! `fixtures/data/format-N` was made by the gateway of that format with a
//! segment of 1 MiB: four messages, SIGKILL, two more, SIGTERM. Each went to
//! `good` (delivered), `dies` (400: dead) and `down` (nobody there: waits).
//! A new format brings a new folder; none is ever changed.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use crate::support::eventually;
use crate::support::gateway::Gateway;
use crate::support::receiver::Receiver;
use crate::support::sender::{message, qiscus};

use super::kill::text_of;

const EVENTS: u64 = 6;

/// A gateway that is not started yet, on a copy of a golden folder. It forgets
/// nothing by age: the folder grows old.
fn on_a_copy_of(golden: &Path, receiver: &Receiver) -> Gateway {
    let mut rules = String::from(
        "[log]\nmin_free = \"16MiB\"\nretain = \"36500d\"\nretain_dead = \"36500d\"\ndedupe = \"36500d\"\n",
    );
    for name in ["good", "dies", "down"] {
        rules.push_str(&format!(
            "[destination.{name}]\nkind = \"http\"\nurl = \"{}/{name}\"\nallow_private = true\n",
            receiver.url()
        ));
    }
    rules.push_str("[[route]]\nfrom = \"qiscus\"\nto = [\"good\", \"dies\", \"down\"]\n");
    let gateway = Gateway::prepare(&rules);
    for file in files(golden) {
        let to = gateway.data().join(file.strip_prefix(golden).unwrap());
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(&file, &to).unwrap();
        std::fs::set_permissions(&to, PermissionsExt::from_mode(0o600)).unwrap();
    }
    gateway
}

fn golden() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/fixtures/data");
    let entries = std::fs::read_dir(folder).unwrap();
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    assert!(folders.len() >= 2, "{folders:?}");
    folders
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .flat_map(|path| {
            if path.is_dir() {
                files(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

fn sums(gateway: &Gateway, name: &str) -> [u64; 4] {
    let row = gateway.destination(name);
    ["owed", "delivered", "dead", "pending"].map(|sum| row[sum].as_u64().unwrap())
}

/// A8: nothing is missing, nothing is damaged, what waited is delivered, what
/// died lives again, and a resend is known.
#[test]
fn every_format_that_was_ever_written_is_read() {
    for folder in golden() {
        let receiver = Receiver::start();
        let mut gateway = on_a_copy_of(&folder, &receiver);
        gateway.run();
        gateway.drained(Duration::from_secs(30));
        assert_eq!(sums(&gateway, "good"), [EVENTS, EVENTS, 0, 0], "{folder:?}");
        assert_eq!(sums(&gateway, "dies"), [EVENTS, 0, EVENTS, 0], "{folder:?}");
        assert_eq!(sums(&gateway, "down"), [EVENTS, EVENTS, 0, 0], "{folder:?}");
        assert_eq!(gateway.metric("hookfan_log_quarantined_total"), Some(0.0));

        let retried = gateway.post("/api/v1/dead:retry", &json!({"destination": "dies"}));
        assert_eq!(retried.status, 200, "{}", retried.text());
        eventually("the dead to be delivered", Duration::from_secs(30), || {
            (sums(&gateway, "dies") == [2 * EVENTS, EVENTS, EVENTS, 0]).then_some(())
        });
        let arrived: BTreeSet<(String, String)> = receiver.with(|all| {
            all.iter()
                .map(|one| (one.request.target.clone(), text_of(&one.request)))
                .collect()
        });
        let expected: BTreeSet<(String, String)> = (0..EVENTS)
            .flat_map(|n| ["/dies", "/down"].map(|to| (to.to_owned(), format!("golden-{n}"))))
            .collect();
        assert_eq!(arrived, expected, "{folder:?}");

        let again = qiscus(gateway.ingress, &message(1, "golden-3", "golden-3"));
        assert_eq!(again.json()["duplicate"], true, "{}", again.text());
        assert_eq!(gateway.stop().code(), Some(0), "{}", gateway.log());
        let verified = gateway.hookfan(&["log", "verify", "data"]);
        assert_eq!(verified.status.code(), Some(0), "{verified:?}");
    }
}

/// The real process ends with 1 and changes no byte, whichever file is newer.
#[test]
fn a_newer_folder_is_refused_and_stays_as_it_was() {
    let newest = golden().pop().unwrap();
    let receiver = Receiver::start();
    for newer in ["log/0000000000000001.seg", "dead/0000000000000002.seg"] {
        let mut gateway = on_a_copy_of(&newest, &receiver);
        make_newer(&gateway.data().join(newer));
        let before = contents(&gateway);
        gateway.spawn();
        let status = gateway.wait(Duration::from_secs(20));
        assert_eq!(status.code(), Some(1), "{}", gateway.log());
        assert!(gateway.log().contains("has format 99"), "{}", gateway.log());
        assert!(before == contents(&gateway), "a byte of it was changed");
    }
    assert_eq!(receiver.count(), 0);
}

/// Says in both copies of a segment's header that it has format 99.
fn make_newer(segment: &Path) {
    let mut bytes = std::fs::read(segment).unwrap();
    for copy in bytes[..128].chunks_mut(64) {
        copy[8..12].copy_from_slice(&99_u32.to_le_bytes());
        let crc = crc32c::crc32c(&copy[..60]);
        copy[60..].copy_from_slice(&crc.to_le_bytes());
    }
    std::fs::write(segment, bytes).unwrap();
}

/// All files but the lock, which is made to look.
fn contents(gateway: &Gateway) -> BTreeMap<PathBuf, Vec<u8>> {
    let paths = files(&gateway.data()).into_iter();
    paths
        .filter(|path| !path.ends_with("lock"))
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect()
}
