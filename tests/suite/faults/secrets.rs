//! P6: canary secrets go everywhere secrets go; nothing that anybody can read
//! shows them, at TRACE.

use base64::Engine;

use crate::support::gateway::Gateway;
use crate::support::http::ask;
use crate::support::proof::Proof;
use crate::support::receiver::{Receiver, Reply};
use crate::support::sender::{message, qiscus};

const CANARIES: [&str; 6] = [
    "canary-dimension-key-7f3a",
    "canary-header-token-91bc",
    "canary/url+secret=2d4e",
    "Y2FuYXJ5LXNpZ25pbmcta2V5LTU1YWE=",
    "canary-source-token-c0de-c0de-c0de",
    "canary-admin-token-0123456789abcdef0123456789",
];

/// Every way a secret may be written.
fn forms(secret: &str) -> Vec<String> {
    let percent: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let base64 = base64::engine::general_purpose::STANDARD.encode(secret);
    vec![
        secret.to_owned(),
        percent,
        base64.trim_end_matches('=').to_owned(),
        hex::encode(secret),
    ]
}

fn rules(gateway: &Gateway, receiver: &Receiver) -> String {
    for (number, canary) in CANARIES.iter().enumerate() {
        let secret = if number == 3 {
            format!("whsec_{canary}")
        } else {
            (*canary).to_owned()
        };
        gateway.secret(&format!("secret-{number}"), &secret);
    }
    let url = receiver.url();
    format!(
        "[source.shop]\nkind = \"generic\"\nauth = {{ scheme = \"token\", header = \"X-Shop-Token\", secret = {{ file = \"secret-4\" }} }}\n\
         [destination.analytics]\nkind = \"dimension\"\nbase_url = \"{url}\"\napi_key = {{ file = \"secret-0\" }}\nallow_private = true\n\
         retry = {{ delays = [\"50ms\"], for = \"150ms\" }}\n\
         [destination.warehouse]\nkind = \"http\"\nurl = \"{url}/in\"\nallow_private = true\nretry = {{ delays = [\"50ms\"], for = \"150ms\" }}\n\
         headers = {{ Authorization = {{ file = \"secret-1\" }} }}\nsign = {{ scheme = \"standard\", secret = {{ file = \"secret-3\" }} }}\n\
         [destination.gone]\nkind = \"dimension\"\nbase_url = \"http://127.0.0.1:9\"\napi_key = {{ file = \"secret-2\" }}\nallow_private = true\n\
         retry = {{ delays = [\"50ms\"], for = \"150ms\" }}\n\
         [[route]]\nto = [\"analytics\", \"warehouse\", \"gone\"]\n[log]\nmin_free = \"16MiB\"\n"
    )
}

/// All that an operator can be shown, after deliveries have failed.
fn everything_shown(gateway: &Gateway, text: &str) -> Vec<String> {
    let bearer = [(
        "authorization".to_owned(),
        format!("Bearer {}", CANARIES[5]),
    )];
    let read = |path: &str| {
        ask(gateway.admin, "GET", path, &bearer, b"")
            .unwrap()
            .text()
    };
    let dead = crate::support::eventually(
        "three dead letters",
        std::time::Duration::from_secs(20),
        || Some(read("/api/v1/dead")).filter(|page| page.matches("\"reason\"").count() >= 6),
    );
    let mut shown = vec![
        dead,
        read("/api/v1/status"),
        read("/api/v1/config"),
        read("/api/v1/events"),
        read("/metrics"),
    ];
    let events: serde_json::Value = serde_json::from_str(&shown[3]).unwrap();
    for event in events["events"].as_array().unwrap() {
        shown.push(read(&format!(
            "/api/v1/events/{}",
            event["id"].as_str().unwrap()
        )));
    }
    let letters: serde_json::Value = serde_json::from_str(&shown[0]).unwrap();
    for letter in letters["dead"].as_array().unwrap() {
        shown.push(read(&format!(
            "/api/v1/dead/{}",
            letter["id"].as_str().unwrap()
        )));
    }
    let explained = ask(
        gateway.admin,
        "POST",
        "/api/v1/explain?source=qiscus",
        &bearer,
        &message(1, "b", "b"),
    )
    .unwrap();
    assert_eq!(explained.status, 200, "{}", explained.text());
    shown.push(explained.text());
    // A secret typed into the file is a complaint that does not print it.
    std::fs::write(
        gateway.file(),
        text.replace("{ file = \"secret-0\" }", &format!("\"{}\"", CANARIES[0])),
    )
    .unwrap();
    let refused = ask(gateway.admin, "POST", "/api/v1/reload", &bearer, b"").unwrap();
    assert_eq!(refused.status, 422);
    shown.push(refused.text());
    for verb in [vec!["check"], vec!["check", "--json"], vec!["status"]] {
        let output = gateway.hookfan(&verb);
        shown.push(
            String::from_utf8_lossy(&output.stdout).into_owned()
                + &String::from_utf8_lossy(&output.stderr),
        );
    }
    shown
}

#[test]
fn no_secret_is_in_any_log_line_metric_answer_or_error() {
    let proof = Proof::of("secrets");
    // A destination that echoes what it was sent, as an error page would.
    let receiver = Receiver::answering(|request| {
        let echo = format!("you sent {} {:?}", request.target, request.headers);
        Reply::Full(
            400,
            vec![("x-echo".to_owned(), request.target.clone())],
            echo.into_bytes(),
        )
    });
    let mut gateway = Gateway::prepare("").at_level("trace");
    let text = gateway.text(&rules(&gateway, &receiver)).replace(
        "data_dir",
        "admin_token = { file = \"secret-5\" }\ndata_dir",
    );
    std::fs::write(gateway.file(), &text).unwrap();
    gateway.run();
    assert_eq!(qiscus(gateway.ingress, &message(1, "a", "a")).status, 200);
    for token in ["wrong", CANARIES[4]] {
        let answer = ask(
            gateway.ingress,
            "POST",
            "/hooks/shop",
            &[("x-shop-token".to_owned(), token.to_owned())],
            b"{\"a\":1}",
        )
        .unwrap();
        assert_eq!(answer.status, if token == "wrong" { 401 } else { 200 });
    }
    let mut shown = everything_shown(&gateway, &text);
    let command_line = std::fs::read_to_string(format!("/proc/{}/cmdline", gateway.pid())).unwrap();
    shown.push(command_line);
    gateway.stop();
    shown.push(gateway.log());
    for canary in CANARIES {
        for form in forms(canary) {
            for text in &shown {
                if let Some(at) = text.find(&form) {
                    let from = at.saturating_sub(200);
                    panic!(
                        "{canary} is shown:\n…{}",
                        String::from_utf8_lossy(&text.as_bytes()[from..(at + 80).min(text.len())])
                    );
                }
            }
        }
    }
    proof.found(serde_json::json!({
        "canaries": CANARIES.len(),
        "spellings of each": forms(CANARIES[0]).len(),
        "texts looked through": shown.len(),
        "KiB looked through": shown.iter().map(String::len).sum::<usize>() / 1024,
        "found": 0,
    }));
}
