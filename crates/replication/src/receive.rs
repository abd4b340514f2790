//! What a region does with what another one sends: it is checked like an upload, and only what is newer counts.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    sync::Arc,
    time::Duration,
};

use favonius_contract::{
    ApplicationUid, AssetRef, SnapshotDocument, SnapshotId,
    replication::{
        DigestAnswer, DigestRequest, Lacking, LackingRequest, NameOutcome, NameRecord, NameState,
        NamesAnswer, NamesRequest, OwnedAsset,
    },
};
use favonius_storage::{
    Applied, AssetKey, Change, CommitError, ErrorKind, Order, Publish, Rejection, Remove,
    StorageError,
};
use tokio::sync::Mutex;

use crate::{
    ReplicationStores,
    digest::{self, Digests},
};

/// How many assets an application is said to own in one commit.
const OWNED_AT_ONCE: usize = 1000;

/// The receiving end of a region. Clones share everything.
#[derive(Debug, Clone)]
pub struct Receiver {
    stores: ReplicationStores,
    comparing: Arc<Mutex<()>>,
}

/// Why something that another region sent was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// The stores could not, or could not tell.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// What the names are to answer with is not all here: it has to be sent first.
    #[error("{} snapshots and {} assets are to be sent first", .0.snapshots.len(), .0.assets.len())]
    Missing(Lacking),
    /// It is not allowed.
    #[error(transparent)]
    Rejected(Rejection),
    /// It contradicts itself or what is here.
    #[error("{0}")]
    Invalid(String),
}

impl From<CommitError> for ReceiveError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Storage(error) => Self::Storage(error),
            CommitError::Rejected(Rejection::SnapshotUnknown(id)) => Self::Missing(Lacking {
                snapshots: vec![id],
                assets: Vec::new(),
            }),
            CommitError::Rejected(rejection) => Self::Rejected(rejection),
        }
    }
}

impl Receiver {
    /// Receives into these stores.
    pub fn new(stores: ReplicationStores) -> Self {
        Self {
            stores,
            comparing: Arc::default(),
        }
    }

    /// What is not here, of what is to be sent. Fails where another build is here under the same id. Assets that are here already are the application's from now on: their bytes
    /// were checked when they came, and need not cross again.
    pub async fn lacking(&self, request: &LackingRequest) -> Result<Lacking, ReceiveError> {
        let mut lacking = Lacking::default();
        for id in &request.snapshots {
            match (self.stored(id).await?, request.builds.get(id)) {
                (None, _) => lacking.snapshots.push(id.clone()),
                (Some(ours), Some(theirs)) if ours.build_digest() != *theirs => {
                    return Err(ReceiveError::Rejected(Rejection::SnapshotExists(
                        id.clone(),
                    )));
                }
                (Some(_), _) => {}
            }
        }
        let wanted: HashSet<AssetRef> = request.assets.iter().map(|owned| owned.asset).collect();
        let located = self.stores.assets.locate_all(wanted).await?;
        let present: HashSet<AssetRef> = located
            .into_iter()
            .filter_map(|(asset, at)| at.map(|_: AssetKey| asset))
            .collect();
        let mut owned = Vec::new();
        for asset in &request.assets {
            if present.contains(&asset.asset) {
                owned.push(Change::AssetStored {
                    application: asset.application_uid.clone(),
                    asset: asset.asset,
                });
            } else {
                lacking.assets.push(asset.clone());
            }
        }
        for some in owned.chunks(OWNED_AT_ONCE) {
            self.stores.records.commit_replicated(some.to_vec()).await?;
        }
        Ok(lacking)
    }

    /// An asset has come, was checked and is in the store: it is the application's.
    pub async fn asset_stored(&self, owned: &OwnedAsset) -> Result<(), ReceiveError> {
        let change = Change::AssetStored {
            application: owned.application_uid.clone(),
            asset: owned.asset,
        };
        self.stores.records.commit_replicated(vec![change]).await?;
        Ok(())
    }

