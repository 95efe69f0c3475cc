//! Fingerprints: what makes two configurations, or two readings of one
//! destination, the same.

use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use toml::de::{DeTable, DeValue};

use crate::decode::reference::Reference;
use crate::decode::{Decoder, Secrets};

/// What a whole configuration was read from, secrets' values included.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Print([u8; 32]);

impl fmt::Debug for Print {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Print")
    }
}

/// Computes prints; with resolved secrets, their values count too.
pub(super) struct Prints {
    resolve: bool,
    base: PathBuf,
}

impl Prints {
    pub(super) fn new(decoder: &Decoder) -> Self {
        Self {
            resolve: matches!(decoder.secrets, Secrets::Resolve),
            base: decoder.base.clone(),
        }
    }

    /// Over all texts and everything they refer to. It is shown to nobody:
    /// who has the file could try out weak secrets against it.
    pub(super) fn whole(&self, texts: &[(PathBuf, String)], trees: &[DeTable<'_>]) -> Print {
        let mut hash = of_texts(texts);
        let mut seen = HashSet::new();
        for tree in trees {
            self.referred(&mut hash, tree, &mut seen);
        }
        Print(hash.finalize().into())
    }

    /// Over one destination's values (not its comments or spaces) and what
    /// they refer to.
    pub(super) fn of(&self, name: &str, table: &DeTable<'_>) -> u64 {
        let mut hash = Sha256::new();
        feed(&mut hash, b'n', name.as_bytes());
        written(&mut hash, table);
        self.referred(&mut hash, table, &mut HashSet::new());
        let digest = hash.finalize();
        digest
            .iter()
            .take(8)
            .fold(0, |print, byte| print << 8 | u64::from(*byte))
    }

    /// Feeds the bytes behind every secret reference, `ca`, `cert` and `key`.
    fn referred(&self, hash: &mut Sha256, table: &DeTable<'_>, seen: &mut HashSet<Reference>) {
        if !self.resolve {
            return;
        }
        for (key, value) in table.iter() {
            match value.get_ref() {
                DeValue::Table(inner) => self.referred_by(hash, inner, seen),
                DeValue::Array(items) => {
                    for item in items.iter() {
                        if let DeValue::Table(inner) = item.get_ref() {
                            self.referred_by(hash, inner, seen);
                        }
                    }
                }
                DeValue::String(path)
                    if matches!(key.get_ref().as_ref(), "ca" | "cert" | "key") =>
                {
                    feed_file(hash, &self.base.join(path.as_ref()));
                }
                _ => {}
            }
        }
    }

    fn referred_by(&self, hash: &mut Sha256, table: &DeTable<'_>, seen: &mut HashSet<Reference>) {
        let span = 0..0;
        match Reference::read(&toml::Spanned::new(span, table)) {
            Ok(reference) => {
                if seen.insert(reference.clone()) {
                    match reference.resolve(&self.base) {
                        Ok(found) => feed(hash, b's', &found.bytes),
                        Err(_) => feed(hash, b'-', b""),
                    }
                }
            }
            Err(_) => self.referred(hash, table, seen),
        }
    }
}

/// Over all texts alone, for everybody to see: 16 hex digits.
pub(super) fn shown(texts: &[(PathBuf, String)]) -> String {
    hex::encode(of_texts(texts).finalize().get(..8).unwrap_or_default())
}

fn of_texts(texts: &[(PathBuf, String)]) -> Sha256 {
    let mut hash = Sha256::new();
    for (_, text) in texts {
        feed(&mut hash, b't', text.as_bytes());
    }
    hash
}

/// Bytes, with a mark of what they are and their length, so that no two
/// sequences run into each other.
fn feed(hash: &mut Sha256, mark: u8, bytes: &[u8]) {
    hash.update([mark]);
    hash.update(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_le_bytes());
    hash.update(bytes);
}

/// A certificate file; anything else a key of that name may mean is not read.
fn feed_file(hash: &mut Sha256, path: &Path) {
    const PEM_BYTES_MAX: u64 = 1 << 20;
    let small =
        std::fs::metadata(path).is_ok_and(|about| about.is_file() && about.len() <= PEM_BYTES_MAX);
    match small.then(|| std::fs::read(path)) {
        Some(Ok(bytes)) => feed(hash, b'f', &bytes),
        _ => feed(hash, b'-', b""),
    }
}

/// A table as written, in the tree's own (sorted) order.
fn written(hash: &mut Sha256, table: &DeTable<'_>) {
    feed(hash, b'{', &table.len().to_le_bytes());
    for (key, value) in table.iter() {
        feed(hash, b'k', key.get_ref().as_bytes());
        written_value(hash, value.get_ref());
    }
}

fn written_value(hash: &mut Sha256, value: &DeValue<'_>) {
    match value {
        DeValue::String(text) => feed(hash, b'"', text.as_bytes()),
        DeValue::Integer(number) => feed(hash, b'i', number.to_string().as_bytes()),
        DeValue::Float(number) => feed(hash, b'.', number.as_str().as_bytes()),
        DeValue::Boolean(flag) => feed(hash, b'b', &[u8::from(*flag)]),
        DeValue::Datetime(at) => feed(hash, b'd', at.to_string().as_bytes()),
        DeValue::Array(items) => {
            feed(hash, b'[', &items.len().to_le_bytes());
            for item in items.iter() {
                written_value(hash, item.get_ref());
            }
        }
        DeValue::Table(table) => written(hash, table),
    }
}
