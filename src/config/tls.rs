//! `[server] tls`: certificates from files, or from an ACME server.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use url::{Host, Url};

use super::house::{address, pem};
use super::{TlsFiles, TlsFrom};
use crate::decode::{At, Fields, Secrets};
use crate::ingress::{Acme, Challenge, DIRECTORY, Eab};
use crate::secret::Secret;

impl TlsFrom {
    /// The files that are watched.
    pub(super) fn files(&self) -> Vec<&PathBuf> {
        match self {
            Self::Files(files) => vec![&files.cert, &files.key],
            Self::Acme(acme) => acme.ca.iter().collect(),
        }
    }
}

/// Reads `tls` of `[server]`; the two addresses are those taken already.
pub(super) fn read(
    fields: &mut Fields<'_, '_>,
    listen: SocketAddr,
    admin: SocketAddr,
) -> Option<TlsFrom> {
    fields
        .table("tls", |tls| {
            if !tls.has("acme") {
                return files(tls).map(TlsFrom::Files);
            }
            if let Some(span) = tls.key_span("cert").or_else(|| tls.key_span("key")) {
                let help = "keep `acme`, or `cert` and `key`".to_owned();
                let message = "`server.tls` has a certificate and asks for one";
                tls.error(span, message, Some(help));
            }
            let _ = (tls.any("cert"), tls.any("key"));
            let acme = tls.table("acme", |acme| self::acme(acme, listen, admin));
            acme.flatten().map(|acme| TlsFrom::Acme(Box::new(acme)))
        })
        .flatten()
}

fn files(fields: &mut Fields<'_, '_>) -> Option<TlsFiles> {
    // Known, so that a misspelt one is understood.
    let _ = fields.any("acme");
    let cert = fields
        .required_text("cert", "the certificate chain, PEM")
        .and_then(|path| pem(fields, &path));
    let key = fields
        .required_text("key", "the private key, PEM")
        .and_then(|path| pem(fields, &path));
    Some(TlsFiles {
        cert: cert?,
        key: key?,
    })
}

fn acme(fields: &mut Fields<'_, '_>, listen: SocketAddr, admin: SocketAddr) -> Option<Acme> {
    let domains = domains(fields);
    let contact = fields.text("contact").map(|contact| mail(fields, contact));
    let directory = fields.text("directory").map_or_else(
        || Some(DIRECTORY.to_owned()),
        |text| directory(fields, &text),
    );
    let challenge = challenge(fields, listen, admin);
    let ca = fields.text("ca").map(|path| pem(fields, &path));
    let eab = fields.table("eab", eab);
    Some(Acme {
        domains: domains?,
        contact: contact.map_or(Some(None), |contact| contact.map(Some))?,
        directory: directory?,
        challenge: challenge?,
        ca: ca.map_or(Some(None), |ca| ca.map(Some))?,
        eab: eab.map_or(Some(None), |eab| eab.map(Some))?,
    })
}

/// Names in one certificate; Let's Encrypt takes no more.
const DOMAINS_MAX: usize = 100;

fn domains(fields: &mut Fields<'_, '_>) -> Option<Vec<String>> {
    let why = "the name that senders use, \"hooks.acme.example\", or a list of names";
    if !fields.has("domain") {
        let _ = fields.any("domain");
        fields.missing("domain", why);
        return None;
    }
    let place = fields.any("domain").map(toml::Spanned::span)?;
    let mut domains: Vec<String> = Vec::new();
    let texts = fields.texts("domain");
    let written = texts.len();
    for text in texts {
        let name = text.value.to_ascii_lowercase();
        if let Err((message, help)) = host_name(&name) {
            let message = format!("\"{}\" {message}", text.value);
            fields.error(text.span, message, Some(help.to_owned()));
        } else if domains.contains(&name) {
            let message = format!("\"{}\" is named twice", text.value);
            fields.error(text.span, message, Some("keep one of them".to_owned()));
        } else {
            domains.push(name);
        }
    }
    if written == 0 || written > DOMAINS_MAX {
        let message = format!(
            "`{}` must be 1 to {DOMAINS_MAX} names",
            fields.name("domain")
        );
        fields.error(place, message, Some(why.to_owned()));
    }
    // The complaints keep a list that is not whole from being used.
    Some(domains)
}

