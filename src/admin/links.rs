//! What conversations and users are called over there: listed, set by hand,
//! removed. A link that is set by hand is one that no vendor lets us look up.

use serde_json::{Value, json};

use super::select::{Query, only, only_query};
use super::{House, Refusal};
use crate::link::{Counterpart, Place, What};
use crate::links::{Edit, Link, LinkFilter, LinksError};

/// Links in one answer.
const PAGE: usize = 500;
/// Links in one change.
const EDITS_MAX: usize = 1000;

impl From<LinksError> for Refusal {
    fn from(error: LinksError) -> Self {
        Self::new(http::StatusCode::SERVICE_UNAVAILABLE, error.to_string())
    }
}

/// `GET links`: `?destination=` `?what=user|conversation` `?ours=` (a prefix)
/// `?after=`; answer `{links: [{what, ours, place, destinations, id, standing}],
/// next}`.
pub(super) async fn list(house: &House, query: &Query) -> Result<Value, Refusal> {
    only_query(query, &["destination", "what", "ours", "after"])?;
    let filter = LinkFilter {
        what: query.get("what").map(|word| what(word)).transpose()?,
        place: match query.get("destination") {
            Some(name) => Some(place(house, name)?),
            None => None,
        },
        ours: query.get("ours").cloned(),
    };
    let after = match query.get("after") {
        Some(text) => Some(cursor(text)?),
        None => None,
    };
    let links = house.links.list(filter, after, PAGE).await?;
    let next = links
        .last()
        .filter(|_| links.len() == PAGE)
        .map(|last| json!([last.what, last.ours, last.place]).to_string());
    let shown: Vec<Value> = links
        .iter()
        .map(|link| {
            json!({
                "what": link.what, "ours": link.ours, "place": link.place,
                "destinations": destinations(house, &link.place),
                "id": link.counterpart.id, "standing": link.counterpart.standing,
            })
        })
        .collect();
    Ok(json!({"links": shown, "next": next}))
}

/// `links:set`: `{links: [{destination, ours, id, what?}]}`, all or none.
pub(super) async fn set(house: &House, asked: &Value) -> Result<Value, Refusal> {
    edit(house, asked, &["id"], |link| {
        let id = text(link, "id")?.trim();
        if id.is_empty() {
            return Err(Refusal::bad_request("a link's `id` is empty"));
        }
        Ok(Some(Counterpart::open(id)))
    })
    .await
}

/// `links:remove`: `{links: [{destination, ours, what?}]}`, all or none.
pub(super) async fn remove(house: &House, asked: &Value) -> Result<Value, Refusal> {
    edit(house, asked, &[], |_| Ok(None)).await
}

async fn edit(
    house: &House,
    asked: &Value,
    more: &[&str],
    to: impl Fn(&Value) -> Result<Option<Counterpart>, Refusal>,
) -> Result<Value, Refusal> {
    let Some(links) = only(asked, &["links"])?
        .get("links")
        .and_then(Value::as_array)
    else {
        return Err(Refusal::bad_request("say {\"links\": [{…}]}"));
    };
    if links.len() > EDITS_MAX {
        let said = format!(
            "at most {EDITS_MAX} links at once; these are {}",
            links.len()
        );
        return Err(Refusal::bad_request(said));
    }
    let mut edits = Vec::with_capacity(links.len());
    let known = [&["destination", "ours", "what"], more].concat();
    for link in links {
        only(link, &known)?;
        let ours = text(link, "ours")?;
        let what = match link.get("what") {
            None => What::Conversation,
            Some(_) => what(text(link, "what")?)?,
        };
        known_source(house, ours)?;
        edits.push(Edit {
            what,
            ours: ours.to_owned(),
            place: place(house, text(link, "destination")?)?,
            to: to(link)?,
        });
    }
    let done = edits.len();
    house.links.edit(edits).await?;
    Ok(json!({"done": done}))
}

/// `<source>/<id>`, of a source there is: a slip would never be found again.
fn known_source(house: &House, ours: &str) -> Result<(), Refusal> {
    let front = house.front.load();
    match ours.split_once('/') {
        Some((source, id)) if !id.is_empty() && front.sources.contains_key(source) => Ok(()),
        Some((source, id)) if !id.is_empty() => {
            let names = front.sources.keys().map(|name| name.as_str());
            let help = crate::decode::nearest(source, names)
                .map_or(String::new(), |near| format!("; did you mean {near}?"));
            Err(Refusal::bad_request(format!(
                "there is no source {source}{help}"
            )))
        }
        _ => Err(Refusal::bad_request(format!(
            "{ours:?} is no key: write <source>/<conversation>"
        ))),
    }
}

fn place(house: &House, destination: &str) -> Result<Place, Refusal> {
    let worker = house.workers.get(destination);
    worker
        .map(|worker| worker.destination().place.clone())
        .ok_or_else(|| Refusal::bad_request(format!("there is no destination {destination}")))
}

/// Who goes by the links of a place.
fn destinations(house: &House, place: &Place) -> Vec<String> {
    let mut names: Vec<String> = house
        .workers
        .iter()
        .filter(|worker| worker.destination().place == *place)
        .map(|worker| worker.key().to_string())
        .collect();
    names.sort();
    names
}

fn what(word: &str) -> Result<What, Refusal> {
    match word {
        "user" => Ok(What::User),
        "conversation" => Ok(What::Conversation),
        other => Err(Refusal::bad_request(format!(
            "{other:?} is neither user nor conversation"
        ))),
    }
}

fn text<'a>(link: &'a Value, name: &str) -> Result<&'a str, Refusal> {
    link.get(name)
        .and_then(Value::as_str)
        .ok_or_else(|| Refusal::bad_request(format!("a link has no `{name}`")))
}

fn cursor(text: &str) -> Result<Link, Refusal> {
    let (what, ours, place): (What, String, String) = serde_json::from_str(text)
        .map_err(|_| Refusal::bad_request("`after` is what `next` said"))?;
    Ok(Link {
        what,
        ours,
        place: Place::parse(&place),
        counterpart: Counterpart::creating(),
    })
}
