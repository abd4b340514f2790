//! Log lines on standard output.

pub(crate) mod fields;
mod human;
pub(crate) mod json;
pub(crate) mod line;
mod queue;

#[cfg(test)]
pub(crate) mod tests;

use std::{
    fmt,
    io::{self, IsTerminal as _, Write},
    sync::{Arc, OnceLock},
    time::{SystemTime, UNIX_EPOCH},
};

pub(crate) use queue::Queue;
use tracing::{Dispatch, Event, Subscriber, dispatcher::WeakDispatch};
use tracing_subscriber::{Layer, layer::Context, registry::LookupSpan};

use crate::{
    AccessLog, Level, LevelHandle, Reporter, TelemetryError, TelemetryGuard, TelemetrySettings,
    filter::{Admission, Spans},
    stdout::{fields::Fields, line::Renderer},
    trace::TraceIds,
};

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
    clock: Arc<Clock>,
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
            clock: Arc::new(system_ms),
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
        self.clock = Arc::new(now_ms);
        self
    }

    pub(crate) fn shared_clock(&self) -> Arc<Clock> {
        Arc::clone(&self.clock)
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
    let (layer, queue, renderer) = lines(settings, output, &level)?;
    let access_log = AccessLog::new(level.clone(), renderer, queue.clone(), None);
    let reporter = Reporter {
        access_log,
        level: Some(level.clone()),
        ..Reporter::default()
    };
    Ok((layer, TelemetryGuard::new(level, queue, reporter)))
}

/// The layer, what it writes to, and what makes its lines.
pub(crate) fn lines<S>(
    settings: &TelemetrySettings,
    output: Output,
    level: &LevelHandle,
) -> Result<(impl Layer<S> + Send + Sync + use<S>, Queue, Arc<Renderer>), TelemetryError>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let renderer = Arc::new(Renderer::new(settings, output.format, output.clock));
    let queue = Queue::start(output.writer, Arc::clone(&renderer), output.queue_bytes)
        .map_err(TelemetryError::Thread)?;
    let spans = settings.spans();
    let lines = Lines {
        renderer: Arc::clone(&renderer),
        queue: queue.clone(),
        names_traces: spans != Spans::None,
        dispatch: OnceLock::new(),
    };
    let admission = Admission::new(level.clone(), spans);
    Ok((lines.with_filter(admission), queue, renderer))
}

/// Turns events into lines.
struct Lines {
    renderer: Arc<Renderer>,
    queue: Queue,
    names_traces: bool,
    /// What the layer belongs to.
    dispatch: OnceLock<WeakDispatch>,
}

impl<S> Layer<S> for Lines
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        self.dispatch.get_or_init(|| dispatch.downgrade());
    }

    /// Takes no lock while it calls code of others (`Debug`, `Display`), which may log in its turn.
    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, S>) {
        let fields = Fields::of(event, self.renderer.format());
        let dispatch = self.dispatch.get().filter(|_| self.names_traces);
        let ids = dispatch.and_then(|dispatch| TraceIds::of_event(event, &ctx, dispatch));
        let level = Level::of(event.metadata());
        let line = self.renderer.line(level, fields, ids);
        self.queue.push(level, &line);
    }
}
