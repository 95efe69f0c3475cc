//! The strict filter: reads a request's head byte by byte, in front of hyper,
//! and refuses whatever two HTTP parsers could read in two ways.
//!
//! It sees the bytes in order and decides at each line's end, so its answer
//! does not depend on how the bytes were cut into packets.

mod request_line;

#[cfg(test)]
mod tests;

use super::Limits;
use request_line::{RequestLine, authority};

/// Why a head was refused; [`Refusal::status`] is all a stranger learns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("a line does not end in CR LF")]
    LineEnd,
    #[error("a control character in the head")]
    Control,
    #[error("a malformed request line")]
    RequestLine,
    #[error("not an HTTP version we speak")]
    Version,
    #[error("a malformed header")]
    Header,
    #[error("a folded header")]
    Folded,
    #[error("not exactly one Host")]
    Host,
    #[error("the target names another host")]
    OtherHost,
    #[error("a malformed or repeated Content-Length")]
    ContentLength,
    #[error("Content-Length beside Transfer-Encoding")]
    TwoLengths,
    #[error("a transfer encoding other than chunked")]
    TransferEncoding,
    #[error("a body where there can be none")]
    UnwantedBody,
    #[error("a header given twice")]
    Repeated,
    #[error("an expectation we do not meet")]
    Expectation,
    #[error("the target is too long")]
    UriTooLong,
    #[error("too many or too long headers")]
    TooLarge,
    #[error("malformed chunks")]
    Chunks,
    #[error("the head took too long")]
    HeadTimeout,
}

impl Refusal {
    /// The status a stranger gets.
    pub(super) fn status(self) -> u16 {
        match self {
            Self::Version => 505,
            Self::TransferEncoding => 501,
            Self::Expectation => 417,
            Self::UriTooLong => 414,
            Self::TooLarge => 431,
            Self::HeadTimeout => 408,
            Self::LineEnd
            | Self::Control
            | Self::RequestLine
            | Self::Header
            | Self::Folded
            | Self::Host
            | Self::OtherHost
            | Self::ContentLength
            | Self::TwoLengths
            | Self::UnwantedBody
            | Self::Repeated
            | Self::Chunks => 400,
        }
    }
}

/// How the body after a head is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// Bytes, perhaps none.
    Length(u64),
    Chunked,
}

/// What the filter knows after some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    More,
    /// The head takes this many bytes, its empty line included.
    Complete {
        bytes: usize,
        framing: Framing,
    },
    Refused(Refusal),
}

/// Headers that must not come twice, because we read them (those that prove
/// something are `verify`'s matter).
const SINGLE: &[&str] = &["content-type", "content-encoding", "expect", "hookfan-hops"];

/// The state of the filter within one head.
#[derive(Debug)]
pub(super) struct Filter {
    head_bytes_max: usize,
    headers_max: usize,
    uri_bytes_max: usize,
    /// Bytes looked at, and where the present line started.
    at: usize,
    line_start: usize,
    headers: usize,
    request: Option<RequestLine>,
    hosts: usize,
    host: Vec<u8>,
    length: Option<u64>,
    chunked: bool,
    /// Which of [`SINGLE`] were seen, a bit each.
    seen: u8,
}

