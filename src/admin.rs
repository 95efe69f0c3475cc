//! The operator's side: health, metrics and the JSON API that the command line
//! and the console read. It shows what is, and asks the gateway by [`Command`].

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use dashmap::DashMap;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, Timestamp};
use crate::deliver::{Accounts, Worker};
use crate::event::{DestinationName, EventId};
use crate::ingress::{Front, Ingress};
use crate::links::Links;
use crate::log::Log;
use crate::metrics::Metrics;
use crate::secret::Secret;

pub mod explain;
pub mod guard;
pub mod health;
mod links;
pub mod operate;
mod remote;
pub mod show;

/// The largest webhook that `explain` takes.
const WEBHOOK_MAX: usize = 26 << 20;
/// The largest body of any other action.
const BODY_MAX: usize = 64 << 10;
const CONNECTIONS_MAX: usize = 256;
const HEAD_PATIENCE: Duration = Duration::from_secs(10);
const ANSWER_PATIENCE: Duration = Duration::from_secs(60);

/// What the operator's side sees of the running gateway. Clones share it.
#[derive(Clone, Debug)]
pub struct House {
    pub log: Log,
    pub links: Links,
    pub accounts: Accounts,
    pub clock: Clock,
    pub metrics: Arc<Metrics>,
    pub front: Arc<ArcSwap<Front>>,
    pub in_force: Arc<ArcSwap<InForce>>,
    pub workers: Arc<DashMap<DestinationName, Worker>>,
    pub progress: Arc<health::Progress>,
    pub commands: mpsc::Sender<Command>,
}

impl House {
    /// The way in for events: those posted, those fetched.
    pub fn ingress(&self) -> Ingress {
        Ingress {
            front: Arc::clone(&self.front),
            log: self.log.clone(),
            links: self.links.clone(),
            clock: self.clock.clone(),
            metrics: Arc::clone(&self.metrics),
        }
    }
}

/// The configuration in force, as far as an operator is shown it.
#[derive(Debug, Default)]
pub struct InForce {
    pub hash: String,
    pub applied_at: Timestamp,
    /// Files and their texts; secrets are references there.
    pub texts: Vec<(String, String)>,
    pub warnings: Value,
    pub admin_token: Option<Secret>,
    /// Names the admin address may be called by.
    pub hosts: Vec<String>,
}

/// What the operator's side asks of the whole.
#[derive(Debug)]
pub enum Command {
    /// Answers with the new hash, or with the complaints as `check --json` has them.
    Reload(oneshot::Sender<Result<String, Value>>),
}

/// An answer that is not a success: a status and a sentence for the operator.
#[derive(Debug)]
pub struct Refusal {
    pub status: StatusCode,
    pub body: Value,
}

impl Refusal {
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("error");
        let body = json!({"type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail.into()});
        Self { status, body }
    }

    fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    fn not_found(what: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, what)
    }
}

impl From<std::io::Error> for Refusal {
    fn from(error: std::io::Error) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("reading the log: {error}"),
        )
    }
}

impl From<crate::log::AppendError> for Refusal {
    fn from(error: crate::log::AppendError) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
    }
}

type Answer = Result<Response<Full<Bytes>>, Refusal>;

/// Serves until `drain` is cancelled.
pub async fn serve(listener: TcpListener, house: House, drain: CancellationToken) {
    let mut connections: JoinSet<()> = JoinSet::new();
    loop {
        let stream = tokio::select! {
            () = drain.cancelled() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "admin.accept");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    continue;
                }
            },
        };
        let house = house.clone();
        connections.spawn(async move {
            let answer = service_fn(move |request| {
                let house = house.clone();
                async move { Ok::<_, Infallible>(answer(&house, request).await) }
            });
            let served = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_PATIENCE)
                .serve_connection(TokioIo::new(stream), answer)
                .await;
            if let Err(error) = served {
                tracing::debug!(%error, "admin.connection");
            }
        });
    }
}

/// One request to its answer: the guard first, then the table.
async fn answer(house: &House, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let answered = match guard::admit(
        house,
        request.method(),
        request.uri().path(),
        request.headers(),
    ) {
        Ok(()) => match tokio::time::timeout(ANSWER_PATIENCE, dispatch(house, request)).await {
            Ok(answered) => answered,
            Err(_elapsed) => Err(Refusal::new(
                StatusCode::GATEWAY_TIMEOUT,
                "it took longer than a minute; narrow the filter",
            )),
        },
        Err(refusal) => Err(refusal),
    };
    let mut response =
        answered.unwrap_or_else(|refusal| json_answer(refusal.status, &refusal.body));
    let headers = response.headers_mut();
    headers.insert(
        http::header::CACHE_CONTROL,
        http::HeaderValue::from_static("no-store"),
    );
    headers.insert(
        http::header::X_CONTENT_TYPE_OPTIONS,
        http::HeaderValue::from_static("nosniff"),
    );
    response
}

