//! Which destinations want an event: a table, indexed by source and type, so
//! that thousands of routes for others cost this event nothing.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::ops::Deref;
use std::sync::Arc;

use serde_json::Value as Json;

use crate::event::{Action, DestinationName, EventType, Owed, SourceName};
use crate::expression::{Expression, Looked, Scope};

/// One `[[route]]`.
#[derive(Debug)]
pub struct Route {
    /// As written, or `route 3` for the third one.
    pub name: Arc<str>,
    /// Empty: every source.
    pub from: Vec<SourceName>,
    /// Globs (`*` any run, `?` one character); empty: every type.
    pub on: Vec<String>,
    pub when: Option<Expression>,
    pub to: Vec<DestinationName>,
    pub action: Action,
    /// `None`: it stands in no file.
    pub written: Option<Written>,
}

/// Where something is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    pub file: Arc<str>,
    /// From 1.
    pub line: usize,
}

/// Its keys come from the operator's file, so that nobody can choose them to
/// collide: the same file always has the same index.
type Indexed<K, V> = HashMap<K, V, BuildHasherDefault<DefaultHasher>>;

/// All routes in file order.
#[derive(Debug, Default)]
pub struct RouteTable {
    routes: Vec<Route>,
    /// Routes that name their sources.
    by_source: Indexed<SourceName, ByType>,
    /// Routes for every source.
    any_source: ByType,
}

/// Indices into the list of routes, ascending.
#[derive(Debug, Default)]
struct ByType {
    exact: Indexed<Box<str>, Vec<usize>>,
    /// Routes with a pattern that only looking can decide, by what it begins
    /// with.
    globs: Indexed<Box<str>, Vec<usize>>,
    /// How long those beginnings are, in bytes; each length once.
    beginnings: Vec<usize>,
    /// Routes for every type.
    all: Vec<usize>,
}

impl RouteTable {
    pub fn new(routes: Vec<Route>) -> Self {
        let mut table = Self::default();
        for (index, route) in routes.iter().enumerate() {
            if route.from.is_empty() {
                table.any_source.add(index, route);
            }
            for source in &route.from {
                table
                    .by_source
                    .entry(source.clone())
                    .or_default()
                    .add(index, route);
            }
        }
        table.routes = routes;
        table
    }

    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// One copy per destination; the first matching route decides its action.
    /// A `when` that fails does not hold.
    pub fn owed(&self, source: &SourceName, event_type: &EventType, scope: &Scope) -> Vec<Owed> {
        self.owed_by(source, event_type, &scope, |_| {})
    }

    /// The same; each route that matches is told to `matched`. A route that
    /// has a `when`, and whose destinations all have their copy already, is not
    /// asked, and so not told. The scope is looked at only for a `when`.
    pub fn owed_by(
        &self,
        source: &SourceName,
        event_type: &EventType,
        scope: &impl Deref<Target = Scope>,
        mut matched: impl FnMut(&Route),
    ) -> Vec<Owed> {
        let mut owed = Settled::default();
        for index in self.candidates(source, event_type) {
            let Some(route) = self.routes.get(index) else {
                continue;
            };
            if let Some(when) = &route.when {
                // A condition is not worth evaluating when nothing depends on it.
                let settled = route.to.iter().all(|destination| owed.has(destination));
                if settled || !when.surely_holds(scope) {
                    continue;
                }
            }
            matched(route);
            for destination in &route.to {
                owed.add(destination, &route.action);
            }
        }
        owed.list
    }

    /// The same decision, with its reasons.
    pub fn explain(
        &self,
        source: &SourceName,
        event_type: &EventType,
        scope: &Scope,
    ) -> Vec<Explained> {
        self.routes
            .iter()
            .map(|route| route.explain(source, event_type, scope))
            .collect()
    }

