//! What the destinations that hold dialogues share: the keys they read, and
//! how their requests are put together.

use std::time::Duration;

use ::http::{HeaderMap, HeaderValue, Method, header};
use bytes::Bytes;
use serde_json::{Map, Value as Json};
use url::Url;

use super::Call;
use super::dialogue::{Ask, Step};
use crate::decode::keys::{Key, Shape};
use crate::decode::{Fields, describe, inside};
use crate::expression::{Scope, Template, advice_in_template};
use crate::secret::Secret;
use crate::settle::{Outcome, Reason};
use crate::transform::{BodyShape, Outgoing, Unsendable};

/// What to do with a copy that lacks what it may get later: a link, a customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    DeadLetter,
    Wait(Duration),
}

impl Missing {
    /// The end of such a copy; the detail says what to do.
    pub(super) fn unsendable(self, reason: Reason, detail: String) -> Unsendable {
        match self {
            Self::DeadLetter => Unsendable::Dead { reason, detail },
            Self::Wait(for_at_most) => Unsendable::Wait {
                for_at_most,
                reason,
                detail,
            },
        }
    }
}

/// `"dead_letter"` or `{ wait = "10m" }`.
fn missing(fields: &mut Fields<'_, '_>, key: &'static str, default: Missing) -> Missing {
    let is_table = fields
        .table
        .get(key)
        .is_some_and(|value| value.get_ref().is_table());
    if is_table {
        let wait = fields.table(key, |fields| {
            if !fields.has("wait") {
                let help = Some(format!("write {key} = {{ wait = \"10m\" }}"));
                let message = format!("`{}` says not how long to wait", fields.path);
                fields.error(fields.span.clone(), message, help);
            }
            fields.duration("wait")
        });
        return wait
            .flatten()
            .map_or(default, |wait| Missing::Wait(wait.value));
    }
    let Some(value) = fields.any(key) else {
        return default;
    };
    if value.get_ref().as_str() == Some("dead_letter") {
        return Missing::DeadLetter;
    }
    let help = format!("write {key} = \"dead_letter\" or {key} = {{ wait = \"10m\" }}");
    let message = match value.get_ref().as_str() {
        Some(text) => format!("`{}` cannot be \"{text}\"", fields.name(key)),
        None => format!(
            "`{}` must be a text or a table, not {}",
            fields.name(key),
            describe(value.get_ref())
        ),
    };
    fields.error(value.span(), message, Some(help));
    default
}

/// A conversation that has no counterpart yet: ten minutes for somebody to link it.
pub(super) fn when_unlinked(fields: &mut Fields<'_, '_>) -> Missing {
    let patience = Duration::from_secs(600);
    missing(fields, "when_unlinked", Missing::Wait(patience))
}

/// A message whose customer is not known yet.
pub(super) fn unknown_user(fields: &mut Fields<'_, '_>) -> Missing {
    missing(fields, "unknown_user", Missing::DeadLetter)
}

const WAIT: &[Key] = &[Key::new(
    "wait",
    Shape::Duration,
    "For so long, then it is a dead letter.",
)
.required()];

const MISSING: Shape = Shape::Either(&[Shape::Word(&["dead_letter"]), Shape::Table(WAIT)]);

/// What [`when_unlinked`] reads.
pub(super) const WHEN_UNLINKED: Key = Key::new(
    "when_unlinked",
    MISSING,
    "A copy whose conversation has no counterpart over there yet.",
)
.or("{ \"wait\": \"10m\" }");

/// What [`unknown_user`] reads.
pub(super) const UNKNOWN_USER: Key = Key::new(
    "unknown_user",
    MISSING,
    "An outgoing message before the customer is known.",
)
.or("\"dead_letter\"");

/// Every chat kind's.
pub(super) const SYSTEM_EVENTS: Key = Key::new(
    "system_events",
    Shape::Flag,
    "Joins, leaves and the like are no messages: skipped unless told.",
)
.or("false");

/// What [`base_url`] reads; `default` as JSON.
pub(super) const fn base_url_key(default: &'static str) -> Key {
    Key::new("base_url", Shape::Text, "Where the vendor's API is.")
        .or(default)
        .such_as("\"https://api.example\"")
}

/// The destination's name, for what operators are told to type.
pub(super) fn name_of(fields: &Fields<'_, '_>) -> String {
    let name = fields.path.strip_prefix("destination.");
    name.unwrap_or("…").to_owned()
}

/// A secret that a header carries; both as it is, for masking and accounts,
/// and as the header's value, which never prints. A wrong one is a complaint.
pub(super) fn header_secret(
    fields: &mut Fields<'_, '_>,
    key: &'static str,
    why: &str,
) -> (Secret, HeaderValue) {
    let nothing = || (Secret::new(""), HeaderValue::from_static(""));
    let Some(secret) = fields.secret(key) else {
        if !fields.has(key) {
            fields.missing(key, why);
        }
        return nothing();
    };
    let text = secret.value.expose_text().map(str::trim);
    let carried = text
        .filter(|text| !text.is_empty())
        .and_then(|text| Some((Secret::new(text), HeaderValue::from_str(text).ok()?)));
    let Some((secret, mut value)) = carried else {
        let message = format!("the {key} is blank, or holds what no header can carry");
        let help = "copy it again, on one line and in ASCII".to_owned();
        fields.error(secret.span, message, Some(help));
        return nothing();
    };
    value.set_sensitive(true);
    (secret, value)
}

