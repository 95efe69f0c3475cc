//! What `auth = …` may say, and what is complained about.

use std::os::unix::fs::PermissionsExt;

use toml::de::DeTable;

use super::*;
use crate::decode::{Decoder, Secrets};

/// Reads one `auth` line; every complaint as `message (help)`.
fn configure(auth: &str, dir: &std::path::Path) -> (Option<Auth>, Vec<String>) {
    configure_with(Secrets::Resolve, auth, dir)
}

fn configure_with(
    secrets: Secrets,
    auth: &str,
    dir: &std::path::Path,
) -> (Option<Auth>, Vec<String>) {
    let text = if auth.is_empty() {
        String::new()
    } else {
        format!("auth = {auth}\n")
    };
    let table = DeTable::parse(&text).unwrap();
    let mut decoder = Decoder::new(secrets, dir);
    let mut source = Fields::new(&mut decoder, table.get_ref(), 0, 0..0, "source.shop");
    let auth = Auth::configure(&mut source);
    source.finish();
    let complaints = decoder.complaints.into_iter();
    let show = |c: crate::decode::Complaint| match c.help {
        Some(help) => format!("{} ({help})", c.message),
        None => c.message,
    };
    (auth, complaints.map(show).collect())
}

/// Secret files of every form there is.
fn secrets() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, content) in [
        ("text", "it's a secret"),
        ("other", "another one"),
        ("hex", "00112233"),
        ("standard", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
    ] {
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    dir
}

#[test]
fn every_scheme_can_be_configured_and_believes_its_own_proof() {
    let dir = secrets();
    for auth in [
        r#""none""#,
        r#"{ scheme = "none", allow = ["192.0.2.0/24", "127.0.0.1"] }"#,
        r#"{ scheme = "qiscus", secret = { file = "text" } }"#,
        r#"{ scheme = "quiq", secret = { file = "text" }, allow = ["::ffff:127.0.0.0/104"] }"#,
        r#"{ scheme = "dixa", secret = { file = "hex" }, tolerance = "1m" }"#,
        r#"{ scheme = "standard", secrets = [{ file = "standard" }] }"#,
        r#"{ scheme = "github", secrets = [{ file = "text" }, { file = "other" }] }"#,
        r#"{ scheme = "stripe", secret = { file = "standard" } }"#,
        r#"{ scheme = "slack", secret = { file = "text" } }"#,
        r#"{ scheme = "hmac", header = "X-Shop-Signature", secret = { file = "text" }, encoding = "base64" }"#,
        r#"{ scheme = "hmac", header = "X-S", prefix = "v1=", algorithm = "sha512", encoding = "base64url", signed = "{id}.{timestamp}.{body}", timestamp = "X-T", id = "X-I", tolerance = "10s", secret = { file = "text" } }"#,
        r#"{ scheme = "token", header = "Authorization", prefix = "Bearer ", secret = { file = "text" } }"#,
        r#"{ scheme = "token", query = "key", secret = { file = "text" } }"#,
        r#"{ scheme = "token", path = true, secret = { file = "text" } }"#,
        r#"{ scheme = "basic", user = "shop", password = { file = "text" } }"#,
        r#"{ scheme = "basic", user = "shop", passwords = [{ file = "text" }, { file = "other" }] }"#,
    ] {
        let (read, complaints) = configure(auth, dir.path());
        assert_eq!(complaints, Vec::<String>::new(), "{auth}");
        let read = read.unwrap();
        assert_eq!(read.accepts_anybody(), auth == "\"none\"");
        let proof = read.prove("msg-1", b"{}", NOW);
        assert_eq!(decide(&read, &proof, b"{}", NOW), Ok(()), "{auth}");
    }
}

/// A line, and words of the one complaint about it.
const COMPLAINTS: &[(&str, &str)] = &[
    ("", "`auth` is missing"),
    ("{}", "has no `scheme`"),
    ("7", "\"none\" or a table"),
    ("\"nome\"", "did you mean auth = \"none\""),
    ("\"qiscuss\"", "scheme = \"qiscus\""),
    (
        r#"{ scheme = "githib", secret = { file = "text" } }"#,
        "github",
    ),
    (r#"{ scheme = "qiscus" }"#, "neither `secret` nor `secrets`"),
    (
        r#"{ scheme = "qiscus", secret = { file = "text" }, colour = 1 }"#,
        "colour",
    ),
    (
        r#"{ scheme = "dixa", secret = { file = "text" } }"#,
        "hex digits",
    ),
    (
        r#"{ scheme = "standard", secret = { file = "text" } }"#,
        "base64",
    ),
    (
        r#"{ scheme = "none", allow = ["10.0.0.0/33"] }"#,
        "is no network",
    ),
    (r#"{ scheme = "none", allow = [] }"#, "nobody could send"),
    (
        r#"{ scheme = "hmac", secret = { file = "text" } }"#,
        "has no `header`",
    ),
    (
        r#"{ scheme = "hmac", header = "X_S", secret = { file = "text" } }"#,
        "never arrive",
    ),
    (
        r#"{ scheme = "hmac", header = "X S", secret = { file = "text" } }"#,
        "no header name",
    ),
    (
        r#"{ scheme = "hmac", header = "X-S", tolerance = "5m", secret = { file = "text" } }"#,
        "checks nothing",
    ),
    (
        r#"{ scheme = "hmac", header = "X-S", timestamp = "X-T", secret = { file = "text" } }"#,
        "prove nothing",
    ),
    (
        r#"{ scheme = "hmac", header = "X-S", signed = "{id}", secret = { file = "text" } }"#,
        "unprotected",
    ),
    (
        r#"{ scheme = "hmac", header = "X-S", signed = "{timestamp}{body}", secret = { file = "text" } }"#,
        "go together",
    ),
    (
        r#"{ scheme = "hmac", header = "X-S", signed = "{bod}", secret = { file = "text" } }"#,
        "cannot hold `{bod}`",
    ),
    (
        r#"{ scheme = "token", secret = { file = "text" } }"#,
        "exactly one",
    ),
    (
        r#"{ scheme = "token", header = "X-T", path = true, secret = { file = "text" } }"#,
        "exactly one",
    ),
    (
        r#"{ scheme = "token", query = "key", prefix = "x", secret = { file = "text" } }"#,
        "in a header only",
    ),
    (
        r#"{ scheme = "basic", password = { file = "text" } }"#,
        "user",
    ),
    (
        r#"{ scheme = "basic", user = "a:b", password = { file = "text" } }"#,
        "colon",
    ),
    (r#"{ scheme = "basic", user = "a" }"#, "neither `password`"),
];

#[test]
fn what_would_not_protect_is_complained_about() {
    let dir = secrets();
    for (auth, words) in COMPLAINTS.iter().copied() {
        let (_, complaints) = configure(auth, dir.path());
        let all = complaints.join("; ");
        assert!(
            complaints.len() == 1 && all.contains(words),
            "{auth}: {all}"
        );
        assert!(!all.contains("it's a secret"), "{all}");
    }
    // Neither of these was typed by somebody who meant a scheme.
    let (_, complaints) = configure("\"hunter2-hunter2\"", dir.path());
    assert!(!complaints.join("").contains("hunter2"), "{complaints:?}");
}

/// The scheme as the file has it, and how long its proof is believed.
#[test]
fn a_tolerance_is_five_minutes_unless_another_is_given() {
    let dir = secrets();
    for (auth, seconds) in [
        (r#"{ scheme = "stripe", secret = { file = "text" } }"#, 300),
        (r#"{ scheme = "slack", secret = { file = "text" } }"#, 300),
        (
            r#"{ scheme = "standard", secret = { file = "standard" } }"#,
            300,
        ),
        (
            r#"{ scheme = "dixa", secret = { file = "hex" }, tolerance = "1m" }"#,
            60,
        ),
        (
            r#"{ scheme = "hmac", header = "X-S", signed = "{timestamp}.{body}", timestamp = "X-T", tolerance = "10s", secret = { file = "text" } }"#,
            10,
        ),
    ] {
        let read = configure(auth, dir.path()).0.unwrap();
        let proof = read.prove("msg-1", b"{}", NOW);
        let after = |seconds| NOW.plus(Duration::from_secs(seconds));
        assert_eq!(
            decide(&read, &proof, b"{}", after(seconds)),
            Ok(()),
            "{auth}"
        );
        let late = decide(&read, &proof, b"{}", after(seconds + 1));
        assert_eq!(late, Err(Rejection::Stale), "{auth}");
    }
}

#[test]
fn networks_are_kept_in_their_plain_form_and_addresses_are_networks_of_one() {
    let dir = secrets();
    for (allow, expected) in [
        (
            r#"["192.0.2.0/24", "127.0.0.1"]"#,
            ["192.0.2.0/24", "127.0.0.1/32"],
        ),
        (
            r#"["::ffff:10.0.0.0/104", "::1"]"#,
            ["10.0.0.0/8", "::1/128"],
        ),
        // It holds more than what is mapped.
        (
            r#"["::ffff:0:0/95", "2001:db8::/32"]"#,
            ["::ffff:0:0/95", "2001:db8::/32"],
        ),
    ] {
        let auth = format!(r#"{{ scheme = "none", allow = {allow} }}"#);
        let read = configure(&auth, dir.path()).0.unwrap();
        let nets: Vec<IpNet> = expected.iter().map(|net| net.parse().unwrap()).collect();
        assert_eq!(read.allow, nets, "{allow}");
    }
}

#[test]
fn a_token_is_put_where_the_file_says() {
    let dir = secrets();
    let prove = |place: &str| {
        let auth = format!(r#"{{ scheme = "token", {place}, secret = {{ file = "hex" }} }}"#);
        configure(&auth, dir.path()).0.unwrap().prove("", b"", NOW)
    };
    let proof = prove(r#"header = "Authorization", prefix = "Bearer ""#);
    let header = ("authorization".to_owned(), "Bearer 00112233".to_owned());
    assert_eq!(proof.headers, [header]);
    assert_eq!(prove(r#"query = "key""#).query.unwrap(), "key=00112233");
    assert_eq!(prove("path = true").tail.unwrap(), "00112233");
}

#[test]
fn offline_no_secret_has_a_wrong_form() {
    let dir = secrets();
    for scheme in ["dixa", "standard", "qiscus"] {
        let auth = format!(r#"{{ scheme = "{scheme}", secret = {{ file = "gone" }} }}"#);
        let (read, complaints) = configure_with(Secrets::Offline, &auth, dir.path());
        assert!(read.is_some() && complaints.is_empty(), "{complaints:?}");
    }
}
