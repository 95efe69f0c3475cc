//! What a running gateway cannot change about itself.

use super::{Config, TlsFrom};

/// The keys that differ between two configurations and that a reload cannot
/// change: the addresses are bound, the data folder is open with its
/// settings, a listener speaks TLS or does not, and whoever gets certificates
/// goes on as begun.
pub fn needs_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    let (was, is) = (&old.log, &new.log);
    [
        ("server.listen", old.server.listen != new.server.listen),
        ("server.admin", old.server.admin != new.server.admin),
        ("server.tls", tls_differs(&old.server.tls, &new.server.tls)),
        ("server.data_dir", was.data_dir != is.data_dir),
        ("log.retain", was.retain != is.retain),
        ("log.retain_dead", was.retain_dead != is.retain_dead),
        (
            "log.max_dead_letters",
            was.dead_letters_max != is.dead_letters_max,
        ),
        ("log.max_disk", was.max_disk != is.max_disk),
        ("log.min_free", was.min_free != is.min_free),
        ("log.dedupe", was.dedupe != is.dedupe),
        ("log.segment_bytes", was.segment_bytes != is.segment_bytes),
    ]
    .into_iter()
    .filter_map(|(key, differs)| differs.then_some(key))
    .collect()
}

/// Files may be others: certificates are read anew at every reload.
fn tls_differs(was: &Option<TlsFrom>, is: &Option<TlsFrom>) -> bool {
    match (was, is) {
        (Some(TlsFrom::Files(_)), Some(TlsFrom::Files(_))) => false,
        (was, is) => was != is,
    }
}
