//! Qiscus as a destination: a speaker in its rooms.
//!
//! What we say is marked (`unique_temp_id`, or `extras` with v2.1), so that the
//! source knows it again when the platform tells us of it.

mod deed;
mod post;
mod room;
mod talk;

use std::sync::Arc;

use url::Url;

use super::api::{Api, Version};
use super::backfill::Stage;
use crate::clock::Timestamp;
use crate::decode::Fields;
use crate::decode::keys::{Key, MANY, Shape};
use crate::expression::Template;
use crate::settle::Reason;
use crate::transform::{Outgoing, Unsendable};
use crate::vendor::asking::{self, Missing};
use crate::vendor::dialogue::{Account, Dialogue, Known};
use crate::vendor::lookup::{Backfill, Walk};
use crate::vendor::{Call, DestinationEntry, Writer};

pub(super) const DESTINATION: DestinationEntry = DestinationEntry {
    configure,
    keys: KEYS,
    chat: true,
    talks: true,
    actions: &[
        "message",
        "system_event",
        "create_room",
        "update_room",
        "add_participants",
        "remove_participants",
    ],
    rate: None,
    guards: &[],
};

/// Whose messages go there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Both,
    Agent,
    Customer,
}

/// What to do with a text beyond `text_max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LongText {
    DeadLetter,
    /// Several messages.
    Split,
    /// Its beginning.
    Cut,
}

/// The room that is made for a conversation without one.
#[derive(Debug)]
pub struct NewRoom {
    pub creator: Option<Template>,
    pub participants: Vec<Template>,
    /// Absent: the conversation's name, else its key.
    pub name: Option<Template>,
}

/// A configured destination.
#[derive(Debug)]
pub struct Speaker {
    /// The destination's own name.
    pub name: String,
    pub api: Api,
    /// The source that brings this account's own events: a room in their keys
    /// is a room here.
    pub source: Option<String>,
    /// Who speaks.
    pub sender: Template,
    /// Who speaks for the company's side, if that is another.
    pub agent_sender: Option<Template>,
    pub side: Side,
    pub system_events: bool,
    /// In characters; Qiscus documents 4000.
    pub text_max: usize,
    pub long_text: LongText,
    pub disable_link_preview: bool,
    pub when_unlinked: Missing,
    /// Make a room where there is none.
    pub create_room: bool,
    pub room: NewRoom,
}

/// A destination whose table was wrong; its complaints stop the configuration.
#[derive(Debug)]
struct Unconfigured;

impl Writer for Unconfigured {
    fn write(&self, _call: &Call<'_>) -> Result<Outgoing, Unsendable> {
        Err(asking::dead(
            Reason::Unsendable,
            "the destination is not configured",
        ))
    }

    fn shown_target(&self) -> String {
        String::new()
    }
}

const KEYS: &[Key] = &[
    Key::new(
        "api",
        Shape::Word(&["v2", "v2.1", "omnichannel"]),
        "Which of Qiscus' APIs.",
    )
    .or("\"v2\""),
    Key::new(
        "secret",
        Shape::Secret,
        "The app's secret key, from its dashboard.",
    )
    .required(),
    Key::new(
        "app_id",
        Shape::Text,
        "The app's id; needed unless `base_url` says where v2 is.",
    )
    .such_as("\"acme-1\""),
    asking::base_url_key("\"https://<app_id>.qiscus.com\""),
    Key::new(
        "sender",
        Shape::Filled,
        "Who speaks, a user of this Qiscus account; a template.",
    )
    .required()
    .such_as("\"bot@acme.example\""),
    Key::new(
        "agent_sender",
        Shape::Text,
        "Who speaks for the company's side, a template; absent: `sender`.",
    ),
    Key::new(
        "side",
        Shape::Word(&["both", "agent", "customer"]),
        "Whose messages go there.",
    )
    .or("\"both\""),
    Key::new(
        "long_text",
        Shape::Word(&["dead_letter", "split", "cut"]),
        "What to do with a text beyond text_max.",
    )
    .or("\"dead_letter\""),
    Key::new("text_max", Shape::Count(1, MANY), "Letters of one message.").or("4000"),
    asking::SYSTEM_EVENTS,
    Key::new(
        "disable_link_preview",
        Shape::Flag,
        "Only with api = \"v2\".",
    )
    .or("false"),
    asking::WHEN_UNLINKED,
    Key::new(
        "create_room",
        Shape::Flag,
        "Make a room for a conversation that has none.",
    )
    .or("false"),
    Key::new("creator", Shape::Text, "Who makes it, a template."),
    Key::new("participants", Shape::Texts, "Who is in it, templates."),
    Key::new("room_name", Shape::Text, "What it is called, a template."),
];

