//! One build of an application, as a client uploads it.

mod assets;
mod document;

use std::{borrow::Cow, fmt};

use assets::AssetTable;
pub use document::SnapshotDocument;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::{ApplicationUid, AssetRef, InvalidDocument, SnapshotId, error::excerpt};

/// Most assets in one snapshot.
pub const MAX_ASSETS: usize = 100_000;
/// Name of the file with remotes and environment variables that clients add to a build.
pub const MANIFEST_FILE: &str = "zephyr-manifest.json";

/// How a build is meant to be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SnapshotKind {
    /// In the browser.
    #[default]
    ClientRendered,
    /// On a server: files stand under `server/` and `client/`.
    ServerRendered,
}

/// Who made a snapshot and from what; for people who list versions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Build {
    /// The version as the client calls it, e.g. `1.4.0-ada.1795246541`.
    pub version: Option<Box<str>>,
    /// Name of the person or account that deployed.
    pub creator: Option<Box<str>>,
    /// Commit that was built.
    pub commit: Option<Box<str>>,
    /// Branch that was built.
    pub branch: Option<Box<str>>,
}

/// One build of an application: which paths it has and which bytes stand there.
#[derive(Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Whose build it is.
    pub application_uid: ApplicationUid,
    /// Its own name.
    pub snapshot_id: SnapshotId,
    /// URL of the edge as the client was given it. Data from outside: never fetched.
    pub domain: Option<Box<str>>,
    /// When it was built, milliseconds since the Unix epoch; 0 where the client did not say.
    pub created_at_ms: u64,
    /// How it is meant to be run.
    pub kind: SnapshotKind,
    /// What it was built for, e.g. `web`, `ios`, `tap-app`.
    pub target: Option<Box<str>>,
    /// Who made it.
    pub build: Build,
    assets: AssetTable,
    manifest: Option<Box<str>>,
}

impl Snapshot {
    /// The asset at a path, which has no leading slash.
    pub fn asset(&self, path: &str) -> Option<AssetRef> {
        self.find(path).map(|(_, asset)| asset)
    }

    /// The asset at a path, and its index: less than [`asset_count`](Self::asset_count), of no other asset, and the same
    /// for as long as this snapshot and its clones live. Another reading of the same build may number otherwise.
    pub fn find(&self, path: &str) -> Option<(usize, AssetRef)> {
        self.find_joined([path, "", ""])
    }

    /// The same for a path that is these texts, one after the other.
    pub fn find_joined(&self, path: [&str; 3]) -> Option<(usize, AssetRef)> {
        self.assets.find(path)
    }

    /// The asset of an index, with its path.
    pub fn asset_at(&self, index: usize) -> Option<(&str, AssetRef)> {
        self.assets.at(index)
    }

    /// How many assets there are.
    pub fn asset_count(&self) -> usize {
        self.assets.len()
    }

    /// All assets with their paths, in the order of their indices.
    pub fn assets(&self) -> impl ExactSizeIterator<Item = (&str, AssetRef)> {
        self.assets.iter()
    }

    /// Where the build's `zephyr-manifest.json` stands.
    pub fn manifest_path(&self) -> Option<&str> {
        self.manifest.as_deref()
    }

    /// The directory that the build was made for, with a trailing slash, e.g. `shop/`: where its manifest stands, when
    /// that is not the root. Clients put it before most paths, but not before all.
    pub fn base(&self) -> Option<&str> {
        self.manifest
            .as_deref()?
            .strip_suffix(MANIFEST_FILE)
            .filter(|base| !base.is_empty())
    }

    /// Whether paths and bytes are sealed by the client, so that nothing may be rewritten.
    pub fn is_sealed(&self) -> bool {
        self.target.as_deref() == Some("tap-app")
    }

    /// How many bytes of memory this takes, without what allocators add to it: for caches that are bounded by size.
    pub fn memory_bytes(&self) -> usize {
        let Build {
            version,
            creator,
            commit,
            branch,
        } = &self.build;
        let texts = [
            &self.domain,
            &self.target,
            &self.manifest,
            version,
            creator,
            commit,
            branch,
        ];
        let texts = texts.into_iter().flatten().map(|text| text.len());
        let ids = self.application_uid.as_str().len() + self.snapshot_id.as_str().len();
        size_of::<Self>() + self.assets.heap_bytes() + ids + texts.sum::<usize>()
    }

