//! Two seams for the simulation: the wire of an attempt, and the ledger of a
//! worker, where it may go wrong on purpose.

use std::cell::{Cell, RefCell};
use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use tower::BoxError;
use tower::util::BoxCloneService;

use super::Destination;
use super::attempt::{Client, Head, Silence};
use super::ledger::Ledger;
use crate::clock::Timestamp;
use crate::event::{DestinationName, Event, Offset};
use crate::links::Links;
use crate::log::{Attempt, Delivery};
use crate::settle::{Outcome, Settlement};

/// What comes of a request, after whatever time.
pub(crate) type Answering =
    Pin<Box<dyn Future<Output = Result<http::Response<Full<Bytes>>, Outcome>> + Send>>;

/// Stands where sockets would.
pub(crate) trait Network: Debug + Send + Sync {
    fn ask(&self, destination: &DestinationName, request: Request<Full<Bytes>>) -> Answering;
}

/// A worker that goes wrong, so that the checker can be shown to see it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Sabotage {
    #[default]
    None,
    /// It writes that a copy was delivered when the attempt starts.
    SettlesEarly,
    /// Failed attempts are remembered by the worker alone.
    ForgetsRetries,
}

thread_local! {
    static NETWORK: RefCell<Option<Arc<dyn Network>>> = const { RefCell::new(None) };
    static SABOTAGE: Cell<Sabotage> = const { Cell::new(Sabotage::None) };
}

/// From now on this thread's workers speak to this network.
pub(crate) fn connect(network: Option<Arc<dyn Network>>, sabotage: Sabotage) {
    NETWORK.set(network);
    SABOTAGE.set(sabotage);
}

pub(super) fn client(destination: &Destination) -> Option<Client> {
    let network = NETWORK.with_borrow(Clone::clone)?;
    let name = destination.name.clone();
    Some(BoxCloneService::new(tower::service_fn(move |request| {
        let answer = network.ask(&name, request);
        async move {
            let answer = answer.await.map_err(|outcome| Silence {
                outcome,
                detail: "as simulated".to_owned(),
            })?;
            let head: Head = answer.map(|body| body.map_err(BoxError::from).boxed_unsync());
            Ok(head)
        }
    })))
}

/// A ledger, and what sabotage makes of it.
#[derive(Debug)]
pub(super) struct Twin<L>(pub(super) L);

impl<L: Ledger> Ledger for Twin<L> {
    async fn next(&mut self) -> Delivery {
        self.0.next().await
    }

    fn try_next(&mut self) -> Option<Delivery> {
        self.0.try_next()
    }

    fn awaits_sync(&self) -> bool {
        self.0.awaits_sync()
    }

    async fn synced(&self) {
        self.0.synced().await;
    }

    async fn reread(&self, offset: Offset) -> Option<Delivery> {
        self.0.reread(offset).await
    }

    fn start(&self, offset: Offset) -> bool {
        if SABOTAGE.get() == Sabotage::SettlesEarly {
            self.0.settle(offset, Settlement::Delivered, None, "");
            return true;
        }
        self.0.start(offset)
    }

    fn retry(&self, offset: Offset, attempt: Attempt, not_before: Timestamp) {
        if SABOTAGE.get() != Sabotage::ForgetsRetries {
            self.0.retry(offset, attempt, not_before);
        }
    }

    fn settle(
        &self,
        offset: Offset,
        settlement: Settlement,
        attempt: Option<Attempt>,
        detail: &str,
    ) -> bool {
        self.0.settle(offset, settlement, attempt, detail)
    }

    fn set_paused(&self, paused: bool) {
        self.0.set_paused(paused);
    }

    async fn customer(&self, event: &Event) -> Option<Arc<str>> {
        self.0.customer(event).await
    }

    fn links(&self) -> Links {
        self.0.links()
    }
}
