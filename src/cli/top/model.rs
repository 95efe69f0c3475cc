//! What `top` knows and what a key does to it: input to state and deeds. No
//! I/O and no clock; the time since the start is an argument.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::Value;

use super::rates::{Rates, Seconds, precise};

/// What happens to the view.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Input {
    Key(Key),
    /// `GET status`, or one event of the stream.
    Status {
        status: Value,
        live: bool,
    },
    /// The gateway does not answer; why.
    Lost(String),
    /// A destination's history, or why there is none.
    History(String, Result<Value, String>),
    /// What became of a deed.
    Said(String),
    /// Time has passed, or the terminal has another size.
    Tick,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Letter(char),
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    End,
    Enter,
    Escape,
    Backspace,
    /// Ctrl-C, or the terminal is gone.
    Stop,
}

/// What is to be done outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Quit,
    Pause(String),
    Resume(String),
    /// Ask for a destination's history.
    History(String),
}

/// By what the rows are sorted; `s` goes round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    Name,
    Backlog,
    Oldest,
    Rate,
}

/// How the gateway is heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Nothing yet.
    Waiting,
    Live,
    Polled,
    /// Since when, and why.
    Lost(Duration, String),
}

/// What stands in front of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Over {
    Nothing,
    Help,
    /// The filter is being typed.
    Filter,
    /// y or n.
    Confirm(Deed),
}

/// One destination.
#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) target: String,
    pub(super) state: String,
    pub(super) paused_by: Option<String>,
    pub(super) delivered: u64,
    pub(super) dead: u64,
    pub(super) dropped: u64,
    pub(super) dead_letters: u64,
    pub(super) pending: u64,
    pub(super) pending_bytes: u64,
    pub(super) retrying: Option<u64>,
    pub(super) in_flight: u64,
    pub(super) oldest: Option<u64>,
    /// Delivered per second.
    pub(super) rate: f64,
    pub(super) failed_rate: Option<f64>,
    /// When, what, and in whose words.
    pub(super) error: Option<[String; 3]>,
}

#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) name: String,
    /// Accepted per second.
    pub(super) rate: f64,
}

/// What a gateway remembers of a destination.
#[derive(Clone, Debug)]
pub(super) struct History {
    asked_at: Duration,
    pub(super) answer: Option<Result<Vec<Sample>, String>>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Sample {
    pub(super) seconds: u64,
    pub(super) delivered: u64,
    pub(super) failed: u64,
    pub(super) pending: u64,
    /// Of attempts, in milliseconds: the median and the slowest of a hundred.
    pub(super) attempt_ms: Option<(f64, f64)>,
}

pub(super) struct Model {
    pub(super) address: String,
    /// Without colours.
    pub(super) plain: bool,
    pub(super) line: Line,
    pub(super) now: Duration,
    pub(super) trouble: Option<String>,
    pub(super) rows: Vec<Row>,
    pub(super) sources: Vec<Source>,
    pub(super) delivered: Seconds,
    pub(super) sort: Sort,
    pub(super) filter: String,
    pub(super) over: Over,
    /// A destination fills the screen.
    pub(super) detail: bool,
    pub(super) latency: bool,
    pub(super) histories: HashMap<String, History>,
    /// What the last deed came to, and when.
    pub(super) said: Option<(Duration, String)>,
    selected: Option<String>,
    rates: Rates,
}

/// What a deed came to is shown for so long.
const SAID_FOR: Duration = Duration::from_secs(8);
/// A gateway takes a sample every ten seconds.
const HISTORY_EVERY: Duration = Duration::from_secs(10);
/// More histories are not asked for at once.
const HISTORIES_MAX: usize = 32;
const PAGE: usize = 10;

impl Model {
    pub(super) fn new(address: &str, plain: bool) -> Self {
        Self {
            address: address.to_owned(),
            plain,
            line: Line::Waiting,
            now: Duration::ZERO,
            trouble: None,
            rows: Vec::new(),
            sources: Vec::new(),
            delivered: Seconds::default(),
            sort: Sort::Name,
            filter: String::new(),
            over: Over::Nothing,
            detail: false,
            latency: false,
            histories: HashMap::new(),
            said: None,
            selected: None,
            rates: Rates::default(),
        }
    }

