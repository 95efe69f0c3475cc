//! The house's own sections: `[server]`, `[limits]` and `[log]`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use toml::de::DeValue;

use super::{Server, tls};
use crate::decode::{At, Fields, Secrets};
use crate::ingress::Limits;
use crate::log::Settings;

/// What the three sections say.
pub(super) struct House {
    pub(super) server: Server,
    pub(super) limits: Limits,
    pub(super) log: Settings,
    /// Where `limits.body_in_flight` is written, if it is.
    pub(super) body_in_flight: Option<Range<usize>>,
}

/// Reads the three; what is absent has its default.
pub(super) fn read(top: &mut Fields<'_, '_>) -> House {
    let (server, data_dir) = top
        .table("server", server)
        .unwrap_or_else(|| (default_server(), PathBuf::from("data")));
    let (limits, body_in_flight) = top.table("limits", limits).unwrap_or_default();
    let data_dir = top.decoder.base.join(data_dir);
    let log = top
        .table("log", |log| settings(log, data_dir.clone()))
        .unwrap_or_else(|| default_settings(data_dir));
    House {
        server,
        limits,
        log,
        body_in_flight,
    }
}

const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 8080);
const ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9090);

/// Shorter ones can be guessed.
const TOKEN_BYTES_MIN: usize = 32;

fn default_server() -> Server {
    Server {
        listen: LISTEN,
        admin: ADMIN,
        tls: None,
        admin_token: None,
        admin_names: Vec::new(),
        proxies: Vec::new(),
    }
}

fn server(fields: &mut Fields<'_, '_>) -> (Server, PathBuf) {
    let listen = address(fields, "listen", LISTEN);
    let admin = address(fields, "admin", ADMIN);
    let data_dir = fields
        .text("data_dir")
        .filter(|text| filled(fields, "data_dir", text));
    let tls = tls::read(fields, listen, admin);
    let admin_token = fields.secret("admin_token");
    let admin_names = admin_names(fields);
    let proxies = proxies(fields);
    if let Some(token) = &admin_token
        && token.value.expose().len() < TOKEN_BYTES_MIN
    {
        let message = format!("`admin_token` is shorter than {TOKEN_BYTES_MIN} bytes");
        fields.error(
            token.span.clone(),
            message,
            Some("`openssl rand -hex 32` makes one".into()),
        );
    }
    let place = fields
        .any("admin")
        .map_or_else(|| fields.span.clone(), toml::Spanned::span);
    if !admin.ip().is_loopback() && !fields.has("admin_token") {
        let help = "set `admin_token = { file = \"…\" }`, or listen on 127.0.0.1";
        fields.error(
            place.clone(),
            "the admin address can be reached from outside without a token",
            Some(help.into()),
        );
    }
    let overlaps =
        listen.ip() == admin.ip() || listen.ip().is_unspecified() || admin.ip().is_unspecified();
    if overlaps && listen.port() == admin.port() && listen.port() != 0 {
        fields.error(
            place,
            "`listen` and `admin` are the same address",
            Some("give them two ports".into()),
        );
    }
    let server = Server {
        listen,
        admin,
        tls,
        admin_token: admin_token.map(|token| token.value),
        admin_names,
        proxies,
    };
    (
        server,
        data_dir.map_or_else(|| PathBuf::from("data"), |dir| PathBuf::from(dir.value)),
    )
}

/// An IP address with a port.
pub(super) fn address(
    fields: &mut Fields<'_, '_>,
    key: &'static str,
    default: SocketAddr,
) -> SocketAddr {
    let number = match fields.any(key).map(toml::Spanned::get_ref) {
        Some(DeValue::Integer(number)) => Some(number.as_str().to_owned()),
        _ => None,
    };
    if let (Some(number), Some(span)) = (number, fields.any(key).map(toml::Spanned::span)) {
        let message = format!("`{}` must be a text, not a whole number", fields.name(key));
        let near = format!("{}:{number}", default.ip());
        fields.error(span, message, Some(format!("did you mean \"{near}\"?")));
        return default;
    }
    let Some(text) = fields.text(key) else {
        return default;
    };
    let local = text
        .value
        .strip_prefix("localhost:")
        .map(|port| format!("127.0.0.1:{port}"));
    match local.as_ref().unwrap_or(&text.value).parse() {
        Ok(address) => address,
        Err(_) => {
            let message = format!("`{}` is no address with a port", fields.name(key));
            let help = nearly(&text.value, default).map_or_else(
                || {
                    let port = default.port();
                    format!(
                        "write an IP address, a colon and a port: \"{default}\" or \"[::1]:{port}\""
                    )
                },
                |near| format!("did you mean \"{near}\"?"),
            );
            fields.error(text.span, message, Some(help));
            default
        }
    }
}

