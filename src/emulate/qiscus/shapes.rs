//! The parameters Qiscus takes, and the payload of each type of comment.

use crate::emulate::shape::{Field, Kind, may, must};

const EMAILS: Kind = Kind::List(&Kind::Filled);

pub(super) const POST_COMMENT_V2: &[Field] = &[
    must("sender_email", Kind::Filled),
    must("room_id", Kind::Filled),
    must("message", Kind::Text),
    may("type", Kind::Text),
    // JSON in a string.
    may("payload", Kind::Text),
    may("unique_temp_id", Kind::Filled),
    may("disable_link_preview", Kind::Boolean),
];

pub(super) const POST_COMMENT_V21: &[Field] = &[
    must("user_id", Kind::Filled),
    must("room_id", Kind::Filled),
    may("message", Kind::Text),
    may("type", Kind::Text),
    may("payload", Kind::Open(&[])),
    may("extras", Kind::Open(&[])),
    may("unique_temp_id", Kind::Filled),
    may("disable_link_preview", Kind::Boolean),
];

pub(super) const BOT: &[Field] = &[
    must("sender_email", Kind::Filled),
    must("message", Kind::Text),
    must("room_id", Kind::Filled),
    must("type", Kind::Text),
    may("payload", Kind::Open(&[])),
];

pub(super) const LOAD_COMMENTS: &[Field] = &[
    must("room_id", Kind::Filled),
    may("page", Kind::Page),
    may("limit", Kind::Page),
];

const SYSTEM_EVENTS: Kind = Kind::Word(&[
    "create_room",
    "add_member",
    "join_room",
    "remove_member",
    "left_room",
    "change_room_name",
    "change_room_avatar",
    "custom",
]);

pub(super) const SYSTEM_EVENT_V2: &[Field] = &[
    must("system_event_type", SYSTEM_EVENTS),
    must("room_id", Kind::Filled),
    must("subject_email", Kind::Filled),
    may("object_email", EMAILS),
    may("updated_room_name", Kind::Filled),
    may("message", Kind::Text),
    may("payload", Kind::Text),
];

pub(super) const SYSTEM_EVENT_V21: &[Field] = &[
    must("system_event_type", SYSTEM_EVENTS),
    must("room_id", Kind::Filled),
    must("subject_user_id", Kind::Filled),
    // The documents show one, and elsewhere a list.
    may("object_user_id", Kind::Any),
    may("updated_room_name", Kind::Filled),
    may("message", Kind::Text),
    may("payload", Kind::Open(&[])),
    may("extras", Kind::Open(&[])),
];

pub(super) const CREATE_ROOM_V2: &[Field] = &[
    must("name", Kind::Filled),
    must("participants", EMAILS),
    must("creator", Kind::Filled),
    may("avatar_url", Kind::Url),
];

pub(super) const CREATE_ROOM_V21: &[Field] = &[
    must("room_name", Kind::Filled),
    must("participants", EMAILS),
    must("creator", Kind::Filled),
    may("room_avatar_url", Kind::Url),
    // JSON in a string.
    may("room_options", Kind::Text),
];

pub(super) const UPDATE_ROOM_V2: &[Field] = &[
    must("user_email", Kind::Filled),
    must("room_id", Kind::Filled),
    may("room_name", Kind::Filled),
    may("room_avatar_url", Kind::Url),
    may("options", Kind::Text),
];

pub(super) const UPDATE_ROOM_V21: &[Field] = &[
    must("room_id", Kind::Filled),
    may("room_channel_id", Kind::Text),
    may("room_name", Kind::Filled),
    may("room_avatar_url", Kind::Url),
    may("room_options", Kind::Text),
];

pub(super) const TARGET_V2: &[Field] = &[must("emails", EMAILS)];

pub(super) const TARGET_V21: &[Field] =
    &[must("user_ids", EMAILS), may("room_options", Kind::Text)];

pub(super) const ROOMS_INFO_V2: &[Field] = &[
    must("room_id", EMAILS),
    must("user_email", Kind::Filled),
    may("show_participants", Kind::Boolean),
];

pub(super) const ROOMS_INFO_V21: &[Field] =
    &[must("room_ids", EMAILS), may("room_channel_ids", EMAILS)];

