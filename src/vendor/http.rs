//! Any HTTP endpoint: the stored bytes untouched, or a body drawn in the file.

use std::sync::Arc;

use ::http::{HeaderValue, Method, header};
use bytes::Bytes;
use toml::Spanned;
use toml::de::DeValue;

use super::{Call, DestinationEntry, Vendor, Writer};
use crate::decode::Fields;
use crate::expression::{Scope, Template};
use crate::secret::Secret;
use crate::settle::Reason;
use crate::transform::{self, BodyShape, HeaderText, Headers, Outgoing, Unsendable, UrlTemplate};

pub static VENDOR: Vendor = Vendor {
    kind: "http",
    source: None,
    destination: Some(DestinationEntry {
        configure,
        chat: false,
        actions: &["message"],
        rate: None,
    }),
};

/// A configured endpoint.
#[derive(Debug)]
pub struct Endpoint {
    pub url: Target,
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
    let headers = headers(fields);
    let body = fields
        .any("body")
        .and_then(|value| match BodyShape::from_toml(value) {
            Ok(shape) => Some(shape),
            Err(wrong) => {
                for fault in wrong {
                    fields.error(fault.span, fault.message, None);
                }
                None
            }
        });
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
        method,
        headers,
        body,
        sign: sign.flatten(),
    })
}

fn target(fields: &mut Fields<'_, '_>) -> Target {
    let why = "where to: url = \"https://…\"; values only in the path and in query values";
    let Some(written) = fields.required_text("url", why) else {
        return Target::Nowhere;
    };
    match UrlTemplate::parse(&written.value) {
        Ok(template) => Target::Url(Box::new(template)),
        Err(error) => {
            let span = transform::inside(&written.span, &written.value, &error.span);
            fields.error(span, error.message, Some(why.to_owned()));
            Target::Nowhere
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
            "`headers` is a table: { Name = \"value\" }",
            None,
        );
        return headers;
    };
    for (name, value) in table {
        let Some(text) = header_text(fields, value) else {
            continue;
        };
        if let Err(bad) = headers.add(name.get_ref(), text) {
            fields.error(name.span(), bad.to_string(), None);
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
                fields.error(
                    transform::inside(&value.span(), text, &error.span),
                    error.message,
                    None,
                );
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
        let url = match &self.url {
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
        let redact = self
            .headers
            .secrets()
            .iter()
            .chain(&self.sign)
            .cloned()
            .collect();
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

    fn shown_target(&self) -> String {
        match &self.url {
            Target::Url(template) => template.origin(),
            Target::Nowhere => String::new(),
        }
    }
}
