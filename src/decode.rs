//! Reading a spanned TOML table key by key, keeping every complaint.
//!
//! `config` decodes the house's own sections with it; `verify` and each vendor
//! decode theirs, so that a new vendor's keys live in the vendor's file. Serde
//! is not used here: it stops at the first error and loses where it was.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

mod advice;
pub mod keys;
mod measures;
pub mod quantity;
pub mod reference;
mod telltale;
mod wording;

pub use telltale::{tells_proof, tells_secret};
pub use wording::{describe, did_you_mean, inside, listed, nearest};

use wording::short;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Error,
    Warning,
}

/// One thing wrong with the file, and the way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    pub severity: Severity,
    /// Index into the list of files that were read (0 is the main one).
    pub file: usize,
    /// Byte range in that file.
    pub span: Range<usize>,
    pub message: String,
    /// What to do instead, e.g. `did you mean "crm"?`.
    pub help: Option<String>,
}

/// A value and where it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct At<T> {
    pub value: T,
    pub file: usize,
    pub span: Range<usize>,
}

/// How many per second, and how many at once. `"500/s"`, `"100/m"`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    pub per_second: f64,
}

/// Where secrets come from; offline checks do not resolve them.
#[derive(Clone, Debug)]
pub enum Secrets {
    /// Environment variables and files are read; a missing one is an error.
    Resolve,
    /// References are checked for form only; every secret reads as a
    /// placeholder.
    Offline,
}

/// What all of one decoding share.
#[derive(Debug)]
pub struct Decoder {
    pub complaints: Vec<Complaint>,
    pub secrets: Secrets,
    /// Every file a secret was read from (they are watched).
    pub secret_files: Vec<std::path::PathBuf>,
    /// Relative secret files are looked for here.
    pub base: std::path::PathBuf,
    /// Every key that was asked for, as a path, where somebody wants to know:
    /// the test that holds the schema to the decoder.
    pub asked: Option<std::collections::BTreeSet<String>>,
}

/// One table being read. Each method takes a key, marks it known, and
/// complains about a wrong value; [`Fields::finish`] complains about the keys
/// nobody asked for.
pub struct Fields<'a, 'i> {
    pub decoder: &'a mut Decoder,
    pub table: &'a DeTable<'i>,
    pub file: usize,
    /// The table's own place, for "missing key" complaints.
    pub span: Range<usize>,
    /// How the table is called in complaints: `source.qiscus`.
    pub path: String,
    known: Vec<&'static str>,
}

impl Complaint {
    /// The span covers a secret that was typed into the file: whoever draws
    /// that part of the file masks it.
    pub fn hides_source(&self) -> bool {
        self.message.starts_with(TYPED)
    }
}

impl Decoder {
    /// Nothing read yet; relative secret files are looked for in `base`.
    pub fn new(secrets: Secrets, base: impl Into<std::path::PathBuf>) -> Self {
        Self {
            complaints: Vec::new(),
            secrets,
            secret_files: Vec::new(),
            base: base.into(),
            asked: None,
        }
    }
}

impl<'a, 'i> Fields<'a, 'i> {
    pub fn new(
        decoder: &'a mut Decoder,
        table: &'a DeTable<'i>,
        file: usize,
        span: Range<usize>,
        path: impl Into<String>,
    ) -> Self {
        Self {
            decoder,
            table,
            file,
            span,
            path: path.into(),
            known: Vec::new(),
        }
    }

    /// The raw value of a key, marked known.
    pub fn any(&mut self, key: &'static str) -> Option<&'a Spanned<DeValue<'i>>> {
        if !self.known.contains(&key) {
            self.known.push(key);
            let name = self.decoder.asked.is_some().then(|| self.name(key));
            if let (Some(asked), Some(name)) = (&mut self.decoder.asked, name) {
                asked.insert(name);
            }
        }
        self.table.get(key)
    }

    pub fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    pub fn text(&mut self, key: &'static str) -> Option<At<String>> {
        let value = self.any(key)?;
        self.as_text(key, value)
    }

