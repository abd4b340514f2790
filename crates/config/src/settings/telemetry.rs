//! Traces, metrics and logs over OTLP.

use std::{collections::BTreeMap, fmt, time::Duration};

use crate::{
    keys::{self, Key},
    parse::{boolean, choice, line, millis, size},
    problem::{Origin, Reason},
    reader::{Checked, Reader},
    secret::REDACTED,
    settings::otlp::{self, Common, SignalExport},
    show,
};

const ENVIRONMENT_NAME: &str = "deployment.environment.name";
const SERVICE_NAME: &str = "service.name";
/// The transport that is spoken.
const PROTOCOL: &str = "http/protobuf";
/// Records that wait are held in memory.
const MAX_QUEUE: u64 = 1 << 20;

/// Traces, metrics and logs over OTLP, resolved: nothing else has to look at `OTEL_*` variables.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Telemetry {
    /// Whether export is off whatever else is set. The three signals are then `None`.
    pub disabled: bool,
    /// `service.name`.
    pub service_name: String,
    /// Further resource attributes with `deployment.environment.name`, without `service.name`; each
    /// key once.
    pub resource_attributes: Vec<(String, String)>,
    /// Where traces go, if anywhere.
    pub traces: Option<SignalExport>,
    /// Where metrics go, if anywhere.
    pub metrics: Option<SignalExport>,
    /// Where logs go, if anywhere.
    pub logs: Option<SignalExport>,
    /// Time between two exports of metrics.
    pub metric_interval: Duration,
    /// Which traces are kept.
    pub sampler: Sampler,
    /// How spans are gathered (`OTEL_BSP_*`).
    pub span_batch: Batch,
    /// How log records are gathered (`OTEL_BLRP_*`).
    pub log_batch: Batch,
    /// Every `OTEL_*` key that is set, for what is not resolved here.
    pub keys: OtelKeys,
}

impl Telemetry {
    /// Whether any signal is exported.
    pub fn is_exporting(&self) -> bool {
        self.traces.is_some() || self.metrics.is_some() || self.logs.is_some()
    }
}

/// Which traces are kept, of those that begin here or (with a parent) elsewhere. Ratios are from 0
/// to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sampler {
    /// All.
    AlwaysOn,
    /// None.
    AlwaysOff,
    /// This share, by trace id.
    Ratio(f64),
    /// As the caller decided, all where there is none.
    ParentOrAlwaysOn,
    /// As the caller decided, none where there is none.
    ParentOrAlwaysOff,
    /// As the caller decided, this share where there is none.
    ParentOrRatio(f64),
}

/// How records are gathered before they are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Batch {
    /// Longest wait of a record.
    pub schedule_delay: Duration,
    /// Longest time for sending.
    pub export_timeout: Duration,
    /// Most records that wait, at least 1.
    pub max_queue_size: usize,
    /// Most records sent at once, at least 1 and at most those that wait.
    pub max_export_batch_size: usize,
}

/// Every `OTEL_*` key that is set, from the file or the environment, as it is written. `Debug` shows
/// names only, since headers are secrets.
#[derive(Clone, Default)]
pub struct OtelKeys(BTreeMap<String, String>);

impl OtelKeys {
    /// The text of a key.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// All of them by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, text)| (name.as_str(), text.as_str()))
    }
}

impl fmt::Debug for OtelKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.0.keys().map(|name| (name, REDACTED)))
            .finish()
    }
}

impl Telemetry {
    pub(super) fn read(reader: &mut Reader<'_>) -> Checked<Self> {
        let disabled = reader.optional(keys::SDK_DISABLED, boolean);
        let resource = read_resource(reader);
        let common = Common::read(reader);
        let off = matches!(disabled, Ok(Some(true)));
        let traces = otlp::TRACES.read(reader, off, &common);
        let metrics = otlp::METRICS.read(reader, off, &common);
        let logs = otlp::LOGS.read(reader, off, &common);
        let metric_interval = reader.value(keys::METRIC_EXPORT_INTERVAL, millis(1));
        let sampler = Sampler::read(reader);
        let span_batch = Batch::read(reader, &SPAN_BATCH);
        let log_batch = Batch::read(reader, &LOG_BATCH);
        let keys = OtelKeys(reader.telemetry());
        let (service_name, resource_attributes) = resource?;
        let this = Self {
            disabled: disabled?.unwrap_or(false),
            service_name,
            resource_attributes,
            traces: traces?,
            metrics: metrics?,
            logs: logs?,
            metric_interval: metric_interval?,
            sampler: sampler?,
            span_batch: span_batch?,
            log_batch: log_batch?,
            keys,
        };
        this.warn_of_other_protocols(reader);
        Ok(this)
    }

    /// A collector that expects gRPC on the endpoint would refuse everything.
    fn warn_of_other_protocols(&self, reader: &mut Reader<'_>) {
        let signals = [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", self.is_exporting()),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", self.traces.is_some()),
            (
                "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
                self.metrics.is_some(),
            ),
            ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", self.logs.is_some()),
        ];
        for (name, exported) in signals {
            if exported && self.keys.get(name).is_some_and(|text| text != PROTOCOL) {
                let message = format!(
                    "is ignored: only {PROTOCOL} is spoken, which collectors take on port 4318"
                );
                reader.warn_unlisted(name, message);
            }
        }
    }
}

