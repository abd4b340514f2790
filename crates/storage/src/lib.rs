//! Where deployments are kept: bytes in [`Assets`], records in a [`RecordStore`].
//!
//! Rules that hold for every back end, checked by the `conformance` suite:
//!
//! 1. [`RecordStore::commit`] is atomic: all of its changes are seen, or none, by every reader.
//! 2. Absence is `Ok(None)`. `Err` means that the store could not tell. Only absence may be remembered or shown as
//!    "not found".
//! 3. What was stored first under an identity never changes: assets are verified before they become visible, and a
//!    snapshot's bytes are final. Only where assets were not verified ([`HashCheck`]) may the right bytes replace others.
//! 4. For one name the newest publish or removal wins, whatever the order of arrival.
//!
//! # Assumptions
//! All workers of a region share one bucket and one record store. Objects are never written to the bucket by others
//! under our keys with other bytes.

mod assets;
mod clock;
mod derived;
mod embedded;
mod error;
mod record;
mod replicated;
mod upload;
mod upload_memory;

#[cfg(feature = "conformance")]
pub mod conformance;

pub use assets::{AssetBody, AssetKey, Assets};
pub use clock::Clock;
pub use derived::{Coding, DerivedBody};
pub use embedded::{EmbeddedRecords, embedded_assets};
pub use error::{ErrorKind, StorageError, object_error_kind};
pub use favonius_contract::HistoryEntry;
pub use record::{
    Applied, Change, ChangeEvent, CommitError, HISTORY_LIMIT, Order, Publish, RecordStore,
    Rejection, Remove, VersionEntry,
};
pub use replicated::{
    CLAIMED_AFTER, DeadLetter, EventId, QueueState, QueuedEvent, REMOVALS_KEPT, ReplicatedRecords,
    StateEntry,
};
pub use upload::{Claim, HashCheck, PutError, Stored};
