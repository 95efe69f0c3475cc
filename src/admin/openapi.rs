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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::admin::endpoints::ENDPOINTS;

    /// What the guard and the dispatcher know is what the document says.
    #[test]
    fn the_document_is_the_table() {
        let document = value();
        let mut written = BTreeSet::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, said) in methods.as_object().unwrap() {
                assert!(said["responses"].is_object(), "{method} {path}");
                written.insert(format!("{} {path}", method.to_uppercase()));
            }
        }
        let table = ENDPOINTS.iter();
        let table: BTreeSet<String> = table
            .map(|endpoint| format!("{} {}", endpoint.verb.as_str(), endpoint.path))
            .collect();
        assert_eq!(table, written);
    }

    #[test]
    fn only_the_open_pages_are_documented_as_open() {
        let document = value();
        for endpoint in ENDPOINTS {
            let method = endpoint.verb.as_str().to_lowercase();
            let said = &document["paths"][endpoint.path][&method];
            let open = said["security"] == serde_json::json!([]);
            assert_eq!(open, endpoint.deed.is_open(), "{}", endpoint.path);
            let refuses = said["responses"].get("401").is_some();
            assert_ne!(open, refuses, "{}", endpoint.path);
        }
    }

    #[test]
    fn every_reason_and_every_object_is_closed() {
        let document = value();
        let words = &document["components"]["schemas"]["Reason"]["enum"];
        let reasons = crate::settle::Reason::ALL.map(|reason| reason.as_str());
        assert_eq!(*words, serde_json::json!(reasons));
        let open = ["selection"];
        assert_closed("", &document["components"]["schemas"], &open);
    }

    /// An object says what is in it, and that there is nothing else.
    fn assert_closed(name: &str, schema: &Value, open: &[&str]) {
        if let Some(fields) = schema.as_object() {
            if fields.get("type") == Some(&Value::from("object")) && !open.contains(&name) {
                assert!(fields.contains_key("additionalProperties"), "{name}");
            }
            for (name, inner) in fields {
                assert_closed(name, inner, open);
            }
        }
        for inner in schema.as_array().into_iter().flatten() {
            assert_closed(name, inner, open);
        }
    }

    #[test]
    fn it_bears_the_version_of_the_binary() {
        let served: Value = serde_json::from_slice(&document()).unwrap();
        assert_eq!(served["info"]["version"], env!("CARGO_PKG_VERSION"));
    }
}
