//! `[[route]]`: which events go where.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::named::{Definition, Named};
use crate::decode::reference::Reference;
use crate::decode::{At, Decoder, Fields, describe, did_you_mean, inside, listed};
use crate::event::{Action, DestinationName, SourceName};
use crate::expression::{Expression, Template, advice, advice_in_template};
use crate::route::Route;

/// A route, and where it stands.
pub(super) struct Written {
    pub(super) route: Route,
    pub(super) file: usize,
    /// `name` if it is written, else the whole table's place.
    pub(super) place: Range<usize>,
    /// `on`, if it is written.
    pub(super) on: Option<Range<usize>>,
    /// `when`, if it is a text, and where.
    pub(super) when: Option<(String, Range<usize>)>,
    /// Something in it is wrong: no conclusions are drawn from it.
    pub(super) wrong: bool,
}

impl Written {
    /// The route, with the file and line it stands at.
    pub(super) fn located(mut self, texts: &[(PathBuf, String)]) -> Route {
        self.route.written = texts.get(self.file).map(|(file, text)| {
            let before = text.get(..self.place.start).unwrap_or_default();
            crate::route::Written {
                file: Arc::from(file.display().to_string()),
                line: before.matches('\n').count() + 1,
            }
        });
        self.route
    }
}

/// Reads the routes of all files, in file order, against the names that are
/// defined.
pub(super) fn read(decoder: &mut Decoder, trees: &[DeTable<'_>], named: &Named) -> Vec<Written> {
    let mut routes: Vec<Written> = Vec::new();
    for (file, tree) in trees.iter().enumerate() {
        let mut top = Fields::new(decoder, tree, file, 0..0, "");
        let first = routes.len() + 1;
        let mut number = first;
        let read = top.tables("route", |fields| {
            fields.path = format!("route {number}");
            number += 1;
            one(fields, number - 1, named)
        });
        routes.extend(read);
    }
    routes
}

fn one(fields: &mut Fields<'_, '_>, number: usize, named: &Named) -> Written {
    let before = fields.decoder.complaints.len();
    let name = fields
        .text("name")
        .filter(|name| !name.value.trim().is_empty());
    let from = names(fields, "from", "source", named);
    let on = globs(fields);
    let when = when(fields);
    if !fields.has("to") {
        fields.missing("to", "which destination, or a list of them");
    }
    let to = names(fields, "to", "destination", named);
    let action = Action {
        name: action(fields, &to, named).unwrap_or_else(|| Arc::from("message")),
        with: given(fields, &to, named).unwrap_or_else(|| Arc::from("")),
    };
    let place = name
        .as_ref()
        .map_or_else(|| fields.span.clone(), |at| at.span.clone());
    Written {
        route: Route {
            name: name.map_or_else(
                || Arc::from(format!("route {number}")),
                |at| Arc::from(at.value),
            ),
            from: from
                .iter()
                .map(|at| SourceName::from(at.value.as_str()))
                .collect(),
            on,
            when,
            to: to
                .iter()
                .map(|at| DestinationName::from(at.value.as_str()))
                .collect(),
            action,
            // Said once the texts are at hand.
            written: None,
        },
        file: fields.file,
        place,
        on: fields.any("on").map(Spanned::span),
        when: fields
            .any("when")
            .and_then(|value| Some((value.get_ref().as_str()?.to_owned(), value.span()))),
        wrong: fields.decoder.complaints.len() > before,
    }
}

/// `from` or `to`: names that are defined, each once. An empty list matches
/// nothing, ever.
fn names(
    fields: &mut Fields<'_, '_>,
    key: &'static str,
    what: &str,
    named: &Named,
) -> Vec<At<String>> {
    let defined = match what {
        "source" => &named.sources,
        _ => &named.destinations,
    };
    refuse_empty(fields, key);
    let mut names: Vec<At<String>> = Vec::new();
    for name in fields.texts(key) {
        if !defined
            .iter()
            .any(|definition| definition.name == name.value)
        {
            if named.misnamed.contains(&name.value)
                || (defined.is_empty() && !named.misnamed.is_empty())
            {
                // Its name has its own complaint.
                continue;
            }
            let help = who_is_meant(key, what, &name.value, named, defined);
            fields.error(
                name.span,
                format!("there is no {what} \"{}\"", name.value),
                Some(help),
            );
        } else if names.iter().any(|have| have.value == name.value) {
            fields.warning(
                name.span,
                format!("\"{}\" is named twice here", name.value),
                Some("one event goes to one destination once".into()),
            );
        } else {
            names.push(name);
        }
    }
    names
}

/// Names that are listed in one complaint, at most.
const LISTED_MAX: usize = 8;

/// What to write for a name that nothing has.
fn who_is_meant(
    key: &str,
    what: &str,
    name: &str,
    named: &Named,
    defined: &[Definition],
) -> String {
    let candidates = || defined.iter().map(|definition| definition.name.as_str());
    let (other, others) = match what {
        "source" => ("destination", &named.destinations),
        _ => ("source", &named.sources),
    };
    if let Some(help) = did_you_mean(name, candidates()) {
        return help;
    }
    if name.trim() == "*" && key == "from" {
        return "leave `from` out: without it the route takes all sources".to_owned();
    }
    if name.contains(',') {
        let parts = name.split(',').map(str::trim);
        let parts: Vec<String> = parts.map(|part| format!("\"{part}\"")).collect();
        return format!("several are a list: {key} = [{}]", parts.join(", "));
    }
    let there = match defined.len() {
        0 => format!("no {what} is defined: write [{what}.some-name]"),
        1 => format!("there is {}", listed(candidates(), '"')),
        count => {
            let shown = listed(candidates().take(LISTED_MAX), '"').replace(" or ", " and ");
            let more = count.saturating_sub(LISTED_MAX);
            let more = if more > 0 {
                format!(", and {more} more")
            } else {
                String::new()
            };
            format!("there are {shown}{more}")
        }
    };
    if others.iter().any(|definition| definition.name == name) {
        return format!("\"{name}\" is a {other}, and `{key}` names a {what}: {there}");
    }
    there
}

fn globs(fields: &mut Fields<'_, '_>) -> Vec<String> {
    refuse_empty(fields, "on");
    let mut globs = Vec::new();
    for glob in fields.texts("on") {
        if glob.value.trim().is_empty() {
            let help =
                "leave `on` out for all types, or write one such as \"post_comment_*\"".to_owned();
            fields.error(
                glob.span,
                "no event has an empty type: this can never match",
                Some(help),
            );
        } else {
            globs.push(glob.value);
        }
    }
    globs
}

fn refuse_empty(fields: &mut Fields<'_, '_>, key: &'static str) {
    let Some(value) = fields.any(key) else {
        return;
    };
    if matches!(value.get_ref(), DeValue::Array(items) if items.is_empty()) {
        let help = if key == "to" {
            "name a destination, or remove the route"
        } else {
            "leave the key out to match all"
        };
        fields.error(
            value.span(),
            format!("`{key}` is an empty list: the route can never match"),
            Some(help.into()),
        );
    }
}

fn when(fields: &mut Fields<'_, '_>) -> Option<Expression> {
    let text = fields.text("when")?;
    let value = fields.any("when")?;
    match Expression::parse(&text.value) {
        Ok(expression) if expression.constant() == Some(false) => {
            let help = "it looks at nothing of an event and is false: remove the route, or write what to look at";
            fields.error(
                text.span,
                "`when` makes this a route that can never match",
                Some(help.to_owned()),
            );
            None
        }
        Ok(expression) => Some(expression),
        Err(malformed) => {
            let (message, help) = advice(&text.value, &malformed);
            let place = inside(value, &malformed.span);
            let message = format!("`when` is no expression: {message}");
            fields.error(place, message, Some(help));
            None
        }
    }
}

/// The action, if each chat destination among `to` knows it.
fn action(fields: &mut Fields<'_, '_>, to: &[At<String>], named: &Named) -> Option<Arc<str>> {
    let action = fields.text("action")?;
    let known = || {
        to.iter().filter_map(|name| {
            named
                .destinations
                .iter()
                .find(|definition| definition.name == name.value)
        })
    };
    let mut chats = 0;
    for definition in known() {
        let Some((vendor, entry)) = definition
            .vendor
            .and_then(|vendor| vendor.destination.as_ref().map(|entry| (vendor, entry)))
        else {
            // Its kind is wrong, and has its own complaint.
            chats += 1;
            continue;
        };
        if !entry.chat {
            continue;
        }
        chats += 1;
        if !entry.actions.contains(&action.value.as_str()) {
            let message = format!(
                "\"{}\" is no action of {} (\"{}\")",
                action.value, vendor.kind, definition.name
            );
            let actions = entry.actions.iter().copied();
            let help = did_you_mean(&action.value, actions.clone())
                .unwrap_or_else(|| format!("its actions: {}", listed(actions, '"')));
            fields.error(action.span.clone(), message, Some(help));
        }
    }
    if chats == 0 && known().next().is_some() {
        let message = format!("nothing in `to` knows the action \"{}\"", action.value);
        fields.error(
            action.span,
            message,
            Some("http destinations have no actions: remove the key".into()),
        );
    }
    Some(Arc::from(action.value))
}

/// `with`, as JSON text, and `require` inside of it; empty where there is
/// neither.
fn given(fields: &mut Fields<'_, '_>, to: &[At<String>], named: &Named) -> Option<Arc<str>> {
    use serde_json::Value;
    let guard = require(fields, to, named);
    let with = with(fields);
    if guard.is_none() && with.is_none() {
        return None;
    }
    let mut given = match with {
        Some(Value::Object(table)) => table,
        _ => serde_json::Map::new(),
    };
    given.extend(guard.map(|guard| (REQUIRE.to_owned(), Value::String(guard))));
    Some(Arc::from(Value::Object(given).to_string()))
}

const REQUIRE: &str = "require";

/// The guard, if each destination knows it: one that does not would send
/// unguarded.
fn require(fields: &mut Fields<'_, '_>, to: &[At<String>], named: &Named) -> Option<String> {
    let guard = fields.text(REQUIRE)?;
    for name in to {
        let known = named
            .destinations
            .iter()
            .find(|definition| definition.name == name.value);
        // Where its kind is wrong, that has its own complaint.
        let Some((vendor, entry)) = known
            .and_then(|definition| definition.vendor)
            .and_then(|vendor| vendor.destination.as_ref().map(|entry| (vendor, entry)))
        else {
            continue;
        };
        if entry.guards.contains(&guard.value.as_str()) {
            continue;
        }
        let guards = entry.guards.iter().copied();
        let help = if entry.guards.is_empty() {
            format!(
                "{} has none: write a route of its own for \"{}\"",
                vendor.kind, name.value
            )
        } else {
            did_you_mean(&guard.value, guards.clone())
                .unwrap_or_else(|| format!("its guards: {}", listed(guards, '"')))
        };
        let message = format!(
            "\"{}\" is nothing that {} can require (\"{}\")",
            guard.value, vendor.kind, name.value
        );
        fields.error(guard.span.clone(), message, Some(help));
    }
    Some(guard.value)
}

/// `with`, as JSON; its texts are templates and parse.
fn with(fields: &mut Fields<'_, '_>) -> Option<serde_json::Value> {
    let value = fields.any("with")?;
    let DeValue::Table(table) = value.get_ref() else {
        let message = format!("`with` must be a table, not {}", describe(value.get_ref()));
        fields.error(
            value.span(),
            message,
            Some("write with = { queue_id = \"…\" }".into()),
        );
        return None;
    };
    if let Some((key, _)) = table.get_key_value(REQUIRE) {
        let message = "`require` stands beside `with`, not inside of it";
        let help = "move it up: require = \"…\" is a key of the route";
        fields.error(key.span(), message, Some(help.to_owned()));
    }
    json(fields, value, 0)
}

/// Deeper is nothing an action needs.
const DEPTH_MAX: usize = 16;

fn json(
    fields: &mut Fields<'_, '_>,
    value: &Spanned<DeValue<'_>>,
    depth: usize,
) -> Option<serde_json::Value> {
    use serde_json::Value;
    if depth > DEPTH_MAX {
        fields.error(
            value.span(),
            format!("`with` is nested more than {DEPTH_MAX} deep"),
            Some("no action needs that; write it flat".to_owned()),
        );
        return None;
    }
    match value.get_ref() {
        DeValue::Array(items) => {
            let read: Vec<_> = items
                .iter()
                .map(|item| json(fields, item, depth + 1))
                .collect();
            read.into_iter()
                .collect::<Option<Vec<_>>>()
                .map(Value::Array)
        }
        DeValue::Table(table)
            if depth > 0 && Reference::read(&Spanned::new(value.span(), table)).is_ok() =>
        {
            let help = "it would be stored with every event; secrets belong to the destination";
            fields.error(
                value.span(),
                "no secret can stand in `with`",
                Some(help.into()),
            );
            None
        }
        DeValue::Table(table) => {
            let items = table.iter();
            let read: Vec<_> = items
                .map(|(key, item)| {
                    Some((key.get_ref().to_string(), json(fields, item, depth + 1)?))
                })
                .collect();
            read.into_iter()
                .collect::<Option<serde_json::Map<_, _>>>()
                .map(Value::Object)
        }
        _ => match leaf(value) {
            Ok(leaf) => Some(leaf),
            Err((span, message, help)) => {
                fields.error(span, message, Some(help));
                None
            }
        },
    }
}

/// A value without values in it; else what is wrong, and where.
fn leaf(value: &Spanned<DeValue<'_>>) -> Result<serde_json::Value, (Range<usize>, String, String)> {
    use serde_json::Value;
    let wrong = |message: &str| {
        let help = "write it as a text, in quotes";
        (value.span(), message.to_owned(), help.to_owned())
    };
    match value.get_ref() {
        DeValue::String(text) => match Template::parse(text) {
            Ok(_) => Ok(Value::String(text.to_string())),
            Err(malformed) => {
                let (message, help) = advice_in_template(text, &malformed);
                let message = format!("this is no template: {message}");
                Err((inside(value, &malformed.span), message, help))
            }
        },
        DeValue::Boolean(flag) => Ok(Value::Bool(*flag)),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map(Value::from)
            .map_err(|_| wrong("this number has more than 64 bits")),
        DeValue::Float(number) => {
            let number = number
                .as_str()
                .parse()
                .ok()
                .and_then(serde_json::Number::from_f64);
            number
                .map(Value::Number)
                .ok_or_else(|| wrong("JSON has no such number"))
        }
        DeValue::Datetime(at) => Ok(Value::String(at.to_string())),
        DeValue::Array(_) | DeValue::Table(_) => Err(wrong("this holds further values")),
    }
}