    /// Like `text`; complains when the key is missing or blank, with `why` as
    /// help.
    pub fn required_text(&mut self, key: &'static str, why: &str) -> Option<At<String>> {
        if !self.has(key) {
            let _ = self.any(key);
            self.missing(key, why);
            return None;
        }
        let text = self.text(key)?;
        if text.value.trim().is_empty() {
            let message = format!("`{}` is empty", self.name(key));
            self.error(text.span, message, Some(why.to_owned()));
            return None;
        }
        Some(text)
    }

    /// A text or a list of texts; absent: empty.
    pub fn texts(&mut self, key: &'static str) -> Vec<At<String>> {
        match self.any(key) {
            None => Vec::new(),
            Some(value) => match value.get_ref() {
                DeValue::Array(items) => items
                    .iter()
                    .filter_map(|item| self.as_text(key, item))
                    .collect(),
                DeValue::String(text) => vec![self.at(text.to_string(), value)],
                other => {
                    self.wrong(key, value, "a text or a list of texts", describe(other));
                    Vec::new()
                }
            },
        }
    }

    pub fn flag(&mut self, key: &'static str, default: bool) -> bool {
        match self.any(key) {
            None => default,
            Some(value) => match value.get_ref() {
                DeValue::Boolean(flag) => *flag,
                other => {
                    self.wrong(key, value, "true or false", describe(other));
                    default
                }
            },
        }
    }

    /// One of the given words; did-you-mean otherwise.
    pub fn choice<T: Clone>(&mut self, key: &'static str, choices: &[(&str, T)]) -> Option<At<T>> {
        let words = choices.iter().map(|(word, _)| *word);
        let value = self.any(key)?;
        if !value.get_ref().is_str() {
            let message = format!(
                "`{}` must be a text, not {}",
                self.name(key),
                describe(value.get_ref())
            );
            let help = format!("write {}", listed(words, '"'));
            self.error(value.span(), message, Some(help));
            return None;
        }
        let text = self.text(key)?;
        if let Some((_, choice)) = choices.iter().find(|(word, _)| *word == text.value) {
            return Some(At {
                value: choice.clone(),
                file: text.file,
                span: text.span,
            });
        }
        let message = format!("`{}` cannot be \"{}\"", self.name(key), short(&text.value));
        let help = did_you_mean(&text.value, words.clone())
            .unwrap_or_else(|| format!("write {}", listed(words, '"')));
        self.error(text.span, message, Some(help));
        None
    }

