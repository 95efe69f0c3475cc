//! What a CA that validates a name is shown: for TLS-ALPN-01 (RFC 8737) a
//! certificate of its own kind, for HTTP-01 a text. Both only while it asks.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::ingress::tls::server_config;

/// The challenges that are open now.
pub(in crate::ingress) struct Challenges {
    open: Arc<Mutex<Open>>,
    /// For handshakes of a CA, and no other.
    config: Arc<ServerConfig>,
}

#[derive(Default)]
struct Open {
    /// By name, in lower case.
    certificates: HashMap<String, Arc<CertifiedKey>>,
    /// By token.
    texts: HashMap<String, String>,
}

/// A challenge is answered as long as this lives.
pub(super) struct Shown {
    open: Arc<Mutex<Open>>,
    key: Key,
}

enum Key {
    Name(String),
    Token(String),
}

impl Challenges {
    pub(super) fn new() -> Result<Self, String> {
        let open = Arc::new(Mutex::new(Open::default()));
        let mut config = server_config(Arc::new(ByName(Arc::clone(&open))))?;
        config.alpn_protocols = vec![ACME_TLS.to_vec()];
        // A session that is resumed shows no certificate.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Self {
            open,
            config: Arc::new(config),
        })
    }

    /// How to shake this hand, if it is a CA's that validates a name now: it
    /// speaks `acme-tls/1` and nothing else, and asks for that name.
    pub(in crate::ingress) fn asked(&self, hello: &ClientHello<'_>) -> Option<Arc<ServerConfig>> {
        let mut spoken = hello.alpn()?;
        if spoken.next() != Some(ACME_TLS) || spoken.next().is_some() {
            return None;
        }
        let name = hello.server_name()?.to_ascii_lowercase();
        let open = lock(&self.open).certificates.contains_key(&name);
        open.then(|| Arc::clone(&self.config))
    }

    /// The text for a token that is asked for over HTTP.
    pub(super) fn text(&self, token: &str) -> Option<String> {
        lock(&self.open).texts.get(token).cloned()
    }

    /// Answers TLS-ALPN-01 for `name` from now on. `digest` is the SHA-256 of
    /// the key authorization.
    pub(super) fn show_certificate(&self, name: &str, digest: &[u8]) -> Result<Shown, String> {
        let pair = certificate(name, digest)?;
        let name = name.to_ascii_lowercase();
        let certificates = &mut lock(&self.open).certificates;
        certificates.insert(name.clone(), Arc::new(pair));
        Ok(self.shown(Key::Name(name)))
    }

    /// Answers HTTP-01 for `token` from now on.
    pub(super) fn show_text(&self, token: &str, text: &str) -> Shown {
        let texts = &mut lock(&self.open).texts;
        texts.insert(token.to_owned(), text.to_owned());
        self.shown(Key::Token(token.to_owned()))
    }

    fn shown(&self, key: Key) -> Shown {
        let open = Arc::clone(&self.open);
        Shown { open, key }
    }
}

impl fmt::Debug for Challenges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Challenges").finish_non_exhaustive()
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        let mut open = lock(&self.open);
        match &self.key {
            Key::Name(name) => drop(open.certificates.remove(name)),
            Key::Token(token) => drop(open.texts.remove(token)),
        }
    }
}

/// Finds the certificate of the name that is asked for.
struct ByName(Arc<Mutex<Open>>);

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name()?.to_ascii_lowercase();
        lock(&self.0).certificates.get(&name).cloned()
    }
}

impl fmt::Debug for ByName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ByName")
    }
}

/// Self-signed, for one name, with the digest in a critical extension.
fn certificate(name: &str, digest: &[u8]) -> Result<CertifiedKey, String> {
    let say = |error: rcgen::Error| error.to_string();
    if digest.len() != 32 {
        return Err("the proof is no SHA-256".to_owned());
    }
    let mut params = CertificateParams::new(vec![name.to_owned()]).map_err(say)?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let key = KeyPair::generate().map_err(say)?;
    let made = params.self_signed(&key).map_err(say)?;
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    // Not `from_der`: it reads the certificate, and the critical extension is
    // one that only CAs know.
    let key = ring::sign::any_supported_type(&key).map_err(|error| error.to_string())?;
    Ok(CertifiedKey::new(vec![made.der().clone()], key))
}

fn lock(open: &Mutex<Open>) -> std::sync::MutexGuard<'_, Open> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The protocol that validates; it carries nothing.
const ACME_TLS: &[u8] = b"acme-tls/1";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_there_as_long_as_somebody_holds_it() {
        let challenges = Challenges::new().unwrap();
        let names = || lock(&challenges.open).certificates.len();
        let one = challenges.show_certificate("A.example", &[7; 32]).unwrap();
        let other = challenges.show_certificate("b.example", &[8; 32]).unwrap();
        assert_eq!(names(), 2);
        drop(one);
        assert!(
            lock(&challenges.open)
                .certificates
                .contains_key("b.example")
        );
        drop(other);
        assert_eq!(names(), 0);

        assert_eq!(challenges.text("token"), None);
        let shown = challenges.show_text("token", "token.thumb");
        assert_eq!(challenges.text("token").as_deref(), Some("token.thumb"));
        assert_eq!(challenges.text("Token"), None);
        drop(shown);
        assert_eq!(challenges.text("token"), None);
    }

    #[test]
    fn what_is_no_sha_256_is_an_error_and_no_panic() {
        let challenges = Challenges::new().unwrap();
        assert!(challenges.show_certificate("a.example", &[7; 31]).is_err());
        assert!(challenges.show_certificate("ü", &[7; 32]).is_err());
    }
}
