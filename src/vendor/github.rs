//! GitHub: the type in `X-GitHub-Event`, the id in `X-GitHub-Delivery`; the
//! body is JSON, or (as the hook's settings may say) a form with the JSON in
//! `payload`. Stored as received in both cases.

use std::sync::Arc;

use super::{Reader, Reading, SourceEntry, Unreadable, Vendor, Webhook, reading};
use crate::event::Inbound;

const TYPE: &str = "x-github-event";
const ID: &str = "x-github-delivery";

pub static VENDOR: Vendor = Vendor {
    kind: "github",
    source: Some(SourceEntry {
        configure: |_| Arc::new(GitHub),
        keys: &[],
        message: |_, _| None,
    }),
    destination: None,
};

/// Reads both content types a GitHub hook can have.
#[derive(Debug)]
pub struct GitHub;

impl Reader for GitHub {
    fn read(&self, inbound: &Inbound<'_>, depth_max: usize) -> Result<Webhook, Unreadable> {
        let event_type = reading::header(inbound, TYPE)
            .ok_or_else(|| Unreadable("no X-GitHub-Event header".to_owned()))?;
        let content_type = reading::header(inbound, "content-type");
        let payload = reading::json_in(content_type, inbound.body, depth_max)?;
        let vendor_id = reading::header(inbound, ID).map(Into::into);
        Ok(reading::event(Reading {
            vendor_id,
            ..reading::plain(event_type, payload, inbound)
        }))
    }

    fn headers(&self) -> Vec<String> {
        vec![TYPE.to_owned(), ID.to_owned(), "content-type".to_owned()]
    }
}
