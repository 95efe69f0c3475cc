//! Prometheus' text format, for a scrape of a thousand destinations: what all
//! lines of a series share is written out once. Says what the library's encoder
//! says, letter for letter.

use std::fmt::Write;

use prometheus::proto::{LabelPair, Metric, MetricFamily, MetricType};

/// The exposition of these families.
pub(super) fn of(families: &[MetricFamily]) -> String {
    let lines: usize = families
        .iter()
        .map(|family| family.get_metric().len())
        .sum();
    let mut out = String::with_capacity(lines * 600);
    for family in families {
        let kind = match family.get_field_type() {
            MetricType::COUNTER => "counter",
            MetricType::GAUGE => "gauge",
            MetricType::HISTOGRAM => "histogram",
            // None is declared.
            MetricType::SUMMARY | MetricType::UNTYPED => continue,
        };
        let name = family.name();
        put(&mut out, &["# HELP ", name, " "]);
        escaped(&mut out, family.help(), false);
        put(&mut out, &["\n# TYPE ", name, " ", kind, "\n"]);
        let mut bounds = Bounds::default();
        for metric in family.get_metric() {
            match family.get_field_type() {
                MetricType::COUNTER => {
                    let value = metric.get_counter().get_value();
                    sample(&mut out, name, &labels(metric.get_label()), value);
                }
                MetricType::GAUGE => {
                    let value = metric.get_gauge().get_value();
                    sample(&mut out, name, &labels(metric.get_label()), value);
                }
                _ => histogram(&mut out, name, metric, &mut bounds),
            }
        }
    }
    out
}

/// The texts of bounds, which all series of a family share.
#[derive(Default)]
struct Bounds(Vec<(f64, String)>);

impl Bounds {
    fn text(&mut self, at: usize, bound: f64) -> &str {
        let known = self.0.get(at).is_some_and(|(known, _)| *known == bound);
        if !known {
            self.0.truncate(at);
            self.0.push((bound, bound.to_string()));
        }
        self.0.get(at).map_or("", |(_, text)| text)
    }
}

fn histogram(out: &mut String, name: &str, metric: &Metric, bounds: &mut Bounds) {
    let counted = metric.get_histogram();
    let labels = labels(metric.get_label());
    let separator = if labels.is_empty() { "" } else { "," };
    let mut bucket = |bound: &str, count: u64| {
        put(
            out,
            &[name, "_bucket{", &labels, separator, "le=\"", bound, "\"} "],
        );
        number(out, count as f64);
        out.push('\n');
    };
    for (at, one) in counted.get_bucket().iter().enumerate() {
        bucket(bounds.text(at, one.upper_bound()), one.cumulative_count());
    }
    bucket("+Inf", counted.get_sample_count());
    sample(
        out,
        &format!("{name}_sum"),
        &labels,
        counted.get_sample_sum(),
    );
    let count = counted.get_sample_count() as f64;
    sample(out, &format!("{name}_count"), &labels, count);
}

fn sample(out: &mut String, name: &str, labels: &str, value: f64) {
    match labels {
        "" => put(out, &[name, " "]),
        labels => put(out, &[name, "{", labels, "} "]),
    }
    number(out, value);
    out.push('\n');
}

/// `a="1",b="2"`.
fn labels(pairs: &[LabelPair]) -> String {
    let mut out = String::with_capacity(64);
    for pair in pairs {
        let separator = if out.is_empty() { "" } else { "," };
        put(&mut out, &[separator, pair.name(), "=\""]);
        escaped(&mut out, pair.value(), true);
        out.push('"');
    }
    out
}

fn escaped(out: &mut String, text: &str, quotes: bool) {
    for letter in text.chars() {
        match letter {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quotes => out.push_str("\\\""),
            letter => out.push(letter),
        }
    }
}

/// Most values are whole, and a whole number is written quicker.
fn number(out: &mut String, value: f64) {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let whole = value.fract() == 0.0 && value.abs() < EXACT && value.is_sign_positive();
    // Writing to a text cannot fail.
    let _written = if whole {
        write!(out, "{}", value as u64)
    } else {
        write!(out, "{value}")
    };
}

fn put(out: &mut String, parts: &[&str]) {
    for part in parts {
        out.push_str(part);
    }
}

#[cfg(test)]
mod tests {
    use prometheus::{
        Encoder, Gauge, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry, TextEncoder,
    };

    #[test]
    fn it_says_what_the_library_says() {
        let registry = Registry::new();
        let counter = IntCounterVec::new(
            Opts::new("c_total", "With \"quotes\", a \\ and\na line."),
            &["a", "b"],
        )
        .unwrap();
        counter.with_label_values(&["x", "\"\\\n"]).inc_by(7);
        counter
            .with_label_values(&["", "ü"])
            .inc_by(u64::from(u32::MAX));
        let opts = HistogramOpts::new("h_seconds", "H.").buckets(vec![0.005, 1.0, 30.0]);
        let histograms = HistogramVec::new(opts, &["d"]).unwrap();
        for (name, value) in [("one", 0.25), ("one", 1e-7), ("two", 1e9)] {
            histograms.with_label_values(&[name]).observe(value);
        }
        let plain = HistogramVec::new(HistogramOpts::new("p_seconds", "P."), &[]).unwrap();
        plain.with_label_values::<&str>(&[]).observe(3.0);
        registry.register(Box::new(counter)).unwrap();
        registry.register(Box::new(histograms)).unwrap();
        registry.register(Box::new(plain)).unwrap();
        for (number, value) in [-1.5, -0.0, 0.0, 1e300, f64::NAN, f64::INFINITY, 1.0 / 3.0]
            .into_iter()
            .enumerate()
        {
            let gauge = Gauge::new(format!("g{number}"), "G.").unwrap();
            gauge.set(value);
            registry.register(Box::new(gauge)).unwrap();
        }
        let families = registry.gather();
        let mut said = Vec::new();
        TextEncoder::new().encode(&families, &mut said).unwrap();
        assert_eq!(super::of(&families), String::from_utf8(said).unwrap());
    }
}
