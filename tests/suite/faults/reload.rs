//! Reloading: whole or not at all, noticed however the file is changed, and
//! nothing lost while it happens a thousand times.

use std::collections::HashSet;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use crate::support::gateway::Gateway;
use crate::support::http::ask;
use crate::support::proof::Proof;
use crate::support::receiver::Receiver;
use crate::support::sender::{Load, QISCUS_TOKEN, message, qiscus, signed_with};
use crate::support::{eventually, scale};

use super::kill::text_of;

fn rules(receiver: &Receiver, path: &str) -> String {
    format!(
        "[log]\nmin_free = \"16MiB\"\n[destination.one]\nkind = \"http\"\nurl = \"{}/{path}\"\nallow_private = true\n[[route]]\nto = \"one\"\n",
        receiver.url()
    )
}

fn hash(gateway: &Gateway) -> String {
    gateway.get("/api/v1/config").json()["hash"]
        .as_str()
        .unwrap()
        .to_owned()
}

fn applied(gateway: &Gateway, before: &str) -> String {
    eventually("the change to be applied", Duration::from_secs(10), || {
        Some(hash(gateway)).filter(|now| now != before)
    })
}

/// X24: rename over, truncate and write, swap of a symlink, swap of a folder
/// link as Kubernetes does it: each is noticed, none empties the table.
#[test]
fn every_way_to_change_a_file_is_noticed() {
    let receiver = Receiver::start();
    let mut gateway = Gateway::prepare(&rules(&receiver, "0"));
    let folder = gateway.folder.path().to_owned();
    // routes.toml -> ..data/routes.toml -> ..first/routes.toml, as in a mounted ConfigMap.
    std::fs::create_dir(folder.join("..first")).unwrap();
    std::fs::rename(gateway.file(), folder.join("..first/routes.toml")).unwrap();
    symlink("..first", folder.join("..data")).unwrap();
    symlink("..data/routes.toml", gateway.file()).unwrap();
    gateway.run();
    let mut before = hash(&gateway);

    std::fs::create_dir(folder.join("..second")).unwrap();
    std::fs::write(
        folder.join("..second/routes.toml"),
        gateway.text(&rules(&receiver, "1")),
    )
    .unwrap();
    symlink("..second", folder.join("..data_tmp")).unwrap();
    std::fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
    before = applied(&gateway, &before);

    std::fs::write(
        folder.join("target.toml"),
        gateway.text(&rules(&receiver, "2")),
    )
    .unwrap();
    symlink("target.toml", folder.join("swap")).unwrap();
    std::fs::rename(folder.join("swap"), gateway.file()).unwrap();
    before = applied(&gateway, &before);

    std::fs::write(
        folder.join("new.toml"),
        gateway.text(&rules(&receiver, "3")),
    )
    .unwrap();
    std::fs::rename(folder.join("new.toml"), gateway.file()).unwrap();
    before = applied(&gateway, &before);

    gateway.write(&rules(&receiver, "4"));
    before = applied(&gateway, &before);

    std::fs::remove_file(gateway.file()).unwrap();
    eventually(
        "the missing file to be reported",
        Duration::from_secs(10),
        || (gateway.metric("hookfan_config_last_reload_successful") == Some(0.0)).then_some(()),
    );
    assert_eq!(hash(&gateway), before, "a missing file changes nothing");
    assert_eq!(qiscus(gateway.ingress, &message(1, "a", "a")).status, 200);
    let arrived = receiver.gets(1);
    assert_eq!(arrived[0].request.target, "/4");
}

/// P7: a bad file changes nothing, is reported with its place, and the next
/// good one applies.
#[test]
fn a_bad_file_changes_nothing() {
    let receiver = Receiver::start();
    let gateway = Gateway::start(&rules(&receiver, "good"));
    let before = hash(&gateway);
    gateway.write(&rules(&receiver, "bad").replace("to = \"one\"", "to = \"onee\""));
    let refused = gateway.post("/api/v1/reload", &serde_json::json!({}));
    assert_eq!(refused.status, 422);
    let said = refused.json();
    let complaints = said["complaints"].as_array().unwrap();
    let complaint = complaints
        .iter()
        .find(|one| one["severity"] == "error")
        .unwrap();
    assert!(
        complaint["line"].as_u64().unwrap() > 1
            && complaint["help"].as_str().unwrap().contains("one"),
        "{complaint}"
    );
    assert_eq!(hash(&gateway), before);
    assert_eq!(qiscus(gateway.ingress, &message(1, "a", "a")).status, 200);
    assert_eq!(receiver.gets(1)[0].request.target, "/good");
    gateway.write(&rules(&receiver, "better"));
    assert_eq!(
        gateway
            .post("/api/v1/reload", &serde_json::json!({}))
            .status,
        200
    );
    assert_eq!(
        gateway.metric("hookfan_config_last_reload_successful"),
        Some(1.0)
    );
}

