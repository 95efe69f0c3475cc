//! A URL with places for values from events: path segments and query values,
//! nothing else. Scheme, host, port and user-info are what the file says.

use std::fmt;
use std::ops::Range;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::Value as Json;
use url::Url;

use super::Unfit;
use crate::decode::tells_proof;
use crate::expression::{self, Expression, Malformed, Part, Scope};

/// The longest URL that is sent, in bytes.
pub(super) const URL_BYTES_MAX: usize = 8 << 10;

/// All but RFC 3986's unreserved characters.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A checked URL template. Its `Debug` is its text.
pub struct UrlTemplate {
    text: String,
    pieces: Vec<Piece>,
    /// With a letter in every place: what a filled-in URL must look like.
    model: Url,
}

enum Piece {
    Text(String),
    Segment(Expression),
    Query(Expression),
}

impl fmt::Debug for UrlTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("UrlTemplate").field(&self.text).finish()
    }
}

impl UrlTemplate {
    /// Parses and checks. Spans are bytes of the text.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let complain = |message: &str, span: Range<usize>| Malformed {
            message: message.to_owned(),
            span,
        };
        let whole = 0..text.len();
        let parts = expression::parts(text)?;
        let mut pieces = Vec::new();
        let mut model = String::new();
        for part in parts {
            match part {
                Part::Text(range) => {
                    let literal = text.get(range.clone()).unwrap_or_default();
                    if literal
                        .chars()
                        .any(|c| c == '\\' || c.is_whitespace() || c.is_control())
                    {
                        return Err(complain(
                            "a URL holds no white space and no backslash",
                            range,
                        ));
                    }
                    if literal.contains('#') {
                        return Err(complain("a fragment is never sent; leave `#` out", range));
                    }
                    model.push_str(literal);
                    pieces.push(Piece::Text(literal.to_owned()));
                }
                Part::Value { outer, expression } => {
                    match place(&model) {
                        Place::Segment => pieces.push(Piece::Segment(expression)),
                        Place::QueryValue => pieces.push(Piece::Query(expression)),
                        Place::QueryName => {
                            return Err(complain(
                                "a value cannot be the name of a query parameter",
                                outer,
                            ));
                        }
                        Place::Authority => {
                            let message = "a value cannot be part of the scheme, host or port; only of the path and of query values";
                            return Err(complain(message, outer));
                        }
                    }
                    model.push('x');
                }
            }
        }
        let no_host = "it must start with http:// or https:// and a host";
        if !begins_with_host(&model) {
            return Err(complain(no_host, whole));
        }
        let model = Url::parse(&model)
            .map_err(|error| complain(&format!("it is no URL: {error}"), whole.clone()))?;
        if model.host().is_none() {
            return Err(complain(no_host, whole));
        }
        if !model.username().is_empty() || model.password().is_some() {
            return Err(complain(
                "a URL holds no user name and no password; use `headers`",
                whole,
            ));
        }
        Ok(Self {
            text: text.to_owned(),
            pieces,
            model,
        })
    }

    /// As written: never holds a value from an event.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// `scheme://host:port`, for showing where requests go.
    pub fn origin(&self) -> String {
        self.model.origin().ascii_serialization()
    }

    /// The URL, where there is nothing to fill in.
    pub fn fixed(&self) -> Option<&Url> {
        self.pieces
            .iter()
            .all(|piece| matches!(piece, Piece::Text(_)))
            .then_some(&self.model)
    }

    /// The URL for this event.
    pub fn fill(&self, scope: &Scope) -> Result<Url, Unfit> {
        if let Some(url) = self.fixed() {
            return Ok(url.clone());
        }
        let mut filled = String::with_capacity(self.text.len() + 64);
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => filled.push_str(text),
                Piece::Segment(expression) => {
                    filled.extend(utf8_percent_encode(&scalar(expression, scope)?, SEGMENT));
                }
                Piece::Query(expression) => {
                    filled.extend(url::form_urlencoded::byte_serialize(
                        scalar(expression, scope)?.as_bytes(),
                    ));
                }
            }
        }
        if filled.len() > URL_BYTES_MAX {
            return Err(Unfit::LongUrl);
        }
        self.check_segments(&filled)?;
        let url = Url::parse(&filled).map_err(|_| Unfit::OtherUrl)?;
        if self.resembles(&url) {
            Ok(url)
        } else {
            Err(Unfit::OtherUrl)
        }
    }

    /// A segment that values took part in is neither empty nor `.` nor `..`,
    /// however often the receiver undoes percent-encoding.
    fn check_segments(&self, filled: &str) -> Result<(), Unfit> {
        let blame = || {
            let first = self.pieces.iter().find_map(|piece| match piece {
                Piece::Segment(expression) => Some(expression.text().to_owned()),
                Piece::Text(_) | Piece::Query(_) => None,
            });
            first.unwrap_or_default()
        };
        let model = path_of(self.model.as_str());
        for (segment, model) in path_of(filled).split('/').zip(model.split('/')) {
            if segment.is_empty() && !model.is_empty() {
                return Err(Unfit::EmptySegment {
                    expression: blame(),
                });
            }
            if segment != model && is_dots(segment) {
                return Err(Unfit::DotSegment {
                    expression: blame(),
                });
            }
        }
        Ok(())
    }

    fn resembles(&self, url: &Url) -> bool {
        let segments = |url: &Url| url.path_segments().map_or(0, Iterator::count);
        let names = |url: &Url| {
            url.query_pairs()
                .map(|(name, _)| name.into_owned())
                .collect::<Vec<_>>()
        };
        url.scheme() == self.model.scheme()
            && url.host() == self.model.host()
            && url.port() == self.model.port()
            && url.username().is_empty()
            && url.password().is_none()
            && url.fragment().is_none()
            && segments(url) == segments(&self.model)
            && names(url) == names(&self.model)
    }
}

