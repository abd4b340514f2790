//! The assets of a snapshot, found by path or by number.
//!
//! 1. An asset's number is its place among the assets that were read. It never changes, so others may keep what they know
//!    about an asset in a table of their own, at the same place.
//! 2. Paths come from uploaders, who must not be able to choose many that fall together: the hash is keyed, anew for each
//!    table.
//! 3. All paths stand in one block: a build of thousands of files takes a handful of allocations, and less memory than
//!    its JSON.

use std::{
    borrow::Cow,
    fmt,
    hash::{BuildHasher as _, Hasher as _, RandomState},
};

use hashbrown::HashTable;
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, Visitor},
};

use super::{MAX_ASSETS, Text};
use crate::{AssetHash, AssetPath, AssetRef, MAX_ASSET_PATH, error::excerpt};

// A place among all paths is a `u32`.
const _: () = assert!(MAX_ASSETS * MAX_ASSET_PATH <= u32::MAX as usize);

#[derive(Clone)]
struct Entry {
    asset: AssetRef,
    /// Where the path stands among all of them.
    start: u32,
    end: u32,
}

impl Entry {
    fn path<'p>(&self, paths: &'p str) -> Option<&'p str> {
        paths.get(self.start as usize..self.end as usize)
    }
}

/// Assets by path and by number.
#[derive(Clone, Default)]
pub(super) struct AssetTable {
    paths: String,
    entries: Vec<Entry>,
    /// The numbers, by the hash of the path.
    numbers: HashTable<u32>,
    hasher: RandomState,
}

impl AssetTable {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The asset whose path is these texts, one after the other.
    pub(super) fn find(&self, path: [&str; 3]) -> Option<(usize, AssetRef)> {
        let is_it = |number: &u32| {
            // Most places in a path are empty, and need not be compared.
            let mut parts = path.iter().filter(|part| !part.is_empty());
            let path = self.path(*number as usize);
            let rest =
                path.and_then(|path| parts.try_fold(path, |rest, part| rest.strip_prefix(part)));
            rest.is_some_and(str::is_empty)
        };
        let hash = hash(&self.hasher, path);
        let index = *self.numbers.find(hash, is_it)? as usize;
        Some((index, self.entries.get(index)?.asset))
    }

    pub(super) fn at(&self, index: usize) -> Option<(&str, AssetRef)> {
        let entry = self.entries.get(index)?;
        Some((entry.path(&self.paths)?, entry.asset))
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = (&str, AssetRef)> {
        self.entries.iter().map(|entry| {
            let path = entry.path(&self.paths);
            (
                path.expect("an entry's path is one that was added"),
                entry.asset,
            )
        })
    }

    /// The memory that it holds beside its own fields.
    pub(super) fn heap_bytes(&self) -> usize {
        self.paths.capacity()
            + self.entries.capacity() * size_of::<Entry>()
            + self.numbers.allocation_size()
    }

    fn path(&self, index: usize) -> Option<&str> {
        self.entries.get(index)?.path(&self.paths)
    }

    /// Adds an asset, or gives the one that has the path already.
    fn add(&mut self, path: &str, asset: AssetRef) -> Result<(), AssetRef> {
        if let Some((_, held)) = self.find([path, "", ""]) {
            return Err(held);
        }
        let at = |place: usize| u32::try_from(place).expect("as many paths as a snapshot may have");
        let number = at(self.entries.len());
        let start = at(self.paths.len());
        self.paths.push_str(path);
        let end = at(self.paths.len());
        self.entries.push(Entry { asset, start, end });
        let (entries, paths, hasher) = (&self.entries, &self.paths, &self.hasher);
        let hash_of = |path| hash(hasher, [path, "", ""]);
        self.numbers.insert_unique(hash_of(path), number, |number| {
            let entry = entries.get(*number as usize);
            let path = entry.and_then(|entry| entry.path(paths));
            hash_of(path.unwrap_or_default())
        });
        Ok(())
    }
}

/// Of texts one after the other, however they are divided: the hash takes in bytes one by one. `Hasher` does not promise that of all,
/// which is why a test holds it.
fn hash(hasher: &RandomState, path: [&str; 3]) -> u64 {
    let mut hasher = hasher.build_hasher();
    for part in path {
        hasher.write(part.as_bytes());
    }
    hasher.finish()
}

/// The order of assets does not matter.
impl PartialEq for AssetTable {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len()
            && self.iter().all(|(path, asset)| {
                other
                    .find([path, "", ""])
                    .is_some_and(|(_, their_asset)| their_asset == asset)
            })
    }
}

