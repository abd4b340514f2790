//! What a service reports with.

use crate::{AccessLog, Instruments, LevelHandle, Prometheus, Traces};

/// What a service reports with. Clones report to the same.
///
/// The default measures nothing, and makes spans and events of `tracing` for whatever subscriber there is: for a service that is
/// a part of a program with telemetry of its own.
#[derive(Debug, Clone, Default)]
pub struct Reporter {
    /// Measures.
    pub instruments: Instruments,
    /// Begins traces.
    pub traces: Traces,
    /// Writes a line for each request.
    pub access_log: AccessLog,
    /// Writes metrics for Prometheus, if anything is measured.
    pub prometheus: Option<Prometheus>,
    /// Reads and changes the level of what is logged, if it is ours to change.
    pub level: Option<LevelHandle>,
}
