//! The one table of what the admin address answers: the guard, the dispatcher
//! and the test of the OpenAPI document all read it.

use http::{Method, StatusCode};
use percent_encoding::percent_decode_str;

use super::Refusal;

/// One row: a method, a path, what it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub verb: Verb,
    /// `{name}` stands for one segment's text up to a `:`.
    pub path: &'static str,
    pub deed: Deed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Get,
    Post,
}

impl Verb {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }

    fn is(self, method: &Method) -> bool {
        method.as_str() == self.as_str()
    }
}

/// What an endpoint does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    Live,
    Status,
    Config,
    Check,
    Reload,
    Explain,
    Events,
    Event,
    Replay,
    Dead,
    DeadLetter,
    DeadRetry,
    DeadDrop,
    Jobs,
    Job,
    JobStart,
    JobStop,
    Destination,
    History,
    Pause,
    Resume,
    Conversations,
    HubToken,
    Links,
    LinksSet,
    LinksRemove,
    Backfill,
    OpenApi,
    Alive,
    Ready,
    Metrics,
}

impl Deed {
    /// Changes nothing.
    pub fn reads(self) -> bool {
        let row = ENDPOINTS.iter().find(|endpoint| endpoint.deed == self);
        row.is_some_and(|endpoint| endpoint.verb == Verb::Get)
    }

    /// Answers without a token even where one is set: probes and scrapes.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Alive | Self::Ready | Self::Metrics)
    }
}

const fn get(path: &'static str, deed: Deed) -> Endpoint {
    let verb = Verb::Get;
    Endpoint { verb, path, deed }
}

const fn post(path: &'static str, deed: Deed) -> Endpoint {
    let verb = Verb::Post;
    Endpoint { verb, path, deed }
}

/// Everything there is, besides the console's own files.
pub const ENDPOINTS: &[Endpoint] = &[
    get("/livez", Deed::Alive),
    get("/readyz", Deed::Ready),
    get("/metrics", Deed::Metrics),
    get("/api/v1/openapi.json", Deed::OpenApi),
    get("/api/v1/live", Deed::Live),
    get("/api/v1/status", Deed::Status),
    get("/api/v1/config", Deed::Config),
    post("/api/v1/check", Deed::Check),
    post("/api/v1/reload", Deed::Reload),
    post("/api/v1/explain", Deed::Explain),
    get("/api/v1/events", Deed::Events),
    get("/api/v1/events/{id}", Deed::Event),
    post("/api/v1/replay", Deed::Replay),
    get("/api/v1/dead", Deed::Dead),
    get("/api/v1/dead/{id}", Deed::DeadLetter),
    post("/api/v1/dead:retry", Deed::DeadRetry),
    post("/api/v1/dead:drop", Deed::DeadDrop),
    get("/api/v1/jobs", Deed::Jobs),
    post("/api/v1/jobs", Deed::JobStart),
    get("/api/v1/jobs/{id}", Deed::Job),
    post("/api/v1/jobs/{id}:stop", Deed::JobStop),
    get("/api/v1/destinations/{name}", Deed::Destination),
    get("/api/v1/destinations/{name}/history", Deed::History),
    get(
        "/api/v1/destinations/{name}/conversations",
        Deed::Conversations,
    ),
    post("/api/v1/destinations/{name}:pause", Deed::Pause),
    post("/api/v1/destinations/{name}:resume", Deed::Resume),
    post("/api/v1/destinations/{name}:hub-token", Deed::HubToken),
    get("/api/v1/links", Deed::Links),
    post("/api/v1/links:set", Deed::LinksSet),
    post("/api/v1/links:remove", Deed::LinksRemove),
    post("/api/v1/backfill", Deed::Backfill),
];

/// A request's place in the table.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) deed: Deed,
    /// What stands where the path has braces; empty where it has none.
    pub(super) name: String,
}

