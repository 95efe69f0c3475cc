//! Any HTTP endpoint: the stored bytes untouched, or a body drawn in the file.

use std::sync::Arc;

use ::http::{HeaderValue, Method, header};
use bytes::Bytes;
use toml::Spanned;
use toml::de::DeValue;

use super::{Call, DestinationEntry, Vendor, Writer};
use crate::decode::keys::{Key, Shape};
use crate::decode::{Fields, describe, inside, tells_proof, typed};
use crate::expression::{Scope, Template, advice_in_template};
use crate::secret::Secret;
use crate::settle::Reason;
use crate::transform::{
    BadHeader, BodyShape, HeaderText, Headers, Outgoing, Unsendable, UrlTemplate, typed_in,
};

pub static VENDOR: Vendor = Vendor {
    kind: "http",
    source: None,
    destination: Some(DestinationEntry {
        configure,
        keys: KEYS,
        chat: false,
        talks: false,
        actions: &["message"],
        rate: None,
        guards: &[],
    }),
};

/// A configured endpoint.
#[derive(Debug)]
pub struct Endpoint {
    pub url: Target,
    /// Query parameters from outside the file, put behind those of the URL.
    pub query: Vec<(String, Secret)>,
    pub method: Method,
    pub headers: Headers,
    /// `None`: the stored bytes, with the content type they came with.
    pub body: Option<BodyShape>,
    /// Standard Webhooks signing of each attempt.
    pub sign: Option<Secret>,
}

/// Where to; a table whose `url` was wrong has nowhere to go, and its
/// complaint stops the configuration.
#[derive(Debug)]
pub enum Target {
    Url(Box<UrlTemplate>),
    Nowhere,
}

const VALUE: Shape = Shape::Either(&[Shape::Text, Shape::Secret]);

const SIGN: &[Key] = &[
    Key::new(
        "scheme",
        Shape::Word(&["standard"]),
        "Standard Webhooks, fresh for each attempt.",
    )
    .required(),
    Key::new("secret", Shape::Secret, "What is signed with.").required(),
];

const KEYS: &[Key] = &[
    Key::new(
        "url",
        Shape::Filled,
        "Where to. Templates in the path and in query values only.",
    )
    .required()
    .such_as("\"https://warehouse.example/in/{{ event.source }}\""),
    Key::new("method", Shape::Word(&["POST", "PUT", "PATCH"]), "How.").or("\"POST\""),
    Key::new(
        "query",
        Shape::Map(&Shape::Secret),
        "Query parameters that are secrets.",
    ),
    Key::new(
        "headers",
        Shape::Map(&VALUE),
        "Further headers; values are templates or secrets.",
    ),
    Key::new(
        "body",
        Shape::Any,
        "The shape to send; texts are templates, a lone expression keeps its JSON type. Absent: the received bytes.",
    ),
    Key::new("sign", Shape::Table(SIGN), "Absent: unsigned."),
];

fn configure(fields: &mut Fields<'_, '_>) -> Arc<dyn Writer> {
    let url = target(fields);
    let methods = [
        ("POST", Method::POST),
        ("PUT", Method::PUT),
        ("PATCH", Method::PATCH),
    ];
    let method = fields
        .choice("method", &methods)
        .map_or(Method::POST, |method| method.value);
    let query = query(fields);
    let headers = headers(fields);
    let body = body(fields);
    let sign = fields.table("sign", |fields| {
        if fields.choice("scheme", &[("standard", ())]).is_none() && !fields.has("scheme") {
            let help = Some("scheme = \"standard\"".to_owned());
            fields.error(fields.span.clone(), "`sign` needs a scheme", help);
        }
        let secret = fields.secret("secret");
        if secret.is_none() && !fields.has("secret") {
            let help = Some("secret = { env = \"…\" }".to_owned());
            fields.error(fields.span.clone(), "`sign` needs a secret", help);
        }
        secret.map(|secret| secret.value)
    });
    Arc::new(Endpoint {
        url,
        query,
        method,
        headers,
        body,
        sign: sign.flatten(),
    })
}

