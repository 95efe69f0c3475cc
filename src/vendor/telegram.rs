//! Telegram: updates of a bot, posted by the Bot API (core.telegram.org/bots/api,
//! "Getting updates"). Proof is the header `X-Telegram-Bot-Api-Secret-Token`,
//! which is `setWebhook`'s `secret_token`: the scheme `token`.
//!
//! An update is `update_id` and at most one field, whose name is the event's
//! type. Files have no address: one is to be had by `getFile`, with the bot's
//! token in it, so that a file is told of and not passed on.

use std::sync::Arc;

use serde_json::Value as Json;

use super::{Reader, Reading, SourceEntry, Unreadable, Vendor, Webhook, reading};
use crate::clock::Timestamp;
use crate::decode::Fields;
use crate::decode::keys::{Key, Shape};
use crate::event::{Direction, Event, Inbound};
use crate::message::{Conversation, Message, Person};
use crate::payload::{Payload, id_text};
use crate::route::glob_matches;

pub static VENDOR: Vendor = Vendor {
    kind: "telegram",
    source: Some(SourceEntry {
        configure,
        keys: KEYS,
        message: read_again,
    }),
    destination: None,
};

/// The fields of an update that Telegram documents, and what `unreadable =
/// "keep"` makes.
const TYPES: &[&str] = &[
    "message",
    "edited_message",
    "channel_post",
    "edited_channel_post",
    "business_connection",
    "business_message",
    "edited_business_message",
    "deleted_business_messages",
    "message_reaction",
    "message_reaction_count",
    "inline_query",
    "chosen_inline_result",
    PRESSED,
    "shipping_query",
    "pre_checkout_query",
    "purchased_paid_media",
    "poll",
    "poll_answer",
    "my_chat_member",
    "chat_member",
    "chat_join_request",
    "chat_boost",
    "removed_chat_boost",
    "managed_bot",
    "unreadable",
];

/// Those that are a message.
const MESSAGES: &[&str] = &[
    "message",
    "edited_message",
    "channel_post",
    "edited_channel_post",
    "business_message",
    "edited_business_message",
];

/// A button below one of the bot's messages was pressed.
const PRESSED: &str = "callback_query";

/// What a message may hold, beside text. An animation also comes as a document
/// and a venue as a location, both documented, so that these stand first.
const CONTENTS: &[&str] = &[
    "text",
    "animation",
    "venue",
    "audio",
    "document",
    "paid_media",
    "photo",
    "sticker",
    "story",
    "video",
    "video_note",
    "voice",
    "checklist",
    "contact",
    "dice",
    "game",
    "poll",
    "location",
    "invoice",
    "web_app_data",
];

/// What happened in a chat, told as a message ("service message").
const HAPPENED: &[&str] = &[
    "new_chat_members",
    "left_chat_member",
    "new_chat_title",
    "new_chat_photo",
    "delete_chat_photo",
    "group_chat_created",
    "supergroup_chat_created",
    "channel_chat_created",
    "message_auto_delete_timer_changed",
    "migrate_to_chat_id",
    "migrate_from_chat_id",
    "pinned_message",
    "successful_payment",
    "refunded_payment",
    "users_shared",
    "chat_shared",
    "connected_website",
    "write_access_allowed",
    "proximity_alert_triggered",
    "boost_added",
    "chat_background_set",
    "forum_topic_created",
    "forum_topic_edited",
    "forum_topic_closed",
    "forum_topic_reopened",
    "general_forum_topic_hidden",
    "general_forum_topic_unhidden",
    "video_chat_scheduled",
    "video_chat_started",
    "video_chat_ended",
    "video_chat_participants_invited",
];

/// The longest quoted line, in characters.
const QUOTE_CHARS_MAX: usize = 200;

/// A configured Telegram source.
#[derive(Clone, Debug, Default)]
pub struct Telegram {
    /// Globs over ids and user names: who is the company's side, beside bots.
    pub agents: Vec<String>,
}

const KEYS: &[Key] = &[Key::new(
    "agents",
    Shape::Texts,
    "Whose messages are the company's side, beside bots: ids or user names, `*` and `?` allowed.",
)];

