//! Promises, end to end: the real binary, real HTTP.

mod accept;
mod bridge;
mod dead;
mod deliver;
mod deploy;
pub mod emulators;
mod house;
mod linked;
mod operator;
mod pages;
mod quiq;
mod remote;
mod samples;
mod tls;
mod who;
