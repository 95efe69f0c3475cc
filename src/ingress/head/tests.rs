//! Probes: every way we know to write a head that two parsers could read in
//! two ways, with the status each gets.

use super::*;

const HOST: &str = "Host: a.example\r\n";

fn limits() -> Limits {
    Limits {
        head_bytes: 1024,
        headers: 10,
        uri_bytes: 100,
        ..Limits::default()
    }
}

/// The status of the whole head in one go; 0: framed, 1: wants more.
fn status(head: &[u8]) -> u16 {
    let whole = Filter::new(&limits()).advance(head);
    let mut filter = Filter::new(&limits());
    let by_byte = (1..=head.len())
        .map(|end| filter.advance(&head[..end]))
        .find(|progress| *progress != Progress::More);
    assert_eq!(
        by_byte.unwrap_or(Progress::More),
        whole,
        "byte by byte: {:?}",
        String::from_utf8_lossy(head)
    );
    match whole {
        Progress::More => 1,
        Progress::Complete { .. } => 0,
        Progress::Refused(refusal) => refusal.status(),
    }
}

fn check(head: &str, expected: u16) {
    assert_eq!(status(head.as_bytes()), expected, "{head:?}");
}

/// A POST with these header lines after Host.
fn post(lines: &str) -> String {
    format!("POST /hooks/a HTTP/1.1\r\n{HOST}{lines}\r\n")
}

#[test]
fn request_lines_have_one_spelling() {
    let line = |line: &str, expected| check(&format!("{line}\r\n{HOST}\r\n"), expected);
    line("POST /hooks/a HTTP/1.1", 0);
    line("POST /hooks/a?b=c&d=%20 HTTP/1.0", 0);
    line("BREW /hooks/a HTTP/1.1", 0);
    line("post /hooks/a HTTP/1.1", 0);
    line("M-SEARCH /hooks/a HTTP/1.1", 0);
    line("GET /hooks/a HTTP/1.1", 0);
    line("", 400);
    line("POST", 400);
    line("GET /hooks/a", 400);
    line("POST /hooks/a ", 400);
    line("POST  /hooks/a HTTP/1.1", 400);
    line("POST /hooks/a  HTTP/1.1", 400);
    line("POST /hooks/a HTTP/1.1 ", 400);
    line(" POST /hooks/a HTTP/1.1", 400);
    line("POST\t/hooks/a\tHTTP/1.1", 400);
    line("POST /hooks/a b HTTP/1.1", 400);
    line("P\u{d6}ST /hooks/a HTTP/1.1", 400);
    line("PO:ST /hooks/a HTTP/1.1", 400);
    line("POSTPOSTPOSTPOSTPOSTPOSTPOST /hooks/a HTTP/1.1", 400);
    line("POST /hooks/a HTTP/2.0", 505);
    line("POST /hooks/a HTTP/1.2", 505);
    line("POST /hooks/a HTTP/0.9", 505);
    line("PRI * HTTP/2.0", 505);
    line("POST /hooks/a http/1.1", 400);
    line("POST /hooks/a HTTP/1.10", 400);
    line("POST /hooks/a HTTP/11", 400);
    line("POST /hooks/a HTTPS/1.1", 400);
    line("POST /hooks/a#b HTTP/1.1", 400);
    line("POST /hooks/\u{e9} HTTP/1.1", 400);
    line("POST /hooks/a\\b HTTP/1.1", 400);
    line("POST /hooks/<a> HTTP/1.1", 400);
    line("POST * HTTP/1.1", 400);
    line("OPTIONS * HTTP/1.1", 400);
    line("POST hooks/a HTTP/1.1", 400);
    line("POST a.example:80 HTTP/1.1", 400);
    line("CONNECT a.example:443 HTTP/1.1", 400);
    line("CONNECT /hooks/a HTTP/1.1", 400);
    line("POST ftp://a.example/hooks/a HTTP/1.1", 400);
    line("POST http://a.example/hooks/a HTTP/1.1", 0);
    line("POST HTTP://A.EXAMPLE/hooks/a HTTP/1.1", 0);
    line("POST http://b.example/hooks/a HTTP/1.1", 400);
    line("POST http://a.example:80/hooks/a HTTP/1.1", 400);
    line("POST http://u@a.example/hooks/a HTTP/1.1", 400);
    line("POST http:///hooks/a HTTP/1.1", 400);
    line("POST http://[::1/hooks/a HTTP/1.1", 400);
    line("POST http://a:b:c/hooks/a HTTP/1.1", 400);
    line("POST http:a.example HTTP/1.1", 400);
}