fn configure(fields: &mut Fields<'_, '_>) -> Arc<dyn Reader> {
    let agents = fields.texts("agents").into_iter();
    Arc::new(Telegram {
        agents: agents.map(|glob| glob.value.to_lowercase()).collect(),
    })
}

impl Reader for Telegram {
    fn read(&self, inbound: &Inbound<'_>, depth_max: usize) -> Result<Webhook, Unreadable> {
        let payload = reading::parse(inbound.body, depth_max)?;
        let id = payload.at("update_id").and_then(id_text);
        let id = id.ok_or_else(|| Unreadable("`update_id` is no id".to_owned()))?;
        let update = Update::of(&payload);
        let event_type = update.map_or(reading::UNKNOWN, |update| update.name);
        let direction = update.and_then(|update| self.direction(update));
        let user = update.zip(direction);
        let user = user.and_then(|(update, direction)| update.customer(direction)?.id);
        let message = update.zip(direction);
        let message =
            message.and_then(|(update, direction)| update.message(direction, user.as_deref()));
        if update.is_some_and(Update::is_message) && message.is_none() {
            let why = "a message without a sender, or without a chat's id";
            return Err(Unreadable(why.to_owned()));
        }
        Ok(reading::event(Reading {
            vendor_id: Some(id.into()),
            key: update.and_then(Update::conversation),
            direction: message.as_ref().and(direction),
            user,
            message,
            ..reading::plain(event_type.to_owned(), payload.clone(), inbound)
        }))
    }

    fn types(&self) -> Option<&'static [&'static str]> {
        Some(TYPES)
    }
}

impl Telegram {
    /// `None`: nobody says anything.
    fn direction(&self, update: Update<'_>) -> Option<Direction> {
        if update.name == PRESSED {
            return Some(Direction::Incoming);
        }
        if !update.is_message() {
            return None;
        }
        let happened = matches!(content(update.value), Content::Happened(_));
        let author = update.author()?;
        let of_company = update.is_of_company(author) || self.is_agent(author);
        Some(match (happened, of_company) {
            (true, _) => Direction::System,
            (false, true) => Direction::Outgoing,
            (false, false) => Direction::Incoming,
        })
    }

    fn is_agent(&self, author: &Json) -> bool {
        let id = author.get("id").and_then(id_text);
        let name = reading::text(author, "username").map(str::to_lowercase);
        let names: Vec<String> = id.into_iter().chain(name).collect();
        let matches = |glob: &String| names.iter().any(|name| glob_matches(glob, name));
        self.agents.iter().any(matches)
    }
}

/// Reads a stored update's message again; direction and user are what they
/// were when it was accepted.
fn read_again(event: &Event, payload: &Payload) -> Option<Message> {
    Update::of(payload)?.message(event.direction?, event.user.as_deref())
}

/// The one field of an update.
#[derive(Clone, Copy)]
struct Update<'p> {
    name: &'p str,
    value: &'p Json,
}

