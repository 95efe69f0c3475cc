//! `hookfan schema`: what editors hold a routes.toml against.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn schema() -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_hookfan"))
        .arg("schema")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn errors(validator: &jsonschema::Validator, text: &str) -> Vec<String> {
    let document: Value = toml::from_str(text).unwrap();
    let errors = validator.iter_errors(&document);
    errors
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The TOML blocks of a paper that are whole configurations.
fn blocks(paper: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(paper).unwrap();
    let blocks = text.split("```toml").skip(1);
    blocks
        .filter_map(|block| Some(block.split_once('\n')?.1.split_once("```")?.0.to_owned()))
        .filter(|block| block.starts_with('[') && toml::from_str::<Value>(block).is_ok())
        .collect()
}

#[test]
fn every_configuration_of_ours_is_valid() {
    let validator = jsonschema::draft202012::new(&schema()).unwrap();
    let mut texts = Vec::new();
    for file in ["routes.toml", "src/cli/demo/routes.toml"] {
        texts.push((file, std::fs::read_to_string(root().join(file)).unwrap()));
    }
    for paper in ["README.md", "docs/vendors.md"] {
        let found = blocks(&root().join(paper));
        assert!(!found.is_empty(), "{paper} shows no configuration");
        texts.extend(found.into_iter().map(|block| (paper, block)));
    }
    for (file, text) in texts {
        assert_eq!(errors(&validator, &text), [""; 0], "{file}:\n{text}");
    }
}

/// The rest of a sound file, so that one mistake is the only one.
const SOUND: &str = "
[source.shop]
kind = \"generic\"
auth = { scheme = \"github\", secret = { env = \"X\" } }
[destination.crm]
kind = \"http\"
url = \"https://crm.example\"
[[route]]
to = \"crm\"
";

#[test]
fn what_has_a_wrong_shape_is_refused_by_the_schema_and_by_check() {
    let validator = jsonschema::draft202012::new(&schema()).unwrap();
    assert_eq!(errors(&validator, SOUND), [""; 0]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("routes.toml");
    for wrong in [
        "sever = {}",
        "server = { listn = \"0.0.0.0:1\" }",
        "server = { listen = 8080 }",
        "server = { admin_token = \"typed\" }",
        "server = { admin_token = { env = \"X\", file = \"y\" } }",
        "server = { tls = { cert = \"c.pem\" } }",
        "server = { tls = true }",
        "limits = { idle = 30 }",
        "limits = { idle = \"30\" }",
        "limits = { idle = \"30 sec\" }",
        "limits = { idle = \"unlimited\" }",
        "limits = { connections = 0 }",
        "limits = { connections = \"many\" }",
        "limits = { head_bytes = \"32 kilo\" }",
        "limits = { json_depth = 1000 }",
        "log = { retain = \"\" }",
        "log = { max_disk = -1 }",
        "include = 7",
        "source = []",
        "source.x = 1",
        "source.x = { kind = \"generic\" }",
        "source.x = { kind = \"generik\", auth = \"none\" }",
        "source.x = { auth = \"none\" }",
        "source.x = { kind = \"http\", auth = \"none\" }",
        "source.x = { kind = \"generic\", auth = \"open\" }",
        "source.x = { kind = \"generic\", auth = {} }",
        "source.x = { kind = \"generic\", auth = { scheme = \"md5\" } }",
        "source.x = { kind = \"generic\", auth = { scheme = \"none\", allow = [] } }",
        "source.x = { kind = \"generic\", auth = { scheme = \"github\", tolerance = \"5m\", secret = { env = \"X\" } } }",
        "source.x = { kind = \"generic\", auth = \"none\", agents = \"*\" }",
        "source.x = { kind = \"qiscus\", auth = \"none\", rest = \"bot\" }",
        "source.x = { kind = \"generic\", auth = \"none\", rate = 500 }",
        "source.x = { kind = \"generic\", auth = \"none\", rate = \"500\" }",
        "source.\"a b\" = { kind = \"generic\", auth = \"none\" }",
        "source.unknown = { kind = \"generic\", auth = \"none\" }",
        "destination.x = { kind = \"http\" }",
        "destination.x = { kind = \"http\", url = \"https://x.example\", methd = \"PUT\" }",
        "destination.x = { kind = \"http\", url = \"https://x.example\", method = \"GET\" }",
        "destination.x = { kind = \"http\", url = \"https://x.example\", api_key = { env = \"X\" } }",
        "destination.x = { kind = \"http\", url = \"https://x.example\", retry = { delays = [] } }",
        "destination.x = { kind = \"http\", url = \"https://x.example\", on_stuck = \"skip\" }",
        "destination.x = { kind = \"http\", url = \"https://x.example\", headers = { A = 1 } }",
        "destination.x = { kind = \"dixa\", api_key = \"typed\" }",
        "destination.x = { kind = \"dixa\", api_key = { env = \"X\" }, channel = { kind = \"fax\" } }",
        "destination.x = { kind = \"dimension\", api_key = { env = \"X\" }, when_late = \"never\" }",
        "destination.x = { kind = \"dashbot\", api_key = { env = \"X\" }, when_late = \"history\" }",
    ] {
        let rest = if wrong == "source = []" { "" } else { SOUND };
        let text = format!("{wrong}\n{rest}");
        assert_ne!(
            errors(&validator, &text),
            [""; 0],
            "the schema takes\n{text}"
        );
        std::fs::write(&file, &text).unwrap();
        let checked = Command::new(env!("CARGO_BIN_EXE_hookfan"))
            .args(["check", "-c"])
            .arg(&file)
            .output()
            .unwrap();
        assert_eq!(checked.status.code(), Some(78), "check takes\n{text}");
    }
}
