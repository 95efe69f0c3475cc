//! `[destination.…]`: where copies go, and how much patience they get.

use std::ops::Range;
use std::time::Duration;

use toml::de::DeValue;

use super::files::named_tables;
use super::house::{count, pem};
use super::named::{Definition, Named, fresh, vendor};
use super::print::Prints;
use crate::decode::{At, Fields, Rate, describe};
use crate::deliver::guard::{self, Allow, Forbidden};
use crate::deliver::{Breaker, Destination, OnStuck, Order};
use crate::event::{DestinationName, Kind};
use crate::link::Place;
use crate::log::{Budget, WhenFull};
use crate::settle::RetryPolicy;
use crate::vendor::{DestinationEntry, Vendor};

/// Where things stand that later checks point at.
pub(super) struct Written {
    pub(super) file: usize,
    pub(super) name: Range<usize>,
    /// `backlog.max_bytes`, if it is written.
    pub(super) max_bytes: Option<At<u64>>,
    /// `backlog.when_full`, if it is written.
    pub(super) when_full: Option<Range<usize>>,
    /// `source`, if it is written.
    pub(super) source: Option<At<String>>,
}

pub(super) const TIMEOUT: Duration = Duration::from_secs(30);
pub(super) const CONCURRENCY: usize = 8;
/// At once, where a `rate` is given without it.
const BURST: u32 = 4;
/// Each attempt in the air holds a connection and its event.
pub(super) const CONCURRENCY_MAX: usize = 1_024;
pub(super) const BREAKER: Breaker = Breaker {
    failures: 20,
    probe_every: Duration::from_secs(30),
};
pub(super) const BUDGET: Budget = Budget {
    events_max: 1_000_000,
    bytes_max: 4 << 30,
    when_full: WhenFull::DeadLetter,
};
/// A schedule longer than this is a mistake.
pub(super) const DELAYS_MAX: usize = 100;

/// Reads every destination of one file and enters its name; those with errors
/// are named, but not returned.
pub(super) fn read(
    top: &mut Fields<'_, '_>,
    named: &mut Named,
    vendors: &'static [&'static Vendor],
    prints: &Prints,
) -> Vec<(Written, Destination)> {
    let mut destinations = Vec::new();
    for (name, span, value) in named_tables(top, "destination", &mut named.misnamed) {
        let DeValue::Table(table) = value.get_ref() else {
            continue;
        };
        if !fresh(top, "destination", &named.destinations, &name, &span) {
            continue;
        }
        let fingerprint = prints.of(&name, table);
        let file = top.file;
        let mut fields = Fields::new(
            top.decoder,
            table,
            file,
            value.span(),
            format!("destination.{name}"),
        );
        let vendor = vendor(&mut fields, vendors, "destination", |vendor| {
            vendor.destination.is_some()
        });
        named.destinations.push(Definition {
            name: name.clone(),
            file,
            span: span.clone(),
            vendor,
        });
        let (budget, max_bytes, when_full) = fields
            .table("backlog", backlog)
            .unwrap_or((BUDGET, None, None));
        let entry =
            vendor.and_then(|vendor| vendor.destination.as_ref().map(|entry| (vendor, entry)));
        let source = fields.text("source");
        let place = match &source {
            Some(source) => Place::of_source(&source.value),
            None => Place::of_destination(&name),
        };
        let destination = common(&mut fields, &name, entry, place, budget, fingerprint);
        if vendor.is_some() {
            fields.finish();
        }
        destinations.extend(destination.map(|one| {
            (
                Written {
                    file,
                    name: span,
                    max_bytes,
                    when_full,
                    source,
                },
                one,
            )
        }));
    }
    destinations
}