/// What a message is about, by the name of its field.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Content {
    Said(&'static str),
    Happened(&'static str),
    /// Nothing we know: more may come.
    Other,
}

impl<'p> Update<'p> {
    /// A field that is not documented yet is a type, too.
    fn of(payload: &'p Payload) -> Option<Self> {
        let update = payload.value().as_object()?;
        let mut fields = update.iter().filter(|(_, value)| value.is_object());
        let (name, value) = fields.next()?;
        Some(Self { name, value })
    }

    fn is_message(self) -> bool {
        MESSAGES.contains(&self.name)
    }

    fn is_business(self) -> bool {
        self.name.contains("business_message")
    }

    fn chat(self) -> Option<&'p Json> {
        let inside = || self.value.get("message")?.get("chat");
        self.value.get("chat").or_else(inside)
    }

    /// The chat's id. A business account's chats are its own, though their ids
    /// may be those of the bot's chats (documented).
    fn conversation(self) -> Option<String> {
        let chat = self.chat()?.get("id").and_then(id_text)?;
        let connection = reading::text(self.value, "business_connection_id");
        let connection = connection.filter(|_| self.is_business());
        Some(match connection {
            Some(connection) => format!("{connection}/{chat}"),
            None => chat,
        })
    }

    /// Who speaks. On behalf of a chat it is the chat, and `from` is a fake
    /// (documented); a channel's posts may have no `from` at all.
    fn author(self) -> Option<&'p Json> {
        let value = self.value;
        let author = value.get("sender_chat").or_else(|| value.get("from"));
        let channel = || value.get("chat").filter(|_| self.is_post());
        author.or_else(channel).filter(|author| author.is_object())
    }

    fn is_post(self) -> bool {
        self.name.ends_with("channel_post")
    }

    /// A bot; a channel that posts; a group itself, as its anonymous
    /// administrators do; a business account, whose private chats are named
    /// after the customer.
    fn is_of_company(self, author: &Json) -> bool {
        let flag = |value: &Json, name| value.get(name) == Some(&Json::Bool(true));
        let id = |value: &Json| value.get("id").and_then(id_text);
        let chat = self.chat().and_then(id);
        if self.value.get("sender_chat").is_some() {
            return self.is_post()
                || id(author) == chat
                || flag(self.value, "is_automatic_forward");
        }
        self.is_post() || flag(author, "is_bot") || (self.is_business() && id(author) != chat)
    }

    /// The customer: who speaks to us, or whose private chat it is.
    fn customer(self, direction: Direction) -> Option<Person> {
        let chat = self.chat();
        let private = chat.filter(|chat| reading::text(chat, "type") == Some("private"));
        match direction {
            Direction::Incoming => self.author().map(|author| person(author, "customer")),
            Direction::Outgoing | Direction::System => private.map(|chat| person(chat, "customer")),
        }
    }

    /// `None`: it is none, or a button below a message of no chat we know.
    fn message(self, direction: Direction, user: Option<&str>) -> Option<Message> {
        let pressed = self.name == PRESSED;
        if !pressed && !self.is_message() {
            return None;
        }
        let chat = self.chat()?;
        let (kind, text) = if pressed {
            (PRESSED, button(self.value))
        } else {
            (kind(self.value), text(self.value))
        };
        let quoted = match self.value.get("reply_to_message").and_then(quote) {
            Some(quote) => format!("{quote}\n{text}"),
            None => text.clone(),
        };
        let role = match direction {
            Direction::Incoming => "customer",
            Direction::Outgoing => "agent",
            Direction::System => "system",
        };
        let customer = self.customer(direction);
        let customer = customer.filter(|person| person.id.as_deref() == user);
        let id = if pressed { "id" } else { "message_id" };
        Some(Message {
            id: self.value.get(id).and_then(id_text),
            kind: kind.to_owned(),
            quoted,
            text,
            direction,
            conversation: Conversation {
                id: self.conversation()?,
                name: person(chat, "").name,
                kind: reading::text(chat, "type").map(str::to_owned),
            },
            author: person(self.author()?, role),
            user: customer,
            attachments: Vec::new(),
            sent_at: (!pressed).then(|| sent_at(self.value)).flatten(),
        })
    }
}

/// A user by first and last name, a chat by its title.
fn person(who: &Json, role: &str) -> Person {
    let names = ["title", "first_name", "last_name"];
    let names: Vec<&str> = names
        .into_iter()
        .filter_map(|name| reading::text(who, name))
        .collect();
    let user_name = || reading::text(who, "username").map(str::to_owned);
    Person {
        id: who.get("id").and_then(id_text),
        name: if names.is_empty() {
            user_name()
        } else {
            Some(names.join(" "))
        },
        email: None,
        phone: None,
        role: Some(role.to_owned()),
    }
}

fn content(message: &Json) -> Content {
    let has = |name: &&&str| message.get(**name).is_some_and(|value| !value.is_null());
    let said = CONTENTS.iter().find(has).map(|name| Content::Said(name));
    let happened = || {
        HAPPENED
            .iter()
            .find(has)
            .map(|name| Content::Happened(name))
    };
    said.or_else(happened).unwrap_or(Content::Other)
}

