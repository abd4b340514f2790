//! The values of all metrics, as whoever asks reads them.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use opentelemetry::metrics::MeterProvider as _;
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    metrics::{
        InstrumentKind, ManualReader, Pipeline, SdkMeterProvider, Temporality,
        data::ResourceMetrics, reader::MetricReader,
    },
};

use crate::{Instruments, otlp::Losses};

/// What is measured, and a way to read it.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    pub(crate) instruments: Instruments,
    pub(crate) reader: Reader,
    /// It ends measuring when it is dropped.
    _provider: SdkMeterProvider,
}

impl Metrics {
    pub(crate) fn start(resource: Resource, losses: &Arc<Losses>) -> Self {
        // The standard's default, and all that Prometheus knows.
        let reader = ManualReader::builder().with_temporality(Temporality::Cumulative);
        let reader = Reader(Arc::new(reader.build()));
        let provider = SdkMeterProvider::builder()
            .with_resource(resource)
            .with_reader(reader.clone())
            .build();
        Self {
            instruments: Instruments::new(&provider.meter("favonius"), Arc::clone(losses)),
            reader,
            _provider: provider,
        }
    }
}

/// Reads the values of all metrics since the start. Clones read the same.
#[derive(Debug, Clone)]
pub(crate) struct Reader(Arc<ManualReader>);

impl Reader {
    /// Reads all values; says whether there are any.
    pub(crate) fn read(&self, metrics: &mut ResourceMetrics) -> bool {
        self.0.collect(metrics).is_ok() && metrics.scope_metrics().next().is_some()
    }
}

impl MetricReader for Reader {
    fn register_pipeline(&self, pipeline: Weak<Pipeline>) {
        self.0.register_pipeline(pipeline);
    }

    fn collect(&self, metrics: &mut ResourceMetrics) -> OTelSdkResult {
        self.0.collect(metrics)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn temporality(&self, kind: InstrumentKind) -> Temporality {
        self.0.temporality(kind)
    }
}
