//! Who is let in: by Host, token and page, in that order.

use super::*;

const HOST: &str = "127.0.0.1:9090";

fn verdict_at(
    method: &Method,
    path: &str,
    token: Option<&[u8]>,
    given: &[(&'static str, &'static str)],
) -> u16 {
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        headers.append(*name, http::HeaderValue::from_static(value));
    }
    let hosts = [HOST, "localhost:9090", "console.acme.example"].map(str::to_owned);
    match check(method, path, &headers, token, &hosts) {
        Ok(_) => 200,
        Err(refusal) => refusal.status.as_u16(),
    }
}

fn verdict(method: &Method, token: Option<&[u8]>, given: &[(&'static str, &'static str)]) -> u16 {
    verdict_at(method, "/api/v1/status", token, given)
}

#[test]
fn a_foreign_host_is_misdirected() {
    for (host, expected) in [
        (HOST, 200),
        ("LOCALHOST:9090", 200),
        ("console.acme.example", 200),
        ("Console.acme.example:8443", 200),
        ("x.console.acme.example", 421),
        ("console.acme.example.evil.example", 421),
        ("evil.example", 421),
        ("evil.example:9090", 421),
        ("127.0.0.1:9091", 421),
        ("", 421),
    ] {
        assert_eq!(
            verdict(&Method::GET, None, &[("host", host)]),
            expected,
            "{host}"
        );
    }
    assert_eq!(verdict(&Method::GET, None, &[]), 421);
}

/// A page that rebinds a name owns that name; a cluster's names nobody owns.
#[test]
fn with_a_token_names_that_no_stranger_can_own_are_ours_too() {
    for (host, expected) in [
        ("hookfan", 200),
        ("hookfan:9090", 200),
        ("hookfan.chat.svc", 200),
        ("hookfan.chat.svc.cluster.local:80", 200),
        ("10.2.3.4:9090", 200),
        ("[fd00::1]:9090", 200),
        ("evil.example", 421),
        ("evil.example:9090", 421),
        ("local.evil.example", 421),
        ("user@evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("", 421),
    ] {
        let given = [("host", host), ("authorization", "Bearer tok")];
        assert_eq!(
            verdict(&Method::GET, Some(b"tok"), &given),
            expected,
            "{host}"
        );
    }
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
        headers.insert("host", http::HeaderValue::from_static("localhost"));
        headers.insert("authorization", http::HeaderValue::from_str(given).unwrap());
        let path = "/api/v1/status";
        let refused = check(&Method::GET, path, &headers, Some(b"tok"), &[]).unwrap_err();
        assert_eq!(refused.status.as_u16(), 401, "{given:?}");
    }
}

#[test]
fn a_foreign_page_is_not_answered() {
    let ask = |method: &Method, extra: &[(&'static str, &'static str)]| {
        let mut given = vec![("host", HOST)];
        given.extend_from_slice(extra);
        verdict(method, None, &given)
    };
    for method in [Method::GET, Method::POST] {
        let ask = |extra: &[(&'static str, &'static str)]| ask(&method, extra);
        assert_eq!(ask(&[]), 200);
        assert_eq!(ask(&[("sec-fetch-site", "same-origin")]), 200);
        assert_eq!(ask(&[("sec-fetch-site", "none")]), 200);
        assert_eq!(ask(&[("sec-fetch-site", "cross-site")]), 403);
        assert_eq!(ask(&[("sec-fetch-site", "same-site")]), 403);
        assert_eq!(ask(&[("origin", "http://127.0.0.1:9090")]), 200);
        assert_eq!(ask(&[("origin", "https://evil.example")]), 403);
        assert_eq!(ask(&[("origin", "null")]), 403);
    }
    let link = [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-mode", "navigate"),
    ];
    assert_eq!(ask(&Method::GET, &link), 200, "a link was followed");
    assert_eq!(ask(&Method::POST, &link), 403, "a form was sent");
}

#[test]
fn the_consoles_files_need_a_name_of_ours_and_no_token() {
    let ask = |method: &Method, path: &str, host: &'static str| {
        verdict_at(method, path, Some(b"tok"), &[("host", host)])
    };
    for path in ["/", "/console/app.js"] {
        assert_eq!(ask(&Method::GET, path, HOST), 200, "{path}");
        assert_eq!(ask(&Method::GET, path, "evil.example"), 421, "{path}");
        assert_eq!(ask(&Method::POST, path, HOST), 401, "{path}");
    }
    for path in ["/api/v1/status", "/console", "//", "/api/v1/../"] {
        assert_eq!(ask(&Method::GET, path, HOST), 401, "{path}");
    }
}
