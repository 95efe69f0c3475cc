//! The addresses nobody may be led to: by a literal, by a name, by a name that
//! changes its mind.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Destination;
use super::client::client_with;
use super::connector::Resolve;
use super::hostile::Hostile;
use super::wire_tests::{attempt, local, ok, outgoing, stack};
use crate::settle::Outcome;

/// Names that lead to loopback, private or link-local addresses, as an
/// attacker would write them. `P` stands for the canary's port.
#[rustfmt::skip]
fn ssrf_hosts() -> Vec<String> {
    let v4 = [
        "127.0.0.1", "127.1", "127.0.1", "0x7f.1", "0x7f000001", "0x7F.0x0.0x0.0x1", "017700000001", "0177.0.0.1",
        "0177.1", "2130706433", "127.0.0.1.", "127.000.000.001", "00000177.0.0.1", "0x7f.0.0x0.01", "①②⑦.⓪.⓪.①",
        "１２７.０.０.１", "127。0。0。1", "127．0．0．1", "127｡0｡0｡1", "%31%32%37.0.0.1", "127%2E0%2E0%2E1", "127.0.0.2",
        "127.255.255.254", "127.127.127.127", "0", "0.0.0.0", "0x0", "00", "0.0", "0.0.0.0.", "10.0.0.1", "10.1",
        "0xa.1", "167772161", "172.16.0.1", "172.31.255.254", "192.168.0.1", "192.168.257", "3232235521",
        "0xc0a80001", "100.64.0.1", "100.127.255.254", "169.254.169.254", "2852039166", "0xa9fea9fe", "025177524776",
        "0xa9.254.0251.0xfe", "169.254.43518", "169.16689662", "①⑥⑨.②⑤④.①⑥⑨.②⑤④", "169.254.169.254.",
        "169.254.170.2", "100.100.100.200", "192.0.0.192", "224.0.0.1", "239.255.255.250", "255.255.255.255",
        "240.0.0.1", "198.18.0.1", "192.0.2.1", "198.51.100.1", "203.0.113.1", "192.88.99.1", "0.0.0.1", "0.127.0.1",
    ];
    let v6 = [
        "::1", "::", "0:0:0:0:0:0:0:1", "0000::0001", "::ffff:127.0.0.1", "::ffff:7f00:1", "::FFFF:7F00:0001",
        "0:0:0:0:0:ffff:127.0.0.1", "::127.0.0.1", "::7f00:1", "::ffff:0:127.0.0.1", "64:ff9b::127.0.0.1",
        "64:ff9b::7f00:1", "64:ff9b::10.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::7f00:1", "2002:7f00:1::",
        "2002:a00:1::1", "2002:a9fe:a9fe::1", "2002:c0a8:1::1", "::ffff:10.0.0.1", "::ffff:192.168.0.1",
        "::ffff:169.254.169.254", "::ffff:a9fe:a9fe", "::169.254.169.254", "::ffff:0.0.0.0", "fe80::1", "febf::1",
        "fec0::1", "fc00::1", "fd00::1", "fd00:ec2::254", "ff02::1", "ff05::2", "2001::1", "2001:0:7f00:1::",
        "2001:db8::1", "3fff::1", "100::1", "5f00::1", "::ffff:100.64.0.1", "::ffff:172.16.0.1", "::2",
        "::ffff:255.255.255.255",
    ];
    let names = [
        "localhost", "LOCALHOST", "localhost.", "LocalHost.", "ⓛocalhost", "ｌｏｃａｌｈｏｓｔ", "rebind.example",
        "user:pw@localhost", "public.example@localhost", "public.example:80@127.0.0.1", "127.0.0.1\\@public.example",
        "127.0.0.1#@public.example", "127.0.0.1?@public.example", "\t127.0.0.1", "127.0.0.1\n", "127.\t0.0.1",
    ];
    let bracketed = v6.iter().map(|host| format!("[{host}]"));
    v4.iter()
        .chain(&names)
        .map(|&host| host.to_owned())
        .chain(bracketed)
        .collect()
}

