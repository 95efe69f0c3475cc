//! As much DER as a CA needs of us: a signing request with its proof, and
//! ECDSA signatures. The verification itself is ring's.

use rcgen::{PublicKeyData, SignatureAlgorithm};
use rustls::crypto::ring;

/// A certificate signing request.
pub struct Csr {
    pub names: Vec<String>,
    point: Vec<u8>,
}

impl PublicKeyData for Csr {
    fn der_bytes(&self) -> &[u8] {
        &self.point
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl Csr {
    /// Reads it and checks that whoever made it has the key.
    pub fn read(bytes: &[u8]) -> Result<Self, &'static str> {
        let (whole, after) = element(bytes).ok_or("no DER")?;
        if !after.is_empty() {
            return Err("bytes behind it");
        }
        let info_bytes = &whole[..whole.len() - element(whole).ok_or("no info")?.1.len()];
        let (info, rest) = element(whole).ok_or("no info")?;
        let (_algorithm, rest) = element(rest).ok_or("no algorithm")?;
        let (signature, _) = element(rest).ok_or("no signature")?;
        // Version, subject, then the key and what is wished.
        let (_, rest) = element(info).ok_or("no version")?;
        let (_, rest) = element(rest).ok_or("no subject")?;
        let (key, wishes) = element(rest).ok_or("no key")?;
        let (_, point) = element(key).ok_or("no algorithm of the key")?;
        let (point, _) = element(point).ok_or("no point")?;
        // A bit string says first how many bits of it are none.
        let (point, signature) = (point[1..].to_vec(), &signature[1..]);
        if !verified(&point, info_bytes, signature) {
            return Err("the signature");
        }
        let names = names(wishes).ok_or("no names")?;
        Ok(Self { names, point })
    }
}

/// The public key of a certificate.
pub fn point(certificate: &[u8]) -> Option<Vec<u8>> {
    let (whole, _) = element(certificate)?;
    let (mut rest, _) = element(whole)?;
    // Version, serial number, algorithm, issuer, dates, subject.
    for _ in 0..6 {
        rest = element(rest)?.1;
    }
    let (key, _) = element(rest)?;
    let (point, _) = element(element(key)?.1)?;
    Some(point.get(1..)?.to_vec())
}

/// The DNS names behind the first `subjectAltName`.
pub fn names(bytes: &[u8]) -> Option<Vec<String>> {
    const SUBJECT_ALT_NAME: [u8; 5] = [0x06, 0x03, 0x55, 0x1d, 0x11];
    let at = bytes
        .windows(5)
        .position(|window| window == SUBJECT_ALT_NAME)?;
    let mut value = &bytes[at + 5..];
    // It is critical where the subject is empty.
    if value[0] == 0x01 {
        value = element(value)?.1;
    }
    let (octets, _) = element(value)?;
    let (mut rest, _) = element(octets)?;
    let mut names = Vec::new();
    while let Some((name, after)) = element(rest) {
        if rest[0] == 0x82 {
            names.push(String::from_utf8(name.to_vec()).ok()?);
        }
        rest = after;
    }
    Some(names)
}

/// An ECDSA signature of fixed size as DER has it.
pub fn signature(fixed: &[u8]) -> Vec<u8> {
    if fixed.len() != 64 {
        return Vec::new();
    }
    let integer = |bytes: &[u8]| {
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        let bytes = &bytes[zeros.min(31)..];
        // One that looks negative gets a zero before it.
        let sign = if bytes[0] >= 0x80 {
            vec![0]
        } else {
            Vec::new()
        };
        let length = u8::try_from(bytes.len() + sign.len()).unwrap();
        [vec![0x02, length], sign, bytes.to_vec()].concat()
    };
    let both = [integer(&fixed[..32]), integer(&fixed[32..])].concat();
    [vec![0x30, u8::try_from(both.len()).unwrap()], both].concat()
}

/// ECDSA on P-256 with SHA-256, by ring.
pub fn verified(point: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let known = ring::default_provider().signature_verification_algorithms;
    let (_, algorithms) = known
        .mapping
        .iter()
        .find(|(scheme, _)| *scheme == rustls::SignatureScheme::ECDSA_NISTP256_SHA256)
        .unwrap();
    let verifies = |one: &&dyn rustls::pki_types::SignatureVerificationAlgorithm| {
        one.verify_signature(point, message, signature).is_ok()
    };
    algorithms.iter().any(verifies)
}

/// The content of the first element, and what follows it.
fn element(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = match *bytes.get(1)? {
        0x81 => (usize::from(*bytes.get(2)?), &bytes[3..]),
        0x82 => (
            usize::from(*bytes.get(2)?) << 8 | usize::from(*bytes.get(3)?),
            &bytes[4..],
        ),
        short => (usize::from(short), &bytes[2..]),
    };
    rest.split_at_checked(length)
}
