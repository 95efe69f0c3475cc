//! hookfan: a self-hosted webhook fan-out gateway that understands chat.

// The way of an event.
pub mod settle;

// The words.
pub mod event;
pub mod message;
pub mod payload;
pub mod secret;
pub mod clock;
