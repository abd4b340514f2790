//! Carries deployments to other regions, and takes them from there.
//!
//! 1. What was committed reaches every target: it is in the outbox of [`ReplicatedRecords`], which any process of the region
//!    empties. A target that does not answer is tried again for as long as the outbox keeps it; what it refuses for good is
//!    put aside with the reason.
//! 2. A region never takes a part of a deployment: [`Receiver`] refuses names whose files are not all there and says which
//!    ones, and they are sent first.
//! 3. The newest state of a name wins in every region, in whatever order regions are told of it. What came from another
//!    region is not sent on.
//! 4. No target waits for another one, and nobody who deploys waits for any.
//! 5. Regions that lost something find out by comparing digests, see [`Replicator::request_repair`].
//!
//! [`ReplicatedRecords`]: favonius_storage::ReplicatedRecords
//!
//! # Assumptions
//! All regions share the key that signs tokens. Clocks may differ by up to an hour: a token is made by the clock of who takes it,
//! and which publish is the newest is decided by the times that stand in them, everywhere alike.

mod ahead;
mod backoff;
mod cargo;
mod courier;
mod digest;
mod http_link;
mod link;
mod read_through;
mod receive;
mod repair;
mod replicator;
mod report;
mod sender;
mod turns;
mod upkeep;

pub use link::{IncomingBody, LinkError, OutgoingBody, RegionLink};
pub use receive::{ReceiveError, Receiver};
pub use replicator::{
    ReplicationError, ReplicationOptions, ReplicationRuntime, ReplicationStores, Replicator,
    TargetStatus,
};
