//! What other regions sent to this process since it began, for operators who ask it. The metrics say the same to whoever scrapes them.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use favonius_telemetry::{
    Instruments,
    instruments::{Receipt, Received as Kind, ReplicaRejection},
};
use serde::Serialize;

/// By a fixed name.
type Counts = BTreeMap<&'static str, u64>;

/// Counts, in the form in which they are told.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Tallied {
    /// By what came of it.
    #[serde(flatten)]
    outcomes: Counts,
    /// Those that were refused, by the name of the error.
    refused_by: Counts,
    /// Requests with the token of a replica that was not taken, by reason.
    rejected: Counts,
}

/// Counts what other regions send.
#[derive(Debug)]
pub(crate) struct Tally(Mutex<Tallied>);

impl Tally {
    /// With 0 for everything that can come of it.
    pub(crate) fn new() -> Self {
        let outcomes = Receipt::ALL.iter().map(|receipt| (receipt.as_str(), 0));
        let rejected = ReplicaRejection::ALL.iter();
        let rejected = rejected.map(|reason| (reason.as_str(), 0));
        Self(Mutex::new(Tallied {
            outcomes: outcomes.collect(),
            refused_by: Counts::new(),
            rejected: rejected.collect(),
        }))
    }

    /// Something was received.
    pub(crate) fn count(&self, instruments: &Instruments, kind: Kind, receipt: Receipt) {
        add(&mut self.counts().outcomes, receipt.as_str());
        instruments.received(kind, receipt);
    }

    /// Something was refused, with this name of the error.
    pub(crate) fn refused(&self, error: &'static str) {
        add(&mut self.counts().refused_by, error);
    }

    /// The token of a replica was not taken.
    pub(crate) fn reject(&self, instruments: &Instruments, reason: ReplicaRejection) {
        add(&mut self.counts().rejected, reason.as_str());
        instruments.replica_rejected(reason);
    }

    /// How many of each.
    pub(crate) fn read(&self) -> Tallied {
        self.counts().clone()
    }

    fn counts(&self) -> MutexGuard<'_, Tallied> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn add(counts: &mut Counts, name: &'static str) {
    *counts.entry(name).or_default() += 1;
}