/// Finds the row of a request; 404 and 405 are for whoever passed the guard.
pub(super) fn find(method: &Method, path: &str) -> Result<Found, Refusal> {
    let mut allow = None;
    for endpoint in ENDPOINTS {
        let Some(name) = capture(endpoint.path, path) else {
            continue;
        };
        if endpoint.verb.is(method) {
            let name = percent_decode_str(name).decode_utf8().map_err(|_| {
                Refusal::bad_request("the path is no UTF-8 where its percent signs are resolved")
            })?;
            return Ok(Found {
                deed: endpoint.deed,
                name: name.into_owned(),
            });
        }
        allow = match allow {
            None => Some(endpoint.verb.as_str()),
            Some(_) => Some("GET, POST"),
        };
    }
    match allow {
        None => Err(Refusal::not_found(format!("there is no {path}"))),
        Some(allow) => {
            let said = format!("{path} takes {allow}: read with GET, change with POST");
            let mut refusal = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, said);
            refusal.allow = Some(allow);
            Err(refusal)
        }
    }
}

/// Whether this is one of the pages that need no token. Guessed from the path
/// as it stands, so that nothing else can look like one.
pub(super) fn is_open(method: &Method, path: &str) -> bool {
    let open = |endpoint: &&Endpoint| endpoint.deed.is_open();
    let mut open = ENDPOINTS.iter().filter(open);
    open.any(|endpoint| endpoint.verb.is(method) && endpoint.path == path)
}

/// What stands for the braces of a pattern, if the path is of its form.
fn capture<'a>(pattern: &str, path: &'a str) -> Option<&'a str> {
    let Some((before, rest)) = pattern.split_once('{') else {
        return (pattern == path).then_some("");
    };
    let (_, after) = rest.split_once('}')?;
    let name = path.strip_prefix(before)?.strip_suffix(after)?;
    (!name.is_empty() && !name.contains(['/', ':'])).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(method: &str, path: &str) -> Result<(Deed, String), u16> {
        let method: Method = method.parse().unwrap();
        match find(&method, path) {
            Ok(found) => Ok((found.deed, found.name)),
            Err(refusal) => Err(refusal.status.as_u16()),
        }
    }

    #[test]
    fn a_request_finds_its_row_or_is_told_why_not() {
        let named = |deed, name: &str| Ok((deed, name.to_owned()));
        let base = "/api/v1/destinations/";
        for (method, path, expected) in [
            ("GET", "/api/v1/status".to_owned(), named(Deed::Status, "")),
            ("GET", format!("{base}crm"), named(Deed::Destination, "crm")),
            (
                "GET",
                format!("{base}a%20b"),
                named(Deed::Destination, "a b"),
            ),
            (
                "GET",
                format!("{base}crm/history"),
                named(Deed::History, "crm"),
            ),
            (
                "POST",
                format!("{base}crm:pause"),
                named(Deed::Pause, "crm"),
            ),
            (
                "POST",
                format!("{base}q.fetch:resume"),
                named(Deed::Resume, "q.fetch"),
            ),
            ("GET", format!("{base}crm:pause"), Err(405)),
            ("POST", format!("{base}crm"), Err(405)),
            ("POST", format!("{base}crm:burn"), Err(404)),
            ("GET", base.to_owned(), Err(404)),
            ("GET", format!("{base}%ff"), Err(400)),
            ("PUT", "/api/v1/jobs".to_owned(), Err(405)),
            ("GET", "/api/v1/status/".to_owned(), Err(404)),
            ("GET", "/api/v1/Status".to_owned(), Err(404)),
        ] {
            assert_eq!(found(method, &path), expected, "{method} {path}");
        }
        let both = find(&Method::PUT, "/api/v1/jobs").unwrap_err();
        assert_eq!(both.allow, Some("GET, POST"));
    }

    #[test]
    fn no_row_hides_another() {
        for row in ENDPOINTS {
            let path = row.path.replace("{name}", "x").replace("{id}", "x");
            let method: Method = row.verb.as_str().parse().unwrap();
            assert_eq!(find(&method, &path).unwrap().deed, row.deed, "{path}");
        }
    }

    #[test]
    fn only_the_three_pages_of_probes_are_open() {
        for path in ["/livez", "/readyz", "/metrics"] {
            assert!(is_open(&Method::GET, path));
            assert!(!is_open(&Method::POST, path));
        }
        for path in [
            "/livez/",
            "//livez",
            "/api/v1/status",
            "/metrics?",
            "/%6civez",
        ] {
            assert!(!is_open(&Method::GET, path), "{path}");
        }
    }
}
