//! Reading `auth = …` of a source: which scheme, with which secrets, for whom.

use std::net::IpAddr;
use std::time::Duration;

use http::HeaderName;
use ipnet::{IpNet, Ipv4Net};
use toml::de::DeValue;

use super::hmac::{Hmac, Part, Stamped, signed_parts};
use super::keys::MEANT;
use super::list::List;
use super::mac::{Algorithm, Encoding};
use super::stamp::Unit;
use super::standard::{self, Standard};
use super::token::{Basic, Place, Token};
use super::{Auth, Scheme};
use crate::decode::{Fields, Secrets, nearest};
use crate::secret::Secret;

/// Five minutes: Standard Webhooks, Stripe and Slack say so, and Dixa says nothing.
const TOLERANCE: Duration = Duration::from_secs(300);

type Read = fn(&mut Fields<'_, '_>) -> Option<Scheme>;

/// Every scheme, as `scheme = "…"` spells it.
const SCHEMES: &[(&str, Read)] = &[
    ("qiscus", |table| {
        Some(Scheme::Hmac(Hmac::qiscus(secrets(table)?)))
    }),
    ("quiq", |table| {
        Some(Scheme::Token(Token::quiq(secrets(table)?)))
    }),
    ("dixa", |table| {
        let tolerance = tolerance(table);
        let keys = keys(table, "Dixa's secret key is hex digits", |secret| {
            hex::decode(secret.expose()).ok().map(Secret::new)
        })?;
        Some(Scheme::List(List::dixa(keys, tolerance)))
    }),
    ("standard", |table| {
        let tolerance = tolerance(table);
        let keys = keys(
            table,
            "a Standard Webhooks secret is base64, usually after `whsec_`",
            standard::key,
        )?;
        Some(Scheme::Standard(Standard { keys, tolerance }))
    }),
    ("github", |table| {
        Some(Scheme::Hmac(Hmac::github(secrets(table)?)))
    }),
    ("stripe", |table| {
        let tolerance = tolerance(table);
        Some(Scheme::List(List::stripe(secrets(table)?, tolerance)))
    }),
    ("slack", |table| {
        let tolerance = tolerance(table);
        Some(Scheme::Hmac(Hmac::slack(secrets(table)?, tolerance)))
    }),
    ("hmac", hmac),
    ("token", token),
    ("basic", basic),
    ("none", |_table| Some(Scheme::None)),
];

/// What the schemes read beside `scheme` and `allow`.
const KEYS: &[&str] = &[
    "secret",
    "secrets",
    "tolerance",
    "header",
    "algorithm",
    "encoding",
    "prefix",
    "signed",
    "timestamp",
    "id",
    "query",
    "path",
    "user",
    "password",
    "passwords",
];

/// See [`Auth::configure`].
pub(super) fn auth(source: &mut Fields<'_, '_>) -> Option<Auth> {
    let Some(value) = source.any("auth") else {
        let message = format!(
            "{} does not say who may send: `auth` is missing",
            source.path
        );
        source.error(source.span.clone(), message, Some(WRITTEN.to_owned()));
        return None;
    };
    match value.get_ref() {
        DeValue::String(text) if text == "none" => Some(Auth {
            scheme: Scheme::None,
            allow: Vec::new(),
        }),
        DeValue::Table(_) => source.table("auth", table).flatten(),
        // The text is not shown: somebody may have typed a secret here.
        DeValue::String(text) => {
            let near = nearest(text, SCHEMES.iter().map(|(name, _)| *name));
            let help = match near {
                Some("none") => "did you mean auth = \"none\"?".to_owned(),
                Some(near) => format!("did you mean auth = {{ scheme = \"{near}\", … }}?"),
                None => WRITTEN.to_owned(),
            };
            source.error(
                value.span(),
                "`auth` as a text can only be \"none\"",
                Some(help),
            );
            None
        }
        _ => {
            source.error(
                value.span(),
                "`auth` is \"none\" or a table",
                Some(WRITTEN.to_owned()),
            );
            None
        }
    }
}

