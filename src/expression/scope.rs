//! What expressions see. Nothing is converted until it is looked at: a lookup
//! walks the parsed body, and only what it ends on becomes a template value.

use std::sync::{Arc, OnceLock};

use minijinja::value::{Enumerator, Object, ObjectRepr, Value, ValueKind};
use minijinja::{Error, ErrorKind};
use serde::Serialize;
use serde_json::{Map, Number, Value as Json};

use crate::clock::Timestamp;
use crate::event::{Event, EventId, EventType, Key, SourceName};
use crate::message::Message;
use crate::payload::Payload;

/// The most elements that one result may have, all levels together, where it
/// is not a piece of the payload itself.
pub const ELEMENTS_MAX: usize = 100_000;

/// What an expression can see: `event`, `message`, `payload`. Cheap to build;
/// converts nothing until it is looked at. Clones share it.
#[derive(Clone, Debug)]
pub struct Scope(Arc<Seen>);

#[derive(Debug)]
struct Seen {
    id: EventId,
    source: SourceName,
    event_type: EventType,
    key: Option<Key>,
    received_at: Timestamp,
    headers: Vec<(Arc<str>, Arc<str>)>,
    message: Option<Message>,
    /// `message` as JSON without what is absent; made when a part of it that
    /// has parts itself is looked at.
    message_json: OnceLock<Payload>,
    payload: Payload,
}

impl Scope {
    pub fn new(event: &Event, message: Option<&Message>, payload: &Payload) -> Self {
        Self(Arc::new(Seen {
            id: event.id,
            source: event.source.clone(),
            event_type: event.event_type.clone(),
            key: event.key.clone(),
            received_at: event.accepted_at,
            headers: event.headers.clone(),
            message: message.cloned(),
            message_json: OnceLock::new(),
            payload: payload.clone(),
        }))
    }

    pub(super) fn root(&self) -> Value {
        Value::from_dyn_object(Arc::clone(&self.0))
    }
}

const ROOT: &[&str] = &["event", "message", "payload"];

/// The names an expression may start with.
pub(super) fn names() -> &'static [&'static str] {
    ROOT
}

impl Object for Seen {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        match key {
            "event" => Some(Value::from_object(EventView(Arc::clone(self)))),
            "message" => self
                .message
                .as_ref()
                .map(|_| Value::from_object(MessageView(Arc::clone(self)))),
            "payload" => Some(value_at(&self.payload, self.payload.value(), Vec::new)),
            _ => None,
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Str(ROOT)
    }
}

#[derive(Debug)]
struct EventView(Arc<Seen>);

impl Object for EventView {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        let seen = &self.0;
        match key {
            "id" => Some(Value::from(seen.id.to_string())),
            "source" => Some(Value::from(seen.source.as_str())),
            "type" => Some(Value::from(seen.event_type.as_str())),
            "key" => seen.key.as_ref().map(|key| Value::from(key.as_str())),
            "received_at" => Some(Value::from(seen.received_at.to_string())),
            "headers" => Some(Value::from_object(HeadersView(Arc::clone(seen)))),
            _ => None,
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let keys = ["id", "source", "type", "key", "received_at", "headers"];
        let present = keys
            .into_iter()
            .filter(|key| *key != "key" || self.0.key.is_some());
        Enumerator::Values(present.map(Value::from).collect())
    }
}

#[derive(Debug)]
struct HeadersView(Arc<Seen>);

impl Object for HeadersView {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    /// Names are compared without regard to case; of several headers of one
    /// name the first counts.
    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        let found = self
            .0
            .headers
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(key));
        found.map(|(_, value)| Value::from(Arc::clone(value)))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let mut names: Vec<&str> = Vec::new();
        for (name, _) in &self.0.headers {
            if !names.contains(&&**name) {
                names.push(name);
            }
        }
        Enumerator::Values(names.into_iter().map(Value::from).collect())
    }
}

#[derive(Debug)]
struct MessageView(Arc<Seen>);

impl MessageView {
    fn json(&self) -> &Payload {
        self.0.message_json.get_or_init(|| {
            let mut json = as_json(&self.0.message);
            drop_nulls(&mut json);
            Payload::from(json)
        })
    }
}

impl Object for MessageView {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    /// What is absent in a message is missing here, so that `default` applies.
    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        let message = self.0.message.as_ref()?;
        match key {
            "kind" => Some(Value::from(message.kind.as_str())),
            "text" => Some(Value::from(message.text.as_str())),
            "quoted" => Some(Value::from(message.quoted.as_str())),
            "id" => message.id.as_deref().map(Value::from),
            "sent_at" => message.sent_at.map(|at| Value::from(at.to_string())),
            _ => {
                let root = self.json();
                let found = root.value().get(key)?;
                Some(value_at(root, found, || vec![Step::Key(Arc::from(key))]))
            }
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let keys = self
            .json()
            .value()
            .as_object()
            .into_iter()
            .flat_map(Map::keys);
        Enumerator::Values(keys.map(|key| Value::from(key.as_str())).collect())
    }
}

fn as_json<T: Serialize>(value: &T) -> Json {
    serde_json::to_value(value).unwrap_or(Json::Null)
}

