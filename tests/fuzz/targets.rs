//! What is done with bytes of anybody through what the crate makes public; the
//! two readers that it does not are `hookfan::log::strange` and
//! `hookfan::ingress::strange`. Used by the fuzzer and by the tests alike.

#![allow(
    clippy::indexing_slicing,
    clippy::expect_used,
    reason = "a panic is what is looked for"
)]

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use hookfan::clock::{Clock, Timestamp};
use hookfan::config::{Config, load_text};
use hookfan::decode::Secrets;
use hookfan::event::{Action, Event, EventId, EventType, Inbound, Key, Kind, SourceName};
use hookfan::log::{Log, Settings, inspect};
use hookfan::metrics::Metrics;
use hookfan::payload::{DEPTH_MAX, Payload};
use hookfan::vendor::{Call, Contents, Webhook, message_of};
use http::{HeaderMap, HeaderName, HeaderValue};

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

const FILE: &str = r#"
[source.qiscus]
kind = "qiscus"
auth = { scheme = "qiscus", secret = { env = "NOBODY" } }
[source.dixa]
kind = "dixa"
auth = { scheme = "dixa", secret = { env = "NOBODY" } }
[source.quiq]
kind = "quiq"
auth = { scheme = "quiq", secret = { env = "NOBODY" } }
[source.telegram]
kind = "telegram"
auth = { scheme = "token", header = "X-Telegram-Bot-Api-Secret-Token", secret = { env = "NOBODY" } }
[source.slack]
kind = "slack"
auth = { scheme = "slack", secret = { env = "NOBODY" } }
[source.stripe]
kind = "stripe"
auth = { scheme = "stripe", secret = { env = "NOBODY" } }
[source.github]
kind = "github"
auth = { scheme = "github", secret = { env = "NOBODY" } }
[source.standard]
kind = "standard"
auth = { scheme = "standard", secret = { env = "NOBODY" } }
[source.shop]
kind = "generic"
auth = { scheme = "hmac", header = "X-Sign", secret = { env = "NOBODY" }, encoding = "base64", signed = "{id}.{timestamp}.{body}", id = "X-Id", timestamp = "X-Time" }
type = [{ header = "X-Type" }, { body = "type" }]
key  = [{ body = "payload.room.id" }]
id   = [{ body = "id" }]
[source.path]
kind = "generic"
auth = { scheme = "token", path = true, secret = { env = "NOBODY" } }

[destination.values]
kind    = "http"
url     = "https://a.example:8443/in/{{ event.type }}/x/{{ event.key }}?a={{ payload.a }}&b={{ event.source }}"
headers = { X-Type = "{{ event.type }}", X-A = "{{ payload.a }}" }
body    = { whole = "{{ payload }}", text = "<{{ payload.a }}>", key = "{{ event.key }}" }
[destination.dimension]
kind = "dimension"
api_key = { env = "NOBODY" }
[[route]]
to = ["values", "dimension"]
"#;

fn config() -> &'static Config {
    static CONFIG: OnceLock<Config> = OnceLock::new();
    CONFIG.get_or_init(|| {
        load_text(FILE, Path::new("routes.toml"), Secrets::Offline).expect("a valid file")
    })
}

/// The sources, always in the same order.
fn sources() -> Vec<&'static str> {
    let mut names: Vec<_> = config().sources.keys().map(SourceName::as_str).collect();
    names.sort_unstable();
    names
}

/// A routing file of anybody: complaints or a configuration.
pub fn config_text(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    match load_text(&text, Path::new("/nowhere/routes.toml"), Secrets::Offline) {
        Ok(config) => assert!(config.hash.len() == 16),
        Err(complaints) => {
            assert!(complaints.has_errors());
            assert!(!complaints.draw(false).is_empty());
            assert!(complaints.to_json().is_object());
        }
    }
}

