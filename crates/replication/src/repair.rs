//! Compares this region with another one and queues what is newer here: what was trimmed, or lost when one of them was
//! restored from a backup. Nothing is taken from the other region: it does the same from its side.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use favonius_contract::{
    AssetRef, SnapshotId,
    replication::{
        BucketContent, DigestAnswer, DigestRequest, NameState, RegionEvent, TargetRegion,
    },
};
use favonius_storage::{ErrorKind, StorageError};
use favonius_telemetry::instruments::Repair as Comparison;
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use crate::{
    LinkError, RegionLink, ReplicationStores,
    digest::{self, Digests},
    report::Report,
};

/// Buckets whose content is compared at once.
const BUCKETS_AT_ONCE: usize = 16;
/// Events that are queued at once.
const QUEUED_AT_ONCE: usize = 500;
/// How often it is looked whether it is time, at most.
const LOOK: Duration = Duration::from_secs(30);
/// While events have waited for longer than this, what differs is in the queue already.
const BACKLOG: Duration = Duration::from_secs(30);

/// Compares with one target, time and again.
pub(crate) struct Repair {
    pub(crate) stores: ReplicationStores,
    pub(crate) target: TargetRegion,
    pub(crate) taker: String,
    pub(crate) link: Arc<dyn RegionLink>,
    pub(crate) report: Arc<Report>,
    pub(crate) every: Duration,
    /// Told after something was queued.
    pub(crate) wake: Arc<Notify>,
}

/// Why a comparison was not made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RepairError {
    #[error("this region's store failed")]
    Store(#[from] StorageError),
    #[error("the other region: {0}")]
    Link(#[from] LinkError),
    #[error("the other region gave an answer to another question")]
    Strange,
}

impl Repair {
    /// Runs until it is stopped. Of all processes of the region one compares at a time.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let look = LOOK.min(self.every);
        let role = format!("repair:{}", self.target);
        let mut next = Instant::now() + look;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = sleep_until(next) => {}
            }
            next = Instant::now() + look;
            // It is kept until it is time again: who gets it, compares.
            let lease = self.stores.records.lease(&role, &self.taker, self.every);
            if !matches!(lease.await, Ok(true)) || self.has_backlog().await {
                continue;
            }
            next = Instant::now() + self.every;
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                _ = self.compare() => {}
            }
        }
    }

    async fn has_backlog(&self) -> bool {
        let state = self.stores.records.queue_state(&self.target).await;
        let limit = u64::try_from(BACKLOG.as_millis()).unwrap_or(u64::MAX);
        state.is_ok_and(|state| {
            let now = self.stores.clock.now_ms();
            state
                .oldest_ms
                .is_some_and(|oldest| now.saturating_sub(oldest) > limit)
        })
    }

    /// Compares, and queues what differs. Tells how many events that were.
    pub(crate) async fn compare(&self) -> Result<u64, RepairError> {
        let outcome = self.compare_all().await;
        match &outcome {
            Ok(0) => self.report.repaired(Comparison::Equal),
            Ok(queued) => {
                self.report.repaired(Comparison::Different);
                tracing::info!(
                    region = self.target.as_str(),
                    queued,
                    "A region differs from this one: what is newer here was queued for it"
                );
                self.wake.notify_one();
            }
            Err(error) => {
                self.report.repaired(Comparison::Failed);
                tracing::warn!(
                    region = self.target.as_str(),
                    error = error as &dyn std::error::Error,
                    "Regions could not be compared"
                );
            }
        }
        outcome
    }

    async fn compare_all(&self) -> Result<u64, RepairError> {
        let records = &*self.stores.records;
        let now_ms = self.stores.clock.now_ms();
        let ours = Digests::of(records, now_ms).await?;
        let theirs = match self.link.digest(&DigestRequest::All(ours.all())).await? {
            DigestAnswer::Equal => return Ok(0),
            DigestAnswer::Digests(theirs) => theirs,
            DigestAnswer::Content(_) => return Err(RepairError::Strange),
        };
        let mut queued = 0;
        for buckets in ours.differing(&theirs).chunks(BUCKETS_AT_ONCE) {
            let request = DigestRequest::Buckets(buckets.to_vec());
            let DigestAnswer::Content(theirs) = self.link.digest(&request).await? else {
                return Err(RepairError::Strange);
            };
            let ours = digest::content(records, buckets, now_ms).await?;
            let newer = self.only_whole(digest::newer(ours, theirs)).await?;
            let events = events(newer);
            queued += events.len() as u64;
            for some in events.chunks(QUEUED_AT_ONCE) {
                records.enqueue(&self.target, some.to_vec()).await?;
            }
        }
        Ok(queued)
    }
}

impl Repair {
    /// Without what is not all here: builds that were given up half way stay as they are, and would be tried for ever.
    async fn only_whole(&self, newer: BucketContent) -> Result<BucketContent, StorageError> {
        let mut is_whole: HashMap<SnapshotId, bool> = HashMap::new();
        let named = newer.names.iter().filter_map(|record| match &record.state {
            NameState::Published(entry) => Some(&entry.snapshot_id),
            NameState::Removed(_) => None,
        });
        for id in newer.snapshots.iter().chain(named) {
            if !is_whole.contains_key(id) {
                is_whole.insert(id.clone(), self.is_whole(id).await?);
            }
        }
        let whole = |id: &SnapshotId| is_whole.get(id).copied().unwrap_or_default();
        Ok(BucketContent {
            snapshots: newer.snapshots.into_iter().filter(whole).collect(),
            names: newer
                .names
                .into_iter()
                .filter(|record| match &record.state {
                    NameState::Published(entry) => whole(&entry.snapshot_id),
                    NameState::Removed(_) => true,
                })
                .collect(),
        })
    }

    /// Whether the application has uploaded all files of a snapshot here.
    async fn is_whole(&self, id: &SnapshotId) -> Result<bool, StorageError> {
        let document = match self.stores.records.snapshot(id).await {
            Ok(Some(document)) => document,
            Ok(None) => return Ok(false),
            // Somebody has to mend it; it must not keep back all others.
            Err(error) if error.kind() == ErrorKind::Corrupt => return Ok(false),
            Err(error) => return Err(error),
        };
        let snapshot = document.snapshot();
        let known = self.stores.records.known_assets(&snapshot.application_uid);
        let known: HashSet<AssetRef> = known.await?.into_iter().collect();
        for (_, asset) in snapshot.assets() {
            if !known.contains(&asset) && !self.stores.assets.is_shared(asset).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The events that bring this to another region: one for each thing, so that one that is refused does not keep back others.
fn events(newer: BucketContent) -> Vec<RegionEvent> {
    let published: HashSet<SnapshotId> = newer
        .names
        .iter()
        .filter_map(|record| match &record.state {
            NameState::Published(entry) => Some(entry.snapshot_id.clone()),
            NameState::Removed(_) => None,
        })
        .collect();
    let names = newer.names.into_iter().map(|record| RegionEvent {
        names: vec![record],
        repair: true,
        ..RegionEvent::default()
    });
    // Those of the names come with them.
    let snapshots = newer
        .snapshots
        .into_iter()
        .filter(|id| !published.contains(id));
    let snapshots = snapshots.map(|id| RegionEvent {
        snapshots: vec![id],
        repair: true,
        ..RegionEvent::default()
    });
    names.chain(snapshots).collect()
}
