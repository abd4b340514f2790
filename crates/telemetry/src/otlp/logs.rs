//! Log records: from `tracing` to a queue, and from there to the collector.

use std::{
    error::Error,
    fmt,
    sync::{Arc, OnceLock},
};

use opentelemetry_proto::tonic::{
    collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse},
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs, SeverityNumber},
};
use opentelemetry_sdk::Resource;
use prost::Message as _;
use tokio::sync::watch;
use tracing::{
    Dispatch, Event, Subscriber,
    dispatcher::WeakDispatch,
    field::{Field, Visit},
};
use tracing_log::NormalizeEvent as _;
use tracing_subscriber::{Layer, layer::Context, registry::LookupSpan};

use super::{
    client::Client,
    exporter::{is_exporting, send_batches},
    proto_resource,
    queue::Queue,
    settings::{Batch, Endpoint},
};
use crate::{
    Level,
    access::{Access, MESSAGE},
    filter::Admission,
    stdout::{
        Clock,
        fields::{Capped, MAX_FIELDS, name},
    },
    trace::TraceIds,
};

/// About what a record takes without its text.
const BARE: usize = 256;
/// About what an attribute takes without its text.
const ATTRIBUTE: usize = 80;

/// Sends log records.
#[derive(Debug)]
pub(crate) struct LogExport {
    pub(crate) queue: Arc<Queue<LogRecord>>,
    pub(crate) endpoint: Endpoint,
    pub(crate) batch: Batch,
    pub(crate) resource: Resource,
}

impl LogExport {
    pub(crate) async fn run(&self, client: &Client, closing: watch::Receiver<bool>) {
        let resource = proto_resource(&self.resource);
        let encode = |log_records| {
            let scope_logs = ScopeLogs {
                scope: Some(InstrumentationScope {
                    name: "favonius".into(),
                    ..InstrumentationScope::default()
                }),
                log_records,
                schema_url: String::new(),
            };
            let resource_logs = ResourceLogs {
                resource: Some(resource.clone()),
                scope_logs: vec![scope_logs],
                schema_url: String::new(),
            };
            ExportLogsServiceRequest {
                resource_logs: vec![resource_logs],
            }
            .encode_to_vec()
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

/// How many records the collector says it did not take. An answer that is none of OTLP says nothing.
fn rejected(answer: &[u8]) -> u64 {
    ExportLogsServiceResponse::decode(answer)
        .ok()
        .and_then(|answer| answer.partial_success)
        .map_or(0, |partial| {
            u64::try_from(partial.rejected_log_records).unwrap_or(0)
        })
}

/// A layer that queues the events that this lets through.
pub(crate) fn layer<S>(
    queue: Arc<Queue<LogRecord>>,
    admission: Admission,
    clock: Arc<Clock>,
) -> impl Layer<S> + Send + Sync + use<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    Records {
        queue,
        clock,
        dispatch: OnceLock::new(),
    }
    .with_filter(admission)
}

struct Records {
    queue: Arc<Queue<LogRecord>>,
    clock: Arc<Clock>,
    /// What the layer belongs to.
    dispatch: OnceLock<WeakDispatch>,
}

impl<S> Layer<S> for Records
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        self.dispatch.get_or_init(|| dispatch.downgrade());
    }

    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, S>) {
        // What the exporter says of its own work would be work for it again.
        if is_exporting() {
            return;
        }
        let mut attributes = Attributes {
            from_log: event.is_log(),
            ..Attributes::default()
        };
        event.record(&mut attributes);
        let ids = self
            .dispatch
            .get()
            .and_then(|dispatch| TraceIds::of_event(event, &ctx, dispatch));
        let level = Level::of(event.metadata());
        let size = BARE + attributes.bytes;
        let record = LogRecord {
            body: attributes.message.map(text),
            attributes: attributes.list,
            dropped_attributes_count: attributes.left_out,
            ..bare((self.clock)(), level, ids)
        };
        self.queue.push(record, size);
    }
}

