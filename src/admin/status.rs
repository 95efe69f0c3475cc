//! `status`: what everything is doing now. The stream of `live` says the same.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;

use super::live::Seen;
use super::sampler::Speeds;
use super::{House, Refusal};
use crate::clock::Timestamp;
use crate::deliver::{Destination, LastError, OnStuck, Order, State};
use crate::event::{DestinationName, Kind, SourceName};
use crate::log::{Totals, WhenFull};
use crate::route::Route;

/// Everything but `now`.
#[derive(Serialize)]
struct Status<'a> {
    version: &'static str,
    config_hash: &'a str,
    config_applied_at: Timestamp,
    disk_bytes: u64,
    ready: bool,
    trouble: Option<String>,
    /// Absent where webhooks come by plain HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<crate::ingress::Standing>,
    jobs: usize,
    sources: Vec<SourceRow>,
    routes: Vec<RouteRow<'a>>,
    destinations: Vec<DestinationRow>,
}

#[derive(Serialize)]
struct SourceRow {
    name: SourceName,
    /// Of a source that left the configuration, nobody knows it any more.
    kind: Option<Kind>,
    accepted: u64,
    unrouted: u64,
    duplicate: u64,
    rate: f64,
}

#[derive(Serialize)]
struct RouteRow<'a> {
    name: &'a str,
    from: &'a [SourceName],
    on: &'a [String],
    when: Option<&'a str>,
    to: &'a [DestinationName],
    action: &'a str,
    line: Option<usize>,
    file: Option<&'a str>,
    matched: u64,
    rate: f64,
    by_source: BTreeMap<String, f64>,
}

#[derive(Serialize)]
struct DestinationRow {
    name: DestinationName,
    kind: Kind,
    target: String,
    state: &'static str,
    owed: u64,
    delivered: u64,
    dead: u64,
    dropped: u64,
    pending: u64,
    pending_bytes: u64,
    dead_letters: u64,
    oldest_seconds: Option<u64>,
    in_flight: usize,
    retrying: usize,
    breaker_open: bool,
    paused_by: Option<&'static str>,
    rate: f64,
    attempts_rate: f64,
    failed_rate: f64,
    last_delivered_at: Option<Timestamp>,
    last_error: Option<LastError>,
}

/// What `status` and `live` show.
pub fn seen(house: &House) -> Seen {
    let totals = house.log.totals();
    let (in_force, front) = (house.in_force.load(), house.front.load());
    let now = house.clock.now();
    let trouble = house.log.health().err();
    let status = Status {
        version: env!("CARGO_PKG_VERSION"),
        config_hash: &in_force.hash,
        config_applied_at: in_force.applied_at,
        disk_bytes: house.log.disk_bytes(),
        ready: trouble.is_none(),
        trouble,
        tls: house.tls.as_ref().map(|tls| tls.standing()),
        jobs: house.jobs.running(),
        sources: sources(house),
        routes: routes(house, front.routes.routes()),
        destinations: destinations(house, &totals, now),
    };
    Seen {
        now: now.to_string(),
        // Nothing in it can fail to be written.
        rest: Bytes::from(serde_json::to_vec(&status).unwrap_or_default()),
    }
}

/// Those of the configuration, and those that the log remembers.
fn sources(house: &House) -> Vec<SourceRow> {
    let mut totals = house.log.source_totals();
    let front = house.front.load();
    for name in front.sources.keys() {
        totals.entry(name.clone()).or_default();
    }
    let row = |(name, totals): (SourceName, crate::log::SourceTotals)| SourceRow {
        kind: front.sources.get(&name).map(|source| source.kind.clone()),
        accepted: totals.accepted,
        unrouted: totals.unrouted,
        duplicate: totals.duplicate,
        rate: house.sampler.source(&name, totals.accepted),
        name,
    };
    let mut rows: Vec<SourceRow> = totals.into_iter().map(row).collect();
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    rows
}

/// In the order in which they decide. Two of one name are counted as one.
fn routes<'a>(house: &House, routes: &'a [Route]) -> Vec<RouteRow<'a>> {
    let mut matched: HashMap<String, (u64, f64, BTreeMap<String, f64>)> = HashMap::new();
    for (pair, count) in house.metrics.route_matches() {
        let rate = house.sampler.route(&pair, count);
        let [source, route] = pair;
        let (all, sum, by_source) = matched.entry(route).or_default();
        *all += count;
        *sum += rate;
        by_source.insert(source, rate);
    }
    let row = |route: &'a Route| {
        let (matched, rate, by_source) = matched.get(&*route.name).cloned().unwrap_or_default();
        RouteRow {
            name: &route.name,
            from: &route.from,
            on: &route.on,
            when: route.when.as_ref().map(|when| when.text()),
            to: &route.to,
            action: &route.action.name,
            line: route.written.as_ref().map(|written| written.line),
            file: route.written.as_ref().map(|written| &*written.file),
            matched,
            rate: (rate * 100.0).round() / 100.0,
            by_source,
        }
    };
    routes.iter().map(row).collect()
}

