//! Which parts of a configuration's text are, or may be, secrets that somebody
//! typed in. Whoever shows a part of the text shows `***` instead.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use crate::decode::{nearest, tells_proof, tells_secret};

/// What stands in for a secret.
const MASK: &str = "***";

/// The text as it may be shown.
pub fn masked(text: &str) -> String {
    let masks = masks(text, Vec::new());
    Masked::new(text, &masks).text
}

/// A text without its secrets, that knows where the rest has moved.
pub(super) struct Masked {
    pub(super) text: String,
    /// Original range, and where its replacement starts.
    moved: Vec<(Range<usize>, usize)>,
}

impl Masked {
    /// `masks` are sorted and do not overlap.
    pub(super) fn new(text: &str, masks: &[Range<usize>]) -> Self {
        let mut shown = String::with_capacity(text.len());
        let mut moved = Vec::new();
        let mut done = 0;
        for mask in masks {
            shown.push_str(text.get(done..mask.start).unwrap_or_default());
            moved.push((mask.clone(), shown.len()));
            shown.push_str(MASK);
            done = mask.end;
        }
        shown.push_str(text.get(done..).unwrap_or_default());
        Self { text: shown, moved }
    }

    /// Where an original range is now; a range that ends inside a mask takes
    /// in all of it.
    pub(super) fn place(&self, span: &Range<usize>) -> Range<usize> {
        self.offset(span.start, false)..self.offset(span.end, true)
    }

    fn offset(&self, at: usize, end: bool) -> usize {
        let Some((mask, start)) = self
            .moved
            .iter()
            .rfind(|(mask, _)| mask.start < at || (mask.start == at && !end))
        else {
            return at;
        };
        if at >= mask.end {
            start + MASK.len() + (at - mask.end)
        } else if end {
            start + MASK.len()
        } else {
            *start
        }
    }
}

/// Everything to mask in a text: what a decoder found typed, the values of
/// keys that sound like secrets, and the credentials inside addresses.
pub(super) fn masks(text: &str, mut typed: Vec<Range<usize>>) -> Vec<Range<usize>> {
    let (tree, errors) = DeTable::parse_recoverable(text);
    in_table(text, tree.get_ref(), tells, &mut typed);
    // What is no TOML has no tree to look into: its lines are judged by eye.
    for error in errors {
        if let Some(span) = error.span() {
            in_lines(text, &span, &mut typed);
        }
    }
    typed.retain(|mask| {
        mask.start < mask.end
            && text.is_char_boundary(mask.start)
            && text.is_char_boundary(mask.end)
    });
    typed.sort_by_key(|mask| mask.start);
    let mut merged: Vec<Range<usize>> = Vec::new();
    for mask in typed {
        match merged.last_mut() {
            Some(last) if mask.start <= last.end => last.end = last.end.max(mask.end),
            _ => merged.push(mask),
        }
    }
    merged
}

/// Parts of a key that say its value is a secret.
const TELLTALES: &[&str] = &[
    "secret",
    "token",
    "password",
    "passwd",
    "passphrase",
    "api_key",
    "apikey",
    "api-key",
    "authorization",
    "credential",
    "private_key",
    "signing",
];

fn tells(key: &str) -> bool {
    // Alone, these name a selector, a certificate's key, a source's proof.
    let proof = tells_proof(key) && !matches!(key, "key" | "auth");
    if proof || tells_secret(key) {
        return true;
    }
    let key = key.to_ascii_lowercase();
    // A slip in the key must not show its value either.
    TELLTALES.iter().any(|telltale| key.contains(telltale))
        || nearest(&key, TELLTALES.iter().copied()).is_some()
}

/// What the keys of a request's own tables say.
fn tells_there(key: &str) -> bool {
    tells(key) || tells_proof(key)
}

type Tells = fn(&str) -> bool;

fn in_table(text: &str, table: &DeTable<'_>, says: Tells, masks: &mut Vec<Range<usize>>) {
    for (key, value) in table.iter() {
        let inner: Tells = if matches!(key.get_ref().as_ref(), "headers" | "query") {
            tells_there
        } else {
            says
        };
        // Where a scheme belongs, somebody may have typed the secret itself.
        let misplaced = key.get_ref() == "auth" && value.get_ref().as_str() != Some("none");
        in_value(text, misplaced || says(key.get_ref()), value, inner, masks);
    }
}

