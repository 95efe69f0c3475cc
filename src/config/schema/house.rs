//! The keys that stand at the top and in `[server]`, `[limits]` and `[log]`.

use crate::config::house::{CONNECTIONS_MAX, HEADERS_MAX};
use crate::decode::keys::{Key, Shape};
use crate::payload::DEPTH_MAX;

/// Keys of the main file, but for sources, destinations and routes.
pub(super) const TOP: &[Key] = &[
    Key::new(
        "include",
        Shape::Texts,
        "Further files with sources, destinations and routes, read in sorted order after this one.",
    )
    .such_as("[\"routes.d/*.toml\"]"),
    Key::new(
        "server",
        Shape::Table(SERVER),
        "Addresses, data folder, who may administer.",
    ),
    Key::new(
        "limits",
        Shape::Table(LIMITS),
        "What a stranger's byte may cost. There is no \"unlimited\".",
    ),
    Key::new(
        "log",
        Shape::Table(LOG),
        "How long events are kept, and on how much disk.",
    ),
];

/// The table that one of the house's keys belongs into.
pub(in crate::config) fn home_of(name: &str) -> Option<&'static str> {
    if name == "include" {
        return Some("the top of the file, before the first [table]");
    }
    [("[server]", SERVER), ("[limits]", LIMITS), ("[log]", LOG)]
        .into_iter()
        .find(|(_, keys)| keys.iter().any(|key| key.name == name))
        .map(|(table, _)| table)
}

const SERVER: &[Key] = &[
    Key::new("listen", Shape::Text, "Webhooks come in here: POST /hooks/<source>. Changing it needs a restart.")
        .or("\"0.0.0.0:8080\"")
        .such_as("\"0.0.0.0:8080\""),
    Key::new(
        "admin",
        Shape::Text,
        "Console, metrics, health and API. Another address than loopback needs admin_token. Changing it needs a restart.",
    )
    .or("\"127.0.0.1:9090\"")
    .such_as("\"127.0.0.1:9090\""),
    Key::new("data_dir", Shape::Filled, "The log, the dead letters, the links. Changing it needs a restart.")
        .or("\"data\""),
    Key::new("tls", Shape::Either(&[Shape::Table(FILES), Shape::Table(BY_ACME)]), "Serve HTTPS on `listen`; absent: plain HTTP, for a proxy in front."),
    Key::new("admin_token", Shape::Secret, "What the admin address asks for, 32 bytes or more."),
    Key::new("admin_names", Shape::Texts, "Further names that the admin address may be called by, through a proxy.")
        .such_as("[\"hookfan.acme.example\"]"),
    Key::new("proxies", Shape::Texts, "Proxies whose X-Forwarded-For is believed; absent: nobody's.")
        .such_as("[\"10.0.0.0/8\"]"),
];

const FILES: &[Key] = &[
    Key::new(
        "cert",
        Shape::Filled,
        "The certificate chain, a PEM file; read again when it changes.",
    )
    .required()
    .such_as("\"cert.pem\""),
    Key::new(
        "key",
        Shape::Filled,
        "The private key, a PEM file; read again when it changes.",
    )
    .required()
    .such_as("\"key.pem\""),
];

const BY_ACME: &[Key] = &[Key::new(
    "acme",
    Shape::Table(ACME),
    "Certificates from an ACME server, renewed by themselves.",
)
.required()];

