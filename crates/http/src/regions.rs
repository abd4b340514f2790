//! What an edge has to do with other regions, beside their requests.

use favonius_auth::WriteToken;
use favonius_contract::{
    ApplicationUid, AssetRef,
    replication::{NameOutcome, NameState, NamesAnswer, NamesRequest, OwnedAsset},
};
use favonius_storage::{Applied, Change, CommitError, Stored};
use favonius_telemetry::instruments::{Receipt, Received as Kind, ReplicaRejection};

use crate::{
    edge::Shared,
    failure::{Failure, INCOMPLETE},
};

impl Shared {
    /// Makes changes that came with this token. Other regions are told of them, unless it is another region that told of them.
    pub(crate) async fn commit(
        &self,
        token: &WriteToken,
        changes: Vec<Change>,
    ) -> Result<Vec<Applied>, CommitError> {
        let Some(replication) = &self.replication else {
            return self.records.commit(changes).await;
        };
        if token.replica().is_some() {
            return replication.receiver().commit(changes).await;
        }
        let is_announced = changes.iter().any(is_announced);
        let applied = self.records.commit(changes).await?;
        if is_announced {
            replication.wake();
        }
        Ok(applied)
    }

    /// Fetches an asset that is not here, or not this application's here, from other regions. Tells whether it is worth to look
    /// again. Bounded in time by what fetches.
    pub(crate) async fn read_through(
        &self,
        application: &ApplicationUid,
        asset: AssetRef,
        path: &str,
    ) -> bool {
        let Some(replication) = &self.replication else {
            return false;
        };
        if !replication.options().reads_through {
            return false;
        }
        let owned = OwnedAsset {
            application_uid: application.clone(),
            asset,
        };
        replication.fetch(&owned, path).await
    }
}

/// Whether other regions are told of a change. They ask for the bytes by themselves.
fn is_announced(change: &Change) -> bool {
    match change {
        Change::SnapshotStored(_) | Change::Published(_) | Change::Removed(_) => true,
        Change::AssetStored { .. } | Change::AssetLost { .. } => false,
    }
}

