//! Where each request ends: a head by the filter, then a body by its length or
//! by strict chunks. Pure; the wire feeds it.

use super::Limits;
use super::head::{Filter, Framing, Progress, Refusal};

/// Hex digits of one chunk's size; sixteen would overflow.
const SIZE_DIGITS_MAX: u8 = 15;

/// What is known about the bytes at the front.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing can be passed on yet.
    More,
    /// The next `bytes` belong to this request and may be passed on; with
    /// `last`, it ends there.
    Pass {
        bytes: usize,
        last: bool,
    },
    Refused(Refusal),
}

/// Follows one request.
#[derive(Debug)]
pub(super) enum Request {
    Head(Filter),
    Length { left: u64 },
    Chunked(Chunks),
}

impl Request {
    pub(super) fn new(limits: &Limits) -> Self {
        Self::Head(Filter::new(limits))
    }

    pub(super) fn is_head(&self) -> bool {
        matches!(self, Self::Head(_))
    }

    /// `front` is all that came and was not passed on.
    pub(super) fn step(&mut self, front: &[u8]) -> Step {
        match self {
            Self::Head(filter) => match filter.advance(front) {
                Progress::More => Step::More,
                Progress::Refused(refusal) => Step::Refused(refusal),
                Progress::Complete { bytes, framing } => {
                    *self = match framing {
                        Framing::Length(left) => Self::Length { left },
                        Framing::Chunked => Self::Chunked(Chunks::Size { digits: 0, size: 0 }),
                    };
                    Step::Pass {
                        bytes,
                        last: framing == Framing::Length(0),
                    }
                }
            },
            Self::Length { left } => {
                let bytes =
                    usize::try_from(*left).map_or(front.len(), |left| left.min(front.len()));
                *left = left.saturating_sub(bytes as u64);
                pass(bytes, *left == 0)
            }
            Self::Chunked(chunks) => chunks.step(front),
        }
    }
}

fn pass(bytes: usize, last: bool) -> Step {
    if bytes == 0 && !last {
        Step::More
    } else {
        Step::Pass { bytes, last }
    }
}

/// Within a chunked body. Extensions and trailers are refused: nobody who
/// sends webhooks uses them, and parsers disagree about both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chunks {
    Size {
        digits: u8,
        size: u64,
    },
    SizeEnd {
        size: u64,
    },
    Data {
        left: u64,
    },
    DataCr,
    DataLf,
    /// After the size 0: the empty line.
    LastCr,
    LastLf,
    Done,
}

impl Chunks {
    fn step(&mut self, front: &[u8]) -> Step {
        let mut at = 0;
        while let Some(byte) = front.get(at) {
            if let Self::Data { left } = self {
                let here = front.len() - at;
                let bytes = usize::try_from(*left).map_or(here, |left| left.min(here));
                *left = left.saturating_sub(bytes as u64);
                at += bytes;
                if *left == 0 {
                    *self = Self::DataCr;
                }
                continue;
            }
            match self.after(*byte) {
                Some(next) => *self = next,
                // What came before the damage is not passed on either: the request is lost anyway.
                None => return Step::Refused(Refusal::Chunks),
            }
            at += 1;
            if *self == Self::Done {
                return Step::Pass {
                    bytes: at,
                    last: true,
                };
            }
        }
        pass(at, false)
    }

