//! What a running gateway cannot change about itself.

use super::Config;

/// The keys that differ between two configurations and that a reload cannot
/// change: the addresses are bound, the data folder is open with its
/// settings, and a listener speaks TLS or does not.
pub fn needs_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    let (was, is) = (&old.log, &new.log);
    [
        ("server.listen", old.server.listen != new.server.listen),
        ("server.admin", old.server.admin != new.server.admin),
        (
            "server.tls",
            old.server.tls.is_some() != new.server.tls.is_some(),
        ),
        ("server.data_dir", was.data_dir != is.data_dir),
        ("log.retain", was.retain != is.retain),
        ("log.retain_dead", was.retain_dead != is.retain_dead),
        ("log.max_disk", was.max_disk != is.max_disk),
        ("log.min_free", was.min_free != is.min_free),
        ("log.dedupe", was.dedupe != is.dedupe),
        ("log.segment_bytes", was.segment_bytes != is.segment_bytes),
    ]
    .into_iter()
    .filter_map(|(key, differs)| differs.then_some(key))
    .collect()
}
