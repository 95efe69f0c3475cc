//! One attempt that is a dialogue: asks the vendor's [`Dialogue`] what to do,
//! sends it, lets it hear the answer, writes what was learned, and again.
//!
//! Nothing is kept between two attempts but the links: a dialogue that was cut
//! off begins again from what is known.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tower::{Service, ServiceExt};

use super::account::{Alone, Desk};
use super::answer::{Reading, cut};
use super::attempt::{Answer, Deadline, Head, Sent, Silence, timer};
use super::request::{self, Attempted};
use super::{Destination, Intake};
use crate::clock::Clock;
use crate::link::{Change, What};
use crate::links::{Edit, Links};
use crate::log::Delivery;
use crate::settle::{Outcome, Reason};
use crate::transform::Unsendable;
use crate::vendor::dialogue::{Ask, Dialogue, Heard, Known, Learned, Step, Then};
use crate::vendor::{Call, Contents, ReadMessage};

/// The whole of a dialogue, waiting for its rate and its turns included, may
/// take so many times what one request may.
pub(super) const TIMEOUTS: u32 = 4;
/// More requests than any dialogue needs.
const REQUESTS_MAX: u32 = 64;
/// What is kept of an answer for the operator.
const SHOWN_BYTES_MAX: usize = 500;

/// What every dialogue of a worker works with.
#[derive(Clone, Debug)]
pub(super) struct Means {
    pub links: Links,
    pub intake: Arc<dyn Intake>,
    pub desk: Arc<Desk>,
    pub clock: Clock,
    pub read: ReadMessage,
    pub sign: request::Signer,
}

/// One attempt.
#[derive(Debug)]
pub(super) struct Talk {
    pub means: Means,
    pub destination: Arc<Destination>,
    pub delivery: Delivery,
    pub customer: Option<Arc<str>>,
    /// From 1.
    pub number: u32,
    pub known: Known,
    /// `known` is what the links say.
    pub loaded: bool,
}

/// What is known before the first step. `Err`: the links cannot be read, which
/// is not the same as not being linked.
pub(super) async fn known(
    means: &Means,
    destination: &Destination,
    delivery: &Delivery,
    customer: Option<&str>,
) -> Result<Known, String> {
    let mut known = Known::new(Arc::clone(&means.desk.memos));
    load(means, destination, delivery, customer, &mut known).await?;
    Ok(known)
}

async fn load(
    means: &Means,
    destination: &Destination,
    delivery: &Delivery,
    customer: Option<&str>,
    known: &mut Known,
) -> Result<(), String> {
    for what in [What::User, What::Conversation] {
        let found = match ours(what, delivery, customer) {
            None => None,
            Some(ours) => means
                .links
                .counterpart(what, &ours, &destination.place)
                .await
                .map_err(|error| error.to_string())?,
        };
        match found {
            Some(found) => known.apply(&Change::Set(what, found)),
            None => known.apply(&Change::Forget(what)),
        }
    }
    Ok(())
}

/// What a user or a conversation is called here.
fn ours(what: What, delivery: &Delivery, customer: Option<&str>) -> Option<String> {
    let event = &delivery.stored.event;
    match what {
        What::User => customer.map(|customer| format!("{}/{customer}", event.source)),
        What::Conversation => event.key.as_ref().map(ToString::to_string),
    }
}

/// The next step; pure, and a panic in it is this one delivery's misfortune.
pub(super) fn next(
    dialogue: &dyn Dialogue,
    call: &Call<'_>,
    known: &Known,
) -> Result<Step, Unsendable> {
    caught(|| dialogue.next(call, known)).unwrap_or_else(Err)
}

fn caught<T>(work: impl FnOnce() -> T) -> Result<T, Unsendable> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_panic| Unsendable::Dead {
        reason: Reason::Unsendable,
        detail: "the dialogue panicked: this is a bug in hookfan".to_owned(),
    })
}

/// Ends an attempt early.
type Ended = Answer;

impl Talk {
    /// Whether there is a first step; nothing is sent.
    pub(super) fn first(&self) -> Result<(), Unsendable> {
        if self.loaded {
            self.next().map(drop)
        } else {
            Ok(())
        }
    }

