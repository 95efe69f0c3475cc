//! From an event to the exact bytes of a request: the writer's part, then the
//! headers that every request of ours carries. Pure.

use std::panic::{AssertUnwindSafe, catch_unwind};

use http::header::{
    ACCEPT_ENCODING, CONNECTION, CONTENT_LENGTH, HOST, PROXY_AUTHORIZATION, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE, USER_AGENT,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use http_body_util::Full;
use url::Position;

use super::Destination;
use super::attempt::Sent;
use crate::clock::Timestamp;
use crate::event::{DestinationName, Event};
use crate::secret::Secret;
use crate::settle::Reason;
use crate::trace;
use crate::transform::{Outgoing, Unsendable};
use crate::vendor::Call;

/// Computes the headers of a Standard Webhooks signature.
pub(super) type Signer = fn(&Secret, &str, &[u8], Timestamp) -> [(&'static str, String); 2];

/// The writer's request. A panic in a writer, or in reading what it asks for,
/// is that one delivery's misfortune, nobody else's; both are pure, so nothing
/// is left half done.
pub(super) fn write(destination: &Destination, call: &Call<'_>) -> Result<Outgoing, Unsendable> {
    catch_unwind(AssertUnwindSafe(|| destination.writer.write(call))).unwrap_or_else(|_panic| {
        Err(unsendable(
            "the transformation panicked: this is a bug in hookfan",
        ))
    })
}

/// One try of one copy: what is said of it in every request it takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempted<'a> {
    pub event: &'a Event,
    pub destination: &'a DestinationName,
    /// From 1.
    pub number: u32,
    pub now: Timestamp,
}

/// The bytes of one request of an attempt.
pub(super) fn request(
    outgoing: &Outgoing,
    attempted: Attempted<'_>,
    sign: Signer,
) -> Result<Sent, Unsendable> {
    let headers = headers(outgoing, attempted, sign)?;
    with_headers(outgoing, headers)
}

/// The bytes of a question that belongs to no event.
pub(super) fn question(outgoing: &Outgoing) -> Result<Sent, Unsendable> {
    let mut headers = ours(outgoing)?;
    theirs(outgoing, &mut headers);
    with_headers(outgoing, headers)
}

fn with_headers(outgoing: &Outgoing, headers: HeaderMap) -> Result<Sent, Unsendable> {
    let url = &outgoing.url;
    // Without user-info, which would be sent to nobody anyway.
    let (host, path) = (
        &url[Position::BeforeHost..Position::AfterPort],
        &url[Position::BeforePath..Position::AfterQuery],
    );
    let uri: Uri = format!("{}://{host}{path}", url.scheme())
        .parse()
        .map_err(|_| unsendable("the URL is none that can be requested"))?;
    let mut request = Request::new(Full::new(outgoing.body.clone()));
    *request.method_mut() = outgoing.method.clone();
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    Ok(request)
}

/// All headers of the wire: ours, then the writer's.
pub(super) fn headers(
    outgoing: &Outgoing,
    attempted: Attempted<'_>,
    sign: Signer,
) -> Result<HeaderMap, Unsendable> {
    let (event, now) = (attempted.event, attempted.now);
    let id = event.id.to_string();
    let mut headers = ours(outgoing)?;
    headers.insert(WEBHOOK_ID, value(&id)?);
    headers.insert(ATTEMPT, HeaderValue::from(attempted.number));
    headers.insert(HOPS, HeaderValue::from(u16::from(event.hops) + 1));
    traced(&mut headers, attempted)?;
    if let Some(secret) = &outgoing.sign {
        for (name, signed) in sign(secret, &id, &outgoing.body, now) {
            let name = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| unsendable("a signature header has no name"))?;
            let mut signed = value(&signed)?;
            signed.set_sensitive(name.as_str().ends_with("signature"));
            headers.insert(name, signed);
        }
    }
    theirs(outgoing, &mut headers);
    Ok(headers)
}

/// A trace that the event came with goes on, in a span of this attempt's own.
fn traced(headers: &mut HeaderMap, attempted: Attempted<'_>) -> Result<(), Unsendable> {
    let event = attempted.event;
    let Some(trace) = event.trace() else {
        return Ok(());
    };
    let destination = attempted.destination.as_str();
    let span = trace::attempted(event.id.to_bytes(), destination, attempted.number);
    headers.insert(trace::TRACEPARENT, value(&trace.written(span))?);
    for (name, state) in &event.headers {
        if **name == *trace::TRACESTATE {
            headers.append(trace::TRACESTATE, value(state)?);
        }
    }
    Ok(())
}

/// What every request of ours carries.
fn ours(outgoing: &Outgoing) -> Result<HeaderMap, Unsendable> {
    let host = &outgoing.url[Position::BeforeHost..Position::AfterPort];
    let mut headers = HeaderMap::with_capacity(outgoing.headers.len() + 12);
    headers.insert(HOST, value(host)?);
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    // A body that nobody unpacks cannot explode.
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    Ok(headers)
}

/// What the writer wants, but for what is ours.
fn theirs(outgoing: &Outgoing, headers: &mut HeaderMap) {
    let ours: Vec<HeaderName> = headers
        .keys()
        .filter(|name| **name != USER_AGENT)
        .cloned()
        .collect();
    for name in outgoing.headers.keys() {
        if ours.contains(name) || PER_CONNECTION.contains(name) || name.as_str() == "keep-alive" {
            continue;
        }
        headers.remove(name);
        for written in outgoing.headers.get_all(name) {
            headers.append(name.clone(), written.clone());
        }
    }
    if !outgoing.body.is_empty()
        || matches!(outgoing.method, Method::POST | Method::PUT | Method::PATCH)
    {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(outgoing.body.len()));
    }
}

fn value(text: &str) -> Result<HeaderValue, Unsendable> {
    HeaderValue::from_str(text).map_err(|_| unsendable("a header of ours has no value"))
}

fn unsendable(detail: &str) -> Unsendable {
    Unsendable::Dead {
        reason: Reason::Unsendable,
        detail: detail.to_owned(),
    }
}

const AGENT: &str = concat!("hookfan/", env!("CARGO_PKG_VERSION"));
const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const ATTEMPT: HeaderName = HeaderName::from_static("hookfan-attempt");
const HOPS: HeaderName = HeaderName::from_static("hookfan-hops");
/// What belongs to the connection is not a writer's to set.
const PER_CONNECTION: [HeaderName; 7] = [
    CONNECTION,
    CONTENT_LENGTH,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];
