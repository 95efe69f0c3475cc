//! Dialogues, with a vendor that has users, conversations and messages, and
//! forgets nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{HeaderMap, Method, Response};
use http_body_util::{BodyExt, Full};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower::BoxError;
use tower::util::BoxCloneService;

use super::attempt::{Sent, Silence};
use super::bench::Book;
use super::{Accounts, Destination, Means, Worker, sample};
use crate::clock::Clock;
use crate::event::{DestinationName, Event};
use crate::link::{Counterpart, Place, Standing, What};
use crate::links::{Edit, Links};
use crate::metrics::Metrics;
use crate::secret::Secret;
use crate::settle::{Outcome, Reason};
use crate::transform::{Outgoing, Unsendable};
use crate::vendor::dialogue::{Account, Ask, Dialogue, Heard, Known, Learned, Step};
use crate::vendor::{Call, Writer};

/// Find or create the user, create the conversation, say it; or wait for a link.
#[derive(Clone, Copy, Debug)]
enum Chat {
    Creates,
    Waits,
    /// Asks, and finds out that it cannot go.
    GivesUp,
    Panics,
}

impl Chat {
    fn ask(step: &'static str, text: &str, alone: Option<What>) -> Step {
        Step::Ask(Box::new(Ask {
            step,
            request: Outgoing {
                method: Method::POST,
                url: format!("http://chat.example/{step}").parse().unwrap(),
                headers: HeaderMap::new(),
                body: text.to_owned().into(),
                sign: None,
                redact: Vec::new(),
                late: false,
            },
            before: Vec::new(),
            alone,
        }))
    }
}

impl Dialogue for Chat {
    fn next(&self, call: &Call<'_>, known: &Known) -> Result<Step, Unsendable> {
        let customer = call.customer.unwrap_or("nobody");
        let key = call.event.key.as_ref().map_or("", |key| key.as_str());
        match (self, &known.user, &known.conversation) {
            (Self::Panics, ..) => panic!("a bug in a dialogue"),
            (Self::GivesUp, ..) if known.note("asked").is_some() => Err(Unsendable::Dead {
                reason: Reason::Unlinked,
                detail: "nobody there".to_owned(),
            }),
            (Self::GivesUp, ..) => Ok(Self::ask("look", key, None)),
            (_, _, Some(conversation)) if conversation.standing == Standing::Open => {
                let text = format!("{} {}", conversation.id, call.event.id);
                Ok(Self::ask("say", &text, None))
            }
            (Self::Waits, ..) => Err(Unsendable::Wait {
                for_at_most: Duration::from_secs(60),
                reason: Reason::Unlinked,
                detail: "link it".to_owned(),
            }),
            (_, None, _) => Ok(Self::ask("user", customer, Some(What::User))),
            (_, Some(_), Some(_creating)) => Ok(Self::ask("look", key, Some(What::Conversation))),
            (_, Some(_), None) => {
                let step = Self::ask("open", key, Some(What::Conversation));
                let Step::Ask(mut ask) = step else {
                    unreachable!()
                };
                ask.before = vec![crate::link::Change::Set(
                    What::Conversation,
                    Counterpart::creating(),
                )];
                Ok(Step::Ask(ask))
            }
        }
    }

    fn hear(&self, _: &Call<'_>, _: &Known, asked: &Ask, heard: &Heard<'_>) -> Learned {
        let id = String::from_utf8_lossy(heard.body).into_owned();
        match (asked.step, heard.status) {
            ("user", 200) => Learned::go_on().set(What::User, Counterpart::open(id)),
            ("open", 200) => Learned::go_on().set(What::Conversation, Counterpart::open(id)),
            ("look", 200) if matches!(self, Self::GivesUp) => Learned::go_on().note("asked", "yes"),
            ("look", 200) if id.is_empty() => Learned::go_on().forget(What::Conversation),
            ("look", 200) => Learned::go_on().set(What::Conversation, Counterpart::open(id)),
            _ => Learned::end(heard.outcome.clone()),
        }
    }
}

impl Writer for Chat {
    fn write(&self, _: &Call<'_>) -> Result<Outgoing, Unsendable> {
        unreachable!("a dialogue decides")
    }

    fn dialogue(&self) -> Option<&dyn Dialogue> {
        Some(self)
    }

    fn account(&self) -> Option<Account> {
        Some(Account::of("http://chat.example", &Secret::new("key")))
    }

