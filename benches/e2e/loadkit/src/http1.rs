//! Just enough HTTP/1.1 framing: head, Content-Length, chunked, keep-alive.

#[derive(Debug, PartialEq, Eq)]
pub enum Framed {
    Partial,
    Bad,
    Full(Msg),
}

#[derive(Debug, PartialEq, Eq)]
pub struct Msg {
    pub head_len: usize,
    /// bytes of the whole message in the buffer
    pub total: usize,
    pub chunked: bool,
    pub close: bool,
    /// response only
    pub status: u16,
    pub retry_after_s: Option<u32>,
}

fn name_is(line: &[u8], name: &[u8]) -> bool {
    line.len() > name.len()
        && line[name.len()] == b':'
        && line[..name.len()].eq_ignore_ascii_case(name)
}

fn value<'a>(line: &'a [u8], name: &[u8]) -> &'a [u8] {
    line[name.len() + 1..].trim_ascii()
}

fn parse_num(v: &[u8]) -> Option<usize> {
    if v.is_empty() || v.len() > 12 {
        return None;
    }
    let mut n = 0usize;
    for &c in v {
        if !c.is_ascii_digit() {
            return None;
        }
        n = n * 10 + (c - b'0') as usize;
    }
    Some(n)
}

pub fn frame(buf: &[u8], response: bool) -> Framed {
    let Some(h) = memchr::memmem::find(buf, b"\r\n\r\n") else {
        return if buf.len() > 64 * 1024 {
            Framed::Bad
        } else {
            Framed::Partial
        };
    };
    let head = &buf[..h];
    let head_len = h + 4;
    let mut lines = head
        .split(|&c| c == b'\n')
        .map(|l| l.strip_suffix(b"\r").unwrap_or(l));
    let first = lines.next().unwrap_or(b"");
    let mut status = 0u16;
    let http10;
    if response {
        if first.len() < 12 || !first.starts_with(b"HTTP/1.") {
            return Framed::Bad;
        }
        http10 = first[7] == b'0';
        status = match parse_num(&first[9..12]) {
            Some(n) => n as u16,
            None => return Framed::Bad,
        };
    } else {
        if !first.windows(7).any(|w| w == b"HTTP/1.") {
            return Framed::Bad;
        }
        http10 = first.ends_with(b"HTTP/1.0");
    }
    let mut len: Option<usize> = None;
    let mut chunked = false;
    let mut close = http10;
    let mut retry_after_s = None;
    for l in lines {
        match l.first() {
            Some(b'c' | b'C') => {
                if name_is(l, b"content-length") {
                    match parse_num(value(l, b"content-length")) {
                        Some(n) => len = Some(n),
                        None => return Framed::Bad,
                    }
                } else if name_is(l, b"connection") {
                    let v = value(l, b"connection");
                    if v.eq_ignore_ascii_case(b"close") {
                        close = true;
                    } else if v.eq_ignore_ascii_case(b"keep-alive") {
                        close = false;
                    }
                }
            }
            Some(b't' | b'T') => {
                if name_is(l, b"transfer-encoding") {
                    chunked = value(l, b"transfer-encoding")
                        .to_ascii_lowercase()
                        .ends_with(b"chunked");
                }
            }
            Some(b'r' | b'R') => {
                if name_is(l, b"retry-after") {
                    retry_after_s = parse_num(value(l, b"retry-after")).map(|n| n as u32);
                }
            }
            _ => {}
        }
    }
    let total = if chunked {
        match chunk_end(&buf[head_len..]) {
            Ok(Some(n)) => head_len + n,
            Ok(None) => return Framed::Partial,
            Err(()) => return Framed::Bad,
        }
    } else {
        // a response without a length (and not bodyless) would run to the close; no peer here does that
        head_len + len.unwrap_or(0)
    };
    if buf.len() < total {
        return Framed::Partial;
    }
    Framed::Full(Msg {
        head_len,
        total,
        chunked,
        close,
        status,
        retry_after_s,
    })
}

/// Length of a complete chunked body at the front of `b`.
fn chunk_end(b: &[u8]) -> Result<Option<usize>, ()> {
    let mut i = 0;
    loop {
        let Some(nl) = memchr::memmem::find(&b[i..], b"\r\n") else {
            return Ok(None);
        };
        let line = &b[i..i + nl];
        let hex = line
            .split(|&c| c == b';')
            .next()
            .unwrap_or(b"")
            .trim_ascii();
        let n = std::str::from_utf8(hex)
            .ok()
            .and_then(|s| usize::from_str_radix(s, 16).ok())
            .ok_or(())?;
        i += nl + 2;
        if n == 0 {
            // trailers up to an empty line
            loop {
                let Some(nl) = memchr::memmem::find(&b[i..], b"\r\n") else {
                    return Ok(None);
                };
                i += nl + 2;
                if nl == 0 {
                    return Ok(Some(i));
                }
            }
        }
        i += n + 2;
        if b.len() < i {
            return Ok(None);
        }
    }
}

/// The body of a chunked message, joined.
pub fn dechunk(b: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(b.len());
    let mut i = 0;
    while let Some(nl) = memchr::memmem::find(&b[i..], b"\r\n") {
        let hex = b[i..i + nl]
            .split(|&c| c == b';')
            .next()
            .unwrap_or(b"")
            .trim_ascii();
        let Some(n) = std::str::from_utf8(hex)
            .ok()
            .and_then(|s| usize::from_str_radix(s, 16).ok())
        else {
            break;
        };
        i += nl + 2;
        if n == 0 || b.len() < i + n {
            break;
        }
        out.extend_from_slice(&b[i..i + n]);
        i += n + 2;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    fn full(f: Framed) -> Msg {
        match f {
            Framed::Full(m) => m,
            o => panic!("{o:?}"),
        }
    }
    #[test]
    fn lengths() {
        let r = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhelloPOST";
        let m = full(frame(r, false));
        assert_eq!((m.total, m.close, m.chunked), (r.len() - 4, false, false));
        for i in 0..r.len() - 4 {
            assert_eq!(frame(&r[..i], false), Framed::Partial, "{i}");
        }
    }
    #[test]
    fn chunks() {
        let r = b"HTTP/1.1 503 X\r\nTransfer-Encoding: chunked\r\nRetry-After: 7\r\nConnection: close\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n";
        for i in 0..r.len() {
            assert_eq!(frame(&r[..i], true), Framed::Partial, "{i}");
        }
        let m = full(frame(r, true));
        assert_eq!(
            (m.total, m.status, m.close, m.retry_after_s),
            (r.len(), 503, true, Some(7))
        );
        assert_eq!(dechunk(&r[m.head_len..m.total]), b"abcde");
    }
    #[test]
    fn http10() {
        assert!(full(frame(b"GET / HTTP/1.0\r\n\r\n", false)).close);
        assert!(
            !full(frame(
                b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
                false
            ))
            .close
        );
        assert_eq!(frame(b"nonsense\r\n\r\n", false), Framed::Bad);
    }
}
