//! Bulk work that goes on when its asker leaves: the steps of retry, drop and
//! replay, taken one after the other inside the gateway, to be watched and
//! stopped. Nothing of a job outlives the process but what it has done.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::StatusCode;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::operate::{Dead, Plan, STEP, event_ids, letter_ids, may_replay};
use super::select::{self, Which};
use super::{House, Refusal, show};
use crate::clock::Timestamp;
use crate::event::{EventId, Offset};
use crate::log::Filter;

/// Jobs at once.
const RUNNING_MAX: usize = 4;
/// Ended jobs that are remembered.
const ENDED_MAX: usize = 50;

/// Every job that is remembered.
#[derive(Debug, Default)]
pub struct Jobs(Mutex<Book>);

#[derive(Debug, Default)]
struct Book {
    /// In the order they began.
    jobs: VecDeque<Arc<Job>>,
    started: u64,
}

#[derive(Debug)]
struct Job {
    id: String,
    what: String,
    selection: Value,
    started_at: Timestamp,
    stop: CancellationToken,
    progress: Mutex<Progress>,
}

#[derive(Clone, Debug)]
struct Progress {
    state: State,
    /// Letters or events.
    done: u64,
    skipped: u64,
    total: Option<u64>,
    /// What is owed anew.
    copies: u64,
    ended_at: Option<Timestamp>,
    error: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Running,
    Done,
    Failed,
    Stopped,
}

/// What a job does, read and checked.
enum Work {
    Letters(Dead, Vec<Offset>),
    DeadFilter(Dead, Filter),
    Events(Plan, Vec<EventId>),
    Replay(Plan, Filter),
}

impl Jobs {
    /// How many run now.
    pub fn running(&self) -> usize {
        let book = self.book();
        book.jobs.iter().filter(|job| job.runs()).count()
    }

    /// Newest first.
    pub fn list(&self) -> Value {
        let book = self.book();
        let shown: Vec<Value> = book.jobs.iter().rev().map(|job| job.shown()).collect();
        json!({"jobs": shown})
    }

    /// `jobs/<id>`.
    pub fn show(&self, id: &str) -> Result<Value, Refusal> {
        Ok(self.find(id)?.shown())
    }

    /// `jobs/<id>:stop`: it ends after the step it is in. One that has ended
    /// stays as it is.
    pub fn stop(&self, id: &str) -> Result<Value, Refusal> {
        let job = self.find(id)?;
        job.stop.cancel();
        Ok(json!({"job": job.shown()}))
    }

    fn find(&self, id: &str) -> Result<Arc<Job>, Refusal> {
        let book = self.book();
        let job = book.jobs.iter().find(|job| job.id == id);
        job.cloned().ok_or_else(|| {
            Refusal::not_found(format!(
                "there is no job {id}; the last {ENDED_MAX} that ended are remembered, \
                 and none across a restart"
            ))
        })
    }

    /// Enters a job, or finds the one that does the same already.
    fn enter(
        &self,
        what: &str,
        selection: Value,
        total: Option<u64>,
        now: Timestamp,
        stop: CancellationToken,
    ) -> Result<(Arc<Job>, bool), Refusal> {
        let mut book = self.book();
        let mut running = book.jobs.iter().filter(|job| job.runs());
        let same = |job: &&Arc<Job>| job.what == what && job.selection == selection;
        if let Some(job) = running.clone().find(same) {
            return Ok((Arc::clone(job), false));
        }
        if running.by_ref().count() >= RUNNING_MAX {
            let said = format!("{RUNNING_MAX} jobs run already; wait for one, or stop it");
            let mut refusal = Refusal::new(StatusCode::TOO_MANY_REQUESTS, said);
            refusal.retry_after = Some(5);
            return Err(refusal);
        }
        book.started += 1;
        let job = Arc::new(Job {
            // Not to be mistaken for one of an earlier process.
            id: format!("{}-{}", now.as_secs(), book.started),
            what: what.to_owned(),
            selection,
            started_at: now,
            stop,
            progress: Mutex::new(Progress {
                state: State::Running,
                done: 0,
                skipped: 0,
                total,
                copies: 0,
                ended_at: None,
                error: None,
            }),
        });
        book.jobs.push_back(Arc::clone(&job));
        Ok((job, true))
    }

