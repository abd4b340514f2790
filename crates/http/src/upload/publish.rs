//! Making names answer with a snapshot: `POST /upload?type=envs` and `POST /publish`.

use std::collections::HashSet;

use favonius_auth::WriteToken;
use favonius_contract::{AssetRef, PublishRequest, PublishTarget, Snapshot};
use favonius_storage::{Change, Order, Publish, Rejection};
use http::{Response, StatusCode, request::Parts};
use serde_json::{Value, json};

use super::{Incoming, answer, in_time, manifest::Manifests, sender::Sender};
use crate::{body::Payload, edge::Shared, failure::Failure};

/// How many missing files a refusal names.
const NAMED: usize = 100;
/// How many lost files are forgotten in one commit.
const LOST_AT_ONCE: usize = 1000;
/// Each name has a copy of its snapshot; this is how many bytes one publish may write.
const MOST_WRITTEN: u64 = 512 * 1024 * 1024;

/// Publishes to all names of the request, or to none.
pub(super) async fn publish(
    edge: &Shared,
    request: &Parts,
    body: &mut Incoming<'_>,
) -> Result<Response<Payload>, Failure> {
    let sender = Sender::of(edge, request)?;
    let body = sender.document(body).await?;
    let token = sender.token;
    let request = PublishRequest::parse(&body.json)?;
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
    in_time(commit(edge, &token, &request)).await?;
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

/// Makes all names of the request answer with its snapshot.
async fn commit(
    edge: &Shared,
    token: &WriteToken,
    request: &PublishRequest,
) -> Result<(), Failure> {
    let id = &request.snapshot_id;
    let document = edge.records.snapshot(id).await?;
    let document = document.ok_or_else(|| Failure::from(Rejection::SnapshotUnknown(id.clone())))?;
    let written = (document.json().len() as u64).saturating_mul(request.targets.len() as u64);
    if written > MOST_WRITTEN {
        return Err(Failure::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_large",
            "The snapshot is too large to be published to so many names at once: publish to fewer",
        )
        .with("limit", json!(MOST_WRITTEN)));
    }
    let snapshot = document.snapshot();
    refuse_if_incomplete(edge, snapshot).await?;
    let mut manifests = Manifests::new(edge, snapshot);
    let mut changes = Vec::with_capacity(request.targets.len());
    for target in &request.targets {
        let manifest = manifests.of(target).await?;
        // It is the application's like what it uploads: other regions may ask for it.
        changes.extend(manifest.map(|asset| Change::AssetStored {
            application: request.application_uid.clone(),
            asset,
        }));
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
    edge.commit(token, changes).await?;
    Ok(())
}

fn asked(target: &PublishTarget) -> &str {
    &target.asked
}

/// A live hostname never names a file that is not there.
async fn refuse_if_incomplete(edge: &Shared, snapshot: &Snapshot) -> Result<(), Failure> {
    let missing = missing_paths(edge, snapshot).await?;
    if missing.is_empty() {
        return Ok(());
    }
    // The store lost them, or they never came. Either way the application must upload them again, and its next build
    // only does when they are not listed as known.
    let application = &snapshot.application_uid;
    let lost: Vec<Change> = missing
        .iter()
        .map(|(_, asset)| Change::AssetLost {
            application: application.clone(),
            asset: *asset,
        })
        .collect();
    for some in lost.chunks(LOST_AT_ONCE) {
        edge.records.commit(some.to_vec()).await?;
    }
    let paths: Vec<Value> = missing
        .iter()
        .take(NAMED)
        .map(|(path, _)| json!(path))
        .collect();
    let first = missing.first().map_or("", |(path, _)| *path);
    Err(Failure::new(
        StatusCode::CONFLICT,
        "assets_missing",
        format!(
            "Nothing was published: {} files of snapshot {} are not on this edge, first {first}. Deploy again",
            missing.len(),
            snapshot.snapshot_id,
        ),
    )
    .with("missing", Value::Array(paths)))
}

/// The paths of a snapshot whose assets the store lacks, or that the application has not uploaded, in alphabetical order.
pub(super) async fn missing_paths<'s>(
    edge: &Shared,
    snapshot: &'s Snapshot,
) -> Result<Vec<(&'s str, AssetRef)>, Failure> {
    let own = edge.records.known_assets(&snapshot.application_uid).await?;
    let own: HashSet<AssetRef> = own.into_iter().collect();
    let wanted = snapshot.assets().map(|(_, asset)| asset);
    let missing = edge.assets.lacking(wanted, &own).await?;
    let mut paths: Vec<_> = snapshot
        .assets()
        .filter(|(_, asset)| missing.contains(asset))
        .collect();
    paths.sort_unstable_by_key(|(path, _)| *path);
    Ok(paths)
}
