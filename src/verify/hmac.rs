//! Schemes that put the code of the body alone in a header: Qiscus, GitHub,
//! Slack, and the general one whose parts the operator names.

use std::time::Duration;

use http::HeaderName;

use super::mac::{Algorithm, Encoding, any_matches, code};
use super::stamp::{Unit, check_stamp};
use super::{Proof, Rejection, one, show_name};
use crate::clock::Timestamp;
use crate::event::Inbound;
use crate::secret::Secret;

/// One signature header over a text made of the body, a timestamp and an id.
#[derive(Debug)]
pub struct Hmac {
    pub(super) header: HeaderName,
    pub(super) algorithm: Algorithm,
    pub(super) encoding: Encoding,
    /// Stands in front of the code in the header, e.g. `sha256=`.
    pub(super) prefix: String,
    pub(super) signed: Vec<Part>,
    pub(super) timestamp: Option<Stamped>,
    pub(super) id: Option<HeaderName>,
    pub(super) secrets: Vec<Secret>,
}

/// A piece of the signed text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Text(String),
    Body,
    Timestamp,
    Id,
}

/// Where the signed time stands, and how far it may be from ours.
#[derive(Debug)]
pub(super) struct Stamped {
    pub(super) header: HeaderName,
    pub(super) unit: Unit,
    pub(super) tolerance: Duration,
}

impl Hmac {
    /// "HMAC-SHA256 of the raw body, hex, in QISCUS-SDK-SIGNATURE" (Qiscus' signature article).
    pub(super) fn qiscus(secrets: Vec<Secret>) -> Self {
        Self::of_body("qiscus-sdk-signature", "", secrets)
    }

    /// GitHub documents `X-Hub-Signature-256: sha256=<hex>` over the raw body.
    pub(super) fn github(secrets: Vec<Secret>) -> Self {
        Self::of_body("x-hub-signature-256", "sha256=", secrets)
    }

    /// Slack documents `X-Slack-Signature: v0=<hex>` over `v0:<seconds>:<body>`, five minutes.
    pub(super) fn slack(secrets: Vec<Secret>, tolerance: Duration) -> Self {
        let header = HeaderName::from_static("x-slack-request-timestamp");
        Self {
            signed: vec![
                Part::Text("v0:".into()),
                Part::Timestamp,
                Part::Text(":".into()),
                Part::Body,
            ],
            timestamp: Some(Stamped {
                header,
                unit: Unit::Seconds,
                tolerance,
            }),
            ..Self::of_body("x-slack-signature", "v0=", secrets)
        }
    }

    fn of_body(header: &'static str, prefix: &str, secrets: Vec<Secret>) -> Self {
        Self {
            header: HeaderName::from_static(header),
            algorithm: Algorithm::Sha256,
            encoding: Encoding::Hex,
            prefix: prefix.to_owned(),
            signed: vec![Part::Body],
            timestamp: None,
            id: None,
            secrets,
        }
    }

    pub(super) fn verify(&self, inbound: &Inbound<'_>, now: Timestamp) -> Result<(), Rejection> {
        let offered = one(inbound.headers, &self.header)?;
        let offered = offered
            .strip_prefix(self.prefix.as_str())
            .ok_or(Rejection::Malformed)?;
        let stamp = match &self.timestamp {
            Some(stamped) => one(inbound.headers, &stamped.header)?,
            None => "",
        };
        let id = match &self.id {
            Some(header) => self.unambiguous(one(inbound.headers, header)?)?,
            None => "",
        };
        let text = self.text(stamp, id, inbound.body);
        // The time is looked at first only because it is cheap; a stale forgery is still a forgery.
        if let Some(stamped) = &self.timestamp {
            check_stamp(stamp, stamped.unit, stamped.tolerance, now)?;
        }
        if any_matches(
            self.algorithm,
            self.encoding,
            &self.secrets,
            &[offered],
            &text,
        ) {
            Ok(())
        } else {
            Err(Rejection::Mismatch)
        }
    }

    pub(super) fn prove(&self, id: &str, body: &[u8], now: Timestamp) -> Proof {
        let stamp = self
            .timestamp
            .as_ref()
            .map_or_else(String::new, |stamped| stamped.unit.write(now));
        let text = self.text(&stamp, id, body);
        let code = self
            .secrets
            .first()
            .map(|key| code(self.algorithm, self.encoding, key, &text))
            .unwrap_or_default();
        let mut headers = vec![(show_name(&self.header), format!("{}{code}", self.prefix))];
        headers.extend(
            self.timestamp
                .as_ref()
                .map(|stamped| (show_name(&stamped.header), stamp.clone())),
        );
        headers.extend(
            self.id
                .as_ref()
                .map(|header| (show_name(header), id.to_owned())),
        );
        Proof {
            headers,
            ..Proof::default()
        }
    }

    fn text<'a>(&'a self, stamp: &'a str, id: &'a str, body: &'a [u8]) -> Vec<&'a [u8]> {
        let piece = |part: &'a Part| match part {
            Part::Text(text) => text.as_bytes(),
            Part::Body => body,
            Part::Timestamp => stamp.as_bytes(),
            Part::Id => id.as_bytes(),
        };
        self.signed.iter().map(piece).collect()
    }

    /// An id that holds a character of the text between the parts could make
    /// two different requests sign the same bytes.
    fn unambiguous<'a>(&self, id: &'a str) -> Result<&'a str, Rejection> {
        let separates = |c: char| {
            self.signed
                .iter()
                .any(|part| matches!(part, Part::Text(text) if text.contains(c)))
        };
        if id.contains(|c: char| !c.is_ascii_graphic() || separates(c)) {
            return Err(Rejection::Malformed);
        }
        Ok(id)
    }
}

/// Reads a template of `{body}`, `{timestamp}`, `{id}` and text between them;
/// `Err` is the text in braces that is none of them, or an unclosed brace.
pub(super) fn signed_parts(template: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut rest = template;
    while let Some((text, after)) = rest.split_once('{') {
        if !text.is_empty() {
            parts.push(Part::Text(text.to_owned()));
        }
        let (name, after) = after.split_once('}').ok_or_else(|| format!("{{{after}"))?;
        parts.push(match name {
            "body" => Part::Body,
            "timestamp" => Part::Timestamp,
            "id" => Part::Id,
            other => return Err(format!("{{{other}}}")),
        });
        rest = after;
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.to_owned()));
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signed_text_is_made_of_body_timestamp_and_id() {
        let text = |text: &str| Part::Text(text.to_owned());
        let parts = vec![
            text("v1:"),
            Part::Id,
            text("."),
            Part::Timestamp,
            text("."),
            Part::Body,
        ];
        assert_eq!(signed_parts("v1:{id}.{timestamp}.{body}"), Ok(parts));
        assert_eq!(signed_parts("{body}{secret}"), Err("{secret}".to_owned()));
        assert_eq!(signed_parts("{body}{id"), Err("{id".to_owned()));
    }
}
