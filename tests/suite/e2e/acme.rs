//! Certificates that come by themselves, against an ACME server of our own.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;

use crate::support::acme::{Acme, Fault, Look, presented};
use crate::support::eventually;
use crate::support::gateway::{Gateway, free_address};
use crate::support::http::ask;
use crate::support::sender::{message, signed};

const NAME: &str = "hooks.acme.example";
const PATIENCE: Duration = Duration::from_secs(30);
const LONG: Duration = Duration::from_secs(90 * 24 * 3600);

/// A gateway that is to get its certificate from `directory`.
fn prepared(directory: &str, more: &str) -> Gateway {
    let gateway = Gateway::prepare("");
    configure(&gateway, directory, more);
    gateway
}

fn configure(gateway: &Gateway, directory: &str, more: &str) {
    let text = gateway.text("[log]\nmin_free = \"16MiB\"\n");
    let acme = format!(
        "tls = {{ acme = {{ domain = \"{NAME}\", contact = \"ops@acme.example\", directory = \"{directory}\"{more} }} }}\ndata_dir"
    );
    std::fs::write(gateway.file(), text.replacen("data_dir", &acme, 1)).unwrap();
}

/// A gateway and its CA, which looks by TLS; running.
fn running(lifetime: Duration, faults: &[Fault]) -> (Gateway, Acme) {
    let mut gateway = Gateway::prepare("");
    let acme = Acme::start(Look::Tls(gateway.ingress), lifetime);
    for fault in faults {
        acme.fails(*fault);
    }
    configure(&gateway, &acme.directory(), "");
    gateway.run();
    (gateway, acme)
}

/// A connection that trusts the CA alone and goes on after a request.
struct Secure(StreamOwned<ClientConnection, TcpStream>);

impl Secure {
    fn open(gateway: &Gateway, root: &str) -> std::io::Result<Self> {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(root.as_bytes()).unwrap())
            .unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        // Each connection looks at the certificate anew.
        config.resumption = rustls::client::Resumption::disabled();
        let name = ServerName::try_from(NAME).unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let stream = TcpStream::connect(gateway.ingress)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.set_nodelay(true)?;
        Ok(Self(StreamOwned::new(connection, stream)))
    }

    /// Posts a webhook; the status.
    fn post(&mut self, id: &str) -> std::io::Result<u16> {
        let body = message(1, id, id);
        let mut request = format!("POST /hooks/qiscus HTTP/1.1\r\nhost: {NAME}\r\n");
        for (name, value) in signed(&body) {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
        self.0.write_all(&[request.as_bytes(), &body].concat())?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"}") {
            let mut byte = [0];
            self.0.read_exact(&mut byte)?;
            answer.push(byte[0]);
        }
        let text = String::from_utf8_lossy(&answer).into_owned();
        Ok(text.split(' ').nth(1).unwrap().parse().unwrap())
    }

    fn certificate(&self) -> Vec<u8> {
        let shown = self.0.conn.peer_certificates();
        shown.map(|chain| chain[0].to_vec()).unwrap_or_default()
    }
}

fn post(gateway: &Gateway, acme: &Acme, id: &str) -> std::io::Result<u16> {
    Secure::open(gateway, acme.root())?.post(id)
}

/// Waits until a webhook comes in by HTTPS with the CA's certificate.
fn served(gateway: &Gateway, acme: &Acme, id: &str) {
    let deadline = Instant::now() + PATIENCE;
    eventually("a webhook by HTTPS", PATIENCE * 2, || {
        let answered = post(gateway, acme, id);
        if Instant::now() > deadline {
            let complaints = acme.complaints();
            let log = gateway.log();
            let lines = log
                .lines()
                .filter(|line| !line.contains("connection.refused"));
            panic!(
                "{answered:?}\n{complaints:?}\n{}",
                lines.collect::<Vec<_>>().join("\n")
            );
        }
        answered.ok().filter(|status| *status == 200)
    });
}

fn standing(gateway: &Gateway) -> Value {
    gateway.get("/api/v1/status").json()["tls"].clone()
}

/// The folder of the one server.
fn folder(gateway: &Gateway, acme: &Acme) -> std::path::PathBuf {
    let name = format!("127.0.0.1-{}-dir", acme.address.port());
    gateway.data().join("acme").join(name)
}

fn orderly(acme: &Acme) {
    assert_eq!(acme.complaints(), Vec::<String>::new());
}

