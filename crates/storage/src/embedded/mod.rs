//! The embedded back end: records in one redb file, assets in a directory, no server.

mod plan;
mod tables;
mod writer;

use std::{error::Error, path::Path, sync::Arc};

use async_trait::async_trait;
use favonius_contract::{
    ApplicationUid, AssetRef, Deployment, DeploymentName, SnapshotDocument, SnapshotId,
};
use futures::{StreamExt, future, stream, stream::BoxStream};
use object_store::{ObjectStore, local::LocalFileSystem};
use redb::{Database, ReadTransaction, ReadableDatabase};
use tokio::sync::{broadcast, mpsc};
use tokio_stream::wrappers::{BroadcastStream, errors::BroadcastStreamRecvError};
use writer::{Job, Writer};

use crate::{
    Applied, Change, ChangeEvent, CommitError, ErrorKind, HistoryEntry, RecordStore, StorageError,
    VersionEntry,
};

/// Commits that may wait for the writer; one more waits for room.
const WAITING_COMMITS: usize = 1024;
/// Changes that a slow reader may be behind before it is told to look at everything again.
const WAITING_CHANGES: usize = 4096;

/// Records in an embedded database. Clones share it; one process at a time can open a file.
#[derive(Debug, Clone)]
pub struct EmbeddedRecords {
    db: Arc<Database>,
    jobs: mpsc::Sender<Job>,
    changes: broadcast::Sender<ChangeEvent>,
    /// Dropped after `jobs`, as fields are in their order: it waits for the writer, which waits for jobs.
    #[expect(dead_code, reason = "held for its drop")]
    writer: Arc<Writer>,
}

impl EmbeddedRecords {
    /// Opens the database file, or makes it.
    pub fn open(file: &Path) -> Result<Self, StorageError> {
        let shown = file.display().to_string();
        let db = Database::create(file).map_err(|error| {
            let open_elsewhere = matches!(error, redb::DatabaseError::DatabaseAlreadyOpen);
            let error = tables::redb_error("open database", &shown, error.into());
            if open_elsewhere {
                error.because("another process has it open")
            } else {
                error
            }
        })?;
        Self::start(db)
    }

    /// A database that is gone with its last clone.
    pub fn in_memory() -> Result<Self, StorageError> {
        let backend = redb::backends::InMemoryBackend::new();
        let db = Database::builder()
            .create_with_backend(backend)
            .map_err(|error| tables::redb_error("open database", "in memory", error.into()))?;
        Self::start(db)
    }

    fn start(db: Database) -> Result<Self, StorageError> {
        tables::create(&db)?;
        let db = Arc::new(db);
        let (changes, _) = broadcast::channel(WAITING_CHANGES);
        let (jobs, waiting) = mpsc::channel(WAITING_COMMITS);
        let writer = writer::start(Arc::clone(&db), waiting, changes.clone())?;
        Ok(Self {
            db,
            jobs,
            changes,
            writer: Arc::new(writer),
        })
    }

    /// Reads in one consistent view, away from the threads that serve.
    async fn read<T: Send + 'static>(
        &self,
        op: &'static str,
        key: String,
        read: impl FnOnce(&ReadTransaction) -> Result<T, redb::Error> + Send + 'static,
    ) -> Result<T, StorageError> {
        self.read_and_parse(op, key, read, |_, found| Ok(found))
            .await
    }

    /// Reads, and makes of it what the caller wants, under the same key. Documents may have megabytes, so they must not
    /// be parsed by the threads that serve either.
    async fn read_and_parse<R: 'static, T: Send + 'static>(
        &self,
        op: &'static str,
        key: String,
        read: impl FnOnce(&ReadTransaction) -> Result<R, redb::Error> + Send + 'static,
        parse: impl FnOnce(&str, R) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, StorageError> {
        let db = Arc::clone(&self.db);
        let task = tokio::task::spawn_blocking(move || {
            let view = db.begin_read().map_err(redb::Error::from);
            let found = view
                .and_then(|view| read(&view))
                .map_err(|error| tables::redb_error(op, &key, error))?;
            parse(&key, found)
        });
        task.await.unwrap_or_else(|error| {
            Err(StorageError::new(ErrorKind::Internal, op, "the database").because(error))
        })
    }
}

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
        let stopped = || StorageError::new(ErrorKind::Internal, "commit to", "the database");
        let (job, done) = Job::new(changes);
        self.jobs
            .send(job)
            .await
            .map_err(|_| stopped().because("its writer has ended"))?;
        done.await
            .map_err(|_| stopped().because("its writer has ended"))?
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
        if self.jobs.is_closed() {
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

/// Assets in a directory, which is made where it is missing. What is stored survives a power cut.
pub fn embedded_assets(directory: &Path) -> Result<Arc<dyn ObjectStore>, StorageError> {
    let shown = directory.display().to_string();
    std::fs::create_dir_all(directory).map_err(|error| {
        StorageError::new(ErrorKind::Denied, "make the directory", &shown).because(error)
    })?;
    let store = LocalFileSystem::new_with_prefix(directory)
        .map_err(|error| StorageError::new(ErrorKind::Internal, "open", &shown).because(error))?;
    Ok(Arc::new(store.with_fsync(true)))
}
