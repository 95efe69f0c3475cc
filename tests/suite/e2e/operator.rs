//! What an operator sees and does.

use std::time::Duration;

use crate::support::eventually;
use crate::support::gateway::Gateway;
use crate::support::http::ask;
use crate::support::receiver::{Receiver, Reply};
use crate::support::sender::{message, qiscus};

fn rules(receiver: &Receiver) -> String {
    format!(
        "[log]\nmin_free = \"16MiB\"\n[destination.crm]\nkind = \"http\"\nurl = \"{}/in\"\nallow_private = true\n\
         headers = {{ Authorization = {{ file = \"qiscus-token\" }} }}\n[destination.crm.body]\ntext = \"{{{{ message.text }}}}\"\n\
         [[route]]\nname = \"customers\"\nfrom = \"qiscus\"\non = \"post_comment_*\"\nwhen = \"message.direction == 'incoming'\"\nto = \"crm\"\n\
         [[route]]\nname = \"nobody\"\non = \"other\"\nto = \"crm\"\n",
        receiver.url()
    )
}

/// explain shows each clause with what it saw and the exact request, masked.
#[test]
fn explain_shows_why_and_as_what() {
    let receiver = Receiver::start();
    let gateway = Gateway::start(&rules(&receiver));
    let body = message(3, "a", "where is my parcel?");
    std::fs::write(gateway.folder.path().join("webhook.json"), &body).unwrap();
    let output = gateway.hookfan(&["explain", "--source", "qiscus", "--json", "webhook.json"]);
    let explained: serde_json::Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    assert_eq!(explained["event"]["key"], "qiscus/3");
    let routes = explained["routes"].as_array().unwrap();
    assert_eq!(
        (&routes[0]["name"], &routes[0]["matched"]),
        (&"customers".into(), &true.into())
    );
    assert_eq!(
        (&routes[1]["name"], &routes[1]["matched"]),
        (&"nobody".into(), &false.into())
    );
    let when = routes[0]["clauses"]
        .as_array()
        .unwrap()
        .iter()
        .find(|clause| clause["clause"].as_str().unwrap().starts_with("when"))
        .unwrap();
    assert_eq!(when["values"][0]["value"], "incoming", "{when}");
    let request = &explained["requests"][0];
    assert_eq!(
        (&request["method"], &request["body"]),
        (
            &"POST".into(),
            &serde_json::json!({"text": "where is my parcel?"})
        )
    );
    assert!(
        !explained
            .to_string()
            .contains(crate::support::sender::QISCUS_TOKEN)
    );
    assert_eq!(receiver.count(), 0, "nothing is sent");

    let sent = gateway.hookfan(&["send", "webhook.json"]);
    assert_eq!(sent.status.code(), Some(0), "{sent:?}");
    let arrived = receiver.gets(1);
    assert_eq!(
        arrived[0].request.json(),
        request["body"],
        "what explain shows is what is sent"
    );
    let id = arrived[0].request.header("webhook-id").unwrap().to_owned();
    let stored = gateway.hookfan(&["explain", &id, "--json"]);
    let stored: serde_json::Value =
        serde_json::from_slice(&stored.stdout).unwrap_or_else(|_| panic!("{stored:?}"));
    assert_eq!(stored["routes"][0]["matched"], true);
}

/// owed = delivered + dead + dropped + pending, at every scrape, across
/// restarts.
#[test]
fn the_accounts_add_up_across_restarts() {
    let receiver = Receiver::answering(|request| match request.json()["text"].as_str() {
        Some("refuse") => Reply::Status(400),
        Some("wait") => Reply::Status(503),
        _ => Reply::Status(200),
    });
    let mut gateway = Gateway::start(&rules(&receiver));
    for (number, text) in ["fine", "refuse", "wait", "fine", "wait"]
        .iter()
        .enumerate()
    {
        qiscus(gateway.ingress, &message(number, &number.to_string(), text));
    }
    let account = |gateway: &Gateway| {
        let series = |settlement: &str| {
            gateway.metric(&format!("hookfan_deliveries_settled_total{{destination=\"crm\",settlement=\"{settlement}\"}}")).unwrap_or(0.0)
        };
        let owed = gateway
            .metric("hookfan_deliveries_owed_total{destination=\"crm\"}")
            .unwrap();
        let pending = gateway
            .metric("hookfan_deliveries_pending{destination=\"crm\"}")
            .unwrap();
        [
            owed,
            series("delivered"),
            series("dead"),
            series("dropped"),
            pending,
        ]
    };
    let expected = [5.0, 2.0, 1.0, 0.0, 2.0];
    eventually("the account", Duration::from_secs(10), || {
        (account(&gateway) == expected).then_some(())
    });
    gateway.kill();
    gateway.run();
    assert_eq!(account(&gateway), expected);
    assert_eq!(gateway.stop().code(), Some(0));
    gateway.run();
    assert_eq!(account(&gateway), expected);
}

