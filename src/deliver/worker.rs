//! The worker: one task that owns everything of its destination, and so needs
//! no locks and has no queue but the log.
//!
//! Room before work: it reads the log only while its stack has room. Fact,
//! decision, deed: an attempt ends with an outcome, `settle::judge` decides,
//! the ledger is told once.

use std::hash::BuildHasher;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::answer::Reading;
use super::attempt::Client;
use super::in_air::{AT_ONCE_MAX, InAir};
use super::lanes::{LaneHasher, LaneId, Lanes, Tried, Turn};
use super::ledger::Ledger;
use super::report::Report;
use super::request::{self, Attempted, Last};
use super::stack::{Memory, Stack, Try};
use super::steady::{Steady, sleep_until};
use super::talk::{self, Talk};
use super::{Destination, Means, Order, State};
use crate::clock::Timestamp;
use crate::event::{DestinationName, Event, Offset};
use crate::log::Delivery;
use crate::settle::RetryPolicy;
use crate::vendor::dialogue::Known;
use crate::vendor::{Call, Contents};

/// What the handle last ordered.
#[derive(Clone, Debug)]
pub(super) struct Orders {
    pub destination: Arc<Destination>,
    /// By an operator or a 410; the configuration may say it, too.
    pub paused: bool,
    pub stop: bool,
    pub drain_patience: Duration,
}

/// One destination's running state.
pub(super) struct Run<L, C> {
    pub(super) ledger: L,
    pub(super) means: Means<C>,
    pub(super) orders: Arc<watch::Sender<Orders>>,
    news: watch::Receiver<Orders>,
    pub(super) destination: Arc<Destination>,
    /// As the ledger was last told.
    pub(super) paused: bool,
    pub(super) memory: Memory,
    stack: Stack,
    pub(super) lanes: Lanes,
    pub(super) in_air: InAir<Flight>,
    pub(super) steady: Steady,
    /// When the last attempt in the air must have ended.
    busy_until: Option<Instant>,
    hasher: LaneHasher,
    last: Option<Last>,
    pub(super) report: Report,
}

/// An attempt in the air. Settling consumes it.
pub(super) struct Flight {
    pub(super) turn: Turn,
    pub(super) delivery: Delivery,
    /// From 1.
    pub(super) number: u32,
    pub(super) at: Timestamp,
    pub(super) since: Timestamp,
    pub(super) late: bool,
}

/// Why the loop woke.
enum Woke {
    End,
    Orders,
    Landed,
    Room,
    Due,
    Next(Box<Delivery>),
}