    /// Never fails: whatever happens is an answer.
    pub(super) async fn run<C>(mut self, client: C) -> Answer
    where
        C: Service<Sent, Response = Head, Error = Silence> + Clone + Send,
        C::Future: Send,
    {
        let whole = self.destination.timeout * TIMEOUTS;
        let deadline = Instant::now() + whole;
        match timeout_at(deadline, self.steps(client)).await {
            Ok(Ok(never) | Err(never)) => never,
            Err(_elapsed) => Answer::new(
                Outcome::TimedOut,
                format!("the requests of one attempt took longer than {whole:?}"),
            ),
        }
    }

    async fn steps<C>(&mut self, client: C) -> Result<Answer, Ended>
    where
        C: Service<Sent, Response = Head, Error = Silence> + Clone + Send,
        C::Future: Send,
    {
        let mut held: Vec<(What, Alone)> = Vec::new();
        if !self.loaded {
            self.load().await?;
        }
        for _ in 0..REQUESTS_MAX {
            let ask = match self.next() {
                Ok(Step::Ask(ask)) => ask,
                Ok(Step::Done) => {
                    return Ok(Answer::new(
                        Outcome::AlreadyThere { status: 200 },
                        String::new(),
                    ));
                }
                Err(unsendable) => return Err(Answer::instead(unsendable)),
            };
            if let Some(what) = ask.alone
                && !held.iter().any(|(have, _)| *have == what)
            {
                // Always in one order, so that two who need both never wait for
                // each other.
                let mut wanted: Vec<What> = held.drain(..).map(|(have, _)| have).collect();
                wanted.push(what);
                wanted.sort_unstable();
                for what in wanted {
                    held.push((what, self.alone(what).await?));
                }
                // Whoever had the turn before may have learned what we need.
                self.load().await?;
                continue;
            }
            self.write(&ask.before).await?;
            let answer = self.send(&ask, client.clone()).await?;
            if let Some(end) = self.learn(&ask, &answer).await? {
                return Ok(end);
            }
        }
        Err(self.bug("comes to no end"))
    }

    /// A user is one for the whole account; conversations differ by place.
    async fn alone(&self, what: What) -> Result<Alone, Ended> {
        let Some(ours) = ours(what, &self.delivery, self.customer.as_deref()) else {
            return Err(self.bug("asks alone about nobody"));
        };
        let turn = match what {
            What::User => format!("user {ours}"),
            What::Conversation => format!("conversation {} {ours}", self.destination.place),
        };
        Ok(self.means.desk.alone(&turn).await)
    }

    fn next(&self) -> Result<Step, Unsendable> {
        self.with_call(|dialogue, call| next(dialogue, call, &self.known))?
    }

