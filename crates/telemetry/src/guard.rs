//! What keeps telemetry running.

use std::time::{Duration, Instant};

use crate::{
    Instruments, LevelHandle, Prometheus, Reporter,
    otlp::{Exporter, LAST_EXPORTS, Signal},
    stdout::Queue,
};

/// How long the end of a process waits for its last telemetry and lines.
const END: Duration = Duration::from_secs(5);
/// How long it waits for its last lines alone.
const LAST_LINES: Duration = Duration::from_secs(2);
/// What the thread that exports may take beyond its time.
const MARGIN: Duration = Duration::from_millis(500);

/// Keeps telemetry running. Its end is the end of logging and of export: it waits up to five seconds in all until the
/// last spans, metrics and log records are sent and the last lines are written. What comes afterwards is lost.
#[must_use = "telemetry ends when this is dropped"]
#[derive(Debug)]
pub struct TelemetryGuard {
    level: LevelHandle,
    pub(crate) queue: Queue,
    exporter: Option<Exporter>,
    reporter: Reporter,
}

impl TelemetryGuard {
    pub(crate) fn new(level: LevelHandle, queue: Queue, reporter: Reporter) -> Self {
        Self {
            level,
            queue,
            exporter: None,
            reporter,
        }
    }

    pub(crate) fn exporting(mut self, exporter: Option<Exporter>) -> Self {
        self.exporter = exporter;
        self
    }

    /// What a service reports with.
    pub fn reporter(&self) -> Reporter {
        self.reporter.clone()
    }

    /// What to measure with. It measures nothing where the settings have no use for it.
    pub fn instruments(&self) -> Instruments {
        self.reporter.instruments.clone()
    }

    /// Writes metrics for Prometheus, if anything is measured.
    pub fn prometheus(&self) -> Option<Prometheus> {
        self.reporter.prometheus.clone()
    }

    /// Reads and changes the level while the process runs.
    pub fn level(&self) -> &LevelHandle {
        &self.level
    }

    /// How many lines were lost since the start, because the output was too slow or failed.
    pub fn lost_lines(&self) -> u64 {
        self.queue.lost()
    }

    /// How many spans, log records or exports of metrics were lost since the start, because the collector was too slow
    /// or refused them.
    pub fn lost_telemetry(&self, signal: Signal) -> u64 {
        self.exporter
            .as_ref()
            .map_or(0, |exporter| exporter.lost(signal))
    }

    /// Waits until all lines so far are written, but no longer than this; says whether they are. Blocks its thread.
    pub fn flush(&self, longest: Duration) -> bool {
        self.queue.flush(longest)
    }
}

impl Drop for TelemetryGuard {
    fn drop(&mut self) {
        let start = Instant::now();
        // First, since it may have something to say.
        if let Some(exporter) = &self.exporter {
            exporter.close(LAST_EXPORTS + MARGIN);
        }
        self.queue
            .close(LAST_LINES.min(END.saturating_sub(start.elapsed())));
    }
}
