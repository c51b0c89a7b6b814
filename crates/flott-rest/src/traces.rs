//! Checkpoints and recoveries as spans, for a collector of OpenTelemetry traces (OTLP over HTTP, in JSON).
//!
//! Spans are called as Flink's are: `Checkpoint`, from its trigger to the last acknowledgement or to its failure, and
//! `JobInitialization`, from a failure until all tasks run again.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flott_control::view::{ClusterView, JobView};
use flott_control::{ExecutionState, JobStatus};
use flott_core::config::{AnyOption, Configuration, options};
use flott_core::{Error, ErrorKind, JobId, Result};
use opentelemetry::KeyValue;
use opentelemetry::trace::{Span as _, Status, Tracer as _, TracerProvider as _};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;

use crate::events::Event;

/// Where spans go.
pub struct Traces {
    provider: SdkTracerProvider,
    known: Known,
}

impl Traces {
    /// To where the options say, if they do.
    ///
    /// # Errors
    /// If that is no address.
    pub fn from_configuration(config: &Configuration) -> Result<Option<Self>> {
        let Some(endpoint) = config.get(&options::OTEL_ENDPOINT)? else { return Ok(None) };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpJson)
            .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
            .build();
        let exporter = exporter.map_err(|e| {
            let what =
                format!("traces cannot go to \"{endpoint}\" ({})", options::OTEL_ENDPOINT.key());
            Error::with_source(ErrorKind::InvalidInput, what, e)
        })?;
        let name = config.get(&options::OTEL_SERVICE_NAME)?;
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(Resource::builder().with_service_name(name).build())
            .build();
        Ok(Some(Self { provider, known: Known::default() }))
    }

    /// Sends spans for what has happened.
    pub(crate) fn look(&mut self, events: &[Event], view: &ClusterView) {
        let tracer = self.provider.tracer("flott");
        for Span { name, start, end, attributes, failure } in self.known.spans(events, view) {
            let builder = tracer.span_builder(name).with_start_time(at(start));
            let mut span = builder.with_attributes(attributes).start(&tracer);
            if let Some(failure) = failure {
                span.set_status(Status::error(failure));
            }
            span.end_with_timestamp(at(end));
        }
    }
}

