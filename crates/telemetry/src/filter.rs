//! Which events are logged.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
};

use tracing::{Metadata, Subscriber, level_filters::LevelFilter, subscriber::Interest};
use tracing_log::log;
use tracing_subscriber::{
    layer::{Context, Filter},
    registry::LookupSpan,
};

use crate::Level;

/// Libraries whose everyday events say nothing to an operator.
const TALKATIVE: &[&str] = &[
    "deadpool",
    "deadpool_redis",
    "h2",
    "hyper",
    "hyper_util",
    "mio",
    "object_store",
    "opentelemetry",
    "opentelemetry_http",
    "opentelemetry_otlp",
    "opentelemetry_sdk",
    "redis",
    "reqwest",
    "rustls",
    "tokio_rustls",
    "tower",
    "tower_http",
    "want",
];

/// The level while the process runs. Clones share it.
#[derive(Clone)]
pub struct LevelHandle(Arc<Shared>);

struct Shared {
    /// Index in [`Level::ALL`].
    level: AtomicU8,
    /// Whether records of the `log` crate come to us, so that it has to know the level too.
    hears_log: AtomicBool,
}

impl LevelHandle {
    pub(crate) fn new(level: Level) -> Self {
        Self(Arc::new(Shared {
            level: AtomicU8::new(level as u8),
            hears_log: AtomicBool::new(false),
        }))
    }

    /// The least serious level that is logged.
    pub fn get(&self) -> Level {
        let index = usize::from(self.0.level.load(Ordering::Relaxed));
        Level::ALL.get(index).copied().unwrap_or_default()
    }

    /// Changes it, at once and for all threads.
    pub fn set(&self, level: Level) {
        self.0.level.store(level as u8, Ordering::Relaxed);
        tracing::callsite::rebuild_interest_cache();
        if self.0.hears_log.load(Ordering::Relaxed) {
            log::set_max_level(most_of_log(level));
        }
    }

    /// From now on the `log` crate is told of the level.
    pub(crate) fn hear_log(&self) {
        self.0.hears_log.store(true, Ordering::Relaxed);
        log::set_max_level(most_of_log(self.get()));
    }
}

impl fmt::Debug for LevelHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LevelHandle({})", self.get())
    }
}

/// Nothing that ends the process comes through the `log` crate.
fn most_of_log(level: Level) -> log::LevelFilter {
    match level {
        Level::Trace => log::LevelFilter::Trace,
        Level::Debug => log::LevelFilter::Debug,
        Level::Info => log::LevelFilter::Info,
        Level::Warn => log::LevelFilter::Warn,
        Level::Error => log::LevelFilter::Error,
        Level::Fatal => log::LevelFilter::Off,
    }
}

/// Lets through what is at least as serious as the level.
pub(crate) struct Admission {
    level: LevelHandle,
    spans: Spans,
}

/// Which spans lines look for the trace that they belong to in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spans {
    /// None: lines do not name traces.
    None,
    /// Those that are exported from here.
    Exported,
    /// All: a line within one would else name that span's parent or nothing.
    All,
}

impl Admission {
    pub(crate) fn new(level: LevelHandle, spans: Spans) -> Self {
        Self { level, spans }
    }

    fn admits(&self, metadata: &Metadata<'_>) -> bool {
        let talkative = is_talkative(metadata.target());
        if metadata.is_span() {
            return match self.spans {
                Spans::None => false,
                Spans::Exported => ExportedSpans::admits(metadata),
                Spans::All => !talkative,
            };
        }
        let least = match self.level.get() {
            Level::Info if talkative => Level::Warn,
            level => level,
        };
        Level::of(metadata) >= least
    }
}

/// The spans that are exported: ours, down to the operations of back ends.
pub(crate) struct ExportedSpans(pub(crate) LevelHandle);

impl ExportedSpans {
    fn admits(metadata: &Metadata<'_>) -> bool {
        metadata.is_span()
            && *metadata.level() <= EXPORTED_SPANS
            && !is_talkative(metadata.target())
    }

    /// An operation of a back end is a part of something, or nobody's: what it is a part of may have been left out.
    fn belongs<S>(metadata: &Metadata<'_>, ctx: &Context<'_, S>) -> bool
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        !metadata.target().starts_with(BACK_ENDS) || ctx.lookup_current().is_some()
    }
}

impl<S> Filter<S> for ExportedSpans
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn enabled(&self, metadata: &Metadata<'_>, ctx: &Context<'_, S>) -> bool {
        Self::admits(metadata) && Self::belongs(metadata, ctx)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if Self::admits(metadata) {
            Interest::sometimes()
        } else {
            Interest::never()
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(hint(self.0.get(), true))
    }
}

fn is_talkative(target: &str) -> bool {
    let crate_name = target.split_once("::").map_or(target, |(name, _)| name);
    TALKATIVE.binary_search(&crate_name).is_ok()
}

impl<S> Filter<S> for Admission
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn enabled(&self, metadata: &Metadata<'_>, ctx: &Context<'_, S>) -> bool {
        let is_apart = metadata.is_span() && self.spans == Spans::Exported;
        self.admits(metadata) && (!is_apart || ExportedSpans::belongs(metadata, ctx))
    }

    /// "Sometimes" where "always" would be right as well: when somebody asks whether an event would be logged, and
    /// then logs none (`tracing::enabled!`), a refusal is remembered until the next question. An event that needs no
    /// question would be lost to it.
    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.admits(metadata) {
            Interest::sometimes()
        } else {
            Interest::never()
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(hint(self.level.get(), self.spans != Spans::None))
    }
}

/// The least serious that any of our layers wants. Each of them gives the same hint: of layers that were put together
/// with `and_then`, `tracing-subscriber` 0.3 asks one alone.
fn hint(level: Level, traces: bool) -> LevelFilter {
    let events = match level {
        Level::Trace => LevelFilter::TRACE,
        Level::Debug => LevelFilter::DEBUG,
        Level::Info => LevelFilter::INFO,
        Level::Warn => LevelFilter::WARN,
        Level::Error | Level::Fatal => LevelFilter::ERROR,
    };
    let spans = if traces {
        EXPORTED_SPANS
    } else {
        LevelFilter::OFF
    };
    events.max(spans)
}

/// What the targets of operations of back ends begin with.
const BACK_ENDS: &str = "favonius_storage";
/// Operations of back ends are at this level.
const EXPORTED_SPANS: LevelFilter = LevelFilter::DEBUG;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_can_be_searched() {
        assert!(TALKATIVE.is_sorted());
    }

    #[test]
    fn whose_target_it_is() {
        let cases = [
            ("hyper", true),
            ("hyper::proto::h1", true),
            ("h2::codec", true),
            ("redis", true),
            ("hyperion", false),
            ("favonius_http::hyper", false),
            ("favonius_storage_redis", false),
            ("", false),
        ];
        for (target, expected) in cases {
            assert_eq!(is_talkative(target), expected, "{target}");
        }
    }
}
