//! Telemetry of a whole process.

use std::{fmt, io, sync::Arc};

use tracing_log::LogTracer;
use tracing_subscriber::{Registry, layer::SubscriberExt as _};

use crate::{
    Level, TelemetryGuard, TraceLookup,
    stdout::{self, Output},
};

/// What telemetry has to know.
#[derive(Clone)]
pub struct TelemetrySettings {
    pub(crate) service: String,
    pub(crate) replica: String,
    pub(crate) level: Level,
    pub(crate) traces: Option<Arc<dyn TraceLookup>>,
}

impl TelemetrySettings {
    /// For a service of this name, in the replica `primary`, at level `info`.
    pub fn new(service: impl Into<String>) -> Self {
        Self {
            service: service.into(),
            replica: "primary".into(),
            level: Level::Info,
            traces: None,
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

    /// Writes `trace_id` and `span_id` into lines, as this finds them.
    #[must_use]
    pub fn traces(mut self, lookup: impl TraceLookup) -> Self {
        self.traces = Some(Arc::new(lookup));
        self
    }
}

impl fmt::Debug for TelemetrySettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TelemetrySettings")
            .field("service", &self.service)
            .field("replica", &self.replica)
            .field("level", &self.level)
            .field("traces", &self.traces.is_some())
            .finish()
    }
}

/// Why telemetry cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TelemetryError {
    /// The process has a subscriber or a logger already.
    #[error(
        "logging is set up already: set it up once, or add the layer to the subscriber there is"
    )]
    AlreadySet,
    /// There is no thread for writing.
    #[error("cannot start the thread that writes log lines")]
    Thread(#[source] io::Error),
}

/// Telemetry of a whole process.
#[derive(Debug)]
pub struct Telemetry;

impl Telemetry {
    /// Sends all events of the process, records of the `log` crate among them, to standard output.
    ///
    /// Keep what it returns until the end of the process.
    pub fn init(settings: &TelemetrySettings) -> Result<TelemetryGuard, TelemetryError> {
        Self::init_to(settings, Output::stdout())
    }

    /// The same to another output.
    pub fn init_to(
        settings: &TelemetrySettings,
        output: Output,
    ) -> Result<TelemetryGuard, TelemetryError> {
        if tracing::dispatcher::has_been_set() {
            return Err(TelemetryError::AlreadySet);
        }
        let (layer, guard) = stdout::layer::<Registry>(settings, output)?;
        LogTracer::init().map_err(|_| TelemetryError::AlreadySet)?;
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::set_global_default(subscriber)
            .map_err(|_| TelemetryError::AlreadySet)?;
        guard.level().hear_log();
        Ok(guard)
    }
}