fn kind(message: &Json) -> &'static str {
    match content(message) {
        Content::Said(kind) => kind,
        Content::Happened(_) => "system_event",
        Content::Other => "unsupported",
    }
}

/// What people read; never blank.
fn text(message: &Json) -> String {
    let word = |name| reading::text(message, name);
    let said = match content(message) {
        Content::Said("text") => word("text").unwrap_or_default().to_owned(),
        Content::Said(kind) => {
            let told = told(kind, message.get(kind).unwrap_or(&Json::Null));
            word("caption").map_or_else(|| told.clone(), |caption| format!("{caption}\n{told}"))
        }
        Content::Happened(what) => match word(what) {
            Some(to) => format!("[{what}: {to}]"),
            None => format!("[{what}]"),
        },
        Content::Other => "[unsupported message]".to_owned(),
    };
    if said.trim().is_empty() {
        "[text]".to_owned()
    } else {
        said
    }
}

/// What a message holds that is no text, as a line.
fn told(kind: &str, value: &Json) -> String {
    let word = |name: &str| value.get(name).and_then(id_text);
    let number = |name: &str| value.get(name).and_then(Json::as_f64);
    let place = |value: &Json| {
        let part = |name: &str| value.get(name).and_then(Json::as_f64);
        let (latitude, longitude) = (part("latitude")?, part("longitude")?);
        Some(format!("{latitude},{longitude}"))
    };
    let line = match kind {
        "contact" => {
            let name = person(value, "").name;
            let parts: Vec<String> = name.into_iter().chain(word("phone_number")).collect();
            Some(parts.join(" - "))
        }
        "location" => place(value),
        "venue" => {
            let parts: Vec<String> = ["title", "address"].into_iter().filter_map(word).collect();
            let place = value.get("location").and_then(place);
            let parts = [parts.join(" - ")].into_iter().chain(place);
            Some(parts.collect::<Vec<_>>().join("\n"))
        }
        "poll" => word("question"),
        "dice" => word("emoji")
            .zip(number("value"))
            .map(|(emoji, value)| format!("{emoji} {value}")),
        _ => None,
    };
    let name = || ["file_name", "title", "emoji"].into_iter().find_map(word);
    match line.filter(|line| !line.trim().is_empty()) {
        Some(line) => line,
        None => name().map_or_else(|| format!("[{kind}]"), |name| format!("[{kind}: {name}]")),
    }
}

/// What stood on the button; else its data, which a button need not show, and
/// which the message may not have any more (documented).
fn button(query: &Json) -> String {
    let data = reading::text(query, "data").or_else(|| reading::text(query, "game_short_name"));
    let rows = query.get("message").and_then(|message| {
        let markup = message.get("reply_markup")?;
        markup.get("inline_keyboard")?.as_array()
    });
    let buttons = rows
        .into_iter()
        .flatten()
        .filter_map(Json::as_array)
        .flatten();
    let label = buttons
        .filter(|button| data.is_some() && reading::text(button, "callback_data") == data)
        .find_map(|button| reading::text(button, "text"));
    let said = label.or(data).filter(|said| !said.trim().is_empty());
    said.map_or_else(|| format!("[{PRESSED}]"), str::to_owned)
}

/// `> NAME: MESSAGE` of what a reply replies to.
fn quote(message: &Json) -> Option<String> {
    let folded = text(message)
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    let said: String = folded.chars().take(QUOTE_CHARS_MAX).collect();
    let author = message.get("sender_chat").or_else(|| message.get("from"))?;
    Some(match person(author, "").name {
        Some(name) => format!("> {name}: {said}"),
        None => format!("> {said}"),
    })
}

/// Seconds; an edit's own time where it is one.
fn sent_at(message: &Json) -> Option<Timestamp> {
    let seconds = |name: &str| {
        message
            .get(name)
            .and_then(Json::as_u64)
            .filter(|at| *at > 0)
    };
    let seconds = seconds("edit_date").or_else(|| seconds("date"))?;
    Some(Timestamp::from_millis(seconds.saturating_mul(1000)))
}