/// `base_url`, where it is written; a wrong one is a complaint.
pub(super) fn base_url(fields: &mut Fields<'_, '_>, default: &str) -> Option<Url> {
    let written = fields.text("base_url")?;
    let url = Url::parse(&written.value);
    let plain = |url: &Url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
    };
    let why = match url {
        Ok(url) if plain(&url) => return Some(url),
        Ok(_) => "must be http(s)://host, perhaps with a path, and nothing else".to_owned(),
        Err(url::ParseError::RelativeUrlWithoutBase) => {
            "must begin with http:// or https://".to_owned()
        }
        Err(error) => format!("is no URL: {error}"),
    };
    let why = format!("`{}` {why}", fields.name("base_url"));
    fields.error(written.span, why, Some(format!("the default is {default}")));
    None
}

/// A text that may hold `{{ … }}`; what is none is a complaint.
pub(super) fn template(fields: &mut Fields<'_, '_>, key: &'static str) -> Option<Template> {
    let written = fields.text(key)?;
    parsed(fields, key, &written.value)
}

fn parsed(fields: &mut Fields<'_, '_>, key: &'static str, text: &str) -> Option<Template> {
    match Template::parse(text) {
        Ok(template) => Some(template),
        Err(malformed) => {
            let place = fields.any(key).map_or_else(
                || fields.span.clone(),
                |value| inside(value, &malformed.span),
            );
            let (message, help) = advice_in_template(text, &malformed);
            let message = format!("`{}` is no template: {message}", fields.name(key));
            fields.error(place, message, Some(help));
            None
        }
    }
}

/// A text or a list of texts that may hold `{{ … }}`.
pub(super) fn templates(fields: &mut Fields<'_, '_>, key: &'static str) -> Vec<Template> {
    let mut found = Vec::new();
    for written in fields.texts(key) {
        match Template::parse(&written.value) {
            Ok(template) => found.push(template),
            Err(malformed) => {
                let (message, help) = advice_in_template(&written.value, &malformed);
                let message = format!("`{}` is no template: {message}", fields.name(key));
                fields.error(written.span, message, Some(help));
            }
        }
    }
    found
}

/// What templates see of this copy.
pub(super) fn scope(call: &Call<'_>) -> Scope {
    Scope::new(call.event, call.message(), call.payload())
}

/// The route's `with`, filled in; empty where there is none. A key that is not
/// in `known` is a dead letter that names those that are.
pub(super) fn with(call: &Call<'_>, known: &[&str]) -> Result<Map<String, Json>, Unsendable> {
    if call.action.with.is_empty() {
        return Ok(Map::new());
    }
    let with: Json = serde_json::from_str(&call.action.with)
        .map_err(|error| unsendable(format!("the route's `with` cannot be read: {error}")))?;
    let shape = BodyShape::from_json(&with)
        .map_err(|error| unsendable(format!("the route's `with`: {error}")))?;
    let Json::Object(with) = shape.render(&scope(call))? else {
        return Err(unsendable("the route's `with` is no table"));
    };
    match with.keys().find(|key| !known.contains(&key.as_str())) {
        None => Ok(with),
        Some(key) => Err(unsendable(format!(
            "the route's `with` has `{key}`, which `{}` does not take; it takes {}",
            call.action.name,
            known.join(", ")
        ))),
    }
}

/// Where requests go, as operators are told.
pub(super) fn shown(base_url: &Url) -> String {
    base_url.as_str().trim_end_matches('/').to_owned()
}

/// The base with these path segments behind it, each percent-encoded.
pub(super) fn url_at<'s>(base: &Url, segments: impl IntoIterator<Item = &'s str>) -> Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

/// A request with a JSON body, or with none.
pub(super) fn request(
    method: Method,
    url: Url,
    mut headers: HeaderMap,
    body: Option<&Json>,
    secret: &Secret,
) -> Outgoing {
    if body.is_some() {
        let json = HeaderValue::from_static("application/json");
        headers.insert(header::CONTENT_TYPE, json);
    }
    Outgoing {
        method,
        url,
        headers,
        body: body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string())),
        sign: None,
        redact: vec![secret.clone()],
        late: false,
    }
}

/// One step that needs nothing beyond its request.
pub(super) fn ask(step: &'static str, request: Outgoing) -> Step {
    Step::Ask(Box::new(Ask {
        step,
        request,
        before: Vec::new(),
        alone: None,
    }))
}

/// What `write` says for a destination with a dialogue: its first request.
pub(super) fn first(step: Step) -> Result<Outgoing, Unsendable> {
    match step {
        Step::Ask(ask) => Ok(ask.request),
        Step::Done => Err(unsendable("there is nothing to send")),
    }
}

pub(super) fn dead(reason: Reason, detail: impl Into<String>) -> Unsendable {
    Unsendable::Dead {
        reason,
        detail: detail.into(),
    }
}

pub(super) fn unsendable(detail: impl Into<String>) -> Unsendable {
    dead(Reason::Unsendable, detail)
}

/// An answer with another status than that of its head.
pub(super) fn answered(status: u16) -> Outcome {
    Outcome::Answered {
        status,
        retry_after: None,
    }
}

/// The value at a dotted path; elements of lists by index.
pub(super) fn at<'j>(value: &'j Json, path: &str) -> Option<&'j Json> {
    path.split('.').try_fold(value, |value, part| match value {
        Json::Object(map) => map.get(part),
        Json::Array(items) => items.get(part.parse::<usize>().ok()?),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => None,
    })
}
