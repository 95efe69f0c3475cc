//! The customer over there: found by what we call him, or created.
//!
//! Dixa's end users have an `externalId`, which is not unique, and creating one
//! twice makes two. A second one with the same e-mail address or number may be
//! refused (the documents list "Duplicate email address"): then the one who has
//! it is our customer.

use std::ops::ControlFlow;

use ::http::Method;
use serde_json::{Map, Value as Json};

use super::request::{CREATE_USER, FIND_USER, ask_alone, is_id};
use super::{Desk, answer};
use crate::link::{Counterpart, What};
use crate::settle::{Outcome, Reason};
use crate::transform::Unsendable;
use crate::vendor::Call;
use crate::vendor::dialogue::{Heard, Known, Learned, Step};

/// How far the search has come: one of the words below, or nothing yet.
pub(super) const SEARCH: &str = "search";
/// Nobody has our `externalId`.
const ABSENT: &str = "absent";
/// Somebody else has the e-mail address.
const BY_EMAIL: &str = "by email";
/// Somebody else has the telephone number.
const BY_PHONE: &str = "by phone";
/// Created without address and number, because they were refused.
const BARE: &str = "bare";

/// The customer's id over there, or how to get at it.
pub(super) fn find(
    desk: &Desk,
    call: &Call<'_>,
    known: &Known,
) -> Result<ControlFlow<Step, String>, Unsendable> {
    if let Some(user) = known.user.as_ref().filter(|user| is_id(&user.id)) {
        return Ok(ControlFlow::Continue(user.id.clone()));
    }
    let contact = Contact::of(call).ok_or_else(|| unknown(desk))?;
    let search = |name: &str, value: &str| {
        let request = desk.get(&["endusers"], &[(name, value)]);
        ask_alone(FIND_USER, request, What::User, Vec::new())
    };
    let step = match (known.note(SEARCH), &contact.email, &contact.phone) {
        (Some(BY_EMAIL), Some(email), _) => search("email", email),
        (Some(BY_PHONE), _, Some(phone)) => search("phone", phone),
        (Some(way @ (ABSENT | BARE)), _, _) => {
            let body = contact.body(way == BARE);
            let request = desk.send(Method::POST, &["endusers"], &body);
            ask_alone(CREATE_USER, request, What::User, Vec::new())
        }
        _ => search("externalId", &contact.external_id),
    };
    Ok(ControlFlow::Break(step))
}

/// The answer to a search.
pub(super) fn found(call: &Call<'_>, known: &Known, heard: &Heard<'_>) -> Learned {
    let way = known.note(SEARCH).unwrap_or_default();
    let next = if matches!(way, BY_EMAIL | BY_PHONE) {
        BARE
    } else {
        ABSENT
    };
    let users = match heard.status {
        200..=299 => match answer::page(heard.body) {
            Some((users, _)) => users,
            None => return Learned::end(Outcome::Broken),
        },
        // Also said where two have the same address.
        400 if next == BARE => Vec::new(),
        404 => Vec::new(),
        _ => return Learned::end(heard.outcome.clone()),
    };
    let Some(contact) = Contact::of(call) else {
        return Learned::end(heard.outcome.clone());
    };
    // Who does not have what was asked for is not our customer, whatever the
    // answer says; of several the oldest, so that it is always the same.
    let oldest = users
        .iter()
        .filter(|user| contact.is(user, way))
        .filter_map(|user| Some((text(user, "createdAt"), answer::id_of(user)?)))
        .min();
    match oldest {
        Some((_, id)) => Learned::go_on()
            .set(What::User, Counterpart::open(id))
            .note(SEARCH, ""),
        None => Learned::go_on().note(SEARCH, next),
    }
}

/// The answer to creating him.
pub(super) fn created(call: &Call<'_>, known: &Known, heard: &Heard<'_>) -> Learned {
    let end = || Learned::end(heard.outcome.clone());
    match heard.status {
        200..=299 => match answer::id(heard.body) {
            Some(id) => Learned::go_on()
                .set(What::User, Counterpart::open(id))
                .note(SEARCH, ""),
            None => Learned::end(Outcome::Broken),
        },
        400 if known.note(SEARCH) != Some(BARE) => {
            let says = |word| answer::says(heard.body, &["duplicate", word]);
            match Contact::of(call) {
                Some(Contact { email: Some(_), .. }) if says("email") => {
                    Learned::go_on().note(SEARCH, BY_EMAIL)
                }
                Some(Contact { phone: Some(_), .. }) if says("phone") => {
                    Learned::go_on().note(SEARCH, BY_PHONE)
                }
                Some(Contact {
                    email: None,
                    phone: None,
                    ..
                })
                | None => end(),
                Some(_) => Learned::go_on().note(SEARCH, BARE),
            }
        }
        _ => end(),
    }
}

