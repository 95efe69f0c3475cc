//! Why an event goes where it goes, and as what request. Sends nothing.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::select::Query;
use super::{House, Refusal, event_id, show};
use crate::clock::Timestamp;
use crate::deliver::{self, Destination};
use crate::event::{Direction, Event, EventId, Inbound, Key};
use crate::expression::Scope;
use crate::ingress::{Front, Source};
use crate::link::{Change, Counterpart, Place, What};
use crate::message::Message;
use crate::payload::{DEPTH_MAX, Payload};
use crate::settle::Reason;
use crate::transform::Unsendable;
use crate::vendor::dialogue::Known;
use crate::vendor::{self, Call, Contents, Reading, Webhook};

/// What explaining needs of a configuration.
pub struct Rules<'a> {
    pub front: &'a Front,
    pub destinations: &'a (dyn Fn(&str) -> Option<Arc<Destination>> + Sync),
    /// Who a conversation's customer is, as far as is remembered.
    pub customer: &'a (dyn Fn(&Key) -> Option<Arc<str>> + Sync),
    /// What is linked, as far as is known.
    pub counterpart: &'a (dyn Fn(What, &str, &Place) -> Option<Counterpart> + Sync),
    pub now: Timestamp,
}

/// `/api/v1/explain?source=S` with a body, or `?event=<id>` for a stored one.
/// Headers of the webhook come as `x-explain-<name>` or `content-type`.
pub async fn answer(
    house: &House,
    headers: &HeaderMap,
    query: &Query,
    body: Bytes,
) -> Result<Value, Refusal> {
    if let Some(id) = query.get("event") {
        let stored = show::latest(house, event_id(id)?).await?;
        return explained(house, move |rules| Ok(rules.stored(&stored.event))).await;
    }
    let name = query
        .get("source")
        .ok_or_else(|| Refusal::bad_request("say ?source=NAME or ?event=ID"))?
        .clone();
    let mut given = HeaderMap::new();
    for (name, value) in headers {
        let name = name.as_str();
        let name = name
            .strip_prefix("x-explain-")
            .or((name == "content-type").then_some(name));
        if let Some(name) = name.and_then(|name| http::HeaderName::try_from(name).ok()) {
            given.append(name, value.clone());
        }
    }
    explained(house, move |rules| {
        rules
            .webhook(&name, &given, &body)
            .map_err(Refusal::bad_request)
    })
    .await
}

/// By the rules in force, where reading the links' disk holds up nobody.
async fn explained(
    house: &House,
    explain: impl FnOnce(&Rules<'_>) -> Result<Value, Refusal> + Send + 'static,
) -> Result<Value, Refusal> {
    let house = house.clone();
    let explaining = tokio::task::spawn_blocking(move || {
        let front = house.front.load_full();
        explain(&Rules {
            front: &front,
            destinations: &|name| house.workers.get(name).map(|worker| worker.destination()),
            customer: &|key| house.links.customer(key),
            counterpart: &|what, ours, place| house.links.read_counterpart(what, ours, place),
            now: house.clock.now(),
        })
    });
    explaining.await.unwrap_or_else(|panicked| {
        let why = format!("explaining failed: {panicked}");
        Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, why))
    })
}

