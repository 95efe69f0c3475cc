//! Looks at a template's text before minijinja does: where its pieces are,
//! what is not offered here, and where `*` needs a guard.
//!
//! minijinja multiplies texts and lists. A list times a number from an event
//! would fill the memory, so that every factor is passed through the guard
//! filter [`FACTOR`], which lets numbers through and nothing else.

use std::ops::Range;

use super::Malformed;
use super::words::{self, FACTOR};

/// One piece of a template. Ranges are bytes of the whole text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Text(Range<usize>),
    /// `{{ inner }}`.
    Value {
        outer: Range<usize>,
        inner: Range<usize>,
    },
    /// `{% inner %}`.
    Tag {
        inner: Range<usize>,
    },
    /// `{# … #}`.
    Comment,
}

/// Cuts a template into its pieces.
pub(super) fn pieces(text: &str) -> Result<Vec<Piece>, Malformed> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let (mut at, mut text_from) = (0, 0);
    while let Some(pair) = bytes.get(at..at + 2) {
        let opens = matches!(pair, b"{{" | b"{%" | b"{#");
        if !opens {
            at += 1;
            continue;
        }
        if text_from < at {
            found.push(Piece::Text(text_from..at));
        }
        let end = match pair {
            b"{#" => {
                let length = text.get(at + 2..).and_then(|rest| rest.find("#}"));
                let length =
                    length.ok_or_else(|| malformed("the comment has no end", at..at + 2))?;
                found.push(Piece::Comment);
                at + 2 + length + 2
            }
            b"{{" => {
                let (inner, end) = inner_of(text, at, "}}")?;
                found.push(Piece::Value {
                    outer: at..end,
                    inner,
                });
                end
            }
            _ => {
                let (inner, end) = inner_of(text, at, "%}")?;
                found.push(Piece::Tag { inner });
                end
            }
        };
        at = end;
        text_from = end;
    }
    if text_from < text.len() {
        found.push(Piece::Text(text_from..text.len()));
    }
    Ok(found)
}

/// What stands between the markers that start at `at`, and where they end.
fn inner_of(text: &str, at: usize, closing: &str) -> Result<(Range<usize>, usize), Malformed> {
    let bytes = text.as_bytes();
    let mut start = at + 2;
    if matches!(bytes.get(start), Some(b'-' | b'+')) {
        start += 1;
    }
    let mut cursor = start;
    let mut depth = 0_usize;
    loop {
        let rest = bytes.get(cursor..).unwrap_or_default();
        if depth == 0 {
            if rest.starts_with(closing.as_bytes()) {
                return Ok((start..cursor, cursor + 2));
            }
            let trims = matches!(rest.first(), Some(b'-' | b'+'));
            if trims
                && rest
                    .get(1..)
                    .unwrap_or_default()
                    .starts_with(closing.as_bytes())
            {
                return Ok((start..cursor, cursor + 3));
            }
        }
        match rest.first() {
            None => return Err(malformed(&format!("`{closing}` is missing"), at..at + 2)),
            Some(b'(' | b'[' | b'{') => depth += 1,
            Some(b')' | b']' | b'}') => depth = depth.saturating_sub(1),
            Some(quote @ (b'\'' | b'"')) => cursor = string_end(bytes, cursor, *quote)? - 1,
            Some(_) => {}
        }
        cursor += 1;
    }
}

/// Just past the text literal that starts at `at`.
fn string_end(bytes: &[u8], at: usize, quote: u8) -> Result<usize, Malformed> {
    let mut cursor = at + 1;
    loop {
        match bytes.get(cursor) {
            None => return Err(malformed("the text has no closing quote", at..at + 1)),
            Some(b'\\') => cursor += 2,
            Some(byte) if *byte == quote => return Ok(cursor + 1),
            Some(_) => cursor += 1,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Word,
    Number,
    Text,
    Sign,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'t> {
    pub(super) kind: Kind,
    pub(super) text: &'t str,
    pub(super) start: usize,
}

impl Token<'_> {
    pub(super) const fn end(&self) -> usize {
        self.start + self.text.len()
    }

    fn is(&self, text: &str) -> bool {
        self.kind != Kind::Text && self.text == text
    }
}

pub(super) fn tokens<'t>(text: &'t str, inner: &Range<usize>) -> Result<Vec<Token<'t>>, Malformed> {
    let bytes = text.as_bytes().get(..inner.end).unwrap_or_default();
    let mut found = Vec::new();
    let mut at = inner.start;
    while let Some(byte) = bytes.get(at) {
        let rest = bytes.get(at..).unwrap_or_default();
        let (kind, length) = match byte {
            _ if byte.is_ascii_whitespace() => {
                at += 1;
                continue;
            }
            b'\'' | b'"' => (Kind::Text, string_end(bytes, at, *byte)? - at),
            b'0'..=b'9' => (Kind::Number, number_length(rest)),
            _ if is_word(*byte) => (
                Kind::Word,
                rest.iter().take_while(|byte| is_word(**byte)).count(),
            ),
            _ => match rest.get(..2) {
                Some(b"//" | b"**" | b"==" | b"!=" | b">=" | b"<=") => (Kind::Sign, 2),
                _ => (Kind::Sign, 1),
            },
        };
        found.push(Token {
            kind,
            text: text.get(at..at + length).unwrap_or_default(),
            start: at,
        });
        at += length;
    }
    Ok(found)
}

