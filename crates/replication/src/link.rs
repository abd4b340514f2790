//! What can be asked of another region, whatever carries it there.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use favonius_contract::{
    SnapshotDocument,
    replication::{
        DigestAnswer, DigestRequest, Lacking, LackingRequest, NamesAnswer, NamesRequest, OwnedAsset,
    },
};
use favonius_storage::StorageError;
use futures::stream::BoxStream;

/// The bytes of an asset on their way out.
pub type OutgoingBody = BoxStream<'static, Result<Bytes, StorageError>>;
/// The bytes of an asset on their way in.
pub type IncomingBody = BoxStream<'static, Result<Bytes, LinkError>>;

/// The way to another region. Every call ends within a time of its own.
#[async_trait]
pub trait RegionLink: fmt::Debug + Send + Sync + 'static {
    /// Asks what the region lacks.
    async fn lacking(&self, request: &LackingRequest) -> Result<Lacking, LinkError>;

    /// Sends an asset; `path` is as a snapshot lists it.
    async fn send_asset(
        &self,
        asset: &OwnedAsset,
        path: &str,
        body: OutgoingBody,
    ) -> Result<(), LinkError>;

    /// Sends a snapshot.
    async fn send_snapshot(&self, document: &SnapshotDocument) -> Result<(), LinkError>;

    /// Tells of names, all of which change there or none.
    async fn names(&self, request: &NamesRequest) -> Result<NamesAnswer, LinkError>;

    /// Compares what both have.
    async fn digest(&self, request: &DigestRequest) -> Result<DigestAnswer, LinkError>;

    /// Asks for an asset. `None` when the region lacks it.
    async fn fetch(&self, asset: &OwnedAsset) -> Result<Option<IncomingBody>, LinkError>;
}

/// Why a region did not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LinkError {
    /// It did not answer, or not for now: asked again later it may.
    #[error("{why}")]
    Unavailable {
        /// What happened.
        why: String,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// It answers that it cannot. That may be because of what it was asked.
    #[error("{0}")]
    Failed(String),
    /// It will never do that.
    #[error("{0}")]
    Refused(String),
    /// It has to be sent this first.
    #[error("{} snapshots and {} assets are missing there", .0.snapshots.len(), .0.assets.len())]
    Incomplete(Lacking),
}

impl LinkError {
    /// It did not answer for now.
    pub fn unavailable(why: impl Into<String>) -> Self {
        Self::Unavailable {
            why: why.into(),
            retry_after: None,
        }
    }
}
