//! Dimension Labs, and Dashbot as it was called before: one tracking API on
//! two hosts, told apart by their limits on old messages.
//!
//! `userId` is the customer for both directions (Dimension documents that it is
//! never the bot's), and the API key stands in the URL, so that it is masked
//! wherever a request is shown.

mod body;
mod check;

use std::sync::Arc;
use std::time::Duration;

use ::http::{HeaderMap, HeaderValue, Method, header};
use bytes::Bytes;
use serde_json::Value as Json;
use url::Url;

use super::asking::{self, Missing};
use super::{Call, DestinationEntry, Vendor, Writer};
use crate::clock::Timestamp;
use crate::decode::Fields;
use crate::decode::keys::{Key, Shape};
use crate::event::Direction;
use crate::secret::Secret;
use crate::settle::Reason;
use crate::transform::{Outgoing, Unsendable};

pub use check::{Received, Refused, Request, check_request};

pub static DIMENSION: Vendor = Vendor {
    kind: "dimension",
    source: None,
    destination: Some(DestinationEntry {
        configure: |fields| configure(fields, Host::Dimension),
        keys: DIMENSION_KEYS,
        chat: true,
        talks: false,
        actions: &["message", "event"],
        rate: None,
        guards: &[],
    }),
};

pub static DASHBOT: Vendor = Vendor {
    kind: "dashbot",
    source: None,
    destination: Some(DestinationEntry {
        configure: |fields| configure(fields, Host::Dashbot),
        keys: DASHBOT_KEYS,
        chat: true,
        talks: false,
        actions: &["message", "event"],
        rate: None,
        guards: &[],
    }),
};

/// Which of the two it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host {
    Dimension,
    Dashbot,
}

impl Host {
    const fn base_url(self) -> &'static str {
        match self {
            Self::Dimension => "https://tracker.dimensionlabs.io",
            Self::Dashbot => "https://tracker.dashbot.io",
        }
    }

    /// How old a message `/track` may be: 24 h (Dimension documents it), 1 h
    /// (Dashbot documents it).
    const fn age_max(self) -> Duration {
        match self {
            Self::Dimension => Duration::from_secs(24 * 3600),
            Self::Dashbot => Duration::from_secs(3600),
        }
    }

    const fn timestamp_field(self) -> &'static str {
        match self {
            Self::Dimension => "dimensionlabs_timestamp",
            Self::Dashbot => "dashbot_timestamp",
        }
    }
}

/// A request that starts just within the limit would arrive beyond it.
const AGE_MARGIN: Duration = Duration::from_secs(60);

/// How far a sender's clock may be ahead before its time is not believed.
const AHEAD_MAX: Duration = Duration::from_secs(300);

/// What to do with a message that is too old for `/track`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenLate {
    /// `POST /trackhistorical`, with its time.
    History,
    DeadLetter,
    /// `/track` without a time: it is then counted as of now.
    Now,
}

/// A configured destination.
#[derive(Debug)]
pub struct Track {
    pub host: Host,
    pub base_url: Url,
    pub api_key: Secret,
    pub platform: String,
    /// The query's `v`: advisory.
    pub version: String,
    pub when_late: WhenLate,
    pub unknown_user: Missing,
    pub system_events: bool,
}

/// The names the API takes for `platform` (its own client library's list).
pub const PLATFORMS: &[&str] = &[
    "universal",
    "generic",
    "webchat",
    "botcopy",
    "twitter",
    "recast",
    "skype",
    "viber",
    "wechat",
    "facebook",
    "slack",
    "kik",
    "line",
    "google",
    "alexa",
    "microsoft",
    "sms",
];

impl Track {
    /// With the defaults of this host.
    pub fn new(host: Host, api_key: Secret) -> Option<Self> {
        Some(Self {
            host,
            base_url: Url::parse(host.base_url()).ok()?,
            api_key,
            platform: "universal".to_owned(),
            version: "11.1.0-rest".to_owned(),
            when_late: match host {
                Host::Dimension => WhenLate::History,
                Host::Dashbot => WhenLate::DeadLetter,
            },
            unknown_user: Missing::DeadLetter,
            system_events: false,
        })
    }
}

