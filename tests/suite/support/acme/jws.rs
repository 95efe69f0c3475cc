//! Signed requests (RFC 7515, ES256) held against every rule of RFC 8555, 6.2.

use std::collections::HashMap;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::der;
use crate::support::http::Request;

/// A public key of curve P-256.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    x: String,
    y: String,
}

/// A request that is what it should be.
pub struct Signed {
    pub nonce: String,
    pub key: Key,
    /// `Null` where it is empty: POST as GET.
    pub payload: Value,
}

pub enum Wrong {
    NoAccount,
    Form(&'static str),
}

impl Key {
    fn of(jwk: &Value) -> Option<Self> {
        let text = |name: &str| jwk[name].as_str().map(str::to_owned);
        let sound = jwk["kty"] == "EC" && jwk["crv"] == "P-256" && jwk.get("d").is_none();
        sound.then_some(Self {
            x: text("x")?,
            y: text("y")?,
        })
    }

    /// RFC 7638.
    pub fn thumbprint(&self) -> String {
        let text = format!(
            r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#,
            self.x, self.y
        );
        BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(text.as_bytes()))
    }

    fn point(&self) -> Option<Vec<u8>> {
        let part = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).ok();
        Some([vec![4], part(&self.x)?, part(&self.y)?].concat())
    }
}

impl Signed {
    /// Everything but whether the nonce is one of the server's.
    pub fn check(
        request: &Request,
        url: &str,
        accounts: &HashMap<String, Key>,
    ) -> Result<Self, Wrong> {
        let form = |what| Wrong::Form(what);
        if request.header("content-type") != Some("application/jose+json") {
            return Err(form("content-type"));
        }
        if request
            .header("user-agent")
            .is_none_or(|agent| !agent.starts_with("hookfan/"))
        {
            return Err(form("user-agent"));
        }
        let body = request.json();
        let fields = body.as_object().ok_or(form("no object"))?;
        if fields.len() != 3 {
            return Err(form("a flattened JWS has three fields"));
        }
        let part = |name: &str| body[name].as_str().ok_or(form("a part is missing"));
        let (protected, payload) = (part("protected")?, part("payload")?);
        let bytes = |text: &str| {
            BASE64_URL_SAFE_NO_PAD
                .decode(text)
                .map_err(|_| form("base64url"))
        };
        let head: Value =
            serde_json::from_slice(&bytes(protected)?).map_err(|_| form("the head"))?;
        if head["alg"] != "ES256" || head["url"] != url {
            return Err(form("algorithm or address"));
        }
        let key = match (head.get("jwk"), head["kid"].as_str()) {
            // A new account only; everybody else has a name.
            (Some(jwk), None) if url.ends_with("/account") => {
                Key::of(jwk).ok_or(form("the key"))?
            }
            (None, Some(kid)) => accounts.get(kid).cloned().ok_or(Wrong::NoAccount)?,
            _ => return Err(form("either jwk or kid")),
        };
        let text = format!("{protected}.{payload}");
        let signature = bytes(part("signature")?)?;
        let point = key.point().ok_or(form("the key"))?;
        if !der::verified(&point, text.as_bytes(), &der::signature(&signature)) {
            return Err(form("the signature"));
        }
        let payload = match bytes(payload)?.as_slice() {
            [] => Value::Null,
            json => serde_json::from_slice(json).map_err(|_| form("the payload"))?,
        };
        let nonce = head["nonce"].as_str().ok_or(form("no nonce"))?.to_owned();
        Ok(Self {
            nonce,
            key,
            payload,
        })
    }
}