#[test]
fn the_first_certificate_comes_by_itself_and_is_kept() {
    let (mut gateway, acme) = running(LONG, &[Fault::Lingering(2)]);
    // It runs without one: handshakes end with an alert, and nothing is wrong.
    let alert = presented(gateway.ingress, NAME, &[b"http/1.1"]).unwrap_err();
    assert!(alert.contains("AccessDenied"), "{alert}");
    assert_eq!(gateway.get("/readyz").status, 200);
    assert_eq!(
        gateway.metric("hookfan_tls_certificate_expiry_seconds"),
        None
    );
    served(&gateway, &acme, "a");

    let standing = standing(&gateway);
    assert_eq!(
        (&standing["from"], &standing["last_failure"]),
        (&"acme".into(), &Value::Null)
    );
    assert!(
        standing["next_order_at"].as_str() < standing["expires_at"].as_str(),
        "{standing}"
    );
    let expiry = gateway
        .metric("hookfan_tls_certificate_expiry_seconds")
        .unwrap();
    assert!(expiry > 1.7e9, "{expiry}");
    assert_eq!(
        gateway.metric("hookfan_acme_orders_total{result=\"issued\"}"),
        Some(1.0)
    );
    assert_eq!(
        acme.contacts()[0],
        serde_json::json!(["mailto:ops@acme.example"])
    );

    // The folder is for nobody else, and no business of the log's.
    let folder = folder(&gateway, &acme);
    for (path, mode) in [
        (folder.parent().unwrap().to_owned(), 0o700),
        (folder.clone(), 0o700),
        (folder.join("certificate.pem"), 0o600),
        (folder.join("account.json"), 0o600),
        (folder.join("tried.json"), 0o600),
    ] {
        let found = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(found, mode, "{}", path.display());
    }
    assert!(gateway.stop().success());
    let data = gateway.data();
    let verified = gateway.hookfan(&["log", "verify", data.to_str().unwrap()]);
    assert!(verified.status.success(), "{verified:?}");

    gateway.run();
    served(&gateway, &acme, "b");
    assert_eq!(
        (acme.orders(), acme.accounts()),
        (1, 1),
        "the one that is kept is used"
    );
    orderly(&acme);
}

#[test]
fn a_proof_is_shown_to_nobody_but_a_ca_that_asks_for_it_now() {
    // The order lingers until we have looked: the proof is open all the while.
    let (gateway, acme) = running(LONG, &[Fault::Lingering(3)]);
    let asks = |name: &str, protocols: &[&[u8]]| presented(gateway.ingress, name, protocols);
    let proof = eventually("the proof to be shown", PATIENCE, || {
        asks(NAME, &[b"acme-tls/1"]).ok()
    });
    assert_eq!(proof.protocol.as_deref(), Some(&b"acme-tls/1"[..]));
    for (what, name, protocols) in [
        ("another name", "other.example", &[&b"acme-tls/1"[..]][..]),
        ("other protocols too", NAME, &[b"acme-tls/1", b"http/1.1"]),
        ("another protocol", NAME, &[b"http/1.1"]),
        ("no protocol", NAME, &[]),
    ] {
        let shown = asks(name, protocols).map(|shown| shown.certificate);
        assert!(shown.as_ref() != Ok(&proof.certificate), "{what}");
    }
    served(&gateway, &acme, "a");
    let alert = asks(NAME, &[b"acme-tls/1"]).unwrap_err();
    assert!(alert.contains("NoApplicationProtocol"), "{alert}");
    orderly(&acme);
}

#[test]
fn a_renewal_drops_no_connection_and_no_request() {
    let (gateway, acme) = running(Duration::from_secs(6), &[]);
    served(&gateway, &acme, "first");
    let mut lasting = Secure::open(&gateway, acme.root()).unwrap();
    assert_eq!(lasting.post("lasting-0").unwrap(), 200);
    let mut seen: Vec<Vec<u8>> = Vec::new();
    let (mut requests, deadline) = (0, Instant::now() + PATIENCE);
    while seen.len() < 3 {
        assert!(Instant::now() < deadline, "{} certificates", seen.len());
        requests += 1;
        let mut fresh = Secure::open(&gateway, acme.root()).unwrap();
        assert_eq!(fresh.post(&format!("fresh-{requests}")).unwrap(), 200);
        assert_eq!(lasting.post(&format!("lasting-{requests}")).unwrap(), 200);
        if !seen.contains(&fresh.certificate()) {
            seen.push(fresh.certificate());
        }
        std::thread::yield_now();
    }
    assert!(
        seen.contains(&lasting.certificate()),
        "one connection all the while"
    );
    assert_eq!((acme.orders(), acme.accounts()), (3, 1));
    assert!(requests > 20, "{requests}");
    orderly(&acme);
}

