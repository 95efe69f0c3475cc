//! TLS: whom an attempt trusts, and whom it does not. There is no switch that
//! trusts everybody.

use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::attempt::Answer;
use super::client::client;
use super::hostile::{Hostile, Step};
use super::stack::{Stack, Try};
use super::{Destination, request, sample};
use crate::transform::Outgoing;

struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, folder }
    }

    fn trusting(&self, file: &str) -> Destination {
        Destination {
            ca: Some(self.folder.path().join(file)),
            timeout: Duration::from_secs(3),
            allow_private: true,
            ..sample::destination()
        }
    }

    /// A server with a certificate for `name`; its port.
    async fn serve(&self, name: &str, expired: bool, tasks: &mut JoinSet<()>) -> u16 {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        if expired {
            params.not_after = rcgen::date_time_ymd(2020, 1, 1);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        let (acceptor, listener) = (
            TlsAcceptor::from(Arc::new(config)),
            TcpListener::bind("127.0.0.1:0").await.unwrap(),
        );
        let port = listener.local_addr().unwrap().port();
        tasks.spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                if let Ok(mut tls) = acceptor.accept(tcp).await {
                    let _read = tls.read(&mut [0; 4096]).await;
                    let _written = tls
                        .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                        .await;
                }
            }
        });
        port
    }
}

async fn attempt(destination: &Destination, url: &str) -> Answer {
    let url = url.parse().unwrap();
    let outgoing = Outgoing {
        method: http::Method::POST,
        url,
        headers: http::HeaderMap::new(),
        body: "{}".into(),
        sign: None,
        redact: Vec::new(),
        late: false,
    };
    let attempted = request::Attempted {
        event: &sample::event(1, None, "message"),
        destination: &destination.name,
        number: 1,
        now: sample::start(),
    };
    let request =
        request::request(outgoing, attempted, |_, _, _, _| unreachable!(), &mut None).unwrap();
    let mut stack = Stack::new(
        destination,
        &sample::memory(destination),
        client(destination),
    );
    std::future::poll_fn(|cx| stack.poll_room(cx)).await;
    let Ok(answer) = stack
        .attempt(Try::One {
            request,
            reading: sample::reading(),
        })
        .await;
    answer
}

#[tokio::test]
async fn only_a_valid_chain_to_a_trusted_root_is_spoken_to() {
    let (authority, stranger, mut tasks) = (Authority::new(), Authority::new(), JoinSet::new());
    let good = authority.serve("127.0.0.1", false, &mut tasks).await;
    let named = authority.serve("localhost", false, &mut tasks).await;
    let expired = authority.serve("127.0.0.1", true, &mut tasks).await;
    let (ours, theirs) = (authority.trusting("ca.pem"), stranger.trusting("ca.pem"));
    for (destination, url, expected) in [
        (&ours, format!("https://127.0.0.1:{good}/"), "2xx"),
        (&ours, format!("https://localhost:{named}/"), "2xx"),
        (&ours, format!("https://127.0.0.1:{named}/"), "tls"),
        (&ours, format!("https://127.0.0.1:{expired}/"), "tls"),
        (&theirs, format!("https://127.0.0.1:{good}/"), "tls"),
        (
            &authority.trusting("none.pem"),
            format!("https://127.0.0.1:{good}/"),
            "tls",
        ),
        (
            &Destination {
                ca: None,
                ..authority.trusting("")
            },
            format!("https://127.0.0.1:{good}/"),
            "tls",
        ),
    ] {
        let answer = attempt(destination, &url).await;
        assert_eq!(answer.outcome.label(), expected, "{url}: {answer:?}");
    }
}

#[tokio::test]
async fn a_handshake_that_goes_wrong_is_told_apart() {
    let authority = Authority::new();
    let destination = Destination {
        timeout: Duration::from_millis(500),
        ..authority.trusting("ca.pem")
    };
    // An alert that says: no common protocol version.
    let old = vec![Step::Send(vec![21, 3, 1, 0, 2, 2, 70]), Step::Hang];
    let plain = vec![
        Step::Send(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()),
        Step::Hang,
    ];
    for (steps, expected) in [
        (vec![Step::Reset], "tls"),
        (vec![], "tls"),
        (old, "tls"),
        (plain, "tls"),
        (vec![Step::Hang], "timeout"),
    ] {
        let server = Hostile::speaking_first(steps.clone()).await;
        let answer = attempt(&destination, &format!("https://{}/", server.address)).await;
        assert_eq!(answer.outcome.label(), expected, "{steps:?}: {answer:?}");
    }
}
