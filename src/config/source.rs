//! `[source.…]`: who may send, and how they prove it.

use std::ops::Range;

use toml::de::DeValue;

use super::fetch::{self, Fetching};
use super::files::named_tables;
use super::named::{Definition, Named, fresh, vendor};
use super::print::Prints;
use crate::decode::{Fields, Severity};
use crate::event::{Kind, SourceName};
use crate::ingress::Source;
use crate::vendor::Vendor;
use crate::verify::Auth;

/// Where things stand that later checks point at.
pub(super) struct Written {
    pub(super) file: usize,
    pub(super) name: Range<usize>,
    /// `max_body`, if it is written.
    pub(super) max_body: Option<Range<usize>>,
    /// What the source adds to the destinations and routes of the file.
    pub(super) fetching: Option<Fetching>,
}

/// What a webhook's body may have, unless told otherwise.
const BODY_BYTES: u64 = 1 << 20;
/// What it may be told.
const BODY_BYTES_MAX: u64 = 25 << 20;

/// Reads every source of one file and enters its name; those with errors are
/// named, but not returned.
pub(super) fn read(
    top: &mut Fields<'_, '_>,
    named: &mut Named,
    vendors: &'static [&'static Vendor],
    prints: &Prints,
) -> Vec<(Written, Source)> {
    let mut sources = Vec::new();
    for (name, place, value) in named_tables(top, "source", &mut named.misnamed) {
        let DeValue::Table(table) = value.get_ref() else {
            continue;
        };
        if !fresh(top, "source", &named.sources, &name, &place) {
            continue;
        }
        let file = top.file;
        let mut fields = Fields::new(
            top.decoder,
            table,
            file,
            value.span(),
            format!("source.{name}"),
        );
        let vendor = vendor(&mut fields, vendors, "source", |vendor| {
            vendor.source.is_some()
        });
        named.sources.push(Definition {
            name: name.clone(),
            file,
            span: place.clone(),
            vendor,
        });
        let (max_body, source) = one(&mut fields, &name, vendor);
        let asks = source.as_ref().and_then(|source| {
            let asks = source.reader.fetch()?;
            Some((asks, &source.name, &source.kind))
        });
        let fetching = asks.and_then(|(asks, name, kind)| {
            let print = prints.of(name.as_str(), table);
            fetch::read(&mut fields, asks, name, kind, print)
        });
        if vendor.is_some() {
            fields.finish();
        }
        sources.extend(source.map(|source| {
            (
                Written {
                    file,
                    name: place,
                    max_body,
                    fetching,
                },
                source,
            )
        }));
    }
    sources
}

fn one(
    fields: &mut Fields<'_, '_>,
    name: &str,
    vendor: Option<&'static Vendor>,
) -> (Option<Range<usize>>, Option<Source>) {
    let auth = auth(fields);
    let rate = fields.rate("rate").map(|at| at.value);
    let keep_unreadable = fields
        .choice("unreadable", &[("refuse", false), ("keep", true)])
        .is_some_and(|at| at.value);
    let max_body = fields.size("max_body");
    if let Some(at) = max_body.as_ref().filter(|at| at.value > BODY_BYTES_MAX) {
        let message = format!("`{}` is more than 25MiB", fields.name("max_body"));
        fields.error(
            at.span.clone(),
            message,
            Some("a webhook that large belongs into an object store; send its address".into()),
        );
    }
    // Where it is too much, that has been said.
    let body_max = max_body
        .as_ref()
        .map_or(BODY_BYTES, |at| at.value)
        .min(BODY_BYTES_MAX);
    let entry = vendor.and_then(|vendor| vendor.source.as_ref().map(|entry| (vendor, entry)));
    let source = entry.map(|(vendor, entry)| (vendor, (entry.configure)(fields)));
    let source = source.and_then(|(vendor, reader)| {
        Some(Source {
            name: SourceName::from(name),
            kind: Kind::from(vendor.kind),
            auth: auth?,
            reader,
            rate,
            body_max: usize::try_from(body_max).unwrap_or(usize::MAX),
            keep_unreadable,
        })
    });
    (max_body.map(|at| at.span), source)
}

/// The source's proof. Nothing but the words `auth = "none"` lets anybody in:
/// whatever else reads as such, or reads as nothing, is an error here.
fn auth(fields: &mut Fields<'_, '_>) -> Option<Auth> {
    let before = fields.decoder.complaints.len();
    let auth = Auth::configure(fields);
    let new = fields.decoder.complaints.get(before..).unwrap_or_default();
    let told = |severity| new.iter().any(|complaint| complaint.severity == severity);
    let (errors, warnings) = (told(Severity::Error), told(Severity::Warning));
    let written = fields.any("auth");
    let place = written.map_or_else(|| fields.span.clone(), toml::Spanned::span);
    let Some(auth) = auth else {
        if !errors {
            fields.error(
                place,
                format!(
                    "`{}` does not say how webhooks prove who sent them",
                    fields.name("auth")
                ),
                Some(PROOF.into()),
            );
        }
        return None;
    };
    if auth.accepts_anybody() {
        if !written.is_some_and(|value| says_none(value.get_ref())) {
            if !errors {
                fields.error(
                    place,
                    format!("`{}` would accept anybody", fields.name("auth")),
                    Some(PROOF.into()),
                );
            }
            return None;
        }
        if !warnings {
            let message = format!(
                "anybody may post to /hooks/{}",
                fields.path.strip_prefix("source.").unwrap_or(&fields.path)
            );
            fields.warning(
                place,
                message,
                Some(
                    "give `auth` a scheme with a secret, or `allow` the sender's addresses".into(),
                ),
            );
        }
    }
    Some(auth)
}

const PROOF: &str = "write `auth = { scheme = \"…\", secret = { env = \"…\" } }`; accepting anybody is spelled `auth = \"none\"`";

fn says_none(auth: &DeValue<'_>) -> bool {
    match auth {
        DeValue::String(text) => text == "none",
        DeValue::Table(table) => table
            .get("scheme")
            .is_some_and(|scheme| scheme.get_ref().as_str() == Some("none")),
        _ => false,
    }
}
