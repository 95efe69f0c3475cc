//! Standard Webhooks (standardwebhooks.com): the type in the body, the id in
//! the header `webhook-id`, which is the same for every resend.

use std::sync::Arc;

use super::{Reader, Reading, SourceEntry, Unreadable, Vendor, Webhook, reading};
use crate::event::Inbound;

pub static VENDOR: Vendor = Vendor {
    kind: "standard",
    source: Some(SourceEntry {
        configure: |_| Arc::new(Standard),
        keys: &[],
        message: |_, _| None,
    }),
    destination: None,
};

/// Reads `{"type": …}`.
#[derive(Debug)]
pub struct Standard;

impl Reader for Standard {
    fn read(&self, inbound: &Inbound<'_>, depth_max: usize) -> Result<Webhook, Unreadable> {
        let payload = reading::parse(inbound.body, depth_max)?;
        let event_type =
            reading::text_at(&payload, "type").unwrap_or_else(|| reading::UNKNOWN.to_owned());
        let vendor_id = reading::header(inbound, "webhook-id").map(Into::into);
        Ok(reading::event(Reading {
            vendor_id,
            ..reading::plain(event_type, payload, inbound)
        }))
    }

    fn headers(&self) -> Vec<String> {
        vec!["webhook-id".to_owned()]
    }
}
