//! Files that a deployment lists and the store lacks.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use favonius_contract::{AssetRef, Snapshot, SnapshotId};
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

/// Says to come again for such a file. It is not counted before it is certain that nobody else has it.
pub(super) fn failure(message: impl Into<Arc<str>>) -> Failure {
    Failure::unavailable(ASSET_PENDING, message)
}

/// A file that a snapshot lists.
#[derive(Clone, Copy)]
pub(super) struct Listed<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) path: &'a str,
    pub(super) asset: AssetRef,
}

/// What `look` finds. Where that is [`failure`], other regions are asked for the file, once, and it looks again; if it is of no use
/// the request is counted. `may_wait` resolves where that may be waited for.
pub(super) async fn or_from_elsewhere<T, F>(
    edge: &Shared,
    listed: Listed<'_>,
    may_wait: impl Future<Output = ()>,
    look: impl Fn() -> F,
) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Failure>>,
{
    let mut found = look().await;
    if is_pending(&found) {
        may_wait.await;
        let application = &listed.snapshot.application_uid;
        let fetch = edge.read_through(application, listed.asset, listed.path);
        if Box::pin(fetch).await {
            found = look().await;
        }
        if is_pending(&found) {
            edge.options.reporter.instruments.asset_pending();
            edge.pending
                .note(listed.asset, &listed.snapshot.snapshot_id);
        }
    }
    found
}

fn is_pending<T>(found: &Result<T, Failure>) -> bool {
    found
        .as_ref()
        .is_err_and(|failure| failure.error == ASSET_PENDING)
}
