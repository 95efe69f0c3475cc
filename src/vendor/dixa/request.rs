//! Requests to Dixa's API: where they go and what proves who we are.

use ::http::{HeaderMap, HeaderValue, Method, header};
use bytes::Bytes;
use serde_json::Value as Json;

use super::{Desk, unsendable};
use crate::link::{Change, What};
use crate::transform::{Outgoing, Unsendable};
use crate::vendor::dialogue::{Ask, Step};

// The steps, as Dixa's documents call the requests.
pub(super) const FIND_USER: &str = "list end users";
pub(super) const CREATE_USER: &str = "create end user";
pub(super) const LIST: &str = "list end user conversations";
pub(super) const MESSAGES: &str = "list messages";
pub(super) const CREATE: &str = "create conversation";
pub(super) const ADD: &str = "add message";
pub(super) const REOPEN: &str = "reopen conversation";
pub(super) const CHECK: &str = "get conversation";
pub(super) const AVAILABILITY: &str = "get queue availability";
pub(super) const POSITION: &str = "get queue position";
pub(super) const ACT: &str = "act on conversation";

impl Desk {
    pub(super) fn get(&self, path: &[&str], query: &[(&str, &str)]) -> Outgoing {
        let mut request = self.request(Method::GET, path, Bytes::new());
        if !query.is_empty() {
            request.url.query_pairs_mut().extend_pairs(query);
        }
        request
    }

    pub(super) fn send(&self, method: Method, path: &[&str], body: &Json) -> Outgoing {
        let mut request = self.request(method, path, Bytes::from(body.to_string()));
        let json = HeaderValue::from_static("application/json");
        request.headers.insert(header::CONTENT_TYPE, json);
        request
    }

    fn request(&self, method: Method, path: &[&str], body: Bytes) -> Outgoing {
        let mut url = self.base_url.clone();
        // An http URL always has a path.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        let mut headers = HeaderMap::new();
        // What no header takes has been complained about.
        if let Ok(mut key) = HeaderValue::from_bytes(self.api_key.expose()) {
            key.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, key);
        }
        Outgoing {
            method,
            url,
            headers,
            body,
            sign: None,
            redact: vec![self.api_key.clone()],
            late: false,
        }
    }
}

/// A request with nothing around it.
pub(super) fn ask(step: &'static str, request: Outgoing) -> Step {
    Step::Ask(Box::new(Ask {
        step,
        request,
        before: Vec::new(),
        alone: None,
    }))
}

/// A request that nobody else makes at the same time for the same user or
/// conversation.
pub(super) fn ask_alone(
    step: &'static str,
    request: Outgoing,
    what: What,
    before: Vec<Change>,
) -> Step {
    Step::Ask(Box::new(Ask {
        step,
        request,
        before,
        alone: Some(what),
    }))
}

/// Whether a text can be an id over there, and so stand in a path.
pub(super) fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// The id, or what is wrong with it.
pub(super) fn id<'t>(what: &str, text: &'t str) -> Result<&'t str, Unsendable> {
    if is_id(text) {
        Ok(text)
    } else {
        Err(unsendable(format!("{what} is no id of Dixa's")))
    }
}