    /// One input, `now` after the start.
    pub(super) fn take(&mut self, input: Input, now: Duration) -> Vec<Deed> {
        self.now = now;
        if self
            .said
            .as_ref()
            .is_some_and(|(at, _)| now - *at > SAID_FOR)
        {
            self.said = None;
        }
        match input {
            Input::Key(key) => return self.press(key),
            Input::Status { status, live } => {
                self.line = if live { Line::Live } else { Line::Polled };
                self.learn(&status);
            }
            Input::Lost(why) => {
                let since = match &self.line {
                    Line::Lost(since, _) => *since,
                    _ => now,
                };
                self.line = Line::Lost(since, why);
            }
            Input::History(name, answer) => {
                if let Some(history) = self.histories.get_mut(&name) {
                    history.answer = Some(answer.map(|answer| samples(&answer)));
                }
            }
            Input::Said(said) => self.said = Some((now, said)),
            Input::Tick => {}
        }
        self.wanted_histories()
    }

    /// The rows that pass the filter, in order.
    pub(super) fn shown(&self) -> Vec<&Row> {
        let filter = self.filter.to_lowercase();
        let passes = |row: &&Row| {
            [&row.name, &row.kind, &row.state]
                .into_iter()
                .any(|text| text.to_lowercase().contains(&filter))
        };
        let mut rows: Vec<&Row> = self.rows.iter().filter(passes).collect();
        rows.sort_by(|a, b| match self.sort {
            Sort::Name => a.name.cmp(&b.name),
            Sort::Backlog => b.pending.cmp(&a.pending),
            Sort::Oldest => b.oldest.cmp(&a.oldest),
            Sort::Rate => b.rate.total_cmp(&a.rate),
        });
        rows
    }

    /// Which of the shown rows is selected; the first where it went away.
    pub(super) fn selected(&self) -> usize {
        let name = self.selected.as_deref();
        let place = self
            .shown()
            .iter()
            .position(|row| Some(row.name.as_str()) == name);
        place.unwrap_or(0)
    }

    pub(super) fn selected_row(&self) -> Option<&Row> {
        self.shown().get(self.selected()).copied()
    }

    fn press(&mut self, key: Key) -> Vec<Deed> {
        if key == Key::Stop {
            return vec![Deed::Quit];
        }
        match std::mem::replace(&mut self.over, Over::Nothing) {
            // Any key closes the help.
            Over::Help => Vec::new(),
            Over::Filter => {
                self.type_filter(key);
                Vec::new()
            }
            Over::Confirm(deed) => match key {
                Key::Letter('y' | 'Y') => vec![deed],
                _ => {
                    self.said = Some((self.now, "nothing was changed".to_owned()));
                    Vec::new()
                }
            },
            Over::Nothing => self.command(key),
        }
    }

    fn command(&mut self, key: Key) -> Vec<Deed> {
        match key {
            Key::Letter('q') => return vec![Deed::Quit],
            Key::Escape if self.detail => self.detail = false,
            Key::Escape => self.filter.clear(),
            Key::Letter('?' | 'h') => self.over = Over::Help,
            Key::Letter('f' | '/') => self.over = Over::Filter,
            Key::Letter('s') => {
                self.sort = match self.sort {
                    Sort::Name => Sort::Backlog,
                    Sort::Backlog => Sort::Oldest,
                    Sort::Oldest => Sort::Rate,
                    Sort::Rate => Sort::Name,
                }
            }
            Key::Letter('l') => self.latency = !self.latency,
            Key::Letter('p') => self.ask(Deed::Pause),
            Key::Letter('r') => self.ask(Deed::Resume),
            Key::Enter => self.detail = !self.detail && self.selected_row().is_some(),
            Key::Up | Key::Letter('k') => self.go(|at, _| at.saturating_sub(1)),
            Key::Down | Key::Letter('j') => self.go(|at, _| at + 1),
            Key::PageUp => self.go(|at, _| at.saturating_sub(PAGE)),
            Key::PageDown => self.go(|at, _| at + PAGE),
            Key::Home | Key::Letter('g') => self.go(|_, _| 0),
            Key::End | Key::Letter('G') => self.go(|_, count| count),
            _ => {}
        }
        self.wanted_histories()
    }