const WRITTEN: &str = "write auth = { scheme = \"…\", secret = { env = \"…\" } }, or auth = \"none\" to accept anybody";

fn table(table: &mut Fields<'_, '_>) -> Option<Auth> {
    let allow = allow(table);
    let Some(read) = scheme(table) else {
        // Without a scheme nobody knows which keys belong; one complaint is enough.
        for key in KEYS {
            let _known = table.any(key);
        }
        return None;
    };
    Some(Auth {
        scheme: read(table)?,
        allow: allow?,
    })
}

fn scheme(table: &mut Fields<'_, '_>) -> Option<Read> {
    if !table.has("scheme") {
        let _known = table.any("scheme");
        let names: Vec<&str> = SCHEMES.iter().map(|(name, _)| *name).collect();
        let help = format!("one of {}", names.join(", "));
        table.error(
            table.span.clone(),
            format!("{} has no `scheme`", table.path),
            Some(help),
        );
        return None;
    }
    let word = table
        .any("scheme")
        .and_then(|value| value.get_ref().as_str());
    let meant = word.and_then(|word| MEANT.iter().find(|(names, _)| names.contains(&word)));
    if let Some((names, help)) = meant {
        let name = word.filter(|word| names.contains(word)).unwrap_or_default();
        let span = table
            .any("scheme")
            .map_or(table.span.clone(), toml::Spanned::span);
        let message = format!("there is no scheme \"{name}\"");
        table.error(span, message, Some((*help).to_owned()));
        return None;
    }
    table.choice("scheme", SCHEMES).map(|at| at.value)
}

/// Networks, or single addresses; `None` after a complaint.
fn allow(table: &mut Fields<'_, '_>) -> Option<Vec<IpNet>> {
    let mut nets = Some(Vec::new());
    let given = table.has("allow");
    let texts = table.texts("allow");
    if given && texts.is_empty() {
        let span = table
            .any("allow")
            .map_or(table.span.clone(), toml::Spanned::span);
        table.error(
            span,
            "`allow` is empty: nobody could send",
            Some("leave it out, or list networks".to_owned()),
        );
        return None;
    }
    for text in texts {
        let net = text
            .value
            .parse::<IpNet>()
            .or_else(|_| text.value.parse::<IpAddr>().map(IpNet::from));
        match net {
            Ok(net) => nets.iter_mut().for_each(|nets| nets.push(canonical(net))),
            Err(_) => {
                table.error(
                    text.span,
                    format!("`{}` is no network", text.value),
                    Some(
                        "write \"10.0.0.0/8\" or \"192.0.2.7\"; names are not looked up".to_owned(),
                    ),
                );
                nets = None;
            }
        }
    }
    nets
}

/// `::ffff:10.0.0.0/104` is `10.0.0.0/8`: peers are compared in their plain form.
fn canonical(net: IpNet) -> IpNet {
    let mapped = match net {
        IpNet::V4(_) => None,
        IpNet::V6(six) => six
            .addr()
            .to_ipv4_mapped()
            .zip(six.prefix_len().checked_sub(96)),
    };
    mapped
        .and_then(|(four, prefix)| Ipv4Net::new(four, prefix).ok())
        .map_or(net, IpNet::V4)
}

/// `secret` or `secrets`: at least one, none of them empty.
fn secrets(table: &mut Fields<'_, '_>) -> Option<Vec<Secret>> {
    pick(
        table,
        "secret",
        "secrets",
        "an empty secret proves nothing",
        |secret| (!secret.expose().is_empty()).then(|| secret.clone()),
    )
}

/// Secrets that are encoded in the file and used decoded.
fn keys(
    table: &mut Fields<'_, '_>,
    form: &str,
    decode: impl Fn(&Secret) -> Option<Secret>,
) -> Option<Vec<Secret>> {
    pick(table, "secret", "secrets", form, |secret| {
        decode(secret).filter(|key| !key.expose().is_empty())
    })
}

