//! The shape of the code: layers, pure decisions, the size of a file, and what
//! every file says about itself. Looks at text, uses nothing of the crate.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Rows from the bottom up. A module may import from any lower row and from
/// nothing in its own.
const LAYERS: [&[&str]; 15] = [
    &["clock", "secret", "payload", "metrics", "trace", "proof"],
    &["event", "link", "decode"],
    &["message"],
    &["expression"],
    &["settle"],
    &["verify", "route", "transform"],
    &["vendor"],
    &["log", "links"],
    &["ingress", "deliver", "emulate"],
    &["config", "admin"],
    &["gateway"],
    &["cli"],
    &["sim"],
    &["main"],
    &["lib"],
];

/// Modules that decide: no I/O, not async, no clock.
const PURE: [&str; 12] = [
    "trace",
    "secret",
    "payload",
    "event",
    "link",
    "message",
    "expression",
    "settle",
    "verify",
    "route",
    "transform",
    "vendor",
];

const LINES_MAX: usize = 500;

struct File {
    path: PathBuf,
    module: String,
    /// Without comments, tests, and the insides of strings.
    code: String,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            walk(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn files() -> Vec<File> {
    let (root, mut paths) = (root().join("src"), Vec::new());
    walk(&root, &mut paths);
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            let first = path
                .strip_prefix(&root)
                .unwrap()
                .components()
                .next()
                .unwrap();
            let module = first
                .as_os_str()
                .to_str()
                .unwrap()
                .trim_end_matches(".rs")
                .to_owned();
            let is_test = path.components().any(|part| part.as_os_str() == "tests")
                || path.ends_with("tests.rs");
            let code = if is_test {
                String::new()
            } else {
                code_of(&text)
            };
            File { path, module, code }
        })
        .collect()
}

/// Code lines up to the tests, without comments and string contents.
fn code_of(text: &str) -> String {
    let mut code = String::new();
    for line in text.lines() {
        if line.starts_with("#[cfg(test)]") {
            break;
        }
        let mut inside = false;
        let mut kept = String::new();
        let mut letters = line.chars().peekable();
        while let Some(letter) = letters.next() {
            match letter {
                '\\' if inside => drop(letters.next()),
                '"' => inside = !inside,
                '/' if !inside && letters.peek() == Some(&'/') => break,
                _ if inside => {}
                _ => kept.push(letter),
            }
        }
        code.push_str(&kept);
        code.push('\n');
    }
    code
}

fn row(module: &str) -> Option<usize> {
    LAYERS.iter().position(|row| row.contains(&module))
}

/// Modules named after `crate::`, also inside `use crate::{a, b::c}`.
fn imports(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (index, line) in code.lines().enumerate() {
        for (at, _) in line.match_indices("crate::") {
            if at > 0
                && line[..at].ends_with(|before: char| {
                    before.is_alphanumeric() || before == '_' || before == '$'
                })
            {
                continue;
            }
            let rest = &line[at + "crate::".len()..];
            let names: Vec<&str> = match rest.strip_prefix('{') {
                Some(list) => list
                    .split([',', '}'])
                    .map(|item| item.trim().split("::").next().unwrap_or(""))
                    .collect(),
                None => vec![rest],
            };
            for name in names {
                let name: String = name
                    .chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect();
                if !name.is_empty() {
                    found.push((index + 1, name));
                }
            }
        }
    }
    found
}

fn violations(module: &str, code: &str) -> Vec<String> {
    let Some(own) = row(module) else {
        return vec![format!("{module} has no row in the layers")];
    };
    let mut said = Vec::new();
    for (line, imported) in imports(code) {
        if imported == module {
            continue;
        }
        match row(&imported) {
            Some(other) if other < own => {}
            Some(_) => said.push(format!("{line}: {module} may not import {imported}")),
            None => said.push(format!("{line}: {imported} has no row in the layers")),
        }
    }
    said
}

#[test]
fn imports_point_down_and_siblings_do_not_speak() {
    let mut said = Vec::new();
    for file in files()
        .iter()
        .filter(|file| file.module != "lib" && file.module != "main")
    {
        said.extend(
            violations(&file.module, &file.code)
                .into_iter()
                .map(|line| format!("{}:{line}", file.path.display())),
        );
    }
    assert!(said.is_empty(), "{}", said.join("\n"));
}

#[test]
fn the_layer_check_sees_a_sibling_and_an_upward_import() {
    assert_eq!(
        violations("route", "use crate::transform::Outgoing;"),
        ["1: route may not import transform"]
    );
    assert_eq!(
        violations("log", "\nuse crate::{clock, deliver::Worker};"),
        ["2: log may not import deliver"]
    );
    assert_eq!(
        violations("log", "use crate::settle::Reason;"),
        Vec::<String>::new()
    );
    assert_eq!(
        violations(
            "log",
            &code_of("// crate::deliver is not imported\nlet x = \"crate::cli\";")
        ),
        Vec::<String>::new()
    );
}

