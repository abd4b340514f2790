//! What a region must have before it is told of names: their snapshots, and the files that those list.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use favonius_contract::{
    ApplicationUid, AssetRef, MANIFEST_FILE, SnapshotDocument, SnapshotId,
    replication::{NameState, OwnedAsset, RegionEvent},
};
use favonius_storage::StorageError;
use futures::{FutureExt, StreamExt, TryStreamExt, future::BoxFuture, stream};

use crate::{ReplicationStores, courier::Undelivered};

/// Look-ups at once.
const CHECKS_AT_ONCE: usize = 32;

/// Everything that an event needs to be there first.
#[derive(Debug, Default)]
pub(crate) struct Cargo {
    pub(crate) snapshots: BTreeMap<SnapshotId, Arc<SnapshotDocument>>,
    /// Under which path each asset is listed.
    assets: BTreeMap<(ApplicationUid, AssetRef), String>,
    /// Manifests that were made for a name: no snapshot lists them.
    manifests: HashSet<AssetRef>,
    pub(crate) weight: Weight,
}

/// What it costs a region to be told of names.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Weight {
    pub(crate) names: usize,
    /// Bytes of their snapshots.
    pub(crate) written: usize,
    /// Assets of their snapshots.
    pub(crate) looked_for: usize,
}

impl Cargo {
    /// What an event needs. Fails when not all snapshots are here.
    pub(crate) async fn of(
        stores: &ReplicationStores,
        event: &RegionEvent,
    ) -> Result<Self, Undelivered> {
        let mut this = Self::default();
        this.weight.names = event.names.len();
        for id in &event.snapshots {
            this.add(stores, id).await?;
        }
        for record in &event.names {
            let NameState::Published(entry) = &record.state else {
                continue;
            };
            let document = this.add(stores, &entry.snapshot_id).await?;
            this.weight.written += document.json().len();
            this.weight.looked_for += document.snapshot().asset_count();
            if let Some(manifest) = entry.publication.manifest {
                let owner = entry.publication.application_uid.clone();
                this.assets
                    .insert((owner, manifest), MANIFEST_FILE.to_owned());
                this.manifests.insert(manifest);
            }
        }
        Ok(this)
    }

    async fn add(
        &mut self,
        stores: &ReplicationStores,
        id: &SnapshotId,
    ) -> Result<Arc<SnapshotDocument>, Undelivered> {
        if let Some(known) = self.snapshots.get(id) {
            return Ok(Arc::clone(known));
        }
        let found = stores.records.snapshot(id).await?;
        let document = found
            .map(Arc::new)
            .ok_or_else(|| Undelivered::NotHere(format!("snapshot {id} is not in this region")))?;
        let snapshot = document.snapshot();
        for (path, asset) in snapshot.assets() {
            self.assets
                .entry((snapshot.application_uid.clone(), asset))
                .or_insert_with(|| path.to_owned());
        }
        self.snapshots.insert(id.clone(), Arc::clone(&document));
        Ok(document)
    }

    /// Adds what another event needs.
    pub(crate) fn merge(&mut self, other: Self) {
        self.snapshots.extend(other.snapshots);
        self.assets.extend(other.assets);
        self.manifests.extend(other.manifests);
        self.weight = self.weight.plus(other.weight);
    }

    /// Whose it is, at least in part.
    pub(crate) fn application(&self) -> Option<&ApplicationUid> {
        let document = self.snapshots.values().next()?;
        Some(&document.snapshot().application_uid)
    }

    /// Size of its snapshots.
    pub(crate) fn bytes(&self) -> usize {
        let documents = self.snapshots.values();
        documents.map(|document| document.json().len()).sum()
    }

    pub(crate) fn assets(&self) -> impl Iterator<Item = OwnedAsset> {
        self.assets
            .keys()
            .map(|(application_uid, asset)| OwnedAsset {
                application_uid: application_uid.clone(),
                asset: *asset,
            })
    }

    /// The path under which an asset is listed.
    pub(crate) fn path(&self, owned: &OwnedAsset) -> Option<&str> {
        let key = (owned.application_uid.clone(), owned.asset);
        self.assets.get(&key).map(String::as_str)
    }

    /// Fails when an application lists an asset that it did not upload here: to know a hash is no right to the bytes, and they
    /// must not become its own by way of another region.
    pub(crate) async fn check_owners(
        &self,
        stores: &ReplicationStores,
        assets: &[OwnedAsset],
    ) -> Result<(), Undelivered> {
        let checks: Vec<BoxFuture<'_, Result<Option<&OwnedAsset>, StorageError>>> = assets
            .iter()
            .filter(|owned| !self.manifests.contains(&owned.asset))
            .map(|owned| {
                async move { Ok((!is_own(stores, owned).await?).then_some(owned)) }.boxed()
            })
            .collect();
        let foreign: Vec<&OwnedAsset> = stream::iter(checks)
            .buffer_unordered(CHECKS_AT_ONCE)
            .try_filter_map(async |foreign| Ok(foreign))
            .try_collect()
            .await?;
        match foreign.first() {
            None => Ok(()),
            Some(first) => Err(Undelivered::NotHere(format!(
                "application {} has not uploaded {} files here that its snapshot lists, among them {}",
                first.application_uid,
                foreign.len(),
                self.path(first).unwrap_or_default(),
            ))),
        }
    }
}

/// Whether an application uploaded an asset here, or another worker left it for everybody.
async fn is_own(stores: &ReplicationStores, owned: &OwnedAsset) -> Result<bool, StorageError> {
    let OwnedAsset {
        application_uid,
        asset,
    } = owned;
    Ok(stores.records.knows_asset(application_uid, *asset).await?
        || stores.assets.is_shared(*asset).await?)
}
