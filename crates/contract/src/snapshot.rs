//! One build of an application, as a client uploads it.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    fmt,
};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::{
    ApplicationUid, AssetHash, AssetPath, AssetRef, InvalidDocument, RECORD_FIELD, SnapshotId,
    error::excerpt,
};

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
    assets: HashMap<Box<str>, AssetRef>,
    manifest: Option<Box<str>>,
}

impl Snapshot {
    /// The asset at a path, which has no leading slash.
    pub fn asset(&self, path: &str) -> Option<AssetRef> {
        self.assets.get(path).copied()
    }

    /// All assets by path, in no order.
    pub fn assets(&self) -> impl ExactSizeIterator<Item = (&str, AssetRef)> {
        self.assets.iter().map(|(path, asset)| (&**path, *asset))
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

    /// About how many bytes of memory this takes, for caches that are bounded by size.
    pub fn memory_bytes(&self) -> usize {
        let paths: usize = self.assets.keys().map(|path| path.len()).sum();
        size_of::<Self>() + paths + self.assets.capacity() * (size_of::<(Box<str>, AssetRef)>() + 1)
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
            .0
            .keys()
            .filter(|path| path.rsplit('/').next() == Some(MANIFEST_FILE))
            .min_by_key(|path| (path.len(), path.as_ref().to_owned()))
            .cloned();
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
            assets: raw.assets.0,
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

/// A snapshot together with its JSON as it was uploaded, byte for byte, so that fields which we do not know survive.
#[derive(Clone, PartialEq, Eq)]
pub struct SnapshotDocument {
    json: Vec<u8>,
    snapshot: Snapshot,
}

impl SnapshotDocument {
    /// Reads an uploaded snapshot.
    pub fn parse(json: Vec<u8>) -> Result<Self, InvalidDocument> {
        let raw = RawSnapshot::read(&json)?;
        if raw.favonius.is_some() {
            return Err(InvalidDocument::field(
                RECORD_FIELD,
                "is added by publishing and cannot be uploaded: remove the field",
            ));
        }
        let snapshot = Snapshot::from_raw(raw)?;
        Ok(Self { json, snapshot })
    }

    /// What it says.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Its bytes as they were uploaded.
    pub fn json(&self) -> &[u8] {
        &self.json
    }

    /// What it says, without the bytes.
    pub fn into_snapshot(self) -> Snapshot {
        self.snapshot
    }

    /// Whether this is the same build as the other: equal but for the edge that the client was sent to, and for the
    /// order of fields and assets. Values are compared as they are written.
    pub fn same_build(&self, other: &Self) -> bool {
        let written_alike = || {
            let mut ours = Fields::read(&self.json)?;
            let mut theirs = Fields::read(&other.json)?;
            let assets = [ours.0.remove("assets")?, theirs.0.remove("assets")?];
            ours.0.remove("domain");
            theirs.0.remove("domain");
            let [our_assets, their_assets] = assets.map(|text| Fields::read(text.as_bytes()));
            Some(ours == theirs && our_assets? == their_assets?)
        };
        self.json == other.json
            || (self.snapshot.assets == other.snapshot.assets && written_alike().unwrap_or(false))
    }
}

impl fmt::Debug for SnapshotDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SnapshotDocument")
            .field("bytes", &self.json.len())
            .field("snapshot", &self.snapshot)
            .finish()
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
    assets: RawAssets,
    /// `Some` also when it is `null`.
    #[serde(borrow, default, deserialize_with = "present")]
    pub(crate) favonius: Option<&'a RawValue>,
}

impl<'a> RawSnapshot<'a> {
    pub(crate) fn read(json: &'a [u8]) -> Result<Self, InvalidDocument> {
        Ok(serde_json::from_slice(json)?)
    }

    pub(crate) fn into_snapshot(self) -> Result<Snapshot, InvalidDocument> {
        Snapshot::from_raw(self)
    }
}

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

/// The fields of an object, each as it is written.
#[derive(PartialEq, Eq)]
struct Fields<'a>(BTreeMap<Cow<'a, str>, &'a str>);

impl<'a> Fields<'a> {
    /// `None` also where there are more than a snapshot can have assets.
    fn read(json: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Fields<'de>, M::Error> {
                let mut fields = BTreeMap::new();
                while let Some((key, value)) = map.next_entry::<Cow<'de, str>, &RawValue>()? {
                    fields.insert(key, value.get());
                    if fields.len() > MAX_ASSETS {
                        return Err(M::Error::custom("too many fields"));
                    }
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(Entries)
    }
}

/// The `assets` object, checked while it is read.
struct RawAssets(HashMap<Box<str>, AssetRef>);

#[derive(Deserialize)]
struct RawEntry<'a> {
    #[serde(borrow, default)]
    path: Option<Cow<'a, str>>,
    #[serde(borrow)]
    hash: Cow<'a, str>,
    size: u64,
}

impl<'de> Deserialize<'de> for RawAssets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = RawAssets;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of assets by path")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<RawAssets, M::Error> {
                let mut assets = HashMap::new();
                while let Some(key) = map.next_key::<Cow<'de, str>>()? {
                    let entry: RawEntry<'de> = map.next_value()?;
                    if assets.len() == MAX_ASSETS {
                        return Err(M::Error::custom(format_args!(
                            "more than {MAX_ASSETS} assets in one snapshot"
                        )));
                    }
                    let path = entry.path.as_ref().unwrap_or(&key);
                    let path = AssetPath::check(path).map_err(M::Error::custom)?;
                    let hash: AssetHash = entry.hash.parse().map_err(|problem| {
                        M::Error::custom(format_args!("assets[{:?}]: {problem}", excerpt(&key)))
                    })?;
                    let asset = AssetRef {
                        hash,
                        size: entry.size,
                    };
                    if let Some(other) = assets.insert(Box::from(path), asset)
                        && other != asset
                    {
                        return Err(M::Error::custom(format_args!(
                            "assets[{:?}]: the path is listed twice with different content",
                            excerpt(&key)
                        )));
                    }
                }
                assets.shrink_to_fit();
                Ok(RawAssets(assets))
            }
        }

        deserializer.deserialize_map(Entries)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn document(change: impl FnOnce(&mut serde_json::Value)) -> Result<SnapshotDocument, String> {
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
    fn the_bytes_are_kept_as_they_came() {
        let json = br#"{ "x":1.0e2,"application_uid":"a.b.c","snapshot_id":"u-1.a.b.c","assets":{},"mfConfig":[{"y":"\u00e9"}] }"#;
        let document = SnapshotDocument::parse(json.to_vec()).unwrap();
        assert_eq!(document.json(), json);
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
    fn no_more_than_the_most_assets() {
        let build = |n: usize| {
            document(|d| {
                let entry = json!({"hash": "ab".repeat(32), "size": 1});
                d["assets"] = (0..n).map(|i| (format!("{i}.js"), entry.clone())).collect();
            })
        };
        assert!(build(MAX_ASSETS).is_ok());
        assert!(build(MAX_ASSETS + 1).unwrap_err().contains("100000 assets"));
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
    fn the_same_build_for_another_edge() {
        let first = document(|_| {}).unwrap();
        let edge = document(|d| d["domain"] = json!("https://other.example.com")).unwrap();
        let other = document(|d| d["createdAt"] = json!(5)).unwrap();
        assert!(first.same_build(&edge));
        assert!(!first.same_build(&other));
    }

    #[test]
    fn the_same_build_in_another_order() {
        let parse = |text: String| SnapshotDocument::parse(text.into_bytes()).unwrap();
        let ids = r#""application_uid":"a.b.c","snapshot_id":"u-1.a.b.c""#;
        let asset = |path: &str, more: &str| {
            format!(
                r#""{path}":{{"hash":"{}","size":1{more}}}"#,
                "ab".repeat(32)
            )
        };
        let (x, y) = (asset("x", ""), asset("y", ""));
        let first = parse(format!(r#"{{{ids},"git":{{}},"assets":{{{x},{y}}}}}"#));
        let other_extension = asset("y", r#","extname":".js""#);
        let cases = [
            (
                "other order",
                format!(r#"{{"assets":{{{y},{x}}},{ids},"domain":"d","git":{{}}}}"#),
                true,
            ),
            (
                "spaced out",
                format!(r#"{{ {ids}, "git" : {{}}, "assets" : {{ {x}, {y} }} }}"#),
                true,
            ),
            (
                "one field less",
                format!(r#"{{{ids},"assets":{{{x},{y}}}}}"#),
                false,
            ),
            (
                "another value",
                format!(r#"{{{ids},"git":{{"branch":"b"}},"assets":{{{x},{y}}}}}"#),
                false,
            ),
            (
                "one asset less",
                format!(r#"{{{ids},"git":{{}},"assets":{{{x}}}}}"#),
                false,
            ),
            (
                "an asset says more",
                format!(r#"{{{ids},"git":{{}},"assets":{{{x},{other_extension}}}}}"#),
                false,
            ),
        ];
        for (name, text, expected) in cases {
            assert_eq!(first.same_build(&parse(text)), expected, "case `{name}`");
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

        #[test]
        fn any_path_is_taken_or_refused(path: String) {
            let found = document(|d| {
                d["assets"] = [(path.clone(), json!({"hash": "ab".repeat(32), "size": 1}))].into_iter().collect();
            });
            prop_assert_eq!(found.is_ok(), AssetPath::check(&path).is_ok());
        }
    }
}