    fn from_raw(raw: RawSnapshot<'_>) -> Result<Self, InvalidDocument> {
        let application_uid: ApplicationUid = raw
            .application_uid
            .parse()
            .map_err(|problem| InvalidDocument::field("application_uid", problem))?;
        let snapshot_id: SnapshotId = raw
            .snapshot_id
            .parse()
            .map_err(|problem| InvalidDocument::field("snapshot_id", problem))?;
        if !snapshot_id.belongs_to(&application_uid) {
            return Err(InvalidDocument::field(
                "snapshot_id",
                format!(
                    "`{}` does not end in `.{application_uid}`, the application it is uploaded for",
                    excerpt(snapshot_id.as_str())
                ),
            ));
        }
        let manifest = raw
            .assets
            .iter()
            .map(|(path, _)| path)
            .filter(|path| {
                path.strip_suffix(MANIFEST_FILE)
                    .is_some_and(|base| base.is_empty() || base.ends_with('/'))
            })
            .min_by_key(|path| (path.len(), *path))
            .map(Box::from);
        let owned = |text: Option<Cow<'_, str>>| text.map(|text| Box::from(&*text));
        let git = raw.git.unwrap_or_default();
        Ok(Self {
            application_uid,
            snapshot_id,
            domain: owned(raw.domain),
            // The client sends whole milliseconds; a fraction carries nothing.
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "saturates"
            )]
            created_at_ms: raw.created_at.map_or(0, |ms| ms as u64),
            kind: match raw.kind.as_deref() {
                Some("ssr") => SnapshotKind::ServerRendered,
                _ => SnapshotKind::ClientRendered,
            },
            target: owned(raw.target),
            build: Build {
                version: owned(raw.version),
                creator: owned(raw.creator.and_then(|creator| creator.name)),
                commit: owned(git.commit),
                branch: owned(git.branch),
            },
            assets: raw.assets,
            manifest,
        })
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("snapshot_id", &self.snapshot_id)
            .field("assets", &self.assets.len())
            .finish_non_exhaustive()
    }
}

/// The fields that we read; all others are skipped without being looked at.
#[derive(Deserialize)]
pub(crate) struct RawSnapshot<'a> {
    #[serde(borrow)]
    application_uid: Cow<'a, str>,
    #[serde(borrow)]
    snapshot_id: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "lenient")]
    domain: Option<Cow<'a, str>>,
    #[serde(default, rename = "createdAt", deserialize_with = "lenient")]
    created_at: Option<f64>,
    #[serde(borrow, default, rename = "type", deserialize_with = "lenient")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "lenient")]
    target: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "lenient")]
    version: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "lenient")]
    git: Option<RawGit<'a>>,
    #[serde(borrow, default, deserialize_with = "lenient")]
    creator: Option<RawCreator<'a>>,
    assets: AssetTable,
    /// `Some` also when it is `null`.
    #[serde(borrow, default, deserialize_with = "present")]
    pub(crate) favonius: Option<&'a RawValue>,
}

impl<'a> RawSnapshot<'a> {
    pub(crate) fn read(json: &'a [u8]) -> Result<Self, InvalidDocument> {
        Ok(match str::from_utf8(json) {
            // Checked once as a whole, which is much less work than for each text in it.
            Ok(text) => serde_json::from_str(text)?,
            // What is wrong may be in a field that is not read.
            Err(_) => serde_json::from_slice(json)?,
        })
    }

    pub(crate) fn into_snapshot(self) -> Result<Snapshot, InvalidDocument> {
        Snapshot::from_raw(self)
    }
}

/// Text that is borrowed from the JSON where it can be: in an `Option`, or as a key, a `Cow` is always a copy.
#[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Deserialize, Default)]
struct RawGit<'a> {
    #[serde(borrow, default)]
    commit: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    branch: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct RawCreator<'a> {
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
}

