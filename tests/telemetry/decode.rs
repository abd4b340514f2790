//! What was exported, decoded.

use std::collections::{BTreeMap, BTreeSet};

use favonius_testing::{Collector, Post};
use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
    trace::v1::ExportTraceServiceRequest,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

fn decoded<M: Message + Default>(post: &Post) -> M {
    M::decode(&post.body[..]).unwrap()
}

/// All spans that came.
pub(crate) fn spans(collector: &Collector) -> Vec<Span> {
    let posts = collector.at("/v1/traces").into_iter();
    posts
        .flat_map(|post| decoded::<ExportTraceServiceRequest>(&post).resource_spans)
        .flat_map(|resource| resource.scope_spans)
        .flat_map(|scope| scope.spans)
        .collect()
}

/// All log records that came.
pub(crate) fn records(collector: &Collector) -> Vec<LogRecord> {
    let posts = collector.at("/v1/logs").into_iter();
    posts
        .flat_map(|post| decoded::<ExportLogsServiceRequest>(&post).resource_logs)
        .flat_map(|resource| resource.scope_logs)
        .flat_map(|scope| scope.log_records)
        .collect()
}

/// The names of all metrics that came.
pub(crate) fn metrics(collector: &Collector) -> BTreeSet<String> {
    let posts = collector.at("/v1/metrics").into_iter();
    posts
        .flat_map(|post| decoded::<ExportMetricsServiceRequest>(&post).resource_metrics)
        .flat_map(|resource| resource.scope_metrics)
        .flat_map(|scope| scope.metrics)
        .map(|metric| metric.name)
        .collect()
}

/// The attributes of the resources of all spans that came.
pub(crate) fn resources(collector: &Collector) -> Vec<BTreeMap<String, String>> {
    let posts = collector.at("/v1/traces").into_iter();
    posts
        .flat_map(|post| decoded::<ExportTraceServiceRequest>(&post).resource_spans)
        .map(|spans| attributes(&spans.resource.unwrap().attributes))
        .collect()
}

/// Attributes by their names, as text.
pub(crate) fn attributes(list: &[KeyValue]) -> BTreeMap<String, String> {
    list.iter()
        .map(|pair| (pair.key.clone(), text(pair.value.as_ref())))
        .collect()
}

/// A value as text.
pub(crate) fn text(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        Some(Value::BoolValue(truth)) => truth.to_string(),
        other => format!("{other:?}"),
    }
}

/// An id in hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits
        .map(|digit| char::from_digit(digit.into(), 16).unwrap())
        .collect()
}