fn drop_nulls(json: &mut Json) {
    match json {
        Json::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        Json::Array(items) => items.iter_mut().for_each(drop_nulls),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}

#[derive(Clone, Debug)]
enum Step {
    Key(Arc<str>),
    Index(usize),
}

/// An object or array inside a parsed body: the body, and the way there.
#[derive(Debug)]
struct Node {
    root: Payload,
    steps: Vec<Step>,
}

impl Node {
    fn resolve(&self) -> &Json {
        let found = self
            .steps
            .iter()
            .try_fold(self.root.value(), |value, step| match step {
                Step::Key(key) => value.get(&**key),
                Step::Index(index) => value.get(*index),
            });
        found.unwrap_or(&Json::Null)
    }

    fn child(&self, value: &Json, step: Step) -> Value {
        value_at(&self.root, value, || {
            let mut steps = Vec::with_capacity(self.steps.len() + 1);
            steps.extend(self.steps.iter().cloned());
            steps.push(step);
            steps
        })
    }
}

impl Object for Node {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        if self.resolve().is_array() {
            ObjectRepr::Seq
        } else {
            ObjectRepr::Map
        }
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match self.resolve() {
            Json::Object(_) => self.get_value_by_str(key.as_str()?),
            Json::Array(items) => {
                let index = key.as_usize()?;
                Some(self.child(items.get(index)?, Step::Index(index)))
            }
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => None,
        }
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        let found = self.resolve().as_object()?.get(key)?;
        Some(self.child(found, Step::Key(Arc::from(key))))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        match self.resolve() {
            Json::Array(items) => Enumerator::Seq(items.len()),
            Json::Object(map) => {
                Enumerator::Values(map.keys().map(|key| Value::from(key.as_str())).collect())
            }
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => Enumerator::Empty,
        }
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        match self.resolve() {
            Json::Array(items) => Some(items.len()),
            Json::Object(map) => Some(map.len()),
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => Some(0),
        }
    }
}

/// A template value for `json`, which lies inside `root` at `steps`.
fn value_at(root: &Payload, json: &Json, steps: impl FnOnce() -> Vec<Step>) -> Value {
    match json {
        Json::Null => Value::from(()),
        Json::Bool(flag) => Value::from(*flag),
        Json::String(text) => Value::from(text.as_str()),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Value::from(number),
            (None, Some(number)) => Value::from(number),
            // Whoever uses it fails with this error.
            (None, None) if root.is_rounded(json) => Value::from(rounded()),
            (None, None) => Value::from(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::Array(_) | Json::Object(_) => Value::from_object(Node {
            root: root.clone(),
            steps: steps(),
        }),
    }
}

/// A template value as JSON. What came from the payload goes back as it was.
pub(super) fn to_json(value: &Value) -> Result<Json, Error> {
    let mut left = ELEMENTS_MAX;
    convert(value, &mut left)
}

fn convert(value: &Value, left: &mut usize) -> Result<Json, Error> {
    let invalid = |detail: String| Error::new(ErrorKind::InvalidOperation, detail);
    *left = left
        .checked_sub(1)
        .ok_or_else(|| invalid(format!("has more than {ELEMENTS_MAX} elements")))?;
    if let Some(node) = value.downcast_object_ref::<Node>() {
        let found = node.resolve();
        if node.root.is_rounded(found) {
            return Err(rounded());
        }
        return Ok(found.clone());
    }
    if let Some(view) = value.downcast_object_ref::<MessageView>() {
        return Ok(as_json(&view.0.message));
    }
    match value.kind() {
        ValueKind::None => Ok(Json::Null),
        ValueKind::Bool => Ok(Json::Bool(value.is_true())),
        ValueKind::Number if value.is_integer() => i64::try_from(value.clone())
            .map(Number::from)
            .or_else(|_| u64::try_from(value.clone()).map(Number::from))
            .map(Json::Number)
            .map_err(|_| invalid("is a whole number beyond 64 bits".to_owned())),
        ValueKind::Number => f64::try_from(value.clone())
            .ok()
            .and_then(Number::from_f64)
            .map(Json::Number)
            .ok_or_else(|| invalid("is no number that JSON can write".to_owned())),
        ValueKind::String => Ok(Json::String(value.as_str().unwrap_or_default().to_owned())),
        ValueKind::Seq | ValueKind::Iterable => value
            .try_iter()?
            .map(|item| convert(&item, left))
            .collect::<Result<_, _>>()
            .map(Json::Array),
        ValueKind::Map => {
            let mut map = Map::new();
            for key in value.try_iter()? {
                let item = value.get_item(&key)?;
                map.insert(text_of(&key)?, convert(&item, left)?);
            }
            Ok(Json::Object(map))
        }
        ValueKind::Invalid => Err(rounded()),
        ValueKind::Undefined => Err(Error::from(ErrorKind::UndefinedError)),
        kind => Err(invalid(format!("a {kind} cannot be written as JSON"))),
    }
}

/// Digits that reading has lost are not made up again.
fn rounded() -> Error {
    Error::new(
        ErrorKind::InvalidOperation,
        "is or holds a number beyond 64 bits; it would be rounded",
    )
}

/// A template value inside a text: texts as they are, all else as JSON.
pub(super) fn text_of(value: &Value) -> Result<String, Error> {
    match value.as_str() {
        Some(text) => Ok(text.to_owned()),
        None => to_json(value).map(|json| json.to_string()),
    }
}
