//! The OpenAPI document of the admin API, as it is served.

use std::sync::LazyLock;

use bytes::Bytes;
use serde_json::Value;

/// The document as it is written; the version is put in.
const WRITTEN: &str = include_str!("openapi.json");

/// The document, with the version of this binary.
pub fn document() -> Bytes {
    static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(value().to_string()));
    DOCUMENT.clone()
}

fn value() -> Value {
    let mut document: Value = serde_json::from_str(WRITTEN).unwrap_or_default();
    if let Some(version) = document.pointer_mut("/info/version") {
        *version = Value::from(env!("CARGO_PKG_VERSION"));
    }
    document
}
