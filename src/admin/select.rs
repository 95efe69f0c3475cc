//! Which events or dead letters are meant: what queries and bodies say, read
//! strictly. A typo must not select everything.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::{House, Refusal};
use crate::clock::Timestamp;
use crate::event::{DestinationName, Offset, SourceName};
use crate::log::Filter;
use crate::settle::Reason;

/// What a list's query holds, each name once.
pub type Query = HashMap<String, String>;

/// Rows of one page of a list, at most.
const PAGE_MAX: usize = 1000;
const PAGE: usize = 100;

/// The filters that lists and bulk work share.
const FILTERS: [&str; 7] = [
    "destination",
    "source",
    "type",
    "since",
    "until",
    "key",
    "reason",
];

/// A bulk request's selection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    Ids(Vec<String>),
    /// As a query would have it; empty: everything, and that was said.
    Filter(Query),
}

impl Which {
    /// Reads a bulk request. `more` names what it may say besides: a name that
    /// is none of these is refused.
    pub fn read(asked: &Value, more: &[&str]) -> Result<Self, Refusal> {
        let asked = object(asked)?;
        let known = || FILTERS.into_iter().chain(["ids", "all"]);
        let known: Vec<&str> = known().chain(more.iter().copied()).collect();
        refuse_unknown(asked.keys(), &known, "field")?;
        let mut query = Query::new();
        for name in FILTERS {
            match asked.get(name) {
                None => {}
                Some(Value::String(text)) => drop(query.insert(name.to_owned(), text.clone())),
                Some(_) => return Err(Refusal::bad_request(format!("{name} is a text"))),
            }
        }
        let all = flag(asked, "all")?;
        let Some(ids) = asked.get("ids") else {
            if query.is_empty() && !all {
                let said = "say which: ids, a filter such as destination, or \"all\": true";
                return Err(Refusal::bad_request(said));
            }
            return Ok(Self::Filter(query));
        };
        // Together they would mean two things.
        if all || !query.is_empty() {
            let filter = query.keys().next().map_or("all", String::as_str);
            let said = format!("say ids or a filter, not both: ids and {filter}");
            return Err(Refusal::bad_request(said));
        }
        match texts(ids) {
            Some(ids) => Ok(Self::Ids(ids)),
            None => Err(Refusal::bad_request("ids is a list of texts")),
        }
    }
}

/// A body that is an object.
pub fn object(asked: &Value) -> Result<&Map<String, Value>, Refusal> {
    asked
        .as_object()
        .ok_or_else(|| Refusal::bad_request("the body is a JSON object"))
}

/// A body that says nothing but these names.
pub fn only<'a>(asked: &'a Value, known: &[&str]) -> Result<&'a Map<String, Value>, Refusal> {
    let asked = object(asked)?;
    refuse_unknown(asked.keys(), known, "field")?;
    Ok(asked)
}

/// A query that says nothing but these names.
pub fn only_query(query: &Query, known: &[&str]) -> Result<(), Refusal> {
    refuse_unknown(query.keys(), known, "parameter")
}

/// `true` or `false`; absent is false.
pub fn flag(asked: &Map<String, Value>, name: &str) -> Result<bool, Refusal> {
    match asked.get(name) {
        None => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(_) => Err(Refusal::bad_request(format!("{name} is true or false"))),
    }
}

/// A text, or nothing, which may be said as null.
pub fn text<'a>(asked: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, Refusal> {
    match asked.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Refusal::bad_request(format!("{name} is a text"))),
    }
}

/// A list of texts.
pub fn texts(value: &Value) -> Option<Vec<String>> {
    let items = value.as_array()?.iter();
    items.map(|item| item.as_str().map(str::to_owned)).collect()
}

fn refuse_unknown<'a>(
    names: impl Iterator<Item = &'a String>,
    known: &[&str],
    what: &str,
) -> Result<(), Refusal> {
    for name in names {
        if !known.contains(&name.as_str()) {
            let help = crate::decode::nearest(name, known.iter().copied())
                .map_or(String::new(), |near| format!("; did you mean {near}?"));
            let said = format!("there is no {what} {name}{help}");
            return Err(Refusal::bad_request(said));
        }
    }
    Ok(())
}