#[test]
fn whatever_goes_wrong_a_certificate_comes_in_the_end_and_nobody_hurries() {
    let faults: [(&[Fault], usize, &str); 9] = [
        (&[Fault::BadNonce, Fault::BadNonce], 1, ""),
        (
            &[Fault::RateLimited { retry_after: 8 }],
            2,
            "too many certificates",
        ),
        (&[Fault::Disbelief], 2, "likely firewall problem"),
        (&[Fault::Broken], 2, "500"),
        (&[Fault::Slow(Duration::from_secs(2))], 1, ""),
        (&[Fault::Lingering(3)], 1, ""),
        (&[Fault::Forgetful], 2, "who are you?"),
        (&[Fault::OtherName], 2, "other names"),
        (&[Fault::Ended], 2, "ended already"),
    ];
    std::thread::scope(|scope| {
        for (faults, orders, detail) in faults {
            scope.spawn(move || {
                let (gateway, acme) = running(LONG, faults);
                let began = Instant::now();
                if !detail.is_empty() {
                    let told = eventually("the failure to be told", PATIENCE, || {
                        Some(
                            standing(&gateway)["last_failure"]["detail"]
                                .as_str()?
                                .to_owned(),
                        )
                    });
                    assert!(told.contains(detail), "{faults:?}: {told}");
                    served(&gateway, &acme, "a");
                    // The first pause is three seconds, a quarter less or more.
                    let at_least = match faults {
                        [Fault::RateLimited { .. }] => 6,
                        _ => 1,
                    };
                    let waited = began.elapsed();
                    assert!(
                        waited > Duration::from_secs(at_least),
                        "{faults:?}: {waited:?}"
                    );
                    assert!(gateway.log().contains("tls.certificate_failed"));
                }
                served(&gateway, &acme, "b");
                assert_eq!(standing(&gateway)["last_failure"], Value::Null);
                assert_eq!(acme.orders(), orders, "{faults:?}");
                orderly(&acme);
            });
        }
    });
}

#[test]
fn a_server_that_is_not_there_yet_is_waited_for() {
    let address = free_address();
    let mut gateway = prepared(&format!("http://{address}/dir"), "");
    gateway.run();
    let failures = || gateway.log().matches("tls.certificate_failed").count();
    eventually("the failure", PATIENCE, || (failures() > 0).then_some(()));
    assert_eq!(gateway.get("/readyz").status, 200);
    let told = eventually("the failure to be told", PATIENCE, || {
        let standing = standing(&gateway);
        Some(standing["last_failure"]["detail"].as_str()?.to_owned())
    });
    assert!(told.contains("refused"), "{told}");
    let listener = TcpListener::bind(address).unwrap();
    let acme = Acme::on(listener, Look::Tls(gateway.ingress), LONG);
    served(&gateway, &acme, "a");
    assert!(failures() <= 3, "{}", gateway.log());
    orderly(&acme);
}

#[test]
fn an_expired_certificate_that_is_kept_is_replaced() {
    let (mut gateway, acme) = running(Duration::from_secs(3), &[]);
    served(&gateway, &acme, "a");
    assert!(gateway.stop().success());
    let orders = acme.orders();
    eventually("the certificate to end", PATIENCE, || {
        let kept = std::fs::metadata(folder(&gateway, &acme).join("certificate.pem")).unwrap();
        (kept.modified().unwrap().elapsed().unwrap() > Duration::from_secs(4)).then_some(())
    });
    acme.lives(LONG);
    gateway.run();
    served(&gateway, &acme, "b");
    assert_eq!((acme.orders(), acme.accounts()), (orders + 1, 1));
    orderly(&acme);
}

#[test]
fn a_gateway_that_starts_again_and_again_does_not_use_up_what_a_ca_allows() {
    // Each process dies in the middle of its order.
    let (mut gateway, acme) = running(LONG, &[Fault::Lingering(50); 8]);
    for start in 1..=6 {
        eventually("an order, or none to be placed", PATIENCE, || {
            let waits = standing(&gateway)["next_order_at"].is_string();
            (acme.orders() == start || waits).then_some(())
        });
        gateway.kill();
        if start < 6 {
            gateway.run();
        }
    }
    assert_eq!(acme.orders(), 4);
    assert_eq!(acme.accounts(), 1);
    orderly(&acme);
}

