//! A snapshot and the bytes that it was read from.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, Visitor},
};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use super::{MAX_ASSETS, RawSnapshot, Snapshot, Text};
use crate::{InvalidDocument, RECORD_FIELD};

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
            let assets = [ours.remove("assets")?, theirs.remove("assets")?];
            ours.remove("domain");
            theirs.remove("domain");
            let [our_assets, their_assets] = assets.map(|text| Fields::read(text.as_bytes()));
            Some(ours == theirs && our_assets? == their_assets?)
        };
        self.json == other.json
            || (self.snapshot.assets == other.snapshot.assets && written_alike().unwrap_or(false))
    }

    /// What tells builds apart without their documents: the same for two that are the [same build](Self::same_build).
    pub fn build_digest(&self) -> String {
        let mut hasher = Sha256::new();
        let mut add = |text: &[u8]| {
            hasher.update((text.len() as u64).to_be_bytes());
            hasher.update(text);
        };
        let mut add_all = |fields: Fields<'_>| {
            for (name, value) in fields.0 {
                add(name.0.as_bytes());
                add(value.as_bytes());
            }
        };
        let parts = || {
            let mut fields = Fields::read(&self.json)?;
            fields.remove("domain");
            let assets = fields.remove("assets")?;
            Some((fields, Fields::read(assets.as_bytes())?))
        };
        match parts() {
            Some((fields, assets)) => {
                add_all(fields);
                add_all(assets);
            }
            None => add(&self.json),
        }
        hex::encode(hasher.finalize())
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

/// The fields of an object, each as it is written.
#[derive(PartialEq, Eq)]
struct Fields<'a>(BTreeMap<Text<'a>, &'a str>);

impl<'a> Fields<'a> {
    /// `None` also where there are more than a snapshot can have assets.
    fn read(json: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }

    fn remove(&mut self, name: &'static str) -> Option<&'a str> {
        self.0.remove(&Text(name.into()))
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
                while let Some((key, value)) = map.next_entry::<Text<'de>, &RawValue>()? {
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::snapshot::tests::document;

    #[test]
    fn the_bytes_are_kept_as_they_came() {
        let json = br#"{ "x":1.0e2,"application_uid":"a.b.c","snapshot_id":"u-1.a.b.c","assets":{},"mfConfig":[{"y":"\u00e9"}] }"#;
        let document = SnapshotDocument::parse(json.to_vec()).unwrap();
        assert_eq!(document.json(), json);
    }

    #[test]
    fn what_is_not_read_need_not_be_text() {
        let with = |more: &[u8]| {
            let start =
                r#"{"application_uid":"a.b.c","snapshot_id":"u-1.a.b.c","assets":{},"#.to_owned();
            let json = [start.as_bytes(), more, b"}"].concat();
            SnapshotDocument::parse(json)
        };
        with(b"\"odd\":\"\xff\"").unwrap();
        with(b"\"domain\":\"\xff\"").unwrap_err();
    }

    #[test]
    fn the_same_build_for_another_edge() {
        let first = document(|_| {}).unwrap();
        let edge = document(|d| d["domain"] = json!("https://other.example.com")).unwrap();
        let other = document(|d| d["createdAt"] = json!(5)).unwrap();
        assert!(first.same_build(&edge));
        assert!(!first.same_build(&other));
        assert_eq!(first.build_digest(), edge.build_digest());
        assert_ne!(first.build_digest(), other.build_digest());
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
}