fn in_value(
    text: &str,
    secret: bool,
    value: &toml::Spanned<DeValue<'_>>,
    inner: Tells,
    masks: &mut Vec<Range<usize>>,
) {
    match value.get_ref() {
        DeValue::Table(table) => in_table(text, table, inner, masks),
        DeValue::Array(items) => {
            for item in items.iter() {
                in_value(text, secret, item, inner, masks);
            }
        }
        // A template names things; it is shown.
        DeValue::String(content) if secret && !content.contains("{{") => {
            masks.push(within_quotes(text, value.span()))
        }
        DeValue::String(_) => in_address(text, value.span(), masks),
        DeValue::Integer(_) | DeValue::Float(_) if secret => masks.push(value.span()),
        DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => {}
    }
}

/// The quotes stay, so that the line still reads as TOML.
fn within_quotes(text: &str, span: Range<usize>) -> Range<usize> {
    let quoted = text.get(span.clone()).is_some_and(|raw| {
        raw.len() >= 2 && raw.starts_with(['"', '\'']) && raw.ends_with(['"', '\''])
    });
    if quoted {
        span.start + 1..span.end - 1
    } else {
        span
    }
}

/// `https://user:password@host/?token=…`: the password, and the values of
/// parameters that sound like secrets.
fn in_address(text: &str, span: Range<usize>, masks: &mut Vec<Range<usize>>) {
    let inner = within_quotes(text, span);
    let Some(address) = text.get(inner.clone()) else {
        return;
    };
    if let Some((scheme, rest)) = address.split_once("://") {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if let Some((user, _)) = authority.rsplit_once('@') {
            let start = inner.start + scheme.len() + 3;
            masks.push(start..start + user.len());
        }
    }
    let mut start = address.find('?').map_or(address.len(), |at| at + 1);
    for pair in address.get(start..).unwrap_or_default().split('&') {
        if let Some((name, value)) = pair.split_once('=')
            && tells_there(name)
            && !value.contains("{{")
        {
            let from = inner.start + start + name.len() + 1;
            masks.push(from..from + value.len());
        }
        start += pair.len() + 1;
    }
}

/// The values on the lines of a span, wherever a key on them sounds like a
/// secret.
fn in_lines(text: &str, span: &Range<usize>, masks: &mut Vec<Range<usize>>) {
    let begin = text
        .get(..span.start)
        .and_then(|before| before.rfind('\n'))
        .map_or(0, |at| at + 1);
    let finish = text
        .get(span.end..)
        .and_then(|after| after.find('\n'))
        .map_or(text.len(), |at| span.end + at);
    let mut start = begin;
    for line in text.get(begin..finish).unwrap_or_default().split('\n') {
        if let Some((key, value)) = line.split_once('=')
            && tells(line)
        {
            let from = start + key.len() + 1;
            masks.push(from..from + value.trim_end().len());
        }
        start += line.len() + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sounds_like_a_secret_is_not_shown() {
        for (text, shown) in [
            ("api_key = 'hunter2'", "api_key = '***'"),
            ("secrets = [\"a\", \"b\"]", "secrets = [\"***\", \"***\"]"),
            ("secret = { env = 'NAME' }", "secret = { env = 'NAME' }"),
            (
                "headers = { Authorization = \"Bearer x\" }",
                "headers = { Authorization = \"***\" }",
            ),
            (
                "headers = { Authorization = \"{{ payload.auth }}\" }",
                "headers = { Authorization = \"{{ payload.auth }}\" }",
            ),
            (
                "url = 'https://me:pass@x.example/?token=abc&page=2'",
                "url = 'https://***@x.example/?token=***&page=2'",
            ),
            ("token = 12345", "token = ***"),
            ("name = 'kept'", "name = 'kept'"),
            ("api_kye = 'hunter2'", "api_kye = '***'"),
            ("auth = 'hunter2'", "auth = '***'"),
            ("auth = 'none'", "auth = 'none'"),
            (
                "api_key = 'hunter2\nname = 'kept'",
                "api_key =***\nname = 'kept'",
            ),
        ] {
            assert_eq!(masked(text), shown, "{text}");
        }
    }

    #[test]
    fn a_place_moves_with_what_is_masked_before_it() {
        let text = "a = 'secret', b = 1";
        let masked = Masked::new(text, std::slice::from_ref(&(5..11)));
        assert_eq!(masked.text, "a = '***', b = 1");
        for (original, shown) in [
            (0..1, "a"),
            (4..12, "'***'"),
            (5..11, "***"),
            (7..9, "***"),
            (14..15, "b"),
        ] {
            assert_eq!(
                masked.text.get(masked.place(&original)),
                Some(shown),
                "{original:?}"
            );
        }
    }
}
