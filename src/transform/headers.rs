//! Header values of a request. Names stand in the file and are never filled
//! in; values are visible ASCII or the copy is a dead letter, never cut.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::Unfit;
use crate::decode::tells_proof;
use crate::expression::{Scope, Template};
use crate::secret::Secret;

/// The longest value, in bytes.
pub const HEADER_VALUE_BYTES_MAX: usize = 8 << 10;

/// Where a header's value comes from.
#[derive(Debug)]
pub enum HeaderText {
    Secret(Secret),
    Template(Template),
}

/// Why a header cannot be configured. Prints no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadHeader {
    #[error("`{name}` is not a header name")]
    Name { name: String },
    #[error("`{name}` is set by hookfan or belongs to one connection, and cannot be configured")]
    Reserved { name: String },
    #[error(
        "`{name}` proves identity: give it as {{ env = \"…\" }} or {{ file = \"…\" }}, never as text"
    )]
    Proof { name: String },
    #[error(
        "the value for `{name}` must be visible ASCII of at most {HEADER_VALUE_BYTES_MAX} bytes"
    )]
    Value { name: String },
    #[error("`{name}` is given twice")]
    Twice { name: String },
}

/// Belong to the connection, to the message framing, or to hookfan.
const RESERVED: &[&str] = &[
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "max-forwards",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
];

/// Carry proof of identity, so that their values are secrets.
const PROOF: &[HeaderName] = &[
    header::AUTHORIZATION,
    header::PROXY_AUTHORIZATION,
    header::COOKIE,
];

/// The configured headers of a destination.
#[derive(Debug, Default)]
pub struct Headers {
    fixed: HeaderMap,
    filled: Vec<(HeaderName, Template)>,
    secrets: Vec<Secret>,
}

impl Headers {
    /// Adds one. Values without anything to fill in are checked here.
    pub fn add(&mut self, name: &str, text: HeaderText) -> Result<(), BadHeader> {
        let owned = || name.to_owned();
        let header = HeaderName::try_from(name).map_err(|_| BadHeader::Name { name: owned() })?;
        let ours = ["webhook-", "hookfan-"]
            .iter()
            .any(|prefix| header.as_str().starts_with(prefix));
        if ours || RESERVED.contains(&header.as_str()) {
            return Err(BadHeader::Reserved { name: owned() });
        }
        if self.fixed.contains_key(&header) || self.filled.iter().any(|(have, _)| *have == header) {
            return Err(BadHeader::Twice { name: owned() });
        }
        match text {
            HeaderText::Secret(secret) => {
                let value =
                    visible(secret.expose()).map_err(|_| BadHeader::Value { name: owned() })?;
                let mut value = value;
                value.set_sensitive(true);
                self.fixed.insert(header, value);
                self.secrets.push(secret);
            }
            HeaderText::Template(template)
                if PROOF.contains(&header)
                    || (template.literal().is_some() && tells_proof(name)) =>
            {
                return Err(BadHeader::Proof { name: owned() });
            }
            HeaderText::Template(template) => match template.literal() {
                Some(text) => {
                    let value =
                        visible(text.as_bytes()).map_err(|_| BadHeader::Value { name: owned() })?;
                    self.fixed.insert(header, value);
                }
                None => self.filled.push((header, template)),
            },
        }
        Ok(())
    }

    /// The headers for this event.
    pub fn fill(&self, scope: &Scope) -> Result<HeaderMap, Unfit> {
        let mut headers = self.fixed.clone();
        for (name, template) in &self.filled {
            let text = template.render_text(scope)?;
            let value = visible(text.as_bytes()).map_err(|wrong| match wrong {
                Wrong::Characters => Unfit::HeaderCharacters {
                    name: name.to_string(),
                },
                Wrong::Length => Unfit::LongHeader {
                    name: name.to_string(),
                },
            })?;
            headers.insert(name.clone(), value);
        }
        Ok(headers)
    }

    /// The headers, where there is nothing to fill in.
    pub fn fixed(&self) -> Option<&HeaderMap> {
        self.filled.is_empty().then_some(&self.fixed)
    }

    /// What must be masked.
    pub fn secrets(&self) -> &[Secret] {
        &self.secrets
    }
}

enum Wrong {
    Characters,
    Length,
}

/// `http` itself would let bytes beyond ASCII and tabs through.
fn visible(bytes: &[u8]) -> Result<HeaderValue, Wrong> {
    if bytes.len() > HEADER_VALUE_BYTES_MAX {
        return Err(Wrong::Length);
    }
    if !bytes.iter().all(|byte| matches!(byte, b' '..=b'~')) {
        return Err(Wrong::Characters);
    }
    HeaderValue::from_bytes(bytes).map_err(|_| Wrong::Characters)
}
