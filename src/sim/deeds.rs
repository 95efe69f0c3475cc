//! What happens in a life: senders send, operators reload, pause and mend,
//! destinations change their moods, the disk has its troubles.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use tokio::time::{sleep, timeout};

use super::book::{Books, End, Sent};
use super::disk::Trouble;
use super::table::{NAMES, SOURCES, TYPES, Table};
use super::trace::Trace;
use super::vendors::{Mood, short};
use super::world::{Running, World};
use crate::event::{Inbound, SourceName};
use crate::gateway::simulated::Wish;
use crate::ingress::Ingress;
use crate::log::{Filter, Receipt};
use crate::vendor::{Reading, Webhook};

impl World {
    /// A life's work; how it is to end.
    pub(super) async fn script(&mut self, running: &mut Running) -> End {
        let steps = self.chance.u32(8..40);
        for _ in 0..steps {
            self.step(running).await;
            let pause = match self.chance.u8(..20) {
                0 if self.chance.u8(..8) == 0 => Duration::from_secs(self.chance.u64(300..2000)),
                0 => Duration::from_secs(self.chance.u64(5..90)),
                1..8 => Duration::ZERO,
                _ => Duration::from_millis(self.chance.u64(..600)),
            };
            sleep(pause).await;
            while let Some(ended) = running.senders.try_join_next() {
                if ended.is_err() {
                    self.books.open().wrong.push("a sender panicked".to_owned());
                }
            }
        }
        let (reloaded, crashed) = {
            let book = self.books.open();
            let crashed = book.ends.iter().any(|(end, _)| end.is_crash());
            (book.had("reload"), crashed)
        };
        if self.due && !reloaded {
            self.reload(running, Table::clone).await;
        }
        let least = if self.due && !crashed { 2 } else { 0 };
        match self.chance.u8(least..8) {
            0..2 => End::Stopped,
            2..4 => End::Killed,
            4..6 => End::PowerCut,
            _ => {
                // In the middle of something.
                self.disk.cut_in(Some(self.chance.u64(1..30)));
                for _ in 0..6 {
                    self.step(running).await;
                    sleep(Duration::from_millis(self.chance.u64(..300))).await;
                }
                End::PowerCut
            }
        }
    }

    async fn step(&mut self, running: &mut Running) {
        match self.chance.u8(..100) {
            0..50 => self.send_new(running),
            50..60 => self.send_again(running),
            60..70 => self.change_mood(),
            70..78 => self.reload(running, Table::clone).await,
            78..81 => self.reload_badly(running).await,
            81..86 => self.pause(running),
            86..93 => self.mend(running).await,
            93..97 => self.fill(),
            _ => self.trouble(),
        }
    }

    fn send_new(&mut self, running: &mut Running) {
        let source = self.chance.usize(..SOURCES.len());
        if self.kinds.busy && self.chance.u8(..10) == 0 {
            for _ in 0..self.chance.u64(50..200) {
                let sent = self.compose(self.next, source);
                self.books.open().sent.insert(self.next, sent);
                self.send(running, source, vec![self.next]);
                self.next += 1;
            }
            return;
        }
        let count = match self.chance.u8(..8) {
            0 => 3,
            1 => 2,
            _ => 1,
        };
        let numbers: Vec<u64> = (self.next..self.next + count).collect();
        self.next += count;
        for n in &numbers {
            let sent = self.compose(*n, source);
            self.books.open().sent.insert(*n, sent);
        }
        self.send(running, source, numbers);
    }

    fn compose(&mut self, n: u64, source: usize) -> Sent {
        let chance = &mut self.chance;
        let (kind, even) = (chance.usize(..TYPES.len()), chance.bool());
        let room = (chance.u8(..8) > 0).then(|| chance.u8(..4));
        let has_id = chance.u8(..4) > 0;
        let mut body = format!("{{\"n\":{n},\"type\":\"{}\",\"even\":{even}", TYPES[kind]);
        if let Some(room) = room {
            body.push_str(&format!(",\"room\":\"r{room}\""));
        }
        if has_id {
            body.push_str(&format!(",\"id\":\"v{n}\""));
        }
        let long = chance.u8(..10) == 0;
        let filler = if long {
            chance.usize(..1500)
        } else {
            chance.usize(..80)
        };
        body.push_str(&format!(",\"text\":\"{}\"}}", "x".repeat(filler)));
        Sent {
            source,
            kind,
            even,
            room,
            has_id,
            body: Bytes::from(body),
            tries: Vec::new(),
            known_as: None,
        }
    }

