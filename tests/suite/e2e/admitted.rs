//! T18, T19, G1: who is let in to the admin address. Every endpoint with every
//! token, Host and page, each to its exact status; and nothing changes unless
//! all three are right.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::gateway::Gateway;
use crate::support::http::{Answer, Connection, ask};
use crate::support::receiver::{Receiver, Reply};
use crate::support::sender::{message, qiscus};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// A gateway with a token, a paused destination, a dead letter and a link.
fn guarded(receiver: &Receiver) -> Gateway {
    let mut gateway = Gateway::prepare("");
    gateway.secret("token", TOKEN);
    let rules = format!(
        "[log]\nmin_free = \"16MiB\"\n[destination.crm]\nkind = \"http\"\nurl = \"{0}/in\"\nallow_private = true\n\
         [destination.idle]\nkind = \"http\"\nurl = \"{0}/in\"\nallow_private = true\n[[route]]\nto = \"crm\"\n",
        receiver.url()
    );
    let text = gateway.text(&rules);
    let token = "admin_token = { file = \"token\" }\ndata_dir";
    std::fs::write(gateway.file(), text.replace("data_dir", token)).unwrap();
    gateway.run();
    qiscus(gateway.ingress, &message(1, "a", "x"));
    eventually("a dead letter", Duration::from_secs(10), || {
        (admitted(&gateway, "GET", "/api/v1/dead", &Value::Null).json()["total"] == 1).then_some(())
    });
    let link = json!({"links": [{"destination": "crm", "ours": "qiscus/7", "id": "77"}]});
    for (path, body) in [
        ("/api/v1/links:set", &link),
        ("/api/v1/destinations/idle:pause", &json!({})),
    ] {
        assert_eq!(admitted(&gateway, "POST", path, body).status, 200);
    }
    eventually("the pause to be in force", Duration::from_secs(10), || {
        (state(&gateway)[0][1][3] == "operator").then_some(())
    });
    gateway
}

fn admitted(gateway: &Gateway, method: &str, path: &str, body: &Value) -> Answer {
    let headers = [
        ("authorization".to_owned(), format!("Bearer {TOKEN}")),
        ("content-type".to_owned(), "application/json".to_owned()),
    ];
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    ask(gateway.admin, method, path, &headers, body.as_bytes()).unwrap()
}

/// All that an endpoint could have changed.
fn state(gateway: &Gateway) -> Value {
    let get = |path: &str| admitted(gateway, "GET", path, &Value::Null).json();
    let status = get("/api/v1/status");
    let rows = status["destinations"].as_array().unwrap().iter();
    let rows: Vec<Value> = rows
        .map(|row| {
            json!([
                row["name"],
                row["owed"],
                row["dead_letters"],
                row["paused_by"]
            ])
        })
        .collect();
    json!([
        rows,
        get("/api/v1/dead"),
        get("/api/v1/links"),
        get("/api/v1/jobs"),
        status["config_applied_at"]
    ])
}

/// The status of one request as it is written; the answer is not waited for.
fn status(gateway: &Gateway, method: &str, path: &str, headers: &str, body: &str) -> u16 {
    let mut stream = TcpStream::connect(gateway.admin).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\n{headers}content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    line.split(' ').nth(1).unwrap().parse().unwrap()
}

/// What would change something, if it were let in.
fn body(path: &str) -> Value {
    let link = json!({"destination": "crm", "ours": "qiscus/7"});
    match path {
        "/api/v1/dead:retry" | "/api/v1/dead:drop" | "/api/v1/replay" => json!({"all": true}),
        "/api/v1/jobs" => json!({"what": "dead:drop", "all": true}),
        "/api/v1/links:set" => {
            json!({"links": [{"destination": "crm", "ours": "qiscus/8", "id": "88"}]})
        }
        "/api/v1/links:remove" => json!({"links": [link]}),
        "/api/v1/backfill" => json!({"source": "qiscus", "conversation": "1"}),
        _ => json!({}),
    }
}

/// Every operation of the document, with its path filled.
fn operations(gateway: &Gateway) -> Vec<(String, String, String)> {
    let document = admitted(gateway, "GET", "/api/v1/openapi.json", &Value::Null).json();
    let mut found = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            let name = if path.ends_with(":resume") {
                "idle"
            } else {
                "crm"
            };
            let filled = path.replace("{name}", name).replace("{id}", "1");
            found.push((method.to_uppercase(), path.clone(), filled));
        }
    }
    assert!(found.len() > 30, "{}", found.len());
    found
}

