//! The command line as a person and as a shell meet it.

use std::io::Write;
use std::process::{Command, Output, Stdio};

fn hookfan(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hookfan"))
        .args(words)
        .env("COLUMNS", "80")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn text(words: &[&str]) -> String {
    let output = hookfan(words);
    assert!(output.status.success(), "{words:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The verbs below some words, as their help lists them.
fn verbs(words: &[&str]) -> Vec<String> {
    let help = text(&[words, &["--help"]].concat());
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    listed
        .take_while(|line| line.starts_with("  "))
        // What goes on from the line above is indented further.
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|verb| *verb != "help")
        .map(str::to_owned)
        .collect()
}

/// Every verb there is, those below others included.
fn every_verb() -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for verb in verbs(&[]) {
        let below = verbs(&[&verb]);
        found.push(vec![verb.clone()]);
        found.extend(below.into_iter().map(|one| vec![verb.clone(), one]));
    }
    assert!(found.len() > 30, "{found:?}");
    found
}

#[test]
fn every_help_fits_eighty_columns_and_shows_an_example() {
    for verb in every_verb() {
        let words: Vec<&str> = verb.iter().map(String::as_str).collect();
        let help = text(&[&words[..], &["--help"]].concat());
        for line in help.lines() {
            assert!(line.chars().count() <= 80, "{words:?}: {line}");
        }
        let example = format!("  hookfan {}", words.join(" "));
        assert!(
            help.contains(&example),
            "{words:?} shows no example:\n{help}"
        );
    }
}

#[test]
fn every_verb_that_reads_can_print_json() {
    for verb in [
        "check",
        "explain",
        "send",
        "status",
        "events list",
        "events show",
        "dead list",
        "dead show",
        "dead retry",
        "dead drop",
        "replay",
        "pause",
        "resume",
        "links list",
        "links set",
        "links remove",
        "links import",
        "links look",
        "backfill",
        "log verify",
        "log stat",
        "version",
    ] {
        let words: Vec<&str> = verb.split(' ').collect();
        let help = text(&[&words[..], &["--help"]].concat());
        assert!(help.contains("--json"), "{verb} has no --json");
    }
}

#[test]
fn completions_name_every_verb_and_bash_can_read_them() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = text(&["completions", shell]);
        for verb in every_verb() {
            let name = verb.last().unwrap();
            assert!(script.contains(name), "{shell} does not complete {verb:?}");
        }
        let knows_values = !["elvish", "powershell"].contains(&shell);
        assert!(
            !knows_values || script.contains("backlog_full"),
            "{shell} knows no reasons"
        );
    }
    let mut bash = Command::new("bash")
        .arg("-n")
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let script = text(&["completions", "bash"]);
    bash.stdin
        .take()
        .unwrap()
        .write_all(script.as_bytes())
        .unwrap();
    let ended = bash.wait_with_output().unwrap();
    assert!(
        ended.status.success() && ended.stderr.is_empty(),
        "{ended:?}"
    );
    assert_eq!(hookfan(&["completions", "cmd"]).status.code(), Some(64));
}

#[test]
fn there_is_a_manual_page_for_every_verb() {
    let folder = tempfile::tempdir().unwrap();
    text(&["man", folder.path().to_str().unwrap()]);
    for verb in every_verb() {
        let page = folder.path().join(format!("hookfan-{}.1", verb.join("-")));
        let page =
            std::fs::read_to_string(&page).unwrap_or_else(|error| panic!("{page:?}: {error}"));
        assert!(page.contains(".SH NAME"), "{verb:?}");
    }
    let first = text(&["man"]);
    assert!(
        first.contains(".SH NAME") && first.contains("fan\\-out"),
        "{first}"
    );
}

#[test]
fn top_needs_a_terminal_and_says_what_scripts_read() {
    for words in [&["top"][..], &["top", "--json"]] {
        let output = hookfan(words);
        assert_eq!(output.status.code(), Some(64));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("hookfan status --json"), "{said}");
        assert!(output.stdout.is_empty());
    }
}
