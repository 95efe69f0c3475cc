//! What a configuration promises, seen from outside: with throw-away vendors,
//! so that no real one's keys matter here.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use crate::decode::Secrets;
use crate::deliver::{OnStuck, Order};
use crate::event::Inbound;
use crate::log::WhenFull;
use crate::settle::RetryPolicy;
use crate::transform::{Outgoing, Unsendable};
use crate::vendor::{Call, DestinationEntry, Reader, SourceEntry, Unreadable, Webhook, Writer};

use super::*;

mod complaints;
mod fetching;
mod never;
mod tls;
mod values;

#[derive(Debug)]
struct Throwaway;

impl Reader for Throwaway {
    fn read(&self, _inbound: &Inbound<'_>, _depth_max: usize) -> Result<Webhook, Unreadable> {
        Err(Unreadable("nothing is read here".into()))
    }
}

impl Writer for Throwaway {
    fn write(&self, _call: &Call<'_>) -> Result<Outgoing, Unsendable> {
        Err(Unsendable::Skip { rule: "throw-away" })
    }

    fn shown_target(&self) -> String {
        "nowhere".into()
    }
}

/// A chat source that takes `agents`.
static CHATTER: Vendor = Vendor {
    kind: "chatter",
    source: Some(SourceEntry {
        configure: |fields| {
            fields.texts("agents");
            Arc::new(Throwaway)
        },
        keys: &[],
        message: |_, _| None,
    }),
    destination: None,
};

/// A chat destination with a limit of its own.
static DESK: Vendor = Vendor {
    kind: "desk",
    source: None,
    destination: Some(DestinationEntry {
        configure: |fields| {
            fields.secret("api_key");
            fields.text("base_url");
            Arc::new(Throwaway)
        },
        keys: &[],
        chat: true,
        talks: false,
        actions: &["message", "close", "reopen"],
        rate: Some((10.0, 4)),
        guards: &["queue_open"],
    }),
};

/// No chat.
static POST: Vendor = Vendor {
    kind: "post",
    source: None,
    destination: Some(DestinationEntry {
        configure: |fields| {
            fields.required_text("url", "where to");
            Arc::new(Throwaway)
        },
        keys: &[],
        chat: false,
        talks: false,
        actions: &[],
        rate: None,
        guards: &[],
    }),
};

static THROWAWAYS: &[&Vendor] = &[&CHATTER, &DESK, &POST];

/// A source, two destinations and a route, none of them wrong.
const SOUND: &str = r#"
[source.chat]
kind = "chatter"
auth = "none"

[destination.desk]
kind = "desk"
api_key = { env = "DESK" }

[destination.hook]
kind = "post"
url = "https://hook.example"

[[route]]
to = ["desk", "hook"]
"#;

/// The warning that comes with [`SOUND`].
const ANYBODY: &str = "3:8 anybody may post to /hooks/chat";

fn offline(text: &str) -> Result<Config, Complaints> {
    assemble(
        text.to_owned(),
        Path::new("routes.toml"),
        Secrets::Offline,
        THROWAWAYS,
    )
}

fn in_folder(dir: &Path, secrets: Secrets) -> Result<Config, Complaints> {
    let path = dir.join("routes.toml");
    assemble(
        fs::read_to_string(&path).unwrap(),
        &path,
        secrets,
        THROWAWAYS,
    )
}

/// Every complaint as `line:column message`, in file order.
fn complaints_of(text: &str) -> Vec<String> {
    let complaints =
        offline(text).map_or_else(|complaints| complaints, |config| Complaints::from(&config));
    lines(&complaints)
}

fn lines(complaints: &Complaints) -> Vec<String> {
    let json = complaints.to_json();
    let list = json["complaints"].as_array().unwrap().clone();
    list.iter()
        .map(|one| {
            format!(
                "{}:{} {}",
                one["line"],
                one["column"],
                one["message"].as_str().unwrap()
            )
        })
        .collect()
}
