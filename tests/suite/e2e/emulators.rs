//! The emulated vendors, asked by hand: what each documents is what it takes,
//! and what is broken in one place is refused.

mod dixa;
mod faults;
mod qiscus;
mod quiq;
mod sendyiq;
mod verb;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use hookfan::emulate::{Emulator, Endpoint, Faults};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::support::http::{Answer, ask};

/// An emulator with a runtime of its own.
pub struct Emulated {
    pub emulator: Emulator,
    // Dropped after the emulator.
    _runtime: Runtime,
}

impl std::ops::Deref for Emulated {
    type Target = Emulator;

    fn deref(&self) -> &Emulator {
        &self.emulator
    }
}

impl Emulated {
    pub fn start(endpoint: Endpoint, api_key: &str, faults: Faults) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let emulator = runtime
            .block_on(Emulator::start(endpoint, loopback, api_key, faults))
            .unwrap();
        Self {
            emulator,
            _runtime: runtime,
        }
    }

    /// One request; a body is JSON unless the headers say otherwise.
    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut all: Vec<(String, String)> = Vec::new();
        if !body.is_empty() && !headers.iter().any(|(name, _)| *name == "content-type") {
            all.push(("content-type".to_owned(), "application/json".to_owned()));
        }
        all.extend(
            headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        ask(self.address, method, path, &all, body).unwrap()
    }
}

/// A file of the sample collection.
fn sample(name: &str) -> Value {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/fixtures/samples");
    serde_json::from_slice(&std::fs::read(folder.join(name)).unwrap()).unwrap()
}

/// `value` with something else, or nothing, at a JSON pointer.
fn broken(value: &Value, pointer: &str, put: Option<Value>) -> Value {
    let mut value = value.clone();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = value.pointer_mut(parent).unwrap();
    match put {
        Some(put) => match parent {
            Value::Array(items) => items[name.parse::<usize>().unwrap()] = put,
            parent => parent[name] = put,
        },
        None => drop(parent.as_object_mut().unwrap().remove(name).unwrap()),
    }
    value
}

/// Every name a sample answer has stands in ours, with a value of its type.
fn has_the_shape_of(ours: &Value, sample: &Value, place: &str) {
    match (ours, sample) {
        (Value::Object(ours), Value::Object(sample)) => {
            for (name, sample) in sample {
                let found = ours.get(name);
                let found = found.unwrap_or_else(|| panic!("{place}.{name} is missing"));
                has_the_shape_of(found, sample, &format!("{place}.{name}"));
            }
        }
        (Value::Array(ours), Value::Array(sample)) => {
            if let (Some(ours), Some(sample)) = (ours.first(), sample.first()) {
                has_the_shape_of(ours, sample, &format!("{place}[0]"));
            }
        }
        (ours, sample) => assert_eq!(
            std::mem::discriminant(ours),
            std::mem::discriminant(sample),
            "{place}: {ours} instead of {sample}"
        ),
    }
}
