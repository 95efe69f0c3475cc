//! The breaker row of a destination's stack: leaves a destination in trouble
//! alone, looks in on it now and then, and comes back gently.
//!
//! Closed: everything passes. `failures` troubled outcomes in a row open it.
//! Open: one attempt every `probe_every`. A success, and it is opening up: one
//! at a time, then two, four … until the destination's concurrency is reached.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use tokio::time::{Instant, Sleep};
use tower::{Layer, Service};

use super::Breaker as Settings;
use super::attempt::Answer;

/// The breaker's memory. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Breaker(Arc<Mutex<Memory>>);

#[derive(Debug)]
struct Memory {
    settings: Settings,
    /// The concurrency at which opening up is complete.
    full: usize,
    state: State,
    /// Counts openings: a place taken before one is not good after it.
    openings: u64,
    /// Places taken, used or not.
    taken: usize,
    waiting: Vec<Waker>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Closed {
        troubled: u32,
    },
    Open {
        probe_at: Instant,
        probing: bool,
    },
    /// `succeeded` at this width: as many as it is wide make it twice as wide.
    OpeningUp {
        allowed: usize,
        succeeded: usize,
    },
}

impl Breaker {
    /// Closed. `full`: the destination's concurrency.
    pub(super) fn new(settings: Settings, full: usize) -> Self {
        let state = State::Closed { troubled: 0 };
        Self(Arc::new(Mutex::new(Memory {
            settings,
            full,
            state,
            openings: 0,
            taken: 0,
            waiting: Vec::new(),
        })))
    }

    /// Other settings from now on. An open breaker looks in at once, because
    /// what the operator changed may be the remedy.
    pub(super) fn set(&self, settings: Settings, full: usize) {
        let mut memory = self.memory();
        (memory.settings, memory.full) = (settings, full);
        if let State::Open { probe_at, .. } = &mut memory.state {
            *probe_at = Instant::now();
        }
        memory.wake();
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.memory().state, State::Open { .. })
    }

    /// Takes a place, or says until when there is none (`None`: until an
    /// attempt ends).
    fn take(&self, waker: &Waker) -> Result<Place, Option<Instant>> {
        let mut memory = self.memory();
        let probe = match memory.state {
            State::Closed { .. } => Ok(false),
            State::OpeningUp { allowed, .. } if memory.taken < allowed => Ok(false),
            State::OpeningUp { .. } | State::Open { probing: true, .. } => Err(None),
            State::Open { probe_at, .. } if probe_at > Instant::now() => Err(Some(probe_at)),
            State::Open { .. } => Ok(true),
        };
        match probe {
            Ok(probe) => {
                if probe {
                    let probe_at = Instant::now() + memory.settings.probe_every;
                    memory.state = State::Open {
                        probe_at,
                        probing: true,
                    };
                }
                memory.taken += 1;
                Ok(Place {
                    breaker: self.clone(),
                    opening: memory.openings,
                    probe,
                })
            }
            Err(until) => {
                if !memory.waiting.iter().any(|have| have.will_wake(waker)) {
                    memory.waiting.push(waker.clone());
                }
                Err(until)
            }
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    fn judged(&mut self, trouble: bool, probe: bool) {
        match &mut self.state {
            State::Closed { troubled } if trouble => {
                *troubled += 1;
                if *troubled >= self.settings.failures.max(1) {
                    self.open();
                }
            }
            State::Closed { troubled } => *troubled = 0,
            State::Open { probing, .. } if trouble => *probing &= !probe,
            State::Open { .. } => self.open_up(1),
            State::OpeningUp { .. } if trouble => self.open(),
            State::OpeningUp { allowed, succeeded } => {
                *succeeded += 1;
                if *succeeded >= *allowed {
                    let allowed = allowed.saturating_mul(2);
                    self.open_up(allowed);
                }
            }
        }
    }

    fn open(&mut self) {
        self.openings += 1;
        self.state = State::Open {
            probe_at: Instant::now() + self.settings.probe_every,
            probing: false,
        };
    }

    fn open_up(&mut self, allowed: usize) {
        let done = allowed > 1 && allowed >= self.full;
        self.state = if done {
            State::Closed { troubled: 0 }
        } else {
            State::OpeningUp {
                allowed,
                succeeded: 0,
            }
        };
    }

    fn wake(&mut self) {
        self.waiting.drain(..).for_each(Waker::wake);
    }
}

/// The right to make one attempt. Dropped without a word, it leaves the
/// breaker as it was.
#[derive(Debug)]
pub(super) struct Place {
    breaker: Breaker,
    opening: u64,
    probe: bool,
}

impl Place {
    /// Taken before the breaker opened, and so not good any more.
    fn is_stale(&self) -> bool {
        self.opening != self.breaker.memory().openings
    }

    fn judged(&self, trouble: bool) {
        self.breaker.memory().judged(trouble, self.probe);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut memory = self.breaker.memory();
        memory.taken = memory.taken.saturating_sub(1);
        // A probe that never came to an outcome may be made again at once.
        if self.probe
            && self.opening == memory.openings
            && let State::Open {
                probe_at,
                probing: probing @ true,
            } = &mut memory.state
        {
            (*probe_at, *probing) = (Instant::now(), false);
        }
        memory.wake();
    }
}

#[derive(Clone, Debug)]
pub(super) struct BreakerLayer(pub(super) Breaker);

impl<S> Layer<S> for BreakerLayer {
    type Service = Guarded<S>;
    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded {
            inner,
            breaker: self.0.clone(),
            place: None,
            wait: None,
        }
    }
}

