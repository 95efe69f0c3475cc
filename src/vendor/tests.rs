//! What the vendors promise, on every sample there is.

mod chat;
mod chat_text;
mod configured;
mod dixa_bench;
mod dixa_actions;
mod dixa_configured;
mod dixa_healing;
mod dixa_source;
mod dixa_talk;
mod endpoint;
mod qiscus_out;
mod qiscus_out_past;
mod qiscus_out_rooms;
mod scripted;
mod sendyiq;
mod kept_safe;
mod quiq;
mod quiq_fetch;
mod senders;
mod telegram;
mod tracking;
mod tracking_check;

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::http::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;

use super::*;
use crate::event::{EventId, Key, SourceName};

/// When everything in these tests is accepted: 2025-07-11T05:46:40Z.
const ACCEPTED: Timestamp = Timestamp::from_millis(1_752_212_800_000);

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/fixtures/samples")
}

fn sample(name: &str) -> Bytes {
    let path = samples().join(name);
    Bytes::from(std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

/// File names in a folder of samples, sorted.
fn listed(folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(samples().join(folder)).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| format!("{folder}/{}", entry.unwrap().file_name().to_string_lossy()))
        .collect();
    names.sort();
    names
}

fn read_with(
    reader: &dyn Reader,
    headers: &[(&str, &str)],
    body: &Bytes,
) -> Result<Webhook, Unreadable> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(
            HeaderName::try_from(*name).unwrap(),
            HeaderValue::try_from(*value).unwrap(),
        );
    }
    let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
    reader.read(
        &Inbound {
            tail: None,
            query: None,
            headers: &map,
            body,
            peer,
        },
        128,
    )
}

fn one(webhook: Webhook) -> Reading {
    match webhook {
        Webhook::Events(mut readings) if readings.len() == 1 => readings.remove(0),
        other => panic!("not one event: {other:?}"),
    }
}

/// The event that the ingress would make of a reading.
fn event_of(kind: &str, reading: &Reading) -> Event {
    let source = SourceName::from("qiscus");
    Event {
        id: EventId::new(ACCEPTED, 7),
        key: reading
            .key
            .as_ref()
            .map(|key| Key::from(format!("{source}/{key}"))),
        source,
        kind: kind.into(),
        event_type: reading.event_type.clone(),
        vendor_id: reading.vendor_id.clone(),
        direction: reading.direction,
        user: reading.user.as_deref().map(Arc::from),
        accepted_at: ACCEPTED,
        hops: 0,
        headers: vec![(
            Arc::from("content-type"),
            Arc::from("application/json; charset=utf-8"),
        )],
        body: reading.body.clone(),
    }
}

#[test]
fn every_vendor_is_registered_once() {
    let kinds: Vec<&str> = VENDORS.iter().map(|vendor| vendor.kind).collect();
    let mut unique = kinds.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), kinds.len());
    for kind in [
        "qiscus", "standard", "github", "stripe", "slack", "telegram", "quiq", "generic",
    ] {
        assert!(find(kind).unwrap().source.is_some(), "{kind}");
    }
    for (kind, chat) in [
        ("dimension", true),
        ("dashbot", true),
        ("sendyiq", true),
        ("qiscus", true),
        ("http", false),
    ] {
        let destination = find(kind).unwrap().destination.as_ref().unwrap();
        assert_eq!(destination.chat, chat, "{kind}");
        assert_eq!(destination.actions[0], "message", "{kind}");
    }
    assert!(find("Qiscus").is_none());
}
