//! A disk that is full, in the real process. (Failed syncs, torn tails, flipped
//! bytes and a failing n-th operation are tested beside the log, on a disk that
//! does as told.)

use std::collections::HashSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::support::gateway::Gateway;
use crate::support::proof::Proof;
use crate::support::receiver::Receiver;
use crate::support::sender::{message, qiscus};
use crate::support::{eventually, scale};

use super::kill::text_of;

/// A small file system of its own, where the system lets us mount one.
struct Tmpfs(tempfile::TempDir);

impl Tmpfs {
    fn mount(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(folder.path())
            .output()
            .ok()?;
        mounted.status.success().then_some(Self(folder))
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _left_to_the_system = Command::new("umount").arg("-l").arg(self.0.path()).output();
    }
}

/// Takes all the room there is.
fn fill(folder: &Path) {
    let mut ballast = std::fs::File::create(folder.join("ballast")).unwrap();
    let block = vec![1_u8; 64 << 10];
    while std::io::Write::write_all(&mut ballast, &block).is_ok() {}
    let byte = [1_u8; 512];
    while std::io::Write::write_all(&mut ballast, &byte).is_ok() {}
}

/// X3: a full disk is answered 503 and nothing else, deliveries go on, and it
/// takes events again by itself once there is room.
#[test]
fn a_full_disk_refuses_goes_on_delivering_and_recovers_by_itself() {
    let Some(disk) = Tmpfs::mount("64m") else {
        println!("no right to mount a file system here: the disk's own tests cover a full one");
        return;
    };
    let receiver = Receiver::start();
    let mut gateway = Gateway::prepare("");
    let rules = |folder: &Path| {
        format!(
            "[server]\nlisten = \"{}\"\nadmin = \"{}\"\ndata_dir = \"{}\"\n[log]\nmin_free = \"1MiB\"\nmax_disk = \"60MiB\"\n\
             [source.qiscus]\nkind = \"qiscus\"\nauth = {{ scheme = \"qiscus\", secret = {{ file = \"qiscus-token\" }} }}\n\
             [destination.one]\nkind = \"http\"\nurl = \"{}/\"\nallow_private = true\n[[route]]\nto = \"one\"\n",
            gateway.ingress,
            gateway.admin,
            folder.join("data").display(),
            receiver.url()
        )
    };
    std::fs::write(gateway.file(), rules(disk.0.path())).unwrap();
    gateway.run();
    let mut acknowledged = HashSet::new();
    let mut post = |gateway: &Gateway, cycle: usize, number: usize| {
        let id = format!("{cycle}-{number}");
        let status = qiscus(gateway.ingress, &message(number, &id, &id)).status;
        if status == 200 {
            acknowledged.insert(id);
        }
        status
    };
    let cycles = scale("HOOKFAN_DISK_CYCLES", 5);
    let proof = Proof::of("full-disk");
    for cycle in 0..cycles {
        for number in 0..20 {
            assert_eq!(post(&gateway, cycle, number), 200, "{}", gateway.log());
        }
        fill(disk.0.path());
        let mut refused = 0;
        for number in 20..40 {
            match post(&gateway, cycle, number) {
                503 => refused += 1,
                200 => {}
                other => panic!("{other} while the disk is full"),
            }
        }
        assert!(refused > 0, "a full disk took everything");
        std::fs::remove_file(disk.0.path().join("ballast")).unwrap();
        eventually(
            "the gateway to take events again",
            Duration::from_secs(5),
            || (post(&gateway, cycle, 40) == 200).then_some(()),
        );
    }
    gateway.drained(Duration::from_secs(30));
    let arrived: HashSet<String> =
        receiver.with(|all| all.iter().map(|one| text_of(&one.request)).collect());
    assert!(
        acknowledged.is_subset(&arrived),
        "an acknowledged event was lost"
    );
    assert_eq!(gateway.stop().code(), Some(0), "{}", gateway.log());
    proof.found(serde_json::json!({
        "times full and free": cycles,
        "acknowledged": acknowledged.len(),
        "lost": 0,
        "restarts": 0,
    }));
}

/// F23: one process a folder.
#[test]
fn a_second_process_on_the_folder_is_refused() {
    let gateway = Gateway::start("");
    let other = gateway
        .text("")
        .replace(&gateway.ingress.to_string(), "127.0.0.1:0")
        .replace(&gateway.admin.to_string(), "127.0.0.1:0");
    std::fs::write(gateway.folder.path().join("other.toml"), other).unwrap();
    let second = gateway.hookfan(&["run", "-c", "other.toml"]);
    assert_eq!(second.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&second.stderr).contains("in use by another"),
        "{second:?}"
    );
}

/// The folder is nobody else's to read: bodies and keys are in it.
#[test]
fn the_data_folder_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let gateway = Gateway::start("");
    assert_eq!(qiscus(gateway.ingress, &message(1, "a", "a")).status, 200);
    let mut folders = vec![gateway.data()];
    while let Some(folder) = folders.pop() {
        assert_eq!(
            std::fs::metadata(&folder).unwrap().permissions().mode() & 0o777,
            0o700,
            "{}",
            folder.display()
        );
        for entry in std::fs::read_dir(&folder).unwrap().flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else {
                assert_eq!(
                    entry.metadata().unwrap().permissions().mode() & 0o777,
                    0o600,
                    "{}",
                    entry.path().display()
                );
            }
        }
    }
}