fn pick(
    table: &mut Fields<'_, '_>,
    one: &'static str,
    many: &'static str,
    form: &str,
    read: impl Fn(&Secret) -> Option<Secret>,
) -> Option<Vec<Secret>> {
    if !table.has(one) && !table.has(many) {
        // Known all the same, for whoever wrote something near it.
        let _ = (table.any(one), table.any(many));
        let message = format!("{} has neither `{one}` nor `{many}`", table.path);
        table.error(
            table.span.clone(),
            message,
            Some(format!(
                "write {one} = {{ env = \"…\" }} or {{ file = \"…\" }}"
            )),
        );
        return None;
    }
    // Offline every secret is a placeholder, which has no form to check.
    let offline = matches!(table.decoder.secrets, Secrets::Offline);
    let mut keys = Vec::new();
    for secret in table.secrets(one, many) {
        match read(&secret.value) {
            Some(key) => keys.push(key),
            None if offline => keys.push(secret.value),
            None => {
                let help = "copy it again from the sender's settings, whole and without spaces";
                table.error(secret.span, form, Some(help.to_owned()));
            }
        }
    }
    (!keys.is_empty()).then_some(keys)
}

fn tolerance(table: &mut Fields<'_, '_>) -> Duration {
    table.duration("tolerance").map_or(TOLERANCE, |at| at.value)
}

fn header(table: &mut Fields<'_, '_>, key: &'static str) -> Option<HeaderName> {
    let text = table.text(key)?;
    match HeaderName::from_bytes(text.value.as_bytes()) {
        Ok(name) if !text.value.contains('_') => Some(name),
        Ok(_) => {
            let help = "requests with an underscore in a header's name are refused: proxies disagree about them";
            table.error(
                text.span,
                format!("`{}` can never arrive", text.value),
                Some(help.to_owned()),
            );
            None
        }
        Err(_) => {
            table.error(
                text.span,
                format!("`{}` is no header name", text.value),
                Some("it has letters, digits and hyphens, such as \"X-Shop-Signature\"".to_owned()),
            );
            None
        }
    }
}

/// `header`, `algorithm`, `encoding`, `prefix`, `signed`, `timestamp`, `id`, `tolerance`, `secret(s)`.
fn hmac(table: &mut Fields<'_, '_>) -> Option<Scheme> {
    if !table.has("header") {
        let help = "the header that carries the signature, e.g. \"X-Shop-Signature\"";
        table.error(
            table.span.clone(),
            format!("{} has no `header`", table.path),
            Some(help.to_owned()),
        );
    }
    let header_name = header(table, "header");
    let algorithms = [
        ("sha256", Algorithm::Sha256),
        ("sha1", Algorithm::Sha1),
        ("sha512", Algorithm::Sha512),
    ];
    let algorithm = table
        .choice("algorithm", &algorithms)
        .map_or(Algorithm::Sha256, |at| at.value);
    let encodings = [
        ("hex", Encoding::Hex),
        ("base64", Encoding::Base64),
        ("base64url", Encoding::Base64Url),
    ];
    let encoding = table
        .choice("encoding", &encodings)
        .map_or(Encoding::Hex, |at| at.value);
    let prefix = table.text("prefix").map(|at| at.value).unwrap_or_default();
    let stamp_header = header(table, "timestamp");
    let id = header(table, "id");
    let window = table.duration("tolerance");
    let signed = signed(table, stamp_header.is_some(), id.is_some());
    if let (Some(window), None) = (&window, &stamp_header) {
        let help = "name the header that carries the signed time: timestamp = \"X-Timestamp\"";
        table.error(
            window.span.clone(),
            "a `tolerance` without a `timestamp` checks nothing",
            Some(help.to_owned()),
        );
    }
    let secrets = secrets(table)?;
    let tolerance = window.map_or(TOLERANCE, |at| at.value);
    let timestamp = stamp_header.map(|header| Stamped {
        header,
        unit: Unit::Either,
        tolerance,
    });
    Some(Scheme::Hmac(Hmac {
        header: header_name?,
        algorithm,
        encoding,
        prefix,
        signed: signed?,
        timestamp,
        id,
        secrets,
    }))
}

