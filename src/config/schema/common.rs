//! The keys every source, every destination and every route takes.

use crate::config::destination::{CONCURRENCY_MAX, DELAYS_MAX};
use crate::decode::keys::{Key, MANY, Shape};
use crate::verify;

/// Beside `kind`.
pub(super) const SOURCE: &[Key] = &[
    Key::new(
        "auth",
        verify::AUTH,
        "How webhooks prove who sent them. Accepting anybody is spelled \"none\".",
    )
    .required(),
    Key::new("rate", Shape::Rate, "Beyond this 429; absent: as fast as the disk."),
    Key::new(
        "unreadable",
        Shape::Word(&["refuse", "keep"]),
        "A body that is proven and cannot be read: answer 400, or store it as an event of type \"unreadable\".",
    )
    .or("\"refuse\""),
    Key::new("max_body", Shape::Size, "Larger is 413; at most 25MiB.").or("\"1MiB\""),
];

/// Beside `kind`.
pub(super) const DESTINATION: &[Key] = &[
    Key::new(
        "source",
        Shape::Text,
        "The source through which this account's own events come in, of the same kind; absent: links are this destination's own.",
    ),
    Key::new(
        "timeout",
        Shape::Duration,
        "One attempt, to the last byte of the answer.",
    )
    .or("\"30s\""),
    Key::new(
        "concurrency",
        Shape::Count(1, CONCURRENCY_MAX as u64),
        "Attempts in the air at once.",
    )
    .or("8"),
    Key::new(
        "rate",
        Shape::Rate,
        "Requests on average; absent: as fast as it answers, and for dixa \"10/s\".",
    ),
    Key::new(
        "burst",
        Shape::Count(1, MANY),
        "Requests at once, where there is a rate.",
    )
    .or("4"),
    Key::new(
        "order",
        Shape::Word(&["conversation", "none"]),
        "One event of a conversation at a time, in accepted order (the default of chat kinds), or none (the default of http).",
    ),
    Key::new(
        "on_stuck",
        Shape::Either(&[Shape::Word(&["wait"]), Shape::Table(SKIP)]),
        "What a failing event does to those behind it in its conversation.",
    )
    .or("\"wait\""),
    Key::new(
        "retry",
        Shape::Table(RETRY),
        "When a copy that failed is tried again, each time ± 25 %.",
    ),
    Key::new(
        "backlog",
        Shape::Table(BACKLOG),
        "What may wait, and what is done beyond it.",
    ),
    Key::new(
        "breaker",
        Shape::Table(BREAKER),
        "After so many failures in a row only a probe is sent.",
    ),
    Key::new(
        "allow_private",
        Shape::Flag,
        "Loopback, private, shared and unique-local addresses.",
    )
    .or("false"),
    Key::new(
        "allow_link_local",
        Shape::Flag,
        "Link-local addresses; metadata services live there.",
    )
    .or("false"),
    Key::new(
        "ca",
        Shape::Text,
        "Further certificate authorities to trust, a PEM file.",
    )
    .such_as("\"private-ca.pem\""),
    Key::new(
        "paused",
        Shape::Flag,
        "What arrives waits in the log until this is taken out again.",
    )
    .or("false"),
];

const SKIP: &[Key] = &[Key::new(
    "skip_after",
    Shape::Duration,
    "Later events pass it after this long; it keeps being tried.",
)
.required()
.such_as("\"10m\"")];

const RETRY: &[Key] = &[
    Key::new(
        "delays",
        Shape::Durations(DELAYS_MAX),
        "After the first attempt, the second, …; the last one repeats.",
    )
    .or(r#"["5s", "30s", "2m", "10m", "30m", "1h", "2h", "4h", "8h", "12h", "24h"]"#),
    Key::new(
        "for",
        Shape::Duration,
        "Dead (`exhausted`) when the next attempt would start later than this after the first.",
    )
    .or("\"76h\"")
    .such_as("\"76h\""),
];

const BACKLOG: &[Key] = &[
    Key::new("max_events", Shape::Count(1, MANY), "Copies that may wait.").or("1000000"),
    Key::new("max_bytes", Shape::Size, "Their bytes.").or("\"4GiB\""),
    Key::new(
        "when_full",
        Shape::Word(&["dead_letter", "reject", "drop_oldest"]),
        "Settle the copy as dead; answer 503 to the whole webhook; or drop the oldest that waits.",
    )
    .or("\"dead_letter\""),
];

const BREAKER: &[Key] = &[
    Key::new("failures", Shape::Count(1, 1_000_000), "In a row.").or("20"),
    Key::new(
        "probe_every",
        Shape::Duration,
        "How often one attempt is tried all the same.",
    )
    .or("\"30s\""),
];

/// Of one `[[route]]`.
pub(super) const ROUTE: &[Key] = &[
    Key::new(
        "name",
        Shape::Text,
        "For the console and `explain`; absent: \"route 1\", by its place.",
    ),
    Key::new(
        "from",
        Shape::SomeTexts,
        "A source, or a list; absent: all.",
    ),
    Key::new(
        "on",
        Shape::SomeTexts,
        "Event types, `*` and `?` allowed; absent: all.",
    )
    .such_as("\"post_comment_*\""),
    Key::new(
        "when",
        Shape::Text,
        "An expression over event, message and payload; absent: always.",
    )
    .such_as("\"message.kind != 'system_event'\""),
    Key::new(
        "to",
        Shape::SomeTexts,
        "Where a copy goes: a destination, or a list.",
    )
    .required(),
    Key::new(
        "action",
        Shape::Text,
        "What to do there, in the vendor's word.",
    )
    .or("\"message\""),
    Key::new(
        "require",
        Shape::Text,
        "A fact over there without which the copy is dropped.",
    ),
    Key::new(
        "with",
        Shape::Free,
        "What the action and the guard need beyond the event; texts are templates.",
    ),
];
