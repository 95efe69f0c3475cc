//! What is no TOML, in words: what is wrong there, and what to write instead.
//! One complaint for one mistake, although a parser stumbles on after it.

use std::ops::Range;

/// One place where the text is no TOML, or says something twice.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) span: Range<usize>,
    pub(super) message: String,
    pub(super) help: String,
    /// Only a key is written twice: the rest can be read all the same.
    pub(super) readable: bool,
}

/// What a parser says, as far as it is needed here.
pub(super) struct Stumble<'e> {
    pub(super) message: &'e str,
    pub(super) span: Range<usize>,
}

/// All faults, in the order of their places.
pub(super) fn faults(text: &str, mut stumbles: Vec<Stumble<'_>>) -> Vec<Fault> {
    stumbles.sort_by_key(|one| one.span.start);
    if let Some(conflict) = conflict(text).filter(|_| !stumbles.is_empty()) {
        return vec![conflict];
    }
    if let Some(first) = stumbles
        .first()
        .filter(|_| text.lines().any(|line| line.trim() == "{"))
    {
        return vec![one(&Line::at(text, first.span.start), first)];
    }
    let unclosed = stumbles.iter().any(|one| {
        ["unclosed inline table", "unclosed array"]
            .iter()
            .any(|said| one.message.starts_with(said))
    });
    let open = unclosed.then(|| open_bracket(text)).flatten();
    let mut found: Vec<Fault> = Vec::new();
    let mut last_line = None;
    for stumble in &stumbles {
        let line = Line::at(text, stumble.span.start);
        // What follows an open bracket was read as if it stood inside.
        if open
            .as_ref()
            .is_some_and(|open| open.span.start <= stumble.span.start)
            || last_line == Some(line.start)
        {
            continue;
        }
        // A text that goes on without its closing quote.
        if found.last().is_some_and(|last| last.message == NO_QUOTE) && open_quote(&line).is_some()
        {
            continue;
        }
        let fault = if stumble.message == "duplicate key" {
            match twice(text, &line, &stumble.span) {
                Some(fault) => fault,
                None => continue,
            }
        } else {
            one(&line, stumble)
        };
        last_line = Some(line.start);
        found.push(fault);
    }
    found.extend(open);
    found
}

const NO_QUOTE: &str = "this text has no quote at its end";

/// The line of a place.
struct Line<'t> {
    start: usize,
    text: &'t str,
}

impl<'t> Line<'t> {
    fn at(text: &'t str, at: usize) -> Self {
        let at = (0..=at.min(text.len()))
            .rev()
            .find(|at| text.is_char_boundary(*at))
            .unwrap_or(0);
        let (before, after) = text.split_at_checked(at).unwrap_or((text, ""));
        let start = before.rfind('\n').map_or(0, |end| end + 1);
        let end = after.find('\n').map_or(text.len(), |end| at + end);
        let text = text.get(start..end).unwrap_or_default();
        Self {
            start,
            text: text.trim_end_matches('\r'),
        }
    }

    /// The key in front of the equals sign, if it is a plain one.
    fn key(&self) -> Option<&'t str> {
        let (key, _) = self.text.split_once('=')?;
        let key = key.trim().trim_end_matches(':');
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        (!key.is_empty() && key.bytes().all(plain)).then_some(key)
    }

    /// `key = `, for what to write at a place.
    fn named(&self, at: usize) -> String {
        let before = self.text.get(..at.saturating_sub(self.start));
        let key = before.and_then(|before| Some(before.rsplit_once('=')?.0.trim_end()));
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        let key = key.and_then(|key| key.rsplit(|c| !plain(c)).next());
        match key {
            Some(key) if !key.is_empty() => format!("{key} = "),
            _ => String::new(),
        }
    }

    /// The whole line, without the space around it.
    fn span(&self) -> Range<usize> {
        let indent = self.text.len() - self.text.trim_start().len();
        let start = self.start + indent;
        start..(start + self.text.trim().len())
    }

    /// The run of letters a place is in, up to what ends a value.
    fn token(&self, at: usize) -> (Range<usize>, &'t str) {
        let ends =
            |c: char| c.is_whitespace() || matches!(c, ',' | '{' | '}' | '[' | ']' | '#' | '=');
        let at = at.saturating_sub(self.start).min(self.text.len());
        let (before, after) = self.text.split_at_checked(at).unwrap_or((self.text, ""));
        let start = before.rfind(ends).map_or(0, |end| {
            end + before
                .get(end..)
                .and_then(|rest| rest.chars().next())
                .map_or(1, char::len_utf8)
        });
        let end = after.find(ends).map_or(self.text.len(), |end| at + end);
        let token = self.text.get(start..end).unwrap_or_default();
        (self.start + start..self.start + end, token)
    }
}

