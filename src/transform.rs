//! An event in a destination's shape: building the outgoing request.
//!
//! Values from events reach a request in three places only, each with its own
//! rule: path segments and query values ([`UrlTemplate`]), header values
//! ([`Headers`]) and JSON ([`BodyShape`]).

mod headers;
mod mask;
mod shape;
mod url_template;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, Method};
use serde_json::{Map, Value as Json, json};
use url::Url;

use crate::expression::Failed;
use crate::secret::Secret;
use crate::settle::Reason;

pub use headers::{BadHeader, HEADER_VALUE_BYTES_MAX, HeaderText, Headers};
pub use mask::{MASK, Mask};
pub use shape::{BodyShape, Misshapen};
pub use url_template::{UrlTemplate, typed_in};

/// A request ready to be sent, but for what changes with each attempt (the
/// attempt number, a signature's timestamp).
#[derive(Clone)]
pub struct Outgoing {
    pub method: Method,
    pub url: Url,
    /// Secret values are marked sensitive.
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Sign each attempt with Standard Webhooks.
    pub sign: Option<Secret>,
    /// What must be masked wherever this request is shown.
    pub redact: Vec<Secret>,
    /// The `when_late` policy was applied: sent as history or with a wrong time.
    pub late: bool,
}

impl Outgoing {
    /// `{method, url, headers, body}` for people: every secret reads `***`,
    /// whether it stands as it is or percent-encoded; the body is JSON where it
    /// is JSON, else text, else `{base64}`.
    pub fn describe(&self) -> Json {
        let mask = Mask::new(self.redact.iter().chain(&self.sign));
        let mut headers = Map::new();
        for (name, value) in &self.headers {
            let shown = if value.is_sensitive() {
                MASK.to_owned()
            } else {
                mask.text(&String::from_utf8_lossy(value.as_bytes()))
            };
            match headers.get_mut(name.as_str()) {
                Some(Json::String(have)) => *have = format!("{have}, {shown}"),
                _ => drop(headers.insert(name.as_str().to_owned(), Json::String(shown))),
            }
        }
        let body = match (
            serde_json::from_slice::<Json>(&self.body),
            std::str::from_utf8(&self.body),
        ) {
            (Ok(body), _) => mask.json(body),
            (Err(_), Ok(text)) => Json::String(mask.text(text)),
            (Err(_), Err(_)) => json!({ "base64": STANDARD.encode(mask.bytes(&self.body)) }),
        };
        json!({ "method": self.method.as_str(), "url": mask.text(self.url.as_str()), "headers": headers, "body": body })
    }
}

/// Without secrets, and without the body: it may be large and personal.
impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mask = Mask::new(self.redact.iter().chain(&self.sign));
        f.debug_struct("Outgoing")
            .field("method", &self.method)
            .field("url", &mask.text(self.url.as_str()))
            .field(
                "headers",
                &self
                    .headers
                    .keys()
                    .map(http::HeaderName::as_str)
                    .collect::<Vec<_>>(),
            )
            .field("body_bytes", &self.body.len())
            .field("signed", &self.sign.is_some())
            .field("late", &self.late)
            .finish()
    }
}

/// Why there is no request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unsendable {
    /// Never, as things are: a dead letter whose detail says what to set.
    Dead { reason: Reason, detail: String },
    /// Perhaps later: waits until `for_at_most` after acceptance, then is dead.
    Wait {
        for_at_most: Duration,
        reason: Reason,
        detail: String,
    },
    /// Not wanted by the destination's own rule: dropped, under this name.
    Skip { rule: &'static str },
}

/// A value from an event that has no place in a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    #[error(transparent)]
    Failed(#[from] Failed),
    #[error("`{expression}` is a {found}; a URL takes a text, a number or true/false")]
    NotScalar {
        expression: String,
        found: &'static str,
    },
    #[error("a path segment of the URL would be empty: give `{expression}` a `default`")]
    EmptySegment { expression: String },
    #[error("`{expression}` would make a path segment `.` or `..`")]
    DotSegment { expression: String },
    #[error("the filled-in URL has another host or shape than its template")]
    OtherUrl,
    #[error(
        "the filled-in URL is longer than {} bytes",
        url_template::URL_BYTES_MAX
    )]
    LongUrl,
    #[error("the value for the header `{name}` holds characters that are not visible ASCII")]
    HeaderCharacters { name: String },
    #[error("the value for the header `{name}` is longer than {HEADER_VALUE_BYTES_MAX} bytes")]
    LongHeader { name: String },
}

impl From<Unfit> for Unsendable {
    fn from(unfit: Unfit) -> Self {
        Self::Dead {
            reason: Reason::Unsendable,
            detail: unfit.to_string(),
        }
    }
}

impl From<Failed> for Unsendable {
    fn from(failed: Failed) -> Self {
        Unfit::Failed(failed).into()
    }
}
