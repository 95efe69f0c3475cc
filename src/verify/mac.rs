//! Message authentication codes as text, compared without telling how far two
//! of them agree.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};
use subtle::{Choice, ConstantTimeEq};

use crate::secret::Secret;

/// The hash beneath the HMAC. Pinned per source; no header may choose it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    Sha1,
    Sha256,
    Sha512,
}

/// How a code is written as text. Only the canonical form is believed: hex in
/// lower case, base64 with its unused bits zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Hex,
    Base64,
    /// Padding may be there or not.
    Base64Url,
}

/// Everything that was signed, in pieces, so that no body is copied.
pub(super) type Text<'a> = &'a [&'a [u8]];

/// The code of `text` under `key`, as text.
pub(super) fn code(
    algorithm: Algorithm,
    encoding: Encoding,
    key: &Secret,
    text: Text<'_>,
) -> String {
    let key = key.expose();
    let tag = match algorithm {
        Algorithm::Sha1 => tag::<Hmac<Sha1>>(key, text),
        Algorithm::Sha256 => tag::<Hmac<Sha256>>(key, text),
        Algorithm::Sha512 => tag::<Hmac<Sha512>>(key, text),
    };
    match encoding {
        Encoding::Hex => hex::encode(tag),
        Encoding::Base64 => STANDARD.encode(tag),
        Encoding::Base64Url => URL_SAFE_NO_PAD.encode(tag),
    }
}

/// Whether one of the offered codes is that of `text` under one of the keys.
/// Every pair is compared, so that which one matched takes no less time.
pub(super) fn any_matches(
    algorithm: Algorithm,
    encoding: Encoding,
    keys: &[Secret],
    offered: &[&str],
    text: Text<'_>,
) -> bool {
    let mut found = Choice::from(0);
    for key in keys {
        let expected = code(algorithm, encoding, key, text);
        for offer in offered {
            let offer = if encoding == Encoding::Base64Url {
                offer.trim_end_matches('=')
            } else {
                offer
            };
            found |= expected.as_bytes().ct_eq(offer.as_bytes());
        }
    }
    // An empty code can only come from a hash that refused its key, which
    // HMAC never does; it must still not match an empty offer.
    bool::from(found) && offered.iter().all(|offer| !offer.is_empty())
}

/// Whether the two are the same bytes. Digests are compared, so that not even
/// the length of the secret shows in the time it takes.
pub(super) fn same(left: &[u8], right: &[u8]) -> Choice {
    Sha256::digest(left).ct_eq(&Sha256::digest(right))
}

fn tag<M: Mac + KeyInit>(key: &[u8], text: Text<'_>) -> Vec<u8> {
    let Ok(mut mac) = <M as KeyInit>::new_from_slice(key) else {
        return Vec::new();
    };
    for part in text {
        mac.update(part);
    }
    mac.finalize().into_bytes().to_vec()
}
