//! The keys of a Dixa destination.

use std::collections::BTreeMap;
use std::sync::Arc;

use ::http::HeaderValue;
use toml::de::DeValue;

use super::{BASE_URL, Channel, Desk, Mail, TEXT_ONLY_CHANNEL, WhenClosed};
use crate::decode::keys::{Key, Shape};
use crate::decode::{At, Fields, describe, inside};
use crate::expression::{Template, advice_in_template};
use crate::secret::Secret;
use crate::settle::Reason;
use crate::transform::{Outgoing, Unsendable};
use crate::vendor::{Call, Writer, asking};

/// A destination whose table was wrong; its complaints stop the configuration.
#[derive(Debug)]
struct Unconfigured;

impl Writer for Unconfigured {
    fn write(&self, _call: &Call<'_>) -> Result<Outgoing, Unsendable> {
        Err(Unsendable::Dead {
            reason: Reason::Unsendable,
            detail: "the destination is not configured".to_owned(),
        })
    }

    fn shown_target(&self) -> String {
        String::new()
    }
}

const MAIL: &[Key] = &[
    Key::new(
        "integration",
        Shape::Filled,
        "The address of an e-mail integration at Dixa.",
    )
    .required()
    .such_as("\"acme@email.dixa.io\""),
    Key::new(
        "subject",
        Shape::Filled,
        "What a conversation is called, a template.",
    )
    .required(),
];

const CHANNEL: Shape = Shape::Tagged(
    "kind",
    &[
        (
            "chat",
            &[
                Key::new("widget_id", Shape::Filled, "The UUID of a chat widget.")
                    .required()
                    .such_as("\"0e0d1ead-dc69-470a-9b3a-e7eb16a56453\""),
            ],
        ),
        ("email", MAIL),
        ("contact_form", MAIL),
        (
            "sms",
            &[Key::new(
                "contact_endpoint",
                Shape::Filled,
                "A number of yours at Dixa that sends SMS.",
            )
            .required()
            .such_as("\"+4512345678\"")],
        ),
        (
            "import",
            &[Key::new(
                "channel_name",
                Shape::Filled,
                "What Dixa calls the channel.",
            )],
        ),
    ],
    &[],
);

pub(super) const KEYS: &[Key] = &[
    Key::new(
        "api_key",
        Shape::Secret,
        "The whole value of `Authorization`, from Dixa's settings.",
    )
    .required(),
    asking::base_url_key("\"https://dev.dixa.io/beta\""),
    Key::new(
        "channel",
        CHANNEL,
        "As what conversations are created; absent: imported.",
    ),
    Key::new(
        "agent_id",
        Shape::Text,
        "Who says outgoing messages over there; absent: they cannot be said.",
    )
    .such_as("\"5a556159-9c21-4f3e-a44f-d323deb80d16\""),
    Key::new(
        "agents",
        Shape::Map(&Shape::Text),
        "An author's e-mail address, and his id at Dixa.",
    )
    .such_as("{ \"budi@acme.example\": \"5a556159-9c21-4f3e-a44f-d323deb80d16\" }"),
    Key::new(
        "when_closed",
        Shape::Word(&["reuse", "reopen", "new"]),
        "What a message does to a conversation that is closed.",
    )
    .or("\"reuse\""),
    asking::UNKNOWN_USER,
    Key::new(
        "language",
        Shape::Text,
        "Of new conversations, where the channel takes one.",
    ),
    asking::SYSTEM_EVENTS,
];

pub(super) fn configure(fields: &mut Fields<'_, '_>) -> Arc<dyn Writer> {
    let Some(mut desk) = Desk::new(api_key(fields)) else {
        return Arc::new(Unconfigured);
    };
    if let Some(url) = asking::base_url(fields, BASE_URL) {
        desk.base_url = url;
    }
    let channel = fields.table("channel", channel);
    if let Some(channel) = channel.flatten() {
        desk.channel = channel;
    }
    desk.agent_id = agent_id(fields);
    desk.agents = agents(fields);
    let policies = [
        ("reuse", WhenClosed::Reuse),
        ("reopen", WhenClosed::Reopen),
        ("new", WhenClosed::New),
    ];
    if let Some(policy) = fields.choice("when_closed", &policies) {
        desk.when_closed = policy.value;
    }
    desk.unknown_user = asking::unknown_user(fields);
    if let Some(language) = fields.text("language") {
        if matches!(desk.channel, Channel::Sms { .. } | Channel::Import { .. }) {
            let help = "remove it; the channels chat, email and contact_form take one".to_owned();
            let message = "this channel takes no language";
            fields.error(language.span, message, Some(help));
        }
        desk.language = Some(language.value);
    }
    desk.system_events = fields.flag("system_events", false);
    Arc::new(desk)
}

fn api_key(fields: &mut Fields<'_, '_>) -> Secret {
    let key = fields.secret("api_key");
    if key.is_none() && !fields.has("api_key") {
        let help =
            "api_key = { env = \"…\" }: the whole value of `Authorization`, from Dixa's settings";
        let message = format!("`{}` needs an api_key", fields.path);
        fields.error(fields.span.clone(), message, Some(help.to_owned()));
    }
    let Some(key) = key else {
        return Secret::new("");
    };
    let fits = HeaderValue::from_bytes(key.value.expose()).is_ok()
        && key
            .value
            .expose_text()
            .is_some_and(|text| !text.trim().is_empty());
    if !fits {
        let message = "the api_key is blank, or no text that a header takes";
        let help = "copy it again from Dixa's settings, on one line".to_owned();
        fields.error(key.span, message, Some(help));
    }
    key.value
}

