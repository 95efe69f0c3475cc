//! TLS for webhooks: rustls with ring, HTTP/1.1 only, and a certificate that
//! can be swapped while connections go on.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::{Acceptor as Hello, ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use serde::Serialize;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{LazyConfigAcceptor, TlsAcceptor};

use super::acme::challenge::Challenges;
use super::certificate::{Certificate, Unfit};
use crate::clock::Timestamp;

/// The certificate in force, swapped when a newer one is there.
pub struct Tls {
    from: From,
    held: Arc<Held>,
    config: Arc<ServerConfig>,
    /// Answered to a CA; `None` where no CA asks by TLS.
    challenges: Option<Arc<Challenges>>,
    trouble: Mutex<Trouble>,
}

/// Who brings certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum From {
    Files,
    Acme,
}

/// What an operator is told: `"tls"` in `/api/v1/status`.
#[derive(Clone, Debug, Serialize)]
pub struct Standing {
    from: From,
    /// When the certificate in force ends; `None` while there is none.
    pub expires_at: Option<Timestamp>,
    #[serde(flatten)]
    trouble: Trouble,
}

/// How it stands with getting a new one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Trouble {
    /// When a certificate is next asked for; of files nobody knows.
    pub(super) next_order_at: Option<Timestamp>,
    /// Since the last success.
    pub(super) last_failure: Option<Told>,
}

/// A failure for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Told {
    pub(super) at: Timestamp,
    pub(super) detail: String,
}

impl Tls {
    /// Reads PEM files. The error is for the operator.
    pub fn load(cert: &Path, key: &Path) -> Result<Self, String> {
        let tls = Self::empty(From::Files, None)?;
        tls.reload(cert, key)?;
        Ok(tls)
    }

    /// Without a certificate until an ACME server has given one. `challenges`
    /// are what such a server is answered, if it asks by TLS.
    pub(super) fn awaited(challenges: Option<Arc<Challenges>>) -> Result<Self, String> {
        Self::empty(From::Acme, challenges)
    }

    /// Reads certificates anew, perhaps from other files; on error those in
    /// force stay.
    pub fn reload(&self, cert: &Path, key: &Path) -> Result<(), String> {
        self.hold(read(cert, key)?);
        Ok(())
    }

    /// What an operator is told.
    pub fn standing(&self) -> Standing {
        Standing {
            from: self.from,
            expires_at: self.held().map(|held| held.not_after),
            trouble: self.trouble().clone(),
        }
    }

    pub(super) fn held(&self) -> Option<Arc<Certificate>> {
        self.held.0.load_full()
    }

    /// Puts a certificate in force for the handshakes to come; connections
    /// that are open do not notice.
    pub(super) fn hold(&self, certificate: Certificate) {
        self.held.0.store(Some(Arc::new(certificate)));
    }

    pub(super) fn trouble(&self) -> std::sync::MutexGuard<'_, Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn acceptor(&self) -> Acceptor {
        Acceptor {
            held: Arc::clone(&self.held),
            config: Arc::clone(&self.config),
            challenges: self.challenges.clone(),
        }
    }

    fn empty(from: From, challenges: Option<Arc<Challenges>>) -> Result<Self, String> {
        let held = Arc::new(Held::default());
        let mut config = server_config(Arc::clone(&held) as Arc<dyn ResolvesServerCert>)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            from,
            held,
            config: Arc::new(config),
            challenges,
            trouble: Mutex::default(),
        })
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

/// Shakes hands.
#[derive(Clone)]
pub(super) struct Acceptor {
    held: Arc<Held>,
    config: Arc<ServerConfig>,
    challenges: Option<Arc<Challenges>>,
}

impl Acceptor {
    /// A handshake: `None` where it was a CA that has seen its proof and is
    /// done. `Err` is the label under which the refusal is counted.
    pub(super) async fn accept(
        &self,
        socket: TcpStream,
    ) -> Result<Option<TlsStream<TcpStream>>, &'static str> {
        let shaken = match &self.challenges {
            None => TlsAcceptor::from(Arc::clone(&self.config)).accept(socket),
            Some(challenges) => {
                let begun = LazyConfigAcceptor::new(Hello::default(), socket).await;
                let begun = begun.map_err(|_broken| "tls")?;
                if let Some(proof) = challenges.asked(&begun.client_hello()) {
                    let shown = begun.into_stream(proof).await;
                    // The CA has the certificate; whether it hears our farewell is its affair.
                    let _gone = shown.map_err(|_broken| "tls")?.shutdown().await;
                    return Ok(None);
                }
                begun.into_stream(Arc::clone(&self.config))
            }
        };
        match shaken.await {
            Ok(stream) => Ok(Some(stream)),
            Err(_) if self.held.0.load().is_none() => Err("no_certificate"),
            Err(_) => Err("tls"),
        }
    }
}

/// The one certificate, whatever name the client asks for. While there is none,
/// handshakes end with an alert: no sender posts a signed webhook or a token to
/// a certificate that anybody could have made.
#[derive(Debug, Default)]
struct Held(ArcSwapOption<Certificate>);

impl ResolvesServerCert for Held {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load().as_ref().map(|held| Arc::clone(&held.pair))
    }
}

/// Our TLS, with the certificates of `resolver`.
pub(super) fn server_config(resolver: Arc<dyn ResolvesServerCert>) -> Result<ServerConfig, String> {
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(config.with_no_client_auth().with_cert_resolver(resolver))
}

/// A chain and the key that belongs to it.
fn read(cert: &Path, key: &Path) -> Result<Certificate, String> {
    let (chain_file, key_file) = (cert.display(), key.display());
    let chain = std::fs::read(cert).map_err(|error| format!("{chain_file}: {error}"))?;
    let private = std::fs::read(key).map(zeroize::Zeroizing::new);
    let private = private.map_err(|error| format!("{key_file}: {error}"))?;
    // The key's own errors name the file and never its content.
    Certificate::read(&chain, &private).map_err(|unfit| match unfit {
        Unfit::Chain(error) => format!("{chain_file}: {error}"),
        Unfit::Key(error) => format!("{key_file}: {error}"),
        Unfit::Both(error) => format!("{chain_file} and {key_file}: {error}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::CertificateDer;

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
        let in_force = || tls.held().and_then(|held| held.pair.cert.first().cloned());
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

    #[test]
    fn an_operator_is_told_when_the_certificate_of_the_files_ends() {
        let dir = tempfile::tempdir().unwrap();
        write_pair(dir.path());
        let tls = Tls::load(&dir.path().join("cert.pem"), &dir.path().join("key.pem")).unwrap();
        assert_eq!(
            serde_json::to_value(tls.standing()).unwrap(),
            serde_json::json!({
                // What rcgen gives who does not say.
                "from": "files", "expires_at": "4096-01-01T00:00:00.000Z",
                "next_order_at": null, "last_failure": null,
            })
        );
    }
}
