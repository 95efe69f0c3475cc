//! `fetch`: a webhook that does not show its messages is followed by a GET of
//! the conversation, retried and dead-lettered like any copy.

use std::sync::Arc;

use ::http::{HeaderMap, HeaderValue, Method, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use url::Url;

use super::snapshot;
use crate::clock::Timestamp;
use crate::decode::Fields;
use crate::payload::DEPTH_MAX;
use crate::secret::Secret;
use crate::settle::{Outcome, Reason};
use crate::transform::{Outgoing, Unsendable};
use crate::vendor::dialogue::{Account, Ask, Dialogue, Heard, Known, Learned, Step};
use crate::vendor::lookup::{Backfill, Past, Walk};
use crate::vendor::{Call, DestinationEntry, Writer, reading};

pub(super) const ENTRY: DestinationEntry = DestinationEntry {
    configure,
    chat: false,
    actions: &["message"],
    rate: None,
    guards: &[],
};

/// The one request there is.
const GET: &str = "conversation";

/// Where conversations are asked for.
#[derive(Debug)]
struct Conversations {
    base_url: Url,
    /// The whole value of `Authorization`.
    authorization: HeaderValue,
    redact: Vec<Secret>,
}

fn configure(fields: &mut Fields<'_, '_>) -> Arc<dyn Writer> {
    const WHY: &str = "the tenant's own host: \"https://<site>.goquiq.com\"";
    let written = fields.required_text("base_url", WHY);
    let base_url = written.and_then(|at| match Url::parse(&at.value) {
        Ok(url) if url.has_host() && matches!(url.scheme(), "http" | "https") => Some(url),
        _ => {
            let message = format!("`{}` is no URL of a host", fields.name("base_url"));
            fields.error(at.span, message, Some(WHY.to_owned()));
            None
        }
    });
    let key = fields.secret("api_key").map(|at| at.value);
    let app_id = fields.text("app_id").map(|at| at.value);
    let app_secret = fields.secret("app_secret").map(|at| at.value);
    let missing = "says not who asks";
    let help = "api_key = { env = \"…\" } (sent as a bearer), or app_id = \"…\" and app_secret = { env = \"…\" } (HTTP Basic)";
    let (text, redact) = match (key, app_id, app_secret) {
        (Some(key), None, None) => {
            let text = format!("Bearer {}", key.expose_text().unwrap_or_default());
            (text, vec![key])
        }
        (None, Some(id), Some(secret)) => {
            let pair = format!("{id}:{}", secret.expose_text().unwrap_or_default());
            let encoded = STANDARD.encode(pair);
            let text = format!("Basic {encoded}");
            (text, vec![secret, Secret::new(encoded.as_str())])
        }
        _ => {
            // A secret that could not be read has been complained about.
            if !(fields.has("api_key") ^ fields.has("app_secret"))
                || fields.has("app_secret") != fields.has("app_id")
            {
                fields.error(fields.span.clone(), missing, Some(help.to_owned()));
            }
            (String::new(), Vec::new())
        }
    };
    let mut authorization = HeaderValue::from_str(&text).unwrap_or_else(|_| {
        let message = "the key holds characters that no header may have";
        fields.error(fields.span.clone(), message, None);
        HeaderValue::from_static("")
    });
    authorization.set_sensitive(true);
    Arc::new(Conversations {
        base_url: base_url.unwrap_or_else(nowhere),
        authorization,
        redact,
    })
}

/// A wrong `base_url` has been complained about; nothing is ever sent there.
fn nowhere() -> Url {
    #[expect(clippy::expect_used, reason = "the text is right")]
    Url::parse("http://invalid").expect("a URL")
}

impl Conversations {
    /// `GET /api/v1/messaging/conversations/{id}` (the seed documents it).
    fn get(&self, id: &str) -> Result<Outgoing, Unsendable> {
        let mut url = self.base_url.clone();
        let dead = |detail: &str| Unsendable::Dead {
            reason: Reason::Unsendable,
            detail: detail.to_owned(),
        };
        if matches!(id, "" | "." | "..") {
            return Err(dead("the conversation's id is none that can be asked for"));
        }
        url.path_segments_mut()
            .map_err(|()| dead("`base_url` cannot hold a path"))?
            .pop_if_empty()
            .extend(["api", "v1", "messaging", "conversations", id]);
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, self.authorization.clone());
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        Ok(Outgoing {
            method: Method::GET,
            url,
            headers,
            body: Bytes::new(),
            sign: None,
            redact: self.redact.clone(),
            late: false,
        })
    }
}

