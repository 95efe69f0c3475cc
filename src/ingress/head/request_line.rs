//! The first line of a request: method, target, version, each in one spelling.

use super::Refusal;

/// What the rest of the head is judged by.
#[derive(Debug)]
pub(super) struct RequestLine {
    /// Of an absolute-form target.
    pub(super) authority: Option<Vec<u8>>,
    pub(super) may_have_body: bool,
    pub(super) has_chunks: bool,
}

/// Methods whose body nobody agrees about.
const BODILESS: &[&[u8]] = &[b"GET", b"HEAD", b"DELETE", b"OPTIONS", b"TRACE"];

/// Longer methods are noise; WebDAV's longest has 17 letters.
const METHOD_BYTES_MAX: usize = 24;

impl RequestLine {
    /// `line` is without its CR LF.
    pub(super) fn read(line: &[u8], uri_bytes_max: usize) -> Result<Self, Refusal> {
        let mut parts = line.split(|byte| *byte == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Refusal::RequestLine);
        };
        let is_token = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b'-';
        if method.is_empty() || method.len() > METHOD_BYTES_MAX || !method.iter().all(is_token) {
            return Err(Refusal::RequestLine);
        }
        let has_chunks = match version {
            b"HTTP/1.1" => true,
            b"HTTP/1.0" => false,
            _ if is_version(version) => return Err(Refusal::Version),
            _ => return Err(Refusal::RequestLine),
        };
        if target.len() > uri_bytes_max {
            return Err(Refusal::UriTooLong);
        }
        // A tunnel is never wanted here, whatever its target looks like.
        if method == b"CONNECT" || !target.iter().all(|byte| is_target(*byte)) {
            return Err(Refusal::RequestLine);
        }
        let authority = if target.starts_with(b"/") {
            None
        } else {
            Some(absolute(target).ok_or(Refusal::RequestLine)?)
        };
        Ok(Self {
            authority,
            may_have_body: !BODILESS.contains(&method),
            has_chunks,
        })
    }
}

fn is_version(version: &[u8]) -> bool {
    matches!(version, [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit())
}

/// What RFC 3986 allows in a path and a query; a fragment is never sent.
fn is_target(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~:/?[]@!$&'()*+,;=%".contains(&byte)
}

/// The authority of `http://authority/…`; asterisk-form and the rest have none.
fn absolute(target: &[u8]) -> Option<Vec<u8>> {
    let scheme = target.iter().position(|byte| *byte == b':')?;
    let (scheme, rest) = target.split_at(scheme);
    if !scheme.eq_ignore_ascii_case(b"http") && !scheme.eq_ignore_ascii_case(b"https") {
        return None;
    }
    let rest = rest.strip_prefix(b"://")?;
    let end = rest
        .iter()
        .position(|byte| matches!(byte, b'/' | b'?'))
        .unwrap_or(rest.len());
    let authority = authority(rest.get(..end)?)?;
    // hyper parses it too, and must find nothing that we did not.
    http::uri::Authority::try_from(authority).ok()?;
    Some(authority.to_vec())
}

/// A host with or without a port: no user, nothing empty.
pub(super) fn authority(text: &[u8]) -> Option<&[u8]> {
    let is_host = |byte: &u8| byte.is_ascii_alphanumeric() || b"-.:[]~%".contains(byte);
    (!text.is_empty() && text.iter().all(is_host)).then_some(text)
}
