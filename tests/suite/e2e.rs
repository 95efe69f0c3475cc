//! Promises, end to end: the real binary, real HTTP.

mod accept;
mod acme;
mod admitted;
mod api;
mod bridge;
mod check;
mod cli;
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
mod schema;
mod tls;
mod who;
