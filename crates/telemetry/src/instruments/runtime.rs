//! What a runtime of Tokio has to do.

use tokio::runtime::Handle;

use super::readings::{Reading, Readings};

/// Reads it whenever somebody asks.
pub(super) fn watch(readings: &Readings, runtime: &Handle) {
    let metrics = runtime.metrics();
    let add = |reading, read: fn(&tokio::runtime::RuntimeMetrics) -> u64| {
        let metrics = metrics.clone();
        readings.add(reading, None, move || Some(read(&metrics)));
    };
    add(Reading::RuntimeWorkers, |m| m.num_workers() as u64);
    add(Reading::RuntimeTasks, |m| m.num_alive_tasks() as u64);
    add(Reading::RuntimeQueue, |m| m.global_queue_depth() as u64);
    add(Reading::RuntimeBusy, |m| {
        let busy = (0..m.num_workers()).map(|worker| m.worker_total_busy_duration(worker));
        let busy: std::time::Duration = busy.sum();
        u64::try_from(busy.as_millis()).unwrap_or(u64::MAX)
    });
}
