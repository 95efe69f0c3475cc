//! Stripe: the type and the id in the body (`"type": "invoice.paid"`,
//! `"id": "evt_…"`); a resend has the same id.

use std::sync::Arc;

use super::{Reader, Reading, SourceEntry, Unreadable, Vendor, Webhook, reading};
use crate::event::Inbound;

pub static VENDOR: Vendor = Vendor {
    kind: "stripe",
    source: Some(SourceEntry {
        configure: |_| Arc::new(Stripe),
        keys: &[],
        message: |_, _| None,
    }),
    destination: None,
};

/// Reads Stripe's event objects.
#[derive(Debug)]
pub struct Stripe;

impl Reader for Stripe {
    fn read(&self, inbound: &Inbound<'_>, depth_max: usize) -> Result<Webhook, Unreadable> {
        let payload = reading::parse(inbound.body, depth_max)?;
        let event_type =
            reading::text_at(&payload, "type").ok_or_else(|| Unreadable("no `type`".to_owned()))?;
        let vendor_id = reading::text_at(&payload, "id").map(Into::into);
        Ok(reading::event(Reading {
            vendor_id,
            ..reading::plain(event_type, payload, inbound)
        }))
    }
}
