//! Who may ask: token, Host allow-list against rebinding, Sec-Fetch and Origin
//! against foreign pages, changes by POST only.

use http::{HeaderMap, Method, StatusCode, header};
use subtle::ConstantTimeEq;

use super::{House, Refusal, endpoints};

/// Whom the guard lets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// Anybody who came by a name of ours, to the console's own files.
    Page,
    /// Whoever may do what the table says.
    Caller,
}

/// Lets a request in, or says why not.
pub fn admit(
    house: &House,
    method: &Method,
    path: &str,
    headers: &HeaderMap,
) -> Result<Admitted, Refusal> {
    let in_force = house.in_force.load();
    let token = in_force
        .admin_token
        .as_ref()
        .map(crate::secret::Secret::expose);
    check(method, path, headers, token, &in_force.hosts)
}

/// The decision, apart from where its facts come from.
fn check(
    method: &Method,
    path: &str,
    headers: &HeaderMap,
    token: Option<&[u8]>,
    hosts: &[String],
) -> Result<Admitted, Refusal> {
    if token.is_some() && endpoints::is_open(method, path) {
        return Ok(Admitted::Caller);
    }
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(header::HOST).unwrap_or_default();
    let own = hosts.iter().any(|known| is_called(host, known));
    let ours = own || (token.is_some() && cannot_be_a_strangers(host));
    if !ours {
        return Err(Refusal::new(
            StatusCode::MISDIRECTED_REQUEST,
            "this Host is not one of the admin address's names; server.admin_names adds one",
        ));
    }
    if *method == Method::GET && is_page(path) {
        return Ok(Admitted::Page);
    }
    if let Some(token) = token {
        let given = text(header::AUTHORIZATION)
            .and_then(|value| value.strip_prefix("Bearer "))
            .unwrap_or_default();
        if !bool::from(given.as_bytes().ct_eq(token)) {
            return Err(Refusal::new(
                StatusCode::UNAUTHORIZED,
                "needs Authorization: Bearer <admin_token>",
            ));
        }
    }
    if from_another_site(method, headers) {
        return Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "this is not answered to another site's page",
        ));
    }
    Ok(Admitted::Caller)
}

/// A name that is known without a port may be called by any.
fn is_called(host: &str, known: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, _port)) if !known.contains(':') => name,
        _ => host,
    };
    known.eq_ignore_ascii_case(name)
}

/// The console's own files: no data is in them.
fn is_page(path: &str) -> bool {
    path == "/" || path.starts_with("/console/")
}

/// A name that nobody far away can make point here: an address, a name without
/// a dot, or one that no registry gives out. Clusters use such names, and a
/// page that rebinds its own name has another one.
fn cannot_be_a_strangers(host: &str) -> bool {
    const NEVER_GIVEN_OUT: [&str; 5] = [".localhost", ".local", ".internal", ".svc", ".home.arpa"];
    let Ok(url) = url::Url::parse(&format!("http://{host}/")) else {
        return false;
    };
    match url.host() {
        Some(url::Host::Domain(name)) => {
            !name.contains('.') || NEVER_GIVEN_OUT.iter().any(|end| name.ends_with(end))
        }
        Some(url::Host::Ipv4(_) | url::Host::Ipv6(_)) => true,
        None => false,
    }
}

/// What a browser says about whose page asks. Following a link here shows
/// data to nobody but who followed it.
fn from_another_site(method: &Method, headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str());
    match text("sec-fetch-site") {
        Some(Ok("same-origin" | "none")) => false,
        Some(_) => {
            let link = matches!(text("sec-fetch-mode"), Some(Ok("navigate")));
            !(link && *method == Method::GET)
        }
        None => match text("origin") {
            None => false,
            Some(origin) => {
                let host = origin.ok().and_then(|origin| origin.split_once("://"));
                let own = text("host").and_then(Result::ok);
                host.map(|(_, host)| host) != own
            }
        },
    }
}

#[cfg(test)]
mod tests;