/// The record of a line of the access log, and about how large it is.
pub(crate) fn access(now_ms: u64, access: &Access<'_>) -> (LogRecord, usize) {
    let mut bytes = BARE;
    let mut attributes = Vec::with_capacity(9);
    let mut put = |key: &str, value| {
        bytes += ATTRIBUTE;
        if let Value::StringValue(text) = &value {
            bytes += text.len();
        }
        attributes.push(KeyValue {
            key: key.to_owned(),
            value: Some(AnyValue { value: Some(value) }),
            ..KeyValue::default()
        });
    };
    let word = |text: &str| Value::StringValue(text.to_owned());
    let number = |number| Value::IntValue(i64::try_from(number).unwrap_or(i64::MAX));
    put("http.request.method", word(access.method()));
    put("http.route", word(access.request.route.as_str()));
    put("server.address", word(access.host()));
    put("url.path", word(access.path()));
    if let Some(status) = access.status() {
        put("http.response.status_code", number(status.into()));
    }
    if let Some(error) = access.error() {
        put("error.type", word(error));
    }
    put("http.response.body.size", number(access.content));
    put("duration_ms", Value::DoubleValue(access.duration_ms()));
    put("request_id", word(access.request_id));
    let record = LogRecord {
        body: Some(text(MESSAGE.to_owned())),
        attributes,
        ..bare(now_ms, Level::Info, access.trace)
    };
    (record, bytes)
}

/// A record without what it says.
fn bare(now_ms: u64, level: Level, ids: Option<TraceIds>) -> LogRecord {
    let nanos = now_ms.saturating_mul(1_000_000);
    LogRecord {
        time_unix_nano: nanos,
        observed_time_unix_nano: nanos,
        severity_number: severity(level).into(),
        severity_text: level.as_str().into(),
        flags: ids.map_or(0, |ids| ids.flags.into()),
        trace_id: ids.map_or_else(Vec::new, |ids| ids.trace_id.to_be_bytes().into()),
        span_id: ids.map_or_else(Vec::new, |ids| ids.span_id.to_be_bytes().into()),
        ..LogRecord::default()
    }
}

fn severity(level: Level) -> SeverityNumber {
    match level {
        Level::Trace => SeverityNumber::Trace,
        Level::Debug => SeverityNumber::Debug,
        Level::Info => SeverityNumber::Info,
        Level::Warn => SeverityNumber::Warn,
        Level::Error => SeverityNumber::Error,
        Level::Fatal => SeverityNumber::Fatal,
    }
}

fn text(text: String) -> AnyValue {
    AnyValue {
        value: Some(Value::StringValue(text)),
    }
}

/// The fields of one event, with the limits that lines have.
#[derive(Default)]
struct Attributes {
    message: Option<String>,
    list: Vec<KeyValue>,
    bytes: usize,
    left_out: u32,
    from_log: bool,
}

impl Attributes {
    fn put(&mut self, field: &Field, value: Value, bytes: usize) {
        let name = name(field);
        // Where the event stands in the code of others says nothing to an operator.
        if self.from_log && name.starts_with("log.") {
            return;
        }
        if self.bytes >= MAX_FIELDS {
            self.left_out += 1;
            return;
        }
        self.bytes += ATTRIBUTE + bytes;
        self.list.push(KeyValue {
            key: name.to_owned(),
            value: Some(AnyValue { value: Some(value) }),
            ..KeyValue::default()
        });
    }

    fn text(&mut self, field: &Field, value: Capped) {
        let text = value.finish();
        let bytes = text.len();
        if self.message.is_none() && name(field) == "message" {
            self.bytes += bytes;
            self.message = Some(text);
        } else {
            self.put(field, Value::StringValue(text), bytes);
        }
    }
}

impl Visit for Attributes {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, Value::DoubleValue(value), 0);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, Value::IntValue(value), 0);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match i64::try_from(value) {
            Ok(value) => self.record_i64(field, value),
            Err(_) => self.text(field, Capped::of(&value)),
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, Value::BoolValue(value), 0);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, Capped::of(&value));
    }

    fn record_bytes(&mut self, field: &Field, value: &[u8]) {
        self.text(field, Capped::bytes(value));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.text(field, Capped::error(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, Capped::debug(value));
    }
}
