//! What is deployed: the service manager is told what is so, and what `deploy/`
//! names exists in the binary.

mod named;
mod notify;
