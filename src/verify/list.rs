//! Schemes whose one header lists the time and one or more codes, `t=…,v1=…`,
//! over `<t>.<body>`: Stripe and Dixa.

use std::time::Duration;

use http::HeaderName;

use super::mac::{Algorithm, Encoding, any_matches, code};
use super::stamp::{Unit, check_stamp};
use super::{Proof, Rejection, one, show_name};
use crate::clock::Timestamp;
use crate::event::Inbound;
use crate::secret::Secret;

/// More codes than any rotation needs; each costs a comparison.
const CODES_MAX: usize = 16;

/// `t=…,v1=…[,v1=…]` in one header.
#[derive(Debug)]
pub struct List {
    pub(super) header: HeaderName,
    pub(super) unit: Unit,
    pub(super) tolerance: Duration,
    /// The keys themselves (Dixa's are hex in the file and bytes here).
    pub(super) keys: Vec<Secret>,
}

impl List {
    /// Stripe documents `Stripe-Signature: t=<seconds>,v1=<hex>[,v1=<hex>]`; the key is the secret's text.
    pub(super) fn stripe(keys: Vec<Secret>, tolerance: Duration) -> Self {
        Self {
            header: HeaderName::from_static("stripe-signature"),
            unit: Unit::Seconds,
            tolerance,
            keys,
        }
    }

    /// Dixa documents `X-DIXA-SIGNATURE: t=<ms>,v1=<hex>`; the key is hex-decoded.
    pub(super) fn dixa(keys: Vec<Secret>, tolerance: Duration) -> Self {
        Self {
            header: HeaderName::from_static("x-dixa-signature"),
            unit: Unit::Millis,
            tolerance,
            keys,
        }
    }

    pub(super) fn verify(&self, inbound: &Inbound<'_>, now: Timestamp) -> Result<(), Rejection> {
        let (stamp, codes) = read(one(inbound.headers, &self.header)?)?;
        check_stamp(stamp, self.unit, self.tolerance, now)?;
        let text: [&[u8]; 3] = [stamp.as_bytes(), b".", inbound.body];
        if any_matches(Algorithm::Sha256, Encoding::Hex, &self.keys, &codes, &text) {
            Ok(())
        } else {
            Err(Rejection::Mismatch)
        }
    }

    pub(super) fn prove(&self, body: &[u8], now: Timestamp) -> Proof {
        let stamp = self.unit.write(now);
        let text: [&[u8]; 3] = [stamp.as_bytes(), b".", body];
        let code = self
            .keys
            .first()
            .map(|key| code(Algorithm::Sha256, Encoding::Hex, key, &text))
            .unwrap_or_default();
        Proof {
            headers: vec![(show_name(&self.header), format!("t={stamp},v1={code}"))],
            ..Proof::default()
        }
    }
}

/// The time and the `v1` codes. Elements of other names (Stripe's `v0`) are
/// not looked at; a second `t` is refused, since it is not clear which was signed.
fn read(value: &str) -> Result<(&str, Vec<&str>), Rejection> {
    let (mut stamp, mut codes) = (None, Vec::new());
    for element in value.split(',') {
        match element.split_once('=').ok_or(Rejection::Malformed)? {
            ("t", text) if stamp.is_none() => stamp = Some(text),
            ("t", _) => return Err(Rejection::Malformed),
            ("v1", code) if codes.len() < CODES_MAX => codes.push(code),
            ("v1", _) => return Err(Rejection::Malformed),
            _ => {}
        }
    }
    match stamp {
        Some(stamp) if !codes.is_empty() => Ok((stamp, codes)),
        _ => Err(Rejection::Malformed),
    }
}