/// The signed text; every header it needs is named, and every header named is signed.
fn signed(table: &mut Fields<'_, '_>, has_timestamp: bool, has_id: bool) -> Option<Vec<Part>> {
    let Some(text) = table.text("signed") else {
        if has_timestamp || has_id {
            let help = "for example signed = \"{timestamp}.{body}\"";
            table.error(
                table.span.clone(),
                "`timestamp` and `id` prove nothing unless `signed` says where they stand",
                Some(help.to_owned()),
            );
            return None;
        }
        return Some(vec![Part::Body]);
    };
    let parts = match signed_parts(&text.value) {
        Ok(parts) => parts,
        Err(bad) => {
            let help = "{body}, {timestamp}, {id} and text between them";
            table.error(
                text.span,
                format!("`signed` cannot hold `{bad}`"),
                Some(help.to_owned()),
            );
            return None;
        }
    };
    let has = |part: &Part| parts.contains(part);
    let complaint = if !has(&Part::Body) {
        Some((
            "`signed` leaves the body unprotected: it has no {body}",
            "for example signed = \"{timestamp}.{body}\"",
        ))
    } else if has(&Part::Timestamp) != has_timestamp {
        Some((
            "{timestamp} in `signed` and the header `timestamp` go together",
            "name the header that carries it: timestamp = \"X-Timestamp\"; or leave {timestamp} out",
        ))
    } else if has(&Part::Id) != has_id {
        Some((
            "{id} in `signed` and the header `id` go together",
            "name the header that carries it: id = \"X-Id\"; or leave {id} out",
        ))
    } else {
        None
    };
    if let Some((complaint, help)) = complaint {
        table.error(text.span, complaint, Some(help.to_owned()));
        return None;
    }
    Some(parts)
}

/// Exactly one of `header`, `query`, `path = true`.
fn token(table: &mut Fields<'_, '_>) -> Option<Scheme> {
    let name = header(table, "header");
    let prefix = table.text("prefix");
    let query = table.text("query").map(|at| at.value);
    let path = table.flag("path", false);
    let secrets = secrets(table);
    let given =
        usize::from(table.has("header")) + usize::from(table.has("query")) + usize::from(path);
    if given != 1 {
        let message = format!(
            "{} needs exactly one of `header`, `query` and `path = true`",
            table.path
        );
        let help = "where the secret comes: header = \"Authorization\", query = \"token\", or path = true for the end of the URL";
        table.error(table.span.clone(), message, Some(help.to_owned()));
        return None;
    }
    if let (Some(prefix), None) = (&prefix, &name) {
        table.error(
            prefix.span.clone(),
            "a `prefix` stands in a header only",
            Some("remove it, or name a `header`".to_owned()),
        );
        return None;
    }
    let place = match query {
        Some(query) => Place::Query(query),
        None if path => Place::Path,
        None => Place::Header {
            name: name?,
            prefix: prefix.map(|at| at.value).unwrap_or_default(),
        },
    };
    Some(Scheme::Token(Token {
        place,
        secrets: secrets?,
    }))
}

/// `user`, and `password` or `passwords`.
fn basic(table: &mut Fields<'_, '_>) -> Option<Scheme> {
    let user = table.required_text("user", "Basic is a user and a password");
    let passwords = pick(
        table,
        "password",
        "passwords",
        "an empty password proves nothing",
        |secret| (!secret.expose().is_empty()).then(|| secret.clone()),
    );
    let user = user?;
    if user.value.contains(':') {
        let help = "the colon parts user and password: write what stands in front of it".to_owned();
        table.error(user.span, "a Basic user cannot hold a colon", Some(help));
        return None;
    }
    Some(Scheme::Basic(Basic {
        user: user.value,
        passwords: passwords?,
    }))
}