impl Dialogue for Conversations {
    fn next(&self, call: &Call<'_>, _: &Known) -> Result<Step, Unsendable> {
        let id = call
            .event
            .key
            .as_ref()
            .and_then(|key| key.as_str().split_once('/'));
        let (_, id) = id.ok_or_else(|| Unsendable::Dead {
            reason: Reason::Unsendable,
            detail: "the event names no conversation".to_owned(),
        })?;
        Ok(Step::Ask(Box::new(Ask {
            step: GET,
            request: self.get(id)?,
            before: Vec::new(),
            alone: None,
        })))
    }

    fn hear(&self, _: &Call<'_>, _: &Known, _: &Ask, heard: &Heard<'_>) -> Learned {
        if heard.status != 200 {
            return Learned::end(heard.outcome.clone());
        }
        let read = reading::parse(heard.body, DEPTH_MAX)
            .and_then(|payload| snapshot::messages(payload.value()));
        match read {
            Ok(events) => Learned {
                events,
                ..Learned::end(heard.outcome.clone())
            },
            // A 200 with something else in it: perhaps the next one is right.
            Err(_unreadable) => Learned::end(Outcome::Broken),
        }
    }
}

impl Writer for Conversations {
    fn write(&self, call: &Call<'_>) -> Result<Outgoing, Unsendable> {
        match self.next(call, &Known::default())? {
            Step::Ask(ask) => Ok(ask.request),
            Step::Done => Err(Unsendable::Skip { rule: "done" }),
        }
    }

    fn dialogue(&self) -> Option<&dyn Dialogue> {
        Some(self)
    }

    fn account(&self) -> Option<Account> {
        let key = self.redact.first()?;
        Some(Account::of(&self.shown_target(), key))
    }

    fn backfill(&self) -> Option<&dyn Backfill> {
        Some(self)
    }

    fn shown_target(&self) -> String {
        self.base_url.origin().ascii_serialization()
    }
}

impl Backfill for Conversations {
    fn walk(
        &self,
        conversation: &str,
        _since: Option<Timestamp>,
        _from: Option<&str>,
        _pages_max: u32,
    ) -> Result<Box<dyn Walk>, String> {
        let request = self
            .get(conversation)
            .map_err(|unsendable| match unsendable {
                Unsendable::Dead { detail, .. } | Unsendable::Wait { detail, .. } => detail,
                Unsendable::Skip { rule } => rule.to_owned(),
            })?;
        Ok(Box::new(Whole {
            request,
            shown: None,
        }))
    }
}

/// A conversation is one page, and shows all its messages.
#[derive(Debug)]
struct Whole {
    request: Outgoing,
    shown: Option<Bytes>,
}

impl Walk for Whole {
    fn request(&self) -> Outgoing {
        self.request.clone()
    }

    fn take(&mut self, body: &[u8]) -> Result<bool, String> {
        let payload = reading::parse(body, DEPTH_MAX).map_err(|error| error.to_string())?;
        snapshot::messages(payload.value()).map_err(|error| error.to_string())?;
        let webhook = serde_json::json!({"eventType": BACKFILL, "data": payload.value()});
        self.shown = Some(Bytes::from(webhook.to_string()));
        Ok(false)
    }

    fn end(self: Box<Self>) -> Past {
        Past {
            webhooks: self.shown.into_iter().collect(),
            ..Past::default()
        }
    }
}

/// The type of the snapshot that a backfill makes.
const BACKFILL: &str = "ConversationStatusChanged";