impl<L: Ledger, C: Fn(&Destination) -> Client + Send + 'static> Run<L, C> {
    pub(super) fn new(
        ledger: L,
        means: Means<C>,
        orders: Arc<watch::Sender<Orders>>,
        state: Arc<Mutex<State>>,
    ) -> Self {
        let mut news = orders.subscribe();
        let Orders {
            destination,
            paused,
            ..
        } = news.borrow_and_update().clone();
        let memory = Memory::new(&destination, &means.accounts);
        let report = Report::new(&destination.name, means.metrics.clone(), state);
        report.paused(paused || destination.paused);
        Self {
            stack: Stack::new(&destination, &memory, (means.client)(&destination)),
            lanes: Lanes::new(destination.on_stuck),
            steady: Steady::new(means.clock.now(), Instant::now()),
            ledger,
            means,
            orders,
            news,
            destination,
            paused,
            memory,
            in_air: InAir::new(),
            busy_until: None,
            hasher: LaneHasher::default(),
            last: None,
            report,
        }
    }

    /// Works until told to end; returns the destination's name.
    pub(super) async fn until(mut self, drain: CancellationToken) -> DestinationName {
        let mut drained = pin!(drain.cancelled());
        loop {
            self.land().await;
            let room = self.start().await;
            let waiting = if room { self.lanes.parked() } else { 0 };
            self.report
                .waiting(waiting, self.lanes.retrying(), self.held_until(room));
            match self.wait(room, drained.as_mut()).await {
                Woke::End => break,
                Woke::Orders if self.follow_orders() => break,
                Woke::Next(delivery) => self.offer(*delivery, self.steady.now()).await,
                Woke::Orders | Woke::Landed | Woke::Room | Woke::Due => {}
            }
            // A long run of deliveries that need no attempt must let others run.
            tokio::task::coop::consume_budget().await;
        }
        self.drain().await;
        self.destination.name.clone()
    }

    /// Judges what has landed by now.
    async fn land(&mut self) {
        std::future::poll_fn(|cx| Poll::Ready(self.in_air.poll_landed(cx).is_ready())).await;
        while let Some(landed) = self.in_air.pop_landed() {
            self.landed(landed);
        }
    }

    /// Starts what may start by now; whether there is room for more.
    async fn start(&mut self) -> bool {
        let mut room = self.has_room().await;
        for _ in 0..AT_ONCE_MAX {
            if !room || self.ledger.awaits_sync() {
                break;
            }
            let now = self.steady.now();
            if let Some(turn) = self.lanes.take(now) {
                self.begin(turn, None).await;
            } else if self.may_park()
                && let Some(delivery) = self.ledger.try_next()
            {
                self.offer(delivery, now).await;
            } else {
                break;
            }
            room = self.has_room().await;
        }
        room
    }

    /// Asked before each start, because the breaker may have opened since.
    async fn has_room(&mut self) -> bool {
        if !self.may_start() {
            return false;
        }
        std::future::poll_fn(|cx| Poll::Ready(self.stack.poll_room(cx).is_ready())).await
    }

    fn may_start(&self) -> bool {
        // What an earlier stack still has in the air counts, too.
        !self.paused
            && !self.destination.paused
            && self.in_air.len() < self.destination.concurrency.max(1)
    }

    /// Until when it is right that no attempt more starts.
    fn held_until(&self, room: bool) -> Option<Instant> {
        if !room {
            let busy = (!self.in_air.is_empty()).then_some(self.busy_until);
            return self.memory.rate_until(Instant::now()).max(busy.flatten());
        }
        let due = self.lanes.next_due().filter(|_| !self.may_park());
        due.map(|at| self.steady.instant(at))
    }

    fn may_park(&self) -> bool {
        let parked_max = usize::try_from(self.destination.backlog.events_max);
        self.lanes.parked() < parked_max.unwrap_or(usize::MAX).max(1)
    }

    async fn wait(&mut self, room: bool, drained: Pin<&mut impl Future<Output = ()>>) -> Woke {
        let wants_room = !room && self.may_start();
        let held = self.ledger.awaits_sync();
        let reads = room && (held || self.may_park());
        // Without room nothing could start anyway, and what ends makes room.
        let due = self
            .lanes
            .next_due()
            .filter(|_| room && !held)
            .map(|at| self.steady.instant(at));
        let ledger = &mut self.ledger;
        let next = async {
            if held {
                ledger.synced().await;
                return Woke::Room;
            }
            Woke::Next(Box::new(ledger.next().await))
        };
        tokio::select! {
            biased;
            () = drained => Woke::End,
            changed = self.news.changed() => changed.map_or(Woke::End, |()| Woke::Orders),
            () = std::future::poll_fn(|cx| self.in_air.poll_landed(cx)) => Woke::Landed,
            () = std::future::poll_fn(|cx| self.stack.poll_room(cx)), if wants_room => Woke::Room,
            () = sleep_until(due), if due.is_some() => Woke::Due,
            next = next, if reads => next,
        }
    }

    /// Whether it is time to end.
    fn follow_orders(&mut self) -> bool {
        let Orders {
            destination,
            paused,
            stop,
            // Asked for when it is needed.
            drain_patience: _,
        } = self.news.borrow_and_update().clone();
        if paused != self.paused {
            self.paused = paused;
            self.ledger.set_paused(paused);
        }
        if !Arc::ptr_eq(&destination, &self.destination) {
            if destination.fingerprint != self.destination.fingerprint {
                self.memory.adopt(&destination, &self.means.accounts);
                self.stack = Stack::new(
                    &destination,
                    &self.memory,
                    (self.means.client)(&destination),
                );
                self.lanes
                    .set_on_stuck(destination.on_stuck, self.steady.now());
            }
            self.destination = destination;
        }
        self.report.paused(paused || self.destination.paused);
        stop
    }

    /// A delivery from the log: into its lane, and into the air if that is free.
    async fn offer(&mut self, delivery: Delivery, now: Timestamp) {
        let offset = delivery.stored.offset;
        let lane = self.lane(offset, &delivery.stored.event);
        let wait = self.former(&delivery);
        if let Some(turn) = self.lanes.offer(lane, offset, wait, now) {
            self.begin(turn, Some(delivery)).await;
        }
    }

    fn lane(&self, offset: Offset, event: &Event) -> LaneId {
        match &event.key {
            Some(key) if self.destination.order == Order::Conversation => {
                LaneId(self.hasher.hash_one(key))
            }
            _ => LaneId(self.hasher.hash_one(offset)),
        }
    }

    /// What a former run left of a delivery: when it may be tried, and since
    /// when it has been.
    fn former(&self, delivery: &Delivery) -> Option<(Timestamp, Tried)> {
        if delivery.attempts == 0 && delivery.not_before.is_none() {
            return None;
        }
        let (wall, now) = (self.means.clock.now(), self.steady.now());
        // The wall clock may have jumped since that was written: nothing waits
        // longer than the schedule's longest wait.
        let wait = delivery
            .not_before
            .map_or(Duration::ZERO, |at| at.since(wall))
            .min(longest_wait(&self.destination.retry));
        let since = now.minus(
            delivery
                .first_at
                .map_or(Duration::ZERO, |first| wall.since(first)),
        );
        Some((
            now.plus(wait),
            Tried {
                since,
                attempts: delivery.attempts,
            },
        ))
    }

    /// One turn: read it again if need be, write the request, start the attempt.
    async fn begin(&mut self, mut turn: Turn, delivery: Option<Delivery>) {
        let delivery = match delivery {
            Some(delivery) => delivery,
            None => match self.ledger.reread(turn.offset).await {
                Some(delivery) => delivery,
                // Settled meanwhile, by somebody who wrote that.
                None => return self.lanes.end(turn, self.steady.now()),
            },
        };
        if turn.tried.is_none()
            && let Some((at, tried)) = self.former(&delivery)
        {
            let now = self.steady.now();
            if at > now {
                return self.lanes.put_back(turn, at, tried, now);
            }
            turn.tried = Some(tried);
        }
        let customer = if self.destination.writer.asks_customer() {
            self.ledger.customer(&delivery.stored.event).await
        } else {
            None
        };
        if self.destination.writer.dialogue().is_some() {
            return self.begin_talk(turn, delivery, customer).await;
        }
        self.launch(turn, delivery, customer.as_deref());
    }

    /// What waits for a link has made no request and is no attempt: so the
    /// first step is looked at before one begins.
    async fn begin_talk(&mut self, turn: Turn, delivery: Delivery, customer: Option<Arc<str>>) {
        let means = talk::Means {
            links: self.ledger.links(),
            intake: Arc::clone(&self.means.intake),
            desk: Arc::clone(&self.memory.desk),
            clock: self.means.clock.clone(),
            read: self.means.read,
            sign: self.means.sign,
        };
        let number = next_number(&turn, &delivery);
        let known = talk::known(&means, &self.destination, &delivery, customer.as_deref()).await;
        let talk = Talk {
            // What could not be read is asked for again, and then is an attempt.
            loaded: known.is_ok(),
            known: known.unwrap_or_else(|_| Known::new(Arc::clone(&means.desk.memos))),
            means,
            destination: Arc::clone(&self.destination),
            delivery: delivery.clone(),
            customer,
            number,
        };
        match talk.first() {
            Err(unsendable) => self.unsendable(turn, &delivery, unsendable),
            Ok(()) => {
                let (at, attempt) = (self.means.clock.now(), Try::Talk(Box::new(talk)));
                self.fly(turn, delivery, attempt, at, false);
            }
        }
    }

    /// Writes the request; the attempt is made with it.
    fn launch(&mut self, turn: Turn, delivery: Delivery, customer: Option<&str>) {
        let (event, now) = (&delivery.stored.event, self.means.clock.now());
        let contents = Contents::stored(event, self.means.read);
        let call = Call {
            event,
            contents: &contents,
            action: &delivery.action,
            customer,
            now,
        };
        let attempted = Attempted {
            event,
            destination: &self.destination.name,
            number: next_number(&turn, &delivery),
            now,
        };
        let written = request::write(&self.destination, &call).and_then(|mut outgoing| {
            let (late, secrets) = (outgoing.late, std::mem::take(&mut outgoing.redact));
            let (sign, last) = (self.means.sign, &mut self.last);
            let request = request::request(outgoing, attempted, sign, last)?;
            let reading = Reading::of(&self.destination, secrets, &request, &self.means.clock);
            Ok((Try::One { request, reading }, late))
        });
        match written {
            Ok((attempt, late)) => self.fly(turn, delivery, attempt, now, late),
            Err(unsendable) => self.unsendable(turn, &delivery, unsendable),
        }
    }

    /// From here on it is an attempt.
    fn fly(&mut self, turn: Turn, delivery: Delivery, attempt: Try, at: Timestamp, late: bool) {
        let started = Instant::now();
        let now = self.steady.at(started);
        let number = next_number(&turn, &delivery);
        if !self.ledger.start(turn.offset) {
            return self.lanes.end(turn, now);
        }
        // A delivery that only waited for its customer has not been tried.
        let since = turn
            .tried
            .filter(|_| number > 1)
            .map_or(now, |tried| tried.since);
        let flight = Flight {
            turn,
            delivery,
            number,
            at,
            since,
            late,
        };
        let answer = self.stack.attempt(attempt);
        self.in_air.start(flight, answer, started);
        let ends_by = started + talk::longest(&self.destination);
        self.busy_until = self.busy_until.max(Some(ends_by));
        self.report.began(self.busy_until);
        self.report.now_in_air(self.in_air.len());
    }

    /// No new attempts; those in the air may end within the patience. The rest
    /// is abandoned and leaves no fact: it will be sent again.
    async fn drain(&mut self) {
        let patience = self.orders.borrow().drain_patience;
        let patience = tokio::time::sleep(patience);
        tokio::pin!(patience);
        while !self.in_air.is_empty() {
            tokio::select! {
                biased;
                () = std::future::poll_fn(|cx| self.in_air.poll_landed(cx)) => self.land().await,
                () = &mut patience => break,
            }
        }
        self.memory.desk.leave(&self.destination.name);
        let abandoned = self.in_air.len();
        self.in_air.abandon();
        self.report.ended(abandoned);
    }
}

/// Attempts are counted from 1, over all runs.
fn next_number(turn: &Turn, delivery: &Delivery) -> u32 {
    let before = turn.tried.map_or(0, |tried| tried.attempts);
    before.max(delivery.attempts).saturating_add(1)
}

/// No verdict asks for more.
fn longest_wait(policy: &RetryPolicy) -> Duration {
    let scheduled = policy.delays.iter().max().copied().unwrap_or_default();
    scheduled.saturating_mul(2).max(Duration::from_secs(3600))
}