/// Whether a certificate can be asked for this name; if not, why and what then.
pub(super) fn host_name(name: &str) -> Result<(), (&'static str, &'static str)> {
    const NO_NAME: &str = "is no host name";
    if name.starts_with("*.") {
        return Err((
            "is a wildcard, which can be proven by DNS records only, and none are written here",
            "name each host, or get the certificate elsewhere and use `cert` and `key`",
        ));
    }
    if name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() {
        return Err(("is an address", "write the name that senders use"));
    }
    if name.contains("://") || name.contains('/') || name.contains(':') {
        return Err((NO_NAME, "write the name alone: no scheme, port or path"));
    }
    if !name.is_ascii() {
        return Err((NO_NAME, "write it as DNS does: \"xn--…\""));
    }
    let letters = |label: &str| {
        let mut bytes = label.bytes();
        !label.is_empty()
            && label.len() <= 63
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if name.len() > 253 || !name.split('.').all(letters) {
        return Err((
            NO_NAME,
            "letters, digits and hyphens, with dots between them",
        ));
    }
    Ok(())
}

fn mail(fields: &mut Fields<'_, '_>, text: At<String>) -> Option<String> {
    let plain = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
    let sound = text.value.split_once('@').is_some_and(|(who, host)| {
        plain(who)
            && !who.contains([',', '?', ':', '@', '%'])
            && host_name(&host.to_lowercase()).is_ok()
    });
    if sound {
        return Some(text.value);
    }
    let message = format!("`{}` is no mail address", fields.name("contact"));
    let help = if text.value.starts_with("mailto:") {
        "without `mailto:`"
    } else {
        "one address the CA may write to: \"ops@acme.example\""
    };
    fields.error(text.span, message, Some(help.to_owned()));
    None
}

fn directory(fields: &mut Fields<'_, '_>, text: &At<String>) -> Option<String> {
    let name = fields.name("directory");
    let help = format!("Let's Encrypt's is \"{DIRECTORY}\"");
    let Ok(url) = Url::parse(&text.value) else {
        fields.error(text.span.clone(), format!("`{name}` is no URL"), Some(help));
        return None;
    };
    let local = match url.host() {
        Some(Host::Domain(host)) => host == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    let message = match url.scheme() {
        _ if !url.username().is_empty() || url.password().is_some() => "must not name a user",
        "https" if url.host().is_some() => return Some(url.into()),
        "http" if local => return Some(url.into()),
        "http" => "must be https: by plain http only a server on this machine is asked",
        _ => "must be an https URL",
    };
    let message = format!("`{name}` {message}");
    fields.error(text.span.clone(), message, Some(help));
    None
}

const HTTP_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 80);

fn challenge(
    fields: &mut Fields<'_, '_>,
    listen: SocketAddr,
    admin: SocketAddr,
) -> Option<Challenge> {
    #[derive(Clone, PartialEq)]
    enum Word {
        TlsAlpn,
        Http,
    }
    let dns = |text: &At<String>| text.value.starts_with("dns");
    let by_dns = fields.text("challenge").filter(dns);
    if let Some(text) = by_dns {
        let help = "use \"tls-alpn\" or \"http\", or get the certificate elsewhere and use `cert` and `key`";
        let message = format!(
            "`{}` cannot be DNS: no DNS records are written here",
            fields.name("challenge")
        );
        fields.error(text.span, message, Some(help.to_owned()));
        return None;
    }
    let asked = fields.has("challenge");
    let word = fields.choice(
        "challenge",
        &[("tls-alpn", Word::TlsAlpn), ("http", Word::Http)],
    );
    if asked && word.is_none() {
        let _ = fields.any("http_listen");
        return None;
    }
    if word.is_none_or(|word| word.value == Word::TlsAlpn) {
        let _ = fields.any("http_listen");
        if let Some(span) = fields.key_span("http_listen") {
            let message = format!(
                "`{}` is for `challenge = \"http\"`",
                fields.name("http_listen")
            );
            fields.error(
                span,
                message,
                Some("leave it out, or choose that challenge".to_owned()),
            );
        }
        return Some(Challenge::TlsAlpn);
    }
    let own = address(fields, "http_listen", HTTP_LISTEN);
    let place = fields
        .any("http_listen")
        .map_or_else(|| fields.span.clone(), toml::Spanned::span);
    for (name, other) in [("listen", listen), ("admin", admin)] {
        let overlaps =
            own.ip() == other.ip() || own.ip().is_unspecified() || other.ip().is_unspecified();
        if overlaps && own.port() == other.port() && own.port() != 0 {
            let message = format!("`http_listen` and `{name}` are the same address");
            fields.error(
                place.clone(),
                message,
                Some("give them two ports".to_owned()),
            );
        }
    }
    Some(Challenge::Http { listen: own })
}

fn eab(fields: &mut Fields<'_, '_>) -> Option<Eab> {
    let key_id = fields.required_text("key_id", "the id that the CA gave with the key");
    let hmac_key = fields.secret("hmac_key");
    if hmac_key.is_none() && !fields.has("hmac_key") {
        fields.missing(
            "hmac_key",
            "`{ file = \"…\" }` or `{ env = \"…\" }`: the key that the CA gave",
        );
    }
    let hmac_key = hmac_key?;
    if matches!(fields.decoder.secrets, Secrets::Offline) {
        return Some(Eab {
            key_id: key_id?.value,
            hmac_key: hmac_key.value,
        });
    }
    let text = hmac_key.value.expose_text().unwrap_or_default();
    let Ok(bytes) = BASE64_URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')) else {
        let message = format!("`{}` is no base64url", fields.name("hmac_key"));
        let help = "put the key there as the CA shows it".to_owned();
        fields.error(hmac_key.span, message, Some(help));
        return None;
    };
    Some(Eab {
        key_id: key_id?.value,
        hmac_key: Secret::new(bytes),
    })
}
