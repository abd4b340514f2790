//! Telemetry of a whole process.

use std::{io, sync::Arc};

use tracing::Subscriber;
use tracing_log::LogTracer;
use tracing_subscriber::{Layer, Registry, layer::SubscriberExt as _, registry::LookupSpan};

use crate::{
    AccessLog, LevelHandle, Prometheus, Reporter, Sampler, Signal, TelemetryGuard,
    TelemetrySettings, Traces,
    filter::Admission,
    instruments::Reading,
    metrics::Metrics,
    otlp::{self, Exporter, LogExport, Losses, MetricExport, Queue, SpanExport, Work},
    stdout::{self, Output},
};

/// Why telemetry cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TelemetryError {
    /// The process has a subscriber or a logger already.
    #[error(
        "logging is set up already: set it up once, or add the layer to the subscriber there is"
    )]
    AlreadySet,
    /// There is no thread for writing or sending.
    #[error("cannot start the threads that write and send telemetry")]
    Thread(#[source] io::Error),
    /// TLS does not work here: most likely this machine knows no certificate authorities.
    #[error("cannot make TLS connections to the collector")]
    Client(#[source] reqwest::Error),
}

/// Telemetry of a whole process.
#[derive(Debug)]
pub struct Telemetry;

impl Telemetry {
    /// Sends all events of the process, records of the `log` crate among them, to standard output, and exports what the
    /// settings say.
    ///
    /// Keep what it returns until the end of the process. It needs no runtime, and may be called before there is one.
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
        let (layer, guard) = Self::layer::<Registry>(settings, output)?;
        LogTracer::init().map_err(|_| TelemetryError::AlreadySet)?;
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::set_global_default(subscriber)
            .map_err(|_| TelemetryError::AlreadySet)?;
        guard.level().hear_log();
        Ok(guard)
    }

    /// A layer that does all that, for a subscriber that has others.
    ///
    /// The level concerns this layer alone. Records of the `log` crate reach it if the program bridges them.
    pub fn layer<S>(
        settings: &TelemetrySettings,
        output: Output,
    ) -> Result<(impl Layer<S> + Send + Sync + use<S>, TelemetryGuard), TelemetryError>
    where
        S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
    {
        let level = LevelHandle::new(settings.level);
        let clock = output.shared_clock();
        let (lines, line_queue, renderer) = stdout::lines::<S>(settings, output, &level)?;
        let mut layer: Box<dyn Layer<S> + Send + Sync> = Box::new(lines);
        let losses = Arc::new(Losses::default());
        let resource = otlp::resource(settings);
        let mut work = Work::default();
        let mut reporter = Reporter::default();
        if let Some(traces) = &settings.traces {
            let queue = queue(&traces.batch, Signal::Traces, &losses);
            let sampler = otlp::sdk_sampler(traces.sampler);
            let only_by_parent = matches!(
                traces.sampler,
                Sampler::AlwaysOff | Sampler::ParentOrAlwaysOff
            );
            reporter.traces = Traces::sampled(sampler.clone(), only_by_parent);
            let spans =
                otlp::span_layer(Arc::clone(&queue), sampler, resource.clone(), level.clone());
            layer = Box::new(layer.and_then(spans));
            work.traces = Some(SpanExport {
                queue,
                endpoint: traces.endpoint.clone(),
                batch: traces.batch,
                resource: resource.clone(),
            });
        }
        let mut record_queue = None;
        if let Some((endpoint, batch)) = &settings.logs {
            let queue = queue(batch, Signal::Logs, &losses);
            record_queue = Some(Arc::clone(&queue));
            let admission = Admission::new(level.clone(), settings.spans());
            let records = otlp::log_layer(Arc::clone(&queue), admission, clock);
            layer = Box::new(layer.and_then(records));
            work.logs = Some(LogExport {
                queue,
                endpoint: endpoint.clone(),
                batch: *batch,
                resource: resource.clone(),
            });
        }
        if settings.prometheus || settings.metrics.is_some() {
            let metrics = Metrics::start(resource, &losses);
            work.metrics = settings
                .metrics
                .as_ref()
                .map(|(endpoint, interval)| MetricExport {
                    reader: metrics.reader.clone(),
                    endpoint: endpoint.clone(),
                    interval: *interval,
                    losses: Arc::clone(&losses),
                });
            let lines = line_queue.clone();
            reporter.instruments = metrics.instruments.clone();
            reporter
                .instruments
                .watch(Reading::LogLinesDropped, move || lines.lost());
            reporter.prometheus = Some(Prometheus::new(metrics));
        }
        reporter.access_log =
            AccessLog::new(level.clone(), renderer, line_queue.clone(), record_queue);
        reporter.level = Some(level.clone());
        let exporter = Exporter::start(work, losses)?;
        let guard = TelemetryGuard::new(level, line_queue, reporter).exporting(exporter);
        Ok((layer, guard))
    }
}

fn queue<T>(batch: &otlp::Batch, signal: Signal, losses: &Arc<Losses>) -> Arc<Queue<T>> {
    Arc::new(Queue::new(
        batch.max_queue_size,
        batch.max_export_batch_size,
        signal,
        Arc::clone(losses),
    ))
}
