//! A record store whose operations are measured.

use std::sync::Arc;

use async_trait::async_trait;
use favonius_contract::{
    ApplicationUid, AssetRef, Deployment, DeploymentName, SnapshotDocument, SnapshotId,
};
use favonius_storage::{
    Applied, Change, ChangeEvent, CommitError, HistoryEntry, RecordStore, StorageError,
    VersionEntry,
};
use futures::stream::BoxStream;

use super::Meter;
use crate::instruments::{Operation, Outcome};

#[derive(Debug)]
pub(super) struct MeasuredRecords {
    pub(super) inner: Arc<dyn RecordStore>,
    pub(super) meter: Meter,
}

/// Whether it worked.
fn plain<T>(result: &Result<T, StorageError>) -> Outcome {
    match result {
        Ok(_) => Outcome::Ok,
        Err(error) => error.kind().into(),
    }
}

/// The same where there may be nothing.
fn found<T>(result: &Result<Option<T>, StorageError>) -> Outcome {
    match result {
        Ok(None) => Outcome::Absent,
        other => plain(other),
    }
}

fn committed(result: &Result<Vec<Applied>, CommitError>) -> Outcome {
    match result {
        Ok(_) => Outcome::Ok,
        Err(CommitError::Rejected(_)) => Outcome::Conflict,
        Err(CommitError::Storage(error)) => error.kind().into(),
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl RecordStore for MeasuredRecords {
    async fn deployment(&self, name: &DeploymentName) -> Result<Option<Deployment>, StorageError> {
        let work = self.inner.deployment(name);
        self.meter.measure(Operation::Deployment, work, found).await
    }

    async fn snapshot(&self, id: &SnapshotId) -> Result<Option<SnapshotDocument>, StorageError> {
        let work = self.inner.snapshot(id);
        self.meter.measure(Operation::Snapshot, work, found).await
    }

    async fn known_assets(
        &self,
        application: &ApplicationUid,
    ) -> Result<Vec<AssetRef>, StorageError> {
        let work = self.inner.known_assets(application);
        self.meter
            .measure(Operation::KnownAssets, work, plain)
            .await
    }

    async fn knows_asset(
        &self,
        application: &ApplicationUid,
        asset: AssetRef,
    ) -> Result<bool, StorageError> {
        let work = self.inner.knows_asset(application, asset);
        self.meter.measure(Operation::KnowsAsset, work, plain).await
    }

    async fn versions(
        &self,
        application: &ApplicationUid,
        limit: usize,
    ) -> Result<Vec<VersionEntry>, StorageError> {
        let work = self.inner.versions(application, limit);
        self.meter.measure(Operation::Versions, work, plain).await
    }

    async fn names(
        &self,
        application: &ApplicationUid,
    ) -> Result<Vec<DeploymentName>, StorageError> {
        let work = self.inner.names(application);
        self.meter.measure(Operation::Names, work, plain).await
    }

    async fn history(&self, name: &DeploymentName) -> Result<Vec<HistoryEntry>, StorageError> {
        let work = self.inner.history(name);
        self.meter.measure(Operation::History, work, plain).await
    }

    async fn commit(&self, changes: Vec<Change>) -> Result<Vec<Applied>, CommitError> {
        let work = self.inner.commit(changes);
        self.meter.measure(Operation::Commit, work, committed).await
    }

    fn changes(&self) -> BoxStream<'static, ChangeEvent> {
        self.inner.changes()
    }

    async fn check(&self) -> Result<(), StorageError> {
        let work = self.inner.check();
        self.meter.measure(Operation::Check, work, plain).await
    }
}
