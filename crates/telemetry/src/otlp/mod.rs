//! Traces, metrics and logs over OTLP (HTTP with protobuf bodies).
//!
//! 1. Spans and log records go into bounded queues; a thread of its own sends them in batches. Nobody waits for a
//!    collector: what does not fit is dropped and counted, and a warning tells of it at most once a minute.
//! 2. A batch that a collector refuses for now (429, 502, 503, 504) or cannot be reached for is sent again a few times
//!    within its export timeout.
//! 3. At the end what waits is sent, for a few seconds at most.
//! 4. Only the settings count; `OTEL_*` variables of the process are not looked at.

mod client;
mod exporter;
mod logs;
mod losses;
mod metrics;
mod queue;
mod settings;
mod spans;

use opentelemetry::KeyValue;
use opentelemetry_proto::{
    tonic::resource::v1::Resource as ProtoResource,
    transform::common::tonic::ResourceAttributesWithSchema,
};
use opentelemetry_sdk::{Resource, resource::TelemetryResourceDetector};

pub(crate) use exporter::{Exporter, LAST_EXPORTS, Work};
pub(crate) use logs::{LogExport, access as access_record, layer as log_layer};
pub(crate) use losses::Losses;
pub use losses::Signal;
pub(crate) use metrics::MetricExport;
pub(crate) use queue::Queue;
pub use settings::{Batch, Endpoint, InvalidEndpoint, Sampler};
pub(crate) use spans::{SpanExport, layer as span_layer, sdk_sampler};

use crate::TelemetrySettings;

/// Who the telemetry is of.
pub(crate) fn resource(settings: &TelemetrySettings) -> Resource {
    let own = [KeyValue::new("favonius.replica", settings.replica.clone())];
    let given = settings
        .attributes
        .iter()
        .map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
    // Not the usual builder: it reads the environment.
    Resource::builder_empty()
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_attributes(own.into_iter().chain(given))
        .with_service_name(settings.service.clone())
        .build()
}

fn proto_resource(resource: &Resource) -> ProtoResource {
    ProtoResource {
        attributes: ResourceAttributesWithSchema::from(resource).attributes.0,
        dropped_attributes_count: 0,
        entity_refs: Vec::new(),
    }
}
