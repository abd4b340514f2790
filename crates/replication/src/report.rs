//! What is told of a target: measurements, and how it stands.

use std::sync::{Mutex, MutexGuard, PoisonError};

use favonius_telemetry::{
    Instruments,
    instruments::{Delivery, Repair},
};

/// How sending to a target went lately.
#[derive(Debug, Clone, Default)]
pub(crate) struct Standing {
    pub(crate) delivered: u64,
    pub(crate) retried: u64,
    pub(crate) sent_bytes: u64,
    /// When something was delivered last, milliseconds since the Unix epoch.
    pub(crate) last_success_ms: Option<u64>,
    /// Why the last attempt failed, if it did.
    pub(crate) last_error: Option<String>,
    /// As the queue was when it was looked at last.
    pub(crate) queue: Option<QueueReading>,
}

/// How a queue was when it was looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueueReading {
    pub(crate) waiting: u64,
    pub(crate) buried: u64,
    /// When the oldest event was queued, milliseconds since the Unix epoch.
    pub(crate) oldest_ms: Option<u64>,
}

/// Reports on one target.
#[derive(Debug)]
pub(crate) struct Report {
    instruments: Instruments,
    target: String,
    standing: Mutex<Standing>,
}

impl Report {
    pub(crate) fn new(instruments: Instruments, target: String) -> Self {
        Self {
            instruments,
            target,
            standing: Mutex::default(),
        }
    }

    pub(crate) fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What became of an event.
    pub(crate) fn event(&self, delivery: Delivery) {
        self.events(delivery, 1);
    }

    /// The same for many.
    pub(crate) fn events(&self, delivery: Delivery, count: u64) {
        match delivery {
            Delivery::Delivered | Delivery::Superseded => self.standing().delivered += count,
            Delivery::Retried => self.standing().retried += count,
            Delivery::Buried | Delivery::LeftToRepair | Delivery::Trimmed => {}
        }
        let instruments = &self.instruments;
        instruments.replication_events(&self.target, delivery, count);
    }

    /// What came of comparing.
    pub(crate) fn repaired(&self, repair: Repair) {
        self.instruments.repair(&self.target, repair);
    }

    /// Content was sent.
    pub(crate) fn sent(&self, bytes: u64) {
        self.standing().sent_bytes += bytes;
        self.instruments.replication_sent(&self.target, bytes);
    }
}
