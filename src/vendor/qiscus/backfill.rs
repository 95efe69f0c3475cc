//! What a room said while we could not hear it: `load_comments`, page by page,
//! read back into the bodies that the webhook would have posted.
//!
//! Pure: a [`Walk`] says which page to ask for and takes the answer; at its end
//! it has the comments, oldest first, and the gaps between them. Qiscus sends a
//! webhook once and may never send it again, so this is the only way back.

use std::collections::HashSet;

use bytes::Bytes;
use serde_json::{Map, Value as Json, json};

use super::api::{self, Api, Version};
use super::message;
use crate::clock::Timestamp;
use crate::payload::{DEPTH_MAX, Payload, id_text};
use crate::transform::Outgoing;
use crate::vendor::lookup::{self, Past};
use crate::vendor::{Unreadable, reading};

/// The most pages one walk reads.
pub const PAGES_MAX: u32 = 1000;

/// Comments a page; Qiscus documents 20 as the default and 100 as the most that
/// its clients ask for.
pub const LIMIT: u32 = 100;

/// One comment that was loaded.
#[derive(Clone, Debug, PartialEq)]
pub struct Comment {
    /// Qiscus' number for it, where it fits 64 bits.
    pub id: Option<u64>,
    /// The one before it in its room; 0: there is none.
    pub before: Option<u64>,
    pub sent_at: Option<Timestamp>,
    /// As it came.
    pub raw: Json,
}

impl Comment {
    fn read(raw: &Json) -> Option<Self> {
        if !raw.is_object() {
            return None;
        }
        Some(Self {
            id: number(raw, &["id", "id_str"]).filter(|id| *id != 0),
            before: number(raw, &["comment_before_id", "comment_before_id_str"]),
            sent_at: message::sent_at(raw),
            raw: raw.clone(),
        })
    }

    /// What tells it from every other.
    fn name(&self) -> String {
        match temporary_id(&self.raw) {
            Some(id) => id,
            None => self
                .id
                .map_or_else(|| self.raw.to_string(), |id| id.to_string()),
        }
    }
}

/// Where a chain of comments is broken: those after `after`, up to and with
/// `until`, are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    pub after: u64,
    pub until: u64,
}

/// A comment's place in its room: its id, and the id before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Chained {
    pub id: u64,
    pub before: u64,
}

impl Chained {
    fn of(comment: &Json) -> Option<Self> {
        let id = number(comment, &["id", "id_str"]).filter(|id| *id != 0)?;
        let before = number(comment, &["comment_before_id", "comment_before_id_str"])?;
        Some(Self { id, before })
    }
}

/// The gaps in one room's chain, in order, whatever order it comes in. What lies
/// before the first of the chain is no gap.
pub fn gaps(chain: impl IntoIterator<Item = Chained>) -> Vec<Gap> {
    let mut chain: Vec<Chained> = chain.into_iter().collect();
    chain.sort_unstable();
    chain.dedup_by_key(|one| one.id);
    let pairs = chain.iter().zip(chain.iter().skip(1));
    pairs
        .filter(|(earlier, later)| later.before > earlier.id)
        .map(|(earlier, later)| Gap {
            after: earlier.id,
            until: later.before,
        })
        .collect()
}

/// Why a walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Qiscus has no more.
    Beginning,
    /// Everything since the wanted time is there.
    Since,
    /// As many pages as were allowed; there may be more.
    Pages,
}

/// What to do after a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Ask for this page.
    Page(u32),
    End(Ended),
}

/// What a walk brought home.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// Oldest first, each once, none from before the wanted time.
    pub comments: Vec<Comment>,
    pub gaps: Vec<Gap>,
}

/// A walk through one room's past, from its newest comment back.
#[derive(Debug)]
pub struct Walk {
    room: String,
    since: Option<Timestamp>,
    pages_max: u32,
    page: u32,
    seen: HashSet<String>,
    comments: Vec<Comment>,
}

