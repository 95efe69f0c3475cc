//! The files a configuration is written in: the main one and its includes.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::broken::{self, Stumble};
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
                Some("write include = [\"routes.d/*.toml\"], or remove it".into()),
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
                Some(
                    "a relative path starts at the folder of the main file; `*.toml` may name none"
                        .into(),
                ),
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
            Err(message) => {
                let help = "mend the file, or narrow the pattern".to_owned();
                top.error(
                    place.clone(),
                    format!("{} {message}", path.display()),
                    Some(help),
                );
            }
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
        let stumbles = errors.iter().map(|error| Stumble {
            message: error.message(),
            span: error.span().unwrap_or(0..0),
        });
        for fault in broken::faults(text, stumbles.collect()) {
            readable &= fault.readable;
            decoder.complaints.push(Complaint {
                severity: Severity::Error,
                file,
                span: fault.span,
                message: fault.message,
                help: Some(fault.help),
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
    misnamed: &mut Vec<String>,
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
        misnamed.push(String::new());
        return Vec::new();
    };
    if table
        .get("kind")
        .is_some_and(|kind| kind.get_ref().is_str())
    {
        let place = top.key_span(key).unwrap_or_else(|| value.span());
        let help = format!("write [{key}.some-name]; a route calls it by that name");
        top.error(place, format!("this {key} has no name"), Some(help));
        misnamed.push(String::new());
        return Vec::new();
    }
    let mut found = Vec::new();
    for (name, value) in table.iter() {
        let text = name.get_ref().to_string();
        let dotted = value.get_ref().as_table().and_then(dotted);
        if let Err(why) = fit_name(&text) {
            top.error(
                name.span(),
                format!("this cannot name a {key}: {why}"),
                Some("a name has 1 to 64 letters of a to z, digits, `-` or `_`, and is not `unknown`".into()),
            );
            misnamed.push(text);
        } else if let Some(rest) = dotted {
            let help = format!("write [{key}.{text}-{rest}]");
            let message = format!("`{key}.{text}.{rest}` has a dot in its name");
            top.error(name.span(), message, Some(help));
            misnamed.extend([format!("{text}.{rest}"), format!("{text}-{rest}")]);
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

/// A table that holds nothing but another with a `kind`: somebody wrote a dot
/// into a name.
fn dotted(table: &DeTable<'_>) -> Option<String> {
    let mut entries = table.iter();
    let (name, below) = entries.next()?;
    let kind = below.get_ref().as_table()?.get("kind")?;
    // The channel of a Dixa destination has a kind, too.
    let lonely = entries.next().is_none() && name.get_ref() != "channel";
    (lonely && kind.get_ref().is_str()).then(|| name.get_ref().to_string())
}

/// Names stand in paths, in metrics and on command lines.
fn fit_name(name: &str) -> Result<(), &'static str> {
    match name {
        "" => Err("it is empty"),
        "unknown" => Err("that is what everything without a name counts as"),
        _ if name.len() > 64 => Err("it has more than 64 letters"),
        _ if !name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_') =>
        {
            Err("it holds other characters")
        }
        _ => Ok(()),
    }
}
