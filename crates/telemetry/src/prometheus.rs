//! The values of all metrics, as Prometheus reads them.
//!
//! Names are made as OpenTelemetry has it for Prometheus: dots become underscores, units are written out behind, and
//! what is counted ends in `_total`.

use std::{
    borrow::Cow,
    fmt::{Display, Write as _},
};

use opentelemetry::KeyValue;
use opentelemetry_sdk::metrics::data::{
    AggregatedMetrics, HistogramDataPoint, Metric, MetricData, ResourceMetrics,
};

use crate::metrics::Metrics;

/// How metrics are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricsFormat {
    /// Version 0.0.4 of the text format.
    Text,
    /// `OpenMetrics` 1.0.
    OpenMetrics,
}

impl MetricsFormat {
    /// The fitting `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// The one that this `Accept` asks for. Prometheus names `OpenMetrics` if it wants it.
    pub fn accepted_by(accept: Option<&str>) -> Self {
        let open = accept.is_some_and(|accept| accept.contains("application/openmetrics-text"));
        if open { Self::OpenMetrics } else { Self::Text }
    }
}

/// Writes metrics for Prometheus. Clones read the same.
#[derive(Debug, Clone)]
pub struct Prometheus(Metrics);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Prometheus {
    pub(crate) fn new(metrics: Metrics) -> Self {
        Self(metrics)
    }

    /// All metrics as they are now. `ready` is what the readiness probe would say.
    pub fn text(&self, format: MetricsFormat, ready: bool) -> String {
        let mut metrics = ResourceMetrics::default();
        // Where there are no values there is nothing to write.
        self.0.reader.read(&mut metrics);
        let mut page = Page {
            format,
            text: String::with_capacity(16 * 1024),
        };
        page.gauge("favonius_up", "Whether the worker runs.", "", 1);
        page.gauge(
            "favonius_ready",
            "Whether the worker says that it can serve.",
            "",
            u8::from(ready),
        );
        let version = label("version", env!("CARGO_PKG_VERSION"));
        page.gauge("favonius_build_info", "What runs.", &version, 1);
        for scope in metrics.scope_metrics() {
            for metric in scope.metrics() {
                page.metric(metric);
            }
        }
        if format == MetricsFormat::OpenMetrics {
            page.text.push_str("# EOF\n");
        }
        page.text
    }
}

struct Page {
    format: MetricsFormat,
    text: String,
}

impl Page {
    fn gauge(&mut self, name: &str, about: &str, labels: &str, value: impl Display) {
        self.head(name, about, "", Kind::Gauge);
        self.sample(name, labels, value);
    }

    fn metric(&mut self, metric: &Metric) {
        match metric.data() {
            AggregatedMetrics::F64(data) => self.data(metric, data, |value| value),
            AggregatedMetrics::U64(data) => self.data(metric, data, |value| value),
            AggregatedMetrics::I64(data) => self.data(metric, data, |value| value),
        }
    }

    fn data<T: Copy, V: Display>(
        &mut self,
        metric: &Metric,
        data: &MetricData<T>,
        value: impl Fn(T) -> V,
    ) {
        let unit = unit(metric.unit());
        let name = name(metric.name(), unit);
        match data {
            MetricData::Gauge(gauge) => {
                self.head(&name, metric.description(), unit, Kind::Gauge);
                for point in gauge.data_points() {
                    self.sample(&name, &labels(point.attributes()), value(point.value()));
                }
            }
            MetricData::Sum(sum) => {
                let kind = if sum.is_monotonic() {
                    Kind::Counter
                } else {
                    Kind::Gauge
                };
                self.head(&name, metric.description(), unit, kind);
                let name = if sum.is_monotonic() {
                    Cow::Owned(format!("{name}_total"))
                } else {
                    Cow::Borrowed(name.as_str())
                };
                for point in sum.data_points() {
                    self.sample(&name, &labels(point.attributes()), value(point.value()));
                }
            }
            MetricData::Histogram(histogram) => {
                self.head(&name, metric.description(), unit, Kind::Histogram);
                for point in histogram.data_points() {
                    self.histogram(&name, point, value(point.sum()));
                }
            }
            // None of ours is one, and only newer formats can say it.
            MetricData::ExponentialHistogram(_) => {}
        }
    }