/// A secret typed into an address: user name and password, or the value of a
/// query parameter whose name tells. What it is, and where.
pub fn typed_in(text: &str) -> Option<(&str, Range<usize>)> {
    let (scheme, rest) = text.split_once("://")?;
    let start = scheme.len() + 3;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if let Some((user, _)) = authority.rsplit_once('@') {
        return Some(("user name and password", start..start + user.len()));
    }
    let mut at = text.find('?')? + 1;
    for pair in text.get(at..)?.split('&') {
        if let Some((name, value)) = pair.split_once('=')
            && tells_proof(name)
            && !value.is_empty()
            && !value.contains("{{")
        {
            return Some((name, at + name.len() + 1..at + pair.len()));
        }
        at += pair.len() + 1;
    }
    None
}

/// Parsers mend `https:/host` and take it; an operator has slipped.
fn begins_with_host(text: &str) -> bool {
    let rest = ["http://", "https://"].map(|scheme| text.strip_prefix(scheme));
    let written = rest.into_iter().flatten().next();
    written.is_some_and(|rest| !rest.starts_with('/'))
}

enum Place {
    Authority,
    Segment,
    QueryName,
    QueryValue,
}

/// Where something appended to this URL would stand.
fn place(before: &str) -> Place {
    let Some((_, rest)) = before.split_once("://") else {
        return Place::Authority;
    };
    if let Some((_, query)) = rest.split_once('?') {
        let pair = query.rsplit('&').next().unwrap_or_default();
        return if pair.contains('=') {
            Place::QueryValue
        } else {
            Place::QueryName
        };
    }
    if rest.contains('/') {
        Place::Segment
    } else {
        Place::Authority
    }
}

/// The path of an absolute URL, from the first slash after the host on.
fn path_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let path = rest
        .find(['/', '?'])
        .and_then(|at| rest.get(at..))
        .unwrap_or_default();
    path.split('?').next().unwrap_or_default()
}

/// Whether it is, or holds between encoded slashes, a `.` or `..`: servers in
/// front of the receiver decode a path and make it shorter.
fn is_dots(segment: &str) -> bool {
    const ROUNDS_MAX: usize = 8;
    let mut text = segment.to_owned();
    for _ in 0..ROUNDS_MAX {
        if text
            .split(['/', '\\'])
            .any(|piece| matches!(piece, "." | ".."))
        {
            return true;
        }
        let decoded = percent_decode_str(&text).decode_utf8_lossy().into_owned();
        if decoded == text {
            return false;
        }
        text = decoded;
    }
    // Encoded deeper than anybody does by accident.
    true
}

fn scalar(expression: &Expression, scope: &Scope) -> Result<String, Unfit> {
    let found = match expression.value(scope)? {
        Json::String(text) => return Ok(text),
        value @ (Json::Number(_) | Json::Bool(_)) => return Ok(value.to_string()),
        Json::Null => "null",
        Json::Array(_) => "list",
        Json::Object(_) => "table",
    };
    Err(Unfit::NotScalar {
        expression: expression.text().to_owned(),
        found,
    })
}
