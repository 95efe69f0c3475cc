//! The JSON Schema of routes.toml, made of the keys that stand beside the
//! decoder's code. Editors complete and check with it; what it cannot say
//! (names that must exist, limits that contradict) `hookfan check` does.

#![allow(
    clippy::indexing_slicing,
    reason = "what is indexed here is JSON of our own making"
)]

use serde_json::{Map, Value, json};

use crate::decode::keys::{Key, Shape};
use crate::vendor::VENDORS;

mod common;
pub(super) mod house;
#[cfg(test)]
mod tests;

/// The whole schema, draft 2020-12.
pub fn schema() -> Value {
    let mut top = object(house::TOP);
    let mut properties = std::mem::take(&mut top["properties"]);
    properties["source"] = named(
        "source",
        "Who may send. The webhook address is /hooks/<name>.",
    );
    properties["destination"] = named("destination", "Where copies go.");
    properties["route"] = json!({
        "description": "Which events go where. The first route that matches decides what is done at a destination.",
        "anyOf": [{"type": "array", "items": {"$ref": "#/$defs/route"}}, {"$ref": "#/$defs/route"}],
    });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "hookfan's routes.toml",
        "description": "Who may send, where copies go, and which events go where.",
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
        "$defs": {
            "source": kinds("source", common::SOURCE, source_kinds()),
            "destination": kinds("destination", common::DESTINATION, destination_kinds()),
            "route": object(common::ROUTE),
            "duration": measure(DURATION, "Numbers with units: \"250ms\", \"2.5s\", \"10m\", \"1h30m\", \"30d\"."),
            "size": {
                "description": "Bytes: \"64MiB\" (of 1024²), \"10GB\" (of 1000³), \"512B\", or a number.",
                "anyOf": [{"type": "string", "pattern": SIZE}, {"type": "integer", "minimum": 1}],
            },
            "rate": measure(RATE, "A number per second, minute, hour or day: \"500/s\", \"100/m\"."),
            "secret": {
                "description": "Where the secret is, never the secret: { env = \"NAME\" } or { file = \"path\" }.",
                "type": "object",
                "properties": {
                    "env": {
                        "description": "An environment variable.",
                        "type": "string",
                        "pattern": "^[A-Za-z_][A-Za-z0-9_]*$",
                    },
                    "file": {
                        "description": "A file; a relative path starts at the folder of the main file.",
                        "type": "string",
                        "pattern": "\\S",
                    },
                },
                "minProperties": 1,
                "maxProperties": 1,
                "additionalProperties": false,
            },
        },
    })
}

const DURATION: &str = r"^\s*([0-9][0-9_]*(\.[0-9][0-9_]*)?\s*(w|d|h|m|s|ms)\s*)+$";
const SIZE: &str = r"^\s*[0-9][0-9_]*(\.[0-9][0-9_]*)?\s*(([kKmMgGtT][iI]?)?[bB])?\s*$";
const RATE: &str = r"^\s*[0-9][0-9_]*(\.[0-9][0-9_]*)?\s*/\s*(s|m|h|d)\s*$";
/// What the decoder takes as a name of a source or destination.
const NAME: &str = "^[A-Za-z0-9_-]{1,64}$";

type Kinds = Vec<(&'static str, &'static [Key])>;

fn source_kinds() -> Kinds {
    let entries = VENDORS.iter();
    let entries = entries.filter_map(|vendor| Some((vendor.kind, vendor.source.as_ref()?.keys)));
    entries.collect()
}

fn destination_kinds() -> Kinds {
    let entries = VENDORS.iter();
    entries
        .filter_map(|vendor| Some((vendor.kind, vendor.destination.as_ref()?.keys)))
        .collect()
}

fn measure(pattern: &str, says: &str) -> Value {
    json!({"description": says, "type": "string", "pattern": pattern})
}

/// `[source.NAME]` or `[destination.NAME]`.
fn named(what: &str, says: &str) -> Value {
    json!({
        "description": says,
        "type": "object",
        "propertyNames": {"pattern": NAME, "not": {"const": "unknown"}},
        "additionalProperties": {"$ref": format!("#/$defs/{what}")},
    })
}

/// A table whose keys depend on its `kind`.
fn kinds(what: &str, common: &[Key], kinds: Kinds) -> Value {
    let mut table = tagged(
        "kind",
        &kinds,
        common,
        &format!("#/$defs/{what}/properties"),
    );
    table["properties"]["kind"]["description"] = json!(format!("What kind of {what} it is."));
    table
}