/// SIGHUP reloads; what needs a restart is refused by name.
#[test]
fn a_hangup_reloads_and_an_address_needs_a_restart() {
    let receiver = Receiver::start();
    let gateway = Gateway::start(&rules(&receiver, "0"));
    let before = hash(&gateway);
    gateway.write(&rules(&receiver, "1"));
    gateway.signal("HUP");
    let before = applied(&gateway, &before);
    let moved = gateway
        .text(&rules(&receiver, "1"))
        .replace(&gateway.ingress.to_string(), "127.0.0.1:1");
    std::fs::write(gateway.file(), moved).unwrap();
    let refused = gateway.post("/api/v1/reload", &serde_json::json!({}));
    assert_eq!(refused.status, 422);
    assert!(
        refused.text().contains("server.listen"),
        "{}",
        refused.text()
    );
    assert_eq!(hash(&gateway), before);
}

/// H1: reloads, half of them invalid, under load: 0 lost, and tasks and
/// descriptors are back where they were.
#[test]
fn a_storm_of_reloads_loses_nothing_and_leaks_nothing() {
    let reloads = scale("HOOKFAN_RELOADS", 60);
    let proof = Proof::of("reload");
    let receiver = Receiver::start();
    let gateway = Gateway::start(&rules(&receiver, "start"));
    let load = Load::start(
        gateway.ingress,
        "storm",
        4,
        4,
        Some(Duration::from_millis(8)),
    );
    eventually("the load", Duration::from_secs(10), || {
        (load.count() >= 20).then_some(())
    });
    let descriptors = gateway.descriptors();
    let pace = Duration::from_millis(60);
    for number in 0..reloads {
        let began = Instant::now();
        let good = rules(&receiver, &format!("{number}"));
        let text = if number % 2 == 0 {
            good
        } else {
            good.replace("[[route]]", "[[rout]]")
        };
        gateway.write(&text);
        let answer = gateway.post("/api/v1/reload", &serde_json::json!({}));
        assert_eq!(
            answer.status,
            if number % 2 == 0 { 200 } else { 422 },
            "{}",
            answer.text()
        );
        std::thread::sleep(pace.saturating_sub(began.elapsed()));
    }
    assert_eq!(
        load.refused.load(std::sync::atomic::Ordering::Relaxed),
        0,
        "a webhook was refused"
    );
    let after = eventually("descriptors to be back", Duration::from_secs(25), || {
        Some(gateway.descriptors()).filter(|now| now.abs_diff(descriptors) <= 5)
    });
    let acknowledged = load.finish();
    gateway.drained(Duration::from_secs(30));
    let arrived: HashSet<String> =
        receiver.with(|all| all.iter().map(|one| text_of(&one.request)).collect());
    assert!(
        acknowledged.iter().all(|text| arrived.contains(text)),
        "an acknowledged event was lost"
    );
    proof.found(serde_json::json!({
        "reloads, half of them invalid": reloads,
        "acknowledged": acknowledged.len(),
        "lost": 0,
        "refused": 0,
        "descriptors before": descriptors,
        "descriptors after": after,
    }));
}

/// X10: reloading between two secrets in a loop while unsigned webhooks come:
/// none is ever taken.
#[test]
fn no_moment_of_a_reload_takes_an_unsigned_webhook() {
    let receiver = Receiver::start();
    let gateway = Gateway::start(&rules(&receiver, "a"));
    let body = message(1, "x", "x");
    std::thread::scope(|scope| {
        let reloading = scope.spawn(|| {
            for number in 0..30 {
                gateway.write(&rules(&receiver, &number.to_string()));
                assert_eq!(
                    gateway
                        .post("/api/v1/reload", &serde_json::json!({}))
                        .status,
                    200
                );
            }
        });
        while !reloading.is_finished() {
            let answer = ask(gateway.ingress, "POST", "/hooks/qiscus", &[], &body).unwrap();
            assert_eq!(answer.status, 401);
        }
    });
    assert_eq!(receiver.count(), 0);
}