/// A destination whose table was wrong; its complaints stop the configuration.
#[derive(Debug)]
struct Unconfigured;

impl Writer for Unconfigured {
    fn write(&self, _call: &Call<'_>) -> Result<Outgoing, Unsendable> {
        Err(Unsendable::Dead {
            reason: Reason::Unsendable,
            detail: "the destination is not configured".to_owned(),
        })
    }

    fn shown_target(&self) -> String {
        String::new()
    }
}

const API_KEY: Key = Key::new(
    "api_key",
    Shape::Secret,
    "One key per integration, from the vendor's settings.",
)
.required();
const PLATFORM: Key = Key::new(
    "platform",
    Shape::Word(PLATFORMS),
    "What the messages come from, in the API's word.",
)
.or("\"universal\"");
const VERSION: Key =
    Key::new("v", Shape::Text, "The query's `v`, which is advisory.").or("\"11.1.0-rest\"");
const LATE: &str = "A message /track would refuse as too old: post it as history, keep it for you, or send it with a wrong time.";

const DIMENSION_KEYS: &[Key] = &[
    API_KEY,
    asking::base_url_key("\"https://tracker.dimensionlabs.io\""),
    PLATFORM,
    VERSION,
    Key::new(
        "when_late",
        Shape::Word(&["history", "dead_letter", "now"]),
        LATE,
    )
    .or("\"history\""),
    asking::UNKNOWN_USER,
    asking::SYSTEM_EVENTS,
];

const DASHBOT_KEYS: &[Key] = &[
    API_KEY,
    asking::base_url_key("\"https://tracker.dashbot.io\""),
    PLATFORM,
    VERSION,
    Key::new("when_late", Shape::Word(&["dead_letter", "now"]), LATE).or("\"dead_letter\""),
    asking::UNKNOWN_USER,
    asking::SYSTEM_EVENTS,
];

fn configure(fields: &mut Fields<'_, '_>, host: Host) -> Arc<dyn Writer> {
    let key = fields.secret("api_key");
    if let Some(key) = &key
        && key
            .value
            .expose_text()
            .is_none_or(|text| text.trim().is_empty())
    {
        let help = "copy it again from the vendor's settings".to_owned();
        fields.error(
            key.span.clone(),
            "the api_key is blank or no text",
            Some(help),
        );
    }
    if key.is_none() && !fields.has("api_key") {
        let help =
            "api_key = { env = \"…\" }: one key per integration, from the vendor's settings page"
                .to_owned();
        fields.error(
            fields.span.clone(),
            format!("`{}` needs an api_key", fields.path),
            Some(help),
        );
    }
    let Some(mut track) = Track::new(host, key.map_or_else(|| Secret::new(""), |key| key.value))
    else {
        return Arc::new(Unconfigured);
    };
    if let Some(url) = asking::base_url(fields, host.base_url()) {
        track.base_url = url;
    }
    let platforms: Vec<(&str, &str)> = PLATFORMS.iter().map(|name| (*name, *name)).collect();
    if let Some(platform) = fields.choice("platform", &platforms) {
        track.platform = platform.value.to_owned();
    }
    if let Some(version) = fields.text("v") {
        track.version = version.value;
    }
    // Nobody documents /trackhistorical for Dashbot's host.
    let policies: &[(&str, WhenLate)] = match host {
        Host::Dimension => &[
            ("history", WhenLate::History),
            ("dead_letter", WhenLate::DeadLetter),
            ("now", WhenLate::Now),
        ],
        Host::Dashbot => &[
            ("dead_letter", WhenLate::DeadLetter),
            ("now", WhenLate::Now),
        ],
    };
    if let Some(policy) = fields.choice("when_late", policies) {
        track.when_late = policy.value;
    }
    track.unknown_user = asking::unknown_user(fields);
    track.system_events = fields.flag("system_events", false);
    Arc::new(track)
}

/// When a message was said, and whether that is too long ago for `/track`.
#[derive(Clone, Copy, Debug)]
struct Moment {
    at: Timestamp,
    late: bool,
}

