//! The rate row of a destination's stack: a token bucket.
//!
//! Our own, because tower's does not survive being cloned and does not share;
//! clones of this one draw from one bucket, on tokio's clock, so that tests
//! with paused time are exact.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep};
use tower::{Layer, Service};

/// A bucket that refills with `rate` tokens a second up to `burst`. Clones
/// share it.
#[derive(Clone, Debug)]
pub(super) struct Bucket(Arc<Mutex<Level>>);

/// The level is kept as the instant at which the bucket is full again: integer
/// nanoseconds, so that no error adds up.
#[derive(Debug)]
struct Level {
    /// One token's time; zero when there is no limit.
    every: Duration,
    burst: u32,
    full_at: Instant,
}

impl Level {
    fn empty_until(&self, now: Instant) -> Option<Instant> {
        let slack = self.every * (self.burst - 1);
        (self.full_at > now + slack).then(|| self.full_at - slack)
    }
}

impl Bucket {
    /// `rate` per second (`None`: no limit); a `burst` of 0 counts as 1. Full.
    pub(super) fn new(rate: Option<f64>, burst: u32) -> Self {
        let level = Level {
            every: interval(rate),
            burst: burst.max(1),
            full_at: Instant::now(),
        };
        Self(Arc::new(Mutex::new(level)))
    }

    /// Another rate from now on; what was drawn stays drawn.
    pub(super) fn set(&self, rate: Option<f64>, burst: u32) {
        let mut level = self.level();
        let (now, every, burst) = (Instant::now(), interval(rate), burst.max(1));
        // Never emptier than empty by the new measure.
        level.full_at = level.full_at.min(now + every * burst);
        (level.every, level.burst) = (every, burst);
    }

    /// As if all of it had been drawn a moment ago.
    pub(super) fn empty(&self) {
        let mut level = self.level();
        level.full_at = Instant::now() + level.every * level.burst;
    }

    /// Draws one now, or says when to come again.
    pub(super) fn draw(&self) -> Result<(), Instant> {
        let mut level = self.level();
        if level.every.is_zero() {
            return Ok(());
        }
        let now = Instant::now();
        if let Some(at) = level.empty_until(now) {
            return Err(at);
        }
        level.full_at = level.full_at.max(now) + level.every;
        Ok(())
    }

    /// When there is one to draw, if that is not now.
    pub(super) fn empty_until(&self, now: Instant) -> Option<Instant> {
        self.level().empty_until(now)
    }

    /// Puts back one that was drawn and not used.
    fn put_back(&self) {
        let mut level = self.level();
        level.full_at = level
            .full_at
            .checked_sub(level.every)
            .unwrap_or(level.full_at);
    }

    fn level(&self) -> MutexGuard<'_, Level> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn interval(rate: Option<f64>) -> Duration {
    // A rate below one in a day would overflow the arithmetic, not serve anybody.
    const EVERY_MAX: Duration = Duration::from_secs(86_400);
    match rate {
        Some(rate) if rate > 0.0 => Duration::try_from_secs_f64(1.0 / rate)
            .unwrap_or(EVERY_MAX)
            .min(EVERY_MAX),
        Some(_) => EVERY_MAX,
        None => Duration::ZERO,
    }
}

#[derive(Clone, Debug)]
pub(super) struct RateLayer(pub(super) Bucket);

impl<S> Layer<S> for RateLayer {
    type Service = Rate<S>;
    fn layer(&self, inner: S) -> Rate<S> {
        Rate {
            inner,
            bucket: self.0.clone(),
            drawn: false,
            wait: None,
        }
    }
}

/// Ready once it has drawn a token; a token that is not used goes back.
#[derive(Debug)]
pub(super) struct Rate<S> {
    inner: S,
    bucket: Bucket,
    drawn: bool,
    wait: Option<Pin<Box<Sleep>>>,
}

impl<S: Clone> Clone for Rate<S> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            bucket: self.bucket.clone(),
            drawn: false,
            wait: None,
        }
    }
}

