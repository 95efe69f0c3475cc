//! Slack's Events API: an envelope of type `event_callback` around the event
//! proper; `event_id` is the same for every resend; `url_verification` is a
//! test of the line that wants its challenge back.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value as Json;

use super::{Reader, Reading, SourceEntry, Unreadable, Vendor, Webhook, reading};
use crate::event::Inbound;

pub static VENDOR: Vendor = Vendor {
    kind: "slack",
    source: Some(SourceEntry {
        configure: |_| Arc::new(Slack),
        keys: &[],
        message: |_, _| None,
    }),
    destination: None,
};

/// Reads Slack's envelopes.
#[derive(Debug)]
pub struct Slack;

impl Reader for Slack {
    fn read(&self, inbound: &Inbound<'_>, depth_max: usize) -> Result<Webhook, Unreadable> {
        let payload = reading::parse(inbound.body, depth_max)?;
        let envelope = payload.value();
        let missing = |what: &str| Unreadable(format!("no `{what}`"));
        let outer = reading::text(envelope, "type").ok_or_else(|| missing("type"))?;
        if outer == "url_verification" {
            let challenge =
                reading::text(envelope, "challenge").ok_or_else(|| missing("challenge"))?;
            let body = Bytes::copy_from_slice(challenge.as_bytes());
            return Ok(Webhook::Probe {
                content_type: "text/plain",
                body,
            });
        }
        let event = envelope.get("event").unwrap_or(&Json::Null);
        let event_type = match outer {
            "event_callback" => {
                reading::text(event, "type").ok_or_else(|| missing("event.type"))?
            }
            other => other,
        };
        let event_type = event_type.to_owned();
        let vendor_id = reading::text(envelope, "event_id").map(Into::into);
        let key = channel(event).map(str::to_owned);
        Ok(reading::event(Reading {
            vendor_id,
            key,
            ..reading::plain(event_type, payload, inbound)
        }))
    }
}

/// The channel stands in the event itself, in what it is about, or as an object
/// (Slack documents all three, by event type).
fn channel(event: &Json) -> Option<&str> {
    reading::text(event, "channel")
        .or_else(|| reading::text(event.get("item")?, "channel"))
        .or_else(|| reading::text(event.get("channel")?, "id"))
}
