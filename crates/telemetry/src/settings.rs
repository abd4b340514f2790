//! What telemetry has to know.

use std::time::Duration;

use crate::{Batch, Endpoint, Level, Sampler, filter::Spans};

/// What telemetry has to know.
#[derive(Debug, Clone)]
pub struct TelemetrySettings {
    pub(crate) service: String,
    pub(crate) replica: String,
    pub(crate) level: Level,
    pub(crate) attributes: Vec<(String, String)>,
    pub(crate) trace_ids: bool,
    pub(crate) traces: Option<Traces>,
    pub(crate) metrics: Option<(Endpoint, Duration)>,
    pub(crate) logs: Option<(Endpoint, Batch)>,
    pub(crate) prometheus: bool,
}

/// How traces are exported.
#[derive(Debug, Clone)]
pub(crate) struct Traces {
    pub(crate) endpoint: Endpoint,
    pub(crate) sampler: Sampler,
    pub(crate) batch: Batch,
}

impl TelemetrySettings {
    /// For a service of this name, in the replica `primary`, at level `info`, exporting nothing.
    pub fn new(service: impl Into<String>) -> Self {
        Self {
            service: service.into(),
            replica: "primary".into(),
            level: Level::Info,
            attributes: Vec::new(),
            trace_ids: false,
            traces: None,
            metrics: None,
            logs: None,
            prometheus: false,
        }
    }

    /// Names the replica.
    #[must_use]
    pub fn replica(mut self, name: impl Into<String>) -> Self {
        self.replica = name.into();
        self
    }

    /// Sets the least serious level that is logged.
    #[must_use]
    pub fn level(mut self, level: Level) -> Self {
        self.level = level;
        self
    }

    /// Adds an attribute of the resource that all exported telemetry is of, beside `service.name`.
    #[must_use]
    pub fn attribute(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.attributes.push((key.into(), value.into()));
        self
    }

    /// Exports traces, and writes `trace_id` and `span_id` into the lines that belong to one.
    #[must_use]
    pub fn traces(mut self, endpoint: Endpoint, sampler: Sampler, batch: Batch) -> Self {
        self.traces = Some(Traces {
            endpoint,
            sampler,
            batch,
        });
        self
    }

    /// Measures, for whoever asks [`TelemetryGuard::prometheus`](crate::TelemetryGuard::prometheus).
    #[must_use]
    pub fn prometheus(mut self) -> Self {
        self.prometheus = true;
        self
    }

    /// Measures, and exports metrics with this time between two exports.
    #[must_use]
    pub fn metrics(mut self, endpoint: Endpoint, interval: Duration) -> Self {
        self.metrics = Some((endpoint, interval));
        self
    }

    /// Exports what is logged.
    #[must_use]
    pub fn logs(mut self, endpoint: Endpoint, batch: Batch) -> Self {
        self.logs = Some((endpoint, batch));
        self
    }

    /// Writes `trace_id` and `span_id` into lines also when traces are not exported from here: for a program whose
    /// subscriber has a layer of `tracing-opentelemetry` of its own.
    #[must_use]
    pub fn trace_ids(mut self) -> Self {
        self.trace_ids = true;
        self
    }

    /// Which spans may have ids of traces.
    pub(crate) fn spans(&self) -> Spans {
        match (self.trace_ids, &self.traces) {
            (true, _) => Spans::All,
            (false, Some(_)) => Spans::Exported,
            (false, None) => Spans::None,
        }
    }
}
