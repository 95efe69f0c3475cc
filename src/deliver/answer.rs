//! Reading an answer: the status decides, a little of the body is kept for the
//! operator, and no secret of ours comes back in it.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;
use http::header::RETRY_AFTER;
use http_body::Body as _;
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use tower::BoxError;

use super::Destination;
use super::attempt::{Answer, Deadline, Head, Sent};
use crate::clock::Clock;
use crate::secret::Secret;
use crate::settle::{self, Outcome};
use crate::vendor::Writer;

/// What is read of a body; beyond it the connection is dropped, never drained.
pub(super) const BODY_BYTES_MAX: usize = 64 << 10;
/// The same where the body is what was asked for, unless the vendor needs more.
const HEARD_BYTES_MAX: usize = 4 << 20;
/// What is kept of a body (or an error) for the operator.
pub(super) const DETAIL_BYTES_MAX: usize = 2 << 10;
/// What is kept of it with an attempt.
pub(super) const ATTEMPT_DETAIL_BYTES_MAX: usize = 500;

/// How the answer to one attempt is to be read.
#[derive(Debug)]
pub(super) struct Reading {
    pub writer: Arc<dyn Writer>,
    pub clock: Clock,
    /// What the request carried and no text may show.
    pub secrets: Vec<Secret>,
    pub sensitive: Vec<HeaderValue>,
}

impl Reading {
    /// For a request of this destination, which carries `secrets`.
    pub(super) fn of(
        destination: &Destination,
        secrets: Vec<Secret>,
        sent: &Sent,
        clock: &Clock,
    ) -> Self {
        let sensitive = sent.headers().values().filter(|value| value.is_sensitive());
        Self {
            writer: Arc::clone(&destination.writer),
            clock: clock.clone(),
            sensitive: sensitive.cloned().collect(),
            secrets,
        }
    }

    /// Reads the body, at most until `deadline`, and decides by status, unless
    /// the vendor reads its answers differently.
    pub(super) async fn read(&self, head: Head, deadline: &mut Deadline<'_>) -> Answer {
        let (_, body, outcome) = self.read_to(head, deadline, BODY_BYTES_MAX).await;
        let detail = if outcome.is_success() {
            String::new()
        } else {
            self.shown(&body)
        };
        Answer::new(outcome, detail)
    }

    /// The same for a dialogue, which looks at the body itself.
    pub(super) async fn hear(
        &self,
        head: Head,
        deadline: &mut Deadline<'_>,
    ) -> (u16, Vec<u8>, Outcome) {
        let bytes_max = self.writer.answer_bytes_max().max(HEARD_BYTES_MAX);
        self.read_to(head, deadline, bytes_max).await
    }

    async fn read_to(
        &self,
        head: Head,
        deadline: &mut Deadline<'_>,
        bytes_max: usize,
    ) -> (u16, Vec<u8>, Outcome) {
        let (parts, body) = head.into_parts();
        let status = parts.status.as_u16();
        let body = read_body(body, deadline, bytes_max).await;
        let outcome = self.writer.read_answer(status, &body).unwrap_or_else(|| {
            let asked = parts
                .headers
                .get(RETRY_AFTER)
                .and_then(|value| value.to_str().ok());
            let retry_after = asked.and_then(|value| settle::retry_after(value, self.clock.now()));
            Outcome::Answered {
                status,
                retry_after,
            }
        });
        (status, body, outcome)
    }

    /// A stranger's text as it may be shown: no secret of ours, no control
    /// characters, at most [`DETAIL_BYTES_MAX`] bytes.
    pub(super) fn shown(&self, text: &[u8]) -> String {
        // Twice what is kept: a secret that begins before the cut and ends after
        // it must still be recognised.
        let text = text.get(..DETAIL_BYTES_MAX * 2).unwrap_or(text);
        let mut text = String::from_utf8_lossy(text).into_owned();
        for mask in self.masks() {
            if text.contains(&mask) {
                text = text.replace(&mask, "***");
            }
        }
        cut(&escape(&text), DETAIL_BYTES_MAX).to_owned()
    }

