//! Standard Webhooks 1.0.0: `<id>.<seconds>.<body>`, HMAC-SHA256 in base64, a
//! list of codes so that keys can rotate. Verifies and signs.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use http::HeaderName;

use super::mac::{Algorithm, Encoding, any_matches, code};
use super::stamp::{Unit, check_stamp};
use super::{Proof, Rejection, one};
use crate::clock::Timestamp;
use crate::event::Inbound;
use crate::secret::Secret;

pub(super) const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
/// Codes looked at in one header; each costs a comparison.
const CODES_MAX: usize = 16;
/// No id is longer; the header's own limit is far beyond it.
const ID_BYTES_MAX: usize = 256;

/// Keys of a source that speaks Standard Webhooks.
#[derive(Debug)]
pub struct Standard {
    pub(super) keys: Vec<Secret>,
    pub(super) tolerance: Duration,
}

impl Standard {
    pub(super) fn verify(&self, inbound: &Inbound<'_>, now: Timestamp) -> Result<(), Rejection> {
        let offered = one(inbound.headers, &SIGNATURE)?;
        let id = one(inbound.headers, &ID)?;
        let stamp = one(inbound.headers, &TIMESTAMP)?;
        // With a full stop inside, the same signed bytes could be split in two
        // ways. The timestamp is digits only, so it cannot hold one.
        if id.len() > ID_BYTES_MAX || id.contains(|c: char| !c.is_ascii_graphic() || c == '.') {
            return Err(Rejection::Malformed);
        }
        check_stamp(stamp, Unit::Seconds, self.tolerance, now)?;
        // `v1a` is a public-key signature: another scheme, never mixed in here.
        let codes: Vec<&str> = offered
            .split(' ')
            .filter_map(|element| element.strip_prefix("v1,"))
            .take(CODES_MAX)
            .collect();
        if codes.is_empty() {
            return Err(Rejection::Malformed);
        }
        let text: [&[u8]; 5] = [id.as_bytes(), b".", stamp.as_bytes(), b".", inbound.body];
        if any_matches(
            Algorithm::Sha256,
            Encoding::Base64,
            &self.keys,
            &codes,
            &text,
        ) {
            Ok(())
        } else {
            Err(Rejection::Mismatch)
        }
    }

    pub(super) fn prove(&self, id: &str, body: &[u8], now: Timestamp) -> Proof {
        let Some(key) = self.keys.first() else {
            return Proof::default();
        };
        let mut headers = vec![(ID.to_string(), id.to_owned())];
        headers.extend(sign(key, id, body, now).map(|(name, value)| (name.to_owned(), value)));
        Proof {
            headers,
            ..Proof::default()
        }
    }
}

/// The bytes behind `whsec_<base64>` (the prefix may be missing); `None` when
/// it is not base64 or empty.
pub(super) fn key(secret: &Secret) -> Option<Secret> {
    let text = secret.expose_text()?.trim();
    let text = text.strip_prefix("whsec_").unwrap_or(text);
    let bytes = STANDARD
        .decode(text)
        .or_else(|_unpadded| STANDARD_NO_PAD.decode(text))
        .ok()?;
    (!bytes.is_empty()).then(|| Secret::new(bytes))
}

/// The two headers that change with each attempt.
pub(super) fn sign(
    key: &Secret,
    id: &str,
    body: &[u8],
    now: Timestamp,
) -> [(&'static str, String); 2] {
    let stamp = Unit::Seconds.write(now);
    let text: [&[u8]; 5] = [id.as_bytes(), b".", stamp.as_bytes(), b".", body];
    let code = code(Algorithm::Sha256, Encoding::Base64, key, &text);
    [
        ("webhook-timestamp", stamp),
        ("webhook-signature", format!("v1,{code}")),
    ]
}
