//! End users, queues, and lists in pages.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value as Json, json};

use super::kept::{EndUser, State};
use super::{Availability, Turn, not_found, shapes};
use crate::emulate::asked::{No, Query, Yes};
use crate::emulate::shape::{Kind, is_uuid};

const PAGE_MAX: usize = 100;
/// The filters of end users, of which one may be given.
const FILTERS: [&str; 3] = ["email", "phone", "externalId"];

impl Turn<'_> {
    pub(super) fn create_user(&mut self) -> Result<Yes, No> {
        let details = self.asked.json(shapes::END_USER)?;
        if self.options.unique_contacts {
            let given = |name| details.get(name).and_then(Json::as_str);
            let (email, phone) = (given("email"), given("phoneNumber"));
            for user in &self.kept.users {
                if email.is_some() && user.email.as_deref() == email {
                    return Err(No::state(
                        400,
                        "Creating EndUser failed with [errors:EmailExists]",
                    ));
                }
                if phone.is_some() && user.phone.as_deref() == phone {
                    return Err(No::state(
                        400,
                        "Creating EndUser failed with [errors:PhoneNumberExists]",
                    ));
                }
            }
        }
        let user = self.kept.add_user(details, self.asked.now);
        Ok(Yes::told(201, json!({"data": user.shown()})))
    }

    pub(super) fn find_users(&self) -> Result<Yes, No> {
        let query = self.asked.query(&[
            ("email", Kind::Filled),
            ("phone", Kind::Filled),
            ("externalId", Kind::Filled),
            ("pageLimit", Kind::Page),
            ("pageKey", Kind::Filled),
        ])?;
        let page = Page::of(&query, self.options.page)?;
        let mut given = FILTERS
            .iter()
            .filter_map(|name| Some((*name, query.get(name)?)));
        let filter = given.next();
        if given.next().is_some() {
            return Err(No::request(
                400,
                "Invalid filters: Cannot provide more than one filter",
                "more than one filter",
            ));
        }
        // A page's key carries its filter.
        let filter = filter
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .or_else(|| page.filter.clone());
        let fits = |user: &&EndUser| match &filter {
            None => true,
            Some((name, value)) => {
                let held = match name.as_str() {
                    "email" => &user.email,
                    "phone" => &user.phone,
                    _ => &user.external_id,
                };
                held.as_ref() == Some(value)
            }
        };
        let found: Vec<&EndUser> = self.kept.users.iter().filter(fits).collect();
        match &filter {
            Some((name, _)) if found.len() > 1 && name == "email" => {
                return Err(No::state(400, "Duplicate email address"));
            }
            Some((name, _)) if found.len() > 1 && name == "phone" => {
                return Err(No::state(400, "Duplicate phone number"));
            }
            _ => {}
        }
        let all = found.into_iter().map(EndUser::shown).collect();
        Ok(self.paged(all, &page, filter))
    }

    pub(super) fn get_user(&self, id: &str) -> Result<Yes, No> {
        self.asked.query(&[])?;
        let user = self.user(id)?;
        Ok(Yes::told(200, json!({"data": user.shown()})))
    }

    pub(super) fn user_conversations(&self, id: &str) -> Result<Yes, No> {
        let query = self
            .asked
            .query(&[("pageLimit", Kind::Page), ("pageKey", Kind::Filled)])?;
        let page = Page::of(&query, self.options.page)?;
        let user = self.user(id)?;
        let mut all: Vec<Json> = self
            .kept
            .conversations
            .iter()
            .filter(|conversation| conversation.requester == user.id)
            .map(super::Conversation::shown)
            .collect();
        if self.options.newest_first {
            all.reverse();
        }
        Ok(self.paged(all, &page, None))
    }

    pub(super) fn queue_availability(&self, id: &str) -> Result<Yes, No> {
        self.queue(id)?;
        let mut availability = json!({
            "genericChannelName": "genericapimessaging",
            "availability": "Available",
            "_type": "GenericChannel",
        });
        match (self.options.availability, availability.as_object_mut()) {
            (Availability::NoChannel, _) => {
                return Err(No::state(
                    409,
                    "No supported channels are configured for this organization",
                ));
            }
            (Availability::NotAvailable, Some(availability)) => {
                availability.insert("availability".to_owned(), json!("NotAvailable"));
                availability.insert("queueSize".to_owned(), json!(self.waiting(id)));
            }
            _ => {}
        }
        Ok(Yes::told(
            200,
            json!({"data": [{"channelAvailability": availability, "_type": "Success"}]}),
        ))
    }

    pub(super) fn queue_position(&self, id: &str) -> Result<Yes, No> {
        self.asked.query(&[])?;
        let id: i64 = id
            .parse()
            .map_err(|_not_a_number| No::value("path: csid must be a whole number"))?;
        let found = self.kept.conversation(id).ok_or_else(not_found)?;
        if found.queue.is_none() || found.state != State::Open || found.agent.is_some() {
            return Err(not_found());
        }
        let before = self
            .kept
            .conversations
            .iter()
            .filter(|other| {
                other.queue == found.queue
                    && other.state == State::Open
                    && other.agent.is_none()
                    && other.id < id
            })
            .count();
        let data = json!({"position": before + 1, "queuedAt": found.state_at});
        Ok(Yes::told(200, json!({"data": data})))
    }

    fn queue(&self, id: &str) -> Result<(), No> {
        self.asked.query(&[])?;
        if !is_uuid(id) {
            return Err(No::value("path: queueId must be a UUID"));
        }
        if self.is_queue(id) {
            Ok(())
        } else {
            Err(No::state(400, "Queue does not exist"))
        }
    }

    fn waiting(&self, queue: &str) -> usize {
        let conversations = self.kept.conversations.iter();
        conversations
            .filter(|found| found.queue.as_deref() == Some(queue) && found.state == State::Open)
            .count()
    }

    fn user(&self, id: &str) -> Result<&EndUser, No> {
        if !is_uuid(id) {
            return Err(No::value("path: userId must be a UUID"));
        }
        self.kept.user(id).ok_or_else(not_found)
    }

    fn paged(&self, all: Vec<Json>, page: &Page, filter: Option<(String, String)>) -> Yes {
        let total = all.len();
        let data: Vec<Json> = all.into_iter().skip(page.after).take(page.limit).collect();
        let mut meta = json!({});
        let link = |after: usize| {
            let key = Page {
                after,
                limit: page.limit,
                filter: filter.clone(),
            };
            json!(format!("{}?pageKey={}", self.asked.path(), key.written()))
        };
        if let Some(meta) = meta.as_object_mut() {
            if page.after + data.len() < total {
                meta.insert("next".to_owned(), link(page.after + data.len()));
            }
            if page.after > 0 {
                meta.insert(
                    "previous".to_owned(),
                    link(page.after.saturating_sub(page.limit)),
                );
            }
        }
        Yes::told(200, json!({"data": data, "meta": meta}))
    }
}

/// A place in a list.
#[derive(Debug)]
struct Page {
    after: usize,
    limit: usize,
    filter: Option<(String, String)>,
}

impl Page {
    fn of(query: &Query<'_>, limit: usize) -> Result<Self, No> {
        let mut page = match query.get("pageKey") {
            None => Self {
                after: 0,
                limit,
                filter: None,
            },
            Some(key) => {
                Self::read(key).ok_or_else(|| No::value("query: pageKey is not one of ours"))?
            }
        };
        if let Some(limit) = query.number("pageLimit") {
            page.limit = limit;
        }
        if page.limit > PAGE_MAX {
            return Err(No::value(format!("query: pageLimit is beyond {PAGE_MAX}")));
        }
        Ok(page)
    }

    fn written(&self) -> String {
        URL_SAFE_NO_PAD.encode(json!([self.after, self.limit, self.filter]).to_string())
    }

    fn read(key: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(key).ok()?;
        let (after, limit, filter) = serde_json::from_slice(&bytes).ok()?;
        Some(Self {
            after,
            limit,
            filter,
        })
    }
}
