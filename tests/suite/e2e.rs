//! Promises, end to end: the real binary, real HTTP.

mod accept;
mod dead;
mod deliver;
mod house;
mod operator;
mod samples;
mod tls;