fn configure(fields: &mut Fields<'_, '_>) -> Arc<dyn Writer> {
    let name = asking::name_of(fields);
    let api = api(fields);
    // Its own complaints are made where every destination's `source` is read.
    let source = fields
        .any("source")
        .and_then(|value| value.get_ref().as_str());
    let source = source.map(str::to_owned);
    let why = "who speaks: sender = \"bot@acme.example\", a user of this Qiscus account";
    let sender = fields.required_text("sender", why);
    let sender = sender.and_then(|_| asking::template(fields, "sender"));
    let agent_sender = asking::template(fields, "agent_sender");
    let sides = [
        ("both", Side::Both),
        ("agent", Side::Agent),
        ("customer", Side::Customer),
    ];
    let side = fields.choice("side", &sides);
    let long = [
        ("dead_letter", LongText::DeadLetter),
        ("split", LongText::Split),
        ("cut", LongText::Cut),
    ];
    let long_text = fields.choice("long_text", &long);
    let text_max = fields.count("text_max", 1);
    let text_max = text_max.map_or(TEXT_MAX, |max| {
        usize::try_from(max.value).unwrap_or(usize::MAX)
    });
    let system_events = fields.flag("system_events", false);
    let disable_link_preview = fields.flag("disable_link_preview", false);
    if disable_link_preview && api.as_ref().is_some_and(|api| api.version != Version::V2) {
        let span = fields.key_span("disable_link_preview");
        let span = span.unwrap_or_else(|| fields.span.clone());
        let help = Some("remove it, or write api = \"v2\"".to_owned());
        fields.warning(span, "only api = \"v2\" takes `disable_link_preview`", help);
    }
    let when_unlinked = asking::when_unlinked(fields);
    let (create_room, room) = new_room(fields, &api);
    let (Some(api), Some(sender)) = (api, sender) else {
        return Arc::new(Unconfigured);
    };
    Arc::new(Speaker {
        name,
        api,
        source,
        sender,
        agent_sender,
        side: side.map_or(Side::Both, |side| side.value),
        system_events,
        text_max,
        long_text: long_text.map_or(LongText::DeadLetter, |long| long.value),
        disable_link_preview,
        when_unlinked,
        create_room,
        room,
    })
}

/// Qiscus documents it for `message`.
const TEXT_MAX: usize = 4000;

fn api(fields: &mut Fields<'_, '_>) -> Option<Api> {
    let versions = [
        ("v2", Version::V2),
        ("v2.1", Version::V21),
        ("omnichannel", Version::Omnichannel),
    ];
    let version = fields
        .choice("api", &versions)
        .map_or(Version::V2, |version| version.value);
    let why = "secret = { env = \"…\" }: the app's secret key, from its dashboard";
    let (secret, _) = asking::header_secret(fields, "secret", why);
    let app_id = fields.text("app_id");
    if let Some(id) = &app_id
        && !is_app_id(&id.value)
    {
        let help =
            "write the part of https://<app_id>.qiscus.com: letters, digits and `-`".to_owned();
        let message = format!("`{}` is no app id", fields.name("app_id"));
        fields.error(id.span.clone(), message, Some(help));
        return None;
    }
    let needed = version != Version::V2 || !fields.has("base_url");
    let app_id = app_id.map(|id| id.value);
    if needed && app_id.is_none() {
        fields.missing("app_id", "the app's id, from its dashboard");
    }
    let default = match version {
        Version::V2 => format!("https://{}.qiscus.com", app_id.as_deref().unwrap_or("app")),
        Version::V21 => "https://api.qiscus.com".to_owned(),
        Version::Omnichannel => "https://multichannel.qiscus.com".to_owned(),
    };
    let base_url = asking::base_url(fields, &default).or_else(|| Url::parse(&default).ok())?;
    Api::new(version, &app_id.unwrap_or_default(), base_url, secret)
}

fn is_app_id(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    !text.is_empty() && text.len() <= 63 && text.bytes().all(fits)
}

fn new_room(fields: &mut Fields<'_, '_>, api: &Option<Api>) -> (bool, NewRoom) {
    let create = fields.flag("create_room", false);
    let room = NewRoom {
        creator: asking::template(fields, "creator"),
        participants: asking::templates(fields, "participants"),
        name: asking::template(fields, "room_name"),
    };
    let span = fields
        .key_span("create_room")
        .unwrap_or_else(|| fields.span.clone());
    if create && room.creator.is_none() && !fields.has("creator") {
        let help = Some("write creator = \"bot@acme.example\"".to_owned());
        fields.error(span.clone(), "`create_room` needs a `creator`", help);
    }
    let rooms = api.as_ref().map(|api| api.version) != Some(Version::Omnichannel);
    if create && !rooms {
        let help = Some("remove it: rooms there begin with the customer".to_owned());
        fields.error(span, "the omnichannel API creates no rooms", help);
    }
    (create, room)
}

impl Writer for Speaker {
    fn write(&self, call: &Call<'_>) -> Result<Outgoing, Unsendable> {
        asking::first(self.next(call, &Known::default())?)
    }

    fn dialogue(&self) -> Option<&dyn Dialogue> {
        Some(self)
    }

    fn account(&self) -> Option<Account> {
        Some(Account::of(&self.shown_target(), self.api.secret()))
    }

    fn backfill(&self) -> Option<&dyn Backfill> {
        Some(self)
    }

    fn shown_target(&self) -> String {
        asking::shown(&self.api.base_url)
    }
}

impl Backfill for Speaker {
    fn walk(
        &self,
        conversation: &str,
        since: Option<Timestamp>,
        from: Option<&str>,
        pages_max: u32,
    ) -> Result<Box<dyn Walk>, String> {
        let stage = Stage::new(&self.api, conversation, since, from, pages_max)?;
        Ok(Box::new(stage))
    }
}
