//! Spans: from `tracing` to a queue, and from there to the collector.

use std::{sync::Arc, time::Duration};

use opentelemetry::{Context as OtelContext, trace::TracerProvider as _};
use opentelemetry_proto::{
    tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse},
    transform::{
        common::tonic::ResourceAttributesWithSchema,
        trace::tonic::group_spans_by_resource_and_scope,
    },
};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{self, SdkTracerProvider, Span, SpanData, SpanLimits, SpanProcessor},
};
use prost::Message as _;
use tokio::sync::watch;
use tracing::Subscriber;
use tracing_subscriber::{Layer, registry::LookupSpan};

use super::{
    client::Client,
    exporter::send_batches,
    queue::Queue,
    settings::{Batch, Endpoint, Sampler},
};
use crate::{LevelHandle, filter::ExportedSpans, sampling::Ids};

/// About what a span takes without its attributes.
const BARE: usize = 512;

/// Sends spans.
#[derive(Debug)]
pub(crate) struct SpanExport {
    pub(crate) queue: Arc<Queue<SpanData>>,
    pub(crate) endpoint: Endpoint,
    pub(crate) batch: Batch,
    pub(crate) resource: Resource,
}

impl SpanExport {
    pub(crate) async fn run(&self, client: &Client, closing: watch::Receiver<bool>) {
        let resource = ResourceAttributesWithSchema::from(&self.resource);
        let encode = |spans| {
            let resource_spans = group_spans_by_resource_and_scope(spans, &resource);
            ExportTraceServiceRequest { resource_spans }.encode_to_vec()
        };
        send_batches(
            &self.queue,
            &self.batch,
            (&self.endpoint, client),
            closing,
            encode,
            rejected,
        )
        .await;
    }
}

/// How many spans the collector says it did not take. An answer that is none of OTLP says nothing.
fn rejected(answer: &[u8]) -> u64 {
    ExportTraceServiceResponse::decode(answer)
        .ok()
        .and_then(|answer| answer.partial_success)
        .map_or(0, |partial| {
            u64::try_from(partial.rejected_spans).unwrap_or(0)
        })
}

/// A layer that makes spans of OpenTelemetry from those of `tracing`, and queues them.
pub(crate) fn layer<S>(
    queue: Arc<Queue<SpanData>>,
    sampler: trace::Sampler,
    resource: Resource,
    level: LevelHandle,
) -> impl Layer<S> + Send + Sync + use<S>
where
    S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
{
    let provider = SdkTracerProvider::builder()
        .with_span_processor(Enqueue(queue))
        .with_sampler(sampler)
        .with_id_generator(Ids::default())
        .with_span_limits(SpanLimits::default())
        .with_resource(resource)
        .build();
    tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("favonius"))
        // Where a span stands in the code is of no use to an operator, and costs.
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        .with_context_activation(false)
        .with_filter(ExportedSpans(level))
}

pub(crate) fn sdk_sampler(sampler: Sampler) -> trace::Sampler {
    let by_parent = |root| trace::Sampler::ParentBased(Box::new(root));
    match sampler {
        Sampler::AlwaysOn => trace::Sampler::AlwaysOn,
        Sampler::AlwaysOff => trace::Sampler::AlwaysOff,
        Sampler::Ratio(share) => trace::Sampler::TraceIdRatioBased(share),
        Sampler::ParentOrAlwaysOn => by_parent(trace::Sampler::AlwaysOn),
        Sampler::ParentOrAlwaysOff => by_parent(trace::Sampler::AlwaysOff),
        Sampler::ParentOrRatio(share) => by_parent(trace::Sampler::TraceIdRatioBased(share)),
    }
}

/// Puts spans that have ended into the queue.
#[derive(Debug)]
struct Enqueue(Arc<Queue<SpanData>>);

impl SpanProcessor for Enqueue {
    fn on_start(&self, _: &mut Span, _: &OtelContext) {}

    fn on_end(&self, span: SpanData) {
        if !span.span_context.is_sampled() {
            return;
        }
        let attributes: usize = span
            .attributes
            .iter()
            .map(|attribute| match &attribute.value {
                opentelemetry::Value::String(text) => 64 + text.as_str().len(),
                _ => 64,
            })
            .sum();
        self.0.push(span, BARE + attributes);
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    /// The queue is emptied by whoever keeps the guard.
    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}
