//! What every scheme promises: published vectors hold, its own proofs hold,
//! and nothing else does.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::hmac::{Stamped, signed_parts};
use super::mac::{Algorithm, Encoding};
use super::stamp::Unit;
use super::standard::key as standard_key;
use super::token::Place;
use super::*;

mod configuring;
mod edges;
mod vectors;

const FIVE_MINUTES: Duration = Duration::from_secs(300);
const NOW: Timestamp = Timestamp::from_millis(1_736_892_065_429);

fn secret(text: &str) -> Secret {
    Secret::new(text.as_bytes())
}

fn auth_of(scheme: Scheme) -> Auth {
    Auth {
        scheme,
        allow: Vec::new(),
    }
}

fn standard(secrets: &[&str]) -> Scheme {
    let keys = secrets
        .iter()
        .filter_map(|text| standard_key(&secret(text)))
        .collect();
    Scheme::Standard(Standard {
        keys,
        tolerance: FIVE_MINUTES,
    })
}

fn shop(encoding: Encoding, algorithm: Algorithm, signed: &str) -> Scheme {
    let header = HeaderName::from_static;
    let timestamp = Stamped {
        header: header("x-shop-time"),
        unit: Unit::Either,
        tolerance: FIVE_MINUTES,
    };
    Scheme::Hmac(Hmac {
        header: header("x-shop-signature"),
        algorithm,
        encoding,
        prefix: "sig=".to_owned(),
        signed: signed_parts(signed).unwrap(),
        timestamp: signed.contains("{timestamp}").then_some(timestamp),
        id: signed.contains("{id}").then(|| header("x-shop-id")),
        secrets: vec![secret("new"), secret("old")],
    })
}

fn token(place: Place) -> Scheme {
    Scheme::Token(Token {
        place,
        secrets: vec![secret("a/b&c=d %"), secret("old-token")],
    })
}

fn bearer() -> Place {
    Place::Header {
        name: http::header::AUTHORIZATION,
        prefix: "Bearer ".to_owned(),
    }
}

