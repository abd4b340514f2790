//! What the benches share: see the files beside this one, and README.md for how to run them.

use favonius_contract::AssetHash;
use serde_json::{Map, Value, json};

/// The application that all benches deploy.
pub const APPLICATION: &str = "shop.web.acme";
/// The time that all benches believe in, milliseconds since the Unix epoch.
pub const NOW_MS: u64 = 1_795_246_552_409;

/// A snapshot of these files as a client uploads it.
pub fn snapshot<'f>(build: &str, files: impl IntoIterator<Item = (&'f str, &'f [u8])>) -> Vec<u8> {
    let assets: Map<String, Value> = files
        .into_iter()
        .map(|(path, content)| {
            let hash = AssetHash::of(content, path);
            let extension = path.rfind('.').and_then(|dot| path.get(dot..));
            let extension = extension.unwrap_or_default();
            let entry =
                json!({"path": path, "extname": extension, "hash": hash, "size": content.len()});
            (path.to_owned(), entry)
        })
        .collect();
    let snapshot = json!({
        "application_uid": APPLICATION,
        "snapshot_id": format!("ada-{build}.{APPLICATION}"),
        "version": format!("1.4.0-ada.{build}"),
        "domain": "https://edge.test",
        "createdAt": NOW_MS,
        "creator": {"name": "ada", "email": "ada@example.com"},
        "git": {"name": "Ada", "branch": "main", "commit": "4a6e9c58", "tags": []},
        "type": "csr",
        "assets": assets,
    });
    snapshot.to_string().into_bytes()
}
