//! Which room a conversation is, and making one where there is none.
//!
//! Making a room for two is safe to repeat (`get_or_create_room_with_target`);
//! making a group is not, so after an unclear outcome it is looked for first.

use serde_json::{Map, Value as Json, json};

use super::Speaker;
use crate::link::{Change, Counterpart, What};
use crate::payload::id_text;
use crate::settle::{Outcome, Reason};
use crate::transform::Unsendable;
use crate::vendor::Call;
use crate::vendor::asking::{self};
use crate::vendor::dialogue::{Ask, Known, Learned, Step};
use crate::vendor::qiscus::api::Version;
use crate::vendor::reading;

/// The steps.
pub(super) const CREATE: &str = "create_room";
pub(super) const TARGET: &str = "get_or_create_room_with_target";
pub(super) const LOOK: &str = "get_user_rooms";

/// The notes: the next page to look at; the room is not there; the room that
/// turned out not to be.
const PAGE: &str = "page";
const ABSENT: &str = "absent";
pub(super) const STALE: &str = "stale";

/// A room just made is among the latest; Qiscus documents 20 a page.
const LOOK_PAGES_MAX: u32 = 5;

/// A room to be made.
#[derive(Debug)]
struct Plan {
    creator: String,
    /// Without the creator, each once.
    participants: Vec<String>,
    name: String,
    /// Somebody asked for this name.
    named: bool,
    avatar_url: Option<String>,
    /// What the room is for: the conversation's key.
    mark: String,
}

impl Speaker {
    /// The room of the event's conversation, where it is known.
    pub(super) fn room(&self, call: &Call<'_>, known: &Known) -> Option<String> {
        let linked = known.conversation.as_ref().map(|link| link.id.as_str());
        match linked.filter(|id| !id.is_empty()) {
            Some(id) => Some(id.to_owned()),
            None => self.own_room(call),
        }
    }

    /// The room the event comes from, if it comes from this account.
    pub(super) fn own_room(&self, call: &Call<'_>) -> Option<String> {
        let source = self.source.as_deref()?;
        if call.event.source.as_str() != source {
            return None;
        }
        if let Some(message) = call.message() {
            return Some(message.conversation.id.clone());
        }
        let key = call.event.key.as_ref()?.as_str();
        let room = key.strip_prefix(source)?.strip_prefix('/')?;
        Some(room.to_owned())
    }

    /// There is no room, and none is made.
    pub(super) fn unlinked(&self, call: &Call<'_>, known: &Known) -> Unsendable {
        let Some(key) = &call.event.key else {
            let detail = "the event has no key, so no room can be linked to it";
            return asking::dead(Reason::Unlinked, detail);
        };
        let how = format!(
            "to link it: hookfan links set --destination {} {key} <room id>",
            self.name
        );
        match known.note(STALE) {
            Some(stale) => asking::dead(
                Reason::Unlinked,
                format!("Qiscus knows no room {stale}, so the link is forgotten; {how}"),
            ),
            None => self.when_unlinked.unsendable(
                Reason::Unlinked,
                format!(
                    "the conversation has no room at Qiscus; {how}; create_room = true makes one"
                ),
            ),
        }
    }

    /// The next step towards a room.
    pub(super) fn make_room(
        &self,
        call: &Call<'_>,
        known: &Known,
        with: &Map<String, Json>,
    ) -> Result<Step, Unsendable> {
        let plan = self.plan(call, with)?;
        let unclear = known.conversation.is_some() && known.note(ABSENT).is_none();
        let step = if unclear {
            self.look(&plan, page_of(known))
        } else if let ([other], false) = (plan.participants.as_slice(), plan.named) {
            self.target(&plan, other)
        } else {
            self.create(&plan)
        };
        Ok(Step::Ask(Box::new(step)))
    }

    fn plan(&self, call: &Call<'_>, with: &Map<String, Json>) -> Result<Plan, Unsendable> {
        let scope = asking::scope(call);
        let Some(key) = &call.event.key else {
            let detail = "the event has no key, so no room can be made for it";
            return Err(asking::unsendable(detail));
        };
        let creator = match (super::deed::text_in(with, "creator")?, &self.room.creator) {
            (Some(creator), _) => creator,
            (None, Some(template)) => template.render_text(&scope)?.trim().to_owned(),
            (None, None) => String::new(),
        };
        let mut participants = super::deed::texts_in(with, "participants")?;
        if participants.is_empty() {
            for template in &self.room.participants {
                participants.push(template.render_text(&scope)?.trim().to_owned());
            }
        }
        let mut people: Vec<String> = Vec::new();
        for one in participants {
            if !one.is_empty() && one != creator && !people.contains(&one) {
                people.push(one);
            }
        }
        if creator.is_empty() || people.is_empty() {
            return Err(asking::unsendable(
                "a room needs a `creator` and at least one other among its `participants`",
            ));
        }
        let asked = match (super::deed::text_in(with, "name")?, &self.room.name) {
            (Some(name), _) => Some(name),
            (None, Some(template)) => Some(template.render_text(&scope)?.trim().to_owned()),
            (None, None) => None,
        };
        let asked = asked.filter(|name| !name.is_empty());
        let conversation = call
            .message()
            .and_then(|message| message.conversation.name.clone());
        Ok(Plan {
            creator,
            participants: people,
            named: asked.is_some(),
            name: asked
                .or(conversation)
                .unwrap_or_else(|| key.as_str().to_owned()),
            avatar_url: super::deed::text_in(with, "avatar_url")?,
            mark: key.as_str().to_owned(),
        })
    }

