//! What was dropped.

use std::{
    borrow::Cow,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Notify, time::sleep};

/// A kind of telemetry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Spans.
    Traces,
    /// Exports of all metrics: the values themselves are in the next export.
    Metrics,
    /// Log records.
    Logs,
}

/// Counts what was dropped, and says so now and then.
#[derive(Debug, Default)]
pub(crate) struct Losses {
    traces: AtomicU64,
    metrics: AtomicU64,
    logs: AtomicU64,
    /// Why, of the first since the last report.
    reason: Mutex<Option<Cow<'static, str>>>,
    /// What has been reported.
    reported: Mutex<Counts>,
    /// Whether there is something to report.
    pending: AtomicBool,
    news: Notify,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    traces: u64,
    metrics: u64,
    logs: u64,
}

impl Losses {
    /// Counts records that are lost. Cheap, and never waits.
    pub(crate) fn add(
        &self,
        signal: Signal,
        records: u64,
        reason: impl FnOnce() -> Cow<'static, str>,
    ) {
        if records == 0 {
            return;
        }
        self.counter(signal).fetch_add(records, Ordering::Relaxed);
        if !self.pending.swap(true, Ordering::AcqRel) {
            *self.reason.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason());
            self.news.notify_one();
        }
    }

    /// How many were lost since the start.
    pub(crate) fn of(&self, signal: Signal) -> u64 {
        self.counter(signal).load(Ordering::Relaxed)
    }

    fn counter(&self, signal: Signal) -> &AtomicU64 {
        match signal {
            Signal::Traces => &self.traces,
            Signal::Metrics => &self.metrics,
            Signal::Logs => &self.logs,
        }
    }

    /// Reports losses, the first at once and then no more often than this. Has no end.
    pub(crate) async fn report_every(&self, interval: Duration) {
        loop {
            self.news.notified().await;
            self.report();
            sleep(interval).await;
        }
    }

    /// Reports what has not been reported yet.
    pub(crate) fn report(&self) {
        self.pending.store(false, Ordering::Release);
        let now = Counts {
            traces: self.of(Signal::Traces),
            metrics: self.of(Signal::Metrics),
            logs: self.of(Signal::Logs),
        };
        let before = {
            let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *reported, now)
        };
        if before == now {
            return;
        }
        let reason = self
            .reason
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        tracing::warn!(
            telemetry.dropped.spans = now.traces - before.traces,
            telemetry.dropped.logs = now.logs - before.logs,
            telemetry.dropped.metric_exports = now.metrics - before.metrics,
            reason = reason.as_deref(),
            "Telemetry dropped: the collector does not take it"
        );
    }
}
