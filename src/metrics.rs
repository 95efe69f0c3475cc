//! Every metric, declared once. Names and labels are PRODUCT's section 4; no
//! label takes a stranger's words.
//!
//! What must add up across restarts (owed, delivered, dead, dropped, pending)
//! is not counted here but set from the log's accounts at each scrape.

mod text;

use prometheus::core::Collector;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Registry,
};

/// What `connections_refused_total` tells apart.
pub const REFUSED_WHY: [&str; 6] = [
    "connections",
    "connections_per_ip",
    "accept",
    "first_byte",
    "tls",
    "tls_timeout",
];

/// All families. Fields are named as the metrics are, without the prefix.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    pub webhooks_total: IntCounterVec,
    pub events_accepted_total: IntCounterVec,
    pub events_unrouted_total: IntCounterVec,
    pub events_duplicate_total: IntCounterVec,
    pub accept_seconds: Histogram,
    pub log_sync_seconds: Histogram,
    pub ready: IntGauge,
    pub log_bytes: IntGauge,
    pub log_max_bytes: IntGauge,
    pub disk_free_bytes: IntGauge,
    pub disk_min_free_bytes: IntGauge,
    pub log_quarantined_total: IntCounterVec,
    pub route_matched_total: IntCounterVec,
    pub deliveries_owed_total: IntCounterVec,
    pub deliveries_settled_total: IntCounterVec,
    pub deliveries_pending: IntGaugeVec,
    pub backlog_bytes: IntGaugeVec,
    pub oldest_undelivered_seconds: GaugeVec,
    pub in_flight: IntGaugeVec,
    pub attempts_total: IntCounterVec,
    pub attempt_seconds: HistogramVec,
    pub delivery_seconds: HistogramVec,
    pub breaker_open: IntGaugeVec,
    pub paused: IntGaugeVec,
    pub dead_letters: IntGaugeVec,
    pub dead_letters_shed_total: IntCounterVec,
    pub loops_stopped_total: IntCounterVec,
    pub late_deliveries_total: IntCounterVec,
    pub stuck_passed_total: IntCounterVec,
    pub config_last_reload_successful: IntGauge,
    pub config_last_reload_success_timestamp_seconds: Gauge,
    pub config_info: IntGaugeVec,
    pub build_info: IntGaugeVec,
    pub connections: IntGauge,
    pub connections_refused_total: IntCounterVec,
    /// Without a series while there is no certificate.
    pub tls_certificate_expiry_seconds: IntGaugeVec,
    pub acme_orders_total: IntCounterVec,
}

/// Upper bounds of `hookfan_attempt_seconds`, and of whatever else takes
/// milliseconds to seconds.
pub const ATTEMPT_BOUNDS: [f64; 14] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];

/// Upper bounds of `hookfan_delivery_seconds`.
pub const DELIVERY_BOUNDS: [f64; 12] = [
    0.005,
    0.025,
    0.1,
    0.5,
    1.0,
    5.0,
    30.0,
    120.0,
    600.0,
    3600.0,
    6.0 * 3600.0,
    24.0 * 3600.0,
];

/// Registers a family; a name that is declared twice is a bug of ours.
#[allow(
    clippy::expect_used,
    reason = "the names are constants; a clash is found by the first test that runs"
)]
fn register<C: Collector + Clone + 'static>(
    registry: &Registry,
    family: prometheus::Result<C>,
) -> C {
    let family = family.expect("a valid metric name");
    registry
        .register(Box::new(family.clone()))
        .expect("a metric name used once");
    family
}