#[test]
fn exactly_one_host_names_one_host() {
    check("POST /hooks/a HTTP/1.1\r\n\r\n", 400);
    check("POST /hooks/a HTTP/1.0\r\n\r\n", 400);
    check(&post("Host: a.example\r\n"), 400);
    check(&post("hOsT: b.example\r\n"), 400);
    for host in [
        "", " ", "a b", "a,b", "a/b", "u@a", "a?b", "a#b", "\u{e9}", "a\\b",
    ] {
        check(
            &format!("POST /hooks/a HTTP/1.1\r\nHost: {host}\r\n\r\n"),
            400,
        );
    }
    for host in ["a", "a:8080", "[::1]:80", "192.0.2.1"] {
        check(&format!("POST /hooks/a HTTP/1.1\r\nHost:{host}\r\n\r\n"), 0);
    }
}

#[test]
fn lines_end_in_one_way() {
    check("POST /hooks/a HTTP/1.1\nHost: a\n\n", 400);
    check("POST /hooks/a HTTP/1.1\r\nHost: a\n\r\n", 400);
    check("POST /hooks/a HTTP/1.1\r\nHost: a\r\n\n", 400);
    check("POST /hooks/a HTTP/1.1\r\nHost: a\r\r\n\r\n", 400);
    check("POST /hooks/a HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", 400);
    check("POST /hooks/a\r HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    check("\r\nPOST /hooks/a HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    check("\nPOST /hooks/a HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    check(&post("X: a\nY: b\r\n"), 400);
    check(&post("X: a\r\n b\r\n"), 400);
    check(&post("X: a\r\n\tb\r\n"), 400);
    check(&post(" X: a\r\n"), 400);
    check(&post(" \r\n"), 400);
}

#[test]
fn header_names_are_tokens_without_underscore() {
    for line in [
        "X : a",
        "X\t: a",
        ": a",
        "X",
        "X a",
        "X_Y: a",
        "Content_Length: 3",
        "X(: a",
        "X\u{e9}: a",
        "\"X\": a",
        "X@Y: a",
        "X[Y]: a",
        "X/Y: a",
        "X;Y: a",
    ] {
        check(&post(&format!("{line}\r\n")), 400);
    }
    for line in [
        "X-Y: a",
        "X: ",
        "X:",
        "x.y: a",
        "X: \u{e9}",
        "X: a:b",
        "X:\ta",
        "X: a b",
    ] {
        check(&post(&format!("{line}\r\n")), 0);
    }
}

#[test]
fn control_characters_are_refused_wherever_they_stand() {
    for byte in (0..32)
        .chain([127])
        .filter(|byte| !b"\t\r\n".contains(byte))
    {
        for at in [0, 3, 8, 17, 26, 40] {
            let mut head = post("X-Long-Name: with a value\r\n").into_bytes();
            head.insert(at, byte);
            assert_eq!(status(&head), 400, "{byte} at {at}");
        }
    }
    // A TLS handshake that came to the wrong door.
    assert_eq!(status(b"\x16\x03\x01\x02\x00\x01\x00"), 400);
}

#[test]
fn the_body_is_delimited_in_one_way() {
    let lengths = |lines: &[&str], expected| {
        check(
            &post(
                &lines
                    .iter()
                    .map(|line| format!("{line}\r\n"))
                    .collect::<String>(),
            ),
            expected,
        )
    };
    lengths(&["Content-Length: 3"], 0);
    lengths(&["Content-Length: 0"], 0);
    lengths(&["Transfer-Encoding: chunked"], 0);
    for bad in [
        "",
        "+5",
        "-1",
        "0x5",
        "5,5",
        "5, 5",
        "5 5",
        "5.0",
        "1e3",
        "05",
        "00",
        "\t5",
        "5;",
        "99999999999999999999",
        "\u{ff15}",
    ] {
        lengths(&[&format!("Content-Length: {bad}")], 400);
    }
    lengths(&["Content-Length: 3", "Content-Length: 3"], 400);
    lengths(&["Content-Length: 3", "content-length: 4"], 400);
    lengths(&["Content-Length: 3", "Transfer-Encoding: chunked"], 400);
    lengths(&["Transfer-Encoding: chunked", "Content-Length: 3"], 400);
    for bad in [
        "gzip",
        "gzip, chunked",
        "chunked, gzip",
        "chunked, chunked",
        "Chunked",
        "xchunked",
        "chunked;a",
        "identity",
        "",
        "\tchunked",
        "\"chunked\"",
        "chunked,",
    ] {
        lengths(&[&format!("Transfer-Encoding: {bad}")], 501);
    }
    lengths(
        &["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
        501,
    );
    check(
        &format!("POST /hooks/a HTTP/1.0\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n"),
        501,
    );
}

#[test]
fn only_methods_that_have_a_body_may_bring_one() {
    for method in ["GET", "HEAD", "DELETE", "OPTIONS", "TRACE"] {
        check(
            &format!("{method} /hooks/a HTTP/1.1\r\n{HOST}Content-Length: 1\r\n\r\n"),
            400,
        );
        check(
            &format!("{method} /hooks/a HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n"),
            400,
        );
        check(
            &format!("{method} /hooks/a HTTP/1.1\r\n{HOST}Content-Length: 0\r\n\r\n"),
            0,
        );
    }
}

#[test]
fn what_we_read_comes_once() {
    for name in ["Content-Type", "content-encoding", "hookfan-hops"] {
        check(&post(&format!("{name}: a\r\n")), 0);
        check(&post(&format!("{name}: a\r\n{name}: a\r\n")), 400);
    }
    check(&post("Expect: 100-continue\r\n"), 0);
    check(
        &post("Expect: 100-Continue\r\nExpect: 100-continue\r\n"),
        400,
    );
    check(&post("Expect: 200-ok\r\n"), 417);
    check(&post("X: a\r\nX: a\r\n"), 0);
}

#[test]
fn each_limit_is_reached_and_not_passed() {
    let line = |bytes: usize| {
        check_len(&format!(
            "POST /{} HTTP/1.1\r\n{HOST}\r\n",
            "a".repeat(bytes - 1)
        ))
    };
    assert_eq!((line(100), line(101), line(900)), (0, 414, 414));
    // Refused long before its end.
    assert_eq!(status("a".repeat(165).as_bytes()), 414);
    let headers = |count: usize| check_len(&post(&"X: a\r\n".repeat(count - 1)));
    assert_eq!((headers(10), headers(11)), (0, 431));
    let fixed = post("X: \r\n").len();
    let bytes = |bytes: usize| check_len(&post(&format!("X: {}\r\n", "a".repeat(bytes - fixed))));
    assert_eq!((bytes(1024), bytes(1025)), (0, 431));
    // A head that never ends is refused at the limit.
    assert_eq!(
        status(format!("POST /a HTTP/1.1\r\nX: {}", "a".repeat(2000)).as_bytes()),
        431
    );
    check("POST /hooks/a HTTP/1.1\r\nHost: a\r\n", 1);
}

fn check_len(head: &str) -> u16 {
    status(head.as_bytes())
}
