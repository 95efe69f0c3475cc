//! The cookbook: every recipe is a sound file, and `hookfan explain` makes of each
//! webhook what the page says.

use std::collections::HashMap;

use serde_json::Value;

use super::{complaints, fences, page};
use crate::support::gateway::hookfan;

/// A webhook of the page: its headers and body.
struct Webhook {
    headers: Vec<String>,
    body: String,
}

/// What `hookfan explain` says of a webhook to the only source of this file.
fn explained(file: &str, webhook: &Webhook) -> Value {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("routes.toml"), file).unwrap();
    std::fs::write(folder.path().join("webhook.json"), &webhook.body).unwrap();
    let (_, source) = file.split_once("[source.").unwrap();
    let (source, rest) = source.split_once(']').unwrap();
    assert!(!rest.contains("[source."), "one source a recipe:\n{file}");
    let mut words = vec!["explain", "--json", "--source", source];
    for header in &webhook.headers {
        words.extend(["-H", header]);
    }
    words.push("webhook.json");
    let output = hookfan(folder.path(), &words);
    let failed = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{failed}\nin\n{file}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Everything the part says must be so; the whole may say more.
fn holds(part: &Value, whole: &Value) -> bool {
    match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => part
            .iter()
            .all(|(name, value)| whole.get(name).is_some_and(|whole| holds(value, whole))),
        _ => part == whole,
    }
}

/// Holds one line of a `… goes` block, and the body line below it, to a request.
fn compare(line: &str, below: Option<&str>, request: &Value, webhook: &Webhook) -> bool {
    let word = |name: &str| request[name].as_str().unwrap_or_default();
    if request["url"].is_null() {
        let ended: Vec<&str> = [word("state"), word("reason"), word("detail")]
            .into_iter()
            .filter(|word| !word.is_empty())
            .collect();
        return format!("{}  {}", word("destination"), ended.join(" ")).starts_with(line);
    }
    let body = match below {
        None => true,
        Some("the bytes that came") => {
            request["body"] == serde_json::from_str::<Value>(&webhook.body).unwrap()
        }
        Some(part) => holds(&serde_json::from_str(part).unwrap(), &request["body"]),
    };
    let head = format!(
        "{}  {} {}",
        word("destination"),
        word("method"),
        word("url")
    );
    body && head == line
}

#[test]
fn every_recipe_does_what_it_says() {
    let page = page("cookbook.md");
    let mut cast: HashMap<String, Webhook> = HashMap::new();
    let (mut file, mut recipes, mut shown) = (String::new(), 0, 0);
    for (words, inside) in fences(&page) {
        let words: Vec<&str> = words.split(' ').collect();
        match words.as_slice() {
            ["toml", "complete"] => {
                recipes += 1;
                let said = complaints(&inside);
                assert!(said.is_empty(), "{said:#?}\nin\n{inside}");
                file = inside;
            }
            ["json", "webhook", name, headers @ ..] => {
                let headers = headers.iter().map(|header| header.replacen('=', ": ", 1));
                let headers = headers.collect();
                let body = inside;
                cast.insert((*name).to_owned(), Webhook { headers, body });
            }
            ["text", name, "goes"] => {
                shown += 1;
                let webhook = &cast[*name];
                let said = explained(&file, webhook);
                let mut requests: Vec<&Value> = match said["events"].as_array() {
                    Some(events) => events
                        .iter()
                        .flat_map(|event| event["requests"].as_array().unwrap())
                        .collect(),
                    None => said["requests"].as_array().unwrap().iter().collect(),
                };
                let mut lines = inside.lines().peekable();
                while let Some(line) = lines.next().filter(|line| *line != "nowhere") {
                    let below = lines.next_if(|below| below.starts_with("  "));
                    assert!(!requests.is_empty(), "{name}: {line}\nin\n{file}");
                    let request = requests.remove(0);
                    assert!(
                        compare(line, below.map(str::trim), request, webhook),
                        "{name}: the page says\n{inside}\nbut\n{request:#}\nin\n{file}"
                    );
                }
                assert!(requests.is_empty(), "{name}: {requests:#?}\nin\n{file}");
            }
            other => panic!("what is a block of {other:?}?"),
        }
    }
    assert!(recipes >= 20 && shown >= recipes, "{recipes}, {shown}");
}
