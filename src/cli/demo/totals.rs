//! Both sides of the demo side by side: what the gateway says of itself, and
//! what the samples and the emulators, which know nothing of it, say.

use std::collections::{BTreeMap, HashSet};

use http::{HeaderMap, Method};
use serde_json::Value;

use super::samples::{self, SOURCES};
use super::stage::{self, Stage};
use crate::cli::client::{Admin, exchange};
use crate::cli::print::{new_table, text};
use crate::cli::say;
use crate::emulate::Emulator;

/// What the gateway says of itself.
pub(super) struct Account {
    /// `/api/v1/status`.
    pub(super) status: Value,
    /// By destination and rule, how many copies were dropped.
    dropped: BTreeMap<(String, String), u64>,
    /// By destination, how many copies the loop guard did not let become owed.
    stopped: BTreeMap<String, u64>,
}

impl Account {
    pub(super) async fn ask(admin: &Admin, address: &str, status: Value) -> anyhow::Result<Self> {
        let (_, metrics) = exchange(
            address,
            Method::GET,
            "/metrics",
            HeaderMap::new(),
            bytes::Bytes::new(),
        )
        .await?;
        Ok(Self {
            status,
            dropped: dropped(admin).await?,
            stopped: stopped(&String::from_utf8_lossy(&metrics)),
        })
    }

    fn row(&self, table: &str, name: &str) -> &Value {
        let rows = self.status[table].as_array();
        let mut rows = rows.into_iter().flatten();
        rows.find(|row| row["name"] == name).unwrap_or(&Value::Null)
    }
}

/// Prints both; true if they add up.
pub(super) fn hold(stage: &Stage, account: &Account) -> anyhow::Result<bool> {
    let sources = sources(stage, account);
    let destinations = destinations(stage, account);
    let loops = loops(stage, account)?;
    let adds_up = sources && destinations && loops;
    say(if adds_up {
        "every sample accepted, every copy delivered or dropped by a named rule, every loop stopped"
    } else {
        "the totals do not add up"
    });
    Ok(adds_up)
}

fn sources(stage: &Stage, account: &Account) -> bool {
    let mut adds_up = true;
    let mut table = new_table(&[
        "source",
        "samples",
        "from the emulator",
        "events in all",
        "accepted",
        "",
    ]);
    for name in SOURCES {
        let posted = stage.posted(name);
        let taken = posted
            .iter()
            .all(|webhook| (200..300).contains(&webhook.status));
        let events = events_in(stage, name) + posted.len() as u64;
        let accepted = account.row("sources", name)["accepted"].as_u64();
        let ok = taken && accepted == Some(events);
        adds_up &= ok;
        table.add_row([
            name.to_owned(),
            samples::of(name).len().to_string(),
            posted.len().to_string(),
            events.to_string(),
            accepted.unwrap_or_default().to_string(),
            verdict(ok),
        ]);
    }
    say(&format!("\n{table}\n"));
    adds_up
}

/// How many events the samples hold: one each; of Quiq one for each message
/// besides, however often it is shown, and none for a line test.
fn events_in(stage: &Stage, source: &str) -> u64 {
    let samples = samples::of(source);
    if source != "quiq" {
        return samples.len() as u64;
    }
    let bodies = samples
        .iter()
        .filter_map(|(_, body)| serde_json::from_slice::<Value>(body).ok());
    let (mut snapshots, mut messages) = (0, HashSet::new());
    for body in bodies.filter(|body| body["eventType"] != "test") {
        snapshots += 1;
        let shown = body["data"]["messages"].as_array();
        messages.extend(
            shown
                .into_iter()
                .flatten()
                .map(|message| text(&message["id"])),
        );
    }
    let fetched = stage.emulator(stage::QUIQ).map_or(0, |quiq| {
        let all = quiq.quiq().conversations();
        all.iter().map(|one| one.messages.len()).sum()
    });
    snapshots + (messages.len() + fetched) as u64
}

