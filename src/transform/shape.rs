//! A JSON body drawn as a TOML table whose texts are templates.

use std::ops::Range;

use serde_json::{Map, Number, Value as Json};
use toml::Spanned;
use toml::de::DeValue;

use crate::expression::{Failed, Malformed, Scope, Template};

/// What a body looks like. Keys are never filled in.
#[derive(Debug)]
pub enum BodyShape {
    /// A number, `true`, `false` or (in `with` only) null.
    Fixed(Json),
    Text(Template),
    List(Vec<Self>),
    Table(Vec<(String, Self)>),
}

/// What is wrong with a shape, and where in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misshapen {
    pub message: String,
    pub span: Range<usize>,
}

impl BodyShape {
    /// Reads a shape, or says all that is wrong with it.
    pub fn from_toml(value: &Spanned<DeValue<'_>>) -> Result<Self, Vec<Misshapen>> {
        let mut wrong = Vec::new();
        let shape = read(value, &mut wrong);
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
}

fn read(value: &Spanned<DeValue<'_>>, wrong: &mut Vec<Misshapen>) -> BodyShape {
    let span = value.span();
    match value.get_ref() {
        DeValue::String(text) => match Template::parse(text) {
            Ok(template) => BodyShape::Text(template),
            Err(error) => complain(wrong, &error.message, inside(&span, text, &error.span)),
        },
        DeValue::Integer(integer) => match i64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(number) => BodyShape::Fixed(Json::from(number)),
            Err(_) => complain(wrong, "a whole number beyond 64 bits", span),
        },
        DeValue::Float(float) => match float.as_str().parse().ok().and_then(Number::from_f64) {
            Some(number) => BodyShape::Fixed(Json::Number(number)),
            None => complain(wrong, "JSON cannot write this number", span),
        },
        DeValue::Boolean(flag) => BodyShape::Fixed(Json::from(*flag)),
        DeValue::Datetime(at) => BodyShape::Fixed(Json::from(at.to_string())),
        DeValue::Array(items) => {
            BodyShape::List(items.iter().map(|item| read(item, wrong)).collect())
        }
        DeValue::Table(entries) => BodyShape::Table(
            entries
                .iter()
                .map(|(key, item)| (key.get_ref().clone().into_owned(), read(item, wrong)))
                .collect(),
        ),
    }
}

fn complain(wrong: &mut Vec<Misshapen>, message: &str, span: Range<usize>) -> BodyShape {
    wrong.push(Misshapen {
        message: message.to_owned(),
        span,
    });
    BodyShape::Fixed(Json::Null)
}

/// A place inside a text of the file, where the text stands there as it is
/// (between one pair of quotes, without escapes); else the whole text.
pub fn inside(span: &Range<usize>, text: &str, part: &Range<usize>) -> Range<usize> {
    if span.len() == text.len() + 2 {
        span.start + 1 + part.start..span.start + 1 + part.end
    } else {
        span.clone()
    }
}
