//! Names that can be known before any event is there: what `event` and
//! `message` hold, and words of other languages.

use std::ops::Range;

use super::scan::{Kind, Token, malformed, tokens};
use super::{Expression, Malformed};
use crate::decode::{listed, nearest};

/// What stands under a name.
enum Holds {
    One,
    /// Decided by the sender.
    Anything,
    Names(&'static [(&'static str, Self)]),
}

use Holds::{Anything, Names, One};

const ROOT: &[(&str, Holds)] = &[
    ("event", Names(EVENT)),
    ("message", Names(MESSAGE)),
    ("payload", Anything),
];

const EVENT: &[(&str, Holds)] = &[
    ("id", One),
    ("source", One),
    ("type", One),
    ("key", One),
    ("received_at", One),
    ("headers", Anything),
];

const MESSAGE: &[(&str, Holds)] = &[
    ("id", One),
    ("kind", One),
    ("text", One),
    ("quoted", One),
    ("direction", One),
    (
        "conversation",
        Names(&[("id", One), ("name", One), ("kind", One)]),
    ),
    ("author", Names(PERSON)),
    ("user", Names(PERSON)),
    ("attachments", Anything),
    ("sent_at", One),
];

const PERSON: &[(&str, Holds)] = &[
    ("id", One),
    ("name", One),
    ("email", One),
    ("phone", One),
    ("role", One),
];

/// Complains about the first path that leads nowhere in any event. `inners`:
/// where expressions stand in the text.
pub(super) fn check<'p>(
    text: &str,
    inners: &[Range<usize>],
    paths: impl IntoIterator<Item = &'p String>,
) -> Result<(), Malformed> {
    let mut paths: Vec<&String> = paths.into_iter().collect();
    paths.sort_unstable();
    for path in paths {
        let parts: Vec<&str> = path.split('.').collect();
        let Some((wrong, message)) = nowhere(&parts) else {
            continue;
        };
        let told = parts.get(..=wrong).unwrap_or_default();
        let place = inners.iter().find_map(|inner| place(text, inner, told));
        return Err(malformed(&message, place.unwrap_or(0..text.len())));
    }
    Ok(())
}

/// Which part of a path is wrong, and why.
fn nowhere(parts: &[&str]) -> Option<(usize, String)> {
    let mut names = ROOT;
    for (at, part) in parts.iter().enumerate() {
        let before = parts.get(..at).unwrap_or_default().join(".");
        let Some((_, holds)) = names.iter().find(|(name, _)| name == part) else {
            if at == 0 {
                // A variable of the template's own; roots have their own check.
                return None;
            }
            let known = || names.iter().map(|(name, _)| *name);
            let instead = match nearest(part, known()) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!(
                    "there are {}",
                    listed(known(), '`').replace(" or ", " and ")
                ),
            };
            return Some((at, format!("there is no `{before}.{part}`; {instead}")));
        };
        match holds {
            Anything => return None,
            Names(inner) => names = inner,
            One if at + 1 < parts.len() => {
                let name = format!("{before}.{part}");
                return Some((at + 1, format!("`{name}` is a text and holds no names")));
            }
            One => return None,
        }
    }
    None
}

/// The place of a dotted path's last part.
fn place(text: &str, inner: &Range<usize>, parts: &[&str]) -> Option<Range<usize>> {
    let tokens = tokens(text, inner).ok()?;
    let mut wanted: Vec<&str> = parts.iter().flat_map(|part| [*part, "."]).collect();
    wanted.pop();
    let found = tokens.windows(wanted.len()).find(|window| {
        window
            .iter()
            .zip(&wanted)
            .all(|(token, wanted)| token.text == *wanted)
    })?;
    found.last().map(|token| token.start..token.end())
}

/// Refuses signs that the language has not: minijinja ends its reading at some
/// of them, and what stands behind would silently not count.
pub(super) fn refuse_foreign(text: &str, inner: &Range<usize>) -> Result<(), Malformed> {
    const SIGNS: &str = "&!$?@`;^\\#";
    let tokens = tokens(text, inner)?;
    let foreign = tokens
        .iter()
        .find(|token| token.kind == Kind::Sign && SIGNS.contains(token.text));
    match foreign {
        None => Ok(()),
        Some(token) => Err(malformed(
            &format!("unexpected `{}`", token.text),
            token.start..token.end(),
        )),
    }
}

