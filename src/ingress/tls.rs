//! TLS for webhooks: rustls with ring, HTTP/1.1 only, and a certificate that
//! can be swapped while connections go on.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;

/// Certificates in force; swapped when the files change.
pub struct Tls {
    current: Arc<Current>,
    config: Arc<ServerConfig>,
}

impl Tls {
    /// Reads PEM files. The error is for the operator.
    pub fn load(cert: &Path, key: &Path) -> Result<Self, String> {
        let current = Arc::new(Current(ArcSwap::new(read(cert, key)?)));
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&current) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            current,
            config: Arc::new(config),
        })
    }

    /// Reads certificates anew, perhaps from other files; on error those in
    /// force stay.
    pub fn reload(&self, cert: &Path, key: &Path) -> Result<(), String> {
        self.current.0.store(read(cert, key)?);
        Ok(())
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

/// The one certificate, whatever name the client asks for.
#[derive(Debug)]
struct Current(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

/// A chain and the key that belongs to it.
fn read(cert: &Path, key: &Path) -> Result<Arc<CertifiedKey>, String> {
    let shown = cert.display();
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect)
        .map_err(|error| format!("{shown}: {error}"))?;
    if chain.is_empty() {
        return Err(format!("{shown}: no certificate in it"));
    }
    // The key's own errors name the file and never its content.
    let private =
        PrivateKeyDer::from_pem_file(key).map_err(|error| format!("{}: {error}", key.display()))?;
    let pair = CertifiedKey::from_der(chain, private, &ring::default_provider());
    pair.map(Arc::new)
        .map_err(|error| format!("{shown} and {}: {error}", key.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write_pair(dir: &Path) -> CertificateDer<'static> {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        std::fs::write(dir.join("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(dir.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        made.cert.der().clone()
    }

    #[test]
    fn a_broken_file_leaves_the_old_certificate_in_force() {
        let dir = tempfile::tempdir().unwrap();
        let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
        assert!(Tls::load(&cert, &key).unwrap_err().contains("cert.pem"));
        let first = write_pair(dir.path());
        let tls = Tls::load(&cert, &key).unwrap();
        let in_force = || tls.current.0.load().cert.first().cloned();
        assert_eq!(in_force(), Some(first.clone()));

        std::fs::write(
            &key,
            "-----BEGIN PRIVATE KEY-----\nMA==\n-----END PRIVATE KEY-----\n",
        )
        .unwrap();
        let error = tls.reload(&cert, &key).unwrap_err();
        assert!(
            error.contains("key.pem") && !error.contains("MA=="),
            "{error}"
        );
        assert_eq!(in_force(), Some(first));

        let second = write_pair(dir.path());
        tls.reload(&cert, &key).unwrap();
        assert_eq!(in_force(), Some(second));
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        write_pair(one.path());
        write_pair(two.path());
        assert!(Tls::load(&one.path().join("cert.pem"), &two.path().join("key.pem")).is_err());
    }
}
