//! The way out of a complaint: what to write instead.

use toml::de::DeValue;

use super::wording::{did_you_mean, listed, nearest};

/// Words of other programs, and what they are called here. Several where
/// another table has another word.
const SYNONYMS: &[(&str, &[&str])] = &[
    ("address", &["listen", "url"]),
    ("api_key", &["secret"]),
    ("bind", &["listen"]),
    ("condition", &["when"]),
    ("destination", &["to"]),
    ("destinations", &["destination", "to"]),
    ("endpoint", &["url", "base_url"]),
    ("event", &["on"]),
    ("events", &["on"]),
    ("filter", &["when"]),
    ("host", &["listen", "url"]),
    ("if", &["when"]),
    ("key", &["secret", "api_key"]),
    ("limit", &["max_events", "rate"]),
    ("max_attempts", &["retry"]),
    ("max_retries", &["retry"]),
    ("max_size", &["max_body"]),
    ("path", &["data_dir", "file"]),
    ("port", &["listen"]),
    ("retention", &["retain"]),
    ("retries", &["retry"]),
    ("secret", &["password", "api_key", "auth"]),
    ("signature", &["auth", "sign"]),
    ("size", &["max_bytes"]),
    ("source", &["from"]),
    ("sources", &["source", "from"]),
    ("threshold", &["failures"]),
    ("timeout_ms", &["timeout"]),
    ("token", &["secret", "api_key", "auth"]),
    ("type", &["on", "scheme", "kind"]),
    ("types", &["on"]),
    ("uri", &["url"]),
    ("where", &["when"]),
];

/// More keys than this are named in part.
const LISTED_MAX: usize = 12;

