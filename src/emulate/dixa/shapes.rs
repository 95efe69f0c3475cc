//! The bodies Dixa takes, after its OpenAPI document (beta).

use crate::emulate::shape::{Field, Kind, may, must};

const CONTENT: Kind = Kind::Union(&[
    ("Text", &[must("value", Kind::Filled)]),
    ("Html", &[must("value", Kind::Filled)]),
    ("Markdown", &[must("value", Kind::Filled)]),
]);

const ATTACHMENTS: Kind = Kind::List(&Kind::Object(&[
    must("url", Kind::Url),
    may("prettyName", Kind::Text),
]));

const UUIDS: Kind = Kind::List(&Kind::Uuid);

/// `POST /endusers`.
pub(super) const END_USER: Kind = Kind::Object(&[
    may("displayName", Kind::Text),
    may("email", Kind::Email),
    may("phoneNumber", Kind::Phone),
    may("additionalEmails", Kind::List(&Kind::Email)),
    may("additionalPhoneNumbers", Kind::List(&Kind::Phone)),
    may("firstName", Kind::Text),
    may("lastName", Kind::Text),
    may("middleNames", Kind::List(&Kind::Text)),
    may("avatarUrl", Kind::Url),
    may("externalId", Kind::Text),
]);

/// `POST /conversations/{id}/messages`, and inside a new conversation.
pub(super) const MESSAGE: Kind = Kind::Union(&[
    (
        "Inbound",
        &[
            must("content", CONTENT),
            may("attachments", ATTACHMENTS),
            may("externalId", Kind::Text),
            may("integrationEmail", Kind::Email),
        ],
    ),
    (
        "Outbound",
        &[
            may("content", CONTENT),
            must("agentId", Kind::Uuid),
            may("attachments", ATTACHMENTS),
            may("externalId", Kind::Text),
            may("integrationEmail", Kind::Email),
            may("cc", UUIDS),
            may("bcc", UUIDS),
        ],
    ),
]);

const BY_EMAIL: &[Field] = &[
    must("requesterId", Kind::Uuid),
    must("emailIntegrationId", Kind::Email),
    must("subject", Kind::Text),
    must("message", MESSAGE),
    may("language", Kind::Text),
];

/// `POST /conversations`.
pub(super) const CONVERSATION: Kind = Kind::Union(&[
    ("Email", BY_EMAIL),
    ("ContactForm", BY_EMAIL),
    (
        "Chat",
        &[
            must("requesterId", Kind::Uuid),
            must("widgetId", Kind::Uuid),
            must("message", MESSAGE),
            may("browserInfo", Kind::Open(&[])),
            may("language", Kind::Text),
        ],
    ),
    (
        "Sms",
        &[
            must("requesterId", Kind::Uuid),
            must("contactEndpointId", Kind::Phone),
            must("message", MESSAGE),
        ],
    ),
    (
        "Callback",
        &[
            must("requesterId", Kind::Uuid),
            must("direction", DIRECTION),
            must("contactEndpointId", Kind::Phone),
            must("queueId", Kind::Uuid),
        ],
    ),
]);

const DIRECTION: Kind = Kind::Word(&["Inbound", "Outbound"]);

const IMPORTED_MESSAGES: Kind = Kind::List(&Kind::Union(&[
    (
        "InboundImport",
        &[
            must("content", CONTENT),
            may("attachments", ATTACHMENTS),
            may("externalId", Kind::Text),
            must("createdAt", Kind::Time),
            may("attributes", Kind::Open(&[])),
        ],
    ),
    (
        "OutboundImport",
        &[
            must("content", CONTENT),
            must("agentId", Kind::Uuid),
            may("attachments", ATTACHMENTS),
            may("externalId", Kind::Text),
            must("createdAt", Kind::Time),
            may("attributes", Kind::Open(&[])),
        ],
    ),
]));

/// `POST /conversations/import`.
pub(super) const IMPORT: Kind = Kind::Union(&[(
    "GenericConversationImport",
    &[
        must("genericChannelName", Kind::Filled),
        must("requesterId", Kind::Uuid),
        must("direction", DIRECTION),
        must("createdAt", Kind::Time),
        may("messages", IMPORTED_MESSAGES),
        may(
            "requesterConnectionStatus",
            Kind::Word(&["Connected", "Disconnected"]),
        ),
        may(
            "assignment",
            Kind::Object(&[must("agentId", Kind::Uuid), must("assignedAt", Kind::Time)]),
        ),
        may("externalId", Kind::Text),
        may(
            "closing",
            Kind::Object(&[must("closedAt", Kind::Time), may("closedBy", Kind::Uuid)]),
        ),
        may("attributes", Kind::Open(&[])),
    ],
)]);

/// `PUT …/close` and `…/reopen`, whose body may be absent.
pub(super) const ACTING: Kind = Kind::Object(&[may("userId", Kind::Uuid)]);

/// `PUT …/followup`.
pub(super) const FOLLOW_UP: Kind =
    Kind::Object(&[must("timestamp", Kind::Time), may("userId", Kind::Uuid)]);

/// `PUT …/transfer/queue`.
pub(super) const TRANSFER: Kind =
    Kind::Object(&[must("queueId", Kind::Uuid), may("userId", Kind::Uuid)]);

/// `PUT …/claim`.
pub(super) const CLAIM: Kind =
    Kind::Object(&[must("agentId", Kind::Uuid), may("force", Kind::Boolean)]);

/// `POST …/notes`.
pub(super) const NOTE: Kind = Kind::Object(&[
    must("message", Kind::Filled),
    may("agentId", Kind::Uuid),
    may("createdAt", Kind::Time),
]);

/// `POST …/ratings/offer`.
pub(super) const OFFER: Kind = Kind::Object(&[
    must("ratingType", Kind::Word(&["Csat", "Nps", "ThumbsUpOrDown"])),
    may("userId", Kind::Uuid),
    may("agentId", Kind::Uuid),
    may("offeredAt", Kind::Time),
]);

const VALUE: &[Field] = &[must("value", Kind::Count)];

/// `POST …/ratings/{id}/submit`.
pub(super) const SUBMISSION: Kind = Kind::Object(&[
    must(
        "ratingResult",
        Kind::Union(&[("Csat", VALUE), ("Nps", VALUE), ("ThumbsUpOrDown", VALUE)]),
    ),
    may("comment", Kind::Text),
    may("submittedAt", Kind::Time),
    may("userId", Kind::Uuid),
]);
