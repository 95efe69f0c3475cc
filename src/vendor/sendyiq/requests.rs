//! The eleven requests SendyIQ documents, for one inbox: list, look, say,
//! reopen, resolve; and the token of its hub.

use ::http::{HeaderMap, HeaderName, Method};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::{Inbox, SendyIq};
use crate::transform::Outgoing;
use crate::vendor::asking;

const PREFIX: [&str; 4] = ["api", "v1", "store", "integrations"];

/// How many conversations a page is asked to hold. SendyIQ documents no limit.
const PAGE_SIZE: u32 = 50;

impl SendyIq {
    /// A page of the list, from 1. `channel` is a UUID.
    pub fn list_request(&self, page: u32, status: Option<&str>, channel: Option<&str>) -> Outgoing {
        let mut request = self.request(Method::GET, &[self.inbox.word(), "conversations"], None);
        let size = match self.inbox {
            Inbox::Chat => "PageSize",
            Inbox::Social => "PerPage",
        };
        let mut query = request.url.query_pairs_mut();
        query
            .append_pair("Page", &page.to_string())
            .append_pair(size, &PAGE_SIZE.to_string());
        if let Some(status) = status {
            query.append_pair("Status", status);
        }
        if let Some(channel) = channel {
            query.append_pair("ChannelId", channel);
        }
        drop(query);
        request
    }

    /// One conversation.
    pub fn conversation_request(&self, id: Uuid) -> Outgoing {
        self.about(Method::GET, id, None, None)
    }

    /// A token for SendyIQ's SignalR hub (website chat only).
    pub fn hub_token_request(&self) -> Outgoing {
        self.request(Method::POST, &["chat", "hub-token"], None)
    }

    pub(super) fn say(&self, id: Uuid, text: &str) -> Outgoing {
        let body = json!({ "text": text });
        self.about(Method::POST, id, Some("messages"), Some(&body))
    }

    pub(super) fn reopen(&self, id: Uuid) -> Outgoing {
        self.about(Method::POST, id, Some("reopen"), None)
    }

    pub(super) fn resolve(&self, id: Uuid) -> Outgoing {
        self.about(Method::POST, id, Some("resolve"), None)
    }

    fn about(&self, method: Method, id: Uuid, verb: Option<&str>, body: Option<&Json>) -> Outgoing {
        let id = id.to_string();
        let path = [self.inbox.word(), "conversations", &id];
        let path: Vec<&str> = path.into_iter().chain(verb).collect();
        self.request(method, &path, body)
    }

    fn request(&self, method: Method, path: &[&str], body: Option<&Json>) -> Outgoing {
        let path = PREFIX.into_iter().chain(path.iter().copied());
        let url = asking::url_at(&self.base_url, path);
        let mut headers = HeaderMap::new();
        let name = HeaderName::from_static("x-api-key");
        headers.insert(name, self.key_header.clone());
        asking::request(method, url, headers, body, &self.key)
    }
}

impl Inbox {
    /// As paths spell it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Social => "social",
        }
    }
}
