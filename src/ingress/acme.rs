//! Certificates by ACME (RFC 8555): ordered when there is none, renewed before
//! the one in force ends, kept across restarts. `when` decides, `order` does.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::Front;
use super::certificate::Certificate;
use super::server;
use super::tls::{Tls, Told};
use crate::clock::{Clock, Timestamp};
use crate::metrics::Metrics;
use crate::secret::Secret;

pub(super) mod challenge;
mod client;
mod http;
mod kept;
mod order;
mod store;
mod when;

use challenge::Challenges;
use client::Client;
use order::Failure;
use store::Store;
use when::{Act, Held, Tried};

/// `[server] tls = { acme = { … } }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acme {
    /// All in one certificate; at least one, in lower case.
    pub domains: Vec<String>,
    /// A mail address.
    pub contact: Option<String>,
    /// The server's directory: HTTPS, or HTTP on this machine.
    pub directory: String,
    pub challenge: Challenge,
    /// More roots to know the server by, PEM.
    pub ca: Option<PathBuf>,
    pub eab: Option<Eab>,
}

/// How we show that a name is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// On the ingress itself, which the CA reaches at port 443.
    TlsAlpn,
    /// On a listener of its own, which the CA reaches at port 80.
    Http { listen: SocketAddr },
}

impl Challenge {
    fn label(self) -> &'static str {
        match self {
            Self::TlsAlpn => "tls-alpn-01",
            Self::Http { .. } => "http-01",
        }
    }
}

/// External account binding: an account that was made by other means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Eab {
    pub key_id: String,
    /// Decoded.
    pub hmac_key: Secret,
}

/// Let's Encrypt.
pub const DIRECTORY: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// Keeps a certificate in force.
#[derive(Debug)]
pub struct Keeper {
    acme: Acme,
    tls: Arc<Tls>,
    challenges: Arc<Challenges>,
    store: Store,
    clock: Clock,
    metrics: Arc<Metrics>,
}