    fn shown_target(&self) -> String {
        "http://chat.example".to_owned()
    }
}

/// The vendor: creating is not idempotent there, and takes a while.
#[derive(Clone, Default)]
struct Vendor(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    users: Vec<String>,
    conversations: Vec<String>,
    said: Vec<String>,
    calls: Vec<(Instant, String)>,
    /// The next so many answers to this step are lost after the deed.
    lose: BTreeMap<&'static str, usize>,
    never: Option<&'static str>,
}

impl Vendor {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    fn deed(&self, step: &str, text: &str) -> Option<String> {
        let mut state = self.state();
        state.calls.push((Instant::now(), step.to_owned()));
        let lost = state.lose.get_mut(step).is_some_and(|left| {
            let lose = *left > 0;
            *left = left.saturating_sub(1);
            lose
        });
        let answer = match step {
            "user" => {
                state.users.push(text.to_owned());
                format!("u{}", state.users.len())
            }
            "open" => {
                state.conversations.push(text.to_owned());
                format!("c{}", state.conversations.len())
            }
            "look" => {
                let found = state.conversations.iter().position(|key| key == text);
                found.map_or_else(String::new, |index| format!("c{}", index + 1))
            }
            _ => {
                state.said.push(text.to_owned());
                String::new()
            }
        };
        (!lost).then_some(answer)
    }

