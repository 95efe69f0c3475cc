//! Which of a request's headers an event keeps: enough to route and forward
//! by, nothing that proves identity.

use std::sync::Arc;

use http::HeaderMap;

const HEADERS_MAX: usize = 64;
/// Names and values together.
const BYTES_MAX: usize = 8 << 10;

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
    let is_harmless = |name: &str| !HOP_BY_HOP.contains(&name) && !is_credential(name);
    // What `Connection` names is hop-by-hop too.
    let connection: Vec<&str> = headers
        .get_all(http::header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect();
    let is_nominated = |name: &str| {
        connection
            .iter()
            .flat_map(|value| value.split(','))
            .any(|word| word.trim().eq_ignore_ascii_case(name))
    };

    let mut kept = Vec::with_capacity(headers.len().min(HEADERS_MAX));
    let mut bytes_left = BYTES_MAX;
    let passes = if wanted.is_empty() {
        &[false][..]
    } else {
        &[true, false]
    };
    for wanted_pass in passes {
        for (name, value) in headers {
            let name = name.as_str();
            let keep = if *wanted_pass {
                is_wanted(name)
            } else {
                !is_wanted(name) && is_harmless(name) && !is_nominated(name)
            };
            if !keep || is_proof(name) || kept.len() == HEADERS_MAX {
                continue;
            }
            let Ok(value) = std::str::from_utf8(value.as_bytes()) else {
                continue;
            };
            // One that does not fit is left out; a smaller one after it may still fit.
            if let Some(left) = bytes_left.checked_sub(name.len() + value.len()) {
                bytes_left = left;
                kept.push((Arc::from(name), Arc::from(value)));
            }
        }
    }
    kept
}

/// Whether a lower-case name holds a word by which it is taken for a
/// credential. One walk for all words: every header of every request is asked.
fn is_credential(name: &str) -> bool {
    let mut rest = name.as_bytes();
    while let [first, after @ ..] = rest {
        let begins = match first {
            b'a' => {
                after.starts_with(b"uth")
                    || after.starts_with(b"pi-key")
                    || after.starts_with(b"pikey")
            }
            b'c' => after.starts_with(b"ookie") || after.starts_with(b"redential"),
            b'p' => after.starts_with(b"assword"),
            b's' => after.starts_with(b"ecret") || after.starts_with(b"ignature"),
            b't' => after.starts_with(b"oken"),
            _ => false,
        };
        if begins {
            return true;
        }
        rest = after;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_for_a_credential_is_found_wherever_it_stands() {
        for word in [
            "auth",
            "cookie",
            "token",
            "secret",
            "signature",
            "password",
            "api-key",
            "apikey",
            "credential",
        ] {
            assert!(is_credential(word), "{word}");
            assert!(is_credential(&format!("x-{word}s-of")), "{word}");
            assert!(is_credential(&format!("as{word}")), "{word}");
            assert!(!is_credential(&word[1..]), "{word}");
            assert!(!is_credential(&word[..word.len() - 1]), "{word}");
        }
    }

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
