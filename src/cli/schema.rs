//! `hookfan schema`: the JSON Schema of routes.toml, for editors.

use super::{Exit, say_json};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Editors with a TOML language server (Taplo, Tombi, \"Even Better TOML\")
complete, explain and check the file when its first line names the schema:

  hookfan schema > routes.schema.json
  #:schema ./routes.schema.json       the first line of routes.toml

What a schema cannot say, such as names that must exist, `hookfan check` says.")]
pub(super) struct Schema {}

impl Schema {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        say_json(&crate::config::schema());
        Ok(Exit::Ok)
    }
}
