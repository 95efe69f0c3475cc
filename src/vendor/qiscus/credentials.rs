//! Taking agents' credentials out of a body before it is stored: the custom
//! agent allocation webhook carries them (`candidate_agent.sdk_key`, formerly
//! `authentication_token`).

use bytes::Bytes;
use serde_json::Value as Json;

use crate::payload::{DEPTH_MAX, Payload};

/// The body without credentials and its parsed form, or `None` when there are
/// none in it and it can be stored as it came.
pub(super) fn removed(payload: &Payload) -> Option<(Payload, Bytes)> {
    let mut value = payload.value().clone();
    if !strip(&mut value) {
        return None;
    }
    let body = value.to_string().into_bytes();
    Some((Payload::from(value), Bytes::from(body)))
}

fn is_credential(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let ends = [
        "token",
        "password",
        "secret",
        "sdk_key",
        "api_key",
        "private_key",
        "secret_key",
    ];
    ends.iter().any(|end| key.ends_with(end))
}

/// Whether anything was removed. JSON inside of texts (`extras`,
/// `latest_service`) is looked into as well.
fn strip(value: &mut Json) -> bool {
    match value {
        Json::Object(map) => {
            let before = map.len();
            map.retain(|key, _| !is_credential(key));
            let mut removed = map.len() < before;
            for item in map.values_mut() {
                removed |= strip(item);
            }
            removed
        }
        Json::Array(items) => {
            let mut removed = false;
            for item in items {
                removed |= strip(item);
            }
            removed
        }
        Json::String(text) if text.trim_start().starts_with(['{', '[']) => {
            let Ok(inner) = Payload::parse(text.as_bytes(), DEPTH_MAX) else {
                return false;
            };
            let mut inner = inner.value().clone();
            let removed = strip(&mut inner);
            if removed {
                *text = inner.to_string();
            }
            removed
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => false,
    }
}
