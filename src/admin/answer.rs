//! What the admin address answers with: a body that is there, or one that goes
//! on, and the headers that keep a browser from doing more with it.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{self, HeaderName};
use http::{HeaderValue, Response, StatusCode};
use http_body::{Frame, SizeHint};
use http_body_util::Full;
use serde_json::Value;

use super::live::Stream;

/// A whole answer, or the stream of `live`.
#[derive(Debug)]
pub enum Body {
    Whole(Full<Bytes>),
    Live(Stream),
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Whole(whole) => Pin::new(whole).poll_frame(context),
            Self::Live(stream) => stream
                .poll(context)
                .map(|frame| Some(Ok(Frame::data(frame?)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(whole) => whole.is_end_stream(),
            Self::Live(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(whole) => whole.size_hint(),
            Self::Live(_) => SizeHint::new(),
        }
    }
}

/// An answer that is not a success: a status and a sentence for the operator.
#[derive(Debug)]
pub struct Refusal {
    pub status: StatusCode,
    pub body: Value,
    /// When to come again, in seconds.
    pub retry_after: Option<u32>,
    /// For 405: what may be asked.
    pub allow: Option<&'static str>,
}

impl Refusal {
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("error");
        let body = serde_json::json!({"type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail.into()});
        Self::with_body(status, body)
    }

    /// The complaints of a refused configuration.
    pub fn with_body(status: StatusCode, body: Value) -> Self {
        Self {
            status,
            body,
            retry_after: None,
            allow: None,
        }
    }

    pub(super) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    pub(super) fn not_found(what: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, what)
    }

    pub(super) fn stopping() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "the gateway is stopping")
    }

    pub(super) fn answer(&self) -> Response<Body> {
        let kind = "application/problem+json";
        let mut response = typed(self.status, kind, Bytes::from(self.body.to_string()));
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(allow) = self.allow {
            headers.insert(header::ALLOW, HeaderValue::from_static(allow));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let bearer = HeaderValue::from_static("Bearer");
            headers.insert(header::WWW_AUTHENTICATE, bearer);
        }
        response
    }
}

impl From<std::io::Error> for Refusal {
    fn from(error: std::io::Error) -> Self {
        let said = format!("reading the log: {error}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, said)
    }
}

impl From<crate::log::AppendError> for Refusal {
    fn from(error: crate::log::AppendError) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
    }
}

/// JSON with 200.
pub(super) fn ok(body: &Value) -> Response<Body> {
    json(StatusCode::OK, Bytes::from(body.to_string()))
}

/// Bytes that are JSON already.
pub(super) fn json(status: StatusCode, body: Bytes) -> Response<Body> {
    typed(status, "application/json", body)
}

pub(super) fn text(status: StatusCode, body: String) -> Response<Body> {
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    typed(status, kind, Bytes::from(body))
}

pub(super) fn typed(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<Body> {
    of_kind(status, content_type, Body::Whole(Full::new(body)))
}

pub(super) fn of_kind(
    status: StatusCode,
    content_type: &'static str,
    body: Body,
) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let kind = HeaderValue::from_static(content_type);
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// The console's page may run its own scripts and talk to its own address, and
/// nothing else; texts that events brought cannot become markup.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     frame-ancestors 'none'; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'";

/// Data is looked at by scripts, never shown as a page.
const DATA_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

/// Puts the headers on that every answer carries.
pub(super) fn secure(response: &mut Response<Body>, page: bool) {
    const ALWAYS: [(HeaderName, &str); 5] = [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ];
    let headers = response.headers_mut();
    for (name, value) in ALWAYS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let policy = if page { PAGE_POLICY } else { DATA_POLICY };
    let policy = HeaderValue::from_static(policy);
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
}
