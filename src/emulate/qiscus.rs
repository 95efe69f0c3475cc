//! Qiscus: the REST API of its SDK, v2 (form or JSON) and v2.1 (JSON), and the
//! bot endpoint of Omnichannel; and the webhooks of what was posted.

use std::sync::{Arc, Mutex};

use serde_json::{Value as Json, json};

use crate::clock::Clock;

use super::asked::{Asked, No, Said, Yes, same};
use super::book::form_as_json;
use super::lock;
use super::outbox::{Hook, Outbox};
use super::shape::{self, Field, Kind};

mod comments;
mod kept;
mod rooms;
mod shapes;
mod webhook;

pub use kept::{Comment, Room, User};

use kept::Kept;

/// What Qiscus does not say.
#[derive(Clone, Debug)]
pub struct Options {
    /// For v2.1 and the bot endpoint.
    pub app_id: String,
    /// What a repeated `unique_temp_id` does.
    pub repeat: Repeat,
    /// Whether a comment for an unknown room creates it.
    pub any_room: bool,
    /// The shape of webhooks.
    pub shape: Shape,
    pub webhook: Option<Hook>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            app_id: "emulated-app".to_owned(),
            repeat: Repeat::Merge,
            any_room: false,
            shape: Shape::Current,
            webhook: None,
        }
    }
}

/// What posting a `unique_temp_id` again does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// Answered with the comment that is there.
    Merge,
    /// 400.
    Refuse,
    /// A second comment.
    Accept,
}

/// Which webhook it posts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// The older one: without ids and times of messages.
    Seed,
    /// That of v2.1.
    Current,
}

/// Which of its interfaces is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    V2,
    V21,
    Bot,
}

/// The emulated Qiscus.
#[derive(Debug)]
pub struct Qiscus {
    options: Options,
    clock: Clock,
    outbox: Arc<Outbox>,
    kept: Mutex<Kept>,
}

impl Qiscus {
    pub(super) fn new(options: Options, clock: Clock, outbox: Arc<Outbox>) -> Self {
        Self {
            options,
            clock,
            outbox,
            kept: Mutex::default(),
        }
    }

    /// A group that is there already; the first participant created it.
    pub fn add_room(&self, id: u64, name: &str, participants: &[&str]) {
        let participants = participants.iter().map(|&email| email.to_owned());
        lock(&self.kept).add_room(Some(id), "group", name, participants.collect());
    }

    pub fn rooms(&self) -> Vec<Room> {
        lock(&self.kept).rooms.clone()
    }

    pub fn room(&self, id: u64) -> Option<Room> {
        lock(&self.kept).room(id).cloned()
    }

    pub fn users(&self) -> Vec<User> {
        lock(&self.kept).users.clone()
    }

    /// Somebody writes with the app (`post_comment_mobile`); the comment's id,
    /// if there is such a room.
    pub fn says(&self, room: u64, email: &str, text: &str) -> Option<u64> {
        let mut kept = lock(&self.kept);
        kept.room(room)?;
        kept.user(email);
        let comment = Comment::text(email, text, self.clock.now());
        let comment = kept.add_comment(room, comment)?;
        webhook::posted(
            &self.outbox,
            &kept,
            self.options.shape,
            "post_comment_mobile",
            room,
            &comment,
        );
        Some(comment.id)
    }

    pub(super) fn judge(&self, secret: &str, asked: &Asked<'_>) -> Said {
        let segments = asked.segments();
        let segments: Vec<&str> = segments.iter().map(|segment| &**segment).collect();
        let (dialect, endpoint) = match segments.as_slice() {
            ["api", "v2", "rest", endpoint] => (Dialect::V2, *endpoint),
            ["api", "v2.1", "rest", endpoint] => (Dialect::V21, *endpoint),
            [app, "bot"] if *app == self.options.app_id => (Dialect::Bot, "bot"),
            _ => return said("-", Err(No::endpoint(asked))),
        };
        if let Err(no) = self.admit(dialect, secret, asked) {
            return said("-", Err(no));
        }
        let mut kept = lock(&self.kept);
        let mut turn = Turn {
            options: &self.options,
            kept: &mut kept,
            outbox: &self.outbox,
            asked,
            dialect,
        };
        let (step, answer) = turn.dispatch(endpoint);
        said(step, answer)
    }

    fn admit(&self, dialect: Dialect, secret: &str, asked: &Asked<'_>) -> Result<(), No> {
        // v2.1 documents both spellings.
        let either = |first: &str, second: &str| {
            let given = asked.header(first);
            if given.is_empty() {
                asked.header(second)
            } else {
                given
            }
        };
        let fits = match dialect {
            Dialect::V2 => same(secret, asked.header("qiscus_sdk_secret")),
            Dialect::V21 => {
                same(secret, either("qiscus-sdk-secret", "qiscus_sdk_secret"))
                    && same(
                        &self.options.app_id,
                        either("qiscus-sdk-app-id", "qiscus_sdk_app_id"),
                    )
            }
            Dialect::Bot => {
                same(secret, asked.header("qiscus-secret-key"))
                    && same(&self.options.app_id, asked.header("qiscus-app-id"))
            }
        };
        if fits {
            Ok(())
        } else {
            Err(No::request(
                401,
                "Unauthorized",
                "the secret or the app id is wrong",
            ))
        }
    }

