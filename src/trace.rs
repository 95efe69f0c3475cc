//! W3C Trace Context: which trace an event belongs to, and what each of our own
//! steps is called in it. Pure: a span's id is computed from what it is the span
//! of, so whoever names it twice names it the same.

use std::fmt;

use sha2::{Digest, Sha256};

/// The header's name (W3C Trace Context, level 1).
pub const TRACEPARENT: &str = "traceparent";
/// What vendors carry along in a trace; passed on as it came.
pub const TRACESTATE: &str = "tracestate";

/// A place in a trace: what came as `traceparent`, or begins here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    pub id: [u8; 16],
    /// Who called us; zeros where the trace begins here.
    pub parent: [u8; 8],
    pub flags: u8,
}

impl Trace {
    /// Reads a `traceparent`. One of a later version is read as far as this
    /// version goes; one that is malformed, or all zeros, is none.
    pub fn read(text: &str) -> Option<Self> {
        let mut fields = text.trim().split('-');
        let mut field = |digits: usize| {
            let field = fields.next()?;
            let plain = field
                .bytes()
                .all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
            (field.len() == digits && plain).then_some(field)
        };
        let version = field(2)?;
        let (mut id, mut parent, mut flags) = ([0; 16], [0; 8], [0; 1]);
        hex::decode_to_slice(field(32)?, &mut id).ok()?;
        hex::decode_to_slice(field(16)?, &mut parent).ok()?;
        hex::decode_to_slice(field(2)?, &mut flags).ok()?;
        let more = fields.next().is_some();
        let known = version != "ff" && !(version == "00" && more);
        let [flags] = flags;
        (known && id != [0; 16] && parent != [0; 8]).then_some(Self { id, parent, flags })
    }

    /// The trace of an event that came without one: the event's own id names it.
    pub fn begun(event: [u8; 16]) -> Self {
        Self {
            id: event,
            parent: [0; 8],
            flags: SAMPLED,
        }
    }

    /// Whether whoever began it wants it recorded.
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// The `traceparent` for whoever is called from this span of ours.
    pub fn written(&self, span: [u8; 8]) -> String {
        Self {
            parent: span,
            ..*self
        }
        .to_string()
    }
}

/// As a `traceparent` has it.
impl fmt::Display for Trace {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id, parent) = (hex::encode(self.id), hex::encode(self.parent));
        write!(out, "00-{id}-{parent}-{:02x}", self.flags)
    }
}

/// The span in which an event was accepted.
pub fn accepted(event: [u8; 16]) -> [u8; 8] {
    span(&[b"accept", &event])
}

/// The span of one attempt to bring an event to a destination.
pub fn attempted(event: [u8; 16], destination: &str, attempt: u32) -> [u8; 8] {
    span(&[
        b"attempt",
        &event,
        destination.as_bytes(),
        &attempt.to_be_bytes(),
    ])
}

fn span(of: &[&[u8]]) -> [u8; 8] {
    let mut hash = Sha256::new();
    for part in of {
        // Lengths first, so that no two lists of parts read the same.
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let mut id = [0; 8];
    for (to, from) in id.iter_mut().zip(hash.finalize()) {
        *to = from;
    }
    // All zeros would mean "none".
    if id == [0; 8] { [1; 8] } else { id }
}

const SAMPLED: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_read_or_is_none() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let read = Trace::read(good).unwrap();
        assert!(read.is_sampled());
        assert_eq!(read.written(read.parent), good);
        let later = "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00-more";
        assert!(!Trace::read(later).unwrap().is_sampled());
        for bad in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333g-01",
            "0-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert_eq!(Trace::read(bad), None, "{bad}");
        }
    }

    #[test]
    fn every_attempt_has_a_span_of_its_own_and_always_the_same() {
        let event = [7; 16];
        let spans = [
            accepted(event),
            attempted(event, "crm", 1),
            attempted(event, "crm", 2),
            attempted(event, "crm2", 1),
            attempted([8; 16], "crm", 1),
        ];
        for (at, span) in spans.iter().enumerate() {
            assert!(!spans.iter().skip(at + 1).any(|other| other == span));
        }
        assert_eq!(attempted(event, "crm", 1), attempted(event, "crm", 1));
    }
}