/// T18, T19: token, foreign Host, cross-site page, wrong method.
#[test]
fn the_admin_address_admits_whom_it_should() {
    let mut gateway = Gateway::prepare("");
    gateway.secret("token", "0123456789abcdef0123456789abcdef");
    std::fs::write(
        gateway.file(),
        gateway
            .text("")
            .replace("data_dir", "admin_token = { file = \"token\" }\ndata_dir"),
    )
    .unwrap();
    gateway.run();
    let bearer = |token: &str| vec![("authorization".to_owned(), format!("Bearer {token}"))];
    let status = |method: &str, path: &str, headers: &[(String, String)]| {
        ask(gateway.admin, method, path, headers, b"")
            .unwrap()
            .status
    };
    let good = bearer("0123456789abcdef0123456789abcdef");
    for open in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(status("GET", open, &[]), 200, "{open}");
    }
    for (method, path) in [
        ("GET", "/api/v1/status"),
        ("GET", "/api/v1/events"),
        ("GET", "/api/v1/dead"),
        ("GET", "/api/v1/config"),
        ("POST", "/api/v1/reload"),
        ("POST", "/api/v1/dead:retry"),
        ("POST", "/api/v1/dead:drop"),
        ("POST", "/api/v1/replay"),
        ("POST", "/api/v1/explain"),
        ("POST", "/api/v1/destinations/x:pause"),
    ] {
        assert_eq!(status(method, path, &[]), 401, "{path} without a token");
        assert_eq!(
            status(method, path, &bearer("wrong")),
            401,
            "{path} with a wrong token"
        );
        assert_ne!(status(method, path, &good), 401, "{path}");
    }
    let foreign_page = [
        good.clone(),
        vec![("sec-fetch-site".to_owned(), "cross-site".to_owned())],
    ]
    .concat();
    assert_eq!(status("POST", "/api/v1/reload", &foreign_page), 403);
    assert_eq!(status("PUT", "/api/v1/reload", &good), 405);
    let output = gateway.hookfan(&["status", "--json"]);
    assert_eq!(
        output.status.code(),
        Some(0),
        "the token comes from the file: {output:?}"
    );
}

#[test]
fn a_data_folder_is_verified_read_and_counted_offline() {
    let receiver = Receiver::start();
    let mut gateway = Gateway::start(&rules(&receiver));
    for number in 0..5 {
        qiscus(gateway.ingress, &message(number, &number.to_string(), "x"));
    }
    gateway.drained(Duration::from_secs(5));
    gateway.stop();
    let verified = gateway.hookfan(&["log", "verify", "data"]);
    assert_eq!(verified.status.code(), Some(0), "{verified:?}");
    let lines = gateway.hookfan(&["log", "cat", "data"]);
    let lines = String::from_utf8_lossy(&lines.stdout).into_owned();
    assert!(
        lines
            .lines()
            .all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()),
        "{lines}"
    );
    assert_eq!(lines.matches("post_comment_mobile").count(), 5);
    assert_eq!(
        gateway
            .hookfan(&["log", "stat", "data", "--json"])
            .status
            .code(),
        Some(0)
    );

    // One flipped byte in the middle: found, said, and survived.
    let segment = std::fs::read_dir(gateway.data().join("log"))
        .unwrap()
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "seg"))
        .unwrap();
    let mut bytes = std::fs::read(&segment).unwrap();
    let at = bytes
        .windows(19)
        .position(|window| window == b"post_comment_mobile")
        .unwrap();
    bytes[at] ^= 0x20;
    std::fs::write(&segment, bytes).unwrap();
    let verified = gateway.hookfan(&["log", "verify", "data"]);
    assert_eq!(verified.status.code(), Some(2), "{verified:?}");
    gateway.run();
    assert_eq!(
        qiscus(gateway.ingress, &message(9, "after", "x")).status,
        200
    );
}

/// X21: accepting does not count what waits: the answer's cost does not depend
/// on the backlog. Measured as CPU time of the process, not wall time.
#[test]
fn accepting_costs_the_same_whatever_waits() {
    let receiver = Receiver::start();
    let gateway = Gateway::start(&rules(&receiver).replace(
        "allow_private = true",
        "allow_private = true\npaused = true",
    ));
    let ticks = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", gateway.pid())).unwrap();
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    };
    let post = |from: usize, count: usize| {
        let before = ticks();
        let mut connection = crate::support::http::Connection::open(gateway.ingress).unwrap();
        for number in from..from + count {
            let body = message(number, &number.to_string(), "x");
            assert_eq!(
                connection
                    .ask(
                        "POST",
                        "/hooks/qiscus",
                        &crate::support::sender::signed(&body),
                        &body
                    )
                    .unwrap()
                    .status,
                200
            );
        }
        ticks() - before
    };
    let first = post(0, 1500);
    post(1500, 6000);
    let last = post(7500, 1500);
    assert!(
        last <= first * 2 + 20,
        "1,500 events cost {first} ticks on an empty log and {last} behind 7,500 waiting"
    );
}
