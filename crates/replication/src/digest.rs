//! Digests of what a region has, so that two regions find what differs without telling each other everything.
//!
//! Everything that regions have to agree on is in one of [`BUCKETS`] buckets, by the hash of its key. The digest of a bucket
//! is made of the hashes of all that is in it, in no order.

use std::collections::{BTreeMap, HashSet};

use favonius_contract::{
    DeploymentName, SnapshotId,
    replication::{BucketContent, NameRecord, NameState},
};
use favonius_storage::{REMOVALS_KEPT, ReplicatedRecords, StateEntry, StorageError};
use futures::TryStreamExt;
use sha2::{Digest as _, Sha256};

/// How many buckets there are.
pub(crate) const BUCKETS: u16 = 256;

/// The digests of all buckets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Digests(Vec<[u8; 32]>);

impl Digests {
    /// Of what the store has.
    pub(crate) async fn of(
        records: &dyn ReplicatedRecords,
        now_ms: u64,
    ) -> Result<Self, StorageError> {
        let mut digests = vec![[0; 32]; usize::from(BUCKETS)];
        // A store may tell of something twice.
        let mut seen: HashSet<[u8; 16]> = HashSet::new();
        let mut states = records.states();
        while let Some(entry) = states.try_next().await? {
            if is_over(&entry, now_ms) {
                continue;
            }
            let key = key_hash(&entry);
            let short = key
                .first_chunk()
                .copied()
                .expect("a hash has more than 16 bytes");
            if seen.insert(short)
                && let Some(digest) = digests.get_mut(usize::from(bucket(&key)))
            {
                let content = content_hash(&entry);
                for (byte, more) in digest.iter_mut().zip(content) {
                    *byte ^= more;
                }
            }
        }
        Ok(Self(digests))
    }

    /// One digest of all.
    pub(crate) fn all(&self) -> String {
        let mut hasher = Sha256::new();
        for digest in &self.0 {
            hasher.update(digest);
        }
        hex::encode(hasher.finalize())
    }

    /// The digest of each bucket.
    pub(crate) fn each(&self) -> Vec<String> {
        self.0.iter().map(hex::encode).collect()
    }

    /// The buckets in which others have something else.
    pub(crate) fn differing(&self, theirs: &[String]) -> Vec<u16> {
        let ours = self.each();
        (0..BUCKETS)
            .filter(|bucket| {
                let at = usize::from(*bucket);
                ours.get(at) != theirs.get(at)
            })
            .collect()
    }
}

/// What a store has in these buckets.
pub(crate) async fn content(
    records: &dyn ReplicatedRecords,
    buckets: &[u16],
    now_ms: u64,
) -> Result<BucketContent, StorageError> {
    let buckets: HashSet<u16> = buckets.iter().copied().collect();
    let mut snapshots: HashSet<SnapshotId> = HashSet::new();
    let mut names: BTreeMap<DeploymentName, NameRecord> = BTreeMap::new();
    let mut states = records.states();
    while let Some(entry) = states.try_next().await? {
        if is_over(&entry, now_ms) || !buckets.contains(&bucket(&key_hash(&entry))) {
            continue;
        }
        match entry {
            StateEntry::Snapshot(id) => drop(snapshots.insert(id)),
            StateEntry::Name(record) => drop(names.insert(record.name.clone(), record)),
        }
    }
    let mut snapshots: Vec<SnapshotId> = snapshots.into_iter().collect();
    snapshots.sort_unstable();
    Ok(BucketContent {
        snapshots,
        names: names.into_values().collect(),
    })
}

/// What of ours is newer than theirs, or not there at all.
pub(crate) fn newer(ours: BucketContent, theirs: BucketContent) -> BucketContent {
    let snapshots: HashSet<SnapshotId> = theirs.snapshots.into_iter().collect();
    let names: BTreeMap<DeploymentName, NameState> = theirs
        .names
        .into_iter()
        .map(|record| (record.name, record.state))
        .collect();
    let is_newer = |record: &NameRecord| {
        let other = names.get(&record.name);
        other.is_none_or(|other| record.state.is_newer_than(other))
    };
    BucketContent {
        snapshots: ours
            .snapshots
            .into_iter()
            .filter(|id| !snapshots.contains(id))
            .collect(),
        names: ours.names.into_iter().filter(is_newer).collect(),
    }
}

/// Whether it is a removal that need not be remembered any more: each region forgets it at a time of its own, and must not be
/// reminded by others.
fn is_over(entry: &StateEntry, now_ms: u64) -> bool {
    let kept = u64::try_from(REMOVALS_KEPT.as_millis()).unwrap_or(u64::MAX);
    match entry {
        StateEntry::Snapshot(_) => false,
        StateEntry::Name(record) => match &record.state {
            NameState::Published(_) => false,
            NameState::Removed(removal) => removal.published_at.saturating_add(kept) < now_ms,
        },
    }
}

fn bucket(key: &[u8; 32]) -> u16 {
    u16::from(key[0]) % BUCKETS
}

fn key_hash(entry: &StateEntry) -> [u8; 32] {
    match entry {
        StateEntry::Snapshot(id) => hash(["snapshot", id.as_str()]),
        StateEntry::Name(record) => hash(["name", record.name.as_str()]),
    }
}

fn content_hash(entry: &StateEntry) -> [u8; 32] {
    match entry {
        StateEntry::Snapshot(id) => hash(["snapshot", id.as_str()]),
        StateEntry::Name(NameRecord { name, state }) => {
            let (at, replica) = state.order();
            let at = at.to_string();
            let rest = match state {
                NameState::Removed(removal) => {
                    ["removed", removal.application_uid.as_str(), "", ""].map(str::to_owned)
                }
                NameState::Published(entry) => [
                    entry.snapshot_id.to_string(),
                    entry.publication.application_uid.to_string(),
                    entry
                        .publication
                        .manifest
                        .map_or(String::new(), |asset| asset.to_string()),
                    entry.publication.version.to_string(),
                ],
            };
            let first = ["name", name.as_str(), &at, replica];
            hash(first.into_iter().chain(rest.iter().map(String::as_str)))
        }
    }
}

/// A hash over texts, each with its length so that no two lists run into each other.
fn hash<'a>(texts: impl IntoIterator<Item = &'a str>) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for text in texts {
        hasher.update((text.len() as u64).to_be_bytes());
        hasher.update(text);
    }
    hasher.finalize().into()
}
