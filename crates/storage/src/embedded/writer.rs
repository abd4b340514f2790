//! The one thread that writes: commits that wait together share one transaction, and so one write to the disk.

use std::{sync::Arc, thread::JoinHandle};

use redb::Database;
use tokio::sync::{broadcast, mpsc, oneshot};

use super::{
    plan::Plan,
    tables::{Tables, redb_error},
};
use crate::{Applied, Change, ChangeEvent, CommitError, ErrorKind, StorageError};

/// Commits that share a transaction at most.
const BATCH: usize = 128;

/// A commit that waits for the writer.
#[derive(Debug)]
pub(super) struct Job {
    changes: Vec<Change>,
    done: oneshot::Sender<Result<Vec<Applied>, CommitError>>,
}

impl Job {
    pub(super) fn new(
        changes: Vec<Change>,
    ) -> (Self, oneshot::Receiver<Result<Vec<Applied>, CommitError>>) {
        let (done, receiver) = oneshot::channel();
        (Self { changes, done }, receiver)
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
            write(&db, jobs.drain(..), &changes);
        }
    };
    let thread = std::thread::Builder::new()
        .name("favonius-records".into())
        .spawn(run);
    thread.map(|thread| Writer(Some(thread))).map_err(|error| {
        StorageError::new(ErrorKind::Internal, "start the writer of", "the database").because(error)
    })
}

/// Writes all jobs in one transaction. A job that is not allowed changes nothing and does not hold up the others; when
/// the transaction fails, all fail.
fn write(db: &Database, jobs: impl Iterator<Item = Job>, changes: &broadcast::Sender<ChangeEvent>) {
    let mut allowed = Vec::new();
    let mut jobs = jobs.peekable();
    let mut all = || -> Result<Vec<ChangeEvent>, redb::Error> {
        let transaction = db.begin_write()?;
        let mut events = Vec::new();
        {
            let mut tables = Tables::open(&transaction)?;
            for Job { changes, done } in jobs.by_ref() {
                match Plan::make(&tables, changes)? {
                    Ok(plan) => {
                        // Answered only after the transaction: to be told is to be safe.
                        allowed.push((done, plan.applied()));
                        plan.write(&mut tables, &mut events)?;
                    }
                    Err(rejection) => answer(done, Err(rejection.into())),
                }
            }
        }
        transaction.commit()?;
        Ok(events)
    };
    match all() {
        Ok(events) => {
            for event in events {
                // Nobody listens: nobody has anything to forget.
                drop(changes.send(event));
            }
            for (done, applied) in allowed {
                answer(done, Ok(applied));
            }
        }
        Err(error) => {
            let error = redb_error("commit to", "the database", error);
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "Could not write records"
            );
            let kind = error.kind();
            let failed = || {
                StorageError::new(kind, "commit to", "the database")
                    .because("writing failed; the log of the process says why")
            };
            for (done, _) in allowed {
                answer(done, Err(failed().into()));
            }
            for job in jobs {
                answer(job.done, Err(failed().into()));
            }
        }
    }
}

/// Tells the caller, unless it has left.
fn answer(
    done: oneshot::Sender<Result<Vec<Applied>, CommitError>>,
    result: Result<Vec<Applied>, CommitError>,
) {
    drop(done.send(result));
}