impl Walk {
    /// `since`: how far back; `None`: to the beginning. `pages_max`: at most
    /// [`PAGES_MAX`].
    pub fn new(room: impl Into<String>, since: Option<Timestamp>, pages_max: u32) -> Self {
        Self {
            room: room.into(),
            since,
            pages_max: pages_max.clamp(1, PAGES_MAX),
            page: 1,
            seen: HashSet::new(),
            comments: Vec::new(),
        }
    }

    /// Begins at another page than the first; `pages_max` is then the last one.
    #[must_use]
    pub fn from_page(mut self, page: u32) -> Self {
        self.page = page.max(1);
        self.pages_max = self.pages_max.max(self.page);
        self
    }

    /// The request for the page that is next. `None`: the Omnichannel API loads
    /// no comments; its account has an SDK API that does.
    pub fn request(&self, api: &Api) -> Option<Outgoing> {
        if api.version == Version::Omnichannel {
            return None;
        }
        let mut query = Map::new();
        query.insert("room_id".to_owned(), self.room.as_str().into());
        query.insert("page".to_owned(), self.page.into());
        query.insert("limit".to_owned(), LIMIT.into());
        Some(api.get("load_comments", &query))
    }

    /// Takes the answer to [`Walk::request`]: a 200's body.
    pub fn take(&mut self, body: &[u8]) -> Result<Next, Unreadable> {
        let answer =
            Payload::parse(body, DEPTH_MAX).map_err(|error| Unreadable(error.to_string()))?;
        let status = answer.at("status").and_then(id_text);
        if status.as_deref().is_some_and(|status| status != "200") {
            let said = api::error_text(answer.value());
            return Err(Unreadable(format!("Qiscus refused: {}", said.trim())));
        }
        let Some(page) = answer.at("results.comments").and_then(Json::as_array) else {
            return Err(Unreadable("no list `results.comments`".to_owned()));
        };
        // What is posted meanwhile moves the pages: some come twice.
        let before = self.comments.len();
        let mut reached = false;
        for comment in page.iter().filter_map(Comment::read) {
            let early = self.since.zip(comment.sent_at);
            if early.is_some_and(|(since, sent_at)| sent_at < since) {
                reached = true;
            } else if self.seen.insert(comment.name()) {
                self.comments.push(comment);
            }
        }
        let ended = if reached {
            Some(Ended::Since)
        } else if self.comments.len() == before {
            Some(Ended::Beginning)
        } else if self.page >= self.pages_max {
            Some(Ended::Pages)
        } else {
            None
        };
        self.page += 1;
        Ok(ended.map_or(Next::Page(self.page), Next::End))
    }

    /// What there is so far.
    pub fn end(self) -> Loaded {
        let mut comments = self.comments;
        // Pages come newest first, but within a page either order is shown.
        comments.sort_by_key(|comment| (comment.sent_at, comment.id));
        if comments.iter().all(|comment| comment.id.is_some()) {
            comments.sort_by_key(|comment| comment.id);
        }
        let gaps = gaps(comments.iter().filter_map(|one| Chained::of(&one.raw)));
        Loaded { comments, gaps }
    }
}

/// One call's part of a walk. Two calls overlap by a page, so that a gap
/// between them shows.
#[derive(Debug)]
pub struct Stage {
    api: Api,
    request: Outgoing,
    walk: Walk,
    next: Option<u32>,
}

impl Stage {
    /// `from`: where the stage before ended. An error is for the operator.
    pub fn new(
        api: &Api,
        room: &str,
        since: Option<Timestamp>,
        from: Option<&str>,
        pages_max: u32,
    ) -> Result<Self, String> {
        let first = from.map_or(Ok(1), str::parse).map_err(|_| "no such page")?;
        let last = first + pages_max.max(2) - 1;
        let walk = Walk::new(room, since, last).from_page(first);
        let request = walk.request(api).ok_or(
            "the Omnichannel API loads no comments; a destination with api = \"v2\" of the same account does",
        )?;
        Ok(Self {
            api: api.clone(),
            request,
            walk,
            next: None,
        })
    }
}

