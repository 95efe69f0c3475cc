//! The three REST APIs of Qiscus as requests and answers: SDK v2, SDK v2.1 and
//! the Omnichannel bot API.

use ::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use bytes::Bytes;
use serde_json::{Map, Value as Json};
use url::Url;
use url::form_urlencoded::Serializer;

use crate::payload::{DEPTH_MAX, Payload, id_text};
use crate::secret::Secret;
use crate::settle::Outcome;
use crate::transform::Outgoing;
use crate::vendor::asking;
use crate::vendor::dialogue::Heard;

/// Which API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Form-encoded; a repeated `unique_temp_id` says the same thing again
    /// (a guess: Qiscus documents that name, not what a repetition does).
    V2,
    /// JSON; users are `user_id`s and room ids texts.
    V21,
    /// Messages only, but these reach WhatsApp and the like (Qiscus documents
    /// that what the SDK API posts does not).
    Omnichannel,
}

/// An account of one of them.
#[derive(Clone, Debug)]
pub struct Api {
    pub version: Version,
    pub app_id: String,
    pub base_url: Url,
    secret: Secret,
    secret_header: HeaderValue,
}

impl Api {
    /// `None`: the secret, or the app id, holds what no header can carry.
    pub fn new(version: Version, app_id: &str, base_url: Url, secret: Secret) -> Option<Self> {
        let mut secret_header = HeaderValue::from_str(secret.expose_text()?).ok()?;
        secret_header.set_sensitive(true);
        let _carried = HeaderValue::from_str(app_id).ok()?;
        Some(Self {
            version,
            app_id: app_id.to_owned(),
            base_url,
            secret,
            secret_header,
        })
    }

    pub fn secret(&self) -> &Secret {
        &self.secret
    }

    /// A POST to a method such as `post_comment`, with its parameters.
    pub(super) fn post(&self, name: &str, parameters: &Map<String, Json>) -> Outgoing {
        let mut request = self.bare(Method::POST, self.url(name));
        let (kind, body) = match self.version {
            Version::V2 => ("application/x-www-form-urlencoded", form(parameters)),
            Version::V21 | Version::Omnichannel => {
                let body = serde_json::to_string(parameters).unwrap_or_default();
                ("application/json", body)
            }
        };
        let kind = HeaderValue::from_static(kind);
        request.headers.insert(header::CONTENT_TYPE, kind);
        request.body = Bytes::from(body);
        request
    }

    /// A GET of a method, its parameters in the query.
    pub(super) fn get(&self, name: &str, parameters: &Map<String, Json>) -> Outgoing {
        let mut url = self.url(name);
        url.set_query(Some(&form(parameters)));
        self.bare(Method::GET, url)
    }

    fn url(&self, name: &str) -> Url {
        let path: [&str; 4] = match self.version {
            Version::V2 => ["api", "v2", "rest", name],
            Version::V21 => ["api", "v2.1", "rest", name],
            Version::Omnichannel => return asking::url_at(&self.base_url, [&*self.app_id, name]),
        };
        asking::url_at(&self.base_url, path)
    }

    fn bare(&self, method: Method, url: Url) -> Outgoing {
        // Some proxies drop names with underscores: v2.1 documents both.
        let (id, secret) = match self.version {
            Version::V2 => (None, "qiscus_sdk_secret"),
            Version::V21 => (Some("qiscus-sdk-app-id"), "qiscus-sdk-secret"),
            Version::Omnichannel => (Some("qiscus-app-id"), "qiscus-secret-key"),
        };
        let mut headers = HeaderMap::new();
        if let Some(id) = id
            && let Ok(value) = HeaderValue::from_str(&self.app_id)
        {
            headers.insert(HeaderName::from_static(id), value);
        }
        let name = HeaderName::from_static(secret);
        headers.insert(name, self.secret_header.clone());
        asking::request(method, url, headers, None, &self.secret)
    }
}

/// `name=text`, `name[]=text` for each of a list, and JSON text for a table.
fn form(parameters: &Map<String, Json>) -> String {
    let mut form = Serializer::new(String::new());
    for (name, value) in parameters {
        match value {
            Json::Null => {}
            Json::Array(items) => {
                let name = format!("{name}[]");
                for item in items {
                    form.append_pair(&name, &plain(item));
                }
            }
            other => drop(form.append_pair(name, &plain(other))),
        }
    }
    form.finish()
}

fn plain(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The answer's JSON; null where it is none.
pub(super) fn body_of(body: &[u8]) -> Json {
    let parsed = Payload::parse(body, DEPTH_MAX);
    parsed.map_or(Json::Null, |payload| payload.value().clone())
}

/// What an answer comes to: a 200 whose body says `"status": 4xx` or 5xx counts
/// as that.
pub(super) fn judged(heard: &Heard<'_>, body: &Json) -> Outcome {
    let told = body.get("status").and_then(id_text);
    let told = told.and_then(|status| status.parse::<u16>().ok());
    match told {
        Some(status @ 400..=599) if heard.outcome.is_success() => asking::answered(status),
        _ => heard.outcome.clone(),
    }
}

/// What an error says, in lower case: Qiscus' clients look for
/// `error.message`, `error.errors` and `error.detailed_messages`.
pub(super) fn error_text(body: &Json) -> String {
    let error = body.get("error").unwrap_or(body);
    let mut said = String::new();
    for name in ["message", "errors", "detailed_messages"] {
        if let Some(part) = error.get(name) {
            said.push_str(&plain(part).to_lowercase());
            said.push(' ');
        }
    }
    if let Json::String(text) = error {
        said.push_str(&text.to_lowercase());
    }
    said
}
