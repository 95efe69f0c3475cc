//! The `hookfan` command: parse, run, exit.

use std::process::ExitCode;

/// A fifth of what an event costs was the system's allocator: bodies and
/// records are made on one thread and let go on another.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    hookfan::cli::main()
}