const ACME: &[Key] = &[
    Key::new(
        "domain",
        Shape::SomeTexts,
        "The name that senders use, or a list of names.",
    )
    .required()
    .such_as("\"hooks.acme.example\""),
    Key::new(
        "contact",
        Shape::Filled,
        "A mail address that the server may write to; absent: none.",
    )
    .such_as("\"ops@acme.example\""),
    Key::new(
        "directory",
        Shape::Filled,
        "The server's directory; absent: Let's Encrypt.",
    )
    .such_as("\"https://acme-v02.api.letsencrypt.org/directory\""),
    Key::new(
        "challenge",
        Shape::Word(&["tls-alpn", "http"]),
        "How the names are proven: on `listen`, or on `http_listen`.",
    )
    .or("\"tls-alpn\""),
    Key::new(
        "http_listen",
        Shape::Text,
        "Where proofs are asked for with `challenge = \"http\"`.",
    )
    .or("\"0.0.0.0:80\""),
    Key::new(
        "ca",
        Shape::Text,
        "A further authority to trust at the directory, a PEM file.",
    )
    .such_as("\"root.pem\""),
    Key::new(
        "eab",
        Shape::Table(EAB),
        "An account of the authority's own that ours is bound to.",
    ),
];

const EAB: &[Key] = &[
    Key::new("key_id", Shape::Filled, "What the authority calls it.").required(),
    Key::new("hmac_key", Shape::Secret, "Its key, in base64url.").required(),
];

const LIMITS: &[Key] = &[
    Key::new(
        "connections",
        Shape::Count(1, CONNECTIONS_MAX as u64),
        "Connections at once, from everybody.",
    )
    .or("4096"),
    Key::new(
        "connections_per_ip",
        Shape::Count(1, CONNECTIONS_MAX as u64),
        "Connections at once from one address (an IPv6 /64 counts as one).",
    )
    .or("1024"),
    Key::new(
        "first_byte",
        Shape::Duration,
        "A connection that says nothing is closed after this long.",
    )
    .or("\"10s\""),
    Key::new("head", Shape::Duration, "For the request line and headers.").or("\"10s\""),
    Key::new("body", Shape::Duration, "For the body.").or("\"15s\""),
    Key::new(
        "write",
        Shape::Duration,
        "For a sender that does not read its answer.",
    )
    .or("\"10s\""),
    Key::new(
        "idle",
        Shape::Duration,
        "Between two requests on one connection.",
    )
    .or("\"30s\""),
    Key::new("answer", Shape::Duration, "Durable by then, or 503.").or("\"2.5s\""),
    Key::new(
        "drain",
        Shape::Duration,
        "How long a stop waits for requests and attempts in the air.",
    )
    .or("\"10s\""),
    Key::new(
        "head_bytes",
        Shape::Size,
        "Request line and headers together.",
    )
    .or("\"32KiB\""),
    Key::new(
        "headers",
        Shape::Count(1, HEADERS_MAX as u64),
        "How many headers.",
    )
    .or("100"),
    Key::new("uri_bytes", Shape::Size, "The path and query alone.").or("\"8KiB\""),
    Key::new(
        "body_in_flight",
        Shape::Size,
        "The room all bodies that are coming in share; beyond it 503.",
    )
    .or("\"64MiB\""),
    Key::new(
        "json_depth",
        Shape::Count(1, DEPTH_MAX as u64),
        "Nested deeper is 400.",
    )
    .or("128"),
];

const LOG: &[Key] = &[
    Key::new("retain", Shape::Duration, "Delivered events stay replayable for this long.").or("\"24h\""),
    Key::new("retain_dead", Shape::Duration, "Dead letters wait for an operator for this long.").or("\"30d\""),
    Key::new(
        "max_dead_letters",
        Shape::Count(1, u64::MAX),
        "How many dead letters are kept, each in 150 bytes of memory; beyond it the oldest go.",
    )
    .or("500000"),
    Key::new("max_disk", Shape::Size, "The data folder never grows beyond this; beyond it 503.").or("\"10GiB\""),
    Key::new("min_free", Shape::Size, "With less free space than this, 503.").or("\"1GiB\""),
    Key::new("dedupe", Shape::Duration, "A resend within this long is recognised by the vendor's id.").or("\"72h\""),
    Key::new(
        "segment_bytes",
        Shape::Size,
        "Space comes back a segment at a time, of 1MiB to 1GiB. Absent: an eighth of max_disk, at most 64MiB.",
    )
    .such_as("\"64MiB\""),
];
