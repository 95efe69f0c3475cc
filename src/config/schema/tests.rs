//! The schema and the decoder know the same keys, and agree on what is wrong.
//! Every table is written with each of its keys in turn, as the schema has it,
//! and read by the decoder, which tells what it asked for.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::{common, destination_kinds, house, schema, source_kinds};
use crate::config::{Complaints, decode, files};
use crate::decode::keys::{Key, Shape};
use crate::decode::{Complaint, Decoder, Secrets};
use crate::vendor::VENDORS;

/// A document, and the place of the key it is about.
struct Trial {
    document: Value,
    path: Vec<String>,
}

/// Values a key could have, each way of writing it once; without `shallow`,
/// tables with each of their keys in turn.
fn values(key: &Key) -> Vec<Value> {
    if let Some(example) = key.example {
        let mut values = vec![serde_json::from_str(example).expect(key.name)];
        if matches!(key.shape, Shape::SomeTexts | Shape::Texts) {
            values.push(json!(["x"]));
        }
        return values;
    }
    of(&key.shape)
}

fn of(shape: &Shape) -> Vec<Value> {
    let secret = || vec![json!({"env": "X"}), json!({"file": "x"})];
    match shape {
        Shape::Text | Shape::Filled | Shape::Texts | Shape::SomeTexts => vec![json!("x")],
        Shape::Flag => vec![json!(true), json!(false)],
        Shape::Duration => vec![json!("90s"), json!("1h 30m"), json!("0.5h")],
        Shape::Durations(_) => vec![json!(["5s", "1m"]), json!("5s")],
        Shape::Size => vec![json!("2MiB"), json!("3_000_000"), json!(2_000_000)],
        Shape::Count(least, _) => vec![json!((*least).max(5))],
        Shape::Rate => vec![json!("500/s"), json!("2.5 / m")],
        Shape::Secret => secret(),
        Shape::Secrets => vec![json!({"env": "X"}), json!([{"env": "X"}, {"file": "y"}])],
        Shape::Word(words) => words.iter().map(|word| json!(word)).collect(),
        Shape::Table(keys) => tables(keys),
        Shape::Tables(keys) => tables(keys).into_iter().chain([json!([])]).collect(),
        Shape::Either(shapes) => shapes.iter().flat_map(of).collect(),
        Shape::Tagged(tag, words, common) => {
            let tagged = |(word, keys): &(&str, &[Key])| {
                let all: Vec<Key> = keys.iter().chain(common.iter()).copied().collect();
                let mut tables = tables(&all);
                tables
                    .iter_mut()
                    .for_each(|table| table[*tag] = json!(word));
                tables
            };
            words.iter().flat_map(tagged).collect()
        }
        Shape::Map(each) => of(each).into_iter().map(|one| json!({"x": one})).collect(),
        Shape::Free | Shape::Any => vec![json!({"x": "y"})],
    }
}

/// A table with what it must have, and then with each of its keys.
fn tables(keys: &[Key]) -> Vec<Value> {
    let must: Map<String, Value> = keys
        .iter()
        .filter(|key| key.required)
        .map(|key| (key.name.to_owned(), values(key).remove(0)))
        .collect();
    let mut found = vec![Value::Object(must.clone())];
    for key in keys {
        for value in values(key) {
            let mut table = must.clone();
            table.insert(key.name.to_owned(), value);
            found.push(Value::Object(table));
        }
    }
    found
}

/// Every table of a file, with each of its keys in turn.
fn trials() -> Vec<Trial> {
    let mut found = Vec::new();
    let mut add = |tables: Vec<Value>, path: &[&str]| {
        for table in tables {
            let mut document = table;
            for part in path.iter().rev() {
                document = json!({*part: document});
            }
            let path = path.iter().map(|part| (*part).to_owned()).collect();
            found.push(Trial { document, path });
        }
    };
    add(tables(house::TOP), &[]);
    add(tables(common::ROUTE), &["route"]);
    for (what, common, kinds) in [
        ("source", common::SOURCE, source_kinds()),
        ("destination", common::DESTINATION, destination_kinds()),
    ] {
        for (kind, own) in kinds {
            let shape = Shape::Word(std::slice::from_ref(Box::leak(Box::new(kind))));
            let own_names: BTreeSet<&str> = own.iter().map(|key| key.name).collect();
            let mut keys = vec![Key::new("kind", shape, "").required()];
            keys.extend(own);
            keys.extend(common.iter().filter(|key| !own_names.contains(key.name)));
            add(tables(&keys), &[what, "x"]);
        }
    }
    found
}

