//! One build: `POST /upload?type=snapshot`.

use std::sync::Arc;

use favonius_auth::WriteToken;
use favonius_contract::{
    DeploymentName, EdgeHost, Hostname, Snapshot, SnapshotDocument, SnapshotKind,
};
use favonius_storage::{Applied, Change, CommitError, Order, Publish, Rejection};
use favonius_telemetry::instruments::Intake;
use http::{Response, StatusCode, request::Parts};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use tokio::sync::OwnedSemaphorePermit;

use super::{
    Incoming, Query, answer, in_time,
    incoming::Document,
    region,
    sender::{LARGE, Sender},
};
use crate::{body::Payload, edge::Shared, failure::Failure, upload::publish};

/// What a path segment may hold as it is (RFC 3986, section 3.3: unreserved characters).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Stores a snapshot, and gives its version a hostname of its own.
pub(super) async fn store(
    edge: &Shared,
    request: &Parts,
    query: &Query<'_>,
    body: &mut Incoming<'_>,
) -> Result<(Response<Payload>, Intake), Failure> {
    let sender = Sender::of(edge, request)?;
    let (document, _room) = parse(edge, &sender, body).await?;
    if let Some((replica, replication)) = sender.as_region() {
        return region::snapshot(edge, replica, replication, document).await;
    }
    let token = sender.token;
    token.may_write(&document.snapshot().application_uid)?;
    let document = Arc::new(document);
    let snapshot = document.snapshot();
    let skip = query
        .get("skip_assets")
        .is_some_and(|value| !matches!(value, "false" | "0"));
    let (url, intake, lacking) = in_time(async {
        let (url, intake) = record(edge, &token, &document).await?;
        let lacking = if skip {
            Vec::new()
        } else {
            lacking(edge, snapshot).await?
        };
        Ok((url, intake, lacking))
    })
    .await?;
    let message = match snapshot.kind {
        SnapshotKind::ClientRendered => "stored",
        SnapshotKind::ServerRendered => {
            "stored; this edge runs no server code: it serves the files below client/"
        }
    };
    let answer = answer(
        StatusCode::OK,
        &json!({
            "urls": {"version": url},
            "worker_version": concat!("favonius/", env!("CARGO_PKG_VERSION")),
            "assets": lacking,
            "message": message,
        }),
    );
    Ok((answer, intake))
}

/// Reads the document, away from the threads that serve when it is large. The memory that it takes is held until the
/// second value is dropped.
async fn parse(
    edge: &Shared,
    sender: &Sender<'_>,
    body: &mut Incoming<'_>,
) -> Result<(SnapshotDocument, Option<OwnedSemaphorePermit>), Failure> {
    let Document { json, room } = sender.document(body).await?;
    let is_large = json.len() > LARGE;
    let parse = move || (SnapshotDocument::parse(json), room);
    let (document, room) = if is_large {
        edge.off_thread(parse).await?
    } else {
        parse()
    };
    Ok((document?, room))
}

/// Stores the snapshot and publishes its version in one commit; gives the version's URL, and whether it was there before.
async fn record(
    edge: &Shared,
    token: &WriteToken,
    document: &Arc<SnapshotDocument>,
) -> Result<(String, Intake), Failure> {
    let snapshot = document.snapshot();
    let id = &snapshot.snapshot_id;
    let (hosts, host_edge) = version_hostnames(edge, snapshot);
    let mut is_known = false;
    let mut hosts = hosts.into_iter();
    let mut host = hosts.next();
    // One more round for each name that is taken, and one for a snapshot that came for another edge before.
    loop {
        let mut changes = Vec::with_capacity(2);
        if !is_known {
            changes.push(Change::SnapshotStored(SnapshotDocument::clone(document)));
        }
        let name = host.clone().map(DeploymentName::from);
        changes.extend(
            name.clone()
                .map(|name| Change::Published(version(edge, snapshot, name))),
        );
        match edge.commit(token, changes).await {
            Ok(applied) => {
                let is_new = !is_known && applied.first() == Some(&Applied::Done);
                if let Some(name) = &name {
                    edge.deployments.changed(name);
                }
                let url = match (&host, &host_edge) {
                    (Some(host), Some(host_edge)) => host_edge.url(host),
                    _ => path_url(edge, snapshot)?,
                };
                let intake = if is_new {
                    Intake::Stored
                } else {
                    Intake::Known
                };
                return Ok((url, intake));
            }
            Err(CommitError::Rejected(Rejection::SnapshotExists(_))) if !is_known => {
                let known = edge.records.snapshot(id).await?;
                let document = Arc::clone(document);
                let same = move || known.is_some_and(|known| known.same_build(&document));
                if !edge.off_thread(same).await? {
                    return Err(Rejection::SnapshotExists(id.clone()).into());
                }
                is_known = true;
            }
            Err(CommitError::Rejected(
                rejection @ (Rejection::NameTaken { .. } | Rejection::NameOwned { .. }),
            )) => {
                host = hosts.next();
                if host.is_none() {
                    return Err(rejection.into());
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn version(edge: &Shared, snapshot: &Snapshot, name: DeploymentName) -> Publish {
    Publish {
        name,
        application: snapshot.application_uid.clone(),
        snapshot_id: snapshot.snapshot_id.clone(),
        order: Order::Local {
            now_ms: edge.clock.now_ms(),
            replica: edge.options.replica.clone(),
        },
        manifest: None,
        version: true,
        takeover: false,
    }
}

/// The hostnames that the version may have, and the edge that they are on: the one that the client was sent to, else the
/// configured one.
fn version_hostnames(edge: &Shared, snapshot: &Snapshot) -> (Vec<Hostname>, Option<EdgeHost>) {
    let asked: Option<EdgeHost> = snapshot
        .domain
        .as_deref()
        .and_then(|domain| domain.parse().ok());
    for candidate in [asked, edge.options.public_url.clone()]
        .into_iter()
        .flatten()
    {
        let hosts = candidate.version_hostnames(&snapshot.snapshot_id, edge.options.delimiter);
        if !hosts.is_empty() {
            return (hosts, Some(candidate));
        }
    }
    (Vec::new(), None)
}

/// The path-addressed URL of a version, for an edge that is known by an address only.
fn path_url(edge: &Shared, snapshot: &Snapshot) -> Result<String, Failure> {
    let origin = snapshot
        .domain
        .as_deref()
        .and_then(|domain| domain.parse::<EdgeHost>().ok())
        .or_else(|| edge.options.public_url.clone())
        .ok_or_else(|| {
            Failure::bad_request(
                "invalid_body",
                "domain: is not the URL of an edge, and this edge has no ZE_WORKER_PUBLIC_URL to make URLs from",
            )
        })?;
    let key = utf8_percent_encode(snapshot.snapshot_id.as_str(), SEGMENT);
    Ok(format!("{}/__zephyr/v1/v/{key}", origin.origin()))
}

/// The assets that the store lacks, for clients that ask before they upload.
async fn lacking(edge: &Shared, snapshot: &Snapshot) -> Result<Vec<Value>, Failure> {
    let missing = publish::missing_paths(edge, snapshot).await?;
    Ok(missing
        .into_iter()
        .map(|(path, asset)| json!({"path": path, "hash": asset.hash, "size": asset.size}))
        .collect())
}