/// Letters beyond ASCII count as word bytes here, so that a token is never cut
/// inside a character; minijinja refuses them.
const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii()
}

fn number_length(rest: &[u8]) -> usize {
    let mut length = 0;
    while let Some(byte) = rest.get(length) {
        let signed = matches!(byte, b'+' | b'-')
            && length > 0
            && matches!(rest.get(length - 1), Some(b'e' | b'E'))
            && !rest.starts_with(b"0x");
        let point = *byte == b'.' && rest.get(length + 1).is_some_and(u8::is_ascii_digit);
        if !(is_word(*byte) || signed || point) {
            break;
        }
        length += 1;
    }
    length
}

const KEYWORDS: &[&str] = &[
    "if", "elif", "else", "and", "or", "not", "in", "is", "for", "set", "true", "false", "none",
];

/// Refuses what is not offered in one expression or tag, and returns where
/// guards are to be inserted: at these bytes, in order.
pub(super) fn guards(text: &str, inner: &Range<usize>) -> Result<Vec<usize>, Malformed> {
    let tokens = tokens(text, inner)?;
    let mut guards = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        let before = index.checked_sub(1).and_then(|index| tokens.get(index));
        let after = tokens.get(index + 1);
        check_names(&tokens, index, before, after)?;
        if token.is("*") || token.is("**") {
            let operand_before = before.is_some_and(|before| {
                before.kind != Kind::Sign || matches!(before.text, ")" | "]" | "}")
            });
            if !operand_before {
                return Err(malformed(
                    "spreading arguments with `*` is not offered",
                    token.start..token.end(),
                ));
            }
        }
        if token.is("*") {
            guards.push(before.map_or(token.start, Token::end));
            guards.push(operand_end(&tokens, index + 1, inner.end));
        }
    }
    guards.sort_unstable();
    Ok(guards)
}