impl Eq for AssetTable {}

#[derive(Deserialize)]
struct RawEntry<'a> {
    #[serde(borrow, default)]
    path: Option<Text<'a>>,
    #[serde(borrow)]
    hash: Cow<'a, str>,
    size: u64,
}

/// Reads the `assets` object of a snapshot, and checks it on the way.
impl<'de> Deserialize<'de> for AssetTable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = AssetTable;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of assets by path")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<AssetTable, M::Error> {
                let mut assets = AssetTable::default();
                while let Some(Text(key)) = map.next_key()? {
                    let entry: RawEntry<'de> = map.next_value()?;
                    if assets.len() == MAX_ASSETS {
                        return Err(M::Error::custom(format_args!(
                            "more than {MAX_ASSETS} assets in one snapshot"
                        )));
                    }
                    let path = entry.path.as_ref().map_or(&key, |Text(path)| path);
                    let path = AssetPath::check(path).map_err(M::Error::custom)?;
                    let hash: AssetHash = entry.hash.parse().map_err(|problem| {
                        M::Error::custom(format_args!("assets[{:?}]: {problem}", excerpt(&key)))
                    })?;
                    let asset = AssetRef {
                        hash,
                        size: entry.size,
                    };
                    if let Err(other) = assets.add(path, asset)
                        && other != asset
                    {
                        return Err(M::Error::custom(format_args!(
                            "assets[{:?}]: the path is listed twice with different content",
                            excerpt(&key)
                        )));
                    }
                }
                assets.paths.shrink_to_fit();
                assets.entries.shrink_to_fit();
                Ok(assets)
            }
        }

        deserializer.deserialize_map(Entries)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::{Snapshot, SnapshotDocument, snapshot::tests::document};

    /// A build of files as bundlers name them.
    fn build(files: usize) -> SnapshotDocument {
        let assets = (0..files).map(|n| {
            let path = format!("assets/chunk-{n:08x}.js");
            let hash = AssetHash::of(b"", &path);
            let entry = json!({"path": path, "extname": ".js", "hash": hash, "size": n});
            (path, entry)
        });
        document(|d| d["assets"] = assets.collect()).unwrap()
    }

    #[test]
    fn each_asset_has_a_number_of_its_own() {
        let found = build(5000);
        let snapshot = found.snapshot();
        assert_eq!(snapshot.asset_count(), 5000);
        assert_eq!(snapshot.assets().len(), 5000);
        for (index, (path, asset)) in snapshot.assets().enumerate() {
            assert_eq!(asset.hash, AssetHash::of(b"", path));
            assert_eq!(snapshot.find(path), Some((index, asset)));
            assert_eq!(snapshot.asset(path), Some(asset));
            assert_eq!(snapshot.asset_at(index), Some((path, asset)));
        }
        let paths: HashSet<_> = snapshot.assets().map(|(path, _)| path).collect();
        assert_eq!(paths.len(), 5000);
        assert_eq!(snapshot.asset_at(5000), None);
        for absent in [
            "",
            "assets",
            "assets/chunk-00001388.js",
            "/assets/chunk-00000000.js",
        ] {
            assert_eq!(snapshot.find(absent), None, "{absent}");
        }
        let none = build(0);
        assert_eq!(none.snapshot().find(""), None);
        assert_eq!(none.snapshot().asset_at(0), None);
    }

    #[test]
    fn the_order_of_assets_makes_no_other_snapshot() {
        type Case<'c> = (&'c str, &'c [(&'c str, u64)], bool);
        let snapshot = |assets: &[(&str, u64)]| {
            let hash = "ab".repeat(32);
            let entry = |(path, size): &(&str, u64)| {
                format!(r#""{path}":{{"hash":"{hash}","size":{size}}}"#)
            };
            let assets: Vec<_> = assets.iter().map(entry).collect();
            let json = format!(
                r#"{{"application_uid":"a.b.c","snapshot_id":"u-1.a.b.c","assets":{{{}}}}}"#,
                assets.join(",")
            );
            SnapshotDocument::parse(json.into_bytes())
                .unwrap()
                .into_snapshot()
        };
        let first = snapshot(&[("x", 1), ("y", 2)]);
        let cases: [Case<'_>; 6] = [
            ("same", &[("x", 1), ("y", 2)], true),
            ("other order", &[("y", 2), ("x", 1)], true),
            ("one of them twice", &[("y", 2), ("x", 1), ("/y", 2)], true),
            ("one less", &[("x", 1)], false),
            ("another path", &[("x", 1), ("z", 2)], false),
            ("another size", &[("x", 1), ("y", 3)], false),
        ];
        for (name, assets, expected) in cases {
            let other: Snapshot = snapshot(assets);
            assert_eq!(first == other, expected, "case `{name}`");
            assert_eq!(
                other == first,
                expected,
                "case `{name}`, from the other side"
            );
        }
    }

    #[test]
    fn it_takes_less_memory_than_its_json_and_says_how_much() {
        let many = build(10_000);
        let claimed = many.snapshot().memory_bytes();
        assert!(claimed <= many.json().len(), "{claimed}");
        // What cannot be less: a path, a hash, a size and where the path stands, and 8 numbers for 7 in use.
        let path = "assets/chunk-00000000.js".len();
        let least = 10_000 * (path + 32 + 8 + 8 + 5 * 8 / 7);
        assert!(claimed >= least, "{claimed} < {least}");
        // A table has room for up to twice as many numbers, and nothing else has room to spare.
        let most = 10_000 * (path + 32 + 8 + 8 + 2 * (5 * 8 / 7)) + 1024;
        assert!(claimed <= most, "{claimed} > {most}");

        let text = "x".repeat(1000);
        let more = |d: &mut serde_json::Value| {
            for field in ["domain", "target", "version"] {
                d[field] = json!(text);
            }
            d["git"] = json!({"commit": text, "branch": text});
            d["creator"] = json!({"name": text});
            let manifest = format!("{text}/zephyr-manifest.json");
            d["assets"] = json!({manifest: {"hash": "ab".repeat(32), "size": 1}});
        };
        let texts = document(more).unwrap();
        let claimed = texts.snapshot().memory_bytes();
        // The path of the manifest is kept twice.
        assert!((8000..9000).contains(&claimed), "{claimed}");
    }

    #[test]
    fn no_more_than_the_most_assets() {
        let of_size = |n: usize| {
            document(|d| {
                let entry = json!({"hash": "ab".repeat(32), "size": 1});
                d["assets"] = (0..n).map(|i| (format!("{i}.js"), entry.clone())).collect();
            })
        };
        assert!(of_size(MAX_ASSETS).is_ok());
        assert!(
            of_size(MAX_ASSETS + 1)
                .unwrap_err()
                .contains("100000 assets")
        );
    }

    proptest! {
        #[test]
        fn a_path_is_found_however_it_is_divided(path in "[a-z/é.]{1,20}", first: prop::sample::Index, second: prop::sample::Index) {
            let found = document(|d| {
                let entry = json!({"hash": "ab".repeat(32), "size": 1});
                d["assets"] = [(path.clone(), entry)].into_iter().collect();
            });
            prop_assume!(found.is_ok());
            let snapshot = found.unwrap().into_snapshot();
            let (stands, _) = snapshot.asset_at(0).unwrap();
            let ends: Vec<_> = stands.char_indices().map(|(at, _)| at).chain([stands.len()]).collect();
            let (mut from, mut to) = (*first.get(&ends), *second.get(&ends));
            if from > to {
                (from, to) = (to, from);
            }
            let (start, rest) = stands.split_at(from);
            let (middle, end) = rest.split_at(to - from);
            prop_assert!(snapshot.find_joined([start, middle, end]).is_some());
            prop_assert!(snapshot.find_joined([stands, "", "x"]).is_none());
            prop_assert_eq!(snapshot.find_joined([start, middle, ""]).is_some(), end.is_empty());
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