#[derive(Clone, Copy)]
enum Kind {
    Chat,
    Email,
    ContactForm,
    Sms,
    Import,
}

fn channel(fields: &mut Fields<'_, '_>) -> Option<Channel> {
    let kinds = [
        ("chat", Kind::Chat),
        ("email", Kind::Email),
        ("contact_form", Kind::ContactForm),
        ("sms", Kind::Sms),
        ("import", Kind::Import),
    ];
    if !fields.has("kind") {
        fields.missing(
            "kind",
            "kind = \"chat\", email, contact_form, sms or import",
        );
    }
    let Some(kind) = fields.choice("kind", &kinds) else {
        // Which of the others belong here is not known.
        for key in [
            "widget_id",
            "integration",
            "subject",
            "contact_endpoint",
            "channel_name",
        ] {
            let _ = fields.any(key);
        }
        return None;
    };
    match kind.value {
        Kind::Chat => {
            let why = "widget_id = \"…\": the UUID of a chat widget, from Dixa's settings";
            let id = fields.required_text("widget_id", why)?;
            Some(Channel::Chat {
                widget_id: uuid(fields, id),
            })
        }
        Kind::Email => mail(fields).map(Channel::Email),
        Kind::ContactForm => mail(fields).map(Channel::ContactForm),
        Kind::Sms => {
            let why = "contact_endpoint = \"+45…\": a number of yours at Dixa that sends SMS";
            let number = fields.required_text("contact_endpoint", why)?;
            if !is_e164(&number.value) {
                let message = format!(
                    "`{}` is no telephone number as E.164 writes it",
                    fields.name("contact_endpoint")
                );
                fields.error(number.span, message, Some(why.to_owned()));
            }
            Some(Channel::Sms {
                contact_endpoint: number.value,
            })
        }
        Kind::Import => {
            let name = if fields.has("channel_name") {
                let why = format!("channel_name = \"{TEXT_ONLY_CHANNEL}\", which is the default");
                fields.required_text("channel_name", &why)?.value
            } else {
                let _ = fields.any("channel_name");
                TEXT_ONLY_CHANNEL.to_owned()
            };
            Some(Channel::Import { channel_name: name })
        }
    }
}

fn mail(fields: &mut Fields<'_, '_>) -> Option<Mail> {
    let why = "integration = \"…@email.dixa.io\": the address of an e-mail integration at Dixa";
    let integration = fields.required_text("integration", why);
    if let Some(integration) = &integration
        && !integration.value.contains('@')
    {
        let message = format!("`{}` is no e-mail address", fields.name("integration"));
        fields.error(integration.span.clone(), message, Some(why.to_owned()));
    }
    let why = "subject = \"…\": what a conversation is called; a template";
    let subject = fields.required_text("subject", why)?;
    let text = subject.value.clone();
    let subject = match Template::parse(&text) {
        Ok(subject) => subject,
        Err(error) => {
            let place = fields
                .any("subject")
                .map_or(subject.span, |value| inside(value, &error.span));
            let (message, help) = advice_in_template(&text, &error);
            let message = format!("`{}` is no template: {message}", fields.name("subject"));
            fields.error(place, message, Some(help));
            return None;
        }
    };
    Some(Mail {
        integration: integration?.value,
        subject,
    })
}

fn agent_id(fields: &mut Fields<'_, '_>) -> Option<String> {
    let id = fields.text("agent_id")?;
    Some(uuid(fields, id))
}

/// `agents = { "budi@acme.example" = "<uuid>" }`: who is who over there.
fn agents(fields: &mut Fields<'_, '_>) -> BTreeMap<String, String> {
    let mut agents = BTreeMap::new();
    let Some(value) = fields.any("agents") else {
        return agents;
    };
    let help =
        || Some("write agents = { \"budi@acme.example\" = \"<his id at Dixa>\" }".to_owned());
    let DeValue::Table(table) = value.get_ref() else {
        let found = describe(value.get_ref());
        let message = format!("`{}` must be a table, not {found}", fields.name("agents"));
        fields.error(value.span(), message, help());
        return agents;
    };
    for (author, id) in table {
        match id.get_ref() {
            DeValue::String(text) => {
                let id = At {
                    value: text.to_string(),
                    file: fields.file,
                    span: id.span(),
                };
                let id = uuid(fields, id);
                agents.insert(author.get_ref().to_lowercase(), id);
            }
            _ => fields.error(id.span(), "an agent's id is a text", help()),
        }
    }
    agents
}

/// The id as written; Dixa documents that ids of agents and widgets are UUIDs.
fn uuid(fields: &mut Fields<'_, '_>, id: At<String>) -> String {
    if id.value.len() != 36 || uuid::Uuid::try_parse(&id.value).is_err() {
        let help = "copy it from Dixa, whose ids look like 0e0d1ead-dc69-470a-9b3a-e7eb16a56453"
            .to_owned();
        fields.error(id.span, "this is no UUID", Some(help));
    }
    id.value
}

fn is_e164(text: &str) -> bool {
    text.strip_prefix('+').is_some_and(|digits| {
        (5..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
    })
}
