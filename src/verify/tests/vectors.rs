//! Vectors that others published, and those of our samples.

use super::*;

#[test]
fn qiscus_signs_the_raw_body() {
    let qiscus = br#"{"payload":{"from":{"email":"rina@customer.example.com","id":90211,"name":"Rina Wijaya"},"message":{"payload":{},"text":"ok","type":"text"},"room":{"id":1375619,"name":"Order A-1042","participants":[{"avatar_url":"https://cdn.example.com/a/rina.jpg","email":"rina@customer.example.com","id":90211,"username":"Rina Wijaya"},{"avatar_url":"https://cdn.example.com/a/budi.jpg","email":"agent.budi@shop.example.com","id":90007,"username":"Budi (Support)"}],"topic_id":1375619,"type":"group"}},"type":"post_comment_mobile"}"#;
    let code = "0aea1dd91bd0d8aca038515bdfa3d636fc7332d0f0295bbf09dde932d9a707f7";
    let scheme = || {
        Scheme::Hmac(Hmac::qiscus(vec![
            secret("retired"),
            secret("qiscus-test-signature-token"),
        ]))
    };
    check(
        scheme(),
        &[("QISCUS-SDK-SIGNATURE", code)],
        qiscus,
        0,
        Ok(()),
    );
}

#[test]
fn dixa_signs_with_a_hex_key() {
    let dixa = include_bytes!("../../../tests/suite/fixtures/dixa_conversation_rated.json");
    let key =
        hex::decode("00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff").unwrap();
    let scheme = || Scheme::List(List::dixa(vec![Secret::new(key.clone())], FIVE_MINUTES));
    let value =
        "t=1736892065429,v1=095db593569822236bdc2cba5ed21431d17203cb28376fa417633850cc4de863";
    check(
        scheme(),
        &[("X-DIXA-SIGNATURE", value)],
        dixa,
        1_736_892_066,
        Ok(()),
    );
}

#[test]
fn githubs_documented_example_holds() {
    // GitHub, "Validating webhook deliveries".
    let scheme = || Scheme::Hmac(Hmac::github(vec![secret("It's a Secret to Everybody")]));
    let value = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    check(
        scheme(),
        &[("X-Hub-Signature-256", value)],
        b"Hello, World!",
        0,
        Ok(()),
    );
}

#[test]
fn the_public_vector_of_standard_webhooks_holds() {
    // The vector of the Standard Webhooks reference libraries.
    let headers = [
        ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
        ("webhook-timestamp", "1614265330"),
        (
            "webhook-signature",
            "v1a,abc v1,bm90IGl0 v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        ),
    ];
    let scheme = || standard(&["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]);
    check(
        scheme(),
        &headers,
        br#"{"test": 2432232314}"#,
        1_614_265_330,
        Ok(()),
    );
}

#[test]
fn slacks_documented_example_holds_for_five_minutes() {
    // Slack, "Verifying requests from Slack".
    let body = b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    let headers = [
        ("X-Slack-Request-Timestamp", "1531420618"),
        (
            "X-Slack-Signature",
            "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
        ),
    ];
    let scheme = || {
        Scheme::Hmac(Hmac::slack(
            vec![secret("8f742231b10e8888abcd99yyyzzz85a5")],
            FIVE_MINUTES,
        ))
    };
    check(scheme(), &headers, body, 1_531_420_618, Ok(()));
    check(
        scheme(),
        &headers,
        body,
        1_531_420_618 + 301,
        Err(Rejection::Stale),
    );
}

#[test]
fn stripe_lists_codes_of_several_keys_and_schemes() {
    // Stripe's shape: several codes, an old `v0` among them.
    let code = "654b43d3508ecadb3f8cefc4bc7d3d2bdc5ba9e03bf2c89b2d0657a8e24e4543";
    let value = format!(
        "t=1492774577,v1=00,v1={code},v0=6ffbb59b2300aae63f272406069a9788598b792a944a07aba816edb039989a39"
    );
    let scheme = || {
        Scheme::List(List::stripe(
            vec![secret("whsec_test_secret")],
            FIVE_MINUTES,
        ))
    };
    let body = br#"{"id":"evt_1","object":"event"}"#;
    check(
        scheme(),
        &[("Stripe-Signature", &value)],
        body,
        1_492_774_577,
        Ok(()),
    );
    check(
        scheme(),
        &[("Stripe-Signature", &value.replace("v1", "v2"))],
        body,
        1_492_774_577,
        Err(Rejection::Malformed),
    );
}