    fn with_call<T>(
        &self,
        work: impl FnOnce(&dyn Dialogue, &Call<'_>) -> T,
    ) -> Result<T, Unsendable> {
        let event = &self.delivery.stored.event;
        let contents = Contents::stored(event, self.means.read);
        let call = Call {
            event,
            contents: &contents,
            action: &self.delivery.action,
            customer: self.customer.as_deref(),
            now: self.means.clock.now(),
        };
        let Some(dialogue) = self.destination.writer.dialogue() else {
            return Err(Unsendable::Dead {
                reason: Reason::Unsendable,
                detail: "no dialogue: this is a bug in hookfan".to_owned(),
            });
        };
        caught(|| work(dialogue, &call))
    }

    async fn load(&mut self) -> Result<(), Ended> {
        let customer = self.customer.clone();
        let (means, destination) = (self.means.clone(), Arc::clone(&self.destination));
        load(
            &means,
            &destination,
            &self.delivery,
            customer.as_deref(),
            &mut self.known,
        )
        .await
        .map_err(links_failed)
    }

    /// Makes changes durable, then knows them.
    async fn write(&mut self, changes: &[Change]) -> Result<(), Ended> {
        let mut edits = Vec::with_capacity(changes.len());
        for change in changes {
            let (what, to) = match change {
                Change::Set(what, to) => (*what, Some(to.clone())),
                Change::Forget(what) => (*what, None),
            };
            let Some(ours) = ours(what, &self.delivery, self.customer.as_deref()) else {
                return Err(self.bug("links nobody"));
            };
            edits.push(Edit {
                what,
                ours,
                place: self.destination.place.clone(),
                to,
            });
        }
        if !edits.is_empty() {
            let written = self.means.links.edit(edits).await;
            written.map_err(|error| links_failed(error.to_string()))?;
        }
        for change in changes {
            self.known.apply(change);
        }
        Ok(())
    }

    /// One request, at the account's pace.
    async fn send<C>(&self, ask: &Ask, client: C) -> Result<Said, Ended>
    where
        C: Service<Sent, Response = Head, Error = Silence> + Send,
        C::Future: Send,
    {
        let means = &self.means;
        let attempted = Attempted {
            event: &self.delivery.stored.event,
            destination: &self.destination.name,
            number: self.number,
            now: means.clock.now(),
        };
        let request = request::request(ask.request.clone(), attempted, means.sign, &mut None);
        let request = request.map_err(Answer::instead)?;
        let reading = Reading::of(
            &self.destination,
            ask.request.redact.clone(),
            &request,
            &means.clock,
        );
        means.desk.draw().await;
        let timeout = self.destination.timeout;
        let timer = pin!(timer(Instant::now() + timeout));
        let mut deadline = Deadline::new(timer);
        let silent =
            |outcome, detail: &str| Answer::new(outcome, format!("{}: {detail}", ask.step));
        match deadline.within(client.oneshot(request)).await {
            Some(Ok(head)) => {
                let (status, body, outcome) = reading.hear(head, &mut deadline).await;
                Ok(Said {
                    status,
                    shown: reading.shown(&body),
                    body,
                    outcome,
                })
            }
            Some(Err(Silence { outcome, detail })) => {
                Err(silent(outcome, &reading.shown(detail.as_bytes())))
            }
            None => Err(silent(
                Outcome::TimedOut,
                &format!("no answer within {timeout:?}"),
            )),
        }
    }

    /// `Some`: the dialogue has its end.
    async fn learn(&mut self, ask: &Ask, said: &Said) -> Result<Option<Answer>, Ended> {
        let heard = Heard {
            status: said.status,
            body: &said.body,
            outcome: &said.outcome,
        };
        let learned: Learned = self
            .with_call(|dialogue, call| dialogue.hear(call, &self.known, ask, &heard))
            .map_err(Answer::instead)?;
        self.write(&learned.changes).await?;
        self.known.take(&learned, self.means.clock.now());
        if !learned.events.is_empty() {
            let source = &self.delivery.stored.event.source;
            let taken = self.means.intake.accept(source, learned.events).await;
            taken.map_err(|why| {
                Answer::new(
                    Outcome::Broken,
                    format!("what was fetched was not taken: {why}"),
                )
            })?;
        }
        Ok(match learned.then {
            Then::GoOn => None,
            Then::End(outcome) => {
                let detail = if outcome.is_success() {
                    String::new()
                } else {
                    format!("{}: {}", ask.step, cut(&said.shown, SHOWN_BYTES_MAX))
                };
                Some(Answer::new(outcome, detail))
            }
        })
    }

    fn bug(&self, what: &str) -> Ended {
        Answer::instead(Unsendable::Dead {
            reason: Reason::Unsendable,
            detail: format!(
                "the dialogue of {} {what}: this is a bug in hookfan",
                self.destination.kind
            ),
        })
    }
}

/// An answer, read.
struct Said {
    status: u16,
    body: Vec<u8>,
    /// The body as an operator may see it.
    shown: String,
    outcome: Outcome,
}

/// It is tried again: what is not known must not be guessed.
fn links_failed(why: String) -> Ended {
    Answer::new(Outcome::Broken, format!("the links: {why}"))
}

/// How long an attempt may take at this destination.
pub(super) fn longest(destination: &Destination) -> Duration {
    match destination.writer.dialogue() {
        None => destination.timeout,
        Some(_) => destination.timeout * TIMEOUTS,
    }
}