/// The keys every destination takes, then the vendor's own. `None` where the
/// kind is wrong; the keys are checked all the same.
fn common(
    fields: &mut Fields<'_, '_>,
    name: &str,
    entry: Option<(&'static Vendor, &'static DestinationEntry)>,
    place: Place,
    backlog: Budget,
    fingerprint: u64,
) -> Option<Destination> {
    let timeout = fields.duration("timeout").map_or(TIMEOUT, |at| at.value);
    let concurrency = count(fields, "concurrency", CONCURRENCY, CONCURRENCY_MAX);
    let (rate, burst) = pace(fields, entry.and_then(|(_, entry)| entry.rate));
    let chat = entry.is_some_and(|(_, entry)| entry.chat);
    let order = fields.choice(
        "order",
        &[("conversation", Order::Conversation), ("none", Order::None)],
    );
    let order = order.map_or(
        if chat {
            Order::Conversation
        } else {
            Order::None
        },
        |at| at.value,
    );
    let on_stuck = on_stuck(fields);
    let retry = fields.table("retry", retry).unwrap_or_default();
    let breaker = fields.table("breaker", breaker).unwrap_or(BREAKER);
    let allow_private = fields.flag("allow_private", false);
    let allow_link_local = fields.flag("allow_link_local", false);
    let ca = fields.text("ca").and_then(|path| pem(fields, &path));
    let paused = fields.flag("paused", false);
    let (vendor, entry) = entry?;
    let writer = (entry.configure)(fields);
    let allow = Allow {
        private: allow_private,
        link_local: allow_link_local,
    };
    let key = if fields.has("url") { "url" } else { "base_url" };
    let written = fields.any(key).map(toml::Spanned::span);
    let written = written.unwrap_or_else(|| fields.span.clone());
    let key = fields.name(key);
    reachable(fields, &key, written, &writer.shown_target(), allow);
    Some(Destination {
        name: DestinationName::from(name),
        kind: Kind::from(vendor.kind),
        talks: entry.talks,
        place,
        writer,
        timeout,
        concurrency,
        rate,
        burst,
        order,
        on_stuck,
        retry,
        backlog,
        breaker,
        allow_private,
        allow_link_local,
        ca,
        paused,
        fingerprint,
    })
}

/// An address written as such is judged as the connector will: every copy
/// would fail, and that is known now.
pub(super) fn reachable(
    fields: &mut Fields<'_, '_>,
    key: &str,
    place: Range<usize>,
    target: &str,
    allow: Allow,
) {
    let url = url::Url::parse(target).ok();
    let address = match url.as_ref().and_then(url::Url::host) {
        Some(url::Host::Ipv4(address)) => address.into(),
        Some(url::Host::Ipv6(address)) => address.into(),
        Some(url::Host::Domain(_)) | None => return,
    };
    let Err(forbidden) = guard::check(address, allow) else {
        return;
    };
    let help = match forbidden {
        Forbidden::Loopback | Forbidden::Private => "if that is meant, write allow_private = true",
        Forbidden::LinkLocal => "if that is meant, write allow_link_local = true",
        Forbidden::NotAHost => "write another address",
    };
    // The switch stands in the help.
    let what = forbidden.to_string();
    let what = what.split(" (").next().unwrap_or_default();
    let message = format!("`{key}` is never connected to: {address} is {what}");
    fields.error(place, message, Some(help.to_owned()));
}

/// `rate` and `burst`. Without a `burst`, the vendor's; where it has none,
/// [`BURST`].
fn pace(fields: &mut Fields<'_, '_>, default: Option<(f64, u32)>) -> (Option<f64>, u32) {
    let written: Option<At<Rate>> = fields.rate("rate");
    let rate = written
        .map(|at| at.value.per_second)
        .or(default.map(|(rate, _)| rate));
    let burst = fields.count("burst", 1);
    if let (Some(at), None) = (&burst, rate) {
        let message = format!("`{}` says nothing without a `rate`", fields.name("burst"));
        let help = "remove it, or say how many a second: rate = \"10/s\"".to_owned();
        fields.warning(at.span.clone(), message, Some(help));
    }
    let burst = match burst {
        Some(at) => u32::try_from(at.value).unwrap_or(u32::MAX),
        None => match (default, rate) {
            (Some((_, burst)), _) => burst,
            (None, Some(_)) => BURST,
            (None, None) => 1,
        },
    };
    (rate, burst)
}

