//! The keys of `auth`, as editors are told them.

use crate::decode::keys::{Key, Shape};

const SECRET: Key = Key::new(
    "secret",
    Shape::Secret,
    "What sender and gateway both know.",
);
const SECRETS: Key = Key::new(
    "secrets",
    Shape::Secrets,
    "Up to five at once, for rotation: any may match.",
);
const TOLERANCE: Key = Key::new(
    "tolerance",
    Shape::Duration,
    "How far the signed time may be from now.",
)
.or("\"5m\"");
const PREFIX: Key = Key::new(
    "prefix",
    Shape::Text,
    "What stands in the header before the proof.",
)
.or("\"\"");

const PLAIN: &[Key] = &[SECRET, SECRETS];
const TIMED: &[Key] = &[SECRET, SECRETS, TOLERANCE];

const HMAC: &[Key] = &[
    Key::new(
        "header",
        Shape::Text,
        "The header that carries the signature.",
    )
    .required()
    .such_as("\"X-Shop-Signature\""),
    Key::new(
        "algorithm",
        Shape::Word(&["sha256", "sha1", "sha512"]),
        "The hash inside.",
    )
    .or("\"sha256\""),
    Key::new(
        "encoding",
        Shape::Word(&["hex", "base64", "base64url"]),
        "How the signature is written.",
    )
    .or("\"hex\""),
    PREFIX,
    Key::new(
        "signed",
        Shape::Text,
        "What is signed: {body}, {timestamp}, {id} and text between them.",
    )
    .or("\"{body}\"")
    .such_as("\"{body}\""),
    Key::new(
        "timestamp",
        Shape::Text,
        "The header that carries the signed time.",
    )
    .such_as("\"X-Shop-Time\""),
    Key::new("id", Shape::Text, "The header that carries the signed id.").such_as("\"X-Shop-Id\""),
    TOLERANCE,
    SECRET,
    SECRETS,
];

const TOKEN: &[Key] = &[
    Key::new("header", Shape::Text, "The header that holds the secret.")
        .such_as("\"X-Shop-Token\""),
    PREFIX,
    Key::new(
        "query",
        Shape::Text,
        "The query parameter that holds the secret.",
    )
    .such_as("\"token\""),
    Key::new(
        "path",
        Shape::Flag,
        "The last segment of the path is the secret.",
    )
    .or("false"),
    SECRET,
    SECRETS,
];

const BASIC: &[Key] = &[
    Key::new("user", Shape::Filled, "Who.")
        .required()
        .such_as("\"shop\""),
    Key::new("password", Shape::Secret, "What the user knows."),
    Key::new(
        "passwords",
        Shape::Secrets,
        "Up to five at once, for rotation: any may match.",
    ),
];

const NONE: &[Key] = &[];

/// What `auth` may be.
pub const AUTH: Shape = Shape::Either(&[
    Shape::Word(&["none"]),
    Shape::Tagged(
        "scheme",
        &[
            ("qiscus", PLAIN),
            ("quiq", PLAIN),
            ("dixa", TIMED),
            ("standard", TIMED),
            ("github", PLAIN),
            ("stripe", TIMED),
            ("slack", TIMED),
            ("hmac", HMAC),
            ("token", TOKEN),
            ("basic", BASIC),
            ("none", NONE),
        ],
        &[Key::new(
            "allow",
            Shape::SomeTexts,
            "Networks webhooks may come from; absent: all.",
        )
        .such_as("[\"10.0.0.0/8\"]")],
    ),
]);

/// Words of other programs, and how it is written here.
pub(super) const MEANT: &[(&[&str], &str)] = &[
    (
        &[
            "bearer", "Bearer", "jwt", "api_key", "apikey", "api-key", "header", "secret",
        ],
        "write scheme = \"token\", header = \"Authorization\", prefix = \"Bearer \", or the header it comes in",
    ),
    (
        &[
            "sha1",
            "sha256",
            "sha512",
            "hmac-sha1",
            "hmac-sha256",
            "hmac-sha512",
            "hmac_sha256",
            "HMAC-SHA256",
            "signature",
        ],
        "write scheme = \"hmac\", header = \"…\", algorithm = \"sha256\"",
    ),
];