fn destinations(stage: &Stage, account: &Account) -> bool {
    let mut adds_up = true;
    let mut table = new_table(&[
        "destination",
        "owed",
        "delivered",
        "arrived there",
        "dropped",
        "dead",
        "waiting",
        "loops stopped",
        "",
    ]);
    for (name, emulator) in stage.emulators() {
        let row = account.row("destinations", name);
        let number = |field: &str| row[field].as_u64().unwrap_or(0);
        let (owed, delivered, dropped) = (number("owed"), number("delivered"), number("dropped"));
        let named: u64 = account
            .dropped
            .iter()
            .filter(|((destination, _), _)| destination == name)
            .map(|(_, count)| count)
            .sum();
        let (arrived, refused) = (arrived(name, emulator), emulator.counts().refused);
        let ok = owed > 0
            && owed == delivered + dropped
            && delivered == arrived
            && named == dropped
            && number("dead") + number("pending") + refused == 0;
        adds_up &= ok;
        table.add_row([
            (*name).to_owned(),
            owed.to_string(),
            delivered.to_string(),
            arrived.to_string(),
            dropped.to_string(),
            number("dead").to_string(),
            number("pending").to_string(),
            account.stopped.get(*name).copied().unwrap_or(0).to_string(),
            if refused == 0 {
                verdict(ok)
            } else {
                format!("does NOT add up; {refused} refused")
            },
        ]);
    }
    say(&format!("{table}\n"));
    let dropped = account.dropped.iter();
    let dropped: Vec<String> = dropped
        .map(|((destination, rule), count)| format!("{count} to {destination} by {rule}"))
        .collect();
    say(&format!("dropped: {}", dropped.join(", ")));
    adds_up
}

/// How many different events the vendor took. Quiq only answers: there, those
/// that asked and were told.
fn arrived(name: &str, emulator: &Emulator) -> u64 {
    if name != stage::QUIQ {
        return emulator.counts().events;
    }
    let calls = emulator.calls();
    let told = calls.iter().filter(|call| call.ok());
    let events: HashSet<_> = told.filter_map(|call| call.event.as_deref()).collect();
    events.len() as u64
}

/// What we said comes back once from where it was said, and goes no further.
fn loops(stage: &Stage, account: &Account) -> anyhow::Result<bool> {
    let conversations = stage.emulator("helpdesk")?.dixa().conversations();
    let said = conversations.iter().flat_map(|one| &one.messages);
    let in_dixa = said.filter(|one| one.external_id.is_some()).count();
    let rooms = stage.emulator("rooms")?.qiscus().rooms();
    let said = rooms.iter().flat_map(|room| &room.comments);
    let in_qiscus = said.filter(|one| one.event.is_some()).count();
    let stopped = |name: &str| account.stopped.get(name).copied().unwrap_or(0);
    say(&format!(
        "the bridge said {in_dixa} things in Dixa and {in_qiscus} in Qiscus; both told the gateway of each, \
         and it said none of them again"
    ));
    Ok(in_dixa > 0
        && in_qiscus > 0
        && stopped("rooms") == in_dixa as u64
        && stopped("helpdesk") == in_qiscus as u64)
}

fn verdict(ok: bool) -> String {
    if ok { "adds up" } else { "does NOT add up" }.to_owned()
}

async fn dropped(admin: &Admin) -> anyhow::Result<BTreeMap<(String, String), u64>> {
    let mut dropped = BTreeMap::new();
    let list = admin.get("/api/v1/events?limit=1000").await?;
    for event in list["events"].as_array().into_iter().flatten() {
        let event = admin
            .get(&format!("/api/v1/events/{}", text(&event["id"])))
            .await?;
        let copies = event["deliveries"].as_array();
        for copy in copies
            .into_iter()
            .flatten()
            .filter(|copy| copy["state"] == "dropped")
        {
            let rule = text(&copy["detail"]);
            if !rule.is_empty() {
                *dropped
                    .entry((text(&copy["destination"]), rule))
                    .or_default() += 1;
            }
        }
    }
    Ok(dropped)
}

/// `hookfan_loops_stopped_total{destination="rooms"} 30`.
fn stopped(metrics: &str) -> BTreeMap<String, u64> {
    let lines = metrics.lines();
    let of = |line: &str| {
        let rest = line.strip_prefix("hookfan_loops_stopped_total{destination=\"")?;
        let (name, count) = rest.split_once("\"} ")?;
        Some((name.to_owned(), count.trim().parse().ok()?))
    };
    lines.filter_map(of).collect()
}