    fn client(&self) -> super::attempt::Client {
        let vendor = self.clone();
        BoxCloneService::new(tower::service_fn(move |sent: Sent| {
            let vendor = vendor.clone();
            async move {
                let step = sent.uri().path().trim_start_matches('/').to_owned();
                let text = sent.into_body().collect().await.unwrap().to_bytes();
                if vendor.state().never == Some("all") {
                    std::future::pending::<()>().await;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
                let answer = vendor.deed(&step, std::str::from_utf8(&text).unwrap());
                match answer {
                    Some(body) => {
                        let body = Full::from(body).map_err(BoxError::from).boxed_unsync();
                        Ok(Response::new(body))
                    }
                    None => Err(Silence {
                        outcome: Outcome::Broken,
                        detail: "lost".to_owned(),
                    }),
                }
            }
        }))
    }
}

struct Hall {
    vendor: Vendor,
    links: Links,
    accounts: Accounts,
    metrics: Arc<Metrics>,
    tasks: JoinSet<DestinationName>,
    drain: CancellationToken,
    _folder: tempfile::TempDir,
}

impl Hall {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            vendor: Vendor::default(),
            links: Links::open(folder.path()).unwrap(),
            accounts: Accounts::default(),
            metrics: Arc::new(Metrics::new()),
            tasks: JoinSet::new(),
            drain: CancellationToken::new(),
            _folder: folder,
        }
    }

    /// A worker that owes these events.
    fn worker(&mut self, name: &str, chat: Chat, events: Vec<Event>) -> Book {
        let book = Book::default();
        book.page().links = Some(self.links.clone());
        book.page().customer = Some(Arc::from("rina"));
        for event in events {
            book.owe(event);
        }
        let destination = Destination {
            name: name.into(),
            writer: Arc::new(chat),
            place: Place::of_destination(name),
            rate: Some(10.0),
            burst: 4,
            ..sample::destination()
        };
        let vendor = self.vendor.clone();
        let means = Means {
            intake: Arc::new(sample::NoIntake),
            accounts: self.accounts.clone(),
            clock: Clock::following_tokio(sample::start()),
            metrics: Arc::clone(&self.metrics),
            read: sample::read,
            drain_patience: Duration::from_secs(10),
            client: move |_: &Destination| vendor.client(),
            sign: |_, _, _, _| unreachable!(),
        };
        let destination = Arc::new(destination);
        let drain = self.drain.clone();
        Worker::run(
            destination,
            book.clone(),
            false,
            means,
            drain,
            &mut self.tasks,
        );
        book
    }

    async fn all_settled(&self, book: &Book) {
        let deadline = Instant::now() + Duration::from_secs(3600);
        while !book.page().open.is_empty() {
            assert!(Instant::now() < deadline, "{:?}", self.vendor.state().calls);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn events(range: std::ops::Range<u64>, rooms: u64) -> Vec<Event> {
    let event = |n: u64| sample::event(n, Some(&format!("room{}", n % rooms)), "message");
    range.map(event).collect()
}

#[tokio::test(start_paused = true)]
async fn users_and_conversations_are_created_once_however_many_ask_at_once() {
    let mut hall = Hall::new();
    let book = hall.worker("helpdesk", Chat::Creates, events(0..30, 6));
    hall.all_settled(&book).await;
    let state = hall.vendor.state();
    assert_eq!(state.users, ["rina"]);
    assert_eq!((state.conversations.len(), state.said.len()), (6, 30));
}

#[tokio::test(start_paused = true)]
async fn after_an_answer_that_was_lost_it_looks_before_it_creates_again() {
    let mut hall = Hall::new();
    hall.vendor.state().lose.insert("open", 1);
    let book = hall.worker("helpdesk", Chat::Creates, events(0..3, 1));
    hall.all_settled(&book).await;
    let state = hall.vendor.state();
    assert_eq!((state.conversations.len(), state.said.len()), (1, 3));
    assert!(state.calls.iter().any(|(_, step)| step == "look"));
}

#[tokio::test(start_paused = true)]
async fn every_request_of_an_account_draws_from_one_bucket() {
    let mut hall = Hall::new();
    let books = [
        hall.worker("helpdesk", Chat::Creates, events(0..40, 20)),
        hall.worker("archive", Chat::Creates, events(100..140, 20)),
    ];
    for book in &books {
        hall.all_settled(book).await;
    }
    let state = hall.vendor.state();
    let times: Vec<Instant> = state.calls.iter().map(|(at, _)| *at).collect();
    assert!(times.len() > 120, "{}", times.len());
    for (index, from) in times.iter().enumerate() {
        let within = times[index..]
            .iter()
            .filter(|at| **at <= *from + Duration::from_secs(1))
            .count();
        assert!(within <= 14, "{within} within a second");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_linked_waits_without_an_attempt_and_goes_when_it_is() {
    let mut hall = Hall::new();
    let book = hall.worker("sendy", Chat::Waits, events(0..2, 1));
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(book.page().retries.len(), 0);
    let edit = Edit {
        what: What::Conversation,
        ours: "room0".to_owned(),
        place: Place::of_destination("sendy"),
        to: Some(Counterpart::open("c9")),
    };
    hall.links.edit(vec![edit]).await.unwrap();
    hall.all_settled(&book).await;
    assert_eq!(hall.vendor.state().said.len(), 2);

    let book = hall.worker("nobody", Chat::Waits, events(10..11, 1));
    hall.all_settled(&book).await;
    let page = book.page();
    let (settlement, attempt, detail) = page.settled.values().next().unwrap();
    assert_eq!(
        (*settlement, attempt.is_none(), detail.as_str()),
        (
            crate::settle::Settlement::Dead(Reason::Unlinked),
            true,
            "link it"
        )
    );
}

#[tokio::test(start_paused = true)]
async fn a_dialogue_that_hangs_or_panics_is_one_deliverys_misfortune() {
    let mut hall = Hall::new();
    let book = hall.worker("broken", Chat::Panics, events(0..2, 2));
    hall.all_settled(&book).await;
    let dead = crate::settle::Settlement::Dead(Reason::Unsendable);
    assert!(book.page().settled.values().all(|(how, ..)| *how == dead));

    hall.vendor.state().never = Some("all");
    let book = hall.worker("hangs", Chat::Creates, events(10..11, 1));
    tokio::time::sleep(Duration::from_secs(40)).await;
    let outcome = book.page().retries[0].1.outcome.clone();
    assert_eq!(outcome, "timeout");
}

/// An operator sees every attempt, also the one that found out that there is
/// nothing to send.
#[tokio::test(start_paused = true)]
async fn an_attempt_that_gives_up_stands_in_the_history() {
    let mut hall = Hall::new();
    let book = hall.worker("desk", Chat::GivesUp, events(0..1, 1));
    hall.all_settled(&book).await;
    let page = book.page();
    let (settlement, attempt, detail) = page.settled.values().next().unwrap();
    let attempt = attempt.as_ref().unwrap();
    assert_eq!(
        (*settlement, detail.as_str()),
        (
            crate::settle::Settlement::Dead(Reason::Unlinked),
            "nobody there"
        )
    );
    assert_eq!((attempt.number, &*attempt.outcome), (1, "given_up"));
}
