//! Records: which snapshots exist, and which name answers with which of them.

use std::fmt;

use async_trait::async_trait;
use favonius_contract::{
    ApplicationUid, AssetRef, Deployment, DeploymentName, HistoryEntry, SnapshotDocument,
    SnapshotId,
};
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};

use crate::StorageError;

/// How many past deployments of a name are remembered.
pub const HISTORY_LIMIT: usize = 20;

/// Keeps the records of a region. Clones and other workers share state through the server behind it.
///
/// Every call answers within the store's own deadline.
#[async_trait]
pub trait RecordStore: fmt::Debug + Send + Sync + 'static {
    /// What a name answers with.
    async fn deployment(&self, name: &DeploymentName) -> Result<Option<Deployment>, StorageError>;

    /// A snapshot with its bytes.
    async fn snapshot(&self, id: &SnapshotId) -> Result<Option<SnapshotDocument>, StorageError>;

    /// The assets that an application itself uploaded, in no order.
    async fn known_assets(
        &self,
        application: &ApplicationUid,
    ) -> Result<Vec<AssetRef>, StorageError>;

    /// Whether an application itself uploaded this asset.
    async fn knows_asset(
        &self,
        application: &ApplicationUid,
        asset: AssetRef,
    ) -> Result<bool, StorageError>;

    /// An application's snapshots, newest first, at most `limit`.
    async fn versions(
        &self,
        application: &ApplicationUid,
        limit: usize,
    ) -> Result<Vec<VersionEntry>, StorageError>;

    /// The names that an application published to, in alphabetical order.
    async fn names(
        &self,
        application: &ApplicationUid,
    ) -> Result<Vec<DeploymentName>, StorageError>;

    /// What a name answered with, newest first, the present one included, at most [`HISTORY_LIMIT`].
    async fn history(&self, name: &DeploymentName) -> Result<Vec<HistoryEntry>, StorageError>;

    /// Makes all of the changes, in their order, or none. One [`Applied`] for each change.
    ///
    /// Repeating a commit that was applied is harmless.
    async fn commit(&self, changes: Vec<Change>) -> Result<Vec<Applied>, CommitError>;

    /// Tells what changes, also when somebody else changes it. Never ends; never waits for its reader without bound.
    fn changes(&self) -> BoxStream<'static, ChangeEvent>;

    /// Whether the store answers and would take a commit.
    async fn check(&self) -> Result<(), StorageError>;
}

/// One change of a commit. Those that other regions are to be told of are told in the same commit, see
/// [`ReplicatedRecords`](crate::ReplicatedRecords).
#[derive(Debug, Clone)]
pub enum Change {
    /// An application uploaded an asset, which is in the store.
    AssetStored {
        /// Who uploaded it.
        application: ApplicationUid,
        /// What.
        asset: AssetRef,
    },
    /// An asset was found missing: the application must upload it again.
    AssetLost {
        /// Who is to upload it.
        application: ApplicationUid,
        /// What.
        asset: AssetRef,
    },
    /// A snapshot was uploaded. Its bytes are final: others under the same id are [`Rejection::SnapshotExists`].
    SnapshotStored(SnapshotDocument),
    /// A name is to answer with a snapshot, which exists or is stored earlier in the same commit.
    Published(Publish),
    /// A name is to answer with nothing any more. That is remembered, so that nothing older brings it back.
    Removed(Remove),
}

/// Makes a name answer with nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remove {
    /// The name.
    pub name: DeploymentName,
    /// Who removes it: whose it is.
    pub application: ApplicationUid,
    /// How this removal stands to publishes and removals of the same name.
    pub order: Order,
    /// Remove it even if it belongs to another application.
    pub takeover: bool,
}

/// Makes a name answer with a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    /// The name.
    pub name: DeploymentName,
    /// Who publishes. A name belongs to the application that published to it first.
    pub application: ApplicationUid,
    /// What the name is to answer with.
    pub snapshot_id: SnapshotId,
    /// How this publish stands to others of the same name.
    pub order: Order,
    /// A manifest for this name only.
    pub manifest: Option<AssetRef>,
    /// The name stands for this one version for ever: nothing that is asked for here changes it to another snapshot, only a
    /// newer publish of another region does.
    pub version: bool,
    /// Take the name even if it belongs to another application, which loses it.
    pub takeover: bool,
}

/// How a publish or a removal stands to others of the same name. What was written by hand counts as what it replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// It was asked for here and now: it becomes the newest, also when a clock was ahead at the publish before.
    Local {
        /// The time by the worker's clock, milliseconds since the Unix epoch.
        now_ms: u64,
        /// Name of the replica that took it.
        replica: String,
    },
    /// It came from another region: it counts only if it is newer than what stands.
    Replicated {
        /// When it was published there.
        published_at: u64,
        /// Name of the replica that took it.
        replica: String,
        /// It was found by comparing regions: what somebody wrote by hand, or took away by hand, stays.
        repair: bool,
    },
}

/// What came of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applied {
    /// It was made.
    Done,
    /// Everything was so already.
    Unchanged,
    /// A newer publish or removal of the same name stands; this one is dropped.
    Superseded,
    /// The name's record is not what was written there last: somebody changed it by hand, which repair leaves alone.
    ByHand,
}

/// Why a commit was not made.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The store could not, or could not tell whether it did.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// One of its changes is not allowed; none was made.
    #[error(transparent)]
    Rejected(#[from] Rejection),
}

/// Why a change is not allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The id stands for other bytes.
    #[error("snapshot `{0}` exists with other content")]
    SnapshotExists(SnapshotId),
    /// There is no such snapshot to publish.
    #[error("snapshot `{0}` does not exist")]
    SnapshotUnknown(SnapshotId),
    /// The name belongs to another application.
    #[error("`{name}` belongs to application `{owner}`")]
    NameOwned {
        /// The name.
        name: DeploymentName,
        /// Whose it is.
        owner: ApplicationUid,
    },
    /// The name stands for one version for ever, and for another one than this.
    #[error("`{name}` stands for snapshot `{snapshot_id}`")]
    NameTaken {
        /// The name.
        name: DeploymentName,
        /// What it stands for.
        snapshot_id: SnapshotId,
    },
}

/// What readers of a store are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeEvent {
    /// From here on changes are told. What was read before may have changed in between.
    Connected,
    /// A name's record changed.
    Name(DeploymentName),
    /// A snapshot's record changed.
    Snapshot(SnapshotId),
    /// Changes are not told any more.
    Disconnected,
}

/// One snapshot of an application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionEntry {
    /// Which.
    pub snapshot_id: SnapshotId,
    /// When it was built, milliseconds since the Unix epoch.
    pub created_at_ms: u64,
}