    fn after(self, byte: u8) -> Option<Self> {
        match (self, byte) {
            (Self::Size { digits, size }, _)
                if byte.is_ascii_hexdigit() && digits < SIZE_DIGITS_MAX =>
            {
                let digit = char::from(byte).to_digit(16)?;
                Some(Self::Size {
                    digits: digits + 1,
                    size: size << 4 | u64::from(digit),
                })
            }
            (Self::Size { digits, size }, b'\r') if digits > 0 => Some(Self::SizeEnd { size }),
            (Self::SizeEnd { size: 0 }, b'\n') => Some(Self::LastCr),
            (Self::SizeEnd { size }, b'\n') => Some(Self::Data { left: size }),
            (Self::DataCr, b'\r') => Some(Self::DataLf),
            (Self::DataLf, b'\n') => Some(Self::Size { digits: 0, size: 0 }),
            (Self::LastCr, b'\r') => Some(Self::LastLf),
            (Self::LastLf, b'\n') => Some(Self::Done),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// How bytes were cut into requests: each one's length, and how it ended.
    fn cut(bytes: &[u8], packet: usize) -> (Vec<usize>, Option<Refusal>) {
        let limits = Limits {
            head_bytes: 600,
            uri_bytes: 100,
            headers: 6,
            ..Limits::default()
        };
        let (mut request, mut front, mut ends) = (Request::new(&limits), Vec::new(), Vec::new());
        let (mut passed, mut started) = (0, 0);
        for packet in bytes.chunks(packet) {
            front.extend_from_slice(packet);
            loop {
                match request.step(&front) {
                    Step::More => break,
                    Step::Refused(refusal) => return (ends, Some(refusal)),
                    Step::Pass { bytes, last } => {
                        front.drain(..bytes);
                        passed += bytes;
                        if last {
                            ends.push(passed - started);
                            started = passed;
                            request = Request::new(&limits);
                        }
                        if front.is_empty() {
                            break;
                        }
                    }
                }
            }
        }
        (ends, None)
    }

    const POST: &str = "POST /hooks/a HTTP/1.1\r\nHost: a\r\n";

    #[test]
    fn pipelined_requests_are_cut_where_they_end() {
        let one = format!("{POST}Content-Length: 3\r\n\r\nabc");
        let two = format!(
            "{POST}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n00a\r\n0123456789\r\n0\r\n\r\n"
        );
        let three = format!("{POST}\r\n");
        let all = format!("{one}{two}{three}");
        assert_eq!(
            cut(all.as_bytes(), all.len()),
            (vec![one.len(), two.len(), three.len()], None)
        );
    }

    #[test]
    fn chunks_in_another_spelling_are_refused() {
        for body in [
            "\r\n",
            "0x3\r\nabc",
            "+3\r\n",
            " 3\r\n",
            "3 \r\n",
            "3;a=b\r\n",
            "3\nabc",
            "3\r\nabcd",
            "3\r\nabc\n",
            "g\r\n",
            "-1\r\n",
            "0\r\nTrailer: x\r\n",
            "0\n\n",
            "0\r\n\n",
            "ffffffffffffffff\r\n",
        ] {
            let request = format!("{POST}Transfer-Encoding: chunked\r\n\r\n{body}");
            for packet in [1, request.len()] {
                assert_eq!(
                    cut(request.as_bytes(), packet),
                    (vec![], Some(Refusal::Chunks)),
                    "{body:?}"
                );
            }
        }
    }

    /// Pieces that make heads and bodies, valid ones often enough to go deep.
    fn pieces() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            4 => Just(format!("{POST}Content-Length: 3\r\n\r\nabc").into_bytes()),
            2 => Just(format!("{POST}Transfer-Encoding: chunked\r\n\r\n").into_bytes()),
            2 => Just(b"2\r\nab\r\n".to_vec()),
            2 => Just(b"0\r\n\r\n".to_vec()),
            1 => Just(b"\r\n".to_vec()),
            1 => Just(POST.as_bytes().to_vec()),
            1 => Just(b"Content-Length: 1\r\n".to_vec()),
            1 => Just(b"Transfer-Encoding: chunked\r\n".to_vec()),
            1 => prop::collection::vec(any::<u8>(), 0..40),
        ];
        prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn the_cut_does_not_depend_on_the_packets(bytes in pieces(), packet in 1_usize..50) {
            let whole = cut(&bytes, bytes.len().max(1));
            prop_assert_eq!(&cut(&bytes, 1), &whole);
            prop_assert_eq!(&cut(&bytes, packet), &whole);
        }
    }
}
