//! What the worker says of itself at the start.

use std::net::SocketAddr;

use favonius_config::{LogLevel, Settings};
use favonius_telemetry::{Level, TelemetrySettings};

/// How the log is written.
pub fn settings(settings: &Settings) -> TelemetrySettings {
    let level = match settings.server.log_level {
        LogLevel::Trace => Level::Trace,
        LogLevel::Debug => Level::Debug,
        LogLevel::Info => Level::Info,
        LogLevel::Warn => Level::Warn,
        LogLevel::Error => Level::Error,
        LogLevel::Fatal => Level::Fatal,
    };
    let telemetry = TelemetrySettings::new(&settings.telemetry.service_name).level(level);
    match &settings.replication.name {
        Some(name) => telemetry.replica(name),
        None => telemetry,
    }
}

/// The line that operators wait for, and what they have set that this version does not do yet: a setting that is taken in
/// silence looks like one that works.
pub fn started(settings: &Settings, address: SocketAddr) {
    let not_yet = [
        (
            settings.replication.name.is_some(),
            "ZE_WORKER_REPLICA_NAME",
            "it does not replicate",
        ),
        (
            settings.telemetry.is_exporting(),
            "OTEL_*",
            "it exports no telemetry",
        ),
        (
            settings.server.metrics.port.is_some(),
            "ZE_WORKER_METRICS_PORT",
            "it has no metrics",
        ),
    ];
    for (set, key, what) in not_yet {
        if set {
            tracing::warn!(
                key,
                "This version takes the setting and does nothing with it: {what}"
            );
        }
    }
    tracing::info!(
        server.port = address.port(),
        otel.enabled = false,
        "Worker listening"
    );
}