/// Filters and tests must be known, and nothing else can be called.
fn check_names(
    tokens: &[Token<'_>],
    index: usize,
    before: Option<&Token<'_>>,
    after: Option<&Token<'_>>,
) -> Result<(), Malformed> {
    let Some(token) = tokens.get(index).filter(|token| token.kind == Kind::Word) else {
        return Ok(());
    };
    let span = token.start..token.end();
    if before.is_some_and(|before| before.is("|")) {
        if !words::is_filter(token.text) {
            let message = format!(
                "there is no filter `{}`; there are {}",
                token.text,
                words::filter_names()
            );
            return Err(malformed(&message, span));
        }
        return Ok(());
    }
    let two_before = index.checked_sub(2).and_then(|index| tokens.get(index));
    let tested = before.is_some_and(|before| before.is("is"))
        && !two_before.is_some_and(|token| token.is("."))
        || before.is_some_and(|before| before.is("not"))
            && two_before.is_some_and(|token| token.is("is"));
    if tested && token.text != "not" {
        if !words::is_test(token.text) {
            let message = format!(
                "there is no test `{}`; there are {}",
                token.text,
                words::test_names()
            );
            return Err(malformed(&message, span));
        }
        return Ok(());
    }
    let attribute = before.is_some_and(|before| before.is("."));
    if after.is_some_and(|after| after.is("(")) && (attribute || !KEYWORDS.contains(&token.text)) {
        let message = format!(
            "`{}(…)`: there are no functions here; write a filter or a test, such as `x | lower` or `x is startingwith('a')`; filters: {}",
            token.text,
            words::filter_names()
        );
        return Err(malformed(&message, span));
    }
    Ok(())
}

/// Where the operand that starts at token `index` ends.
fn operand_end(tokens: &[Token<'_>], index: usize, end: usize) -> usize {
    const BINARY: &[&str] = &[
        "*", "/", "//", "%", "+", "-", "~", "==", "!=", "<", "<=", ">", ">=", ",", ":", "=",
    ];
    const WORDS: &[&str] = &["and", "or", "not", "in", "if", "else", "is"];
    let mut depth = 0_usize;
    let mut last = None;
    for (offset, token) in tokens.iter().enumerate().skip(index) {
        let attribute = offset
            .checked_sub(1)
            .and_then(|index| tokens.get(index))
            .is_some_and(|before| before.is("."));
        let sign_of_operand = last.is_none() && token.is("-");
        if depth == 0 && !sign_of_operand {
            let closes = token.kind == Kind::Sign && matches!(token.text, ")" | "]" | "}");
            let binary = token.kind == Kind::Sign && BINARY.contains(&token.text);
            let word = token.kind == Kind::Word && WORDS.contains(&token.text) && !attribute;
            if closes || binary || word {
                break;
            }
        }
        if token.kind == Kind::Sign {
            match token.text {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        if !sign_of_operand {
            last = Some(token.end());
        }
    }
    last.unwrap_or(end)
}

/// Refuses the tags that are not offered.
pub(super) fn check_tag(text: &str, inner: &Range<usize>) -> Result<(), Malformed> {
    let tokens = tokens(text, inner)?;
    let name = tokens
        .first()
        .filter(|token| token.kind == Kind::Word)
        .map_or("", |token| token.text);
    let has = |word: &str| tokens.iter().any(|token| token.is(word));
    let span = inner.clone();
    match name {
        "if" | "elif" | "else" | "endif" | "endfor" => Ok(()),
        "for" if has("recursive") => Err(malformed("recursive loops are not offered", span)),
        "for" => Ok(()),
        // A captured block would grow outside the cap on what is rendered.
        "set" if has("=") => Ok(()),
        "set" | "endset" => Err(malformed(
            "`set` takes a value: {% set name = value %}",
            span,
        )),
        _ => Err(malformed(
            &format!("`{name}` is not offered; there are if, elif, else, for, set"),
            span,
        )),
    }
}

/// `text[range]` with the guards put in.
pub(super) fn guarded(text: &str, range: &Range<usize>, guards: &[usize]) -> String {
    let mut out = String::with_capacity(range.len() + guards.len() * (FACTOR.len() + 1));
    let mut from = range.start;
    for at in guards {
        out.push_str(text.get(from..*at).unwrap_or_default());
        out.push('|');
        out.push_str(FACTOR);
        from = *at;
    }
    out.push_str(text.get(from..range.end).unwrap_or_default());
    out
}

/// Where a name stands in the text as a word of its own.
pub(super) fn find_word(text: &str, inner: &Range<usize>, name: &str) -> Option<Range<usize>> {
    let tokens = tokens(text, inner).ok()?;
    let mut before: Option<&Token<'_>> = None;
    for token in &tokens {
        let attribute = before.is_some_and(|before| before.is("."));
        if token.kind == Kind::Word && token.text == name && !attribute {
            return Some(token.start..token.end());
        }
        before = Some(token);
    }
    None
}

pub(super) fn malformed(message: &str, span: Range<usize>) -> Malformed {
    Malformed {
        message: message.to_owned(),
        span,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_cut_at_its_markers() {
        let check = |text: &str, expected: &[&str]| {
            let cut: Vec<String> = pieces(text)
                .unwrap()
                .into_iter()
                .map(|piece| match piece {
                    Piece::Text(range) => format!("t:{}", &text[range]),
                    Piece::Value { inner, .. } => format!("v:{}", &text[inner]),
                    Piece::Tag { inner } => format!("b:{}", &text[inner]),
                    Piece::Comment => "c".to_owned(),
                })
                .collect();
            assert_eq!(cut, expected, "{text}");
        };
        check("", &[]);
        check("plain { } text", &["t:plain { } text"]);
        check("{{ a }}", &["v: a "]);
        check("a{{- b -}}c", &["t:a", "v: b ", "t:c"]);
        check("{{ '}}' }}x", &["v: '}}' ", "t:x"]);
        check("{{ {'a': {}} }}", &["v: {'a': {}} "]);
        check(r#"{{ "\"}}" }}"#, &[r#"v: "\"}}" "#]);
        check(
            "{% if a %}b{% endif %}{# {{ no }} #}",
            &["b: if a ", "t:b", "b: endif ", "c"],
        );
        for open in ["{{ a", "{% if", "{# no", "{{ 'a }}", "{{ (a }}"] {
            assert!(pieces(open).is_err(), "{open}");
        }
    }

    #[test]
    fn every_factor_is_guarded() {
        let check = |text: &str, expected: &str| {
            let range = 0..text.len();
            let guards = guards(text, &range).unwrap();
            assert_eq!(
                guarded(text, &range, &guards).replace(FACTOR, "F"),
                expected,
                "{text}"
            );
        };
        check("a + b", "a + b");
        check("a * b", "a|F * b|F");
        check("a.b['*'] * -c.d|int + 1", "a.b['*']|F * -c.d|int|F + 1");
        check("a * b * c", "a|F * b|F|F * c|F");
        check("(a + b) * [1, 2][0] == 3", "(a + b)|F * [1, 2][0]|F == 3");
        check("2 * 1.5e-3 - x", "2|F * 1.5e-3|F - x");
        check("a * b if c else d", "a|F * b|F if c else d");
        check("[a * b, c]", "[a|F * b|F, c]");
        check("a ** 2 * b", "a ** 2|F * b|F");
        check("foo.1 * x.in", "foo.1|F * x.in|F");
    }
}