fn fault(span: Range<usize>, message: impl Into<String>, help: impl Into<String>) -> Fault {
    Fault {
        span,
        message: message.into(),
        help: help.into(),
        readable: false,
    }
}

/// One stumble in words. Nothing that may be a secret is repeated.
fn one(line: &Line<'_>, stumble: &Stumble<'_>) -> Fault {
    let said = |part: &str| stumble.message.contains(part);
    let span = stumble.span.clone();
    let trimmed = line.text.trim_start();
    if trimmed.starts_with("//") || trimmed.starts_with("--") || trimmed.starts_with("/*") {
        return fault(line.span(), "this is no TOML", "a comment begins with #");
    }
    if trimmed.starts_with(['{', '}']) || trimmed.starts_with("\"") && trimmed.contains("\":") {
        let help =
            "tables are written as [server], and what is in them as `key = value`, a line each";
        return fault(line.span(), "this is JSON, and no TOML", help);
    }
    if said("extra `=`") {
        return fault(
            span,
            "there is an equals sign too many",
            "write `key = value`",
        );
    }
    if said("unclosed table") {
        let help = format!("write {}]", trimmed.trim_end());
        return fault(line.span(), "the bracket of this table is not closed", help);
    }
    if said("unexpected key or value") {
        let help = "each `key = value` has a line of its own; a comment begins with #";
        let place = line.token(span.end).0;
        return fault(place, "the line should end in front of this", help);
    }
    if said("keys cannot be empty") || said("key-value pair, expected key") {
        let help = "write `key = value`";
        return fault(
            line.span(),
            "there is no key in front of the equals sign",
            help,
        );
    }
    if said("with a dotted key") {
        let help = "a key has a value or keys below it, not both: remove one of the two";
        return fault(
            span,
            "this key has a value already, and can have no keys below it",
            help,
        );
    }
    if said("missing comma") {
        let help = "the parts of [ … ] and of { … } are told apart by commas";
        return fault(span, "a comma is missing here", help);
    }
    if said("missing escaped value") || said("escape") {
        let help = "single quotes take it as it is: '…'; in double quotes write it twice: \\\\";
        return fault(
            span,
            "a backslash means something else in double quotes",
            help,
        );
    }
    if said("visible characters") || said("control character") {
        let help = "remove it, or write its code, such as \\u0001";
        return fault(span, "there is a letter here that nobody can see", help);
    }
    if let Some(open) = open_quote(line).filter(|_| said("string")) {
        let help = format!(
            "close it on this line; more lines stand between three: {}\"\"\"…\"\"\"",
            line.named(open.start)
        );
        return fault(open, NO_QUOTE, help);
    }
    if said("unquoted key") || said("key with no value") {
        return no_pair(line, span);
    }
    value(line, span)
}

/// A line that should be `key = value`.
fn no_pair(line: &Line<'_>, span: Range<usize>) -> Fault {
    if line.text.contains('{') && line.text.contains(',') && line.text.contains('=') {
        let help = "each part of { … } is `key = value`; digits may be parted by _, as in 1_000";
        return fault(span, "a part of { … } has no value", help);
    }
    match line.text.split_once(':') {
        Some((key, _)) if !line.text.contains('=') => {
            let help = format!("write {} = …", key.trim());
            fault(
                line.span(),
                "a colon stands where the equals sign belongs",
                help,
            )
        }
        _ if line.text.contains('=') => {
            let help = "a key has letters, digits, - and _; anything else needs quotes";
            fault(line.span(), "this is no key", help)
        }
        _ => fault(
            line.span(),
            "this line is no `key = value`",
            "a comment begins with #",
        ),
    }
}

/// What stands behind an equals sign and is no value.
fn value(line: &Line<'_>, at: Range<usize>) -> Fault {
    let (span, token) = line.token(at.start);
    let named = line.named(span.start);
    if token.is_empty() {
        let behind = line
            .text
            .split_once('=')
            .is_some_and(|(_, value)| value.trim().is_empty());
        return if behind {
            fault(
                line.span(),
                "there is no value behind the equals sign",
                format!("write {named}\"…\", or remove the line"),
            )
        } else {
            let help =
                "each part of { … } is `key = value`; digits may be parted by _, as in 1_000";
            fault(at, "a part of this has no value", help)
        };
    }
    let small = token.to_ascii_lowercase();
    if small == "true" || small == "false" {
        return fault(
            span,
            "true and false are written small",
            format!("write {named}{small}"),
        );
    }
    if token.starts_with('$') {
        let help = "a secret is { env = \"NAME\" }; other values are written here as they are";
        return fault(span, "a variable of the shell is not looked up", help);
    }
    if token.contains(['“', '”', '„', '‘', '’', '«', '»']) {
        let help = format!("TOML knows the straight ones only: {named}\"…\"");
        return fault(span, "these are the quotes of a word processor", help);
    }
    if token.len() > 1 && token.starts_with('0') && token.bytes().all(|byte| byte.is_ascii_digit())
    {
        let number = token.trim_start_matches('0');
        let help = format!(
            "write {named}{}",
            if number.is_empty() { "0" } else { number }
        );
        return fault(span, "a number begins with no zero", help);
    }
    fault(
        span,
        "this text has no quotes",
        format!("write {named}\"…\""),
    )
}

