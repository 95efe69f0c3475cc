//! The end of a world: everybody is well, and what is owed must come to its end
//! and be accounted for.

use std::sync::PoisonError;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::answers::Answers;
use super::book::End;
use super::checker;
use super::table::{NAMES, Table};
use super::vendors::Mood;
use super::world::{Running, Tally, World};
use super::{Failure, Kind};
use crate::event::EventId;
use crate::log::{Filter, Log};

/// Within so long, with everybody well, everything has its end.
const PEACE: Duration = Duration::from_secs(3600);
/// What counts is written down within so long, and a letter of a copy that did
/// not die after all is gone.
const WRITTEN: Duration = Duration::from_secs(3);
/// Events whose history is asked for.
const HISTORIES: usize = 4;

impl World {
    /// Everybody is well and nobody interferes: everything must have its end.
    pub(super) async fn in_peace(&mut self, life: usize) -> Result<Tally, Failure> {
        self.disk.heal();
        self.troubled = false;
        for to in 0..NAMES.len() {
            self.vendors.set_mood(to, Mood::Ease);
        }
        let table = self.table().at_ease();
        *self.in_force.lock().unwrap_or_else(PoisonError::into_inner) = table;
        let Some(mut running) = self.start(life)? else {
            return Err(Failure::new(Kind::Crash, "the last life does not begin"));
        };
        if !self.books.open().had("reload") {
            self.reload(&running, Table::at_ease).await;
            sleep(Duration::from_secs(1)).await;
        }
        settled(&running).await?;
        sleep(WRITTEN).await;
        let answers = self.ask(&running.log).await?;
        if !self.stop(&mut running).await? {
            return Err(Failure::new(Kind::Crash, "the last stop fails"));
        }
        self.over(End::Stopped, Some(running)).await?;
        if !self.books.open().had("upgrade") {
            self.upgrade();
        }
        let Some(running) = self.start(life + 1)? else {
            return Err(Failure::new(Kind::Crash, "it does not begin after the end"));
        };
        let again = self.ask(&running.log).await?;
        self.let_go(running).await?;
        let arrivals = self.vendors.arrivals();
        let book = self.books.open();
        checker::check(&book, &arrivals, &answers, &again)
            .map_err(|wrong| Failure::new(Kind::WrongAnswer, &wrong))?;
        let crashes = book.ends.iter().filter(|(end, _)| end.is_crash()).count();
        self.trace
            .say(format_args!("ends with {:x}", self.disk.print()));
        Ok(Tally {
            events: book.acked.len() as u64,
            attempts: arrivals.len() as u64,
            crashes: crashes as u64,
            faults: book.faults.clone(),
            print: self.trace.print(),
        })
    }

    /// What the public questions say.
    async fn ask(&self, log: &Log) -> Result<Answers, Failure> {
        let failed = |error: std::io::Error| Failure::new(Kind::Crash, &error.to_string());
        let filter = Filter::default;
        let letters = log.dead(filter(), None, usize::MAX).await.map_err(failed)?;
        let events = log
            .events(filter(), None, usize::MAX)
            .await
            .map_err(failed)?;
        let mut answers = Answers::new(log, &letters, &events);
        // Each costs a walk through the log: a few are asked for.
        let acked: Vec<String> = self.books.open().acked.keys().cloned().collect();
        let step = (acked.len() / HISTORIES).max(1);
        for event in acked.iter().step_by(step) {
            let Some(id) = EventId::parse(event) else {
                continue;
            };
            for (_, copies) in log.event(id).await.map_err(failed)? {
                answers.tell(event, &copies);
            }
        }
        Ok(answers)
    }
}

/// Waits until nothing is owed any more.
async fn settled(running: &Running) -> Result<(), Failure> {
    let deadline = Instant::now() + PEACE;
    let pending = |log: &Log| {
        let totals = log.totals().into_iter();
        let mut open: Vec<_> = totals.filter(|(_, totals)| totals.pending() > 0).collect();
        open.sort_by(|one, other| one.0.cmp(&other.0));
        open
    };
    while !pending(&running.log).is_empty() {
        if Instant::now() > deadline {
            let states: Vec<_> = running
                .house
                .workers
                .iter()
                .map(|w| (w.key().clone(), w.state()))
                .collect();
            let what = format!(
                "still owed in peace: {:?}; {states:?}",
                pending(&running.log)
            );
            return Err(Failure::new(Kind::Stall, &what));
        }
        if running.log.health().is_err() && running.log.moves().is_err() {
            return Err(Failure::new(Kind::Crash, "the log is poisoned in peace"));
        }
        // One that just came back may be paused from before it left.
        for name in NAMES {
            if let Some(worker) = running.house.workers.get(name) {
                worker.resume();
            }
        }
        sleep(Duration::from_secs(1)).await;
    }
    Ok(())
}
