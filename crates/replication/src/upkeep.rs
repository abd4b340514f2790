//! Keeps the outbox small: removes what nobody needs, and forgets what was remembered for long enough.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use favonius_contract::replication::TargetRegion;
use favonius_storage::{REMOVALS_KEPT, StorageError};
use favonius_telemetry::instruments::Delivery;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{
    ReplicationStores,
    report::{QueueReading, Report},
};

/// How long an event is kept for a target that does not get it.
const EVENTS_KEPT: Duration = Duration::from_hours(24 * 7);
/// How often it is looked how the queues stand.
const LOOK: Duration = Duration::from_secs(5);
/// How often the outbox is trimmed, by one process of the region.
const TRIM_EVERY: Duration = Duration::from_mins(1);
/// How often old removals are forgotten, by one process of the region.
const FORGET_EVERY: Duration = Duration::from_hours(6);

/// Looks after the outbox.
pub(crate) struct Upkeep {
    pub(crate) stores: ReplicationStores,
    pub(crate) taker: String,
    pub(crate) reports: BTreeMap<TargetRegion, Arc<Report>>,
}

impl Upkeep {
    /// Runs until it is stopped.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut is_open = false;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.look_after(&mut is_open) => {}
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = sleep(LOOK) => {}
            }
        }
    }

    async fn look_after(&self, is_open: &mut bool) {
        self.read_queues().await;
        let trimmed = async {
            if !*is_open {
                // Before anybody empties them, so that what waits is seen.
                for target in self.reports.keys() {
                    self.stores.records.open_queue(target).await?;
                }
                *is_open = true;
            }
            if self.is_my_turn("trim", TRIM_EVERY).await? {
                self.trim().await?;
            }
            if self.is_my_turn("forget", FORGET_EVERY).await? {
                let before = self.ago(REMOVALS_KEPT);
                self.stores.records.forget_removals(before).await?;
            }
            Ok::<_, StorageError>(())
        };
        if let Err(error) = trimmed.await {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "The outbox could not be looked after"
            );
        }
    }

    async fn read_queues(&self) {
        for (target, report) in &self.reports {
            let state = self.stores.records.queue_state(target).await;
            // What is not known is not shown.
            report.standing().queue = state.ok().map(|state| QueueReading {
                waiting: state.waiting,
                buried: state.buried,
                oldest_ms: state.oldest_ms,
            });
        }
    }

    /// Whoever has the lease has the turn, and nobody else before it ends.
    async fn is_my_turn(&self, what: &str, every: Duration) -> Result<bool, StorageError> {
        // A name of its own for each turn: who had the last one must not have the next one early.
        let turn = format!("{}:{}", self.taker, self.stores.clock.now_ms());
        self.stores.records.lease(what, &turn, every).await
    }

    async fn trim(&self) -> Result<(), StorageError> {
        let lost = self.stores.records.trim(self.ago(EVENTS_KEPT)).await?;
        for (target, count) in lost {
            // One that is not configured any more needs nothing.
            let Some(report) = self.reports.get(&target) else {
                continue;
            };
            report.events(Delivery::Trimmed, count);
            tracing::error!(
                region = target.as_str(),
                count,
                "Changes were not delivered within 7 days and removed from the outbox: comparing the regions will find them"
            );
        }
        Ok(())
    }

    fn ago(&self, time: Duration) -> u64 {
        let time = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.stores.clock.now_ms().saturating_sub(time)
    }
}
