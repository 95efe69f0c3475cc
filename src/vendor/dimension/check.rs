//! What the tracking API would say to a request: for the emulators and for
//! tests. It shares nothing with the writer, so that neither can hide a
//! misunderstanding of the other.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use ::http::{HeaderMap, header};
use serde_json::{Map, Value as Json};

use super::{Host, PLATFORMS};
use crate::clock::Timestamp;

/// A request as an emulator received it.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// `/track` or `/trackhistorical`.
    pub path: &'a str,
    /// Without the question mark.
    pub query: &'a str,
    pub headers: &'a HeaderMap,
    pub body: &'a [u8],
}

/// A request that was taken.
#[derive(Clone, Debug, PartialEq)]
pub struct Received {
    /// `incoming`, `outgoing` or `event`.
    pub kind: String,
    pub user_id: String,
    /// The text of a message, the name of an event.
    pub text: String,
    pub conversation_id: Option<String>,
    /// Unix milliseconds, where given.
    pub timestamp: Option<u64>,
    pub historical: bool,
    pub body: Json,
}

/// A request that was not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub status: u16,
    pub body: String,
}

fn refuse<T>(body: impl Into<String>) -> Result<T, Refused> {
    Err(Refused {
        status: 400,
        body: body.into(),
    })
}

const MESSAGE_FIELDS: &[&str] = &[
    "text",
    "userId",
    "platformJson",
    "conversationId",
    "sessionId",
    "incoming",
    "dimensionlabs_timestamp",
    "dashbot_timestamp",
    "platformUserJson",
    "intent",
    "images",
    "buttons",
    "postback",
];

const EVENT_FIELDS: &[&str] = &[
    "name",
    "userId",
    "type",
    "amount",
    "conversationId",
    "extraInfo",
    "metadata",
    "dimensionlabs_timestamp",
    "dashbot_timestamp",
];

const EVENT_TYPES: &[&str] = &[
    "customEvent",
    "revenueEvent",
    "shareEvent",
    "pageLaunchEvent",
    "referralEvent",
];

/// Judges a request. `key`: the only API key that is right; `None`: any.
pub fn check_request(
    host: Host,
    key: Option<&str>,
    request: &Request<'_>,
    now: Timestamp,
) -> Result<Received, Refused> {
    let historical = match (request.path, host) {
        ("/track", _) => false,
        ("/trackhistorical", Host::Dimension) => true,
        _ => {
            return Err(Refused {
                status: 404,
                body: "not found".into(),
            });
        }
    };
    let query = query(request.query)?;
    authorise(&query, key)?;
    let of = |name: &str| query.get(name).map_or("", |value| &**value);
    if !PLATFORMS.contains(&of("platform")) {
        return refuse("platform is missing or unknown");
    }
    if of("v").is_empty() {
        return refuse("v is missing");
    }
    let kind = of("type").to_owned();
    if !matches!(kind.as_str(), "incoming" | "outgoing" | "event") {
        return refuse("type must be incoming, outgoing or event");
    }
    let content_type = request
        .headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    if content_type.split(';').next().map(str::trim) != Some("application/json") {
        return refuse("Content-Type must be application/json");
    }
    let Ok(Json::Object(body)) = serde_json::from_slice::<Json>(request.body) else {
        return refuse("the body is not a JSON object");
    };
    check_names(
        &body,
        if kind == "event" {
            EVENT_FIELDS
        } else {
            MESSAGE_FIELDS
        },
    )?;
    let user_id = required(&body, "userId")?;
    let text = if kind == "event" {
        event(&body)?
    } else {
        message(&body, &kind)?
    };
    let conversation_id = conversation(&body)?;
    let timestamp = timestamp(host, &body, historical, now)?;
    Ok(Received {
        kind,
        user_id,
        text,
        conversation_id,
        timestamp,
        historical,
        body: Json::Object(body),
    })
}

fn query(text: &str) -> Result<BTreeMap<Cow<'_, str>, Cow<'_, str>>, Refused> {
    let mut found = BTreeMap::new();
    for (name, value) in url::form_urlencoded::parse(text.as_bytes()) {
        if found.insert(name.clone(), value).is_some() {
            return refuse(format!("{name} is given twice"));
        }
    }
    Ok(found)
}

fn authorise(
    query: &BTreeMap<Cow<'_, str>, Cow<'_, str>>,
    key: Option<&str>,
) -> Result<(), Refused> {
    let given = query.get("apiKey").map_or("", |given| &**given);
    if given.is_empty() || key.is_some_and(|key| key != given) {
        return Err(Refused {
            status: 403,
            body: r#"{"message":"Forbidden"}"#.to_owned(),
        });
    }
    Ok(())
}

