//! Every sample through the real gateway: rendered as expected, edges treated
//! as their README says, invalid ones refused and counted; JSONTestSuite where
//! it is at hand.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::support::gateway::Gateway;
use crate::support::http::ask;
use crate::support::receiver::Receiver;
use crate::support::sender::{qiscus, signed};

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/fixtures/samples")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_file())
        .collect();
    paths.sort();
    paths
}

/// Two copies: one rendered (`quoted`), one untouched.
fn gateway(receiver: &Receiver) -> Gateway {
    Gateway::start(&format!(
        "[limits]\nconnections_per_ip = 4000\n[log]\nmin_free = \"16MiB\"\n\
         [destination.rendered]\nkind = \"http\"\nurl = \"{0}/rendered\"\nallow_private = true\n[destination.rendered.body]\ntext = \"{{{{ message.quoted }}}}\"\nid = \"{{{{ event.id }}}}\"\n\
         [destination.untouched]\nkind = \"http\"\nurl = \"{0}/untouched\"\nallow_private = true\n\
         [[route]]\nto = \"rendered\"\non = \"post_comment_*\"\nfrom = \"qiscus\"\n[[route]]\nto = \"untouched\"\n\
         [source.any]\nkind = \"generic\"\nauth = {{ scheme = \"hmac\", header = \"X-Signature\", secret = {{ file = \"qiscus-token\" }}, encoding = \"hex\" }}\n",
        receiver.url()
    ))
}

/// 100 % of the expected renderings, as a destination receives them.
#[test]
fn every_sample_is_rendered_as_expected() {
    let receiver = Receiver::start();
    let gateway = gateway(&receiver);
    let expected: BTreeMap<String, String> =
        serde_json::from_slice(&std::fs::read(samples().join("expected_text.json")).unwrap())
            .unwrap();
    let mut ids = BTreeMap::new();
    let mut skipped = Vec::new();
    for (name, text) in &expected {
        if !["qiscus/", "qiscus_omnichannel/", "edge/"]
            .iter()
            .any(|folder| name.starts_with(folder))
        {
            skipped.push(name);
            continue;
        }
        let body = std::fs::read(samples().join(name)).unwrap();
        let answer = qiscus(gateway.ingress, &body);
        assert_eq!(answer.status, 200, "{name}");
        ids.insert(
            answer.json()["id"].as_str().unwrap().to_owned(),
            (name, text, body),
        );
    }
    assert!(
        skipped.is_empty(),
        "renderings of sources that are not there: {skipped:?}"
    );
    gateway.drained(std::time::Duration::from_secs(20));
    let mut rendered = 0;
    for arrived in receiver.all() {
        let (name, text, body) = &ids[arrived.request.header("webhook-id").unwrap()];
        if arrived.request.target == "/untouched" {
            assert_eq!(&arrived.request.body, body, "{name}");
        } else {
            assert_eq!(
                arrived.request.json()["text"].as_str(),
                Some(text.as_str()),
                "{name}"
            );
            rendered += 1;
        }
    }
    assert_eq!(rendered, expected.len());
}

#[test]
fn every_edge_is_taken_or_refused_as_its_readme_says_and_forwarded_untouched() {
    let receiver = Receiver::start();
    let gateway = gateway(&receiver);
    let mut sent = BTreeMap::new();
    for path in files(&samples().join("edge")) {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let body = std::fs::read(&path).unwrap();
        let answer = qiscus(gateway.ingress, &body);
        assert_eq!(answer.status, 200, "{name}");
        sent.insert(
            answer.json()["id"].as_str().unwrap().to_owned(),
            (name, body),
        );
    }
    gateway.drained(std::time::Duration::from_secs(20));
    let mut untouched = 0;
    for arrived in receiver
        .all()
        .iter()
        .filter(|one| one.request.target == "/untouched")
    {
        let (name, body) = &sent[arrived.request.header("webhook-id").unwrap()];
        assert_eq!(&arrived.request.body, body, "{name}");
        untouched += 1;
    }
    assert_eq!(
        untouched,
        sent.len(),
        "the two equal texts without an id are two events"
    );
}

#[test]
fn every_invalid_sample_is_refused_with_4xx_and_counted() {
    let receiver = Receiver::start();
    let gateway = gateway(&receiver);
    let paths = files(&samples().join("invalid"));
    for path in &paths {
        let body = std::fs::read(path).unwrap();
        let answer = qiscus(gateway.ingress, &body);
        assert_eq!(answer.status, 400, "{}", path.display());
    }
    assert_eq!(
        gateway.metric("hookfan_webhooks_total{code=\"400\",source=\"qiscus\"}"),
        Some(paths.len() as f64)
    );
    assert_eq!(receiver.count(), 0);
}

/// C2. The corpus is others' data and not part of this project; without it the
/// payload's own cases stand alone.
#[test]
fn the_json_test_suite_is_refused_or_delivered_byte_for_byte() {
    let folder = std::env::var("HOOKFAN_CORPORA").map_or_else(
        |_| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpora"),
        PathBuf::from,
    );
    let folder = folder.join("json-test-suite/test_parsing");
    if !folder.is_dir() {
        println!("no corpus at {}", folder.display());
        return;
    }
    let receiver = Receiver::start();
    let gateway = gateway(&receiver);
    let (mut refused, mut delivered, mut free) = (0, BTreeMap::new(), 0);
    for path in files(&folder) {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let body = std::fs::read(&path).unwrap();
        let mut headers = signed(&body);
        headers[1].0 = "X-Signature".to_owned();
        let answer = ask(gateway.ingress, "POST", "/hooks/any", &headers, &body).unwrap();
        match &name[..2] {
            "n_" => {
                assert!(
                    (400..500).contains(&answer.status),
                    "{name}: {}",
                    answer.status
                );
                refused += 1;
            }
            "y_" => {
                assert_eq!(answer.status, 200, "{name}");
                delivered.insert(answer.json()["id"].as_str().unwrap().to_owned(), body);
            }
            _ => {
                assert!(
                    answer.status == 200 || answer.status == 400,
                    "{name}: {}",
                    answer.status
                );
                if answer.status == 200 {
                    delivered.insert(answer.json()["id"].as_str().unwrap().to_owned(), body);
                }
                free += 1;
            }
        }
    }
    gateway.drained(std::time::Duration::from_secs(20));
    let arrived = receiver.all();
    assert_eq!(arrived.len(), delivered.len());
    for one in arrived {
        assert_eq!(
            one.request.body,
            delivered[one.request.header("webhook-id").unwrap()]
        );
    }
    println!(
        "JSONTestSuite: {refused} n_ refused, {} delivered byte for byte, {free} i_ answered 200 or 400",
        delivered.len()
    );
}
