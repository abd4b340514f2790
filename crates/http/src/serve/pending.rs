//! Files that a deployment lists and the store lacks.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use favonius_contract::{AssetRef, SnapshotId};
use quick_cache::sync::Cache;

use crate::{
    edge::Shared,
    failure::{ASSET_PENDING, Failure},
};

/// Counts requests for files that a deployment lists and the store lacks, and warns once a minute for each file.
pub(crate) struct Pending {
    count: AtomicU64,
    told: Cache<AssetRef, Instant>,
}

impl Pending {
    pub(crate) fn new() -> Self {
        Self {
            count: AtomicU64::new(0),
            told: Cache::new(1024),
        }
    }

    /// How many requests there were.
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Relaxed)
    }

    fn note(&self, asset: AssetRef, snapshot_id: &SnapshotId) {
        self.count.fetch_add(1, Relaxed);
        if self
            .told
            .get(&asset)
            .is_some_and(|at| at.elapsed() < Duration::from_mins(1))
        {
            return;
        }
        self.told.insert(asset, Instant::now());
        tracing::warn!(
            asset = %asset,
            snapshot_id = snapshot_id.as_str(),
            "A deployment lists a file that has not been uploaded, or that the store has lost"
        );
    }
}

/// Counts a request for such a file, and says to come again.
pub(super) fn refuse(
    edge: &Shared,
    asset: AssetRef,
    snapshot_id: &SnapshotId,
    message: impl Into<Arc<str>>,
) -> Failure {
    edge.options.reporter.instruments.asset_pending();
    edge.pending.note(asset, snapshot_id);
    Failure::unavailable(ASSET_PENDING, message)
}
