//! How an ACME server is spoken to: HTTPS with the platform's roots (and one of
//! the operator's), every answer within a deadline and a size, and its word on
//! when to come back kept.

use std::error::Error as StdError;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{RETRY_AFTER, USER_AGENT};
use http::uri::Scheme;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use rustls::ClientConfig;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls_platform_verifier::Verifier;

use crate::clock::{Clock, Timestamp};

/// Speaks to one server. Clones share the connections and what was said.
#[derive(Clone)]
pub(super) struct Client {
    http: legacy::Client<HttpsConnector<HttpConnector>, BodyWrapper<Bytes>>,
    /// The directory is plain HTTP, on this machine.
    plain: bool,
    clock: Clock,
    heard: Arc<Mutex<Heard>>,
}

/// What the last answer said, where it was a refusal.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Heard {
    /// An answer came at all.
    pub(super) reached: bool,
    pub(super) retry_at: Option<Timestamp>,
}

impl Client {
    /// Reads the roots. The error is for the operator.
    pub(super) async fn new(
        directory: &str,
        ca: Option<PathBuf>,
        clock: Clock,
    ) -> Result<Self, String> {
        let read = tokio::task::spawn_blocking(move || trust(ca.as_deref()));
        let config = read.await.map_err(|error| error.to_string())??;
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(CONNECT_MAX));
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(config)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let http = legacy::Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE_MAX)
            .pool_timer(hyper_util::rt::TokioTimer::new())
            .build(https);
        Ok(Self {
            http,
            plain: directory.starts_with("http://"),
            clock,
            heard: Arc::default(),
        })
    }

    pub(super) fn heard(&self) -> Heard {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask(self, mut request: Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, Error> {
        let secure = request.uri().scheme() == Some(&Scheme::HTTPS);
        if !secure && !self.plain {
            return Err(said("the server names an address without TLS"));
        }
        request
            .headers_mut()
            .insert(USER_AGENT, HeaderValue::from_static(OURSELVES));
        self.note(Heard::default());
        let exchange = async {
            let answer = self
                .http
                .request(request)
                .await
                .map_err(|e| said(chain(&e)))?;
            let (parts, body) = answer.into_parts();
            let refused = parts.status.is_client_error() || parts.status.is_server_error();
            let retry_at = retry_at(&parts.headers, self.clock.now()).filter(|_| refused);
            self.note(Heard {
                reached: true,
                retry_at,
            });
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
            let body = body.map_err(|error| said(error.to_string()))?.to_bytes();
            if refused && !is_problem(&body) {
                // The crate would complain about the JSON and hide the status.
                return Err(said(format!("the server answered {}", parts.status)));
            }
            Ok(BytesResponse::from(Response::from_parts(
                parts,
                Full::new(body),
            )))
        };
        match tokio::time::timeout(ANSWER_MAX, exchange).await {
            Ok(answered) => answered,
            Err(_late) => Err(said(format!("no answer within {ANSWER_MAX:?}"))),
        }
    }

    fn note(&self, heard: Heard) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = heard;
    }
}

impl HttpClient for Client {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        Box::pin(self.clone().ask(request))
    }
}

/// `Retry-After` as an instant; both spellings.
fn retry_at(headers: &HeaderMap, now: Timestamp) -> Option<Timestamp> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(now.plus(Duration::from_secs(seconds)));
    }
    let since = httpdate::parse_http_date(text).ok()?;
    let since = since.duration_since(UNIX_EPOCH).ok()?;
    Some(Timestamp::from_millis(0).plus(since))
}

/// What a refusal should be (RFC 7807).
fn is_problem(body: &[u8]) -> bool {
    matches!(
        serde_json::from_slice(body),
        Ok(serde_json::Value::Object(_))
    )
}

fn said(text: impl Into<String>) -> Error {
    Error::Other(text.into().into())
}

/// An error with its causes.
fn chain(error: &dyn StdError) -> String {
    let mut texts: Vec<String> = Vec::new();
    for text in
        std::iter::successors(Some(error), |error| (*error).source()).map(ToString::to_string)
    {
        // Some errors repeat their source in their own text.
        if texts.last().is_none_or(|last| !last.contains(&text)) {
            texts.push(text);
        }
    }
    texts.join(": ")
}

/// The platform's roots, and the operator's for this server.
fn trust(ca: Option<&Path>) -> Result<ClientConfig, String> {
    let extra = ca.map_or_else(|| Ok(Vec::new()), certificates)?;
    let provider = Arc::new(ring::default_provider());
    let verifier = Verifier::new_with_extra_roots(extra, Arc::clone(&provider))
        .map_err(|error| error.to_string())?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    // The verifier is the platform's, with its full checks: rustls calls any
    // verifier that is not its own dangerous.
    Ok(config
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let complain = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let pem = std::fs::read(path).map_err(|error| complain(&error))?;
    let found: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| complain(&error))?;
    if found.is_empty() {
        return Err(complain(&"no certificate in it"));
    }
    Ok(found)
}

const OURSELVES: &str = concat!("hookfan/", env!("CARGO_PKG_VERSION"), " instant-acme");

/// To a connection, and to the last byte of an answer.
const CONNECT_MAX: Duration = Duration::from_secs(10);
const ANSWER_MAX: Duration = Duration::from_secs(30);
const IDLE_MAX: Duration = Duration::from_secs(20);

/// A chain of four certificates has ten thousand.
const ANSWER_BYTES_MAX: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_word_on_when_to_come_back_is_read_in_both_spellings() {
        let now = Timestamp::parse_rfc3339("2026-03-01T00:00:00Z").unwrap();
        let heard = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_str(text).unwrap());
            retry_at(&headers, now).map(|at| at.to_string())
        };
        assert_eq!(heard("120").as_deref(), Some("2026-03-01T00:02:00.000Z"));
        assert_eq!(
            heard("Sun, 01 Mar 2026 06:30:00 GMT").as_deref(),
            Some("2026-03-01T06:30:00.000Z")
        );
        assert_eq!(heard("soon"), None);
        assert_eq!(retry_at(&HeaderMap::new(), now), None);
    }

    #[tokio::test]
    async fn a_server_by_https_leads_nobody_to_an_address_without_tls() {
        let clock = Clock::system();
        let client = Client::new("https://acme.example/dir", None, clock)
            .await
            .unwrap();
        let request = Request::get("http://127.0.0.1:9/")
            .body(BodyWrapper::default())
            .unwrap();
        let error = client.ask(request).await.err().unwrap();
        assert!(error.to_string().contains("without TLS"), "{error}");
    }

    #[tokio::test]
    async fn a_ca_that_is_no_pem_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("root.pem");
        std::fs::write(&path, "nothing").unwrap();
        let made = Client::new("https://acme.example/dir", Some(path), Clock::system()).await;
        assert!(
            made.err()
                .unwrap()
                .contains("root.pem: no certificate in it")
        );
    }
}
