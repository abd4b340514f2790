//! What the programs say about themselves.
//!
//! Log lines on standard output: one flat JSON object a line, or text for people when standard output is a terminal.
//! Traces, metrics and logs over OTLP, where the settings name a collector.
//!
//! 1. Code logs with [`tracing`], and with [`fatal!`] what ends the process.
//! 2. A program calls [`Telemetry::init`] once and keeps the [`TelemetryGuard`] until its end. A program that has a
//!    subscriber of its own adds [`Telemetry::layer`] or [`stdout::layer`] to it instead.
//! 3. Logging never waits for whoever reads the lines: they go through a bounded queue to a thread that writes. What
//!    does not fit is dropped, counted, and reported in a line of its own.
//! 4. The same holds for what is exported: a collector that is slow, absent or refuses costs dropped telemetry only.
//! 5. Libraries that talk much are heard from `warn` on, unless the level is `debug` or `trace`.
//!
//! ```
//! use favonius_telemetry::{Level, Telemetry, TelemetrySettings};
//!
//! let settings = TelemetrySettings::new("ze-k8s-workers").replica("eu-west").level(Level::Info);
//! let telemetry = Telemetry::init(&settings)?;
//! tracing::info!(server.port = 8080, otel.enabled = false, "Worker listening");
//! drop(telemetry); // waits, but not for long, until all is written
//! # Ok::<(), favonius_telemetry::TelemetryError>(())
//! ```
//!
//! # Assumptions
//! Nobody else writes to standard output while the process runs: lines would come between ours, never into them.
//! Callers do not log secrets; nothing here looks for them.

mod access;
mod fatal;
mod filter;
mod guard;
mod init;
pub mod instruments;
mod level;
mod metrics;
mod otlp;
mod prometheus;
mod propagation;
mod reporter;
mod sampling;
mod settings;
pub mod stdout;
mod stores;
mod trace;

pub use access::{Access, AccessLog};
pub use fatal::FATAL_TARGET;
pub use filter::LevelHandle;
pub use guard::TelemetryGuard;
pub use init::{Telemetry, TelemetryError};
pub use instruments::Instruments;
pub use level::{Level, UnknownLevel};
pub use otlp::{Batch, Endpoint, InvalidEndpoint, Sampler, Signal};
pub use prometheus::{MetricsFormat, Prometheus};
pub use propagation::{continue_trace, pass_on_trace};
pub use reporter::Reporter;
pub use sampling::{RequestSpan, Traces, record_answer, record_error};
pub use settings::TelemetrySettings;
pub use stores::{measured_objects, measured_records};

pub use trace::TraceIds;

/// For the expansion of [`fatal!`] alone.
#[doc(hidden)]
pub use tracing as __tracing;
