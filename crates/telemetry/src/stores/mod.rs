//! Stores whose operations are measured.
//!
//! Each passes everything on to the store within, and changes nothing of it.

mod objects;
mod records;

use std::{sync::Arc, time::Duration};

use favonius_storage::{ErrorKind, RecordStore};
use object_store::ObjectStore;
use tokio::time::Instant;

use crate::{
    Instruments,
    instruments::{Backend, Operation, Outcome},
};
use objects::MeasuredObjects;
use records::MeasuredRecords;

/// The same record store, with its operations measured as those of this back end.
pub fn measured_records(
    records: Arc<dyn RecordStore>,
    backend: Backend,
    instruments: &Instruments,
) -> Arc<dyn RecordStore> {
    if !instruments.is_enabled() {
        return records;
    }
    Arc::new(MeasuredRecords {
        inner: records,
        meter: Meter::new(backend, instruments),
    })
}

/// The same object store, with its operations measured as those of this back end.
pub fn measured_objects(
    objects: Arc<dyn ObjectStore>,
    backend: Backend,
    instruments: &Instruments,
) -> Arc<dyn ObjectStore> {
    if !instruments.is_enabled() {
        return objects;
    }
    Arc::new(MeasuredObjects {
        inner: objects,
        meter: Meter::new(backend, instruments),
    })
}

/// Measures what one back end does.
#[derive(Debug, Clone)]
struct Meter {
    backend: Backend,
    instruments: Instruments,
}

impl Meter {
    fn new(backend: Backend, instruments: &Instruments) -> Self {
        Self {
            backend,
            instruments: instruments.clone(),
        }
    }

    /// Does something and measures it.
    async fn measure<T, E>(
        &self,
        operation: Operation,
        work: impl Future<Output = Result<T, E>>,
        outcome: impl FnOnce(&Result<T, E>) -> Outcome,
    ) -> Result<T, E> {
        let pending = self.begin(operation);
        let result = work.await;
        pending.end(outcome(&result));
        result
    }

    fn begin(&self, operation: Operation) -> Pending {
        Pending {
            meter: self.clone(),
            operation,
            begun: Instant::now(),
            outcome: None,
        }
    }
}

/// An operation that is under way. One that is given up, by a reader that leaves or a time limit above, is told as well, unless
/// that was so soon that it says nothing of the store.
#[derive(Debug)]
struct Pending {
    meter: Meter,
    operation: Operation,
    begun: Instant,
    outcome: Option<Outcome>,
}

/// From here on a store that has not answered is part of why nobody waits for it any more.
const ABANDONED_AFTER: Duration = Duration::from_secs(1);

impl Pending {
    fn end(mut self, outcome: Outcome) {
        self.outcome = Some(outcome);
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let took = self.begun.elapsed();
        let abandoned = (took >= ABANDONED_AFTER).then_some(Outcome::Abandoned);
        if let Some(outcome) = self.outcome.or(abandoned) {
            let Meter {
                backend,
                instruments,
            } = &self.meter;
            instruments.storage(*backend, self.operation, outcome, took);
        }
    }
}

impl From<ErrorKind> for Outcome {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Unavailable => Self::Unavailable,
            ErrorKind::Denied => Self::Denied,
            ErrorKind::Corrupt => Self::Corrupt,
            ErrorKind::Full => Self::Full,
            ErrorKind::Internal => Self::Internal,
        }
    }
}

#[cfg(test)]
mod tests;
