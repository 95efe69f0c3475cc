//! A certificate with its key: read from PEM, when it begins and ends, whether
//! it is good for a name.

use std::sync::Arc;

use rustls::client::verify_server_name;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;

use crate::clock::Timestamp;

/// A chain, the key that belongs to it, and the dates of its first certificate.
#[derive(Clone, Debug)]
pub(super) struct Certificate {
    pub(super) pair: Arc<CertifiedKey>,
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
}

/// Which of the two is wrong, in words that never hold a byte of the key.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfit {
    #[error("{0}")]
    Chain(String),
    #[error("{0}")]
    Key(String),
    #[error("{0}")]
    Both(String),
}

impl Certificate {
    /// Reads a chain and a key, which may stand in one text.
    pub(super) fn read(chain: &[u8], key: &[u8]) -> Result<Self, Unfit> {
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<_, _>>()
            .map_err(|error| Unfit::Chain(error.to_string()))?;
        let first = chain
            .first()
            .ok_or_else(|| Unfit::Chain("no certificate in it".to_owned()))?;
        let (not_before, not_after) =
            dates(first).ok_or_else(|| Unfit::Chain("its dates cannot be read".to_owned()))?;
        let key =
            PrivateKeyDer::from_pem_slice(key).map_err(|error| Unfit::Key(error.to_string()))?;
        let pair = CertifiedKey::from_der(chain, key, &ring::default_provider())
            .map_err(|error| Unfit::Both(error.to_string()))?;
        Ok(Self {
            pair: Arc::new(pair),
            not_before,
            not_after,
        })
    }

    /// Whether a client that asks for any of these names would take it, its
    /// dates and issuer aside.
    pub(super) fn covers(&self, names: &[String]) -> bool {
        let parsed = self.pair.cert.first().map(ParsedCertificate::try_from);
        let Some(Ok(parsed)) = parsed else {
            return false;
        };
        names.iter().all(|name| {
            ServerName::try_from(name.as_str())
                .is_ok_and(|name| verify_server_name(&parsed, &name).is_ok())
        })
    }
}

/// `notBefore` and `notAfter` of X.509's DER (RFC 5280, 4.1).
fn dates(certificate: &[u8]) -> Option<(Timestamp, Timestamp)> {
    let (certificate, _) = element(certificate, SEQUENCE)?;
    let (mut rest, _) = element(certificate, SEQUENCE)?;
    // The version may be left out; then it is the first.
    if rest.first() == Some(&VERSION) {
        rest = element(rest, VERSION)?.1;
    }
    // Serial number, signature algorithm, issuer.
    for tag in [INTEGER, SEQUENCE, SEQUENCE] {
        rest = element(rest, tag)?.1;
    }
    let (validity, _) = element(rest, SEQUENCE)?;
    let (not_before, rest) = date(validity)?;
    let (not_after, _) = date(rest)?;
    Some((not_before, not_after))
}

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The content of the first element, which must have this tag, and what
/// follows it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = bytes.split_first()?;
    if *first != tag {
        return None;
    }
    let (length, rest) = rest.split_first()?;
    let (length, rest) = match length {
        short if *short < 0x80 => (usize::from(*short), rest),
        // A certificate's length has at most three bytes.
        long => {
            let (digits, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
            if digits.is_empty() || digits.len() > 3 {
                return None;
            }
            let length = digits
                .iter()
                .fold(0, |length, digit| length << 8 | usize::from(*digit));
            (length, rest)
        }
    };
    rest.split_at_checked(length)
}

/// `YYMMDDHHMMSSZ` up to 2049, `YYYYMMDDHHMMSSZ` from then on.
fn date(bytes: &[u8]) -> Option<(Timestamp, &[u8])> {
    let (text, rest, century) = match element(bytes, UTC_TIME) {
        Some((text, rest)) => {
            let century = if text.first()? < &b'5' { "20" } else { "19" };
            (text, rest, century)
        }
        None => {
            let (text, rest) = element(bytes, GENERALIZED_TIME)?;
            (text, rest, "")
        }
    };
    let text = format!("{century}{}", std::str::from_utf8(text).ok()?);
    let part = |from, to| text.get(from..to);
    if text.len() != 15 {
        return None;
    }
    let at = format!(
        "{}-{}-{}T{}:{}:{}{}",
        part(0, 4)?,
        part(4, 6)?,
        part(6, 8)?,
        part(8, 10)?,
        part(10, 12)?,
        part(12, 14)?,
        part(14, 15)?
    );
    Some((Timestamp::parse_rfc3339(&at)?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(names: &[&str], from: (i32, u8, u8), to: (i32, u8, u8)) -> (String, String) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = rcgen::CertificateParams::new(names).unwrap();
        params.not_before = rcgen::date_time_ymd(from.0, from.1, from.2);
        params.not_after = rcgen::date_time_ymd(to.0, to.1, to.2);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    #[test]
    fn the_dates_are_read_in_both_spellings() {
        for (from, to, expected) in [
            ((2026, 3, 1), (2026, 5, 30), ("2026-03-01", "2026-05-30")),
            ((2049, 12, 31), (2050, 1, 1), ("2049-12-31", "2050-01-01")),
            ((1999, 1, 2), (4096, 2, 29), ("1999-01-02", "4096-02-29")),
        ] {
            let (chain, key) = made(&["a.example"], from, to);
            let read = Certificate::read(chain.as_bytes(), key.as_bytes()).unwrap();
            let day = |text| Timestamp::parse_rfc3339(&format!("{text}T00:00:00Z")).unwrap();
            assert_eq!(
                (read.not_before, read.not_after),
                (day(expected.0), day(expected.1))
            );
        }
    }

    #[test]
    fn a_certificate_cut_anywhere_has_no_dates_and_harms_nobody() {
        let (chain, _) = made(&["a.example"], (2026, 1, 1), (2026, 2, 1));
        let der = CertificateDer::from_pem_slice(chain.as_bytes()).unwrap();
        assert!(dates(&der).is_some());
        for end in 0..der.len() {
            assert_eq!(dates(&der[..end]), None, "cut at {end}");
        }
    }

    #[test]
    fn it_covers_the_names_it_was_made_for_and_no_others() {
        let (chain, key) = made(&["a.example", "b.example"], (2026, 1, 1), (2026, 2, 1));
        let read = Certificate::read(chain.as_bytes(), key.as_bytes()).unwrap();
        let covers = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            read.covers(&names)
        };
        assert!(covers(&["a.example"]) && covers(&["b.example", "a.example"]));
        assert!(!covers(&["a.example", "c.example"]) && !covers(&["not a name"]));
    }

    #[test]
    fn one_text_may_hold_both_and_a_strangers_key_is_refused() {
        let (chain, key) = made(&["a.example"], (2026, 1, 1), (2026, 2, 1));
        let both = format!("{key}{chain}");
        assert!(Certificate::read(both.as_bytes(), both.as_bytes()).is_ok());
        let (_, other) = made(&["a.example"], (2026, 1, 1), (2026, 2, 1));
        let unfit = Certificate::read(chain.as_bytes(), other.as_bytes()).unwrap_err();
        assert!(matches!(unfit, Unfit::Both(_)), "{unfit:?}");
        let unfit = Certificate::read(b"nothing", key.as_bytes()).unwrap_err();
        assert_eq!(unfit, Unfit::Chain("no certificate in it".to_owned()));
    }
}
