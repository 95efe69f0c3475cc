//! Very many copies: a hundred destinations for every event, and a replay of
//! very many dead letters.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;

use super::kill::text_of;
use crate::support::gateway::Gateway;
use crate::support::proof::Proof;
use crate::support::receiver::{Receiver, Reply};
use crate::support::sender::Load;
use crate::support::{eventually, scale};

const DESTINATIONS: usize = 100;

/// How often each text arrived at each place.
type Arrivals = Arc<Mutex<HashMap<String, Vec<u16>>>>;

/// Counts what comes to `/<place>`.
fn counter(places: usize) -> (Receiver, Arrivals) {
    let arrivals = Arrivals::default();
    let kept = Arc::clone(&arrivals);
    let receiver = Receiver::counting(move |request| {
        let place: usize = request.target[1..].parse().unwrap();
        let mut arrivals = kept.lock().unwrap();
        let counts = arrivals
            .entry(text_of(request))
            .or_insert_with(|| vec![0; places]);
        counts[place] += 1;
        Reply::Status(200)
    });
    (receiver, arrivals)
}

/// B8: every event has one settled copy for each of a hundred destinations.
#[test]
fn each_of_a_hundred_destinations_gets_every_event_once() {
    let events = scale("HOOKFAN_FANOUT_EVENTS", 40);
    let proof = Proof::of("fan-out");
    let (receiver, arrivals) = counter(DESTINATIONS);
    let mut rules = String::from("[log]\nmin_free = \"16MiB\"\n");
    let mut names = Vec::new();
    for place in 0..DESTINATIONS {
        rules.push_str(&format!(
            "[destination.d{place}]\nkind = \"http\"\nurl = \"{}/{place}\"\nallow_private = true\nconcurrency = 2\n\
             backlog = {{ max_events = 10_000_000 }}\n",
            receiver.url()
        ));
        names.push(format!("\"d{place}\""));
    }
    rules.push_str(&format!("[[route]]\nto = [{}]\n", names.join(", ")));
    let gateway = Gateway::start(&rules);
    let load = Load::start(gateway.ingress, "fan", 4, 4, None);
    eventually("the load", Duration::from_secs(900), || {
        (load.count() >= events).then_some(())
    });
    let acknowledged = load.finish();
    gateway.drained(Duration::from_secs(1800));

    let arrivals = arrivals.lock().unwrap();
    for text in &acknowledged {
        let counts = arrivals.get(text);
        let once = counts.is_some_and(|counts| counts.iter().all(|count| *count == 1));
        assert!(once, "{text}: {counts:?}");
    }
    let mut settled = 0;
    for place in 0..DESTINATIONS {
        let row = gateway.destination(&format!("d{place}"));
        assert_eq!((&row["owed"], &row["dead"]), (&row["delivered"], &json!(0)));
        assert_eq!(row["owed"], acknowledged.len());
        settled += acknowledged.len();
    }
    proof.found(json!({
        "destinations": DESTINATIONS,
        "events": acknowledged.len(),
        "copies settled": settled,
        "missing or twice": 0,
    }));
}

/// B8: however often the process dies while they are retried, each dead letter
/// is owed again, and the account says how often. A letter leaves after its new
/// copy is owed: a kill in between has one retried twice, and no more.
#[test]
fn dead_letters_retried_through_kills_arrive_and_are_counted_once() {
    let letters = scale("HOOKFAN_DEAD_LETTERS", 400);
    let kills = 5;
    let proof = Proof::of("replay");
    let (receiver, arrivals) = counter(1);
    let count = Receiver::counting(|_| Reply::Status(400));
    let rules = |url: String| {
        format!(
            "[log]\nmin_free = \"16MiB\"\n[destination.crm]\nkind = \"http\"\nurl = \"{url}/0\"\nallow_private = true\n\
             concurrency = 32\nbreaker = {{ failures = 1_000_000, probe_every = \"100ms\" }}\n[[route]]\nto = \"crm\"\n"
        )
    };
    let mut gateway = Gateway::start(&rules(count.url()));
    let load = Load::start(gateway.ingress, "dead", 8, 4, None);
    eventually("the load", Duration::from_secs(600), || {
        (load.count() >= letters).then_some(())
    });
    let acknowledged = load.finish();
    gateway.drained(Duration::from_secs(600));
    let kept = |gateway: &Gateway| {
        let row = gateway.destination("crm");
        row["dead_letters"].as_u64().unwrap()
    };
    assert_eq!(kept(&gateway), acknowledged.len() as u64);

    gateway.write(&rules(receiver.url()));
    assert_eq!(gateway.post("/api/v1/reload", &json!({})).status, 200);
    let retry = |gateway: &Gateway| {
        let job = json!({"what": "dead:retry", "destination": "crm"});
        assert_eq!(gateway.post("/api/v1/jobs", &job).status, 202);
    };
    for kill in 0..kills {
        retry(&gateway);
        let left = (acknowledged.len() * (kills - kill) / (kills + 1)) as u64;
        eventually("letters to be retried", Duration::from_secs(900), || {
            (kept(&gateway) <= left).then_some(())
        });
        gateway.kill();
        gateway.run();
    }
    // What the last kill left is asked for until there is none.
    eventually("no letter to be left", Duration::from_secs(900), || {
        let before = kept(&gateway);
        if before > 0 {
            gateway.post("/api/v1/dead:retry", &json!({"all": true}));
        }
        (before == 0).then_some(())
    });
    gateway.drained(Duration::from_secs(600));

    let arrivals = arrivals.lock().unwrap();
    let missing = acknowledged
        .iter()
        .filter(|text| !arrivals.contains_key(*text))
        .count();
    assert_eq!(missing, 0, "retried and never delivered");
    let row = gateway.destination("crm");
    let number = |key: &str| row[key].as_u64().unwrap();
    assert_eq!(number("dead"), acknowledged.len() as u64, "{row}");
    assert_eq!(
        number("owed"),
        number("delivered") + number("dead"),
        "{row}"
    );
    let again = number("delivered") - acknowledged.len() as u64;
    assert!(again <= kills as u64, "{again} of one kill: {row}");
    let arrived: u64 = arrivals.values().map(|counts| u64::from(counts[0])).sum();
    proof.found(json!({
        "dead letters": acknowledged.len(),
        "kills": kills,
        "missing": missing,
        "owed again twice": again,
        "arrived twice": arrived - acknowledged.len() as u64,
    }));
}
