//! P9: one destination being slow, broken or gone costs the others nothing.

use std::time::{Duration, Instant};

use crate::support::gateway::Gateway;
use crate::support::proof::Proof;
use crate::support::receiver::{Receiver, Reply};
use crate::support::sender::{Load, message, qiscus};
use crate::support::{eventually, scale};

fn destination(name: &str, url: &str) -> String {
    format!(
        "[destination.{name}]\nkind = \"http\"\nurl = \"{url}\"\nallow_private = true\ntimeout = \"30s\"\nretry = {{ delays = [\"1s\"], for = \"1h\" }}\n"
    )
}

/// X7: a black hole, an error machine and a name that does not resolve stand
/// beside a healthy destination; it gets everything, and the sender is
/// answered, while the others get nothing.
#[test]
fn a_healthy_destination_gets_everything_beside_three_bad_ones() {
    let healthy = Receiver::start();
    let hanging = Receiver::answering(|_| Reply::Hang);
    let broken = Receiver::answering(|_| Reply::Status(500));
    let mut rules = String::from("[log]\nmin_free = \"16MiB\"\n");
    rules += &destination("healthy", &healthy.url());
    rules += &destination("hanging", &hanging.url());
    rules += &destination("broken", &broken.url());
    rules += &destination("gone", "http://no-such-host.invalid/");
    rules +=
        "[[route]]\nfrom = \"qiscus\"\nto = [\"hanging\", \"broken\", \"gone\", \"healthy\"]\n";
    let gateway = Gateway::start(&rules);
    let count = scale("HOOKFAN_ISOLATION_EVENTS", 2000);
    let load = Load::start(gateway.ingress, "isolated", 8, 4, None);
    eventually("the load", Duration::from_secs(60), || {
        (load.count() >= count).then_some(())
    });
    let acknowledged = load.finish().len();
    healthy.gets(acknowledged);
    // The last answer is on its way to the log.
    eventually("every copy to be settled", Duration::from_secs(10), || {
        (gateway.destination("healthy")["pending"] == 0).then_some(())
    });
    for name in ["hanging", "broken", "gone"] {
        let row = gateway.destination(name);
        assert_eq!(row["pending"].as_u64(), Some(acknowledged as u64), "{row}");
        assert_eq!(row["delivered"], 0);
    }
    assert!(
        hanging.count() <= 8,
        "no more attempts in the air than concurrency allows: {}",
        hanging.count()
    );
    assert_eq!(
        gateway.get("/readyz").status,
        200,
        "a destination's trouble is not the gateway's"
    );
}

/// The proof's form of the same: rates with and without the bad ones, as a
/// ratio in one run. Not judged in the short run, where a busy machine would
/// decide.
#[test]
fn the_rate_beside_bad_destinations_is_the_rate_without_them() {
    let count = scale("HOOKFAN_ISOLATION_RATE_EVENTS", 0);
    if count == 0 {
        return;
    }
    let proof = Proof::of("isolation");
    let run = |bad: bool| {
        let healthy = Receiver::start();
        let hanging = Receiver::answering(|_| Reply::Hang);
        let broken = Receiver::answering(|_| Reply::Status(500));
        let mut rules =
            String::from("[log]\nmin_free = \"16MiB\"\n") + &destination("healthy", &healthy.url());
        let mut to = vec!["\"healthy\""];
        if bad {
            rules += &destination("hanging", &hanging.url());
            rules += &destination("broken", &broken.url());
            rules += &destination("gone", "http://no-such-host.invalid/");
            to.extend(["\"hanging\"", "\"broken\"", "\"gone\""]);
        }
        rules += &format!("[[route]]\nfrom = \"qiscus\"\nto = [{}]\n", to.join(", "));
        let gateway = Gateway::start(&rules);
        let began = Instant::now();
        let load = Load::start(gateway.ingress, "rate", 16, 4, None);
        eventually("the load", Duration::from_secs(120), || {
            (load.count() >= count).then_some(())
        });
        let mut latencies = load.latencies.lock().unwrap().clone();
        let acknowledged = load.finish().len();
        eventually("all copies", Duration::from_secs(120), || {
            (healthy.count() >= acknowledged).then_some(())
        });
        latencies.sort();
        let p99 = latencies[latencies.len() * 99 / 100];
        (
            acknowledged as f64 / began.elapsed().as_secs_f64(),
            p99.as_secs_f64(),
        )
    };
    let mut rates = Vec::new();
    let mut tails = Vec::new();
    for _ in 0..3 {
        let (alone, alone_p99) = run(false);
        let (beside, beside_p99) = run(true);
        rates.push(beside / alone);
        tails.push(beside_p99 / alone_p99);
        println!(
            "alone {alone:.0}/s p99 {:.1} ms; beside {beside:.0}/s p99 {:.1} ms",
            alone_p99 * 1e3,
            beside_p99 * 1e3
        );
    }
    rates.sort_by(f64::total_cmp);
    tails.sort_by(f64::total_cmp);
    assert!(rates[1] >= 0.95, "rate {:.3} of the rate alone", rates[1]);
    assert!(
        tails[1] <= 1.2,
        "accept p99 {:.3} times the p99 alone",
        tails[1]
    );
    let thousandths = |ratio: f64| (ratio * 1000.0).round() / 1000.0;
    proof.found(serde_json::json!({
        "pairs of runs": rates.len(),
        "events of each run": count,
        "rate beside bad ones / alone, median": thousandths(rates[1]),
        "answer p99 beside bad ones / alone, median": thousandths(tails[1]),
    }));
}

/// One stuck conversation blocks itself only.
#[test]
fn a_stuck_conversation_blocks_no_other() {
    let receiver = Receiver::answering(|request| {
        let stuck = request.json()["payload"]["room"]["id"] == 1;
        if stuck {
            Reply::Status(503)
        } else {
            Reply::Status(200)
        }
    });
    let rules = format!(
        "[destination.chat]\nkind = \"http\"\nurl = \"{}/\"\norder = \"conversation\"\nallow_private = true\n\
         retry = {{ delays = [\"1h\"], for = \"2h\" }}\n[[route]]\nfrom = \"qiscus\"\nto = \"chat\"\n[log]\nmin_free = \"16MiB\"\n",
        receiver.url()
    );
    let gateway = Gateway::start(&rules);
    for number in 0..20 {
        for room in [1, 2] {
            let id = format!("{room}-{number}");
            assert_eq!(
                qiscus(gateway.ingress, &message(room, &id, &id)).status,
                200
            );
        }
    }
    receiver.gets(21);
    let row = eventually("room 2 to be delivered", Duration::from_secs(10), || {
        Some(gateway.destination("chat")).filter(|row| row["delivered"] == 20)
    });
    assert_eq!(row["pending"], 20, "{row}");
    let first_room: Vec<u16> = receiver
        .all()
        .iter()
        .filter(|one| one.request.json()["payload"]["room"]["id"] == 1)
        .map(|one| one.status)
        .collect();
    assert_eq!(first_room, [503], "only the head was tried");
}
