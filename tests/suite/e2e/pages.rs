//! What the pages say is so: their files are sound, their commands run, what they
//! name is there, and what is there is named.

mod commands;
mod cookbook;

use std::path::Path;

use serde_json::Value;

use crate::support::gateway::hookfan;

/// A page of `docs`.
pub fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("docs")
        .join(name);
    std::fs::read_to_string(path).unwrap()
}

/// Every fenced block: the words it begins with, and what stands inside.
fn fences(page: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(said) = line.strip_prefix("```") else {
            continue;
        };
        let inside: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        found.push((said.to_owned(), inside.join("\n")));
    }
    found
}

/// What stands in each block that begins with these words.
pub fn blocks(page: &str, words: &str) -> Vec<String> {
    let found = fences(page).into_iter();
    found
        .filter(|(said, _)| said == words)
        .map(|(_, inside)| inside)
        .collect()
}

/// What `hookfan check` says of a file with this text.
fn complaints(text: &str) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("routes.toml"), text).unwrap();
    let output = hookfan(folder.path(), &["check", "--json"]);
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    said["complaints"].as_array().unwrap().clone()
}

#[test]
fn every_whole_file_of_the_page_is_sound() {
    let files = blocks(&page("vendors.md"), "toml complete");
    assert!(files.len() >= 3, "{}", files.len());
    for file in files {
        let said = complaints(&file);
        assert!(said.is_empty(), "{said:#?}\nin\n{file}");
    }
}

/// What a fragment may mention without defining it.
const CAST: &[(&str, &str, &str)] = &[
    (
        "source",
        "qiscus",
        "kind = \"qiscus\"\nauth = { scheme = \"qiscus\", secret = { env = \"S\" } }",
    ),
    (
        "source",
        "dixa",
        "kind = \"dixa\"\nauth = { scheme = \"dixa\", secret = { env = \"S\" } }",
    ),
    (
        "destination",
        "support",
        "kind = \"dixa\"\napi_key = { env = \"S\" }",
    ),
    (
        "destination",
        "shop",
        "kind = \"sendyiq\"\napi_key = { env = \"S\" }",
    ),
];

#[test]
fn every_fragment_of_the_page_is_sound_among_what_it_mentions() {
    let fragments = blocks(&page("vendors.md"), "toml fragment");
    assert!(fragments.len() >= 10, "{}", fragments.len());
    for fragment in fragments {
        let mut file = fragment.clone();
        for (what, name, keys) in CAST {
            if !fragment.contains(&format!("[{what}.{name}]")) {
                file += &format!("\n[{what}.{name}]\n{keys}\n");
            }
        }
        let errors: Vec<Value> = complaints(&file)
            .into_iter()
            .filter(|one| one["severity"] == "error")
            .collect();
        assert!(errors.is_empty(), "{errors:#?}\nin\n{file}");
    }
    let bare = blocks(&page("vendors.md"), "toml");
    assert!(bare.is_empty(), "say `complete` or `fragment`: {bare:#?}");
}

/// Every file of ours, in one text.
fn code() -> String {
    fn read(folder: &Path, text: &mut String) {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                read(&path, text);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                text.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
    }
    let mut text = String::new();
    for folder in ["src", "tests"] {
        read(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join(folder),
            &mut text,
        );
    }
    text
}

#[test]
fn every_row_of_the_coverage_names_a_test_that_exists_or_says_why_not() {
    let (page, code) = (page("vendors.md"), code());
    let (_, coverage) = page.split_once("## 11. Coverage").unwrap();
    let mut rows = 0;
    for line in coverage.lines().filter(|line| line.starts_with("| ")) {
        let last = line.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        if last == "test" || last == "---" {
            continue;
        }
        rows += 1;
        let tests: Vec<&str> = last.split('`').skip(1).step_by(2).collect();
        let reason = last.starts_with("not used: ") && last.len() > 30;
        assert!(reason || !tests.is_empty(), "{line}");
        for test in tests.iter().filter(|_| !reason) {
            assert!(code.contains(&format!("fn {test}()")), "{test} in {line}");
        }
    }
    assert!(rows > 50, "{rows}");
}

#[test]
fn every_kind_action_and_guard_stands_in_the_page() {
    let page = page("vendors.md");
    for vendor in hookfan::vendor::VENDORS {
        let destination = vendor.destination.as_ref().filter(|entry| entry.chat);
        let words = destination.map_or(&[][..], |entry| entry.actions);
        let guards = destination.map_or(&[][..], |entry| entry.guards);
        for word in [vendor.kind].iter().chain(words).chain(guards) {
            assert!(
                page.contains(&format!("`{word}`")),
                "{}: {word}",
                vendor.kind
            );
        }
    }
}
