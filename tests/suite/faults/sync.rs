//! A disk that fails a sync, in the real process.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::support::eventually;
use crate::support::gateway::Gateway;
use crate::support::http::ask;
use crate::support::receiver::Receiver;
use crate::support::sender::{Load, message, qiscus, signed};

use super::kill::text_of;

/// Compiles the library that stands before libc's syncs. Whoever can link a
/// Rust binary has a `cc`.
pub fn failing_sync(folder: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/fixtures/failing_sync.c");
    let library = folder.join("failing_sync.so");
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .arg(&library)
        .arg(source)
        .output()
        .expect("a C compiler, which Rust needs to link");
    assert!(compiled.status.success(), "{compiled:?}");
    library
}

/// F4, A5: a failed sync acknowledges nobody, ends the process with 74, and
/// costs nothing that was acknowledged.
#[test]
fn a_failed_sync_acknowledges_nobody_and_ends_with_74() {
    for under_load in [true, false] {
        let receiver = Receiver::start();
        let gateway = Gateway::prepare(&format!(
            "[log]\nmin_free = \"16MiB\"\n\
             [destination.one]\nkind = \"http\"\nurl = \"{}/\"\nallow_private = true\n\
             [[route]]\nto = \"one\"\n",
            receiver.url()
        ));
        let library = failing_sync(gateway.folder.path());
        let flag = gateway.folder.path().join("the-disk-fails");
        let mut gateway = gateway
            .with_environment("LD_PRELOAD", library.to_str().unwrap())
            .with_environment("HOOKFAN_FAILING_SYNC", flag.to_str().unwrap());
        gateway.run();
        assert!(is_loaded(gateway.pid()), "the library is not there");

        let mut acknowledged: HashSet<String> = (0..20).map(|n| format!("before-{n}")).collect();
        for text in &acknowledged {
            assert_eq!(qiscus(gateway.ingress, &message(1, text, text)).status, 200);
        }
        let load = under_load.then(|| Load::start(gateway.ingress, "sync", 8, 4, None));
        if let Some(load) = &load {
            eventually("progress", Duration::from_secs(30), || {
                (load.count() >= 200).then_some(())
            });
        }
        std::fs::write(&flag, "").unwrap();
        let refused: Vec<Option<u16>> = (0..5)
            .map(|n| post(&gateway, &format!("refused-{n}")))
            .collect();
        // The first is heard while the process still stands, or cut off with it.
        let honest = |status: &Option<u16>| status.is_none_or(|status| status == 503);
        assert!(refused.iter().all(honest), "{refused:?}");
        let status = gateway.wait(Duration::from_secs(10));
        assert_eq!(status.code(), Some(74), "{}", gateway.log());
        assert!(
            gateway.log().contains("a write or sync failed"),
            "{}",
            gateway.log()
        );

        std::fs::remove_file(&flag).unwrap();
        gateway.run();
        acknowledged.extend(load.into_iter().flat_map(Load::finish));
        gateway.drained(Duration::from_secs(60));
        let arrived: HashSet<String> =
            receiver.with(|all| all.iter().map(|one| text_of(&one.request)).collect());
        let lost: Vec<&String> = acknowledged.difference(&arrived).take(5).collect();
        assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
        assert_eq!(
            qiscus(gateway.ingress, &message(1, "after", "after")).status,
            200
        );
        assert_eq!(gateway.stop().code(), Some(0), "{}", gateway.log());
    }
}

/// One event's status; `None`: there was no answer.
fn post(gateway: &Gateway, text: &str) -> Option<u16> {
    let body = message(2, text, text);
    let answer = ask(
        gateway.ingress,
        "POST",
        "/hooks/qiscus",
        &signed(&body),
        &body,
    );
    answer.ok().map(|answer| answer.status)
}

/// Without it this test would pass for the wrong reason, or fail for one.
fn is_loaded(pid: u32) -> bool {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    maps.contains("failing_sync.so")
}
