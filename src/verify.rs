//! Who sent it, and did they send exactly these bytes: one scheme per source,
//! checked on the raw bytes in constant time before anything is parsed.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

use crate::clock::Timestamp;
use crate::decode::Fields;
use crate::event::Inbound;
use crate::secret::Secret;

mod configure;
mod hmac;
mod keys;
mod list;
mod mac;
mod stamp;
mod standard;
mod token;

#[cfg(test)]
mod tests;

pub use hmac::Hmac;
pub use keys::AUTH;
pub use list::List;
pub use standard::Standard;
pub use token::{Basic, Token};

/// How a source proves itself, with its secrets.
#[derive(Debug)]
pub struct Auth {
    pub scheme: Scheme,
    /// Empty: anybody may connect.
    pub allow: Vec<IpNet>,
}

/// One file per family; see PRODUCT's list for the names an operator writes.
#[derive(Debug)]
pub enum Scheme {
    None,
    /// `qiscus`, `github`, `slack`, `hmac`.
    Hmac(Hmac),
    /// `stripe`, `dixa`.
    List(List),
    /// `standard`.
    Standard(Standard),
    /// `quiq`, `token`.
    Token(Token),
    /// `basic`.
    Basic(Basic),
}

/// Why a webhook was not believed. Strangers get a bare 401; the operator gets this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("not from an allowed address")]
    Address,
    #[error("no signature")]
    Missing,
    #[error("the signature is malformed")]
    Malformed,
    #[error("the signature does not match")]
    Mismatch,
    #[error("the timestamp is outside the tolerance")]
    Stale,
}

impl Auth {
    /// Reads `auth = …` of a source table (`required`: its absence is a complaint).
    pub fn configure(source: &mut Fields<'_, '_>) -> Option<Self> {
        configure::auth(source)
    }

    /// `auth = "none"` without an allow-list.
    pub fn accepts_anybody(&self) -> bool {
        matches!(self.scheme, Scheme::None) && self.allow.is_empty()
    }

    /// Lower-case names of the headers that carry proof: never stored.
    pub fn proof_headers(&self) -> Vec<String> {
        match &self.scheme {
            Scheme::Hmac(hmac) => vec![hmac.header.to_string()],
            Scheme::List(list) => vec![list.header.to_string()],
            Scheme::Standard(_) => vec![standard::SIGNATURE.to_string()],
            Scheme::Token(Token {
                place: token::Place::Header { name, .. },
                ..
            }) => vec![name.to_string()],
            Scheme::Basic(_) => vec![http::header::AUTHORIZATION.to_string()],
            Scheme::None | Scheme::Token(_) => Vec::new(),
        }
    }

    /// The decision. All active secrets are tried; which one matched is not told.
    pub fn verify(&self, inbound: &Inbound<'_>, now: Timestamp) -> Result<(), Rejection> {
        if !self.allowed(inbound.peer) {
            return Err(Rejection::Address);
        }
        match &self.scheme {
            Scheme::None => Ok(()),
            Scheme::Hmac(hmac) => hmac.verify(inbound, now),
            Scheme::List(list) => list.verify(inbound, now),
            Scheme::Standard(standard) => standard.verify(inbound, now),
            Scheme::Token(token) => token.verify(inbound),
            Scheme::Basic(basic) => basic.verify(inbound),
        }
    }

    /// What a sender of this source would add to this body: headers, and a
    /// query or path tail for `token` schemes that use them. For `hookfan
    /// send`, the demo, and tests.
    pub fn prove(&self, id: &str, body: &[u8], now: Timestamp) -> Proof {
        match &self.scheme {
            Scheme::None => Proof::default(),
            Scheme::Hmac(hmac) => hmac.prove(id, body, now),
            Scheme::List(list) => list.prove(body, now),
            Scheme::Standard(standard) => standard.prove(id, body, now),
            Scheme::Token(token) => token.prove(),
            Scheme::Basic(basic) => basic.prove(),
        }
    }

    /// An IPv4 peer seen through an IPv6 socket is the IPv4 peer.
    fn allowed(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.allow.is_empty() || self.allow.iter().any(|net| net.contains(&peer))
    }
}

/// See [`Auth::prove`]. Its `Debug` shows names only: a token is proof.
#[derive(Clone, Default)]
pub struct Proof {
    pub headers: Vec<(String, String)>,
    pub query: Option<String>,
    pub tail: Option<String>,
}

impl std::fmt::Debug for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Proof")
            .field("headers", &names)
            .finish_non_exhaustive()
    }
}

/// The Standard Webhooks headers `webhook-timestamp` and `webhook-signature`
/// (`v1,…`) for an outgoing request; `webhook-id` is the id given. A secret
/// that [`is_standard_secret`] refuses signs with its text as the key.
pub fn sign_standard(
    secret: &Secret,
    id: &str,
    body: &[u8],
    now: Timestamp,
) -> [(&'static str, String); 2] {
    let key = standard::key(secret).unwrap_or_else(|| secret.clone());
    standard::sign(&key, id, body, now)
}

/// Whether a secret has the form Standard Webhooks gives it: base64, with or
/// without `whsec_` in front.
pub fn is_standard_secret(secret: &Secret) -> bool {
    standard::key(secret).is_some()
}

/// The one value of a header. Which of two a sender meant cannot be known, so
/// a second one is refused; so is one that is not visible ASCII.
fn one<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<&'h str, Rejection> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().ok_or(Rejection::Missing)?;
    if values.next().is_some() {
        return Err(Rejection::Malformed);
    }
    match value.to_str() {
        Ok("") => Err(Rejection::Missing),
        Ok(text) => Ok(text),
        Err(_not_ascii) => Err(Rejection::Malformed),
    }
}

/// A header's name as an owned text, for [`Proof`].
fn show_name(name: &HeaderName) -> String {
    name.as_str().to_owned()
}
