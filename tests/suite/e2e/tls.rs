//! TLS at the front, and certificates that change while it runs.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::support::eventually;
use crate::support::gateway::Gateway;
use crate::support::sender::{message, signed};

struct Pair {
    cert: String,
    key: String,
}

fn pair() -> Pair {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    Pair {
        cert: made.cert.pem(),
        key: made.signing_key.serialize_pem(),
    }
}

/// Posts a webhook, trusting this certificate only; the status line.
fn post(gateway: &Gateway, trusted: &Pair, id: &str) -> std::io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(trusted.cert.as_bytes()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let stream = TcpStream::connect(gateway.ingress)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut stream = StreamOwned::new(connection, stream);
    let body = message(1, id, id);
    let mut request =
        String::from("POST /hooks/qiscus HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n");
    for (name, value) in signed(&body) {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
    stream.write_all(request.as_bytes())?;
    stream.write_all(&body)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer)
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned())
}

#[test]
fn webhooks_come_by_tls_and_a_new_certificate_is_taken_by_itself() {
    let (first, second) = (pair(), pair());
    let mut gateway = Gateway::prepare("");
    let write = |pair: &Pair| {
        gateway.secret("tls.key", &pair.key);
        gateway.secret("tls.pem", &pair.cert);
    };
    write(&first);
    let text = gateway.text("[log]\nmin_free = \"16MiB\"\n");
    let text = text.replace(
        "data_dir",
        "tls = { cert = \"tls.pem\", key = \"tls.key\" }\ndata_dir",
    );
    std::fs::write(gateway.file(), text).unwrap();
    gateway.run();
    assert_eq!(post(&gateway, &first, "a").unwrap(), "HTTP/1.1 200 OK");
    assert!(
        post(&gateway, &second, "b").is_err(),
        "nobody else's certificate"
    );

    gateway.secret("tls.key", &second.key);
    gateway.secret("tls.pem", &second.cert);
    eventually("the new certificate", Duration::from_secs(10), || {
        post(&gateway, &second, "c")
            .ok()
            .filter(|status| status == "HTTP/1.1 200 OK")
    });
    gateway.secret("tls.pem", "no certificate at all");
    eventually("the complaint", Duration::from_secs(10), || {
        (gateway.metric("hookfan_config_last_reload_successful") == Some(0.0)).then_some(())
    });
    assert_eq!(
        post(&gateway, &second, "d").unwrap(),
        "HTTP/1.1 200 OK",
        "the last good one stays"
    );
}