#[test]
fn by_http_only_the_token_that_is_asked_for_is_answered() {
    let mut gateway = Gateway::prepare("");
    let proofs = free_address();
    let acme = Acme::start(Look::Http(proofs), LONG);
    let more = format!(", challenge = \"http\", http_listen = \"{proofs}\"");
    configure(&gateway, &acme.directory(), &more);
    gateway.run();
    served(&gateway, &acme, "a");
    for (method, path) in [
        ("GET", "/"),
        ("GET", "/.well-known/acme-challenge/"),
        ("GET", "/.well-known/acme-challenge/../../etc/passwd"),
        ("GET", "/.well-known/acme-challenge/dG9rZW4tMC0w"),
        ("POST", "/hooks/qiscus"),
    ] {
        let answer = ask(proofs, method, path, &[], b"").unwrap();
        assert_eq!(answer.status, 404, "{method} {path}");
    }
    let alert = presented(gateway.ingress, NAME, &[b"acme-tls/1"]).unwrap_err();
    assert!(alert.contains("NoApplicationProtocol"), "{alert}");
    orderly(&acme);
    strangers(&gateway, proofs);
}

/// So many silent connections of one address and in all, and not one more.
fn strangers(gateway: &Gateway, proofs: SocketAddr) {
    let refused = |why: &str| {
        let series = format!("hookfan_connections_refused_total{{why=\"{why}\"}}");
        gateway.metric(&series).unwrap_or(0.0)
    };
    let mut open: Vec<TcpStream> = (0..16).map(|_| from(2, proofs)).collect();
    let mut more = from(2, proofs);
    assert_eq!(more.read(&mut [0]).unwrap_or(0), 0, "the seventeenth");
    assert_eq!(refused("connections_per_ip"), 1.0);
    open.extend((3..10).flat_map(|host| (0..16).map(move |_| from(host, proofs))));
    let mut more = from(10, proofs);
    assert_eq!(
        more.read(&mut [0]).unwrap_or(0),
        0,
        "the hundred and twenty-ninth"
    );
    assert_eq!((open.len(), refused("connections")), (128, 1.0));
}

/// A connection from 127.0.0.`host`.
fn from(host: u8, to: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let own = SocketAddr::from(([127, 0, 0, host], 0));
    socket.bind(&own.into()).unwrap();
    socket.connect(&to.into()).unwrap();
    TcpStream::from(socket)
}

#[test]
fn what_the_disk_does_not_take_is_served_and_written_later() {
    let (mut gateway, acme) = running(LONG, &[]);
    served(&gateway, &acme, "a");
    assert!(gateway.stop().success());
    let folder = folder(&gateway, &acme);
    let kept = || std::fs::read(folder.join("certificate.pem")).unwrap();
    let old = kept();
    // Another name: a new certificate is needed. Its file cannot be written.
    let text = std::fs::read_to_string(gateway.file()).unwrap();
    let both = format!("domain = [\"{NAME}\", \"second.acme.example\"]");
    let text = text.replace(&format!("domain = \"{NAME}\""), &both);
    std::fs::write(gateway.file(), text).unwrap();
    let obstacle = folder.join("certificate.pem.new");
    std::fs::create_dir_all(obstacle.join("in the way")).unwrap();
    gateway.run();
    eventually("the second certificate", PATIENCE, || {
        (acme.certificates() == 2).then_some(())
    });
    eventually("the complaint", PATIENCE, || {
        gateway.log().contains("acme.unsaved").then_some(())
    });
    served(&gateway, &acme, "b");
    assert!(kept() == old, "the old one stands");
    std::fs::remove_dir_all(&obstacle).unwrap();
    eventually("the file", PATIENCE, || (kept() != old).then_some(()));
    assert_eq!(acme.orders(), 2);
    orderly(&acme);
}

#[test]
fn no_key_is_told_to_anybody() {
    let gateway = Gateway::prepare("").at_level("trace");
    let acme = Acme::start(Look::Tls(gateway.ingress), LONG);
    configure(&gateway, &acme.directory(), "");
    let mut gateway = gateway;
    gateway.run();
    served(&gateway, &acme, "a");
    let folder = folder(&gateway, &acme);
    let pem = std::fs::read_to_string(folder.join("certificate.pem")).unwrap();
    let account = std::fs::read_to_string(folder.join("account.json")).unwrap();
    let account: Value = serde_json::from_str(&account).unwrap();
    let account = account["credentials"]["key_pkcs8"].as_str().unwrap();
    let lines: Vec<&str> = pem.lines().collect();
    assert!(lines[0].contains("PRIVATE KEY") && account.len() > 100);
    let told = format!(
        "{}{}{}",
        gateway.log(),
        gateway.get("/api/v1/status").text(),
        gateway.get("/metrics").text()
    );
    for secret in [lines[1], lines[2], &account[40..]] {
        assert!(!told.contains(secret));
    }
}
