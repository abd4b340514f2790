//! What is measured, each defined once, for OTLP and Prometheus alike.
//!
//! 1. Labels are enums of few values. No hostname, path, application or user can become one.
//! 2. A measurement takes no allocation and no lock that is held for long. Where nothing reads metrics it is one
//!    comparison.
//! 3. What changes by itself is read when somebody asks ([`Instruments::watch`]).

mod labels;
mod process;

use std::{fmt, sync::Arc, time::Duration};

use http::{Method, StatusCode};
use opentelemetry::{
    KeyValue,
    metrics::{Counter, Histogram, Meter},
};

pub(crate) use labels::method as method_label;
pub use labels::{Backend, Intake, Lookup, Operation, Outcome, Reading, Route};
use process::Taken;

use crate::{Signal, otlp::Losses};

/// Seconds. What the conventions for HTTP advise.
const REQUEST_SECONDS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];
/// Seconds. Redis answers in less than one thousandth.
const STORAGE_SECONDS: [f64; 14] = [
    0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
];

/// What is measured. Clones measure the same; the default measures nothing.
#[derive(Clone, Default)]
pub struct Instruments(Option<Arc<Inner>>);

struct Inner {
    meter: Meter,
    requests: Histogram<f64>,
    storage: Histogram<f64>,
    readiness: Histogram<f64>,
    lookups: Counter<u64>,
    uploads: Counter<u64>,
    upload_bytes: Counter<u64>,
    publishes: Counter<u64>,
    served_stale: Counter<u64>,
}

impl Instruments {
    pub(crate) fn new(meter: Meter, losses: Arc<Losses>) -> Self {
        let seconds = |name, about, bounds: &[f64]| {
            meter
                .f64_histogram(name)
                .with_unit("s")
                .with_description(about)
                .with_boundaries(bounds.to_vec())
                .build()
        };
        let count = |name, unit, about| {
            meter
                .u64_counter(name)
                .with_unit(unit)
                .with_description(about)
                .build()
        };
        let inner = Inner {
            requests: seconds(
                "http.server.request.duration",
                "Duration of HTTP requests, up to the end of the answer.",
                &REQUEST_SECONDS,
            ),
            storage: seconds(
                "favonius.storage.operation.duration",
                "Duration of operations on stores.",
                &STORAGE_SECONDS,
            ),
            readiness: seconds(
                "favonius.readiness.check.duration",
                "Duration of readiness checks.",
                &STORAGE_SECONDS,
            ),
            lookups: count(
                "favonius.cache.lookups",
                "{lookup}",
                "Assets that were looked up in the cache.",
            ),
            uploads: count("favonius.uploads", "{asset}", "Assets that were uploaded."),
            upload_bytes: count(
                "favonius.upload.size",
                "By",
                "Content of the assets that were uploaded and stored.",
            ),
            publishes: count(
                "favonius.publishes",
                "{deployment}",
                "Deployments that were published.",
            ),
            served_stale: count(
                "favonius.served_stale",
                "{request}",
                "Requests that were answered from what was known before the stores failed.",
            ),
            meter,
        };
        inner.watch_process();
        inner.watch_losses(losses);
        Self(Some(Arc::new(inner)))
    }

    /// Whether anything reads what is measured.
    pub fn is_enabled(&self) -> bool {
        self.0.is_some()
    }

    /// A request was answered.
    pub fn request(&self, method: &Method, route: Route, status: StatusCode, took: Duration) {
        if let Some(inner) = &self.0 {
            let labels = [
                KeyValue::new("http.request.method", method_label(method)),
                KeyValue::new("http.response.status_code", labels::status(status)),
                KeyValue::new("http.route", route.as_str()),
            ];
            inner.requests.record(took.as_secs_f64(), &labels);
        }
    }

