//! The routing table as the simulation means it: what it asks for is drawn as
//! the text that the gateway reads, and what must come of it is known without
//! the gateway.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::bugs::Bug;

pub(crate) const SOURCES: [&str; 2] = ["chat", "shop"];
pub(crate) const TYPES: [&str; 3] = ["said", "closed", "paid"];
/// As many names as a world ever uses.
pub(crate) const NAMES: [&str; 6] = ["d0", "d1", "d2", "d3", "d4", "d5"];

/// What follows a full backlog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    DeadLetter,
    DropOldest,
    Reject,
}

/// One destination as written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct To {
    pub(crate) ordered: bool,
    pub(crate) concurrency: u32,
    pub(crate) rate: Option<u32>,
    /// Seconds.
    pub(crate) delays: Vec<u32>,
    pub(crate) span: u32,
    pub(crate) skip_after: Option<u32>,
    pub(crate) failures: u32,
    pub(crate) probe_every: u32,
    pub(crate) timeout: u32,
    pub(crate) backlog: Option<(u32, Full)>,
    pub(crate) paused: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rule {
    pub(crate) from: Option<usize>,
    pub(crate) on: Option<usize>,
    pub(crate) even_only: bool,
    pub(crate) to: BTreeSet<usize>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Table {
    pub(crate) to: BTreeMap<usize, To>,
    pub(crate) rules: Vec<Rule>,
    min_free: u32,
}

impl Table {
    pub(crate) fn draw(chance: &mut fastrand::Rng) -> Self {
        let mut table = Self {
            min_free: [1, 16, 64][chance.usize(..3)],
            ..Self::default()
        };
        for name in 0..chance.usize(1..=3) {
            table.to.insert(name, destination(chance));
        }
        table.rules = rules(chance, &table.to);
        table
    }

    /// Another one, as an operator would make it out of this one.
    pub(crate) fn edited(&self, chance: &mut fastrand::Rng) -> Self {
        let mut table = self.clone();
        let known: Vec<usize> = table.to.keys().copied().collect();
        let one = known[chance.usize(..known.len())];
        match chance.u8(..6) {
            0 => {
                let free = (0..NAMES.len()).find(|name| !table.to.contains_key(name));
                if let Some(free) = free {
                    table.to.insert(free, destination(chance));
                }
            }
            1 if known.len() > 1 => drop(table.to.remove(&one)),
            2 => {
                // Another name for the same thing.
                let free = (0..NAMES.len()).rev().find(|name| !known.contains(name));
                if let (Some(free), Some(to)) = (free, table.to.remove(&one)) {
                    table.to.insert(free, to);
                }
            }
            3 => {
                if let Some(to) = table.to.get_mut(&one) {
                    to.paused = !to.paused;
                }
            }
            4 => {
                if let Some(to) = table.to.get_mut(&one) {
                    let (ordered, skip_after) = (to.ordered, to.skip_after);
                    *to = destination(chance);
                    (to.ordered, to.skip_after) = (ordered, skip_after);
                }
            }
            _ => {}
        }
        table.rules = rules(chance, &table.to);
        table
    }

    /// The same with nobody paused and room for all.
    pub(crate) fn at_ease(&self) -> Self {
        let mut table = self.clone();
        for to in table.to.values_mut() {
            to.paused = false;
            to.backlog = None;
        }
        table
    }

    /// Who is owed a copy.
    pub(crate) fn owed(&self, source: usize, kind: usize, even: bool) -> BTreeSet<usize> {
        let holds = |rule: &&Rule| {
            rule.from.is_none_or(|from| from == source)
                && rule.on.is_none_or(|on| on == kind)
                && (!rule.even_only || even)
        };
        let matching = self.rules.iter().filter(holds);
        matching.flat_map(|rule| rule.to.iter().copied()).collect()
    }

    pub(crate) fn text(&self, bug: Option<Bug>) -> String {
        let mut text = format!(
            "[server]\nlisten = \"127.0.0.1:8080\"\nadmin = \"127.0.0.1:9090\"\ndata_dir = \"/data\"\n\
             [log]\nretain = \"30d\"\nmax_disk = \"1GiB\"\nmin_free = \"{}KiB\"\n",
            self.min_free
        );
        for source in SOURCES {
            let _ = write!(
                text,
                "[source.{source}]\nkind = \"generic\"\nauth = \"none\"\ntype = [{{ body = \"type\" }}]\n\
                 id = [{{ body = \"id\" }}]\nkey = [{{ body = \"room\" }}]\n"
            );
        }
        for (name, to) in &self.to {
            to.write(&mut text, NAMES[*name], bug);
        }
        for rule in &self.rules {
            text.push_str("[[route]]\n");
            if let Some(from) = rule.from {
                let _ = writeln!(text, "from = \"{}\"", SOURCES[from]);
            }
            if let Some(on) = rule.on {
                let _ = writeln!(text, "on = \"{}*\"", &TYPES[on][..3]);
            }
            if rule.even_only {
                text.push_str("when = \"payload.even\"\n");
            }
            let to: Vec<String> = rule
                .to
                .iter()
                .map(|to| format!("\"{}\"", NAMES[*to]))
                .collect();
            let _ = writeln!(text, "to = [{}]", to.join(", "));
        }
        text
    }

    /// A text that must not be taken.
    pub(crate) fn broken(&self, chance: &mut fastrand::Rng) -> String {
        let text = self.text(None);
        match chance.u8(..5) {
            0 => text.replace("kind = \"http\"", "kind = \"htpp\""),
            1 => format!("{text}[[route]]\nto = \"nobody\"\n"),
            2 => text.replace("\"/data\"", "\"/elsewhere\""),
            3 => text.replace("concurrency = ", "concurency = "),
            _ => format!("{text}\n[["),
        }
    }
}

impl To {
    fn write(&self, text: &mut String, name: &str, bug: Option<Bug>) {
        let ordered = self.ordered && bug != Some(Bug::NoLanes);
        let order = if ordered { "conversation" } else { "none" };
        let delays: Vec<String> = self.delays.iter().map(|s| format!("\"{s}s\"")).collect();
        let _ = write!(
            text,
            "[destination.{name}]\nkind = \"http\"\nurl = \"http://{name}.example/in\"\norder = \"{order}\"\n\
             concurrency = {}\ntimeout = \"{}s\"\nretry = {{ delays = [{}], for = \"{}s\" }}\n\
             breaker = {{ failures = {}, probe_every = \"{}s\" }}\n",
            self.concurrency,
            self.timeout,
            delays.join(", "),
            self.span,
            self.failures,
            self.probe_every
        );
        if let Some(rate) = self.rate {
            let _ = writeln!(text, "rate = \"{rate}/s\"");
        }
        if let Some(after) = self.skip_after {
            let _ = writeln!(text, "on_stuck = {{ skip_after = \"{after}s\" }}");
        }
        if let Some((max, full)) = self.backlog {
            let full = match full {
                Full::DeadLetter => "dead_letter",
                Full::DropOldest => "drop_oldest",
                Full::Reject => "reject",
            };
            let _ = writeln!(
                text,
                "backlog = {{ max_events = {max}, max_bytes = \"1MiB\", when_full = \"{full}\" }}"
            );
        }
        if self.paused {
            text.push_str("paused = true\n");
        }
    }
}

fn destination(chance: &mut fastrand::Rng) -> To {
    let full = [Full::DeadLetter, Full::DropOldest, Full::Reject][chance.usize(..3)];
    To {
        ordered: chance.u8(..4) > 0,
        concurrency: chance.u32(1..=4),
        rate: (chance.u8(..4) == 0).then(|| chance.u32(1..20)),
        delays: vec![chance.u32(1..4), chance.u32(2..30), chance.u32(5..60)],
        span: if chance.u8(..4) == 0 { 90 } else { 36_000 },
        skip_after: (chance.u8(..6) == 0).then(|| chance.u32(5..60)),
        failures: chance.u32(2..20),
        probe_every: chance.u32(1..20),
        timeout: chance.u32(2..20),
        backlog: (chance.u8(..4) == 0).then(|| (chance.u32(2..20), full)),
        paused: chance.u8(..16) == 0,
    }
}

fn rules(chance: &mut fastrand::Rng, to: &BTreeMap<usize, To>) -> Vec<Rule> {
    let rules = (0..chance.usize(1..=3)).map(|_| {
        let mut named: BTreeSet<usize> = to.keys().copied().filter(|_| chance.bool()).collect();
        if named.is_empty() {
            named.extend(to.keys().next().copied());
        }
        Rule {
            from: (chance.u8(..3) == 0).then(|| chance.usize(..SOURCES.len())),
            on: (chance.u8(..3) == 0).then(|| chance.usize(..TYPES.len())),
            even_only: chance.u8(..4) == 0,
            to: named,
        }
    });
    rules.collect()
}