/// Every scheme, with the headers whose absence or repetition must be refused.
fn schemes() -> Vec<(&'static str, Auth)> {
    let dixa = vec![Secret::new([7_u8; 32]), Secret::new([8_u8; 32])];
    vec![
        (
            "qiscus",
            auth_of(Scheme::Hmac(Hmac::qiscus(vec![
                secret("one"),
                secret("two"),
            ]))),
        ),
        (
            "github",
            auth_of(Scheme::Hmac(Hmac::github(vec![secret("one")]))),
        ),
        (
            "slack",
            auth_of(Scheme::Hmac(Hmac::slack(vec![secret("one")], FIVE_MINUTES))),
        ),
        (
            "stripe",
            auth_of(Scheme::List(List::stripe(
                vec![secret("whsec_one")],
                FIVE_MINUTES,
            ))),
        ),
        (
            "dixa",
            auth_of(Scheme::List(List::dixa(dixa, FIVE_MINUTES))),
        ),
        (
            "standard",
            auth_of(standard(&["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])),
        ),
        (
            "hmac",
            auth_of(shop(Encoding::Base64, Algorithm::Sha1, "{body}")),
        ),
        (
            "hmac, all parts",
            auth_of(shop(
                Encoding::Base64Url,
                Algorithm::Sha512,
                "{id}.{timestamp}.{body}",
            )),
        ),
        (
            "quiq",
            auth_of(Scheme::Token(Token::quiq(vec![secret(
                "3d2f7436-e7f3-4705-8390-3b97edca2c00",
            )]))),
        ),
        ("token in a header", auth_of(token(bearer()))),
        (
            "basic",
            auth_of(Scheme::Basic(Basic {
                user: "shop".to_owned(),
                passwords: vec![secret("pä:ss")],
            })),
        ),
        (
            "token in the query",
            auth_of(token(Place::Query("key".to_owned()))),
        ),
        ("token in the path", auth_of(token(Place::Path))),
    ]
}

fn map(headers: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_bytes(value.as_bytes()).unwrap(),
        );
    }
    map
}

fn decide(auth: &Auth, proof: &Proof, body: &[u8], now: Timestamp) -> Result<(), Rejection> {
    let pairs: Vec<(&str, &str)> = proof
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let (headers, body) = (map(&pairs), Bytes::copy_from_slice(body));
    let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let inbound = Inbound {
        tail: proof.tail.as_deref(),
        query: proof.query.as_deref(),
        headers: &headers,
        body: &body,
        peer,
    };
    auth.verify(&inbound, now)
}

fn check(
    scheme: Scheme,
    headers: &[(&str, &str)],
    body: &[u8],
    secs: u64,
    expected: Result<(), Rejection>,
) {
    let headers = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let proof = Proof {
        headers,
        ..Proof::default()
    };
    assert_eq!(
        decide(
            &auth_of(scheme),
            &proof,
            body,
            Timestamp::from_millis(secs * 1000)
        ),
        expected,
        "{proof:?}"
    );
}

#[test]
fn what_we_prove_we_believe() {
    for (name, auth) in schemes() {
        let proof = auth.prove("msg-1", b"{}", NOW);
        assert_eq!(decide(&auth, &proof, b"{}", NOW), Ok(()), "{name}");
        for header in auth.proof_headers() {
            assert!(
                proof.headers.iter().any(|(name, _)| *name == header),
                "{name}: {header}"
            );
        }
    }
}

#[test]
fn any_of_several_secrets_may_match_and_a_retired_one_does_not() {
    for (name, auth) in schemes() {
        let stranger = auth_of(Scheme::Hmac(Hmac::qiscus(vec![secret("stranger")])));
        let proof = stranger.prove("msg-1", b"{}", NOW);
        assert!(decide(&auth, &proof, b"{}", NOW).is_err(), "{name}");
    }
    let old = auth_of(Scheme::Hmac(Hmac::github(vec![secret("old")]))).prove("", b"{}", NOW);
    let both = auth_of(Scheme::Hmac(Hmac::github(vec![
        secret("new"),
        secret("old"),
    ])));
    let new = auth_of(Scheme::Hmac(Hmac::github(vec![secret("new")])));
    assert_eq!(decide(&both, &old, b"{}", NOW), Ok(()));
    assert_eq!(decide(&new, &old, b"{}", NOW), Err(Rejection::Mismatch));
}

#[test]
fn no_flipped_bit_of_a_body_is_believed() {
    let body: Vec<u8> = (0..1024_u32).map(|i| (i * 31 % 251) as u8).collect();
    // One of each way to sign.
    for (name, auth) in schemes()
        .into_iter()
        .filter(|(name, _)| ["qiscus", "dixa", "standard"].contains(name))
    {
        let proof = auth.prove("msg-1", &body, NOW);
        assert_eq!(decide(&auth, &proof, &body, NOW), Ok(()), "{name}");
        for bit in 0..body.len() * 8 {
            let mut bent = body.clone();
            bent[bit / 8] ^= 1 << (bit % 8);
            assert!(
                decide(&auth, &proof, &bent, NOW).is_err(),
                "{name}: bit {bit}"
            );
        }
    }
}

#[test]
fn no_flipped_bit_of_a_proof_is_believed() {
    // Basic's scheme word has no case, so its letters are left out.
    for (name, auth) in schemes() {
        let proof = auth.prove("msg-1", b"{}", NOW);
        for (index, (_, value)) in proof.headers.iter().enumerate() {
            let from = if name == "basic" { "Basic".len() } else { 0 };
            for bit in from * 8..value.len() * 8 {
                let mut bytes = value.clone().into_bytes();
                bytes[bit / 8] ^= 1 << (bit % 8);
                // What is no header value never gets here.
                let Ok(bent) = String::from_utf8(bytes) else {
                    continue;
                };
                if HeaderValue::from_str(&bent).is_err() {
                    continue;
                }
                let mut bad = proof.clone();
                bad.headers[index].1 = bent;
                assert!(
                    decide(&auth, &bad, b"{}", NOW).is_err(),
                    "{name}: bit {bit} of header {index}"
                );
            }
        }
    }
}

#[test]
fn a_proof_that_is_absent_doubled_or_odd_is_refused() {
    for (name, auth) in schemes().into_iter().take(11) {
        let proof = auth.prove("msg-1", b"{}", NOW);
        for index in 0..proof.headers.len() {
            let mut absent = proof.clone();
            absent.headers.remove(index);
            assert_eq!(
                decide(&auth, &absent, b"{}", NOW),
                Err(Rejection::Missing),
                "{name} without header {index}"
            );
            let mut doubled = proof.clone();
            doubled.headers.push(proof.headers[index].clone());
            assert_eq!(
                decide(&auth, &doubled, b"{}", NOW),
                Err(Rejection::Malformed),
                "{name} with header {index} twice"
            );
            let huge = "9".repeat(100_000);
            for odd in [
                "",
                " ",
                "-1",
                "v1,",
                "v1=",
                "t=,v1=",
                "t",
                "=",
                ",",
                "Basic",
                "Basic ",
                "sha256=",
                "é",
                "9223372036854775808",
                &huge,
            ] {
                let mut bad = proof.clone();
                bad.headers[index].1 = odd.to_owned();
                assert!(
                    decide(&auth, &bad, b"{}", NOW).is_err(),
                    "{name}: {odd:.30}"
                );
            }
        }
    }
}

#[test]
fn an_id_or_time_that_could_be_split_in_two_ways_is_refused() {
    for scheme in [
        standard(&["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]),
        shop(Encoding::Hex, Algorithm::Sha256, "{id}.{timestamp}.{body}"),
    ] {
        let auth = auth_of(scheme);
        for id in ["a.b", ".", "a b", "", "é"] {
            assert!(
                decide(&auth, &auth.prove(id, b"{}", NOW), b"{}", NOW).is_err(),
                "{id:?}"
            );
        }
    }
}

#[test]
fn a_token_is_read_from_its_place_only_once() {
    let query = auth_of(token(Place::Query("key".to_owned())));
    let path = auth_of(token(Place::Path));
    let ask = |auth: &Auth, query: Option<&str>, tail: Option<&str>| {
        let proof = Proof {
            query: query.map(str::to_owned),
            tail: tail.map(str::to_owned),
            ..Proof::default()
        };
        decide(auth, &proof, b"", NOW)
    };
    assert_eq!(ask(&query, Some("x=1&key=old-token"), None), Ok(()));
    assert_eq!(ask(&query, Some("key=old%2Dtoken"), None), Ok(()));
    assert_eq!(
        ask(&query, Some("key=old-token&key=old-token"), None),
        Err(Rejection::Malformed)
    );
    assert_eq!(
        ask(&query, Some("KEY=old-token"), None),
        Err(Rejection::Missing)
    );
    assert_eq!(ask(&query, Some("key="), None), Err(Rejection::Missing));
    assert_eq!(
        ask(&query, None, Some("old-token")),
        Err(Rejection::Missing)
    );
    assert_eq!(
        ask(&query, Some("key=old-toke%zz%"), None),
        Err(Rejection::Mismatch)
    );
    assert_eq!(ask(&path, None, Some("v2/old-token")), Ok(()));
    assert_eq!(
        ask(&path, None, Some("old-token/v2")),
        Err(Rejection::Mismatch)
    );
    assert_eq!(ask(&path, Some("old-token"), None), Err(Rejection::Missing));
}

#[test]
fn only_listed_networks_may_send() {
    let nets = vec![
        "10.0.0.0/8".parse().unwrap(),
        "2001:db8::/32".parse().unwrap(),
    ];
    let auth = Auth {
        scheme: Scheme::None,
        allow: nets,
    };
    for (peer, expected) in [
        ("10.1.2.3", true),
        ("::ffff:10.1.2.3", true),
        ("11.0.0.1", false),
        ("::ffff:11.0.0.1", false),
        ("2001:db8::1", true),
    ] {
        assert_eq!(auth.allowed(peer.parse().unwrap()), expected, "{peer}");
    }
    assert!(!auth.accepts_anybody());
    assert!(auth_of(Scheme::None).accepts_anybody());
}

#[test]
fn no_secret_shows_in_debug() {
    for (name, auth) in schemes() {
        let shown = format!("{auth:?} {:?}", auth.prove("msg-1", b"{}", NOW));
        for hidden in [
            "whsec_one",
            "MfKQ9r8",
            "a/b&c=d",
            "old-token",
            "3d2f7436",
            "pä:ss",
            "Bearer a",
            "v1=",
        ] {
            assert!(!shown.contains(hidden), "{name} shows {hidden}");
        }
    }
}

#[test]
fn outgoing_signatures_are_standard_webhooks() {
    let key = secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    let now = Timestamp::from_millis(1_614_265_330_999);
    let headers = sign_standard(
        &key,
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        br#"{"test": 2432232314}"#,
        now,
    );
    let code = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    assert_eq!(
        headers,
        [
            ("webhook-timestamp", "1614265330".to_owned()),
            ("webhook-signature", code.to_owned())
        ]
    );
    assert!(is_standard_secret(&key) && !is_standard_secret(&secret("whsec_$")));
}