/// From a quote that the line does not close to the end of the line.
fn open_quote(line: &Line<'_>) -> Option<Range<usize>> {
    let mut open: Option<(usize, char)> = None;
    let mut letters = line.text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match (letter, open) {
            ('\\', Some((_, '"'))) => drop(letters.next()),
            ('#', None) => break,
            ('"' | '\'', None) => open = Some((at, letter)),
            (letter, Some((_, quote))) if letter == quote => open = None,
            _ => {}
        }
    }
    open.map(|(at, _)| line.start + at..line.start + line.text.len())
}

/// The first bracket of a value that nothing closes.
fn open_bracket(text: &str) -> Option<Fault> {
    let mut open: Vec<(usize, char)> = Vec::new();
    let mut start = 0;
    for raw in text.split_inclusive('\n') {
        let line = Line { start, text: raw };
        start += raw.len();
        // A header closes itself, or is a fault of its own.
        if raw.trim_start().starts_with('[') && !raw.contains('=') {
            continue;
        }
        let mut quote = None;
        let mut letters = line.text.char_indices();
        while let Some((at, letter)) = letters.next() {
            match (letter, quote) {
                ('\\', Some('"')) => drop(letters.next()),
                ('#', None) => break,
                ('"' | '\'', None) => quote = Some(letter),
                (letter, Some(of)) if letter == of => quote = None,
                ('{' | '[', None) => open.push((line.start + at, letter)),
                ('}' | ']', None) => drop(open.pop()),
                _ => {}
            }
        }
    }
    let (at, letter) = *open.first()?;
    let close = if letter == '{' { '}' } else { ']' };
    let message = format!("nothing closes this {letter}");
    Some(fault(
        at..at + 1,
        message,
        format!("write {close} behind its last part"),
    ))
}

/// A merge that was left half done is one fault, whatever follows from it.
fn conflict(text: &str) -> Option<Fault> {
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        if line.starts_with("<<<<<<< ") || line.starts_with(">>>>>>> ") {
            let span = start..start + line.trim_end().len();
            let help =
                "keep one of the two sides, and remove the lines with <<<<<<<, ======= and >>>>>>>";
            return Some(fault(span, "a merge was not finished here", help));
        }
        start += line.len();
    }
    None
}

/// A key or a table that stands in the file already. `None`: a key of a table
/// that is itself there twice, which has been said.
fn twice(text: &str, line: &Line<'_>, span: &Range<usize>) -> Option<Fault> {
    let before = text.get(..line.start).unwrap_or_default();
    let trimmed = line.text.trim();
    let readable = |fault: Fault| {
        Some(Fault {
            readable: true,
            ..fault
        })
    };
    if trimmed.starts_with('[') {
        let name = trimmed.trim_matches(['[', ']']).trim();
        let first = before.lines().zip(1..).find(|(line, _)| {
            let line = line.trim();
            line.starts_with('[') && line.trim_matches(['[', ']']).trim() == name
        });
        let Some((first, number)) = first else {
            return readable(fault(
                span.clone(),
                "this table is written twice",
                "put all of it into one place",
            ));
        };
        let lists = |line: &str| line.trim().starts_with("[[");
        let help = if lists(first) == lists(trimmed) {
            format!(
                "the first is in line {number}: put all of it there, or give this one another name"
            )
        } else {
            format!(
                "line {number} says {}: write [[{name}]] in both places",
                first.trim()
            )
        };
        return readable(fault(span.clone(), "this table is written twice", help));
    }
    let table = before.rfind("\n[").map_or(0, |at| at + 1);
    let header = Line::at(text, table).text.trim();
    let earlier = before.get(..table).unwrap_or_default();
    let table_is_twice =
        header.starts_with('[') && earlier.lines().any(|line| line.trim() == header);
    if table_is_twice && !header.starts_with("[[") {
        return None;
    }
    let key = line.key().unwrap_or_default();
    let lines = before.lines().zip(1..);
    let first = lines.filter(|(one, number)| {
        let same = Line {
            start: 0,
            text: one,
        }
        .key()
            == Some(key);
        same && *number > earlier.lines().count()
    });
    let help = match first.last() {
        Some((_, number)) if !key.is_empty() => {
            format!("the first is in line {number}: remove one of the two")
        }
        _ => "remove one of the two".to_owned(),
    };
    readable(fault(span.clone(), "this key is written twice", help))
}
