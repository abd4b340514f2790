//! The language that every part of Favonius speaks: who deploys what, under which name, made of which bytes.
//!
//! Each type is checked when it is made, so that holding one means it is well formed and short enough to be part of
//! a storage key:
//!
//! 1. [`ApplicationUid`], [`SnapshotId`], [`AssetHash`], [`Hostname`], [`RouteKey`] and [`AssetPath`] are the names.
//! 2. [`Snapshot`] is one build as it was uploaded; [`SnapshotDocument`] keeps its JSON byte for byte.
//! 3. [`Publication`] is what publishing adds to a snapshot; a [`Deployment`] is both: what a hostname answers with.
//! 4. [`PublishRequest`] reads the forms in which control planes ask for a publish;
//!    a [`RemovalRequest`] takes names away again.
//! 5. [`replication`] is what regions tell each other.
//! 6. [`EdgeHost`] and [`version_labels`] say which hostname a version gets.
//!
//! No I/O, no async.

mod asset;
mod deployment;
mod error;
mod hostname;
mod ids;
mod path;
mod publish;
mod removal;
pub mod replication;
mod snapshot;
mod version_host;

pub use asset::{AssetHash, AssetHasher, AssetRef};
pub use deployment::{Deployment, HistoryEntry, Publication, RECORD_FIELD};
pub use error::{Invalid, InvalidDocument};
pub use hostname::{DeploymentName, Hostname, RouteKey};
pub use ids::{ApplicationUid, MAX_APPLICATION_UID, MAX_SNAPSHOT_ID, SnapshotId};
pub use path::{AssetPath, MAX_ASSET_PATH};
pub use publish::{EnvironmentVariables, PublishRequest, PublishTarget};
pub use removal::RemovalRequest;
pub use snapshot::{Build, MANIFEST_FILE, MAX_ASSETS, Snapshot, SnapshotDocument, SnapshotKind};
pub use version_host::{Delimiter, EdgeHost, version_labels};