/// What an expression can begin with.
const ROOTS: [&str; 3] = ["event", "message", "payload"];

/// For a name that is none of them; what to write stands behind the semicolon.
pub(super) fn no_root(name: &str) -> String {
    let instead = match (nearest(name, ROOTS), name) {
        (Some(near), _) => format!("did you mean \"{near}\"?"),
        (None, "null" | "NULL" | "Null" | "nil" | "undefined") => {
            "write `none`, or `x is defined`".to_owned()
        }
        (None, _) => {
            format!("there are `event`, `message` and `payload`, and a text needs quotes: '{name}'")
        }
    };
    format!("there is no `{name}` here; {instead}")
}

/// What is wrong with an expression, and what to write instead.
pub fn advice(text: &str, malformed: &Malformed) -> (String, String) {
    let example = "an expression compares values, such as \"message.kind == 'text'\"";
    advised(malformed, hint(text).unwrap_or(example))
}

/// What is wrong with a text that holds `{{ … }}`, and what to write instead.
pub fn advice_in_template(text: &str, malformed: &Malformed) -> (String, String) {
    let example = "a template is a text with values in it, such as \"{{ message.text }}\"";
    // The braces it stumbled in.
    let before = text.get(..malformed.span.end).unwrap_or(text);
    let inner = before.rfind("{{").and_then(|at| text.get(at + 2..));
    let inner = inner.and_then(|inner| Some(inner.split_once("}}")?.0));
    let hinted = inner
        .filter(|inner| !inner.trim().is_empty())
        .and_then(hint);
    advised(malformed, hinted.unwrap_or(example))
}

/// Some reasons say behind a semicolon what there is instead.
fn advised(malformed: &Malformed, help: &str) -> (String, String) {
    if let Some((message, instead)) = malformed.message.split_once("; ") {
        return (message.to_owned(), instead.to_owned());
    }
    let said = malformed.message.as_str();
    // The parser's words, where they would puzzle.
    if said.starts_with("unknown statement") {
        let help = "write what is wanted in this place itself, as text or as {{ … }}";
        return (said.to_owned(), help.to_owned());
    }
    if let Some(missing) = said.strip_prefix("unexpected end of input, expected ") {
        let help = match missing {
            "expression" => help.to_owned(),
            "identifier or integer" => {
                "write a name behind the dot, such as message.text".to_owned()
            }
            missing => format!("write the {missing}"),
        };
        return ("it ends too early".to_owned(), help);
    }
    (said.to_owned(), help.to_owned())
}

/// What to write for a word of another language, if an expression that does
/// not parse has one.
fn hint(text: &str) -> Option<&'static str> {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Some(
            "write an expression such as \"message.kind == 'text'\", or leave the key out",
        );
    }
    if trimmed.starts_with("{{") {
        return Some("it is an expression already: leave {{ and }} away");
    }
    let tokens = tokens(text, &(0..text.len())).ok()?;
    // Named arguments, as in `map(attribute='url')`, have a `=` of their own.
    let mut calls: Vec<bool> = Vec::new();
    let mut before: Option<&Token<'_>> = None;
    for token in &tokens {
        let beside = before.filter(|before| before.end() == token.start);
        let twice = beside.is_some_and(|before| before.text == token.text);
        let found = match token.text {
            "(" => {
                calls.push(before.is_some_and(|before| before.kind == Kind::Word));
                None
            }
            ")" => {
                calls.pop();
                None
            }
            "&" if twice => Some("write `and` for `&&`"),
            "|" if twice => Some("write `or` for `||`"),
            "!" => Some("write `not` for `!`"),
            "/" if beside.is_none() => Some(
                "there are no regular expressions: write `x is startingwith('a')`, or `'a' in x`",
            ),
            ";" => Some("it is one expression: join two by `and` or `or`"),
            "$" => Some("names begin with event, message or payload: message.text"),
            "=" if calls.last() != Some(&true) => Some("two values are compared with `==`"),
            _ => None,
        };
        if found.is_some() {
            return found;
        }
        before = Some(token);
    }
    None
}

impl Expression {
    /// Whether it is true, where that depends on no event.
    pub fn constant(&self) -> Option<bool> {
        let decided = || self.compiled.eval(()).is_ok_and(|value| value.is_true());
        self.paths.is_empty().then(decided)
    }
}