/// The service name and the other attributes.
fn read_resource(reader: &mut Reader<'_>) -> Checked<(String, Vec<(String, String)>)> {
    let service_name = reader.value(keys::SERVICE_NAME, line(255));
    let attributes = reader.optional(keys::RESOURCE_ATTRIBUTES, otlp::parse_attributes);
    let environment = reader.value(keys::NODE_ENV, line(255));
    let (mut service_name, attributes, environment) = (service_name?, attributes?, environment?);
    let is_derived = attributes.is_none();
    let mut attributes = attributes.unwrap_or_default();
    if let Some(at) = attributes.iter().position(|(key, _)| key == SERVICE_NAME) {
        let (_, named) = attributes.remove(at);
        if !reader.is_set(keys::SERVICE_NAME) && !named.is_empty() {
            let origin = reader.origin(keys::RESOURCE_ATTRIBUTES);
            reader.show(keys::SERVICE_NAME, show::value_line(&named), origin);
            service_name = named;
        }
    }
    if !attributes.iter().any(|(key, _)| key == ENVIRONMENT_NAME) {
        attributes.push((ENVIRONMENT_NAME.to_owned(), environment));
    }
    if is_derived {
        let shown = attributes
            .iter()
            .map(|(key, value)| format!("{key}={value}"));
        let shown = show::value_line(&shown.collect::<Vec<_>>().join(","));
        reader.show(keys::RESOURCE_ATTRIBUTES, shown, Origin::Default);
    }
    Ok((service_name, attributes))
}

impl Sampler {
    fn read(reader: &mut Reader<'_>) -> Checked<Self> {
        // The argument of a sampler that takes none is not looked at, as the standard has it.
        let kinds = [
            ("always_on", Self::AlwaysOn),
            ("always_off", Self::AlwaysOff),
            ("traceidratio", Self::Ratio(1.0)),
            ("parentbased_always_on", Self::ParentOrAlwaysOn),
            ("parentbased_always_off", Self::ParentOrAlwaysOff),
            ("parentbased_traceidratio", Self::ParentOrRatio(1.0)),
        ];
        match reader.value(keys::TRACES_SAMPLER, choice(&kinds))? {
            Self::Ratio(_) => Ok(Self::Ratio(reader.value(keys::TRACES_SAMPLER_ARG, ratio)?)),
            Self::ParentOrRatio(_) => Ok(Self::ParentOrRatio(
                reader.value(keys::TRACES_SAMPLER_ARG, ratio)?,
            )),
            other => Ok(other),
        }
    }
}

fn ratio(text: &str) -> Result<f64, Reason> {
    let number = text
        .parse::<f64>()
        .ok()
        .filter(|number| (0.0..=1.0).contains(number));
    number.ok_or_else(|| Reason::new("is not a number from 0 to 1"))
}

/// The keys of one batch processor.
struct BatchKeys {
    schedule_delay: &'static Key,
    export_timeout: &'static Key,
    max_queue_size: &'static Key,
    max_export_batch_size: &'static Key,
}

const SPAN_BATCH: BatchKeys = BatchKeys {
    schedule_delay: keys::BSP_SCHEDULE_DELAY,
    export_timeout: keys::BSP_EXPORT_TIMEOUT,
    max_queue_size: keys::BSP_MAX_QUEUE_SIZE,
    max_export_batch_size: keys::BSP_MAX_EXPORT_BATCH_SIZE,
};
const LOG_BATCH: BatchKeys = BatchKeys {
    schedule_delay: keys::BLRP_SCHEDULE_DELAY,
    export_timeout: keys::BLRP_EXPORT_TIMEOUT,
    max_queue_size: keys::BLRP_MAX_QUEUE_SIZE,
    max_export_batch_size: keys::BLRP_MAX_EXPORT_BATCH_SIZE,
};

impl Batch {
    fn read(reader: &mut Reader<'_>, keys: &BatchKeys) -> Checked<Self> {
        let schedule_delay = reader.value(keys.schedule_delay, millis(1));
        let export_timeout = reader.value(keys.export_timeout, millis(1));
        let queue = reader.value(keys.max_queue_size, size(1..=MAX_QUEUE));
        let batch = reader.value(keys.max_export_batch_size, size(1..=MAX_QUEUE));
        let (queue, batch) = (queue?, batch?);
        if batch > queue {
            let key = keys.max_export_batch_size;
            let origin = reader.origin(key);
            if reader.is_set(key) {
                let message = format!(
                    "is more than {} allows; {queue} is used",
                    keys.max_queue_size.name
                );
                reader.warn(key, message);
            }
            reader.show(key, queue.to_string(), origin);
        }
        Ok(Self {
            schedule_delay: schedule_delay?,
            export_timeout: export_timeout?,
            max_queue_size: queue,
            max_export_batch_size: batch.min(queue),
        })
    }
}