/// What the decoder says to a document, and what it asked for.
fn read(document: &Value) -> (Vec<Complaint>, BTreeSet<String>, String) {
    let text = toml::to_string(document).unwrap();
    let mut decoder = Decoder::new(Secrets::Offline, "");
    decoder.asked = Some(BTreeSet::new());
    let (texts, _) = files::gather(&mut decoder, text.clone(), Path::new("routes.toml"));
    decode(&mut decoder, &texts, VENDORS);
    let asked = decoder.asked.take().unwrap();
    (decoder.complaints, asked, text)
}

fn validator() -> jsonschema::Validator {
    jsonschema::draft202012::new(&schema()).unwrap()
}

/// How the decoder speaks of a wrong shape, whatever else a file says.
fn about_shape(complaint: &Complaint) -> bool {
    let said = &complaint.message;
    said.starts_with("unknown key")
        || (said.contains("` must be ") && said.contains(", not "))
        || said.contains("` cannot be \"")
        || said.contains("` is no duration")
        || said.contains("` is no size")
        || said.contains("` is no rate")
        || complaint.hides_source()
}

#[test]
fn every_key_of_the_schema_is_read_by_the_decoder() {
    let validator = validator();
    for trial in trials() {
        let (complaints, _, text) = read(&trial.document);
        let unknown: Vec<&str> = complaints
            .iter()
            .filter(|one| about_shape(one))
            .map(|one| one.message.as_str())
            .collect();
        assert_eq!(unknown, [""; 0], "{:?}\n{text}", trial.path);
        let errors: Vec<String> = validator
            .iter_errors(&trial.document)
            .map(|error| error.to_string())
            .collect();
        assert_eq!(errors, [""; 0], "{text}");
    }
}

#[test]
fn every_key_the_decoder_asks_for_is_in_the_schema() {
    let mut asked = BTreeSet::new();
    for trial in trials() {
        asked.extend(read(&trial.document).1);
    }
    let schema = schema();
    let mut missing = Vec::new();
    for path in &asked {
        if !known(&schema, &schema, &parts(path)) {
            missing.push(path);
        }
    }
    assert!(missing.is_empty(), "the schema does not know {missing:?}");
    // The trials reach what is deep, or this test would prove nothing.
    for deep in [
        "source.x.auth.tolerance",
        "destination.x.channel.widget_id",
        "destination.x.retry.for",
    ] {
        assert!(
            asked.contains(deep),
            "{deep} was never asked for: {asked:?}"
        );
    }
}

/// `route 1.to` as the schema's way to it.
fn parts(path: &str) -> Vec<String> {
    let part = |part: &str| part.split(' ').next().unwrap_or_default().to_owned();
    path.split('.').map(part).collect()
}

/// Whether a path leads to something, by any of a schema's branches.
fn known(whole: &Value, here: &Value, path: &[String]) -> bool {
    if let Some(place) = here["$ref"].as_str() {
        let pointed = whole.pointer(place.trim_start_matches('#')).expect(place);
        if known(whole, pointed, path) {
            return true;
        }
    }
    let Some((first, rest)) = path.split_first() else {
        return true;
    };
    let branches = ["anyOf", "allOf"]
        .into_iter()
        .flat_map(|name| here[name].as_array());
    let mut below: Vec<&Value> = branches.flatten().collect();
    below.extend(["then", "items"].iter().filter_map(|name| here.get(name)));
    if below.into_iter().any(|branch| known(whole, branch, path)) {
        return true;
    }
    let property = here["properties"].get(first);
    let other = here
        .get("additionalProperties")
        .filter(|other| other.is_object());
    property
        .or(other.filter(|_| property.is_none()))
        .is_some_and(|next| known(whole, next, rest))
}