    /// A sub-table, read by `read`, whose unknown keys are complained about.
    pub fn table<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Fields<'_, 'i>) -> T,
    ) -> Option<T> {
        let value = self.any(key)?;
        let path = self.name(key);
        self.as_table(key, value, path, read)
    }

    /// A list of sub-tables, or one alone.
    pub fn tables<T>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(&mut Fields<'_, 'i>) -> T,
    ) -> Vec<T> {
        let Some(value) = self.any(key) else {
            return Vec::new();
        };
        let path = self.name(key);
        match value.get_ref() {
            DeValue::Array(items) => {
                let numbered = items.iter().enumerate();
                numbered
                    .filter_map(|(index, item)| {
                        self.as_table(key, item, format!("{path} {}", index + 1), &mut read)
                    })
                    .collect()
            }
            DeValue::Table(_) => self.as_table(key, value, path, read).into_iter().collect(),
            other => {
                self.wrong(key, value, "a table or a list of tables", describe(other));
                Vec::new()
            }
        }
    }

    pub fn error(&mut self, span: Range<usize>, message: impl Into<String>, help: Option<String>) {
        self.complain(Severity::Error, span, message.into(), help);
    }

    pub fn warning(
        &mut self,
        span: Range<usize>,
        message: impl Into<String>,
        help: Option<String>,
    ) {
        self.complain(Severity::Warning, span, message.into(), help);
    }

    /// Complains about every key that was not asked for.
    pub fn finish(self) {
        let mut unused: Vec<&str> = self
            .known
            .iter()
            .copied()
            .filter(|known| !self.table.contains_key(*known))
            .collect();
        unused.sort_unstable();
        for (key, _) in self.table.iter() {
            let name: &str = key.get_ref();
            if self.known.contains(&name) {
                continue;
            }
            let place = if self.path.is_empty() {
                "at the top level".to_owned()
            } else {
                format!("in [{}]", self.path)
            };
            let help = advice::unknown_key(name, &self.known, &unused, self.path.is_empty());
            let message = format!("unknown key `{}` {place}", short(name));
            self.decoder.complaints.push(Complaint {
                severity: Severity::Error,
                file: self.file,
                span: key.span(),
                message,
                help,
            });
        }
    }

    /// "`key` is missing", with `why` as help.
    pub fn missing(&mut self, key: &str, why: &str) {
        let message = format!("`{}` is missing", self.name(key));
        self.error(self.span.clone(), message, Some(why.to_owned()));
    }

    /// How a key is called in complaints: `source.qiscus.kind`.
    pub fn name(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// Where a key itself stands, if it is there.
    pub fn key_span(&self, key: &str) -> Option<Range<usize>> {
        self.table.get_key_value(key).map(|(key, _)| key.span())
    }

    fn complain(
        &mut self,
        severity: Severity,
        span: Range<usize>,
        message: String,
        help: Option<String>,
    ) {
        self.decoder.complaints.push(Complaint {
            severity,
            file: self.file,
            span,
            message,
            help,
        });
    }

    fn wrong(&mut self, key: &str, value: &Spanned<DeValue<'i>>, expected: &str, found: &str) {
        let message = format!("`{}` must be {expected}, not {found}", self.name(key));
        let help = advice::instead(key, expected, value.get_ref());
        self.error(value.span(), message, Some(help));
    }

    /// A table is wanted; which keys it would have, it says itself.
    fn no_table<T>(
        &mut self,
        key: &str,
        value: &Spanned<DeValue<'i>>,
        path: String,
        read: impl FnOnce(&mut Fields<'_, 'i>) -> T,
    ) {
        let before = self.decoder.complaints.len();
        let empty = DeTable::new();
        let mut fields = Fields::new(self.decoder, &empty, self.file, value.span(), path);
        let _ = read(&mut fields);
        let mut known = fields.known;
        self.decoder.complaints.truncate(before);
        known.sort_unstable();
        let found = describe(value.get_ref());
        let message = format!("`{}` must be a table, not {found}", self.name(key));
        self.error(value.span(), message, Some(advice::table(key, &known)));
    }

    fn at<T>(&self, value: T, place: &Spanned<DeValue<'i>>) -> At<T> {
        At {
            value,
            file: self.file,
            span: place.span(),
        }
    }

    fn as_text(&mut self, key: &str, value: &Spanned<DeValue<'i>>) -> Option<At<String>> {
        match value.get_ref() {
            DeValue::String(text) => Some(self.at(text.to_string(), value)),
            other => {
                self.wrong(key, value, "a text", describe(other));
                None
            }
        }
    }

    fn as_table<T>(
        &mut self,
        key: &str,
        value: &Spanned<DeValue<'i>>,
        path: String,
        read: impl FnOnce(&mut Fields<'_, 'i>) -> T,
    ) -> Option<T> {
        let DeValue::Table(table) = value.get_ref() else {
            self.no_table(key, value, path, read);
            return None;
        };
        let mut fields = Fields::new(self.decoder, table, self.file, value.span(), path);
        let read = read(&mut fields);
        fields.finish();
        Some(read)
    }
}

/// A complaint about a secret typed in under this name; prints no value.
pub fn typed(name: &str) -> String {
    format!("{TYPED}: `{}`", short(name))
}

/// How complaints about a typed secret begin; see [`Complaint::hides_source`].
const TYPED: &str = "a secret is typed into the file";

#[cfg(test)]
mod tests;
