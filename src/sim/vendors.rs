//! The destinations: they answer as their mood is, and remember what came.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::table::NAMES;
use super::trace::Trace;
use crate::deliver::simulated::{Answering, Network};
use crate::event::DestinationName;
use crate::settle::Outcome;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Takes everything.
    Ease,
    #[default]
    Well,
    Flaky,
    Down,
}

/// What an attempt was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// Nothing so far.
    Nothing,
    Status(u16),
    /// The connection broke after the request had been taken.
    Cut,
    /// There was no connection.
    Refused,
}

impl Said {
    pub(crate) fn yes(self) -> bool {
        matches!(self, Self::Status(200..=299))
    }

    /// By the sentences we publish it must not be tried again.
    pub(crate) fn no_for_good(self) -> bool {
        matches!(self, Self::Status(400 | 404 | 410 | 422 | 508))
    }
}

/// One attempt as its destination saw it.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) life: usize,
    pub(crate) to: usize,
    /// The event's id, as the request said.
    pub(crate) event: String,
    pub(crate) attempt: u32,
    pub(crate) body: Bytes,
    pub(crate) at: Duration,
    pub(crate) said: Said,
    pub(crate) ended: Option<Duration>,
}

#[derive(Debug)]
pub(crate) struct Vendors(Mutex<State>);

#[derive(Debug)]
struct State {
    arrivals: Vec<Arrival>,
    moods: BTreeMap<usize, Mood>,
    chance: fastrand::Rng,
    life: usize,
    power: CancellationToken,
    base: Instant,
    trace: Trace,
}

impl Vendors {
    pub(crate) fn new(chance: fastrand::Rng, trace: Trace) -> Self {
        Self(Mutex::new(State {
            arrivals: Vec::new(),
            moods: BTreeMap::new(),
            chance,
            life: 0,
            power: CancellationToken::new(),
            base: Instant::now(),
            trace,
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whose requests come from now on.
    pub(crate) fn serve(&self, life: usize, power: CancellationToken) {
        let mut state = self.state();
        (state.life, state.power) = (life, power);
    }

    pub(crate) fn set_mood(&self, to: usize, mood: Mood) {
        self.state().moods.insert(to, mood);
    }

    pub(crate) fn arrivals(&self) -> Vec<Arrival> {
        self.state().arrivals.clone()
    }
}

impl State {
    /// What comes of a request that has just been taken, and when.
    fn decide(&mut self, to: usize) -> (Option<Result<u16, Outcome>>, Duration) {
        let chance = &mut self.chance;
        let took = match chance.u8(..20) {
            0 => Duration::from_millis(chance.u64(500..3000)),
            _ => Duration::from_millis(chance.u64(1..200)),
        };
        let mood = self.moods.get(&to).copied().unwrap_or_default();
        let roll = chance.u16(..1000);
        let answer = match (mood, roll) {
            (Mood::Ease, _) | (Mood::Well, 30..) | (Mood::Flaky, 450..) | (Mood::Down, 960..) => {
                Some(Ok([200, 201, 204][chance.usize(..3)]))
            }
            (Mood::Well, _) => Some(Ok(503)),
            (Mood::Flaky, 0..120) => Some(Ok(503)),
            (Mood::Flaky, 120..180) => Some(Ok(500)),
            (Mood::Flaky, 180..240) => Some(Ok(429)),
            (Mood::Flaky, 240..280) => None,
            (Mood::Flaky, 280..340) => Some(Err(Outcome::Broken)),
            (Mood::Flaky, 340..390) => Some(Err(Outcome::Connect)),
            (Mood::Flaky, 390..444) => Some(Ok([400, 404, 422][chance.usize(..3)])),
            (Mood::Flaky, 444..447) => Some(Ok(410)),
            (Mood::Flaky, _) => Some(Ok(508)),
            (Mood::Down, 0..400) => Some(Err(Outcome::Connect)),
            (Mood::Down, 400..800) => Some(Ok(503)),
            (Mood::Down, 800..900) => None,
            (Mood::Down, _) => Some(Err(Outcome::Broken)),
        };
        (answer, took)
    }
}

/// The network for one life: requests sent after the power went go nowhere.
#[derive(Clone, Debug)]
pub(crate) struct Wire(pub(crate) Arc<Vendors>);

impl Network for Wire {
    fn ask(&self, destination: &DestinationName, request: Request<Full<Bytes>>) -> Answering {
        let vendors = Arc::clone(&self.0);
        let to = NAMES.iter().position(|name| *name == destination.as_str());
        Box::pin(async move {
            let Some(to) = to else {
                return Err(Outcome::Dns);
            };
            let text = |name: &str| {
                request
                    .headers()
                    .get(name)?
                    .to_str()
                    .ok()
                    .map(str::to_owned)
            };
            let event = text("webhook-id").unwrap_or_default();
            let attempt = text("hookfan-attempt").and_then(|text| text.parse().ok());
            let body = request.into_body().collect().await;
            let body = body
                .map(http_body_util::Collected::to_bytes)
                .unwrap_or_default();
            let power = vendors.state().power.clone();
            if power.is_cancelled() {
                return std::future::pending().await;
            }
            let (index, answer, took) = vendors.arrive(to, event, attempt.unwrap_or(0), body);
            let Some(answer) = answer else {
                return std::future::pending().await;
            };
            tokio::time::sleep(took).await;
            if power.is_cancelled() {
                return std::future::pending().await;
            }
            vendors.answer(index, answer)
        })
    }
}

type Answer = Option<Result<u16, Outcome>>;

impl Vendors {
    fn arrive(
        &self,
        to: usize,
        event: String,
        attempt: u32,
        body: Bytes,
    ) -> (usize, Answer, Duration) {
        let mut state = self.state();
        let (answer, took) = state.decide(to);
        let at = state.base.elapsed();
        state.trace.say(format_args!(
            "{} comes to {}, attempt {attempt}",
            short(&event),
            NAMES[to]
        ));
        let arrival = Arrival {
            life: state.life,
            to,
            event,
            attempt,
            body,
            at,
            said: Said::Nothing,
            ended: None,
        };
        state.arrivals.push(arrival);
        (state.arrivals.len() - 1, answer, took)
    }

    fn answer(
        &self,
        index: usize,
        answer: Result<u16, Outcome>,
    ) -> Result<Response<Full<Bytes>>, Outcome> {
        let mut state = self.state();
        let (said, at) = (
            match &answer {
                Ok(status) => Said::Status(*status),
                Err(Outcome::Connect) => Said::Refused,
                Err(_) => Said::Cut,
            },
            state.base.elapsed(),
        );
        let wait = state.chance.u64(1..90);
        let arrival = &mut state.arrivals[index];
        (arrival.said, arrival.ended) = (said, Some(at));
        let (event, to) = (short(&arrival.event).to_owned(), arrival.to);
        state
            .trace
            .say(format_args!("{} hears {said:?} of {event}", NAMES[to]));
        let mut response = Response::new(Full::default());
        let status = answer?;
        *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
        if status == 429 {
            response.headers_mut().insert("retry-after", wait.into());
        }
        Ok(response)
    }
}

/// The end of an id is enough to tell it by.
pub(crate) fn short(event: &str) -> &str {
    event.get(event.len().saturating_sub(6)..).unwrap_or(event)
}
