//! The event token: one fixed-width ASCII word that survives any JSON re-serialisation.
//!
//! `LKEV` run(4) `.` seq(12) `.` key(6) `.` kseq(8) `.` intended-send-ns(16), all lower hex.

pub const LEN: usize = 4 + 4 + 1 + 12 + 1 + 6 + 1 + 8 + 1 + 16;
pub const PREFIX: &[u8] = b"LKEV";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    pub run: u16,
    pub seq: u64,
    pub key: u32,
    pub kseq: u32,
    pub t: u64,
}

const HEX: &[u8; 16] = b"0123456789abcdef";

fn put(out: &mut [u8], mut v: u64) {
    for b in out.iter_mut().rev() {
        *b = HEX[(v & 15) as usize];
        v >>= 4;
    }
}

fn take(b: &[u8]) -> Option<u64> {
    let mut v = 0u64;
    for &c in b {
        let d = match c {
            b'0'..=b'9' => c - b'0',
            b'a'..=b'f' => c - b'a' + 10,
            b'A'..=b'F' => c - b'A' + 10,
            _ => return None,
        };
        v = v << 4 | d as u64;
    }
    Some(v)
}

impl Token {
    pub fn write(&self, out: &mut [u8]) {
        debug_assert_eq!(out.len(), LEN);
        out[0..4].copy_from_slice(PREFIX);
        put(&mut out[4..8], self.run as u64);
        out[8] = b'.';
        put(&mut out[9..21], self.seq);
        out[21] = b'.';
        put(&mut out[22..28], self.key as u64);
        out[28] = b'.';
        put(&mut out[29..37], self.kseq as u64);
        out[37] = b'.';
        put(&mut out[38..54], self.t);
    }

    pub fn parse(b: &[u8]) -> Option<Token> {
        if b.len() < LEN || &b[0..4] != PREFIX {
            return None;
        }
        if b[8] != b'.' || b[21] != b'.' || b[28] != b'.' || b[37] != b'.' {
            return None;
        }
        Some(Token {
            run: take(&b[4..8])? as u16,
            seq: take(&b[9..21])?,
            key: take(&b[22..28])? as u32,
            kseq: take(&b[29..37])? as u32,
            t: take(&b[38..54])?,
        })
    }
}

/// The tokens of a body. A body that repeats one token yields it once per place.
pub fn find_all<'a>(
    finder: &'a memchr::memmem::Finder<'a>,
    body: &'a [u8],
) -> impl Iterator<Item = Token> + 'a {
    finder
        .find_iter(body)
        .filter_map(|i| Token::parse(&body[i..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn round_trip() {
        let t = Token {
            run: 0xbeef,
            seq: 0x123456789abc,
            key: 0xabcdef,
            kseq: 0xdeadbeef,
            t: 0x0123_4567_89ab_cdef,
        };
        let mut b = [0u8; LEN];
        t.write(&mut b);
        assert_eq!(Token::parse(&b), Some(t));
        let body = [b"{\"a\":\"".as_slice(), &b, b"\"}"].concat();
        let f = memchr::memmem::Finder::new(PREFIX);
        assert_eq!(find_all(&f, &body).collect::<Vec<_>>(), vec![t]);
        assert_eq!(Token::parse(&b[..53]), None);
        assert_eq!(find_all(&f, b"xxLKEVxx").count(), 0);
    }
}