/// Ready while the breaker lets an attempt pass.
#[derive(Debug)]
pub(super) struct Guarded<S> {
    inner: S,
    breaker: Breaker,
    place: Option<Place>,
    wait: Option<Pin<Box<Sleep>>>,
}

impl<S: Clone> Clone for Guarded<S> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            breaker: self.breaker.clone(),
            place: None,
            wait: None,
        }
    }
}

/// An attempt whose outcome the breaker will hear of.
#[derive(Debug)]
pub(super) struct Judging<F> {
    answer: F,
    place: Option<Place>,
}

impl<F, E> Future for Judging<F>
where
    F: Future<Output = Result<Answer, E>> + Unpin,
{
    type Output = Result<Answer, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = ready!(Pin::new(&mut self.answer).poll(cx))?;
        if let Some(place) = self.place.take() {
            place.judged(answer.outcome.is_trouble());
        }
        Poll::Ready(Ok(answer))
    }
}

impl<R, S> Service<R> for Guarded<S>
where
    S: Service<R, Response = Answer>,
    S::Future: Unpin,
{
    type Response = Answer;
    type Error = S::Error;
    type Future = Judging<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.place.take_if(|place| place.is_stale());
        while self.place.is_none() {
            match self.breaker.take(cx.waker()) {
                Ok(place) => (self.place, self.wait) = (Some(place), None),
                Err(None) => return Poll::Pending,
                Err(Some(until)) => {
                    let wait = self
                        .wait
                        .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
                    if wait.deadline() != until {
                        wait.as_mut().reset(until);
                    }
                    ready!(wait.as_mut().poll(cx));
                }
            }
        }
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> Self::Future {
        Judging {
            answer: self.inner.call(request),
            place: self.place.take(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settle::Outcome;
    use std::convert::Infallible;
    use std::time::Duration;
    use tokio::sync::oneshot;
    use tower::{ServiceExt, service_fn};

    /// Calls that end when the test says how.
    type Ending = oneshot::Receiver<u16>;

    fn breaker(
        full: usize,
    ) -> (
        Breaker,
        impl Service<Ending, Response = Answer, Error = Infallible, Future: Send> + Clone,
    ) {
        let breaker = Breaker::new(
            Settings {
                failures: 3,
                probe_every: Duration::from_secs(30),
            },
            full,
        );
        let service = BreakerLayer(breaker.clone()).layer(service_fn(|ending: Ending| {
            Box::pin(async move {
                let status = ending.await.unwrap_or(599);
                let outcome = Outcome::Answered {
                    status,
                    retry_after: None,
                };
                Ok::<_, Infallible>(Answer::new(outcome, String::new()))
            })
        }));
        (breaker, service)
    }

    async fn end<S: Service<Ending, Response = Answer, Error = Infallible>>(
        service: &mut S,
        status: u16,
    ) {
        let (tell, ending) = oneshot::channel();
        let answer = service.ready().await.unwrap().call(ending);
        tell.send(status).unwrap();
        answer.await.unwrap();
    }

    /// Whether another attempt could start now.
    fn has_room<S: Service<Ending> + Clone>(service: &S) -> bool {
        service
            .clone()
            .poll_ready(&mut Context::from_waker(Waker::noop()))
            .is_ready()
    }

    #[tokio::test(start_paused = true)]
    async fn only_troubles_in_a_row_open_it() {
        let (breaker, mut service) = breaker(8);
        for status in [503, 429, 200, 500, 503, 404, 408, 503] {
            end(&mut service, status).await;
            assert!(!breaker.is_open(), "after {status}");
        }
        end(&mut service, 599).await;
        assert!(breaker.is_open() && !has_room(&service));
    }

    #[tokio::test(start_paused = true)]
    async fn an_open_one_lets_one_probe_pass_at_a_time() {
        let (breaker, mut service) = breaker(8);
        for _ in 0..3 {
            end(&mut service, 500).await;
        }
        let opened = Instant::now();
        for probe in 1..=5 {
            end(&mut service, 500).await;
            assert_eq!(opened.elapsed(), Duration::from_secs(30 * probe));
        }
        let (_tell, ending) = oneshot::channel();
        let probing = service.ready().await.unwrap().call(ending);
        tokio::time::advance(Duration::from_secs(300)).await;
        assert!(
            !has_room(&service),
            "while a probe is out there is no other"
        );
        drop(probing);
        assert!(
            has_room(&service),
            "a probe that was cancelled may be made again"
        );
        assert!(breaker.is_open());
    }

    #[tokio::test(start_paused = true)]
    async fn a_destination_that_recovers_is_met_gently() {
        let (breaker, mut service) = breaker(8);
        for _ in 0..3 {
            end(&mut service, 500).await;
        }
        end(&mut service, 200).await;
        assert!(!breaker.is_open());
        for allowed in [1, 2, 4] {
            let mut held = Vec::new();
            while has_room(&service) {
                let (tell, ending) = oneshot::channel();
                held.push((service.ready().await.unwrap().call(ending), tell));
                assert!(held.len() <= 8);
            }
            assert_eq!(held.len(), allowed);
            for (answer, tell) in held {
                tell.send(200).unwrap();
                answer.await.unwrap();
            }
        }
        let held: Vec<_> = (0..20).map(|_| service.clone()).collect();
        assert!(held.iter().all(has_room), "then it is closed");
    }

    #[tokio::test(start_paused = true)]
    async fn a_trouble_while_opening_up_opens_it_again() {
        let (breaker, mut service) = breaker(8);
        for status in [500, 500, 500, 200, 200, 500] {
            end(&mut service, status).await;
        }
        assert!(breaker.is_open());
        let opened = Instant::now();
        end(&mut service, 200).await;
        assert_eq!(opened.elapsed(), Duration::from_secs(30));
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_taken_before_it_opened_is_not_good_after() {
        let (_breaker, mut service) = breaker(8);
        let mut early = service.clone();
        early.ready().await.unwrap();
        for _ in 0..3 {
            end(&mut service, 500).await;
        }
        assert!(
            early
                .poll_ready(&mut Context::from_waker(Waker::noop()))
                .is_pending()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_is_woken_by_a_change_of_settings() {
        let (breaker, mut service) = breaker(8);
        for _ in 0..3 {
            end(&mut service, 500).await;
        }
        let start = Instant::now();
        let waiting = async {
            service.ready().await.unwrap();
        };
        let changing = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            breaker.set(
                Settings {
                    failures: 5,
                    probe_every: Duration::from_secs(60),
                },
                4,
            );
        };
        tokio::join!(waiting, changing);
        assert_eq!(start.elapsed(), Duration::from_secs(1));
    }
}
