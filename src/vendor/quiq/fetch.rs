//! Asking Quiq for a conversation: `GET /api/v1/messaging/conversations/{id}`.
//! What it answers is read as a snapshot's messages are.
//!
//! The seed documents the host `api.goquiq.com` and a bearer key; the vendor's
//! own code uses the tenant's host and HTTP Basic. Both are taken.

use std::sync::Arc;

use ::http::{HeaderMap, HeaderValue, Method, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use url::Url;

use super::read::Transcript;
use crate::clock::Timestamp;
use crate::decode::Fields;
use crate::decode::keys::{Key, Shape};
use crate::payload::{DEPTH_MAX, Payload, id_text};
use crate::secret::Secret;
use crate::settle::{Outcome, Reason};
use crate::transform::{Outgoing, Unsendable};
use crate::vendor::dialogue::{Ask, Dialogue, Heard, Known, Learned, Step};
use crate::vendor::lookup::{Backfill, Past, Walk};
use crate::vendor::{Call, Fetch, Reading, Unreadable, Writer, asking};

/// What the seed asks.
const BASE_URL: &str = "https://api.goquiq.com";

/// A transcript may be as large as a webhook may be made.
const ANSWER_BYTES_MAX: usize = 25 << 20;

/// Only conversations can be asked for, and what is read out of them owes no
/// further question.
const MISSING: &str =
    "event.type != 'ConversationMessage' and payload.data.messages | default(none) is not sequence";
const ALWAYS: &str = "event.type != 'ConversationMessage'";

/// Quiq's API, as one source's account sees it.
#[derive(Debug)]
pub struct Api {
    pub base_url: Url,
    pub proof: Proof,
}

/// How we prove who asks.
#[derive(Debug)]
pub enum Proof {
    Bearer(Secret),
    Basic { app_id: String, app_secret: Secret },
}

/// When.
pub(super) const FETCH: Key = Key::new(
    "fetch",
    Shape::Word(&["never", "missing", "always"]),
    "When Quiq is asked for the conversation: never, when a webhook shows no messages, or always.",
)
.or("\"never\"");

/// Whom.
pub(super) const FETCH_FROM: Key = Key::new(
    "fetch_from",
    Shape::Table(&[
        asking::base_url_key("\"https://api.goquiq.com\""),
        Key::new("api_key", Shape::Secret, "A bearer key."),
        Key::new(
            "app_id",
            Shape::Text,
            "HTTP Basic: the app's id, with app_secret.",
        ),
        Key::new("app_secret", Shape::Secret, "HTTP Basic: its secret."),
        Key::new(
            "allow_private",
            Shape::Flag,
            "Loopback, private and unique-local addresses.",
        )
        .or("false"),
        Key::new("allow_link_local", Shape::Flag, "Link-local addresses.").or("false"),
        Key::new(
            "ca",
            Shape::Text,
            "Further certificate authorities to trust, a PEM file.",
        )
        .such_as("\"private-ca.pem\""),
    ]),
    "Where Quiq is asked, and with which key.",
);

/// `fetch` and `fetch_from`.
pub(super) fn configure(fields: &mut Fields<'_, '_>) -> Option<Fetch> {
    let choices = [
        ("never", None),
        ("missing", Some(MISSING)),
        ("always", Some(ALWAYS)),
    ];
    let when = fields.choice("fetch", &choices);
    let place = fields.key_span("fetch_from");
    let from = fields.table("fetch_from", from).flatten();
    match (when, place) {
        (Some(when), None) if when.value.is_some() => {
            let message = format!("`{}` is missing", fields.name("fetch_from"));
            fields.error(when.span, message, Some(FROM.to_owned()));
            None
        }
        (when, Some(place)) if when.as_ref().is_none_or(|at| at.value.is_none()) => {
            if when.is_some() || !fields.has("fetch") {
                let message = format!(
                    "`{}` is not used: `fetch` is \"never\"",
                    fields.name("fetch_from")
                );
                let help = "write fetch = \"missing\", or fetch = \"always\"";
                fields.warning(place, message, Some(help.to_owned()));
            }
            None
        }
        (when, _) => Some(Fetch {
            when: when?.value?,
            ..from?
        }),
    }
}

const FROM: &str = "whom to ask: fetch_from = { base_url = \"https://{site}.goquiq.com\", api_key = { env = \"…\" } }, or app_id and app_secret in place of api_key";

fn from(fields: &mut Fields<'_, '_>) -> Option<Fetch> {
    let proof = proof(fields);
    let base_url = base_url(fields);
    let allow_private = fields.flag("allow_private", false);
    let allow_link_local = fields.flag("allow_link_local", false);
    let ca = fields.text("ca");
    Some(Fetch {
        writer: Arc::new(Api {
            base_url: base_url?,
            proof: proof?,
        }),
        on: "Conversation*",
        when: ALWAYS,
        allow_private,
        allow_link_local,
        ca,
        span: fields.span.clone(),
    })
}

/// One of the two, whole.
fn proof(fields: &mut Fields<'_, '_>) -> Option<Proof> {
    let has = ["api_key", "app_id", "app_secret"].map(|key| fields.has(key));
    let api_key = visible(fields, "api_key");
    let app_id = fields.text("app_id");
    let app_secret = visible(fields, "app_secret");
    let place = fields.span.clone();
    match has {
        [true, false, false] => api_key.map(Proof::Bearer),
        [false, true, true] => {
            let app_id = app_id?;
            let fit = |byte: u8| byte.is_ascii_graphic() && byte != b':';
            if app_id.value.is_empty() || !app_id.value.bytes().all(fit) {
                let message = format!(
                    "`{}` must be visible ASCII without a colon",
                    fields.name("app_id")
                );
                let help = "copy it again from Quiq's settings".to_owned();
                fields.error(app_id.span, message, Some(help));
                return None;
            }
            Some(Proof::Basic {
                app_id: app_id.value,
                app_secret: app_secret?,
            })
        }
        [false, false, false] => {
            let message = format!("`{}` does not say how we prove who asks", fields.path);
            let help = "write api_key = { env = \"…\" }, or app_id = \"…\" and app_secret = { env = \"…\" }";
            fields.error(place, message, Some(help.to_owned()));
            None
        }
        [true, _, _] => {
            let message = format!("`{}` proves who asks in two ways", fields.path);
            let help =
                "write api_key (a bearer key), or app_id and app_secret (HTTP Basic), not both";
            fields.error(place, message, Some(help.to_owned()));
            None
        }
        [false, true, false] => {
            fields.missing(
                "app_secret",
                "it goes with app_id: app_secret = { env = \"…\" }",
            );
            None
        }
        [false, false, true] => {
            fields.missing("app_id", "it goes with app_secret: app_id = \"…\"");
            None
        }
    }
}

/// A secret that can stand in a header.
fn visible(fields: &mut Fields<'_, '_>, key: &'static str) -> Option<Secret> {
    let secret = fields.secret(key)?;
    let bytes = secret.value.expose();
    if bytes.is_empty() || !bytes.iter().all(u8::is_ascii_graphic) {
        let message = format!(
            "the secret of `{}` is empty, or holds other characters than visible ASCII",
            fields.name(key)
        );
        fields.error(
            secret.span,
            message,
            Some("perhaps a line break at the end of its file".to_owned()),
        );
        return None;
    }
    Some(secret.value)
}

fn base_url(fields: &mut Fields<'_, '_>) -> Option<Url> {
    if fields.has("base_url") {
        return asking::base_url(fields, BASE_URL);
    }
    // App ids belong to a tenant: only its own host knows them.
    if fields.has("app_id") && !fields.has("api_key") {
        let help = "the tenant's own address: base_url = \"https://{site}.goquiq.com\"";
        fields.missing("base_url", help);
        return None;
    }
    Url::parse(BASE_URL).ok()
}

impl Api {
    fn request(&self, id: &str) -> Result<Outgoing, Unsendable> {
        let unsendable = |detail: &str| Unsendable::Dead {
            reason: Reason::Unsendable,
            detail: detail.to_owned(),
        };
        // A dot segment would ask for something else.
        if matches!(id, "" | "." | "..") {
            return Err(unsendable(
                "the event's conversation id is none that can be asked for",
            ));
        }
        let mut url = self.base_url.clone();
        url.path_segments_mut()
            .map_err(|()| unsendable("the base_url takes no path"))?
            .pop_if_empty()
            .extend(["api", "v1", "messaging", "conversations", id]);
        let (proof, secret) = match &self.proof {
            Proof::Bearer(key) => ([b"Bearer ", key.expose()].concat(), key),
            Proof::Basic { app_id, app_secret } => {
                let pair = [app_id.as_bytes(), b":", app_secret.expose()].concat();
                (
                    format!("Basic {}", STANDARD.encode(pair)).into_bytes(),
                    app_secret,
                )
            }
        };
        let mut proof = HeaderValue::from_bytes(&proof)
            .map_err(|_| unsendable("the key cannot stand in a header"))?;
        proof.set_sensitive(true);
        let mut headers = HeaderMap::with_capacity(2);
        headers.insert(header::AUTHORIZATION, proof);
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        Ok(Outgoing {
            method: Method::GET,
            url,
            headers,
            body: Bytes::new(),
            sign: None,
            redact: vec![secret.clone()],
            late: false,
        })
    }

    /// The messages of an answer about the event's conversation.
    fn read(call: &Call<'_>, body: &[u8]) -> Result<Vec<Reading>, Unreadable> {
        let unreadable = |what: &str| Unreadable(what.to_owned());
        let payload =
            Payload::parse(body, DEPTH_MAX).map_err(|error| Unreadable(error.to_string()))?;
        let answer = payload.value();
        if answer.get("id").and_then(id_text) != conversation_of(call) {
            return Err(unreadable("it is about another conversation"));
        }
        if !answer
            .get("messages")
            .is_some_and(serde_json::Value::is_array)
        {
            return Err(unreadable("it has no messages"));
        }
        let transcript = Transcript::of(answer, call.customer);
        transcript
            .ok_or_else(|| unreadable("it has no id"))?
            .readings()
    }
}

fn conversation_of(call: &Call<'_>) -> Option<String> {
    call.payload().at("data.id").and_then(id_text)
}

impl Writer for Api {
    /// What `explain` shows; the dialogue asks the same.
    fn write(&self, call: &Call<'_>) -> Result<Outgoing, Unsendable> {
        self.request(&conversation_of(call).unwrap_or_default())
    }

    fn dialogue(&self) -> Option<&dyn Dialogue> {
        Some(self)
    }

    fn answer_bytes_max(&self) -> usize {
        ANSWER_BYTES_MAX
    }

    fn backfill(&self) -> Option<&dyn Backfill> {
        Some(self)
    }

    fn shown_target(&self) -> String {
        self.base_url.as_str().trim_end_matches('/').to_owned()
    }
}

impl Dialogue for Api {
    fn next(&self, call: &Call<'_>, _known: &Known) -> Result<Step, Unsendable> {
        Ok(Step::Ask(Box::new(Ask {
            step: "conversation",
            request: self.write(call)?,
            before: Vec::new(),
            alone: None,
        })))
    }

    /// What cannot be read (a proxy's page, half a body) may be better next
    /// time; any other status is judged as everywhere: 404 is refused for good.
    fn hear(&self, call: &Call<'_>, _known: &Known, _asked: &Ask, heard: &Heard<'_>) -> Learned {
        if !(200..=299).contains(&heard.status) {
            return Learned::end(heard.outcome.clone());
        }
        match Self::read(call, heard.body) {
            Ok(events) => Learned {
                events,
                ..Learned::end(heard.outcome.clone())
            },
            Err(_unreadable) => Learned::end(Outcome::Broken),
        }
    }
}

impl Backfill for Api {
    fn walk(
        &self,
        conversation: &str,
        _since: Option<Timestamp>,
        _from: Option<&str>,
        _pages_max: u32,
    ) -> Result<Box<dyn Walk>, String> {
        let request = self.request(conversation);
        let request = request.map_err(|_| "that is no conversation's id")?;
        Ok(Box::new(Whole {
            request,
            webhook: None,
        }))
    }
}

/// A conversation is one page that shows all its messages.
#[derive(Debug)]
struct Whole {
    request: Outgoing,
    webhook: Option<Bytes>,
}

impl Walk for Whole {
    fn request(&self) -> Outgoing {
        self.request.clone()
    }

    fn take(&mut self, body: &[u8]) -> Result<bool, String> {
        let payload = Payload::parse(body, DEPTH_MAX).map_err(|error| error.to_string())?;
        if payload.at("messages").is_none() {
            return Err("the answer has no messages".to_owned());
        }
        // The same snapshot is the same event, however often it is fetched.
        let id = format!("backfill-{}", hex::encode(Sha256::digest(body)));
        let webhook = serde_json::json!({"id": id, "eventType": SHOWN, "data": payload.value()});
        self.webhook = Some(Bytes::from(webhook.to_string()));
        Ok(false)
    }

    fn end(self: Box<Self>) -> Past {
        Past {
            webhooks: self.webhook.into_iter().collect(),
            ..Past::default()
        }
    }
}

/// The type of the snapshot that a backfill makes.
const SHOWN: &str = "ConversationStatusChanged";
