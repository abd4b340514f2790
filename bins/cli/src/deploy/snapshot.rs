//! The snapshot of a build, in the form in which the published clients send it.

use std::path::Path;

use favonius_contract::{ApplicationUid, EdgeHost, SnapshotId};
use serde_json::{Map, Value, json};

use crate::files::Build;

/// What a snapshot says besides its files.
pub(super) struct Facts<'a> {
    pub(super) application: &'a ApplicationUid,
    pub(super) id: &'a SnapshotId,
    pub(super) user: &'a str,
    pub(super) build: &'a str,
    pub(super) domain: &'a EdgeHost,
    pub(super) commit: Option<&'a str>,
    pub(super) branch: Option<&'a str>,
    pub(super) created_at_ms: u64,
}

/// The document, the same byte for byte for the same facts and files.
pub(super) fn document(facts: &Facts<'_>, build: &Build) -> Vec<u8> {
    let assets: Map<String, Value> = build
        .files()
        .iter()
        .map(|file| {
            let entry = json!({
                "path": file.path,
                "extname": extension(&file.path),
                "hash": file.asset.hash,
                "size": file.asset.size,
            });
            (file.path.clone(), entry)
        })
        .collect();
    let mut parts = facts.application.as_str().split('.');
    let mut part = || parts.next().unwrap_or_default();
    let mut document = json!({
        "application_uid": facts.application,
        "snapshot_id": facts.id,
        "domain": facts.domain.origin(),
        "createdAt": facts.created_at_ms,
        "uid": {"build": facts.build, "app_name": part(), "repo": part(), "org": part()},
        "creator": {"name": facts.user},
        "target": "web",
        "type": "csr",
        "builder": "favonius",
        "plugin_version": env!("CARGO_PKG_VERSION"),
        "assets": assets,
    });
    let mut git = Map::new();
    for (name, value) in [("commit", facts.commit), ("branch", facts.branch)] {
        git.extend(value.map(|value| (name.to_owned(), json!(value))));
    }
    if let Some(fields) = document.as_object_mut() {
        if !git.is_empty() {
            fields.insert("git".to_owned(), Value::Object(git));
        }
        if build.has_index() {
            fields.insert("entrypoint".to_owned(), json!("index.html"));
        }
    }
    document.to_string().into_bytes()
}

/// The extension with its dot, as clients have it: nothing for `.htaccess`.
fn extension(path: &str) -> String {
    let extension = Path::new(path)
        .extension()
        .and_then(|extension| extension.to_str());
    extension.map_or_else(String::new, |extension| format!(".{extension}"))
}

#[cfg(test)]
mod tests {
    use favonius_contract::SnapshotDocument;

    use super::*;

    #[test]
    fn extensions() {
        for (path, expected) in [
            ("index.html", ".html"),
            ("a.b/archive.tar.gz", ".gz"),
            (".well-known/apple-app-site-association", ""),
            (".htaccess", ""),
            ("a.b/c", ""),
        ] {
            assert_eq!(extension(path), expected, "{path}");
        }
    }

    #[tokio::test]
    async fn an_edge_can_read_it() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("index.html"), "hi").unwrap();
        std::fs::write(dir.path().join("empty.txt"), "").unwrap();
        let build = Build::read(dir.path()).await.unwrap();
        let (application, id) = (
            "shop.web.acme".parse().unwrap(),
            "ada-7.shop.web.acme".parse().unwrap(),
        );
        let facts = Facts {
            application: &application,
            id: &id,
            user: "ada",
            build: "7",
            domain: &"http://localhost:8080".parse().unwrap(),
            commit: Some("4a6e9c58"),
            branch: None,
            created_at_ms: 1_795_246_552_409,
        };
        let document = document(&facts, &build);
        let parsed = SnapshotDocument::parse(document.clone()).unwrap();
        let snapshot = parsed.snapshot();
        assert_eq!(snapshot.snapshot_id, id);
        assert_eq!(snapshot.domain.as_deref(), Some("http://localhost:8080"));
        assert_eq!(snapshot.created_at_ms, 1_795_246_552_409);
        assert_eq!(snapshot.build.creator.as_deref(), Some("ada"));
        assert_eq!(snapshot.build.commit.as_deref(), Some("4a6e9c58"));
        for file in build.files() {
            assert_eq!(
                snapshot.asset(&file.path),
                Some(file.asset),
                "{}",
                file.path
            );
        }
        let value: Value = serde_json::from_slice(&document).unwrap();
        assert_eq!(value["uid"]["repo"], "web");
        assert_eq!(value["assets"]["empty.txt"]["extname"], ".txt");
        assert_eq!(value["git"], json!({"commit": "4a6e9c58"}));
    }
}
