//! Certificates at start: from files, or kept by ACME, whose listener is bound
//! here and whose task is owned here.

use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::StartError;
use crate::admin::House;
use crate::clock::Clock;
use crate::config::{Server, TlsFrom};
use crate::ingress::{self, Challenge, Keeper, Tls};
use crate::metrics::Metrics;

/// How this gateway comes by its certificate.
#[derive(Debug, Default)]
pub(super) struct Certificates {
    pub(super) tls: Option<Arc<Tls>>,
    keeper: Option<Arc<Keeper>>,
    /// For HTTP-01, until it is served.
    listener: Option<TcpListener>,
    task: JoinSet<()>,
}

impl Certificates {
    /// Reads what is there. The data folder must be open.
    pub(super) fn open(
        server: &Server,
        data_dir: &Path,
        clock: &Clock,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, StartError> {
        let acme = match &server.tls {
            None => return Ok(Self::default()),
            Some(TlsFrom::Files(files)) => {
                let tls = Tls::load(&files.cert, &files.key).map_err(StartError::Tls)?;
                return Ok(Self {
                    tls: Some(Arc::new(tls)),
                    ..Self::default()
                });
            }
            Some(TlsFrom::Acme(acme)) => acme.as_ref().clone(),
        };
        let listener = match acme.challenge {
            Challenge::TlsAlpn => None,
            Challenge::Http { listen: address } => {
                Some(ingress::bind(address).map_err(|source| StartError::Bind {
                    key: "server.tls.acme.http_listen",
                    address,
                    source,
                })?)
            }
        };
        let keeper = Keeper::open(acme, data_dir, clock.clone(), Arc::clone(metrics));
        let keeper = Arc::new(keeper.map_err(StartError::Tls)?);
        Ok(Self {
            tls: Some(keeper.tls()),
            keeper: Some(keeper),
            listener,
            task: JoinSet::new(),
        })
    }

    /// Begins to answer HTTP-01, beside the ingress.
    pub(super) fn serve(
        &mut self,
        house: &House,
        edges: &mut JoinSet<()>,
        drain: &CancellationToken,
    ) {
        if let (Some(keeper), Some(listener)) = (&self.keeper, self.listener.take()) {
            let front = Arc::clone(&house.front);
            edges.spawn(Arc::clone(keeper).serve_http(listener, front, drain.clone()));
        }
    }

    /// Sees to it that somebody keeps the certificate. A keeper that panicked
    /// is replaced; what it ordered within the hour is on disk and counts.
    pub(super) fn attend(&mut self, drain: &CancellationToken) {
        while let Some(ended) = self.task.try_join_next() {
            if let Err(error) = ended {
                tracing::error!(%error, "acme.keeper_failed: it starts again");
            }
        }
        if let (Some(keeper), true) = (&self.keeper, self.task.is_empty()) {
            self.task.spawn(Arc::clone(keeper).keep(drain.clone()));
        }
    }

    /// Ends the keeper, in the middle of an order if need be.
    pub(super) async fn end(&mut self) {
        self.task.shutdown().await;
    }
}
