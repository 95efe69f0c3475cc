//! The `hookfan` command: parse, run, exit.

use std::process::ExitCode;

fn main() -> ExitCode {
    hookfan::cli::main()
}
