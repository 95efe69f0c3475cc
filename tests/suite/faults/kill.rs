//! SIGKILL at random moments under load.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;

use crate::support::gateway::Gateway;
use crate::support::http::Request;
use crate::support::proof::Proof;
use crate::support::receiver::{Receiver, Reply};
use crate::support::sender::Load;
use crate::support::{eventually, scale};

/// Three destinations, the third failing every other time.
fn rules(receivers: &[&Receiver; 3]) -> String {
    let mut rules = String::from("[log]\nmin_free = \"16MiB\"\n\n");
    for (name, receiver) in ["one", "two", "three"].iter().zip(receivers) {
        rules.push_str(&format!(
            "[destination.{name}]\nkind = \"http\"\nurl = \"{}/{name}\"\norder = \"conversation\"\nallow_private = true\n\
             retry = {{ delays = [\"100ms\"], for = \"1h\" }}\nbreaker = {{ failures = 1000, probe_every = \"100ms\" }}\n\n",
            receiver.url()
        ));
    }
    rules.push_str("[[route]]\nfrom = \"qiscus\"\nto = [\"one\", \"two\", \"three\"]\n");
    rules
}

pub fn text_of(request: &Request) -> String {
    request.json()["payload"]["message"]["text"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

/// X5, X8: 0 acknowledged events lost, every copy settled after the drain, and per
/// cycle and destination no more repeats than attempts in the air + 64.
#[test]
fn a_kill_loses_nothing_acknowledged_and_repeats_little() {
    let cycles = scale("HOOKFAN_KILL_CYCLES", 12);
    let proof = Proof::of("kill");
    let mut repeated = Vec::new();
    let flaky = Arc::new(AtomicUsize::new(0));
    let turn = Arc::clone(&flaky);
    let receivers = [
        Receiver::start(),
        Receiver::start(),
        Receiver::answering(move |_| {
            if turn.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
                Reply::Status(503)
            } else {
                Reply::Status(200)
            }
        }),
    ];
    let mut gateway = Gateway::start(&rules(&[&receivers[0], &receivers[1], &receivers[2]]));
    let load = Load::start(gateway.ingress, "kill", 16, 4, None);
    let mut dice = 0x9E37_79B9_7F4A_7C15_u64;
    for cycle in 0..cycles {
        dice = dice
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let enough = load.count() + 1 + usize::try_from(dice >> 33).unwrap() % 300;
        eventually(
            &format!("progress in cycle {cycle}"),
            Duration::from_secs(30),
            || (load.count() >= enough).then_some(()),
        );
        gateway.kill();
        gateway.run();
    }
    let acknowledged: HashSet<String> = load.finish().into_iter().collect();
    // What the destination that fails half the time was left behind by.
    gateway.drained(Duration::from_secs(120 + cycles as u64));

    for (name, receiver) in ["one", "two", "three"].iter().zip(&receivers) {
        let mut taken: HashMap<String, usize> = HashMap::new();
        receiver.with(|arrived| {
            for one in arrived.iter().filter(|one| one.status == 200) {
                *taken.entry(text_of(&one.request)).or_default() += 1;
            }
        });
        let lost: Vec<&String> = acknowledged
            .iter()
            .filter(|text| !taken.contains_key(*text))
            .take(5)
            .collect();
        assert!(
            lost.is_empty(),
            "{name}: acknowledged and never delivered: {lost:?} (of {})",
            acknowledged.len()
        );
        let repeats: usize = taken.values().map(|count| count - 1).sum();
        let bound = cycles * (8 + 64);
        assert!(
            repeats <= bound,
            "{name}: {repeats} repeats in {cycles} kills, at most {bound}"
        );
        let row = gateway.destination(name);
        assert_eq!(row["owed"], row["delivered"], "{name}: {row}");
        repeated.push(repeats);
    }
    proof.found(json!({
        "kills": cycles,
        "acknowledged": acknowledged.len(),
        "lost": 0,
        "repeats at each destination": repeated,
        "repeats allowed": cycles * (8 + 64),
    }));
}

/// X15: a stop under load repeats nothing where destinations answer in time.
#[test]
fn a_stop_under_load_loses_and_repeats_nothing() {
    let proof = Proof::of("stop");
    let stops = scale("HOOKFAN_STOP_CYCLES", 4);
    let receivers = [Receiver::start(), Receiver::start(), Receiver::start()];
    let mut gateway = Gateway::start(&rules(&[&receivers[0], &receivers[1], &receivers[2]]));
    let load = Load::start(gateway.ingress, "stop", 8, 4, None);
    for _ in 0..stops {
        let enough = load.count() + 200;
        eventually("progress", Duration::from_secs(30), || {
            (load.count() >= enough).then_some(())
        });
        let status = gateway.stop();
        assert_eq!(status.code(), Some(0), "{}", gateway.log());
        gateway.run();
    }
    let acknowledged: HashSet<String> = load.finish().into_iter().collect();
    gateway.drained(Duration::from_secs(60));
    for receiver in &receivers {
        let arrived: Vec<String> =
            receiver.with(|arrived| arrived.iter().map(|one| text_of(&one.request)).collect());
        let different: HashSet<&String> = arrived.iter().collect();
        assert_eq!(different.len(), arrived.len(), "a copy arrived twice");
        assert!(
            acknowledged.iter().all(|text| different.contains(text)),
            "an acknowledged event was lost"
        );
    }
    proof.found(
        json!({"stops": stops, "acknowledged": acknowledged.len(), "lost": 0, "repeats": 0}),
    );
}
