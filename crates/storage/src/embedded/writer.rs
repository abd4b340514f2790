//! The one thread that writes: what waits together shares one transaction, and so one write to the disk.

use std::{sync::Arc, thread::JoinHandle};

use redb::Database;
use tokio::sync::{broadcast, mpsc, oneshot};

use super::tables::{Tables, redb_error};
use crate::{ChangeEvent, ErrorKind, StorageError};

/// Jobs that share a transaction at most.
const BATCH: usize = 128;

/// Something that waits to be written.
pub(super) type Job = Box<dyn Work>;

pub(super) trait Work: Send {
    /// Writes, and adds what readers are to be told. Called once.
    fn write(
        &mut self,
        tables: &mut Tables<'_>,
        told: &mut Vec<ChangeEvent>,
    ) -> Result<(), redb::Error>;

    /// Tells the caller what came of it, unless it has left. To be told is to be safe: only after the transaction.
    fn answer(self: Box<Self>, written: Result<(), StorageError>);
}

struct Waiting<T, F> {
    write: Option<F>,
    outcome: Option<T>,
    done: oneshot::Sender<Result<T, StorageError>>,
}

/// Makes a job, and what its outcome comes from.
pub(super) fn job<T, F>(write: F) -> (Job, oneshot::Receiver<Result<T, StorageError>>)
where
    T: Send + 'static,
    F: FnOnce(&mut Tables<'_>, &mut Vec<ChangeEvent>) -> Result<T, redb::Error> + Send + 'static,
{
    let (done, receiver) = oneshot::channel();
    let job = Waiting {
        write: Some(write),
        outcome: None,
        done,
    };
    (Box::new(job), receiver)
}

impl<T, F> Work for Waiting<T, F>
where
    T: Send,
    F: FnOnce(&mut Tables<'_>, &mut Vec<ChangeEvent>) -> Result<T, redb::Error> + Send,
{
    fn write(
        &mut self,
        tables: &mut Tables<'_>,
        told: &mut Vec<ChangeEvent>,
    ) -> Result<(), redb::Error> {
        if let Some(write) = self.write.take() {
            self.outcome = Some(write(tables, told)?);
        }
        Ok(())
    }

    fn answer(self: Box<Self>, written: Result<(), StorageError>) {
        let Self { outcome, done, .. } = *self;
        let lost = || StorageError::new(ErrorKind::Internal, "commit to", "the database");
        drop(done.send(written.and_then(|()| outcome.ok_or_else(lost))));
    }
}

/// Waits for the writer to end when the last store is dropped: only a database that was closed need not be repaired
/// when it is opened again, and until then nobody else can open it.
#[derive(Debug)]
pub(super) struct Writer(Option<JoinHandle<()>>);

impl Drop for Writer {
    fn drop(&mut self) {
        // A panic of the writer was reported when it happened.
        drop(self.0.take().map(JoinHandle::join));
    }
}

/// Starts the writer. It ends when nobody can send to it any more, after it has written what it was sent: the sender
/// must be dropped before the [`Writer`] is.
pub(super) fn start(
    db: Arc<Database>,
    mut waiting: mpsc::Receiver<Job>,
    changes: broadcast::Sender<ChangeEvent>,
) -> Result<Writer, StorageError> {
    let run = move || {
        let mut jobs = Vec::with_capacity(BATCH);
        while waiting.blocking_recv_many(&mut jobs, BATCH) > 0 {
            write(&db, std::mem::take(&mut jobs), &changes);
        }
    };
    let thread = std::thread::Builder::new()
        .name("favonius-records".into())
        .spawn(run);
    thread.map(|thread| Writer(Some(thread))).map_err(|error| {
        StorageError::new(ErrorKind::Internal, "start the writer of", "the database").because(error)
    })
}

/// Writes all jobs in one transaction: when it fails, all fail.
pub(super) fn write(db: &Database, mut jobs: Vec<Job>, changes: &broadcast::Sender<ChangeEvent>) {
    let all = |jobs: &mut [Job]| -> Result<Vec<ChangeEvent>, redb::Error> {
        let transaction = db.begin_write()?;
        let mut told = Vec::new();
        {
            let mut tables = Tables::open(&transaction)?;
            for job in jobs {
                job.write(&mut tables, &mut told)?;
            }
        }
        transaction.commit()?;
        Ok(told)
    };
    match all(&mut jobs) {
        Ok(told) => {
            for event in told {
                // Nobody listens: nobody has anything to forget.
                drop(changes.send(event));
            }
            for job in jobs {
                job.answer(Ok(()));
            }
        }
        Err(error) => {
            let error = redb_error("commit to", "the database", error);
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "Could not write records"
            );
            for job in jobs {
                let failed = StorageError::new(error.kind(), "commit to", "the database");
                job.answer(Err(
                    failed.because("writing failed; the log of the process says why")
                ));
            }
        }
    }
}
