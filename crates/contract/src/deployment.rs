//! What a hostname answers with: a snapshot, and what publishing added to it.

use serde::{Deserialize, Serialize};

use crate::{
    ApplicationUid, AssetRef, InvalidDocument, Snapshot, SnapshotDocument, SnapshotId,
    snapshot::RawSnapshot,
};

/// The field that publishing appends to a snapshot's JSON to make a hostname's record.
///
/// It is the last field, so that a store can find it without parsing megabytes.
pub const RECORD_FIELD: &str = "favonius";

/// What publishing adds to a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publication {
    /// Whose name it is: only this application may publish to it again.
    pub application_uid: ApplicationUid,
    /// When it was published, milliseconds since the Unix epoch. Never decreases for a name.
    pub published_at: u64,
    /// Name of the replica that took the publish; decides between two of the same time.
    #[serde(default)]
    pub replica: String,
    /// A `zephyr-manifest.json` that this name serves instead of the build's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<AssetRef>,
    /// Whether the name stands for this one version for ever.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub version: bool,
}

impl Publication {
    /// Whether this one replaces the other, wherever and in whatever order they arrive.
    pub fn is_newer_than(&self, other: &Self) -> bool {
        (self.published_at, &self.replica) > (other.published_at, &other.replica)
    }
}

/// What a name answered with once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// Which snapshot.
    pub snapshot_id: SnapshotId,
    /// What publishing added.
    #[serde(flatten)]
    pub publication: Publication,
}

/// What a hostname or route key answers with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    /// The build.
    pub snapshot: Snapshot,
    /// What publishing added; `None` for a snapshot that somebody copied to the name by hand.
    pub publication: Option<Publication>,
}

impl Deployment {
    /// Reads a hostname's record.
    pub fn parse(record: &[u8]) -> Result<Self, InvalidDocument> {
        let raw = RawSnapshot::read(record)?;
        let publication = match raw.favonius {
            // `null` says that there is none.
            Some(field) => serde_json::from_str(field.get())?,
            None => None,
        };
        Ok(Self {
            snapshot: raw.into_snapshot()?,
            publication,
        })
    }

    /// Makes a hostname's record: the snapshot's bytes with the publication as one more field at the end.
    pub fn record(document: &SnapshotDocument, publication: &Publication) -> Vec<u8> {
        let json = document.json().trim_ascii_end();
        // A document is a JSON object with at least the fields that we ask for, so a brace ends it and a comma fits.
        let open = json.strip_suffix(b"}").unwrap_or(json);
        let mut record = Vec::with_capacity(open.len() + 256);
        record.extend_from_slice(open);
        record.extend_from_slice(b",\"");
        record.extend_from_slice(RECORD_FIELD.as_bytes());
        record.extend_from_slice(b"\":");
        record.extend_from_slice(publication.to_json().as_bytes());
        record.push(b'}');
        record
    }

    /// Whose name it is.
    pub fn owner(&self) -> &ApplicationUid {
        match &self.publication {
            Some(publication) => &publication.application_uid,
            None => &self.snapshot.application_uid,
        }
    }
}

impl Publication {
    /// Its JSON, as it stands in a record.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("plain fields and string keys always serialise")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> SnapshotDocument {
        let json = br#"{"application_uid":"a.b.c","snapshot_id":"u-1.a.b.c","assets":{},"odd":{"x":[1.50]}}
"#;
        SnapshotDocument::parse(json.to_vec()).unwrap()
    }

    fn publication() -> Publication {
        Publication {
            application_uid: "a.b.c".parse().unwrap(),
            published_at: 7,
            replica: "eu".into(),
            manifest: None,
            version: false,
        }
    }

    #[test]
    fn a_record_is_the_snapshot_and_one_more_field() {
        let record = Deployment::record(&document(), &publication());
        let text = String::from_utf8(record.clone()).unwrap();
        assert!(text.starts_with(r#"{"application_uid":"a.b.c","snapshot_id":"u-1.a.b.c","assets":{},"odd":{"x":[1.50]},"favonius":{"#), "{text}");
        let deployment = Deployment::parse(&record).unwrap();
        assert_eq!(deployment.publication, Some(publication()));
        assert_eq!(&deployment.snapshot, document().snapshot());
    }

    #[test]
    fn a_snapshot_copied_by_hand_is_a_record() {
        let deployment = Deployment::parse(document().json()).unwrap();
        assert_eq!(deployment.publication, None);
        assert_eq!(deployment.owner().as_str(), "a.b.c");
    }

    #[test]
    fn a_record_has_one_publication_at_most() {
        let with = |fields: &str| {
            let json = format!(
                r#"{{"application_uid":"a.b.c","snapshot_id":"u-1.a.b.c","assets":{{}}{fields}}}"#
            );
            Deployment::parse(json.as_bytes()).map(|deployment| deployment.publication)
        };
        let own = publication().to_json();
        assert_eq!(with(r#","favonius":null"#).unwrap(), None);
        for fields in [
            format!(r#","favonius":null,"favonius":{own}"#),
            format!(r#","favonius":{own},"favonius":{own}"#),
            r#","favonius":[]"#.to_owned(),
        ] {
            with(&fields).expect_err(&fields);
        }
    }

    #[test]
    fn the_newer_publication_is_the_same_from_both_sides() {
        let older = publication();
        let later = Publication {
            published_at: 8,
            replica: "a".into(),
            ..publication()
        };
        let same_time = Publication {
            replica: "us".into(),
            ..publication()
        };
        for (name, newer) in [("later", later), ("same time, greater name", same_time)] {
            assert!(newer.is_newer_than(&older), "case `{name}`");
            assert!(!older.is_newer_than(&newer), "case `{name}`");
        }
        assert!(!older.is_newer_than(&older.clone()));
    }
}
