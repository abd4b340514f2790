//! Files that a deployment lists and the store lacks.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use favonius_contract::{AssetRef, SnapshotId};
use quick_cache::sync::Cache;

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

    pub(super) fn note(&self, asset: AssetRef, snapshot_id: &SnapshotId) {
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
