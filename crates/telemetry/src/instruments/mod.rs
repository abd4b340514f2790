//! What is measured, each defined once, for OTLP and Prometheus alike.
//!
//! 1. Labels are enums of few values. No hostname of a deployment, path, application or user can become one; the regions that
//!    are sent to can, for the configuration bounds them.
//! 2. A measurement takes no lock that is held for long, and that of a usual request no allocation. Where nothing reads metrics
//!    it is one comparison.
//! 3. What changes by itself is read when somebody asks ([`Instruments::watch`]).
//! 4. Counters whose labels are known begin at zero, so that the first of its kind is seen as a change.

mod labels;
mod operations;
mod process;
mod readings;
mod replication;
mod requests;
mod runtime;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use opentelemetry::{
    KeyValue,
    metrics::{Counter, Histogram, Meter},
};

pub(crate) use labels::method as method_label;
pub use labels::{
    Backend, Cache, Check, Ending, Intake, Lookup, Operation, Outcome, Pressed, Route, Upload,
};
use operations::Operations;
pub use readings::Reading;
use readings::Readings;
use replication::Replication;
pub use replication::{
    Delivery, ReadThrough, Receipt, Received, Repair, ReplicaRejection, TargetReading,
};
pub use requests::Request;
use requests::Requests;

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
    requests: Requests,
    active: AtomicU64,
    response_bytes: AtomicU64,
    storage: Operations,
    readiness: Histogram<f64>,
    lookups: Lookups,
    uploads: Counter<u64>,
    upload_bytes: Counter<u64>,
    publishes: Counter<u64>,
    pressed: Counter<u64>,
    served_stale: Counter<u64>,
    pending: Counter<u64>,
    refusals: Counter<u64>,
    replication: Replication,
    readings: Readings,
}

/// Counts of look-ups: there is one in nearly every request.
type Lookups = Arc<[[AtomicU64; Lookup::ALL.len()]; Cache::ALL.len()]>;

impl Instruments {
    pub(crate) fn new(meter: &Meter, losses: Arc<Losses>) -> Self {
        let seconds = |name, about, bounds: &[f64]| {
            meter
                .f64_histogram(name)
                .with_unit("s")
                .with_description(about)
                .with_boundaries(bounds.to_vec())
                .build()
        };
        let count = |name, unit, about| counter(meter, name, unit, about);
        let inner = Inner {
            requests: Requests::new(seconds(
                "http.server.request.duration",
                "Duration of HTTP requests, up to the end of the answer.",
                &REQUEST_SECONDS,
            )),
            active: AtomicU64::new(0),
            response_bytes: AtomicU64::new(0),
            storage: Operations::new(seconds(
                "favonius.storage.operation.duration",
                "Duration of operations on stores; of reads up to the first byte.",
                &STORAGE_SECONDS,
            )),
            readiness: seconds(
                "favonius.readiness.check.duration",
                "Duration of readiness checks.",
                &STORAGE_SECONDS,
            ),
            lookups: count_lookups(meter),
            uploads: count(
                "favonius.uploads",
                "{upload}",
                "Assets and snapshots that were uploaded.",
            ),
            upload_bytes: count(
                "favonius.upload.size",
                "By",
                "Content of the assets that were uploaded and stored.",
            ),
            publishes: count(
                "favonius.publishes",
                "{publish}",
                "Requests to publish a deployment.",
            ),
            pressed: count(
                "favonius.compressed_forms",
                "{form}",
                "Compressed forms of assets that were to be made.",
            ),
            served_stale: count(
                "favonius.served_stale",
                "{request}",
                "Requests that were answered from what was known before the record store failed.",
            ),
            pending: count(
                "favonius.assets.pending",
                "{request}",
                "Requests for assets that a deployment lists and the store lacks.",
            ),
            refusals: count(
                "favonius.auth.refusals",
                "{request}",
                "Requests to write that were refused for what they say of who sends them.",
            ),
            replication: Replication::new(meter),
            readings: Readings::new(meter),
        };
        inner.begin_at_zero();
        watch_losses(meter, losses);
        process::watch(&inner.readings);
        let inner = Arc::new(inner);
        for (reading, read) in [
            (Reading::ActiveRequests, active as fn(&Inner) -> u64),
            (Reading::ResponseBytes, response_bytes),
        ] {
            // Weak: what it holds holds it.
            let weak = Arc::downgrade(&inner);
            inner.readings.add(reading, None, move || {
                weak.upgrade().map(|inner| read(&inner))
            });
        }
        Self(Some(inner))
    }