/// Public at first, then loopback; every other name is loopback.
#[derive(Debug, Default)]
struct Rebinding(AtomicUsize);

impl Resolve for Rebinding {
    fn resolve(
        &self,
        host: String,
        port: u16,
    ) -> Pin<Box<dyn Future<Output = std::io::Result<Vec<SocketAddr>>> + Send>> {
        let asked = self.0.fetch_add(1, Ordering::SeqCst);
        let address = |text: &str| SocketAddr::new(text.parse().unwrap(), port);
        let found = match host.as_str() {
            "flipping.example" if asked.is_multiple_of(2) => {
                vec![address("127.0.0.1"), address("::1")]
            }
            "flipping.example" => vec![address("169.254.169.254")],
            "mixed.example" => vec![
                address("10.0.0.1"),
                address("127.0.0.1"),
                address("fe80::1"),
            ],
            "nowhere.example" => Vec::new(),
            _ => vec![address("127.0.0.1")],
        };
        Box::pin(async move { Ok(found) })
    }
}

#[tokio::test]
async fn no_spelling_of_a_forbidden_address_reaches_a_canary() {
    let canary = Hostile::at("[::]:0", ok()).await;
    let hosts = ssrf_hosts();
    assert!(hosts.len() >= 120, "{}", hosts.len());
    let destination = Destination {
        allow_private: false,
        ..local()
    };
    let mut stack = stack(
        &destination,
        client_with(&destination, Arc::new(Rebinding::default())),
    );
    for host in &hosts {
        for scheme in ["http", "https"] {
            let written = match host.split_once(['\\', '#', '?']) {
                Some((host, rest)) => format!("{scheme}://{host}:{}/{rest}", canary.address.port()),
                None => format!("{scheme}://{host}:{}/", canary.address.port()),
            };
            // Some are refused by the URL parser already.
            let Ok(url) = written.parse::<url::Url>() else {
                continue;
            };
            let answer = attempt(&mut stack, &outgoing(url.as_str())).await;
            assert_eq!(
                answer.outcome,
                Outcome::Dns,
                "{written} is {url}: {answer:?}"
            );
        }
    }
    assert_eq!(canary.connections(), 0);
}

/// X17: checked where it connects, every time.
#[tokio::test]
async fn a_name_that_changes_its_mind_is_asked_about_every_time() {
    let canary = Hostile::at("[::]:0", ok()).await;
    let destination = Destination {
        allow_private: false,
        ..local()
    };
    let mut stack = stack(
        &destination,
        client_with(&destination, Arc::new(Rebinding::default())),
    );
    for round in 0..1000 {
        let host = ["flipping.example", "mixed.example", "nowhere.example"][round % 3];
        let answer = attempt(
            &mut stack,
            &outgoing(&format!("http://{host}:{}/", canary.address.port())),
        )
        .await;
        assert_eq!(answer.outcome, Outcome::Dns, "{answer:?}");
    }
    assert_eq!(canary.connections(), 0);
}

#[tokio::test]
async fn the_switch_opens_what_it_says_and_only_checked_addresses_are_connected_to() {
    let server = Hostile::new(ok()).await;
    let destination = local();
    let mut stack = stack(
        &destination,
        client_with(&destination, Arc::new(Rebinding::default())),
    );
    let answer = attempt(
        &mut stack,
        &outgoing(&format!("http://name.example:{}/", server.address.port())),
    )
    .await;
    assert_eq!(
        (answer.outcome.status(), server.connections()),
        (Some(200), 1)
    );
    let link_local = attempt(
        &mut stack,
        &outgoing(&format!(
            "http://169.254.169.254:{}/",
            server.address.port()
        )),
    )
    .await;
    assert_eq!(link_local.outcome, Outcome::Dns, "{link_local:?}");
}