/// For a key nobody asked for. `known`: what was asked for; `unused`: those of
/// them that are not written. At the `top`, a table may be written again.
pub(super) fn unknown_key(
    name: &str,
    known: &[&'static str],
    unused: &[&'static str],
    top: bool,
) -> Option<String> {
    let open: Vec<&str> = if top { known.to_vec() } else { unused.to_vec() };
    if let Some(help) = did_you_mean(name, open.iter().copied()) {
        return Some(help);
    }
    let meant = SYNONYMS.iter().find(|(word, _)| *word == name);
    let meant = meant.into_iter().flat_map(|(_, ours)| ours.iter());
    if let Some(ours) = meant.clone().find(|ours| open.contains(*ours)) {
        return Some(format!("did you mean \"{ours}\"?"));
    }
    if ["secret", "secrets", "token", "scheme", "tolerance"].contains(&name)
        && known.contains(&"auth")
    {
        return Some(format!(
            "it belongs into `auth`: auth = {{ …, {name} = … }}"
        ));
    }
    let written = nearest(name, known.iter().copied())
        .or_else(|| meant.copied().find(|ours| known.contains(ours)));
    if let Some(written) = written {
        return Some(format!("`{written}` is written already: remove this one"));
    }
    match unused {
        [] => Some("remove it".to_owned()),
        some => {
            let shown = some.iter().copied().take(LISTED_MAX);
            let more = some.len().saturating_sub(LISTED_MAX);
            let more = if more > 0 {
                format!(", and {more} more, which `hookfan schema` lists")
            } else {
                String::new()
            };
            Some(format!(
                "keys that could stand here: {}{more}",
                listed(shown, '`')
            ))
        }
    }
}

/// For a table that is none.
pub(super) fn table(key: &str, known: &[&str]) -> String {
    match known {
        [] => format!("write {key} = {{ … }}, or leave it out"),
        [first, ..] => format!(
            "write {key} = {{ {first} = … }}, or leave it out; its keys: {}",
            listed(known.iter().copied().take(LISTED_MAX), '`').replace(" or ", " and ")
        ),
    }
}

/// For a value of another type, what could be written.
pub(super) fn instead(key: &str, expected: &str, value: &DeValue<'_>) -> String {
    let number = match value {
        DeValue::Integer(number) => Some(number.as_str()),
        _ => None,
    };
    match (expected, number) {
        ("a text", Some(number)) => format!("write it in quotes: {key} = \"{number}\""),
        ("a text", None) => format!("write one text in quotes: {key} = \"…\""),
        ("true or false", _) => format!("write {key} = true or {key} = false, without quotes"),
        ("a text or a list of texts", _) => {
            format!("write {key} = \"…\" or {key} = [\"…\", \"…\"]")
        }
        ("a table or a list of tables", _) => {
            format!("write {key} = {{ … }} or {key} = [{{ … }}, {{ … }}]")
        }
        (_, Some(number)) if expected.starts_with("a duration") => {
            format!("write quotes and a unit: \"{number}s\", \"{number}m\" or \"{number}h\"")
        }
        (_, Some(number)) if expected.starts_with("a rate") => {
            format!("write quotes and a unit: \"{number}/s\" or \"{number}/m\"")
        }
        _ if expected.starts_with("a whole number") => {
            format!("write digits alone, such as {key} = 10")
        }
        _ => format!("write {expected}"),
    }
}

/// A text that nearly is a measure, as it should be written: the first of some
/// usual ways to miss it that `reads`.
pub(super) fn nearly(text: &str, reads: impl Fn(&str) -> bool) -> Option<String> {
    const WORDS: &[(&str, &str)] = &[
        ("milliseconds", "ms"),
        ("millis", "ms"),
        ("msec", "ms"),
        ("seconds", "s"),
        ("second", "s"),
        ("secs", "s"),
        ("sec", "s"),
        ("minutes", "m"),
        ("minute", "m"),
        ("mins", "m"),
        ("min", "m"),
        ("hours", "h"),
        ("hour", "h"),
        ("hrs", "h"),
        ("hr", "h"),
        ("days", "d"),
        ("day", "d"),
        ("weeks", "w"),
        ("week", "w"),
        ("kilobytes", "KiB"),
        ("megabytes", "MiB"),
        ("gigabytes", "GiB"),
        ("bytes", "B"),
        ("rps", "/s"),
        ("rpm", "/m"),
        ("per ", "/"),
    ];
    let lower = text.trim().to_lowercase();
    let mut spelled = lower.clone();
    for (word, unit) in WORDS {
        spelled = spelled.replace(word, unit);
    }
    let tight = |text: &str| text.replace(' ', "");
    let iso = lower.trim_start_matches('p').replacen('t', "", 1);
    let tries = [
        text.replace(',', "."),
        lower,
        tight(&spelled),
        iso,
        format!("{}iB", text.trim()),
        format!("{}s", text.trim()),
        format!("{}/s", text.trim()),
    ];
    tries.into_iter().find(|one| one != text && reads(one))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::quantity;

    #[test]
    fn a_measure_that_was_nearly_written_is_shown_as_it_should_be() {
        let duration = |text: &str| nearly(text, |one| quantity::duration(one).is_ok());
        let size = |text: &str| nearly(text, |one| quantity::size(one).is_ok());
        let rate = |text: &str| nearly(text, |one| quantity::rate(one).is_ok());
        for (guess, expected) in [
            (duration("30sec"), Some("30s")),
            (duration("5 minutes"), Some("5m")),
            (duration("5M"), Some("5m")),
            (duration("2,5s"), Some("2.5s")),
            (duration("PT24H"), Some("24h")),
            (duration("30"), Some("30s")),
            (duration("soon"), None),
            (size("64M"), Some("64MiB")),
            (size("64 megabytes"), Some("64MiB")),
            (size("-1"), None),
            (rate("500/sec"), Some("500/s")),
            (rate("500rps"), Some("500/s")),
            (rate("500 per minute"), Some("500/m")),
            (rate("500"), Some("500/s")),
        ] {
            assert_eq!(guess.as_deref(), expected);
        }
    }

    #[test]
    fn the_word_of_another_program_is_known() {
        let keys: &[&str] = &["from", "on", "to", "when"];
        let help = |name, unused: &[&'static str]| {
            unknown_key(name, &["from", "on", "to", "when"], unused, false)
        };
        assert_eq!(
            help("filter", keys.to_vec().leak()).unwrap(),
            "did you mean \"when\"?"
        );
        assert_eq!(
            help("source", &["on"]).unwrap(),
            "`from` is written already: remove this one"
        );
        assert!(
            help("colour", &["on"])
                .unwrap()
                .starts_with("keys that could stand here")
        );
    }
}
