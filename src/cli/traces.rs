//! Spans for an OpenTelemetry collector, made from two of our log lines: an event
//! was accepted, an attempt was judged. What is not of a sampled trace is left
//! out. Built with the feature `otel`.

use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, bail};
use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanExporter as _, SpanLinks};
use tokio::sync::mpsc;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use crate::clock::Clock;
use crate::event::EventId;
use crate::trace::{self, Trace};

/// Spans that wait for the collector; beyond it they are left out.
const WAITING_MAX: usize = 4096;
/// Spans of one request to the collector.
const BATCH_MAX: usize = 512;
const BATCH_PATIENCE: Duration = Duration::from_secs(2);
const EXPORT_TIMEOUT: Duration = Duration::from_secs(10);

/// Sees the log lines and passes on their spans.
struct Spans {
    export: mpsc::Sender<SpanData>,
    clock: Clock,
}

/// Brings spans to the collector.
#[derive(Debug)]
pub(super) struct Export {
    exporter: SpanExporter,
    waiting: mpsc::Receiver<SpanData>,
}

/// A layer for the log, and the other end of it, which somebody must run.
/// `collector` is its base URL: spans go to `<collector>/v1/traces`.
pub(super) fn to<S>(collector: &str) -> anyhow::Result<(impl Layer<S> + Send + Sync, Export)>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    if !collector.starts_with("http://") {
        bail!("--traces takes http://HOST:PORT: put a collector beside the gateway");
    }
    let mut exporter = SpanExporter::builder()
        .with_http()
        .with_endpoint(format!("{}/v1/traces", collector.trim_end_matches('/')))
        .with_timeout(EXPORT_TIMEOUT)
        .build()
        .with_context(|| format!("--traces {collector}"))?;
    let resource = Resource::builder().with_service_name("hookfan").build();
    exporter.set_resource(&resource);
    let (spans, waiting) = mpsc::channel(WAITING_MAX);
    // Lines of ours only, whatever `--log` says.
    let ours = Targets::new()
        .with_target("hookfan::ingress::accept", Level::DEBUG)
        .with_target("hookfan::deliver::report", Level::DEBUG);
    let spans = Spans {
        export: spans,
        clock: Clock::system(),
    };
    Ok((spans.with_filter(ours), Export { exporter, waiting }))
}

/// Runs `work` with the export beside it; what it made is sent before this ends.
pub(super) async fn beside<T>(export: Option<Export>, work: impl Future<Output = T>) -> T {
    let Some(export) = export else {
        return work.await;
    };
    let (ended, end) = tokio::sync::oneshot::channel::<()>();
    let stop = async {
        let _either_way = end.await;
    };
    let work = async {
        let made = work.await;
        drop(ended);
        made
    };
    tokio::join!(work, export.run(stop)).0
}

impl Export {
    /// Until `stop`, then what waits, at most for as long as one export may take.
    pub(super) async fn run(mut self, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        let mut tick = tokio::time::interval(BATCH_PATIENCE);
        let mut batch = Vec::new();
        loop {
            let room = BATCH_MAX - batch.len();
            tokio::select! {
                () = &mut stop => break,
                _ = tick.tick() => self.export(&mut batch).await,
                _count = self.waiting.recv_many(&mut batch, room) => if batch.len() == BATCH_MAX {
                    self.export(&mut batch).await;
                },
            }
        }
        while let Ok(span) = self.waiting.try_recv() {
            batch.push(span);
        }
        let last = self.export(&mut batch);
        if tokio::time::timeout(EXPORT_TIMEOUT, last).await.is_err() {
            tracing::warn!("traces.lost: the collector did not take the last spans in time");
        }
    }

    async fn export(&self, batch: &mut Vec<SpanData>) {
        if batch.is_empty() {
            return;
        }
        let spans = batch.len();
        if let Err(error) = self.exporter.export(std::mem::take(batch)).await {
            tracing::warn!(spans, %error, "traces.lost");
        }
    }
}

impl<S: Subscriber> Layer<S> for Spans {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut line = Line::default();
        event.record(&mut line);
        let now = Duration::from_millis(self.clock.now().as_millis());
        if let Some(span) = line.span(SystemTime::UNIX_EPOCH + now) {
            // Full: a trace with a hole is better than a gateway that waits.
            let _left_out = self.export.try_send(span);
        }
    }
}

/// The fields of a log line, as text.
#[derive(Debug, Default)]
struct Line(HashMap<&'static str, String>);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }
}

