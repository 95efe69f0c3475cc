//! Reading Dixa's answers. They stand in `{"data": …}`, errors in
//! `{"message": …}`; what comes without such a wrapper is read all the same.

use serde_json::Value as Json;

use super::request::is_id;
use crate::payload::{self, DEPTH_MAX, Payload};

/// What an answer holds; `None` where it is no JSON.
pub(super) fn data(body: &[u8]) -> Option<Json> {
    let payload = Payload::parse(body, DEPTH_MAX).ok()?;
    let value = payload.value();
    Some(value.get("data").unwrap_or(value).clone())
}

/// The id of what was created.
pub(super) fn id(body: &[u8]) -> Option<String> {
    id_of(&data(body)?)
}

pub(super) fn id_of(value: &Json) -> Option<String> {
    value
        .get("id")
        .and_then(payload::id_text)
        .filter(|id| is_id(id))
}

/// A list, and the key of the page after it.
pub(super) fn page(body: &[u8]) -> Option<(Vec<Json>, Option<String>)> {
    let payload = Payload::parse(body, DEPTH_MAX).ok()?;
    let value = payload.value();
    let items = value.get("data").unwrap_or(value).as_array()?.clone();
    let next = payload.at("meta.next").and_then(Json::as_str);
    Some((items, next.and_then(page_key)))
}

/// `meta.next` is a relative URL, of which only the key is taken: no answer
/// says where our next request goes.
fn page_key(next: &str) -> Option<String> {
    let (_, query) = next.split_once('?')?;
    url::form_urlencoded::parse(query.as_bytes())
        .find(|(name, value)| name == "pageKey" && !value.is_empty())
        .map(|(_, value)| value.into_owned())
}

/// Whether an error holds all these words, in any case and spelling: Dixa
/// documents "Duplicate externalId" and not the exact text.
pub(super) fn says(body: &[u8], words: &[&str]) -> bool {
    let message = Payload::parse(body, DEPTH_MAX)
        .ok()
        .and_then(|payload| Some(payload.at("message")?.as_str()?.to_owned()));
    let text = message.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned());
    contains(&text, words)
}

pub(super) fn contains(text: &str, words: &[&str]) -> bool {
    let letters: String = text
        .chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect();
    words.iter().all(|word| letters.contains(word))
}

pub(super) fn is_duplicate(body: &[u8]) -> bool {
    says(body, &["duplicate", "externalid"])
}

/// Every `externalId` in a list of messages; `None` where it is no JSON. The
/// list has no pages and may be cut off: what is there of it counts.
pub(super) fn external_ids(body: &[u8]) -> Option<Vec<String>> {
    const NAME: &[u8] = b"\"externalId\"";
    if let Err(error) = serde_json::from_slice::<serde::de::IgnoredAny>(body)
        && !error.is_eof()
    {
        return None;
    }
    let mut found = Vec::new();
    let mut rest = body;
    // Inside of a text the name's quotes would be escaped.
    while let Some(at) = rest.windows(NAME.len()).position(|bytes| bytes == NAME) {
        rest = rest.get(at + NAME.len()..).unwrap_or_default();
        let value = rest.trim_ascii_start().strip_prefix(b":");
        let mut values =
            serde_json::Deserializer::from_slice(value.unwrap_or_default()).into_iter::<Json>();
        if let Some(Ok(Json::String(id))) = values.next() {
            found.push(id);
        }
    }
    Some(found)
}
