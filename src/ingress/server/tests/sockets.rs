//! What only real sockets show: caps, descriptors, TLS, the whole server.

use std::net::SocketAddr;
use std::process::Command;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

use super::*;
use crate::ingress::{Tls, bind};

struct Running {
    address: SocketAddr,
    drain: CancellationToken,
    tasks: JoinSet<()>,
}

fn run(house: &Arc<House>, tls: Option<&Tls>) -> Running {
    let listener = bind(([127, 0, 0, 1], 0).into()).unwrap();
    let address = listener.local_addr().unwrap();
    let (drain, mut tasks) = (CancellationToken::new(), JoinSet::new());
    tasks.spawn(serve(
        Arc::clone(house),
        listener,
        tls.map(Tls::acceptor),
        drain.clone(),
    ));
    Running {
        address,
        drain,
        tasks,
    }
}

async fn ask(address: SocketAddr) -> io::Result<(TcpStream, String)> {
    let mut socket = TcpStream::connect(address).await?;
    socket.write_all(sized("a", "abc").as_bytes()).await?;
    let mut bytes = Vec::new();
    while !bytes.ends_with(b">") {
        bytes.push(socket.read_u8().await?);
    }
    Ok((socket, String::from_utf8(bytes).unwrap()))
}

#[tokio::test]
async fn connections_are_capped_in_all_and_per_address() {
    for (limits, why) in [
        (
            Limits {
                connections: 2,
                ..Limits::default()
            },
            "connections",
        ),
        (
            Limits {
                connections_per_ip: 2,
                ..Limits::default()
            },
            "connections_per_ip",
        ),
    ] {
        let house = House::new(limits);
        let running = run(&house, None);
        let one = ask(running.address).await.unwrap();
        let _two = ask(running.address).await.unwrap();
        assert!(ask(running.address).await.is_err());
        assert_eq!(
            (
                house.refused_connections(why),
                house.metrics.connections.get()
            ),
            (1, 2)
        );
        drop(one);
        wait_for("a seat is free", || house.metrics.connections.get() == 1).await;
        assert!(ask(running.address).await.is_ok());
    }
}

#[tokio::test]
async fn a_refusal_is_not_overtaken_by_a_reset() {
    let house = House::new(Limits::default());
    let running = run(&house, None);
    for _ in 0..20 {
        let mut socket = TcpStream::connect(running.address).await.unwrap();
        let head = "PUT /hooks/a HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n";
        let all = format!("{head}{}", "x".repeat(50_000));
        socket.write_all(all.as_bytes()).await.unwrap();
        let mut text = String::new();
        // Not a reset, which may destroy what was not read yet.
        let ended = timeout(Duration::from_secs(20), socket.read_to_string(&mut text)).await;
        ended.unwrap().expect("an orderly end");
        assert_eq!(statuses(&text), [405]);
    }
}

#[tokio::test]
async fn a_drained_server_ends_when_its_last_request_has() {
    let house = House::new(Limits::default());
    let mut running = run(&house, None);
    let mut idle = ask(running.address).await.unwrap().0;
    let mut busy = TcpStream::connect(running.address).await.unwrap();
    busy.write_all(sized("hold", "abc").as_bytes())
        .await
        .unwrap();
    wait_for("a request is held", || {
        house.held.load(Ordering::SeqCst) == 1
    })
    .await;
    running.drain.cancel();
    assert_eq!(rest(&mut idle).await, "");
    assert!(running.tasks.try_join_next().is_none());
    house.gate_of_hold.add_permits(1);
    assert!(rest(&mut busy).await.ends_with("<3:abc>"));
    timeout(Duration::from_secs(20), running.tasks.join_next())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert!(TcpStream::connect(running.address).await.is_err());
    assert_eq!(house.metrics.connections.get(), 0);
}

fn certificate() -> (tempfile::TempDir, Tls, CertificateDer<'static>) {
    let dir = tempfile::tempdir().unwrap();
    let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let tls = Tls::load(&cert, &key).unwrap();
    (dir, tls, made.cert.der().clone())
}

#[tokio::test]
async fn a_webhook_comes_in_over_tls() {
    let (_dir, tls, root) = certificate();
    let house = House::new(Limits::default());
    let running = run(&house, Some(&tls));
    let mut roots = RootCertStore::empty();
    roots.add(root).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let socket = TcpStream::connect(running.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = TlsConnector::from(Arc::new(config))
        .connect(name, socket)
        .await
        .unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    for _ in 0..2 {
        stream
            .write_all(sized("a", "abc").as_bytes())
            .await
            .unwrap();
        assert_eq!(statuses(&until(&mut stream, "<3:abc>").await), [200]);
    }
    running.drain.cancel();
    assert_eq!(rest(&mut stream).await, "");
}

#[tokio::test]
async fn a_handshake_that_stalls_or_is_none_ends() {
    let (_dir, tls, _root) = certificate();
    let house = House::new(Limits {
        first_byte: Duration::from_millis(300),
        ..Limits::default()
    });
    let running = run(&house, Some(&tls));
    // The beginning of a ClientHello, and nothing at all.
    for bytes in [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], b""] {
        let mut socket = TcpStream::connect(running.address).await.unwrap();
        socket.write_all(bytes).await.unwrap();
        rest(&mut socket).await;
    }
    assert_eq!(house.refused_connections("tls_timeout"), 2);
    let mut socket = TcpStream::connect(running.address).await.unwrap();
    socket
        .write_all(sized("a", "abc").as_bytes())
        .await
        .unwrap();
    assert!(!rest(&mut socket).await.contains("200"));
    wait_for("it is counted", || house.refused_connections("tls") == 1).await;
}

const FEW: &str = "HOOKFAN_TEST_FEW_DESCRIPTORS";

/// Runs itself again in a process of its own, since the limit is the process's.
#[test]
fn running_out_of_descriptors_is_survived() {
    if std::env::var_os(FEW).is_some() {
        return tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(survive());
    }
    let name = "ingress::server::tests::sockets::running_out_of_descriptors_is_survived";
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name])
        .env(FEW, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout).into_owned()
        + &String::from_utf8_lossy(&child.stderr);
    assert!(
        child.status.success() && said.contains("1 passed"),
        "{said}"
    );
}

async fn survive() {
    let house = House::new(Limits::default());
    let running = run(&house, None);
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: Some(60),
            ..getrlimit(Resource::Nofile)
        },
    )
    .unwrap();
    // Both ends are in this process: clients run out, or the server does.
    let mut clients = Vec::new();
    wait_for_refusal(&house, running.address, &mut clients).await;
    clients.clear();
    let start = Instant::now();
    wait_for("it is counted", || house.metrics.connections.get() == 0).await;
    timeout(Duration::from_secs(10), async {
        while ask(running.address).await.is_err() {}
    })
    .await
    .expect("it accepts again");
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
}

/// Connects until the server has failed to accept.
async fn wait_for_refusal(house: &House, address: SocketAddr, clients: &mut Vec<TcpStream>) {
    let fill = async {
        while house.refused_connections("accept") == 0 {
            match TcpStream::connect(address).await {
                Ok(client) => clients.push(client),
                Err(_no_descriptor) => sleep(Duration::from_millis(5)).await,
            }
        }
    };
    timeout(Duration::from_secs(20), fill)
        .await
        .expect("descriptors run out");
}