impl Filter {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            head_bytes_max: limits.head_bytes,
            headers_max: limits.headers,
            uri_bytes_max: limits.uri_bytes,
            at: 0,
            line_start: 0,
            headers: 0,
            request: None,
            hosts: 0,
            host: Vec::new(),
            length: None,
            chunked: false,
            seen: 0,
        }
    }

    /// Looks at what came since the last call; `head` is everything since the
    /// head began.
    pub(super) fn advance(&mut self, head: &[u8]) -> Progress {
        match self.scan(head) {
            Ok(None) => Progress::More,
            Ok(Some(framing)) => Progress::Complete {
                bytes: self.at,
                framing,
            },
            Err(refusal) => Progress::Refused(refusal),
        }
    }

    fn scan(&mut self, head: &[u8]) -> Result<Option<Framing>, Refusal> {
        let mut previous = self
            .at
            .checked_sub(1)
            .and_then(|last| head.get(last))
            .copied()
            .unwrap_or(0);
        loop {
            if previous != b'\r' {
                let run = self.run(head.get(self.at..).unwrap_or_default());
                if run > 0 {
                    // Whichever it was: none of them matters to what follows.
                    previous = b' ';
                    self.at += run;
                }
            }
            let Some(&byte) = head.get(self.at) else {
                break;
            };
            self.at += 1;
            if self.at > self.head_bytes_max {
                return Err(Refusal::TooLarge);
            }
            if (previous == b'\r') != (byte == b'\n') {
                return Err(Refusal::LineEnd);
            }
            previous = byte;
            if byte == b'\n' {
                let line = head
                    .get(self.line_start..self.at.saturating_sub(2))
                    .unwrap_or_default();
                self.line_start = self.at;
                if self.line(line)? {
                    return self.framing().map(Some);
                }
            } else if (byte < b' ' && byte != b'\t' && byte != b'\r') || byte == 0x7f {
                return Err(Refusal::Control);
            } else if self.request.is_none()
                && self.at > self.uri_bytes_max.saturating_add(LINE_REST_MAX)
            {
                return Err(Refusal::UriTooLong);
            }
        }
        Ok(None)
    }

    /// How many of the next bytes are neither at a limit nor anything but text
    /// within a line. Most bytes of a head are, so they are judged in one go.
    fn run(&self, new: &[u8]) -> usize {
        let target_max = match self.request {
            None => self.uri_bytes_max.saturating_add(LINE_REST_MAX),
            Some(_) => usize::MAX,
        };
        let room = self.head_bytes_max.min(target_max).saturating_sub(self.at);
        let within = new.get(..room).unwrap_or(new);
        let ends = |byte: &u8| *byte < b' ' || *byte == 0x7f;
        within.iter().position(ends).unwrap_or(within.len())
    }

    /// One line without its end; `true` when it was the last.
    fn line(&mut self, line: &[u8]) -> Result<bool, Refusal> {
        if self.request.is_none() {
            self.request = Some(RequestLine::read(line, self.uri_bytes_max)?);
            return Ok(false);
        }
        if line.is_empty() {
            return Ok(true);
        }
        self.headers += 1;
        if self.headers > self.headers_max {
            return Err(Refusal::TooLarge);
        }
        if matches!(line.first(), Some(b' ' | b'\t')) {
            return Err(Refusal::Folded);
        }
        let colon = line
            .iter()
            .position(|byte| *byte == b':')
            .ok_or(Refusal::Header)?;
        let (name, value) = line.split_at(colon);
        if name.is_empty() || !name.iter().all(|byte| is_name(*byte)) {
            return Err(Refusal::Header);
        }
        self.header(name, value.get(1..).unwrap_or_default())?;
        Ok(false)
    }

    fn header(&mut self, name: &[u8], value: &[u8]) -> Result<(), Refusal> {
        let is = |word: &str| name.eq_ignore_ascii_case(word.as_bytes());
        let value = trim_spaces(value);
        if is("host") {
            self.hosts += 1;
            // Only an absolute-form target is ever compared with it.
            if self
                .request
                .as_ref()
                .is_some_and(|request| request.authority.is_some())
            {
                self.host = value.to_vec();
            }
            if self.hosts > 1 || authority(value).is_none() {
                return Err(Refusal::Host);
            }
        } else if is("content-length") {
            let length = length(value).ok_or(Refusal::ContentLength)?;
            if self.length.replace(length).is_some() {
                return Err(Refusal::ContentLength);
            }
        } else if is("transfer-encoding") {
            if value != b"chunked" || self.chunked {
                return Err(Refusal::TransferEncoding);
            }
            self.chunked = true;
        } else if is("expect") && !value.eq_ignore_ascii_case(b"100-continue") {
            return Err(Refusal::Expectation);
        }
        if let Some(index) = SINGLE.iter().position(|single| is(single)) {
            let bit = 1_u8 << index;
            if self.seen & bit != 0 {
                return Err(Refusal::Repeated);
            }
            self.seen |= bit;
        }
        Ok(())
    }

    /// What can be judged only when the whole head is known.
    fn framing(&self) -> Result<Framing, Refusal> {
        let Some(request) = &self.request else {
            return Err(Refusal::RequestLine);
        };
        if self.hosts != 1 {
            return Err(Refusal::Host);
        }
        if request
            .authority
            .as_ref()
            .is_some_and(|authority| !authority.eq_ignore_ascii_case(&self.host))
        {
            return Err(Refusal::OtherHost);
        }
        let framing = match (self.length, self.chunked) {
            (Some(_), true) => return Err(Refusal::TwoLengths),
            // HTTP/1.0 has no chunks; a sender that thinks otherwise is misread by somebody.
            (None, true) if !request.has_chunks => return Err(Refusal::TransferEncoding),
            (None, true) => Framing::Chunked,
            (length, false) => Framing::Length(length.unwrap_or(0)),
        };
        if !request.may_have_body && framing != Framing::Length(0) {
            return Err(Refusal::UnwantedBody);
        }
        Ok(framing)
    }
}

/// Method, spaces and version beside the target.
const LINE_REST_MAX: usize = 64;

/// A token's characters, but for the underscore: proxies turn it into a
/// hyphen or drop the header, so it is not clear which header it is.
fn is_name(byte: u8) -> bool {
    matches!(
        byte,
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*'
            | b'+' | b'-' | b'.' | b'^' | b'`' | b'|' | b'~'
    )
}

/// Digits alone, without leading zeros; no sign, no list, no hex.
fn length(value: &[u8]) -> Option<u64> {
    let canonical = value == b"0" || !value.starts_with(b"0");
    if value.len() > 19 || !canonical || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// Spaces only: around what decides about framing, a tab is one more way to be misread.
fn trim_spaces(mut value: &[u8]) -> &[u8] {
    while let [b' ', rest @ ..] = value {
        value = rest;
    }
    while let [rest @ .., b' '] = value {
        value = rest;
    }
    value
}