/// An address that was nearly written: a port alone, an IP address alone, a
/// URL, an IPv6 address without its brackets.
fn nearly(text: &str, default: SocketAddr) -> Option<SocketAddr> {
    let (port, host) = (default.port(), default.ip());
    let plain = text.trim().trim_end_matches('/');
    let plain = plain.split_once("://").map_or(plain, |(_, rest)| rest);
    let six = plain
        .rsplit_once(':')
        .map_or(String::new(), |(ip, port)| format!("[{ip}]:{port}"));
    let tries = [
        plain.to_owned(),
        six,
        format!("{host}:{}", plain.trim_start_matches(':')),
        format!("{plain}:{port}"),
        format!("[{plain}]:{port}"),
    ];
    tries.iter().find_map(|one| one.parse().ok())
}

/// A PEM file's full path. An offline check does not look whether it is there.
pub(super) fn pem(fields: &mut Fields<'_, '_>, path: &At<String>) -> Option<PathBuf> {
    let full = fields.decoder.base.join(&path.value);
    if matches!(fields.decoder.secrets, Secrets::Offline) {
        return Some(full);
    }
    match std::fs::read(&full) {
        Ok(bytes) if bytes.windows(11).any(|window| window == b"-----BEGIN ") => Some(full),
        Ok(_) => {
            fields.error(
                path.span.clone(),
                format!("{} holds no PEM", full.display()),
                Some("it begins with `-----BEGIN `".into()),
            );
            None
        }
        Err(error) => {
            let help = "a relative path starts at the folder of the main file".to_owned();
            fields.error(
                path.span.clone(),
                format!("{} cannot be read: {error}", full.display()),
                Some(help),
            );
            None
        }
    }
}

fn admin_names(fields: &mut Fields<'_, '_>) -> Vec<String> {
    let mut names = Vec::new();
    for text in fields.texts("admin_names") {
        let name = text.value.to_ascii_lowercase();
        if tls::host_name(&name).is_ok() {
            names.push(name);
        } else {
            let message = format!("\"{}\" is no host name", text.value);
            let help =
                "each name alone, as in \"hookfan.acme.example\": no scheme, port, path or `*`";
            fields.error(text.span, message, Some(help.into()));
        }
    }
    names
}

fn proxies(fields: &mut Fields<'_, '_>) -> Vec<IpNet> {
    let mut nets = Vec::new();
    for text in fields.texts("proxies") {
        let net = text
            .value
            .parse::<IpNet>()
            .ok()
            .or_else(|| text.value.parse::<IpAddr>().ok().map(IpNet::from));
        match net {
            Some(net) if net.prefix_len() == 0 => {
                let help = "name the networks your own proxies are in".to_owned();
                fields.warning(
                    text.span,
                    "everybody's X-Forwarded-For is believed",
                    Some(help),
                );
                nets.push(net);
            }
            Some(net) => nets.push(net),
            None => {
                let message = format!("\"{}\" is no network", text.value);
                fields.error(
                    text.span,
                    message,
                    Some("write \"10.0.0.0/8\" or \"192.0.2.7\"".into()),
                );
            }
        }
    }
    nets
}

fn filled(fields: &mut Fields<'_, '_>, key: &str, text: &At<String>) -> bool {
    let filled = !text.value.trim().is_empty();
    if !filled {
        let message = format!("`{}` is empty", fields.name(key));
        let help = format!("name one, or leave {key} out for the default");
        fields.error(text.span.clone(), message, Some(help));
    }
    filled
}

/// hyper reads heads in a buffer that cannot be smaller.
const HEAD_BYTES_MIN: usize = 8 << 10;

/// More is no request.
pub(super) const HEADERS_MAX: usize = 10_000;

/// More than any machine has descriptors for.
pub(super) const CONNECTIONS_MAX: usize = 1_000_000;

fn limits(fields: &mut Fields<'_, '_>) -> (Limits, Option<Range<usize>>) {
    let default = Limits::default();
    let connections = count(fields, "connections", default.connections, CONNECTIONS_MAX);
    // Who lowers the one only need not know of the other.
    let per_ip = default.connections_per_ip.min(connections);
    let per_ip = count(fields, "connections_per_ip", per_ip, CONNECTIONS_MAX);
    let limits = Limits {
        connections,
        connections_per_ip: per_ip,
        first_byte: duration(fields, "first_byte", default.first_byte),
        head: duration(fields, "head", default.head),
        body: duration(fields, "body", default.body),
        write: duration(fields, "write", default.write),
        idle: duration(fields, "idle", default.idle),
        answer: duration(fields, "answer", default.answer),
        drain: duration(fields, "drain", default.drain),
        head_bytes: size(fields, "head_bytes", default.head_bytes),
        headers: count(fields, "headers", default.headers, HEADERS_MAX),
        uri_bytes: size(fields, "uri_bytes", default.uri_bytes),
        body_in_flight: size(fields, "body_in_flight", default.body_in_flight),
        json_depth: count(
            fields,
            "json_depth",
            default.json_depth,
            crate::payload::DEPTH_MAX,
        ),
    };
    contradictions(fields, &limits);
    let place = fields.any("body_in_flight").map(toml::Spanned::span);
    (limits, place)
}

