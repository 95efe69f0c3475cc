//! Secrets by reference: `{ env = "X" }` or `{ file = "…" }`.

use std::ffi::OsString;
use std::io::Read;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{At, Fields, Secrets, TYPED, describe};
use crate::secret::Secret;

impl<'i> Fields<'_, 'i> {
    /// `{ env = "X" }` or `{ file = "…" }`. A plain text is a complaint that
    /// does not print it.
    pub fn secret(&mut self, key: &'static str) -> Option<At<Secret>> {
        let value = self.any(key)?;
        self.as_secret(key, value)
    }

    /// `key = secret` or `keys = [secret, …]`: all of them; at most 5.
    pub fn secrets(&mut self, one: &'static str, many: &'static str) -> Vec<At<Secret>> {
        let mut found: Vec<_> = self.secret(one).into_iter().collect();
        let Some(value) = self.any(many) else {
            return found;
        };
        if self.has(one) {
            let message = format!("`{}` and `{many}` say the same thing twice", self.name(one));
            self.error(
                value.span(),
                message,
                Some(format!("put all of them into `{many}`")),
            );
        }
        let DeValue::Array(items) = value.get_ref() else {
            found.extend(self.as_secret(many, value));
            return found;
        };
        if items.is_empty() || items.len() > SECRETS_MAX {
            let message = format!(
                "`{}` must hold 1 to {SECRETS_MAX} secrets, not {}",
                self.name(many),
                items.len()
            );
            let help = format!("write {many} = [{{ env = \"NEW\" }}, {{ env = \"OLD\" }}]");
            self.error(value.span(), message, Some(help));
        }
        for item in items.iter() {
            found.extend(self.as_secret(many, item));
        }
        found
    }

    /// A raw value as a secret reference, if it is a table with `env` or
    /// `file`; `None` (and no complaint) for any other value.
    pub fn secret_in(&mut self, value: &Spanned<DeValue<'i>>) -> Option<At<Secret>> {
        let DeValue::Table(table) = value.get_ref() else {
            return None;
        };
        if !Reference::intended(table) {
            return None;
        }
        let reference = match Reference::read(&Spanned::new(value.span(), table)) {
            Ok(reference) => reference,
            Err(Odd::Shape(message, span)) => {
                self.error(span, message, Some(REFERENCES.to_owned()));
                return None;
            }
            Err(Odd::Typed(span)) => {
                self.error(
                    span,
                    format!("{TYPED} where the name of an environment variable belongs"),
                    Some(REFERENCES.to_owned()),
                );
                return None;
            }
        };
        match self.decoder.secrets {
            Secrets::Offline => Some(self.at(Secret::new(PLACEHOLDER.as_bytes()), value)),
            Secrets::Resolve => self.resolve(&reference, value),
        }
    }

    fn as_secret(&mut self, key: &str, value: &Spanned<DeValue<'i>>) -> Option<At<Secret>> {
        match value.get_ref() {
            DeValue::Table(table) if Reference::intended(table) => self.secret_in(value),
            DeValue::Table(_) => {
                let message = format!("`{}` must say where the secret is", self.name(key));
                self.error(value.span(), message, Some(REFERENCES.to_owned()));
                None
            }
            _ => {
                let message = format!("{TYPED}: `{}`", self.name(key));
                let name = variable(&self.path, key);
                let help = format!(
                    "write `{{ env = \"{name}\" }}` or `{{ file = \"…\" }}` instead, and change the secret: this file has been read"
                );
                self.error(value.span(), message, Some(help));
                None
            }
        }
    }

    fn resolve(
        &mut self,
        reference: &Reference,
        value: &Spanned<DeValue<'i>>,
    ) -> Option<At<Secret>> {
        match reference.resolve(&self.decoder.base) {
            Ok(mut found) => {
                if found.exposed {
                    self.warning(
                        value.span(),
                        "everybody on this machine can read the secret file",
                        Some("chmod 600, or 640 with a group".to_owned()),
                    );
                }
                self.decoder.secret_files.extend(found.file.take());
                Some(self.at(Secret::new(std::mem::take(&mut *found.bytes)), value))
            }
            Err(missing) => {
                let help = match &missing {
                    Missing::Unset(name) | Missing::Blank(name) => {
                        Some(format!("set it where hookfan is started: {name}=…"))
                    }
                    Missing::Unreadable(..) => {
                        Some("a relative path starts at the folder of the main file".to_owned())
                    }
                    Missing::Empty(_) => Some("write the secret into it".to_owned()),
                    Missing::Irregular(_) | Missing::TooLarge(_) => {
                        Some("name a file that holds the secret and nothing else".to_owned())
                    }
                };
                self.error(value.span(), missing.to_string(), help);
                None
            }
        }
    }
}

/// Where a secret is to be found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reference {
    Env(String),
    /// As written; relative to the configuration's folder.
    File(PathBuf),
}

/// A secret's bytes, with what is odd about where they were.
pub struct Found {
    pub bytes: zeroize::Zeroizing<Vec<u8>>,
    /// The file that was read.
    pub file: Option<PathBuf>,
    /// The file can be read by everybody.
    pub exposed: bool,
}