/// The real API ignores a name in the wrong case without a word; here that is
/// an error, because it is always a mistake.
fn check_names(body: &Map<String, Json>, known: &[&str]) -> Result<(), Refused> {
    let Some(name) = body.keys().find(|name| !known.contains(&name.as_str())) else {
        return Ok(());
    };
    match known.iter().find(|known| known.eq_ignore_ascii_case(name)) {
        Some(known) => refuse(format!("{name}: names are case-sensitive, write {known}")),
        None => refuse(format!("{name}: unknown field")),
    }
}

fn required(body: &Map<String, Json>, name: &str) -> Result<String, Refused> {
    match body.get(name) {
        Some(Json::String(text)) if !text.trim().is_empty() => Ok(text.clone()),
        Some(Json::String(_)) | None => refuse(format!("{name} is required")),
        Some(_) => refuse(format!("{name} must be a string")),
    }
}

fn message(body: &Map<String, Json>, kind: &str) -> Result<String, Refused> {
    let text = required(body, "text")?;
    match body.get("incoming") {
        None => {}
        Some(Json::Bool(incoming)) if *incoming == (kind == "incoming") => {}
        Some(Json::Bool(_)) => return refuse("incoming does not agree with type"),
        Some(_) => return refuse("incoming must be a boolean"),
    }
    for name in ["platformJson", "platformUserJson", "intent", "postback"] {
        if body.get(name).is_some_and(|value| !value.is_object()) {
            return refuse(format!("{name} must be an object"));
        }
    }
    let image = |image: &Json| image.is_string() || image.get("url").is_some_and(Json::is_string);
    let button = |button: &Json| {
        ["id", "label", "value"]
            .iter()
            .any(|name| button.get(name).is_some())
    };
    for (name, fits) in [
        ("images", &image as &dyn Fn(&Json) -> bool),
        ("buttons", &button),
    ] {
        match body.get(name) {
            None => {}
            Some(Json::Array(items)) if items.iter().all(fits) => {}
            Some(_) => return refuse(format!("{name} is malformed")),
        }
    }
    Ok(text)
}

fn event(body: &Map<String, Json>) -> Result<String, Refused> {
    let name = required(body, "name")?;
    let kind = required(body, "type")?;
    if !EVENT_TYPES.contains(&kind.as_str()) {
        return refuse("type of event is unknown");
    }
    if kind == "revenueEvent" && !body.get("amount").is_some_and(Json::is_number) {
        return refuse("amount is required");
    }
    Ok(name)
}

fn conversation(body: &Map<String, Json>) -> Result<Option<String>, Refused> {
    for name in ["sessionId", "conversationId"] {
        match body.get(name) {
            None => {}
            Some(Json::String(id)) if id.is_empty() || id.contains(':') => {
                return refuse(format!("{name} must not be empty or contain a colon"));
            }
            Some(Json::String(_)) => {}
            Some(_) => return refuse(format!("{name} must be a string")),
        }
    }
    Ok(body
        .get("conversationId")
        .and_then(Json::as_str)
        .map(str::to_owned))
}

fn timestamp(
    host: Host,
    body: &Map<String, Json>,
    historical: bool,
    now: Timestamp,
) -> Result<Option<u64>, Refused> {
    const HOUR: u64 = 3600;
    let (name, other, age_max) = match host {
        Host::Dimension => ("dimensionlabs_timestamp", "dashbot_timestamp", 24 * HOUR),
        Host::Dashbot => ("dashbot_timestamp", "dimensionlabs_timestamp", HOUR),
    };
    if body.contains_key(other) {
        return refuse(format!("{other}: unknown field on this host"));
    }
    let Some(value) = body.get(name) else {
        return if historical {
            refuse(format!("{name} is required"))
        } else {
            Ok(None)
        };
    };
    let Some(millis) = value.as_u64() else {
        return refuse(format!("{name} must be Unix milliseconds"));
    };
    // Seconds would silently be a day in 1970.
    if millis < 100_000_000_000 {
        return refuse(format!("{name} must be milliseconds, not seconds"));
    }
    let at = Timestamp::from_millis(millis);
    if at > now.plus(Duration::from_secs(600)) {
        return refuse(format!("{name} lies ahead"));
    }
    if !historical && now.since(at) > Duration::from_secs(age_max) {
        return refuse(format!("{name} is older than {} h", age_max / HOUR));
    }
    Ok(Some(millis))
}