fn at(millis: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

/// Something that took a while. Times are milliseconds since the epoch.
#[derive(Debug, PartialEq)]
struct Span {
    name: &'static str,
    start: i64,
    end: i64,
    attributes: Vec<KeyValue>,
    failure: Option<String>,
}

/// How often each job has been restarted, as far as spans tell.
#[derive(Default)]
struct Known(BTreeMap<JobId, u64>);

impl Known {
    fn spans(&mut self, events: &[Event], view: &ClusterView) -> Vec<Span> {
        let mut spans: Vec<Span> = events.iter().filter_map(checkpoint).collect();
        for job in &view.jobs {
            let id = job.description.job;
            let known = *self.0.entry(id).or_insert(job.num_restarts);
            if known < job.num_restarts
                && let Some(span) = recovery(job)
            {
                self.0.insert(id, job.num_restarts);
                spans.push(span);
            }
        }
        self.0.retain(|id, _| view.jobs.iter().any(|job| job.description.job == *id));
        spans
    }
}

fn checkpoint(event: &Event) -> Option<Span> {
    let Event { kind: "checkpoint", data } = event else { return None };
    let number = |name: &str| data[name].as_i64().unwrap_or(0);
    let text = |name: &str| data[name].as_str().unwrap_or_default().to_owned();
    let start = number("trigger_timestamp");
    Some(Span {
        name: "Checkpoint",
        start,
        end: start.saturating_add(number("end_to_end_duration")),
        attributes: vec![
            KeyValue::new("jobId", text("jid")),
            KeyValue::new("checkpointId", number("id")),
            KeyValue::new("checkpointStatus", text("status")),
            KeyValue::new("fullSize", number("state_size")),
            KeyValue::new("checkpointedSize", number("checkpointed_size")),
            KeyValue::new("isSavepoint", data["is_savepoint"].as_bool().unwrap_or(false)),
        ],
        failure: data["failure_message"].as_str().map(str::to_owned),
    })
}

/// The newest restart, once all tasks run.
fn recovery(job: &JobView) -> Option<Span> {
    let runs = job.status == JobStatus::Running
        && job.tasks.values().all(|task| task.state >= ExecutionState::Running);
    let failed = job.exceptions.entries().next().filter(|_| runs)?;
    let end =
        job.tasks.values().filter_map(|task| task.entered.get(&ExecutionState::Running)).max()?;
    let mut attributes = vec![
        KeyValue::new("jobId", job.description.job.to_string()),
        KeyValue::new("jobName", job.description.name.clone()),
        KeyValue::new("restarts", i64::try_from(job.num_restarts).unwrap_or(i64::MAX)),
        KeyValue::new("failure", failed.failure.message.clone()),
    ];
    let restored = job.checkpoints.latest_restored.filter(|own| own.restored_at >= failed.at);
    attributes.extend(restored.map(|own| {
        KeyValue::new("checkpointId", i64::try_from(own.checkpoint.0).unwrap_or(i64::MAX))
    }));
    Some(Span {
        name: "JobInitialization",
        start: failed.at.0,
        end: end.0.max(failed.at.0),
        attributes,
        failure: None,
    })
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use flott_core::config::Origin;

    use super::*;
    use crate::events::Events;
    use crate::testing;

    #[test]
    fn checkpoints_and_recoveries_go_to_a_collector() {
        let collector = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/", collector.local_addr().unwrap());
        let received = std::thread::Builder::new().name("collector".into()).spawn(move || {
            let (mut stream, _) = collector.accept().unwrap();
            let (mut all, mut bytes) = (Vec::new(), [0; 4096]);
            loop {
                let text = String::from_utf8_lossy(&all).into_owned();
                let whole = text.split_once("\r\n\r\n").filter(|(head, body)| {
                    let length = head.to_lowercase();
                    let length = length.split_once("content-length: ").map_or("", |(_, rest)| rest);
                    let length = length.split("\r\n").next().unwrap().parse::<usize>();
                    length.is_ok_and(|length| body.len() >= length)
                });
                if whole.is_some() {
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").unwrap();
                    return text;
                }
                let read = stream.read(&mut bytes).unwrap();
                all.extend_from_slice(&bytes[..read]);
            }
        });
        let received = received.unwrap();
        let mut config = Configuration::new();
        assert!(Traces::from_configuration(&config).unwrap().is_none());
        config.set_text(options::OTEL_ENDPOINT.key(), &address, Origin::File).unwrap();
        let mut traces = Traces::from_configuration(&config).unwrap().unwrap();
        let (events, view) = (Events::default(), testing::view());
        events.look(&ClusterView { jobs: Vec::new(), ..view.clone() });
        // It was not restarted when it was first seen.
        traces.known.0.insert(view.jobs[0].description.job, 0);
        let happened = events.look(&view);
        traces.look(&happened, &view);
        traces.provider.force_flush().unwrap();
        let text = received.join().unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("POST /v1/traces "), "{head}");
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        let spans = body["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap();
        let names: Vec<&str> = spans.iter().map(|span| span["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["Checkpoint", "Checkpoint", "Checkpoint", "JobInitialization"]);
        assert!(body.to_string().contains("the disk is full"), "{body}");
        assert_eq!(traces.known.spans(&[], &view), [], "once");
    }

    #[test]
    fn an_address_that_is_none_is_refused() {
        let mut config = Configuration::new();
        config.set_text(options::OTEL_ENDPOINT.key(), "no address", Origin::File).unwrap();
        let error = Traces::from_configuration(&config).err().unwrap().report();
        assert!(error.contains("traces cannot go to \"no address\""), "{error}");
    }
}