/// The table of routes.
async fn dispatch(house: &House, request: Request<Incoming>) -> Answer {
    let (parts, body) = request.into_parts();
    let query: HashMap<String, String> =
        url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes())
            .into_owned()
            .collect();
    let path = parts.uri.path().trim_start_matches('/').to_owned();
    if parts.method == Method::GET {
        return match path.as_str() {
            "livez" => Ok(text_answer(StatusCode::OK, "ok\n".to_owned())),
            "readyz" => Ok(health::ready(house)),
            "metrics" => Ok(text_answer(StatusCode::OK, health::metrics(house))),
            "api/v1/status" => Ok(ok(&show::status(house))),
            "api/v1/config" => Ok(ok(&show::config(house))),
            "api/v1/events" => Ok(ok(&show::events(house, &query).await?)),
            "api/v1/links" => Ok(ok(&links::list(house, &query).await?)),
            "api/v1/dead" => Ok(ok(&show::dead(house, &query).await?)),
            other => one(house, other, &query).await,
        };
    }
    let webhook = path == "api/v1/explain";
    let body = body_of(body, if webhook { WEBHOOK_MAX } else { BODY_MAX }).await?;
    if !webhook && !body.is_empty() && !is_json(&parts.headers) {
        let said = "changes are asked for as application/json";
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, said));
    }
    match path.as_str() {
        "api/v1/reload" => operate::reload(house).await,
        "api/v1/dead:retry" => Ok(ok(&operate::dead(
            house,
            &json_body(&body)?,
            operate::Dead::Retry,
        )
        .await?)),
        "api/v1/dead:drop" => Ok(ok(&operate::dead(
            house,
            &json_body(&body)?,
            operate::Dead::Drop,
        )
        .await?)),
        "api/v1/links:set" => Ok(ok(&links::set(house, &json_body(&body)?).await?)),
        "api/v1/links:remove" => Ok(ok(&links::remove(house, &json_body(&body)?).await?)),
        "api/v1/backfill" => Ok(ok(&remote::backfill(house, &json_body(&body)?).await?)),
        "api/v1/replay" => Ok(ok(&operate::replay(house, &json_body(&body)?).await?)),
        "api/v1/explain" => Ok(ok(
            &explain::answer(house, &parts.headers, &query, body).await?
        )),
        other => match other
            .strip_prefix("api/v1/destinations/")
            .and_then(|rest| rest.rsplit_once(':'))
        {
            Some((name, "pause")) => Ok(ok(&operate::pause(house, name, true)?)),
            Some((name, "resume")) => Ok(ok(&operate::pause(house, name, false)?)),
            Some((name, "hub-token")) => Ok(ok(&remote::hub_token(house, name).await?)),
            _ => Err(Refusal::not_found("there is no such action")),
        },
    }
}

/// Pages whose path names a thing.
async fn one(house: &House, path: &str, query: &HashMap<String, String>) -> Answer {
    if let Some(id) = path.strip_prefix("api/v1/events/") {
        return Ok(ok(&show::event(house, event_id(id)?).await?));
    }
    if let Some(id) = path.strip_prefix("api/v1/dead/") {
        return Ok(ok(&show::dead_letter(house, id).await?));
    }
    let destination = path.strip_prefix("api/v1/destinations/");
    if let Some(name) = destination.and_then(|rest| rest.strip_suffix("/conversations")) {
        return Ok(ok(&remote::conversations(house, name, query).await?));
    }
    Err(Refusal::not_found("there is no such page"))
}

/// A page of another site can post forms and plain text, but not JSON.
fn is_json(headers: &http::HeaderMap) -> bool {
    let kind = headers.get(http::header::CONTENT_TYPE);
    kind.and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.split(';').next() == Some("application/json"))
}

async fn body_of(body: Incoming, bytes_max: usize) -> Result<Bytes, Refusal> {
    match Limited::new(body, bytes_max).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) => Err(Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the body could not be read: {error}"),
        )),
    }
}

fn json_body(body: &[u8]) -> Result<Value, Refusal> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body)
        .map_err(|error| Refusal::bad_request(format!("the body is not JSON: {error}")))
}

fn event_id(text: &str) -> Result<EventId, Refusal> {
    EventId::parse(text)
        .ok_or_else(|| Refusal::bad_request(format!("{text:?} is no event id; ids are UUIDs")))
}

pub(crate) fn ok(body: &Value) -> Response<Full<Bytes>> {
    json_answer(StatusCode::OK, body)
}

fn json_answer(status: StatusCode, body: &Value) -> Response<Full<Bytes>> {
    let kind = if status.is_success() {
        "application/json"
    } else {
        "application/problem+json"
    };
    typed_answer(status, kind, body.to_string())
}

fn text_answer(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    typed_answer(status, "text/plain; version=0.0.4; charset=utf-8", body)
}

fn typed_answer(
    status: StatusCode,
    content_type: &'static str,
    body: String,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(
        http::header::CONTENT_TYPE,
        http::HeaderValue::from_static(content_type),
    );
    response
}

/// Names by which a browser may call an admin address: rebinding attacks come
/// with another one.
pub fn host_names(address: SocketAddr) -> Vec<String> {
    let port = address.port();
    let mut hosts = vec![address.to_string()];
    if address.ip().is_loopback() || address.ip().is_unspecified() {
        hosts.extend([
            format!("localhost:{port}"),
            format!("127.0.0.1:{port}"),
            format!("[::1]:{port}"),
        ]);
    }
    hosts
}
