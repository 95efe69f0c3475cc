//! What holds when the world misbehaves. Each test names the fault and the
//! promise that survives it. Short forms run in `make test`; the environment
//! scales them up to the proofs that `make proof` runs.

mod backlog;
mod disk;
mod dixa;
mod fanout;
mod fuzz;
mod golden;
mod isolation;
mod kill;
mod lanes;
mod order;
mod power;
mod quiq;
mod reload;
mod secrets;
mod strangers;
pub mod sync;
