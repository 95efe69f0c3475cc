//! Promises, end to end: the real binary, real HTTP.

mod accept;
mod bridge;
mod dead;
mod deliver;
pub mod emulators;
mod house;
mod linked;
mod operator;
mod quiq;
mod samples;
mod tls;
mod who;