/// Each key with values of each other type, and with words nobody knows.
#[test]
#[allow(clippy::too_many_lines, reason = "one table, and one loop over it")]
fn what_the_schema_refuses_the_decoder_refuses_and_wrong_shapes_both() {
    let wrong = [
        json!(true),
        json!(0),
        json!(-1),
        json!(7),
        json!(1.5),
        json!(""),
        json!("word"),
        json!("5s"),
        json!("5"),
        json!("-5s"),
        json!("5/s"),
        json!("5MiB"),
        json!([]),
        json!(["word"]),
        json!([1]),
        json!({}),
        json!({"word": 1}),
        json!({"env": "X"}),
        json!({"env": "x y"}),
        json!({"env": "X", "file": "y"}),
    ];
    let validator = validator();
    let mut seen = BTreeSet::new();
    let mut compared = 0;
    let mut odd = Vec::new();
    for trial in trials() {
        for place in places(&trial.document) {
            let shown = place.join(".");
            if place
                .last()
                .is_some_and(|name| name == "kind" || name == "scheme")
            {
                continue;
            }
            // One document is enough for each key of each kind.
            let kind = &trial.document[trial.path.first().map_or("", |part| part)]["x"]["kind"];
            if !seen.insert(format!("{kind} {shown}")) {
                continue;
            }
            for value in &wrong {
                let mut document = trial.document.clone();
                *document
                    .pointer_mut(&format!("/{}", place.join("/")))
                    .unwrap() = value.clone();
                let (complaints, _, text) = read(&document);
                let refused = complaints
                    .iter()
                    .any(|one| one.severity == crate::decode::Severity::Error);
                let shape: Vec<&str> = complaints
                    .iter()
                    .filter(|one| about_shape(one))
                    .map(|one| one.message.as_str())
                    .collect();
                let valid = validator.is_valid(&document);
                if !valid && !refused {
                    odd.push(format!(
                        "only the schema refuses {shown}:
{text}"
                    ));
                }
                if valid && !shape.is_empty() {
                    odd.push(format!(
                        "the schema takes {shown}:
{text}{shape:?}"
                    ));
                }
                compared += 1;
            }
        }
    }
    assert!(odd.is_empty(), "{}", odd.join("\n\n"));
    assert!(compared > 2_000, "{compared}");
}

/// Every value of a document, as the way to it.
fn places(document: &Value) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut open = vec![(Vec::new(), document)];
    while let Some((path, value)) = open.pop() {
        for (name, next) in value.as_object().into_iter().flatten() {
            let mut path = path.clone();
            path.push(name.clone());
            open.push((path.clone(), next));
            found.push(path);
        }
    }
    found
}

#[test]
fn every_key_says_what_it_is_for_and_its_defaults_fit() {
    let schema = schema();
    let mut open = vec![(String::new(), &schema)];
    let mut described = 0;
    while let Some((path, value)) = open.pop() {
        if let Some(properties) = value["properties"].as_object() {
            for (name, property) in properties {
                let only_refers = property.get("$ref").is_some() || *property == json!(true);
                let tag = property.get("enum").is_some();
                assert!(
                    property["description"].is_string() || only_refers || tag,
                    "{path}.{name} says nothing"
                );
                described += 1;
                for one in property
                    .get("default")
                    .into_iter()
                    .chain(property["examples"].as_array().into_iter().flatten())
                {
                    let alone = json!({"$defs": schema["$defs"], "allOf": [property]});
                    assert!(
                        jsonschema::draft202012::is_valid(&alone, one),
                        "{path}.{name}: {one}"
                    );
                }
            }
        }
        let next = value.as_object().into_iter().flatten();
        let next: Vec<(&String, &Value)> = next.filter(|(name, _)| *name != "if").collect();
        open.extend(
            next.into_iter()
                .map(|(name, next)| (format!("{path}.{name}"), next)),
        );
        open.extend(
            value
                .as_array()
                .into_iter()
                .flatten()
                .map(|next| (path.clone(), next)),
        );
    }
    assert!(described > 200, "{described}");
}

/// The complaints' own words are what `about_shape` looks for.
#[test]
fn a_wrong_shape_is_known_by_its_words() {
    let document = json!({"limits": {"idle": 3, "heads": "1s", "body": "1 parsec"}});
    let (complaints, _, _) = read(&document);
    let all = Complaints {
        complaints,
        texts: Vec::new(),
    };
    assert_eq!(
        all.complaints.iter().filter(|one| about_shape(one)).count(),
        3,
        "{all:?}"
    );
}
