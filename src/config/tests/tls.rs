//! `[server] tls`: files or ACME, and what neither can mean.

use super::*;
use crate::ingress::{Challenge, DIRECTORY};

/// What is said about one `tls`, each as `column: message -> help`.
fn said(tls: &str) -> Vec<String> {
    let complaints = match offline(&format!("[server]\ntls = {tls}\n{SOUND}")) {
        Ok(config) => Complaints::from(&config),
        Err(complaints) => complaints,
    };
    let told = complaints.to_json();
    let told = told["complaints"].as_array().unwrap().iter();
    let told = told.filter(|one| one["line"] == 2);
    told.map(|one| {
        let (message, help) = (one["message"].as_str().unwrap(), one["help"].as_str());
        format!(
            "{}: {message} -> {}",
            one["column"],
            help.unwrap_or("nothing")
        )
    })
    .collect()
}

fn acme(inside: &str) -> Result<Acme, Vec<String>> {
    let tls = format!("{{ acme = {{ {inside} }} }}");
    let config = offline(&format!("[server]\ntls = {tls}\n{SOUND}")).map_err(|_| said(&tls))?;
    match config.server.tls {
        Some(TlsFrom::Acme(acme)) => Ok(*acme),
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_name_is_enough_and_the_rest_has_defaults() {
    assert_eq!(
        acme("domain = 'Hooks.Acme.Example'"),
        Ok(Acme {
            domains: vec!["hooks.acme.example".to_owned()],
            contact: None,
            directory: DIRECTORY.to_owned(),
            challenge: Challenge::TlsAlpn,
            ca: None,
            eab: None,
        })
    );
}

#[test]
fn all_that_can_be_said_is_read() {
    let all = "domain = ['a.example', 'b.example'], contact = 'ops@acme.example', \
               directory = 'http://127.0.0.1:14000/dir', challenge = 'http', http_listen = '127.0.0.1:5002', \
               ca = 'root.pem', eab = { key_id = 'kid-1', hmac_key = { env = 'EAB' } }";
    let read = acme(all).unwrap();
    assert_eq!(read.domains, ["a.example", "b.example"]);
    assert_eq!(read.contact.as_deref(), Some("ops@acme.example"));
    assert_eq!(read.directory, "http://127.0.0.1:14000/dir");
    let listen = ([127, 0, 0, 1], 5002).into();
    assert_eq!(read.challenge, Challenge::Http { listen });
    assert!(read.ca.unwrap().ends_with("root.pem"));
    assert_eq!(read.eab.unwrap().key_id, "kid-1");
    let read = acme("domain = 'a.example', challenge = 'http'").unwrap();
    let listen = ([0, 0, 0, 0], 80).into();
    assert_eq!(read.challenge, Challenge::Http { listen });
}

/// Each `tls`, and how one of the complaints about it begins.
fn check(cases: &[(&str, &str)]) {
    for (tls, expected) in cases {
        let told = said(tls);
        let is_said = told.iter().any(|one| one.starts_with(expected));
        assert!(is_said, "{tls}\n{told:#?}");
    }
}

#[test]
fn a_name_that_cannot_be_ordered_is_said_at_its_place_with_a_way_out() {
    check(&[
        (
            "{ cert = 'c', key = 'k', acme = { domain = 'a.example' } }",
            "9: `server.tls` has a certificate and asks for one -> keep `acme`, or `cert` and `key`",
        ),
        (
            "{ acme = { } }",
            "16: `server.tls.acme.domain` is missing -> the name that senders use",
        ),
        (
            "{ acme = { domain = [] } }",
            "27: `server.tls.acme.domain` must be 1 to 100 names",
        ),
        (
            "{ acme = { domains = 'a.example' } }",
            "18: unknown key `domains` in [server.tls.acme] -> did you mean \"domain\"?",
        ),
        (
            "{ acme = { domain = '*.acme.example' } }",
            "27: \"*.acme.example\" is a wildcard, which can be proven by DNS records only",
        ),
        (
            "{ acme = { domain = '192.0.2.7' } }",
            "27: \"192.0.2.7\" is an address -> write the name that senders use",
        ),
        (
            "{ acme = { domain = 'https://a.example' } }",
            "27: \"https://a.example\" is no host name -> write the name alone",
        ),
        (
            "{ acme = { domain = 'a.example:443' } }",
            "27: \"a.example:443\" is no host name -> write the name alone",
        ),
        (
            "{ acme = { domain = 'bücher.example' } }",
            "27: \"bücher.example\" is no host name -> write it as DNS does: \"xn--",
        ),
        (
            "{ acme = { domain = 'a_b.example' } }",
            "27: \"a_b.example\" is no host name -> letters, digits and hyphens",
        ),
        (
            "{ acme = { domain = 'a..example' } }",
            "27: \"a..example\" is no host name",
        ),
        (
            "{ acme = { domain = ['a.example', 'A.example'] } }",
            "41: \"A.example\" is named twice -> keep one of them",
        ),
    ]);
}

#[test]
fn what_else_cannot_be_meant_is_said_at_its_place_with_a_way_out() {
    check(&[
        (
            "{ acme = { domain = 'a.example', contact = 'ops' } }",
            "50: `server.tls.acme.contact` is no mail address -> one address",
        ),
        (
            "{ acme = { domain = 'a.example', contact = 'mailto:ops@a.example' } }",
            "50: `server.tls.acme.contact` is no mail address -> without `mailto:`",
        ),
        (
            "{ acme = { domain = 'a.example', directory = 'acme' } }",
            "52: `server.tls.acme.directory` is no URL -> Let's Encrypt's is",
        ),
        (
            "{ acme = { domain = 'a.example', directory = 'http://acme.example/dir' } }",
            "52: `server.tls.acme.directory` must be https: by plain http",
        ),
        (
            "{ acme = { domain = 'a.example', directory = 'ftp://acme.example/dir' } }",
            "52: `server.tls.acme.directory` must be an https URL",
        ),
        (
            "{ acme = { domain = 'a.example', directory = 'https://me@acme.example/dir' } }",
            "52: `server.tls.acme.directory` must not name a user",
        ),
        (
            "{ acme = { domain = 'a.example', challenge = 'htpp' } }",
            "52: `server.tls.acme.challenge` cannot be \"htpp\" -> did you mean \"http\"?",
        ),
        (
            "{ acme = { domain = 'a.example', challenge = 'dns-01' } }",
            "52: `server.tls.acme.challenge` cannot be DNS: no DNS records are written here -> use",
        ),
        (
            "{ acme = { domain = 'a.example', http_listen = '0.0.0.0:80' } }",
            "40: `server.tls.acme.http_listen` is for `challenge = \"http\"` -> leave it out",
        ),
        (
            "{ acme = { domain = 'a.example', challenge = 'http', http_listen = '0.0.0.0:8080' } }",
            "74: `http_listen` and `listen` are the same address -> give them two ports",
        ),
        (
            "{ acme = { domain = 'a.example', challenge = 'http', http_listen = '0.0.0.0:9090' } }",
            "74: `http_listen` and `admin` are the same address",
        ),
    ]);
}

#[test]
fn a_misspelt_key_and_a_typed_secret_are_said() {
    check(&[
        (
            "{ acme = { domain = 'a.example', eab = { key_id = 'k' } } }",
            "46: `server.tls.acme.eab.hmac_key` is missing",
        ),
        (
            "{ acme = { domain = 'a.example', eab = { key_id = 'k', hmac_key = 'hunter2' } } }",
            "73: a secret is typed into the file: `server.tls.acme.eab.hmac_key`",
        ),
        (
            "{ akme = { domain = 'a.example' } }",
            "9: unknown key `akme` in [server.tls] -> did you mean \"acme\"?",
        ),
    ]);
}

#[test]
fn a_bound_accounts_key_is_decoded_and_never_shown() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("routes.toml");
    let text = "[server]\ntls = { acme = { domain = 'a.example', eab = { key_id = 'k', hmac_key = { file = 'eab' } } } }\n";
    fs::write(dir.path().join("eab"), "aHVu-_I\n").unwrap();
    let config = load_text(text, &path, Secrets::Resolve).unwrap();
    let Some(TlsFrom::Acme(acme)) = config.server.tls else {
        panic!("no acme");
    };
    assert_eq!(acme.eab.as_ref().unwrap().hmac_key.expose(), b"hun\xfb\xf2");
    assert!(format!("{acme:?}").contains("***"));
    fs::write(dir.path().join("eab"), "hunter2 is no base64").unwrap();
    let complaints = load_text(text, &path, Secrets::Resolve).unwrap_err();
    let drawn = complaints.draw(false);
    assert!(
        drawn.contains("is no base64url") && !drawn.contains("hunter2"),
        "{drawn}"
    );
}

#[test]
fn files_may_change_while_it_runs_and_nothing_of_acme_may() {
    let with = |tls: &str| offline(&format!("[server]\n{tls}\n{SOUND}")).unwrap();
    let files = |name: &str| format!("tls = {{ cert = '{name}', key = 'k' }}");
    let acme = |name: &str| format!("tls = {{ acme = {{ domain = '{name}' }} }}");
    for (was, is, refused) in [
        (files("a"), files("b"), false),
        (acme("a.example"), acme("a.example"), false),
        (acme("a.example"), acme("b.example"), true),
        (files("a"), acme("a.example"), true),
        (acme("a.example"), String::new(), true),
    ] {
        let keys = needs_restart(&with(&was), &with(&is));
        assert_eq!(
            keys,
            if refused { vec!["server.tls"] } else { vec![] },
            "{was} {is}"
        );
    }
}