fn on_stuck(fields: &mut Fields<'_, '_>) -> OnStuck {
    match fields
        .any("on_stuck")
        .map(|value| (value.get_ref(), value.span()))
    {
        None => OnStuck::Wait,
        Some((DeValue::Table(_), _)) => {
            let skip_after = fields.table("on_stuck", |table| {
                if !table.has("skip_after") {
                    table.missing(
                        "skip_after",
                        "how long later events wait for a stuck one, such as \"10m\"",
                    );
                }
                table.duration("skip_after")
            });
            skip_after
                .flatten()
                .map_or(OnStuck::Wait, |at| OnStuck::SkipAfter(at.value))
        }
        Some((DeValue::String(text), _)) if text == "wait" => OnStuck::Wait,
        Some((other, span)) => {
            let found = other
                .as_str()
                .map_or_else(|| describe(other).to_owned(), |text| format!("\"{text}\""));
            let message = format!("`{}` cannot be {found}", fields.name("on_stuck"));
            fields.error(
                span,
                message,
                Some("write \"wait\" or { skip_after = \"10m\" }".into()),
            );
            OnStuck::Wait
        }
    }
}

fn retry(fields: &mut Fields<'_, '_>) -> RetryPolicy {
    let default = RetryPolicy::default();
    let delays = fields.durations("delays");
    let span = fields.duration("for");
    let place = fields
        .any("delays")
        .map_or_else(|| fields.span.clone(), toml::Spanned::span);
    if let Some(delays) = &delays
        && !(1..=DELAYS_MAX).contains(&delays.len())
    {
        let message = format!(
            "`{}` must hold 1 to {DELAYS_MAX} delays",
            fields.name("delays")
        );
        fields.error(
            place.clone(),
            message,
            Some("the last one repeats; leave it out for the defaults".into()),
        );
    }
    let delays: Vec<_> = delays.map_or(default.delays, |delays| {
        delays.into_iter().map(|at| at.value).collect()
    });
    let within = span.as_ref().map_or(default.span, |at| at.value);
    if delays.first().is_some_and(|first| within < *first) {
        let place = span.map_or(place, |at| at.span);
        let message = format!("`{}` ends before the first retry", fields.name("for"));
        fields.error(
            place,
            message,
            Some("`for` is at least the first of `delays`".into()),
        );
    }
    RetryPolicy {
        delays,
        span: within,
    }
}

fn backlog(fields: &mut Fields<'_, '_>) -> (Budget, Option<At<u64>>, Option<Range<usize>>) {
    let events_max = fields
        .count("max_events", 1)
        .map_or(BUDGET.events_max, |at| at.value);
    let max_bytes = fields.size("max_bytes");
    let bytes_max = max_bytes.as_ref().map_or(BUDGET.bytes_max, |at| at.value);
    let choices = [
        ("dead_letter", WhenFull::DeadLetter),
        ("reject", WhenFull::Reject),
        ("drop_oldest", WhenFull::DropOldest),
    ];
    let when_full = fields.choice("when_full", &choices);
    let budget = Budget {
        events_max,
        bytes_max,
        when_full: when_full.as_ref().map_or(BUDGET.when_full, |at| at.value),
    };
    (budget, max_bytes, when_full.map(|at| at.span))
}

fn breaker(fields: &mut Fields<'_, '_>) -> Breaker {
    let failures = count(fields, "failures", 20, 1_000_000);
    Breaker {
        failures: u32::try_from(failures).unwrap_or(BREAKER.failures),
        probe_every: fields
            .duration("probe_every")
            .map_or(BREAKER.probe_every, |at| at.value),
    }
}