const ROOM_TYPE: Kind = Kind::Word(&["single", "group"]);

pub(super) const USER_ROOMS_V2: &[Field] = &[
    must("user_email", Kind::Filled),
    may("page", Kind::Page),
    may("show_participants", Kind::Boolean),
    may("room_type", ROOM_TYPE),
];

pub(super) const USER_ROOMS_V21: &[Field] = &[
    must("user_id", Kind::Filled),
    may("page", Kind::Page),
    may("limit", Kind::Page),
    may("show_participants", Kind::Boolean),
    may("room_type", ROOM_TYPE),
];

pub(super) const PARTICIPANTS_V2: &[Field] =
    &[must("room_id", Kind::Filled), must("emails", EMAILS)];

pub(super) const PARTICIPANTS_V21: &[Field] =
    &[must("room_id", Kind::Filled), must("user_ids", EMAILS)];

pub(super) const LOGIN_V2: &[Field] = &[
    must("email", Kind::Filled),
    must("username", Kind::Filled),
    may("password", Kind::Filled),
    may("avatar_url", Kind::Url),
    may("device_token", Kind::Text),
    may("device_platform", Kind::Word(&["ios", "android"])),
];

pub(super) const LOGIN_V21: &[Field] = &[
    must("user_id", Kind::Filled),
    must("username", Kind::Filled),
    may("password", Kind::Filled),
    may("avatar_url", Kind::Url),
    may("device_token", Kind::Text),
    may("device_platform", Kind::Word(&["ios", "android"])),
];

pub(super) const PROFILE_V2: &[Field] = &[must("user_email", Kind::Filled)];
pub(super) const PROFILE_V21: &[Field] = &[must("user_id", Kind::Filled)];

const BUTTON: Kind = Kind::Object(&[
    must("label", Kind::Text),
    must("type", Kind::Word(&["postback", "link"])),
    must("payload", Kind::Open(&[])),
    may("postback_text", Kind::Text),
]);

const BUTTONS: Kind = Kind::List(&BUTTON);

const CARD: Kind = Kind::Open(&[
    must("title", Kind::Text),
    must("description", Kind::Text),
    may("image", Kind::Text),
    may("default_action", Kind::Open(&[])),
    may("buttons", BUTTONS),
]);

/// The types that can be posted, and their payloads. `system_event` has an
/// endpoint of its own.
pub(super) const PAYLOADS: &[(&str, Kind)] = &[
    ("text", Kind::Open(&[])),
    ("button_postback_response", Kind::Open(&[])),
    (
        "buttons",
        Kind::Open(&[must("text", Kind::Text), must("buttons", BUTTONS)]),
    ),
    (
        "card",
        Kind::Open(&[
            must("text", Kind::Text),
            must("title", Kind::Text),
            must("description", Kind::Text),
            must("url", Kind::Text),
            may("image", Kind::Text),
            may("image_url", Kind::Text),
            may("buttons", BUTTONS),
        ]),
    ),
    ("carousel", Kind::Open(&[must("cards", Kind::List(&CARD))])),
    (
        "custom",
        Kind::Object(&[must("type", Kind::Text), must("content", Kind::Any)]),
    ),
    (
        "location",
        Kind::Open(&[
            must("name", Kind::Text),
            must("address", Kind::Text),
            must("latitude", Kind::Number),
            must("longitude", Kind::Number),
            may("map_url", Kind::Text),
        ]),
    ),
    (
        "contact_person",
        Kind::Object(&[
            must("name", Kind::Text),
            must("value", Kind::Text),
            may("type", Kind::Word(&["phone", "email", ""])),
        ]),
    ),
    (
        "account_linking",
        Kind::Open(&[
            must("text", Kind::Text),
            must("url", Kind::Text),
            must("redirect_url", Kind::Text),
            must("params", Kind::Open(&[])),
        ]),
    ),
    (
        "reply",
        Kind::Open(&[
            must("text", Kind::Text),
            must("replied_comment_id", Kind::Any),
        ]),
    ),
    (
        "file_attachment",
        Kind::Open(&[
            must("url", Kind::Url),
            may("caption", Kind::Text),
            may("file_name", Kind::Text),
            may("size", Kind::Number),
            may("pages", Kind::Number),
        ]),
    ),
];
