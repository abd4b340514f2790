//! Making names answer with a snapshot: `POST /upload?type=envs` and `POST /publish`.

use std::collections::HashSet;

use favonius_contract::{AssetRef, PublishRequest, PublishTarget, Snapshot};
use favonius_storage::{Change, Order, Publish};
use http::{HeaderMap, Response, StatusCode};
use serde_json::{Value, json};

use super::{Incoming, answer, authenticate, manifest::Manifests};
use crate::{body::EdgeBody, edge::Shared, failure::Failure};

/// How many missing files a refusal names.
const NAMED: usize = 100;

/// Publishes to all names of the request, or to none.
pub(super) async fn publish(
    edge: &Shared,
    headers: &HeaderMap,
    body: &mut Incoming<'_>,
) -> Result<Response<EdgeBody>, Failure> {
    let token = authenticate(edge, headers)?;
    let limit = edge.options.snapshot_max_bytes;
    let _room = edge.room_for_document(body.length_within(limit)?).await;
    let request = PublishRequest::parse(&body.whole(limit).await?)?;
    token.may_write(&request.application_uid)?;
    let id = &request.snapshot_id;
    if !id.belongs_to(&request.application_uid) {
        return Err(Failure::new(
            StatusCode::FORBIDDEN,
            "forbidden",
            format!(
                "Snapshot {id} is not one of application {}",
                request.application_uid
            ),
        ));
    }
    let document =
        edge.records.snapshot(id).await?.ok_or_else(|| {
            Failure::from(favonius_storage::Rejection::SnapshotUnknown(id.clone()))
        })?;
    let snapshot = document.snapshot();
    refuse_if_incomplete(edge, snapshot).await?;
    let mut manifests = Manifests::new(edge, snapshot);
    let mut changes = Vec::with_capacity(request.targets.len());
    for target in &request.targets {
        let manifest = manifests.of(target).await?;
        changes.push(Change::Published(Publish {
            name: target.name.clone(),
            application: request.application_uid.clone(),
            snapshot_id: id.clone(),
            order: Order::Local {
                now_ms: edge.clock.now_ms(),
                replica: edge.options.replica.clone(),
            },
            manifest,
            version: false,
            takeover: token.may_take_over(),
        }));
    }
    edge.records.commit(changes).await?;
    for target in &request.targets {
        edge.deployments.changed(&target.name);
    }
    tracing::info!(
        snapshot_id = id.as_str(),
        names = request.targets.len(),
        user = token.username.as_deref().unwrap_or_default(),
        "Published"
    );
    let urls: Vec<&str> = request
        .targets
        .iter()
        .filter(|target| target.is_hostname)
        .map(asked)
        .collect();
    Ok(answer(
        StatusCode::OK,
        &json!({"message": "published", "urls": urls}),
    ))
}

fn asked(target: &PublishTarget) -> &str {
    &target.asked
}

/// A live hostname never names a file that is not there.
async fn refuse_if_incomplete(edge: &Shared, snapshot: &Snapshot) -> Result<(), Failure> {
    let missing = missing_paths(edge, snapshot, NAMED).await?;
    if missing.is_empty() {
        return Ok(());
    }
    // The store lost them, or they never came. Either way the application must upload them again, and its next build
    // only does when they are not listed as known.
    let application = &snapshot.application_uid;
    let lost = missing.iter().map(|(_, asset)| Change::AssetLost {
        application: application.clone(),
        asset: *asset,
    });
    edge.records.commit(lost.collect()).await?;
    let paths: Vec<Value> = missing.iter().map(|(path, _)| json!(path)).collect();
    let first = missing.first().map_or("", |(path, _)| *path);
    Err(Failure::new(
        StatusCode::CONFLICT,
        "assets_missing",
        format!(
            "Nothing was published: {}{} files of snapshot {} are not on this edge, first {first}. Deploy again",
            if missing.len() == NAMED { "at least " } else { "" },
            missing.len(),
            snapshot.snapshot_id,
        ),
    )
    .with("missing", Value::Array(paths)))
}

/// The paths of a snapshot whose assets the store lacks, in alphabetical order, at most `limit`.
pub(super) async fn missing_paths<'s>(
    edge: &Shared,
    snapshot: &'s Snapshot,
    limit: usize,
) -> Result<Vec<(&'s str, AssetRef)>, Failure> {
    let wanted: HashSet<AssetRef> = snapshot.assets().map(|(_, asset)| asset).collect();
    let missing: HashSet<AssetRef> = edge
        .assets
        .missing(wanted, limit)
        .await?
        .into_iter()
        .collect();
    let mut paths: Vec<_> = snapshot
        .assets()
        .filter(|(_, asset)| missing.contains(asset))
        .collect();
    paths.sort_unstable_by_key(|(path, _)| *path);
    paths.truncate(limit);
    Ok(paths)
}
