//! What the worker says of itself at the start.

use favonius_config::{Batch, LogLevel, Sampler, ServiceUrl, Settings, SignalExport};
use favonius_telemetry::{Endpoint, InvalidEndpoint, Level, TelemetrySettings};

use crate::{Role, Worker};

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

/// The lines that operators wait for: how it takes part in replication, and where it listens.
pub fn started(role: Role, settings: &Settings, worker: &Worker) {
    if let Some(name) = &settings.replication.name {
        replicating(name, &settings.replication.urls);
    }
    let port = worker.address().port();
    let is_exporting = settings.telemetry.is_exporting();
    let metrics_port = worker.metrics_address().map(|address| address.port());
    match role {
        Role::Worker => tracing::info!(
            server.port = port,
            otel.enabled = is_exporting,
            metrics.port = metrics_port,
            "Worker listening"
        ),
        Role::Relay => tracing::info!(
            server.port = port,
            otel.enabled = is_exporting,
            metrics.port = metrics_port,
            "Relay listening"
        ),
    }
}

fn replicating(name: &str, urls: &[ServiceUrl]) {
    tracing::info!(zephyr.replica = name, "Replica mode enabled");
    if urls.is_empty() {
        tracing::info!("No replica URLs configured; receive-only mode enabled");
        return;
    }
    // Without the slash that the URL of a host alone gets.
    let shown: Vec<_> = urls
        .iter()
        .map(|url| url.to_string().trim_end_matches('/').to_owned())
        .collect();
    tracing::info!(
        zephyr.replica.count = shown.len(),
        zephyr.replica.urls = shown.join(","),
        "Replica fan-out configured"
    );
}
