//! A request as the emulated vendors judge it, and what they say to it.

use std::borrow::Cow;

use http::{HeaderMap, Method, Uri, header};
use serde_json::{Value as Json, json};
use tokio::time::Instant;

use crate::clock::Timestamp;

use super::shape::{self, Kind};

/// A request as it arrived.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub(super) method: &'a Method,
    pub(super) uri: &'a Uri,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: &'a [u8],
    /// On the wall, for what is written into answers.
    pub(super) now: Timestamp,
    /// For rates.
    pub(super) instant: Instant,
}

impl<'a> Asked<'a> {
    pub(super) fn path(&self) -> &'a str {
        self.uri.path()
    }

    /// Empty where there is none.
    pub(super) fn header(&self, name: &str) -> &'a str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// What lies between the slashes, percent signs resolved.
    pub(super) fn segments(&self) -> Vec<Cow<'a, str>> {
        self.path()
            .split('/')
            .skip(1)
            .map(|segment| percent_encoding::percent_decode_str(segment).decode_utf8_lossy())
            .collect()
    }

    pub(super) fn pairs(&self) -> Vec<(Cow<'a, str>, Cow<'a, str>)> {
        pairs(self.uri.query().unwrap_or_default().as_bytes())
    }

    /// The media type of the body, in lower case, without its parameters.
    pub(super) fn media_type(&self) -> String {
        let value = self.header(header::CONTENT_TYPE.as_str());
        let media = value.split(';').next().unwrap_or_default();
        media.trim().to_ascii_lowercase()
    }

    /// The query, each name known and given once; `known` says what it may be.
    pub(super) fn query(&self, known: &[(&str, Kind)]) -> Result<Query<'a>, No> {
        let pairs = self.pairs();
        for (at, (name, value)) in pairs.iter().enumerate() {
            let Some((_, kind)) = known.iter().find(|(known, _)| known == name) else {
                return Err(No::value(format!("query: {name} is not known")));
            };
            if pairs.iter().take(at).any(|(other, _)| other == name) {
                return Err(No::value(format!("query: {name} is given twice")));
            }
            shape::check_text(*kind, value)
                .map_err(|reason| No::value(format!("query: {name} {reason}")))?;
        }
        Ok(Query(pairs))
    }

    /// The body as JSON of this shape. Wrong types, missing and unknown names
    /// are refused.
    pub(super) fn json(&self, kind: Kind) -> Result<Json, No> {
        if self.media_type() != "application/json" {
            return Err(No::request(
                415,
                "Unsupported Media Type",
                "Content-Type must be application/json",
            ));
        }
        let value: Json = serde_json::from_slice(self.body)
            .map_err(|error| No::decoding(format!("the body is not JSON: {error}")))?;
        shape::check(kind, &value).map_err(No::decoding)?;
        Ok(value)
    }

    /// As [`Asked::json`]; no body at all counts as an empty object.
    pub(super) fn json_or_nothing(&self, kind: Kind) -> Result<Json, No> {
        if self.body.is_empty() {
            Ok(json!({}))
        } else {
            self.json(kind)
        }
    }
}

/// Form or query pairs, decoded.
pub(super) fn pairs(text: &[u8]) -> Vec<(Cow<'_, str>, Cow<'_, str>)> {
    url::form_urlencoded::parse(text).collect()
}

/// A checked query.
#[derive(Debug)]
pub(super) struct Query<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl Query<'_> {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| &**value)
    }

    /// A number that was checked to be one.
    pub(super) fn number(&self, name: &str) -> Option<usize> {
        self.get(name)?.parse().ok()
    }
}

/// A request that the vendor takes.
#[derive(Debug)]
pub(super) struct Yes {
    pub(super) status: u16,
    pub(super) body: Option<Json>,
    /// It brought an event over, rather than only asking or preparing.
    pub(super) taken: bool,
}

impl Yes {
    /// The event is over there.
    pub(super) fn taken(status: u16, body: Json) -> Self {
        Self {
            status,
            body: Some(body),
            taken: true,
        }
    }

    /// 204.
    pub(super) fn done() -> Self {
        Self {
            status: 204,
            body: None,
            taken: true,
        }
    }

    /// An answer to a question, or a preparation.
    pub(super) fn told(status: u16, body: Json) -> Self {
        Self {
            status,
            body: Some(body),
            taken: false,
        }
    }
}

/// Whose fault a refusal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// A request nobody should send: malformed, unknown, not allowed.
    Request,
    /// A good request that what is over there does not let through.
    State,
    /// Too many of them.
    Rate,
}

/// A request that the vendor does not take.
#[derive(Debug)]
pub(super) struct No {
    pub(super) status: u16,
    /// What the caller is told.
    pub(super) message: String,
    /// What the call log says.
    pub(super) reason: String,
    pub(super) wrong: Wrong,
}

impl No {
    pub(super) fn request(status: u16, message: &str, reason: impl Into<String>) -> Self {
        Self {
            status,
            message: message.to_owned(),
            reason: reason.into(),
            wrong: Wrong::Request,
        }
    }

    /// 400: the body is not what it should be.
    pub(super) fn decoding(reason: impl Into<String>) -> Self {
        Self::request(400, "Decoding failure in request", reason)
    }

    /// 400: something in the path or the query is not what it should be.
    pub(super) fn value(reason: impl Into<String>) -> Self {
        Self::request(400, "Invalid value in request", reason)
    }

    /// There is no such endpoint.
    pub(super) fn endpoint(asked: &Asked<'_>) -> Self {
        let reason = format!("there is no {} {}", asked.method, asked.path());
        Self::request(404, "The requested resource could not be found", reason)
    }

    pub(super) fn state(status: u16, message: &str) -> Self {
        Self {
            status,
            message: message.to_owned(),
            reason: message.to_owned(),
            wrong: Wrong::State,
        }
    }

    pub(super) fn rate() -> Self {
        Self {
            status: 429,
            message: "Too Many Requests".to_owned(),
            reason: "too many requests".to_owned(),
            wrong: Wrong::Rate,
        }
    }
}

/// What a vendor says, as its own words.
#[derive(Debug)]
pub(super) struct Said {
    /// Which endpoint it was.
    pub(super) step: &'static str,
    pub(super) status: u16,
    pub(super) text: String,
    pub(super) content_type: &'static str,
    pub(super) taken: bool,
    pub(super) no: Option<(Wrong, String)>,
}

impl Said {
    /// `envelope` puts a refusal into the vendor's words.
    pub(super) fn new(
        step: &'static str,
        answer: Result<Yes, No>,
        envelope: impl FnOnce(&No) -> Json,
    ) -> Self {
        let (status, body, taken, no) = match answer {
            Ok(yes) => (yes.status, yes.body, yes.taken, None),
            Err(no) => {
                let body = envelope(&no);
                (no.status, Some(body), false, Some((no.wrong, no.reason)))
            }
        };
        Self {
            step,
            status,
            text: body.map(|body| body.to_string()).unwrap_or_default(),
            content_type: "application/json",
            taken,
            no,
        }
    }
}

/// Compared with what was presented; an emulator's key is no secret worth
/// constant time.
pub(super) fn same(key: &str, given: &str) -> bool {
    !given.is_empty() && key == given
}