#[test]
fn decisions_do_no_io_are_not_async_and_have_no_clock() {
    const BANNED: [&str; 10] = [
        "async fn",
        "tokio::",
        "std::fs",
        "TcpStream",
        "TcpListener",
        "UdpSocket",
        "SystemTime::now",
        "Instant::now",
        "fastrand",
        "std::env",
    ];
    let mut said = Vec::new();
    for file in files()
        .iter()
        .filter(|file| PURE.contains(&file.module.as_str()))
    {
        for (index, line) in file.code.lines().enumerate() {
            said.extend(
                BANNED
                    .iter()
                    .filter(|word| line.contains(*word))
                    .map(|word| format!("{}:{}: {word}", file.path.display(), index + 1)),
            );
        }
    }
    assert!(said.is_empty(), "{}", said.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for_and_stays_readable() {
    let mut said = Vec::new();
    let mut paths = Vec::new();
    walk(&root().join("src"), &mut paths);
    walk(&root().join("tests"), &mut paths);
    walk(&root().join("benches"), &mut paths);
    for path in paths {
        let text = std::fs::read_to_string(&path).unwrap();
        if !text.starts_with("//!") {
            said.push(format!("{}: opens without //!", path.display()));
        }
        if text.lines().count() > LINES_MAX {
            said.push(format!(
                "{}: {} lines, at most {LINES_MAX}",
                path.display(),
                text.lines().count()
            ));
        }
        if path.ends_with("mod.rs") {
            said.push(format!("{}: name it after its folder", path.display()));
        }
    }
    assert!(said.is_empty(), "{}", said.join("\n"));
}

#[test]
fn nothing_is_left_unfinished_or_switched_off() {
    let banned = [
        concat!("to", "do!("),
        concat!("unimple", "mented!("),
        concat!("FIX", "ME"),
        concat!("#[ig", "nore"),
        concat!("super::", "super"),
    ];
    let mut paths = Vec::new();
    walk(&root().join("src"), &mut paths);
    walk(&root().join("tests"), &mut paths);
    let mut said = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(&path).unwrap();
        for (index, line) in text.lines().enumerate() {
            said.extend(
                banned
                    .iter()
                    .filter(|word| line.contains(*word))
                    .map(|word| format!("{}:{}: {word}", path.display(), index + 1)),
            );
        }
    }
    assert!(said.is_empty(), "{}", said.join("\n"));
}

#[test]
fn the_architecture_names_every_module() {
    let paper = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let mut modules: BTreeMap<String, ()> = BTreeMap::new();
    modules.extend(files().into_iter().map(|file| (file.module, ())));
    let missing: Vec<&String> = modules
        .keys()
        .filter(|module| {
            !paper.contains(&format!("`{module}`")) && *module != "lib" && *module != "main"
        })
        .collect();
    assert!(
        missing.is_empty(),
        "ARCHITECTURE.md does not name {missing:?}"
    );
}

#[test]
fn the_demo_posts_every_sample_of_a_webhook_there_is() {
    /// What Quiq posts to agent hooks, and what it answers.
    const NO_WEBHOOKS: &[&str] = &[
        "quiq/agent_hook_conversation_update.json",
        "quiq/agent_hook_ping.json",
        "quiq/get_conversation_seed_response.json",
    ];
    let list = std::fs::read_to_string(root().join("src/cli/demo/samples.rs")).unwrap();
    let samples = root().join("tests/suite/fixtures/samples");
    for folder in ["qiscus", "qiscus_omnichannel", "quiq", "dixa"] {
        for entry in std::fs::read_dir(samples.join(folder)).unwrap().flatten() {
            let name = format!("{folder}/{}", entry.file_name().to_str().unwrap());
            assert_ne!(
                list.contains(&format!("\"{name}\"")),
                NO_WEBHOOKS.contains(&name.as_str()),
                "whether the demo posts {name}"
            );
        }
    }
}

/// Defects found in the field, each with a test of ours that promises the
/// opposite; the test's comment names it.
#[test]
fn every_known_defect_of_the_field_has_a_test() {
    let mut paths = Vec::new();
    walk(&root().join("src"), &mut paths);
    walk(&root().join("tests"), &mut paths);
    paths.retain(|path| !path.ends_with("tidy.rs"));
    let named: String = paths
        .iter()
        .flat_map(|path| {
            std::fs::read_to_string(path)
                .unwrap()
                .lines()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .filter(|line| line.trim_start().starts_with("//"))
        .map(|line| line + "\n")
        .collect();
    let words: std::collections::HashSet<&str> =
        named.split(|c: char| !c.is_alphanumeric()).collect();
    let missing: Vec<String> = (1..=25)
        .map(|number| format!("X{number}"))
        .filter(|name| !words.contains(name.as_str()))
        .collect();
    assert!(missing.is_empty(), "no test names {missing:?}");
}