fn unknown(desk: &Desk) -> Unsendable {
    let detail = "the customer of this conversation is not known yet, and a conversation at Dixa is the customer's: he \
                  becomes known with his first message; unknown_user = { wait = \"10m\" } waits for that, and \
                  `hookfan dead retry` sends this one again"
        .to_owned();
    let reason = Reason::UnknownUser;
    desk.unknown_user.unsendable(reason, detail)
}

/// The customer as an end user of Dixa's.
#[derive(Debug)]
struct Contact {
    external_id: String,
    name: String,
    email: Option<String>,
    /// E.164.
    phone: Option<String>,
}

impl Contact {
    /// `None`: the customer is not known.
    fn of(call: &Call<'_>) -> Option<Self> {
        let customer = call.customer.filter(|user| !user.trim().is_empty())?;
        let person = call
            .message()
            .and_then(|message| message.user.as_ref())
            .filter(|person| person.id.as_deref() == Some(customer));
        let told = |part: Option<&String>| {
            part.map(|text| text.trim().to_owned())
                .filter(|text| !text.is_empty())
        };
        let email = told(person.and_then(|person| person.email.as_ref()));
        let phone = told(person.and_then(|person| person.phone.as_ref()));
        let name = told(person.and_then(|person| person.name.as_ref()));
        // Either may stand where the other belongs, or be the id itself.
        let any = [email, phone, Some(customer.to_owned())];
        Some(Self {
            external_id: format!("{}:{customer}", call.event.source),
            name: name.unwrap_or_else(|| customer.to_owned()),
            email: any.iter().flatten().find(|text| is_email(text)).cloned(),
            phone: any.iter().flatten().find_map(|text| e164(text)),
        })
    }

    fn body(&self, bare: bool) -> Json {
        let mut body = Map::new();
        body.insert("displayName".into(), self.name.clone().into());
        body.insert("externalId".into(), self.external_id.clone().into());
        if !bare {
            if let Some(email) = &self.email {
                body.insert("email".into(), email.clone().into());
            }
            if let Some(phone) = &self.phone {
                body.insert("phoneNumber".into(), phone.clone().into());
            }
        }
        Json::Object(body)
    }

    /// Whether this end user has what was searched for.
    fn is(&self, user: &Json, way: &str) -> bool {
        let has = |one: &str, more: &str, wanted: &Option<String>| {
            let further = user.get(more).and_then(Json::as_array);
            let mut all = further
                .into_iter()
                .flatten()
                .chain(user.get(one))
                .filter_map(Json::as_str);
            let wanted = wanted.as_deref().unwrap_or_default();
            all.any(|text| text.eq_ignore_ascii_case(wanted))
        };
        match way {
            BY_EMAIL => has("email", "additionalEmails", &self.email),
            BY_PHONE => has("phoneNumber", "additionalPhoneNumbers", &self.phone),
            _ => text(user, "externalId") == self.external_id,
        }
    }
}

fn text<'j>(value: &'j Json, key: &str) -> &'j str {
    value.get(key).and_then(Json::as_str).unwrap_or_default()
}

fn is_email(text: &str) -> bool {
    let one =
        |(name, host): (&str, &str)| !name.is_empty() && host.contains('.') && !host.contains('@');
    !text.contains(char::is_whitespace) && text.split_once('@').is_some_and(one)
}

/// A telephone number as E.164. Qiscus writes the international form without
/// the plus; what begins with 0 is a number within some country, and what is
/// shorter may be any number at all.
fn e164(text: &str) -> Option<String> {
    let (digits, least) = match text.strip_prefix('+') {
        Some(digits) => (digits, 7),
        None => (text, 10),
    };
    let fits = (least..=15).contains(&digits.len())
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && !digits.starts_with('0');
    fits.then(|| format!("+{digits}"))
}