fn destinations(
    house: &House,
    totals: &HashMap<DestinationName, Totals>,
    now: Timestamp,
) -> Vec<DestinationRow> {
    let workers = house.workers.iter();
    let mut rows: Vec<DestinationRow> = workers
        .map(|worker| {
            let totals = totals.get(worker.key()).copied().unwrap_or_default();
            let (destination, state) = (worker.destination(), worker.state());
            let speeds = house
                .sampler
                .destination(&destination.name, &totals, &state);
            row(&destination, state, &totals, speeds, now)
        })
        .collect();
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    rows
}

fn row(
    destination: &Destination,
    state: State,
    account: &Totals,
    speeds: Speeds,
    now: Timestamp,
) -> DestinationRow {
    DestinationRow {
        name: destination.name.clone(),
        kind: destination.kind.clone(),
        target: destination.writer.shown_target(),
        state: standing(&state, account.pending()),
        owed: account.owed,
        delivered: account.delivered,
        dead: account.dead,
        dropped: account.dropped,
        pending: account.pending(),
        pending_bytes: account.pending_bytes,
        dead_letters: account.dead_letters,
        oldest_seconds: account.oldest.map(|oldest| now.since(oldest).as_secs()),
        in_flight: state.in_flight,
        retrying: state.retrying,
        breaker_open: state.breaker_open,
        paused_by: paused_by(destination, &state),
        rate: speeds.delivered,
        attempts_rate: speeds.attempts,
        failed_rate: speeds.failed,
        last_delivered_at: state.last_delivered_at,
        last_error: state.last_error,
    }
}

fn standing(state: &State, pending: u64) -> &'static str {
    match (state, pending) {
        (state, _) if state.paused => "paused",
        (state, _) if state.breaker_open => "failing",
        (_, 0) => "idle",
        (state, _) if state.in_flight > 0 => "delivering",
        _ => "waiting",
    }
}

/// Who must act for it to go on. What a 410 did before a restart counts as the
/// operator's: the log remembers that it is paused, not why.
fn paused_by(destination: &Destination, state: &State) -> Option<&'static str> {
    match state {
        _ if destination.paused => Some("file"),
        state if !state.paused => None,
        state if state.gone => Some("gone"),
        _ => Some("operator"),
    }
}

/// `destinations/<name>`: its row, and its settings as they are in force.
pub fn destination(house: &House, name: &str) -> Result<Value, Refusal> {
    let Some((destination, state)) = house
        .workers
        .get(name)
        .map(|worker| (worker.destination(), worker.state()))
    else {
        return Err(super::unknown_destination(house, name));
    };
    let account = house.log.totals().get(name).copied().unwrap_or_default();
    let speeds = house
        .sampler
        .destination(&destination.name, &account, &state);
    let row = row(&destination, state, &account, speeds, house.clock.now());
    let mut shown = serde_json::to_value(row).unwrap_or_default();
    if let Value::Object(shown) = &mut shown {
        shown.insert("settings".to_owned(), settings(&destination));
    }
    Ok(shown)
}

/// Times are seconds, sizes bytes; what the file leaves out is shown, too.
fn settings(destination: &Destination) -> Value {
    let on_stuck = match destination.on_stuck {
        OnStuck::Wait => serde_json::json!({"skip_after_seconds": null}),
        OnStuck::SkipAfter(patience) => {
            serde_json::json!({"skip_after_seconds": patience.as_secs_f64()})
        }
    };
    let delays: Vec<f64> = destination
        .retry
        .delays
        .iter()
        .map(std::time::Duration::as_secs_f64)
        .collect();
    serde_json::json!({
        "timeout_seconds": destination.timeout.as_secs_f64(),
        "concurrency": destination.concurrency,
        "rate": destination.rate,
        "burst": destination.burst,
        "order": match destination.order {
            Order::Conversation => "conversation",
            Order::None => "none",
        },
        "on_stuck": on_stuck,
        "retry": {"delays_seconds": delays, "for_seconds": destination.retry.span.as_secs_f64()},
        "backlog": {
            "max_events": destination.backlog.events_max,
            "max_bytes": destination.backlog.bytes_max,
            "when_full": match destination.backlog.when_full {
                WhenFull::DeadLetter => "dead_letter",
                WhenFull::Reject => "reject",
                WhenFull::DropOldest => "drop_oldest",
            },
        },
        "breaker": {
            "failures": destination.breaker.failures,
            "probe_every_seconds": destination.breaker.probe_every.as_secs_f64(),
        },
        "allow_private": destination.allow_private,
        "allow_link_local": destination.allow_link_local,
        "paused": destination.paused,
    })
}

/// `destinations/<name>/history`.
pub fn history(house: &House, name: &str) -> Result<Value, Refusal> {
    let Some(name) = house.workers.get(name).map(|worker| worker.key().clone()) else {
        return Err(super::unknown_destination(house, name));
    };
    Ok(serde_json::json!({
        "every_seconds": super::history::SAMPLE_EVERY.as_secs(),
        "samples": house.sampler.history(&name),
    }))
}

/// Looks for `live`, as often as that asks.
pub fn look(house: &House) -> impl Fn() -> Seen + Send + 'static {
    let house = Arc::new(house.clone());
    move || seen(&house)
}