    fn type_filter(&mut self, key: Key) {
        match key {
            Key::Enter => return,
            Key::Escape => {
                self.filter.clear();
                return;
            }
            Key::Backspace => drop(self.filter.pop()),
            Key::Letter(letter) if self.filter.len() < 64 => self.filter.push(letter),
            _ => {}
        }
        self.over = Over::Filter;
    }

    fn ask(&mut self, deed: impl Fn(String) -> Deed) {
        let name = self.selected_row().map(|row| row.name.clone());
        if let Some(name) = name {
            self.over = Over::Confirm(deed(name));
        }
    }

    /// Moves the selection; `to` gets its place and how many rows there are.
    fn go(&mut self, to: impl Fn(usize, usize) -> usize) {
        let count = self.shown().len();
        let place = to(self.selected(), count).min(count.saturating_sub(1));
        self.selected = self.shown().get(place).map(|row| row.name.clone());
    }

    /// What is on the screen and not yet known, or known no more.
    fn wanted_histories(&mut self) -> Vec<Deed> {
        let mut wanted: Vec<String> = Vec::new();
        if self.detail {
            wanted.extend(self.selected_row().map(|row| row.name.clone()));
        } else if self.latency {
            wanted.extend(
                self.shown()
                    .iter()
                    .take(HISTORIES_MAX)
                    .map(|row| row.name.clone()),
            );
        }
        let now = self.now;
        wanted.retain(|name| {
            self.histories
                .get(name)
                .is_none_or(|history| now - history.asked_at >= HISTORY_EVERY)
        });
        for name in &wanted {
            let answer = self
                .histories
                .remove(name)
                .and_then(|history| history.answer);
            let asked = History {
                asked_at: now,
                answer,
            };
            self.histories.insert(name.clone(), asked);
        }
        wanted.into_iter().map(Deed::History).collect()
    }

    fn learn(&mut self, status: &Value) {
        self.trouble = status["trouble"].as_str().map(str::to_owned);
        let now = self.now;
        let rates = &mut self.rates;
        self.rows = list(&status["destinations"])
            .map(|row| {
                let delivered = number(&row["delivered"]);
                let seen = rates.of(format!("to {}", text(&row["name"])), delivered, now);
                self::row(row, row["rate"].as_f64().unwrap_or(seen))
            })
            .collect();
        self.sources = list(&status["sources"])
            .map(|source| {
                let accepted = number(&source["accepted"]);
                let name = text(&source["name"]);
                let seen = rates.of(format!("from {name}"), accepted, now);
                let rate = source["rate"].as_f64().unwrap_or(seen);
                Source { name, rate }
            })
            .collect();
        let delivered = self.rows.iter().map(|row| row.delivered).sum();
        self.delivered.take(delivered, now);
    }
}

fn row(row: &Value, rate: f64) -> Row {
    let error = &row["last_error"];
    Row {
        name: text(&row["name"]),
        kind: text(&row["kind"]),
        target: text(&row["target"]),
        state: text(&row["state"]),
        paused_by: row["paused_by"].as_str().map(str::to_owned),
        delivered: number(&row["delivered"]),
        dead: number(&row["dead"]),
        dropped: number(&row["dropped"]),
        dead_letters: number(&row["dead_letters"]),
        pending: number(&row["pending"]),
        pending_bytes: number(&row["pending_bytes"]),
        retrying: row["retrying"].as_u64(),
        in_flight: number(&row["in_flight"]),
        oldest: row["oldest_seconds"].as_u64(),
        rate,
        failed_rate: row["failed_rate"].as_f64(),
        error: error
            .is_object()
            .then(|| ["at", "outcome", "detail"].map(|name| text(&error[name]))),
    }
}

fn samples(history: &Value) -> Vec<Sample> {
    let seconds = history["every_seconds"].as_u64().unwrap_or(10).max(1);
    let sample = |sample: &Value| {
        let times = &sample["attempt_ms"];
        Sample {
            seconds,
            delivered: number(&sample["delivered"]),
            failed: number(&sample["failed"]),
            pending: number(&sample["pending"]),
            attempt_ms: times["p50"].as_f64().zip(times["p99"].as_f64()),
        }
    };
    list(&history["samples"]).map(sample).collect()
}

impl Sample {
    /// Delivered per second.
    pub(super) fn rate(&self) -> f64 {
        precise(self.delivered) / precise(self.seconds)
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

fn text(value: &Value) -> String {
    crate::cli::print::text(value)
}
