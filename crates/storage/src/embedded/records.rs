//! The records of a region.

use std::error::Error;

use async_trait::async_trait;
use favonius_contract::{
    ApplicationUid, AssetRef, Deployment, DeploymentName, SnapshotDocument, SnapshotId,
};
use futures::{StreamExt, future, stream, stream::BoxStream};
use tokio_stream::wrappers::{BroadcastStream, errors::BroadcastStreamRecvError};

use super::{EmbeddedRecords, Lane, tables};
use crate::{
    Applied, Change, ChangeEvent, CommitError, ErrorKind, HistoryEntry, RecordStore, StorageError,
    VersionEntry,
};

#[async_trait]
impl RecordStore for EmbeddedRecords {
    async fn deployment(&self, name: &DeploymentName) -> Result<Option<Deployment>, StorageError> {
        let key = name.clone();
        self.read_and_parse(
            "read deployment",
            name.to_string(),
            move |view| tables::deployment(view, key.as_str()),
            |key, found| {
                found
                    .map(|(entry, json)| parse_deployment(&entry, json))
                    .transpose()
                    .map_err(|why| {
                        StorageError::new(ErrorKind::Corrupt, "read deployment", key).because(why)
                    })
            },
        )
        .await
    }

    async fn snapshot(&self, id: &SnapshotId) -> Result<Option<SnapshotDocument>, StorageError> {
        let key = id.clone();
        self.read_and_parse(
            "read snapshot",
            id.to_string(),
            move |view| tables::snapshot(view, key.as_str()),
            |key, found| {
                found
                    .map(SnapshotDocument::parse)
                    .transpose()
                    .map_err(|error| {
                        StorageError::new(ErrorKind::Corrupt, "read snapshot", key).because(error)
                    })
            },
        )
        .await
    }

    async fn known_assets(
        &self,
        application: &ApplicationUid,
    ) -> Result<Vec<AssetRef>, StorageError> {
        let key = application.to_string();
        self.read("list assets", key.clone(), move |view| {
            tables::known_assets(view, &key)
        })
        .await
    }

    async fn knows_asset(
        &self,
        application: &ApplicationUid,
        asset: AssetRef,
    ) -> Result<bool, StorageError> {
        let key = application.to_string();
        self.read("look up asset", key.clone(), move |view| {
            tables::knows_asset(view, &key, asset)
        })
        .await
    }

    async fn versions(
        &self,
        application: &ApplicationUid,
        limit: usize,
    ) -> Result<Vec<VersionEntry>, StorageError> {
        let key = application.to_string();
        self.read("list versions", key.clone(), move |view| {
            tables::versions(view, &key, limit)
        })
        .await
    }

    async fn names(
        &self,
        application: &ApplicationUid,
    ) -> Result<Vec<DeploymentName>, StorageError> {
        let key = application.to_string();
        self.read("list names", key.clone(), move |view| {
            tables::names(view, &key)
        })
        .await
    }

    async fn history(&self, name: &DeploymentName) -> Result<Vec<HistoryEntry>, StorageError> {
        let key = name.clone();
        self.read_and_parse(
            "read history",
            name.to_string(),
            move |view| tables::history(view, key.as_str()),
            |key, json| tables::parse_history(key, json.as_deref()),
        )
        .await
    }

    async fn commit(&self, changes: Vec<Change>) -> Result<Vec<Applied>, CommitError> {
        self.commit_and_announce(changes, self.announces).await
    }

    fn changes(&self) -> BoxStream<'static, ChangeEvent> {
        // Subscribed before the first event, so that nothing falls in between.
        let changes = BroadcastStream::new(self.changes.subscribe()).map(|change| match change {
            Ok(change) => change,
            Err(BroadcastStreamRecvError::Lagged(_)) => ChangeEvent::Connected,
        });
        // The store lives as long as its readers: without it there is nothing to read.
        let keep = self.clone();
        stream::once(future::ready(ChangeEvent::Connected))
            .chain(changes)
            .inspect(move |_| {
                let _: &Self = &keep;
            })
            .boxed()
    }

    async fn check(&self) -> Result<(), StorageError> {
        if let Lane::Threads { jobs, .. } = &self.lane
            && jobs.is_closed()
        {
            return Err(StorageError::new(
                ErrorKind::Internal,
                "reach",
                "the database",
            ));
        }
        self.read("reach", "the database".into(), |_| Ok(())).await
    }
}

/// What a name's entry and the JSON of its snapshot say.
fn parse_deployment(
    entry: &[u8],
    json: Option<Vec<u8>>,
) -> Result<Deployment, Box<dyn Error + Send + Sync>> {
    let entry: HistoryEntry = serde_json::from_slice(entry)?;
    let document = SnapshotDocument::parse(json.ok_or("its snapshot is gone")?)?;
    Ok(Deployment {
        snapshot: document.into_snapshot(),
        publication: Some(entry.publication),
    })
}
