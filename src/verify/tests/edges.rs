//! Where each scheme draws its lines: how many, how long, and which.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::*;

/// Decides on `value` in the one header of a scheme, at its own time.
fn offered(auth: &Auth, value: String) -> Result<(), Rejection> {
    let mut proof = auth.prove("msg-1", b"{}", NOW);
    proof.headers.last_mut().unwrap().1 = value;
    decide(auth, &proof, b"{}", NOW)
}

#[test]
fn the_headers_that_carry_proof_are_known_and_shown_without_their_values() {
    let expected = [
        "qiscus-sdk-signature",
        "x-hub-signature-256",
        "x-slack-signature",
        "stripe-signature",
        "x-dixa-signature",
        "webhook-signature",
        "x-shop-signature",
        "x-shop-signature",
        "x-centricient-hook-token",
        "authorization",
        "authorization",
        "",
        "",
    ];
    for ((name, auth), header) in schemes().into_iter().zip(expected) {
        assert_eq!(auth.proof_headers().concat(), header, "{name}");
        let shown = format!("{:?}", auth.prove("msg-1", b"{}", NOW));
        assert!(shown.contains(header), "{name}: {shown}");
    }
    assert!(auth_of(Scheme::None).proof_headers().is_empty());
}

#[test]
fn a_list_holds_one_time_and_at_most_sixteen_codes() {
    let auth = auth_of(Scheme::List(List::stripe(
        vec![secret("one")],
        FIVE_MINUTES,
    )));
    let good = auth.prove("", b"{}", NOW).headers[0].1.clone();
    let (time, code) = good.split_once(',').unwrap();
    let others = |count: usize| ",v1=00".repeat(count);
    for (value, expected) in [
        (format!("{good},v0=old,extra="), Ok(())),
        (format!("{code},{time}"), Ok(())),
        (format!("{time}{},{code}", others(15)), Ok(())),
        (
            format!("{time}{},{code}", others(16)),
            Err(Rejection::Malformed),
        ),
        (format!("{good}{}", others(16)), Err(Rejection::Malformed)),
        (format!("{time},{good}"), Err(Rejection::Malformed)),
        (format!("{good},t=1"), Err(Rejection::Malformed)),
        (time.to_owned(), Err(Rejection::Malformed)),
        (code.to_owned(), Err(Rejection::Malformed)),
        (format!("{time},v1=00"), Err(Rejection::Mismatch)),
    ] {
        assert_eq!(offered(&auth, value.clone()), expected, "{value}");
    }
}

#[test]
fn standard_webhooks_looks_at_sixteen_codes_and_at_ids_of_256_bytes() {
    let auth = auth_of(standard(&["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]));
    let good = auth.prove("msg-1", b"{}", NOW).headers[2].1.clone();
    let others = |count: usize| "v1,AAAA v1a,AAAA ".repeat(count);
    assert_eq!(offered(&auth, format!("{}{good}", others(15))), Ok(()));
    let late = offered(&auth, format!("{}{good}", others(16)));
    assert_eq!(late, Err(Rejection::Mismatch));
    for (bytes, expected) in [(256, Ok(())), (257, Err(Rejection::Malformed))] {
        let proof = auth.prove(&"i".repeat(bytes), b"{}", NOW);
        assert_eq!(decide(&auth, &proof, b"{}", NOW), expected, "{bytes}");
    }
}

#[test]
fn a_secret_that_is_given_twice_is_still_believed() {
    let token = auth_of(Scheme::Token(Token::quiq(vec![secret("x"), secret("x")])));
    let basic = auth_of(Scheme::Basic(Basic {
        user: "shop".to_owned(),
        passwords: vec![secret("x"), secret("x")],
    }));
    let hmac = auth_of(Scheme::Hmac(Hmac::qiscus(vec![secret("x"), secret("x")])));
    for auth in [token, basic, hmac] {
        let proof = auth.prove("", b"{}", NOW);
        assert_eq!(decide(&auth, &proof, b"{}", NOW), Ok(()));
    }
}

#[test]
fn basic_is_believed_under_its_own_name_only() {
    let auth = auth_of(Scheme::Basic(Basic {
        user: "shop".to_owned(),
        passwords: vec![secret("old"), secret("new")],
    }));
    let credentials = |password| STANDARD.encode(format!("shop:{password}"));
    for (value, expected) in [
        (format!("basic {}", credentials("new")), Ok(())),
        (format!("BASIC {}", credentials("old")), Ok(())),
        (
            format!("Bearer {}", credentials("new")),
            Err(Rejection::Malformed),
        ),
        ("Basic ".to_owned(), Err(Rejection::Malformed)),
        (
            format!("Basic {}", credentials("no")),
            Err(Rejection::Mismatch),
        ),
    ] {
        assert_eq!(offered(&auth, value.clone()), expected, "{value}");
    }
}
