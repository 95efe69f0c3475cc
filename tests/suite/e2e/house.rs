//! The house itself: demo, check, exit codes, the papers' commands.

use std::time::Duration;

use crate::support::gateway::{Gateway, hookfan};

#[test]
fn the_demo_adds_up() {
    let folder = tempfile::tempdir().unwrap();
    let output = hookfan(folder.path(), &["demo", "--once"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        said.contains("every sample accepted, every copy delivered"),
        "{said}"
    );
    assert!(
        said.contains("it said none of them again"),
        "what comes back over the bridge goes no further: {said}"
    );
    assert_eq!(
        said.matches("adds up").count(),
        3 + 8,
        "three sources, and every vendor among eight destinations: {said}"
    );
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        0,
        "it leaves nothing behind"
    );
}

/// Every mistake is reported at once, with its place.
#[test]
fn a_file_with_twenty_faults_gets_twenty_complaints() {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/suite/fixtures/config/twenty_faults.toml"
    );
    let folder = tempfile::tempdir().unwrap();
    let output = hookfan(folder.path(), &["check", "--json", "-c", file]);
    assert_eq!(output.status.code(), Some(78));
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let errors: Vec<&serde_json::Value> = said["complaints"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["severity"] == "error")
        .collect();
    assert_eq!(errors.len(), 20, "{said:#}");
    assert!(
        errors.iter().all(|one| one["file"].is_string()
            && one["line"].as_u64() > Some(0)
            && one["column"].as_u64() > Some(0)),
        "{said:#}"
    );
    let drawn = hookfan(folder.path(), &["check", "-c", file]);
    let drawn = String::from_utf8_lossy(&drawn.stderr).into_owned();
    for one in errors {
        let place = format!("twenty_faults.toml:{}:{}", one["line"], one["column"]);
        assert!(drawn.contains(&place), "{place} is not in\n{drawn}");
    }
}

#[test]
fn the_annotated_routes_toml_has_no_errors() {
    let output = hookfan(
        env!("CARGO_MANIFEST_DIR").as_ref(),
        &["check", "-c", "routes.toml"],
    );
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn exit_codes_say_who_must_act() {
    let folder = tempfile::tempdir().unwrap();
    let code = |arguments: &[&str]| hookfan(folder.path(), arguments).status.code();
    assert_eq!(code(&["version"]), Some(0));
    assert_eq!(code(&["--help"]), Some(0));
    assert_eq!(code(&["no-such-verb"]), Some(64));
    assert_eq!(code(&["run"]), Some(78), "no file");
    assert_eq!(code(&["status", "--admin", "http://127.0.0.1:9"]), Some(1));
    std::fs::write(
        folder.path().join("routes.toml"),
        "[source.a]\nkind = \"generic\"\nauth = \"none\"\n",
    )
    .unwrap();
    assert_eq!(code(&["check"]), Some(0));
    assert_eq!(code(&["check", "--strict"]), Some(2), "a warning");
}

/// X20: an idle gateway costs next to nothing: CPU time, not wall time.
#[test]
fn an_idle_gateway_is_idle() {
    let mut rules = String::from("[log]\nmin_free = \"16MiB\"\n");
    for number in 0..100 {
        rules += &format!(
            "[destination.d{number}]\nkind = \"http\"\nurl = \"https://d{number}.example/\"\n"
        );
    }
    rules += "[[route]]\nto = [";
    rules += &(0..100)
        .map(|number| format!("\"d{number}\""))
        .collect::<Vec<_>>()
        .join(", ");
    rules += "]\n";
    let gateway = Gateway::start(&rules);
    let ticks = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", gateway.pid())).unwrap();
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    };
    let before = ticks();
    std::thread::sleep(Duration::from_secs(3));
    // A tick is 10 ms: 3 s at 2 % are 6.
    assert!(ticks() - before <= 6, "{} ticks in 3 s", ticks() - before);
}

/// The README's first delivery, as a newcomer would type it.
#[test]
fn the_first_delivery_of_the_readme_works() {
    let readme =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let block = |language: &str, holds: &str| {
        readme
            .split("```")
            .filter_map(|block| block.strip_prefix(language))
            .find(|block| block.contains(holds))
            .unwrap_or_else(|| panic!("the README has a block of {language} with {holds}"))
            .to_owned()
    };
    let receiver = crate::support::receiver::Receiver::start();
    let mut gateway = Gateway::prepare("").with_environment("QISCUS_SIGNATURE_TOKEN", "try-me");
    let listen = format!(
        "listen = \"{}\"\nadmin = \"{}\"\n[log]\nmin_free = \"16MiB\"",
        gateway.ingress, gateway.admin
    );
    let text = block("toml", "[source.qiscus]")
        .replace("listen = \"127.0.0.1:8080\"", &listen)
        .replace("127.0.0.1:9000", &receiver.address.to_string());
    std::fs::write(gateway.file(), text).unwrap();
    let webhook = block("json", "post_comment_mobile");
    std::fs::write(gateway.folder.path().join("webhook.json"), &webhook).unwrap();
    gateway.run();
    let commands = block("sh", "hookfan check ") + &block("sh", "hookfan send");
    for command in commands
        .lines()
        .filter(|line| line.starts_with("hookfan ") && !line.contains('&'))
    {
        let command = command.split('#').next().unwrap();
        let words: Vec<&str> = command.split_whitespace().skip(1).collect();
        let output = gateway.hookfan(&words);
        assert_eq!(output.status.code(), Some(0), "{command}: {output:?}");
    }
    let arrived = receiver.gets(1);
    assert_eq!(arrived[0].request.body, webhook.as_bytes());
}
