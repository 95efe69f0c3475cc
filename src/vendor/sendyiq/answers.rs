//! What SendyIQ answers, read kindly: nobody documents a body. Lists are looked
//! for in the places such APIs keep them, and what is not found is absent.

use serde_json::Value as Json;

use crate::payload::{DEPTH_MAX, Payload, id_text};
use crate::vendor::asking;

/// One conversation of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Conversation {
    /// A UUID, as it came.
    pub id: String,
    /// The vendor's word, e.g. `open`.
    pub status: Option<String>,
    pub channel_id: Option<String>,
    pub last_message_at: Option<String>,
    /// All that came.
    pub raw: Json,
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// Items without an id are left out.
    pub conversations: Vec<Conversation>,
    /// How many items came, with or without an id.
    pub items: u64,
    /// How many there are on all pages, where it is told.
    pub total: Option<u64>,
    /// How many a page holds, where it is told.
    pub page_size: Option<u64>,
}

impl Page {
    /// Whether this page, by its number from 1, is surely the last.
    pub fn is_last(&self, number: u32) -> bool {
        let size = self.page_size.unwrap_or(self.items);
        let seen = size.saturating_mul(u64::from(number));
        self.items == 0 || self.total.is_some_and(|total| seen >= total)
    }
}

/// The answer to a list; `None`: it holds no list.
pub fn page(body: &[u8]) -> Option<Page> {
    let body = parse(body)?;
    let places = ["data.items", "data.conversations", "items", "data"];
    let items = places
        .iter()
        .find_map(|place| asking::at(&body, place)?.as_array())
        .or_else(|| body.as_array())?;
    let number = |names: [&str; 2]| {
        let within = ["data.", "meta.", "data.meta.", ""];
        let mut paths = within
            .iter()
            .flat_map(|within| names.iter().map(move |name| format!("{within}{name}")));
        paths.find_map(|path| asking::at(&body, &path)?.as_u64())
    };
    Some(Page {
        conversations: items.iter().filter_map(one).collect(),
        items: u64::try_from(items.len()).unwrap_or(u64::MAX),
        total: number(["totalCount", "total"]),
        page_size: number(["pageSize", "perPage"]).filter(|size| *size > 0),
    })
}

/// A 2xx that says `success: false` is none.
pub(super) fn says_no(body: &[u8]) -> bool {
    parse(body).is_some_and(|body| body.get("success") == Some(&Json::Bool(false)))
}

fn parse(body: &[u8]) -> Option<Json> {
    let payload = Payload::parse(body, DEPTH_MAX).ok()?;
    Some(payload.value().clone())
}

fn one(item: &Json) -> Option<Conversation> {
    let id = ["id", "conversationId"]
        .iter()
        .find_map(|name| item.get(*name).and_then(id_text))?;
    Some(Conversation {
        id,
        status: text(item, "status"),
        channel_id: text(item, "channelId"),
        last_message_at: text(item, "lastMessageAt"),
        raw: item.clone(),
    })
}

fn text(value: &Json, name: &str) -> Option<String> {
    value.get(name).and_then(id_text)
}
