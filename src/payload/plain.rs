//! Bodies that need no tree: whether one is JSON with nothing unusual in it,
//! and where the value at a path stands.
//!
//! [`Plain::read`] says yes only where the full parse would, and would round
//! nothing; whatever it is not sure of, the full parse decides. So it may be
//! quick, and tells nobody why.

/// Levels that serde_json takes.
const DEPTH_MAX: usize = 127;

/// The longest number, sign and point included, that reading never rounds or
/// refuses: 19 digits fit u64, a sign and 18 fit i64.
const NUMBER_MAX: usize = 19;

/// An object or array of fewer bytes is walked through, not remembered.
const SHORT: usize = 64;

/// Where the longer objects and arrays of a plain body begin and end, in the
/// order they begin; so that a search steps over them.
#[derive(Debug, Default)]
pub(super) struct Plain(Vec<(usize, usize)>);

impl Plain {
    /// `Some` if this is JSON that serde_json reads as it stands: UTF-8, nested
    /// at most `depth_max` deep, no exponents, no number that might be rounded,
    /// no lone surrogate, and no key that is spelled with escapes.
    pub(super) fn read(body: &[u8], depth_max: usize) -> Option<Self> {
        std::str::from_utf8(body).ok()?;
        Scan { body, at: 0 }.whole(depth_max.min(DEPTH_MAX))
    }

    /// The bytes of the value at a dotted path; `body` is the one that was
    /// read. Of duplicate keys the last one counts.
    pub(super) fn find<'b>(&self, body: &'b [u8], path: &str) -> Option<&'b [u8]> {
        let scan = Scan { body, at: 0 };
        let mut search = Search { scan, known: self };
        search.scan.blanks();
        for part in path.split('.') {
            search.scan.at = match search.scan.now()? {
                b'{' => search.member(part)?,
                b'[' => search.item(part.parse().ok()?)?,
                _ => return None,
            };
        }
        let start = search.scan.at;
        search.over_value()?;
        body.get(start..search.scan.at)
    }

    /// Where the object or array that begins here ends, if it is a longer one.
    fn end(&self, start: usize) -> Option<usize> {
        let found = self.0.binary_search_by_key(&start, |(start, _)| *start);
        Some(self.0.get(found.ok()?)?.1)
    }
}

/// A place in a body. `None` from any of its steps: not plain, or not there.
struct Scan<'b> {
    body: &'b [u8],
    at: usize,
}

impl Scan<'_> {
    fn now(&self) -> Option<u8> {
        self.body.get(self.at).copied()
    }

    fn blanks(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.now() {
            self.at += 1;
        }
    }

    /// One value from end to end, and nothing else.
    fn whole(mut self, depth_max: usize) -> Option<Plain> {
        let mut open = Open::default();
        loop {
            self.blanks();
            match self.now()? {
                bracket @ (b'{' | b'[') => {
                    open.begin(self.at, bracket, depth_max)?;
                    self.at += 1;
                    self.blanks();
                    match (self.now()?, bracket) {
                        // The end of an empty one is seen below.
                        (b'}', b'{') | (b']', b'[') => {}
                        (_, b'{') => {
                            self.key()?;
                            continue;
                        }
                        _ => continue,
                    }
                }
                first => self.scalar(first)?,
            }
            loop {
                self.blanks();
                if open.depth == 0 {
                    let nothing_else = self.at == self.body.len();
                    return nothing_else.then_some(Plain(open.all));
                }
                let byte = self.now()?;
                self.at += 1;
                match (byte, open.bracket) {
                    (b'}', b'{') | (b']', b'[') => open.end(self.at, self.body)?,
                    (b',', b'{') => {
                        self.blanks();
                        self.key()?;
                        break;
                    }
                    (b',', _) => break,
                    _ => return None,
                }
            }
        }
    }

    fn key(&mut self) -> Option<()> {
        if self.now()? != b'"' || self.string()? {
            return None;
        }
        self.blanks();
        let colon = self.now()? == b':';
        self.at += 1;
        colon.then_some(())
    }

    fn scalar(&mut self, first: u8) -> Option<()> {
        match first {
            b'"' => self.string().map(drop),
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'n' => self.word(b"null"),
            _ => None,
        }
    }

    fn word(&mut self, word: &[u8]) -> Option<()> {
        let here = self.body.get(self.at..self.at + word.len());
        self.at += word.len();
        (here == Some(word)).then_some(())
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.now() {
            self.at += 1;
        }
        self.at - start
    }

    fn number(&mut self) -> Option<()> {
        let start = self.at;
        self.at += usize::from(self.now() == Some(b'-'));
        let zero = self.now() == Some(b'0');
        let digits = self.digits();
        if digits == 0 || (zero && digits > 1) {
            return None;
        }
        if self.now() == Some(b'.') {
            self.at += 1;
            if self.digits() == 0 {
                return None;
            }
        }
        // An exponent is left standing, and nothing may stand there.
        (self.at - start <= NUMBER_MAX).then_some(())
    }

    /// A string and its quotes; whether it has escapes.
    #[inline]
    fn string(&mut self) -> Option<bool> {
        self.at += 1;
        let mut escapes = false;
        loop {
            self.at = special(self.body, self.at);
            match self.now()? {
                b'"' => {
                    self.at += 1;
                    return Some(escapes);
                }
                b'\\' => {
                    escapes = true;
                    self.escape()?;
                }
                _control => return None,
            }
        }
    }

    fn escape(&mut self) -> Option<()> {
        match self.body.get(self.at + 1)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 2,
            b'u' => {
                let pair = || super::escape_at(self.body, self.at + 6);
                self.at += match super::escape_at(self.body, self.at)? {
                    0xD800..=0xDBFF if matches!(pair(), Some(0xDC00..=0xDFFF)) => 12,
                    0xD800..=0xDFFF => return None,
                    _ => 6,
                };
            }
            _ => return None,
        }
        Some(())
    }
}

