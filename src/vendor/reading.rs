//! What the readers of several vendors share.

use bytes::Bytes;
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use super::{Reading, Unreadable, Webhook};
use crate::event::{EventType, Inbound};
use crate::payload::Payload;

/// The body as JSON, or why not.
pub(super) fn parse(body: &Bytes, depth_max: usize) -> Result<Payload, Unreadable> {
    Payload::of(body, depth_max).map_err(|error| Unreadable(error.to_string()))
}

/// The body as JSON, or the JSON in the field `payload` of a form.
pub(super) fn json_in(
    content_type: Option<&str>,
    body: &Bytes,
    depth_max: usize,
) -> Result<Payload, Unreadable> {
    const FORM: &str = "application/x-www-form-urlencoded";
    let media = content_type.unwrap_or_default().split(';').next();
    if !media.unwrap_or_default().trim().eq_ignore_ascii_case(FORM) {
        return parse(body, depth_max);
    }
    let found = url::form_urlencoded::parse(body).find(|(name, _)| name == "payload");
    let (_, json) = found.ok_or_else(|| Unreadable("a form without `payload`".to_owned()))?;
    parse(&Bytes::from(json.into_owned()), depth_max)
}

/// The first header of this name, where it is text and not empty.
pub(super) fn header<'a>(inbound: &Inbound<'a>, name: &str) -> Option<&'a str> {
    let value = inbound.headers.get(name)?.to_str().ok()?.trim();
    (!value.is_empty()).then_some(value)
}

/// A text that says something.
pub(super) fn text<'j>(value: &'j Json, key: &str) -> Option<&'j str> {
    value.get(key)?.as_str().filter(|text| !text.is_empty())
}

/// The same at a dotted path, without a look at the rest of the payload.
pub(super) fn text_at(payload: &Payload, path: &str) -> Option<String> {
    match payload.find(path)?.into_owned() {
        Json::String(text) if !text.is_empty() => Some(text),
        _ => None,
    }
}

/// An event without a chat message, stored as received.
pub(super) fn plain(
    event_type: impl Into<EventType>,
    payload: Payload,
    inbound: &Inbound<'_>,
) -> Reading {
    Reading {
        event_type: event_type.into(),
        vendor_id: None,
        key: None,
        direction: None,
        user: None,
        message: None,
        standing: None,
        ours: false,
        once: false,
        payload,
        body: inbound.body.clone(),
    }
}

/// One event, with names that are not endless.
pub(super) fn event(reading: Reading) -> Webhook {
    Webhook::Events(vec![fit(reading)])
}

/// With names that are not endless.
pub(super) fn fit(mut reading: Reading) -> Reading {
    if let Some(short) = cut(reading.event_type.as_str(), TYPE_BYTES_MAX, 8) {
        reading.event_type = short.into();
    }
    if let Some(id) = &reading.vendor_id
        && let Some(short) = cut(id.as_str(), ID_BYTES_MAX, 32)
    {
        reading.vendor_id = Some(short.into());
    }
    if let Some(key) = &mut reading.key
        && let Some(short) = cut(key, ID_BYTES_MAX, 32)
    {
        *key = short;
    }
    reading
}

/// A name of a conversation or a person that many events of one webhook carry.
pub(super) fn short(name: &str) -> String {
    cut(name, NAME_BYTES_MAX, 32).unwrap_or_else(|| name.to_owned())
}

/// Whether a file's name or address ends like a picture's.
pub(super) fn is_image(name: &str) -> bool {
    const ENDINGS: &[&str] = &[
        "png", "jpg", "jpeg", "gif", "webp", "bmp", "heic", "heif", "svg", "tif", "tiff",
    ];
    let name = name.split(['?', '#']).next().unwrap_or_default();
    name.rsplit_once('.').is_some_and(|(_, ending)| {
        ENDINGS
            .iter()
            .any(|known| ending.eq_ignore_ascii_case(known))
    })
}

/// White space and characters without width only.
pub(super) fn is_blank(text: &str) -> bool {
    text.chars().all(|c| c.is_whitespace() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\u{ad}'))
}

/// A longer name stands in the index, in labels and in every list as its first
/// 200 bytes, `…` and as many bytes of its SHA-256 in hex; two that differ stay
/// two. The body keeps the whole.
fn cut(name: &str, bytes_max: usize, digest_bytes: usize) -> Option<String> {
    if name.len() <= bytes_max {
        return None;
    }
    let digest = Sha256::digest(name.as_bytes());
    let digest = hex::encode(digest.get(..digest_bytes).unwrap_or_default());
    let start = (0..=200)
        .rev()
        .find_map(|end| name.get(..end))
        .unwrap_or_default();
    Some(format!("{start}…{digest}"))
}

/// The longest event type, in bytes.
const TYPE_BYTES_MAX: usize = 256;

/// The longest vendor id, and the longest key without its source's name.
const ID_BYTES_MAX: usize = 1024;

/// The longest name that [`short`] leaves as it is, in bytes.
const NAME_BYTES_MAX: usize = 300;

/// The type of an event whose body and headers tell none.
pub(super) const UNKNOWN: &str = "unknown";
