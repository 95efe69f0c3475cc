//! From an event to the exact bytes of a request: the writer's part, then the
//! headers that every request of ours carries. Pure.

use std::panic::{AssertUnwindSafe, catch_unwind};

use http::header::{
    ACCEPT_ENCODING, CONNECTION, CONTENT_LENGTH, HOST, PROXY_AUTHORIZATION, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE, USER_AGENT,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use http_body_util::Full;
use url::{Position, Url};

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

/// Where requests went last, as hyper wants it: most go there again.
#[derive(Debug)]
pub(super) struct Address {
    url: Url,
    uri: Uri,
    host: HeaderValue,
}

impl Address {
    fn of(url: &Url) -> Result<Self, Unsendable> {
        // Without user-info, which would be sent to nobody anyway.
        let (host, path) = (
            &url[Position::BeforeHost..Position::AfterPort],
            &url[Position::BeforePath..Position::AfterQuery],
        );
        let uri: Uri = format!("{}://{host}{path}", url.scheme())
            .parse()
            .map_err(|_| unsendable("the URL is none that can be requested"))?;
        Ok(Self {
            host: value(host)?,
            uri,
            url: url.clone(),
        })
    }
}

/// The bytes of one request of an attempt. `last`: the address of the one
/// before, and then of this one.
pub(super) fn request(
    mut outgoing: Outgoing,
    attempted: Attempted<'_>,
    sign: Signer,
    last: &mut Option<Address>,
) -> Result<Sent, Unsendable> {
    let address = match last.take().filter(|last| last.url == outgoing.url) {
        Some(address) => last.insert(address),
        None => last.insert(Address::of(&outgoing.url)?),
    };
    let theirs = std::mem::take(&mut outgoing.headers);
    let headers = headers(theirs, &outgoing, &address.host, attempted, sign)?;
    Ok(sent(outgoing, address.uri.clone(), headers))
}

/// The bytes of a question that belongs to no event.
pub(super) fn question(outgoing: &Outgoing) -> Result<Sent, Unsendable> {
    let Address { uri, host, .. } = Address::of(&outgoing.url)?;
    let mut headers = ours(&host, &outgoing.headers);
    theirs(outgoing.headers.clone(), outgoing, &mut headers);
    Ok(sent(outgoing.clone(), uri, headers))
}

fn sent(outgoing: Outgoing, uri: Uri, headers: HeaderMap) -> Sent {
    let mut request = Request::new(Full::new(outgoing.body));
    *request.method_mut() = outgoing.method;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    request
}

/// All headers of the wire, as a preview shows them.
pub(super) fn shown_headers(
    outgoing: &Outgoing,
    attempted: Attempted<'_>,
    sign: Signer,
) -> Result<HeaderMap, Unsendable> {
    let Address { host, .. } = Address::of(&outgoing.url)?;
    headers(outgoing.headers.clone(), outgoing, &host, attempted, sign)
}

/// All headers of the wire: ours, then the writer's.
fn headers(
    wanted: HeaderMap,
    outgoing: &Outgoing,
    host: &HeaderValue,
    attempted: Attempted<'_>,
    sign: Signer,
) -> Result<HeaderMap, Unsendable> {
    let (event, now) = (attempted.event, attempted.now);
    let mut headers = ours(host, &wanted);
    let mut id = [0; 36];
    let id = event.id.text(&mut id);
    headers.insert(WEBHOOK_ID, value(id)?);
    headers.insert(ATTEMPT, count(attempted.number));
    headers.insert(HOPS, count(u32::from(event.hops) + 1));
    traced(&mut headers, attempted)?;
    if let Some(secret) = &outgoing.sign {
        for (name, signed) in sign(secret, id, &outgoing.body, now) {
            let name = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| unsendable("a signature header has no name"))?;
            let mut signed = value(&signed)?;
            signed.set_sensitive(name.as_str().ends_with("signature"));
            headers.insert(name, signed);
        }
    }
    theirs(wanted, outgoing, &mut headers);
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

/// What every request of ours carries; only its name is the writer's to change.
fn ours(host: &HeaderValue, wanted: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(wanted.len() + OURS);
    headers.insert(HOST, host.clone());
    let agent = wanted.get(USER_AGENT).cloned();
    headers.insert(USER_AGENT, agent.unwrap_or(HeaderValue::from_static(AGENT)));
    // A body that nobody unpacks cannot explode.
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers
}

/// What the writer wants, but for what is ours.
fn theirs(wanted: HeaderMap, outgoing: &Outgoing, headers: &mut HeaderMap) {
    let mut skipped = false;
    let mut last = None;
    for (name, value) in wanted {
        // Further values of a name come without it.
        if let Some(name) = &name {
            skipped = headers.contains_key(name) || PER_CONNECTION.contains(name);
        }
        last = name.or(last);
        if let Some(name) = last.as_ref().filter(|_| !skipped) {
            headers.append(name.clone(), value);
        }
    }
    if !outgoing.body.is_empty()
        || matches!(outgoing.method, Method::POST | Method::PUT | Method::PATCH)
    {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(outgoing.body.len()));
    }
}

/// Most are 1.
fn count(count: u32) -> HeaderValue {
    match count {
        1 => HeaderValue::from_static("1"),
        count => HeaderValue::from(count),
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
/// How many headers are ours, most often.
const OURS: usize = 8;
/// What belongs to the connection is not a writer's to set.
static PER_CONNECTION: [HeaderName; 8] = [
    CONNECTION,
    CONTENT_LENGTH,
    HeaderName::from_static("keep-alive"),
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];