impl<S> Drop for Rate<S> {
    fn drop(&mut self) {
        if self.drawn {
            self.bucket.put_back();
        }
    }
}

impl<R, S: Service<R>> Service<R> for Rate<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        while !self.drawn {
            if let Some(wait) = &mut self.wait {
                ready!(wait.as_mut().poll(cx));
                self.wait = None;
            }
            match self.bucket.draw() {
                Ok(()) => self.drawn = true,
                Err(at) => self.wait = Some(Box::pin(tokio::time::sleep_until(at))),
            }
        }
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> S::Future {
        // A token is spent when the attempt starts, not when the worker began
        // to wait for work: otherwise a bucket that refilled meanwhile would
        // let one more than the burst go at once.
        if std::mem::take(&mut self.drawn) {
            self.bucket.put_back();
        }
        let _spent = self.bucket.draw();
        self.inner.call(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;
    use tower::{ServiceBuilder, ServiceExt, service_fn};

    /// Milliseconds at which each of `n` calls of one service went through.
    async fn went(rate: Option<f64>, burst: u32, n: usize, idle: Duration) -> Vec<u128> {
        let mut service = ServiceBuilder::new()
            .layer(RateLayer(Bucket::new(rate, burst)))
            .service(service_fn(|()| async {
                Ok::<_, Infallible>(Instant::now())
            }));
        let service = service.ready().await.unwrap();
        tokio::time::sleep(idle).await;
        let start = Instant::now();
        let mut times = Vec::new();
        for _ in 0..n {
            let at = service.ready().await.unwrap().call(()).await.unwrap();
            times.push((at - start).as_millis());
        }
        times
    }

    #[tokio::test(start_paused = true)]
    async fn a_destination_gets_its_burst_and_then_its_rate() {
        assert_eq!(
            went(Some(10.0), 4, 8, Duration::ZERO).await,
            [0, 0, 0, 0, 100, 200, 300, 400]
        );
        assert_eq!(
            went(Some(2.0), 1, 4, Duration::ZERO).await,
            [0, 500, 1000, 1500]
        );
        assert_eq!(went(None, 0, 4, Duration::ZERO).await, [0, 0, 0, 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_drawn_before_a_pause_is_not_an_extra_one() {
        assert_eq!(
            went(Some(10.0), 4, 6, Duration::from_secs(60)).await,
            [0, 0, 0, 0, 100, 200]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn clones_share_the_bucket_and_a_dropped_one_gives_back() {
        let service = ServiceBuilder::new()
            .layer(RateLayer(Bucket::new(Some(1.0), 2)))
            .service(service_fn(|()| async { Ok::<_, Infallible>(()) }));
        let (mut first, mut second, mut third) = (service.clone(), service.clone(), service);
        first.ready().await.unwrap();
        second.ready().await.unwrap();
        let start = Instant::now();
        drop(first);
        third.ready().await.unwrap().call(()).await.unwrap();
        assert_eq!(start.elapsed(), Duration::ZERO);
        second.call(()).await.unwrap();
        third.ready().await.unwrap();
        assert_eq!(start.elapsed(), Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn over_an_hour_not_one_more_than_the_rate_goes() {
        let times = went(Some(7.0), 3, 7 * 3600, Duration::ZERO).await;
        for (nth, at) in times.iter().enumerate() {
            let due = (nth as u128).saturating_sub(2) * 1000 / 7;
            assert!(
                *at >= due && *at <= due + 2,
                "call {nth} went at {at} ms, due {due} ms"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slower_rate_is_live_at_once() {
        let bucket = Bucket::new(Some(100.0), 1);
        bucket.draw().unwrap();
        bucket.set(Some(1.0), 1);
        assert!(bucket.draw().is_err());
        tokio::time::advance(Duration::from_millis(10)).await;
        bucket.draw().unwrap();
        let again = bucket.draw().unwrap_err();
        assert_eq!(again - Instant::now(), Duration::from_secs(1));
        assert_eq!(interval(Some(0.0)), Duration::from_secs(86_400));
        assert_eq!(interval(Some(1e-300)), Duration::from_secs(86_400));
    }
}