impl Writer for Track {
    fn write(&self, call: &Call<'_>) -> Result<Outgoing, Unsendable> {
        let moment = self.moment(call);
        let unsendable = |detail: &str| Unsendable::Dead {
            reason: Reason::Unsendable,
            detail: detail.to_owned(),
        };
        let as_event = match (&*call.action.name, call.message()) {
            ("event", _) => true,
            ("message", Some(message)) if message.direction == Direction::System => {
                if !self.system_events {
                    return Err(Unsendable::Skip {
                        rule: "system_events",
                    });
                }
                true
            }
            ("message", Some(_)) => false,
            ("message", None) => {
                return Err(unsendable(
                    "this event is no chat message: let the route's `on` or `when` leave it out, send it elsewhere, \
                     or give the route action = \"event\"",
                ));
            }
            _ => {
                return Err(unsendable(
                    "there is no such action here; there are `message` and `event`",
                ));
            }
        };
        let user = self.user(call)?;
        if moment.late && self.when_late == WhenLate::DeadLetter {
            let hours = self.host.age_max().as_secs() / 3600;
            let detail = format!(
                "said at {}, and {} takes nothing older than {hours} h; when_late = \"now\" would send it with a wrong time",
                moment.at,
                self.shown_target()
            );
            return Err(Unsendable::Dead {
                reason: Reason::Late,
                detail,
            });
        }
        let (kind, body) = match (call.message(), as_event) {
            (Some(message), false) => {
                let kind = if message.direction == Direction::Outgoing {
                    "outgoing"
                } else {
                    "incoming"
                };
                (kind, body::message(self, call, message, user, moment))
            }
            _ => ("event", body::event(self, call, user, moment)?),
        };
        Ok(self.request(kind, &body, moment))
    }

    fn shown_target(&self) -> String {
        self.base_url.as_str().trim_end_matches('/').to_owned()
    }
}

impl Track {
    /// The platform's time where it gives one that can be; else when the event
    /// was accepted.
    fn moment(&self, call: &Call<'_>) -> Moment {
        let said = call.message().and_then(|message| message.sent_at);
        let believable = said.filter(|at| *at <= call.now.plus(AHEAD_MAX));
        let at = believable.unwrap_or(call.event.accepted_at);
        Moment {
            at,
            late: call.now.since(at) > self.host.age_max().saturating_sub(AGE_MARGIN),
        }
    }

    /// The customer, whoever speaks.
    fn user<'c>(&self, call: &Call<'c>) -> Result<&'c str, Unsendable> {
        let in_message = || {
            call.message()
                .and_then(|message| message.user.as_ref()?.id.as_deref())
        };
        let known = call
            .customer
            .or(call.event.user.as_deref())
            .or_else(in_message);
        if let Some(user) = known.filter(|user| !user.trim().is_empty()) {
            return Ok(user);
        }
        let detail = "the customer of this conversation is not known yet, and userId must be the customer's: it becomes known \
                      with the customer's first message; unknown_user = { wait = \"10m\" } waits for that, and \
                      `hookfan dead retry` sends this one again"
            .to_owned();
        let reason = Reason::UnknownUser;
        Err(self.unknown_user.unsendable(reason, detail))
    }

    fn request(&self, kind: &str, body: &Json, moment: Moment) -> Outgoing {
        let historical = moment.late && self.when_late == WhenLate::History;
        let mut url = self.base_url.clone();
        let path = format!(
            "{}{}",
            url.path().trim_end_matches('/'),
            if historical {
                "/trackhistorical"
            } else {
                "/track"
            }
        );
        url.set_path(&path);
        url.query_pairs_mut()
            .append_pair("platform", &self.platform)
            .append_pair("v", &self.version)
            .append_pair("type", kind)
            .append_pair("apiKey", self.api_key.expose_text().unwrap_or_default());
        let mut headers = HeaderMap::new();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        Outgoing {
            method: Method::POST,
            url,
            headers,
            body: Bytes::from(body.to_string()),
            sign: None,
            redact: vec![self.api_key.clone()],
            late: moment.late,
        }
    }
}
