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

/// Where a request goes, as hyper wants it.
#[derive(Debug)]
struct Address {
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

/// A destination's last request: most go there again, with the same headers but
/// for a few.
#[derive(Debug)]
pub(super) struct Last {
    address: Address,
    /// What the writer wanted.
    wanted: HeaderMap,
    /// What became of that: all headers, but for the values that `fill` writes.
    headers: HeaderMap,
}

impl Last {
    fn of(address: Address, wanted: HeaderMap) -> Self {
        let mut headers = ours(&address.host, &wanted);
        // In their places, where `fill` finds them.
        for name in [WEBHOOK_ID, ATTEMPT, HOPS] {
            headers.insert(name, HeaderValue::from_static(""));
        }
        theirs(&wanted, &mut headers);
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static(""));
        Self {
            address,
            wanted,
            headers,
        }
    }

    /// The last request, if it was like this one, or else this one. Takes what
    /// the writer wants.
    fn like<'l>(last: &'l mut Option<Self>, this: &mut Outgoing) -> Result<&'l Self, Unsendable> {
        let wanted = std::mem::take(&mut this.headers);
        let address = match last.take().filter(|last| last.address.url == this.url) {
            Some(like) if is_same(&like.wanted, &wanted) => return Ok(last.insert(like)),
            Some(like) => like.address,
            None => Address::of(&this.url)?,
        };
        Ok(last.insert(Self::of(address, wanted)))
    }
}

/// In the same order, too, and as secret.
fn is_same(some: &HeaderMap, others: &HeaderMap) -> bool {
    let alike = |((name, value), (other_name, other)): ((&_, &HeaderValue), (&_, &HeaderValue))| {
        name == other_name && value == other && value.is_sensitive() == other.is_sensitive()
    };
    some.len() == others.len() && some.iter().zip(others).all(alike)
}

/// The bytes of one request of an attempt. `last`: the destination's one before,
/// and then this one.
pub(super) fn request(
    mut outgoing: Outgoing,
    attempted: Attempted<'_>,
    sign: Signer,
    last: &mut Option<Last>,
) -> Result<Sent, Unsendable> {
    let like = Last::like(last, &mut outgoing)?;
    let mut headers = like.headers.clone();
    fill(&mut headers, &outgoing, attempted, sign)?;
    Ok(sent(outgoing, like.address.uri.clone(), headers))
}

/// The bytes of a question that belongs to no event.
pub(super) fn question(outgoing: &Outgoing) -> Result<Sent, Unsendable> {
    let Address { uri, host, .. } = Address::of(&outgoing.url)?;
    let mut headers = ours(&host, &outgoing.headers);
    theirs(&outgoing.headers, &mut headers);
    sized(&mut headers, outgoing);
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
    let mut headers = Last::of(Address::of(&outgoing.url)?, outgoing.headers.clone()).headers;
    fill(&mut headers, outgoing, attempted, sign)?;
    Ok(headers)
}

/// Writes what is this request's own over what was another's.
fn fill(
    headers: &mut HeaderMap,
    outgoing: &Outgoing,
    attempted: Attempted<'_>,
    sign: Signer,
) -> Result<(), Unsendable> {
    let (event, now) = (attempted.event, attempted.now);
    let mut id = [0; 36];
    let id = event.id.text(&mut id);
    headers.insert(WEBHOOK_ID, value(id)?);
    headers.insert(ATTEMPT, count(attempted.number));
    headers.insert(HOPS, count(u32::from(event.hops) + 1));
    traced(headers, attempted)?;
    if let Some(secret) = &outgoing.sign {
        for (name, signed) in sign(secret, id, &outgoing.body, now) {
            let name = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| unsendable("a signature header has no name"))?;
            let mut signed = value(&signed)?;
            signed.set_sensitive(name.as_str().ends_with("signature"));
            headers.insert(name, signed);
        }
    }
    sized(headers, outgoing);
    Ok(())
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
    let mut states = event
        .headers
        .iter()
        .filter(|(name, _)| **name == *trace::TRACESTATE);
    if let Some((_, state)) = states.next() {
        headers.insert(trace::TRACESTATE, value(state)?);
    }
    for (_, state) in states {
        headers.append(trace::TRACESTATE, value(state)?);
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
fn theirs(wanted: &HeaderMap, headers: &mut HeaderMap) {
    for name in wanted.keys() {
        if !headers.contains_key(name) && !PER_CONNECTION.contains(name) {
            for value in wanted.get_all(name) {
                headers.append(name, value.clone());
            }
        }
    }
}

fn sized(headers: &mut HeaderMap, outgoing: &Outgoing) {
    let expected = matches!(outgoing.method, Method::POST | Method::PUT | Method::PATCH);
    if expected || !outgoing.body.is_empty() {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(outgoing.body.len()));
    } else {
        headers.remove(CONTENT_LENGTH);
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