impl lookup::Walk for Stage {
    fn request(&self) -> Outgoing {
        self.request.clone()
    }

    fn take(&mut self, body: &[u8]) -> Result<bool, String> {
        let next = self.walk.take(body).map_err(|error| error.to_string())?;
        match (next, self.walk.request(&self.api)) {
            (Next::Page(_), Some(request)) => {
                self.request = request;
                return Ok(true);
            }
            (Next::End(Ended::Pages), _) => self.next = Some(self.walk.page - 1),
            _ => {}
        }
        Ok(false)
    }

    fn end(self: Box<Self>) -> Past {
        let room = self.walk.room.clone();
        let loaded = self.walk.end();
        let gap = |gap: &Gap| format!("comments after {} up to {}", gap.after, gap.until);
        Past {
            webhooks: loaded
                .comments
                .iter()
                .map(|comment| webhook_body(&room, comment))
                .collect(),
            next: self.next.map(|page| page.to_string()),
            gaps: loaded.gaps.iter().map(gap).collect(),
        }
    }
}

/// A comment in the shape of the webhook. Nothing tells which client posted it:
/// what bears our mark came through the REST API, the rest is taken for a
/// client's (a guess; who speaks is told by `agents`).
pub fn webhook_body(room: &str, comment: &Comment) -> Bytes {
    let raw = &comment.raw;
    let event_type = if message::is_marked(raw) {
        "post_comment_rest"
    } else {
        "post_comment_mobile"
    };
    let null = Json::Null;
    let user = raw.get("user").filter(|user| user.is_object());
    let user = user.unwrap_or(&null);
    let first = |places: &[(&Json, &str)]| {
        let texts = places.iter().filter_map(|(value, name)| value.get(*name));
        texts.filter_map(id_text).next()
    };
    let email = first(&[(raw, "email"), (user, "user_id"), (user, "email")]);
    let name = first(&[(raw, "username"), (user, "username")]);
    let id = raw.get("user_id").filter(|id| id.is_number());
    let mut message = Map::new();
    let mut put = |name: &str, value: Option<&Json>| {
        if let Some(value) = value.filter(|value| !value.is_null()) {
            message.insert(name.to_owned(), value.clone());
        }
    };
    put("text", raw.get("message"));
    for name in CARRIED {
        put(name, raw.get(*name));
    }
    let temporary = temporary_id(raw).map(Json::from);
    put("unique_temp_id", temporary.as_ref());
    message.entry("type").or_insert_with(|| Json::from("text"));
    let body = json!({
        "type": event_type,
        "payload": {
            "from": { "id": id.cloned().unwrap_or_else(|| 0.into()), "email": email, "name": name },
            "room": {
                "id": room,
                "name": reading::text(raw, "room_name"),
                "type": reading::text(raw, "chat_type"),
            },
            "message": message,
        },
    });
    Bytes::from(body.to_string())
}

/// What a comment and a webhook's message call the same.
const CARRIED: &[&str] = &[
    "type",
    "payload",
    "extras",
    "id",
    "id_str",
    "comment_before_id",
    "comment_before_id_str",
    "timestamp",
    "created_at",
    "unix_timestamp",
    "unix_nano_timestamp",
    "disable_link_preview",
];

/// v2.1 tells it as `unique_id`, where it does.
fn temporary_id(comment: &Json) -> Option<String> {
    ["unique_temp_id", "unique_id"]
        .iter()
        .filter_map(|name| comment.get(*name).and_then(id_text))
        .find(|id| id != "0")
}

fn number(value: &Json, names: &[&str]) -> Option<u64> {
    names
        .iter()
        .find_map(|name| value.get(*name).and_then(id_text)?.parse().ok())
}