    /// The book, without those that ended too long ago.
    fn book(&self) -> MutexGuard<'_, Book> {
        let mut book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut ended = book.jobs.iter().filter(|job| !job.runs()).count();
        while ended > ENDED_MAX
            && let Some(oldest) = book.jobs.iter().position(|job| !job.runs())
        {
            book.jobs.remove(oldest);
            ended -= 1;
        }
        book
    }
}

/// `POST jobs`: reads all that can be wrong, then begins.
pub(super) async fn start(house: &House, asked: &Value) -> Result<Value, Refusal> {
    let (what, selection, work) = read(house, asked)?;
    let total = match &work {
        Work::Letters(_, ids) => Some(ids.len() as u64),
        Work::Events(_, ids) => Some(ids.len() as u64),
        Work::DeadFilter(_, filter) => Some(house.log.dead_count(filter.clone()).await?),
        // Counting events is reading the log, which is what the job does.
        Work::Replay(..) => None,
    };
    if house.drain.is_cancelled() {
        return Err(Refusal::stopping());
    }
    let (now, stop) = (house.clock.now(), house.drain.child_token());
    let (job, fresh) = house.jobs.enter(what, selection, total, now, stop)?;
    if fresh {
        tracing::info!(job = job.id, what, selection = %job.selection, "job.started");
        let run = run(house.clone(), Arc::clone(&job), work);
        house.tasks.spawn(run);
    }
    Ok(json!({"job": job.shown()}))
}

fn read(house: &House, asked: &Value) -> Result<(&'static str, Value, Work), Refusal> {
    let fields = select::object(asked)?;
    let what = select::text(fields, "what")?;
    let kinds = [
        ("dead:retry", Some(Dead::Retry)),
        ("dead:drop", Some(Dead::Drop)),
        ("replay", None),
    ];
    let Some((what, dead)) = kinds.into_iter().find(|(name, _)| Some(*name) == what) else {
        let said = "say `what`: dead:retry, dead:drop or replay";
        return Err(Refusal::bad_request(said));
    };
    let more: &[&str] = match dead {
        Some(_) => &["what"],
        None => &["what", "to", "route"],
    };
    let which = Which::read(asked, more)?;
    let mut selection = fields.clone();
    selection.shift_remove("what");
    let work = match (dead, which) {
        (Some(dead), Which::Ids(ids)) => Work::Letters(dead, letter_ids(&ids)?),
        (Some(dead), Which::Filter(query)) => {
            let mut filter = select::filter(&query, house, &[])?;
            // Letters that die again meanwhile are not met again.
            filter.until.get_or_insert(house.clock.now());
            Work::DeadFilter(dead, filter)
        }
        (None, Which::Ids(ids)) => Work::Events(Plan::read(house, asked)?, event_ids(&ids)?),
        (None, Which::Filter(query)) => {
            let filter = select::filter(&query, house, &[])?;
            Work::Replay(Plan::read(house, asked)?, filter)
        }
    };
    Ok((what, sorted(selection), work))
}

/// The same selection is the same, in whatever order it is written.
fn sorted(selection: Map<String, Value>) -> Value {
    let mut selection = selection;
    selection.sort_keys();
    Value::Object(selection)
}

async fn run(house: House, job: Arc<Job>, work: Work) {
    // Should it panic, the job has failed all the same.
    let over = Over(&house, &job);
    let ended = match work {
        Work::Letters(dead, ids) => letters(&house, &job, dead, &ids).await,
        Work::DeadFilter(dead, filter) => filtered(&house, &job, dead, &filter).await,
        Work::Events(plan, ids) => events(&house, &job, &plan, &ids).await,
        Work::Replay(plan, filter) => replay(&house, &job, &plan, &filter).await,
    };
    match ended {
        Ok(()) if job.stop.is_cancelled() => job.end(State::Stopped, None, house.clock.now()),
        Ok(()) => job.end(State::Done, None, house.clock.now()),
        Err(refusal) => {
            let detail = refusal.body.get("detail").and_then(Value::as_str);
            let error = detail.unwrap_or("it failed").to_owned();
            job.end(State::Failed, Some(error), house.clock.now());
        }
    }
    drop(over);
}

