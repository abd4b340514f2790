//! Records that other regions are told of: the outbox, and what it takes to compare regions.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use favonius_contract::{
    SnapshotId,
    replication::{NameRecord, RegionEvent, TargetRegion},
};
use futures::stream::BoxStream;

use crate::{Applied, Change, CommitError, RecordStore, StorageError};

/// A sender that has not said for this long that it still has an event is taken for dead: others may take it.
pub const CLAIMED_AFTER: Duration = Duration::from_secs(30);
/// How long it is remembered that a name was removed.
pub const REMOVALS_KEPT: Duration = Duration::from_hours(24 * 30);

/// Records with an outbox: a queue for each region that is sent to.
///
/// 1. A store that was opened to announce appends one [`RegionEvent`] to the outbox in the same commit as the snapshots,
///    publishes and removals that it makes with [`RecordStore::commit`]: those that changed something, and no others. What
///    comes by [`commit_replicated`](Self::commit_replicated) is not announced.
/// 2. Every event is there for each target whose queue is open, and for those that are opened while it is kept, until it is
///    acknowledged or buried there.
/// 3. An event that was taken is given to nobody else, unless it is released or its taker is silent for [`CLAIMED_AFTER`].
///    It may be delivered twice, and never not at all.
#[async_trait]
pub trait ReplicatedRecords: RecordStore {
    /// Like [`RecordStore::commit`], for what another region told: it is not told to others.
    async fn commit_replicated(&self, changes: Vec<Change>) -> Result<Vec<Applied>, CommitError>;

    /// All that regions have to agree on, in no order; something may come twice.
    fn states(&self) -> BoxStream<'static, Result<StateEntry, StorageError>>;

    /// Forgets removals that were made before this time (milliseconds since the Unix epoch); tells how many.
    async fn forget_removals(&self, before_ms: u64) -> Result<u64, StorageError>;

    /// Whether this is the first use of a one-time name by any worker of the region; it is remembered for this long.
    async fn use_once(&self, name: &str, remember: Duration) -> Result<bool, StorageError>;

    /// Takes a role for a while, unless somebody else has it; who has it may take it again.
    async fn lease(
        &self,
        role: &str,
        holder: &str,
        duration: Duration,
    ) -> Result<bool, StorageError>;

    /// From now on events are kept for this target, and those that are kept for others are there for it too.
    async fn open_queue(&self, target: &TargetRegion) -> Result<(), StorageError>;

    /// Takes events for a target, oldest first: those that nobody has taken, and those whose takers are silent. Those whose
    /// content cannot be read are buried and not given.
    async fn take(
        &self,
        target: &TargetRegion,
        taker: &str,
        limit: usize,
    ) -> Result<Vec<QueuedEvent>, StorageError>;

    /// Says that the taker still has these events.
    async fn hold(
        &self,
        target: &TargetRegion,
        taker: &str,
        events: &[EventId],
    ) -> Result<(), StorageError>;

    /// Gives events back, for others to take at once.
    async fn release(
        &self,
        target: &TargetRegion,
        taker: &str,
        events: &[EventId],
    ) -> Result<(), StorageError>;

    /// The target has these events: they are done with.
    async fn acknowledge(
        &self,
        target: &TargetRegion,
        events: &[EventId],
    ) -> Result<(), StorageError>;

    /// The target will never take this event: it is put aside with the reason, among the dead letters.
    async fn bury(
        &self,
        target: &TargetRegion,
        event: &QueuedEvent,
        reason: &str,
    ) -> Result<(), StorageError>;

    /// Appends events for one target only.
    async fn enqueue(
        &self,
        target: &TargetRegion,
        events: Vec<RegionEvent>,
    ) -> Result<(), StorageError>;

    /// How a target's queue stands.
    async fn queue_state(&self, target: &TargetRegion) -> Result<QueueState, StorageError>;

    /// All targets whose queues are open, in alphabetical order.
    async fn queues(&self) -> Result<Vec<TargetRegion>, StorageError>;

    /// What was buried for a target, oldest first.
    async fn dead_letters(
        &self,
        target: &TargetRegion,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, StorageError>;

    /// Puts dead letters back into the target's queue: these, or all. Tells how many.
    async fn retry(
        &self,
        target: &TargetRegion,
        letters: Option<&[EventId]>,
    ) -> Result<u64, StorageError>;

    /// Removes events that no target needs any more, and those that were queued before this time (milliseconds since the
    /// Unix epoch) even if one does. Tells for how many events which targets will not be told of them.
    async fn trim(&self, keep_from_ms: u64) -> Result<Vec<(TargetRegion, u64)>, StorageError>;
}

/// One of the things that regions have to agree on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateEntry {
    /// A snapshot is stored.
    Snapshot(SnapshotId),
    /// What was written last for a name: not what somebody wrote there by hand.
    Name(NameRecord),
}

/// Identifies an event in a store's outbox, or a dead letter.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId(String);

impl EventId {
    /// As a store writes it.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// As the store writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An event that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedEvent {
    /// Which.
    pub id: EventId,
    /// What happened.
    pub event: RegionEvent,
    /// When it was queued, milliseconds since the Unix epoch by the store's clock.
    pub queued_at_ms: u64,
}

/// How the queue of a target stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueState {
    /// Events that are not acknowledged, taken or not.
    pub waiting: u64,
    /// When the oldest of them was queued, milliseconds since the Unix epoch by the store's clock.
    pub oldest_ms: Option<u64>,
    /// Dead letters.
    pub buried: u64,
}

/// An event that the target refused for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Identifies the letter, not the event.
    pub id: EventId,
    /// The event's JSON, whatever it is.
    pub event: String,
    /// Why it was buried.
    pub reason: String,
    /// When the event was queued, milliseconds since the Unix epoch.
    pub queued_at_ms: u64,
    /// When it was buried, milliseconds since the Unix epoch.
    pub buried_at_ms: u64,
}
