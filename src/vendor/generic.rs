//! Any sender of JSON: where its type, id and key stand is configured.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::Value as Json;

use super::{Reader, Reading, SourceEntry, Unreadable, Vendor, Webhook, reading};
use crate::decode::Fields;
use crate::decode::keys::{Key, Shape};
use crate::event::Inbound;
use crate::payload::{self, Payload};

pub static VENDOR: Vendor = Vendor {
    kind: "generic",
    source: Some(SourceEntry {
        configure,
        keys: KEYS,
        message: |_, _| None,
    }),
    destination: None,
};

/// `{ header = "…" }` or `{ body = "dotted.path" }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// Lower case.
    Header(String),
    /// A dotted path; array elements by index.
    Body(String),
}

/// Reads any JSON value; of each list of selectors the first present counts.
#[derive(Clone, Debug, Default)]
pub struct Generic {
    pub event_type: Vec<Selector>,
    pub id: Vec<Selector>,
    pub key: Vec<Selector>,
}

const SELECTOR: &[Key] = &[
    Key::new("header", Shape::Text, "The value of this header.").such_as("\"X-Shop-Topic\""),
    Key::new(
        "body",
        Shape::Text,
        "What stands at this path in the body; elements of lists by number.",
    )
    .such_as("\"order.id\""),
];

const KEYS: &[Key] = &[
    Key::new(
        "type",
        Shape::Tables(SELECTOR),
        "The event's type: the first that is present; absent: \"unknown\".",
    ),
    Key::new(
        "id",
        Shape::Tables(SELECTOR),
        "What makes a resend a duplicate; absent: nothing is one.",
    ),
    Key::new(
        "key",
        Shape::Tables(SELECTOR),
        "What orders: events of one key go out one after another.",
    ),
];

fn configure(fields: &mut Fields<'_, '_>) -> Arc<dyn Reader> {
    Arc::new(Generic {
        event_type: selectors(fields, "type"),
        id: selectors(fields, "id"),
        key: selectors(fields, "key"),
    })
}

fn selectors(fields: &mut Fields<'_, '_>, key: &'static str) -> Vec<Selector> {
    let read = |fields: &mut Fields<'_, '_>| match (fields.text("header"), fields.text("body")) {
        (Some(header), None) => {
            if ::http::HeaderName::try_from(header.value.as_str()).is_err() {
                fields.error(
                    header.span,
                    format!("`{}` is not a header name", header.value),
                    Some("it has letters, digits and hyphens, such as \"X-Shop-Topic\"".to_owned()),
                );
            }
            Some(Selector::Header(header.value.to_ascii_lowercase()))
        }
        (None, Some(body)) => Some(Selector::Body(body.value)),
        _ => {
            let help = "write { header = \"X-Name\" } or { body = \"path.to.it\" }; a list of them for several".to_owned();
            let message = format!("`{}` must look in one place", fields.path);
            fields.error(fields.span.clone(), message, Some(help));
            None
        }
    };
    fields.tables(key, read).into_iter().flatten().collect()
}

impl Reader for Generic {
    fn read(&self, inbound: &Inbound<'_>, depth_max: usize) -> Result<Webhook, Unreadable> {
        let payload = reading::parse(inbound.body, depth_max)?;
        let select = |selectors: &[Selector]| {
            selectors
                .iter()
                .find_map(|selector| selector.find(inbound, &payload))
        };
        let event_type = select(&self.event_type).unwrap_or_else(|| reading::UNKNOWN.to_owned());
        let vendor_id = select(&self.id).map(Into::into);
        let key = select(&self.key);
        Ok(reading::event(Reading {
            vendor_id,
            key,
            ..reading::plain(event_type, payload, inbound)
        }))
    }

    fn headers(&self) -> Vec<String> {
        let all = [&self.event_type, &self.id, &self.key]
            .into_iter()
            .flatten();
        all.filter_map(|selector| match selector {
            Selector::Header(name) => Some(name.clone()),
            Selector::Body(_) => None,
        })
        .collect()
    }
}

impl Selector {
    /// A text, a number as it was written, or `true`/`false`. A number that
    /// JSON readers would round is as good as absent.
    fn find(&self, inbound: &Inbound<'_>, payload: &Payload) -> Option<String> {
        match self {
            Self::Header(name) => reading::header(inbound, name).map(str::to_owned),
            Self::Body(path) => match payload.find(path)? {
                Cow::Owned(Json::String(text)) => Some(text).filter(|text| !text.is_empty()),
                found => match &*found {
                    Json::Bool(flag) => Some(flag.to_string()),
                    value => payload::id_text(value),
                },
            },
        }
    }
}