async fn letters(house: &House, job: &Job, dead: Dead, ids: &[Offset]) -> Result<(), Refusal> {
    for id in ids {
        if job.stop.is_cancelled() {
            return Ok(());
        }
        let there = dead.one(house, *id).await?;
        job.count(there, usize::from(there && dead == Dead::Retry));
    }
    Ok(())
}

async fn filtered(house: &House, job: &Job, dead: Dead, filter: &Filter) -> Result<(), Refusal> {
    let mut after = None;
    loop {
        let page = house.log.dead(filter.clone(), after, STEP).await?;
        let ids: Vec<Offset> = page.iter().map(|letter| letter.id).collect();
        letters(house, job, dead, &ids).await?;
        after = ids.last().copied();
        if ids.len() < STEP || job.stop.is_cancelled() {
            return Ok(());
        }
    }
}

async fn events(house: &House, job: &Job, plan: &Plan, ids: &[EventId]) -> Result<(), Refusal> {
    for id in ids {
        if job.stop.is_cancelled() {
            return Ok(());
        }
        let copies = match show::latest(house, *id).await {
            Ok(stored) => plan.replay(house, &stored).await?,
            Err(refusal) if refusal.status == StatusCode::NOT_FOUND => 0,
            Err(refusal) => return Err(refusal),
        };
        job.count(copies > 0, copies);
    }
    Ok(())
}

/// Newest first, as the list shows them: what is replayed meanwhile is newer
/// than where the walk is, and so is not met.
async fn replay(house: &House, job: &Job, plan: &Plan, filter: &Filter) -> Result<(), Refusal> {
    let mut before = None;
    loop {
        let page = house.log.events(filter.clone(), before, STEP).await?;
        for stored in &page {
            if job.stop.is_cancelled() {
                return Ok(());
            }
            if may_replay(stored) {
                let copies = plan.replay(house, stored).await?;
                job.count(copies > 0, copies);
            }
        }
        before = page.last().map(|last| last.offset);
        if page.len() < STEP || job.stop.is_cancelled() {
            return Ok(());
        }
    }
}

/// Ends a job that did not end by itself.
struct Over<'a>(&'a House, &'a Job);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        let why = "it ended half-way: this is a bug in hookfan".to_owned();
        self.1.end(State::Failed, Some(why), self.0.clock.now());
    }
}

impl Job {
    fn runs(&self) -> bool {
        self.progress().state == State::Running
    }

    /// One letter, or one event: whether something was done with it, and how
    /// many copies are owed anew.
    fn count(&self, done: bool, copies: usize) {
        let mut progress = self.progress();
        match done {
            true => progress.done += 1,
            false => progress.skipped += 1,
        }
        progress.copies += copies as u64;
    }

    /// The first end counts.
    fn end(&self, state: State, error: Option<String>, now: Timestamp) {
        let mut progress = self.progress();
        if progress.state != State::Running {
            return;
        }
        progress.state = state;
        progress.error = error;
        progress.ended_at = Some(now);
        let Progress { done, skipped, .. } = *progress;
        let error = progress.error.clone();
        drop(progress);
        tracing::info!(
            job = self.id,
            what = self.what,
            ?state,
            done,
            skipped,
            error,
            "job.ended"
        );
    }

    fn shown(&self) -> Value {
        let progress = self.progress().clone();
        json!({
            "id": self.id, "what": self.what, "selection": self.selection, "state": progress.state,
            "done": progress.done, "skipped": progress.skipped, "total": progress.total,
            "copies": progress.copies, "started_at": self.started_at, "ended_at": progress.ended_at, "error": progress.error,
        })
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