/// Proof headers of anybody, for each scheme: nobody is believed.
pub fn signature(input: &[u8]) {
    let names = [
        "qiscus-sdk-signature",
        "x-dixa-signature",
        "x-dixa-timestamp",
        "x-centricient-hook-token",
        "x-telegram-bot-api-secret-token",
        "x-slack-signature",
        "x-slack-request-timestamp",
        "stripe-signature",
        "x-hub-signature-256",
        "webhook-id",
        "webhook-timestamp",
        "webhook-signature",
        "x-sign",
        "x-id",
        "x-time",
        "authorization",
    ];
    let mut headers = HeaderMap::new();
    let mut lines = input.split(|byte| *byte == b'\n');
    let body = Bytes::copy_from_slice(lines.next().unwrap_or_default());
    for line in lines.take(32) {
        let Some((which, value)) = line.split_first() else {
            continue;
        };
        if let Ok(value) = HeaderValue::from_bytes(value) {
            let name = names[usize::from(*which) % names.len()];
            headers.append(HeaderName::from_static(name), value);
        }
    }
    let tail = std::str::from_utf8(&body).ok();
    let inbound = Inbound {
        tail,
        query: tail,
        headers: &headers,
        body: &body,
        peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
    };
    for source in config().sources.values() {
        let believed = source.auth.verify(&inbound, NOW);
        assert!(believed.is_err(), "{}: {headers:?}", source.name.as_str());
    }
}

/// A verified webhook of any vendor's: events, or a reason why not.
pub fn vendor(input: &[u8]) {
    let Some((which, body)) = input.split_first() else {
        return;
    };
    let names = sources();
    let name = names[usize::from(*which) % names.len()];
    let source = &config().sources[name];
    let mut headers = HeaderMap::new();
    headers.insert("x-github-event", HeaderValue::from_static("push"));
    headers.insert("x-type", HeaderValue::from_static("t"));
    let body = Bytes::copy_from_slice(body);
    let inbound = Inbound {
        tail: None,
        query: None,
        headers: &headers,
        body: &body,
        peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
    };
    let Ok(Webhook::Events(readings)) = source.reader.read(&inbound, DEPTH_MAX) else {
        return;
    };
    for reading in readings {
        let event = Event {
            kind: source.kind.clone(),
            event_type: reading.event_type,
            body: reading.body,
            ..event()
        };
        // What is stored is read again at each delivery.
        let stored = Payload::parse(&event.body, DEPTH_MAX).expect("what was read reads back");
        let message = message_of(&event, &stored);
        for destination in config().destinations.values() {
            let contents = Contents::known(&event, message.as_ref(), &stored);
            let _sendable_or_not = destination.writer.write(&call(&event, &contents));
        }
    }
}

/// Values of anybody in a template: the request goes where the file says.
pub fn template(input: &[u8]) {
    let mut parts = input.splitn(3, |byte| *byte == 0);
    let mut next = || String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
    let (event_type, key, value) = (next(), next(), next());
    let body = serde_json::json!({ "a": value }).to_string();
    let payload = Payload::parse(body.as_bytes(), DEPTH_MAX).expect("JSON");
    let event = Event {
        event_type: EventType::from(event_type.as_str()),
        key: Some(Key::from(key)),
        body: Bytes::from(body),
        ..event()
    };
    let contents = Contents::known(&event, None, &payload);
    let writer = &config().destinations["values"].writer;
    let Ok(outgoing) = writer.write(&call(&event, &contents)) else {
        return;
    };
    let url = &outgoing.url;
    assert_eq!(
        (url.scheme(), url.host_str(), url.port()),
        ("https", Some("a.example"), Some(8443))
    );
    assert_eq!(url.path_segments().expect("a path").count(), 4, "{url}");
    assert_eq!(
        url.path_segments().and_then(|mut all| all.nth(2)),
        Some("x"),
        "{url}"
    );
    let pairs: Vec<_> = url.query_pairs().collect();
    assert_eq!(
        (pairs.len(), &*pairs[0].0, &*pairs[1].0),
        (2, "a", "b"),
        "{url}"
    );
    assert_eq!(pairs[0].1, value, "{url}");
    assert!(
        url.fragment().is_none() && url.username().is_empty(),
        "{url}"
    );
    for name in outgoing.headers.keys() {
        assert!(
            ["x-type", "x-a", "content-type"].contains(&name.as_str()),
            "{name}"
        );
    }
    let sent: serde_json::Value = serde_json::from_slice(&outgoing.body).expect("JSON");
    assert_eq!(sent["text"], format!("<{value}>"));
}