    /// A sender that heard nothing, or not what it wanted, says it again; or
    /// simply does.
    fn send_again(&mut self, running: &mut Running) {
        let known: Vec<(u64, usize)> = {
            let book = self.books.open();
            let again = book.sent.iter().filter(|(_, sent)| sent.has_id);
            again.map(|(n, sent)| (*n, sent.source)).collect()
        };
        if known.is_empty() {
            return self.send_new(running);
        }
        let (n, source) = known[self.chance.usize(..known.len())];
        self.send(running, source, vec![n]);
    }

    fn send(&mut self, running: &mut Running, source: usize, numbers: Vec<u64>) {
        let patience = match self.chance.u8(..10) {
            0 => Duration::from_millis(self.chance.u64(1..2500)),
            _ => Duration::from_secs(300),
        };
        let sender = Sender {
            ingress: running.house.ingress(),
            books: self.books.clone(),
            trace: self.trace.clone(),
            table: Arc::clone(&self.in_force),
            source,
            numbers,
            patience,
        };
        running.senders.spawn(sender.send());
    }

    fn change_mood(&mut self) {
        let to = self.chance.usize(..NAMES.len());
        let mood = [Mood::Well, Mood::Flaky, Mood::Flaky, Mood::Down][self.chance.usize(..4)];
        self.vendors.set_mood(to, mood);
        self.trace.say(format_args!("{} is {mood:?}", NAMES[to]));
    }

    pub(super) async fn reload(&mut self, running: &Running, but: fn(&Table) -> Table) {
        let table = but(&self.table().edited(&mut self.chance));
        let text = table.text(self.bug);
        self.books.open().note(&table);
        let (in_force, books, trace) = (
            Arc::clone(&self.in_force),
            self.books.clone(),
            self.trace.clone(),
        );
        let then = move |taken: bool| {
            trace.say(format_args!("reloaded: {taken}"));
            if taken {
                *in_force.lock().unwrap_or_else(PoisonError::into_inner) = table;
                books.open().fault("reload");
            } else {
                books
                    .open()
                    .wrong
                    .push("a good configuration was refused".to_owned());
            }
        };
        let _gone = running
            .wishes
            .send(Wish::Reload(text, Box::new(then)))
            .await;
    }

    async fn reload_badly(&mut self, running: &Running) {
        let text = self.table().broken(&mut self.chance);
        let books = self.books.clone();
        let then = move |taken: bool| {
            if taken {
                books
                    .open()
                    .wrong
                    .push("a bad configuration was taken".to_owned());
            } else {
                books.open().fault("bad reload");
            }
        };
        let _gone = running
            .wishes
            .send(Wish::Reload(text, Box::new(then)))
            .await;
    }

    fn pause(&mut self, running: &Running) {
        let name = NAMES[self.chance.usize(..NAMES.len())];
        let Some(worker) = running.house.workers.get(name) else {
            return;
        };
        match self.chance.u8(..3) {
            0 => worker.pause(),
            _ => worker.resume(),
        }
    }

    /// An operator looks through what died, or wants something again.
    async fn mend(&mut self, running: &Running) {
        let log = &running.log;
        if self.chance.u8(..4) == 0 {
            return self.replay(running).await;
        }
        let Ok(letters) = log.dead(Filter::default(), None, 20).await else {
            return;
        };
        if letters.is_empty() {
            return;
        }
        let letter = &letters[self.chance.usize(..letters.len())];
        let Some(to) = NAMES
            .iter()
            .position(|name| *name == letter.destination.as_str())
        else {
            return;
        };
        let copy = (letter.event.to_string(), to);
        let again = self.chance.bool();
        // Unsure for as long as it is under way: the power may go. What went
        // with it stays unsure, whatever is asked later.
        let sure = self.books.open().unsure.insert(copy.clone());
        let done = match again {
            true => log.dead_retry(letter.id).await,
            false => log.dead_drop(letter.id).await,
        };
        self.trace.say(format_args!(
            "operator: {} of {}, again {again}: {done:?}",
            short(&copy.0),
            NAMES[to]
        ));
        let mut book = self.books.open();
        if let Ok(done) = done {
            if sure {
                book.unsure.remove(&copy);
            }
            if done {
                *book.letters_gone.entry(copy.clone()).or_default() += 1;
            }
            match (done, again) {
                (true, true) => *book.again.entry(copy).or_default() += 1,
                (true, false) => drop(book.discarded.insert(copy)),
                (false, _) => {}
            }
        }
    }

