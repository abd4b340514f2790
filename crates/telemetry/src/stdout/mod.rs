//! Log lines on standard output.

mod fields;
mod human;
mod json;
mod line;
mod queue;

#[cfg(test)]
mod tests;

use std::{
    fmt,
    io::{self, IsTerminal as _, Write},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tracing::{Event, Subscriber};
use tracing_subscriber::{Layer, layer::Context, registry::LookupSpan};

use crate::{
    Level, LevelHandle, TelemetryError, TelemetrySettings, TraceLookup,
    filter::Admission,
    stdout::{fields::Fields, line::Renderer, queue::Queue},
};

/// How long the end of a process waits for its last lines.
const LAST_LINES: Duration = Duration::from_secs(2);
/// How many bytes of lines may wait, unless told otherwise.
const QUEUE_BYTES: usize = 4 << 20;

/// The form of the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A JSON object a line.
    Json,
    /// Text for people.
    Human {
        /// Whether levels have colours, by ANSI escape sequences.
        colour: bool,
    },
}

/// Where lines go.
pub struct Output {
    writer: Box<dyn Write + Send>,
    clock: Box<Clock>,
    format: Format,
    queue_bytes: usize,
}

/// Tells the time in milliseconds since 1970.
pub(crate) type Clock = dyn Fn() -> u64 + Send + Sync;

impl Output {
    /// Standard output: JSON, or coloured text when it is a terminal.
    pub fn stdout() -> Self {
        let stdout = io::stdout();
        let format = if stdout.is_terminal() {
            Format::Human { colour: true }
        } else {
            Format::Json
        };
        Self::to(stdout).format(format)
    }

    /// Any writer, in JSON. It is called from one thread alone, and may take its time.
    pub fn to(writer: impl Write + Send + 'static) -> Self {
        Self {
            writer: Box::new(writer),
            clock: Box::new(system_ms),
            format: Format::Json,
            queue_bytes: QUEUE_BYTES,
        }
    }

    /// Sets the form.
    #[must_use]
    pub fn format(mut self, format: Format) -> Self {
        self.format = format;
        self
    }

    /// Takes the time from somewhere else: milliseconds since 1970.
    #[must_use]
    pub fn clock(mut self, now_ms: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        self.clock = Box::new(now_ms);
        self
    }

    /// Sets how many bytes of lines may wait for the writer. What does not fit is dropped.
    #[must_use]
    pub fn queue_bytes(mut self, most: usize) -> Self {
        self.queue_bytes = most;
        self
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output")
            .field("format", &self.format)
            .field("queue_bytes", &self.queue_bytes)
            .finish_non_exhaustive()
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "lines bear the time of day; tests give another clock"
)]
fn system_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        })
}

/// A layer that logs events, for a subscriber that has others.
///
/// The level concerns this layer alone. Records of the `log` crate reach it if the program bridges them.
pub fn layer<S>(
    settings: &TelemetrySettings,
    output: Output,
) -> Result<(impl Layer<S> + Send + Sync + use<S>, TelemetryGuard), TelemetryError>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let level = LevelHandle::new(settings.level);
    let renderer = Arc::new(Renderer::new(settings, output.format, output.clock));
    let queue = Queue::start(output.writer, Arc::clone(&renderer), output.queue_bytes)
        .map_err(TelemetryError::Thread)?;
    let admission = Admission::new(level.clone(), settings.traces.is_some());
    let lines = Lines {
        renderer,
        queue: queue.clone(),
        traces: settings.traces.clone(),
    };
    Ok((
        lines.with_filter(admission),
        TelemetryGuard { level, queue },
    ))
}

/// Turns events into lines.
struct Lines {
    renderer: Arc<Renderer>,
    queue: Queue,
    traces: Option<Arc<dyn TraceLookup>>,
}

impl<S> Layer<S> for Lines
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    /// Takes no lock while it calls code of others (`Debug`, `Display`), which may log in its turn.
    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, S>) {
        let fields = Fields::of(event, self.renderer.format());
        let ids = self.traces.as_deref().and_then(|lookup| {
            ctx.event_scope(event)?
                .find_map(|span| lookup.ids(&span.extensions()))
        });
        let level = Level::of(event.metadata());
        let line = self.renderer.line(level, fields, ids);
        self.queue.push(level, &line);
    }
}

/// Keeps telemetry running. Its end is the end of logging: it waits up to two seconds for the last lines, and what is
/// logged afterwards is lost.
#[must_use = "logging ends when this is dropped"]
#[derive(Debug)]
pub struct TelemetryGuard {
    level: LevelHandle,
    queue: Queue,
}

impl TelemetryGuard {
    /// Reads and changes the level while the process runs.
    pub fn level(&self) -> &LevelHandle {
        &self.level
    }

    /// How many lines were lost since the start, because the output was too slow or failed.
    pub fn lost_lines(&self) -> u64 {
        self.queue.lost()
    }

    /// Waits until all lines so far are written, but no longer than this; says whether they are. Blocks its thread.
    pub fn flush(&self, longest: Duration) -> bool {
        self.queue.flush(longest)
    }
}

impl Drop for TelemetryGuard {
    fn drop(&mut self) {
        self.queue.close(LAST_LINES);
    }
}
