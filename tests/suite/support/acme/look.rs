//! How a CA looks at a gateway: TLS-ALPN-01 (RFC 8737) and HTTP-01, strictly.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme};
use sha2::{Digest, Sha256};

use super::der;
use crate::support::http::ask;

/// Where names lead to, and what is looked for there.
#[derive(Clone, Copy, Debug)]
pub enum Look {
    Tls(SocketAddr),
    Http(SocketAddr),
}

impl Look {
    pub fn kind(self) -> &'static str {
        match self {
            Self::Tls(_) => "tls-alpn-01",
            Self::Http(_) => "http-01",
        }
    }

    /// Looks whether `name` shows this key authorization.
    pub fn see(self, name: &str, text: &str) -> Result<(), String> {
        match self {
            Self::Tls(address) => by_tls(address, name, text),
            Self::Http(address) => by_http(address, text),
        }
    }
}

fn by_http(address: SocketAddr, text: &str) -> Result<(), String> {
    let token = text.split('.').next().unwrap_or_default();
    let path = format!("/.well-known/acme-challenge/{token}");
    let answer = ask(address, "GET", &path, &[], b"").map_err(|error| error.to_string())?;
    match answer.status {
        200 if answer.text() == text => Ok(()),
        status => Err(format!("{status} {}", answer.text())),
    }
}

fn by_tls(address: SocketAddr, name: &str, text: &str) -> Result<(), String> {
    let shown = presented(address, name, &[b"acme-tls/1"])?;
    if shown.protocol.as_deref() != Some(b"acme-tls/1") {
        return Err("another protocol was agreed on".to_owned());
    }
    if der::names(&shown.certificate) != Some(vec![name.to_owned()]) {
        return Err("not exactly this name".to_owned());
    }
    // id-pe-acmeIdentifier, critical, an octet string of 32 bytes in another.
    let head = [
        0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x1f, 0x01, 0x01, 0xff, 0x04, 0x22,
        0x04, 0x20,
    ];
    let wanted = [&head[..], &Sha256::digest(text.as_bytes())].concat();
    let found = shown
        .certificate
        .windows(wanted.len())
        .any(|window| window == wanted);
    if found {
        Ok(())
    } else {
        Err("no or another proof in the certificate".to_owned())
    }
}

/// What a server showed in a handshake.
#[derive(Debug)]
pub struct Presented {
    pub certificate: Vec<u8>,
    pub protocol: Option<Vec<u8>>,
}

/// Shakes hands, believing any certificate. The error is the alert.
pub fn presented(
    address: SocketAddr,
    name: &str,
    protocols: &[&[u8]],
) -> Result<Presented, String> {
    let seen = Arc::new(Seen::default());
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&seen) as Arc<dyn ServerCertVerifier>)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|one| one.to_vec()).collect();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = TcpStream::connect(address).map_err(|error| error.to_string())?;
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    while connection.is_handshaking() {
        connection
            .complete_io(&mut stream)
            .map_err(|error| error.to_string())?;
    }
    let _flushed = stream.flush();
    let certificate = seen.0.lock().unwrap().clone();
    Ok(Presented {
        certificate,
        protocol: connection.alpn_protocol().map(<[u8]>::to_vec),
    })
}

/// Keeps the certificate it is shown.
#[derive(Debug, Default)]
struct Seen(Mutex<Vec<u8>>);

impl ServerCertVerifier for Seen {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _others: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        *self.0.lock().unwrap() = certificate.to_vec();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        signature(message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}

/// Whoever shows the certificate has its key. rustls would refuse the critical
/// extension of a proof, which is for CAs alone.
fn signature(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, rustls::Error> {
    let point = der::point(certificate).unwrap_or_default();
    if signed.scheme == SignatureScheme::ECDSA_NISTP256_SHA256
        && der::verified(&point, message, signed.signature())
    {
        return Ok(HandshakeSignatureValid::assertion());
    }
    Err(rustls::Error::General("the signature".to_owned()))
}
