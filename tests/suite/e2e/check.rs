//! `hookfan check` on what engineers really write wrong: some hundreds of
//! small files, each with one mistake. Each complaint has a place, says what is
//! wrong and what to write instead, and says it once.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// A secret that is set, so that only the mistakes are mistakes.
const SECRET: &str = "try-me";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/fixtures/wrong")
}

fn check(file: &str, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hookfan"))
        .current_dir(folder())
        .args(["check", "--strict", "-c", file])
        .args(more)
        .env("SECRET", SECRET)
        .env("EMPTY", "")
        .env_remove("HOOKFAN_CONFIG")
        .output()
        .unwrap()
}

/// `theme/name.toml` of all of them, in order.
fn files() -> Vec<String> {
    let mut found = Vec::new();
    for theme in std::fs::read_dir(folder()).unwrap().flatten() {
        let theme = theme.file_name().into_string().unwrap();
        // What others include; they are wrong by that.
        if theme == "included" {
            continue;
        }
        for file in std::fs::read_dir(folder().join(&theme)).unwrap().flatten() {
            let name = file.file_name().into_string().unwrap();
            if name.ends_with(".toml") {
                found.push(format!("{theme}/{name}"));
            }
        }
    }
    found.sort();
    assert!(found.len() >= 350, "{}", found.len());
    found
}

/// What is wrong with what `check` says of a file.
fn unclear(file: &str, complaints: &[Value]) -> Vec<String> {
    let mut said = Vec::new();
    let mut seen = BTreeSet::new();
    for one in complaints {
        let text = |name: &str| one[name].as_str().unwrap_or_default().trim();
        let number = |name: &str| one[name].as_u64().unwrap_or(0);
        if text("file").is_empty() || number("line") == 0 || number("column") == 0 {
            said.push(format!("{file}: no place: {one}"));
        }
        if text("message").is_empty() || text("help").is_empty() {
            said.push(format!("{file}: no way out: {one}"));
        }
        let place = (text("file").to_owned(), number("line"), number("column"));
        if !seen.insert(place) {
            said.push(format!("{file}: twice at one place: {one}"));
        }
        if one.to_string().contains(SECRET) {
            said.push(format!("{file}: shows the secret: {one}"));
        }
    }
    // One mistake may be seen from two sides, such as a key that is missing
    // and one that is unknown; a list may have it in each item.
    if complaints.is_empty() || complaints.len() > 3 {
        said.push(format!(
            "{file}: {} complaints about one mistake",
            complaints.len()
        ));
    }
    said
}

#[test]
fn every_mistake_is_said_once_with_its_place_and_a_way_out() {
    let mut said = Vec::new();
    for file in files() {
        let output = check(&file, &["--json"]);
        let expected = if file.starts_with("warnings/") { 2 } else { 78 };
        if output.status.code() != Some(expected) {
            said.push(format!(
                "{file}: {:?}, not {expected}",
                output.status.code()
            ));
        }
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        said.extend(unclear(&file, told["complaints"].as_array().unwrap()));
    }
    assert!(said.is_empty(), "{}", said.join("\n"));
}

/// Read by eye, all of it: whoever changes a message reads the difference.
#[test]
fn every_complaint_reads_as_it_was_read_and_approved() {
    let mut drawn = String::new();
    for file in files() {
        let text = std::fs::read(folder().join(&file)).unwrap();
        let text = String::from_utf8_lossy(&text);
        let mistake = text.lines().next().unwrap_or_default();
        let output = check(&file, &[]);
        let said = String::from_utf8(output.stderr).unwrap();
        drawn.push_str(&format!("=== {mistake}\n{}\n\n", said.trim_end()));
    }
    insta::assert_snapshot!("wrong", drawn);
}