impl Rules<'_> {
    /// A webhook as it would be received. `Err` is for the operator.
    pub fn webhook(
        &self,
        source: &str,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Result<Value, String> {
        let Some(source) = self.front.sources.get(source) else {
            let names = self.front.sources.keys().map(|name| name.as_str());
            let help = crate::decode::nearest(source, names)
                .map_or(String::new(), |near| format!("; did you mean {near}?"));
            return Err(format!("there is no source {source}{help}"));
        };
        let inbound = Inbound {
            tail: None,
            query: None,
            headers,
            body,
            peer: std::net::IpAddr::from([127, 0, 0, 1]),
        };
        let depth = self.front.limits.json_depth;
        let read = match source.reader.read(&inbound, depth) {
            Err(_unreadable) if source.keep_unreadable => {
                Ok(Webhook::Events(vec![source.unreadable(body)]))
            }
            read => read,
        };
        match read.map_err(|unreadable| {
            format!("the body is not what {} sends: {unreadable}", source.kind)
        })? {
            Webhook::Probe { .. } => Ok(json!({"probe": true, "events": []})),
            Webhook::Events(readings) => {
                let mut explained: Vec<Value> = readings
                    .into_iter()
                    .map(|reading| self.reading(source, headers, reading))
                    .collect();
                if explained.len() == 1 {
                    return Ok(explained.swap_remove(0));
                }
                Ok(json!({"events": explained}))
            }
        }
    }

    fn reading(&self, source: &Source, headers: &HeaderMap, reading: Reading) -> Value {
        let event = Event {
            id: EventId::new(self.now, 0),
            source: source.name.clone(),
            kind: source.kind.clone(),
            event_type: reading.event_type,
            key: reading
                .key
                .map(|key| Key::from(format!("{}/{key}", source.name))),
            vendor_id: reading.vendor_id,
            direction: reading.direction,
            user: reading.user.map(Arc::from),
            accepted_at: self.now,
            hops: 0,
            headers: source.kept(headers),
            body: reading.body,
        };
        self.explain(&event, reading.message.as_ref(), &reading.payload)
    }

    /// An event that is in the log, by today's rules.
    pub fn stored(&self, event: &Event) -> Value {
        let payload =
            vendor::payload_of(event, DEPTH_MAX).unwrap_or_else(|| Payload::from(Value::Null));
        let source = vendor::find(event.kind.as_str()).and_then(|vendor| vendor.source.as_ref());
        let message = source.and_then(|source| (source.message)(event, &payload));
        self.explain(event, message.as_ref(), &payload)
    }

    fn explain(&self, event: &Event, message: Option<&Message>, payload: &Payload) -> Value {
        let scope = Scope::new(event, message, payload);
        let routes = self
            .front
            .routes
            .explain(&event.source, &event.event_type, &scope);
        let owed = self
            .front
            .routes
            .owed(&event.source, &event.event_type, &scope);
        let known = event
            .user
            .clone()
            .or_else(|| event.key.as_ref().and_then(|key| (self.customer)(key)));
        let contents = Contents::known(event, message, payload);
        let requests: Vec<Value> = owed
            .iter()
            .map(|owed| {
                let mut shown =
                    json!({"destination": owed.destination, "action": owed.action.name});
                let Some(destination) = (self.destinations)(owed.destination.as_str()) else {
                    return shown;
                };
                let call = Call {
                    event,
                    contents: &contents,
                    action: &owed.action,
                    customer: known.as_deref(),
                    now: self.now,
                };
                let more = self.request(&destination, &call);
                if let (Value::Object(shown), Value::Object(more)) = (&mut shown, more) {
                    shown.extend(more);
                }
                shown
            })
            .collect();
        json!({
            "event": {
                "source": event.source, "type": event.event_type, "vendor_id": event.vendor_id, "key": event.key,
                "direction": event.direction, "user": known, "note": direction_note(event),
            },
            "message": message,
            "routes": routes,
            "requests": requests,
        })
    }
}

impl Rules<'_> {
    /// The exact request; of several, the first one as things stand.
    fn request(&self, destination: &Destination, call: &Call<'_>) -> Value {
        let mut links = Known::default();
        let user = call
            .customer
            .map(|customer| format!("{}/{customer}", call.event.source));
        let conversation = call.event.key.as_ref().map(ToString::to_string);
        for (what, ours) in [(What::User, user), (What::Conversation, conversation)] {
            let found = ours.and_then(|ours| (self.counterpart)(what, &ours, &destination.place));
            if let Some(found) = found {
                links.apply(&Change::Set(what, found));
            }
        }
        match deliver::preview(destination, call, &links) {
            Ok(Some(outgoing)) => {
                let mut shown = outgoing.describe();
                if destination.writer.dialogue().is_some()
                    && let Value::Object(shown) = &mut shown
                {
                    shown.insert(
                        "note".to_owned(),
                        json!("what follows depends on the answer"),
                    );
                }
                shown
            }
            Ok(None) => json!({"state": "delivered", "detail": "nothing is left to do there"}),
            Err(unsendable) => no_request(&unsendable),
        }
    }
}

fn direction_note(event: &Event) -> Option<&'static str> {
    match event.direction {
        Some(Direction::Outgoing) if event.user.is_none() => {
            Some("the customer is remembered from the conversation's earlier events")
        }
        Some(_) | None => None,
    }
}

fn no_request(unsendable: &Unsendable) -> Value {
    let (state, reason, detail): (&str, Option<Reason>, &str) = match unsendable {
        Unsendable::Dead { reason, detail } => ("dead", Some(*reason), detail),
        Unsendable::Wait { reason, detail, .. } => ("waits", Some(*reason), detail),
        Unsendable::Skip { rule } => ("dropped", None, rule),
    };
    json!({"state": state, "reason": reason, "detail": detail})
}