/// A table whose keys depend on a word in it. `common` stands beside any word;
/// `place` is where its keys can be referred to, and empty where they cannot.
fn tagged(tag: &str, words: &[(&str, &[Key])], common: &[Key], place: &str) -> Value {
    let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    let mut properties = properties(common);
    properties.insert(tag.to_owned(), json!({"enum": names}));
    let cases: Vec<Value> = words
        .iter()
        .map(|(word, keys)| {
            // A key of the word's own stands for the common one.
            let mut case: Map<String, Value> = common
                .iter()
                .map(|key| (key.name, common_key(key, place)))
                .map(|(name, value)| (name.to_owned(), value))
                .collect();
            case.insert(tag.to_owned(), json!(true));
            case.extend(self::properties(keys));
            json!({
                "if": {"properties": {tag: {"const": word}}, "required": [tag]},
                "then": {
                    "properties": case,
                    "required": required(keys),
                    "additionalProperties": false,
                },
            })
        })
        .collect();
    let mut needed = required(common);
    needed.push(tag.to_owned());
    json!({"type": "object", "properties": properties, "required": needed, "allOf": cases})
}

fn common_key(key: &Key, place: &str) -> Value {
    if place.is_empty() {
        value(key)
    } else {
        json!({"$ref": format!("{place}/{}", key.name)})
    }
}

/// A table with these keys and no others.
fn object(keys: &[Key]) -> Value {
    json!({
        "type": "object",
        "properties": properties(keys),
        "required": required(keys),
        "additionalProperties": false,
    })
}

fn properties(keys: &[Key]) -> Map<String, Value> {
    keys.iter()
        .map(|key| (key.name.to_owned(), value(key)))
        .collect()
}

fn required(keys: &[Key]) -> Vec<String> {
    let required = keys.iter().filter(|key| key.required);
    required.map(|key| key.name.to_owned()).collect()
}

/// A key's value, with what an editor shows of it.
fn value(key: &Key) -> Value {
    let mut told = shape(&key.shape);
    told["description"] = json!(key.says);
    // What is no JSON here would be seen by the test over all keys.
    let read = |text: &str| serde_json::from_str(text).unwrap_or(Value::Null);
    if let Some(default) = key.default {
        told["default"] = read(default);
    }
    if let Some(example) = key.example {
        told["examples"] = json!([read(example)]);
    }
    told
}

fn shape(shape: &Shape) -> Value {
    let list = |items: Value, least: u64, most: usize| json!({"type": "array", "items": items, "minItems": least, "maxItems": most});
    let refer = |name: &str| json!({"$ref": format!("#/$defs/{name}")});
    match shape {
        Shape::Text => json!({"type": "string"}),
        Shape::Filled => json!({"type": "string", "pattern": "\\S"}),
        Shape::Texts => json!({"type": ["string", "array"], "items": {"type": "string"}}),
        Shape::SomeTexts => {
            json!({"type": ["string", "array"], "items": {"type": "string"}, "minItems": 1})
        }
        Shape::Flag => json!({"type": "boolean"}),
        Shape::Duration => refer("duration"),
        Shape::Durations(most) => {
            json!({"anyOf": [refer("duration"), list(refer("duration"), 1, *most)]})
        }
        Shape::Size => refer("size"),
        Shape::Count(least, most) => {
            json!({"type": "integer", "minimum": least, "maximum": most})
        }
        Shape::Rate => refer("rate"),
        Shape::Secret => refer("secret"),
        Shape::Secrets => json!({"anyOf": [refer("secret"), list(refer("secret"), 1, 5)]}),
        Shape::Word(words) => json!({"enum": words}),
        Shape::Table(keys) => object(keys),
        Shape::Tables(keys) => {
            json!({"anyOf": [object(keys), {"type": "array", "items": object(keys)}]})
        }
        Shape::Either(shapes) => {
            let shapes: Vec<Value> = shapes.iter().map(self::shape).collect();
            json!({"anyOf": shapes})
        }
        Shape::Tagged(tag, words, common) => tagged(tag, words, common, ""),
        Shape::Map(each) => {
            json!({"type": "object", "additionalProperties": self::shape(each)})
        }
        Shape::Free => json!({"type": "object"}),
        Shape::Any => json!({}),
    }
}
