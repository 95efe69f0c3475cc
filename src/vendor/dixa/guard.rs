//! `require` on a route: its copies go over only while a queue is as they need
//! it, and are dropped otherwise.

use serde_json::Value as Json;

use std::time::Duration;

use super::deed::target;
use super::request::{AVAILABILITY, POSITION, ask};
use super::with::With;
use super::{Channel, Desk, answer, unsendable};
use crate::clock::Timestamp;
use crate::payload;
use crate::settle::Outcome;
use crate::transform::Unsendable;
use crate::vendor::Call;
use crate::vendor::dialogue::{Heard, Known, Learned, Step};

/// A queue takes conversations now.
const QUEUE_AVAILABLE: &str = "queue_available";
/// The conversation waits in a queue, and not too far behind.
const QUEUE_POSITION: &str = "queue_position";

pub(super) const GUARDS: &[&str] = &[QUEUE_AVAILABLE, QUEUE_POSITION];

/// How long an answer is believed.
const TTL: Duration = Duration::from_secs(10);

/// What this dialogue was told; it is not asked twice.
const TOLD: &str = "guard";

const YES: &str = "yes";
const NO: &str = "no";
/// The conversation waits in no queue.
const NOWHERE: &str = "nowhere";

/// What has to be asked; `None`: go on.
pub(super) fn next(
    desk: &Desk,
    call: &Call<'_>,
    known: &Known,
    with: &With,
) -> Result<Option<Step>, Unsendable> {
    let Some(guard) = with.text("require") else {
        return Ok(None);
    };
    match guard.as_str() {
        QUEUE_AVAILABLE => {
            let queue = with.required_id("queue_id", call)?;
            match told(known, &available(desk, with, &queue), call.now).as_deref() {
                Some(YES) => Ok(None),
                Some(_) => Err(Unsendable::Skip {
                    rule: "queue_unavailable",
                }),
                None => {
                    let request = desk.get(&["queues", &queue, "availability"], &[]);
                    Ok(Some(ask(AVAILABILITY, request)))
                }
            }
        }
        QUEUE_POSITION => {
            let last = with.whole("position_max").ok_or_else(|| {
                unsendable(
                    "queue_position needs a number: give the route with = { position_max = 5 }",
                )
            })?;
            let skip = |rule| Err(Unsendable::Skip { rule });
            let Some(conversation) = target(known, with)? else {
                return skip("queue_position_unknown");
            };
            match told(known, &position(&conversation), call.now) {
                None => {
                    let path = ["queues", "conversation-position", &conversation];
                    Ok(Some(ask(POSITION, desk.get(&path, &[]))))
                }
                Some(told) => match told.parse::<i64>() {
                    Ok(position) if position <= last => Ok(None),
                    Ok(_) => skip("queue_position_beyond_max"),
                    Err(_) => skip("queue_position_unknown"),
                },
            }
        }
        other => Err(unsendable(format!("there is no guard `{other}` here"))),
    }
}

/// The answer about a queue's availability.
pub(super) fn availability(desk: &Desk, with: &With, heard: &Heard<'_>) -> Learned {
    if !(200..=299).contains(&heard.status) {
        return Learned::end(heard.outcome.clone());
    }
    let Some((channels, _)) = answer::page(heard.body) else {
        return Learned::end(Outcome::Broken);
    };
    let channel = channel(desk, with);
    let states: Vec<(Option<&str>, bool)> = channels
        .iter()
        .filter_map(|one| {
            let one = one.get("channelAvailability")?;
            let name = one.get("genericChannelName").and_then(Json::as_str);
            Some((name, one.get("availability")?.as_str()? == "Available"))
        })
        .collect();
    // Only failures: nobody knows.
    if states.is_empty() && !channels.is_empty() {
        return Learned::end(Outcome::Broken);
    }
    let named = |name: &Option<&str>| name.is_some_and(|name| Some(name) == channel.as_deref());
    let any = !states.iter().any(|(name, _)| named(name));
    let is = states
        .iter()
        .any(|(name, available)| *available && (any || named(name)));
    let queue = with.text("queue_id").unwrap_or_default();
    remember(&available(desk, with, &queue), if is { YES } else { NO })
}

/// The answer about a conversation's place in its queue.
pub(super) fn placed(known: &Known, with: &With, heard: &Heard<'_>) -> Learned {
    let place = match heard.status {
        200..=299 => {
            let data = answer::data(heard.body);
            let place = data.and_then(|data| payload::id_text(data.get("position")?));
            match place {
                Some(place) => place,
                None => return Learned::end(Outcome::Broken),
            }
        }
        404 => NOWHERE.to_owned(),
        _ => return Learned::end(heard.outcome.clone()),
    };
    let conversation = target(known, with).ok().flatten().unwrap_or_default();
    remember(&position(&conversation), &place)
}

fn told(known: &Known, name: &str, now: Timestamp) -> Option<String> {
    let noted = known.note(TOLD).map(str::to_owned);
    noted.or_else(|| known.memo(name, now))
}

fn remember(name: &str, told: &str) -> Learned {
    Learned::go_on().note(TOLD, told).memo(name, told, TTL)
}

fn available(desk: &Desk, with: &With, queue: &str) -> String {
    let channel = channel(desk, with).unwrap_or_default();
    format!("{QUEUE_AVAILABLE}/{queue}/{channel}")
}

fn position(conversation: &str) -> String {
    format!("{QUEUE_POSITION}/{conversation}")
}

/// Whose availability counts where the answer has it; else any channel's.
fn channel(desk: &Desk, with: &With) -> Option<String> {
    with.text("channel").or_else(|| match &desk.channel {
        Channel::Import { channel_name } => Some(channel_name.clone()),
        _ => None,
    })
}