    async fn replay(&mut self, running: &Running) {
        let log = &running.log;
        let Ok(events) = log.events(Filter::default(), None, 30).await else {
            return;
        };
        if events.is_empty() {
            return;
        }
        let event = &events[self.chance.usize(..events.len())];
        let copies: Vec<_> = event
            .owed
            .iter()
            .filter_map(|owed| {
                let to = NAMES
                    .iter()
                    .position(|name| *name == owed.destination.as_str())?;
                Some((event.event.id.to_string(), to))
            })
            .collect();
        let mut sure = copies.clone();
        sure.retain(|copy| self.books.open().unsure.insert(copy.clone()));
        let done = log.replay(event, event.owed.clone()).await;
        self.trace.say(format_args!(
            "operator: replays {}: {done:?}",
            short(&event.event.id.to_string())
        ));
        if done.is_ok() {
            let mut book = self.books.open();
            for copy in copies {
                *book.again.entry(copy).or_default() += 1;
            }
            for copy in &sure {
                book.unsure.remove(copy);
            }
        }
    }

    fn fill(&mut self) {
        if !self.kinds.full {
            return;
        }
        let left = match self.chance.bool() {
            true => None,
            false => Some(self.chance.u64(..40_000)),
        };
        self.disk.fill_up(left);
        self.trace.say(format_args!("the disk has {left:?} left"));
        self.books.open().fault("full");
    }

    fn trouble(&mut self) {
        if self.kinds.rot && self.chance.bool() {
            return self.rot();
        }
        if !self.kinds.trouble {
            return;
        }
        let kind =
            [Trouble::Write, Trouble::Sync, Trouble::Sync, Trouble::Read][self.chance.usize(..4)];
        let nth = self.chance.u64(1..12);
        self.disk.trouble(Some((kind, nth)));
        self.troubled = true;
        self.trace
            .say(format_args!("{kind:?} number {nth} will fail"));
        self.books.open().fault(match kind {
            Trouble::Write => "EIO on write",
            Trouble::Sync => "EIO on sync",
            Trouble::Read => "EIO on read",
        });
    }
}

/// One webhook on its way in.
struct Sender {
    ingress: Ingress,
    books: Books,
    trace: Trace,
    table: Arc<std::sync::Mutex<Table>>,
    source: usize,
    numbers: Vec<u64>,
    patience: Duration,
}

impl Sender {
    async fn send(self) {
        let source = SourceName::from(SOURCES[self.source]);
        let (readings, places) = self.read(&source);
        let taken = timeout(self.patience, self.ingress.accept(&source, readings)).await;
        let numbers = &self.numbers;
        match taken {
            Ok(Ok(receipts)) => self.acknowledged(&receipts, &places),
            Ok(Err(error)) => self.trace.say(format_args!("{numbers:?} refused: {error}")),
            Err(_) if self.patience > Duration::from_secs(100) => {
                let what = format!("{numbers:?} had no answer in {:?}", self.patience);
                self.books.open().stalled.push(what);
            }
            Err(_) => self.trace.say(format_args!("{numbers:?} not waited for")),
        }
    }

    /// The way of a posted webhook: its source's reader reads it. Who is owed
    /// is known from here on: nothing comes between this and the table's turn.
    fn read(&self, source: &SourceName) -> (Vec<Reading>, Vec<usize>) {
        let front = self.ingress.front.load_full();
        let table = self
            .table
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let mut book = self.books.open();
        let (mut readings, mut places) = (Vec::new(), Vec::new());
        for n in &self.numbers {
            let (Some(sent), Some(source)) = (book.sent.get_mut(n), front.sources.get(source))
            else {
                continue;
            };
            let owed: BTreeSet<usize> = table.owed(sent.source, sent.kind, sent.even);
            places.push(sent.tries.len());
            sent.tries.push(owed);
            let inbound = Inbound {
                tail: None,
                query: None,
                headers: &HeaderMap::new(),
                body: &sent.body,
                peer: std::net::IpAddr::from([192, 0, 2, 1]),
            };
            match source.reader.read(&inbound, 128) {
                Ok(Webhook::Events(events)) => readings.extend(events),
                other => book.wrong.push(format!("{n} is not read: {other:?}")),
            }
        }
        (readings, places)
    }

    /// `places`: which try of each event this was.
    fn acknowledged(&self, receipts: &[Receipt], places: &[usize]) {
        let mut book = self.books.open();
        if receipts.len() != self.numbers.len() {
            let what = format!("{:?} has {} receipts", self.numbers, receipts.len());
            book.wrong.push(what);
        }
        for ((n, place), receipt) in self.numbers.iter().zip(places).zip(receipts) {
            let event = receipt.id.to_string();
            let again = if receipt.duplicate { " again" } else { "" };
            self.trace
                .say(format_args!("{n} is {}{again}", short(&event)));
            book.acknowledge((*n, *place), event, receipt.duplicate, receipt.deliveries);
        }
    }
}
