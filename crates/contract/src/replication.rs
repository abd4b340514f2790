//! What regions tell each other of their deployments.
//!
//! A [`RegionEvent`] names what one commit changed; the bytes are asked for apart. What a name answers with is ordered by
//! the time of its publish or removal and then by the replica that took it, so that all regions end on the same whatever
//! the order in which they are told.

use std::{borrow::Cow, collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    ApplicationUid, AssetRef, DeploymentName, HistoryEntry, Invalid, SnapshotId, error::excerpt,
};

/// What one commit changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegionEvent {
    /// Snapshots that were stored.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub snapshots: Vec<SnapshotId>,
    /// Names that changed: all of them together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<NameRecord>,
    /// It was found by comparing regions and not told when it happened: it must not replace what somebody wrote by hand.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub repair: bool,
}

/// A name, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameRecord {
    /// The name.
    pub name: DeploymentName,
    /// What became of it.
    #[serde(flatten)]
    pub state: NameState,
}

/// What became of a name last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NameState {
    /// It answers with a snapshot.
    Published(HistoryEntry),
    /// It was removed.
    Removed(Removal),
}

/// The removal of a name. It is remembered for 30 days, so that nothing older brings the name back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removal {
    /// Whose name it was.
    pub application_uid: ApplicationUid,
    /// When it was removed, milliseconds since the Unix epoch; comparable to the times of publishes.
    pub published_at: u64,
    /// Name of the replica that took the removal.
    #[serde(default)]
    pub replica: String,
}

impl NameState {
    /// What decides which of two states of a name is the newer: the time, then the replica.
    pub fn order(&self) -> (u64, &str) {
        match self {
            Self::Published(entry) => (entry.publication.published_at, &entry.publication.replica),
            Self::Removed(removal) => (removal.published_at, &removal.replica),
        }
    }

    /// Whether this one replaces the other, wherever and in whatever order they arrive.
    pub fn is_newer_than(&self, other: &Self) -> bool {
        self.order() > other.order()
    }
}

/// A region that is sent to, by its URL without a slash at its end.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TargetRegion(String);

/// Longest URL of a region, in bytes.
const MAX_TARGET: usize = 2048;

impl TargetRegion {
    /// The URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TargetRegion {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let text = text.trim_end_matches('/');
        let is_plain = |c: char| c.is_ascii_graphic();
        if text.is_empty() || text.len() > MAX_TARGET || !text.chars().all(is_plain) {
            return Err(Invalid::new(
                "region",
                format!("`{}` is no URL of a region", excerpt(text)),
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for TargetRegion {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<TargetRegion> for String {
    fn from(target: TargetRegion) -> Self {
        target.0
    }
}

impl fmt::Display for TargetRegion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An asset of an application, and under which path a snapshot or a manifest lists it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OwnedAsset {
    /// Whose it is.
    pub application_uid: ApplicationUid,
    /// Which bytes.
    #[serde(flatten)]
    pub asset: AssetRef,
}

/// Asks a region what it lacks (`POST /upload?type=lacking`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LackingRequest {
    /// Snapshots that are to be sent.
    #[serde(default)]
    pub snapshots: Vec<SnapshotId>,
    /// Their [digests](crate::SnapshotDocument::build_digest): the region refuses those under whose id it has another build.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub builds: BTreeMap<SnapshotId, String>,
    /// Assets that are to be sent. An application is taken to own those that the region has already.
    #[serde(default)]
    pub assets: Vec<OwnedAsset>,
}

/// What a region lacks, of what it was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lacking {
    /// Snapshots.
    #[serde(default)]
    pub snapshots: Vec<SnapshotId>,
    /// Assets.
    #[serde(default)]
    pub assets: Vec<OwnedAsset>,
}

impl Lacking {
    /// Whether it lacks nothing.
    pub fn is_empty(&self) -> bool {
        self.snapshots.is_empty() && self.assets.is_empty()
    }
}

/// Names as they stand in the region that sends (`POST /upload?type=names`): all of them change, or none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamesRequest {
    /// The names, at least one.
    pub names: Vec<NameRecord>,
    /// See [`RegionEvent::repair`].
    #[serde(default)]
    pub repair: bool,
}

/// What became of each name of a [`NamesRequest`], in its order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamesAnswer {
    /// One for each name.
    pub outcomes: Vec<NameOutcome>,
}

/// What became of a name that another region told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NameOutcome {
    /// It is so now.
    Applied,
    /// A newer state, or the same, stands.
    Older,
    /// Somebody wrote it by hand, which repair leaves alone.
    ByHand,
}

