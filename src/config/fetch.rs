//! What a source's `fetch` adds: a destination that no file can name, with the
//! patience of any other, and a route to it behind those of the files.

use super::destination::{BREAKER, BUDGET, CONCURRENCY, TIMEOUT, reachable};
use super::house::pem;
use crate::decode::Fields;
use crate::deliver::guard::Allow;
use crate::deliver::{Destination, OnStuck, Order};
use crate::event::{Action, DestinationName, Kind, SourceName};
use crate::expression::Expression;
use crate::link::Place;
use crate::route::Route;
use crate::settle::RetryPolicy;
use crate::vendor::Fetch;

/// A source's own destination, and who is sent there.
pub(super) struct Fetching {
    pub(super) destination: Destination,
    pub(super) route: Route,
}

/// `fields` are the source's. `None`: there were complaints.
pub(super) fn read(
    fields: &mut Fields<'_, '_>,
    fetch: &Fetch,
    source: &SourceName,
    kind: &Kind,
    fingerprint: u64,
) -> Option<Fetching> {
    let target = fetch.writer.shown_target();
    let allow = Allow {
        private: fetch.allow_private,
        link_local: fetch.allow_link_local,
    };
    let key = format!("{}.base_url", fields.name("fetch_from"));
    reachable(fields, &key, fetch.span.clone(), &target, allow);
    let when = match Expression::parse(fetch.when) {
        Ok(when) => when,
        Err(malformed) => {
            let message = format!("what to fetch is no expression: {}", malformed.message);
            fields.error(fetch.span.clone(), message, Some("report this".to_owned()));
            return None;
        }
    };
    let ca = match &fetch.ca {
        Some(path) => Some(pem(fields, path)?),
        None => None,
    };
    let name = name(source);
    let place = Place::of_source(source.as_str());
    let route = Route {
        name: name.as_str().into(),
        from: vec![source.clone()],
        on: vec![fetch.on.to_owned()],
        when: Some(when),
        to: vec![name.clone()],
        action: Action {
            name: "fetch".into(),
            with: "".into(),
        },
        written: None,
    };
    let destination = Destination {
        name,
        kind: kind.clone(),
        talks: false,
        place,
        writer: fetch.writer.clone(),
        timeout: TIMEOUT,
        concurrency: CONCURRENCY,
        rate: None,
        burst: 1,
        // Two answers about one conversation would cross for nothing.
        order: Order::Conversation,
        on_stuck: OnStuck::Wait,
        retry: RetryPolicy::default(),
        backlog: BUDGET,
        breaker: BREAKER,
        allow_private: fetch.allow_private,
        allow_link_local: fetch.allow_link_local,
        ca,
        paused: false,
        fingerprint,
    };
    Some(Fetching { destination, route })
}

/// No name in a file holds a dot.
fn name(source: &SourceName) -> DestinationName {
    DestinationName::from(format!("{source}.fetch"))
}