impl Keeper {
    /// Opens the folder and puts the certificate that is kept there in force.
    /// The data folder must be there, and ours. Reads files.
    pub fn open(
        acme: Acme,
        data_dir: &Path,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> Result<Self, String> {
        let store = Store::open(data_dir, &acme.directory)
            .map_err(|error| format!("{}: {error}", data_dir.join("acme").display()))?;
        let challenges = Arc::new(Challenges::new()?);
        let by_tls = acme.challenge == Challenge::TlsAlpn;
        let tls = Arc::new(Tls::awaited(by_tls.then(|| Arc::clone(&challenges)))?);
        match kept::certificate(&store) {
            Ok(Some(certificate)) => tls.hold(certificate),
            Ok(None) => {}
            // A new one mends it.
            Err(error) => tracing::error!(error, "tls.certificate_unreadable"),
        }
        Ok(Self {
            acme,
            tls,
            challenges,
            store,
            clock,
            metrics,
        })
    }

    /// Where the certificate is.
    pub fn tls(&self) -> Arc<Tls> {
        Arc::clone(&self.tls)
    }

    /// Answers HTTP-01 on `listener` until `drain` is cancelled.
    pub async fn serve_http(
        self: Arc<Self>,
        listener: TcpListener,
        front: Arc<ArcSwap<Front>>,
        drain: CancellationToken,
    ) {
        let proofs = http::Proofs {
            challenges: Arc::clone(&self.challenges),
            front,
            metrics: Arc::clone(&self.metrics),
        };
        server::serve(Arc::new(proofs), listener, None, drain).await;
    }

    /// Keeps at it until `drain` is cancelled. An order that is under way then
    /// is given up; the next process places another.
    pub async fn keep(self: Arc<Self>, drain: CancellationToken) {
        tokio::select! {
            () = drain.cancelled() => {}
            () = self.keep_forever() => {}
        }
    }

    async fn keep_forever(&self) {
        let mut tried = kept::tried(&self.store);
        let mut unsaved: Option<Zeroizing<String>> = None;
        let mut chance = self.clock.jitter();
        loop {
            if let Some(pem) = unsaved.take()
                && self.save(store::CERTIFICATE, pem.as_bytes()).await.is_err()
            {
                unsaved = Some(pem);
            }
            let now = self.clock.now();
            let until = match when::act(self.held(), &tried, now, chance) {
                Act::Keep { until } | Act::Wait { until } => until,
                Act::Order => {
                    unsaved = self.renew(&mut tried).await;
                    chance = self.clock.jitter();
                    continue;
                }
            };
            self.tls.trouble().next_order_at = Some(until);
            let look_max = if unsaved.is_some() {
                SAVE_AGAIN
            } else {
                LOOK_MAX
            };
            let pause = until.since(now).clamp(LOOK_MIN, look_max);
            tokio::time::sleep(pause).await;
        }
    }

    /// Gets a certificate and puts it in force, or notes why not. Returns what
    /// the disk would not take.
    async fn renew(&self, tried: &mut Tried) -> Option<Zeroizing<String>> {
        let client = Client::new(
            &self.acme.directory,
            self.acme.ca.clone(),
            self.clock.clone(),
        );
        let client = match client.await {
            Ok(client) => client,
            Err(detail) => {
                self.failed(tried, &detail, true, None);
                return None;
            }
        };
        let ordered = tokio::time::timeout(ORDER_MAX, self.order(client.clone(), tried)).await;
        let ordered = ordered.unwrap_or_else(|_late| {
            Err(Failure::from(format!(
                "no certificate within {ORDER_MAX:?}"
            )))
        });
        let (pem, certificate) = match ordered {
            Ok(ordered) => ordered,
            Err(failure) => {
                if failure.account_is_gone {
                    // A new one is made at the next attempt.
                    let _left = self.store.remove(store::ACCOUNT);
                }
                let heard = client.heard();
                self.failed(tried, &failure.detail, !heard.reached, heard.retry_at);
                self.save_tried(tried).await;
                return None;
            }
        };
        // On disk first: what senders have seen survives a restart. A disk that
        // does not take it keeps nobody from being served.
        let saved = self.save(store::CERTIFICATE, pem.as_bytes()).await;
        let not_after = certificate.not_after;
        self.tls.hold(certificate);
        self.tls.trouble().last_failure = None;
        let issued = self
            .metrics
            .acme_orders_total
            .with_label_values(&["issued"]);
        issued.inc();
        tracing::info!(names = ?self.acme.domains, %not_after, "tls.certificate_issued");
        tried.succeeded();
        self.save_tried(tried).await;
        saved.is_err().then_some(pem)
    }

    /// The whole way to a certificate that is good for something.
    async fn order(
        &self,
        client: Client,
        tried: &mut Tried,
    ) -> Result<(Zeroizing<String>, Certificate), Failure> {
        let kept = self.store.read(store::ACCOUNT);
        let kept = kept.map_err(|error| format!("{}: {error}", store::ACCOUNT))?;
        let kept = kept.as_ref().map(|bytes| bytes.as_slice());
        let (account, new) = order::account(&self.acme, client, kept).await?;
        if let Some(bytes) = new {
            self.save(store::ACCOUNT, &bytes).await?;
        }
        // Known before it is done: a process that dies and starts again in a
        // circle must not use up what the server allows.
        let mut placed = tried.clone();
        placed.ordering(self.clock.now());
        self.save(store::TRIED, &kept::written(&placed)).await?;
        *tried = placed;
        let pem = order::certificate(&self.acme, &account, &self.challenges).await?;
        let certificate = Certificate::read(pem.as_bytes(), pem.as_bytes())
            .map_err(|error| format!("the server's certificate: {error}"))?;
        if !certificate.covers(&self.acme.domains) {
            return Err("the server's certificate is for other names"
                .to_owned()
                .into());
        }
        if certificate.not_after <= self.clock.now() {
            return Err(
                "the server's certificate has ended already; is the clock right?"
                    .to_owned()
                    .into(),
            );
        }
        Ok((pem, certificate))
    }

    fn failed(
        &self,
        tried: &mut Tried,
        detail: &str,
        unreached: bool,
        retry_at: Option<Timestamp>,
    ) {
        let now = self.clock.now();
        tried.failed(now, unreached, retry_at);
        self.metrics
            .acme_orders_total
            .with_label_values(&["failed"])
            .inc();
        let expires_at = self.tls.held().map(|held| held.not_after);
        let failures = tried.failures;
        match expires_at {
            Some(at) if at > now => {
                tracing::warn!(detail, failures, expires_at = %at, "tls.certificate_failed: the present one stays in force");
            }
            _ => tracing::error!(
                detail,
                failures,
                "tls.certificate_failed: there is none that is valid"
            ),
        }
        let detail = detail.to_owned();
        self.tls.trouble().last_failure = Some(Told { at: now, detail });
    }

    fn held(&self) -> Option<Held> {
        let held = self.tls.held()?;
        Some(Held {
            not_before: held.not_before,
            not_after: held.not_after,
            fits: held.covers(&self.acme.domains),
        })
    }

    /// What is lost here is only caution.
    async fn save_tried(&self, tried: &Tried) {
        let _logged = self.save(store::TRIED, &kept::written(tried)).await;
    }

    /// Writes a file off the runtime; what cannot be written is logged.
    async fn save(&self, name: &'static str, bytes: &[u8]) -> Result<(), String> {
        let (store, bytes) = (self.store.clone(), Zeroizing::new(bytes.to_vec()));
        let written = tokio::task::spawn_blocking(move || store.write(name, &bytes)).await;
        let error = match written {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error.to_string(),
            Err(panicked) => panicked.to_string(),
        };
        let file = self.store.path(name);
        tracing::error!(file = %file.display(), error, "acme.unsaved: it is written again soon");
        Err(format!("{}: {error}", file.display()))
    }
}

/// A whole order, both polls included.
const ORDER_MAX: Duration = Duration::from_secs(300);

/// The machine may sleep, and its clock may leap: so often we look anew.
const LOOK_MAX: Duration = Duration::from_secs(60);
/// What the disk would not take is offered again.
const SAVE_AGAIN: Duration = Duration::from_secs(5);
/// However short a certificate lives, this loop is not busy.
const LOOK_MIN: Duration = Duration::from_millis(100);
