//! Every command of the pages is typed, at a gateway that has something to show:
//! one destination that takes what it gets, one that refuses it.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::{fences, page};
use crate::support::eventually;
use crate::support::gateway::Gateway;
use crate::support::http::ask;
use crate::support::receiver::{Receiver, Reply};
use crate::support::sender::{message, qiscus};

const RULES: &str = r#"
[log]
min_free = "16MiB"
[source.shop]
kind = "generic"
auth = { scheme = "token", header = "X-Key", secret = { file = "qiscus-token" } }
[destination.warehouse]
kind = "http"
url = "WAREHOUSE/in"
allow_private = true
[destination.crm]
kind = "http"
url = "CRM/in"
allow_private = true
[[route]]
to = ["warehouse", "crm"]
"#;

/// The gateway that the commands are typed at.
struct Scene {
    gateway: Gateway,
    sent: usize,
    _warehouse: Receiver,
    _crm: Receiver,
}

impl Scene {
    fn set() -> Self {
        let warehouse = Receiver::start();
        let crm = Receiver::answering(|_| Reply::Status(400));
        let rules = RULES
            .replace("WAREHOUSE", &warehouse.url())
            .replace("CRM", &crm.url());
        Self {
            gateway: Gateway::start(&rules),
            sent: 0,
            _warehouse: warehouse,
            _crm: crm,
        }
    }

    /// A dead letter that is there now: its id and its event's.
    fn letter(&mut self) -> (String, String) {
        self.sent += 1;
        let id = format!("m-{}", self.sent);
        qiscus(self.gateway.ingress, &message(1, &id, "hello"));
        eventually("a dead letter", Duration::from_secs(10), || {
            let page = self.gateway.get("/api/v1/dead").json();
            let letter = page["dead"].as_array()?.last()?.clone();
            let text = |name: &str| letter[name].as_str().map(str::to_owned);
            Some((text("id")?, text("event")?))
        })
    }

    /// Types one line; what it was answered, if that was not well.
    fn types(&mut self, line: &str) -> Result<(), String> {
        let (letter, event) = self.letter();
        let line = line
            .replace("ADMIN", &self.gateway.admin.to_string())
            .replace("EVENT", &event)
            .replace("ID", &letter);
        if let Some(words) = line.strip_prefix("curl ") {
            return self.asks(words);
        }
        let words = line
            .strip_prefix("hookfan ")
            .ok_or("it is neither hookfan nor curl")?;
        let output = Command::new("sh")
            .arg("-c")
            .arg(format!("\"$HOOKFAN\" {words}"))
            .env("HOOKFAN", env!("CARGO_BIN_EXE_hookfan"))
            .current_dir(self.gateway.folder.path())
            .output()
            .unwrap();
        match output.status.code() {
            Some(0) => Ok(()),
            // Findings: `check` of a file that only has warnings.
            Some(2) if words.starts_with("check") => Ok(()),
            _ => Err(format!("{output:?}")),
        }
    }

    /// What curl would ask, asked by the suite's own client.
    fn asks(&self, words: &str) -> Result<(), String> {
        let method = if words.contains("-X POST") {
            "POST"
        } else {
            "GET"
        };
        let (_, url) = words.split_once("http://").ok_or("no address")?;
        let url = url.split_whitespace().next().unwrap_or_default();
        let path = url.find('/').map_or("/", |at| &url[at..]);
        let answer = ask(self.gateway.admin, method, path, &[], b"").map_err(|e| e.to_string())?;
        let wanted = words.split_once("| grep ").map(|(_, word)| word.trim());
        let found = wanted.is_none_or(|word| answer.text().contains(word));
        match answer.status {
            200 if found => Ok(()),
            status => Err(format!("{status}: {}", answer.text())),
        }
    }
}

/// The commands of a page: the lines of its `sh` blocks, and what stands in its
/// tables.
fn commands(page: &str) -> Vec<String> {
    let blocks = fences(page).into_iter().filter(|(words, _)| words == "sh");
    let lines: Vec<String> = blocks
        .flat_map(|(_, inside)| inside.lines().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let tables = page.lines().filter(|line| line.starts_with("| "));
    let cells = tables.flat_map(|line| line.split('`').skip(1).step_by(2));
    let cells = cells.filter(|cell| cell.starts_with("hookfan "));
    // A cell that names a verb and nothing to do with it is not a whole command.
    let cells = cells.map(|cell| match cell.split(' ').count() {
        ..=3 => format!("{cell} --help"),
        _ => cell.to_owned(),
    });
    let typed = lines.into_iter().chain(cells).map(|line| {
        let (command, _comment) = line.split_once(" #").unwrap_or((&line, ""));
        command.trim().to_owned()
    });
    typed.filter(|line| !line.is_empty()).collect()
}

#[test]
fn every_command_of_the_pages_runs() {
    let mut scene = Scene::set();
    let (mut failed, mut run) = (Vec::new(), 0);
    for name in [
        "operating.md",
        "upgrading.md",
        "security.md",
        "guarantees.md",
    ] {
        for line in commands(&page(name)) {
            run += 1;
            if let Err(why) = scene.types(&line) {
                failed.push(format!("{name}: {line}\n  {why}"));
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(run >= 30, "{run}");
}

#[test]
fn every_alert_has_its_heading_and_every_heading_its_alert() {
    let operating = page("operating.md");
    let (_, alerts) = operating.split_once("\n## Alerts\n").unwrap();
    let headings: Vec<&str> = alerts
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .collect();
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/deploy/prometheus/hookfan.rules.yml"
    );
    let rules = std::fs::read_to_string(path).unwrap();
    let mut named: Vec<&str> = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .collect();
    assert!(named.len() >= 10, "{named:?}");
    let mut written = headings.clone();
    written.sort_unstable();
    named.sort_unstable();
    assert_eq!(written, named);
}

#[test]
fn the_reasons_of_dead_letters_are_those_there_are() {
    let operating = page("operating.md");
    for reason in hookfan::settle::Reason::ALL {
        let row = format!("| `{}` |", reason.as_str());
        assert!(operating.contains(&row), "{row}");
    }
}

#[test]
fn every_promise_names_tests_that_exist() {
    let (page, code) = (page("guarantees.md"), super::code());
    let mut sections = page.split("\n## ").skip(1);
    let promises: Vec<&str> = sections
        .by_ref()
        .take_while(|section| section.starts_with(|first: char| first.is_ascii_digit()))
        .collect();
    assert_eq!(promises.len(), 9);
    for promise in promises {
        let (_, tests) = promise.split_once("*Held by* ").unwrap();
        let tests: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        assert!(!tests.is_empty(), "{promise}");
        for test in tests {
            assert!(code.contains(&format!("fn {test}()")), "{test}");
        }
    }
}

#[test]
fn every_file_of_the_page_about_safety_is_sound() {
    let mut files = 0;
    for (words, inside) in fences(&page("security.md")) {
        if words == "toml fragment" {
            files += 1;
            let errors: Vec<Value> = super::complaints(&inside)
                .into_iter()
                .filter(|one| one["severity"] == "error")
                .collect();
            assert!(errors.is_empty(), "{errors:#?}\nin\n{inside}");
        }
    }
    assert_eq!(files, 1);
}
