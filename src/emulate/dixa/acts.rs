//! What can be done to a conversation besides talking in it.

use serde_json::{Value as Json, json};

use crate::emulate::fresh_id;

use super::kept::{Note, Rating, State};
use super::{Turn, not_found, shapes, webhook};
use crate::emulate::asked::{No, Yes};

impl Turn<'_> {
    pub(super) fn close(&mut self, id: &str) -> Result<Yes, No> {
        let body = self.asked.json_or_nothing(shapes::ACTING)?;
        let found = self.found(id)?;
        self.acting(&body)?;
        let (id, was) = (found.id, found.state);
        self.enter(id, State::Closed);
        if was != State::Closed {
            webhook::closed(self.outbox, self.kept, id, self.asked.now);
        }
        Ok(Yes::done())
    }

    pub(super) fn reopen(&mut self, id: &str) -> Result<Yes, No> {
        let body = self.asked.json_or_nothing(shapes::ACTING)?;
        let id = self.found(id)?.id;
        self.acting(&body)?;
        self.enter(id, State::Open);
        Ok(Yes::done())
    }

    pub(super) fn followup(&mut self, id: &str) -> Result<Yes, No> {
        let body = self.asked.json(shapes::FOLLOW_UP)?;
        let id = self.found(id)?.id;
        self.acting(&body)?;
        self.enter(id, State::Pending);
        if let Some(found) = self.kept.conversation_mut(id) {
            found.follow_up_at = text(&body, "timestamp");
        }
        Ok(Yes::done())
    }

    pub(super) fn transfer(&mut self, id: &str) -> Result<Yes, No> {
        let body = self.asked.json(shapes::TRANSFER)?;
        let id = self.found(id)?.id;
        self.acting(&body)?;
        let queue = text(&body, "queueId");
        if !queue.as_deref().is_some_and(|queue| self.is_queue(queue)) {
            return Err(No::state(400, "Queue does not exist"));
        }
        if let Some(found) = self.kept.conversation_mut(id) {
            found.queue = queue;
            // It is offered to whoever works on that queue.
            found.agent = None;
        }
        Ok(Yes::done())
    }

    pub(super) fn claim(&mut self, id: &str) -> Result<Yes, No> {
        let body = self.asked.json(shapes::CLAIM)?;
        let found = self.found(id)?;
        let agent = text(&body, "agentId");
        if !agent.as_deref().is_some_and(|agent| self.is_agent(agent)) {
            return Err(not_found());
        }
        let force = body.get("force").and_then(Json::as_bool).unwrap_or(false);
        if found.agent.is_some() && found.agent != agent && !force {
            return Err(No::state(409, "The conversation is already assigned"));
        }
        let id = found.id;
        if let Some(found) = self.kept.conversation_mut(id) {
            found.agent = agent;
        }
        Ok(Yes::done())
    }

    pub(super) fn add_note(&mut self, id: &str) -> Result<Yes, No> {
        let body = self.asked.json(shapes::NOTE)?;
        let id = self.found(id)?.id;
        let agent = text(&body, "agentId");
        if agent.as_deref().is_some_and(|agent| !self.is_agent(agent)) {
            return Err(No::state(400, "Agent not found"));
        }
        let note = Note {
            id: fresh_id(),
            message: text(&body, "message").unwrap_or_default(),
            agent,
            created_at: self.asked.now,
        };
        let data = json!({
            "id": note.id,
            "authorId": note.agent.clone().unwrap_or_else(fresh_id),
            "createdAt": text(&body, "createdAt").unwrap_or_else(|| note.created_at.to_string()),
            "csid": id,
            "message": note.message,
        });
        if let Some(found) = self.kept.conversation_mut(id) {
            found.notes.push(note);
        }
        Ok(Yes::taken(200, json!({"data": data})))
    }

    pub(super) fn offer_rating(&mut self, id: &str) -> Result<Yes, No> {
        let body = self.asked.json(shapes::OFFER)?;
        let found = self.found(id)?;
        let (id, requester) = (found.id, found.requester.clone());
        let rating = Rating {
            id: fresh_id(),
            kind: text(&body, "ratingType").unwrap_or_default(),
            score: None,
            comment: None,
        };
        let data = json!({
            "id": rating.id,
            "userId": text(&body, "userId").unwrap_or(requester),
            "agentId": text(&body, "agentId").or_else(|| found.agent.clone()).unwrap_or_else(fresh_id),
            "ratingType": rating.kind,
            "offeredAt": text(&body, "offeredAt").unwrap_or_else(|| self.asked.now.to_string()),
        });
        if let Some(found) = self.kept.conversation_mut(id) {
            found.ratings.push(rating);
        }
        Ok(Yes::taken(201, json!({"data": data})))
    }

    pub(super) fn submit_rating(&mut self, id: &str, rating: &str) -> Result<Yes, No> {
        let body = self.asked.json(shapes::SUBMISSION)?;
        let result = body.get("ratingResult").cloned().unwrap_or_default();
        let kind = text(&result, "_type").unwrap_or_default();
        let value = result
            .get("value")
            .and_then(Json::as_u64)
            .unwrap_or_default();
        let scale = match kind.as_str() {
            "Csat" => 1..=5,
            "Nps" => 0..=10,
            _ => 0..=1,
        };
        if !scale.contains(&value) {
            return Err(No::decoding(format!(
                "the body.ratingResult.value: {value} is not on the scale of {kind}"
            )));
        }
        let (now, id) = (self.asked.now, self.found(id)?.id);
        let found = self.kept.conversation_mut(id).ok_or_else(not_found)?;
        let requester = found.requester.clone();
        let mut ratings = found.ratings.iter_mut();
        let offered = ratings
            .find(|offered| offered.id == rating)
            .ok_or_else(not_found)?;
        if offered.kind != kind {
            return Err(No::state(400, "The rating was offered as another type"));
        }
        offered.score = Some(value);
        offered.comment = text(&body, "comment");
        let data = json!({
            "ratingId": offered.id,
            "userId": requester,
            "ratingResult": result,
            "comment": offered.comment.clone().unwrap_or_default(),
            "submittedAt": text(&body, "submittedAt").unwrap_or_else(|| now.to_string()),
        });
        Ok(Yes::taken(201, json!({"data": data})))
    }

    fn enter(&mut self, id: i64, state: State) {
        let now = self.asked.now;
        if let Some(found) = self.kept.conversation_mut(id) {
            found.enter(state, now);
        }
    }
}

fn text(body: &Json, name: &str) -> Option<String> {
    body.get(name).and_then(Json::as_str).map(str::to_owned)
}
