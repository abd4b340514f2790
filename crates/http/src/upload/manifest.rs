//! The `zephyr-manifest.json` of a name: environment variables differ from name to name, the build does not.

use std::collections::HashMap;

use bytes::{Bytes, BytesMut};
use favonius_contract::{AssetRef, MANIFEST_FILE, PublishTarget, Snapshot};
use futures::TryStreamExt;
use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::{edge::Shared, failure::Failure};

/// Largest manifest of a build that variables are laid over, in bytes.
const LARGEST: u64 = 1024 * 1024;

/// Makes the manifests of one publish.
pub(super) struct Manifests<'a> {
    edge: &'a Shared,
    snapshot: &'a Snapshot,
    /// The build's own manifest, once it was read.
    own: Option<Map<String, Value>>,
    /// What was stored so far: many names may have the same.
    stored: HashMap<String, AssetRef>,
}

impl<'a> Manifests<'a> {
    pub(super) fn new(edge: &'a Shared, snapshot: &'a Snapshot) -> Self {
        Self {
            edge,
            snapshot,
            own: None,
            stored: HashMap::new(),
        }
    }

    /// Stores the manifest of a name; `None` where it is the build's own.
    pub(super) async fn of(&mut self, target: &PublishTarget) -> Result<Option<AssetRef>, Failure> {
        if target.manifest.is_none() && target.variables.is_none() {
            return Ok(None);
        }
        let mut manifest = match &target.manifest {
            Some(given) => given.clone(),
            None => self.own().await?,
        };
        if let Some(variables) = &target.variables {
            let all = manifest.entry("zeVars").or_insert_with(|| json!({}));
            if !all.is_object() {
                *all = json!({});
            }
            if let Value::Object(all) = all {
                all.extend(variables.clone());
            }
        }
        let json = Value::Object(manifest).to_string();
        if let Some(asset) = self.stored.get(&json) {
            return Ok(Some(*asset));
        }
        let asset = self
            .edge
            .assets
            .put_own(Bytes::from(json.clone()), MANIFEST_FILE)
            .await?;
        self.stored.insert(json, asset);
        Ok(Some(asset))
    }

    async fn own(&mut self) -> Result<Map<String, Value>, Failure> {
        if let Some(own) = &self.own {
            return Ok(own.clone());
        }
        let own = self.read().await?;
        self.own = Some(own.clone());
        Ok(own)
    }

    async fn read(&self) -> Result<Map<String, Value>, Failure> {
        let asset = self
            .snapshot
            .manifest_path()
            .and_then(|path| self.snapshot.asset(path));
        let Some(asset) = asset else {
            // A build without a manifest reads no variables of its own; what the publish gives is all there is.
            return Ok(Map::new());
        };
        let unusable = |why: &str| {
            Failure::new(
                StatusCode::CONFLICT,
                "manifest_unusable",
                format!(
                    "The {MANIFEST_FILE} of snapshot {} {why}: variables cannot be laid over it",
                    self.snapshot.snapshot_id
                ),
            )
        };
        if asset.size > LARGEST {
            return Err(unusable("is larger than 1 MiB"));
        }
        let body = self
            .edge
            .assets
            .open(asset, None)
            .await?
            .ok_or_else(|| unusable("is missing"))?;
        let bytes = body
            .bytes
            .try_fold(BytesMut::new(), async |mut all, piece| {
                all.extend_from_slice(&piece);
                Ok(all)
            })
            .await?;
        serde_json::from_slice(&bytes).map_err(|_| unusable("is not a JSON object"))
    }
}