    /// Whether anything reads what is measured.
    pub fn is_enabled(&self) -> bool {
        self.0.is_some()
    }

    /// A request has come. It counts as active until [`request_ended`](Self::request_ended), which has to follow.
    pub fn request_begun(&self) {
        if let Some(inner) = &self.0 {
            inner.active.fetch_add(1, Relaxed);
        }
    }

    /// A request has ended, and so many bytes of content were sent.
    pub fn request_ended(&self, request: &Request<'_>, content: u64) {
        if let Some(inner) = &self.0 {
            inner.active.fetch_sub(1, Relaxed);
            inner.requests.record(request);
            if content > 0 {
                inner.response_bytes.fetch_add(content, Relaxed);
            }
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
            inner.storage.record(backend, operation, outcome, took);
        }
    }

    /// A readiness check ended.
    pub fn readiness_check(&self, check: Check, outcome: Outcome, took: Duration) {
        if let Some(inner) = &self.0 {
            let labels = [
                KeyValue::new("check", check.as_str()),
                KeyValue::new("outcome", outcome.as_str()),
            ];
            inner.readiness.record(took.as_secs_f64(), &labels);
        }
    }

    /// Something was looked up in a cache.
    pub fn cache_lookup(&self, cache: Cache, lookup: Lookup) {
        let counts = self.0.as_ref().map(|inner| &inner.lookups);
        let count = counts.and_then(|counts| counts.get(cache as usize)?.get(lookup as usize));
        if let Some(count) = count {
            count.fetch_add(1, Relaxed);
        }
    }

    /// Something was uploaded, or should have been.
    pub fn upload(&self, upload: Upload, intake: Intake) {
        if let Some(inner) = &self.0 {
            let labels = [
                KeyValue::new("kind", upload.as_str()),
                KeyValue::new("outcome", intake.as_str()),
            ];
            inner.uploads.add(1, &labels);
        }
    }

    /// An asset of this size was stored.
    pub fn stored(&self, bytes: u64) {
        if let Some(inner) = &self.0 {
            inner.upload_bytes.add(bytes, &[]);
        }
    }

    /// A deployment was published, or should have been.
    pub fn publish(&self, intake: Intake) {
        if let Some(inner) = &self.0 {
            let labels = [KeyValue::new("outcome", intake.as_str())];
            inner.publishes.add(1, &labels);
        }
    }

    /// A compressed form of an asset was made, or should have been.
    pub fn pressed(&self, pressed: Pressed) {
        if let Some(inner) = &self.0 {
            let labels = [KeyValue::new("outcome", pressed.as_str())];
            inner.pressed.add(1, &labels);
        }
    }

    /// A request was answered from what was known before the record store failed.
    pub fn served_stale(&self) {
        if let Some(inner) = &self.0 {
            inner.served_stale.add(1, &[]);
        }
    }

    /// A request was for an asset that a deployment lists and the store lacks.
    pub fn asset_pending(&self) {
        if let Some(inner) = &self.0 {
            inner.pending.add(1, &[]);
        }
    }

    /// A request to write was refused. `reason` is one of a few fixed names.
    pub fn auth_refusal(&self, reason: &'static str) {
        if let Some(inner) = &self.0 {
            inner.refusals.add(1, &[KeyValue::new("reason", reason)]);
        }
    }

    /// Makes the counts of these reasons be there before anybody is refused.
    pub fn expect_auth_refusals(&self, reasons: impl IntoIterator<Item = &'static str>) {
        if let Some(inner) = &self.0 {
            for reason in reasons {
                inner.refusals.add(0, &[KeyValue::new("reason", reason)]);
            }
        }
    }

