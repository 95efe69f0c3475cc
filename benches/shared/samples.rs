//! What the benches work on: fixed inputs, so that two runs do the same.

#![allow(
    dead_code,
    clippy::expect_used,
    reason = "each bench takes its part; one that cannot start has nothing to measure"
)]

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hookfan::clock::{Clock, Timestamp};
use hookfan::config::{Config, load_text};
use hookfan::decode::Secrets;
use hookfan::event::{
    Action, DestinationName, Direction, Event, EventId, EventType, Inbound, Key, Kind, Owed,
    SourceName,
};
use hookfan::log::{Accepted, Log, Settings};
use hookfan::message::Message;
use hookfan::metrics::Metrics;
use hookfan::payload::{DEPTH_MAX, Payload};
use hookfan::route::{Route, RouteTable};
use hookfan::vendor::message_of;
use hookfan::verify::Auth;
use http::{HeaderMap, HeaderName, HeaderValue};

/// A chat message as Qiscus posts it, 1.6 KB.
pub(crate) const BODY: &[u8] =
    include_bytes!("../../tests/suite/fixtures/samples/qiscus/post_comment_mobile_text.json");

/// Milliseconds since 1970; nothing asks the machine.
pub(crate) const NOW: u64 = 1_790_000_000_000;

/// The sources and destinations that the parts of a way are taken from.
const FILE: &str = r#"
[server]
data_dir = "/var/lib/hookfan"

[source.shop]
kind = "generic"
auth = "none"
type = [{ header = "X-Topic" }, { body = "type" }]
key  = [{ body = "payload.conversation.id" }, { body = "payload.room.id" }]

[source.signed]
kind = "github"
auth = { scheme = "github", secret = { env = "NOBODY" } }

[destination.plain]
kind = "http"
url  = "https://warehouse.example/in/{{ event.source }}"

[destination.shaped]
kind    = "http"
url     = "https://warehouse.example/in"
headers = { X-Room = "{{ event.key }}" }
body    = { who = "{{ payload.payload.from.name }}", what = "{{ payload.payload.message.text }}", whole = "{{ payload }}" }

[destination.tracker]
kind    = "dimension"
api_key = { env = "NOBODY" }

[[route]]
from = ["shop", "signed"]
to   = ["plain", "shaped", "tracker"]
"#;

pub(crate) fn config() -> Config {
    load_text(FILE, Path::new("routes.toml"), Secrets::Offline).expect("a valid file")
}

/// Event `number` of a hundred conversations, with that body.
pub(crate) fn event(number: u64, body: Bytes) -> Event {
    let at = Timestamp::from_millis(NOW + number);
    Event {
        id: EventId::new(at, u128::from(number)),
        source: SourceName::from("qiscus"),
        kind: Kind::from("qiscus"),
        event_type: EventType::from("post_comment_mobile"),
        key: Some(Key::from(format!("qiscus/{}", number % 100))),
        vendor_id: None,
        direction: Some(Direction::Incoming),
        user: Some(Arc::from("ann@example.com")),
        accepted_at: at,
        hops: 0,
        headers: vec![(Arc::from("content-type"), Arc::from("application/json"))],
        body,
    }
}

pub(crate) fn sample() -> (Event, Payload) {
    let payload = Payload::parse(BODY, DEPTH_MAX).expect("a sample");
    (event(1, Bytes::from_static(BODY)), payload)
}

/// A chat message with a text of 10 KB, quotes and emoji in it.
pub(crate) fn long_message() -> (Event, Payload, Message) {
    let (event, payload) = sample();
    let mut message = message_of(&event, &payload).expect("the sample is a message");
    message.text = "Grüß \"Gott\", where is my order? 📦\n".repeat(270);
    (event, payload, message)
}

/// `count` routes of which one wants the event; a tenth have globs.
pub(crate) fn table(count: usize) -> RouteTable {
    let route = |number: usize| Route {
        name: format!("route {number}").into(),
        from: vec![SourceName::from("qiscus")],
        on: vec![match (number, number % 10) {
            (0, _) => "post_comment_mobile".to_owned(),
            (_, 0) => format!("other_{number}_*"),
            _ => format!("other_{number}"),
        }],
        when: None,
        to: vec![DestinationName::from("crm")],
        action: Action::message(),
        written: None,
    };
    RouteTable::new((0..count).map(route).collect())
}

/// An event that owes one copy.
pub(crate) fn accepted(number: u64) -> Accepted {
    Accepted {
        event: event(number, Bytes::from_static(BODY)),
        owed: vec![Owed {
            destination: DestinationName::from("crm"),
            action: Action::message(),
        }],
    }
}

/// A log in an empty folder. Needs a tokio runtime around it.
pub(crate) fn open(folder: &Path) -> Log {
    let settings = Settings {
        data_dir: folder.join("data"),
        // Nothing is kept for long, or a bench would fill the disk.
        retain: Duration::ZERO,
        retain_dead: Duration::ZERO,
        dead_letters_max: 1_000_000,
        max_disk: 2 << 30,
        min_free: 0,
        dedupe: Duration::ZERO,
        segment_bytes: 64 << 20,
    };
    let (log, _) = Log::open(settings, Clock::system(), Arc::new(Metrics::new()))
        .expect("a folder of its own");
    log
}

/// A request with these headers and this body.
pub(crate) fn inbound<'a>(headers: &'a HeaderMap, body: &'a Bytes) -> Inbound<'a> {
    Inbound {
        tail: None,
        query: None,
        headers,
        body,
        peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
    }
}

/// What a sender would prove itself with.
pub(crate) fn proof(auth: &Auth, body: &Bytes, now: Timestamp) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in auth.prove("1", body, now).headers {
        let name = HeaderName::try_from(name).expect("a header");
        headers.insert(name, HeaderValue::try_from(value).expect("a header"));
    }
    headers
}
