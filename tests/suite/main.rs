//! The suite: the shape of the code, the promises end to end with the real
//! binary, and what holds when the world misbehaves.

mod support;

mod tidy;

mod e2e;
mod faults;
