//! Lines as they come out, with the time standing still.

mod filtering;
mod human;
mod json;
mod queue;

use std::{
    io::{self, Write},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use opentelemetry::trace::{SpanId, TraceId, TracerProvider as _};
use opentelemetry_sdk::trace::{IdGenerator, SdkTracerProvider};
use tracing::Subscriber;
use tracing_subscriber::{Layer, Registry, layer::SubscriberExt as _, registry::LookupSpan};

use super::{Format, Output, layer};
use crate::{TelemetryGuard, TelemetrySettings};

/// 2026-11-21T07:46:24.930Z
const NOW: u64 = 1_795_247_184_930;
/// How every JSON line of the tests begins, up to its level.
const TIMESTAMP: &str = r#"{"timestamp":"2026-11-21T07:46:24.930Z""#;

/// A writer that keeps what is written.
#[derive(Clone, Default)]
pub(crate) struct Sink(Arc<Mutex<Vec<u8>>>);

impl Sink {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn settings() -> TelemetrySettings {
    TelemetrySettings::new("edge")
}

/// Runs `log` with a subscriber that writes to `output`.
fn with_layer<T>(
    settings: &TelemetrySettings,
    output: Output,
    log: impl FnOnce(&TelemetryGuard) -> T,
) -> T {
    let (layer, guard) = layer::<Registry>(settings, output.clock(|| NOW)).unwrap();
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::with_default(subscriber, || log(&guard))
}

/// What comes out of `log`.
fn logged(settings: &TelemetrySettings, format: Format, log: impl FnOnce()) -> String {
    let sink = Sink::default();
    let output = Output::to(sink.clone()).format(format);
    with_layer(settings, output, |guard| {
        log();
        assert!(guard.flush(Duration::from_secs(10)));
    });
    sink.text()
}

/// Gives spans the ids 1, 2, 3 as they are first asked for, in one trace.
fn tracer<S>() -> impl Layer<S>
where
    S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
{
    let provider = SdkTracerProvider::builder()
        .with_id_generator(Counting::default())
        .build();
    tracing_opentelemetry::layer().with_tracer(provider.tracer("test"))
}

#[derive(Debug, Default)]
struct Counting(AtomicU64);

impl IdGenerator for Counting {
    fn new_trace_id(&self) -> TraceId {
        TraceId::from(0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736)
    }

    fn new_span_id(&self) -> SpanId {
        SpanId::from(self.0.fetch_add(1, Ordering::Relaxed) + 1)
    }
}
