//! The files a configuration is written in: the main one and its includes.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use crate::decode::{Complaint, Decoder, Fields, Severity};

/// A routing table of this size is a mistake, such as a log file's name.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Reads a configuration file. The error is for the operator.
pub(super) fn read(path: &Path) -> Result<String, String> {
    let bytes = std::fs::metadata(path)
        .map_err(|error| format!("cannot be read: {error}"))?
        .len();
    if bytes > FILE_BYTES_MAX {
        return Err(format!("is larger than {} MiB", FILE_BYTES_MAX >> 20));
    }
    std::fs::read_to_string(path).map_err(|error| format!("cannot be read: {error}"))
}

/// The main text and those it includes, sorted by path and each once; and the
/// patterns, for whoever watches for new files.
pub(super) fn gather(
    decoder: &mut Decoder,
    text: String,
    path: &Path,
) -> (Vec<(PathBuf, String)>, Vec<PathBuf>) {
    let (tree, _) = DeTable::parse_recoverable(&text);
    let mut found: Vec<PathBuf> = Vec::new();
    let mut patterns = Vec::new();
    let mut texts = Vec::new();
    // The folder's own name is no pattern, whatever characters it has.
    let base = decoder.base.to_str().map_or_else(
        || decoder.base.clone(),
        |base| glob::Pattern::escape(base).into(),
    );
    let mut top = Fields::new(decoder, tree.get_ref(), 0, 0..0, "");
    for include in top.texts("include") {
        let full = base.join(&include.value);
        let Some(pattern) = full.to_str().filter(|_| !include.value.trim().is_empty()) else {
            top.error(
                include.span,
                "`include` names nothing that can be read",
                None,
            );
            continue;
        };
        let paths = match glob::glob(pattern) {
            Ok(paths) => paths,
            Err(error) => {
                let message = format!("`include` is no pattern: {}", error.msg);
                top.error(
                    include.span,
                    message,
                    Some(
                        "`*` stands for any run of characters, `?` for one, `**` for folders"
                            .into(),
                    ),
                );
                continue;
            }
        };
        let before = found.len();
        found.extend(paths.filter_map(Result::ok).filter(|path| path.is_file()));
        if has_wildcard(&include.value) {
            patterns.push(full);
        } else if found.len() == before {
            top.error(
                include.span,
                format!("there is no file \"{}\"", include.value),
                None,
            );
        }
    }
    found.sort();
    // The main file may lie among those it includes, under another name.
    let mut seen: HashSet<PathBuf> = path.canonicalize().into_iter().collect();
    let place = top
        .any("include")
        .map(toml::Spanned::span)
        .unwrap_or_default();
    for path in found {
        if !path.canonicalize().is_ok_and(|real| seen.insert(real)) {
            continue;
        }
        match read(&path) {
            Ok(text) => texts.push((path, text)),
            Err(message) => top.error(place.clone(), format!("{} {message}", path.display()), None),
        }
    }
    drop(tree);
    texts.insert(0, (path.to_owned(), text));
    (texts, patterns)
}

/// Whether a path is a pattern; plain paths are taken literally.
pub(super) fn has_wildcard(path: &str) -> bool {
    path.contains(['*', '?', '['])
}

/// All trees, or `None` if a text is no TOML: complaints about the rest would
/// then follow from what could not be read. A key written twice is no such
/// case; its first value counts until it is repaired.
pub(super) fn parse<'t>(
    decoder: &mut Decoder,
    texts: &'t [(PathBuf, String)],
) -> Option<Vec<DeTable<'t>>> {
    let mut trees = Vec::new();
    let mut readable = true;
    for (file, (_, text)) in texts.iter().enumerate() {
        let (tree, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            let twice = error.message() == "duplicate key";
            readable &= twice;
            let message = if twice {
                "this key is written twice".to_owned()
            } else {
                format!("this is no TOML: {}", error.message())
            };
            let span = error.span().unwrap_or(0..0);
            decoder.complaints.push(Complaint {
                severity: Severity::Error,
                file,
                span,
                message,
                help: None,
            });
        }
        trees.push(tree.into_inner());
    }
    readable.then_some(trees)
}

/// An included file defines sources, destinations and routes; what concerns
/// the whole house stands in the main file, where everybody looks for it.
pub(super) fn refuse_house_keys(top: &mut Fields<'_, '_>) {
    for key in ["server", "limits", "log", "include"] {
        let _ = top.any(key);
        if let Some(span) = top.key_span(key) {
            let message = format!("`{key}` belongs into the main file");
            top.error(
                span,
                message,
                Some("an included file may hold source, destination and route".into()),
            );
        }
    }
}

/// The named sub-tables of `[source]` or `[destination]`, with their names'
/// places: complains about anything else.
pub(super) fn named_tables<'a, 'i>(
    top: &mut Fields<'a, 'i>,
    key: &'static str,
) -> Vec<(
    String,
    std::ops::Range<usize>,
    &'a toml::Spanned<DeValue<'i>>,
)> {
    let Some(value) = top.any(key) else {
        return Vec::new();
    };
    let DeValue::Table(table) = value.get_ref() else {
        top.error(
            value.span(),
            format!("`{key}` must be tables with names"),
            Some(format!("write [{key}.some-name]")),
        );
        return Vec::new();
    };
    let mut found = Vec::new();
    for (name, value) in table.iter() {
        let text = name.get_ref().to_string();
        if let Err(why) = fit_name(&text) {
            top.error(
                name.span(),
                format!("this cannot name a {key}: {why}"),
                Some("names are 1 to 64 letters, digits, `-` or `_`".into()),
            );
        } else if !matches!(value.get_ref(), DeValue::Table(_)) {
            top.error(
                value.span(),
                format!("`{key}.{text}` must be a table"),
                Some(format!("write [{key}.{text}]")),
            );
        } else {
            found.push((text, name.span(), value));
        }
    }
    found
}

/// Names stand in paths, in metrics and on command lines.
fn fit_name(name: &str) -> Result<(), &'static str> {
    match name {
        "" => Err("it is empty"),
        "unknown" => Err("that is what everything without a name counts as"),
        _ if name.len() > 64 => Err("it is too long"),
        _ if !name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_') =>
        {
            Err("it holds other characters")
        }
        _ => Ok(()),
    }
}
