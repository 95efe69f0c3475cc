//! How complaints are worded: "did you mean", lists, what a value is, where
//! inside a text.

use std::borrow::Cow;
use std::ops::Range;

use toml::Spanned;
use toml::de::DeValue;

/// The nearest of `candidates` to `word`, if one is near: at most a third of
/// the word's letters differ (one at least), a swap of two neighbours counting
/// as one.
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let lower: Vec<char> = word.to_lowercase().chars().take(LETTERS_MAX).collect();
    let reach = (lower.len() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (distance(&lower, candidate), candidate))
        .filter(|(distance, _)| *distance <= reach)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Names are short; a longer word is compared by its start.
const LETTERS_MAX: usize = 64;

/// Optimal string alignment, row by row.
fn distance(word: &[char], candidate: &str) -> usize {
    let other: Vec<char> = candidate.to_lowercase().chars().take(LETTERS_MAX).collect();
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=other.len()).collect();
    for (i, have) in word.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, want) in other.iter().enumerate() {
            let at =
                |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX / 2);
            let mut best = (at(&above, j) + usize::from(have != want))
                .min(at(&above, j + 1) + 1)
                .min(at(&row, j) + 1);
            let swapped =
                i > 0 && j > 0 && word.get(i - 1) == Some(want) && other.get(j - 1) == Some(have);
            if swapped {
                best = best.min(at(&before, j - 1) + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above.last().copied().unwrap_or(word.len())
}

/// The place of `within`, a byte range of a text's value, in the file: exact
/// where the text is written without escapes, else the whole text.
pub fn inside(value: &Spanned<DeValue<'_>>, within: &Range<usize>) -> Range<usize> {
    let span = value.span();
    let DeValue::String(Cow::Borrowed(text)) = value.get_ref() else {
        return span;
    };
    // One quote on each side, or three of them and perhaps a line end after
    // the first three.
    let around = span.len().saturating_sub(text.len());
    let before = match around {
        2 => 1,
        6.. => around - 3,
        _ => return span,
    };
    let start = span.start + before + within.start.min(text.len());
    let end = span.start + before + within.end.min(text.len());
    if start < end { start..end } else { span }
}

/// What a value is, for people: `a whole number`, `a list`, ….
pub fn describe(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a floating-point number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// "did you mean …?", if one of the candidates is near.
pub fn did_you_mean<'c>(
    word: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<String> {
    nearest(word, candidates).map(|near| format!("did you mean \"{near}\"?"))
}

/// `"a", "b" or "c"`.
pub fn listed<'c>(words: impl IntoIterator<Item = &'c str>, quote: char) -> String {
    let quoted: Vec<String> = words
        .into_iter()
        .map(|word| format!("{quote}{word}{quote}"))
        .collect();
    match quoted.split_last() {
        None => String::new(),
        Some((one, [])) => one.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
    }
}

/// A stranger's word, cut so that a complaint stays a line.
pub(super) fn short(word: &str) -> Cow<'_, str> {
    match word.char_indices().nth(60) {
        Some((end, _)) => Cow::Owned(format!("{}…", word.get(..end).unwrap_or_default())),
        None => Cow::Borrowed(word),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_recognised_and_another_word_is_not() {
        let names = ["crm", "analytics", "warehouse", "help-desk"];
        for (word, near) in [
            ("crn", Some("crm")),
            ("cmr", Some("crm")),
            ("CRM", Some("crm")),
            ("analitics", Some("analytics")),
            ("warehuose", Some("warehouse")),
            ("helpdesk", Some("help-desk")),
            ("billing", None),
            ("", None),
            ("x", None),
        ] {
            assert_eq!(nearest(word, names), near, "{word}");
        }
    }

    #[test]
    fn the_nearer_of_two_wins() {
        assert_eq!(nearest("timeot", ["timeouts", "timeout"]), Some("timeout"));
    }
}