#[test]
fn nothing_is_answered_unless_host_token_and_page_are_right() {
    let receiver = Receiver::answering(|_| Reply::Status(400));
    let gateway = guarded(&receiver);
    let before = state(&gateway);
    let own = format!("host: {}\r\n", gateway.admin);
    let hosts = [(own.as_str(), true), ("host: evil.example\r\n", false)];
    let right = format!("authorization: Bearer {TOKEN}\r\n");
    let wrong = format!("authorization: Bearer {}\r\n", TOKEN.to_uppercase());
    let tokens = [("", false), (wrong.as_str(), false), (right.as_str(), true)];
    let sites = [
        ("", true),
        ("sec-fetch-site: same-origin\r\n", true),
        (
            "sec-fetch-site: cross-site\r\nsec-fetch-mode: cors\r\n",
            false,
        ),
    ];
    let mut asked = 0;
    for (method, path, filled) in operations(&gateway) {
        let open = ["/livez", "/readyz", "/metrics"].contains(&path.as_str());
        for (host, own) in hosts {
            for (token, known) in tokens {
                for (site, ours) in sites {
                    let expected = match (open, own, known, ours) {
                        (true, ..) => 200,
                        (_, false, ..) => 421,
                        (_, _, false, _) => 401,
                        (_, _, _, false) => 403,
                        // What is answered then, the other tests say.
                        _ => continue,
                    };
                    let headers = [host, token, site].concat();
                    let got = status(
                        &gateway,
                        &method,
                        &filled,
                        &headers,
                        &body(&path).to_string(),
                    );
                    assert_eq!(got, expected, "{method} {path}\n{headers}");
                    asked += 1;
                }
            }
        }
    }
    assert!(asked > 450, "{asked}");
    assert_eq!(state(&gateway), before, "none of them changed anything");

    // With all three right, the same requests do change something.
    let all = [own.as_str(), &right, "sec-fetch-site: same-origin\r\n"].concat();
    for path in [
        "/api/v1/links:remove",
        "/api/v1/destinations/idle:resume",
        "/api/v1/dead:drop",
    ] {
        let got = status(&gateway, "POST", path, &all, &body(path).to_string());
        assert_eq!(got, 200, "{path}");
    }
    let after = state(&gateway);
    for part in 0..3 {
        assert_ne!(after[part], before[part], "{}", after[part]);
    }
}

#[test]
fn other_methods_and_other_paths_are_guarded_too() {
    let receiver = Receiver::start();
    let gateway = Gateway::start("");
    drop(receiver);
    for (method, path, expected) in [
        ("PUT", "/api/v1/status", 405),
        ("DELETE", "/api/v1/dead", 405),
        ("OPTIONS", "/api/v1/reload", 405),
        ("POST", "/api/v1/status", 405),
        ("GET", "/api/v1/reload", 405),
        ("GET", "/api/v1/", 404),
        ("GET", "/api/v1/statuses", 404),
        ("GET", "/api/v1/../livez", 404),
    ] {
        let own = format!("host: {}\r\n", gateway.admin);
        assert_eq!(
            status(&gateway, method, path, &own, ""),
            expected,
            "{method} {path}"
        );
        let foreign = "host: evil.example\r\n";
        assert_eq!(
            status(&gateway, method, path, foreign, ""),
            421,
            "{method} {path}"
        );
    }
    let answer = ask(gateway.admin, "PUT", "/api/v1/jobs", &[], b"").unwrap();
    assert!(
        answer
            .headers
            .contains(&("allow".to_owned(), "GET, POST".to_owned()))
    );
}

/// A page that was open while the file changed.
#[test]
fn acting_on_what_is_gone_is_a_plain_404_with_a_sentence() {
    let receiver = Receiver::start();
    let destination = |name: &str| {
        format!(
            "[destination.{name}]\nkind = \"http\"\nurl = \"{}/in\"\nallow_private = true\n",
            receiver.url()
        )
    };
    let log = "[log]\nmin_free = \"16MiB\"\n";
    let gateway = Gateway::start(&format!(
        "{log}{}{}",
        destination("old"),
        destination("new")
    ));
    let mut page = Connection::open(gateway.admin).unwrap();
    let json = [("content-type".to_owned(), "application/json".to_owned())];
    let mut act = |path: &str| page.ask("POST", path, &json, b"{}").unwrap();
    assert_eq!(act("/api/v1/destinations/old:pause").status, 200);
    gateway.write(&format!("{log}{}", destination("new")));
    assert_eq!(act("/api/v1/reload").status, 200);
    for (path, said) in [
        (
            "/api/v1/destinations/old:resume",
            "there is no destination old",
        ),
        (
            "/api/v1/destinations/old:pause",
            "there is no destination old",
        ),
        ("/api/v1/jobs/1-1:stop", "there is no job 1-1"),
    ] {
        let answer = act(path);
        assert_eq!(answer.status, 404, "{path}");
        let detail = answer.json()["detail"].clone();
        assert!(detail.as_str().unwrap().starts_with(said), "{detail}");
    }
    assert_eq!(gateway.destination("old"), Value::Null);
}
