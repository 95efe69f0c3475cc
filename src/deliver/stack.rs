//! The tower stack of one attempt. Read [`Stack::new`] from the top: each row
//! says why it is where it is.
//!
//! Retries are not here: they must outlive the process, and so live in the log.

use std::convert::Infallible;
use std::fmt;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;
use tower::limit::{ConcurrencyLimit, ConcurrencyLimitLayer};
use tower::util::Either;
use tower::{Layer, Service, ServiceBuilder};

use super::Destination;
use super::account::{Accounts, Desk};
use super::answer::Reading;
use super::attempt::{Answer, Client, Deadline, Head, Sent, Silence, timer};
use super::breaker::{Breaker, BreakerLayer, Guarded};
use super::rate::{Rate, RateLayer};
use super::talk::Talk;
use crate::settle::Outcome;
use crate::vendor::dialogue::Account;

/// One attempt, ready to go.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "the large one is the common one, and needs no allocation"
)]
pub(super) enum Try {
    /// One request.
    One {
        request: Sent,
        /// How the answer is to be read, and what of it must not be shown.
        reading: Reading,
    },
    /// As many as it takes.
    Talk(Box<Talk>),
}

/// What of a stack outlives a change of configuration: how much of the rate is
/// used up, and what the breaker knows.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    pub(super) desk: Arc<Desk>,
    /// Whose desk it is; `None`: the destination's own.
    account: Option<Account>,
    pub(super) breaker: Breaker,
}

impl Memory {
    pub(super) fn new(destination: &Destination, accounts: &Accounts) -> Self {
        Self {
            desk: accounts.desk(destination),
            account: destination.writer.account(),
            breaker: Breaker::new(destination.breaker, destination.concurrency),
        }
    }

    /// When the rate allows the next attempt, if that is not now.
    pub(super) fn rate_until(&self, now: Instant) -> Option<Instant> {
        self.desk.bucket.empty_until(now)
    }

    /// `accounts`: where the desk of another account is found. The desk of the
    /// same one stays, and with it what was drawn.
    pub(super) fn adopt(&mut self, destination: &Destination, accounts: &Accounts) {
        let account = destination.writer.account();
        if account == self.account {
            self.desk.seat(destination);
        } else {
            self.desk.leave(&destination.name);
            self.desk = accounts.desk(destination);
            self.account = account;
        }
        self.breaker
            .set(destination.breaker, destination.concurrency);
    }
}

/// A destination's stack. Ready means: there is room for an attempt now.
pub(super) struct Stack(Rows);

/// Not behind a pointer: an attempt is made without one more allocation.
type Rows = ConcurrencyLimit<Either<Rate<Guarded<Timeout<Client>>>, Guarded<Timeout<Client>>>>;

impl Stack {
    pub(super) fn new(destination: &Destination, memory: &Memory, client: Client) -> Self {
        let talks = destination.writer.dialogue().is_some();
        let stack = ServiceBuilder::new()
            // How many in the air: first, so that whoever waits below holds a
            // place, and one that is cancelled gives it back by being dropped.
            .layer(ConcurrencyLimitLayer::new(destination.concurrency.max(1)))
            // How many a second: below concurrency, so that no token is drawn
            // for an attempt that has no place.
            // A dialogue draws for each of its requests by itself.
            .option_layer((!talks).then(|| RateLayer(memory.desk.bucket.clone())))
            // Whether to leave it alone: it must see every outcome, time-outs
            // included, and so stands above the row that makes those.
            .layer(BreakerLayer(memory.breaker.clone()))
            // How long one attempt may take, to the answer's last byte. Here a
            // silence turns into an outcome: above, nothing can fail.
            .layer(TimeoutLayer(destination.timeout))
            // The wire.
            .service(client);
        Self(stack)
    }

    /// Whether there is room now; if not, the task is woken when there is.
    pub(super) fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll_ready(cx).map(|Ok(())| ())
    }

    /// Starts an attempt. There must be room.
    pub(super) fn attempt(&mut self, attempt: Try) -> Answering {
        self.0.call(attempt)
    }
}

/// An attempt under way.
pub(super) type Answering = <Rows as Service<Try>>::Future;

impl fmt::Debug for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stack")
    }
}

#[derive(Clone, Debug)]
struct TimeoutLayer(Duration);

impl<S> Layer<S> for TimeoutLayer {
    type Service = Timeout<S>;
    fn layer(&self, inner: S) -> Timeout<S> {
        Timeout {
            inner,
            timeout: self.0,
        }
    }
}

/// One deadline from the look-up of the name to the answer's last byte.
#[derive(Clone, Debug)]
pub(super) struct Timeout<S> {
    inner: S,
    timeout: Duration,
}

