//! Hiding secrets in what people are shown: by value, in every form in which
//! the request may carry them.

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use serde_json::Value as Json;

use crate::secret::Secret;

/// What stands in a secret's place.
pub const MASK: &str = "***";

/// Knows some secrets and hides them.
pub struct Mask {
    /// Every form of every secret, longest first, so that a form that contains
    /// another one goes as a whole.
    forms: Vec<Vec<u8>>,
}

impl Mask {
    pub fn new<'s>(secrets: impl IntoIterator<Item = &'s Secret>) -> Self {
        let mut forms = Vec::new();
        for secret in secrets {
            let bytes = secret.expose();
            if bytes.is_empty() {
                continue;
            }
            let percent = percent_encode(bytes, NON_ALPHANUMERIC).to_string();
            let form: String = url::form_urlencoded::byte_serialize(bytes).collect();
            forms.push(percent.to_ascii_lowercase().into_bytes());
            forms.push(percent.into_bytes());
            forms.push(form.into_bytes());
            if let Some(text) = secret.expose_text() {
                let quoted = Json::from(text).to_string();
                let inside = quoted
                    .get(1..quoted.len().saturating_sub(1))
                    .unwrap_or_default();
                forms.push(inside.as_bytes().to_vec());
            }
            forms.push(bytes.to_vec());
        }
        forms.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        forms.dedup();
        Self { forms }
    }

    /// The text with every secret hidden. Where a secret is still there once
    /// the percent-encoding is undone (somebody encodes otherwise than we know),
    /// the whole text is hidden.
    pub fn text(&self, text: &str) -> String {
        let shown = String::from_utf8_lossy(&self.bytes(text.as_bytes())).into_owned();
        let plain: Vec<u8> = percent_decode_str(&shown).collect();
        if self.forms.iter().any(|form| find(&plain, form).is_some()) {
            MASK.to_owned()
        } else {
            shown
        }
    }

    pub fn bytes(&self, bytes: &[u8]) -> Vec<u8> {
        let mut shown = bytes.to_vec();
        for form in &self.forms {
            while let Some(at) = find(&shown, form) {
                shown.splice(at..at + form.len(), MASK.bytes());
                if find(MASK.as_bytes(), form).is_some() {
                    break;
                }
            }
        }
        shown
    }

    /// The same in every text and key of a JSON value.
    pub fn json(&self, value: Json) -> Json {
        if self.forms.is_empty() {
            return value;
        }
        match value {
            Json::String(text) => Json::String(self.text(&text)),
            Json::Array(items) => items.into_iter().map(|item| self.json(item)).collect(),
            Json::Object(map) => map
                .into_iter()
                .map(|(key, item)| (self.text(&key), self.json(item)))
                .collect(),
            Json::Number(number)
                if self.bytes(number.to_string().as_bytes()) != number.to_string().as_bytes() =>
            {
                Json::from(MASK)
            }
            other @ (Json::Null | Json::Bool(_) | Json::Number(_)) => other,
        }
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}
