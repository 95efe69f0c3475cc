//! What a sender is told: 200 with the event's id, or a status and nothing
//! a stranger could use.

use std::fmt::Write;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use serde::Serialize;

use crate::event::EventId;

/// A complete answer.
pub(super) type Answer = Response<Full<Bytes>>;

/// A refusal: what the sender gets, and (`why`) what the operator reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) status: StatusCode,
    /// A fixed word for the log, e.g. `signature`.
    pub(super) why: &'static str,
    /// More for the log; never a body or a header's value.
    pub(super) detail: Option<String>,
    pub(super) retry_after: Option<Duration>,
    /// The body was not read, so the connection cannot go on.
    pub(super) close: bool,
}

impl Refused {
    pub(super) fn new(status: StatusCode, why: &'static str) -> Self {
        Self {
            status,
            why,
            detail: None,
            retry_after: None,
            close: false,
        }
    }

    pub(super) fn detail(self, detail: impl ToString) -> Self {
        Self {
            detail: Some(detail.to_string()),
            ..self
        }
    }

    pub(super) fn retry_after(self, wait: Duration) -> Self {
        Self {
            retry_after: Some(wait),
            ..self
        }
    }

    pub(super) fn closing(self) -> Self {
        Self {
            close: true,
            ..self
        }
    }

    /// problem+json without detail.
    pub(super) fn answer(&self) -> Answer {
        #[derive(Serialize)]
        struct Problem {
            r#type: &'static str,
            title: &'static str,
            status: u16,
        }
        let title = self.status.canonical_reason().unwrap_or("Refused");
        let mut answer = json(&Problem {
            r#type: "about:blank",
            title,
            status: self.status.as_u16(),
        });
        *answer.status_mut() = self.status;
        let headers = answer.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(ALLOW, HeaderValue::from_static("POST"));
        }
        if let Some(wait) = self.retry_after {
            // Rounded up: a sender that comes back early is refused again.
            let whole = u64::from(wait.subsec_nanos() > 0);
            headers.insert(
                RETRY_AFTER,
                HeaderValue::from(wait.as_secs().saturating_add(whole).max(1)),
            );
        }
        if self.close {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        answer
    }
}

/// What became of a webhook.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Taken {
    /// The first event's.
    pub(super) id: Option<EventId>,
    pub(super) deliveries: usize,
    pub(super) duplicate: bool,
    /// Where there is not exactly one.
    pub(super) events: Option<usize>,
}

impl Taken {
    /// What is absent, and `duplicate` where it is none, is left out. Written by
    /// hand: every webhook is told this, and there is nothing to escape in it.
    pub(super) fn answer(&self) -> Answer {
        let mut body = String::with_capacity(96);
        body.push('{');
        if let Some(id) = self.id {
            body.push_str("\"id\":\"");
            body.push_str(id.text(&mut [0; 36]));
            body.push_str("\",");
        }
        // Writing to a string never fails.
        let _ = write!(body, "\"deliveries\":{}", self.deliveries);
        if self.duplicate {
            body.push_str(",\"duplicate\":true");
        }
        if let Some(events) = self.events {
            let _ = write!(body, ",\"events\":{events}");
        }
        body.push('}');
        with_type("application/json", body.into())
    }
}

/// The answer to a test of the line: the vendor's own, or ours where it has none.
pub(super) fn probe(content_type: &'static str, body: Bytes) -> Answer {
    if body.is_empty() {
        return with_type("application/json", Bytes::from_static(b"{\"probe\":true}"));
    }
    with_type(content_type, body)
}

fn json(value: &impl Serialize) -> Answer {
    // Structs of texts and numbers always serialise.
    with_type(
        "application/json",
        serde_json::to_vec(value).unwrap_or_default().into(),
    )
}

fn with_type(content_type: &'static str, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;
    use crate::clock::Timestamp;

    async fn text(answer: Answer) -> String {
        String::from_utf8(
            answer
                .into_body()
                .collect()
                .await
                .unwrap()
                .to_bytes()
                .to_vec(),
        )
        .unwrap()
    }

    #[tokio::test]
    async fn strangers_get_a_status_and_nothing_else() {
        let refused = Refused::new(StatusCode::UNAUTHORIZED, "signature")
            .detail("the secret of acme does not match");
        assert_eq!(
            text(refused.answer()).await,
            r#"{"type":"about:blank","title":"Unauthorized","status":401}"#
        );
    }

    #[tokio::test]
    async fn a_taken_webhook_is_told_its_id_and_copies() {
        let id = EventId::new(Timestamp::from_millis(1_700_000_000_000), 7);
        let taken = Taken {
            id: Some(id),
            deliveries: 2,
            ..Taken::default()
        };
        assert_eq!(
            text(taken.answer()).await,
            format!(r#"{{"id":"{id}","deliveries":2}}"#)
        );
        let taken = Taken {
            duplicate: true,
            deliveries: 0,
            events: Some(3),
            ..taken
        };
        assert_eq!(
            text(taken.answer()).await,
            format!(r#"{{"id":"{id}","deliveries":0,"duplicate":true,"events":3}}"#)
        );
        assert_eq!(text(Taken::default().answer()).await, r#"{"deliveries":0}"#);
        assert_eq!(
            text(probe("text/plain", Bytes::new())).await,
            r#"{"probe":true}"#
        );
        assert_eq!(text(probe("text/plain", "ok".into())).await, "ok");
    }

    #[test]
    fn a_wait_is_told_in_whole_seconds_rounded_up() {
        for (millis, expected) in [
            (0, "1"),
            (200, "1"),
            (1000, "1"),
            (1001, "2"),
            (30_000, "30"),
        ] {
            let refused = Refused::new(StatusCode::SERVICE_UNAVAILABLE, "x")
                .retry_after(Duration::from_millis(millis));
            assert_eq!(refused.answer().headers()[RETRY_AFTER], expected);
        }
    }
}
