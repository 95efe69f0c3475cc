//! From a row of the table to the deed.

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde_json::Value;

use super::answer::{self, Body, ok};
use super::endpoints::{self, Deed};
use super::operate::Dead;
use super::select::{Query, only, only_query};
use super::serve::HangUp;
use super::{
    House, Refusal, console, event_id, explain, health, jobs, links, openapi, operate, remote,
    show, status,
};

/// The largest webhook that `explain` takes.
const WEBHOOK_MAX: usize = 26 << 20;
/// The largest body of any other action.
const BODY_MAX: usize = 64 << 10;

type Answer = Result<Response<Body>, Refusal>;

/// A file of the console: no data is in it.
pub(super) fn page(path: &str) -> Answer {
    let found = console::file(path.trim_start_matches('/'));
    let (kind, bytes) = found.ok_or_else(|| Refusal::not_found(format!("there is no {path}")))?;
    let bytes = Bytes::from_static(bytes);
    Ok(answer::typed(StatusCode::OK, kind, bytes))
}

/// Whoever passed the guard is answered.
pub(super) async fn answer(house: &House, request: Request<Incoming>) -> Answer {
    let (parts, body) = request.into_parts();
    let found = endpoints::find(&parts.method, parts.uri.path())?;
    let name = found.name.as_str();
    let query = query(parts.uri.query().unwrap_or_default())?;
    if found.deed.reads() {
        return read(house, found.deed, name, &query, &parts.extensions).await;
    }
    if found.deed == Deed::Explain {
        only_query(&query, &["source", "event"])?;
        let body = body_of(body, WEBHOOK_MAX).await?;
        let explained = explain::answer(house, &parts.headers, &query, body).await?;
        return Ok(ok(&explained));
    }
    only_query(&query, &[])?;
    let body = body_of(body, BODY_MAX).await?;
    if !body.is_empty() && !is_json(&parts.headers) {
        let said = "changes are asked for as application/json";
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, said));
    }
    change(house, found.deed, name, &json_body(&body)?).await
}

/// What is looked at.
async fn read(
    house: &House,
    deed: Deed,
    name: &str,
    query: &Query,
    extensions: &http::Extensions,
) -> Answer {
    let shown = match deed {
        Deed::Events => show::events(house, query).await?,
        Deed::Dead => show::dead(house, query).await?,
        Deed::Links => links::list(house, query).await?,
        Deed::Conversations => remote::conversations(house, name, query).await?,
        _ => {
            only_query(query, &[])?;
            match deed {
                Deed::Alive => return Ok(answer::text(StatusCode::OK, "ok\n".to_owned())),
                Deed::Ready => return Ok(health::ready(house)),
                Deed::Metrics => return Ok(answer::text(StatusCode::OK, health::metrics(house))),
                Deed::OpenApi => return Ok(answer::json(StatusCode::OK, openapi::document())),
                Deed::Live => return live(house, extensions),
                Deed::Status => {
                    let seen = status::seen(house);
                    return Ok(answer::json(StatusCode::OK, Bytes::from(seen.json())));
                }
                Deed::Config => show::config(house),
                Deed::Event => show::event(house, event_id(name)?).await?,
                Deed::DeadLetter => show::dead_letter(house, name).await?,
                Deed::Jobs => house.jobs.list(),
                Deed::Job => house.jobs.show(name)?,
                Deed::Destination => status::destination(house, name)?,
                Deed::History => status::history(house, name)?,
                _ => return Err(Refusal::not_found("there is no such page")),
            }
        }
    };
    Ok(ok(&shown))
}

/// What is changed.
async fn change(house: &House, deed: Deed, name: &str, asked: &Value) -> Answer {
    let empty = || only(asked, &[]).map(drop);
    let done = match deed {
        Deed::DeadRetry => operate::dead(house, asked, Dead::Retry).await?,
        Deed::DeadDrop => operate::dead(house, asked, Dead::Drop).await?,
        Deed::Replay => operate::replay(house, asked).await?,
        Deed::LinksSet => links::set(house, asked).await?,
        Deed::LinksRemove => links::remove(house, asked).await?,
        Deed::Backfill => remote::backfill(house, asked).await?,
        Deed::JobStart => {
            let job = jobs::start(house, asked).await?;
            let body = Bytes::from(job.to_string());
            return Ok(answer::json(StatusCode::ACCEPTED, body));
        }
        _ => {
            empty()?;
            match deed {
                Deed::JobStop => house.jobs.stop(name)?,
                Deed::Check => operate::check(house).await?,
                Deed::Reload => operate::reload(house).await?,
                Deed::Pause => operate::pause(house, name, true)?,
                Deed::Resume => operate::pause(house, name, false)?,
                Deed::HubToken => remote::hub_token(house, name).await?,
                _ => return Err(Refusal::not_found("there is no such action")),
            }
        }
    };
    if deed != Deed::Check {
        // Whoever has the token may do it; that it was done is told.
        let copies = done.get("done").and_then(Value::as_u64);
        tracing::info!(?deed, name, done = copies, "operator.acted");
    }
    Ok(ok(&done))
}

fn live(house: &House, extensions: &http::Extensions) -> Answer {
    let hang_up = extensions.get::<HangUp>().cloned();
    let hang_up = hang_up.map_or_else(Default::default, |hang_up| hang_up.0);
    let look = status::look(house);
    let stream = (house.live).join(&house.tasks, &house.drain, hang_up, look)?;
    let kind = "text/event-stream";
    Ok(answer::of_kind(StatusCode::OK, kind, Body::Live(stream)))
}

/// Each name once: of two, one would be overlooked.
fn query(text: &str) -> Result<Query, Refusal> {
    let mut query = Query::new();
    for (name, value) in url::form_urlencoded::parse(text.as_bytes()).into_owned() {
        if query.contains_key(&name) {
            return Err(Refusal::bad_request(format!("{name} is said twice")));
        }
        query.insert(name, value);
    }
    Ok(query)
}

/// A page of another site can post forms and plain text, but not JSON.
fn is_json(headers: &http::HeaderMap) -> bool {
    let kind = headers.get(http::header::CONTENT_TYPE);
    kind.and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

async fn body_of(body: Incoming, bytes_max: usize) -> Result<Bytes, Refusal> {
    match Limited::new(body, bytes_max).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the body is longer than {bytes_max} bytes"),
        )),
        Err(error) => Err(Refusal::bad_request(format!(
            "the body could not be read: {error}"
        ))),
    }
}

/// Nothing and null say as much as an empty object.
fn json_body(body: &[u8]) -> Result<Value, Refusal> {
    let body = if body.is_empty() { b"null" } else { body };
    let body = serde_json::from_slice(body)
        .map_err(|error| Refusal::bad_request(format!("the body is not JSON: {error}")))?;
    Ok(match body {
        Value::Null => Value::Object(serde_json::Map::new()),
        body => body,
    })
}