    /// Every form in which a destination might give a secret back, longest
    /// first so that none hides a part of another.
    fn masks(&self) -> Vec<String> {
        let headers = self
            .sensitive
            .iter()
            .filter_map(|value| value.to_str().ok());
        // `Bearer abc` may come back as `abc`.
        let headers = headers.flat_map(|value| [value, value.rsplit(' ').next().unwrap_or(value)]);
        let secrets = self.secrets.iter().filter_map(Secret::expose_text);
        let mut masks: Vec<String> = headers
            .chain(secrets)
            .flat_map(|secret| {
                let in_query: String =
                    url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
                let in_path = percent_encoding::utf8_percent_encode(
                    secret,
                    percent_encoding::NON_ALPHANUMERIC,
                );
                [
                    secret.to_owned(),
                    in_query,
                    in_path.to_string(),
                    secret.replace('/', "\\/"),
                ]
            })
            .filter(|mask| !mask.is_empty())
            .collect();
        masks.sort_unstable_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        masks.dedup();
        masks
    }
}

/// The first bytes of a body. That it breaks, goes on, or never ends is no
/// error: what was read is what there is.
async fn read_body(
    mut body: UnsyncBoxBody<Bytes, BoxError>,
    deadline: &mut Deadline<'_>,
    bytes_max: usize,
) -> Vec<u8> {
    let mut read = Vec::new();
    while read.len() < bytes_max && !body.is_end_stream() {
        let Some(Some(Ok(frame))) = deadline.within(body.frame()).await else {
            break;
        };
        if let Ok(data) = frame.into_data() {
            let room = bytes_max - read.len();
            read.extend_from_slice(data.get(..room).unwrap_or(&data));
        }
    }
    read
}

/// Writes what would move a cursor, ring a bell or turn the reading direction
/// as an escape.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        let invisible = matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
        if character.is_control() || invisible {
            escaped.extend(character.escape_default());
        } else {
            escaped.push(character);
        }
    }
    escaped
}

/// At most `bytes_max` bytes of a text, whole characters.
pub(super) fn cut(text: &str, bytes_max: usize) -> &str {
    let end = (0..=bytes_max.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at));
    text.get(..end.unwrap_or(0)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deliver::sample;

    fn reading() -> Reading {
        let mut bearer = HeaderValue::from_static("Bearer tok/en+1");
        bearer.set_sensitive(true);
        Reading {
            secrets: vec![Secret::new("key with space"), Secret::new("k")],
            sensitive: vec![bearer],
            ..sample::reading()
        }
    }

    #[test]
    fn a_secret_that_comes_back_is_masked_in_every_form() {
        let check =
            |text: &str, expected: &str| assert_eq!(reading().shown(text.as_bytes()), expected);
        check("Bearer tok/en+1", "***");
        check("got tok/en+1!", "got ***!");
        check("got tok%2Fen%2B1!", "got ***!");
        check(r#"{"t":"tok\/en+1"}"#, r#"{"t":"***"}"#);
        check("?a=key+with+space", "?a=***");
        check("?a=key%20with%20space", "?a=***");
        check("a k", "a ***");
    }

    #[test]
    fn a_secret_across_the_cut_does_not_leak_its_beginning() {
        let reading = Reading {
            secrets: vec![Secret::new("s3cr3t-s3cr3t")],
            ..sample::reading()
        };
        let text = format!("{}s3cr3t-s3cr3t", "x".repeat(DETAIL_BYTES_MAX - 6));
        let shown = reading.shown(text.as_bytes());
        assert!(
            !shown.contains("s3cr") && shown.ends_with("***"),
            "{}",
            &shown[DETAIL_BYTES_MAX - 20..]
        );
    }

    #[test]
    fn control_characters_are_escaped_and_the_length_is_kept() {
        let reading = sample::reading();
        assert_eq!(
            reading.shown(b"a\r\n\x1b[31mb\0\x07"),
            r"a\r\n\u{1b}[31mb\u{0}\u{7}"
        );
        assert_eq!(reading.shown("\u{202e}é😀".as_bytes()), "\\u{202e}é😀");
        assert_eq!(reading.shown(b"\xff\xfe"), "\u{fffd}\u{fffd}");
        assert_eq!(reading.shown(&[b'x'; 100_000]).len(), DETAIL_BYTES_MAX);
        assert_eq!(reading.shown(&[0; 100_000]).len(), DETAIL_BYTES_MAX);
        assert_eq!(cut("aé", 2), "a");
        assert_eq!(cut("aé", 3), "aé");
    }
}
