//! What only shows when the whole configuration is read: names used twice,
//! things nobody reaches, limits that contradict each other.

use std::collections::HashSet;
use std::ops::Range;

use super::Draft;
use crate::decode::{Complaint, Decoder, Severity, did_you_mean, listed};
use crate::log::WhenFull;
use crate::route::glob_matches;

/// Runs all checks; each adds its complaints.
pub(super) fn all(decoder: &mut Decoder, draft: &Draft) {
    // Where routes, or the tables themselves, are wrong, what they lead to is
    // not known.
    let unsure = decoder.complaints.iter().any(|one| {
        one.severity == Severity::Error
            && [
                "route",
                "top level",
                "cannot name",
                "no name",
                "tables with names",
                "there is no source",
                "there is no destination",
                "empty list",
                "must be a table",
                "dot in its name",
            ]
            .iter()
            .any(|said| one.message.contains(said))
    });
    let mut say = |severity, file, span: &Range<usize>, message: String, help: Option<&str>| {
        let help = help.map(str::to_owned);
        decoder.complaints.push(Complaint {
            severity,
            file,
            span: span.clone(),
            message,
            help,
        });
    };
    route_names(draft, &mut say);
    directions(draft, &mut say);
    shadowed_routes(draft, &mut say);
    unsent_types(draft, &mut say);
    if !unsure {
        unreached(draft, &mut say);
    }
    foreign_sources(draft, &mut say);
    coupled(draft, &mut say);
    sizes(draft, &mut say);
}

/// Takes severity, file, span, message, help.
type Say<'a> = &'a mut dyn FnMut(Severity, usize, &Range<usize>, String, Option<&str>);

fn route_names(draft: &Draft, say: Say<'_>) {
    let mut seen = HashSet::new();
    for written in &draft.routes {
        let name = &*written.route.name;
        if !seen.insert(name) {
            let message = format!("there are two routes called \"{name}\"");
            say(
                Severity::Error,
                written.file,
                &written.place,
                message,
                Some("rename one: `explain` and the console tell routes apart by name"),
            );
        }
    }
}

/// A direction that no message has is never equal to one.
fn directions(draft: &Draft, say: Say<'_>) {
    const WORDS: [&str; 3] = ["incoming", "outgoing", "system"];
    for written in &draft.routes {
        let Some((text, place)) = &written.when else {
            continue;
        };
        for after in text.split("message.direction").skip(1) {
            let after = after.trim_start();
            let compared = after
                .strip_prefix("==")
                .or_else(|| after.strip_prefix("!="));
            let Some(word) = compared.and_then(|rest| {
                let rest = rest.trim_start().strip_prefix(['\'', '"'])?;
                Some(rest.split_once(['\'', '"'])?.0)
            }) else {
                continue;
            };
            if !WORDS.contains(&word) {
                let message = format!("no message has the direction \"{word}\"");
                let help = did_you_mean(word, WORDS)
                    .unwrap_or_else(|| format!("directions are {}", listed(WORDS, '"')));
                say(Severity::Warning, written.file, place, message, Some(&help));
            }
        }
    }
}

/// A route whose every destination an earlier, wider route without a `when`
/// serves already adds nothing, not even its action.
fn shadowed_routes(draft: &Draft, say: Say<'_>) {
    for (index, written) in draft.routes.iter().enumerate() {
        let earlier = draft.routes.get(..index).unwrap_or_default();
        let wider = |to| {
            earlier.iter().find(|one| {
                !one.wrong
                    && one.route.when.is_none()
                    && one.route.to.contains(to)
                    && covers(&one.route, &written.route)
            })
        };
        if written.wrong
            || written.route.to.is_empty()
            || !written.route.to.iter().all(|to| wider(to).is_some())
        {
            continue;
        }
        let by = written
            .route
            .to
            .first()
            .and_then(wider)
            .map_or_else(String::new, |one| format!(" by \"{}\"", one.route.name));
        let message = format!(
            "the route \"{}\" adds nothing: all it sends is sent already{by}",
            written.route.name
        );
        let help = "one event goes to one destination once; the first matching route decides its action: put the narrower route first";
        say(
            Severity::Warning,
            written.file,
            &written.place,
            message,
            Some(help),
        );
    }
}

/// Whether everything `narrow` can match, `wide` certainly matches.
fn covers(wide: &crate::route::Route, narrow: &crate::route::Route) -> bool {
    let sources = wide.from.is_empty()
        || (!narrow.from.is_empty() && narrow.from.iter().all(|source| wide.from.contains(source)));
    let types = wide.on.is_empty()
        || (!narrow.on.is_empty()
            && narrow
                .on
                .iter()
                .all(|glob| wide.on.iter().any(|other| within(other, glob))));
    sources && types
}

/// Whether a glob certainly takes in another: it is the same, or a prefix
/// followed by `*`.
fn within(wide: &str, narrow: &str) -> bool {
    let prefix = wide
        .strip_suffix('*')
        .filter(|prefix| !prefix.contains(['*', '?']));
    wide == narrow || prefix.is_some_and(|prefix| narrow.starts_with(prefix))
}