/// X13: any changed field of a destination is live after the reload.
#[test]
fn a_changed_destination_is_live_at_once() {
    let receiver = Receiver::start();
    let gateway = Gateway::start(&rules(&receiver, "a"));
    let base = rules(&receiver, "a");
    let variants = [
        base.replace("/a\"", "/b\""),
        base.replace(
            "allow_private = true",
            "allow_private = true\nmethod = \"PUT\"",
        ),
        base.replace(
            "allow_private = true",
            "allow_private = true\nheaders = { X-New = \"1\" }",
        ),
        base.replace(
            "allow_private = true",
            "allow_private = true\n[destination.one.body]\nonly = \"{{ message.text }}\"",
        ),
    ];
    for (number, variant) in variants.iter().enumerate() {
        gateway.write(variant);
        assert_eq!(
            gateway
                .post("/api/v1/reload", &serde_json::json!({}))
                .status,
            200
        );
        let id = number.to_string();
        assert_eq!(qiscus(gateway.ingress, &message(1, &id, &id)).status, 200);
        let arrived = receiver.gets(number + 1);
        let request = &arrived[number].request;
        let seen = match number {
            0 => request.target == "/b",
            1 => request.method == "PUT",
            2 => request.header("x-new") == Some("1"),
            _ => request.body == br#"{"only":"3"}"#,
        };
        assert!(seen, "variant {number}: {request:?}");
    }
}

/// D3: a secret is replaced while its old owner still sends: nobody who is right
/// is refused, and a second after the old one has left the file, it proves
/// nothing any more.
#[test]
fn a_secret_is_replaced_under_load_and_the_old_one_is_worth_nothing() {
    let rotations = scale("HOOKFAN_ROTATIONS", 20);
    let proof = Proof::of("rotation");
    let receiver = Receiver::start();
    let gateway = Gateway::start(&rules(&receiver, "in"));
    gateway.secret("new-token", "another-signature-token-0123456789");
    let plain = gateway.text(&rules(&receiver, "in"));
    let secrets = |names: &[&str]| {
        let files: Vec<String> = names
            .iter()
            .map(|name| format!("{{ file = \"{name}\" }}"))
            .collect();
        let listed = format!("secrets = [{}]", files.join(", "));
        let text = plain.replace("secret = { file = \"qiscus-token\" }", &listed);
        assert_ne!(text, plain);
        std::fs::write(gateway.file(), text).unwrap();
        let answer = gateway.post("/api/v1/reload", &serde_json::json!({}));
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    let post = |token: &str, id: &str| {
        let body = message(1, id, id);
        let headers = signed_with(token, &body);
        let answer = ask(gateway.ingress, "POST", "/hooks/qiscus", &headers, &body);
        answer.unwrap().status
    };
    let new = "another-signature-token-0123456789";
    assert_eq!(post(new, "too-soon"), 401);
    let load = Load::start(
        gateway.ingress,
        "turn",
        4,
        4,
        Some(Duration::from_millis(4)),
    );
    for number in 0..rotations {
        secrets(&["qiscus-token", "new-token"]);
        assert_eq!(post(new, &format!("first-{number}")), 200);
        secrets(&["new-token", "qiscus-token"]);
        assert_eq!(post(new, &format!("second-{number}")), 200);
    }
    let refused = load.refused.load(std::sync::atomic::Ordering::Relaxed);
    let acknowledged = load.finish().len();
    assert_eq!(refused, 0, "a sender who was right was refused");
    secrets(&["new-token"]);
    let began = Instant::now();
    eventually(
        "the old secret to be refused",
        Duration::from_secs(1),
        || (post(QISCUS_TOKEN, "late") == 401).then_some(()),
    );
    let retired = began.elapsed();
    assert_eq!(post(new, "right"), 200);
    proof.found(serde_json::json!({
        "replacements": rotations,
        "acknowledged": acknowledged,
        "right and refused": refused,
        "the old one refused after, ms": retired.as_millis() as u64,
    }));
}