    pub(super) fn shown(&self) -> Json {
        let kept = lock(&self.kept);
        json!({"rooms": kept.rooms, "users": kept.users})
    }
}

fn said(step: &'static str, answer: Result<Yes, No>) -> Said {
    Said::new(
        step,
        answer,
        |no| json!({"error": {"message": no.message}, "status": no.status}),
    )
}

/// One request's turn with what is kept.
struct Turn<'a> {
    options: &'a Options,
    kept: &'a mut Kept,
    outbox: &'a Outbox,
    asked: &'a Asked<'a>,
    dialect: Dialect,
}

type Stepped = (&'static str, Result<Yes, No>);

impl Turn<'_> {
    fn dispatch(&mut self, endpoint: &str) -> Stepped {
        let v21 = self.dialect == Dialect::V21;
        match (self.asked.method.as_str(), endpoint) {
            ("POST", "bot") if self.dialect == Dialect::Bot => ("bot", self.bot()),
            _ if self.dialect == Dialect::Bot => ("-", Err(No::endpoint(self.asked))),
            ("POST", "post_comment") => ("post_comment", self.post_comment()),
            ("GET", "load_comments") => ("load_comments", self.load_comments()),
            ("POST", "post_system_event_message") => ("post_system_event", self.system_event()),
            ("POST", "create_room") => ("create_room", self.create_room()),
            ("POST", "update_room") => ("update_room", self.update_room()),
            // v2.1 turned two methods round.
            ("POST", "get_or_create_room_with_target") if v21 => {
                ("get_or_create_room", self.room_with_target())
            }
            ("GET", "get_or_create_room_with_target") if !v21 => {
                ("get_or_create_room", self.room_with_target())
            }
            ("GET", "get_rooms_info") if v21 => ("rooms_info", self.rooms_info()),
            ("POST", "get_rooms_info") if !v21 => ("rooms_info", self.rooms_info()),
            ("GET", "get_user_rooms") => ("user_rooms", self.user_rooms()),
            ("POST", "add_room_participants") => ("add_participants", self.participants(true)),
            ("POST", "remove_room_participants") => {
                ("remove_participants", self.participants(false))
            }
            ("POST", "login_or_register") => ("login_or_register", self.login_or_register()),
            ("GET", "user_profile") => ("user_profile", self.user_profile()),
            _ => ("-", Err(No::endpoint(self.asked))),
        }
    }

    /// The parameters as JSON, held against their table: from the query, from
    /// JSON, and for v2 also from a form.
    fn params(&self, fields: &'static [Field]) -> Result<Json, No> {
        let asked = self.asked;
        let given = if asked.method == http::Method::GET {
            typed(
                form_as_json(asked.uri.query().unwrap_or_default().as_bytes()),
                fields,
            )
        } else if self.dialect == Dialect::V2
            && asked.media_type() == "application/x-www-form-urlencoded"
        {
            typed(form_as_json(asked.body), fields)
        } else if asked.media_type() == "application/json" {
            serde_json::from_slice(asked.body)
                .map_err(|error| No::decoding(format!("the body is not JSON: {error}")))?
        } else {
            return Err(No::request(
                415,
                "Unsupported Media Type",
                "Content-Type is neither JSON nor, for v2, a form",
            ));
        };
        shape::check(Kind::Object(fields), &given).map_err(bad)?;
        Ok(given)
    }

    /// The table of this dialect.
    fn either(&self, v2: &'static [Field], v21: &'static [Field]) -> &'static [Field] {
        if self.dialect == Dialect::V21 {
            v21
        } else {
            v2
        }
    }

    /// The name of this dialect.
    fn name(&self, v2: &'static str, v21: &'static str) -> &'static str {
        if self.dialect == Dialect::V21 {
            v21
        } else {
            v2
        }
    }

    fn find_room(&self, id: &str) -> Result<&Room, No> {
        let id: u64 = id.parse().map_err(|_not_a_number| no_room())?;
        self.kept.room(id).ok_or_else(no_room)
    }
}

fn no_room() -> No {
    No::state(404, "room not found")
}

/// 400, with the reason as its message.
fn bad(reason: String) -> No {
    No::request(400, &reason, reason.clone())
}

fn results(results: &Json) -> Json {
    json!({"results": results, "status": 200})
}

/// Texts of a form or query as the types their table has.
fn typed(given: Json, fields: &[Field]) -> Json {
    let Json::Object(given) = given else {
        return given;
    };
    let typed = given.into_iter().map(|(name, value)| {
        let value = match (shape::kind_of(fields, &name), &value) {
            (Some(Kind::Boolean), Json::String(text)) => text.parse().map_or(value, Json::Bool),
            (Some(Kind::Count | Kind::Page), Json::String(text)) => {
                text.parse::<u64>().map_or(value, Json::from)
            }
            _ => value,
        };
        (name, value)
    });
    Json::Object(typed.collect())
}

fn text<'a>(params: &'a Json, name: &str) -> &'a str {
    params.get(name).and_then(Json::as_str).unwrap_or_default()
}

fn texts(params: &Json, name: &str) -> Vec<String> {
    let list = params.get(name).and_then(Json::as_array);
    list.into_iter()
        .flatten()
        .filter_map(|value| value.as_str().map(str::to_owned))
        .collect()
}

fn number(params: &Json, name: &str) -> Option<usize> {
    usize::try_from(params.get(name)?.as_u64()?).ok()
}