    fn histogram<T>(&mut self, name: &str, point: &HistogramDataPoint<T>, sum: impl Display) {
        let labels = labels(point.attributes());
        let bucket = format!("{name}_bucket");
        let comma = if labels.is_empty() { "" } else { "," };
        let bounds = point.bounds().map(Some).chain([None]);
        let mut total = 0;
        for (bound, count) in bounds.zip(point.bucket_counts()) {
            total += count;
            let bound = match (bound, self.format) {
                (None, _) => "+Inf".into(),
                (Some(bound), MetricsFormat::Text) => bound.to_string(),
                // There a whole number has a point.
                (Some(bound), MetricsFormat::OpenMetrics) => format!("{bound:?}"),
            };
            let bound = label("le", &bound);
            self.sample(&bucket, &format!("{labels}{comma}{bound}"), total);
        }
        self.sample(&format!("{name}_sum"), &labels, sum);
        self.sample(&format!("{name}_count"), &labels, point.count());
    }

    fn head(&mut self, name: &str, about: &str, unit: &str, kind: Kind) {
        let about = about.replace('\\', r"\\").replace('\n', r"\n");
        let total = match (kind, self.format) {
            (Kind::Counter, MetricsFormat::Text) => "_total",
            _ => "",
        };
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        self.line(format_args!("# HELP {name}{total} {about}"));
        self.line(format_args!("# TYPE {name}{total} {kind}"));
        if self.format == MetricsFormat::OpenMetrics && !unit.is_empty() {
            self.line(format_args!("# UNIT {name} {unit}"));
        }
    }

    fn sample(&mut self, name: &str, labels: &str, value: impl Display) {
        if labels.is_empty() {
            self.line(format_args!("{name} {value}"));
        } else {
            self.line(format_args!("{name}{{{labels}}} {value}"));
        }
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to memory does not fail.
        writeln!(self.text, "{line}").unwrap_or_default();
    }
}

/// The unit as it is written behind a name; nothing for what is counted in things.
fn unit(unit: &str) -> &'static str {
    match unit {
        "s" => "seconds",
        "By" => "bytes",
        _ => "",
    }
}

fn name(name: &str, unit: &str) -> String {
    let mut name = underscored(name);
    if !unit.is_empty() {
        name.push('_');
        name.push_str(unit);
    }
    name
}

/// A name of letters, digits and underscores alone.
fn underscored(name: &str) -> String {
    name.chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect()
}

/// The labels in the order of their names.
fn labels<'a>(attributes: impl Iterator<Item = &'a KeyValue>) -> String {
    let mut labels: Vec<_> = attributes
        .map(|attribute| {
            label(
                &underscored(attribute.key.as_str()),
                &attribute.value.as_str(),
            )
        })
        .collect();
    labels.sort_unstable();
    labels.join(",")
}

fn label(name: &str, value: &str) -> String {
    let value = value
        .replace('\\', r"\\")
        .replace('"', "\\\"")
        .replace('\n', r"\n");
    format!("{name}=\"{value}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.2";
        let cases = [
            (None, MetricsFormat::Text),
            (Some("*/*"), MetricsFormat::Text),
            (Some("text/plain"), MetricsFormat::Text),
            (Some(prometheus), MetricsFormat::OpenMetrics),
        ];
        for (accept, expected) in cases {
            assert_eq!(MetricsFormat::accepted_by(accept), expected, "{accept:?}");
        }
    }

    #[test]
    fn labels_are_escaped() {
        let cases = [
            ("plain", r#"k="plain""#),
            ("a\"b", r#"k="a\"b""#),
            ("a\\b\nc", r#"k="a\\b\nc""#),
        ];
        for (value, expected) in cases {
            assert_eq!(label("k", value), expected);
        }
        assert_eq!(underscored("http.request.method"), "http_request_method");
    }
}
