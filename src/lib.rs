//! hookfan: a self-hosted webhook fan-out gateway that understands chat.
//!
//! Read the modules in this order and you have followed one event through the
//! house; `ARCHITECTURE.md` draws the same way as a picture.

// The way of an event.
pub mod ingress;
pub mod verify;
pub mod route;
pub mod log;
pub mod transform;
pub mod deliver;
pub mod settle;

// The words.
pub mod event;
pub mod link;
pub mod message;
pub mod payload;
pub mod expression;
pub mod secret;
pub mod decode;
pub mod clock;
pub mod metrics;
pub mod trace;

// The vendors: who sends, who is sent to.
pub mod vendor;
pub mod links;
pub mod emulate;

// The house.
pub mod config;
pub mod admin;
pub mod gateway;
pub mod cli;

// Where long tests leave their figures; the suite has it too.
#[cfg(test)]
mod proof;
// All of it in one thread, from one seed.
#[cfg(test)]
mod sim;
