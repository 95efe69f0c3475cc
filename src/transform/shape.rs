//! A JSON body drawn as a TOML table whose texts are templates.

use std::ops::Range;

use serde_json::{Map, Number, Value as Json};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::decode::reference::Reference;
use crate::decode::{inside, tells_secret, typed};
use crate::expression::{Failed, Malformed, Scope, Template, advice_in_template};
use crate::secret::Secret;

/// What a body looks like. Keys are never filled in.
#[derive(Debug)]
pub enum BodyShape {
    /// A number, `true`, `false` or (in `with` only) null.
    Fixed(Json),
    Text(Template),
    /// A text from outside the file.
    Secret(Secret),
    List(Vec<Self>),
    Table(Vec<(String, Self)>),
}

/// What is wrong with a shape, and where in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misshapen {
    pub message: String,
    pub span: Range<usize>,
    /// What to write instead, where that is not obvious.
    pub help: String,
}

impl BodyShape {
    /// Reads a shape, or says all that is wrong with it. A table inside of it
    /// that is a reference, `{ env = "NAME" }` or `{ file = "…" }`, is a text
    /// that `secret` finds; where it finds none, it has complained itself.
    pub fn from_toml<'i>(
        value: &Spanned<DeValue<'i>>,
        mut secret: impl FnMut(&Spanned<DeValue<'i>>) -> Option<Secret>,
    ) -> Result<Self, Vec<Misshapen>> {
        let mut wrong = Vec::new();
        let mut reader = Reader {
            secret: &mut secret,
            wrong: &mut wrong,
        };
        let shape = match value.get_ref() {
            DeValue::Table(entries) => reader.table(entries),
            _ => reader.read("", value),
        };
        if wrong.is_empty() {
            Ok(shape)
        } else {
            Err(wrong)
        }
    }

    /// Reads a route's `with`, which events carry as JSON text.
    pub fn from_json(value: &Json) -> Result<Self, Malformed> {
        Ok(match value {
            Json::String(text) => Self::Text(Template::parse(text)?),
            Json::Array(items) => Self::List(
                items
                    .iter()
                    .map(Self::from_json)
                    .collect::<Result<_, _>>()?,
            ),
            Json::Object(map) => Self::Table(
                map.iter()
                    .map(|(key, item)| Ok((key.clone(), Self::from_json(item)?)))
                    .collect::<Result<_, Malformed>>()?,
            ),
            other @ (Json::Null | Json::Bool(_) | Json::Number(_)) => Self::Fixed(other.clone()),
        })
    }

    /// The body for this event.
    pub fn render(&self, scope: &Scope) -> Result<Json, Failed> {
        match self {
            Self::Fixed(value) => Ok(value.clone()),
            Self::Text(template) => template.render(scope),
            Self::Secret(secret) => Ok(Json::from(secret.expose_text().unwrap_or_default())),
            Self::List(items) => items
                .iter()
                .map(|item| item.render(scope))
                .collect::<Result<_, _>>()
                .map(Json::Array),
            Self::Table(entries) => {
                let mut map = Map::with_capacity(entries.len());
                for (key, item) in entries {
                    map.insert(key.clone(), item.render(scope)?);
                }
                Ok(Json::Object(map))
            }
        }
    }

    /// Adds what must be masked.
    pub fn secrets(&self, found: &mut Vec<Secret>) {
        match self {
            Self::Secret(secret) => found.push(secret.clone()),
            Self::List(items) => items.iter().for_each(|item| item.secrets(found)),
            Self::Table(entries) => entries.iter().for_each(|(_, item)| item.secrets(found)),
            Self::Fixed(_) | Self::Text(_) => {}
        }
    }
}

/// Reads a shape, collecting complaints.
struct Reader<'r, 'i> {
    secret: &'r mut dyn FnMut(&Spanned<DeValue<'i>>) -> Option<Secret>,
    wrong: &'r mut Vec<Misshapen>,
}

impl<'i> Reader<'_, 'i> {
    /// `name`: the key it stands under, also for the items of a list.
    fn read(&mut self, name: &str, value: &Spanned<DeValue<'i>>) -> BodyShape {
        let span = value.span();
        match value.get_ref() {
            DeValue::String(text) => match Template::parse(text) {
                Ok(template) if tells_secret(name) && is_typed(&template) => {
                    self.complain(typed(name), span, TYPED_HELP)
                }
                Ok(template) => BodyShape::Text(template),
                Err(error) => {
                    let (message, help) = advice_in_template(text, &error);
                    let message = format!("this is no template: {message}");
                    self.complain(message, inside(value, &error.span), &help)
                }
            },
            DeValue::Integer(integer) => {
                match i64::from_str_radix(integer.as_str(), integer.radix()) {
                    Ok(number) => BodyShape::Fixed(Json::from(number)),
                    Err(_) => self.complain("a whole number beyond 64 bits", span, AS_TEXT),
                }
            }
            DeValue::Float(float) => match float.as_str().parse().ok().and_then(Number::from_f64) {
                Some(number) => BodyShape::Fixed(Json::Number(number)),
                None => self.complain("JSON cannot write this number", span, AS_TEXT),
            },
            DeValue::Boolean(flag) => BodyShape::Fixed(Json::from(*flag)),
            DeValue::Datetime(at) => BodyShape::Fixed(Json::from(at.to_string())),
            DeValue::Array(items) => {
                BodyShape::List(items.iter().map(|item| self.read(name, item)).collect())
            }
            DeValue::Table(entries)
                if Reference::read(&Spanned::new(span.clone(), entries)).is_ok() =>
            {
                match (self.secret)(value) {
                    Some(secret) if secret.expose_text().is_none() => self.complain(
                        "a secret that is no text cannot stand in JSON",
                        span,
                        "store it as text, such as base64",
                    ),
                    Some(secret) => BodyShape::Secret(secret),
                    None => BodyShape::Fixed(Json::Null),
                }
            }
            DeValue::Table(entries) => self.table(entries),
        }
    }

    fn table(&mut self, entries: &DeTable<'i>) -> BodyShape {
        let entries = entries.iter().map(|(key, item)| {
            let name = key.get_ref().clone().into_owned();
            let item = self.read(&name, item);
            (name, item)
        });
        BodyShape::Table(entries.collect())
    }

    fn complain(
        &mut self,
        message: impl Into<String>,
        span: Range<usize>,
        help: &str,
    ) -> BodyShape {
        self.wrong.push(Misshapen {
            message: message.into(),
            span,
            help: help.to_owned(),
        });
        BodyShape::Fixed(Json::Null)
    }
}

/// There is a text, and all of it stands in the file.
fn is_typed(template: &Template) -> bool {
    template.literal().is_some_and(|text| !text.is_empty())
}

const AS_TEXT: &str = "write it as a text, in quotes";

const TYPED_HELP: &str = "write `{ env = \"NAME\" }` or `{ file = \"path\" }` instead, and change the secret: this file has been read; what is no secret after all is written \"{{ 'text' }}\"";