/// What came of something that another region sent.
pub(crate) enum Received<'a> {
    /// An asset of so many bytes.
    Asset(u64, Stored),
    /// A snapshot.
    Snapshot(&'a Applied),
    /// Names.
    Names(&'a NamesRequest, &'a NamesAnswer),
    /// It was refused, or could not be done.
    Refused(&'a Failure),
}

/// Takes note of what another region sent. The only place where that is told of and counted.
pub(crate) fn note_received(edge: &Shared, replica: &str, kind: Kind, received: &Received<'_>) {
    let instruments = &edge.options.reporter.instruments;
    match received {
        Received::Asset(bytes, stored) => {
            tracing::debug!(replica, bytes, stored = ?stored, "Received an asset");
            let receipt = match stored {
                Stored::New => Receipt::Applied,
                Stored::Known => Receipt::Known,
            };
            edge.received.count(instruments, kind, receipt);
        }
        Received::Snapshot(applied) => {
            tracing::debug!(replica, applied = ?applied, "Received a snapshot");
            let receipt = match applied {
                Applied::Done => Receipt::Applied,
                Applied::Unchanged | Applied::Superseded | Applied::ByHand => Receipt::Known,
            };
            edge.received.count(instruments, kind, receipt);
        }
        Received::Names(request, answer) => names_received(edge, replica, request, answer),
        // Whoever sent that need not be a region: it is counted as a token that was not taken.
        Received::Refused(failure) if failure.refusal.is_some() => {}
        Received::Refused(failure) => {
            tracing::debug!(replica, error.type = failure.error, "Refused what a region sent");
            let receipt = match failure.status {
                _ if failure.error == INCOMPLETE => Receipt::Incomplete,
                status if status.is_server_error() => Receipt::Failed,
                _ => Receipt::Refused,
            };
            if receipt == Receipt::Refused {
                edge.received.refused(failure.error);
            }
            edge.received.count(instruments, kind, receipt);
        }
    }
}

fn names_received(edge: &Shared, replica: &str, request: &NamesRequest, answer: &NamesAnswer) {
    let count = |outcome| {
        let outcomes = answer.outcomes.iter();
        outcomes.filter(|one| **one == outcome).count()
    };
    tracing::info!(
        replica,
        applied = count(NameOutcome::Applied),
        older = count(NameOutcome::Older),
        by_hand = count(NameOutcome::ByHand),
        "Received names"
    );
    let instruments = &edge.options.reporter.instruments;
    for (record, outcome) in request.names.iter().zip(&answer.outcomes) {
        let kind = match record.state {
            NameState::Published(_) => Kind::Name,
            NameState::Removed(_) => Kind::Removal,
        };
        let receipt = match outcome {
            NameOutcome::Applied => Receipt::Applied,
            NameOutcome::Older => Receipt::Older,
            NameOutcome::ByHand => Receipt::ByHand,
        };
        edge.received.count(instruments, kind, receipt);
    }
}

/// Counts a request with the token of a replica that was not taken.
pub(crate) fn note_rejected<T>(edge: &Shared, by_region: bool, answered: &Result<T, Failure>) {
    let refusal = answered.as_ref().err().and_then(|failure| failure.refusal);
    if let Some(rejection) = refusal.and_then(|reason| rejection(reason, by_region)) {
        let instruments = &edge.options.reporter.instruments;
        edge.received.reject(instruments, rejection);
    }
}

/// Why the token of a replica was refused, by the fixed name of the reason. `None` when it need not have been a replica's: `by_region`
/// tells whether only replicas ask for such a thing.
fn rejection(reason: &str, by_region: bool) -> Option<ReplicaRejection> {
    Some(match reason {
        "not_bound" => ReplicaRejection::NotBound,
        "lifetime" => ReplicaRejection::Lifetime,
        "foreign" => ReplicaRejection::Foreign,
        "own_replica" => ReplicaRejection::OwnReplica,
        "replayed" => ReplicaRejection::Replayed,
        _ if !by_region => return None,
        "malformed" | "too_long" | "critical_extension" | "bad_one_time" => {
            ReplicaRejection::Malformed
        }
        "bad_signature" | "wrong_algorithm" => ReplicaRejection::Signature,
        "expired" | "not_yet_valid" => ReplicaRejection::Expired,
        _ => ReplicaRejection::Other,
    })
}

#[cfg(test)]
mod tests {
    use favonius_auth::Unauthenticated;

    use super::*;

    #[test]
    fn reasons_are_told_apart() {
        let cases = [
            (
                Unauthenticated::Replayed,
                false,
                Some(ReplicaRejection::Replayed),
            ),
            (
                Unauthenticated::Foreign,
                true,
                Some(ReplicaRejection::Foreign),
            ),
            (
                Unauthenticated::Lifetime,
                false,
                Some(ReplicaRejection::Lifetime),
            ),
            (
                Unauthenticated::OwnReplica,
                false,
                Some(ReplicaRejection::OwnReplica),
            ),
            (
                Unauthenticated::NotBound,
                false,
                Some(ReplicaRejection::NotBound),
            ),
            (
                Unauthenticated::Signature,
                true,
                Some(ReplicaRejection::Signature),
            ),
            (
                Unauthenticated::Expired,
                true,
                Some(ReplicaRejection::Expired),
            ),
            (
                Unauthenticated::Missing,
                true,
                Some(ReplicaRejection::Other),
            ),
            // It may be anybody's.
            (Unauthenticated::Signature, false, None),
            (Unauthenticated::Expired, false, None),
        ];
        for (reason, by_region, expected) in cases {
            assert_eq!(
                rejection(reason.as_str(), by_region),
                expected,
                "{reason:?}"
            );
        }
    }
}