/// Two limits that cannot both be meant.
fn contradictions(fields: &mut Fields<'_, '_>, limits: &Limits) {
    let place = |fields: &mut Fields<'_, '_>, key| fields.any(key).map(toml::Spanned::span);
    if limits.connections_per_ip > limits.connections
        && let Some(span) = place(fields, "connections_per_ip")
    {
        let help = "`connections_per_ip` is at most `connections`";
        fields.error(
            span,
            "one address may have more connections than there are",
            Some(help.into()),
        );
    }
    if limits.head_bytes < limits.uri_bytes
        && let Some(span) = place(fields, "head_bytes").or_else(|| place(fields, "uri_bytes"))
    {
        let help = "`uri_bytes` is at most `head_bytes`";
        fields.error(
            span,
            "the head is smaller than the path in it may be",
            Some(help.into()),
        );
    } else if limits.head_bytes < HEAD_BYTES_MIN
        && let Some(span) = place(fields, "head_bytes")
    {
        let help = "heads are read in a buffer of at least that size";
        fields.error(span, "`head_bytes` is less than 8KiB", Some(help.into()));
    }
    if limits.answer > limits.body
        && let Some(span) = place(fields, "answer")
    {
        let help = "`answer` is at most `body`; senders wait a few seconds for an answer";
        let message = "an answer may take longer than its body may take to come in";
        fields.error(span, message, Some(help.into()));
    }
    if limits.answer > limits.drain
        && let Some(span) = place(fields, "drain").or_else(|| place(fields, "answer"))
    {
        let message = "a stop would cut off answers that are still in time";
        fields.warning(span, message, Some("`drain` is at least `answer`".into()));
    }
}

/// A segment of the log, unless told otherwise.
const SEGMENT_BYTES: u64 = 64 << 20;
const SEGMENT_BYTES_MIN: u64 = 1 << 20;
const SEGMENT_BYTES_MAX: u64 = 1 << 30;

fn default_settings(data_dir: PathBuf) -> Settings {
    Settings {
        data_dir,
        retain: hours(24),
        retain_dead: hours(30 * 24),
        dead_letters_max: 500_000,
        max_disk: 10 << 30,
        min_free: 1 << 30,
        dedupe: hours(72),
        segment_bytes: SEGMENT_BYTES,
    }
}

const fn hours(hours: u64) -> Duration {
    Duration::from_secs(hours * 3600)
}

fn settings(fields: &mut Fields<'_, '_>, data_dir: PathBuf) -> Settings {
    let default = default_settings(data_dir);
    let max_disk = fields.size("max_disk");
    let segment = fields.size("segment_bytes");
    if let Some(segment) = &segment
        && !(SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&segment.value)
    {
        fields.error(
            segment.span.clone(),
            "`log.segment_bytes` must be between 1MiB and 1GiB",
            Some("leave it out: it fits `max_disk` by itself".to_owned()),
        );
    }
    let disk = max_disk.as_ref().map_or(default.max_disk, |at| at.value);
    // A small disk gets small segments: space comes back a segment at a time.
    let fitting = (disk / 8).clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES);
    let segment_bytes = segment
        .as_ref()
        .map_or(fitting, |at| at.value.min(SEGMENT_BYTES_MAX));
    let wrong = segment
        .as_ref()
        .is_some_and(|at| at.value > SEGMENT_BYTES_MAX);
    if wrong {
        // That has been said, and what follows from it need not be.
    } else if let Some(place) = max_disk.as_ref().or(segment.as_ref())
        && disk / 4 < segment_bytes
    {
        let help = format!(
            "it needs {}MiB or more: room for four segments, of {}MiB each",
            (segment_bytes * 4).div_ceil(1 << 20),
            segment_bytes.div_ceil(1 << 20),
        );
        fields.error(
            place.span.clone(),
            "`log.max_disk` is too small",
            Some(help),
        );
    }
    Settings {
        retain: duration(fields, "retain", default.retain),
        retain_dead: duration(fields, "retain_dead", default.retain_dead),
        dead_letters_max: fields
            .count("max_dead_letters", 1)
            .map_or(default.dead_letters_max, |at| at.value),
        max_disk: disk,
        min_free: fields
            .size("min_free")
            .map_or(default.min_free, |at| at.value),
        dedupe: duration(fields, "dedupe", default.dedupe),
        segment_bytes,
        data_dir: default.data_dir,
    }
}

fn duration(fields: &mut Fields<'_, '_>, key: &'static str, default: Duration) -> Duration {
    fields.duration(key).map_or(default, |at| at.value)
}

fn size(fields: &mut Fields<'_, '_>, key: &'static str, default: usize) -> usize {
    fields.size(key).map_or(default, |at| {
        usize::try_from(at.value).unwrap_or(usize::MAX)
    })
}

/// A count from 1 to `max`: beyond that the machine, not the configuration,
/// would decide.
pub(super) fn count(
    fields: &mut Fields<'_, '_>,
    key: &'static str,
    default: usize,
    max: usize,
) -> usize {
    let Some(at) = fields.count(key, 1) else {
        return default;
    };
    match usize::try_from(at.value) {
        Ok(count) if count <= max => count,
        _ => {
            let message = format!("`{}` must be at most {max}", fields.name(key));
            fields.error(at.span, message, Some(format!("write {max} or less")));
            default
        }
    }
}