/// Why there is no secret. Says where it was looked for, never what was found.
#[derive(Debug, thiserror::Error)]
pub enum Missing {
    #[error("the environment variable {0} is not set")]
    Unset(String),
    #[error("the environment variable {0} is empty")]
    Blank(String),
    #[error("the secret file {0} cannot be read: {1}")]
    Unreadable(PathBuf, std::io::Error),
    #[error("the secret file {0} is empty")]
    Empty(PathBuf),
    #[error("the secret file {0} is no regular file")]
    Irregular(PathBuf),
    #[error("the secret file {0} is larger than 64 KiB")]
    TooLarge(PathBuf),
}

/// A table that means to be a reference and is none.
#[derive(Debug)]
pub enum Odd {
    /// What is wrong, and the part to point at.
    Shape(String, std::ops::Range<usize>),
    /// Looks like the secret itself, typed where a name belongs.
    Typed(std::ops::Range<usize>),
}

/// What an offline secret reads as: text, base64 of 27 bytes, 36 bytes long.
const PLACEHOLDER: &str = "offlineplaceholderofflineplaceholder";

const REFERENCES: &str = "write `{ env = \"NAME\" }` or `{ file = \"path\" }`";

/// More would be a list of guesses: each one is tried for every webhook.
const SECRETS_MAX: usize = 5;

/// No secret is longer.
const FILE_BYTES_MAX: u64 = 64 << 10;

impl Reference {
    /// Whether a table means to be a reference: it has `env` or `file`.
    pub fn intended(table: &DeTable<'_>) -> bool {
        table.contains_key("env") || table.contains_key("file")
    }

    /// Reads the form of a reference; resolves nothing.
    pub fn read(table: &Spanned<&DeTable<'_>>) -> Result<Self, Odd> {
        let fields = *table.get_ref();
        if let Some((key, _)) = fields
            .iter()
            .find(|(key, _)| !matches!(key.get_ref().as_ref(), "env" | "file"))
        {
            return Err(Odd::Shape(
                "a secret has one key, `env` or `file`".into(),
                key.span(),
            ));
        }
        match (fields.get("env"), fields.get("file")) {
            (Some(env), None) => {
                let name = named(env, "env")?;
                let mut letters = name.chars();
                let begins = letters
                    .next()
                    .is_some_and(|first| first.is_ascii_alphabetic() || first == '_');
                if begins && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_') {
                    Ok(Self::Env(name.to_owned()))
                } else {
                    Err(Odd::Typed(env.span()))
                }
            }
            (None, Some(file)) => Ok(Self::File(PathBuf::from(named(file, "file")?))),
            _ => Err(Odd::Shape(
                "a secret has one key, `env` or `file`, not both".into(),
                table.span(),
            )),
        }
    }

    /// Reads the bytes. A file loses one newline at its end, since editors
    /// add one.
    pub fn resolve(&self, base: &Path) -> Result<Found, Missing> {
        match self {
            Self::Env(name) => {
                let value = std::env::var_os(name)
                    .map(OsString::into_vec)
                    .map(zeroize::Zeroizing::new);
                let bytes = value.ok_or_else(|| Missing::Unset(name.clone()))?;
                if bytes.trim_ascii().is_empty() {
                    return Err(Missing::Blank(name.clone()));
                }
                Ok(Found {
                    bytes,
                    file: None,
                    exposed: false,
                })
            }
            Self::File(path) => read_file(base.join(path)),
        }
    }
}

fn named<'t>(value: &'t Spanned<DeValue<'_>>, key: &str) -> Result<&'t str, Odd> {
    match value.get_ref() {
        DeValue::String(text) if !text.trim().is_empty() && !text.contains('\0') => Ok(text),
        DeValue::String(_) => Err(Odd::Shape(format!("`{key}` names nothing"), value.span())),
        other => Err(Odd::Shape(
            format!("`{key}` must be a text, not {}", describe(other)),
            value.span(),
        )),
    }
}

fn read_file(path: PathBuf) -> Result<Found, Missing> {
    let unreadable = |error| Missing::Unreadable(path.clone(), error);
    // Looked at before it is opened: opening a pipe would wait for a writer.
    let about = std::fs::metadata(&path).map_err(unreadable)?;
    if !about.is_file() {
        return Err(Missing::Irregular(path));
    }
    let mut bytes = zeroize::Zeroizing::new(Vec::with_capacity(
        usize::try_from(about.len().min(FILE_BYTES_MAX)).unwrap_or_default() + 1,
    ));
    let file = std::fs::File::open(&path).map_err(unreadable)?;
    file.take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > FILE_BYTES_MAX) {
        return Err(Missing::TooLarge(path));
    }
    let trimmed = bytes
        .strip_suffix(b"\r\n")
        .or_else(|| bytes.strip_suffix(b"\n"))
        .unwrap_or(&bytes)
        .len();
    bytes.truncate(trimmed);
    if bytes.trim_ascii().is_empty() {
        return Err(Missing::Empty(path));
    }
    Ok(Found {
        bytes,
        exposed: about.mode() & 0o004 != 0,
        file: Some(path),
    })
}

/// A name for the environment variable a typed secret should move to:
/// `ANALYTICS_API_KEY` for `api_key` of `destination.analytics`.
fn variable(path: &str, key: &str) -> String {
    let owner = path.split('.').nth(1).unwrap_or_default();
    let letters = format!("{owner}_{key}");
    letters
        .trim_matches('_')
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_uppercase()
            } else {
                '_'
            }
        })
        .collect()
}
