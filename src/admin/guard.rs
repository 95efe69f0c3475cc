//! Who may ask: token, Host allow-list against rebinding, Sec-Fetch and Origin
//! against foreign pages, changes by POST only.

use http::{HeaderMap, Method, StatusCode, header};
use subtle::ConstantTimeEq;

use super::{House, Refusal};

/// Pages that stay open when a token is set.
const OPEN: [&str; 3] = ["/livez", "/readyz", "/metrics"];

/// Lets a request in, or says why not.
pub fn admit(
    house: &House,
    method: &Method,
    path: &str,
    headers: &HeaderMap,
) -> Result<(), Refusal> {
    let in_force = house.in_force.load();
    if method != Method::GET && method != Method::POST {
        return Err(Refusal::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "read with GET, change with POST",
        ));
    }
    let token = in_force
        .admin_token
        .as_ref()
        .map(crate::secret::Secret::expose);
    if token.is_some() && OPEN.contains(&path) && method == Method::GET {
        return Ok(());
    }
    check(method, headers, token, &in_force.hosts)
}

/// The decision, apart from where its facts come from.
fn check(
    method: &Method,
    headers: &HeaderMap,
    token: Option<&[u8]>,
    hosts: &[String],
) -> Result<(), Refusal> {
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    // With a token a foreign name is harmless (a page cannot know the token)
    // and often wanted (a cluster's service name).
    if token.is_none()
        && !text(header::HOST)
            .is_some_and(|host| hosts.iter().any(|known| known.eq_ignore_ascii_case(host)))
    {
        return Err(Refusal::new(
            StatusCode::MISDIRECTED_REQUEST,
            "this Host is not one of the admin address's names; set admin_token to allow others",
        ));
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
    if method == Method::POST {
        let foreign = match headers.get("sec-fetch-site").map(|value| value.to_str()) {
            Some(Ok("same-origin" | "none")) => false,
            Some(_) => true,
            None => text(header::ORIGIN).is_some_and(|origin| {
                let host = origin.split_once("://").map_or(origin, |(_, host)| host);
                text(header::HOST) != Some(host)
            }),
        };
        if foreign {
            return Err(Refusal::new(
                StatusCode::FORBIDDEN,
                "changes are not taken from another site's page",
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "127.0.0.1:9090";

    fn verdict(
        method: &Method,
        token: Option<&[u8]>,
        given: &[(&'static str, &'static str)],
    ) -> u16 {
        let mut headers = HeaderMap::new();
        for (name, value) in given {
            headers.append(*name, http::HeaderValue::from_static(value));
        }
        match check(
            method,
            &headers,
            token,
            &[HOST.to_owned(), "localhost:9090".to_owned()],
        ) {
            Ok(()) => 200,
            Err(refusal) => refusal.status.as_u16(),
        }
    }

    #[test]
    fn a_foreign_host_is_misdirected_unless_a_token_proves_the_caller() {
        assert_eq!(verdict(&Method::GET, None, &[("host", HOST)]), 200);
        assert_eq!(
            verdict(&Method::GET, None, &[("host", "LOCALHOST:9090")]),
            200
        );
        assert_eq!(
            verdict(&Method::GET, None, &[("host", "evil.example")]),
            421
        );
        assert_eq!(verdict(&Method::GET, None, &[]), 421);
        assert_eq!(
            verdict(
                &Method::GET,
                Some(b"tok"),
                &[("host", "hookfan.svc"), ("authorization", "Bearer tok")]
            ),
            200
        );
    }

    #[test]
    fn a_token_is_compared_whole() {
        for given in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer to",
            "Bearer tokk",
            "Basic tok",
            "tok",
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("authorization", http::HeaderValue::from_str(given).unwrap());
            let refused = check(&Method::GET, &headers, Some(b"tok"), &[]).unwrap_err();
            assert_eq!(refused.status.as_u16(), 401, "{given:?}");
        }
    }

    #[test]
    fn a_change_is_not_taken_from_a_foreign_page() {
        let post = |extra: &[(&'static str, &'static str)]| {
            let mut given = vec![("host", HOST)];
            given.extend_from_slice(extra);
            verdict(&Method::POST, None, &given)
        };
        assert_eq!(post(&[]), 200);
        assert_eq!(post(&[("sec-fetch-site", "same-origin")]), 200);
        assert_eq!(post(&[("sec-fetch-site", "none")]), 200);
        assert_eq!(post(&[("sec-fetch-site", "cross-site")]), 403);
        assert_eq!(post(&[("sec-fetch-site", "same-site")]), 403);
        assert_eq!(post(&[("origin", "http://127.0.0.1:9090")]), 200);
        assert_eq!(post(&[("origin", "https://evil.example")]), 403);
        assert_eq!(post(&[("origin", "null")]), 403);
    }
}