/// A descriptive field of another type than expected is as good as absent: it must not fail a deployment.
fn lenient<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    // Read from its text, and so without a copy of what may be megabytes of something else.
    let raw = <&RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str(raw.get()).ok())
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    pub(super) fn document(
        change: impl FnOnce(&mut serde_json::Value),
    ) -> Result<SnapshotDocument, String> {
        let mut value = json!({
            "application_uid": "shop.web.acme",
            "snapshot_id": "alice-42.shop.web.acme",
            "domain": "http://ze.example.com",
            "createdAt": 1_795_246_552_409_u64,
            "assets": {
                "index.html": {"path": "index.html", "extname": ".html", "hash": "ab".repeat(32), "size": 438},
            },
        });
        change(&mut value);
        SnapshotDocument::parse(value.to_string().into_bytes())
            .map_err(|problem| problem.to_string())
    }

    #[test]
    fn what_is_always_there_is_enough() {
        let document = document(|_| {}).unwrap();
        let snapshot = document.snapshot();
        assert_eq!(snapshot.created_at_ms, 1_795_246_552_409);
        assert_eq!(snapshot.asset("index.html").unwrap().size, 438);
        assert_eq!(snapshot.kind, SnapshotKind::ClientRendered);
        assert_eq!(snapshot.base(), None);
    }

    #[test]
    fn descriptive_fields_may_have_any_form() {
        for value in [
            json!(null),
            json!(1),
            json!([1]),
            json!({"name": 1}),
            json!("x"),
        ] {
            for field in [
                "git",
                "creator",
                "version",
                "target",
                "type",
                "createdAt",
                "domain",
                "mfConfig",
                "uid",
            ] {
                document(|d| d[field] = value.clone())
                    .unwrap_or_else(|e| panic!("{field} = {value}: {e}"));
            }
        }
    }

    #[test]
    fn refused_documents_say_why() {
        type Change = fn(&mut serde_json::Value);
        let cases: [(&str, Change, &str); 11] = [
            (
                "no uid",
                |d| drop(d.as_object_mut().unwrap().remove("application_uid")),
                "application_uid",
            ),
            (
                "bad uid",
                |d| d["application_uid"] = json!("*"),
                "app.project.org",
            ),
            (
                "foreign id",
                |d| d["snapshot_id"] = json!("a-1.other.web.acme"),
                "does not end in",
            ),
            (
                "assets as a list",
                |d| d["assets"] = json!([]),
                "an object of assets",
            ),
            (
                "climbing path",
                |d| d["assets"] = json!({"../x": {"hash": "ab".repeat(32), "size": 1}}),
                "`..`",
            ),
            (
                "short hash",
                |d| d["assets"] = json!({"x": {"hash": "ab", "size": 1}}),
                "64 lower-case",
            ),
            (
                "negative size",
                |d| d["assets"] = json!({"x": {"hash": "ab".repeat(32), "size": -1}}),
                "-1",
            ),
            (
                "no size",
                |d| d["assets"] = json!({"x": {"hash": "ab".repeat(32)}}),
                "size",
            ),
            (
                "one path twice",
                |d| {
                    d["assets"] = json!({
                        "x": {"hash": "ab".repeat(32), "size": 1}, "/x": {"hash": "ab".repeat(32), "size": 2},
                    });
                },
                "twice",
            ),
            (
                "our own field",
                |d| d["favonius"] = json!({}),
                "added by publishing",
            ),
            (
                "our own field, without a value",
                |d| d["favonius"] = json!(null),
                "added by publishing",
            ),
        ];
        for (name, change, expected) in cases {
            let problem = document(change).expect_err(name);
            assert!(problem.contains(expected), "case `{name}`: {problem}");
        }
    }

    #[test]
    fn the_base_is_where_the_manifest_is() {
        let entry = json!({"hash": "ab".repeat(32), "size": 1});
        let cases: [(&str, &[&str], Option<&str>); 4] = [
            (
                "root",
                &["zephyr-manifest.json", "a/zephyr-manifest.json"],
                None,
            ),
            (
                "below",
                &["shop/zephyr-manifest.json", "shop/a.js"],
                Some("shop/"),
            ),
            ("none", &["index.html"], None),
            ("only alike", &["not-zephyr-manifest.json"], None),
        ];
        for (name, paths, expected) in cases {
            let found = document(|d| {
                d["assets"] = paths
                    .iter()
                    .map(|path| ((*path).to_owned(), entry.clone()))
                    .collect();
            })
            .unwrap();
            assert_eq!(found.snapshot().base(), expected, "case `{name}`");
        }
    }

    #[test]
    fn a_descriptive_field_is_read_where_it_has_its_form() {
        let found = document(|d| {
            d["git"] = json!({"branch": "m\u{e4}in", "more": [1]});
            d["creator"] = json!({"name": "Ada"});
        })
        .unwrap();
        let build = &found.snapshot().build;
        assert_eq!(build.branch.as_deref(), Some("m\u{e4}in"));
        assert_eq!(build.creator.as_deref(), Some("Ada"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_or_refused_without_panic(bytes: Vec<u8>) {
            drop(SnapshotDocument::parse(bytes));
        }
    }
}