impl Line {
    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The span that this line ends, now.
    fn span(&self, end: SystemTime) -> Option<SpanData> {
        let accepted = match self.text("message")? {
            "event.accepted" => true,
            "attempt.judged" => false,
            _ => return None,
        };
        let event = EventId::parse(self.text(if accepted { "id" } else { "event" })?)?.to_bytes();
        let came = self.text("trace").and_then(Trace::read);
        let trace = came.unwrap_or_else(|| Trace::begun(event));
        let (span, parent) = if accepted {
            (trace::accepted(event), trace.parent)
        } else {
            let attempt = self.text("attempt")?.parse().ok()?;
            let span = trace::attempted(event, self.text("destination")?, attempt);
            (span, trace::accepted(event))
        };
        let took = Duration::from_millis(self.text("took_ms")?.parse().ok()?);
        let failed = !accepted && self.text("verdict") != Some("delivered");
        let attributes = self.0.iter();
        let attributes = attributes.filter(|(name, _)| !LEFT_OUT.contains(name));
        trace.is_sampled().then(|| SpanData {
            span_context: SpanContext::new(
                TraceId::from_bytes(trace.id),
                SpanId::from_bytes(span),
                TraceFlags::SAMPLED,
                false,
                TraceState::default(),
            ),
            parent_span_id: SpanId::from_bytes(parent),
            parent_span_is_remote: accepted && came.is_some(),
            span_kind: if accepted {
                SpanKind::Server
            } else {
                SpanKind::Client
            },
            name: if accepted { "accept" } else { "attempt" }.into(),
            start_time: end.checked_sub(took).unwrap_or(end),
            end_time: end,
            attributes: attributes
                .map(|(name, value)| KeyValue::new(format!("hookfan.{name}"), value.clone()))
                .collect(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: if failed {
                Status::error("")
            } else {
                Status::Unset
            },
            instrumentation_scope: InstrumentationScope::builder("hookfan").build(),
        })
    }
}

/// What a span says in its own way.
const LEFT_OUT: [&str; 3] = ["message", "trace", "took_ms"];

#[cfg(test)]
mod tests {
    use super::*;

    fn line(fields: &[(&'static str, &str)]) -> Line {
        let fields = fields
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()));
        Line(fields.collect())
    }

    const EVENT: &str = "019a4bd2-7c1e-7000-8000-000000000001";
    const CAME: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn an_attempt_hangs_below_the_acceptance_and_that_below_the_sender() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(100);
        let accepted = [
            ("message", "event.accepted"),
            ("id", EVENT),
            ("took_ms", "3"),
            ("trace", CAME),
        ];
        let accepted = line(&accepted).span(now).unwrap();
        assert_eq!(accepted.parent_span_id.to_string(), "b7ad6b7169203331");
        assert_eq!(accepted.start_time, now - Duration::from_millis(3));
        let judged = [
            ("message", "attempt.judged"),
            ("event", EVENT),
            ("destination", "crm"),
            ("attempt", "2"),
            ("verdict", "retry"),
            ("took_ms", "40"),
            ("trace", CAME),
        ];
        let judged = line(&judged).span(now).unwrap();
        assert_eq!(judged.parent_span_id, accepted.span_context.span_id());
        assert_eq!(
            judged.span_context.trace_id(),
            accepted.span_context.trace_id()
        );
        assert_eq!(judged.status, Status::error(""));
        let span = trace::attempted(EventId::parse(EVENT).unwrap().to_bytes(), "crm", 2);
        assert_eq!(judged.span_context.span_id(), SpanId::from_bytes(span));
    }

    #[test]
    fn without_a_trace_the_event_begins_one_and_an_unsampled_one_is_left_out() {
        let mut fields = vec![
            ("message", "event.accepted"),
            ("id", EVENT),
            ("took_ms", "3"),
        ];
        let span = line(&fields).span(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(
            span.span_context.trace_id().to_string(),
            EVENT.replace('-', "")
        );
        assert_eq!(span.parent_span_id, SpanId::INVALID);
        let quiet = CAME.replace("-01", "-00");
        fields.push(("trace", &quiet));
        assert!(line(&fields).span(SystemTime::UNIX_EPOCH).is_none());
    }

    #[tokio::test]
    async fn spans_reach_the_collector() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        use tracing_subscriber::layer::SubscriberExt;

        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (layer, export) = to(&format!("http://{address}/")).unwrap();
        let log = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(log, || {
            tracing::debug!(target: "hookfan::ingress::accept", id = EVENT, took_ms = 3_u64, "event.accepted");
            tracing::debug!(target: "hookfan::log", id = EVENT, took_ms = 3_u64, "event.accepted");
        });
        let collector = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut heard = Vec::new();
            while !heard.windows(6).any(|word| word == b"accept") {
                let mut some = [0; 4096];
                let count = stream.read(&mut some).await.unwrap();
                assert_ne!(count, 0);
                heard.extend_from_slice(&some[..count]);
            }
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(answer).await.unwrap();
            heard
        };
        let (heard, ()) = tokio::join!(collector, export.run(std::future::ready(())));
        let text = String::from_utf8_lossy(&heard);
        assert!(text.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{text}");
        assert!(text.contains("hookfan"), "{text}");
        let id: Vec<u8> = hex::decode(EVENT.replace('-', "")).unwrap();
        assert_eq!(heard.windows(16).filter(|word| *word == id).count(), 1);
    }
}
