//! What an operator asks of the vendors themselves: their conversations, and
//! what was said while nobody listened.

use std::sync::Arc;

use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::select::{self, Query, only, only_query};
use super::{House, Refusal};
use crate::clock::Timestamp;
use crate::deliver::{self, Asked, Destination};
use crate::event::{Inbound, SourceName};
use crate::ingress::{NotTaken, Source};
use crate::link::Place;
use crate::log::Receipt;
use crate::transform::Outgoing;
use crate::vendor::Webhook;
use crate::vendor::lookup::Look;

/// Pages of one call; the next call goes on.
const PAGES: u32 = 10;

/// `GET destinations/<name>/conversations`: `?page=` or `?id=`; answer
/// `{status, body}`, as the vendor says it.
pub(super) async fn conversations(
    house: &House,
    name: &str,
    query: &Query,
) -> Result<Value, Refusal> {
    only_query(query, &["page", "id"])?;
    let look = match (query.get("id"), query.get("page")) {
        (Some(id), _) => Look::Conversation(id.clone()),
        (None, page) => Look::Conversations {
            page: match page {
                None => 1,
                Some(page) => page
                    .parse()
                    .map_err(|_| Refusal::bad_request("`page` is a number from 1"))?,
            },
        },
    };
    look_at(house, name, &look).await
}

/// `POST destinations/<name>:hub-token`: `{status, body}`.
pub(super) async fn hub_token(house: &House, name: &str) -> Result<Value, Refusal> {
    look_at(house, name, &Look::HubToken).await
}

async fn look_at(house: &House, name: &str, look: &Look) -> Result<Value, Refusal> {
    let destination = destination(house, name)?;
    let Some(outgoing) = destination.writer.look(look) else {
        let said = format!("{} shows no such thing", destination.kind);
        return Err(Refusal::bad_request(said));
    };
    let asked = ask(house, &destination, &outgoing).await?;
    let body = serde_json::from_slice(&asked.body).unwrap_or_else(|_| json!(asked.shown));
    Ok(json!({"status": asked.status, "body": body}))
}

/// `POST backfill`: `{source, conversation, since?, after?}`; answer `{pages,
/// found, accepted, gaps, next}`; call again with `after` = `next` until it is
/// null. Repeating it repeats nothing.
pub(super) async fn backfill(house: &House, asked: &Value) -> Result<Value, Refusal> {
    let asked = only(asked, &["source", "conversation", "since", "after"])?;
    let text = |name: &str| select::text(asked, name);
    let (Some(source), Some(conversation)) = (text("source")?, text("conversation")?) else {
        return Err(Refusal::bad_request("say `source` and `conversation`"));
    };
    let since = match text("since")? {
        None => None,
        Some(text) => Some(Timestamp::parse_rfc3339(text).ok_or_else(|| {
            Refusal::bad_request("`since` is a time such as 2026-11-20T10:00:00Z")
        })?),
    };
    let front = house.front.load_full();
    let Some(source) = front.sources.get(source) else {
        return Err(Refusal::bad_request(format!("there is no source {source}")));
    };
    let destination = account_of(house, source)?;
    let Some(vendor) = destination.writer.backfill() else {
        let said = format!("{} gives out no conversations", destination.kind);
        return Err(Refusal::bad_request(said));
    };
    let mut walk = vendor
        .walk(conversation, since, text("after")?, PAGES)
        .map_err(Refusal::bad_request)?;
    let mut pages = 0;
    loop {
        let asked = ask(house, &destination, &walk.request()).await?;
        if asked.status != 200 {
            let said = format!(
                "{} says {}: {}",
                destination.name, asked.status, asked.shown
            );
            return Err(Refusal::new(StatusCode::BAD_GATEWAY, said));
        }
        pages += 1;
        let more = walk
            .take(&asked.body)
            .map_err(|why| Refusal::new(StatusCode::BAD_GATEWAY, why))?;
        if !more {
            break;
        }
    }
    let past = walk.end();
    let (found, accepted) = take(house, source, past.webhooks).await?;
    Ok(json!({
        "pages": pages, "found": found, "accepted": accepted, "gaps": past.gaps, "next": past.next,
    }))
}

/// As if they had been posted; how many events they are, and how many were new.
async fn take(
    house: &House,
    source: &Arc<Source>,
    webhooks: Vec<bytes::Bytes>,
) -> Result<(usize, usize), Refusal> {
    let depth_max = house.front.load().limits.json_depth;
    let mut readings = Vec::new();
    for body in &webhooks {
        let read = source.reader.read(
            &Inbound {
                tail: None,
                query: None,
                headers: &HeaderMap::new(),
                body,
                peer: std::net::IpAddr::from([127, 0, 0, 1]),
            },
            depth_max,
        );
        match read {
            Ok(Webhook::Events(events)) => readings.extend(events),
            Ok(Webhook::Probe { .. }) => {}
            Err(unreadable) => {
                let said = format!("what was fetched cannot be read: {unreadable}");
                return Err(Refusal::new(StatusCode::BAD_GATEWAY, said));
            }
        }
    }
    for reading in &mut readings {
        // What came long ago must not come again.
        reading.once = reading.vendor_id.is_some();
    }
    let found = readings.len();
    let taken: Result<Vec<Receipt>, NotTaken> =
        house.ingress().accept(&source.name, readings).await;
    let receipts =
        taken.map_err(|error| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()))?;
    let new = receipts.iter().filter(|receipt| !receipt.duplicate);
    Ok((found, new.count()))
}

/// The destination that is the same account as a source.
fn account_of(house: &House, source: &Source) -> Result<Arc<Destination>, Refusal> {
    let place = Place::of_source(source.name.as_str());
    let found = house
        .workers
        .iter()
        .map(|worker| worker.destination())
        .find(|destination| destination.place == place && destination.writer.backfill().is_some());
    found.ok_or_else(|| {
        let name: &SourceName = &source.name;
        Refusal::bad_request(format!(
            "no destination of the account behind {name} gives out conversations: \
             a destination of kind {} with source = \"{name}\" would",
            source.kind
        ))
    })
}

fn destination(house: &House, name: &str) -> Result<Arc<Destination>, Refusal> {
    let worker = house.workers.get(name);
    worker
        .map(|worker| worker.destination())
        .ok_or_else(|| Refusal::not_found(format!("there is no destination {name}")))
}

async fn ask(
    house: &House,
    destination: &Destination,
    outgoing: &Outgoing,
) -> Result<Asked, Refusal> {
    deliver::ask(destination, &house.accounts, outgoing, &house.clock)
        .await
        .map_err(|why| {
            let said = format!("{}: {why}", destination.name);
            Refusal::new(StatusCode::BAD_GATEWAY, said)
        })
}
