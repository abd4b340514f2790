//! The embedded back end: records in one redb file, assets in a directory, no server.

mod claims;
mod outbox;
mod outlook;
mod plan;
mod records;
mod replicated;
mod states;
mod steps;
mod tables;
mod writer;

use std::{path::Path, sync::Arc};

use claims::Claims;
use object_store::{ObjectStore, local::LocalFileSystem};
use plan::Plan;
use redb::{Database, ReadTransaction, ReadableDatabase};
use tables::Tables;
use tokio::sync::{broadcast, mpsc};
use writer::{Job, Writer};

use crate::{Applied, Change, ChangeEvent, Clock, CommitError, ErrorKind, StorageError};

/// Commits that may wait for the writer; one more waits for room.
const WAITING_COMMITS: usize = 1024;
/// Changes that a slow reader may be behind before it is told to look at everything again.
const WAITING_CHANGES: usize = 4096;

/// Records in an embedded database. Clones share it; one process at a time can open a file.
#[derive(Debug, Clone)]
pub struct EmbeddedRecords {
    db: Arc<Database>,
    lane: Lane,
    changes: broadcast::Sender<ChangeEvent>,
    claims: Arc<Claims>,
    clock: Clock,
    announces: bool,
}

/// Where work is done.
#[derive(Debug, Clone)]
enum Lane {
    /// By a thread that writes and by those that may block.
    Threads {
        jobs: mpsc::Sender<Job>,
        /// Dropped after `jobs`, as fields are in their order: it waits for the writer, which waits for jobs.
        #[expect(dead_code, reason = "held for its drop")]
        writer: Arc<Writer>,
    },
    /// By who asks.
    Inline,
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
        Self::start(db)?.with_writer()
    }

    /// A database that is gone with its last clone.
    pub fn in_memory() -> Result<Self, StorageError> {
        Self::inline()?.with_writer()
    }

    /// The same, where whoever reads or commits does the work at once, without other threads: what happens in a runtime of
    /// one thread whose time is paused is the same at every run. For simulations.
    pub fn inline() -> Result<Self, StorageError> {
        let backend = redb::backends::InMemoryBackend::new();
        let db = Database::builder()
            .create_with_backend(backend)
            .map_err(|error| tables::redb_error("open database", "in memory", error.into()))?;
        Self::start(db)
    }

    /// Tells other regions of what is committed from now on with this store and its later clones, see
    /// [`ReplicatedRecords`](crate::ReplicatedRecords).
    #[must_use]
    pub fn announcing(mut self) -> Self {
        self.announces = true;
        self
    }

    /// Measures with this clock for how long nothing was heard of who has taken an event: in a simulation of many machines each
    /// has a runtime with a time of its own. What was taken before is free again.
    #[must_use]
    pub fn with_stopwatch(mut self, clock: Clock) -> Self {
        self.claims = Arc::new(Claims::new(Some(clock)));
        self
    }

    /// Takes the time of day from this clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    fn start(db: Database) -> Result<Self, StorageError> {
        tables::create(&db)?;
        let (changes, _) = broadcast::channel(WAITING_CHANGES);
        Ok(Self {
            db: Arc::new(db),
            lane: Lane::Inline,
            changes,
            claims: Arc::new(Claims::new(None)),
            clock: Clock::system(),
            announces: false,
        })
    }

    fn with_writer(mut self) -> Result<Self, StorageError> {
        let (jobs, waiting) = mpsc::channel(WAITING_COMMITS);
        let writer = writer::start(Arc::clone(&self.db), waiting, self.changes.clone())?;
        self.lane = Lane::Threads {
            jobs,
            writer: Arc::new(writer),
        };
        Ok(self)
    }

    /// Makes the changes, and tells other regions of them or not.
    async fn commit_and_announce(
        &self,
        changes: Vec<Change>,
        announces: bool,
    ) -> Result<Vec<Applied>, CommitError> {
        let queued_at = announces.then(|| self.clock.now_ms());
        let outcome = self.write(move |tables, told| {
            let Plan { steps, applied } = match Plan::make(tables, changes)? {
                Ok(plan) => plan,
                Err(rejection) => return Ok(Err(rejection)),
            };
            if let Some(now_ms) = queued_at
                && let Some(event) = steps::announcement(&steps)
            {
                outbox::announce(tables, &event, now_ms)?;
            }
            steps::write(steps, tables, told)?;
            Ok(Ok(applied))
        });
        Ok(outcome.await??)
    }

    /// Writes in a transaction that it may share with others.
    async fn write<T: Send + 'static>(
        &self,
        write: impl FnOnce(&mut Tables<'_>, &mut Vec<ChangeEvent>) -> Result<T, redb::Error>
        + Send
        + 'static,
    ) -> Result<T, StorageError> {
        let ended = || {
            StorageError::new(ErrorKind::Internal, "commit to", "the database")
                .because("its writer has ended")
        };
        let (job, done) = writer::job(write);
        match &self.lane {
            Lane::Threads { jobs, .. } => jobs.send(job).await.map_err(|_| ended())?,
            Lane::Inline => writer::write(&self.db, vec![job], &self.changes),
        }
        done.await.map_err(|_| ended())?
    }

    /// Reads in one consistent view, away from the threads that serve.
    async fn read<T: Send + 'static>(
        &self,
        op: &'static str,
        key: String,
        read: impl FnOnce(&ReadTransaction) -> Result<T, redb::Error> + Send + 'static,
    ) -> Result<T, StorageError> {
        let read = move |db: &Database| read(&db.begin_read()?);
        self.read_database(op, key, read).await
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
        let shown = key.clone();
        let read = move |db: &Database| Ok(parse(&shown, read(&db.begin_read()?)?));
        self.read_database(op, key, read).await?
    }

    /// Works with the database away from the threads that serve.
    async fn read_database<T: Send + 'static>(
        &self,
        op: &'static str,
        key: String,
        read: impl FnOnce(&Database) -> Result<T, redb::Error> + Send + 'static,
    ) -> Result<T, StorageError> {
        let db = Arc::clone(&self.db);
        let read = move || read(&db).map_err(|error| tables::redb_error(op, &key, error));
        if matches!(self.lane, Lane::Inline) {
            return read();
        }
        tokio::task::spawn_blocking(read)
            .await
            .unwrap_or_else(|error| {
                Err(StorageError::new(ErrorKind::Internal, op, "the database").because(error))
            })
    }
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
