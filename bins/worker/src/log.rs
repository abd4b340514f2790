//! What the worker says of itself at the start.

use favonius_config::{Batch, LogLevel, Sampler, Settings, SignalExport};
use favonius_telemetry::{Endpoint, InvalidEndpoint, Level, TelemetrySettings};

use crate::Worker;

/// How the log is written, and what is exported where.
pub fn settings(settings: &Settings) -> Result<TelemetrySettings, InvalidEndpoint> {
    let level = match settings.server.log_level {
        LogLevel::Trace => Level::Trace,
        LogLevel::Debug => Level::Debug,
        LogLevel::Info => Level::Info,
        LogLevel::Warn => Level::Warn,
        LogLevel::Error => Level::Error,
        LogLevel::Fatal => Level::Fatal,
    };
    let from = &settings.telemetry;
    let mut telemetry = TelemetrySettings::new(&from.service_name)
        .level(level)
        .prometheus();
    if let Some(name) = &settings.replication.name {
        telemetry = telemetry.replica(name);
    }
    for (key, value) in &from.resource_attributes {
        telemetry = telemetry.attribute(key, value);
    }
    if let Some(traces) = &from.traces {
        let (sampler, batch) = (sampler(from.sampler), batch(from.span_batch));
        telemetry = telemetry.traces(endpoint(traces)?, sampler, batch);
    }
    if let Some(metrics) = &from.metrics {
        telemetry = telemetry.metrics(endpoint(metrics)?, from.metric_interval);
    }
    if let Some(logs) = &from.logs {
        telemetry = telemetry.logs(endpoint(logs)?, batch(from.log_batch));
    }
    Ok(telemetry)
}

fn endpoint(export: &SignalExport) -> Result<Endpoint, InvalidEndpoint> {
    let endpoint = Endpoint::new(export.endpoint.url().as_str());
    export
        .headers
        .iter()
        .fold(endpoint, |endpoint, (name, value)| {
            endpoint?.header(name, value.expose())
        })
}

fn batch(batch: Batch) -> favonius_telemetry::Batch {
    favonius_telemetry::Batch {
        schedule_delay: batch.schedule_delay,
        export_timeout: batch.export_timeout,
        max_queue_size: batch.max_queue_size,
        max_export_batch_size: batch.max_export_batch_size,
    }
}

fn sampler(sampler: Sampler) -> favonius_telemetry::Sampler {
    use favonius_telemetry::Sampler as To;
    match sampler {
        Sampler::AlwaysOn => To::AlwaysOn,
        Sampler::AlwaysOff => To::AlwaysOff,
        Sampler::Ratio(share) => To::Ratio(share),
        Sampler::ParentOrAlwaysOn => To::ParentOrAlwaysOn,
        Sampler::ParentOrAlwaysOff => To::ParentOrAlwaysOff,
        Sampler::ParentOrRatio(share) => To::ParentOrRatio(share),
    }
}

/// The line that operators wait for, and what they have set that this version does not do yet: a setting that is taken in
/// silence looks like one that works.
pub fn started(settings: &Settings, worker: &Worker) {
    if settings.replication.name.is_some() {
        tracing::warn!(
            key = "ZE_WORKER_REPLICA_NAME",
            "This version takes the setting and does nothing with it: it does not replicate"
        );
    }
    tracing::info!(
        server.port = worker.address().port(),
        otel.enabled = settings.telemetry.is_exporting(),
        metrics.port = worker.metrics_address().map(|address| address.port()),
        "Worker listening"
    );
}