    fn target(&self, plan: &Plan, other: &str) -> Ask {
        let both = json!([plan.creator, other]);
        let mut body = Map::new();
        let request = if self.api.version == Version::V2 {
            body.insert("emails".to_owned(), both);
            self.api.get(TARGET, &body)
        } else {
            body.insert("user_ids".to_owned(), both);
            self.api.post(TARGET, &body)
        };
        Ask {
            step: TARGET,
            request,
            before: Vec::new(),
            alone: Some(What::Conversation),
        }
    }

    fn create(&self, plan: &Plan) -> Ask {
        let mut body = Map::new();
        let mut put = |name: &str, value: Json| drop(body.insert(name.to_owned(), value));
        let v2 = self.api.version == Version::V2;
        put(
            if v2 { "name" } else { "room_name" },
            plan.name.as_str().into(),
        );
        put("participants", plan.participants.clone().into());
        put("creator", plan.creator.as_str().into());
        if let Some(url) = &plan.avatar_url {
            let name = if v2 { "avatar_url" } else { "room_avatar_url" };
            put(name, url.as_str().into());
        }
        if !v2 {
            let options = json!({ "hookfan": plan.mark }).to_string();
            put("room_options", options.into());
        }
        let creating = Change::Set(What::Conversation, Counterpart::creating());
        Ask {
            step: CREATE,
            request: self.api.post(CREATE, &body),
            before: vec![creating],
            alone: Some(What::Conversation),
        }
    }

    fn look(&self, plan: &Plan, page: u32) -> Ask {
        let mut query = Map::new();
        let v2 = self.api.version == Version::V2;
        let user = if v2 { "user_email" } else { "user_id" };
        query.insert(user.to_owned(), plan.creator.as_str().into());
        query.insert("page".to_owned(), page.into());
        if v2 {
            query.insert("show_participants".to_owned(), true.into());
        }
        query.insert("room_type".to_owned(), "group".into());
        Ask {
            step: LOOK,
            request: self.api.get(LOOK, &query),
            before: Vec::new(),
            alone: Some(What::Conversation),
        }
    }

    /// What the answer to one of the three steps teaches.
    pub(super) fn hear_room(
        &self,
        call: &Call<'_>,
        known: &Known,
        with: &Map<String, Json>,
        asked: &Ask,
        (outcome, body): (Outcome, &Json),
    ) -> Learned {
        let link = |id| Learned::go_on().set(What::Conversation, Counterpart::open(id));
        match asked.step {
            LOOK if outcome.is_success() => {
                let Ok(plan) = self.plan(call, with) else {
                    return Learned::go_on().note(ABSENT, "");
                };
                let page = page_of(known);
                match looked(body, &plan, self.api.version) {
                    Looked::Found(id) => link(id),
                    Looked::Not if page < LOOK_PAGES_MAX => {
                        Learned::go_on().note(PAGE, (page + 1).to_string())
                    }
                    Looked::Not | Looked::End => Learned::go_on().note(ABSENT, ""),
                }
            }
            CREATE | TARGET if outcome.is_success() => match created(body) {
                Some(id) => link(id),
                // Made, perhaps: the next attempt looks for it.
                None => Learned::end(Outcome::Broken),
            },
            CREATE if is_refusal(&outcome) => Learned::end(outcome).forget(What::Conversation),
            _ => Learned::end(outcome),
        }
    }
}

/// Nothing was made, for sure.
fn is_refusal(outcome: &Outcome) -> bool {
    matches!(outcome.status(), Some(300..=407 | 409..=499))
}

/// v2 tells a new room's id beside its name and that of a pair inside of it;
/// v2.1 tells both inside.
fn created(body: &Json) -> Option<String> {
    let places = [
        "results.room.room_id",
        "results.room.id",
        "results.room_id",
        "results.room.room_id_str",
    ];
    let found = places
        .iter()
        .find_map(|place| asking::at(body, place).and_then(id_text));
    found.filter(|id| id != "0")
}

enum Looked {
    Found(String),
    Not,
    /// Nor on any later page.
    End,
}

fn looked(body: &Json, plan: &Plan, version: Version) -> Looked {
    let rooms = ["results.rooms_info", "results.rooms"]
        .iter()
        .find_map(|place| asking::at(body, place)?.as_array());
    let Some(rooms) = rooms.filter(|rooms| !rooms.is_empty()) else {
        return Looked::End;
    };
    let ours = |room: &&Json| match version {
        Version::V2 => is_alike(room, plan),
        Version::V21 | Version::Omnichannel => is_marked(room, plan),
    };
    let id = rooms
        .iter()
        .filter(ours)
        .find_map(|room| room.get("room_id").and_then(id_text));
    id.map_or(Looked::Not, Looked::Found)
}

/// v2 keeps no mark of ours: the same name and the same people it must be.
fn is_alike(room: &Json, plan: &Plan) -> bool {
    let people = room.get("participants").and_then(Json::as_array);
    let emails: Vec<&str> = people
        .into_iter()
        .flatten()
        .filter_map(|one| one.as_str().or_else(|| reading::text(one, "email")))
        .collect();
    let all_there = plan
        .participants
        .iter()
        .all(|one| emails.contains(&one.as_str()));
    let nobody_else = emails
        .iter()
        .all(|email| *email == plan.creator || plan.participants.iter().any(|one| one == email));
    reading::text(room, "room_name") == Some(&*plan.name) && all_there && nobody_else
}

fn is_marked(room: &Json, plan: &Plan) -> bool {
    let options = match room.get("room_options") {
        Some(Json::String(text)) => serde_json::from_str(text).unwrap_or(Json::Null),
        Some(other) => other.clone(),
        None => Json::Null,
    };
    reading::text(&options, "hookfan") == Some(&*plan.mark)
}

fn page_of(known: &Known) -> u32 {
    known
        .note(PAGE)
        .and_then(|page| page.parse().ok())
        .unwrap_or(1)
}
