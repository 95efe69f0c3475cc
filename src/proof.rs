//! What the long form of a proof found, written where `make proof-report`
//! reads it: docs/proof.md is made of these figures and of nothing typed.
#![allow(
    clippy::disallowed_methods,
    reason = "figures say in real time when they were found"
)]

use std::path::Path;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};

/// One proof under way.
pub(crate) struct Proof {
    /// An id of the rows of `tests/proof/report.py`; the file's name.
    id: &'static str,
    began: Instant,
}

impl Proof {
    pub(crate) fn of(id: &'static str) -> Self {
        Self {
            id,
            began: Instant::now(),
        }
    }

    /// Says what was found, and keeps it if somebody wants the figures
    /// (`HOOKFAN_PROOF_DIR`). Called last: what failed leaves no figures.
    pub(crate) fn found(self, figures: Value) {
        let Value::Object(figures) = figures else {
            panic!("figures have names");
        };
        println!("{}: {}", self.id, Value::Object(figures.clone()));
        if let Some(folder) = std::env::var_os("HOOKFAN_PROOF_DIR") {
            self.keep(Path::new(&folder), figures);
        }
    }

    fn keep(self, folder: &Path, figures: Map<String, Value>) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let build = if cfg!(debug_assertions) {
            "debug"
        } else {
            "release"
        };
        let whole = serde_json::json!({
            "id": self.id,
            "figures": figures,
            "seconds": self.began.elapsed().as_secs(),
            "unix": now.as_secs(),
            "build": build,
            "commit": std::env::var("HOOKFAN_COMMIT").unwrap_or_else(|_| "unknown".to_owned()),
        });
        std::fs::create_dir_all(folder).unwrap();
        let path = folder.join(format!("{}.json", self.id));
        std::fs::write(path, format!("{whole:#}\n")).unwrap();
    }
}