    /// An operation on a store ended.
    pub fn storage(
        &self,
        backend: Backend,
        operation: Operation,
        outcome: Outcome,
        took: Duration,
    ) {
        if let Some(inner) = &self.0 {
            let labels = [
                KeyValue::new("backend", backend.as_str()),
                KeyValue::new("operation", operation.as_str()),
                KeyValue::new("outcome", outcome.as_str()),
            ];
            inner.storage.record(took.as_secs_f64(), &labels);
        }
    }

    /// A readiness check ended.
    pub fn readiness_check(&self, backend: Backend, outcome: Outcome, took: Duration) {
        if let Some(inner) = &self.0 {
            let labels = [
                KeyValue::new("backend", backend.as_str()),
                KeyValue::new("outcome", outcome.as_str()),
            ];
            inner.readiness.record(took.as_secs_f64(), &labels);
        }
    }

    /// An asset was looked up in the cache.
    pub fn cache_lookup(&self, lookup: Lookup) {
        if let Some(inner) = &self.0 {
            let labels = [KeyValue::new("outcome", lookup.as_str())];
            inner.lookups.add(1, &labels);
        }
    }

    /// An asset of this size was uploaded.
    pub fn upload(&self, intake: Intake, bytes: u64) {
        if let Some(inner) = &self.0 {
            let labels = [KeyValue::new("outcome", intake.as_str())];
            inner.uploads.add(1, &labels);
            if intake == Intake::Stored {
                inner.upload_bytes.add(bytes, &[]);
            }
        }
    }

    /// A deployment was published.
    pub fn publish(&self, intake: Intake) {
        if let Some(inner) = &self.0 {
            let labels = [KeyValue::new("outcome", intake.as_str())];
            inner.publishes.add(1, &labels);
        }
    }

    /// A request was answered from what was known before the stores failed.
    pub fn served_stale(&self) {
        if let Some(inner) = &self.0 {
            inner.served_stale.add(1, &[]);
        }
    }

    /// Reads a value with this, whenever somebody asks for metrics. Call it once for each; `read` must not wait.
    pub fn watch(&self, reading: Reading, read: impl Fn() -> u64 + Send + Sync + 'static) {
        if let Some(inner) = &self.0 {
            let (unit, about) = reading.about();
            inner.watch(reading.as_str(), unit, about, move || Some(read()));
        }
    }
}

impl Inner {
    fn watch(
        &self,
        name: &'static str,
        unit: &'static str,
        about: &'static str,
        read: impl Fn() -> Option<u64> + Send + Sync + 'static,
    ) {
        // The meter keeps what it was given; what is returned is of no use.
        let _gauge = self
            .meter
            .u64_observable_gauge(name)
            .with_unit(unit)
            .with_description(about)
            .with_callback(move |observer| {
                if let Some(value) = read() {
                    observer.observe(value, &[]);
                }
            })
            .build();
    }

    fn watch_process(&self) {
        let watched = [
            (
                "process.memory.usage",
                "By",
                "Resident memory of the process.",
                Taken::Memory,
            ),
            (
                "favonius.process.threads",
                "{thread}",
                "Threads of the process.",
                Taken::Threads,
            ),
            (
                "favonius.process.open_fds",
                "{file}",
                "Open file descriptors of the process.",
                Taken::OpenFiles,
            ),
        ];
        for (name, unit, about, taken) in watched {
            self.watch(name, unit, about, move || taken.read());
        }
    }

    fn watch_losses(&self, losses: Arc<Losses>) {
        let signals = [
            (Signal::Traces, "traces"),
            (Signal::Metrics, "metrics"),
            (Signal::Logs, "logs"),
        ];
        let _counter = self
            .meter
            .u64_observable_counter("favonius.telemetry.dropped")
            .with_unit("{record}")
            .with_description("Spans, log records and exports of metrics that were lost.")
            .with_callback(move |observer| {
                for (signal, name) in signals {
                    observer.observe(losses.of(signal), &[KeyValue::new("signal", name)]);
                }
            })
            .build();
    }
}

impl fmt::Debug for Instruments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instruments")
            .field("enabled", &self.is_enabled())
            .finish()
    }
}