impl<S> Service<Try> for Timeout<S>
where
    S: Service<Sent, Response = Head, Error = Silence> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = Answer;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // A client that cannot take a request says so again when it is called,
        // and then it is an outcome.
        self.inner.poll_ready(cx).map(|_| Ok(()))
    }

    fn call(&mut self, attempt: Try) -> Self::Future {
        let (request, reading) = match attempt {
            Try::One { request, reading } => (request, reading),
            Try::Talk(talk) => {
                let client = self.inner.clone();
                return Box::pin(async move { Ok(talk.run(client).await) });
            }
        };
        let timeout = self.timeout;
        let by = Instant::now() + timeout;
        let head = self.inner.call(request);
        Box::pin(async move {
            let timer = pin!(timer(by));
            let mut deadline = Deadline::new(timer);
            Ok(match deadline.within(head).await {
                // The status decides, however long the body goes on.
                Some(Ok(head)) => reading.read(head, &mut deadline).await,
                Some(Err(Silence { outcome, detail })) => {
                    Answer::new(outcome, reading.shown(detail.as_bytes()))
                }
                None => Answer::new(Outcome::TimedOut, format!("no answer within {timeout:?}")),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deliver::sample;
    use bytes::Bytes;
    use http::{Request, Response};
    use http_body_util::BodyExt;
    use http_body_util::Full;
    use tokio::sync::Semaphore;
    use tower::service_fn;
    use tower::util::BoxCloneService;

    fn answered(status: u16) -> Outcome {
        Outcome::Answered {
            status,
            retry_after: None,
        }
    }

    async fn attempt(stack: &mut Stack) -> impl Future<Output = Answer> + Send + 'static {
        std::future::poll_fn(|cx| stack.poll_room(cx)).await;
        let answer = stack.attempt(Try::One {
            request: Request::new(Full::default()),
            reading: sample::reading(),
        });
        async move {
            let Ok(answer) = answer.await;
            answer
        }
    }

    fn stack(concurrency: usize, client: Client) -> Stack {
        let destination = Destination {
            concurrency,
            timeout: Duration::from_secs(10),
            ..sample::destination()
        };
        Stack::new(&destination, &sample::memory(&destination), client)
    }

    fn has_room(stack: &mut Stack) -> bool {
        stack
            .poll_room(&mut Context::from_waker(std::task::Waker::noop()))
            .is_ready()
    }

    #[tokio::test(start_paused = true)]
    async fn a_silence_is_a_time_out_at_its_deadline() {
        let mut stack = stack(
            1,
            BoxCloneService::new(service_fn(|_| std::future::pending())),
        );
        let start = Instant::now();
        let answer = attempt(&mut stack).await.await;
        assert_eq!(
            (answer.outcome, start.elapsed()),
            (Outcome::TimedOut, Duration::from_secs(10))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_status_decides_though_the_body_never_ends() {
        let client = service_fn(|_| async {
            let endless = Drip
                .map_err(|never: Infallible| match never {})
                .boxed_unsync();
            Ok(Response::builder().status(201).body(endless).unwrap())
        });
        let mut stack = stack(1, BoxCloneService::new(client));
        let start = Instant::now();
        let answer = attempt(&mut stack).await.await;
        assert_eq!(
            (answer.outcome, start.elapsed()),
            (answered(201), Duration::from_secs(10))
        );
    }

    /// A body of which nothing ever comes.
    struct Drip;
    impl http_body::Body for Drip {
        type Data = Bytes;
        type Error = Infallible;
        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
            Poll::Pending
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_comes_back_however_an_attempt_ends() {
        let gate = Arc::new(Semaphore::new(0));
        let client = {
            let gate = gate.clone();
            service_fn(move |_| {
                let gate = gate.clone();
                async move {
                    gate.acquire().await.unwrap().forget();
                    Err(Silence {
                        outcome: Outcome::Broken,
                        detail: String::new(),
                    })
                }
            })
        };
        let mut stack = stack(2, BoxCloneService::new(client));
        for round in 0..10_000 {
            let (first, second) = (attempt(&mut stack).await, attempt(&mut stack).await);
            assert!(!has_room(&mut stack), "round {round}");
            if round % 2 == 0 {
                drop(first);
            } else {
                gate.add_permits(1);
                first.await;
            }
            // Polling by hand uses up tokio's budget.
            tokio::task::yield_now().await;
            assert!(has_room(&mut stack), "round {round}");
            drop(second);
        }
    }

    /// A reload must not be a way around the rate.
    #[tokio::test(start_paused = true)]
    async fn a_change_of_the_file_gives_no_tokens_back() {
        let limited = |timeout| Destination {
            rate: Some(1.0),
            burst: 2,
            timeout: Duration::from_secs(timeout),
            ..sample::destination()
        };
        let mut memory = sample::memory(&limited(10));
        memory.desk.draw().await;
        memory.desk.draw().await;
        assert!(memory.rate_until(Instant::now()).is_some());
        memory.adopt(&limited(20), &Accounts::default());
        assert!(memory.rate_until(Instant::now()).is_some());
    }
}