/// A data folder in which anybody changed bytes: it opens, or says why not, and
/// its accounts add up.
pub fn folder(input: &[u8]) {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().expect("a runtime")
    });
    static SOUND: OnceLock<Vec<(String, Vec<u8>)>> = OnceLock::new();
    let sound = SOUND.get_or_init(|| runtime.block_on(written()));
    let place = tempfile::tempdir().expect("a folder");
    let data = place.path().join("data");
    let mut files = sound.clone();
    for change in input.chunks_exact(6) {
        let which = usize::from(change[0]) % files.len();
        let bytes = &mut files[which].1;
        let at = u32::from_le_bytes([change[1], change[2], change[3], 0]) as usize;
        match change[4] % 4 {
            0 => bytes.truncate(at),
            1 if at < bytes.len() => drop(bytes.splice(at..at, [change[5]; 7])),
            2 => files[which].1 = Vec::new(),
            _ => {
                let length = bytes.len().max(1);
                if let Some(byte) = bytes.get_mut(at % length) {
                    *byte ^= change[5] | 1;
                }
            }
        }
    }
    for (name, bytes) in &files {
        let path = data.join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, bytes).expect("written");
    }
    let _report = inspect::verify(&data, &mut |_| {});
    runtime.block_on(async {
        let Ok(log) = open(&data) else { return };
        for (name, totals) in log.totals() {
            let ended = totals.delivered + totals.dead + totals.dropped;
            assert!(ended <= totals.owed, "{name}: {totals:?}");
        }
        log.close().await;
    });
}

/// The files of a small folder with all that there can be in it.
async fn written() -> Vec<(String, Vec<u8>)> {
    use hookfan::event::{DestinationName, Owed};
    use hookfan::log::Accepted;
    use hookfan::settle::{Reason, Settlement};
    let place = tempfile::tempdir().expect("a folder");
    let data = place.path().join("data");
    for _ in 0..2 {
        let Ok(log) = open(&data) else {
            unreachable!("an empty folder")
        };
        let mut crm = log.subscribe(&DestinationName::from("crm"));
        for number in 0..12_u64 {
            let event = Event {
                id: EventId::new(NOW, u128::from(number)),
                vendor_id: Some(format!("id-{number}").into()),
                ..event()
            };
            let owed = ["crm", "other"].map(|name| Owed {
                destination: DestinationName::from(name),
                action: Action::message(),
            });
            let accepted = Accepted {
                event,
                owed: owed.to_vec(),
            };
            log.append(vec![accepted]).await.expect("room");
            if number < 8 {
                let at = crm.next().await.stored.offset;
                let settlement = match number % 2 {
                    0 => Settlement::Delivered,
                    _ => Settlement::Dead(Reason::Refused),
                };
                crm.settle(at, settlement, None, "so it ended");
            }
        }
        drop(crm);
        log.close().await;
    }
    let mut files = Vec::new();
    for folder in [".", "log", "dead"] {
        for entry in std::fs::read_dir(data.join(folder))
            .expect("a folder")
            .flatten()
        {
            if entry.path().is_file() {
                let name = format!("{folder}/{}", entry.file_name().to_string_lossy());
                files.push((name, std::fs::read(entry.path()).expect("read")));
            }
        }
    }
    files.sort();
    files
}

fn open(data: &Path) -> Result<Log, hookfan::log::OpenError> {
    let settings = Settings {
        data_dir: data.to_owned(),
        retain: std::time::Duration::from_secs(3600),
        retain_dead: std::time::Duration::from_secs(3600),
        dead_letters_max: 1000,
        max_disk: 1 << 40,
        min_free: 0,
        dedupe: std::time::Duration::from_secs(3600),
        segment_bytes: 1 << 14,
    };
    Log::open(settings, Clock::system(), Arc::new(Metrics::new())).map(|(log, _)| log)
}

fn event() -> Event {
    Event {
        id: EventId::new(NOW, 1),
        source: SourceName::from("shop"),
        kind: Kind::from("generic"),
        event_type: EventType::from("t"),
        key: Some(Key::from("shop/1".to_owned())),
        vendor_id: None,
        direction: None,
        user: None,
        accepted_at: NOW,
        hops: 0,
        headers: Vec::new(),
        body: Bytes::from_static(b"{\"a\":1}"),
    }
}

fn call<'a>(event: &'a Event, contents: &'a Contents<'a>) -> Call<'a> {
    static ACTION: OnceLock<Action> = OnceLock::new();
    Call {
        event,
        contents,
        action: ACTION.get_or_init(Action::message),
        customer: Some("ann@example.com"),
        now: NOW,
    }
}