    /// Stores a snapshot, without a name. Another document of the same build counts as the same; one of another build under
    /// the same id is refused.
    pub async fn snapshot(&self, document: SnapshotDocument) -> Result<Applied, ReceiveError> {
        let change = Change::SnapshotStored(document.clone());
        match self.stores.records.commit_replicated(vec![change]).await {
            Ok(applied) => Ok(applied.into_iter().next().unwrap_or(Applied::Unchanged)),
            Err(CommitError::Rejected(Rejection::SnapshotExists(id))) => {
                let known = self.stored(&id).await?;
                if known.is_some_and(|known| known.same_build(&document)) {
                    Ok(Applied::Unchanged)
                } else {
                    Err(ReceiveError::Rejected(Rejection::SnapshotExists(id)))
                }
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Makes the names be as the other region says where that is newer: all of them, or none. Nothing is made to answer with
    /// what is not all here.
    pub async fn names(&self, request: &NamesRequest) -> Result<NamesAnswer, ReceiveError> {
        if request.names.is_empty() {
            return Err(ReceiveError::Invalid("there is no name in it".into()));
        }
        self.refuse_if_incomplete(&request.names).await?;
        let changes: Vec<Change> = request
            .names
            .iter()
            .map(|record| change(record, request.repair))
            .collect();
        let applied = self.stores.records.commit_replicated(changes).await?;
        let outcomes = applied.into_iter().map(|applied| match applied {
            Applied::Done => NameOutcome::Applied,
            Applied::Unchanged | Applied::Superseded => NameOutcome::Older,
            Applied::ByHand => NameOutcome::ByHand,
        });
        Ok(NamesAnswer {
            outcomes: outcomes.collect(),
        })
    }

    /// Makes changes that another region told of by the usual requests: they are not told to others.
    pub async fn commit(&self, changes: Vec<Change>) -> Result<Vec<Applied>, CommitError> {
        self.stores.records.commit_replicated(changes).await
    }

    /// Whether nobody in the region has used this id of a token; it is remembered for this long.
    pub async fn use_once(&self, token_id: &str, remember: Duration) -> Result<bool, StorageError> {
        self.stores.records.use_once(token_id, remember).await
    }

    /// Tells another region what is here, so that it can find what it has that is newer.
    pub async fn digest(&self, request: &DigestRequest) -> Result<DigestAnswer, ReceiveError> {
        // Everything is looked at: for one at a time.
        let _turn = self.comparing.lock().await;
        match request {
            DigestRequest::All(theirs) => {
                let ours = Digests::of(&*self.stores.records, self.stores.clock.now_ms()).await?;
                Ok(if ours.all() == *theirs {
                    DigestAnswer::Equal
                } else {
                    DigestAnswer::Digests(ours.each())
                })
            }
            DigestRequest::Buckets(buckets) => {
                let content =
                    digest::content(&*self.stores.records, buckets, self.stores.clock.now_ms())
                        .await?;
                Ok(DigestAnswer::Content(content))
            }
        }
    }

    /// A snapshot that is here. One that cannot be read keeps back what needs it, and nothing else.
    async fn stored(&self, id: &SnapshotId) -> Result<Option<SnapshotDocument>, ReceiveError> {
        match self.stores.records.snapshot(id).await {
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                tracing::error!(
                    snapshot_id = id.as_str(),
                    error = &error as &dyn std::error::Error,
                    "Another region sends a snapshot under whose id something unreadable is stored here"
                );
                Err(ReceiveError::Invalid(format!(
                    "what is stored here as snapshot {id} cannot be read, and has to be removed first"
                )))
            }
            read => Ok(read?),
        }
    }

    async fn refuse_if_incomplete(&self, names: &[NameRecord]) -> Result<(), ReceiveError> {
        let mut missing = Lacking::default();
        let mut looked_at: HashSet<&SnapshotId> = HashSet::new();
        let mut known: HashMap<&ApplicationUid, HashSet<AssetRef>> = HashMap::new();
        for record in names {
            let NameState::Published(entry) = &record.state else {
                continue;
            };
            let application = &entry.publication.application_uid;
            let owned = |asset| OwnedAsset {
                application_uid: application.clone(),
                asset,
            };
            if let Some(manifest) = entry.publication.manifest
                && !self.stores.assets.contains(manifest).await?
            {
                missing.assets.push(owned(manifest));
            }
            if !looked_at.insert(&entry.snapshot_id) {
                continue;
            }
            let Some(document) = self.stored(&entry.snapshot_id).await? else {
                missing.snapshots.push(entry.snapshot_id.clone());
                continue;
            };
            if document.snapshot().application_uid != *application {
                return Err(ReceiveError::Invalid(format!(
                    "snapshot {} is not one of application {application}",
                    entry.snapshot_id
                )));
            }
            let known = match known.entry(application) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(unknown) => {
                    let all = self.stores.records.known_assets(application).await?;
                    unknown.insert(all.into_iter().collect())
                }
            };
            let wanted = document.snapshot().assets().map(|(_, asset)| asset);
            let lacking = self.stores.assets.lacking(wanted, known).await?;
            missing.assets.extend(lacking.into_iter().map(owned));
        }
        if missing.is_empty() {
            Ok(())
        } else {
            Err(ReceiveError::Missing(missing))
        }
    }
}

fn change(record: &NameRecord, repair: bool) -> Change {
    let (published_at, replica) = record.state.order();
    let order = Order::Replicated {
        published_at,
        replica: replica.to_owned(),
        repair,
    };
    match &record.state {
        NameState::Published(entry) => Change::Published(Publish {
            name: record.name.clone(),
            application: entry.publication.application_uid.clone(),
            snapshot_id: entry.snapshot_id.clone(),
            order,
            manifest: entry.publication.manifest,
            version: entry.publication.version,
            // Whose the name is was decided where it was published.
            takeover: true,
        }),
        NameState::Removed(removal) => Change::Removed(Remove {
            name: record.name.clone(),
            application: removal.application_uid.clone(),
            order,
            takeover: true,
        }),
    }
}