    /// Reads a value with this from now on, whenever somebody asks for metrics. Call it once for each; `read` must not wait.
    pub fn watch(&self, reading: Reading, read: impl Fn() -> u64 + Send + Sync + 'static) {
        if let Some(inner) = &self.0 {
            inner.readings.add(reading, None, move || Some(read()));
        }
    }

    /// The same for a value that is not there at all times.
    pub fn watch_if_any(
        &self,
        reading: Reading,
        read: impl Fn() -> Option<u64> + Send + Sync + 'static,
    ) {
        if let Some(inner) = &self.0 {
            inner.readings.add(reading, None, read);
        }
    }

    /// Reads how large a cache is, and how large it may be, in bytes.
    pub fn watch_cache(
        &self,
        cache: Cache,
        limit: u64,
        used: impl Fn() -> Option<u64> + Send + Sync + 'static,
    ) {
        if let Some(inner) = &self.0 {
            let readings = &inner.readings;
            readings.add(Reading::CacheUsed, Some(cache), used);
            readings.add(Reading::CacheLimit, Some(cache), move || Some(limit));
        }
    }

    /// Reads what a runtime has to do.
    pub fn watch_runtime(&self, runtime: &tokio::runtime::Handle) {
        if let Some(inner) = &self.0 {
            runtime::watch(&inner.readings, runtime);
        }
    }
}

impl Inner {
    /// Makes what is counted be there before anything happens.
    fn begin_at_zero(&self) {
        for upload in Upload::ALL {
            for intake in Intake::ALL {
                let labels = [
                    KeyValue::new("kind", upload.as_str()),
                    KeyValue::new("outcome", intake.as_str()),
                ];
                self.uploads.add(0, &labels);
            }
        }
        // To publish what is published already is to publish it again.
        for intake in [Intake::Stored, Intake::Rejected, Intake::Failed] {
            let labels = [KeyValue::new("outcome", intake.as_str())];
            self.publishes.add(0, &labels);
        }
        for pressed in Pressed::ALL {
            let labels = [KeyValue::new("outcome", pressed.as_str())];
            self.pressed.add(0, &labels);
        }
        for counter in [&self.upload_bytes, &self.served_stale, &self.pending] {
            counter.add(0, &[]);
        }
    }
}

fn counter(
    meter: &Meter,
    name: &'static str,
    unit: &'static str,
    about: &'static str,
) -> Counter<u64> {
    let counter = meter.u64_counter(name).with_unit(unit);
    counter.with_description(about).build()
}

fn active(inner: &Inner) -> u64 {
    inner.active.load(Relaxed)
}

fn response_bytes(inner: &Inner) -> u64 {
    inner.response_bytes.load(Relaxed)
}

fn count_lookups(meter: &Meter) -> Lookups {
    let lookups = Lookups::default();
    let counts = Arc::clone(&lookups);
    let _counter = meter
        .u64_observable_counter("favonius.cache.lookups")
        .with_unit("{lookup}")
        .with_description("Things that were looked up in a cache.")
        .with_callback(move |observer| {
            for (cache, counts) in Cache::ALL.iter().zip(counts.iter()) {
                for (lookup, count) in Lookup::ALL.iter().zip(counts) {
                    let labels = [
                        KeyValue::new("cache", cache.as_str()),
                        KeyValue::new("outcome", lookup.as_str()),
                    ];
                    observer.observe(count.load(Relaxed), &labels);
                }
            }
        })
        .build();
    lookups
}

fn watch_losses(meter: &Meter, losses: Arc<Losses>) {
    let signals = [
        (Signal::Traces, "traces"),
        (Signal::Metrics, "metrics"),
        (Signal::Logs, "logs"),
    ];
    let _counter = meter
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

impl fmt::Debug for Instruments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instruments")
            .field("enabled", &self.is_enabled())
            .finish()
    }
}
