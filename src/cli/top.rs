//! `hookfan top`: what each destination does, live. Here is the rim: the
//! terminal, the keys, the gateway's answers. What they change is decided in
//! [`model`], what it looks like in [`draw`]; both are pure.

use std::io::{IsTerminal, stdin, stdout};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::client::{Admin, Target};
use super::{Exit, Usage, block_on};
use model::{Deed, Input, Key, Model};

mod draw;
mod feed;
mod model;
mod rates;
#[cfg(test)]
mod tests;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Keys: arrows or j k select, enter shows one destination, p pauses it, r resumes
it, s sorts, f filters, l shows the times of attempts, ? helps, q quits.

It draws on a terminal. Scripts read `hookfan status --json`.

  hookfan top -c routes.toml
  hookfan top --admin http://127.0.0.1:9090")]
pub(super) struct Top {
    #[command(flatten)]
    target: Target,
}

/// Ages move on although nobody says anything.
const TICK: Duration = Duration::from_secs(1);

impl Top {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        if self.target.json || !stdout().is_terminal() || !stdin().is_terminal() {
            let said = "top draws on a terminal; scripts read `hookfan status --json`";
            return Err(Usage(said.to_owned()).into());
        }
        // A bad file or token is said on the usual screen.
        let admin = Arc::new(self.target.admin()?);
        block_on(watch(admin))
    }
}

/// Gives the terminal back, however this ends; a panic does it by a hook.
struct Restored;

impl Drop for Restored {
    fn drop(&mut self) {
        let _nothing_more_to_do = ratatui::try_restore();
    }
}

async fn watch(admin: Arc<Admin>) -> anyhow::Result<Exit> {
    let mut stops = [
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
        signal(SignalKind::hangup())?,
    ];
    let _restored = Restored;
    let mut terminal = ratatui::try_init().context("the terminal cannot be drawn on")?;
    let (to, mut inputs) = mpsc::channel(256);
    let keys = to.clone();
    // Reading keys blocks; the thread ends with the process.
    std::thread::spawn(move || read_keys(&keys));
    let mut tasks = JoinSet::new();
    tasks.spawn(feed::run(Arc::clone(&admin), to.clone()));
    let began = Instant::now();
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let mut model = Model::new(admin.address(), plain);
    let mut tick = tokio::time::interval(TICK);
    let [term, int, hup] = &mut stops;
    loop {
        terminal.draw(|frame| draw::whole(&model, frame))?;
        let input = tokio::select! {
            Some(input) = inputs.recv() => input,
            _ = tick.tick() => Input::Tick,
            Some(_) = tasks.join_next() => continue,
            _ = term.recv() => return Ok(Exit::Ok),
            _ = int.recv() => return Ok(Exit::Ok),
            _ = hup.recv() => return Ok(Exit::Ok),
        };
        let mut deeds = model.take(input, began.elapsed());
        // What has come meanwhile is drawn at once, not one by one.
        while let Ok(input) = inputs.try_recv() {
            deeds.extend(model.take(input, began.elapsed()));
        }
        for deed in deeds {
            if deed == Deed::Quit {
                return Ok(Exit::Ok);
            }
            tasks.spawn(act(Arc::clone(&admin), deed, to.clone()));
        }
    }
}

/// One deed; what came of it goes back as an input.
async fn act(admin: Arc<Admin>, deed: Deed, to: mpsc::Sender<Input>) {
    let input = match deed {
        Deed::Quit => return,
        Deed::Pause(name) => {
            steer(&admin, name, "pause", "paused: its events wait in the log").await
        }
        Deed::Resume(name) => steer(&admin, name, "resume", "is delivering again").await,
        Deed::History(name) => {
            let path = format!("/api/v1/destinations/{name}/history");
            let answer = admin.get(&path).await.map_err(|error| format!("{error:#}"));
            Input::History(name, answer)
        }
    };
    let _gone = to.send(input).await;
}

async fn steer(admin: &Admin, name: String, verb: &str, done: &str) -> Input {
    let path = format!("/api/v1/destinations/{name}:{verb}");
    Input::Said(match admin.post(&path, &Value::Null).await {
        Ok(_) => format!("{name} {done}"),
        Err(error) => format!("{name}: {error:#}"),
    })
}

/// Keys and resizes, until nobody wants them or the terminal is gone.
fn read_keys(to: &mpsc::Sender<Input>) {
    loop {
        let input = match event::read() {
            Ok(Event::Key(key)) if key.kind != KeyEventKind::Release => match meant(key) {
                Some(key) => Input::Key(key),
                None => continue,
            },
            Ok(Event::Resize(..)) => Input::Tick,
            Ok(_) => continue,
            Err(_) => Input::Key(Key::Stop),
        };
        let last = input == Input::Key(Key::Stop);
        if to.blocking_send(input).is_err() || last {
            return;
        }
    }
}

/// A key as the model knows it.
fn meant(key: KeyEvent) -> Option<Key> {
    let with_others = KeyModifiers::CONTROL | KeyModifiers::ALT;
    Some(match key.code {
        KeyCode::Char('c' | 'd') if key.modifiers.contains(KeyModifiers::CONTROL) => Key::Stop,
        KeyCode::Char(letter) if !key.modifiers.intersects(with_others) => Key::Letter(letter),
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Escape,
        KeyCode::Backspace => Key::Backspace,
        _ => return None,
    })
}
