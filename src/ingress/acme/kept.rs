//! The files of the folder as values: the certificate, and what was tried.

use serde::{Deserialize, Serialize};

use super::store::{self, Store};
use super::when::Tried;
use crate::clock::Timestamp;
use crate::ingress::certificate::Certificate;

/// The certificate that is kept, if there is one. The error names the file.
pub(super) fn certificate(store: &Store) -> Result<Option<Certificate>, String> {
    let file = store.path(store::CERTIFICATE);
    let complain = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let pem = store.read(store::CERTIFICATE);
    let Some(pem) = pem.map_err(|error| complain(&error))? else {
        return Ok(None);
    };
    let read = Certificate::read(&pem, &pem);
    read.map(Some).map_err(|error| complain(&error))
}

/// What of [`Tried`] outlives a process, in Unix milliseconds.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Written {
    orders: Vec<u64>,
    not_before: Option<u64>,
}

/// What was tried; a file that is missing or cannot be read says nothing.
pub(super) fn tried(store: &Store) -> Tried {
    let bytes = store.read(store::TRIED).ok().flatten();
    let written: Written = bytes
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default();
    let orders = written.orders.into_iter().map(Timestamp::from_millis);
    let mut tried = Tried {
        orders: orders.collect(),
        not_before: written.not_before.map(Timestamp::from_millis),
        ..Tried::default()
    };
    tried.orders.sort_unstable();
    tried
}

/// The file's text.
pub(super) fn written(tried: &Tried) -> Vec<u8> {
    let written = Written {
        orders: tried.orders.iter().map(|at| at.as_millis()).collect(),
        not_before: tried.not_before.map(Timestamp::as_millis),
    };
    serde_json::to_vec(&written).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_and_the_servers_word_outlive_the_process_and_failures_do_not() {
        let data = tempfile::tempdir().unwrap();
        let store = Store::open(data.path(), "https://acme.example/dir").unwrap();
        assert_eq!(tried(&store), Tried::default());
        let mut before = Tried::default();
        before.ordering(Timestamp::from_millis(5));
        let retry_at = Some(Timestamp::from_millis(9));
        before.failed(Timestamp::from_millis(6), false, retry_at);
        store.write(store::TRIED, &written(&before)).unwrap();
        let after = tried(&store);
        assert_eq!(
            (&after.orders, after.not_before),
            (&before.orders, retry_at)
        );
        assert_eq!((after.failures, after.failed_at), (0, None));
        store.write(store::TRIED, b"{").unwrap();
        assert_eq!(tried(&store), Tried::default());
    }

    #[test]
    fn a_certificate_that_cannot_be_read_is_named_without_a_byte_of_it() {
        let data = tempfile::tempdir().unwrap();
        let store = Store::open(data.path(), "https://acme.example/dir").unwrap();
        assert!(certificate(&store).unwrap().is_none());
        store
            .write(store::CERTIFICATE, b"-----BEGIN PRIVATE KEY-----\nhunter2")
            .unwrap();
        let error = certificate(&store).unwrap_err();
        assert!(
            error.contains("certificate.pem") && !error.contains("hunter2"),
            "{error}"
        );
    }
}