/// Asks a region for an asset (`POST /upload?type=fetch`), which the answer's body is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchRequest {
    /// What, and whose.
    #[serde(flatten)]
    pub asset: OwnedAsset,
}

/// Asks a region for digests of what it has (`POST /upload?type=digest`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DigestRequest {
    /// Whether everything is as in the region that asks, whose digest this is: if not, the digest of each bucket.
    All(String),
    /// What is in these buckets.
    Buckets(Vec<u16>),
}

/// What a region says of its digests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DigestAnswer {
    /// The regions have the same.
    Equal,
    /// The digest of each bucket, by its number.
    Digests(Vec<String>),
    /// What is in the buckets that were asked for.
    Content(BucketContent),
}

/// What is in some buckets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketContent {
    /// Snapshots.
    #[serde(default)]
    pub snapshots: Vec<SnapshotId>,
    /// Names, and what became of each last.
    #[serde(default)]
    pub names: Vec<NameRecord>,
}

/// The paths by which a client may have hashed an asset that a snapshot lists under this one: itself, and what is left of it
/// when a base path is taken away from its front; each with backslashes, too, as clients on Windows have it.
pub fn hashed_paths(listed: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let starts = std::iter::once(0).chain(listed.match_indices('/').map(|(at, _)| at + 1));
    starts
        .filter_map(|start| listed.get(start..).filter(|rest| !rest.is_empty()))
        .flat_map(|path| {
            let backslashed = path.contains('/').then(|| path.replace('/', "\\").into());
            std::iter::once(path.into()).chain(backslashed)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Publication;

    fn published(at: u64, replica: &str) -> NameState {
        NameState::Published(HistoryEntry {
            snapshot_id: "ada-1.a.b.c".parse().unwrap(),
            publication: Publication {
                application_uid: "a.b.c".parse().unwrap(),
                published_at: at,
                replica: replica.into(),
                manifest: None,
                version: false,
            },
        })
    }

    #[test]
    fn an_event_is_this_json() {
        let removal = Removal {
            application_uid: "a.b.c".parse().unwrap(),
            published_at: 8,
            replica: "us".into(),
        };
        let event = RegionEvent {
            snapshots: vec!["ada-1.a.b.c".parse().unwrap()],
            names: vec![
                NameRecord {
                    name: "www.test".parse().unwrap(),
                    state: published(7, "eu"),
                },
                NameRecord {
                    name: "old.test".parse().unwrap(),
                    state: NameState::Removed(removal),
                },
            ],
            repair: false,
        };
        let json = r#"{"snapshots":["ada-1.a.b.c"],"names":[{"name":"www.test","published":{"snapshot_id":"ada-1.a.b.c","application_uid":"a.b.c","published_at":7,"replica":"eu"}},{"name":"old.test","removed":{"application_uid":"a.b.c","published_at":8,"replica":"us"}}]}"#;
        assert_eq!(serde_json::to_string(&event).unwrap(), json);
        assert_eq!(serde_json::from_str::<RegionEvent>(json).unwrap(), event);
        assert_eq!(
            serde_json::from_str::<RegionEvent>("{}").unwrap(),
            RegionEvent::default()
        );
    }

    #[test]
    fn the_newer_state_is_the_same_from_both_sides() {
        let removed = NameState::Removed(Removal {
            application_uid: "a.b.c".parse().unwrap(),
            published_at: 7,
            replica: "us".into(),
        });
        let cases = [
            (published(8, "a"), published(7, "z")),
            (published(7, "us"), published(7, "eu")),
            (removed.clone(), published(7, "eu")),
            (published(8, ""), removed),
        ];
        for (newer, older) in cases {
            assert!(newer.is_newer_than(&older), "{newer:?}");
            assert!(!older.is_newer_than(&newer), "{newer:?}");
            assert!(!newer.is_newer_than(&newer), "{newer:?}");
        }
    }

    #[test]
    fn regions_are_the_same_with_and_without_a_slash() {
        let with: TargetRegion = "https://eu.test/".parse().unwrap();
        assert_eq!(with, "https://eu.test".parse().unwrap());
        for text in ["", "/", "https://eu test"] {
            text.parse::<TargetRegion>().expect_err(text);
        }
    }

    #[test]
    fn paths_lose_what_stands_before_them() {
        let paths: Vec<_> = hashed_paths("shop/assets/x.js").collect();
        let expected = [
            "shop/assets/x.js",
            r"shop\assets\x.js",
            "assets/x.js",
            r"assets\x.js",
            "x.js",
        ];
        assert_eq!(paths, expected);
    }
}
