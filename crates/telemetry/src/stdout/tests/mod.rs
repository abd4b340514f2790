//! Lines as they come out, with the time standing still.

mod filtering;
mod human;
mod json;
mod queue;

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
    time::Duration,
};

use tracing_subscriber::{Registry, layer::SubscriberExt as _};

use super::{Format, Output, layer};
use crate::{TelemetryGuard, TelemetrySettings};

/// 2026-11-21T07:46:24.930Z
const NOW: u64 = 1_795_247_184_930;
/// How every JSON line of the tests begins, up to its level.
const TIMESTAMP: &str = r#"{"timestamp":"2026-11-21T07:46:24.930Z""#;

/// A writer that keeps what is written.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Sink {
    fn text(&self) -> String {
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
