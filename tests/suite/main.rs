//! The suite: the shape of the code, the promises end to end with the real
//! binary, and what holds when the world misbehaves.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test says what it expects by failing where it does not find it, and measures real time"
)]

mod support;

mod tidy;

mod e2e;
mod faults;
