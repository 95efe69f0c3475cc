//! Very many events waiting for a dead destination.

use std::time::{Duration, Instant};

use crate::support::gateway::Gateway;
use crate::support::proof::Proof;
use crate::support::receiver::{Receiver, Reply};
use crate::support::sender::{Load, message, qiscus};
use crate::support::{eventually, scale};

/// Memory does not grow with the backlog, a restart does not read it, and the
/// other destination does not notice.
#[test]
fn a_backlog_costs_disk_and_nothing_else() {
    let waiting = scale("HOOKFAN_BACKLOG_EVENTS", 20_000);
    let proof = Proof::of("backlog");
    let dead = Receiver::answering(|_| Reply::Status(503));
    let healthy = Receiver::answering(|_| Reply::Status(200));
    let rules = format!(
        "[log]\nmin_free = \"16MiB\"\n\
         [destination.dead]\nkind = \"http\"\nurl = \"{}/\"\nallow_private = true\norder = \"conversation\"\nbacklog = {{ max_events = 10_000_000 }}\n\
         [destination.healthy]\nkind = \"http\"\nurl = \"{}/\"\nallow_private = true\n\
         [[route]]\nto = \"dead\"\n[[route]]\non = \"post_comment_rest\"\nto = \"healthy\"\n",
        dead.url(),
        healthy.url()
    );
    let mut gateway = Gateway::start(&rules);
    let load = Load::start(gateway.ingress, "backlog", 32, 1000, None);
    eventually("the backlog", Duration::from_secs(900), || {
        (load.count() >= waiting).then_some(())
    });
    let acknowledged = load.finish().len();
    let resident = gateway.resident();
    let row = gateway.destination("dead");
    assert_eq!(row["pending"].as_u64(), Some(acknowledged as u64), "{row}");
    assert!(
        resident <= 150 << 20,
        "{} MiB resident with {acknowledged} waiting",
        resident >> 20
    );

    gateway.kill();
    let began = Instant::now();
    gateway.run();
    let ready = began.elapsed();
    let row = gateway.destination("dead");
    assert_eq!(row["pending"].as_u64(), Some(acknowledged as u64), "{row}");
    let body = String::from_utf8(message(1, "fresh", "fresh"))
        .unwrap()
        .replace("post_comment_mobile", "post_comment_rest");
    assert_eq!(qiscus(gateway.ingress, body.as_bytes()).status, 200);
    healthy.gets(1);
    // Debug builds are slow; the figure is held against the release build by the proof.
    if !cfg!(debug_assertions) {
        assert!(ready <= Duration::from_secs(3), "ready after {ready:?}");
    }
    proof.found(serde_json::json!({
        "waiting": acknowledged,
        "resident, MiB": resident >> 20,
        "ready after a kill, ms": ready.as_millis() as u64,
        "lost": 0,
    }));
}