fn target(fields: &mut Fields<'_, '_>) -> Target {
    let why =
        "write url = \"https://host/path\"; values, {{ … }}, only in the path and in query values";
    let Some(written) = fields.required_text("url", why) else {
        return Target::Nowhere;
    };
    if let Some((what, place)) = typed_in(&written.value) {
        let span = fields
            .any("url")
            .map_or(written.span, |value| inside(value, &place));
        fields.error(span, typed(what), Some(TYPED_URL.to_owned()));
        return Target::Nowhere;
    }
    match UrlTemplate::parse(&written.value) {
        Ok(template) => Target::Url(Box::new(template)),
        Err(error) => {
            let span = fields
                .any("url")
                .map_or(written.span, |value| inside(value, &error.span));
            let (message, _) = advice_in_template(&written.value, &error);
            let message = format!("`{}`: {message}", fields.name("url"));
            fields.error(span, message, Some(why.to_owned()));
            Target::Nowhere
        }
    }
}

const TYPED_URL: &str = "write query = { name = { env = \"…\" } }, or headers = { Authorization = { env = \"…\" } }, and change the secret: this file has been read";

/// `query = { token = { env = "…" } }`: secrets only, as other values stand in
/// the `url`.
fn query(fields: &mut Fields<'_, '_>) -> Vec<(String, Secret)> {
    let Some(value) = fields.any("query") else {
        return Vec::new();
    };
    let help = || {
        Some("query = { token = { env = \"…\" } }; what is no secret stands in `url`".to_owned())
    };
    let DeValue::Table(table) = value.get_ref() else {
        let found = describe(value.get_ref());
        let message = format!("`{}` must be a table, not {found}", fields.name("query"));
        fields.error(value.span(), message, help());
        return Vec::new();
    };
    let mut found = Vec::new();
    for (name, value) in table {
        let before = fields.decoder.complaints.len();
        match fields.secret_in(value) {
            Some(secret) if secret.value.expose_text().is_none() => {
                fields.error(
                    value.span(),
                    "a secret that is no text cannot stand in a URL",
                    Some("store it as text, such as base64".to_owned()),
                );
            }
            Some(secret) => found.push((name.get_ref().to_string(), secret.value)),
            None if fields.decoder.complaints.len() > before => {}
            None if value.get_ref().is_str() && tells_proof(name.get_ref()) => {
                fields.error(value.span(), typed(name.get_ref()), help());
            }
            None => fields.error(value.span(), "`query` holds secrets only", help()),
        }
    }
    found
}

fn body(fields: &mut Fields<'_, '_>) -> Option<BodyShape> {
    let value = fields.any("body")?;
    let secret = |value: &_| fields.secret_in(value).map(|secret| secret.value);
    match BodyShape::from_toml(value, secret) {
        Ok(shape) => Some(shape),
        Err(wrong) => {
            for fault in wrong {
                fields.error(fault.span, fault.message, Some(fault.help));
            }
            None
        }
    }
}

