//! The dialogue: find the room or make one, then say it there.

use serde_json::{Map, Value as Json};

use super::deed::NEW_ROOM;
use super::room::{CREATE, LOOK, STALE, TARGET};
use super::{Side, Speaker};
use crate::event::Direction;
use crate::link::What;
use crate::message::Message;
use crate::settle::Outcome;
use crate::transform::Unsendable;
use crate::vendor::Call;
use crate::vendor::asking::{self};
use crate::vendor::dialogue::{Ask, Dialogue, Heard, Known, Learned, Step};
use crate::vendor::qiscus::api::{self, Version};

/// The steps: a post with others behind it, and the last one.
const PART: &str = "post_comment, a part";
const POST: &str = "post_comment";
/// The one request of an action that is no message.
const DEED: &str = "action";

/// The note: which post is next.
const NUMBER: &str = "number";

impl Dialogue for Speaker {
    fn next(&self, call: &Call<'_>, known: &Known) -> Result<Step, Unsendable> {
        let action = &*call.action.name;
        if action == "message" {
            return self.say(call, known);
        }
        if self.api.version == Version::Omnichannel {
            return Err(asking::unsendable(
                "the omnichannel API has messages only; api = \"v2\" or \"v2.1\" has more",
            ));
        }
        match action {
            CREATE => {
                let with = asking::with(call, NEW_ROOM)?;
                if self.own_room(call).is_some() {
                    return Err(asking::unsendable(
                        "the event comes from this account, where its conversation is a room already",
                    ));
                }
                match self.room(call, known) {
                    Some(_) => Ok(Step::Done),
                    None => self.make_room(call, known, &with),
                }
            }
            "system_event" | "update_room" | "add_participants" | "remove_participants" => {
                match self.room(call, known) {
                    Some(room) => Ok(asking::ask(DEED, self.deed(call, &room)?)),
                    None => Err(self.unlinked(call, known)),
                }
            }
            _ => Err(asking::unsendable(
                "there is no such action here; there are `message`, `system_event`, `create_room`, `update_room`, \
                 `add_participants` and `remove_participants`",
            )),
        }
    }

    fn hear(&self, call: &Call<'_>, known: &Known, asked: &Ask, heard: &Heard<'_>) -> Learned {
        let body = api::body_of(heard.body);
        let outcome = api::judged(heard, &body);
        if matches!(asked.step, CREATE | TARGET | LOOK) {
            let with = self.new_room(call);
            return self.hear_room(call, known, &with, asked, (outcome, &body));
        }
        if let Some(link) = &known.conversation
            && is_room_gone(&outcome, &body)
            && known.note(STALE).is_none()
        {
            let id = link.id.clone();
            return Learned::go_on().forget(What::Conversation).note(STALE, id);
        }
        let outcome = match outcome.status() {
            Some(status) if asked.step != DEED && is_repeated(status, &body) => {
                Outcome::AlreadyThere { status }
            }
            _ => outcome,
        };
        if asked.step == PART && outcome.is_success() {
            let next = number_of(known) + 1;
            return Learned::go_on().note(NUMBER, next.to_string());
        }
        Learned::end(outcome)
    }
}

impl Speaker {
    fn say(&self, call: &Call<'_>, known: &Known) -> Result<Step, Unsendable> {
        let message = self.sayable(call)?;
        let Some(room) = self.room(call, known) else {
            return if self.create_room {
                self.make_room(call, known, &Map::new())
            } else {
                Err(self.unlinked(call, known))
            };
        };
        let own = self.own_room(call).is_some_and(|own| own == room);
        let posts = self.posts(call, message, own)?;
        let number = number_of(known);
        let Some(post) = posts.get(number - 1) else {
            return Ok(Step::Done);
        };
        let step = if number < posts.len() { PART } else { POST };
        let request = self.post_request(call, message, &room, post, number)?;
        Ok(asking::ask(step, request))
    }

    fn sayable<'c>(&self, call: &Call<'c>) -> Result<&'c Message, Unsendable> {
        let Some(message) = call.message() else {
            return Err(asking::unsendable(
                "this event is no chat message: let the route's `on` or `when` leave it out, send it elsewhere, \
                 or give the route another action",
            ));
        };
        let skip = |rule| Err(Unsendable::Skip { rule });
        match (message.direction, self.side) {
            (Direction::System, _) if !self.system_events => skip("system_events"),
            (Direction::Incoming, Side::Agent) | (Direction::Outgoing, Side::Customer) => {
                skip("side")
            }
            _ => Ok(message),
        }
    }

    /// What the action `create_room` says of the room; nothing for a message.
    fn new_room(&self, call: &Call<'_>) -> Map<String, Json> {
        if &*call.action.name != CREATE {
            return Map::new();
        }
        asking::with(call, NEW_ROOM).unwrap_or_default()
    }
}

fn number_of(known: &Known) -> usize {
    let number = known.note(NUMBER).and_then(|number| number.parse().ok());
    number.filter(|number| *number > 0).unwrap_or(1)
}

/// A 404 that is not about something else than the room.
fn is_room_gone(outcome: &Outcome, body: &Json) -> bool {
    let said = api::error_text(body);
    outcome.status() == Some(404) && (said.trim().is_empty() || said.contains("room"))
}

/// The `unique_temp_id` is taken: it was said already. Nobody documents how
/// Qiscus says so, or whether it does.
fn is_repeated(status: u16, body: &Json) -> bool {
    let said = api::error_text(body);
    let taken = ["already", "taken", "duplicat", "exists"];
    matches!(status, 400 | 409 | 422)
        && ["unique_temp_id", "unique temp id", "unique_id"]
            .iter()
            .any(|name| said.contains(name))
        && taken.iter().any(|word| said.contains(word))
        && !said.contains("not exist")
}
