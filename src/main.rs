//! The `hookfan` command.

fn main() {}