impl Metrics {
    #[allow(
        clippy::too_many_lines,
        reason = "one table; a second place for half of it would not help anybody"
    )]
    pub fn new() -> Self {
        let registry = Registry::new();
        let name = |name: &str| format!("hookfan_{name}");
        let counter = |metric: &str, help: &str, labels: &[&str]| {
            register(
                &registry,
                IntCounterVec::new(Opts::new(name(metric), help), labels),
            )
        };
        let gauge = |metric: &str, help: &str, labels: &[&str]| {
            register(
                &registry,
                IntGaugeVec::new(Opts::new(name(metric), help), labels),
            )
        };
        let histogram = |metric: &str, help: &str| {
            let opts = HistogramOpts::new(name(metric), help).buckets(ATTEMPT_BOUNDS.to_vec());
            register(&registry, Histogram::with_opts(opts))
        };
        let histograms = |metric: &str, help: &str, buckets: &[f64]| {
            let opts = HistogramOpts::new(name(metric), help).buckets(buckets.to_vec());
            register(&registry, HistogramVec::new(opts, &["destination"]))
        };
        let plain =
            |metric: &str, help: &str| register(&registry, IntGauge::new(name(metric), help));
        let metrics = Self {
            webhooks_total: counter(
                "webhooks_total",
                "Requests to /hooks, by answer.",
                &["source", "code"],
            ),
            events_accepted_total: counter(
                "events_accepted_total",
                "Events made durable.",
                &["source"],
            ),
            events_unrouted_total: counter(
                "events_unrouted_total",
                "Events no route wanted.",
                &["source"],
            ),
            events_duplicate_total: counter(
                "events_duplicate_total",
                "Resends of a durable event.",
                &["source"],
            ),
            accept_seconds: histogram(
                "accept_seconds",
                "From a request's first byte to its answer.",
            ),
            log_sync_seconds: histogram("log_sync_seconds", "One fdatasync of the log."),
            ready: plain("ready", "1 while /readyz says yes."),
            log_bytes: plain("log_bytes", "Bytes on disk in the data folder."),
            log_max_bytes: plain("log_max_bytes", "What log.max_disk allows of them."),
            disk_free_bytes: plain("disk_free_bytes", "Free bytes where the data folder is."),
            disk_min_free_bytes: plain(
                "disk_min_free_bytes",
                "Below so many free bytes (log.min_free) the answer is 503.",
            ),
            log_quarantined_total: counter(
                "log_quarantined_total",
                "Damaged ranges of the log that were skipped.",
                &[],
            ),
            route_matched_total: counter(
                "route_matched_total",
                "Events that a route matched.",
                &["source", "route"],
            ),
            deliveries_owed_total: counter(
                "deliveries_owed_total",
                "Copies owed.",
                &["destination"],
            ),
            deliveries_settled_total: counter(
                "deliveries_settled_total",
                "Copies settled, by how.",
                &["destination", "settlement"],
            ),
            deliveries_pending: gauge(
                "deliveries_pending",
                "Copies owed and not settled.",
                &["destination"],
            ),
            backlog_bytes: gauge(
                "backlog_bytes",
                "Bytes of the pending copies.",
                &["destination"],
            ),
            oldest_undelivered_seconds: register(
                &registry,
                GaugeVec::new(
                    Opts::new(
                        name("oldest_undelivered_seconds"),
                        "Age of the oldest pending copy; 0 when there is none.",
                    ),
                    &["destination"],
                ),
            ),
            in_flight: gauge("in_flight", "Attempts in the air.", &["destination"]),
            attempts_total: counter(
                "attempts_total",
                "Attempts, by what they told us.",
                &["destination", "outcome"],
            ),
            attempt_seconds: histograms(
                "attempt_seconds",
                "One attempt, to the answer's last byte.",
                &ATTEMPT_BOUNDS,
            ),
            delivery_seconds: histograms(
                "delivery_seconds",
                "From accepted to delivered.",
                &DELIVERY_BOUNDS,
            ),
            breaker_open: gauge(
                "breaker_open",
                "1 while the breaker is open.",
                &["destination"],
            ),
            paused: gauge("paused", "1 while paused.", &["destination"]),
            dead_letters: gauge("dead_letters", "Dead letters kept now.", &["destination"]),
            dead_letters_shed_total: counter(
                "dead_letters_shed_total",
                "Dead letters that went before their time: there were too many.",
                &[],
            ),
            loops_stopped_total: counter(
                "loops_stopped_total",
                "Copies stopped because they went in a circle.",
                &["destination"],
            ),
            late_deliveries_total: counter(
                "late_deliveries_total",
                "Copies that met the late policy.",
                &["destination"],
            ),
            stuck_passed_total: counter(
                "stuck_passed_total",
                "Events that passed a stuck head.",
                &["destination"],
            ),
            config_last_reload_successful: register(
                &registry,
                IntGauge::new(
                    name("config_last_reload_successful"),
                    "1 if the last reload was applied.",
                ),
            ),
            config_last_reload_success_timestamp_seconds: register(
                &registry,
                Gauge::new(
                    name("config_last_reload_success_timestamp_seconds"),
                    "When a configuration was last applied.",
                ),
            ),
            config_info: gauge("config_info", "The configuration in force.", &["hash"]),
            build_info: gauge("build_info", "The running binary.", &["version"]),
            connections: register(
                &registry,
                IntGauge::new(name("connections"), "Open connections at the ingress."),
            ),
            connections_refused_total: counter(
                "connections_refused_total",
                "Connections closed without an answer, by why.",
                &["why"],
            ),
            tls_certificate_expiry_seconds: gauge(
                "tls_certificate_expiry_seconds",
                "When the certificate in force ends, as a Unix timestamp.",
                &[],
            ),
            acme_orders_total: counter(
                "acme_orders_total",
                "Attempts to get a certificate, by how they ended.",
                &["result"],
            ),
            registry: registry.clone(),
        };
        metrics
            .build_info
            .with_label_values(&[env!("CARGO_PKG_VERSION")])
            .set(1);
        // A rate needs a zero to start from, so that the first one counts.
        for found in [
            &metrics.log_quarantined_total,
            &metrics.dead_letters_shed_total,
        ] {
            found.with_label_values::<&str>(&[]).inc_by(0);
        }
        for why in REFUSED_WHY {
            metrics
                .connections_refused_total
                .with_label_values(&[why])
                .inc_by(0);
        }
        metrics
    }

    /// Forgets every series of a destination that left.
    pub fn forget_destination(&self, destination: &str) {
        for gauges in [
            &self.deliveries_pending,
            &self.backlog_bytes,
            &self.in_flight,
            &self.breaker_open,
            &self.paused,
            &self.dead_letters,
        ] {
            let _absent = gauges.remove_label_values(&[destination]);
        }
        let _absent = self
            .oldest_undelivered_seconds
            .remove_label_values(&[destination]);
        let _absent = self.attempt_seconds.remove_label_values(&[destination]);
        let _absent = self.delivery_seconds.remove_label_values(&[destination]);
    }

    /// Events that each (source, route) matched since the start.
    pub fn route_matches(&self) -> Vec<([String; 2], u64)> {
        let families = self.route_matched_total.collect();
        let series = families.iter().flat_map(|family| family.get_metric());
        let counts = series.filter_map(|series| {
            let label = |name: &str| {
                let mut labels = series.get_label().iter();
                labels.find(|label| label.name() == name)
            };
            let names = [label("source")?, label("route")?];
            let names = names.map(|label| label.value().to_owned());
            // Whole numbers, counted up from 0 by one.
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a count is neither negative nor beyond what a float holds exactly"
            )]
            let count = series.get_counter().get_value() as u64;
            Some((names, count))
        });
        counts.collect()
    }

    /// Forgets the matches of sources and routes that left.
    pub fn keep_routes(&self, keep: impl Fn(&str, &str) -> bool) {
        for ([source, route], _) in self.route_matches() {
            if !keep(&source, &route) {
                let _gone = self
                    .route_matched_total
                    .remove_label_values(&[&source, &route]);
            }
        }
    }

    /// What one family of histograms has counted, by destination: cumulative
    /// counts, one for each bound and one for all.
    pub fn buckets(family: &HistogramVec) -> Vec<(String, Vec<u64>)> {
        let families = family.collect();
        let series = families.iter().flat_map(|family| family.get_metric());
        let counts = series.filter_map(|series| {
            let name = series.get_label().first()?.value().to_owned();
            let histogram = series.get_histogram();
            let below = histogram.get_bucket().iter();
            let below = below.map(prometheus::proto::Bucket::cumulative_count);
            Some((name, below.chain([histogram.get_sample_count()]).collect()))
        });
        counts.collect()
    }

    /// The exposition in Prometheus' text format.
    pub fn render(&self) -> String {
        text::of(&self.registry.gather())
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}