/// The objects and arrays of a body while it is read.
#[derive(Default)]
struct Open {
    /// Until its end is known, one has the index of the one around it there.
    all: Vec<(usize, usize)>,
    innermost: usize,
    bracket: u8,
    depth: usize,
}

impl Open {
    fn begin(&mut self, start: usize, bracket: u8, depth_max: usize) -> Option<()> {
        if self.all.capacity() == 0 {
            // Enough for most bodies.
            self.all.reserve_exact(16);
        }
        let around = std::mem::replace(&mut self.innermost, self.all.len());
        self.all.push((start, around));
        self.bracket = bracket;
        self.depth += 1;
        (self.depth <= depth_max).then_some(())
    }

    fn end(&mut self, end: usize, body: &[u8]) -> Option<()> {
        let (start, around) = self.all.get_mut(self.innermost)?;
        let is_short = end - *start < SHORT;
        self.innermost = std::mem::replace(around, end);
        if is_short {
            // So are those inside: this is the last one.
            self.all.pop();
        }
        self.depth -= 1;
        if let Some((around, _)) = self.all.get(self.innermost) {
            self.bracket = *body.get(*around)?;
        }
        Some(())
    }
}

/// A place in a body that is known to be plain.
struct Search<'b, 'k> {
    scan: Scan<'b>,
    known: &'k Plain,
}

impl Search<'_, '_> {
    /// Where the value of this key begins; stands on the brace.
    fn member(&mut self, key: &str) -> Option<usize> {
        let mut found = None;
        self.scan.at += 1;
        self.scan.blanks();
        while self.scan.now()? == b'"' {
            let start = self.scan.at + 1;
            self.scan.string()?;
            let is_it = self.scan.body.get(start..self.scan.at - 1) == Some(key.as_bytes());
            self.scan.blanks();
            self.scan.at += 1;
            self.scan.blanks();
            if is_it {
                found = Some(self.scan.at);
            }
            self.over_value()?;
            self.over_comma();
        }
        found
    }

    /// Where this item begins; stands on the bracket.
    fn item(&mut self, index: usize) -> Option<usize> {
        self.scan.at += 1;
        self.scan.blanks();
        for _ in 0..index {
            if self.scan.now()? == b']' {
                return None;
            }
            self.over_value()?;
            self.over_comma();
        }
        (self.scan.now()? != b']').then_some(self.scan.at)
    }

    fn over_comma(&mut self) {
        self.scan.blanks();
        if self.scan.now() == Some(b',') {
            self.scan.at += 1;
            self.scan.blanks();
        }
    }

    fn over_value(&mut self) -> Option<()> {
        let first = self.scan.now()?;
        if !matches!(first, b'{' | b'[') {
            return self.scan.scalar(first);
        }
        if let Some(end) = self.known.end(self.scan.at) {
            self.scan.at = end;
            return Some(());
        }
        let mut depth = 0_usize;
        loop {
            match self.scan.now()? {
                b'"' => {
                    self.scan.string()?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            self.scan.at += 1;
            if depth == 0 {
                return Some(());
            }
        }
    }
}

/// The place of the next quote, backslash or control character from `at` on, or
/// the end. Eight bytes at a time: strings are most of a body.
#[inline]
fn special(text: &[u8], mut at: usize) -> usize {
    const ONES: u64 = u64::MAX / 255;
    while let Some(word) = text.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*word);
        // The high bit of a byte is set where it is below the limit (Mycroft);
        // above the first such byte it may lie, so only the first one counts.
        let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word;
        let found = below(word, 0x20)
            | below(word ^ (ONES * u64::from(b'"')), 1)
            | below(word ^ (ONES * u64::from(b'\\')), 1);
        let found = found & (ONES << 7);
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let is_special = |byte: &u8| matches!(byte, 0..0x20 | b'"' | b'\\');
    let rest = text.get(at..).unwrap_or_default();
    at + rest.iter().position(is_special).unwrap_or(rest.len())
}