fn headers(fields: &mut Fields<'_, '_>) -> Headers {
    let mut headers = Headers::default();
    let Some(value) = fields.any("headers") else {
        return headers;
    };
    let DeValue::Table(table) = value.get_ref() else {
        fields.error(
            value.span(),
            format!(
                "`{}` must be a table, not {}",
                fields.name("headers"),
                describe(value.get_ref())
            ),
            Some("write headers = { Name = \"value\" }, without the colon".to_owned()),
        );
        return headers;
    };
    for (name, value) in table {
        let Some(text) = header_text(fields, value) else {
            continue;
        };
        let literal = matches!(&text, HeaderText::Template(text) if text.literal().is_some());
        match headers.add(name.get_ref(), text) {
            Ok(()) => {}
            Err(bad @ BadHeader::Proof { .. }) if literal => {
                fields.error(value.span(), typed(name.get_ref()), Some(bad.to_string()));
            }
            Err(bad) => {
                let (place, help) = match &bad {
                    BadHeader::Value { .. } => (value.span(), "write it on one line, in ASCII"),
                    BadHeader::Proof { .. } => {
                        (value.span(), "write { env = \"…\" } or { file = \"…\" }")
                    }
                    BadHeader::Twice { .. } => {
                        (name.span(), "remove one: names are the same in any case")
                    }
                    BadHeader::Reserved { .. } => (name.span(), "remove it"),
                    BadHeader::Name { .. } => (
                        name.span(),
                        "it has letters, digits and hyphens, such as X-Shop",
                    ),
                };
                fields.error(place, bad.to_string(), Some(help.to_owned()));
            }
        }
    }
    headers
}

fn header_text<'i>(
    fields: &mut Fields<'_, 'i>,
    value: &Spanned<DeValue<'i>>,
) -> Option<HeaderText> {
    if let DeValue::String(text) = value.get_ref() {
        return match Template::parse(text) {
            Ok(template) => Some(HeaderText::Template(template)),
            Err(error) => {
                let (message, help) = advice_in_template(text, &error);
                let message = format!("this is no template: {message}");
                fields.error(inside(value, &error.span), message, Some(help));
                None
            }
        };
    }
    let before = fields.decoder.complaints.len();
    if let Some(secret) = fields.secret_in(value) {
        return Some(HeaderText::Secret(secret.value));
    }
    if fields.decoder.complaints.len() == before {
        let help = Some("a text, { env = \"…\" } or { file = \"…\" }".to_owned());
        fields.error(value.span(), "a header's value is a text or a secret", help);
    }
    None
}

impl Writer for Endpoint {
    fn write(&self, call: &Call<'_>) -> Result<Outgoing, Unsendable> {
        // One scope for all, and none where there is nothing to fill in.
        let scope =
            std::cell::LazyCell::new(|| Scope::new(call.event, call.message(), call.payload()));
        let mut url = match &self.url {
            Target::Url(template) => match template.fixed() {
                Some(url) => url.clone(),
                None => template.fill(&scope)?,
            },
            Target::Nowhere => {
                let detail = "the destination has no valid `url`".to_owned();
                return Err(Unsendable::Dead {
                    reason: Reason::Unsendable,
                    detail,
                });
            }
        };
        for (name, secret) in &self.query {
            let text = secret.expose_text().unwrap_or_default();
            url.query_pairs_mut().append_pair(name, text);
        }
        let mut headers = match self.headers.fixed() {
            Some(fixed) => fixed.clone(),
            None => self.headers.fill(&scope)?,
        };
        let (body, content_type) = match &self.body {
            Some(shape) => (Bytes::from(shape.render(&scope)?.to_string()), None),
            None => (call.event.body.clone(), call.event.header("content-type")),
        };
        if !headers.contains_key(header::CONTENT_TYPE) {
            let json = HeaderValue::from_static("application/json");
            let value = content_type
                .and_then(|text| HeaderValue::from_str(text).ok())
                .unwrap_or(json);
            headers.insert(header::CONTENT_TYPE, value);
        }
        let mut redact: Vec<Secret> = self.headers.secrets().to_vec();
        redact.extend(self.sign.clone());
        redact.extend(self.query.iter().map(|(_, secret)| secret.clone()));
        if let Some(shape) = &self.body {
            shape.secrets(&mut redact);
        }
        Ok(Outgoing {
            method: self.method.clone(),
            url,
            headers,
            body,
            sign: self.sign.clone(),
            redact,
            late: false,
        })
    }

    /// No template names a customer.
    fn asks_customer(&self) -> bool {
        false
    }

    fn shown_target(&self) -> String {
        match &self.url {
            Target::Url(template) => template.origin(),
            Target::Nowhere => String::new(),
        }
    }
}