    /// The routes whose `from` and `on` hold, in file order.
    fn candidates(&self, source: &SourceName, event_type: &EventType) -> Vec<usize> {
        let mut found = Vec::new();
        let of_source = self.by_source.get(source);
        for by_type in of_source.into_iter().chain([&self.any_source]) {
            found.extend_from_slice(&by_type.all);
            if let Some(exact) = by_type.exact.get(event_type.as_str()) {
                found.extend_from_slice(exact);
            }
            let globbed = by_type.globbed(event_type.as_str());
            found.extend(globbed.filter(|index| {
                self.routes
                    .get(*index)
                    .is_some_and(|route| route.is_on(event_type.as_str()))
            }));
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}

impl ByType {
    fn add(&mut self, index: usize, route: &Route) {
        if route.on.is_empty() {
            self.all.push(index);
        }
        for pattern in &route.on {
            let beginning = pattern.find(['*', '?']).and_then(|at| pattern.get(..at));
            let (by, text) = match beginning {
                Some(beginning) => (&mut self.globs, beginning),
                None => (&mut self.exact, pattern.as_str()),
            };
            by.entry(text.into()).or_default().push(index);
            self.beginnings.extend(beginning.map(str::len));
        }
        self.beginnings.sort_unstable();
        self.beginnings.dedup();
    }

    /// The routes of which a pattern with wildcards begins as this type does.
    fn globbed(&self, event_type: &str) -> impl Iterator<Item = usize> {
        let beginnings = self.beginnings.iter();
        let begun = beginnings.filter_map(|length| self.globs.get(event_type.get(..*length)?));
        begun.flatten().copied()
    }
}

/// The destinations that have their copy; a set once there are many.
#[derive(Default)]
struct Settled {
    list: Vec<Owed>,
    set: HashSet<DestinationName>,
}

impl Settled {
    const FEW: usize = 16;

    fn has(&self, destination: &DestinationName) -> bool {
        if self.set.is_empty() {
            self.list
                .iter()
                .any(|owed| owed.destination == *destination)
        } else {
            self.set.contains(destination)
        }
    }

    fn add(&mut self, destination: &DestinationName, action: &Action) {
        if self.has(destination) {
            return;
        }
        self.list.push(Owed {
            destination: destination.clone(),
            action: action.clone(),
        });
        if self.list.get(Self::FEW).is_some() {
            let not_yet = self.list.iter().skip(self.set.len());
            self.set
                .extend(not_yet.map(|owed| owed.destination.clone()));
        }
    }
}

impl Route {
    fn is_from(&self, source: &SourceName) -> bool {
        self.from.is_empty() || self.from.contains(source)
    }

    fn is_on(&self, event_type: &str) -> bool {
        self.on.is_empty()
            || self
                .on
                .iter()
                .any(|pattern| glob_matches(pattern, event_type))
    }

    fn explain(&self, source: &SourceName, event_type: &EventType, scope: &Scope) -> Explained {
        let mut clauses = Vec::new();
        if !self.from.is_empty() {
            let names: Vec<&str> = self.from.iter().map(SourceName::as_str).collect();
            clauses.push(Clause {
                clause: written("from", &names),
                holds: self.is_from(source),
                values: vec![looked("event.source", source.as_str())],
                failed: None,
            });
        }
        if !self.on.is_empty() {
            let patterns: Vec<&str> = self.on.iter().map(String::as_str).collect();
            clauses.push(Clause {
                clause: written("on", &patterns),
                holds: self.is_on(event_type.as_str()),
                values: vec![looked("event.type", event_type.as_str())],
                failed: None,
            });
        }
        if let Some(when) = &self.when {
            let held = when.holds(scope);
            clauses.push(Clause {
                clause: written("when", &[when.text()]),
                holds: held == Ok(true),
                values: when.looked_at(scope),
                failed: held.err().map(|failed| failed.to_string()),
            });
        }
        let matched = clauses.iter().all(|clause| clause.holds);
        Explained {
            name: Arc::clone(&self.name),
            matched,
            clauses,
        }
    }
}

/// A clause as it could stand in the file: one text, or a list of them.
fn written(key: &str, values: &[&str]) -> String {
    let quoted: Vec<String> = values
        .iter()
        .map(|value| Json::from(*value).to_string())
        .collect();
    match quoted.as_slice() {
        [one] => format!("{key} = {one}"),
        many => format!("{key} = [{}]", many.join(", ")),
    }
}

fn looked(path: &str, value: &str) -> Looked {
    Looked {
        path: path.to_owned(),
        value: Some(Json::from(value)),
    }
}

/// Why one route matched or did not.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Explained {
    pub name: Arc<str>,
    pub matched: bool,
    pub clauses: Vec<Clause>,
}

#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Clause {
    /// As in the file: `from = "qiscus"`, `on = "post_*"`, `when = "…"`.
    pub clause: String,
    pub holds: bool,
    pub values: Vec<Looked>,
    /// Why a `when` could not be evaluated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

/// Whether the whole text matches: `*` is any run of characters, `?` any one
/// character, all else itself. Never goes back further than the last `*`.
pub fn glob_matches(pattern: &str, text: &str) -> bool {
    let (mut pattern, mut text) = (pattern.chars(), text.chars());
    // Where to go on when the last star has to take one character more.
    let mut star: Option<(std::str::Chars<'_>, std::str::Chars<'_>)> = None;
    loop {
        let mut ahead = text.clone();
        let wanted = pattern.next();
        match (wanted, ahead.next()) {
            (None, None) => return true,
            (Some('*'), _) => {
                star = Some((pattern.clone(), text.clone()));
                continue;
            }
            (Some('?'), Some(_)) => {
                text = ahead;
                continue;
            }
            (Some(wanted), Some(found)) if wanted == found => {
                text = ahead;
                continue;
            }
            _ => {}
        }
        let Some((after_star, taken)) = star.as_mut() else {
            return false;
        };
        if taken.next().is_none() {
            return false;
        }
        pattern = after_star.clone();
        text = taken.clone();
    }
}
