//! Schemes that show the secret itself: Quiq's header, a token in a header,
//! the query or the path, and Basic.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderName;
use http::header::AUTHORIZATION;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use subtle::Choice;

use super::mac::same;
use super::{Proof, Rejection, one, show_name};
use crate::event::Inbound;
use crate::secret::Secret;

/// A shared secret shown as it is.
#[derive(Debug)]
pub struct Token {
    pub(super) place: Place,
    pub(super) secrets: Vec<Secret>,
}

/// Where a token stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Header {
        name: HeaderName,
        /// Stands in front of the token, e.g. `Bearer `.
        prefix: String,
    },
    /// The value of this name in the query, percent-decoded.
    Query(String),
    /// The last segment of the path, percent-decoded.
    Path,
}

impl Token {
    /// Quiq documents the secret itself in `X-Centricient-Hook-Token`.
    pub(super) fn quiq(secrets: Vec<Secret>) -> Self {
        let name = HeaderName::from_static("x-centricient-hook-token");
        Self {
            place: Place::Header {
                name,
                prefix: String::new(),
            },
            secrets,
        }
    }

    pub(super) fn verify(&self, inbound: &Inbound<'_>) -> Result<(), Rejection> {
        match &self.place {
            Place::Header { name, prefix } => {
                let value = one(inbound.headers, name)?;
                let offered = value
                    .strip_prefix(prefix.as_str())
                    .ok_or(Rejection::Malformed)?;
                self.check(offered.as_bytes())
            }
            Place::Query(name) => self.check(&in_query(inbound.query.unwrap_or_default(), name)?),
            Place::Path => {
                let segment = inbound
                    .tail
                    .and_then(|tail| tail.rsplit('/').next())
                    .unwrap_or_default();
                self.check(&percent_decode_str(segment).collect::<Vec<u8>>())
            }
        }
    }

    pub(super) fn prove(&self) -> Proof {
        let token = self
            .secrets
            .first()
            .and_then(Secret::expose_text)
            .unwrap_or_default();
        let escaped = utf8_percent_encode(token, NON_ALPHANUMERIC);
        match &self.place {
            Place::Header { name, prefix } => Proof {
                headers: vec![(show_name(name), format!("{prefix}{token}"))],
                ..Proof::default()
            },
            Place::Query(name) => {
                let name = utf8_percent_encode(name, NON_ALPHANUMERIC);
                Proof {
                    query: Some(format!("{name}={escaped}")),
                    ..Proof::default()
                }
            }
            Place::Path => Proof {
                tail: Some(escaped.to_string()),
                ..Proof::default()
            },
        }
    }

    fn check(&self, offered: &[u8]) -> Result<(), Rejection> {
        if offered.is_empty() {
            return Err(Rejection::Missing);
        }
        let found = self.secrets.iter().fold(Choice::from(0), |found, secret| {
            found | same(secret.expose(), offered)
        });
        if found.into() {
            Ok(())
        } else {
            Err(Rejection::Mismatch)
        }
    }
}

/// The one value of this name; a second one is refused.
fn in_query(query: &str, name: &str) -> Result<Vec<u8>, Rejection> {
    let mut found = None;
    for pair in query.split('&') {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if percent_decode_str(key).eq(name.bytes()) && found.replace(value).is_some() {
            return Err(Rejection::Malformed);
        }
    }
    found
        .map(|value| percent_decode_str(value).collect())
        .ok_or(Rejection::Missing)
}

/// RFC 7617: one user, any of several passwords.
#[derive(Debug)]
pub struct Basic {
    pub(super) user: String,
    pub(super) passwords: Vec<Secret>,
}

impl Basic {
    pub(super) fn verify(&self, inbound: &Inbound<'_>) -> Result<(), Rejection> {
        let value = one(inbound.headers, &AUTHORIZATION)?;
        let (scheme, offered) = value.split_once(' ').ok_or(Rejection::Malformed)?;
        if !scheme.eq_ignore_ascii_case("basic") || offered.is_empty() {
            return Err(Rejection::Malformed);
        }
        let matches =
            |password: &Secret| same(self.credentials(password).as_bytes(), offered.as_bytes());
        let found = self
            .passwords
            .iter()
            .fold(Choice::from(0), |found, password| found | matches(password));
        if found.into() {
            Ok(())
        } else {
            Err(Rejection::Mismatch)
        }
    }

    pub(super) fn prove(&self) -> Proof {
        let credentials = self
            .passwords
            .first()
            .map(|password| self.credentials(password))
            .unwrap_or_default();
        Proof {
            headers: vec![("authorization".to_owned(), format!("Basic {credentials}"))],
            ..Proof::default()
        }
    }

    /// Comparing the encoded text believes only the canonical encoding.
    fn credentials(&self, password: &Secret) -> String {
        STANDARD.encode([self.user.as_bytes(), b":", password.expose()].concat())
    }
}
