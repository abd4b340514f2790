//! Values that are read when somebody asks for metrics.
//!
//! Each is defined once, here. What can tell the value registers with it; where nobody does, the metric is not there.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use opentelemetry::{
    KeyValue,
    metrics::{AsyncInstrument, Meter},
};

use super::labels::Cache;

/// Makes the enum, and what is known of each value.
macro_rules! readings {
    ($($(#[$about:meta])* $value:ident = $name:literal, $kind:ident, $unit:literal, $words:literal;)+) => {
        /// A value that is read when somebody asks for it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Reading {
            $($(#[$about])* #[doc = $words] $value,)+
        }

        impl Reading {
            /// All values.
            pub const ALL: &'static [Self] = &[$(Self::$value,)+];

            /// The name in metrics.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$value => $name,)+
                }
            }

            /// What kind it is, its unit (UCUM), and what it is in words.
            fn about(self) -> (Kind, &'static str, &'static str) {
                match self {
                    $(Self::$value => (Kind::$kind, $unit, $words),)+
                }
            }
        }
    };
}

readings! {
    ActiveRequests = "http.server.active_requests", UpDown, "{request}",
        "HTTP requests that are being answered.";
    Connections = "favonius.http.connections", UpDown, "{connection}",
        "Connections of clients that are open.";
    ResponseBytes = "favonius.http.response.size", Counter, "By",
        "Content of all answers.";
    S3SocketsUsed = "favonius.s3.sockets.used", Gauge, "{socket}",
        "Connections to S3 that carry a request.";
    S3SocketsWaiting = "favonius.s3.sockets.waiting", Gauge, "{request}",
        "Requests that wait for a connection to S3.";
    S3SocketsLimit = "favonius.s3.sockets.limit", Gauge, "{socket}",
        "Most connections to S3 at a time.";
    CacheUsed = "favonius.cache.used", Gauge, "By",
        "What a cache holds.";
    CacheLimit = "favonius.cache.limit", Gauge, "By",
        "What a cache may hold.";
    MemoryUsed = "process.memory.usage", UpDown, "By",
        "Resident memory of the process.";
    MemoryLimit = "favonius.memory.limit", Gauge, "By",
        "Memory that the control group of the process may use.";
    Threads = "process.threads", UpDown, "{thread}",
        "Threads of the process.";
    OpenFiles = "process.open_fds", UpDown, "{file_descriptor}",
        "Open file descriptors of the process.";
    OpenFilesLimit = "process.max_fds", Gauge, "{file_descriptor}",
        "Most file descriptors that the process may open.";
    StartTime = "process.start_time", Gauge, "s",
        "When the process started, in seconds since 1970.";
    CpuTime = "process.cpu.time", Seconds, "s",
        "Processor time that the process has taken, of user and system together.";
    RuntimeWorkers = "favonius.runtime.workers", Gauge, "{thread}",
        "Threads of the runtime that serve.";
    RuntimeTasks = "favonius.runtime.tasks", Gauge, "{task}",
        "Tasks of the runtime that are alive.";
    RuntimeQueue = "favonius.runtime.queue.depth", Gauge, "{task}",
        "Tasks that wait for any thread of the runtime.";
    RuntimeBusy = "favonius.runtime.busy", Seconds, "s",
        "Time for which the threads of the runtime had something to do, of all of them together.";
    CertificateNotAfter = "favonius.tls.certificate.not_after", Gauge, "s",
        "When the certificate in use expires, in seconds since 1970.";
    LogLinesDropped = "favonius.log.lines.dropped", Counter, "{line}",
        "Log lines that were lost because the output does not keep up.";
}

/// How a value behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It is what it is at the moment.
    Gauge,
    /// The same of what can be added up over processes.
    UpDown,
    /// It only grows.
    Counter,
    /// It only grows, and is told in thousandths of its unit.
    Seconds,
}

type Read = Box<dyn Fn() -> Option<u64> + Send + Sync>;

/// What can tell one value.
struct Source {
    reading: Reading,
    labels: Vec<KeyValue>,
    read: Read,
}

/// All that can tell values. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Readings(Arc<RwLock<Vec<Source>>>);

impl Readings {
    /// Defines every reading with this meter.
    pub(super) fn new(meter: &Meter) -> Self {
        let this = Self::default();
        for reading in Reading::ALL {
            this.define(meter, *reading);
        }
        this
    }

    fn define(&self, meter: &Meter, reading: Reading) {
        let (kind, unit, about) = reading.about();
        let name = reading.as_str();
        let sources = self.clone();
        // The meter keeps what it was given; what it returns is of no use.
        match kind {
            Kind::Gauge => drop(
                meter
                    .u64_observable_gauge(name)
                    .with_unit(unit)
                    .with_description(about)
                    .with_callback(move |observer| sources.observe(reading, observer, |v| v))
                    .build(),
            ),
            Kind::UpDown => drop(
                meter
                    .i64_observable_up_down_counter(name)
                    .with_unit(unit)
                    .with_description(about)
                    .with_callback(move |observer| sources.observe(reading, observer, signed))
                    .build(),
            ),
            Kind::Counter => drop(
                meter
                    .u64_observable_counter(name)
                    .with_unit(unit)
                    .with_description(about)
                    .with_callback(move |observer| sources.observe(reading, observer, |v| v))
                    .build(),
            ),
            Kind::Seconds => drop(
                meter
                    .f64_observable_counter(name)
                    .with_unit(unit)
                    .with_description(about)
                    .with_callback(move |observer| sources.observe(reading, observer, seconds))
                    .build(),
            ),
        }
    }

    /// Reads one value with this from now on.
    pub(super) fn add(
        &self,
        reading: Reading,
        cache: Option<Cache>,
        read: impl Fn() -> Option<u64> + Send + Sync + 'static,
    ) {
        let labels = cache.map(|cache| KeyValue::new("cache", cache.as_str()));
        let source = Source {
            reading,
            labels: labels.into_iter().collect(),
            read: Box::new(read),
        };
        let mut sources = self.0.write().unwrap_or_else(PoisonError::into_inner);
        sources.push(source);
    }

    fn observe<T>(
        &self,
        reading: Reading,
        observer: &dyn AsyncInstrument<T>,
        convert: impl Fn(u64) -> T,
    ) {
        let sources = self.0.read().unwrap_or_else(PoisonError::into_inner);
        for source in sources.iter().filter(|source| source.reading == reading) {
            if let Some(value) = (source.read)() {
                observer.observe(convert(value), &source.labels);
            }
        }
    }
}

impl fmt::Debug for Readings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sources = self.0.read().unwrap_or_else(PoisonError::into_inner);
        f.debug_list()
            .entries(sources.iter().map(|source| source.reading))
            .finish()
    }
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "exact up to 285 years of milliseconds"
)]
fn seconds(thousandths: u64) -> f64 {
    thousandths as f64 / 1000.0
}