/// Rows of one page.
pub fn limit(query: &Query) -> Result<usize, Refusal> {
    match query.get("limit").map(|text| text.parse::<usize>()) {
        None => Ok(PAGE),
        Some(Ok(limit)) if (1..=PAGE_MAX).contains(&limit) => Ok(limit),
        Some(_) => Err(Refusal::bad_request(format!(
            "limit is a number from 1 to {PAGE_MAX}"
        ))),
    }
}

/// Where a page begins: what the page before said as `next`.
pub fn offset(query: &Query, name: &str) -> Result<Option<Offset>, Refusal> {
    let Some(text) = query.get(name) else {
        return Ok(None);
    };
    text.parse()
        .map(|offset| Some(Offset(offset)))
        .map_err(|_| Refusal::bad_request(format!("{name} is a number from `next`")))
}

/// The filters of a query, and nothing besides but `more`.
pub fn filter(query: &Query, house: &House, more: &[&str]) -> Result<Filter, Refusal> {
    let known: Vec<&str> = FILTERS.iter().chain(more).copied().collect();
    refuse_unknown(query.keys(), &known, "filter")?;
    let now = house.clock.now();
    let at = |name| {
        let text: Option<&String> = query.get(name);
        text.map(|text| instant(text, now)).transpose()
    };
    Ok(Filter {
        destination: query
            .get("destination")
            .map(|name| DestinationName::from(name.as_str())),
        source: query
            .get("source")
            .map(|name| SourceName::from(name.as_str())),
        event_type: query.get("type").cloned(),
        since: at("since")?,
        until: at("until")?,
        key: query.get("key").cloned(),
        reason: query.get("reason").map(|word| reason(word)).transpose()?,
    })
}

fn reason(word: &str) -> Result<Reason, Refusal> {
    let mut all = Reason::ALL.into_iter();
    all.find(|reason| reason.as_str() == word).ok_or_else(|| {
        let words: Vec<&str> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        let words = words.join(", ");
        Refusal::bad_request(format!("there is no reason {word}; reasons are {words}"))
    })
}

/// RFC 3339, or how long ago: `2h`, `30m`, `7d`.
fn instant(text: &str, now: Timestamp) -> Result<Timestamp, Refusal> {
    if let Some(at) = Timestamp::parse_rfc3339(text) {
        return Ok(at);
    }
    match crate::decode::quantity::duration(text) {
        Ok(ago) => Ok(now.minus(ago)),
        Err(_) => Err(Refusal::bad_request(format!(
            "{text:?} is neither a time like 2026-11-20T10:00:00Z nor an age like 2h"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(asked: Value) -> Result<Which, String> {
        Which::read(&asked, &["after"])
            .map_err(|refusal| refusal.body["detail"].as_str().unwrap().to_owned())
    }

    #[test]
    fn a_selection_says_which_and_nothing_else() {
        assert_eq!(
            read(json!({"ids": ["1", "2"], "after": "0"})),
            Ok(Which::Ids(vec!["1".into(), "2".into()]))
        );
        assert_eq!(read(json!({"all": true})), Ok(Which::Filter(Query::new())));
        let crm = Query::from([("destination".to_owned(), "crm".to_owned())]);
        assert_eq!(read(json!({"destination": "crm"})), Ok(Which::Filter(crm)));
        for (asked, said) in [
            (json!([]), "the body is a JSON object"),
            (json!({}), "say which"),
            (json!({"all": false}), "say which"),
            (json!({"all": 1}), "true or false"),
            (json!({"ids": "1"}), "a list of texts"),
            (json!({"ids": [1]}), "a list of texts"),
            (json!({"ids": [], "key": "a"}), "not both: ids and key"),
            (json!({"ids": [], "all": true}), "not both: ids and all"),
            (json!({"destinatoin": "crm"}), "did you mean destination?"),
            (json!({"destination": 7}), "destination is a text"),
            (
                json!({"all": true, "route": true}),
                "there is no field route",
            ),
        ] {
            let error = read(asked.clone()).unwrap_err();
            assert!(error.contains(said), "{asked}: {error}");
        }
    }
}
