//! Which of a request's headers an event keeps: enough to route and forward
//! by, nothing that proves identity.

use std::sync::Arc;

use http::HeaderMap;

const HEADERS_MAX: usize = 64;
/// Names and values together.
const BYTES_MAX: usize = 8 << 10;

/// A name that holds one of these is taken for a credential.
const CREDENTIALS: &[&str] = &[
    "auth",
    "cookie",
    "token",
    "secret",
    "signature",
    "password",
    "api-key",
    "apikey",
    "credential",
];

/// Between two hops only, or about the bytes on this one wire.
const HOP_BY_HOP: &[&str] = &[
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "content-length",
    "expect",
    "hookfan-hops",
];

/// Lower-case names and values. `wanted` (what the source's selectors look
/// at) come first and whatever they are called, unless they are proof.
pub(super) fn kept(
    headers: &HeaderMap,
    wanted: &[String],
    proof: &[String],
) -> Vec<(Arc<str>, Arc<str>)> {
    let is_proof = |name: &str| proof.iter().any(|proof| proof == name);
    let is_wanted = |name: &str| wanted.iter().any(|wanted| wanted == name);
    let is_harmless = |name: &str| {
        !HOP_BY_HOP.contains(&name) && !CREDENTIALS.iter().any(|word| name.contains(word))
    };
    // What `Connection` names is hop-by-hop too.
    let connection: Vec<&str> = headers
        .get_all("connection")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect();
    let is_nominated = |name: &str| {
        connection
            .iter()
            .flat_map(|value| value.split(','))
            .any(|word| word.trim().eq_ignore_ascii_case(name))
    };

    let mut kept = Vec::new();
    let mut bytes_left = BYTES_MAX;
    for wanted_pass in [true, false] {
        for (name, value) in headers {
            let name = name.as_str();
            let keep = if wanted_pass {
                is_wanted(name)
            } else {
                !is_wanted(name) && is_harmless(name) && !is_nominated(name)
            };
            let Ok(value) = std::str::from_utf8(value.as_bytes()) else {
                continue;
            };
            if !keep || is_proof(name) || kept.len() == HEADERS_MAX {
                continue;
            }
            // One that does not fit is left out; a smaller one after it may still fit.
            if let Some(left) = bytes_left.checked_sub(name.len() + value.len()) {
                bytes_left = left;
                kept.push((Arc::from(name), Arc::from(value)));
            }
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(headers: &[(&str, &str)], wanted: &[&str], proof: &[&str]) -> Vec<String> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(
                http::HeaderName::from_bytes(name.as_bytes()).unwrap(),
                value.parse().unwrap(),
            );
        }
        let texts = |names: &[&str]| {
            names
                .iter()
                .map(|name| (*name).to_owned())
                .collect::<Vec<_>>()
        };
        kept(&map, &texts(wanted), &texts(proof))
            .into_iter()
            .map(|(name, _)| name.to_string())
            .collect()
    }

    #[test]
    fn nothing_that_proves_identity_is_kept() {
        let headers = [
            ("Content-Type", "application/json"),
            ("Authorization", "Bearer x"),
            ("Proxy-Authorization", "x"),
            ("Cookie", "x"),
            ("Set-Cookie", "x"),
            ("X-Hook-Token", "x"),
            ("X-Secret-Thing", "x"),
            ("X-Hub-Signature", "x"),
            ("X-Password", "x"),
            ("X-Api-Key", "x"),
            ("X-Proof", "x"),
            ("Connection", "close, X-Hop"),
            ("X-Hop", "x"),
            ("Transfer-Encoding", "chunked"),
            ("hookfan-hops", "1"),
            ("X-Shop-Topic", "order"),
        ];
        assert_eq!(
            names(&headers, &[], &["x-proof"]),
            ["content-type", "x-shop-topic"]
        );
    }

    #[test]
    fn what_the_source_looks_at_is_kept_first_unless_it_is_proof() {
        let headers = [("X-A", "1"), ("X-Author-Id", "2"), ("X-Proof", "3")];
        assert_eq!(
            names(&headers, &["x-author-id", "x-proof"], &["x-proof"]),
            ["x-author-id", "x-a"]
        );
    }

    #[test]
    fn headers_are_kept_up_to_a_number_and_a_size() {
        let many: Vec<String> = (0..100).map(|i| format!("x-{i}")).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|name| (name.as_str(), "1")).collect();
        assert_eq!(names(&many, &[], &[]).len(), HEADERS_MAX);
        let big = "b".repeat(BYTES_MAX - 100);
        let headers = [
            ("x-one", big.as_str()),
            ("x-two", big.as_str()),
            ("x-small", "1"),
        ];
        assert_eq!(names(&headers, &[], &[]).len(), 2);
        assert_eq!(names(&headers, &["x-two"], &[]), ["x-two", "x-small"]);
    }
}