/// A glob over types that none of the route's sources documents. Types may be
/// added by a vendor any day, and so this is no error.
fn unsent_types(draft: &Draft, say: Say<'_>) {
    for written in &draft.routes {
        let Some(place) = &written.on else { continue };
        let from = &written.route.from;
        let sources = || {
            let all = draft.sources.iter().map(|(_, source)| source);
            all.filter(|source| from.is_empty() || from.contains(&source.name))
        };
        let types: Option<Vec<&str>> = sources()
            .map(|source| source.reader.types())
            .collect::<Option<Vec<_>>>()
            .map(|types| types.concat());
        let Some(types) = types.filter(|types| !types.is_empty()) else {
            continue;
        };
        for glob in &written.route.on {
            if types.iter().any(|one| glob_matches(glob, one)) {
                continue;
            }
            let message =
                format!("no source of this route sends events of such a type: \"{glob}\"");
            let help = did_you_mean(glob, types.iter().copied())
                .unwrap_or_else(|| format!("documented: {}", listed(types.iter().copied(), '"')));
            say(Severity::Warning, written.file, place, message, Some(&help));
        }
    }
}

/// `source` of a destination says that both are one account.
fn foreign_sources(draft: &Draft, say: Say<'_>) {
    for (written, destination) in &draft.destinations {
        let Some(source) = &written.source else {
            continue;
        };
        let names = draft
            .named
            .sources
            .iter()
            .map(|source| source.name.as_str());
        let named = draft
            .named
            .sources
            .iter()
            .find(|one| one.name == source.value);
        let kind = named.and_then(|one| one.vendor).map(|vendor| vendor.kind);
        let (message, help) = match (named, kind) {
            (None, _) => (
                format!("there is no source \"{}\"", source.value),
                did_you_mean(&source.value, names.clone()).or_else(|| {
                    Some(format!(
                        "name one of {}, or remove it: links are then this destination's own",
                        listed(names.take(8), '"')
                    ))
                }),
            ),
            (Some(_), Some(kind)) if kind != destination.kind.as_str() => (
                format!(
                    "the source \"{}\" is {kind}, this destination {}: they are not one account",
                    source.value, destination.kind
                ),
                Some("name the source through which this account's own events come in".to_owned()),
            ),
            (Some(_), _) => continue,
        };
        say(
            Severity::Error,
            source.file,
            &source.span,
            message,
            help.as_deref(),
        );
    }
}

fn unreached(draft: &Draft, say: Say<'_>) {
    let routes = || draft.routes.iter().map(|written| &written.route);
    for definition in &draft.named.destinations {
        if !routes().any(|route| route.to.iter().any(|to| to.as_str() == definition.name)) {
            let message = format!("no route leads to the destination \"{}\"", definition.name);
            say(
                Severity::Warning,
                definition.file,
                &definition.span,
                message,
                Some("name it in the `to` of a route"),
            );
        }
    }
    for definition in &draft.named.sources {
        if !routes().any(|route| {
            route.from.is_empty()
                || route
                    .from
                    .iter()
                    .any(|from| from.as_str() == definition.name)
        }) {
            let message = format!(
                "no route takes what the source \"{}\" sends: it is stored and goes nowhere",
                definition.name
            );
            say(
                Severity::Warning,
                definition.file,
                &definition.span,
                message,
                Some("name it in the `from` of a route"),
            );
        }
    }
    if draft.named.sources.is_empty() {
        say(
            Severity::Warning,
            0,
            &(0..0),
            "there is no source: nothing can come in".to_owned(),
            Some("write [source.some-name]"),
        );
    }
}

fn coupled(draft: &Draft, say: Say<'_>) {
    for (written, destination) in &draft.destinations {
        if destination.backlog.when_full == WhenFull::Reject {
            let message = format!(
                "a full backlog of \"{}\" refuses webhooks that other destinations wait for",
                destination.name
            );
            let help = "\"dead_letter\" keeps destinations apart and can be retried";
            say(
                Severity::Warning,
                written.file,
                written.when_full.as_ref().unwrap_or(&written.name),
                message,
                Some(help),
            );
        }
    }
}

fn sizes(draft: &Draft, say: Say<'_>) {
    let in_flight = draft.house.limits.body_in_flight;
    let largest = draft
        .sources
        .iter()
        .max_by_key(|(_, source)| source.body_max);
    if let Some((written, source)) = largest.filter(|(_, source)| source.body_max > in_flight) {
        let message = format!(
            "`limits.body_in_flight` is less than one webhook of \"{}\" may have",
            source.name
        );
        let help = "it is the room all bodies that are coming in share: several times the largest `max_body`";
        match (&draft.house.body_in_flight, &written.max_body) {
            (Some(place), _) => say(Severity::Error, 0, place, message, Some(help)),
            (None, place) => say(
                Severity::Error,
                written.file,
                place.as_ref().unwrap_or(&written.name),
                message,
                Some(help),
            ),
        }
    }
    for (written, destination) in &draft.destinations {
        if let Some(at) = written
            .max_bytes
            .as_ref()
            .filter(|at| at.value > draft.house.log.max_disk)
        {
            let message = format!(
                "the backlog of \"{}\" may be larger than the whole log (`log.max_disk`)",
                destination.name
            );
            say(
                Severity::Warning,
                at.file,
                &at.span,
                message,
                Some("the disk would be full before the backlog is"),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_takes_in_another_only_where_that_is_certain() {
        for (wide, narrow, certain) in [
            ("*", "anything*", true),
            ("post_*", "post_comment_*", true),
            ("post_*", "post_", true),
            ("post_comment_*", "post_*", false),
            ("same?", "same?", true),
            ("p*t", "post", false),
            ("post", "post*", false),
        ] {
            assert_eq!(within(wide, narrow), certain, "{wide} {narrow}");
        }
    }
}
